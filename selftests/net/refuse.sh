#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Refusal as real clients see it: connect() and send() fail with ECONNREFUSED at once, pings of a
# clusterIP are unreachable; from a pod, from outside over an uplink with XDP, over a device without
# a link layer; in both families. The ICMP error is looked at on the client's wire, its checksum too
# where the node's device has nothing left to complete. What policy drops stays silent.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
NONE=(10.96.0.1 fd00:96::1 30080)
AWAY=(10.96.0.2 fd00:96::2 30081)
# shellcheck disable=SC2034 # by name, in cluster_ip
UNUSED=(10.96.0.99 fd00:96::99)

objects() {
	local protocol p offset=0
	for protocol in TCP UDP; do
		p=${protocol,,}
		world_service "none-$p" refuse "${NONE[0]},${NONE[1]}" 80 "$((NONE[2] + offset))" \
			"$protocol"
		WORLD_PROTOCOL=$protocol world_slice "none-$p" refuse "$WORLD_PORT" \
			server-a:notready
		world_service "away-$p" refuse "${AWAY[0]},${AWAY[1]}" 80 "$((AWAY[2] + offset))" \
			"$protocol" '"externalTrafficPolicy":"Local"'
		WORLD_PROTOCOL=$protocol world_slice "away-$p" refuse "$WORLD_PORT" server-b
		offset=10
	done
}

# node_port NAME-OF-ARRAY's third TCP|UDP
node_port() {
	[[ $2 == tcp ]] && echo "$1" || echo $(($1 + 10))
}

node_a() {
	[[ $1 == 4 ]] && echo "${WORLD_NODE_IP4[node-a]}" || echo "${WORLD_NODE_IP6[node-a]}"
}

cluster_ip() {
	local -n ips=$2
	[[ $1 == 4 ]] && echo "${ips[0]}" || echo "${ips[1]}"
}

# refused WHAT WANTED NAMESPACE ARGS...: as refused.py says.
refused() {
	local what=$1 wanted=$2 name=$3
	shift 3
	check_equal "$what" "$wanted" \
		"$(in_ns "$name" python3 "$NP_SELFTESTS/tools/refused.py" "$@" 2>&1)"
}

# from_pod WHAT FAMILY [--sums]
from_pod() {
	local what="$1, IPv$2" f=$2 ip
	shift 2
	ip=$(cluster_ip "$f" NONE)
	refused "$what: TCP" "refused right" client-a tcp "$ip" 80 1 "$@"
	refused "$what: UDP" "refused right" client-a udp "$ip" 80 11 "$@"
	refused "$what: a long datagram" "refused right" client-a udp "$ip" 80 1399 "$@"
	refused "$what: a datagram in fragments" "refused right" client-a udp "$ip" 80 4000 "$@"
	refused "$what: datagrams to be segmented" "refused right" client-a gso "$ip" 80 2500 "$@"
	refused "$what: another port" "refused right" client-a udp "$ip" 81 1 "$@"
	refused "$what: NodePort" "refused right" client-a tcp "$(node_a "$f")" "${NONE[2]}" 1 "$@"
	refused "$what: ping of a clusterIP" "right" client-a ping "$ip" 0 56 "$@"
	refused "$what: a long ping" "right" client-a ping "$ip" 0 1333 "$@"
}

from_outside() {
	local what="$1, IPv$2" f=$2 p
	for p in tcp udp; do
		refused "$what: NodePort, $p" "refused right" outside "$p" "$(node_a "$f")" \
			"$(node_port "${NONE[2]}" "$p")" 1 --sums
		refused "$what: clusterIP, $p" "refused right" outside "$p" \
			"$(cluster_ip "$f" NONE)" 80 1 --sums
	done
	refused "$what: a long datagram" "refused right" outside udp "$(node_a "$f")" \
		"$(node_port "${NONE[2]}" udp)" 1399 --sums
	refused "$what: ping of a clusterIP" "right" outside ping "$(cluster_ip "$f" NONE)" 0 56 \
		--sums
}

# Dropped, so that nobody hears of it.
silent() {
	local f=$1 p
	for p in tcp udp; do
		refused "IPv$f: policy Local without an endpoint here, $p" "silence none" outside \
			"$p" "$(node_a "$f")" "$(node_port "${AWAY[2]}" "$p")"
	done
	refused "IPv$f: an address of the service range that is no service's" "silence none" \
		client-a udp "$(cluster_ip "$f" UNUSED)" 80
	refused "IPv$f: ping of it" "none" client-a ping "$(cluster_ip "$f" UNUSED)" 0 56
}

has_device() {
	nearpath_at node-a -o json iface list | jq -e '.ifaces[] | select(.name == "cali9")'
}

# A pod behind a device that is IP from the first byte, as wg0 and tunl0 are.
without_link_layer() {
	local f=$1 peer=$2
	mkfifo "$NP_DIR/go$f"
	in_ns node-a env PEER="$peer" python3 "$NP_SELFTESTS/tools/refused.py" tun \
		"$(cluster_ip "$f" NONE)" 80 99 --sums <"$NP_DIR/go$f" >"$NP_DIR/tun$f" 2>&1 &
	NP_PIDS[tun$f]=$!
	exec {go}>"$NP_DIR/go$f"
	wait_for grep -qx ready "$NP_DIR/tun$f" || die "no TUN device: $(cat "$NP_DIR/tun$f")"
	check "IPv$f: a device without link layer is attached" wait_for has_device
	echo >&"$go"
	exec {go}>&-
	join "tun$f" || true
	check_equal "IPv$f: refused over a device without link layer" "right" \
		"$(tail -n 1 "$NP_DIR/tun$f")"
}

uplinks() {
	nearpath_at node-a iface set eth0 "$@" >/dev/null
}

main() {
	local f mode
	np_init
	world_build
	ns_ip router route add 10.96.0.0/16 via "${WORLD_NODE_IP4[node-a]}"
	ns_ip router -6 route add fd00:96::/64 via "${WORLD_NODE_IP6[node-a]}"
	objects
	world_nearpath node-a --service-cidr 10.96.0.0/24,fd00:96::/112
	world_apply node-a
	for f in 4 6; do
		from_pod "pod, checksums left to the device" "$f"
	done
	in_ns node-a ethtool -K "${WORLD_POD_DEV[client-a]}" tx off >/dev/null
	for f in 4 6; do
		from_pod "pod, checksums made by the node" "$f" --sums
	done
	for mode in native generic off; do
		uplinks "xdp=$mode"
		for f in 4 6; do
			from_outside "outside, xdp=$mode" "$f"
		done
	done
	without_link_layer 4 10.1.0.77
	without_link_layer 6 fd00:1::77
	for f in 4 6; do
		silent "$f"
	done
	finish
}

main "$@"
