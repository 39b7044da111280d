#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Zone hints as kube-proxy follows them (KEP-2433): all connections stay in the zone while it has
# a ready endpoint, go elsewhere when it has none, and come back; one ready endpoint without a
# hint turns them off; the zone is --zone's, or else the Node label's.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
IP=10.96.0.10
IP6=fd00:96::10
NODE_PORT=30080
COUNT=500
MANY=(--count "$COUNT" --concurrency 16 --linger0)

# slice POD[:STATE]...: applied to both nodes.
slice() {
	local node
	world_slice web zones "$WORLD_PORT" "$@"
	for node in "${WORLD_NODES[@]}"; do
		world_apply "$node"
	done
}

# unhinted POD: takes the hint off one endpoint of the slices there are.
unhinted() {
	local node file
	for file in "$NP_DIR"/objects/EndpointSlice-zones-web-[46].json; do
		jq --arg ip4 "${WORLD_POD_IP4[$1]}" --arg ip6 "${WORLD_POD_IP6[$1]}" \
			'(.endpoints[] | select(.addresses[0] == $ip4 or .addresses[0] == $ip6))
			|= del(.hints)' "$file" >"$NP_DIR/unhinted.json"
		mv "$NP_DIR/unhinted.json" "$file"
	done
	for node in "${WORLD_NODES[@]}"; do
		world_apply "$node"
	done
}

# goes WHAT NAME SERVERS TO [OPTIONS]: who, in the order of the alphabet, answers all of COUNT.
goes() {
	local what=$1 name=$2 servers=$3 to=$4
	shift 4
	world_load goes "$name" --connect "$to" "${MANY[@]}" "$@" || true
	check_equal "$what" "0 failed, $servers" "$(world_result goes failed) failed, $(
		world_names goes servers | cut -d ' ' -f 1 | sort | xargs
	)"
}

# Both nodes, both families, both protocols, and from outside.
go_everywhere() {
	local what=$1 from_a=$2 from_b=$3
	goes "$what: node-a" client-a "$from_a" "$IP:80"
	goes "$what: node-a, IPv6" client-a "$from_a" "[$IP6]:80"
	goes "$what: node-b" client-b "$from_b" "$IP:80"
	goes "$what: outside through node-a" outside "$from_a" \
		"${WORLD_NODE_IP4[node-a]}:$NODE_PORT"
	goes "$what: outside through node-b, IPv6" outside "$from_b" \
		"[${WORLD_NODE_IP6[node-b]}]:$NODE_PORT"
}

share_of() {
	world_names goes servers | sed -n "s/^$1 //p"
}

between() {
	[[ $1 -ge $2 && $1 -le $3 ]] || { echo "$1 is not between $2 and $3"; return 1; }
}

# connections NODE CLASS: what the service counted.
connections() {
	nearpath_at "$1" -o json service list |
		jq "[.services[] | select(.name == \"web\") | .connections.$2] | add"
}

hints() {
	local before
	before=$(connections node-a other_zone)
	go_everywhere "one in each zone" server-a server-b
	check_equal "one in each zone: none is counted as leaving it" "$before" \
		"$(connections node-a other_zone)"
	slice server-a:notready server-b
	go_everywhere "zone-a has none ready" server-b server-b
	check "zone-a has none ready: counted as leaving it" \
		test "$(connections node-a other_zone)" -ge $((before + 3 * COUNT))
	slice server-a server-b
	go_everywhere "zone-a is back" server-a server-b
	slice server-a:terminating server-b
	go_everywhere "that of zone-a terminates" server-b server-b
	slice server-a
	go_everywhere "zone-b has none at all" server-a server-a
	slice server-a:terminating server-b:notready
	go_everywhere "the last resort" server-a server-a
	slice server-a server-b server-c
	go_everywhere "two in zone-a" "server-a server-c" server-b
	goes "two in zone-a: both" client-a "server-a server-c" "$IP:80"
	check "two in zone-a: each has about half" between "$(share_of server-a)" 190 310
}

missing_hints() {
	slice server-a server-b
	unhinted server-b
	go_everywhere "a ready one without hint" "server-a server-b" "server-a server-b"
	check "a ready one without hint: each has about half" between "$(share_of server-b)" 190 310
	slice server-a server-b server-c:notready
	unhinted server-c
	go_everywhere "one without hint that is not ready" server-a server-b
	WORLD_HINTS=off slice server-a server-b
	go_everywhere "no hints" "server-a server-b" "server-a server-b"
	slice server-a server-b
}

# node-a as it is told its zone by OPTIONS; the state stays.
node_a_with() {
	stop_daemon node-a
	start_daemon node-a --ifaces 'cali*' --uplinks eth0,zlink \
		--cluster-cidr "$WORLD_CLUSTER_CIDR" "$@"
}

zone() {
	nearpath_at node-a -o json status | jq -r .zone
}

zone_of_node() {
	node_a_with
	goes "label: zone-a" client-a server-a "$IP:80"
	check_equal "label: status says so" zone-a "$(zone)"
	WORLD_ZONE[node-a]="zone-b"
	world_node node-a
	WORLD_ZONE[node-a]="zone-a"
	world_apply node-a
	goes "label: changed to zone-b" client-a server-b "$IP:80"
	check_equal "label: status says so" zone-b "$(zone)"
	node_a_with --zone zone-a
	goes "--zone goes before the label" client-a server-a "$IP:80"
	node_a_with
	nearpath_at node-a delete node node-a >/dev/null
	goes "neither label nor --zone" client-a "server-a server-b" "$IP:80"
	world_node node-a
	world_apply node-a
	goes "label: there again" client-a server-a "$IP:80"
	node_a_with --zone zone-c
	goes "a zone of which no endpoint is" client-a "server-a server-b" "$IP:80"
}

main() {
	local node
	np_init
	world_build
	world_pod node-a server-c 30
	world_serve server-c
	world_service web zones "$IP,$IP6" 80 "$NODE_PORT"
	for node in "${WORLD_NODES[@]}"; do
		world_nearpath "$node"
	done
	slice server-a server-b
	hints
	missing_hints
	zone_of_node
	finish
}

main "$@"
