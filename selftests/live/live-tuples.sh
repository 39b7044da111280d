#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# One client port and one backend, met in every way at once and one after the other: through two
# services, through a service and directly, in either order, with and without conntrack, after a
# reset, after FINs; from pods, from outside and from the node's own processes. All conversations
# live and none gets another's packets.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
HOLD=(--keep --seconds 1.5 --interval-us 10000 --timeout-ms 1000)

declare -A NUMBER=([one]=1 [two]=2 [three]=3 [both]=4)

# service NAME PROTOCOL [POD]: all of them have server-b as an endpoint.
service() {
	local name=$1 n=${NUMBER[$1]} third=0 protocol=$2
	[[ $protocol == TCP ]] || third=1
	world_service "$1-${protocol,,}" collide "10.96.$third.$n,fd00:96::$third:$n" 80 \
		"$((30080 + n))" "$protocol"
	shift 2
	WORLD_PROTOCOL=$protocol world_slice "$name-${protocol,,}" collide "$WORLD_PORT" server-b "$@"
}

# to FAMILY NAME [PROTOCOL]: where a service is, or server-b itself if NAME is "direct".
to() {
	local n=${NUMBER[$2]:-} third=0
	[[ ${3:-TCP} == TCP ]] || third=1
	case $1-$2 in
	4-direct) echo "${WORLD_POD_IP4[server-b]}:$WORLD_PORT" ;;
	6-direct) echo "[${WORLD_POD_IP6[server-b]}]:$WORLD_PORT" ;;
	4-*) echo "10.96.$third.$n:80" ;;
	6-*) echo "[fd00:96::$third:$n]:80" ;;
	esac
}

# from FAMILY PORT: client-a with this port.
from() {
	if [[ $1 == 4 ]]; then
		echo "${WORLD_POD_IP4[client-a]}:$2"
	else
		echo "[${WORLD_POD_IP6[client-a]}]:$2"
	fi
}

# hold FAMILY NAME PORT [OPTIONS]: a conversation from client-a that goes on for a while.
hold() {
	local family=$1 name=$2 port=$3
	shift 3
	world_load_start "$name" client-a --connect "$(to "$family" "$name" "${PROTOCOL:-TCP}")" \
		--source "$(from "$family" "$port")" "${HOLD[@]}" "$@"
	wait_for holds "$family" "$name" "$port" || true
}

# Its socket has been connected; netload prints nothing before its end.
holds() {
	local peer
	peer=$(to "$1" "$2" "${PROTOCOL:-TCP}")
	[[ -n $(in_ns client-a ss -Htun state established dst "$peer" sport = :"$3") ]]
}

# held WHAT NAME...: they ended well, after having talked all the time.
held() {
	local what=$1 name
	shift
	for name in "$@"; do
		world_load_end "$name" || true
		check_equal "$what: \"$name\" failed" "0" \
			"$(world_result "$name" failed)$(world_names "$name" errors | sed 's/^/ /')"
		check "$what: \"$name\" talked all the time" \
			test "$(world_result "$name" messages)" -ge 50
		check_equal "$what: \"$name\" reached" "server-b 1" \
			"$(world_names "$name" servers)"
	done
}

two_services() {
	local f=$1 moved
	moved=$(counter_of node-a ingress port_moved)
	hold "$f" one 41001
	hold "$f" two 41001
	hold "$f" three 41001
	held "IPv$f, three services from one port" one two three
	check_equal "IPv$f, three services from one port: two were given another" \
		"$((moved + 2))" "$(counter_of node-a ingress port_moved)"
}

two_services_udp() {
	local f=$1
	PROTOCOL=UDP hold "$f" one 41002 --udp
	PROTOCOL=UDP hold "$f" two 41002 --udp
	held "IPv$f UDP, two services from one port" one two
}

# From outside, where the source is translated anyway.
two_node_ports() {
	local n from
	for n in 1 2 3; do
		from=$WORLD_OUTSIDE_IP4:41003
		world_load_start "port-$n" outside --source "$from" "${HOLD[@]}" \
			--connect "${WORLD_NODE_IP4[node-a]}:$((30080 + n))"
	done
	held "three NodePorts from one port" port-1 port-2 port-3
}

# A reset ends a flow at once: the next one with this port is nobody's but its own.
after_reset() {
	local f=$1 name failed=0
	for _ in {1..10}; do
		for name in one direct two direct; do
			world_load reset client-a --connect "$(to "$f" "$name")" --linger0 \
				--source "$(from "$f" 41004)" --timeout-ms 900 ||
				failed=$((failed + 1))
		done
	done
	check_equal "IPv$f, one port again and again, each ended by a reset: failed" 0 "$failed"
	world_load again client-a --connect "$(to "$f" one)" --source "$(from "$f" 41005)" \
		--linger0 --count 200 --timeout-ms 900 || true
	check_equal "IPv$f, 200 connections to one service from one port: failed" 0 \
		"$(world_result again failed)"
}

direct_beside_service() {
	local f=$1
	hold "$f" one 41006
	hold "$f" direct 41006
	held "IPv$f, direct beside a service" one direct
	world_load after client-a --connect "$(to "$f" one)" --source "$(from "$f" 41007)" \
		--linger0 || true
	hold "$f" direct 41007
	held "IPv$f, direct after a service" direct
}

# A pod's own socket tells of its direct connections; conntrack, which runs where a rule asks for
# it, of those of others too.
conntrack_on() {
	in_ns node-a nft -f - <<-'END'
		table inet track {
			chain forward {
				type filter hook forward priority 0;
				ct state established counter accept
			}
		}
	END
}

# service_beside_direct FAMILY PORT WHAT
service_beside_direct() {
	local f=$1
	hold "$f" direct "$2"
	hold "$f" one "$2"
	held "IPv$f, a service beside a direct connection, $3" direct one
}

# The first datagram that goes to the pod itself gets around the flow to it.
direct_beside_service_udp() {
	local f=$1
	PROTOCOL=UDP hold "$f" one 41009 --udp
	PROTOCOL=UDP hold "$f" direct 41009 --udp
	PROTOCOL=UDP hold "$f" two 41009 --udp
	held "IPv$f UDP, direct beside two services from one port" one direct two
}

# Closed by FINs, the server's last: the port can be had at once, its old flows are in TIME_WAIT.
after_fins() {
	local f=$1 name failed=0
	for name in one two direct two one direct one; do
		world_load fins client-a --connect "$(to "$f" "$name")" --bytes 1000 \
			--source "$(from "$f" 41010)" --timeout-ms 900 --linger0 || failed=$((failed + 1))
	done
	check_equal "IPv$f, one port again and again, with data: failed" 0 "$failed"
	for name in one two direct; do
		in_ns client-a python3 - "$(to "$f" "$name")" <<-'END' || failed=$((failed + 1))
			import socket, sys
			host, port = sys.argv[1].rsplit(":", 1)
			host = host.strip("[]")
			s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
			s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			s.bind(("", 41011))
			s.settimeout(2)
			s.connect((host, int(port)))
			assert s.recv(100).startswith(b"server-b")
			s.shutdown(socket.SHUT_WR)
			while s.recv(100):
			    pass
		END
	done
	check_equal "IPv$f, one port again in TIME_WAIT, by two services and directly: failed" 0 \
		"$failed"
}

# The node's own processes: by any port at once, and by one port one after the other.
from_node() {
	local f=$1 name failed=0
	for name in one two three direct; do
		world_load_start "node-$name" node-a --connect "$(to "$f" "$name")" --count 300 \
			--concurrency 50 --timeout-ms 3000
	done
	for name in one two three direct; do
		world_load_end "node-$name" || true
		check_equal "IPv$f, the node to \"$name\", 300 at once with the others: failed" 0 \
			"$(world_result "node-$name" failed)"
	done
	for name in one direct two one direct; do
		world_load node-again node-a --connect "$(to "$f" "$name")" --linger0 \
			--source "$([[ $f == 4 ]] && echo 0.0.0.0:5012 || echo "[::]:5012")" \
			--timeout-ms 900 || { failed=$((failed + 1)); cat "$NP_DIR/load-node-again.log"; }
	done
	check_equal "IPv$f, the node from one port again and again: failed" 0 "$failed"
	beside_from_node "$f"
}

# A port of the node that talks to server-b: by another service it is given the other endpoint.
beside_from_node() {
	local f=$1 any=0.0.0.0:5013
	[[ $f == 4 ]] || any="[::]:5013"
	world_load_start node-held node-a --connect "$(to "$f" one)" --source "$any" "${HOLD[@]}"
	wait_for holds_at node-a 5013 || true
	world_load node-beside node-a --connect "$(to "$f" both)" --source "$any" --linger0 \
		--count 10 --timeout-ms 900 || true
	check_equal "IPv$f, the node to another service from a port in use: failed, who answered" \
		"0 server-a 10" "$(world_result node-beside failed) $(world_names node-beside servers)"
	world_load_end node-held || true
	check_equal "IPv$f, the first goes on: failed" 0 "$(world_result node-held failed)"
}

holds_at() {
	[[ -n $(in_ns "$1" ss -Htn state established sport = :"$2") ]]
}

# What the collisions left behind does not hinder others.
afterwards() {
	world_reach "afterwards, all is well" client-a server-b "${WORLD_POD_IP4[client-a]}" \
		--connect "$(to 4 one)" --count 100 --concurrency 10 --linger0
}

main() {
	local name f
	np_init
	world_cgroup
	world_build
	for name in one two three; do
		service "$name" TCP
		service "$name" UDP
	done
	WORLD_HINTS=off service both TCP server-a
	world_nearpath node-a
	world_apply node-a
	for f in 4 6; do
		service_beside_direct "$f" 41013 "without conntrack"
		direct_beside_service_udp "$f"
		from_node "$f"
	done
	conntrack_on
	for f in 4 6; do
		two_services "$f"
		two_services_udp "$f"
		after_reset "$f"
		direct_beside_service "$f"
		service_beside_direct "$f" 41008 "with conntrack"
		after_fins "$f"
	done
	two_node_ports
	afterwards
	finish
}

main "$@"
