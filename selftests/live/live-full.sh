#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Full tables: what does not fit is refused by name, whole, and nothing else suffers. Real clients
# go on through all of it; what is in the store is exactly what was not refused, also after a death;
# with room it is accepted; a replace fits that fits only once the old is gone.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
LIVE_SCALE=${LIVE_SCALE:-1}
IP=10.96.0.10
NODE_PORT=30080
SMALL=(--max-services 128 --max-backends 64 --max-slots 1024 --xdp off
	--audit-interval 2)

# --- objects beside those of the world ---------------------------------------------------------

# services NAME FROM TO: Services NAME-FROM to NAME-TO with an address of their own, on server-a.
services() {
	local name=$1 from=$2 to=$3
	jq -nc --arg name "$name" --argjson from "$from" --argjson to "$to" \
		--argjson port "$WORLD_PORT" --arg net "$(net_of "$name")" '
		{kind: "List", apiVersion: "v1", items: [range($from; $to + 1) |
		{apiVersion: "v1", kind: "Service", metadata: {name: "\($name)-\(.)", namespace: "full"},
		 spec: {type: "ClusterIP", clusterIP: "10.96.\($net).\(.)",
		  clusterIPs: ["10.96.\($net).\(.)"], ipFamilies: ["IPv4"],
		  ports: [{name: "main", protocol: "TCP", port: 80}]}},
		{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice",
		 metadata: {name: "\($name)-\(.)-x", namespace: "full",
		  labels: {"kubernetes.io/service-name": "\($name)-\(.)"}}, addressType: "IPv4",
		 ports: [{name: "main", protocol: "TCP", port: $port}],
		 endpoints: [{addresses: ["10.1.0.20"], conditions: {ready: true},
		  nodeName: "node-a"}]}]}'
}

net_of() {
	case $1 in
	some) echo 1 ;;
	other) echo 2 ;;
	*) echo 3 ;;
	esac
}

# endpoints SERVICE COUNT: its slice with so many endpoints more that are nobody's.
endpoints() {
	jq -nc --arg service "$1" --argjson count "$2" --argjson port "$WORLD_PORT" '
		{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice",
		 metadata: {name: "\($service)-4", namespace: "live",
		  labels: {"kubernetes.io/service-name": $service}}, addressType: "IPv4",
		 ports: [{name: "main", protocol: "TCP", port: $port}],
		 endpoints: ([{addresses: ["10.1.0.20"], conditions: {ready: true}}] +
		  [range($count) | {addresses: ["10.3.0.\(. + 1)"], conditions: {ready: true}}])}'
}

# ranges COUNT: so many Services with 250 source ranges each.
ranges() {
	jq -nc --argjson count "$1" '
		{kind: "List", apiVersion: "v1", items: [range(1; $count + 1) |
		{apiVersion: "v1", kind: "Service", metadata: {name: "ranged-\(.)", namespace: "full"},
		 spec: {type: "LoadBalancer", clusterIP: "10.96.4.\(.)", clusterIPs: ["10.96.4.\(.)"],
		  ipFamilies: ["IPv4"], ports: [{name: "main", protocol: "TCP", port: 80}],
		  loadBalancerSourceRanges: [range(250) | "203.0.\(.).0/24"]},
		 status: {loadBalancer: {ingress: [{ip: "192.0.2.\(.)"}]}}}]}'
}

# send METHOD: standard input to the daemon; the answer, or error, is in $NP_DIR/answer.
send() {
	cat >"$NP_DIR/sent.json"
	nearpath_at node-a -o json "$1" -f "$NP_DIR/sent.json" >"$NP_DIR/answer" 2>&1
}

answer() {
	jq -r "$1" "$NP_DIR/answer"
}

# objects: what the store has, by kind and name.
objects() {
	printf '{"jsonrpc":"2.0","id":1,"method":"get","params":{"what":"objects"}}\n' |
		in_ns node-a timeout 10 "$(command -v python3)" -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while True:
    b = s.recv(1 << 16)
    if not b: break
    sys.stdout.buffer.write(b)' "$(daemon_dir node-a)/socket" |
		jq -cS '[.result.objects[]] | sort_by(.kind, .metadata.namespace, .metadata.name)'
}

table() {
	nearpath_at node-a -o json status 2>/dev/null | jq -r ".tables.$1.$2"
}

metric() {
	in_ns node-a curl -s --max-time 10 http://127.0.0.1:10249/metrics | sed -n "s/^$1 //p"
}

exits() {
	local code=0
	nearpath_at node-a "${@:3}" >"$NP_DIR/out" 2>&1 || code=$?
	check_equal "$1" "$2" "$code"
}

served() {
	world_load served client-a --connect "$2:80" --count 5 --timeout-ms 5000 || true
	check_equal "$1: connections that failed" 0 "$(world_result served failed)"
}

# --- the clients that must not notice ----------------------------------------------------------

clients() {
	world_load_start keep client-a --connect "$IP:80" --keep --seconds 300 --concurrency 10 \
		--count 10 --interval-us 20000 --timeout-ms 8000
	world_load_start new client-a --connect "$IP:80" --rate 100 --seconds 300 --concurrency 10 \
		--linger0 --timeout-ms 8000
	world_load_start out outside --connect "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" --rate 50 \
		--seconds 300 --concurrency 10 --linger0 --timeout-ms 8000
}

clients_end() {
	local label
	for label in keep new out; do
		stop "load-$label" || true
		check_equal "clients ($label): failed" "0 of $(world_result "$label" attempted)" \
			"$(world_result "$label" failed) of $(world_result "$label" attempted)"
	done
}

# --- the tests -----------------------------------------------------------------------------------

too_many_services() {
	local refused n
	services some 1 100 | send apply && fail "100 services were accepted by a table of 128 entries"
	refused=$(answer '.error.data.refused | length')
	check "a call beyond the table is an error, some are refused: $refused" test "$refused" -gt 0
	check_equal "and none but these" $((200 - 2 * refused)) "$(answer .error.data.applied)"
	check "the error names them, table, size and option" grep -qE \
		'Service "full/some-[0-9]+", .* more: no room: table "services" is full \(128 entries\), raise --max-services' \
		<(answer .error.message)
	answer '.error.data.refused[].service' | sed 's,.*/,,' | sort >"$NP_DIR/refused"
	check_equal "the store has none of them" "" "$(objects | jq -r \
		'.[] | select(.kind == "Service") | .metadata.name' | sort | comm -12 - "$NP_DIR/refused")"
	check_equal "service list: all that were not" $((100 - refused + 1)) \
		"$(nearpath_at node-a -o json service list | jq '[.services[].name] | unique | length')"
	for n in $(nearpath_at node-a -o json service list |
		jq -r '[.services[] | select(.name | startswith("some")) | .frontends[0].address] | .[0], .[-1]'); do
		served "accepted beside the refused, $n" "$n"
	done
	exits "status: what was refused is not wanted, nothing differs" 0 status
	check "and says that the table is nearly full: $(table services used) of $(table services size)" \
		grep -q 'table "services" is nearly full: .*; raise --max-services' "$NP_DIR/out"
	check_equal "so does the metric" 1 "$(metric 'nearpath_table_nearly_full{table="services"}')"
	check_equal "and of a table that is not" 0 \
		"$(metric 'nearpath_table_nearly_full{table="slots"}')"
}

too_many_backends() {
	endpoints web 100 | send apply && fail "101 endpoints were accepted by a table of 64"
	check "too many endpoints: refused by name" grep -q \
		'Service "live/web": no room: table "backends" is full (64 entries), raise --max-backends' \
		<(answer .error.message)
	check_equal "its frontends keep the endpoints they had" "10.1.0.20:8080,10.2.0.20:8080" \
		"$(nearpath_at node-a -o json service get live/web |
			jq -r '[.services[] | select(.family == "IPv4").backends[].address] | sort | join(",")')"
	exits "and nothing differs" 0 diff
}

# One call: one that fits, one that does not.
half_and_half() {
	{
		endpoints web 100
		services some 1 1 | jq -c '.items[] | .metadata.labels.half = "yes"'
	} | send apply && fail "101 endpoints were accepted"
	check_equal "of one call, one Service is refused and another is not" "live/web 1" \
		"$(answer '[.error.data.refused[].service] | join(" ")') $(objects |
			jq '[.[] | select(.kind == "Service" and .metadata.labels.half == "yes")] | length')"
}

too_many_ranges() {
	ranges 10 | send apply && fail "2500 ranges were accepted by a map of 2048"
	check "too many source ranges: refused by name" grep -q \
		'Service "full/ranged-9", "full/ranged-10": no room: table "source_ranges" is full (2048 entries), raise --max-services' \
		<(answer .error.message)
	check_equal "none of theirs are left in the map" 2000 "$(table source_ranges used)"
	exits "and nothing differs" 0 diff
	ranges 10 | send delete
}

# An address of the host that finds no room is told, and is served once there is some.
too_many_addresses() {
	local n
	ns_ip node-a link add more type bridge
	ns_ip node-a link set more up
	for n in {1..60}; do
		ns_ip node-a addr add "198.18.0.$n/32" dev more
	done
	check "addresses without room: nearpath diff names one" wait_for -t 20 diff_says \
		'^address 198.18.0.60: wanted an entry, as it is this host.s, found none, as there is no room'
	exits "nearpath status exits 1" 1 status
	check "and says how many differ" grep -qE 'tables +DIFFER: [0-9]+ differences?, see nearpath diff' \
		"$NP_DIR/out"
	services some 1 100 | send delete
	check "with room, all of them are there" wait_for -t 40 diff_is_empty
	exits "nearpath status exits 0" 0 status
	ns_ip node-a link del more
}

diff_says() {
	grep -qE "$1" <(nearpath_at node-a diff 2>/dev/null)
}

diff_is_empty() {
	nearpath_at node-a diff
}

room_again() {
	services some 1 100 | send apply && fail "100 services were accepted"
	nearpath_at node-a delete service full/some-1 >/dev/null
	nearpath_at node-a delete service full/some-2 >/dev/null
	nearpath_at node-a delete service full/some-3 >/dev/null
	services other 1 2 | send apply || fail "with room two were refused: $(cat "$NP_DIR/answer")"
	served "with room it is accepted" 10.96.2.2
}

# As many as there are, of other names and addresses: no room for both.
replaced() {
	local kept
	kept=$(nearpath_at node-a -o json service list |
		jq '[.services[].name | select(startswith("some"))] | unique | length')
	{
		world_objects
		services third 1 "$kept"
	} | send replace || fail "a replace that fits without the old was refused: $(cat "$NP_DIR/answer")"
	check_equal "a replace of $kept services by as many others" "$kept 0" \
		"$(objects | jq -r '"\([.[] | select(.kind == "Service" and (.metadata.name | startswith("third")))] | length) \([.[] | select(.metadata.name | startswith("some"))] | length)"')"
	served "and they are served" "10.96.3.$kept"
	exits "nothing differs" 0 diff
}

# What was refused is not in the journal; what was not, is.
deaths() {
	local before n
	for ((n = 0; n < LIVE_SCALE; n++)); do
		services some 1 100 | send apply && fail "100 services were accepted"
		endpoints web 100 | send apply && fail "101 endpoints were accepted"
		before=$(objects)
		kill_daemon node-a
		world_nearpath node-a "${SMALL[@]}"
		check_equal "killed after a refusal: the store is what it was, $(jq length <<<"$before") objects" \
			"$(md5sum <<<"$before")" "$(objects | md5sum)"
		check_equal "and nothing waits for room" 0 "$(grep -c 'could not be published' "$NP_DIR/nearpathd-node-a.log")"
		exits "and nothing differs" 0 diff
	done
}

# A start with smaller tables cannot refuse: it waits, and that is told.
smaller() {
	kill_daemon node-a
	cp -r "$(daemon_dir node-a)/state" "$NP_DIR/kept"
	world_nearpath node-a "${SMALL[@]}"
	stop_daemon node-a
	cleanup_daemon node-a >/dev/null 2>&1
	mkdir -p "$(daemon_dir node-a)/state"
	cp "$NP_DIR/kept/objects.journal" "$(daemon_dir node-a)/state/"
	world_nearpath node-a --max-services 64 --xdp off
	exits "started with less room: status exits 1" 1 status
	exits "and diff names who waits" 1 diff
	check "by name" grep -qE '^Service "full/third-[0-9]+" port "main" ClusterIP .* there is no room' \
		"$NP_DIR/out"
	services third 1 40 | send delete
	check "once there is room, nobody waits" wait_for -t 30 diff_is_empty
	check "and that is told" grep -qE 'Service "full/third-[0-9]+" is published whole now' \
		"$NP_DIR/nearpathd-node-a.log"
}

main() {
	np_init
	command -v curl >/dev/null || skip "needs the command \"curl\""
	world_build
	world_service web live "$IP" 80 "$NODE_PORT"
	world_slice web live "$WORLD_PORT" server-a server-b
	world_nearpath node-a "${SMALL[@]}"
	world_nearpath node-b --xdp off
	world_apply node-a
	world_apply node-b
	exits "status of an empty daemon" 0 status
	clients
	too_many_services
	too_many_backends
	half_and_half
	too_many_addresses
	too_many_ranges
	room_again
	replaced
	deaths
	clients_end
	smaller
	finish
}

main "$@"
