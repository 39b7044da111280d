#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The benchmark still measures what it says: it compares the verdict and the counters of each of its
# cases and ends with an error if a packet did not do what its row is named after. No time is judged.

set -euo pipefail

if "$NEARPATH_BUILD/bench/packet" -n 1000 -r 1 >/dev/null; then
	echo "ok   - every case of bench-packet is what it says"
	echo "1 passed, 0 failed"
else
	echo "FAIL - bench-packet"
	echo "0 passed, 1 failed"
	exit 1
fi
