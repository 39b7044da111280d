#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The demo of make demo: the same clients of the same services, first over rules as kube-proxy's
# iptables mode makes them, then over nearpath, in two zones of network namespaces that it builds
# and takes down again. Prints who left the zone, how long connecting took, what failed, and
# whether a large transfer gets through the narrow link between the zones.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$NP_SELFTESTS/world.sh"

CONNECTIONS=1000
RATE=300
SECONDS_AT_MOST=6 # of starting connections, should they fail
TRANSFER_BYTES=100000000
STALL_MS=4000
WEB=10.96.0.10
WEB6=fd00:96::10
LEDGER=10.96.0.20
NODE_PORT=30080
WAYS=(iptables nearpath)

# The clients: label, namespace, zone, destination, and how the table calls them.
CLIENTS=(
	"a client-a zone-a $WEB:80 pod in zone-a to ClusterIP"
	"b client-b zone-b $WEB:80 pod in zone-b to ClusterIP"
	"six client-a zone-a [$WEB6]:80 pod in zone-a to ClusterIP, IPv6"
	"out outside zone-a ${WORLD_NODE_IP4[node-a]}:$NODE_PORT outside to NodePort of node-a"
)
declare -A zone_of_server=([server-a]=zone-a [server-b]=zone-b)

usage() {
	cat <<-'END'
		Usage: demo.sh [--only iptables|nearpath]
		Compares kube-proxy's iptables rules with nearpath in network namespaces; about a
		minute, needs root. The environment NEARPATH_BUILD names the folder of the binaries.
		Exit: 0 shown, 1 nearpath failed a connection or a transfer, 2 usage, 4 cannot run.
	END
}

say() {
	printf '[%3d s] %s\n' "$SECONDS" "$*"
}

objects() {
	world_service web shop "$WEB,$WEB6" 80 "$NODE_PORT"
	world_slice web shop "$WORLD_PORT" server-a server-b
	world_service ledger shop "$LEDGER" 80
	WORLD_FAMILIES=4 world_slice ledger shop "$WORLD_PORT" server-b
}

begin_iptables() {
	world_kubeproxy "${WORLD_NODES[@]}"
}

end_iptables() {
	world_kubeproxy_off "${WORLD_NODES[@]}"
}

begin_nearpath() {
	local node
	for node in "${WORLD_NODES[@]}"; do
		world_nearpath "$node"
		world_apply "$node"
	done
}

end_nearpath() {
	local node
	for node in "${WORLD_NODES[@]}"; do
		stop_daemon "$node" || say "nearpathd of $node did not stop when told"
		cleanup_daemon "$node" || say "nearpathd of $node did not clean up"
	done
}

# Neighbours are looked up by the first packet: not what is to be measured.
warm_up() {
	local pod
	for pod in server-a server-b; do
		world_load warm client-a --connect "${WORLD_POD_IP4[$pod]}:$WORLD_PORT" || true
		world_load warm client-a --connect "[${WORLD_POD_IP6[$pod]}]:$WORLD_PORT" || true
		world_load warm client-b --connect "${WORLD_POD_IP4[$pod]}:$WORLD_PORT" || true
	done
}

run_clients() {
	local way=$1 client label name zone to title
	for client in "${CLIENTS[@]}"; do
		read -r label name zone to title <<<"$client"
		say "$way: $CONNECTIONS connections, $title"
		world_load "$way-$label" "$name" --connect "$to" --count "$CONNECTIONS" \
			--seconds "$SECONDS_AT_MOST" --rate "$RATE" --concurrency 32 \
			--timeout-ms 2000 --linger0 || true
	done
}

run_transfers() {
	local way=$1
	say "$way: download of $((TRANSFER_BYTES / 1000000)) MB from zone-b to a pod in zone-a"
	world_load "$way-download" client-a --connect "$LEDGER:80" \
		--timeout-ms "$STALL_MS" --bytes "$TRANSFER_BYTES" || true
	say "$way: upload of $((TRANSFER_BYTES / 1000000)) MB from a pod in zone-a to zone-b"
	world_load "$way-upload" client-a --connect "$LEDGER:80" \
		--timeout-ms "$STALL_MS" --upload "$TRANSFER_BYTES" || true
}

run_way() {
	say "$1: setting up"
	"begin_$1"
	run_clients "$1"
	run_transfers "$1"
	"end_$1"
}

# left_zone LABEL ZONE: share of the answered connections that a server elsewhere answered.
left_zone() {
	local server count all=0 left=0
	while read -r server count; do
		all=$((all + count))
		[[ ${zone_of_server[$server]:-} == "$2" ]] || left=$((left + count))
	done < <(world_names "$1" servers)
	[[ $all -gt 0 ]] || { echo -; return; }
	printf '%d.%d %%' "$((left * 1000 / all / 10))" "$((left * 1000 / all % 10))"
}

milliseconds() {
	local us
	us=$(world_result "$1" "$2") || { echo -; return; }
	printf '%d.%02d ms' "$((us / 1000))" "$((us % 1000 / 10))"
}

failures() {
	printf '%s of %s' "$(world_result "$1" failed)" "$(world_result "$1" attempted)"
	world_names "$1" errors | while read -r name; do
		printf ' (%s)' "${name% *}"
	done
}

outcome() {
	if [[ $(world_result "$1" failed) == 0 ]]; then
		printf 'completes, %.0f Mbit/s' "$(world_result "$1" mbit_per_s)"
	elif world_names "$1" errors | grep -q '^answer timeout '; then
		printf 'hangs'
	else
		printf 'fails: %s' "$(world_names "$1" errors | head -n 1)"
	fi
}

# row TITLE COMMAND LABEL [ARGS]: a line with the command's output for each way.
row() {
	local title=$1 command=$2 label=$3 way
	shift 3
	printf '%-34s' "$title"
	for way in "${WAYS[@]}"; do
		printf ' %22s' "$("$command" "$way-$label" "$@")"
	done
	printf '\n'
}

header() {
	local way
	declare -A titles=([iptables]="kube-proxy (iptables)" [nearpath]=nearpath)
	printf '%-34s' ''
	for way in "${WAYS[@]}"; do
		printf ' %22s' "${titles[$way]}"
	done
	printf '\n'
}

table() {
	local client label name zone to title
	header
	for client in "${CLIENTS[@]}"; do
		read -r label name zone to title <<<"$client"
		printf '%s\n' "$title"
		row '  connections that left the zone' left_zone "$label" "$zone"
		row '  connect, p50' milliseconds "$label" p50
		row '  connect, p99' milliseconds "$label" p99
		row '  failures' failures "$label"
	done
	printf '%s\n' "$((TRANSFER_BYTES / 1000000)) MB between the zones, path MTU $WORLD_LINK_MTU"
	row '  download' outcome download
	row '  upload' outcome upload
}

nearpath_failed() {
	[[ " ${WAYS[*]} " == *" nearpath "* ]] || return 1
	local file
	for file in "$NP_DIR"/load-nearpath-*.log; do
		[[ $(json_get "$file" failed) == 0 ]] || return 0
	done
	return 1
}

main() {
	local way
	case "$*" in
	'') ;;
	'--only iptables') WAYS=(iptables) ;;
	'--only nearpath') WAYS=(nearpath) ;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	np_init
	if [[ " ${WAYS[*]} " == *" nearpath "* && ! -x $NEARPATH_BUILD/nearpathd ]]; then
		die "no \"$NEARPATH_BUILD/nearpathd\": run make first"
	fi
	say "building two zones, $WORLD_DELAY_MS ms apart each way"
	world_build
	objects
	warm_up
	for way in "${WAYS[@]}"; do
		run_way "$way"
	done
	say "done"
	echo
	table
	if nearpath_failed; then
		echo "nearpath failed connections or transfers" >&2
		exit 1
	fi
}

main "$@"
