#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# How long flows live: states by what real sockets do in either direction, timeouts as they were
# set, a port that is used again, records that expire whether or not a daemon runs, and counters
# that tell the truth.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
IP=10.96.0.10
BOTH=10.96.0.20
TIMEOUTS=tcp_syn_sent=2s,tcp_fin_wait=2s,tcp_close_wait=60s,tcp_time_wait=3s,tcp_close=2s
TIMEOUTS+=,tcp_established=6s,udp=2s,udp_replied=3s,udp_stream=8s,tcp_last_ack=2s

objects() {
	world_service one live "$IP" 80
	WORLD_FAMILIES=4 world_slice one live 9000 server-b
	world_service both live "$BOTH" 80
	WORLD_FAMILIES=4 world_slice both live "$WORLD_PORT" server-a server-b
	world_service dns live 10.96.0.53 53 0 UDP
	WORLD_PROTOCOL=UDP WORLD_FAMILIES=4 world_slice dns live "$WORLD_PORT" server-b
	world_service nobody live 10.96.0.40 80
	WORLD_FAMILIES=4 world_slice nobody live 9999 server-b
}

# The two ends of a connection are two loops of Python that do what they are told, a line each:
# the server accepts, the client connects from its port, and then both take "recv", "send", "fin"
# (shutdown), "rst" and "close".
player() {
	cat <<-'END'
		import socket, struct, sys
		role, address, port, own = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		if role == "server":
		    s.bind((address, port))
		    s.listen(16)
		    print("ready", flush=True)
		else:
		    s.bind(("0.0.0.0", own))
		    s.settimeout(5)
		for line in sys.stdin:
		    word = line.strip()
		    try:
		        if word == "accept":
		            c = s.accept()[0]
		            c.settimeout(5)
		        elif word == "connect":
		            s.connect((address, port))
		            c = s
		        elif word == "send":
		            c.sendall(b"x")
		        elif word == "recv":
		            assert c.recv(1) == b"x"
		        elif word == "end":
		            assert c.recv(1) == b""
		        elif word == "fin":
		            c.shutdown(socket.SHUT_WR)
		        elif word == "rst":
		            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		            c.close()
		        elif word == "close":
		            c.close()
		        print("done", word, flush=True)
		    except Exception as e:
		        print("failed", word, repr(e), flush=True)
	END
}

# begin ROLE NAME ADDRESS PORT OWN-PORT
begin() {
	mkfifo "$NP_DIR/$1.in"
	player >"$NP_DIR/player.py"
	ip netns exec "$(ns "$2")" python3 "$NP_DIR/player.py" "$1" "$3" "$4" "$5" \
		<"$NP_DIR/$1.in" >"$NP_DIR/$1.out" 2>&1 &
	NP_PIDS[$1]=$!
	if [[ $1 == server ]]; then
		exec 7>"$NP_DIR/$1.in"
	else
		exec 8>"$NP_DIR/$1.in"
	fi
}

# both "SERVER-WORD" or "CLIENT-WORD": tell ROLE WORD, and wait for its answer.
tell() {
	local before
	before=$(grep -c '^done\|^failed' "$NP_DIR/$1.out" || true)
	if [[ $1 == server ]]; then
		echo "$2" >&7
	else
		echo "$2" >&8
	fi
	[[ ${3:-} == later ]] || wait_for -t 6 answered "$1" "$before" ||
		fail "$1 did not answer \"$2\""
	! grep '^failed' "$NP_DIR/$1.out" || fail "$1: $2"
}

answered() {
	[[ $(grep -c '^done\|^failed' "$NP_DIR/$1.out") -gt $2 ]]
}

end_players() {
	exec 7>&- 8>&-
	stop client
	stop server
	rm -f "$NP_DIR"/{client,server}.{in,out}
}

state() {
	nearpath_at node-a -o json flow list |
		jq -r "[.flows[] | select(.client == \"${WORLD_POD_IP4[client-a]}:$1\") | .state] | join(\" \")"
}

# state_is WHAT PORT WANTED: packets may still be on their way.
state_is() {
	wait_for -t 2 is_state "$2" "$3" || true
	check_equal "$1" "$3" "$(state "$2")"
}

is_state() {
	[[ $(state "$1") == "$2" ]]
}

# open_pair PORT: a connection of client-a from this port to the player behind the service.
open_pair() {
	begin server server-b 10.2.0.20 9000 0
	wait_for grep -qx ready "$NP_DIR/server.out" || die "no server"
	begin client client-a "$IP" 80 "$1"
	tell server accept later
	tell client connect
	tell client send
	tell server recv
}

# half_closed FIRST SECOND PORT: FIRST ends its half; data goes on the other way for longer than a
# FIN alone would be waited for.
half_closed() {
	local first=$1 second=$2 port=$3
	open_pair "$port"
	state_is "established" "$port" tcp_established
	tell "$first" fin
	tell "$second" end
	state_is "FIN of the $first, acknowledged" "$port" tcp_close_wait
	sleep 2.5
	tell "$second" send
	tell "$first" recv
	state_is "half-closed by the $first for longer than tcp_fin_wait: data still comes" "$port" \
		tcp_close_wait
	tell "$second" close
	state_is "then FIN of the $second, acknowledged" "$port" tcp_time_wait
	end_players
}

# reset_by WHO PORT
reset_by() {
	open_pair "$2"
	tell "$1" rst
	state_is "RST of the $1" "$2" tcp_close
	end_players
}

# The same port again and again, while conntrack would be in TIME_WAIT: a choice each time.
used_again() {
	local failed=0
	for _ in {1..12}; do
		world_load again client-a --connect "$BOTH:80" --timeout-ms 900 --linger0 \
			--source "${WORLD_POD_IP4[client-a]}:42000" || failed=$((failed + 1))
		world_names again servers
	done >"$NP_DIR/again"
	check_equal "12 connections from one port, each ended by a reset: failed" 0 "$failed"
	check_equal "they were given both endpoints" "server-a server-b" \
		"$(cut -d ' ' -f 1 "$NP_DIR/again" | sort -u | xargs)"
	failed=0
	for _ in {1..12}; do
		in_ns client-a python3 - "$BOTH" <<-'END' || failed=$((failed + 1))
			import socket, sys
			s = socket.socket()
			s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			s.bind(("0.0.0.0", 42001))
			s.settimeout(2)
			s.connect((sys.argv[1], 80))
			name = s.recv(100).split()[0].decode()
			s.shutdown(socket.SHUT_WR)
			while s.recv(100):
			    pass
			print(name)
			# The server's end waits, this one does not: the port can be had at once.
			s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
		END
	done >"$NP_DIR/again"
	check_equal "12 more, each ended by FINs: failed" 0 "$failed"
	check_equal "they were given both endpoints, too" "server-a server-b" \
		"$(sort -u "$NP_DIR/again" | xargs)"
}

udp_states() {
	world_load_start stream client-a --udp --connect 10.96.0.53:53 --keep --seconds 4 \
		--interval-us 300000 --source "${WORLD_POD_IP4[client-a]}:43000"
	state_is "UDP, answered" 43000 udp_replied
	wait_for -t 4 is_state 43000 udp_stream || true
	check_equal "UDP, answered for more than two seconds" udp_stream "$(state 43000)"
	world_load_end stream || true
	check_equal "UDP: failed" 0 "$(world_result stream failed)"
	world_load silent client-a --udp --connect 10.96.0.40:80 --timeout-ms 100 || true
}

flows() {
	nearpath_at node-a -o json status | jq '.tables.flows4.used + .tables.flows6.used'
}

swept() {
	[[ $(flows) == 0 && -z $(nearpath_at node-a flow list | tail -n +2) ]]
}

counted() {
	[[ $(flows) -ge 5 ]]
}

counters_are_true() {
	world_load_start five client-a --connect "$BOTH:80" --keep --count 5 --concurrency 5 \
		--seconds 23 --interval-us 500000
	check "flows are counted" wait_for -t 23 counted # in a whole round of ten seconds
	world_load_end five || true
	check "after the longest timeout no flow is listed or counted" wait_for -t 25 swept
	check "in the metrics neither" in_ns node-a bash -c \
		'! curl -s http://127.0.0.1:10249/metrics | grep "^nearpath_flows{" | grep -v " 0$"'
	in_ns node-a curl -s http://127.0.0.1:10249/metrics | grep '^nearpath_flows_expired' |
		sed 's/^/       /'
}

# 64 records, all held by live connections that then fall silent; nobody sweeps.
without_daemon() {
	local i
	stop_daemon node-a
	cleanup_daemon node-a
	world_nearpath node-a --flow-timeouts "$TIMEOUTS" --max-flows 64
	world_apply node-a
	world_load_start held client-a --connect "$BOTH:80" --keep --count 64 --concurrency 64 \
		--seconds 60 --interval-us 50000000 --timeout-ms 20000
	check "nearly all of 64 records are of live connections" wait_for -t 15 full
	kill_daemon node-a
	sleep 6.5
	for i in 1 2; do
		world_load "new-$i" client-a --connect "$BOTH:80" --count 40 --concurrency 10 \
			--timeout-ms 900 --linger0 || true
		check_equal "no daemon, they have expired: new connections, round $i: failed" 0 \
			"$(world_result "new-$i" failed)"
	done
}

full() {
	[[ $(nearpath_at node-a -o json flow list --limit 1 | jq '.states.tcp_established // 0') -ge 50 ]]
}

main() {
	np_init
	world_build
	objects
	world_nearpath node-a --flow-timeouts "$TIMEOUTS"
	world_apply node-a
	half_closed client server 41000
	half_closed server client 41001
	reset_by client 41002
	reset_by server 41003
	used_again
	udp_states
	counters_are_true
	without_daemon
	finish
}

main "$@"
