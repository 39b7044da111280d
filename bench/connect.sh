#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What a connection through a Service costs, by who carries the Service and how many there are:
# connections and transactions a second with their latency and CPU, and throughput, in network
# namespaces, client and server on one CPU. Everything that is compared stands side by side and is
# measured in turns of some milliseconds, round by round. bench/load.c says what a connection is.

# shellcheck source=bench/connect-worlds.sh
. "$(dirname "${BASH_SOURCE[0]}")/connect-worlds.sh"

# Name, world, where the client is (in a pod, or a process of the node), what it connects to, with what
# it is compared, at most how many services, at which places among them. Only iptables tries rules one
# after the other, so only there places differ; all others look the service up.
# "again" is "direct" in another world: how far apart two are that are the same. "hooks" is direct with
# programs that do nothing where tc's are: what any tc program costs.
MODES=(
	"direct        plain    pod  endpoint -      100000 none"
	"again         again    pod  endpoint direct 100000 none"
	"hooks         hooks    pod  endpoint direct 100000 none"
	"iptables      iptables pod  service  direct 30000  first,middle,last"
	"nftables      nftables pod  service  direct 30000  first"
	"tc            nearpath pod  service  direct 100000 first"
	"redirect      redirect pod  service  direct 100000 first"
	"node          plain    node endpoint -      100000 none"
	"node-iptables iptables node service  node   30000  first"
	"node-nftables nftables node service  node   30000  first"
	"sock          nearpath node service  node   100000 first"
)
declare -A PLACE_IP=([first]=10.96.0.1 [middle]=10.96.0.2 [last]=10.96.0.3)
declare -A PLACE_COUNT=([none]=1 [first]=1 [middle]=3 [last]=2) # from how many services on

# Set by options, or by defaults.
COUNTS=()
ROUNDS=
QUICK=
WANTED= # modes; none: all
JSON=

CASES=() # of the count at hand: "MODE-PLACE WORLD NAMESPACE ADDRESS:PORT MODE PLACE"
WORLDS=()
LATE=() # worlds that are left out

usage() {
	cat <<-'END'
		Usage: connect.sh [OPTION]...
		Measures what a connection costs directly, through kube-proxy's rules and through
		nearpath, by number of services. Needs root.
		  -q, --quick   1 and 1000 services, few rounds: under half a minute
		  -s COUNTS     numbers of services, as 1,100,1000
		  -m MODES      as direct,iptables,tc; what they are compared with is added
		  -r ROUNDS     of connections and transactions (15, quick 4)
		  -c CPU        for clients and servers (the last)
		  --json FILE   write the samples there
		Exit: 0 done, 1 failed, 2 usage, 4 cannot run.
	END
}

say() {
	printf '[%3d s] %s\n' "$SECONDS" "$*" >&2
}

# --- options -----------------------------------------------------------------------------------

defaults() {
	if [[ -n $QUICK ]]; then
		[[ ${#COUNTS[@]} -gt 0 ]] || COUNTS=(1 1000)
		ROUNDS=${ROUNDS:-4} CONNECT_MS=50 TRANSACT_MS=25 STREAM_ROUNDS=1 STREAM_BYTES=200M
	else
		[[ ${#COUNTS[@]} -gt 0 ]] || COUNTS=(1 100 1000 10000 30000 100000)
		ROUNDS=${ROUNDS:-15} CONNECT_MS=100 TRANSACT_MS=50 STREAM_ROUNDS=3 STREAM_BYTES=400M
	fi
}

is_count() {
	[[ $1 =~ ^[1-9][0-9]{0,5}$ && $1 -le 100000 ]]
}

bad_usage() {
	[[ $# -eq 0 ]] || echo "connect.sh: $*" >&2
	usage >&2
	exit 2
}

check_options() {
	local word
	for word in "${COUNTS[@]}"; do
		is_count "$word" || bad_usage "-s: \"$word\" is no number from 1 to 100000"
	done
	is_count "$ROUNDS" || bad_usage "-r: \"$ROUNDS\" is no number from 1 to 100000"
	[[ $CPU =~ ^[0-9]+$ && $CPU -lt $(nproc --all) ]] || bad_usage "no CPU \"$CPU\""
	for word in ${WANTED//,/ }; do
		printf '%s\n' "${MODES[@]}" | grep -q "^$word " || bad_usage "no mode \"$word\"; there are $(
			printf '%s\n' "${MODES[@]}" | cut -d ' ' -f 1 | xargs
		)"
	done
	[[ -z $JSON ]] || : >>"$JSON" || die "cannot write \"$JSON\""
}

parse_options() {
	local option
	while [[ $# -gt 0 ]]; do
		option=$1
		shift
		case $option in
		-q | --quick) QUICK=yes ;;
		-h | --help)
			usage
			exit 0
			;;
		-s | -m | -r | -c | --json)
			[[ $# -gt 0 ]] || bad_usage
			case $option in
			-s) IFS=, read -ra COUNTS <<<"$1" ;;
			-m) WANTED=$1 ;;
			-r) ROUNDS=$1 ;;
			-c) CPU=$1 ;;
			--json) JSON=$1 ;;
			esac
			shift
			;;
		*) bad_usage "no option \"$option\"" ;;
		esac
	done
}

# The modes that are wanted, with what they are compared with, in the order of the table.
choose_modes() {
	local line name base
	local -a chosen=()
	[[ -n $WANTED ]] || return 0
	for line in "${MODES[@]}"; do
		read -r name _ _ _ base _ <<<"$line"
		[[ ,$WANTED, != *,$name,* ]] || WANTED+=,$base
	done
	for line in "${MODES[@]}"; do
		[[ ,$WANTED, != *,${line%% *},* ]] || chosen+=("$line")
	done
	MODES=("${chosen[@]}")
}

# --- cases -------------------------------------------------------------------------------------

choose_worlds() {
	local line world
	for line in "${MODES[@]}"; do
		read -r _ world _ <<<"$line"
		[[ " ${WORLDS[*]} " == *" $world "* ]] || WORLDS+=("$world")
	done
}

# choose_cases COUNT: what is measured with so many services.
choose_cases() {
	local count=$1 line name world where to most places place address
	CASES=()
	for line in "${MODES[@]}"; do
		read -r name world where to _ most places <<<"$line"
		((count <= most)) || continue
		[[ " ${LATE[*]} " != *" $world "* ]] || continue
		for place in ${places//,/ }; do
			((count >= PLACE_COUNT[$place])) || continue
			address=$SERVER
			[[ $to == endpoint ]] || address=${PLACE_IP[$place]}:80
			[[ $where == node ]] && where=$world || where=$world-client
			CASES+=("$name-$place $world $where $address $name $place")
		done
	done
}

# worlds_of_cases: those that have anything to measure with this many services.
worlds_of_cases() {
	local line
	printf '%s\n' "${CASES[@]}" | cut -d ' ' -f 2 | sort -u
}

# --- measuring ---------------------------------------------------------------------------------

# sample CASE-FIELDS ROUND MEMBERS: a line of the samples; those of a case and round are one later.
sample() {
	printf '{"mode":"%s","services":%d,"place":"%s","round":%d,%s}\n' "$1" "$SERVICES" "$2" \
		"$3" "$4" >>"$NP_DIR/samples"
}

# turn LABEL WORD MS: its answer in $ANSWER. One that had to share the CPU with something else is done
# again, twice at most.
turn() {
	local try busy
	for try in 1 2 3; do
		ask "$1" "$2" "$3"
		busy=${ANSWER##*_busy\":}
		((10#${busy/./} < 9500)) || break
	done
	[[ $try -eq 1 ]] || AGAIN=$((AGAIN + 1))
}

# turns WORD MS ROUND: each case for so long. Each round begins with another case.
turns() {
	local word=$1 ms=$2 round=$3 i n=${#CASES[@]} label mode place
	for ((i = 0; i < n; i++)); do
		read -r label _ _ _ mode place <<<"${CASES[(i + round) % n]}"
		turn "$label" "$word" "$ms"
		sample "$mode" "$place" "$round" "$ANSWER"
	done
}

begin_load() {
	local world line label name address
	for world in $(worlds_of_cases); do
		serve "$world"
	done
	for line in "${CASES[@]}"; do
		read -r label world name address _ <<<"$line"
		client "$label" "$world" "$name" "$address"
	done
}

end_load() {
	local line world
	for line in "${CASES[@]}"; do
		client_end "${line%% *}"
	done
	for world in $(worlds_of_cases); do
		stop "server-$world"
	done
}

measure_load() {
	local round
	AGAIN=0
	begin_load
	prove_cases
	for ((round = 0; round < ROUNDS; round++)); do
		turns connections "$CONNECT_MS" "$round"
		turns transactions "$TRANSACT_MS" "$round"
	done
	end_load
	((AGAIN == 0)) || say "$AGAIN of $((2 * ROUNDS * ${#CASES[@]})) turns had to share the CPU with" \
		"something else and were done again"
}

# stream LABEL WORLD NAMESPACE ADDRESS:PORT STREAMS: prints Gbit/s, received.
stream() {
	local label=$1 world=$2 name=$3 address=$4 streams=$5
	spawn_in "$world" "stream-$label" "$name" timeout 20 iperf3 -J -c "${address%:*}" \
		-p "${address#*:}" -A "$CPU,$CPU" -n "$STREAM_BYTES" -P "$streams"
	join "stream-$label" || die "iperf3, $label: $(jq -r .error "$NP_DIR/stream-$label.out")"
	GBIT=$(jq '.end.sum_received.bits_per_second / 1e9' "$NP_DIR/stream-$label.out")
}

streams_listen() {
	in_ns "$1-server" ss -Hltn "sport = :${SERVER#*:}" | grep -q .
}

begin_streams() {
	local world
	for world in $(worlds_of_cases); do
		spawn_in "$world" "streams-$world" "$world-server" iperf3 -s -p "${SERVER#*:}"
	done
	for world in $(worlds_of_cases); do
		wait_for streams_listen "$world" || die "no iperf3 in \"$world\""
	done
}

# What is established does not meet the chain again: one place tells of all.
measure_streams() {
	local round line label world name address mode place one
	begin_streams
	for ((round = 0; round < STREAM_ROUNDS; round++)); do
		for line in "${CASES[@]}"; do
			read -r label world name address mode place <<<"$line"
			[[ $place == none || $place == first ]] || continue
			stream "$label" "$world" "$name" "$address" 1
			one=$GBIT
			stream "$label" "$world" "$name" "$address" 4
			sample "$mode" "$place" "$round" "\"gbit_1\":$one,\"gbit_4\":$GBIT"
		done
	done
	for world in $(worlds_of_cases); do
		stop "streams-$world"
	done
}

# --- proof -------------------------------------------------------------------------------------

# What carried the connections of each case is what its name says.
prove_cases() {
	local line label world mode found
	for line in "${CASES[@]}"; do
		read -r label world _ _ mode _ <<<"$line"
		ask "$label" connections 1
		found=$("carrier_of_$world" "$mode")
		[[ $found == "$mode" ]] || die "connections of \"$label\" were carried by $found"
	done
}

# --- the whole ---------------------------------------------------------------------------------

# All worlds are given the objects at the same time.
load_worlds() {
	local world code
	for world in $(worlds_of_cases); do
		"load_$world" &
		NP_PIDS[load-$world]=$!
	done
	for world in $(worlds_of_cases); do
		code=0
		join "load-$world" || code=$?
		case $code in
		0) ;;
		124 | 137) leave_out "$world" ;;
		*) die "$SERVICES services could not be loaded into \"$world\"" ;;
		esac
	done
}

# leave_out WORLD: it takes too long to load, and with more services longer still.
leave_out() {
	local line
	local -a kept=()
	say "$SERVICES services: \"$1\" takes more than $LOAD_SECONDS s to load them, and has no row from here on"
	LATE+=("$1")
	for line in "${CASES[@]}"; do
		[[ $line == *" $1 "* ]] || kept+=("$line")
	done
	CASES=("${kept[@]}")
}

# idle_jiffies: of the CPU that measures.
idle_jiffies() {
	awk -v cpu="cpu$CPU" '$1 == cpu { print $5 + $6 }' /proc/stat
}

is_idle() {
	local before
	before=$(idle_jiffies)
	sleep 0.2
	(($(idle_jiffies) - before >= 19 * $(getconf CLK_TCK) / 100))
}

measure_count() {
	SERVICES=$1
	choose_cases "$1"
	say "$1 services: loading"
	wait_on in_ns "${WORLDS[0]}" "$NEARPATH_BUILD/bench/objects" -t "$SERVER" -p each "$1" \
		"$ENDPOINTS" >"$NP_DIR/objects.json"
	load_worlds
	wait_for is_idle || say "CPU $CPU has something else to do: the figures will show it"
	say "$1 services: $ROUNDS rounds of ${#CASES[@]} cases"
	measure_load
	say "$1 services: $STREAM_ROUNDS rounds of iperf3"
	measure_streams
}

write_json() {
	"$NEARPATH_BUILD/bench/machine" >"$NP_DIR/machine"
	jq -s --slurpfile machine "$NP_DIR/machine" --arg iptables "$(iptables --version)" \
		--arg nft "$(nft --version)" --argjson cpu "$CPU" \
		--argjson connect "$CONNECT_MS" --argjson transact "$TRANSACT_MS" '
		{schema: 1, part: "connect", machine: $machine[0], iptables: $iptables, nft: $nft,
		cpu: $cpu, connections_ms: $connect, transactions_ms: $transact, samples:
		(group_by([.services, .mode, .place, .round]) | map(add))}' \
		"$NP_DIR/samples" >"$NP_DIR/json"
	[[ -z $JSON ]] || cp "$NP_DIR/json" "$JSON"
}

bases() {
	printf '%s\n' "${MODES[@]}" | jq -R '[splits(" +")] | {mode: .[0], base: .[4]}' | jq -s .
}

table() {
	local dir=$NP_SELFTESTS/../bench
	jq -r --argjson modes "$(bases)" -f "$dir/connect.jq" "$NP_DIR/json" |
		awk -F '\t' -f "$dir/connect.awk"
}

check_tools() {
	local tool
	for tool in iptables iperf3 ss; do
		command -v "$tool" >/dev/null || skip "needs the command \"$tool\": make deps"
	done
	for tool in nearpathd nearpath bench/{load,hooks,objects,kubeproxy,machine}; do
		[[ -x $NEARPATH_BUILD/$tool ]] || die "no \"$NEARPATH_BUILD/$tool\": run make bench-connect"
	done
}

main() {
	local world count
	parse_options "$@"
	defaults
	check_options
	choose_modes
	choose_worlds
	np_init
	check_tools
	trap worlds_cleanup EXIT
	world_cgroup
	for world in "${WORLDS[@]}"; do
		world_make "$world"
	done
	for count in "${COUNTS[@]}"; do
		measure_count "$count"
	done
	for world in "${WORLDS[@]}"; do
		! declare -F "end_$world" >/dev/null || "end_$world"
	done
	write_json
	table
}

main "$@"
