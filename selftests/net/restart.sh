#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The daemon dies, ends, comes back, and is cleaned away: traffic goes on, state and switches are
# there again without being told, a second one is refused, and --cleanup takes what is nearpath's
# and nothing else.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

IP=10.96.0.10
IP6=fd00:96::10
FAR=10.96.0.20
NODE_PORT=30080
TRANSFER=250000000
MANY=(--count 20 --concurrency 20 --timeout-ms 1500)
NODE_A=${WORLD_NODE_IP4[node-a]}

objects() {
	world_service web restart "$IP,$IP6" 80 "$NODE_PORT"
	world_slice web restart "$WORLD_PORT" server-a server-b
	world_service far restart "$FAR" 80 30081
	WORLD_FAMILIES=4 world_slice far restart "$WORLD_PORT" server-b
}

# What has to survive: the services without their counters, and the switches.
state() {
	nearpath_at "$1" -o json service list | jq -cS 'del(.. | .connections?, .revision?)'
}

switches() {
	nearpath_at "$1" -o json iface list | jq -c '[.ifaces[] | [.name, .lb, .xdp, .mss, .stats]]'
}

start_loads() {
	local label=$1
	world_load_start "$label-keep" client-a --connect "$IP:80" --keep --seconds "$2" \
		--concurrency 10 --interval-us 20000 --timeout-ms 1000
	world_load_start "$label-keep6" client-a --connect "[$IP6]:80" --keep --seconds "$2" \
		--concurrency 10 --interval-us 20000 --timeout-ms 1000
	world_load_start "$label-out" outside --connect "$NODE_A:30081" --keep --seconds "$2" \
		--concurrency 10 --interval-us 20000 --timeout-ms 1000
	world_load_start "$label-get" client-a --connect "$FAR:80" --bytes "$TRANSFER" \
		--timeout-ms 1000
	wait_for loads_talk || die "the loads did not get going"
}

# Of what netload holds, the daemon's flows tell.
loads_talk() {
	[[ $(nearpath_at node-a -o json flow list | jq '[.flows[] | select(.state == "tcp_established")] | length') -ge 31 ]]
}

end_loads() {
	local label=$1 part
	for part in keep keep6 out get; do
		world_load_end "$label-$part" || true
		check_equal "$label: $part: failed" 0 "$(world_result "$label-$part" failed)"
	done
}

new_connections() {
	world_reach "$1: pod to ClusterIP" client-a server-a "${WORLD_POD_IP4[client-a]}" \
		--connect "$IP:80" "${MANY[@]}"
	world_reach "$1: pod to ClusterIP, IPv6" client-a server-a "${WORLD_POD_IP6[client-a]}" \
		--connect "[$IP6]:80" "${MANY[@]}"
	world_reach "$1: outside to NodePort" outside any any --connect "$NODE_A:$NODE_PORT" \
		"${MANY[@]}"
	world_reach "$1: outside to NodePort, other node" outside server-b any \
		--connect "$NODE_A:30081" "${MANY[@]}"
}

dies_and_returns() {
	local services ifaces signal=$1
	services=$(state node-a)
	ifaces=$(switches node-a)
	start_loads "$signal" 3
	stop nearpathd-node-a "$signal"
	new_connections "after $signal, no daemon"
	nearpath_at node-a status >/dev/null 2>&1 && fail "a dead daemon answered"
	world_nearpath node-a
	check_equal "$signal: the services are there again" "$services" "$(state node-a)"
	check_equal "$signal: the switches are there again" "$ifaces" "$(switches node-a)"
	new_connections "after $signal, with a daemon"
	end_loads "$signal"
}

# The very last change before a death counts as much as any.
many_deaths() {
	local i
	for i in 1 2; do
		world_slice web restart "$WORLD_PORT" server-b
		world_apply node-a
		kill_daemon node-a
		world_nearpath node-a
		world_reach "death $i: what was applied just before holds" client-a server-b any \
			--connect "$IP:80" --count 10
		world_slice web restart "$WORLD_PORT" server-a
		world_apply node-a
		world_reach "death $i: and what is applied after" client-a server-a any \
			--connect "$IP:80" --count 10
	done
	world_slice web restart "$WORLD_PORT" server-a server-b
	world_apply node-a
}

# A disk that lost a few bytes: what the tables hold is served until all is told again.
damaged() {
	local journal
	journal=$(daemon_dir node-a)/state/objects.journal
	kill_daemon node-a
	printf '""""""""""' | dd of="$journal" bs=1 seek=200 conv=notrunc status=none
	world_nearpath node-a
	check "damaged state: it is told" grep -q 'objects.journal" is damaged' \
		"$NP_DIR/nearpathd-node-a.log"
	new_connections "damaged state"
	world_objects >"$NP_DIR/objects.json"
	nearpath_at node-a replace -f "$NP_DIR/objects.json" >/dev/null
	new_connections "damaged state, told again"
}

# second WHAT OPTIONS...: another daemon for node-a, which must not start, and must say why.
second() {
	local what=$1 log=$NP_DIR/second.log code=0
	shift
	in_ns node-a timeout 5 "$NEARPATH_BUILD/nearpathd" --node-name node-a "$@" \
		>"$log" 2>&1 || code=$?
	check_equal "$what is refused" 1 "$code"
	check "$what: it says why" grep -q 'another nearpathd' "$log"
	check "$what: the first one still answers" daemon_answers node-a
}

second_daemons() {
	local dir other=$NP_DIR/other
	dir=$(daemon_dir node-a)
	mkdir -p "$other/bpf"
	mount -t bpf bpf "$other/bpf"
	second "a second daemon with the same state" --socket "$other/socket" \
		--bpffs "$other/bpf" --state-dir "$dir/state" --ifaces none --uplinks none
	second "a second daemon with the same socket" --socket "$dir/socket" \
		--bpffs "$other/bpf" --state-dir "$other/state" --ifaces none --uplinks none
	second "a cleanup under a running daemon" --cleanup --socket "$dir/socket" \
		--bpffs "$dir/bpf" --state-dir "$dir/state"
	second "a second daemon with nothing in common but the network namespace" \
		--socket "$other/socket" --bpffs "$other/bpf" --state-dir "$other/state"
	new_connections "after second daemons"
}

# Its bpffs is gone when it is, and the programs with it: it says so.
bpffs_of_its_own() {
	timeout 5 ip netns exec "$(ns outside)" "$NEARPATH_BUILD/nearpathd" --node-name other \
		--ifaces none --uplinks none --bpffs "$NP_DIR/own/bpf" --state-dir "$NP_DIR/own/state" \
		--socket "$NP_DIR/own/socket" >"$NP_DIR/own.log" 2>&1 || true
	check "a bpffs in a mount namespace of its own: it is told" \
		grep -q 'mount namespace that ends with nearpathd' "$NP_DIR/own.log"
}

# All it has to itself is a socket and a state: it would take off what the first one attached.
same_tables() {
	local other=$NP_DIR/other
	second "a second daemon with the same tables" --socket "$other/socket" \
		--bpffs "$(daemon_dir node-a)/bpf" --state-dir "$other/state" \
		--ifaces none --uplinks none
	new_connections "after a second daemon with the same tables"
}

# Each node has its own; neither sees the other's.
side_by_side() {
	world_nearpath node-b
	world_service only-b restart 10.96.0.30 80
	WORLD_FAMILIES=4 world_slice only-b restart "$WORLD_PORT" server-b
	world_apply node-b
	world_forget Service-restart-only-b
	world_forget EndpointSlice-restart-only-b-4
	world_reach "side by side: node-b serves its own" client-b server-b any \
		--connect 10.96.0.30:80 --count 10
	check_equal "side by side: node-a knows nothing of it" "" \
		"$(nearpath_at node-a -o json service list | jq -r '.services[] | select(.name == "only-b") | .name')"
	world_reach "side by side: zone of node-a" client-a server-a any --connect "$IP:80" --count 50
	world_reach "side by side: zone of node-b" client-b server-b any --connect "$IP:80" --count 50
	stop_daemon node-b
	cleanup_daemon node-b
	new_connections "side by side: node-b is cleaned"
}

# Things of others on node-a: filters and a qdisc on cali1, XDP on a device that is not
# nearpath's and one that is, pins in the same bpffs.
foreign_things() {
	ns_ip node-a link add other0 type bridge
	ns_ip node-a link add other1 type veth peer name other2
	ns_ip node-a link set other0 up
	in_ns node-a tc qdisc add dev cali1 clsact
	in_ns node-a tc filter add dev cali1 ingress protocol ip pref 7 bpf bytecode '1,6 0 0 0'
	in_ns node-a tc qdisc add dev other0 clsact
	in_ns node-a tc filter add dev other0 egress protocol ip pref 7 bpf bytecode '1,6 0 0 0'
	in_ns node-a "$(tool xdppass)" other1
	bpftool map create "$(daemon_dir node-a)/bpf/foreign" type array key 4 value 4 entries 1 \
		name foreign
}

# Of what bpftool net shows, the programs of nearpath.
attached() {
	in_ns node-a bpftool net show | grep -c 'np_' || true
}

cleaned() {
	kill_daemon node-a
	check "cleanup" cleanup_daemon node-a
	check_equal "cleanup: the pins of others stay, and only they" foreign \
		"$(ls -I '*.debug' "$(daemon_dir node-a)/bpf" 2>&1)"
	check "cleanup: filters of others stay on a shared device" \
		filter_is_there cali1 ingress
	check "cleanup: filters of others stay elsewhere" filter_is_there other0 egress
	check "cleanup: XDP of others stays" xdp_is_there other1
	check_equal "cleanup: no program of nearpath is left" 0 "$(attached)"
	check_equal "cleanup: no XDP on eth0" 0 "$(ns_ip node-a -o link show eth0 | grep -c xdp)"
	check_equal "cleanup: no state is left" "" "$(ls -A "$(daemon_dir node-a)/state" 2>/dev/null)"
	world_load gone client-a --connect "$IP:80" --timeout-ms 300 || true
	check_equal "cleanup: nobody answers for the ClusterIP" 1 "$(world_result gone failed)"
	world_reach "cleanup: pods reach each other" client-a server-b any \
		--connect "${WORLD_POD_IP4[server-b]}:$WORLD_PORT" --count 5
	check "cleanup: again, with nothing to do" cleanup_daemon node-a
	world_nearpath node-a
	check_equal "a start after cleanup begins empty" '{"services":[]}' \
		"$(nearpath_at node-a -o json service list | jq -c '{services}')"
	world_apply node-a
	new_connections "after cleanup and a new start"
}

filter_is_there() {
	in_ns node-a tc filter show dev "$1" "$2" | grep 'pref 7 bpf'
}

xdp_is_there() {
	ns_ip node-a -o link show "$1" | grep 'prog/xdp'
}

main() {
	np_init
	world_build
	objects
	world_nearpath node-a
	world_apply node-a
	nearpath_at node-a iface set cali2 stats=on mss=1000 >/dev/null
	nearpath_at node-a iface set eth0 xdp=generic mss=off >/dev/null
	new_connections "at first"
	dies_and_returns KILL
	dies_and_returns TERM
	many_deaths
	damaged
	second_daemons
	side_by_side
	foreign_things
	cleaned
	same_tables
	bpffs_of_its_own
	finish
}

main "$@"
