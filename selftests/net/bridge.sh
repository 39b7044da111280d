#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Pods on a bridge, as flannel, k3s and the bridge plugin have them: the programs are on its ports,
# whatever their names, and not on the bridge. Everything that works over routed veths works here, and
# explain knows the way.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_HINTS=off
NODE_PORT=30080
declare -A SERVICE=([4]=10.96.0.10 [6]=fd00:96::10) SELF=([4]=10.96.0.11 [6]=fd00:96::11)
declare -A NONE=([4]=10.96.0.12 [6]=fd00:96::12)
declare -A NODE_IP=([4]=192.168.50.1 [6]=fd00:50::1)

# pod NAME LAST PORT: a pod on the bridge, with a server.
pod() {
	local name=$1 last=$2 port=$3
	WORLD_POD_IP4[$name]=10.1.0.$last
	WORLD_POD_IP6[$name]=fd00:1::$last
	WORLD_POD_NODE[$name]="node-a"
	ns_add "$name"
	ns_ip node-a link add "$port" type veth peer name eth0 netns "$(ns "$name")"
	ns_ip node-a link set "$port" master cni0 up
	in_ns node-a bridge link set dev "$port" hairpin on
	ns_ip "$name" link set eth0 up
	ns_ip "$name" addr add "10.1.0.$last/24" dev eth0
	ns_ip "$name" addr add "fd00:1::$last/64" dev eth0 nodad
	ns_ip "$name" route add default via 10.1.0.1
	ns_ip "$name" -6 route add default via fd00:1::1
	world_serve "$name"
}

network() {
	ns_add node-a outside
	ns_sysctl node-a net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ns_ip node-a link add cni0 type bridge
	ns_ip node-a link set cni0 up
	ns_ip node-a addr add 10.1.0.1/24 dev cni0
	ns_ip node-a addr add fd00:1::1/64 dev cni0 nodad
	ns_ip node-a link add eth0 type veth peer name eth0 netns "$(ns outside)"
	ns_ip node-a link set eth0 up
	ns_ip outside link set eth0 up
	ns_ip node-a addr add 192.168.50.1/24 dev eth0
	ns_ip node-a addr add fd00:50::1/64 dev eth0 nodad
	ns_ip outside addr add 192.168.50.9/24 dev eth0
	ns_ip outside addr add fd00:50::9/64 dev eth0 nodad
	ns_ip outside route add default via 192.168.50.1
	ns_ip outside -6 route add default via fd00:50::1
	ns_ip node-a route add default via 192.168.50.9
	ns_ip node-a -6 route add default via fd00:50::9
	pod pod1 11 vethpod1
	pod pod2 12 tap2
}

services() {
	world_node node-a
	world_service web bridge "${SERVICE[4]},${SERVICE[6]}" 80 "$NODE_PORT"
	world_slice web bridge "$WORLD_PORT" pod2
	world_service self bridge "${SELF[4]},${SELF[6]}" 80
	world_slice self bridge "$WORLD_PORT" pod1
	world_service none bridge "${NONE[4]},${NONE[6]}" 80
	world_slice none bridge "$WORLD_PORT"
	world_service dns bridge 10.96.0.53,fd00:96::53 53 0 UDP
	WORLD_PROTOCOL=UDP world_slice dns bridge "$WORLD_PORT" pod2
	world_apply node-a
}

paths() {
	local f=$1
	local -A udp=([4]=10.96.0.53:53 [6]='[fd00:96::53]:53')
	local -n pod_ip=WORLD_POD_IP$f
	local load=(--count 20 --concurrency 4 --timeout-ms 2000)
	world_reach "IPv$f: to a pod of the same bridge" pod1 pod2 "${pod_ip[pod1]}" \
		--connect "$(bracket "${SERVICE[$f]}"):80" "${load[@]}"
	world_reach "IPv$f: the same by UDP" pod1 pod2 "${pod_ip[pod1]}" --udp \
		--connect "${udp[$f]}" "${load[@]}"
	world_reach "IPv$f: to a NodePort" pod1 pod2 any \
		--connect "$(bracket "${NODE_IP[$f]}"):$NODE_PORT" "${load[@]}"
	world_reach "IPv$f: to itself" pod1 pod1 any --connect "$(bracket "${SELF[$f]}"):80" \
		"${load[@]}"
	world_reach "IPv$f: directly" pod1 pod2 "${pod_ip[pod1]}" \
		--connect "$(bracket "${pod_ip[pod2]}"):$WORLD_PORT" "${load[@]}"
	world_reach "IPv$f: from outside to a NodePort" outside pod2 any \
		--connect "$(bracket "${NODE_IP[$f]}"):$NODE_PORT" "${load[@]}"
	world_load none pod1 --connect "$(bracket "${NONE[$f]}"):80" --timeout-ms 1600 || true
	check_equal "IPv$f: no endpoint is refused" "connect refused 1" "$(world_names none errors)"
}

# One client port to the service, and to the pod behind it, at once.
both_ways() {
	local from=10.1.0.11:43210
	world_load_start held pod1 --connect "${SERVICE[4]}:80" --source "$from" --keep \
		--seconds 2 --interval-us 100000
	sleep 0.5
	world_reach "the port of a connection through the service, directly" pod1 pod2 any \
		--connect "10.1.0.12:$WORLD_PORT" --source "$from"
	world_load_end held || true
	check_equal "and that goes on" "1 0" "$(world_result held ok) $(world_result held failed)"
}

attached() {
	nearpath_at node-a iface list -o json |
		jq -r '[.ifaces[] | select(.attached.tc != "none") | .name] | sort | join(" ")'
}

test_attached() {
	[[ $(attached) == "$1" ]]
}

explained() {
	nearpath_at node-a explain "$1" "$2" -o json | jq -r '.verdict + " " + .class'
}

main() {
	np_init
	network
	start_daemon node-a --cluster-cidr 10.1.0.0/16,fd00:1::/48 --uplinks eth0 --xdp off
	services
	check_equal "the ports have the programs, and not the bridge" "eth0 tap2 vethpod1" "$(attached)"
	paths 4
	paths 6
	both_ways
	check_equal "no flow was moved for its own packets" 1 \
		"$(counter_of node-a ingress port_moved)"
	check_equal "explain: a pod" "forward pod" "$(explained 10.1.0.11 "${SERVICE[4]}:80")"
	ns_ip node-a link set tap2 nomaster
	check "a port that leaves the bridge is none of ours" wait_for test_attached "eth0 vethpod1"
	ns_ip node-a link set tap2 master cni0
	check "and is again when it comes back" wait_for test_attached "eth0 tap2 vethpod1"
	paths 4
	ns_ip node-a link set tap2 nomaster
	ns_ip node-a link set vethpod1 nomaster
	check "a bridge without ports is as any device" wait_for test_attached "cni0 eth0 vethpod1"
	finish
}

main "$@"
