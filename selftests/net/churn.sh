#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Endpoints come and go every 50 ms and the daemon is killed twice, while ten thousand connections
# go through a ClusterIP and ten thousand through a NodePort, and datagrams beside them. All
# servers stay alive all the time, so not one may fail.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

CONNECTIONS=10000
DATAGRAMS=4000
RATE=400       # connections a second of each client
INTERVAL=0.05  # between two changes of the endpoints
DEAD=0.7       # seconds without a daemon
ALIVE=3        # seconds between two deaths
IP=10.96.0.10
UDP_IP=10.96.0.11
NODE_PORT=30080
UDP_NODE_PORT=30081

# What the endpoints are, one after the other. At least one is ready in each.
STATES=(
	"server-a server-b server-c server-d"
	"server-a:notready server-b server-c server-d"
	"server-a:notready server-b:notready server-c server-d"
	"server-a:notready server-b:notready server-c:notready server-d"
	"server-b:notready server-d"
	"server-b server-d:notready server-a"
	"server-a server-c:terminating"
	"server-c server-a:notready server-d:terminating"
	"server-a:notready server-b server-c:notready server-d"
	"server-c"
	"server-a:terminating server-b:terminating server-c:notready server-d"
	"server-b server-c"
)

slices() {
	WORLD_FAMILIES=4 world_slice web churn "$WORLD_PORT" "$@"
	WORLD_FAMILIES=4 WORLD_PROTOCOL=UDP world_slice dns churn "$WORLD_PORT" "$@"
}

# Each state as a file to apply, so that the churning itself costs little.
write_states() {
	local i
	for i in "${!STATES[@]}"; do
		# shellcheck disable=SC2086 # a list of pods
		slices ${STATES[$i]}
		printf '[%s,%s]' "$(cat "$NP_DIR/objects/EndpointSlice-churn-web-4.json")" \
			"$(cat "$NP_DIR/objects/EndpointSlice-churn-dns-4.json")" \
			>"$NP_DIR/state-$i.json"
	done
}

apply_state() {
	"$NEARPATH_BUILD/nearpath" --socket "$(daemon_dir node-a)/socket" apply \
		-f "$NP_DIR/state-$1.json"
} >/dev/null 2>&1

# Until it is told to stop; a line "applied" or "no daemon" for each try.
churn() {
	local i=0
	while [[ ! -e $NP_DIR/churn-stop ]]; do
		if apply_state "$((i++ % ${#STATES[@]}))"; then
			echo applied
		else
			echo "no daemon"
		fi
		sleep "$INTERVAL"
	done >"$NP_DIR/churn.log"
}

start_loads() {
	local web=(--count "$CONNECTIONS" --rate "$RATE" --concurrency 64 --linger0)
	local dns=(--udp --count "$DATAGRAMS" --rate $((RATE / 3)) --concurrency 64)
	world_load_start pod client-a --connect "$IP:80" "${web[@]}"
	world_load_start outside outside --connect "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" \
		"${web[@]}"
	world_load_start pod-udp client-a --connect "$UDP_IP:53" "${dns[@]}"
	world_load_start outside-udp outside \
		--connect "${WORLD_NODE_IP4[node-a]}:$UDP_NODE_PORT" "${dns[@]}"
}

loads_run() {
	np_alive "${NP_PIDS[load-pod]}" && np_alive "${NP_PIDS[load-outside]}"
}

kill_and_restart() {
	sleep "$ALIVE"
	kill_daemon node-a
	sleep "$DEAD"
	world_nearpath node-a
	check "death $1 was under load" loads_run
}

result() {
	local label=$1 what=$2 count=$3
	world_load_end "$label" || true
	check_equal "$what: failed" 0 "$(world_result "$label" failed)"
	check_equal "$what: succeeded" "$count" "$(world_result "$label" ok)"
	check_equal "$what: all servers had some" 4 "$(world_names "$label" servers | wc -l)"
	echo "       connect: p50 $(world_result "$label" p50) us," \
		"p99 $(world_result "$label" p99) us, max $(world_result "$label" max) us;" \
		"errors: $(world_names "$label" errors | xargs)"
}

at_least() {
	[[ $1 -ge $2 ]] || { echo "$1, not $2"; return 1; }
}

churned() {
	check "endpoints changed" at_least "$(grep -c '^applied' "$NP_DIR/churn.log")" 50
	check "there was no daemon at times" at_least "$(grep -c '^no daemon' "$NP_DIR/churn.log")" 2
}

# The end of it: what was applied last is what is served, and no table broke.
settled() {
	local hook
	apply_state "$((${#STATES[@]} - 1))"
	check_equal "the last endpoint in this zone is served" server-c "$(
		world_load last outside --connect "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" \
			--count 100 --concurrency 4 --linger0 >&2
		world_names last servers | cut -d ' ' -f 1 | sort | xargs
	)"
	for hook in ingress xdp; do
		check_equal "$hook: no broken table" 0 "$(counter_of node-a "$hook" table_error)"
		check_equal "$hook: no record missing" 0 "$(counter_of node-a "$hook" flows_full)"
		check_equal "$hook: no port missing" 0 "$(counter_of node-a "$hook" no_snat_port)"
	done
}

main() {
	np_init
	world_build
	world_pod node-a server-c 30
	world_pod node-b server-d 30
	world_serve server-c
	world_serve server-d
	world_service web churn "$IP" 80 "$NODE_PORT"
	world_service dns churn "$UDP_IP" 53 "$UDP_NODE_PORT" UDP
	write_states
	world_nearpath node-a
	world_apply node-a
	churn &
	NP_PIDS[churn]=$!
	start_loads
	kill_and_restart 1
	kill_and_restart 2
	result pod "connections to the ClusterIP" "$CONNECTIONS"
	result outside "connections to the NodePort" "$CONNECTIONS"
	result pod-udp "datagrams to the ClusterIP" "$DATAGRAMS"
	result outside-udp "datagrams to the NodePort" "$DATAGRAMS"
	touch "$NP_DIR/churn-stop"
	join churn
	churned
	settled
	finish
}

main "$@"
