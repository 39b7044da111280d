#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The MSS that arrives in SYN and SYN-ACK, as nftables in the pods sees it, for every value of the
# switch, by tc and by XDP; and that large transfers get through a narrow path of which no ICMP
# message tells.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
HERE=(10.96.0.10 fd00:96::10 30080)
THERE=(10.96.0.20 fd00:96::20 30081)
BYTES=10000000

objects() {
	world_service here mss "${HERE[0]},${HERE[1]}" 80 "${HERE[2]}"
	world_slice here mss "$WORLD_PORT" server-a
	world_service there mss "${THERE[0]},${THERE[1]}" 80 "${THERE[2]}"
	world_slice there mss "$WORLD_PORT" server-b
}

to() {
	if [[ $1 == 4 ]]; then
		echo "$2:$4"
	else
		echo "[$3]:$4"
	fi
}

# sees WHAT CLIENT SERVER TO SYN SYNACK: the MSS the server is told and the client is told.
sees() {
	local what=$1 client=$2 server=$3
	world_seen_mss "$client" >/dev/null
	world_seen_mss "$server" >/dev/null
	world_load mss "$client" --connect "$4" --count 2 --timeout-ms 1500 || true
	check_equal "$what: failed" 0 "$(world_result mss failed)"
	check_equal "$what: MSS in SYN" "$5" "$(world_seen_mss "$server")"
	check_equal "$what: MSS in SYN-ACK" "$6" "$(world_seen_mss "$client")"
}

# devs DEVS SETTING...
devs() {
	local devs=$1 dev
	shift
	for dev in $devs; do
		nearpath_at node-a iface set "$dev" "$@" >/dev/null || fail "iface set $dev $*"
	done
}

# there WHAT MSS4 MSS6: from client-a and outside to the other node.
there() {
	local f n node
	for f in 4 6; do
		n=$2
		[[ $f == 4 ]] || n=$3
		node=$(to "$f" "${WORLD_NODE_IP4[node-a]}" "${WORLD_NODE_IP6[node-a]}" "${THERE[2]}")
		sees "$1: IPv$f pod to ClusterIP, other node" client-a server-b \
			"$(to "$f" "${THERE[@]:0:2}" 80)" "$n" "$n"
		sees "$1: IPv$f outside to NodePort, other node" outside server-b "$node" "$n" "$n"
	done
}

# transfers WHAT FAILED: both ways, both families.
transfers() {
	local f direction node
	for f in 4 6; do
		node=$(to "$f" "${WORLD_NODE_IP4[node-a]}" "${WORLD_NODE_IP6[node-a]}" "${THERE[2]}")
		for direction in bytes upload; do
			world_load_start pod client-a --connect "$(to "$f" "${THERE[@]:0:2}" 80)" \
				"--$direction" "$BYTES" --timeout-ms 1500
			world_load_start out outside --connect "$node" "--$direction" "$BYTES" \
				--timeout-ms 1500
			world_load_end pod || true
			world_load_end out || true
			check_equal "$1: IPv$f --$direction, pod: failed" "$2" \
				"$(world_result pod failed)"
			check_equal "$1: IPv$f --$direction, outside: failed" "$2" \
				"$(world_result out failed)"
		done
	done
}

automatic() {
	there "auto" 1360 1340
	sees "auto: IPv4 pod to ClusterIP, same node" client-a server-a "${HERE[0]}:80" 1460 1460
	sees "auto: IPv6 pod to ClusterIP, same node" client-a server-a "[${HERE[1]}]:80" 1440 1440
	sees "auto: IPv4 pod to pod" client-a server-b "${WORLD_POD_IP4[server-b]}:$WORLD_PORT" \
		1360 1360
	sees "auto: IPv6 pod to pod" client-a server-b "[${WORLD_POD_IP6[server-b]}]:$WORLD_PORT" \
		1340 1340
	transfers "auto" 0
	devs "eth0 zlink" xdp=off
	there "auto without XDP" 1360 1340
	devs "eth0 zlink" xdp=native
}

# A route may be narrower than its device; when forwarding, the kernel heeds it only if locked.
by_route() {
	ns_ip node-a route change "${WORLD_POD_NET4[node-b]}.0/24" via 192.168.70.2 mtu lock 1300
	ns_ip node-a -6 route change "${WORLD_POD_NET6[node-b]}:/64" via fd00:70::2 mtu lock 1300
	sees "auto: IPv4 by route" client-a server-b "${THERE[0]}:80" 1260 1260
	sees "auto: IPv6 by route" client-a server-b "[${THERE[1]}]:80" 1240 1240
	ns_ip node-a route change "${WORLD_POD_NET4[node-b]}.0/24" via 192.168.70.2
	ns_ip node-a -6 route change "${WORLD_POD_NET6[node-b]}:/64" via fd00:70::2
}

main() {
	local name
	np_init
	world_build
	objects
	for name in client-a outside server-a server-b; do
		world_watch_mss "$name"
	done
	world_nearpath node-a
	world_apply node-a
	automatic
	by_route
	nearpath_at node-a iface set cali1 mss=1000 >/dev/null
	sees "1000 on the pod's device: IPv4" client-a server-a "${HERE[0]}:80" 1000 1000
	sees "1000 on the pod's device: IPv6" client-a server-a "[${HERE[1]}]:80" 1000 1000
	sees "1000 on another's device: IPv4" outside server-a \
		"${WORLD_NODE_IP4[node-a]}:${HERE[2]}" 1460 1460
	devs "cali1 cali2 eth0 zlink" mss=1200
	there "1200" 1200 1200
	devs "cali1 cali2 eth0 zlink" mss=9000
	there "9000 is no reason to raise it" 1460 1440
	devs "cali1 cali2 eth0 zlink" mss=off
	there "off" 1460 1440
	transfers "off, and nobody tells" 1
	devs "cali1 cali2 eth0 zlink" mss=auto
	there "auto again" 1360 1340
	finish
}

main "$@"
