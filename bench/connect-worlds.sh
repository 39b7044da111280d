#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The worlds of bench/connect.sh, which sources this: each a node with a client pod and a server pod
# behind routed veths as Calico has them, all of them alike but for what carries the services. They
# stand side by side, so that a round of measurements can go through all of them.
#
#   WORLD-client --- cali1  WORLD  cali2 --- WORLD-server:8080
#   10.255.0.10            eth0 192.168.50.1       10.255.0.20
#
# What a world is, how it is given the objects, and what is seen of it: begin_WORLD and end_WORLD (may be
# missing), load_WORLD, carrier_of_WORLD. A new mode is these and a line of MODES in connect.sh.

# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../selftests/lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

LOAD=$NEARPATH_BUILD/bench/load
CPU=$(($(nproc) - 1)) # of clients and servers
SERVER=10.255.0.20:8080
NODE_IP=192.168.50.1
GATEWAY_IP=192.168.50.254
CLUSTER_CIDR=10.128.0.0/9
# shellcheck disable=SC2034 # for connect.sh
ENDPOINTS=2 # of each service but the tested ones, which have one
# nearpath's tables are of one size at all counts, so that the count alone differs.
PART_LINES=40000 # objects of one delivery's part
LOAD_SECONDS=90	 # kube-proxy's rules, at most
NEARPATH_SIZES=(--max-services 262144 --max-backends 262144)

# wait_on COMMAND...: in the background and waited for, so that a signal is acted on at once.
wait_on() {
	local code=0
	"$@" &
	NP_PIDS[work]=$!
	wait "$!" || code=$?
	unset "NP_PIDS[work]"
	return "$code"
}

# --- networks ----------------------------------------------------------------------------------

# Each world's processes are in a cgroup of its own: nearpath's programs for sockets are to be met by
# those of its world only.
cgroup_of() {
	echo "$NP_DIR/cgroup/$NP_PREFIX-$1"
}

worlds_cleanup() {
	local code=$?
	trap '' HUP INT TERM
	set +e
	np_end_processes
	rmdir "$NP_DIR/cgroup/$NP_PREFIX"-* 2>/dev/null
	(exit "$code")
	np_cleanup
}

# The default route is what a clusterIP goes by until it is translated. Nothing leaves by it.
world_uplink_to_nowhere() {
	ns_ip "$1" link add eth0 type veth peer name nowhere
	ns_ip "$1" addr add "$NODE_IP/24" dev eth0
	ns_ip "$1" link set nowhere up
	ns_ip "$1" link set eth0 up
	ns_ip "$1" route add default via "$GATEWAY_IP"
}

# world_make WORLD
world_make() {
	local world=$1
	mkdir "$(cgroup_of "$world")"
	ns_add "$world"
	ns_sysctl "$world" net.ipv4.ip_forward=1
	world_uplink_to_nowhere "$world"
	# shellcheck disable=SC2034 # world_pod reads them
	{
		WORLD_POD_COUNT[$world]=0
		WORLD_POD_NET4[$world]=10.255.0
		WORLD_POD_NET6[$world]=fd00:ff:
	}
	world_pod "$world" "$world-client" 10
	world_pod "$world" "$world-server" 20
	! declare -F "begin_$world" >/dev/null || "begin_$world"
}

# --- who carries the services ------------------------------------------------------------------
# load_WORLD: the objects of $NP_DIR/objects.json from now on, and no others.

load_plain() {
	:
}

load_again() {
	:
}

begin_hooks() {
	local links
	daemon_prepare hooks
	links=$(daemon_dir hooks)/bpf/links
	in_ns hooks "$NEARPATH_BUILD/bench/hooks" "$links" cali1 cali2
}

load_hooks() {
	:
}

# kubeproxy MODE WORLD COMMAND...: kube-proxy's rules for the objects, given to the command there. 124
# or 137: it took more than $LOAD_SECONDS.
kubeproxy() {
	local mode=$1 world=$2
	shift 2
	in_ns "$world" "$NEARPATH_BUILD/bench/kubeproxy" "$mode" --cluster-cidr "$CLUSTER_CIDR" \
		<"$NP_DIR/objects.json" >"$NP_DIR/$mode.rules" &&
		in_ns "$world" timeout -k 5 "$LOAD_SECONDS" "$@" <"$NP_DIR/$mode.rules"
}

load_iptables() {
	kubeproxy iptables iptables iptables-restore
}

load_nftables() {
	in_ns nftables nft delete table ip kube-proxy 2>/dev/null || true
	kubeproxy nftables nftables nft -f -
}

# begin_daemon WORLD [OPTION]...
begin_daemon() {
	local world=$1
	shift
	start_daemon "$world" --ifaces 'cali*' --cluster-cidr "$CLUSTER_CIDR" \
		--cgroup "$(cgroup_of "$world")" "${NEARPATH_SIZES[@]}" "$@"
}

begin_nearpath() {
	begin_daemon nearpath
}

begin_redirect() {
	begin_daemon redirect --redirect 'cali*'
}

end_nearpath() {
	stop_daemon nearpath || true
}

end_redirect() {
	stop_daemon redirect || true
}

load_nearpath() {
	nearpath_replace nearpath
}

load_redirect() {
	nearpath_replace redirect
}

# A line to the daemon has at most 64 MiB: many objects are a delivery of several.
nearpath_replace() {
	local world=$1 part
	rm -f "$NP_DIR/$world-part-"*
	grep '^{"kind":"[SE]' "$NP_DIR/objects.json" | sed 's/,$//' |
		split -l "$PART_LINES" - "$NP_DIR/$world-part-"
	nearpath_at "$world" sync --begin >/dev/null || return 1
	for part in "$NP_DIR/$world-part-"*; do
		nearpath_at "$world" apply -f "$part" >/dev/null || return 1
	done
	nearpath_at "$world" sync >/dev/null
}

# --- what carried them -------------------------------------------------------------------------
# carrier_of_WORLD MODE: prints MODE if what is left to see of its connections says so, else what it
# was that carried them.

connections_tracked() {
	in_ns "$1" cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0
}

untracked_carrier() {
	[[ $(connections_tracked "$1") == 0 ]] && echo "$2" || echo "what conntrack knows of"
}

carrier_of_plain() {
	untracked_carrier plain "$1"
}

carrier_of_again() {
	untracked_carrier again "$1"
}

carrier_of_hooks() {
	untracked_carrier hooks "$1"
}

# A clusterIP that answers was translated, and nothing but the rules does that here.
carrier_of_iptables() {
	(($(connections_tracked iptables) > 0)) && echo "$1" || echo "no rules"
}

carrier_of_nftables() {
	(($(connections_tracked nftables) > 0)) && echo "$1" || echo "no rules"
}

carrier_of_nearpath() {
	nearpath_carrier nearpath "$1"
}

carrier_of_redirect() {
	nearpath_carrier redirect "$1"
}

# nearpath_carrier WORLD MODE
nearpath_carrier() {
	local flows sockets
	flows=$(nearpath_at "$1" -o json flow list --limit 1 | jq .count)
	sockets=$(counter_of "$1" sock new_flow)
	if [[ $(connections_tracked "$1") != 0 ]]; then
		echo "what conntrack knows of"
	elif [[ $2 == sock ]]; then
		((sockets > 0)) && echo sock || echo "no program for sockets"
	else
		((flows > 0)) && echo "$2" || echo "no flows"
	fi
}

# --- processes ---------------------------------------------------------------------------------

# spawn_in WORLD LABEL NAMESPACE COMMAND...: as spawn, in the world's cgroup. Its output is in
# $NP_DIR/LABEL.out, and its input what is in LABEL.in, if there is such a file.
spawn_in() {
	local world=$1 label=$2 name=$3 input=$NP_DIR/$2.in
	shift 3
	[[ -e $input ]] || input=/dev/null
	(
		echo "$BASHPID" >"$(cgroup_of "$world")/cgroup.procs"
		exec ip netns exec "$NP_PREFIX-$name" "$@"
	) <"$input" >"$NP_DIR/$label.out" 2>"$NP_DIR/$label.log" &
	NP_PIDS[$label]=$!
}

# serve WORLD: a load server in its server pod.
serve() {
	spawn_in "$1" "server-$1" "$1-server" "$LOAD" -s -c "$CPU" "$SERVER"
	wait_for grep -qx ready "$NP_DIR/server-$1.out" || die "no server in \"$1\""
}

KSOFTIRQD=$(pgrep -x "ksoftirqd/$CPU" || true)
declare -A CLIENT_TO=() CLIENT_FROM=() # label -> file descriptor

# client LABEL WORLD NAMESPACE ADDRESS:PORT: a load client that waits for "ask LABEL".
client() {
	local label=$1 world=$2 name=$3 address=$4 to from
	local -a others=(-p "${NP_PIDS[server-$world]}")
	[[ -z $KSOFTIRQD ]] || others+=(-p "$KSOFTIRQD")
	[[ -p $NP_DIR/$label.in ]] || mkfifo "$NP_DIR/$label.in" "$NP_DIR/$label.out"
	spawn_in "$world" "$label" "$name" "$LOAD" -c "$CPU" "${others[@]}" "$address"
	exec {to}>"$NP_DIR/$label.in" {from}<"$NP_DIR/$label.out"
	CLIENT_TO[$label]=$to
	CLIENT_FROM[$label]=$from
}

# ask LABEL WORDS...: the client's answer in $ANSWER, the members of a JSON object.
ask() {
	local label=$1
	shift
	ANSWER=
	echo "$*" >&"${CLIENT_TO[$label]}"
	read -r -t 20 -u "${CLIENT_FROM[$label]}" ANSWER || die "\"$label\" does not answer: $(
		cat "$NP_DIR/$label.log"
	)"
	[[ $ANSWER != *'"error"'* ]] || die "\"$label\": $ANSWER"
	ANSWER=${ANSWER#\{}
	ANSWER=${ANSWER%\}}
}

client_end() {
	local label=$1 to=${CLIENT_TO[$1]} from=${CLIENT_FROM[$1]}
	exec {to}>&- {from}<&-
	stop "$label"
	unset "CLIENT_TO[$label]" "CLIENT_FROM[$label]"
}
