#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Every way a packet can take to a service: from a pod, from outside, to itself; to an endpoint
# here or on the other node; TCP and UDP; IPv4 and IPv6; by XDP in the driver, by XDP in the stack
# and by tc alone. Each time: who answered, which source address it saw, and which hook did it.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"
# shellcheck source=selftests/services.sh
. "$NP_SELFTESTS/services.sh"

WORLD_DELAY_MS=1
LOAD=(--count 6 --concurrency 3 --timeout-ms 2000)

NAMESPACE=paths
declare -A NUMBER=([here]=1 [there]=2 [both]=3 [local]=4 [away]=5 [none]=6 [balancer]=7)

objects() {
	local protocol
	for protocol in TCP UDP; do
		service here "$protocol" '' server-a
		service there "$protocol" '' server-b
		service both "$protocol" '' server-a server-b
		service local "$protocol" '"externalTrafficPolicy":"Local"' server-a server-b
		service away "$protocol" '"externalTrafficPolicy":"Local"' server-b
		service none "$protocol" '' server-a:notready
		balancer "$protocol"
	done
}

# to FAMILY ADDRESS4 ADDRESS6 PORT: as netload wants it.
to() {
	if [[ $1 == 4 ]]; then
		echo "$2:$4"
	else
		echo "[$3]:$4"
	fi
}

to_cluster_ip() {
	local both
	both=$(ips "$2" "$3")
	to "$1" "${both%,*}" "${both#*,}" 80
}

to_node_port() {
	to "$1" "${WORLD_NODE_IP4[node-a]}" "${WORLD_NODE_IP6[node-a]}" "$(node_port "$2")"
}

pod_ip() {
	if [[ $1 == 4 ]]; then
		echo "${WORLD_POD_IP4[$2]}"
	else
		echo "${WORLD_POD_IP6[$2]}"
	fi
}

outside_ip() {
	if [[ $1 == 4 ]]; then
		echo "$WORLD_OUTSIDE_IP4"
	else
		echo "$WORLD_OUTSIDE_IP6"
	fi
}

# The address node-a has towards a pod: what masquerading makes of a client.
node_towards() {
	ns_ip node-a -o route get "$(pod_ip "$1" "$2")" | sed -n 's/.* src \([^ ]*\).*/\1/p'
}

# reach FAMILY PROTOCOL WHAT NAME SERVER PEER TO
reach() {
	local family=$1 protocol=$2
	local -a udp=()
	[[ $protocol == TCP ]] || udp=(--udp)
	world_reach "$MODE: IPv$family $protocol: $3" "$4" "$5" "$6" \
		--connect "$7" "${LOAD[@]}" "${udp[@]}"
}

from_pods() {
	local f=$1 p=$2
	reach "$f" "$p" "pod to ClusterIP, same node" client-a server-a "$(pod_ip "$f" client-a)" \
		"$(to_cluster_ip "$f" here "$p")"
	reach "$f" "$p" "pod to ClusterIP, other node" client-a server-b \
		"$(pod_ip "$f" client-a)" "$(to_cluster_ip "$f" there "$p")"
	reach "$f" "$p" "pod to NodePort, same node" client-a server-a \
		"$(node_towards "$f" server-a)" "$(to_node_port "$f" here)"
	reach "$f" "$p" "pod to NodePort, other node" client-a server-b \
		"$(node_towards "$f" server-b)" "$(to_node_port "$f" there)"
	reach "$f" "$p" "pod to NodePort with policy Local takes the short cut" client-a any \
		"$(pod_ip "$f" client-a)" "$(to_node_port "$f" away)"
	reach "$f" "$p" "pod to itself through the ClusterIP" server-a server-a \
		"$(node_towards "$f" server-a)" "$(to_cluster_ip "$f" here "$p")"
}

from_outside() {
	local f=$1 p=$2
	reach "$f" "$p" "outside to NodePort, endpoint here" outside server-a \
		"$(node_towards "$f" server-a)" "$(to_node_port "$f" here)"
	reach "$f" "$p" "outside to NodePort, endpoint there" outside server-b \
		"$(node_towards "$f" server-b)" "$(to_node_port "$f" there)"
	reach "$f" "$p" "outside to NodePort with policy Local" outside server-a \
		"$(outside_ip "$f")" "$(to_node_port "$f" local)"
	reach "$f" "$p" "outside to external IP" outside server-b "$(node_towards "$f" server-b)" \
		"$(to "$f" 192.0.2.10 2001:db8::10 80)"
	reach "$f" "$p" "outside to load balancer's VIP" outside server-b \
		"$(node_towards "$f" server-b)" "$(to "$f" 192.0.2.20 2001:db8::20 80)"
}

# Not served: refused at once without any endpoint, silently dropped by policy Local without a
# local one.
unserved() {
	local f=$1
	world_load none client-a --connect "$(to_cluster_ip "$f" none TCP)" --timeout-ms 2000 || true
	check_equal "IPv$f: no endpoint: pod is refused" "connect refused 1" \
		"$(world_names none errors)"
	world_load none outside --connect "$(to_node_port "$f" none)" --timeout-ms 2000 || true
	check_equal "IPv$f: no endpoint: outside is refused" "connect refused 1" \
		"$(world_names none errors)"
	world_load none outside --connect "$(to_node_port "$f" away)" --timeout-ms 500 || true
	check_equal "IPv$f: no local endpoint: outside is dropped" "timeout 1" \
		"$(world_names none errors)"
}

counters() {
	nearpath_at node-a -o json status |
		jq -r '.counters | "redirect=\(.xdp.xdp_redirect) tx=\(.xdp.xdp_tx) tc=\(.ingress.translated)"'
}

# moved BEFORE AFTER: the counters that changed, as "redirect tc".
moved() {
	local before after key
	local -a changed=()
	read -ra before <<<"$1"
	read -ra after <<<"$2"
	for key in "${!before[@]}"; do
		[[ ${before[$key]} == "${after[$key]}" ]] || changed+=("${before[$key]%%=*}")
	done
	echo "${changed[*]}"
}

# carried WHAT TO WANTED: which counters a connection from outside moves.
carried() {
	local before
	before=$(counters)
	world_load carried outside --connect "$2" "${LOAD[@]}" || true
	check_equal "$MODE: $1 is carried by $3" "$3" "$(moved "$before" "$(counters)")"
}

uplinks() {
	local dev
	for dev in eth0 zlink; do
		nearpath_at node-a iface set "$dev" "$@" >/dev/null
	done
	# Once more, as the first packets are for finding neighbours.
	world_load settle outside --connect "$(to_node_port 4 there)" --count 4 || true
	world_load settle outside --connect "$(to_node_port 6 there)" --count 4 || true
}

attached_xdp() {
	nearpath_at node-a -o json iface list |
		jq -r '[.ifaces[] | select(.role == "uplink") | .attached.xdp] | unique | join(" ")'
}

all_paths() {
	local f p
	for f in 4 6; do
		for p in TCP UDP; do
			from_pods "$f" "$p"
			from_outside "$f" "$p"
		done
	done
}

# The way to the other node leads out of the uplink again, as it does in most clusters.
one_arm() {
	local node other f
	for node in "${WORLD_NODES[@]}"; do
		other="node-a"
		[[ $node == node-b ]] || other="node-b"
		ns_ip "$node" route replace "${WORLD_POD_NET4[$other]}.0/24" via 192.168.50.254
		ns_ip "$node" route replace "${WORLD_NODE_IP4[$other]}" via 192.168.50.254
		ns_ip "$node" -6 route replace "${WORLD_POD_NET6[$other]}:/64" via fd00:50::fe
		ns_ip "$node" -6 route replace "${WORLD_NODE_IP6[$other]}" via fd00:50::fe
	done
	for f in 4 6; do
		check "one arm: IPv$f source follows the route" wait_for source_is "$f"
	done
}

source_is() {
	nearpath_at node-a -o json backend list |
		jq -e --arg pod "$(pod_ip "$1" server-b)" --arg snat "$(node_towards "$1" server-b)" \
			'.backends[] | select((.address | contains($pod)) and .snat == $snat)'
}

main() {
	local f
	np_init
	world_build
	ns_ip router route add 192.0.2.0/24 via "${WORLD_NODE_IP4[node-a]}"
	ns_ip router -6 route add 2001:db8::/64 via "${WORLD_NODE_IP6[node-a]}"
	objects
	world_nearpath node-a
	world_apply node-a
	uplinks xdp=native stats=on
	for MODE in native generic off; do
		uplinks "xdp=$MODE"
		check_equal "xdp=$MODE is attached so" "$MODE" "$(attached_xdp)"
		all_paths
		for f in 4 6; do
			carried "IPv$f to an endpoint here" "$(to_node_port "$f" here)" tc
			if [[ $MODE == off ]]; then
				carried "IPv$f to an endpoint there" "$(to_node_port "$f" there)" tc
			else
				carried "IPv$f to an endpoint there" "$(to_node_port "$f" there)" redirect
			fi
		done
	done
	for f in 4 6; do
		unserved "$f"
	done
	one_arm
	for MODE in native generic; do
		uplinks "xdp=$MODE"
		for f in 4 6; do
			from_outside "$f" TCP
			carried "IPv$f out of the same device" "$(to_node_port "$f" there)" tx
		done
	done
	finish
}

main "$@"
