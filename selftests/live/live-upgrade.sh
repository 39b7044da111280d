#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Another ABI version takes over and gives back again, while connections of every kind exchange
# messages, others are opened all the time, and others are idle and speak again at the end. Both
# daemons are killed at random moments in between. No connection fails, none is reset, none waits
# too long; the flows are those they were, so is a client's backend by session affinity, and counters
# go on. Then what is not a matter of course: a version that does not know the objects, one too many,
# and a clean-up in the midst. LIVE_SCALE: so many times the kills.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

SCALE=${LIVE_SCALE:-1}
KILLS=$((5 * SCALE)) # in the midst of a migration
IP=10.96.0.10
IP6=fd00:96::10
FAR=10.96.0.20
SELF=10.96.0.30
UDP=10.96.0.40
UDP6=fd00:96::40
STICKY=10.96.0.50
NODE_PORT=30080
NODE_A=${WORLD_NODE_IP4[node-a]}
NODE_A6=${WORLD_NODE_IP6[node-a]}
OLD=$NEARPATHD
NEXT=$NEARPATH_BUILD/next/nearpathd

objects() {
	world_service web upgrade "$IP,$IP6" 80 "$NODE_PORT"
	world_slice web upgrade "$WORLD_PORT" server-a server-b
	world_service far upgrade "$FAR" 80 30081
	WORLD_FAMILIES=4 world_slice far upgrade "$WORLD_PORT" server-b
	world_service other upgrade 10.96.0.90 80
	world_service self upgrade "$SELF" 80
	WORLD_FAMILIES=4 world_slice self upgrade "$WORLD_PORT" server-a
	world_service dns upgrade "$UDP,$UDP6" 53 30053 UDP
	WORLD_PROTOCOL=UDP world_slice dns upgrade "$WORLD_PORT" server-a server-b
	world_service sticky upgrade "$STICKY" 80 0 TCP '"sessionAffinity":"ClientIP"'
	WORLD_HINTS=off WORLD_FAMILIES=4 world_slice sticky upgrade "$WORLD_PORT" server-a server-b
}

LOADS=()

# load LABEL NAME OPTIONS...: one that is to have no failure.
load() {
	LOADS+=("$1")
	world_load_start "$@" --seconds 100000 --timeout-ms 5000
}

keep=(--keep --interval-us 50000 --concurrency 25)
idle=(--keep --interval-us 100000000000 --concurrency 25) # their only word is the last

start_loads() {
	load pod client-a --connect "$IP:80" "${keep[@]}"
	load pod6 client-a --connect "[$IP6]:80" "${keep[@]}"
	load far client-a --connect "$FAR:80" "${keep[@]}"
	load hairpin server-a --connect "$SELF:80" "${keep[@]}"
	load outside outside --connect "$NODE_A:$NODE_PORT" "${keep[@]}"
	load outside-far outside --connect "$NODE_A:30081" "${keep[@]}"
	load outside6 outside --connect "[$NODE_A6]:$NODE_PORT" "${keep[@]}"
	load udp client-a --udp --connect "$UDP:53" "${keep[@]}"
	load udp6 client-a --udp --connect "[$UDP6]:53" "${keep[@]}"
	load udp-outside outside --udp --connect "$NODE_A:30053" "${keep[@]}"
	[[ -n ${NO_CGROUP:-} ]] ||
		load udp-node node-a --udp --connect "$UDP:53" "${keep[@]}"
	load idle client-a --connect "$FAR:80" "${idle[@]}"
	load idle-outside outside --connect "$NODE_A:30081" "${idle[@]}"
	wait_for -t 20 loads_talk || die "the loads did not get going"
	load new client-a --connect "$IP:80" --rate 150 --concurrency 100 --linger0
	load new6 client-a --connect "[$IP6]:80" --rate 50 --concurrency 100 --linger0
	load new-outside outside --connect "$NODE_A:30081" --rate 150 --concurrency 100 \
		--linger0
	load new-hairpin server-a --connect "$SELF:80" --rate 50 --concurrency 100 --linger0
	load sticky client-a --connect "$STICKY:80" --rate 20 --concurrency 20 --linger0
	load new-udp client-a --udp --connect "$UDP:53" --rate 50 --concurrency 100
}

# The flows that last, whatever they are called and whenever they spoke.
flows() {
	nearpath_at node-a -o json flow list --limit 100000 |
		jq -c '.flows[] | select(.state == "tcp_established" or .state == "udp_stream") |
			[.protocol, .client, .frontend, .backend, .snat]' | sort
}

loads_talk() {
	[[ $(flows | wc -l) -ge 275 ]]
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
		sum=$((sum + $(world_result "$label" ok)))
	done
	ok "connections without failure: $sum"
	check_equal "session affinity: backends of one client" 1 "$(world_names sticky servers | wc -l)"
}

replaced() {
	grep -q 'are replaced by' "$NP_DIR/nearpathd-node-a.log"
}

# Of the flows of before, those that are not there any more; new ones come and go.
lost() {
	comm -23 "$NP_DIR/before" <(flows) | wc -l
}

# to WHAT DAEMON: from now on it is this one, until it has taken over.
to() {
	NEARPATHD=$2
	world_nearpath node-a "${OPTIONS[@]}"
	if wait_for -t 20 replaced; then
		ok "$1: $(sed -n 's/.*are replaced by[^:]*: //p' "$NP_DIR/nearpathd-node-a.log")"
	else
		fail "$1: it has not taken over: $(cat "$NP_DIR/nearpathd-node-a.log")"
	fi
	backend_after "$1"
}

# An endpoint that neither has seen: what was read of the other's tables is not there any more.
backend_after() {
	WORLD_FAMILIES=4 world_slice other upgrade "$((9000 + RANDOM % 1000))" server-a
	world_apply node-a
	check "$1: a new endpoint, and the daemon goes on" daemon_answers node-a
}

# Only those whose load goes on: the connections opened and closed meanwhile do not count.
lasting() {
	flows >"$NP_DIR/all"
	sleep 0.5
	flows | comm -12 "$NP_DIR/all" - >"$NP_DIR/before"
}

exchange() {
	local counted late
	lasting
	ok "flows that last: $(wc -l <"$NP_DIR/before")"
	counted=$(counter_of node-a ingress new_flow)
	stop_daemon node-a
	(sleep 0.6 && world_pod node-a late 50) &
	late=$!
	to "to the next version" "$NEXT"
	wait "$late"
	check_equal "to the next version: flows that are lost" 0 "$(lost)"
	check "to the next version: what it counted goes on" \
		test "$(counter_of node-a ingress new_flow)" -ge "$counted"
	world_reach "to the next version: a pod that came meanwhile" late server-a any \
		--connect "$IP:80" --count 5
	kill_daemon node-a
	to "and back" "$OLD"
	check_equal "and back: flows that are lost" 0 "$(lost)"
}

milliseconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# Starts one of the two, and kills it before it may be done. Where it had nothing to take over, or
# has done so before it was killed, that counts as well.
interrupted() {
	local daemon=$1 dir pid
	dir=$(daemon_dir node-a)
	ip netns exec "$(ns node-a)" "$daemon" --node-name node-a --socket "$dir/socket" \
		--bpffs "$dir/bpf" --state-dir "$dir/state" --zone zone-a --ifaces 'cali*' \
		--uplinks eth0,zlink "${OPTIONS[@]}" --cluster-cidr "$WORLD_CLUSTER_CIDR" \
		>"$NP_DIR/interrupted.log" 2>&1 </dev/null &
	pid=$!
	if ((RANDOM % 3)); then # most of it is the loading of programs
		wait_for -t 20 grep -qE 'taking over|ready' "$NP_DIR/interrupted.log" || true
		sleep "$(milliseconds $((RANDOM % 400)))"
	else
		sleep "$(milliseconds $((RANDOM % 1500)))"
	fi
	kill -KILL "$pid" 2>/dev/null || fail "it ended by itself: $(cat "$NP_DIR/interrupted.log")"
	wait "$pid" 2>/dev/null || true
	! replaced_in "$NP_DIR/interrupted.log" || DONE=$((DONE + 1))
}

replaced_in() {
	grep -q 'are replaced by' "$1"
}

kills() {
	local i
	DONE=0
	kill_daemon node-a
	for ((i = 0; i < KILLS; i++)); do
		if ((RANDOM % 2)); then
			interrupted "$NEXT"
		else
			interrupted "$OLD"
		fi
	done
	ok "killed $KILLS times, $DONE of them after it had taken over"
	to_any "after the kills" "$NEXT"
	check_equal "after the kills: flows that are lost" 0 "$(lost)"
	stop_daemon node-a
	to "and back at last" "$OLD"
	check_equal "and back at last: flows that are lost" 0 "$(lost)"
}

# The same where it may have taken over already.
to_any() {
	NEARPATHD=$2
	world_nearpath node-a "${OPTIONS[@]}"
	check "$1: one version is left" wait_for -t 20 one_version
}

one_version() {
	[[ $(find "$(daemon_dir node-a)/bpf" -maxdepth 1 -name 'abi-*' | wc -l) == 1 ]]
}

served() {
	world_load served client-a --connect "$IP:80" --count 5 --timeout-ms 2000 || true
	[[ $(world_result served failed) == 0 ]]
}

# It does not know what to serve: the other goes on until it has been told.
without_objects() {
	local dir
	dir=$(daemon_dir node-a)
	kill_daemon node-a
	rm "$dir/state/objects.journal"
	NEARPATHD=$NEXT
	world_nearpath node-a "${OPTIONS[@]}"
	check "without objects: it is told" grep -q 'until all are delivered' \
		"$NP_DIR/nearpathd-node-a.log"
	check_equal "without objects: it waits" false \
		"$(nearpath_at node-a -o json status | jq .abi.replacing.moving)"
	check "without objects: the other version goes on" served
	kill_daemon node-a
	world_nearpath node-a "${OPTIONS[@]}"
	check "without objects: after a kill, too" served
	world_objects >"$NP_DIR/objects.json"
	nearpath_at node-a replace -f "$NP_DIR/objects.json" >/dev/null
	check "with all of them it takes over" wait_for -t 20 replaced
	check "with all of them: it serves" served
}

# Tables of a third version: nothing is touched, and it says so.
one_too_many() {
	local dir other code=0
	dir=$(daemon_dir node-a)/bpf
	kill_daemon node-a
	other=$(find "$dir" -maxdepth 1 -name 'abi-*')
	mkdir "$dir/abi-77"
	mv "$other/limits" "$dir/abi-77/np_ingress" # what counts is that there is one
	in_ns node-a timeout 20 "$OLD" --node-name node-a --bpffs "$dir" --socket "$dir/../other" \
		--state-dir "$dir/../state" >"$NP_DIR/third.log" 2>&1 || code=$?
	check_equal "one version too many is refused" 1 "$code"
	check "one version too many: it says why" grep -q 'tables of the ABI versions' \
		"$NP_DIR/third.log"
	check "one version too many: what is there goes on" served
	mv "$dir/abi-77/np_ingress" "$other/limits"
	rmdir "$dir/abi-77"
}

cleaned_up() {
	local dir
	dir=$(daemon_dir node-a)
	interrupted "$OLD"
	cleanup_daemon node-a >"$NP_DIR/cleanup.log" 2>&1 || fail "cleanup: $(cat "$NP_DIR/cleanup.log")"
	check_equal "cleaned up in the midst: pins that are left" "" "$(ls "$dir/bpf" 2>/dev/null)"
	check_equal "cleaned up in the midst: programs that are left" "" \
		"$(in_ns node-a bpftool net show 2>/dev/null | grep -o 'np_[a-z_]*' | sort -u | xargs)"
}

main() {
	OPTIONS=(--xdp native "$@")
	[[ -x $NEXT ]] || die "no \"$NEXT\": run make tests"
	np_init
	mkdir "$NP_DIR/cgroup" # for the node's own sockets: the daemon finds it by itself
	mount -t cgroup2 cgroup2 "$NP_DIR/cgroup" 2>/dev/null || NO_CGROUP=1
	world_build
	objects
	world_nearpath node-a "${OPTIONS[@]}"
	world_apply node-a
	start_loads
	exchange
	OPTIONS+=(--xdp generic)
	kills
	end_loads
	without_objects
	one_too_many
	cleaned_up
	finish
}

main "$@"
