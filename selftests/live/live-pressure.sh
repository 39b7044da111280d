#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# A table of 65,536 records with 20,000 established connections, and floods from spoofed sources at
# the highest rate the machine makes: SYNs that the backend answers, and datagrams, at a ClusterIP
# from a pod's interface and at a NodePort from outside. All 20,000 stay; those who answer get their
# connection; nothing grows; what was evicted or refused is counted by reason. 4 floods of 4 s or more,
# times LIVE_SCALE (15 makes them 60 s).

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
SECONDS_EACH=$((4 * ${LIVE_SCALE:-1}))
HONEST=4 # clients at a time beside a flood
RECORDS=65536
KEPT=${KEPT:-20000}
IP=10.96.0.10
NODE_PORT=30080
SPOOFED=198.18.0.0 # RFC 2544: nobody's
ROUNDS=4

objects() {
	world_service web live "$IP" 80
	WORLD_FAMILIES=4 world_slice web live "$WORLD_PORT" server-a
	world_service out live 10.96.0.20 80 "$NODE_PORT"
	WORLD_FAMILIES=4 world_slice out live "$WORLD_PORT" server-b
	world_service dns live 10.96.0.53 53 30053 UDP
	WORLD_PROTOCOL=UDP WORLD_FAMILIES=4 world_slice dns live "$WORLD_PORT" server-b
}

established() {
	[[ $(flows_in tcp_established) -ge $1 ]]
}

# By the records themselves.
flows_in() {
	nearpath_at node-a -o json flow list --limit 1 | jq ".states.$1 // 0"
}

# Half of them by the ClusterIP, half from outside with their source translated; to a server each,
# which may have no more than 20,000 descriptors.
keep_many() {
	local half=$((KEPT / 2)) label seconds=$((ROUNDS * (SECONDS_EACH + 10) + 40))
	world_load_start kept-pod client-a --connect "$IP:80" --keep --count "$half" \
		--concurrency "$half" --seconds "$seconds" --interval-us 3000000 --timeout-ms 20000
	world_load_start kept-out outside --connect "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" --keep \
		--count "$half" --concurrency "$half" --seconds "$seconds" \
		--interval-us 3000000 --timeout-ms 20000
	wait_for -t 60 established "$KEPT" || die "only $(flows_in tcp_established) of $KEPT were established"
	ok "$KEPT connections are established"
}

mac_of() {
	ns_ip "$1" -j link show "$2" | jq -r '.[0].address'
}

# flood LABEL FROM DEVICE MAC TO [OPTIONS]
flood() {
	local label=$1 from=$2 device=$3 mac=$4 to=$5
	shift 5
	spawn "$label" "$from" "$(tool netflood)" --device "$device" --mac "$mac" --to "$to" \
		--spoof "$SPOOFED" --seconds "$SECONDS_EACH" --at-least $((RECORDS * 5 / 4)) "$@"
}

counters() {
	nearpath_at node-a -o json status | jq -c '[.counters | .ingress, .xdp |
		{new_flow, evicted, flows_full, no_snat_port, race_lost} | map_values(. // 0)] |
		{new_flow: map(.new_flow) | add, evicted: map(.evicted) | add,
		 flows_full: map(.flows_full) | add, no_snat_port: map(.no_snat_port) | add}'
}

memory() {
	awk '/VmRSS/ { print $2 }' "/proc/$(nearpath_at node-a -o json status | jq .pid)/status"
}

# round WHAT LABEL HONEST-FROM HONEST-TO FLOOD-FROM DEVICE MAC TO [OPTIONS]
round() {
	local what=$1 label=$2 from=$3 honest=$4 before after ok failed
	shift 4
	before=$(counters)
	flood "$label" "$@"
	world_load_start "honest-$label" "$from" --connect "$honest" --linger0 --concurrency "$HONEST" \
		--rate 200 --seconds "$SECONDS_EACH" --timeout-ms 7000
	join "$label" || fail "$what: the flood did not run"
	world_load_end "honest-$label" || true
	after=$(counters)
	ok=$(world_result "honest-$label" ok)
	failed=$(world_result "honest-$label" failed)
	echo "       $what: $(json_get "$NP_DIR/$label.log" sent) frames," \
		"$(json_get "$NP_DIR/$label.log" rate) a second; honest: $ok connected, $failed failed"
	echo "       $(jq -nc --argjson a "$after" --argjson b "$before" \
		'$a | to_entries | map(.value -= $b[.key]) | from_entries')"
	echo "       failures of the honest: $(world_names "honest-$label" errors | xargs)"
	# Those under way at one time may time out together: in SYNs at a NodePort on a slow machine all
	# four did, of some 300 that there were then.
	check "$what: honest clients that connected: $ok of $((ok + failed)), at least 99 % or all but $HONEST" \
		test "$failed" -le "$(((ok + failed) / 100 > HONEST ? (ok + failed) / 100 : HONEST))"
	check "$what: they were at least 20" test "$ok" -ge 20
	check "$what: more flows were made than there are records" test "$(jq -n --argjson a "$after" \
		--argjson b "$before" '$a.new_flow - $b.new_flow')" -gt "$RECORDS"
	check_equal "$what: established connections" "$KEPT" "$(live_kept)"
}

# What the clients hold may be more by honest ones that are about to close.
live_kept() {
	local n
	n=$(flows_in tcp_established)
	((n > KEPT)) && n=$KEPT
	echo "$n"
}

main() {
	local before after label
	np_init
	world_build
	objects
	world_nearpath node-a --max-flows "$RECORDS" --xdp off
	world_apply node-a
	keep_many
	before=$(memory)
	round "SYNs at a ClusterIP" syn-pod client-a "$IP:80" \
		client-a eth0 "$(mac_of node-a cali1)" "$IP:80"
	round "SYNs at a NodePort" syn-out outside "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" \
		outside eth0 "$(mac_of router out)" "${WORLD_NODE_IP4[node-a]}:$NODE_PORT"
	round "datagrams at a ClusterIP" udp-pod outside "${WORLD_NODE_IP4[node-a]}:$NODE_PORT" \
		client-a eth0 "$(mac_of node-a cali1)" 10.96.0.53:53 --udp
	round "datagrams at a NodePort" udp-out client-a "$IP:80" \
		outside eth0 "$(mac_of router out)" "${WORLD_NODE_IP4[node-a]}:30053" --udp
	after=$(memory)
	echo "       nearpathd: $before kB before, $after kB after"
	check "the daemon did not grow by more than 2 MB" test "$after" -le "$((before + 2048))"
	for label in kept-pod kept-out; do
		stop "load-$label" || true
		check_equal "$label: failed" 0 "$(world_result "$label" failed)"
		check_equal "$label: talked to the end" "$((KEPT / 2))" "$(world_result "$label" ok)"
	done
	finish
}

main "$@"
