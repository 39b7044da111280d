#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Source ports of translated connections: 28,000 at a time to one endpoint and a thousand of them
# anew; none that the node's own sockets or the kernel's address translation have; another of the
# node's addresses when the first has no port left; use and refusals in the metrics.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
NODE_PORT=30080
BACKEND=10.2.0.20:8080
TO=192.168.50.1:30080
MANY=28000

objects() {
	world_service web live 10.96.0.10 80 "$NODE_PORT"
	WORLD_FAMILIES=4 world_slice web live "$WORLD_PORT" server-b
}

# metric NAME [LABEL]: of the one backend.
metric() {
	in_ns node-a curl -s --max-time 10 http://127.0.0.1:10249/metrics |
		sed -n "s/^nearpath_snat_ports_$1{backend=\"$BACKEND\"[^}]*${2:-}[^}]*} //p"
}

established() {
	[[ $(nearpath_at node-a -o json flow list --limit 1 | jq '.states.tcp_established // 0') -ge $1 ]]
}

# hold LABEL COUNT [OPTIONS]: connections from outside that stay.
hold() {
	local label=$1 count=$2
	shift 2
	world_load_start "$label" outside --connect "$TO" --keep --count "$count" \
		--concurrency "$count" --seconds 100 --interval-us 1500000 --timeout-ms 20000 "$@"
}

# ended LABEL COUNT: all of them had connected, and go on to this moment.
ended() {
	stop "load-$1" || true
	check_equal "$1: connections that failed" "0 of $2" \
		"$(world_result "$1" failed) of $(world_result "$1" attempted)"
}

many() {
	ns_sysctl outside net.ipv4.ip_local_port_range="1024 65535"
	spawn_ready another-server server-b "$(tool netserver)" --name server-b --listen "$WORLD_PORT"
	hold many-1 "$((MANY / 2))"
	hold many-2 "$((MANY / 2))"
	wait_for -t 60 established "$MANY" || fail "not all $MANY are established"
	world_load many-anew outside --connect "$TO" --count 1000 --concurrency 10 --linger0 \
		--timeout-ms 5000 || true
	check_equal "a thousand more, one after the other: failed" 0 "$(world_result many-anew failed)"
	wait_for -t 25 uses "$MANY" || true
	check "the metrics show $MANY in use or more: $(metric used TCP) of $(metric max)" uses "$MANY"
	check_equal "connections that found no port" 0 "$(metric refused_total)"
	ended many-1 "$((MANY / 2))"
	ended many-2 "$((MANY / 2))"
	stop another-server
}

uses() {
	[[ $(metric used TCP) -ge $1 ]]
}

# again OPTIONS: the daemon anew, with other ports.
again() {
	stop_daemon node-a
	cleanup_daemon node-a
	world_nearpath node-a --xdp off "$@"
	world_apply node-a
}

# Six of ten ports are taken by sockets of the node and by a rule of its kernel.
taken() {
	local port peers
	again --snat-ports 20000-20009
	for port in 20000 20001 20002 20003; do
		world_load_start "own-$port" node-a --connect "$BACKEND" --keep --seconds 60 \
			--source "192.168.70.1:$port" --interval-us 100000 --timeout-ms 3000
	done
	in_ns node-a iptables -t nat -A POSTROUTING -s "${WORLD_POD_IP4[client-a]}" -d 10.2.0.20 \
		-p tcp -j SNAT --to-source 192.168.70.1:20004-20005
	for port in 41000 41001; do
		world_load_start "masqueraded-$port" client-a --connect "$BACKEND" --keep --seconds 60 \
			--source "${WORLD_POD_IP4[client-a]}:$port" --interval-us 100000 \
			--timeout-ms 3000
	done
	wait_for others_talk || die "the others do not talk"
	hold free 4 --interval-us 100000
	wait_for established 4 || true
	world_load full outside --connect "$TO" --timeout-ms 700 || true
	check_equal "the fifth finds no port" 1 "$(world_result full failed)"
	check "and is counted: $(metric refused_total) refused" test "$(metric refused_total)" -ge 1
	ended free 4
	peers=$(world_names free peer_seen | cut -d ' ' -f 1 | xargs)
	echo "       seen as $peers"
	for port in own-20000 own-20001 own-20002 own-20003 masqueraded-41000 masqueraded-41001; do
		ended "$port" 1
		check "$port talked all the time" test "$(world_result "$port" messages)" -ge 5
	done
	in_ns node-a iptables -t nat -F POSTROUTING
}

others_talk() {
	[[ $(in_ns server-b ss -Htn state established sport = ":$WORLD_PORT" | wc -l) -ge 6 ]]
}

# 10 ports at one address; with two more addresses of the subnet 30, and a VIP is not touched. A
# client has a port once, whatever the address: between the hooks its own address is there still.
addresses() {
	local client
	again --snat-ports 20000-20009
	ns_ip node-a addr add 192.168.70.11/24 dev zlink
	ns_ip node-a addr add 192.168.70.12/24 dev zlink
	ns_ip node-a addr add 192.168.70.99/32 dev zlink
	wait_for has_sources 30 || fail "$(nearpath_at node-a -o json backend list)"
	for client in 11 12 13; do
		ns_ip outside addr add "192.168.60.$client/24" dev eth0
		hold "ten-$client" 10 --interval-us 100000 --source "192.168.60.$client"
		wait_for established "$(((client - 10) * 10))" || true
	done
	world_load full outside --connect "$TO" --timeout-ms 700 || true
	check_equal "after 30, there is none" 1 "$(world_result full failed)"
	for client in 11 12 13; do
		ended "ten-$client" 10
	done
	check_equal "by how many each address was seen" \
		"192.168.70.1 10, 192.168.70.11 10, 192.168.70.12 10" "$(seen ten-11 ten-12 ten-13)"
	check_equal "flows moved to another address" 20 "$(counter_of node-a ingress source_moved)"
	ns_ip node-a addr del 192.168.70.12/24 dev zlink
	check "an address that goes is not used any more" wait_for has_sources 20
}

seen() {
	local label
	for label in "$@"; do
		world_names "$label" peer_seen
	done | awk '{ n[$1] += $2 } END { for (a in n) print a, n[a] }' |
		sort -V | paste -sd , | sed 's/,/, /g'
}

has_sources() {
	[[ $(nearpath_at node-a -o json backend list | jq '.backends[0].snat_ports.max') == "$1" ]]
}

main() {
	np_init
	world_build
	objects
	world_nearpath node-a --xdp off
	world_apply node-a
	many
	taken
	addresses
	finish
}

main "$@"
