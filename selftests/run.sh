#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Runs the tests of make check, one after the other: unit tests, packet tests, network tests. One
# line for each test program, the output of those that failed (indented), and as the very last
# line the sum: "N passed, N failed" and, if there are any, ", N skipped".

set -uo pipefail
shopt -s nullglob globstar

SELFTESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export NEARPATH_BUILD=${NEARPATH_BUILD:-$(dirname "$SELFTESTS")/build}
TIMEOUT=180 # seconds a test program may take
PASSED=0
FAILED=0
SKIPPED=0
CHILD=
LOG=

usage() {
	cat <<-'END'
		Usage: run.sh [NAME...]
		Runs the unit, packet and network tests, or those of them whose path contains one of
		the NAMEs. The environment NEARPATH_BUILD names the folder of the binaries. The sum
		counts single checks where a program tells their number; a program that skips
		(exit 4), dies or takes too long counts as one.
		Exit: 0 none failed, 1 some failed, 2 usage.
	END
}

# A test that is told to end cleans up after itself: give it the time.
end_child() {
	trap '' HUP INT TERM
	[[ -z $CHILD ]] || kill -TERM "$CHILD" 2>/dev/null
	wait
	rm -f "$LOG"
	exit "$1"
}

programs() {
	local program
	for program in "$NEARPATH_BUILD"/selftests/unit/**/test_* \
		"$NEARPATH_BUILD/selftests/packet/run" "$SELFTESTS/stack.py" "$SELFTESTS/decisions.sh" \
		"$SELFTESTS/bench.sh" \
		"$SELFTESTS"/net/*.sh; do
		[[ -f $program && -x $program ]] && echo "$program"
	done
}

wanted() {
	local name program=$1
	shift
	[[ $# -gt 0 ]] || return 0
	for name in "$@"; do
		[[ $program != *"$name"* ]] || return 0
	done
	return 1
}

short_name() {
	local name=${1#"$NEARPATH_BUILD"/selftests/}
	echo "${name#"$SELFTESTS"/}"
}

# sum_of REGEX: adds the numbers that REGEX keeps as \1 from the lines of the log.
sum_of() {
	sed -nE "s/$1/\\1/p" "$LOG" | awk '{ n += $1 } END { print n + 0 }'
}

# Sets passed, failed and skipped to what the log tells, as lib.sh or cmocka put it.
read_counts() {
	passed=$(sum_of '^([0-9]+) passed, [0-9]+ failed.*$')
	failed=$(sum_of '^[0-9]+ passed, ([0-9]+) failed.*$')
	skipped=0
	if ((passed + failed == 0)); then
		passed=$(sum_of '^\[  PASSED  \] ([0-9]+) test\(s\)\.$')
		failed=$(sum_of '^ *([0-9]+) FAILED TEST\(S\)$')
		skipped=$(sum_of '^\[  SKIPPED \] ([0-9]+) test\(s\), listed below:$')
	fi
}

# judge CODE: what the exit code adds to the counts, and the word for all of it. cmocka exits with
# the number of failures, so that 4 is a skip only where nothing failed.
judge() {
	local code=$1
	word=ok
	if [[ $code -eq 4 && $failed -eq 0 ]]; then
		word=skipped
		((skipped > 0)) || skipped=1
	elif [[ $code -ne 0 || $failed -gt 0 ]]; then
		word=FAILED
		((failed > 0)) || failed=1
	elif ((passed + skipped == 0)); then
		passed=1
	fi
}

show_output() {
	local code=$1
	sed 's/^/    | /' "$LOG"
	case $code in
	124 | 137) echo "    | (killed after $TIMEOUT s)" ;;
	*) echo "    | (exit code $code)" ;;
	esac
}

# timeout makes a process group of the test and signals all of it; what a test that died left
# running is ended too.
run_program() {
	local code=0 begun=$SECONDS passed failed skipped word
	timeout -k 10 "$TIMEOUT" "$1" >"$LOG" 2>&1 </dev/null &
	CHILD=$!
	wait "$CHILD" || code=$?
	kill -KILL -- "-$CHILD" 2>/dev/null
	CHILD=
	read_counts
	judge "$code"
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	SKIPPED=$((SKIPPED + skipped))
	printf '%-40s %-8s %4d s %5d checks' "$(short_name "$1")" "$word" "$((SECONDS - begun))" \
		"$((passed + failed))"
	[[ $word != skipped ]] || printf '  %s' "$(grep -m 1 '^SKIP: ' "$LOG")"
	printf '\n'
	[[ $word != FAILED ]] || show_output "$code"
}

main() {
	local program
	local -a list=()
	case ${1:-} in
	--help | -h)
		usage
		exit 0
		;;
	-*)
		usage >&2
		exit 2
		;;
	esac
	while read -r program; do
		wanted "$(short_name "$program")" "$@" && list+=("$program")
	done < <(programs)
	if [[ ${#list[@]} -eq 0 ]]; then
		echo "run.sh: no test is named so: $*" >&2
		exit 2
	fi
	LOG=$(mktemp)
	trap 'end_child 129' HUP
	trap 'end_child 130' INT
	trap 'end_child 143' TERM
	for program in "${list[@]}"; do
		run_program "$program"
	done
	rm -f "$LOG"
	printf '%d passed, %d failed' "$PASSED" "$FAILED"
	((SKIPPED == 0)) || printf ', %d skipped' "$SKIPPED"
	printf '\n'
	[[ $FAILED -eq 0 ]]
}

main "$@"
