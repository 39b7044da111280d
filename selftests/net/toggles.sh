#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Every switch of an interface is turned while connections are held and large transfers run over
# it: none of them may notice. lb=drain hands new connections to kube-proxy's rules and keeps the
# old ones; lb=off hands over all.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

IP=10.96.0.10
IP6=fd00:96::10
FAR=10.96.0.20
NODE_A=${WORLD_NODE_IP4[node-a]}
KEEP=(--keep --seconds 12 --concurrency 10 --interval-us 20000 --timeout-ms 1500)
GET=(--bytes 4000000000 --timeout-ms 1500)
STEP=3000000 # bytes that have to arrive after each turn of a switch

# The ways under test: label, namespace, what netload is to do.
WAYS=(
	"pod client-a $IP:80 keep"
	"pod6 client-a [$IP6]:80 keep"
	"far client-a $FAR:80 keep"
	"out outside $NODE_A:30080 keep"
	"far-out outside $NODE_A:30081 keep"
	"far-get client-a $FAR:80 get"
	"far-out-get outside $NODE_A:30081 get"
)

objects() {
	world_service web toggles "$IP,$IP6" 80 30080
	world_slice web toggles "$WORLD_PORT" server-a server-b
	world_service far toggles "$FAR" 80 30081
	WORLD_FAMILIES=4 world_slice far toggles "$WORLD_PORT" server-b
}

start_ways() {
	local way label name to what
	for way in "${WAYS[@]}"; do
		read -r label name to what <<<"$way"
		if [[ $what == keep ]]; then
			world_load_start "$label" "$name" --connect "$to" "${KEEP[@]}"
		else
			world_load_start "$label" "$name" --connect "$to" "${GET[@]}"
		fi
	done
	wait_for open_flows 52 || die "the loads did not get going"
}

open_flows() {
	[[ $(nearpath_at node-a -o json flow list |
		jq '[.flows[] | select(.state == "tcp_established")] | length') -ge $1 ]]
}

# Transfers have no end of their own: as long as they run, they did not fail.
end_ways() {
	local way label what
	for way in "${WAYS[@]}"; do
		read -r label _ _ what <<<"$way"
		if [[ $what == get ]]; then
			check "$label: the transfer goes on" np_alive "${NP_PIDS[load-$label]}"
			stop "load-$label" KILL
		else
			world_load_end "$label" || true
			check_equal "$label: held connections that failed" 0 \
				"$(world_result "$label" failed)"
			echo "       longest answer: $(world_result "$label" message_max_us) us"
		fi
	done
}

received() {
	in_ns "$1" cat /sys/class/net/eth0/statistics/rx_bytes
}

has_received() {
	[[ $(received "$1") -ge $2 ]]
}

# flows_on WHAT: both transfers bring STEP more bytes.
flows_on() {
	local pod outside
	pod=$(($(received client-a) + STEP))
	outside=$(($(received outside) + STEP))
	check "$1: transfer to the pod goes on" wait_for has_received client-a "$pod"
	check "$1: transfer to outside goes on" wait_for has_received outside "$outside"
}

# turn DEVS SETTING...: and see that all goes on.
turn() {
	local devs=$1 dev
	shift
	for dev in $devs; do
		nearpath_at node-a iface set "$dev" "$@" >/dev/null || fail "iface set $dev $*"
	done
	flows_on "$*"
}

switches_under_load() {
	local uplinks="eth0 zlink" all="cali1 cali2 eth0 zlink" round
	start_ways
	flows_on "at first"
	for round in 1 2; do
		turn "$uplinks" xdp=generic
		turn "$uplinks" xdp=off
		turn "$uplinks" xdp=native
		turn "$all" stats=on
		turn "$all" mss=1000
		turn "$all" mss=off stats=off
		turn "$all" mss=auto
		turn "$all" lb=drain
		turn "$all" lb=on
		echo "       round $round done after $SECONDS s"
	done
	end_ways
}

new_flows() {
	echo $(($(counter_of node-a ingress new_flow) + $(counter_of node-a xdp new_flow)))
}

# who WHAT CARRIER: new connections succeed, and it is CARRIER that set them up. Ten flows of
# nearpath in one zone would all stay in it; kube-proxy's rules send half of them away.
who() {
	local what=$1 carrier=$2 before after
	before=$(new_flows)
	world_reach "$what: pod" client-a any any --connect "$IP:80" --count 20 --linger0
	world_reach "$what: outside" outside any any --connect "$NODE_A:30081" --count 20 --linger0
	after=$(new_flows)
	if [[ $carrier == nearpath ]]; then
		check_equal "$what: nearpath carries them" 40 "$((after - before))"
	else
		check_equal "$what: kube-proxy's rules carry them" 0 "$((after - before))"
	fi
}

turn_all() {
	local dev
	for dev in cali1 cali2 eth0 zlink; do
		nearpath_at node-a iface set "$dev" "$@" >/dev/null || fail "iface set $dev $*"
	done
}

drained() {
	[[ $(counter_of node-a ingress drain) -ge $1 ]]
}

# old and new are connections held since before the drain, and begun in it.
drain_to_kubeproxy() {
	local label before
	local held=(--keep --seconds 4 --concurrency 10 --interval-us 20000 --timeout-ms 1500)
	world_kubeproxy node-a
	who "on" nearpath
	world_load_start old client-a --connect "$FAR:80" "${held[@]}"
	world_load_start old-out outside --connect "$NODE_A:30081" "${held[@]}"
	wait_for open_flows 20 || die "the loads did not get going"
	turn_all lb=drain
	who "drain" kube-proxy
	check "drain is counted" test "$(counter_of node-a ingress drain)" -ge 40
	before=$(counter_of node-a ingress drain)
	world_load_start new client-a --connect "$FAR:80" "${held[@]}"
	world_load_start new-out outside --connect "$NODE_A:30081" "${held[@]}"
	wait_for drained "$((before + 20))" || die "the loads did not get going"
	turn_all lb=on
	who "on again" nearpath
	for label in old old-out new new-out; do
		world_load_end "$label" || true
		check_equal "drain: $label connections that failed" 0 "$(world_result "$label" failed)"
		check "drain: $label connections were used" \
			test "$(world_result "$label" messages)" -ge 500
	done
	turn_all lb=off
	check_equal "off: nothing is attached" "none off" "$(nearpath_at node-a -o json iface list |
		jq -r '[.ifaces[].attached | "\(.tc) \(.xdp)"] | unique | join(",")')"
	who "off" kube-proxy
	turn_all lb=on
	who "on after off" nearpath
	world_kubeproxy_off node-a
	who "without kube-proxy's rules" nearpath
	turn_all lb=off
	world_load off client-a --connect "$IP:80" --timeout-ms 300 || true
	check_equal "off: without kube-proxy's rules nobody answers" 1 "$(world_result off failed)"
	turn_all lb=on
	who "on at last" nearpath
}

main() {
	np_init
	world_build
	objects
	world_nearpath node-a
	world_apply node-a
	drain_to_kubeproxy
	switches_under_load
	finish
}

main "$@"
