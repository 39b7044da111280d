#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What becomes of a client's datagrams when its endpoint goes: they go to one that serves. Flows to
# endpoints that serve stay, all do when nothing serves, and TCP is never touched.

# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
NODE_PORT=30053

declare -A SERVICE=([4]=10.96.0.53 [6]=fd00:96::53)

# endpoints POD...: of the services dns (UDP) and web (TCP).
endpoints() {
	WORLD_PROTOCOL=UDP world_slice dns udp "$WORLD_PORT" "$@"
	world_slice web udp "$WORLD_PORT" "$@"
	world_apply node-a
}

# answers POD ADDRESS PORT DESTINATION: who answers five datagrams from this address and port.
answers() {
	world_load "$1" "$1" --udp --connect "$4" --source "$(bracket "$2"):$3" --count 5 >&2
	world_names "$1" servers | cut -d ' ' -f 1 | sort | xargs
}

flows_of() {
	nearpath_at node-a flow list -o json |
		jq --arg port ":$1" '[.flows[] | select(.client | endswith($port))] | length'
}

moves() {
	local what=$1 pod=$2 address=$3 destination=$4
	endpoints server-a
	check_equal "$what: the only endpoint answers" server-a \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints server-a server-b
	check_equal "$what: another endpoint comes: the flow stays" server-a \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints server-a:terminating server-b
	check_equal "$what: terminating but serving: the flow stays" server-a \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints server-a:notready server-b
	check_equal "$what: it serves no more: the flow moves" server-b \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints server-a
	check_equal "$what: the endpoint is gone: the flow moves" server-a \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints
	check_equal "$what: nothing serves: the flow stays" server-a \
		"$(answers "$pod" "$address" 45000 "$destination")"
	endpoints server-b
	check_equal "$what: another serves: the flow moves" server-b \
		"$(answers "$pod" "$address" 45000 "$destination")"
}

# Others' flows in the same table, and TCP, at the same time.
untouched() {
	endpoints server-a
	world_service other udp 10.96.0.54 53 0 UDP
	WORLD_FAMILIES=4 WORLD_PROTOCOL=UDP world_slice other udp "$WORLD_PORT" server-a
	world_apply node-a
	answers client-a "${WORLD_POD_IP4[client-a]}" 45001 10.96.0.54:53 >/dev/null
	world_load_start tcp client-a --connect "10.96.0.80:80" --keep --seconds 4 \
		--interval-us 100000 --count 3 --concurrency 3
	sleep 1
	endpoints server-b
	check_equal "a flow of another service to the same endpoint stays" 1 "$(flows_of 45001)"
	world_load_end tcp
	check_equal "TCP to a departed endpoint goes on" "3 0" \
		"$(world_result tcp ok) $(world_result tcp failed)"
	check_equal "and was to it" server-a "$(world_names tcp servers | cut -d ' ' -f 1 | xargs)"
}

# Endpoints change while no daemon runs; its successor hears of it by the whole set.
restarted() {
	endpoints server-a
	answers client-a "${WORLD_POD_IP4[client-a]}" 45002 "${SERVICE[4]}:53" >/dev/null
	kill_daemon node-a
	rm -rf "$(daemon_dir node-a)/state"
	world_nearpath node-a --xdp generic
	WORLD_PROTOCOL=UDP world_slice dns udp "$WORLD_PORT" server-b
	check_equal "an empty daemon ends nothing" 1 "$(flows_of 45002)"
	world_objects >"$NP_DIR/objects.json"
	nearpath_at node-a replace -f "$NP_DIR/objects.json" >/dev/null
	check_equal "once all is delivered, the flow moves" server-b \
		"$(answers client-a "${WORLD_POD_IP4[client-a]}" 45002 "${SERVICE[4]}:53")"
}

main() {
	local f
	np_init
	world_build
	world_node node-a
	world_service dns udp "${SERVICE[4]},${SERVICE[6]}" 53 "$NODE_PORT" UDP
	world_service web udp 10.96.0.80 80
	world_nearpath node-a --xdp generic
	for f in 4 6; do
		local -n pod_ip=WORLD_POD_IP$f node_ip=WORLD_NODE_IP$f outside=WORLD_OUTSIDE_IP$f
		moves "IPv$f: pod to ClusterIP" client-a "${pod_ip[client-a]}" \
			"$(bracket "${SERVICE[$f]}"):53"
		moves "IPv$f: outside to NodePort" outside "$outside" \
			"$(bracket "${node_ip[node-a]}"):$NODE_PORT"
	done
	untouched
	restarted
	finish
}

main "$@"
