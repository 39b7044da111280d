#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The rules that the benchmarks compare nearpath with are kube-proxy's: the same text as its own
# tests expect, the same as a real node had; and they work: both modes load, in both families, and
# real connections go where they should, are refused, or dropped.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

RULES=$NEARPATH_BUILD/bench/kubeproxy
OBJECTS=$NEARPATH_BUILD/bench/objects
GOLDEN=$NP_SELFTESTS/kubeproxy
# shellcheck disable=SC2034 # for world.sh
WORLD_DELAY_MS=0
VIP=192.0.2.20
VIP6=2001:db8::20

# --- the text --------------------------------------------------------------------------------

golden_iptables() {
	diff "$GOLDEN/overall.iptables" <("$RULES" iptables --no-jumps --node-name test-node \
		--cluster-cidr 10.0.0.0/8 <"$GOLDEN/overall.jsonl" | grep '^-A' | sort -s -k 2,2)
}

golden_nftables() {
	diff "$GOLDEN/overall.nftables" <("$RULES" nftables --node-name test-node \
		--cluster-cidr 10.0.0.0/8 --service-cidr 172.30.0.0/16 <"$GOLDEN/overall.jsonl" |
		grep -E '^add (rule|element)' | sort -s -k 5,5)
}

# Each block of the golden listing is in what nft lists; sets have no order.
real_node() {
	ns_add listing
	"$RULES" nftables --node-name pi --cluster-cidr 10.244.0.0/16 <"$GOLDEN/node.jsonl" |
		in_ns listing nft -f - || return 1
	in_ns listing nft list table ip kube-proxy | words_by_block >"$NP_DIR/listed"
	words_by_block <"$GOLDEN/node.nftables" >"$NP_DIR/golden"
	grep -vxFf "$NP_DIR/listed" "$NP_DIR/golden" || return 0
	return 1
}

# A line for each block: its head, and its other lines or elements in the order of the alphabet.
words_by_block() {
	awk '
		/^\t(set|map|chain) / { head = $0; n = 0; next }
		/^\t}/ { print head; for (i = 1; i <= n; i++) print head, line[i]; head = ""; next }
		head {
			sub(/^[ \t]+(elements = \{ )?/, "")
			parts = head ~ /chain/ ? 1 : split($0, part, /,[ \t]*/)
			for (i = 1; i <= parts; i++) {
				text = head ~ /chain/ ? $0 : part[i]
				sub(/ }$/, "", text)
				if (text != "") line[++n] = text
			}
		}' | sort
}

# Beyond 1000 endpoints the rules of endpoints have no comments, all others have theirs.
comments() {
	local wanted=$1 services=$2
	shift 2
	check_equal "comments of endpoints, $((services * 10)) endpoints" "$wanted" "$(
		"$OBJECTS" "$services" 10 | "$RULES" iptables | grep '^-A KUBE-S[EV][PC]' |
			grep -c -- --comment || true
	)"
}

order() {
	check_equal "rules are in the order of the Services" "10.96.0.18 10.96.0.1" "$(
		"$OBJECTS" -t 10.1.0.20:80 -p last 4 1 | "$RULES" iptables |
			sed -n 's/^-A KUBE-SERVICES .* -d \([^ ]*\) .*/\1/p' | tail -n 2 | xargs
	)"
}

wrong_use() {
	local code=0
	"$RULES" ipvs </dev/null >/dev/null 2>&1 || code=$?
	[[ $code -eq 2 ]] || return 1
	! "$RULES" iptables <<<'{"kind":"Service"' 2>/dev/null
}

text() {
	check "iptables: as kube-proxy's own test expects" golden_iptables
	check "nftables: as kube-proxy's own test expects" golden_nftables
	check "nftables: as a node with kube-proxy 1.36.2 lists it" real_node
	comments 3000 100
	comments 0 101
	order
	check "wrong use is told" wrong_use
}

# --- the traffic -----------------------------------------------------------------------------

objects() {
	local sticky=$1
	world_service web rules 10.96.0.10,fd00:96::10 80 30080
	world_slice web rules "$WORLD_PORT" server-a
	world_service far rules 10.96.0.11,fd00:96::11 80 30081 TCP \
		'"externalTrafficPolicy":"Local"'
	world_slice far rules "$WORLD_PORT" server-b
	world_service none rules 10.96.0.12,fd00:96::12 80 30082
	world_slice none rules "$WORLD_PORT" server-a:notready
	world_object Service-rules-vip <<-END
		{"apiVersion":"v1","kind":"Service","metadata":{"name":"vip","namespace":"rules"},
		"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.13",
		"clusterIPs":["10.96.0.13","fd00:96::13"],"ipFamilies":["IPv4","IPv6"],
		"loadBalancerSourceRanges":["$WORLD_OUTSIDE_IP4/32","$WORLD_OUTSIDE_IP6/128"],
		"ports":[{"name":"main","protocol":"TCP","port":80}]},
		"status":{"loadBalancer":{"ingress":[{"ip":"$VIP"},{"ip":"$VIP6"}]}}}
	END
	world_slice vip rules "$WORLD_PORT" server-a
	[[ $sticky == yes ]] || return 0
	world_service sticky rules 10.96.0.14,fd00:96::14 80 0 TCP '"sessionAffinity":"ClientIP"'
	world_slice sticky rules "$WORLD_PORT" server-a server-b
}

# rules MODE FAMILY-OPTION: for node-a. Hints are of zones; without a zone they are not followed.
rules() {
	local mode=$1
	shift
	world_objects | jq 'del(.items[] | select(.kind == "Node") | .metadata.labels)' |
		"$RULES" "$mode" --node-name node-a --cluster-cidr "$WORLD_CLUSTER_CIDR" "$@"
}

load_iptables() {
	rules iptables | in_ns node-a iptables-restore --noflush --counters
	rules iptables --ipv6 | in_ns node-a ip6tables-restore --noflush --counters
}

reload_iptables() {
	rules iptables --no-jumps | in_ns node-a iptables-restore --noflush --counters
	rules iptables --no-jumps --ipv6 | in_ns node-a ip6tables-restore --noflush --counters
}

load_nftables() {
	rules nftables | in_ns node-a nft -f -
	rules nftables --ipv6 | in_ns node-a nft -f -
}

show() {
	if [[ $1 == iptables ]]; then
		in_ns node-a iptables-save | grep -v '^#'
	else
		in_ns node-a nft list ruleset | sed 's/ expires [0-9hms]*//' | sort
	fi
}

unchanged() {
	show "$1" >"$NP_DIR/before"
	"$2" && diff "$NP_DIR/before" <(show "$1")
}

# Refusal comes to a socket that is still locked by connect() and is lost; the next SYN is sent after
# a second. Silence is believed sooner.
refused() {
	fails "$@" connect 2500
}

dropped() {
	fails "$@" timeout 300
}

# fails WHAT NAME TO ERROR MS: what one connection fails with.
fails() {
	world_load fails "$2" --connect "$3" --count 1 --timeout-ms "$5" || true
	check_equal "$1" "$4" "$(world_names fails errors | cut -d ' ' -f 1)"
}

sticks() {
	world_load sticks client-a --connect "$2:80" --count 30 || true
	check_equal "$1" "failed 0 by 1" "failed $(world_result sticks failed) by $(
		world_names sticks servers | wc -l
	)"
}

# traffic MODE FAMILY NODE PREFIX-OF-CLUSTERIPS VIP OWN-ADDRESS
traffic() {
	local what="$1, IPv$2" node ip vip pod=$6
	node=$(bracket "$3") ip=$4 vip=$(bracket "$5")
	at() { bracket "$ip$1"; }
	world_reach "$what: pod to clusterIP keeps its address" client-a server-a "$pod" \
		--connect "$(at 10):80" --count 5
	world_reach "$what: pod to itself" server-a server-a any --connect "$(at 10):80" --count 5
	world_reach "$what: the node to clusterIP" node-a server-a any --connect "$(at 10):80" \
		--count 5
	world_reach "$what: outside to NodePort" outside server-a any \
		--connect "$node:30080" --count 5
	world_reach "$what: policy Local, pod" client-a server-b "$pod" \
		--connect "$node:30081" --count 5
	dropped "$what: policy Local, outside" outside "$node:30081"
	refused "$what: no endpoints, clusterIP" client-a "$(at 12):80"
	refused "$what: no endpoints, NodePort" outside "$node:30082"
	world_reach "$what: VIP, allowed" outside server-a any --connect "$vip:80" --count 5
	dropped "$what: VIP, not allowed" client-a "$vip:80"
	[[ $STICKY == no ]] || sticks "$what: session affinity" "$(at 14)"
}

both_families() {
	traffic "$1" 4 "${WORLD_NODE_IP4[node-a]}" 10.96.0. "$VIP" "${WORLD_POD_IP4[client-a]}"
	traffic "$1" 6 "${WORLD_NODE_IP6[node-a]}" fd00:96:: "$VIP6" "${WORLD_POD_IP6[client-a]}"
}

[[ -x $RULES && -x $OBJECTS ]] || die "no \"$RULES\": run make tests"
np_init
text
world_build
ns_ip router route add 192.0.2.0/24 via "${WORLD_NODE_IP4[node-a]}"
ns_ip router -6 route add 2001:db8::/64 via "${WORLD_NODE_IP6[node-a]}"
STICKY=yes
in_ns node-a iptables -A OUTPUT -m recent --name np-test --set 2>/dev/null || STICKY=no
in_ns node-a iptables -F OUTPUT
objects "$STICKY"
check "iptables: loads" load_iptables
both_families iptables
check "iptables: loads again, for the jumps there are, and changes nothing" \
	unchanged iptables reload_iptables
world_kubeproxy_off node-a
check "nftables: loads" load_nftables
both_families nftables
refused "nftables: no such port of a clusterIP" client-a 10.96.0.10:81
check "nftables: loads again, and changes nothing" unchanged nftables load_nftables
finish
