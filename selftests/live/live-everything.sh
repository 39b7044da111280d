#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Everything at once: a daemon that is killed at random moments and comes back, in another ABI
# version now and then; a set of services that is replaced all the time; interfaces that are
# switched between nearpath and kube-proxy's rules; and real clients that count what fails. Nothing
# does. By default 10 kills, 50 replacements and 30 switches, each times LIVE_SCALE.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=0
SCALE=${LIVE_SCALE:-1}
KILLS=$((10 * SCALE))
REPLACES=$((50 * SCALE))
SWITCHES=$((30 * SCALE))
IP=10.96.0.10
IP6=fd00:96::10
FAR=10.96.0.20
NODE_A=${WORLD_NODE_IP4[node-a]}
OLD=$NEARPATHD
NEXT=$NEARPATH_BUILD/next/nearpathd
KEEP=(--keep --interval-us 50000 --concurrency 20 --timeout-ms 10000 --seconds 3600)
ANEW=(--linger0 --concurrency 20 --timeout-ms 10000 --seconds 3600)
LOADS=()
OPTIONS=(--xdp generic) # native needs an XDP program at the other end of a veth

objects() {
	world_service web every "$IP,$IP6" 80 30080
	world_slice web every "$WORLD_PORT" server-a server-b
	world_service far every "$FAR" 80 30081
	WORLD_FAMILIES=4 world_slice far every "$WORLD_PORT" server-b
	world_service dns every 10.96.0.53 53 0 UDP
	WORLD_PROTOCOL=UDP WORLD_FAMILIES=4 world_slice dns every "$WORLD_PORT" server-a server-b
}

# Two sets: the services that clients use are in both, with their endpoints in another order; of 100
# others some come, some go, some change.
set_of() {
	local n=$1
	{
		echo '{"apiVersion":"v1","kind":"List","items":['
		world_objects | jq -c ".items[] | if .kind == \"EndpointSlice\" and $n == 1
			then .endpoints |= reverse else . end" | paste -sd ,
		jq -nrc --argjson n "$n" 'range(100) | select(. % 3 != $n) | . as $i |
			{apiVersion: "v1", kind: "Service", metadata: {name: "other-\($i)", namespace: "every"},
			 spec: {type: "ClusterIP", clusterIP: "10.96.1.\($i + 1)",
				clusterIPs: ["10.96.1.\($i + 1)"], ipFamilies: ["IPv4"],
				ports: [{name: "main", protocol: "TCP", port: (80 + $n)}]}},
			{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice",
			 metadata: {name: "other-\($i)", namespace: "every",
				labels: {"kubernetes.io/service-name": "other-\($i)"}},
			 addressType: "IPv4", ports: [{name: "main", protocol: "TCP", port: 8080}],
			 endpoints: [range(1 + ($i + $n) % 5) |
				{addresses: ["10.1.\($i).\(. + 1)"], conditions: {ready: true}}]} |
			"," + tojson'
		echo ']}'
	} >"$NP_DIR/set-$n.json"
}

load() {
	LOADS+=("$1")
	world_load_start "$@"
}

start_loads() {
	load keep client-a --connect "$IP:80" "${KEEP[@]}"
	load keep6 client-a --connect "[$IP6]:80" "${KEEP[@]}"
	load keep-far client-a --connect "$FAR:80" "${KEEP[@]}"
	load keep-outside outside --connect "$NODE_A:30081" "${KEEP[@]}"
	load keep-udp client-a --udp --connect 10.96.0.53:53 "${KEEP[@]}"
	load keep-node node-a --connect "$IP:80" "${KEEP[@]}"
	load new client-a --connect "$IP:80" --rate 100 "${ANEW[@]}"
	load new6 client-a --connect "[$IP6]:80" --rate 30 "${ANEW[@]}"
	load new-outside outside --connect "$NODE_A:30080" --rate 100 "${ANEW[@]}"
	load new-node node-a --connect "$FAR:80" --rate 30 "${ANEW[@]}"
}

# Clients end when they are told to, and then tell what failed.
end_loads() {
	local label attempted=0
	for label in "${LOADS[@]}"; do
		kill -TERM "${NP_PIDS[load-$label]}" 2>/dev/null || fail "$label ended by itself"
	done
	for label in "${LOADS[@]}"; do
		world_load_end "$label" || true
		check_equal "$label: failed of $(world_result "$label" attempted)" "0 " \
			"$(world_result "$label" failed) $(world_names "$label" errors | xargs)"
		attempted=$((attempted + $(world_result "$label" attempted)))
	done
	echo "       $attempted connections"
}

# A number from 0 to $1 - 1.
any() {
	echo $((RANDOM % $1))
}

# replacing: the set is replaced by the other one, again and again; a daemon that is just dead is
# tried again.
replacing() {
	local n=0 done=0
	while [[ $done -lt $REPLACES ]]; do
		if nearpath_at node-a replace -f "$NP_DIR/set-$n.json" >/dev/null 2>&1; then
			done=$((done + 1))
			n=$((1 - n))
		else
			sleep 0.05
		fi
	done
	echo "$done" >"$NP_DIR/replaced"
}

SWITCH=("lb=drain" "lb=on" "xdp=off" "xdp=generic" "mss=off" "mss=auto" "stats=on" "stats=off"
	"lb=drain" "lb=on")

switching() {
	local done=0 device
	local -a devices=(cali1 eth0 zlink)
	while [[ $done -lt $SWITCHES ]]; do
		device=${devices[$(any 3)]}
		if nearpath_at node-a iface set "$device" "${SWITCH[$((done % ${#SWITCH[@]}))]}" \
			>/dev/null 2>&1; then
			done=$((done + 1))
		fi
		sleep 0.1
	done
	echo "$done" >"$NP_DIR/switched"
}

killing() {
	local i changed=0
	for ((i = 0; i < KILLS; i++)); do
		sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
		np_alive "${NP_PIDS[nearpathd-node-a]}" || fail "nearpathd died by itself, time $i"
		kill_daemon node-a
		if [[ -x $NEXT && $((i % 3)) == 2 ]]; then
			[[ $NEARPATHD == "$OLD" ]] && NEARPATHD=$NEXT || NEARPATHD=$OLD
			changed=$((changed + 1))
		fi
		world_nearpath node-a "${OPTIONS[@]}"
	done
	echo "       killed $KILLS times, $changed times followed by the other ABI version"
}

finished() {
	[[ -e $NP_DIR/replaced && -e $NP_DIR/switched ]]
}

main() {
	local -a jobs=()
	np_init
	world_cgroup
	world_build
	objects
	set_of 0
	set_of 1
	world_kubeproxy node-a
	world_nearpath node-a "${OPTIONS[@]}"
	nearpath_at node-a replace -f "$NP_DIR/set-0.json" >/dev/null
	start_loads
	sleep 1
	replacing &
	jobs+=($!)
	switching &
	jobs+=($!)
	killing
	wait_for -t $((120 * SCALE)) finished || fail "replacing or switching did not end"
	wait "${jobs[@]}" 2>/dev/null || true
	echo "       replaced $(cat "$NP_DIR/replaced") times, switched $(cat "$NP_DIR/switched") times"
	for device in cali1 eth0 zlink; do
		nearpath_at node-a iface set "$device" lb=on >/dev/null
	done
	end_loads
	check "the tables are as wanted" wait_for -t 15 nearpath_at node-a status
	check_equal "and nothing differs" 0 "$(nearpath_at node-a -o json diff | jq '.differences | length')"
	check "new connections go through nearpath" test "$(counter_of node-a ingress new_flow)" -gt 0
	finish
}

main "$@"
