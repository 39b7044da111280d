#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Somebody else writes into the tables, takes programs off and removes pins, in every way there is,
# under running clients. nearpath status exits 1 and nearpath diff names it; a daemon that starts
# puts it right, and so does the audit of one that runs, within a round.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
WORLD_HINTS=off
LIVE_SCALE=${LIVE_SCALE:-1}
BPFTOOL=/usr/sbin/bpftool
IP=10.96.0.10
SMALL=(--max-services 256 --max-backends 64 --max-slots 1024 --xdp generic)

# One Service for each way to damage one, at 10.96.5.N:80.
VICTIMS=(extra entry policy flags run version slot backend)

# kind|what is done|what nearpath diff says of it
table_damages() {
	local n=0 kind
	for kind in "${VICTIMS[@]}"; do
		n=$((n + 1))
		case $kind in
		entry) echo "$kind|damage entry 10.96.5.$n 80|Service \"live/entry\" port \"main\" ClusterIP 10.96.5.$n:80/TCP: wanted an entry of version [0-9]+, found no entry" ;;
		extra) echo "$kind|damage extra 10.96.5.$n 80|frontends: place [0-9] of bucket [0-9]+: wanted nothing, found an entry of version [0-9]+, 10.96.5.$n:80/TCP" ;;
		policy) echo "$kind|damage policy 10.96.5.$n 80|Service \"live/policy\" .*: wanted pod: forward to 10.1.0.20:8080, found pod: reject" ;;
		flags) echo "$kind|damage flags 10.96.5.$n 80|Service \"live/flags\" .*: wanted flags 0x0., found flags 0x1." ;;
		run) echo "$kind|damage run 10.96.5.$n 80|Service \"live/run\" .*: wanted .*: forward to 10.1.0.20:8080, found .*slots outside the table" ;;
		version) echo "$kind|damage version 10.96.5.$n 80|Service \"live/version\" .*: wanted a version [0-9]+ of it, found" ;;
		slot) echo "$kind|damage slot 10.96.5.$n 80|Service \"live/slot\" .*: wanted pod: forward to 10.1.0.20:8080, found pod: forward to number 2147483647" ;;
		backend) echo "$kind|damage backend 10.1.0.20 8081|backend [0-9]+: wanted 10.1.0.20:8081, in use, .*, found 10.9.0.255:8081, in use" ;;
		esac
	done
	cat <<-END
		stray|damage stray|backend 63: wanted not in use, found 10.9.9.9:0, in use
		iface|damage iface $(index_of zlink)|interface "zlink": its entry: wanted index .* lb 1, .* found index .* lb 0, .* mtu 9
		iface-stray|damage iface-stray|ifaces: place [0-9]+: wanted nothing, found an entry of interface 4321
		config|damage config|config: pod_prefix4: wanted 0a000000 .*, found 5a5a5a5a
		admit|damage admit 192.0.2.50 80|source_ranges: wanted what the versions admit, found 1 ranges more
		ranges|damage ranges 192.0.2.50 80|Service "live/ranged" .* LoadBalancer .*: wanted its source ranges, found 2 of them missing
		pin|unpin frontends|pin ".*/frontends": wanted the table in use, found nothing
		map|unpin affinity|pin ".*/affinity": wanted the table in use, found nothing
		program|unpin np_ingress|pin ".*/np_ingress": wanted the program in use, found nothing
	END
}

program_damages() {
	cat <<-END
		ingress|detach $(index_of zlink)-ingress|interface "zlink": tc ingress: wanted nearpath's program by tcx, found program "np_ingress" \(id [0-9]+\) is not attached
		egress|unpin ../links/$(index_of zlink)-egress|interface "zlink": tc egress: wanted nearpath's program by tcx, found program "np_egress"
		xdp|xdp_off zlink|interface "zlink": XDP: wanted nearpath's program by generic, found nothing is attached
		sock|detach sock_connect4|programs for the node's own processes: wanted attached at ".*", found connect4: program [0-9]+ is not attached
	END
}

clsact_damages() {
	cat <<-END
		filter|in_ns node-a tc filter del dev zlink ingress|interface "zlink": tc ingress: wanted nearpath's program by clsact, found program "np_ingress" \(id [0-9]+\) is not attached
		qdisc|in_ns node-a tc qdisc del dev zlink clsact|interface "zlink": tc ingress: wanted nearpath's program by clsact, found program
	END
}

# --- how it is done ------------------------------------------------------------------------------

index_of() {
	ns_ip node-a -j link show dev "$1" | jq '.[0].ifindex'
}

damage() {
	"$(tool damage)" "$(tables_dir node-a)" "$@"
}

unpin() {
	rm "$(tables_dir node-a)/$1"
}

detach() {
	"$BPFTOOL" link detach pinned "$(daemon_dir node-a)/bpf/links/$1"
}

xdp_off() {
	ns_ip node-a link set dev "$1" xdpgeneric off
}

objects() {
	local n=0 kind
	world_service calm live "$IP" 80
	WORLD_FAMILIES=4 world_slice calm live "$WORLD_PORT" server-a
	for kind in "${VICTIMS[@]}"; do
		n=$((n + 1))
		world_service "$kind" live "10.96.5.$n" 80
		WORLD_FAMILIES=4 world_slice "$kind" live "$(port_of "$kind")" server-a
	done
	world_object Service-live-ranged <<-'END'
		{"apiVersion":"v1","kind":"Service","metadata":{"name":"ranged","namespace":"live"},
		"spec":{"type":"LoadBalancer","clusterIP":"10.96.5.50","clusterIPs":["10.96.5.50"],
		"ipFamilies":["IPv4"],"ports":[{"name":"main","protocol":"TCP","port":80}],
		"loadBalancerSourceRanges":["203.0.113.0/24","10.1.0.0/24"]},
		"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.50"}]}}}
	END
	WORLD_FAMILIES=4 world_slice ranged live "$WORLD_PORT" server-a
}

port_of() {
	[[ $1 == backend ]] && echo 8081 || echo "$WORLD_PORT"
}

differences() {
	nearpath_at node-a -o json status | jq .differences || true
}

diff_is_empty() {
	nearpath_at node-a diff
}

metric() {
	in_ns node-a curl -s --max-time 10 http://127.0.0.1:10249/metrics | sed -n "s/^$1 //p"
}

exits() {
	local code=0
	nearpath_at node-a "${@:3}" >"$NP_DIR/out" 2>&1 || code=$?
	check_equal "$1" "$2" "$code"
}

# Each victim is served, and the range of others still keeps outsiders off.
all_serve() {
	local n=0 kind failed=0
	for kind in "${VICTIMS[@]}"; do
		n=$((n + 1))
		world_load serve client-a --connect "10.96.5.$n:80" --count 3 --timeout-ms 5000 || true
		failed=$((failed + $(world_result serve failed)))
	done
	world_load serve client-a --connect "192.0.2.50:80" --count 3 --timeout-ms 5000 || true
	failed=$((failed + $(world_result serve failed)))
	check_equal "$1: failures of $((3 * n + 3)) connections to all of them" 0 "$failed"
}

# --- the clients -----------------------------------------------------------------------------------

clients() {
	world_load_start keep client-a --connect "$IP:80" --keep --seconds 300 --concurrency 10 \
		--count 10 --interval-us 20000 --timeout-ms 8000
	world_load_start new client-a --connect "$IP:80" --rate 100 --seconds 300 --concurrency 10 \
		--linger0 --timeout-ms 8000
	# Connections of the services that are damaged live on: they are flows by now.
	world_load_start entry client-a --connect "10.96.5.1:80" --keep --seconds 300 \
		--concurrency 5 --count 5 --interval-us 20000 --timeout-ms 8000
	world_load_start policy client-a --connect "10.96.5.3:80" --keep --seconds 300 \
		--concurrency 5 --count 5 --interval-us 20000 --timeout-ms 8000
	wait_for -t 20 talk 20 || die "the clients did not get going"
}

# Those that stay, by the daemon's flows.
talk() {
	[[ $(nearpath_at node-a -o json flow list |
		jq '[.flows[] | select(.state == "tcp_established")] | length') -ge $1 ]]
}

clients_end() {
	local label
	for label in keep new entry policy; do
		stop "load-$label" || true
		check_equal "clients ($label): failed" "0 of $(world_result "$label" attempted)" \
			"$(world_result "$label" failed) of $(world_result "$label" attempted)"
		world_names "$label" errors || true
	done
}

# --- the tests ---------------------------------------------------------------------------------------

# Without an audit it stays: what status and diff say can be looked at.
told() {
	local kind how says
	while IFS='|' read -r kind how says; do
		$how || die "\"$how\" failed"
		exits "$kind: nearpath status exits 1" 1 status
		exits "$kind: so does nearpath diff" 1 diff
		check "$kind: and names it" grep -qE "^$says" "$NP_DIR/out"
	done
}

again() {
	kill_daemon node-a
	world_nearpath node-a "${SMALL[@]}" "$@"
}

# One after the other; each is named in the log, once, and is well again after a round.
repaired() {
	local kind how says log=$NP_DIR/nearpathd-node-a.log rounds before began
	while IFS='|' read -r kind how says; do
		before=$(metric nearpath_audit_repairs_total)
		began=${EPOCHREALTIME/./}
		$how || die "\"$how\" failed"
		if wait_for -t 20 repairs_more_than "$before" && wait_for -t 20 diff_is_empty; then
			ok "$kind: repaired (after $(((${EPOCHREALTIME/./} - began) / 1000)) ms)"
		else
			fail "$kind: not repaired: $(nearpath_at node-a diff 2>&1)"
		fi
		check "$kind: the log names it" grep -qE "^nearpathd: audit: $says.*: repaired$" "$log"
		exits "$kind: nearpath status exits 0" 0 status
	done
	rounds=$(metric nearpath_audit_rounds_total)
	check "rounds go on: $rounds so far" test "$rounds" -gt 0
	check_equal "what was found was repaired" "$(metric nearpath_audit_differences_total)" \
		"$(metric nearpath_audit_repairs_total)"
	check_equal "nothing is left over" 0 "$(metric nearpath_audit_differences)"
}

repairs_more_than() {
	[[ $(metric nearpath_audit_repairs_total) -gt $1 ]]
}

# What is not the daemon's to remove is told once, and stays until it is gone.
beyond_repair() {
	local log=$NP_DIR/nearpathd-node-a.log bpf
	bpf=$(tables_dir node-a)
	mv "$bpf/slots" "$bpf/mine"
	wait_for -t 20 test -e "$bpf/slots" || fail "a pin that was moved away is not there again"
	rm "$bpf/slots"
	"$BPFTOOL" map create "$bpf/slots" type array key 4 value 8 entries 1 name other
	check "another table in a pin's place is told" wait_for -t 20 grep -qE \
		'audit: pin ".*/slots": wanted the table in use, found another; .*: File exists' "$log"
	exits "and stays a difference" 1 status
	sleep 3
	check_equal "told once" 1 "$(grep -c 'slots": wanted .*: File exists' "$log" || true)"
	rm "$bpf/slots" "$bpf/mine"
	check "until it is gone" wait_for -t 20 diff_is_empty
}

main() {
	np_init
	command -v curl >/dev/null || skip "needs the command \"curl\""
	[[ -x $BPFTOOL ]] || skip "needs \"$BPFTOOL\""
	world_build
	world_cgroup
	SMALL+=(--cgroup "$NP_DIR/cgroup")
	stop server-of-server-a
	world_serve server-a "$WORLD_PORT" 8081
	objects
	world_nearpath node-a "${SMALL[@]}" --audit-interval 0
	world_apply node-a
	exits "nothing differs at first: status" 0 status
	exits "nothing differs at first: diff" 0 diff
	clients
	told < <(table_damages)
	told < <(program_damages)
	check "differences by now: $(differences)" test "$(differences)" -gt 15
	again --audit-interval 0
	exits "a daemon that starts has put all of it right" 0 diff
	all_serve "after its start"
	again --audit-interval 1
	for ((i = 0; i < LIVE_SCALE; i++)); do
		repaired < <(table_damages)
		repaired < <(program_damages)
		all_serve "after the audit"
	done
	beyond_repair
	again --audit-interval 1 --clsact
	repaired < <(clsact_damages)
	clients_end
	finish
}

main "$@"
