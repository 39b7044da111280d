#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The project's own decision cases, and those of a folder "shared/vectors" beside the checkout where
# there is one.

set -euo pipefail
shopt -s nullglob
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
files=("$here"/cases/*.jsonl "$here"/../../shared/vectors/*.jsonl)
if [[ ${#files[@]} -eq 0 ]]; then
	echo "SKIP: there are no cases"
	exit 4
fi
exec "$here/vectors" "${files[@]}"
