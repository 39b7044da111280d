#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The benchmarks still measure what they say: they compare what becomes of the packets of each of their
# cases and end with an error if one did not do what its row is named after. No time is judged.

set -euo pipefail

failed=0
check() {
	local what=$1
	shift
	if "$@" >/dev/null; then
		echo "ok   - $what"
	else
		echo "FAIL - $what"
		failed=$((failed + 1))
	fi
}

check "every case of bench-packet is what it says" "$NEARPATH_BUILD/bench/packet" -n 1000 -r 1
check "every packet of bench-forward arrives as it should" "$NEARPATH_BUILD/bench/forward" -q -r 1
echo "$((2 - failed)) passed, $failed failed"
[[ $failed == 0 ]]
