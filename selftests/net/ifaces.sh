#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Interfaces come, go, come back under the same name, are renamed, get another MTU, become the
# default route's; addresses too. All of it while the daemon runs, which has to follow by itself.
# And the clsact way of attaching, with connections held from one way to the other.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
IP=10.96.0.10
IP6=fd00:96::10
LATE=10.96.0.20
NODE_PORT=30080
MANY=60
MANY_SECONDS=2 # until all of them are attached, after the last was made
LOAD=(--count 10 --concurrency 5 --timeout-ms 1500)

# attached DEV TC XDP: what the kernel has on it.
attached() {
	nearpath_at node-a -o json iface list | jq -e --arg dev "$1" --arg tc "$2" --arg xdp "$3" \
		'.ifaces[] | select(.name == $dev and .attached.tc == $tc and .attached.xdp == $xdp)'
}

role() {
	nearpath_at node-a -o json iface list |
		jq -r --arg dev "$1" '.ifaces[] | select(.name == $dev) | .role'
}

has_role() {
	[[ $(role "$1") == "$2" ]]
}

# known COUNT PREFIX: so many devices with this prefix are attached.
known() {
	[[ $(nearpath_at node-a -o json iface list | jq --arg prefix "$2" '[.ifaces[] |
		select((.name | startswith($prefix)) and .attached.tc != "none")] | length') -eq $1 ]]
}

# What the daemon pinned for devices.
pins() {
	find "$(daemon_dir node-a)/bpf/links" -type f | wc -l
}

has_pins() {
	[[ $(pins) -eq $1 ]]
}

services_work() {
	world_reach "$1: pod to ClusterIP" client-a server-a "${WORLD_POD_IP4[client-a]}" \
		--connect "$IP:80" "${LOAD[@]}"
	world_reach "$1: pod to ClusterIP, IPv6" client-a server-a "${WORLD_POD_IP6[client-a]}" \
		--connect "[$IP6]:80" "${LOAD[@]}"
	world_reach "$1: outside to NodePort" outside server-a any \
		--connect "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" "${LOAD[@]}"
}

# The pod "late", always with the third pod device of node-a.
add_late() {
	WORLD_POD_COUNT[node-a]=2
	world_pod node-a late 40
	world_serve late
	check "$1: its device is attached" wait_for attached cali3 tcx off
	world_reach "$1: it serves" client-a late any --connect "$LATE:80" "${LOAD[@]}"
	world_reach "$1: it is a client" late server-a "${WORLD_POD_IP4[late]}" \
		--connect "$IP:80" "${LOAD[@]}"
	world_reach "$1: it reaches itself" late late any --connect "$LATE:80" "${LOAD[@]}"
}

delete_late() {
	stop server-of-late
	ip netns del "$(ns late)"
	check "$1: the daemon knows" wait_for known 0 cali3
	check "$1: its pins have gone" wait_for has_pins "$PINS"
}

come_and_go() {
	PINS=$(pins)
	add_late "a pod comes"
	delete_late "a pod goes"
	add_late "a pod of the same name comes"
	delete_late "it goes too"
	kill_daemon node-a
	WORLD_POD_COUNT[node-a]=2
	world_pod node-a late 40
	world_serve late
	world_nearpath node-a
	world_reach "it came while no daemon ran: it serves" client-a late any \
		--connect "$LATE:80" "${LOAD[@]}"
	kill_daemon node-a
	stop server-of-late
	ip netns del "$(ns late)"
	world_nearpath node-a
	check "it went while no daemon ran: its pins have gone" wait_for has_pins "$PINS"
	services_work "after all that"
}

many() {
	local i before took
	PINS=$(pins)
	for ((i = 0; i < MANY; i++)); do
		echo "link add cali-many$i type veth peer name many$i"
	done | in_ns node-a ip -batch -
	before=${EPOCHREALTIME/./}
	check "$MANY devices are attached soon" wait_for -t "$MANY_SECONDS" known "$MANY" cali-many
	took=$(((${EPOCHREALTIME/./} - before) / 1000))
	echo "       after $took ms"
	services_work "with $MANY devices more"
	for ((i = 0; i < MANY; i++)); do
		echo "link del cali-many$i"
	done | in_ns node-a ip -batch -
	check "they go" wait_for known 0 cali-many
	check "their pins go" wait_for has_pins "$PINS"
}

renamed() {
	ns_ip node-a link set cali2 down
	ns_ip node-a link set cali2 name other9
	ns_ip node-a link set other9 up
	check "renamed to what is no pod's: not attached" wait_for known 0 other9
	check "under its old name it is not known" wait_for known 0 cali2
	ns_ip node-a link set other9 down
	ns_ip node-a link set other9 name cali2
	ns_ip node-a link set cali2 up
	ns_ip node-a route add "${WORLD_POD_IP4[server-a]}" dev cali2 scope link
	ns_ip node-a -6 route add "${WORLD_POD_IP6[server-a]}" dev cali2
	check "renamed back: attached" wait_for attached cali2 tcx off
	services_work "renamed back"
}

# The clamp of the SYN-ACK that client-a gets follows its device.
mtu() {
	world_watch_mss client-a
	ns_ip node-a link set cali1 mtu 1300
	check "MTU 1300 is known" wait_for mtu_is cali1 1300
	world_reach "MTU 1300" client-a server-a any --connect "$IP:80"
	check_equal "MTU 1300: MSS in SYN-ACK" 1260 "$(world_seen_mss client-a)"
	world_reach "MTU 1300, IPv6" client-a server-a any --connect "[$IP6]:80"
	check_equal "MTU 1300, IPv6: MSS in SYN-ACK" 1240 "$(world_seen_mss client-a)"
	ns_ip node-a link set cali1 mtu 1500
	check "MTU 1500 is known" wait_for mtu_is cali1 1500
	world_reach "MTU 1500" client-a server-a any --connect "$IP:80"
	check_equal "MTU 1500: MSS in SYN-ACK" 1460 "$(world_seen_mss client-a)"
}

mtu_is() {
	nearpath_at node-a -o json iface list |
		jq -e --arg dev "$1" --argjson mtu "$2" '.ifaces[] | select(.name == $dev and .mtu == $mtu)'
}

addresses() {
	local new=192.168.50.77
	ns_ip node-a addr add "$new/24" dev eth0
	world_reach "a new address of the node has NodePorts" outside server-a any \
		--connect "$new:$NODE_PORT" "${LOAD[@]}" --timeout-ms 3000
	ns_ip node-a addr del "$new/24" dev eth0
	check "an address that went has none" wait_for refused_at "$new"
	services_work "after an address came and went"
}

refused_at() {
	world_load refused outside --connect "$1:$NODE_PORT" --timeout-ms 300 || return 0
	return 1
}

# A switch of one device does not break what others carry; XDP belongs on uplinks, and elsewhere
# is either refused or does no harm.
xdp_on_pods() {
	local mode
	for mode in native generic; do
		nearpath_at node-a iface set cali1 "xdp=$mode" >/dev/null 2>&1 || true
		services_work "xdp=$mode on a pod's device"
		world_reach "xdp=$mode on a pod's device: to the other node" client-a server-b any \
			--connect 10.96.0.30:80 "${LOAD[@]}"
	done
	nearpath_at node-a iface set cali1 xdp=off >/dev/null
}

default_route() {
	stop_daemon node-a
	start_daemon node-a --zone zone-a --ifaces 'cali*,zlink' --uplinks auto --xdp native \
		--cluster-cidr "$WORLD_CLUSTER_CIDR"
	check_equal "auto: the default route's device is the uplink" "uplink pod" \
		"$(role eth0) $(role zlink)"
	check "auto: it has XDP" attached eth0 tcx native
	services_work "auto"
	ns_ip node-a route replace default via 192.168.70.2
	ns_ip node-a -6 route replace default via fd00:70::2
	check "auto: the default route moves, and the uplink" wait_for has_role zlink uplink
	check "auto: the new one has XDP" wait_for attached zlink tcx native
	check "auto: the old one is no uplink" wait_for not_uplink eth0
	ns_ip node-a route replace default via 192.168.50.254
	ns_ip node-a -6 route replace default via fd00:50::fe
	check "auto: it moves back" wait_for has_role eth0 uplink
	services_work "auto, back"
}

not_uplink() {
	[[ $(role "$1") != uplink ]]
}

# From tcx to clsact and back with connections held all the while.
clsact() {
	world_load_start held client-a --connect "$IP:80" --keep --seconds 4 --concurrency 10 \
		--interval-us 10000 --timeout-ms 1500
	stop_daemon node-a
	world_nearpath node-a --clsact
	check "clsact: attached" attached cali1 clsact off
	check "clsact: beside XDP" attached eth0 clsact native
	services_work "clsact"
	world_reach "clsact: UDP" client-a server-a any --udp --connect 10.96.0.11:53 "${LOAD[@]}"
	check_equal "clsact: no tcx is left" 0 \
		"$(in_ns node-a bpftool net show | grep -c 'tcx/' || true)"
	stop_daemon node-a
	world_nearpath node-a
	check "tcx again: attached" attached cali1 tcx off
	check_equal "tcx again: no qdisc is left" 0 \
		"$(in_ns node-a tc qdisc show | grep -c clsact || true)"
	services_work "tcx again"
	world_load_end held || true
	check_equal "clsact and back: held connections that failed" 0 "$(world_result held failed)"
	check "clsact and back: they were used" test "$(world_result held messages)" -ge 1000
}

main() {
	np_init
	world_build
	world_service web ifaces "$IP,$IP6" 80 "$NODE_PORT"
	world_slice web ifaces "$WORLD_PORT" server-a
	world_service dns ifaces 10.96.0.11 53 0 UDP
	WORLD_FAMILIES=4 WORLD_PROTOCOL=UDP world_slice dns ifaces "$WORLD_PORT" server-a
	world_service there ifaces 10.96.0.30 80
	WORLD_FAMILIES=4 world_slice there ifaces "$WORLD_PORT" server-b
	# The endpoint is known long before its pod is.
	WORLD_POD_NODE[late]="node-a"
	WORLD_POD_IP4[late]=${WORLD_POD_NET4[node-a]}.40
	WORLD_POD_IP6[late]=${WORLD_POD_NET6[node-a]}:40
	world_service late ifaces "$LATE" 80
	WORLD_FAMILIES=4 world_slice late ifaces "$WORLD_PORT" late
	world_nearpath node-a
	world_apply node-a
	services_work "at first"
	come_and_go
	many
	renamed
	mtu
	addresses
	xdp_on_pods
	clsact
	default_route
	finish
}

main "$@"
