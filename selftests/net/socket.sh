#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The config socket under hostile input: whatever comes, it is refused by the right code, changes
# nothing and keeps nobody else waiting. Who may connect; what the command's exit codes say; and
# apply, replace, delete and watch as the docs have them.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=selftests/world.sh
. "$NP_SELFTESTS/world.sh"

WORLD_DELAY_MS=1
IP=10.96.0.10
NOBODY=65534
GROUP=daemon # one that every system has
LINE_MAX=600000000

# A client that is not the command: sends its standard input, closes its writing side, prints all
# that comes back. With --hold N it makes N connections instead, sends its input on each, prints
# "ready", and keeps silent until it is killed.
write_raw() {
	cat >"$NP_DIR/raw.py" <<-'END'
		import os, signal, socket, sys, threading
		path, uid, gid, hold = sys.argv[1], *map(int, sys.argv[2:5])
		if uid:
		    os.setgroups([])
		    os.setgid(gid)
		    os.setuid(uid)
		def connect():
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(path) # blocks while the backlog is full
		    s.settimeout(20)
		    return s
		data = sys.stdin.buffer.read()
		if hold:
		    held = [connect() for _ in range(hold)]
		    for s in held:
		        s.settimeout(1)
		        try:
		            s.sendall(data)
		        except OSError:
		            pass
		    print("ready", flush=True)
		    signal.pause()
		s = connect()
		def send():
		    try:
		        s.sendall(data)
		        s.shutdown(socket.SHUT_WR)
		    except OSError:
		        pass
		threading.Thread(target=send, daemon=True).start()
		try:
		    while chunk := s.recv(65536):
		        sys.stdout.buffer.write(chunk)
		except ConnectionResetError:
		    pass
	END
}

socket_of() {
	echo "$(daemon_dir node-a)/socket"
}

# raw [UID [GID [HOLD]]]
raw() {
	python3 "$NP_DIR/raw.py" "$(socket_of)" "${1:-0}" "${2:-0}" "${3:-0}"
}

state() {
	nearpath_at node-a -o json service list | jq -cS 'del(.. | .connections?, .revision?)'
	nearpath_at node-a -o json iface list | jq -cS .
}

# refused WHAT CODE LINE: the answer to a line that is not to be obeyed.
refused() {
	local answer
	answer=$(printf '%s\n' "$3" | raw) || true
	check_equal "$1 is refused" "$2" "$(jq -c '.error.code' <<<"$answer" 2>&1)"
}

# call WHAT CODE METHOD PARAMS
call_refused() {
	refused "$1" "$2" "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$3\",\"params\":$4}"
}

not_requests() {
	local nested
	refused "what is no JSON" -32700 'hello?'
	refused "JSON that ends early" -32700 '{"jsonrpc":"2.0","id":1,"method":"status"'
	refused "JSON that is not UTF-8" -32700 $'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}'
	nested=$(head -c 100000 /dev/zero | tr '\0' '[')
	refused "JSON a hundred thousand deep" -32700 "$nested"
	refused "an empty object" -32600 '{}'
	refused "a number" -32600 '17'
	refused "a batch" -32600 '[{"jsonrpc":"2.0","id":1,"method":"status"}]'
	refused "another version" -32600 '{"jsonrpc":"1.0","id":1,"method":"status"}'
	refused "no method" -32600 '{"jsonrpc":"2.0","id":1}'
	refused "a method that is a number" -32600 '{"jsonrpc":"2.0","id":1,"method":7}'
	refused "an id that is an object" -32600 '{"jsonrpc":"2.0","id":{},"method":"status"}'
	refused "an unknown method" -32601 '{"jsonrpc":"2.0","id":1,"method":"destroy"}'
	refused "params that are an array" -32602 \
		'{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}'
	check "a key given twice is refused" duplicate_refused
	check_equal "a notification is not answered" "" \
		"$(echo '{"jsonrpc":"2.0","method":"destroy"}' | raw)"
}

duplicate_refused() {
	echo '{"jsonrpc":"2.0","id":1,"method":"status","method":"status"}' | raw |
		jq -e '.error.code == -32700 or .error.code == -32600'
}

# service_refused WHAT JQ-CHANGE: a good Service is changed by it, and comes behind a good one.
service_refused() {
	local objects
	objects=$(jq -c "[(.metadata.name = \"good\" | .spec.clusterIP = \"10.96.9.9\" |
		.spec.clusterIPs = [\"10.96.9.9\"]), ($2)]" \
		"$NP_DIR/objects/Service-socket-web.json")
	call_refused "a Service with $1" -32602 apply "{\"objects\":$objects}"
}

slice_refused() {
	local objects
	objects=$(jq -c "[$2]" "$NP_DIR/objects/EndpointSlice-socket-web-4.json")
	call_refused "a slice with $1" -32602 apply "{\"objects\":$objects}"
}

bad_objects() {
	call_refused "apply without objects" -32602 apply '{}'
	call_refused "objects that are a number" -32602 apply '{"objects":5}'
	call_refused "an object that is a number" -32602 apply '{"objects":[5]}'
	call_refused "an object without kind" -32602 apply '{"objects":[{}]}'
	call_refused "delete without a name" -32602 delete \
		'{"objects":[{"kind":"Service","metadata":{}}]}'
	call_refused "get of something unknown" -32602 get '{"what":"secrets"}'
	call_refused "a limit that is a text" -32602 get '{"what":"flows","limit":"all"}'
	service_refused "port 0" '.spec.ports[0].port = 0'
	service_refused "port 70000" '.spec.ports[0].port = 70000'
	service_refused "port -1" '.spec.ports[0].port = -1'
	service_refused "port 4294967376" '.spec.ports[0].port = 4294967376'
	service_refused "port 80.5" '.spec.ports[0].port = 80.5'
	service_refused "a port that is a text" '.spec.ports[0].port = "80"'
	service_refused "node port 70000" '.spec.type = "NodePort" | .spec.ports[0].nodePort = 70000'
	service_refused "ports that are an object" '.spec.ports = {}'
	service_refused "an address of no family" \
		'.spec.clusterIP = "10.96.0.300" | .spec.clusterIPs = ["10.96.0.300"]'
	service_refused "an address that is a number" '.spec.clusterIP = 10 | .spec.clusterIPs = [10]'
	service_refused "an unknown protocol" '.spec.ports[0].protocol = "GOPHER"'
	service_refused "a spec that is a text" '.spec = "none"'
	service_refused "a name that is a number" '.metadata.name = 5'
	service_refused "a name of 10000 letters" '.metadata.name = ("x" * 10000)'
	slice_refused "an address of no family" '.endpoints[0].addresses = ["pod-7"]'
	slice_refused "an address of the other family" '.endpoints[0].addresses = ["fd00::1"]'
	slice_refused "port -1" '.ports[0].port = -1'
	slice_refused "port 70000" '.ports[0].port = 70000'
	slice_refused "ready that is a text" '.endpoints[0].conditions.ready = "yes"'
	slice_refused "endpoints that are a text" '.endpoints = "all"'
}

bad_switches() {
	call_refused "a switch of a device that is not there" -32000 iface \
		'{"name":"eth9","set":{"lb":"off"}}'
	call_refused "a switch of loopback" -32000 iface '{"name":"lo","set":{"lb":"on"}}'
	call_refused "a switch there is not" -32602 iface '{"name":"eth0","set":{"turbo":"on"}}'
	call_refused "a value there is not" -32602 iface '{"name":"eth0","set":{"xdp":"fast"}}'
	call_refused "mss of 5" -32602 iface '{"name":"eth0","set":{"mss":5}}'
	call_refused "mss of 70000" -32602 iface '{"name":"eth0","set":{"mss":70000}}'
	call_refused "a good switch beside a bad one" -32602 iface \
		'{"name":"eth0","set":{"stats":"on","xdp":7}}'
	call_refused "a name that is a list" -32602 iface '{"name":["eth0"],"set":{"lb":"off"}}'
}

# others_served WHAT: the command is answered at once while something else goes on.
others_served() {
	check "$1: others are served meanwhile" timeout 3 \
		"$NEARPATH_BUILD/nearpath" --socket "$(socket_of)" iface list
}

# hold LABEL COUNT DATA: silent connections, each of which has sent DATA, until stop LABEL.
hold() {
	local label=$1
	printf '%s' "$3" >"$NP_DIR/$label.data"
	python3 "$NP_DIR/raw.py" "$(socket_of)" 0 0 "$2" <"$NP_DIR/$label.data" \
		>"$NP_DIR/$label.log" 2>&1 &
	NP_PIDS[$label]=$!
	wait_for grep -qx ready "$NP_DIR/$label.log" || die "\"$label\" did not get ready"
}

bad_manners() {
	local answer
	check_equal "half a line and a close: nothing is said but an error" "" \
		"$(printf '{"jsonrpc":"2.0","id":1,"method":"sta' | raw | jq -r '.result // empty')"
	hold half 10 '{"jsonrpc":"2.0","id":1,"meth'
	others_served "ten silent half lines"
	stop half
	hold silent 60 ''
	others_served "sixty silent connections"
	stop silent
	hold crowd 80 ''
	answer=$(raw </dev/null) || true
	check_equal "one client too many is told so" -32001 "$(jq .error.code <<<"$answer")"
	stop crowd
	check "when the crowd has gone, all is well" wait_for daemon_answers node-a
	hold deaf 1 "$(yes '{"jsonrpc":"2.0","id":1,"method":"get","params":{"what":"objects"}}' |
		head -n 20000)"
	others_served "one who asks and does not read"
	stop deaf
}

long_line() {
	local code before kept_waiting=0
	before=$(rss)
	head -c "$LINE_MAX" /dev/zero | tr '\0' x | raw >"$NP_DIR/long.out" &
	NP_PIDS[long]=$!
	while np_alive "${NP_PIDS[long]}"; do
		timeout 2 "$NEARPATH_BUILD/nearpath" --socket "$(socket_of)" iface list >/dev/null ||
			kept_waiting=$((kept_waiting + 1))
	done
	check_equal "a line of 600 MB: others that were kept waiting" 0 "$kept_waiting"
	join long || true
	code=$(jq .error.code "$NP_DIR/long.out")
	check_equal "a line of 600 MB is refused" -32001 "$code"
	check "its memory is given back" test "$(rss)" -le $((before + 50000))
}

# Memory of the daemon in kB.
rss() {
	local pid
	pid=$(nearpath_at node-a -o json status | jq .pid)
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
}

# As a peer who is not root: first by the file's mode, then past it.
peers() {
	local status='{"jsonrpc":"2.0","id":1,"method":"status"}' gid
	gid=$(getent group "$GROUP" | cut -d : -f 3)
	chmod 711 "$NP_DIR" "$(daemon_dir node-a)"
	chmod 644 "$NP_DIR/raw.py"
	check_equal "the socket is root's alone" "600 root root" \
		"$(stat -c '%a %U %G' "$(socket_of)")"
	check_equal "nobody cannot open it" 1 "$(echo "$status" | raw "$NOBODY" "$NOBODY" 2>&1 |
		grep -c PermissionError)"
	chmod 666 "$(socket_of)"
	check_equal "nobody is refused, even with the file open" -32002 \
		"$(echo "$status" | raw "$NOBODY" "$NOBODY" | jq .error.code)"
	stop_daemon node-a
	world_nearpath node-a --socket-group "$GROUP"
	check_equal "with --socket-group the file is the group's" "660 root $GROUP" \
		"$(stat -c '%a %U %G' "$(socket_of)")"
	check_equal "a member of the group is served" node-a \
		"$(echo "$status" | raw "$NOBODY" "$gid" | jq -r .result.node)"
	chmod 666 "$(socket_of)"
	check_equal "one who is no member is refused" -32002 \
		"$(echo "$status" | raw "$NOBODY" "$NOBODY" | jq .error.code)"
	stop_daemon node-a
	world_nearpath node-a
}

# exits CODE ARGS...: of the command.
exits() {
	local wanted=$1 code=0
	shift
	nearpath_at node-a "$@" >"$NP_DIR/out" 2>"$NP_DIR/err" || code=$?
	check_equal "nearpath $*: exit code" "$wanted" "$code"
	if [[ $wanted -ne 0 ]]; then
		check "nearpath $*: it says why" test -s "$NP_DIR/err"
		check_equal "nearpath $*: no data" "" "$(cat "$NP_DIR/out")"
	fi
}

# json_error KIND ARGS...
json_error() {
	local kind=$1
	shift
	check_equal "nearpath -o json $*: kind of error" "1 $kind" "$(
		nearpath_at node-a -o json "$@" 2>/dev/null | jq -r '"\(.schema) \(.error.kind)"'
	)"
}

exit_codes() {
	echo '{"kind":"Service"}' >"$NP_DIR/bad.json"
	exits 0 status
	exits 0 service list
	exits 0 service get socket/web
	exits 0 delete service socket/never-was
	exits 1 service get socket/never-was
	exits 1 apply -f "$NP_DIR/bad.json"
	exits 1 apply -f "$NP_DIR/not-there.json"
	exits 1 iface set eth9 lb=off
	exits 2 frobnicate
	exits 2 service
	exits 2 apply
	exits 2 iface set eth0 xdp=maybe
	exits 2 status --turbo
	json_error failed service get socket/never-was
	json_error usage frobnicate
	stop_daemon node-a
	exits 3 status
	exits 3 apply -f "$NP_DIR/objects.json"
	json_error no_daemon status
	world_nearpath node-a
}

saw() {
	grep -q "\"event\":\"$1\",.*\"object\":\"$2\"\|\"object\":\"$2\".*\"event\":\"$1\"" \
		<(jq -c . "$NP_DIR/watch.log")
}

services() {
	nearpath_at node-a -o json service list | jq -r '[.services[].name] | unique | join(" ")'
}

# What kubectl prints where it finds nothing, perhaps of the wrong cluster.
empty_list() {
	local empty='{"apiVersion":"v1","kind":"List","items":[]}' code=0
	nearpath_at node-a replace -f - <<<"$empty" >"$NP_DIR/empty.log" 2>&1 || code=$?
	check_equal "replace with an empty List is refused, and changes nothing" "1 web" \
		"$code $(services)"
	check "and says what to do if it is meant" grep -q 'say --empty' "$NP_DIR/empty.log"
	nearpath_at node-a replace --empty -f - <<<"$empty" >/dev/null
	check_equal "with --empty it removes all" "" "$(services)"
	world_apply node-a
	nearpath_at node-a delete service socket/second >/dev/null
}


changes() {
	spawn watch node-a "$NEARPATH_BUILD/nearpath" --socket "$(socket_of)" -o json watch
	# It is only certain to listen once it has printed something.
	wait_for watch_hears || die "watch shows nothing"
	world_service second socket 10.96.0.20 80
	WORLD_FAMILIES=4 world_slice second socket "$WORLD_PORT" server-a
	world_apply node-a
	check "watch: applied" wait_for saw applied "Service socket/second"
	check_equal "apply adds" "second web" "$(services)"
	world_reach "apply: the new one is served" client-a server-a any --connect 10.96.0.20:80
	world_objects | jq '.items |= map(select(.metadata.name | test("second") | not))' \
		>"$NP_DIR/without.json"
	nearpath_at node-a apply -f "$NP_DIR/without.json" >/dev/null
	check_equal "apply removes nothing" "second web" "$(services)"
	check_equal "replace says how many it removed" 2 \
		"$(nearpath_at node-a -o json replace -f "$NP_DIR/without.json" | jq .removed)"
	check_equal "replace removes what is not in it" web "$(services)"
	check "watch: removed" wait_for saw removed "Service socket/second"
	world_reach "replace: what stays is served" client-a server-a any --connect "$IP:80"
	world_load gone client-a --connect 10.96.0.20:80 --timeout-ms 300 || true
	check_equal "replace: what is removed is not served" 1 "$(world_result gone failed)"
	empty_list
	nearpath_at node-a delete service socket/web >/dev/null
	check_equal "delete removes" "" "$(services)"
	check "watch: removed by delete" wait_for saw removed "Service socket/web"
	nearpath_at node-a iface set eth0 stats=on >/dev/null
	check "watch: a switch" wait_for saw iface eth0
	check "watch ends when told" stop watch
}

watch_hears() {
	nearpath_at node-a iface set eth0 stats=off
	[[ -s $NP_DIR/watch.log ]]
}

main() {
	local before
	np_init
	world_build
	write_raw
	world_service web socket "$IP" 80 30080
	WORLD_FAMILIES=4 world_slice web socket "$WORLD_PORT" server-a
	world_nearpath node-a
	world_apply node-a
	before=$(state)
	not_requests
	bad_objects
	bad_switches
	check_equal "nothing of this changed anything" "$before" "$(state)"
	bad_manners
	long_line
	check_equal "nor did bad manners" "$before" "$(state)"
	world_reach "and services go on" client-a server-a any --connect "$IP:80" --count 5
	peers
	exit_codes
	check_equal "nor restarts" "$before" "$(state)"
	changes
	finish
}

main "$@"
