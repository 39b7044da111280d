#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# redirect=on: what comes in by such an interface and is a flow's goes to the pod, or out of the
# other device, past the host's stack. Turned under load, nothing notices; what cannot be redirected
# goes on as before.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

IP=10.96.0.10
IP6=fd00:96::10
FAR=10.96.0.20
FAR6=fd00:96::20
API=10.96.0.30 # its endpoint is no pod, as that of the kubernetes service
NODE_A=${WORLD_NODE_IP4[node-a]}
ALL="cali1 cali2 eth0 zlink"
KEEP=(--keep --seconds 1 --concurrency 5 --interval-us 10000 --timeout-ms 1500)
BYTES=20000000

objects() {
	world_service web redirect "$IP,$IP6" 80 30080
	world_slice web redirect "$WORLD_PORT" server-a
	world_service far redirect "$FAR,$FAR6" 80 30081
	world_slice far redirect "$WORLD_PORT" server-b
	world_service api redirect "$API" 443
	world_object EndpointSlice-redirect-api-4 <<-END
		{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata": {"name": "api-4", "namespace": "redirect",
			"labels": {"kubernetes.io/service-name": "api"}},
		"addressType": "IPv4",
		"ports": [{"name": "main", "protocol": "TCP", "port": $WORLD_PORT}],
		"endpoints": [{"addresses": ["$WORLD_OUTSIDE_IP4"], "conditions": {"ready": true}}]}
	END
}

turn() {
	local dev
	for dev in $ALL; do
		nearpath_at node-a iface set "$dev" "$@" >/dev/null || fail "iface set $dev $*"
	done
}

# What the host's stack forwards. Without conntrack.
count_forwarded() {
	in_ns node-a nft -f - <<-'END'
		table inet count {
			chain forward {
				type filter hook forward priority 0
				counter
			}
		}
	END
}

forwarded() {
	in_ns node-a nft -j list table inet count |
		jq '[.nftables[].rule.expr[]?.counter.packets // empty] | add'
}

# talk LABEL FROM TO: five connections of one second; sets MESSAGES and STACK, the packets of each
# that the host's stack saw.
talk() {
	local before
	before=$(forwarded)
	world_load "$1" "$2" --connect "$3" "${KEEP[@]}" || true
	check_equal "$1: connections that failed" 0 "$(world_result "$1" failed)"
	MESSAGES=$(world_result "$1" messages)
	STACK=$(($(forwarded) - before))
	echo "       $MESSAGES messages, $STACK packets by the host's stack"
}

# A message takes two packets at least, one a direction; a handshake has two to five.
goes_past() {
	talk "$@"
	check "$1: past the host's stack" test "$STACK" -lt "$((MESSAGES / 4))"
}

# Where nothing needs conntrack, the stack sees the SYN of a connection and no more of it.
handshakes() {
	local before
	before=$(forwarded)
	world_load short client-a --connect "$1" --count 100 --linger0 --timeout-ms 1500 || true
	check_equal "100 connections to $1: failed, packets by the host's stack" "0 100" \
		"$(world_result short failed) $(($(forwarded) - before))"
}

# What the egress hook clamps is clamped where that is skipped: a SYN-ACK.
clamped() {
	local seen dev
	world_seen_mss client-a >/dev/null
	world_load mss client-a --connect "$1" --count 2 --timeout-ms 1500 || true
	seen=$(world_seen_mss client-a)
	for dev in cali1 cali2; do
		nearpath_at node-a iface set "$dev" mss=1000 >/dev/null
		world_load mss client-a --connect "$1" --count 2 --timeout-ms 1500 || true
		seen+=" $(world_seen_mss client-a)"
		nearpath_at node-a iface set "$dev" mss=auto >/dev/null
	done
	check_equal "$1: MSS in SYN-ACK: auto, 1000 at the client, at the server" "$2" "$seen"
}

goes_through() {
	talk "$@"
	check "$1: by the host's stack" test "$STACK" -ge "$((2 * MESSAGES))"
}

ways() {
	local how=$1 where=$2
	"$how" "$where: pod, IPv4" client-a "$IP:80"
	"$how" "$where: pod, IPv6" client-a "[$IP6]:80"
	"$how" "$where: other node, IPv4" client-a "$FAR:80"
	"$how" "$where: other node, IPv6" client-a "[$FAR6]:80"
}

# A transfer is compared byte by byte at its end (selftests/tools/pattern.h).
transfers() {
	local to
	for to in "$IP:80" "[$IP6]:80" "$FAR:80"; do
		world_load "get $to" client-a --connect "$to" --bytes "$BYTES" --timeout-ms 5000 || true
		check_equal "$1: transfer from $to failed" 0 "$(world_result "get $to" failed)"
	done
}

# Source translated: there are two rewrites a direction, and the long way.
translated() {
	world_reach "NodePort, pod of this node" outside any any --connect "$NODE_A:30080" --count 20
	world_reach "NodePort, pod of the other" outside any any --connect "$NODE_A:30081" --count 20
}

received() {
	in_ns client-a cat /sys/class/net/eth0/statistics/rx_bytes
}

has_received() {
	[[ $(received) -ge $1 ]]
}

turned_under_load() {
	local round
	world_load_start held client-a --connect "$IP:80" --keep --seconds 8 --concurrency 10 \
		--interval-us 5000 --timeout-ms 1500
	world_load_start held-far client-a --connect "$FAR:80" --keep --seconds 8 --concurrency 10 \
		--interval-us 5000 --timeout-ms 1500
	world_load_start stream client-a --connect "$FAR:80" --bytes 4000000000 --timeout-ms 1500
	for round in 1 2 3 4 5; do
		turn redirect=on
		wait_for has_received "$(($(received) + 3000000))" || fail "on: the transfer stands"
		turn redirect=off
		wait_for has_received "$(($(received) + 3000000))" || fail "off: the transfer stands"
	done
	check "turned $round times: the transfer goes on" np_alive "${NP_PIDS[load-stream]}"
	stop load-stream KILL
	for round in held held-far; do
		world_load_end "$round" || true
		check_equal "$round: connections that failed" 0 "$(world_result "$round" failed)"
	done
}

# A CNI's policy that knows connections, with a handshake's time cut short: whoever's conntrack saw
# no more than a half of one is cut off after a second's silence.
with_policy() {
	local dev
	in_ns node-a nft -f - <<-'END'
		table inet cni {
			chain forward {
				type filter hook forward priority 0
				ct state established,related accept
				oifname "cali1" drop
			}
		}
	END
	ns_sysctl node-a net.netfilter.nf_conntrack_tcp_timeout_syn_recv=1
	for dev in "cali1" "cali1 cali2 eth0 zlink"; do
		ALL=$dev turn redirect=on
		world_load "policy" client-a --connect "$FAR:80" --keep --seconds 5 --concurrency 3 \
			--interval-us 2000000 --timeout-ms 1500 || true
		check_equal "policy, redirect on $dev: failed" 0 "$(world_result policy failed)"
	done
	in_ns node-a nft delete table inet cni
}

# What a CNI masquerades on its way to an endpoint that is no pod.
with_masquerade() {
	in_ns node-a nft -f - <<-'END'
		table ip cni {
			chain post {
				type nat hook postrouting priority 100
				ip saddr 10.1.0.0/16 ip daddr 192.168.60.0/24 masquerade
			}
		}
	END
	world_load "masqueraded" client-a --connect "$API:443" "${KEEP[@]}" || true
	check_equal "masqueraded: failed" 0 "$(world_result masqueraded failed)"
	check_equal "masqueraded: the endpoint sees" "$NODE_A" \
		"$(world_names masqueraded peer_seen | cut -d ' ' -f 1 | sort -u)"
	in_ns node-a nft delete table ip cni
}

main() {
	local way
	np_init
	world_build
	world_serve outside
	objects
	world_nearpath node-a
	world_apply node-a
	count_forwarded
	check_equal "off by default" off "$(nearpath_at node-a -o json iface list |
		jq -r '[.ifaces[].redirect] | unique | join(",")')"
	ways goes_through off
	if [[ $(nearpath_at node-a -o json status | jq -r .kernel.checksum) != direct ]]; then
		skip "needs bpf_cast_to_kern_ctx (Linux 6.2)"
	fi
	turn redirect=on
	ways goes_past on
	world_watch_mss client-a
	for way in "$IP:80" "[$IP6]:80" "$FAR:80"; do
		handshakes "$way"
	done
	clamped "$IP:80" "1460 1000 1000"
	clamped "[$IP6]:80" "1440 1000 1000"
	clamped "$FAR:80" "1360 1000 1360" # it leaves by a link with an MTU of 1400
	transfers on
	translated
	turned_under_load
	with_policy
	with_masquerade
	turn redirect=off
	stop_daemon node-a
	world_nearpath node-a
	check_equal "kept over a restart" off "$(nearpath_at node-a -o json iface list |
		jq -r '[.ifaces[].redirect] | unique | join(",")')"
	finish
}

main "$@"
