#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What the programs need does not grow unnoticed: instructions, stack, calls into the kernel, bytes of
# the tables, each beside its limit. Limits are in the files "limits" of the programs' own folders.

set -euo pipefail

ROOT=$(dirname "$(dirname "$(realpath "$0")")")
export NEARPATH_BUILD=${NEARPATH_BUILD:-$ROOT/build}
# For kernels and compilers that no limit was written for; the verifier ends at 1,000,000.
VERIFIED_ANYWHERE=450000
STACK_ANYWHERE=512

DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
declare -A VALUE=() LIMITED=()
passed=0
failed=0

skip() {
	echo "SKIP: $1"
	exit 4
}

# check WHAT VALUE LIMIT UNIT. A hundredth is allowed, of calls in a thousand packets: a route that is
# remembered ends ten times a second.
check() {
	LIMITED[$1]=1
	if [[ -n $2 ]] && awk -v value="$2" -v limit="$3" 'BEGIN { exit value > limit + 0.01 }'; then
		printf 'ok   - %s: %s of %s %s\n' "$1" "$2" "$3" "$4"
		passed=$((passed + 1))
	else
		printf 'FAIL - %s: %s of %s %s\n' "$1" "${2:-not known}" "$3" "$4"
		failed=$((failed + 1))
	fi
}

show() {
	LIMITED[$1]=1
	printf '     - %s: %s %s\n' "$1" "${2:-not known}" "$3"
}

# Lines of a name, a tab, and its value. Calls are those of hot and of new flows, as how many routes are
# asked for with flows at random is chance; of either family and protocol the most.
values() {
	jq -r '
		(.programs[] | .name as $name |
			["\($name), verified", .verified_instructions], ["\($name), loaded", .xlated_instructions],
			["\($name), stack", .stack_bytes // empty]),
		(.bytes | to_entries[] | ["bytes of \(.key)", .value]),
		([.calls[] | select((.flows // 1) == 1)] | group_by(.case)[] |
			["calls, \(.[0].case)", (map(.calls) | max)],
			["left, \(.[0].case)", (map(.left_by_fast_path) | max)]) | @tsv' "$1"
}

# limit_program NAME VERIFIED LOADED STACK
limit_program() {
	local verified=$2 stack=$4
	if ((HERE)); then
		check "$1, loaded" "${VALUE[$1, loaded]:-}" "$3" instructions
	else
		verified=$VERIFIED_ANYWHERE
		stack=$STACK_ANYWHERE
		show "$1, loaded" "${VALUE[$1, loaded]:-}" instructions
	fi
	check "$1, verified" "${VALUE[$1, verified]:-}" "$verified" instructions
	check "$1, stack" "${VALUE[$1, stack]:-}" "$stack" bytes
}

# limit_calls CALLS LEFT CASE
limit_calls() {
	if ((HERE)); then
		check "calls, $3" "${VALUE[calls, $3]:-}" "$1" "a packet"
		check "left, $3" "${VALUE[left, $3]:-}" "$2" "a packet to handle()"
	else
		show "calls, $3" "${VALUE[calls, $3]:-}" "a packet"
		show "left, $3" "${VALUE[left, $3]:-}" "a packet to handle()"
	fi
}

# limits FOLDER: each line of its file.
limits() {
	local word rest
	local -a words
	HERE=1 # the file's limits are for this kernel and compiler
	while read -r word rest; do
		read -ra words <<<"$rest"
		case $word in
		kernel) [[ $KERNEL == "${words[0]}".*" ${words[1]}" ]] || HERE=0 ;;
		clang) [[ $CLANG == *"version $rest."* ]] || HERE=0 ;;
		bytes) check "bytes of ${words[0]}" "${VALUE[bytes of ${words[0]}]:-}" "${words[1]}" bytes ;;
		program) limit_program "${words[@]}" ;;
		calls) limit_calls "${words[0]}" "${words[1]}" "${rest#* * }" ;;
		esac
	done <"$ROOT/$1/limits"
}

command -v llvm-objdump >/dev/null || skip 'needs the command "llvm-objdump"'
"$ROOT/selftests/stack.py" --list >"$DIR/stack"
"$NEARPATH_BUILD/bench/packet" --counts --stack "$DIR/stack" --json "$DIR/json" >/dev/null
KERNEL="$(jq -r .machine.kernel "$DIR/json") $(uname -m)"
CLANG=$(jq -r .machine.bpf_compiler "$DIR/json")
while IFS=$'\t' read -r name value; do
	VALUE[$name]=$value
done < <(values "$DIR/json")

for folder in tc xdp sock maps; do
	limits "$folder"
done
for name in "${!VALUE[@]}"; do
	[[ -z ${LIMITED[$name]:-} ]] || continue
	echo "FAIL - $name: ${VALUE[$name]}, and no limit in any file"
	failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
