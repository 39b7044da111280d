#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The flow table's protocol in every order of its steps (selftests/model/claim.pml), by spin; then
# the same with the protocol broken on purpose, one way after the other: spin has to find each.
# Without --all the four largest scenes are left out, which take nine tenths of the time.

set -euo pipefail

MODEL=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/model/claim.pml
SCENES=(ANY OTHER_NAME REUSE LATE_PACKET SWEEP)
LARGE=(ONE_NAME SHARED EVICTION NEXT_LIFE)

# How the protocol may be broken, and the scene in which it shows.
BROKEN=(
	PUBLISH_EARLY:ANY        # published before it has all its names
	NAME_AFTER_STORE:ANY     # an index entry is stored before its place is in the record
	FORGET_BEFORE_REMOVE:ANY # and the record forgets the place before the entry is gone
	KEEP_NAMES:OTHER_NAME    # a record is claimed for any flow and its names stay
	CLAIM_WITHOUT_CAS:ANY    # a record is claimed by a load and a store
	CLAIM_JUDGED:EVICTION    # by what it was when it was looked at, be it answered since
	LOOK_AT_SEQ_ONCE:ANY     # a reader does not look at seq again
	STORE_ANY_LIFE:ANY       # a late packet changes the state of whatever flow is there by now
	LOOK_ONCE:SHARED         # no second look for others after a name is stored
	RECLAIM_BY_LATE_SEQ:ANY  # a record is taken over by the seq it has after it was looked at
	IGNORE_LOST_END:REUSE    # who loses a record that is over takes its names for free
	SEQ_AFTER_NAME:NEXT_LIFE # a flow that is in the way is ended by the seq it has afterwards
)

# verify NAME SCENE [BREAK]: one line "NAME SCENE ERRORS STATES SECONDS" in the folder of all.
verify() {
	local dir=$WORK/$1-$2 level=-O2 out
	mkdir "$dir" && cd "$dir" || return 1
	spin -a "-DSCENE_$2" ${3:+"-DBREAK_$3"} "$MODEL" >spin.log 2>&1
	[[ -z ${3:-} ]] || level=-O0 # compiling takes longer than finding what is broken
	gcc "$level" -w -DSAFETY -DCOLLAPSE -DMEMLIM=3000 -o pan pan.c
	out=$(./pan -m100000)
	rm pan
	{
		echo -n "$1 $2 "
		sed -nE 's/.*errors: ([0-9]+).*/\1/p' <<<"$out" | tr '\n' ' '
		sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' <<<"$out" | tr '\n' ' '
		# What cut the search short makes it no proof.
		grep -cE 'max search depth too small|out of memory|reached -DMEMLIM' <<<"$out" || true
	} >"$WORK/$1-$2.result"
}

main() {
	local entry name scene errors states cut group passed=0 failed=0
	for name in spin gcc; do
		if ! command -v "$name" >/dev/null; then
			echo "SKIP: needs the command \"$name\""
			exit 4
		fi
	done
	case ${1:-} in
	--all) SCENES+=("${LARGE[@]}") ;;
	'') ;;
	--help | -h)
		echo "Usage: model.sh [--all]"
		exit 0
		;;
	*)
		echo "Usage: model.sh [--all]" >&2
		exit 2
		;;
	esac
	WORK=$(mktemp -d)
	export WORK MODEL
	trap 'rm -rf "$WORK"' EXIT
	export -f verify
	{
		printf 'WHOLE %s\n' "${SCENES[@]}"
		for entry in "${BROKEN[@]}"; do
			echo "${entry/:/ } ${entry%:*}"
		done
	} >"$WORK/todo"
	# A process group of its own, to be ended as a whole.
	setsid xargs -a "$WORK/todo" -P "$(nproc)" -L 1 bash -c 'verify "$@"' verify &
	group=$!
	trap 'kill -KILL -- "-$group" 2>/dev/null; exit 143' HUP INT TERM
	wait "$group" || true # what has no result has failed
	trap - HUP INT TERM
	for scene in "${SCENES[@]}"; do
		errors='' states='' cut=''
		read -r _ _ errors states cut <"$WORK/WHOLE-$scene.result" || true
		[[ $scene == ANY ]] || grep -q "SCENE_$scene\b" "$MODEL" || errors='no such scene, '
		if [[ $errors == 0 && $cut == 0 ]]; then
			echo "ok   - scene $scene: every order of the steps, $states states"
			passed=$((passed + 1))
		else
			echo "FAIL - scene $scene: $errors errors, cut short: $cut"
			sed -n '/assertion/p' "$WORK/WHOLE-$scene"/*.log || true
			failed=$((failed + 1))
		fi
	done
	for entry in "${BROKEN[@]}"; do
		errors='' states=''
		read -r _ _ errors states _ <"$WORK/${entry/:/-}.result" || true
		if [[ $errors == 1 ]]; then
			echo "ok   - broken by ${entry%:*}: found after $states states"
			passed=$((passed + 1))
		else
			echo "FAIL - broken by ${entry%:*}: not found in scene ${entry#*:}"
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed"
	[[ $failed -eq 0 ]]
}

main "$@"
