#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Races: flows are made, found, closed, evicted, expired, moved and looked at from all CPUs at once.
# First by threads that run the loaded tc and XDP programs on the same few flows of a small table,
# beside slow CPUs and a writer in user space (selftests/stress); every packet that comes out and
# every record and index entry is checked. Then by real TCP and UDP through the namespaces, pods and
# outside, tc and XDP, in a table that they fill many times, while services change and another process looks
# at the mapped tables. 20 s and 10 s, times LIVE_SCALE.

# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
STRESS_SECONDS=$((20 * ${LIVE_SCALE:-1}))
REAL_SECONDS=$((10 * ${LIVE_SCALE:-1}))
RECORDS=256 # so few that some are taken, however fast the writer in user space frees others
REAL_RECORDS=8192 # so many that nobody has to go who is not over, and so few that all are used often
IP=10.96.0.80
NODE_PORT=30080

stress() {
	"$(tool stress/stress)" "$@"
}

# number FILE NAME: of a line "NAME   NUMBER" that stress printed.
number() {
	sed -nE "s/^$2 +([0-9]+)$/\\1/p" "$1"
}

programs() {
	local log=$NP_DIR/stress.log name
	stress --seconds "$STRESS_SECONDS" --records "$RECORDS" >"$log" 2>&1 || true
	sed 's/^/       /' "$log"
	check_equal "violations in $(number "$log" "packets, tc ingress") + $(number "$log" \
		"packets, tc egress") + $(number "$log" "packets, XDP") packets" 0 \
		"$(number "$log" violations)"
	for name in "flows created" evicted "races lost" "ended by user space" \
		"migrated by user space" "services published anew" "connections kept to their end" \
		"flows created by them" "records looked at, running" "records looked at, stopped"; do
		check "it happened: $name" test "$(number "$log" "$name")" -gt 0
	done
}

services() {
	world_service web live "$IP" 80 "$NODE_PORT"
	WORLD_FAMILIES=4 world_slice web live "$WORLD_PORT" "$@"
	world_service dns live 10.96.0.53 53 30053 UDP
	WORLD_PROTOCOL=UDP WORLD_FAMILIES=4 world_slice dns live "$WORLD_PORT" "$@"
}

# One that serves stays, so that all succeed; the other comes and goes.
change_services() {
	local until=$((SECONDS + REAL_SECONDS)) changes=0
	while ((SECONDS < until)); do
		services server-a
		world_apply node-a
		services server-a server-b
		world_apply node-a
		changes=$((changes + 2))
	done
	echo "       services changed $changes times"
}

traffic() {
	local node=${WORLD_NODE_IP4[node-a]}
	world_load_start pod client-a --connect "$IP:80" --linger0 --concurrency 8 \
		--seconds "$REAL_SECONDS" --timeout-ms 20000
	world_load_start fin client-a --connect "$IP:80" --concurrency 4 --rate 400 \
		--seconds "$REAL_SECONDS" --timeout-ms 20000
	world_load_start out outside --connect "$node:$NODE_PORT" --linger0 --concurrency 8 \
		--seconds "$REAL_SECONDS" --timeout-ms 20000
	world_load_start udp client-a --udp --connect 10.96.0.53:53 --concurrency 4 --rate 400 \
		--seconds "$REAL_SECONDS" --timeout-ms 5000
	world_load_start kept client-a --connect "$IP:80" --keep --count 50 --concurrency 50 \
		--seconds "$REAL_SECONDS" --interval-us 20000 --timeout-ms 20000
}

real() {
	local label log=$NP_DIR/watch.log
	world_build
	services server-a server-b
	world_nearpath node-a --max-flows "$REAL_RECORDS" --xdp generic
	world_apply node-a
	spawn_ready watch node-a "$(tool stress/stress)" --watch "$(daemon_dir node-a)/bpf" \
		--seconds 600
	traffic
	change_services
	for label in pod fin out udp kept; do
		world_load_end "$label" || true
		echo "       $label: $(world_result "$label" ok) ok, $(world_result "$label" failed)" \
			"failed: $(world_names "$label" errors | xargs)"
		check "$label: some succeeded" test "$(world_result "$label" ok)" -gt 0
	done
	for label in pod fin out kept; do
		check_equal "$label: TCP connections that failed" 0 "$(world_result "$label" failed)"
	done
	stop watch || true
	sed 's/^/       /' "$log"
	echo "       $(nearpath_at node-a -o json status | jq -c '.counters | map_values({new_flow,
		evicted, race_lost, flows_full} | map_values(. // 0))')"
	check "records were used again and again" test "$(nearpath_at node-a -o json status |
		jq '[.counters[].evicted // 0] | add')" -gt "$REAL_RECORDS"
	check "records were looked at" test "$(number "$log" "records looked at, running")" -gt 0
	check_equal "violations beside real traffic" 0 "$(number "$log" violations)"
}

main() {
	np_init
	programs
	real
	finish
}

main "$@"
