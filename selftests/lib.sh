#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What every network self-test needs: uniquely named namespaces, processes and daemons inside
# them, waiting for conditions, counting results, and a cleanup that runs however the test ends.
# To be sourced. It makes nothing before np_init; it touches only what is named np-$$-*.

set -euo pipefail

NP_SELFTESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NEARPATH_BUILD=${NEARPATH_BUILD:-$(dirname "$NP_SELFTESTS")/build}
NEARPATHD=${NEARPATHD:-$NEARPATH_BUILD/nearpathd} # another may be started in its place
NP_PREFIX=np-$$
NP_DIR=${TMPDIR:-/tmp}/$NP_PREFIX
NP_PASSED=0
NP_FAILED=0
declare -A NP_PIDS=() # label -> process id

# --- beginning and end -----------------------------------------------------------------------

# np_init: the temporary folder $NP_DIR and the traps. Call it once, before anything else.
np_init() {
	[[ $EUID -eq 0 ]] || skip "needs root"
	local tool
	for tool in ip nft ethtool jq; do
		command -v "$tool" >/dev/null || skip "needs the command \"$tool\""
	done
	trap np_cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -m 700 "$NP_DIR"
}

np_cleanup() {
	local code=$?
	trap '' HUP INT TERM
	trap - EXIT
	set +e
	np_end_processes
	np_unmount
	np_delete_namespaces
	rm -rf --one-file-system "$NP_DIR"
	exit "$code"
}

# np_alive PID...: is any of them still running (a zombie is not)?
np_alive() {
	local pid stat
	for pid in "$@"; do
		stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
		stat=${stat##*) }
		[[ $stat == Z* ]] || return 0
	done
	return 1
}

np_gone() {
	! np_alive "$@"
}

# Everything started with spawn, and whatever else still lives in the namespaces made here.
np_end_processes() {
	local -a pids=("${NP_PIDS[@]}")
	local name pid
	for name in $(np_namespaces); do
		for pid in $(ip netns pids "$name" 2>/dev/null); do
			pids+=("$pid")
		done
	done
	[[ ${#pids[@]} -gt 0 ]] || return 0
	kill -TERM "${pids[@]}" 2>/dev/null
	kill -CONT "${pids[@]}" 2>/dev/null
	if ! wait_for -t 1 np_gone "${pids[@]}"; then
		kill -KILL "${pids[@]}" 2>/dev/null
		wait_for -t 3 np_gone "${pids[@]}"
	fi
	wait 2>/dev/null
	NP_PIDS=()
}

np_unmount() {
	local point
	while read -r _ point _; do
		[[ $point == "$NP_DIR"/* ]] && umount -l "$point"
	done < <(tac /proc/self/mounts)
}

np_namespaces() {
	local path
	for path in /run/netns/"$NP_PREFIX"-*; do
		[[ -e $path ]] && basename "$path"
	done
	return 0
}

np_delete_namespaces() {
	local name
	for name in $(np_namespaces); do
		ip netns del "$name"
	done
}

# --- results ---------------------------------------------------------------------------------

# skip REASON: ends the test with exit code 4.
skip() {
	echo "SKIP: $*"
	exit 4
}

# die MESSAGE: the test itself could not go on.
die() {
	echo "ERROR: $*" >&2
	exit 1
}

ok() {
	NP_PASSED=$((NP_PASSED + 1))
	echo "ok   - $*"
}

fail() {
	NP_FAILED=$((NP_FAILED + 1))
	echo "FAIL - $*"
}

# check WHAT COMMAND...: ok if the command succeeds, else fail with what it printed.
check() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$what"
	else
		fail "$what"
		[[ -z $out ]] || echo "       ${out//$'\n'/$'\n       '}"
	fi
}

# check_equal WHAT WANTED GOT
check_equal() {
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		fail "$1: wanted \"$2\", got \"$3\""
	fi
}

# finish: the last line of a test; exits 1 if anything failed.
finish() {
	echo "$NP_PASSED passed, $NP_FAILED failed"
	[[ $NP_FAILED -eq 0 ]] || exit 1
	exit 0
}

# wait_for [-t SECONDS] COMMAND...: until the command succeeds; 1 after SECONDS (default 5).
wait_for() {
	local seconds=5 until
	if [[ $1 == -t ]]; then
		seconds=$2
		shift 2
	fi
	until=$((${EPOCHREALTIME/./} + seconds * 1000000))
	until "$@" >/dev/null 2>&1; do
		[[ ${EPOCHREALTIME/./} -lt $until ]] || return 1
		sleep 0.02
	done
}

# --- namespaces and processes ----------------------------------------------------------------

# ns NAME: the full name of a namespace of this test.
ns() {
	echo "$NP_PREFIX-$1"
}

# ns_add NAME...: with loopback up and IPv6 addresses usable at once.
ns_add() {
	local name
	for name in "$@"; do
		ip netns add "$NP_PREFIX-$name"
		ns_sysctl "$name" net.ipv4.tcp_mtu_probing=0 net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
		ip -n "$NP_PREFIX-$name" link set lo up
	done
}

# in_ns NAME COMMAND...
in_ns() {
	local name=$1
	shift
	ip netns exec "$NP_PREFIX-$name" "$@"
}

# ns_ip NAME ARGS...: ip inside the namespace.
ns_ip() {
	local name=$1
	shift
	ip -n "$NP_PREFIX-$name" "$@"
}

# ns_sysctl NAME KEY=VALUE...
ns_sysctl() {
	local name=$1
	shift
	in_ns "$name" sysctl -qw "$@"
}

# spawn LABEL NAME COMMAND...: in the background inside namespace NAME, output in
# $NP_DIR/LABEL.log, process id in ${NP_PIDS[LABEL]}.
spawn() {
	local label=$1 name=$2
	shift 2
	ip netns exec "$NP_PREFIX-$name" "$@" >"$NP_DIR/$label.log" 2>&1 </dev/null &
	NP_PIDS[$label]=$!
}

# spawn_ready LABEL NAME COMMAND...: spawn, and wait until it has printed a line "ready".
spawn_ready() {
	local label=$1
	spawn "$@"
	if ! wait_for grep -qx ready "$NP_DIR/$label.log"; then
		cat "$NP_DIR/$label.log" >&2
		die "\"$label\" did not get ready"
	fi
}

# join LABEL: waits for a spawned process to end by itself; its exit code.
join() {
	local pid=${NP_PIDS[$1]} code=0
	wait "$pid" || code=$?
	unset "NP_PIDS[$1]"
	return "$code"
}

# stop LABEL [SIGNAL]: ends a spawned process (TERM, and KILL after 5 s) and waits for it. What bash
# has to say of killed processes is not wanted.
stop() {
	local pid=${NP_PIDS[$1]:-} code=0
	[[ -n $pid ]] || return 0
	{
		kill "-${2:-TERM}" "$pid" || true
		if ! wait_for np_gone "$pid"; then
			kill -KILL "$pid" || true
			code=1
		fi
		wait "$pid" || true
	} 2>/dev/null
	[[ $code -eq 0 ]] || echo "\"$1\" did not end by itself" >&2
	unset "NP_PIDS[$1]"
	return "$code"
}

# tool NAME: path of a program of selftests/tools.
tool() {
	local path=$NEARPATH_BUILD/selftests/$1
	[[ -x $path ]] || die "no \"$path\": run make, or set NEARPATH_BUILD"
	echo "$path"
}

# json_get FILE KEY: the number or string of the first KEY in a one-line JSON object.
json_get() {
	local text
	text=$(grep -o "\"$2\":[^,}]*" "$1" | head -n 1) || return 1
	text=${text#*:}
	text=${text#\"}
	echo "${text%\"}"
}

# json_part FILE KEY: the flat object at KEY as lines "NAME COUNT".
json_part() {
	local text
	text=$(grep -o "\"$2\":{[^}]*}" "$1" | head -n 1) || return 1
	grep -o '"[^"]*":[0-9.]*' <<<"${text#*:}" | sed 's/^"\(.*\)":/\1 /' || true
}

# --- the daemon ------------------------------------------------------------------------------

# daemon_dir NAME: folder of the daemon of a namespace: socket, bpf/ and state/.
daemon_dir() {
	echo "$NP_DIR/daemon-$1"
}

# tables_dir NAME: the pins of its tables, which are of one ABI version.
tables_dir() {
	echo "$(daemon_dir "$1")"/bpf/abi-*
}

# The bpffs is mounted out here: ip netns exec gives each command mounts of its own, and what the
# daemon pins must outlive it.
daemon_prepare() {
	local dir
	dir=$(daemon_dir "$1")
	mkdir -p "$dir/bpf" "$dir/state"
	mountpoint -q "$dir/bpf" || mount -t bpf bpf "$dir/bpf"
}

# start_daemon NAME [OPTIONS]: nearpathd in namespace NAME, until it answers. It may be called
# again after stop_daemon or kill_daemon: pins and state are those of the one before.
start_daemon() {
	local name=$1 dir
	shift
	dir=$(daemon_dir "$name")
	[[ -x $NEARPATHD ]] || die "no \"$NEARPATHD\": run make"
	daemon_prepare "$name"
	rm -f "$dir/socket"
	spawn "nearpathd-$name" "$name" "$NEARPATHD" --node-name "$name" \
		--socket "$dir/socket" --bpffs "$dir/bpf" --state-dir "$dir/state" "$@"
	if ! wait_for -t 20 daemon_answers_or_gone "$name" || ! daemon_answers "$name"; then
		cat "$NP_DIR/nearpathd-$name.log" >&2
		die "nearpathd of \"$name\" does not answer"
	fi
}

daemon_answers() {
	timeout 5 "$NEARPATH_BUILD/nearpath" --socket "$(daemon_dir "$1")/socket" iface list
} >/dev/null 2>&1

daemon_answers_or_gone() {
	daemon_answers "$1" || np_gone "${NP_PIDS[nearpathd-$1]}"
}

# stop_daemon NAME: SIGTERM; what it attached goes on forwarding.
stop_daemon() {
	stop "nearpathd-$1"
}

# kill_daemon NAME: SIGKILL.
kill_daemon() {
	stop "nearpathd-$1" KILL
}

# nearpath_at NAME ARGS...: the command, talking to the daemon of namespace NAME.
nearpath_at() {
	local name=$1
	shift
	in_ns "$name" "$NEARPATH_BUILD/nearpath" --socket "$(daemon_dir "$name")/socket" "$@"
}

# counter_of NAME HOOK REASON: a packet counter of the daemon of NAME; 0 if it has none such.
counter_of() {
	{ nearpath_at "$1" -o json status || true; } | jq ".counters.$2.$3 // 0"
}

# cleanup_daemon NAME: detaches and forgets everything the daemon of NAME left.
cleanup_daemon() {
	local dir
	dir=$(daemon_dir "$1")
	in_ns "$1" "$NEARPATH_BUILD/nearpathd" --node-name "$1" --socket "$dir/socket" \
		--bpffs "$dir/bpf" --state-dir "$dir/state" --cleanup
}
