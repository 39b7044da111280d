#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# A node is moved from kube-proxy's rules (iptables, then nftables) to nearpath and back, while
# long-lived TCP and streams of UDP run and new connections are made all the time: from a pod, from
# the node itself and from outside, with and without source translation, IPv4 and IPv6. Nobody may
# notice: no connection fails, every stream stays with the server it has, and new connections are
# those of who is to have them.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

SCALE=${LIVE_SCALE:-1}
WORLD_DELAY_MS=0
IP=10.96.0.10
IP6=fd00:96::10
DNS=10.96.0.53
DNS6=fd00:96::53
PROBES=8 # services that only who() uses, each once: a port used again may be in conntrack still
TURN=0
NODE_A=${WORLD_NODE_IP4[node-a]}
NODE_A6=${WORLD_NODE_IP6[node-a]}
HELD=6 # connections of each way
DEVICES=(cali1 cali2 eth0 zlink)

# Label, namespace, protocol, frontend.
WAYS=(
	"pod client-a tcp $IP:80"
	"pod6 client-a tcp [$IP6]:80"
	"out outside tcp $NODE_A:30080"
	"out6 outside tcp [$NODE_A6]:30080"
	"node node-a tcp $IP:80"
	"node6 node-a tcp [$IP6]:80"
	"pod-udp client-a udp $DNS:53"
	"pod6-udp client-a udp [$DNS6]:53"
	"out-udp outside udp $NODE_A:30053"
	"out6-udp outside udp [$NODE_A6]:30053"
	"node-udp node-a udp $DNS:53"
	"node6-udp node-a udp [$DNS6]:53"
)

objects() {
	local i
	world_service web takeover "$IP,$IP6" 80 30080
	world_slice web takeover "$WORLD_PORT" server-a server-b
	world_service dns takeover "$DNS,$DNS6" 53 30053 UDP
	WORLD_PROTOCOL=UDP world_slice dns takeover "$WORLD_PORT" server-a server-b
	for ((i = 0; i < PROBES; i++)); do
		world_service "web$i" probe "10.96.1.$i,fd00:96::1:$i" 80 $((30100 + i))
		world_slice "web$i" probe "$WORLD_PORT" server-a server-b
		world_service "dns$i" probe "10.96.1.$i,fd00:96::1:$i" 53 0 UDP
		WORLD_PROTOCOL=UDP world_slice "dns$i" probe "$WORLD_PORT" server-a server-b
	done
}

# --- loads -----------------------------------------------------------------------------------

# Connections and streams that are held until told to end, of a generation.
hold_all() {
	local generation=$1 way label name protocol to
	local -a udp
	for way in "${WAYS[@]}"; do
		read -r label name protocol to <<<"$way"
		udp=()
		[[ $protocol == tcp ]] || udp=(--udp)
		world_load_start "$generation-$label" "$name" --connect "$to" "${udp[@]}" --keep \
			--seconds 600 --concurrency "$HELD" --interval-us 25000 --timeout-ms 4000
	done
	for way in "${WAYS[@]}"; do
		read -r label name protocol to <<<"$way"
		wait_for -t 20 holds "$generation-$label" || die "$generation-$label did not begin"
	done
}

# All of them were answered once: the kernel knows of sockets that are connected, and then some.
holds() {
	local pid=${NP_PIDS[load-$1]}
	[[ $(find "/proc/$pid/fd" -lname 'socket:*' | wc -l) -ge $HELD ]]
}

# New connections all the time, one after the other's end.
churn_all() {
	local what
	world_load_start churn-pod client-a --connect "$IP:80" "${CHURN[@]}"
	world_load_start churn-out6 outside --connect "[$NODE_A6]:30080" "${CHURN[@]}"
	world_load_start churn-node node-a --connect "$IP:80" "${CHURN[@]}"
	world_load_start churn-udp client-a --udp --connect "$DNS:53" "${CHURN[@]}"
	world_load_start churn-out-udp outside --udp --connect "$NODE_A:30053" "${CHURN[@]}"
}
CHURN=(--seconds 600 --rate 40 --concurrency 10 --linger0 --timeout-ms 4000)

# end_load LABEL: no connection of it failed.
end_load() {
	kill -TERM "${NP_PIDS[load-$1]}" 2>/dev/null || true # it may have ended by failing
	world_load_end "$1" || true
	check_equal "$1: failed of $(world_result "$1" attempted)" 0 "$(world_result "$1" failed)"
	[[ $(world_result "$1" failed) == 0 ]] || world_names "$1" errors
}

end_generation() {
	local way label sum=0
	for way in "${WAYS[@]}"; do
		read -r label _ <<<"$way"
		end_load "$1-$label"
		sum=$((sum + $(world_result "$1-$label" messages)))
	done
	echo "       $sum messages"
}

end_churn() {
	local label sum=0
	for label in churn-pod churn-out6 churn-node churn-udp churn-out-udp; do
		end_load "$label"
		sum=$((sum + $(world_result "$label" ok)))
	done
	echo "       $sum new connections"
}

# --- who carries -----------------------------------------------------------------------------

# Connections to the services of a namespace that nearpath gave a backend.
given() {
	nearpath_at node-a -o json service list |
		jq --arg ns "$1" '[.services[] | select(.namespace == $ns) | .connections |
			.node + .zone + .other_zone + .unknown] | add'
}

# who WHAT CARRIER: new connections succeed, and it is CARRIER that sets them up: as nearpath's they
# stay in the zone.
who() {
	local what=$1 server=any before after ip=10.96.1.$TURN ip6=fd00:96::1:$TURN
	[[ $2 != nearpath ]] || server="server-a"
	before=$(given probe)
	world_reach "$what: pod" client-a "$server" any --connect "$ip:80" --count 20 --linger0
	world_reach "$what: outside" outside "$server" any --connect "[$NODE_A6]:$((30100 + TURN))" \
		--count 20 --linger0
	world_reach "$what: node" node-a "$server" any --connect "[$ip6]:80" --count 20 --linger0
	world_reach "$what: pod, UDP" client-a "$server" any --udp --connect "[$ip6]:53" \
		--count 20
	after=$(given probe)
	TURN=$((TURN + 1))
	if [[ $2 == nearpath ]]; then
		check_equal "$what: new connections are nearpath's" 80 "$((after - before))"
	else
		check_equal "$what: new connections are kube-proxy's" 0 "$((after - before))"
	fi
}

left() {
	nearpath_at node-a -o json status | jq '[.counters[] | .left_to_conntrack // 0] | add'
}

lbs() {
	nearpath_at node-a -o json iface list | jq -r '[.ifaces[].lb] | unique | join(",")'
}

# Time for loads to notice; with LIVE_SCALE, more of it.
pause() {
	local i
	for ((i = 0; i < SCALE; i++)); do
		sleep 0.4
	done
}

# --- the parts -------------------------------------------------------------------------------

# A SYN that was lost is sent again when the interface is nearpath's already.
syn_again() {
	local pod before
	for pod in server-a server-b; do
		in_ns "$pod" nft -f - <<-'END'
			table inet deaf {
				chain input {
					type filter hook input priority 0;
					tcp flags syn tcp dport 8080 drop
				}
			}
		END
	done
	world_load_start syn client-a --connect "$IP:80" --count 8 --concurrency 8 --timeout-ms 20000
	wait_for -t 20 waiting 8 || die "the SYNs were not sent"
	before=$(given takeover)
	nearpath_at node-a iface set cali1 lb=on >/dev/null
	for pod in server-a server-b; do
		in_ns "$pod" nft delete table inet deaf
	done
	world_load_end syn || true
	check_equal "a SYN sent again: failed" 0 "$(world_result syn failed)"
	check_equal "a SYN sent again: it is left to conntrack" 0 "$(($(given takeover) - before))"
	nearpath_at node-a iface set cali1 lb=drain >/dev/null
}

waiting() {
	[[ $(in_ns client-a ss -Htn state syn-sent | wc -l) -ge $1 ]]
}

one_by_one() {
	local dev
	for dev in "${DEVICES[@]}"; do
		nearpath_at node-a iface set "$dev" lb=on >/dev/null
		pause
	done
	check "streams of UDP were left to conntrack" test "$(left)" -gt 0
}

take_over() {
	nearpath_at node-a takeover >"$NP_DIR/takeover" || fail "takeover"
	sed 's/^/       | /' "$NP_DIR/takeover"
	check_equal "takeover: every interface is on" on "$(lbs)"
	nearpath_at node-a -o json takeover >"$NP_DIR/takeover.json"
	check_equal "takeover again: nothing changes" 0 \
		"$(jq '[.ifaces[] | select(.was != .lb)] | length' "$NP_DIR/takeover.json")"
	check_equal "takeover: it tells the rules of $1, of both families" IPv4,IPv6 \
		"$(jq -r --arg kind "$1" '[.kube_proxy.rules[] | select(.kind == $kind and .rules > 9)
			.family] | sort | join(",")' "$NP_DIR/takeover.json")"
	check "takeover: it counts what the kernel carries ($(jq .kube_proxy.connections \
		"$NP_DIR/takeover.json") connections of $((HELD * ${#WAYS[@]})) held)" \
		test "$(jq .kube_proxy.connections "$NP_DIR/takeover.json")" \
		-ge "$((HELD * ${#WAYS[@]}))"
	check_equal "takeover: the ports are told" 2 \
		"$(jq '[.kube_proxy.ports[] | select(.held)] | length | if . >= 2 then 2 else . end' \
			"$NP_DIR/takeover.json")"
}

go_back() {
	nearpath_at node-a takeover --undo >"$NP_DIR/undo" || fail "takeover --undo"
	sed 's/^/       | /' "$NP_DIR/undo"
	check_equal "undo: every interface is drained" drain "$(lbs)"
	check "undo: nearpath's flows are counted" grep -Eq '^flows +[1-9][0-9]* ' "$NP_DIR/undo"
	check_equal "undo again: nothing changes" 0 "$(nearpath_at node-a -o json takeover --undo |
		jq '[.ifaces[] | select(.was != .lb)] | length')"
}

# Sockets of the node that name their destination with every datagram, and such that speak IPv4 by
# IPv6: what those send comes to the programs as if they named their peer with every datagram.
mapped_begin() {
	local i
	mkfifo "$NP_DIR/mapped.to" "$NP_DIR/mapped.from"
	ip netns exec "$(ns node-a)" python3 "$NP_SELFTESTS/tools/sockclient.py" \
		<"$NP_DIR/mapped.to" >"$NP_DIR/mapped.from" 2>/dev/null &
	NP_PIDS[mapped]=$!
	exec {MAPPED_TO}>"$NP_DIR/mapped.to" {MAPPED_FROM}<"$NP_DIR/mapped.from"
	for ((i = 0; i < HELD; i++)); do
		mapped_ask "udp6 $i"
		mapped_ask "connect $i ::ffff:$DNS 53"
		mapped_ask "udp4 to$i"
		mapped_ask "udp6 six$i"
	done
}

mapped_ask() {
	echo "$1" >&"$MAPPED_TO"
	read -r -t 10 -u "$MAPPED_FROM" ANSWER || ANSWER="no answer"
}

# Who answers each of them.
mapped_servers() {
	local i servers=''
	for ((i = 0; i < HELD; i++)); do
		mapped_ask "send $i"
		servers+="${ANSWER%% *} "
		mapped_ask "sendto to$i $DNS 53"
		servers+="${ANSWER%% *} "
		mapped_ask "sendto six$i $DNS6 53"
		servers+="${ANSWER%% *} "
	done
	echo "$servers"
}

mapped_end() {
	exec {MAPPED_TO}>&- {MAPPED_FROM}<&-
	stop mapped
	rm "$NP_DIR/mapped.to" "$NP_DIR/mapped.from"
}

# What was switched is so for a daemon that starts again.
returns() {
	local before
	before=$(lbs)
	kill_daemon node-a
	world_nearpath node-a
	check_equal "a daemon that starts again knows" "$before" "$(lbs)"
}

over_and_back() {
	local kind=$1 servers=$2
	who "$kind: before" kube-proxy
	churn_all
	one_by_one
	take_over "$kind"
	pause
	who "$kind: after takeover" nearpath
	check_equal "$kind: the node's sockets stay" "$servers" "$(mapped_servers)"
	hold_all young
	returns
	check_equal "$kind: and when a daemon starts again" "$servers" "$(mapped_servers)"
	mapped_end
	pause
	go_back
	pause
	who "$kind: after undo" kube-proxy
	returns
	pause
	end_churn
	end_generation old
	end_generation young
}

# Who answers three datagrams from one port.
dns_server() {
	world_load dns client-a --udp --connect "$DNS:53" \
		--source "${WORLD_POD_IP4[client-a]}:45020" --count 3 >&2 || true
	world_names dns servers | cut -d ' ' -f 1 | xargs
}

# What conntrack carries stays with its endpoint as long as that serves: kube-proxy may have ended.
endpoint_goes() {
	local first other=server-a
	first=$(dns_server)
	[[ $first != server-a ]] || other="server-b"
	nearpath_at node-a takeover >/dev/null || fail "takeover"
	check_equal "UDP of kube-proxy stays with its endpoint" "$first" "$(dns_server)"
	WORLD_PROTOCOL=UDP world_slice dns takeover "$WORLD_PORT" "$other"
	world_apply node-a
	check_equal "and goes to the other when that serves no more" "$other" "$(dns_server)"
	WORLD_PROTOCOL=UDP world_slice dns takeover "$WORLD_PORT" server-a server-b
	world_apply node-a
}

# The daemon comes to a node on which kube-proxy serves, and is told the objects when it is drained.
by_iptables() {
	local servers
	world_kubeproxy node-a
	hold_all old
	mapped_begin
	servers=$(mapped_servers)
	world_nearpath node-a
	nearpath_at node-a takeover --undo >/dev/null || fail "undo without a takeover"
	world_apply node-a
	syn_again
	over_and_back iptables-nft "$servers"
	endpoint_goes
	nearpath_at node-a iface set cali2 lb=off >/dev/null
	nearpath_at node-a takeover >/dev/null
	check_equal "what was off is on" on "$(lbs)"
	world_kubeproxy_off node-a
	check "undo without kube-proxy's rules is refused" refused "there are no rules of kube-proxy" \
		takeover --undo
	check_equal "and changes nothing" on "$(lbs)"
	legacy
}

# Rules of iptables-legacy are read by another way.
legacy() {
	local legacy
	legacy=$(command -v iptables-legacy-restore) || return 0
	world_rules iptables | in_ns node-a "$legacy" 2>/dev/null ||
		return 0 # not in this kernel
	nearpath_at node-a -o json takeover --undo >"$NP_DIR/legacy.json" || fail "undo, legacy"
	check_equal "iptables-legacy: the rules are counted, but for the chain that is kubelet's too" \
		"iptables-legacy IPv4 $(in_ns node-a iptables-legacy-save | grep '^-A KUBE-' |
			grep -vc '^-A KUBE-FIREWALL ')" \
		"$(jq -r '.kube_proxy.rules[] | "\(.kind) \(.family) \(.rules)"' "$NP_DIR/legacy.json")"
	printf '*%s\nCOMMIT\n' nat filter mangle | in_ns node-a "$legacy"
	nearpath_at node-a takeover >/dev/null
}

refused() {
	local words=$1 out
	shift
	if out=$(nearpath_at node-a "$@" 2>&1); then
		echo "it was not refused: $out"
		return 1
	fi
	grep -q "$words" <<<"$out" || { echo "$out" && return 1; }
}

# The daemon goes away and comes again, with all it knew, and is on at once.
by_nftables() {
	local servers
	stop_daemon node-a
	cleanup_daemon node-a >/dev/null 2>&1
	rm -f "$(daemon_dir node-a)/state/ifaces.json"
	world_kubeproxy_nftables node-a
	hold_all old
	mapped_begin
	servers=$(mapped_servers)
	world_nearpath node-a
	world_apply node-a
	who "nftables: a daemon that starts" nearpath
	check_equal "nftables: the node's sockets stay" "$servers" "$(mapped_servers)"
	nearpath_at node-a takeover --undo >/dev/null || fail "undo without a takeover"
	over_and_back nftables "$servers"
}

main() {
	np_init
	world_cgroup
	world_build
	objects
	by_iptables
	by_nftables
	finish
}

main "$@"
