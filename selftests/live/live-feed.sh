#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# A daemon that starts goes on with what it had until whoever feeds it has delivered everything, in a
# piece (replace) or in parts (apply, then sync), and only then removes what is gone: with an empty
# feed, a feed that has got half way, a daemon that is killed in the middle, and a state that was
# lost. Clients connect all the time.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

SCALE=${LIVE_SCALE:-1}
WORLD_DELAY_MS=0
WORLD_HINTS=off
CHURN=(--seconds 600 --rate 60 --concurrency 10 --linger0 --timeout-ms 4000)
declare -A IP=([web]=10.96.0.10 [api]=10.96.0.11 [gone]=10.96.0.12 [dns]=10.96.0.53)
declare -A IP6=([web]=fd00:96::10 [api]=fd00:96::11 [gone]=fd00:96::12 [dns]=fd00:96::53)

service() {
	local protocol=TCP
	[[ $1 != dns ]] || protocol=UDP
	world_service "$1" feed "${IP[$1]},${IP6[$1]}" 80 0 "$protocol"
	WORLD_PROTOCOL=$protocol world_slice "$1" feed "$WORLD_PORT" "${@:2}"
}

# What the API server has, as it would be listed.
objects() {
	service web server-a
	service api server-a server-b
	service gone server-b
	service dns server-a
}

# apply NAME...: a part of the feed, all objects of some services, or all nodes.
apply() {
	local name file
	local -a files=()
	for name in "$@"; do
		[[ $name == nodes ]] && name=Node- || name=-feed-$name
		for file in "$NP_DIR"/objects/*"$name"*.json; do
			files+=(-f "$file")
		done
	done
	nearpath_at node-a apply "${files[@]}" >/dev/null || fail "apply $*"
}

forget() {
	world_forget "Service-feed-$1"
	world_forget "EndpointSlice-feed-$1-4"
	world_forget "EndpointSlice-feed-$1-6"
}

delivered() {
	nearpath_at node-a -o json status | jq .delivered
}

services() {
	nearpath_at node-a -o json service list | jq -r '[.services[].name] | unique | join(" ")'
}

# served WHAT NAME...: these and no others can be reached, and those are.
served() {
	local what=$1 name
	shift
	for name in "$@"; do
		[[ $name != dns ]] || continue
		world_reach "$what: $name is served" client-a any any --connect "${IP[$name]}:80" \
			--count 5 --linger0 --timeout-ms 2000
	done
}

unserved() {
	world_load gone client-a --connect "${IP[$2]}:80" --timeout-ms 300 || true
	check_equal "$1: $2 is not served" 1 "$(world_result gone failed)"
}

# refused WORDS ARGS...
refused() {
	local words=$1 out
	shift
	if out=$(nearpath_at node-a "$@" 2>&1); then
		echo "it was not refused: $out"
		return 1
	fi
	grep -q "$words" <<<"$out" || { echo "$out" && return 1; }
}

restart() {
	kill_daemon node-a
	sleep "0.$SCALE"
	world_nearpath node-a --xdp generic
}

# --- the parts -------------------------------------------------------------------------------

empty_feed() {
	restart
	check_equal "empty feed: the delivery is under way" false "$(delivered)"
	check_equal "empty feed: all is there" "api dns gone web" "$(services)"
	served "empty feed" web api gone
	check "empty feed: an end of nothing is refused" refused "nothing was delivered" sync
	check_equal "empty feed: and removes nothing" "api dns gone web" "$(services)"
}

half_a_feed() {
	forget gone
	apply web
	check_equal "half a feed: all is there" "api dns gone web" "$(services)"
	served "half a feed" web api gone
}

killed() {
	restart
	check_equal "killed in the middle: all is there" "api dns gone web" "$(services)"
	apply api
	served "killed in the middle" web api gone
	restart
	check_equal "and again: the delivery is under way" false "$(delivered)"
}

# The client's port is kept, so that its datagrams are one conversation.
dns_answers() {
	world_load dns client-a --udp --connect "${IP[dns]}:80" \
		--source "${WORLD_POD_IP4[client-a]}:45010" --count 3 >&2 || true
	world_names dns servers | cut -d ' ' -f 1 | xargs
}

whole_feed() {
	check_equal "UDP: before" server-a "$(dns_answers)"
	service dns server-b
	apply web api
	apply dns nodes
	check_equal "whole feed: until it is ended, all is there" "api dns gone web" "$(services)"
	check_equal "sync: what did not come is removed" 3 "$(nearpath_at node-a -o json sync |
		jq .removed)"
	check_equal "sync: the rest is there" "api dns web" "$(services)"
	check_equal "sync: the delivery is complete" true "$(delivered)"
	served "sync" web api
	unserved "sync" gone
	check_equal "sync: UDP went to who serves" server-b "$(dns_answers)"
	check "a second sync is refused" refused "no delivery is under way" sync
}

# The removal is in the journal.
remembered() {
	restart
	check_equal "a start after it: what was removed stays so" "api dns web" "$(services)"
	unserved "a start after it" gone
}

replaced() {
	world_objects >"$NP_DIR/objects.json"
	nearpath_at node-a replace -f "$NP_DIR/objects.json" >/dev/null
	check_equal "replace ends a delivery too" true "$(delivered)"
	check "and sync has nothing to end" refused "sync --begin" sync
}

# By hand, without a restart; unchanged objects count, and so does what is added in it.
begun_by_hand() {
	service gone server-b
	apply gone
	nearpath_at node-a sync --begin >/dev/null || fail "sync --begin"
	check_equal "begun by hand: it is under way" false "$(delivered)"
	apply web api nodes
	nearpath_at node-a delete service feed/dns >/dev/null || fail "delete"
	served "begun by hand" web api gone
	check_equal "begun by hand: what did not come is removed" "removed 5" \
		"$(nearpath_at node-a sync | cut -d ' ' -f 1-2)"
	check_equal "begun by hand: the rest is there" "api web" "$(services)"
	forget dns
}

# The state is lost, the tables are not: they serve until the delivery ends, and are swept then.
lost_state() {
	apply gone
	kill_daemon node-a
	rm -f "$(daemon_dir node-a)"/state/objects.journal
	world_nearpath node-a --xdp generic
	check_equal "lost state: the daemon knows nothing" "" "$(services)"
	served "lost state" web api gone
	apply web
	served "lost state, half a feed" web api gone
	apply api nodes
	nearpath_at node-a sync >/dev/null || fail "sync"
	served "lost state, sync" web api
	unserved "lost state, sync" gone
	restart
	check_equal "lost state: what was delivered is kept" "api web" "$(services)"
}

main() {
	local label
	np_init
	world_build
	objects
	world_nearpath node-a --xdp generic
	check_equal "a new daemon: the delivery is under way" false "$(delivered)"
	check "a new daemon without objects may be synced" nearpath_at node-a sync
	replaced
	world_load_start web client-a --connect "${IP[web]}:80" "${CHURN[@]}"
	world_load_start api6 client-a --connect "[${IP6[api]}]:80" "${CHURN[@]}"
	world_load_start held client-a --connect "${IP[api]}:80" --keep --seconds 600 \
		--concurrency 10 --interval-us 20000 --timeout-ms 4000
	empty_feed
	half_a_feed
	killed
	whole_feed
	remembered
	replaced
	begun_by_hand
	lost_state
	for label in web api6 held; do
		kill -TERM "${NP_PIDS[load-$label]}" 2>/dev/null || true # it may have ended by failing
		world_load_end "$label" || true
		check_equal "$label: failed of $(world_result "$label" attempted)" 0 \
			"$(world_result "$label" failed)"
	done
	finish
}

main "$@"
