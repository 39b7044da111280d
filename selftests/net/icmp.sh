#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Without MSS clamping, path MTU discovery has to do it: "fragmentation needed" and "packet too
# big" find their way through the translation, from the node itself, from behind the backend's
# node and from the client's side. And datagrams larger than the MTU come through in fragments.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
WORLD_BLACKHOLE=off
HERE=(10.96.0.10 fd00:96::10 30080)
THERE=(10.96.0.20 fd00:96::20 30081)
HERE_UDP=(10.96.1.10 fd00:96::1:10 30080)
THERE_UDP=(10.96.1.20 fd00:96::1:20 30081)
BYTES=3000000
DATAGRAM=4000

objects() {
	world_service here icmp "${HERE[0]},${HERE[1]}" 80 "${HERE[2]}"
	world_slice here icmp "$WORLD_PORT" server-a
	world_service there icmp "${THERE[0]},${THERE[1]}" 80 "${THERE[2]}"
	world_slice there icmp "$WORLD_PORT" server-b
	world_service here-udp icmp "${HERE_UDP[0]},${HERE_UDP[1]}" 80 "${HERE_UDP[2]}" UDP
	WORLD_PROTOCOL=UDP world_slice here-udp icmp "$WORLD_PORT" server-a
	world_service there-udp icmp "${THERE_UDP[0]},${THERE_UDP[1]}" 80 "${THERE_UDP[2]}" UDP
	WORLD_PROTOCOL=UDP world_slice there-udp icmp "$WORLD_PORT" server-b
}

# Sends datagrams of SIZE bytes until one is answered whole: python3 datagram.py ADDR PORT SIZE.
# The first may be what path MTU discovery is told by.
write_datagram() {
	cat >"$NP_DIR/datagram.py" <<-'END'
		import socket, sys
		address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		family = socket.AF_INET6 if ":" in address else socket.AF_INET
		s = socket.socket(family, socket.SOCK_DGRAM)
		s.settimeout(0.3)
		s.connect((address, port))
		data = bytes(ord("a") + i % 26 for i in range(size))
		why = "no answer"
		for tries in range(1, 6):
		    try:
		        s.send(data)
		        if s.recv(65536).endswith(data):
		            sys.exit(0)
		        why = "the answer is another"
		    except OSError as error:
		        why = str(error)
		sys.exit(why)
	END
}

to() {
	if [[ $1 == 4 ]]; then
		echo "$2:$4"
	else
		echo "[$3]:$4"
	fi
}

node_a() {
	if [[ $1 == 4 ]]; then
		echo "${WORLD_NODE_IP4[node-a]}"
	else
		echo "${WORLD_NODE_IP6[node-a]}"
	fi
}

translated() {
	echo $(($(counter_of node-a ingress icmp_translated) +
		$(counter_of node-a egress icmp_translated)))
}

# transfer WHAT NAME TO DIRECTION
transfer() {
	world_load transfer "$2" --connect "$3" "--$4" "$BYTES" --timeout-ms 2500 || true
	check_equal "$1, $4: failed" "0" \
		"$(world_result transfer failed)$(world_names transfer errors | sed 's/^/ /')"
}

# transfers WHAT FAMILY
transfers() {
	local f=$2 direction
	for direction in upload bytes; do
		transfer "$1: IPv$f pod to ClusterIP" client-a "$(to "$f" "${THERE[@]:0:2}" 80)" \
			"$direction"
		transfer "$1: IPv$f outside to NodePort" outside \
			"$(to "$f" "$(node_a "$f")" "$(node_a "$f")" "${THERE[2]}")" "$direction"
	done
}

# is_told WHAT FAMILY: the transfers complete, and messages about it were translated.
is_told() {
	local before
	before=$(translated)
	transfers "$1" "$2"
	check "$1: IPv$2: messages were translated" test "$(translated)" -gt "$before"
}

# The pod's end of the path is narrower still: node-b has to tell.
narrow_behind() {
	ns_ip node-b route change "${WORLD_POD_IP4[server-b]}" dev cali2 scope link mtu lock 1320
	ns_ip node-b -6 route change "${WORLD_POD_IP6[server-b]}" dev cali2 mtu lock 1320
}

# So is the client's: the router has to tell.
narrow_before() {
	ns_ip router route add "$WORLD_OUTSIDE_IP4/32" dev out mtu lock 1290
	ns_ip router -6 route add "$WORLD_OUTSIDE_IP6/128" dev out mtu lock 1290
}

datagrams() {
	local address=$3 port=$4 size=$DATAGRAM
	check "$1: datagram of $size bytes" \
		in_ns "$2" python3 "$NP_DIR/datagram.py" "$address" "$port" "$size"
}

fragments() {
	local f i=0
	datagrams "IPv4 pod to pod" client-a "${WORLD_POD_IP4[server-b]}" "$WORLD_PORT"
	datagrams "IPv6 pod to pod" client-a "${WORLD_POD_IP6[server-b]}" "$WORLD_PORT"
	for f in 4 6; do
		datagrams "IPv$f pod to ClusterIP, same node" client-a "${HERE_UDP[$i]}" 80
		datagrams "IPv$f pod to ClusterIP, other node" client-a "${THERE_UDP[$i]}" 80
		datagrams "IPv$f outside to NodePort, endpoint here" outside "$(node_a "$f")" \
			"${HERE_UDP[2]}"
		datagrams "IPv$f outside to NodePort, endpoint there" outside "$(node_a "$f")" \
			"${THERE_UDP[2]}"
		i=1
	done
}

main() {
	local f
	np_init
	world_build
	objects
	write_datagram
	world_nearpath node-a --mss off
	world_apply node-a
	for f in 4 6; do
		is_told "narrow link" "$f"
	done
	fragments
	narrow_behind
	for f in 4 6; do
		is_told "narrow behind the backend's node" "$f"
	done
	narrow_before
	for f in 4 6; do
		is_told "narrow on the client's side" "$f"
	done
	for f in eth0 zlink; do
		nearpath_at node-a iface set "$f" xdp=off >/dev/null
	done
	fragments
	finish
}

main "$@"
