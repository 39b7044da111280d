#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The node's own processes: their sockets go to backends when they connect or send, and hear of
# frontends only. TCP, connected UDP and UDP that is not, IPv4, IPv6 and IPv4 in an IPv6 socket;
# policies, affinity, refusals; daemons that die, change their mind, and are two.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"
# shellcheck source=selftests/services.sh
. "$NP_SELFTESTS/services.sh"

WORLD_DELAY_MS=0
CHILD_CGROUP=

NAMESPACE=sock
declare -A NUMBER=([here]=1 [there]=2 [both]=3 [spread]=4 [sticky]=5 [none]=6 [external]=7
	[internal]=8 [balancer]=9)
declare -A CLIENT_TO=() CLIENT_FROM=() # file descriptors of the clients

# --- the services ----------------------------------------------------------------------------

objects() {
	local protocol
	for protocol in TCP UDP; do
		service here "$protocol" '' server-a
		service there "$protocol" '' server-b
		service both "$protocol" '' server-a server-b
		WORLD_HINTS=off service spread "$protocol" '' server-a server-b
		WORLD_HINTS=off service sticky "$protocol" '"sessionAffinity":"ClientIP"' \
			server-a server-b
		service none "$protocol" '' server-a:notready
		service external "$protocol" '"externalTrafficPolicy":"Local"' server-b
		service internal "$protocol" '"internalTrafficPolicy":"Local"' server-b
		balancer "$protocol"
	done
}

# --- the processes ---------------------------------------------------------------------------

# client LABEL NAME: a sockclient in namespace NAME, for ask.
client() {
	local label=$1 name=$2 to from
	mkfifo "$NP_DIR/$label.to" "$NP_DIR/$label.from"
	ip netns exec "$(ns "$name")" python3 "$NP_SELFTESTS/tools/sockclient.py" \
		<"$NP_DIR/$label.to" >"$NP_DIR/$label.from" 2>"$NP_DIR/$label.log" &
	NP_PIDS[$label]=$!
	exec {to}>"$NP_DIR/$label.to" {from}<"$NP_DIR/$label.from"
	CLIENT_TO[$label]=$to
	CLIENT_FROM[$label]=$from
}

# ask LABEL COMMAND...: its answer.
ask() {
	local label=$1 answer=''
	shift
	echo "$*" >&"${CLIENT_TO[$label]}"
	read -r -t 10 -u "${CLIENT_FROM[$label]}" answer || answer="no answer"
	echo "$answer"
}

# told WHAT WANTED LABEL COMMAND...: what ask answers; the ports of clients are left out.
told() {
	local what=$1 wanted=$2 got
	shift 2
	got=$(ask "$@" | sed -E 's/ from \[?([0-9a-f.:]+[0-9a-f])\]?:[0-9]+/ from \1/')
	check_equal "$what" "$wanted" "$got"
}

# quiet LABEL COMMAND...: one that must go well.
quiet() {
	local answer
	answer=$(ask "$@")
	[[ $answer == ok ]] || fail "$*: $answer"
}

# The address node-a has towards a pod, as the pod sees it.
node_towards() {
	local ip=${WORLD_POD_IP4[$2]}
	[[ $1 == 4 ]] || ip=${WORLD_POD_IP6[$2]}
	ns_ip node-a -o route get "$ip" | sed -n 's/.* src \([^ ]*\).*/\1/p'
}

# --- one by one ------------------------------------------------------------------------------

# frontends PROTOCOL FAMILY: lines "WHAT ADDRESS PORT SERVER".
frontends() {
	local protocol=$1 cluster_here cluster_there f=1
	[[ $2 == 4 ]] || f=2
	cluster_here=$(ips here "$protocol" | cut -d , -f "$f")
	cluster_there=$(ips there "$protocol" | cut -d , -f "$f")
	if [[ $2 == 4 ]]; then
		printf '%s\n' "external-IP 192.0.2.10 80 server-b" "VIP 192.0.2.20 80 server-b" \
			"NodePort ${WORLD_NODE_IP4[node-a]} 30001 server-a" \
			"localhost-NodePort 127.0.0.1 30001 server-a" \
			"localhost-NodePort 127.1.2.3 30002 server-b"
	else
		printf '%s\n' "external-IP 2001:db8::10 80 server-b" "VIP 2001:db8::20 80 server-b" \
			"NodePort ${WORLD_NODE_IP6[node-a]} 30001 server-a" \
			"localhost-NodePort ::1 30001 server-a"
	fi
	printf '%s\n' "ClusterIP $cluster_here 80 server-a" "ClusterIP $cluster_there 80 server-b"
}

# Sockets of KIND (tcp4, udp6 ...) to every kind of frontend of FAMILY: 4 from a socket for IPv6 is
# ::ffff:a.b.c.d.
all_frontends() {
	local kind=$1 family=$2 protocol=TCP what address port server from shown
	[[ $kind == tcp* ]] || protocol=UDP
	while read -r what address port server; do
		from=$(node_towards "$family" "$server")
		[[ $kind == *4 || $family == 6 ]] || from=::ffff:$from address=::ffff:$address
		shown=$address:$port
		[[ $kind == *4 ]] || shown="[$address]:$port"
		what="$kind: $what $address"
		from=${from#::ffff:} # the server says it so
		quiet c "$kind" s
		if [[ $kind == tcp* ]]; then
			told "$what" "$server from $from" c connect s "$address" "$port"
		else
			told "$what: sendto" "$server from $from by $shown" \
				c sendto s "$address" "$port"
			quiet c close s
			quiet c "$kind" s
			quiet c connect s "$address" "$port"
			told "$what: connected" "$server from $from by $shown" c send s
			told "$what: connected, sendto" "$server from $from by $shown" \
				c sendto s "$address" "$port"
		fi
		told "$what: getpeername" "$shown" c peer s
		quiet c close s
	done < <(frontends "$protocol" "$family")
}

everywhere() {
	local kind
	for kind in tcp udp; do
		all_frontends "${kind}4" 4
		all_frontends "${kind}6" 6
		all_frontends "${kind}6" 4
	done
	quiet c tcp4 s
	told "0.0.0.0 is the host itself" "server-a from $(node_towards 4 server-a)" \
		c connect s 0.0.0.0 30001
	quiet c close s
}

# verdict WHAT WANTED KIND VERB ADDRESS PORT: of a fresh socket.
verdict() {
	quiet c "$3" s
	told "$1" "$2" c "$4" s "$5" "$6"
	quiet c close s
}

refusals() {
	local before
	verdict "no endpoint: TCP" ECONNREFUSED tcp4 connect 10.96.0.6 80
	verdict "no endpoint: TCP, IPv6" ECONNREFUSED tcp6 connect fd00:96::6 80
	verdict "no endpoint: TCP, IPv4 in IPv6" ECONNREFUSED tcp6 connect ::ffff:10.96.0.6 80
	verdict "no endpoint: NodePort" ECONNREFUSED tcp4 connect 127.0.0.1 30006
	verdict "no endpoint: connected UDP" ECONNREFUSED udp4 connect 10.96.1.6 80
	verdict "no endpoint: sendto" ECONNREFUSED udp4 sendto 10.96.1.6 80
	verdict "no endpoint: sendto, IPv6" ECONNREFUSED udp6 sendto fd00:96:1::6 80
	verdict "no such port: TCP" ECONNREFUSED tcp4 connect 10.96.0.1 81
	verdict "no such port: sendto" ECONNREFUSED udp4 sendto 10.96.0.1 80
	verdict "no such port: connected UDP sends nothing" ok udp4 connect 10.96.0.1 80
	verdict "policy Local, nothing local: TCP" timeout tcp4 connect 10.96.0.8 80
	verdict "policy Local, nothing local: sendto" EPERM udp4 sendto 10.96.1.8 80
	check_equal "refusals are counted" "7 2 1" "$(counter_of node-a sock no_endpoint) $(
		counter_of node-a sock no_such_port) $(counter_of node-a sock policy_drop)"
	check "and silence on the way out" test "$(counter_of node-a egress policy_drop)" -ge 1
	before=$(counter_of node-a sock no_endpoint)
	quiet c udp4 s
	quiet c connect s 10.96.1.1 80
	told "refused when connecting again" ECONNREFUSED c connect s 10.96.1.6 80
	told "it stays connected as it was" 10.96.1.1:80 c peer s
	quiet c close s
	check_equal "that counts too" "$((before + 1))" "$(counter_of node-a sock no_endpoint)"
}

# servers KIND ADDRESS PORT COUNT: who answers that many sockets.
servers() {
	local i verb=connect
	[[ $1 == tcp* ]] || verb=sendto
	for ((i = 0; i < $4; i++)); do
		quiet c "$1" s
		ask c "$verb" s "$2" "$3" | cut -d ' ' -f 1
		quiet c close s
	done | sort -u | xargs
}

policies() {
	check_equal "hints: the own zone" server-a "$(servers tcp4 10.96.0.3 80 10)"
	check_equal "hints: the own zone, UDP" server-a "$(servers udp6 fd00:96:1::3 80 10)"
	check_equal "no hints: all" "server-a server-b" "$(servers tcp4 10.96.0.4 80 30)"
	check_equal "no hints: all, UDP" "server-a server-b" "$(servers udp6 fd00:96:1::4 80 30)"
	check_equal "external policy Local: the node itself may go anywhere" server-b \
		"$(servers tcp4 "${WORLD_NODE_IP4[node-a]}" 30007 5)"
}

affinity() {
	local first
	first=$(servers tcp4 10.96.0.5 80 1)
	check_equal "affinity: 20 connections" "$first" "$(servers tcp4 10.96.0.5 80 20)"
	check_equal "affinity: by another frontend" "$first" \
		"$(servers tcp4 "${WORLD_NODE_IP4[node-a]}" 30005 20)"
	check "affinity is counted" test "$(counter_of node-a sock affinity)" -ge 20
	kill_daemon node-a
	check_equal "affinity: without a daemon" "$first" "$(servers tcp4 10.96.0.5 80 10)"
	world_nearpath node-a
	check_equal "affinity: after a restart" "$first" "$(servers tcp4 10.96.0.5 80 10)"
}

# many SOCKET ADDRESS PORT COUNT: who answers that many datagrams, by which names.
many() {
	local i
	for ((i = 0; i < $4; i++)); do
		ask c sendto "$1" "$2" "$3" | sed 's/ from .* by / by /'
	done | sort -u
}

datagrams() {
	local server other got
	quiet c udp4 s
	server=$(many s 10.96.1.4 80 1)
	check_equal "UDP: 20 datagrams of a socket are one conversation" "$server" \
		"$(many s 10.96.1.4 80 20)"
	told "UDP: another frontend from the same socket" \
		"server-b from $(node_towards 4 server-b) by 10.96.1.2:80" c sendto s 10.96.1.2 80
	check_equal "UDP: the first conversation goes on" "$server" "$(many s 10.96.1.4 80 5)"
	server=${server%% *}
	other="server-a"
	[[ $server == server-b ]] || other="server-b"
	WORLD_HINTS=off service spread UDP '' "$other"
	world_apply node-a
	check_equal "UDP: it ends when its endpoint is gone" "$other by 10.96.1.4:80" \
		"$(many s 10.96.1.4 80 5)"
	WORLD_HINTS=off service spread UDP '' server-a server-b
	world_apply node-a
	check_equal "UDP: and the next one stays too" "$other by 10.96.1.4:80" \
		"$(many s 10.96.1.4 80 20)"
	quiet c close s
	quiet c udp4 s
	quiet c post s 10.96.1.1 80
	quiet c post s 10.96.1.2 80
	got=$(for _ in 1 2; do ask c recv s | sed 's/ from .* by / by /'; done | sort | xargs)
	check_equal "UDP: answers are told apart" \
		"server-a by 10.96.1.1:80 server-b by 10.96.1.2:80" "$got"
	quiet c close s
}

# One backend behind two frontends, and the same without any.
one_backend() {
	local from pod=${WORLD_POD_IP4[server-a]} node=${WORLD_NODE_IP4[node-a]} round
	from="server-a from $(node_towards 4 server-a) by"
	quiet c udp4 s
	for round in 1 2; do
		told "one backend, $round: ClusterIP" "$from 10.96.1.1:80" c sendto s 10.96.1.1 80
		told "one backend, $round: NodePort" "$from $node:30001" c sendto s "$node" 30001
		told "one backend, $round: itself" "$from $pod:$WORLD_PORT" \
			c sendto s "$pod" "$WORLD_PORT"
	done
	quiet c close s
}

# Many frontends at a time: more than are remembered, the last ones are.
many_frontends() {
	local port
	quiet c udp4 s
	for port in 30001 30002 30001 30009 30002 30007; do
		many s 127.0.0.1 "$port" 1 >/dev/null
		many s 127.0.0.2 "$port" 1 >/dev/null
		many s 127.0.0.3 "$port" 1 >/dev/null
	done
	check_equal "many frontends: each answer has its name" "server-a by 127.0.0.9:30001" \
		"$(many s 127.0.0.9 30001 2)"
	quiet c close s
}

changes_of_mind() {
	local pod=${WORLD_POD_IP4[server-a]} from from_a
	from_a=$(node_towards 4 server-a) # which the kernel keeps when a socket connects again
	from="server-a from $from_a by"
	quiet c udp4 s
	quiet c connect s 10.96.1.1 80
	told "connected: getpeername" 10.96.1.1:80 c peer s
	quiet c connect s 10.96.1.2 80
	told "connected again: getpeername" 10.96.1.2:80 c peer s
	told "connected again: answers" "server-b from $from_a by 10.96.1.2:80" c send s
	quiet c connect s 10.96.1.1 80
	quiet c connect s "$pod" "$WORLD_PORT"
	told "connected to the pod itself: getpeername" "$pod:$WORLD_PORT" c peer s
	told "connected to the pod itself: answers" "$from $pod:$WORLD_PORT" c send s
	quiet c connect s 10.96.1.1 80
	quiet c disconnect s
	told "disconnected: no peer" ENOTCONN c peer s
	told "disconnected: to the pod itself" "$from $pod:$WORLD_PORT" c sendto s "$pod" "$WORLD_PORT"
	told "disconnected: to the frontend" "$from 10.96.1.1:80" c sendto s 10.96.1.1 80
	quiet c close s
	quiet c tcp4 s
	told "TCP: refused" ECONNREFUSED c connect s 10.96.0.6 80
	told "TCP: and then to the pod itself" "server-a from $(node_towards 4 server-a)" \
		c connect s "$pod" "$WORLD_PORT"
	told "TCP: getpeername is the pod" "$pod:$WORLD_PORT" c peer s
	quiet c close s
}

# A pod's sockets are its own: tc carries them.
containers() {
	local sock ingress
	client pod client-a
	sock=$(counter_of node-a sock new_flow)
	ingress=$(counter_of node-a ingress new_flow)
	[[ $(ask pod tcp4 s) == ok && $(ask pod udp4 u) == ok ]] || fail "no sockets in the pod"
	told "pod: TCP" "server-a from ${WORLD_POD_IP4[client-a]}" pod connect s 10.96.0.1 80
	told "pod: UDP" "server-a from ${WORLD_POD_IP4[client-a]} by 10.96.1.1:80" \
		pod sendto u 10.96.1.1 80
	check_equal "pod: no hook saw it" "$sock" "$(counter_of node-a sock new_flow)"
	check_equal "pod: tc did" $((ingress + 2)) "$(counter_of node-a ingress new_flow)"
	stop pod
}

# link_ids NAME: of the daemon of NAME.
link_ids() {
	local pin
	for pin in "$(daemon_dir "$1")"/bpf/links/sock_*; do
		bpftool -j link show pinned "$pin" | jq .id
	done | xargs
}

sockets_live() {
	local what=$1 server=$2
	told "$what: TCP goes on" "PONG 1" c send t
	told "$what: TCP: getpeername" "[fd00:96::4]:80" c peer t
	told "$what: connected UDP goes on" "$UDP_CONNECTED" c send u
	told "$what: connected UDP: getpeername" 10.96.1.4:80 c peer u
	check_equal "$what: UDP goes on" "$server" "$(many v 10.96.1.4 80 10)"
	check_equal "$what: new connections" server-a "$(servers tcp6 fd00:96::1 80 3)"
}

restarts() {
	local ids server
	quiet c tcp6 t
	ask c connect t fd00:96::4 80 >/dev/null
	quiet c udp4 u
	quiet c connect u 10.96.1.4 80
	UDP_CONNECTED=$(ask c send u | sed -E 's/:[0-9]+ by/ by/')
	quiet c udp4 v
	server=$(many v 10.96.1.4 80 1)
	ids=$(link_ids node-a)
	kill_daemon node-a
	sockets_live "daemon killed" "$server"
	world_nearpath node-a
	sockets_live "daemon back" "$server"
	check_equal "the links are the same ones" "$ids" "$(link_ids node-a)"
	quiet c close t
	quiet c close u
	quiet c close v
}

status_of() {
	nearpath_at node-a -o json status | jq -r ".sock.$1"
}

switched_off() {
	stop_daemon node-a
	world_nearpath node-a --sock off
	check_equal "--sock off: not attached" false "$(status_of attached)"
	check_equal "--sock off: status says so" "--sock off" "$(status_of why)"
	check_equal "--sock off: no link is left" "" "$(links_left node-a)"
	quiet c tcp4 s
	check "--sock off: no connection" test "$(ask c connect s 10.96.0.1 80)" != \
		"server-a from $(node_towards 4 server-a)"
	quiet c close s
	stop_daemon node-a
	world_nearpath node-a
	check_equal "--sock on again" server-a "$(servers tcp4 10.96.0.1 80 3)"
}

links_left() {
	find "$(daemon_dir "$1")/" -name 'sock_*'
}

# A cgroup below the root: only those in it.
other_cgroup() {
	local ids
	CHILD_CGROUP=$NP_DIR/cgroup/$NP_PREFIX
	mkdir "$CHILD_CGROUP"
	ids=$(link_ids node-a)
	stop_daemon node-a
	world_nearpath node-a --cgroup "$CHILD_CGROUP"
	check_equal "--cgroup: status" "$CHILD_CGROUP" "$(status_of cgroup)"
	check "--cgroup: other links" test "$ids" != "$(link_ids node-a)"
	check_equal "--cgroup: nothing is left beside" 8 "$(links_left node-a | grep -c links)"
	check_equal "--cgroup: others are not translated" "" "$(servers tcp4 10.96.0.1 80 1 |
		grep server)"
	echo "${NP_PIDS[c]}" >"$CHILD_CGROUP/cgroup.procs"
	check_equal "--cgroup: those in it are" server-a "$(servers tcp4 10.96.0.1 80 1)"
	stop_daemon node-a
	world_nearpath node-a --cgroup "$NP_DIR"
	check_equal "--cgroup: not a cgroup" "\"$NP_DIR\": not a cgroup v2" "$(status_of why)"
	check_equal "--cgroup: what was attached stays" server-a "$(servers tcp4 10.96.0.1 80 1)"
	echo "${NP_PIDS[c]}" >"$NP_DIR/cgroup/cgroup.procs"
	stop_daemon node-a
	world_nearpath node-a
	check_equal "--cgroup: the root again" server-a "$(servers tcp4 10.96.0.1 80 1)"
}

# links_alive ID...: how many of these links the kernel still has.
links_alive() {
	bpftool -j link show | jq --arg ids "$*" \
		'[.[].id | tostring | select(IN($ids | split(" ")[]))] | length'
}

# A daemon for each node, both at the same root.
two_daemons() {
	local ids ids_b
	client d node-b
	world_nearpath node-b
	world_apply node-b
	[[ $(ask d tcp4 s) == ok && $(ask d tcp4 t) == ok ]] || fail "no sockets on node-b"
	told "two daemons: node-b" "server-b from $(ns_ip node-b -o route get \
		"${WORLD_POD_IP4[server-b]}" | sed -n 's/.* src \([^ ]*\).*/\1/p')" \
		d connect s 10.96.0.3 80
	told "two daemons: node-b: getpeername" 10.96.0.3:80 d peer s
	ids=$(link_ids node-a)
	ids_b=$(link_ids node-b)
	check_equal "two daemons: node-a" server-a "$(servers tcp4 10.96.0.3 80 5)"
	kill_daemon node-a
	check "cleanup" cleanup_daemon node-a
	check_equal "cleanup: no pin is left" "" "$(links_left node-a)"
	check_equal "cleanup: node-a's links are gone" 0 "$(links_alive "$ids")"
	check_equal "cleanup: node-b's are not" 8 "$(links_alive "$ids_b")"
	check_equal "cleanup: node-a's processes are not translated" "" \
		"$(servers tcp4 10.96.0.3 80 1 | grep server)"
	check_equal "cleanup: node-b's are" server-b "$(ask d connect t 10.96.0.3 80 | cut -d ' ' -f 1)"
	stop_daemon node-b
	cleanup_daemon node-b
	check_equal "cleanup: now they are" 0 "$(links_alive "$ids_b")"
}

find_cgroup() {
	world_cgroup
	command -v python3 >/dev/null || skip "needs the command \"python3\""
	trap leave EXIT
}

leave() {
	local code=$?
	set +e
	np_end_processes
	[[ -z $CHILD_CGROUP ]] || rmdir "$CHILD_CGROUP"
	(exit "$code")
	np_cleanup
}

main() {
	np_init
	find_cgroup
	world_build
	objects
	client c node-a
	quiet c tcp4 old
	quiet c udp6 older
	world_nearpath node-a
	world_apply node-a
	# Whichever of the machine's mounts of the root cgroup it found.
	check_equal "status: attached" true "$(status_of attached)"
	check_equal "status: at a root cgroup" cgroup2fs "$(stat -f -c %T "$(status_of cgroup)")"
	check "status says it in words" grep -q "processes  *translated at $(status_of cgroup)" \
		<(nearpath_at node-a status)
	told "a socket older than the daemon" "server-a from $(node_towards 4 server-a)" \
		c connect old 10.96.0.1 80
	told "an older UDP socket" "server-b from $(node_towards 6 server-b) by [fd00:96:1::2]:80" \
		c sendto older fd00:96:1::2 80
	everywhere
	refusals
	policies
	affinity
	datagrams
	one_backend
	many_frontends
	changes_of_mind
	containers
	restarts
	switched_off
	other_cgroup
	two_daemons
	finish
}

main "$@"
