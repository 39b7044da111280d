#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# TCP connections to an endpoint that is removed: with --on-endpoint-removed=keep they go on, with
# reset each fails with its next message, on both sides, whether its node is there or gone; those to
# other endpoints go on, and no new connection is given the endpoint once apply has returned. From
# pods, by a tunnel, from outside (source translated, by XDP), from the node itself; IPv4 and IPv6.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
LIVE_SCALE=${LIVE_SCALE:-1}
NODE_PORT=30080
CONNECTIONS=8  # of each client
SECONDS_KEPT=4 # that they are held; the endpoint goes in the midst of it
NEW=$((500 * LIVE_SCALE))
ROUNDS=$((15 * LIVE_SCALE))
declare -A WEB=([4]=10.96.0.80 [6]=fd00:96::80)
declare -A STICKY=([4]=10.96.0.81 [6]=fd00:96::81)

# A client behind a device that is IP from the first byte.
tunnel() {
	spawn_ready tunlink node-a "$NP_SELFTESTS/tools/tunlink.py" cali9 "$(ns outside)" tunnel
	ns_ip outside addr add 10.3.0.9/32 dev tunnel
	ns_ip outside addr add fd00:3::9/128 dev tunnel nodad
	ns_ip outside route add 10.96.0.0/16 dev tunnel src 10.3.0.9
	ns_ip outside -6 route add fd00:96::/64 dev tunnel src fd00:3::9
	ns_ip node-a route add 10.3.0.9 dev cali9
	ns_ip node-a -6 route add fd00:3::9 dev cali9
	ns_ip node-b route add 10.3.0.9 via 192.168.70.1
	ns_ip node-b -6 route add fd00:3::9 via fd00:70::1
}

# Whose connections: LABEL NAMESPACE ADDRESS PORT.
clients() {
	local f
	for f in 4 6; do
		local -n node_ip=WORLD_NODE_IP$f
		echo "pod$f client-a ${WEB[$f]} 80"
		echo "outside$f outside ${node_ip[node-a]} $NODE_PORT"
		echo "node$f node-a ${WEB[$f]} 80"
		echo "tunnel$f outside ${WEB[$f]} 80"
	done
}

# endpoints POD...: of both services, in the tables when it returns.
endpoints() {
	world_slice web live "$WORLD_PORT" "$@"
	world_slice sticky live "$WORLD_PORT" "$@"
	world_apply node-a
}

# Established connections at the servers, and how many of them ever ended by a RST.
established() {
	in_ns "$1" ss -Hnt state established "sport = :$WORLD_PORT" | wc -l
}

resets_seen() {
	# shellcheck disable=SC2016
	in_ns "$1" awk '$1 == "Tcp:" && $2 ~ /^[0-9]/ { print $9 }' /proc/net/snmp
}

resets_sent() {
	nearpath_at node-a -o json status |
		jq '[.counters[].reset // 0] | add'
}

all_established() {
	[[ $(($(established server-a) + $(established server-b))) -eq $1 ]]
}

start_clients() {
	local label name address port
	while read -r label name address port; do
		world_load_start "$label" "$name" --connect "$(bracket "$address"):$port" --keep \
			--seconds "$SECONDS_KEPT" --interval-us 200000 --timeout-ms 8000 \
			--count "$CONNECTIONS" --concurrency "$CONNECTIONS"
	done < <(clients)
	wait_for -t 10 all_established "$((CONNECTIONS * $(clients | wc -l)))" ||
		{ tail -n +1 "$NP_DIR"/load-*.log; established server-a; established server-b; nearpath_at node-a -o json status | jq .sock; cat "$NP_DIR"/nearpathd*.log; die "the clients are not connected"; }
	sleep 1
}

# The servers of a client's connections: names are told when it ends.
count_at() {
	world_names "$1" servers | awk -v name="$2" '$1 == name { n = $2 } END { print n + 0 }'
}

# ended WHAT VERDICT: of every client, those to server-b failed (reset) or did not (keep).
ended() {
	local what=$1 verdict=$2 label lost failed=0 of_b=0 wanted=0 errors=''
	while read -r label _; do
		world_load_end "$label" || true
		lost=$(count_at "$label" server-b)
		of_b=$((of_b + lost))
		[[ $verdict == reset ]] || lost=0
		wanted=$((wanted + lost))
		failed=$((failed + $(world_result "$label" failed)))
		errors+=$(world_names "$label" errors | grep -v '^reset ' || true)
		[[ $(world_result "$label" failed) -eq $lost ]] ||
			fail "$what: $label: $(world_result "$label" failed) failed of $lost"
	done < <(clients)
	echo "       $of_b of $((CONNECTIONS * $(clients | wc -l))) connections were to server-b"
	check_equal "$what: of the connections to it failed" "$wanted" "$failed"
	check_equal "$what: none in another way than by a reset" "" "$errors"
	check "$what: there were some" test "$of_b" -gt 0
}

none_at() {
	[[ $(established "$1") -eq 0 ]]
}

keep() {
	world_nearpath node-a --xdp generic --on-endpoint-removed keep
	endpoints server-a server-b
	start_clients
	endpoints server-a
	ended "keep" keep
	check_equal "keep: nothing was reset" 0 "$(resets_sent)"
	stop_daemon node-a
}

reset() {
	local seen at_b
	world_nearpath node-a --xdp generic --on-endpoint-removed reset
	nearpath_at node-a iface set eth0 stats=on >/dev/null
	endpoints server-a server-b
	start_clients
	check "XDP carries connections from outside" test \
		"$(counter_of node-a xdp xdp_redirect)" -gt 0
	seen=$(resets_seen server-b)
	endpoints server-a server-b:terminating
	endpoints server-a server-b:notready
	sleep 0.5
	check_equal "reset: not for one that is terminating or not ready" "0" "$(resets_sent)"
	at_b=$(established server-b)
	endpoints server-a
	check "reset: its server is told" wait_for -t 3 none_at server-b
	check_equal "reset: of all connections, by RST" "$at_b" "$(($(resets_seen server-b) - seen))"
	ended "reset" reset
	echo "       $(resets_sent) packets were answered by RST"
}

# Connections over which the server sends all the time, so that its packet may be the first. From
# server FROM to server TO; FROM is here, or on the other node.
downloads() {
	local from=$1 to=$2 seen
	endpoints "$from"
	seen=$(resets_seen "$from")
	world_load_start download client-a --connect "${WEB[4]}:80" --bytes 1000000000000 \
		--count 4 --concurrency 4 --timeout-ms 8000
	wait_for -t 10 all_established 4 || die "the downloads have not begun"
	sleep 0.5
	endpoints "$to"
	world_load_end download || true
	check_equal "downloads from $from: reset at the clients" "reset 4" \
		"$(world_names download errors)"
	check "downloads from $from: and at the server" wait_for -t 3 none_at "$from"
	check_equal "downloads from $from: there by RST" 4 "$(($(resets_seen "$from") - seen))"
}

# The endpoint comes back before anything was said.
comes_back() {
	local before
	endpoints server-b
	world_load_start idle client-a --connect "${WEB[4]}:80" --keep --seconds 4 \
		--interval-us 3000000 --count 4 --concurrency 4
	wait_for -t 10 all_established 4 || die "the clients are not connected"
	sleep 0.3
	before=$(resets_sent)
	endpoints server-a
	endpoints server-a server-b
	world_load_end idle || true
	check_equal "an endpoint that is back before its connections say anything keeps them" "4 0" \
		"$(world_result idle ok) $(($(resets_sent) - before))"
}

service_deleted() {
	endpoints server-b
	start_clients
	nearpath_at node-a delete service live/web >/dev/null
	ended "a Service that is deleted" reset
	check "a Service that is deleted: its server is told" wait_for -t 3 none_at server-b
}

# No client has an endpoint that apply took out: one after the other, and in the midst of it.
new_connections() {
	local label name address port f rounds given late longest median
	endpoints server-a server-b
	for f in 4 6; do # the client's affinity is for server-b if chance will have it
		world_load "sticky$f" client-a --connect "$(bracket "${STICKY[$f]}"):80" --count 1
	done
	endpoints server-a
	while read -r label name address port; do
		world_load "new-$label" "$name" --connect "$(bracket "$address"):$port" --linger0 \
			--count "$NEW" --concurrency 20 --timeout-ms 8000 || true
		check_equal "$NEW new connections, $label: by whom" "server-a $NEW" \
			"$(world_names "new-$label" servers)"
	done < <(
		clients
		echo "sticky4 client-a ${STICKY[4]} 80"
		echo "sticky6 client-a ${STICKY[6]} 80"
		echo "stickynode node-a ${STICKY[4]} 80"
	)
	world_slice web live "$WORLD_PORT" server-a server-b
	world_objects >"$NP_DIR/in.json"
	world_slice web live "$WORLD_PORT" server-a
	world_objects >"$NP_DIR/out.json"
	for label in pod4 outside4 node4; do
		read -r label name address port < <(clients | grep "^$label ")
		world_load_start "storm-$label" "$name" --connect "$address:$port" --linger0 \
			--seconds 60 --concurrency 8 --timeout-ms 8000
	done
	read -r rounds given late longest median < <(in_ns node-a \
		"$NP_SELFTESTS/tools/flips.py" "$(daemon_dir node-a)/socket" "$NP_DIR/in.json" \
		"$NP_DIR/out.json" "$ROUNDS")
	for label in pod4 outside4 node4; do
		stop "load-storm-$label"
	done
	echo "       $rounds times in and out, $given connections to it; out took $median ms" \
		"(median), $longest ms (longest)"
	check_equal "an endpoint taken out in the midst of new connections: given to" "0 later" \
		"$late later"
}

# The node is gone: nothing comes from it, and nothing goes there.
node_gone() {
	endpoints server-b
	start_clients
	ns_ip node-b link set zlink down
	ns_ip node-b link set eth0 down
	endpoints server-a
	ended "an endpoint whose node is gone" reset
}

main() {
	np_init
	command -v python3 >/dev/null || skip "needs the command \"python3\""
	world_build
	world_cgroup
	# What programs wrote into packets with half a checksum is then completed, and checked.
	in_ns node-a ethtool -K cali1 tx off >/dev/null
	in_ns node-a ethtool -K cali2 tx off >/dev/null
	tunnel
	world_service web live "${WEB[4]},${WEB[6]}" 80 "$NODE_PORT"
	world_service sticky live "${STICKY[4]},${STICKY[6]}" 80 0 TCP '"sessionAffinity":"ClientIP"'
	keep
	reset
	downloads server-b server-a
	downloads server-a server-b
	comes_back
	new_connections
	service_deleted
	node_gone
	finish
}

main "$@"
