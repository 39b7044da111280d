#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# bench/connect.sh still measures what it says: it ends with an error where a connection was carried
# by something else than its row is named after. Here: that all modes and figures are there, and that
# nothing is left behind, also when it is interrupted. No time is judged.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MODES="again direct hooks iptables nftables node node-iptables node-nftables redirect sock tc"
CONNECT=$NP_SELFTESTS/../bench/connect.sh

# begin ARGS...: the benchmark in the background, its process id in $BENCH.
begin() {
	"$CONNECT" "$@" >"$NP_DIR/out" 2>"$NP_DIR/err" &
	BENCH=$!
	NP_PIDS[bench]=$BENCH
}

# What the process BENCH made, as lib.sh names it.
remains() {
	ip netns | grep "^np-$BENCH-" || true
	ls -d "${TMPDIR:-/tmp}/np-$BENCH" 2>/dev/null || true
	grep -F "/np-$BENCH/" /proc/self/mounts || true
	grep "/np-$BENCH-" /proc/[0-9]*/cgroup 2>/dev/null || true
}

# samples FILTER: how many samples it lets through.
samples() {
	jq "[.samples[] | select($1)] | length" "$NP_DIR/json"
}

whole_run() {
	local code=0
	begin -q -s 3 -r 1 --json "$NP_DIR/json"
	join bench || code=$?
	check_equal "it ends well" 0 "$code"
	[[ $code -eq 0 ]] || cat "$NP_DIR/err"
	check_equal "all modes are measured" "$MODES" \
		"$(jq -r '[.samples[].mode] | unique | join(" ")' "$NP_DIR/json")"
	check_equal "iptables at each place" "first last middle" "$(jq -r '[.samples[] |
		select(.mode == "iptables").place] | unique | join(" ")' "$NP_DIR/json")"
	check_equal "every sample has its figures" 13 "$(samples '.connections_per_s > 0 and
		.connect_us_p50 > 0 and .connect_us_p99 >= .connect_us_p90 and
		.cpu_us_per_connection > 0 and .transactions_per_s > 0')"
	check_equal "throughput once for each mode" 11 "$(samples '.gbit_1 > 0 and .gbit_4 > 0')"
	check_equal "the machine is told" true "$(jq '.machine.kernel != null' "$NP_DIR/json")"
	check "the table has a line for each" grep -Eq '^ +3 node-nftables first ' "$NP_DIR/out"
	check_equal "nothing is left" "" "$(remains)"
}

measuring() {
	grep -q rounds "$NP_DIR/err"
}

interrupted() {
	local code=0
	begin -s 1
	check "it begins" wait_for -t 60 measuring
	kill -TERM "$BENCH"
	join bench || code=$?
	check_equal "told to end, it says so" 143 "$code"
	check_equal "interrupted, it leaves nothing" "" "$(remains)"
}

np_init
whole_run
interrupted
finish
