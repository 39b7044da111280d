#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# nearpathd is killed at random moments: while it applies one change after the other, while it
# starts, and while pods appear whose interfaces it attaches to. Connections that exist and those
# that are opened meanwhile do not notice; after each start the last change that was answered is in
# force, what was before it is not, and the new pod is served. 10 kills, times LIVE_SCALE.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_FAMILIES=4
KILLS=$((10 * ${LIVE_SCALE:-1}))
IP=10.96.0.10
FAR=10.96.0.20
TURN=10.96.0.30 # its port tells which change is in force
UDP=10.96.0.40
NODE_A=${WORLD_NODE_IP4[node-a]}
FIRST_PORT=1000
WRONG=0 # what was found after starts that should not be
LONGEST=0

objects() {
	world_service web restart "$IP" 80 30080
	world_slice web restart "$WORLD_PORT" server-a server-b
	world_service far restart "$FAR" 80 30081
	world_slice far restart "$WORLD_PORT" server-b
	world_service dns restart "$UDP" 53 0 UDP
	WORLD_PROTOCOL=UDP world_slice dns restart "$WORLD_PORT" server-a server-b
	turn 0
}

server_of() {
	(($1 % 2)) && echo server-b || echo server-a
}

turn() {
	world_service turn restart "$TURN" $((FIRST_PORT + $1))
	world_slice turn restart "$WORLD_PORT" "$(server_of "$1")"
}

# Change after change, until the daemon is gone. The last one that was answered is in "answered".
changes() {
	local n
	n=$(cat "$NP_DIR/answered")
	while n=$((n + 1)); do
		turn "$n"
		cat "$NP_DIR"/objects/*-turn*.json >"$NP_DIR/turn.json"
		nearpath_at node-a apply -f "$NP_DIR/turn.json" >/dev/null 2>&1 || return 0
		echo "$n" >"$NP_DIR/answered"
	done
}

in_force() {
	nearpath_at node-a -o json service get restart/turn | jq '.services[0].frontends[0].port'
}

LOADS=()

load() {
	LOADS+=("$1")
	world_load_start "$@" --timeout-ms 5000 --seconds 100000
}

start_loads() {
	local keep=(--keep --interval-us 50000 --concurrency 25)
	load pod client-a --connect "$IP:80" "${keep[@]}"
	load far client-a --connect "$FAR:80" "${keep[@]}"
	load outside outside --connect "$NODE_A:30080" "${keep[@]}"
	load outside-far outside --connect "$NODE_A:30081" "${keep[@]}"
	load udp client-a --udp --connect "$UDP:53" "${keep[@]}"
	load new client-a --connect "$IP:80" --rate 150 --concurrency 100 --linger0
	load new-far client-a --connect "$FAR:80" --rate 50 --concurrency 100 --linger0
	load new-outside outside --connect "$NODE_A:30081" --rate 150 --concurrency 100 --linger0
	load new-udp client-a --udp --connect "$UDP:53" --rate 50 --concurrency 100
	wait_for -t 20 loads_talk || die "the loads did not get going"
}

loads_talk() {
	[[ $(nearpath_at node-a -o json flow list --limit 100000 |
		jq '[.flows[] | select(.state == "tcp_established")] | length') -ge 100 ]]
}

# They end when they are told to, and then succeed.
end_loads() {
	local label sum=0
	for label in "${LOADS[@]}"; do
		kill -TERM "${NP_PIDS[load-$label]}"
	done
	for label in "${LOADS[@]}"; do
		world_load_end "$label" || true
		check_equal "$label: failed of $(world_result "$label" attempted)" "0 " \
			"$(world_result "$label" failed) $(world_names "$label" errors | xargs)"
		sum=$((sum + $(world_result "$label" attempted)))
	done
	ok "connections and datagrams: $sum"
}

milliseconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# wrong TEXT: something is not as it should be after a start.
wrong() {
	WRONG=$((WRONG + 1))
	fail "$*"
}

back() {
	local begun=${EPOCHREALTIME/./} took
	world_nearpath node-a
	took=$(((${EPOCHREALTIME/./} - begun) / 1000))
	((took <= LONGEST)) || LONGEST=$took
}

# The change in force is the last that was answered, or the one after it, whose answer was lost.
check_change() {
	local what=$1 answered port n
	answered=$(cat "$NP_DIR/answered")
	port=$(in_force)
	n=$((port - FIRST_PORT))
	((n == answered || n == answered + 1)) ||
		wrong "$what: change $answered was answered, $n is in force"
	world_load turn client-a --connect "$TURN:$port" --timeout-ms 5000 || true
	[[ $(world_names turn servers) == "$(server_of "$n") 1" ]] ||
		wrong "$what: change $n is not: $(world_names turn servers)$(world_names turn errors)"
	world_load stale client-a --connect "$TURN:$((port - 1))" --timeout-ms 1000 || true
	[[ $(world_result stale failed) == 1 ]] || wrong "$what: change $((n - 1)) is still"
	echo "$n" >"$NP_DIR/answered"
}

# Killed while it applies changes.
while_applying() {
	local applying
	changes &
	applying=$!
	sleep "$(milliseconds $((RANDOM % 400)))"
	kill_daemon node-a
	wait "$applying"
	back
	check_change "kill $1, while changes were applied"
}

start_and_kill() {
	local dir pid
	dir=$(daemon_dir node-a)
	ip netns exec "$(ns node-a)" "$NEARPATHD" --node-name node-a --socket "$dir/socket" \
		--bpffs "$dir/bpf" --state-dir "$dir/state" --zone zone-a --ifaces 'cali*' \
		--uplinks eth0,zlink --xdp native --cluster-cidr "$WORLD_CLUSTER_CIDR" \
		>"$NP_DIR/killed.log" 2>&1 </dev/null &
	pid=$!
	sleep "$(milliseconds $((RANDOM % 700)))"
	kill -KILL "$pid" 2>/dev/null || wrong "it did not start: $(cat "$NP_DIR/killed.log")"
	wait "$pid" 2>/dev/null || true
}

while_starting() {
	kill_daemon node-a
	start_and_kill
	back
	check_change "kill $1, at the start"
}

# A pod comes while it starts; the killed one may have attached to it, or half.
while_attaching() {
	local pod=pod-$1 coming
	kill_daemon node-a
	(
		sleep "$(milliseconds $((RANDOM % 500)))"
		world_pod node-a "$pod" $((100 + $1 % 100))
	) &
	coming=$!
	start_and_kill
	wait "$coming"
	WORLD_POD_COUNT[node-a]=$((WORLD_POD_COUNT[node-a] + 1))
	back
	check_change "kill $1, with a new pod"
	world_load pod-new "$pod" --connect "$IP:80" --count 5 --timeout-ms 5000 || true
	[[ $(world_result pod-new failed) == 0 ]] ||
		wrong "kill $1: the new pod is not served: $(world_names pod-new errors)"
	ip netns del "$(ns "$pod")"
}

main() {
	local i
	np_init
	world_build
	objects
	echo 0 >"$NP_DIR/answered"
	world_nearpath node-a
	world_apply node-a
	start_loads
	for ((i = 1; i <= KILLS; i++)); do
		case $((i % 3)) in
		0) while_attaching "$i" ;;
		1) while_applying "$i" ;;
		2) while_starting "$i" ;;
		esac
	done
	ok "killed $((KILLS + KILLS * 2 / 3)) times; $(cat "$NP_DIR/answered") changes; the longest start until it answered: $LONGEST ms"
	check_equal "after starts: what should not be" 0 "$WRONG"
	end_loads
	finish
}

main "$@"
