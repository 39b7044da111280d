#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What kube-proxy does besides forwarding, seen by real clients: source ranges, a clusterIP's other
# ports, the unused part of a ServiceCIDR, session affinity, NodePort addresses that come and go. And
# nearpath explain says the same of each, without leaving a trace.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
NODE_PORT=30080

declare -A SERVICE=([4]=10.96.0.10 [6]=fd00:96::10)
declare -A OTHER=([4]=10.96.0.11 [6]=fd00:96::11)
declare -A UNUSED=([4]=10.96.9.9 [6]=fd00:96::99)
declare -A VIP=([4]=192.0.2.20 [6]=2001:db8::20)
declare -A VIA=([4]=192.168.50.1 [6]=fd00:50::1) # node-a, from the router
declare -A BITS=([4]=32 [6]=128)
declare -A ADDED=([4]=192.168.77.1 [6]=fd00:77::1)

# outcome NAME DESTINATION [PROTOCOL]: "served", "connect refused" or "timeout". A refusal may come
# while connect() still holds the socket, and be ignored (net/ipv4/tcp_ipv4.c, tcp_v4_err): the SYN
# that is sent again after a second meets the next.
outcome() {
	local -a udp=()
	[[ ${3:-TCP} == TCP ]] || udp=(--udp)
	world_load one "$1" --connect "$2" --timeout-ms 1600 "${udp[@]}" >&2 || true
	if [[ $(world_result one ok) == 1 ]]; then
		echo served
	else
		world_names one errors | sed 's/ 1$//' | xargs
	fi
}

# explained FROM TO: the verdict.
explained() {
	nearpath_at node-a explain "$1" "$2" -o json | jq -r .verdict
}

# meets WHAT NAME FROM DESTINATION OUTCOME: what a client sees, and what explain says of it.
meets() {
	local what=$1 name=$2 from=$3 to=$4 expected=$5
	local -A verdict=(["served"]=forward ["connect refused"]=reject ["timeout"]=drop)
	check_equal "$what" "$expected" "$(outcome "$name" "$to")"
	check_equal "$what: explained" "${verdict[$expected]}" "$(explained "$from" "$to")"
}

# ranged FAMILY RANGES: the service "ranged", with a VIP.
ranged() {
	local f=$1 ranges=$2
	world_object Service-verdicts-ranged <<-END
		{"apiVersion":"v1","kind":"Service","metadata":{"name":"ranged",
		"namespace":"verdicts"},"spec":{"type":"LoadBalancer",
		"clusterIP":"${OTHER[$f]}","clusterIPs":["${OTHER[$f]}"],
		"loadBalancerSourceRanges":[$ranges],
		"ports":[{"name":"main","port":80,"nodePort":30081}]},
		"status":{"loadBalancer":{"ingress":[{"ip":"${VIP[$f]}"}]}}}
	END
	world_apply node-a
}

source_ranges() {
	local f=$1
	local -n pod=WORLD_POD_IP$f outside=WORLD_OUTSIDE_IP$f node=WORLD_NODE_IP$f
	local vip
	vip=$(bracket "${VIP[$f]}"):80
	ns_ip router route replace "${VIP[$f]}/${BITS[$f]}" via "${VIA[$f]}"
	world_slice ranged verdicts "$WORLD_PORT" server-a
	ranged "$f" "\"203.0.113.0/24\",\"2001:db8:f::/48\""
	meets "IPv$f: outside any range: outside" outside "$outside" "$vip" timeout
	meets "IPv$f: outside any range: pod" client-a "${pod[client-a]}" "$vip" timeout
	meets "IPv$f: ranges are not for the clusterIP" client-a "${pod[client-a]}" \
		"$(bracket "${OTHER[$f]}"):80" served
	meets "IPv$f: nor for the NodePort" outside "$outside" \
		"$(bracket "${node[node-a]}"):30081" served
	ranged "$f" "\" ${outside%.*}.0/24 \",\"fd00:60::/64\",\"nonsense\""
	meets "IPv$f: a range lets in" outside "$outside" "$vip" served
	meets "IPv$f: a range lets in no others" client-a "${pod[client-a]}" "$vip" timeout
	ranged "$f" "\"203.0.113.0/24\",\"2001:db8:f::/48\",\"0.0.0.0/0\",\"::/0\""
	meets "IPv$f: a range of everybody is no restriction" client-a "${pod[client-a]}" "$vip" \
		served
	ranged "$f" "\"${outside%.*}.0/24\",\"fd00:60::/64\""
	world_slice ranged verdicts "$WORLD_PORT"
	world_apply node-a
	meets "IPv$f: no endpoint: who is let in is refused" outside "$outside" "$vip" \
		"connect refused"
	meets "IPv$f: no endpoint: others hear nothing" client-a "${pod[client-a]}" "$vip" timeout
	world_forget Service-verdicts-ranged
}

addresses() {
	local f=$1
	local -n pod=WORLD_POD_IP$f outside=WORLD_OUTSIDE_IP$f
	meets "IPv$f: another port of a clusterIP: pod" client-a "${pod[client-a]}" \
		"$(bracket "${SERVICE[$f]}"):81" "connect refused"
	check_equal "IPv$f: another port of a clusterIP: UDP" "connect refused" \
		"$(outcome client-a "$(bracket "${SERVICE[$f]}"):80" UDP | sed 's/^.*refused/connect refused/')"
	meets "IPv$f: an unused address for services" client-a "${pod[client-a]}" \
		"$(bracket "${UNUSED[$f]}"):80" timeout
	check_equal "IPv$f: nobody's address is not our business" pass \
		"$(explained "$outside" "$(bracket "$outside"):80")"
}

servers_of() {
	world_load many "$1" --connect "$2" --count "$3" --linger0 >&2 || true
	world_names many servers | cut -d ' ' -f 1 | sort | xargs
}

# affine FAMILY: one client keeps its backend, by all the service's frontends.
affinity() {
	local f=$1 first
	local -n node=WORLD_NODE_IP$f
	world_service web verdicts "${SERVICE[4]},${SERVICE[6]}" 80 "$NODE_PORT" TCP \
		'"sessionAffinity":"ClientIP"'
	world_apply node-a
	first=$(servers_of client-a "$(bracket "${SERVICE[$f]}"):80" 1)
	check_equal "IPv$f: affinity: 30 connections go where the first went" "$first" \
		"$(servers_of client-a "$(bracket "${SERVICE[$f]}"):80" 30)"
	check_equal "IPv$f: affinity: by the NodePort too" "$first" \
		"$(servers_of client-a "$(bracket "${node[node-a]}"):$NODE_PORT" 30)"
	check_equal "IPv$f: affinity: explain knows" affinity "$(
		local -n pod=WORLD_POD_IP$f
		nearpath_at node-a explain "${pod[client-a]}" "$(bracket "${SERVICE[$f]}"):80" \
			-o json | jq -r .reason
	)"
	kill_daemon node-a
	start
	check_equal "IPv$f: affinity: and after a restart" "$first" \
		"$(servers_of client-a "$(bracket "${SERVICE[$f]}"):80" 30)"
	world_service web verdicts "${SERVICE[4]},${SERVICE[6]}" 80 "$NODE_PORT"
	world_apply node-a
	check_equal "IPv$f: without affinity both servers serve" "server-a server-b" \
		"$(servers_of client-a "$(bracket "${SERVICE[$f]}"):80" 40)"
}

node_ports() {
	local f=$1
	local -n outside=WORLD_OUTSIDE_IP$f
	local to
	to=$(bracket "${ADDED[$f]}"):$NODE_PORT
	ns_ip router route replace "${ADDED[$f]}/${BITS[$f]}" via "${VIA[$f]}"
	check_equal "IPv$f: an address the node has not" pass "$(explained "$outside" "$to")"
	ns_ip node-a address add "${ADDED[$f]}/${BITS[$f]}" dev lo
	check "IPv$f: it is heard of" wait_for test_explained "$outside" "$to" forward
	check_equal "IPv$f: a new address serves NodePorts" served "$(outcome outside "$to")"
	ns_ip node-a address del "${ADDED[$f]}/${BITS[$f]}" dev lo
	check "IPv$f: it is heard of" wait_for test_explained "$outside" "$to" pass
	ok "IPv$f: an address that goes serves no more"
}

test_explained() {
	[[ $(explained "$1" "$2") == "$3" ]]
}

# Nothing comes of questions.
no_trace() {
	local before after
	before=$(nearpath_at node-a status -o json | jq -cS .counters)
	for _ in 1 2 3; do
		explained "${WORLD_POD_IP4[client-a]}" "${SERVICE[4]}:80" >/dev/null
		explained 203.0.113.7 "${SERVICE[4]}:81" >/dev/null
	done
	after=$(nearpath_at node-a status -o json | jq -cS .counters)
	check_equal "questions are not counted" "$before" "$after"
	check_equal "and make no flow" 0 "$(
		nearpath_at node-a flow list -o json | jq '[.flows[] | select(.client |
			endswith(":0"))] | length'
	)"
	nearpath_at node-a iface set "${WORLD_POD_DEV[client-a]}" lb=drain >/dev/null
	check_equal "a drained interface is told" "pass drain" "$(
		nearpath_at node-a explain "${WORLD_POD_IP4[client-a]}" "${SERVICE[4]}:80" -o json |
			jq -r '.verdict + " " + .reason'
	)"
	nearpath_at node-a iface set "${WORLD_POD_DEV[client-a]}" lb=on >/dev/null
}

class_of() {
	nearpath_at node-a explain "$1" "${SERVICE[4]}:80" -o json | jq -r .class
}

# Who is a pod, by each mode of the local detector: the client, and one outside with its address.
detectors() {
	local pod=${WORLD_POD_IP4[client-a]} mode
	local -A wanted=([ClusterCIDR]="pod pod" [NodeCIDR]="pod outside"
		[InterfaceNamePrefix]="pod outside")
	world_object Node-node-a <<-END
		{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"},
		"spec":{"podCIDRs":["10.1.0.0/24","fd00:1::/64"]},"status":{"addresses":[
		{"type":"InternalIP","address":"${WORLD_NODE_IP4[node-a]}"}]}}
	END
	for mode in "${!wanted[@]}"; do
		stop_daemon node-a
		start --detect-local-mode "$mode" --pod-interface-name-prefix cali
		world_apply node-a
		check_equal "$mode: a pod here, and one of another node" "${wanted[$mode]}" \
			"$(class_of "$pod") $(class_of "${WORLD_POD_IP4[client-b]}")"
		check_equal "$mode: the node itself" node "$(class_of "${WORLD_NODE_IP4[node-a]}")"
	done
}

start() {
	world_nearpath node-a --xdp off "$@"
}

main() {
	local f
	np_init
	world_build
	world_node node-a
	world_object ServiceCIDR-kubernetes <<-'END'
		{"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR",
		"metadata":{"name":"kubernetes"},"spec":{"cidrs":["10.96.0.0/16","fd00:96::/112"]}}
	END
	world_service web verdicts "${SERVICE[4]},${SERVICE[6]}" 80 "$NODE_PORT"
	world_slice web verdicts "$WORLD_PORT" server-a server-b
	start
	world_apply node-a
	for f in 4 6; do
		addresses "$f"
		node_ports "$f"
		affinity "$f"
		source_ranges "$f"
	done
	no_trace
	detectors
	finish
}

main "$@"
