#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# XDP is switched off and on at one uplink and the other under live connections, beside kube-proxy's
# rules: conntrack sees some packets of a connection and others not, and what it takes for INVALID
# these rules drop. No connection is lost by that. 5 turns, times LIVE_SCALE.

# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
TURNS=$((5 * ${LIVE_SCALE:-1}))

turn() {
	local device
	for device in eth0 zlink; do
		nearpath_at node-a iface set "$device" xdp=off >/dev/null
		sleep 0.6
		nearpath_at node-a iface set "$device" xdp=generic >/dev/null
		sleep 0.3
	done
}

# invalid: packets that kube-proxy's rules have dropped.
invalid() {
	in_ns node-a iptables -vnL KUBE-FORWARD | awk '/INVALID/ { print $1 }'
}

# With XDP at one uplink and not at the other, all of a connection goes by tc.
one_sided() {
	local device=$1 before
	nearpath_at node-a iface set "$device" xdp=off >/dev/null
	sleep 0.3 # a way that XDP remembers is good for a tenth of a second
	before=$(invalid)
	world_load "one-$device" outside --connect "${WORLD_NODE_IP4[node-a]}:30081" --count 50 \
		--concurrency 5 --timeout-ms 4000 || true
	check_equal "no XDP at $device: failed of 50, INVALID" "0 0" \
		"$(world_result "one-$device" failed) $(($(invalid) - before))"
	nearpath_at node-a iface set "$device" xdp=generic >/dev/null
}

# The way to the backend is not known when connections begin, so XDP leaves their SYN to the stack:
# conntrack is to see the whole handshake, or none of what follows is valid when XDP is off.
half_seen() {
	local device
	in_ns node-a ip neigh flush dev zlink
	world_load_start half-seen outside --connect "${WORLD_NODE_IP4[node-a]}:30081" --keep \
		--interval-us 5000 --concurrency 5 --timeout-ms 4000 --seconds 1
	sleep 0.3
	for device in eth0 zlink; do
		nearpath_at node-a iface set "$device" xdp=off >/dev/null
	done
	world_load_end half-seen || true
	check_equal "begun without a neighbour, XDP switched off: failed" "0 " \
		"$(world_result half-seen failed) $(world_names half-seen errors | xargs)"
	for device in eth0 zlink; do
		nearpath_at node-a iface set "$device" xdp=generic >/dev/null
	done
}

main() {
	local turn
	np_init
	world_build
	world_service far live 10.96.0.20 80 30081
	WORLD_FAMILIES=4 world_slice far live "$WORLD_PORT" server-b
	world_kubeproxy node-a
	world_nearpath node-a --xdp generic
	world_apply node-a
	one_sided eth0
	one_sided zlink
	half_seen
	world_load_start kept outside --connect "${WORLD_NODE_IP4[node-a]}:30081" --keep \
		--interval-us 5000 --concurrency 20 --timeout-ms 4000 --seconds "$((TURNS * 2 + 2))"
	for ((turn = 0; turn < TURNS; turn++)); do
		turn
	done
	world_load_end kept || true
	echo "       $(world_result kept messages) messages, the slowest" \
		"$(($(world_result kept message_max_us) / 1000)) ms;" \
		"INVALID and dropped: $(invalid)"
	check_equal "20 connections, XDP switched $((TURNS * 4)) times: failed" "0 " \
		"$(world_result kept failed) $(world_names kept errors | xargs)"
	finish
}

main "$@"
