#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Changes of very many objects: others are answered meanwhile and see nothing of what is refused;
# changes take turns; what was given is what is shown, before and after a daemon that is killed;
# and a journal that cannot be written loses nothing that is still in memory.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

SERVICES=2500
SIZES=(--max-services 16384 --max-backends 16384 --max-slots 65536)

# A client of lines: sends its standard input, then prints the answers, one a line.
write_client() {
	cat >"$NP_DIR/client.py" <<-'END'
		import socket, sys, threading
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.settimeout(60)
		data = sys.stdin.buffer.read()
		threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True).start()
		while chunk := s.recv(65536):
		    sys.stdout.buffer.write(chunk)
	END
}

# The same, that stops after so many bytes until the file GATE is there, or closes if it is "-".
write_slow_client() {
	cat >"$NP_DIR/slow.py" <<-'END'
		import os, socket, sys, time
		path, first, gate = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		s = socket.socket(socket.AF_UNIX)
		s.connect(path)
		s.settimeout(60)
		data = sys.stdin.buffer.read()
		s.sendall(data[:first])
		open(path + ".sent", "w").close()
		end = time.time() + 20
		while gate != "-" and not os.path.exists(gate) and time.time() < end:
		    time.sleep(0.05)
		if gate != "-":
		    s.sendall(data[first:])
		    s.shutdown(socket.SHUT_WR)
		    while chunk := s.recv(65536):
		        sys.stdout.buffer.write(chunk)
	END
}

# send_slow FIRST GATE
send_slow() {
	rm -f "$(socket_of).sent"
	python3 "$NP_DIR/slow.py" "$(socket_of)" "$@"
}

is_sent() {
	[[ -e $(socket_of).sent ]]
}

socket_of() {
	echo "$(daemon_dir node)/socket"
}

send() {
	python3 "$NP_DIR/client.py" "$(socket_of)"
}

# line ID METHOD FILE: a request of the objects in a file, as one line.
line() {
	printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":{"objects":[' "$1" "$2"
	tr '\n' ' ' <"$3"
	echo ']}}'
}

# All objects as they are shown, in one order.
shown() {
	echo '{"jsonrpc":"2.0","id":1,"method":"get","params":{"what":"objects"}}' | send |
		jq -cS '.result.objects[]' | sort | md5sum
}

given() {
	jq -cS '.items[]' "$1" | sort | md5sum
}

start() {
	start_daemon node "${SIZES[@]}"
}

load() {
	"$NEARPATH_BUILD/bench/objects" "$SERVICES" 2 >"$NP_DIR/all.json"
	check_equal "$SERVICES services in one line" "$((2 * SERVICES)) 0 0" \
		"$(line 1 replace "$NP_DIR/all.json" | send |
			jq -r '.result | "\(.applied) \(.unchanged) \(.removed)"')"
	check_equal "they are shown as they were given" "$(given "$NP_DIR/all.json")" "$(shown)"
	check_equal "once more, nothing changes" "0 $((2 * SERVICES)) 0" \
		"$(line 1 replace "$NP_DIR/all.json" | send |
			jq -r '.result | "\(.applied) \(.unchanged) \(.removed)"')"
	check_equal "and no difference is found" 0 "$(nearpath_at node -o json diff | jq .count)"
}

# One wrong object near the end of many new ones.
refused() {
	local answer before
	before=$(shown)
	sed 's/10\.96\./10.97./g; s/"service-2490","namespace"/"Service-2490","namespace"/' \
		"$NP_DIR/all.json" >"$NP_DIR/bad.json"
	answer=$(line 7 apply "$NP_DIR/bad.json" | send)
	check_equal "one wrong object refuses all" "7 -32602" \
		"$(jq -r '"\(.id) \(.error.code)"' <<<"$answer")"
	check_equal "and is named" 'Service "bench-24/Service-2490"' \
		"$(jq -r .error.data.object <<<"$answer")"
	check_equal "also where the id stands behind the objects" "9 -32602" "$(
		line 7 apply "$NP_DIR/bad.json" | sed 's/"id":7,//; s/}}$/},"id":9}/' | send |
			jq -r '"\(.id) \(.error.code)"'
	)"
	check_equal "nothing was changed" "$before" "$(shown)"
	{ head -c 2000000 "$NP_DIR/all.json" | line 8 apply /dev/stdin; } >"$NP_DIR/torn.line"
	answer=$(send <"$NP_DIR/torn.line")
	check_equal "a long line that is no JSON is refused" -32700 "$(jq .error.code <<<"$answer")"
	check_equal "nothing was changed by that" "$before" "$(shown)"
}

# While a long change is carried out: a short one comes after it, and what only asks before.
turns() {
	local slice
	slice=$(grep -m 1 '"EndpointSlice"' "$NP_DIR/all.json" | sed 's/,$//; s/"ready":true/"ready":false/')
	echo "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"apply\",\"params\":{\"objects\":[$slice]}}" \
		>"$NP_DIR/short.line"
	sed 's/10\.128\./10.129./g' "$NP_DIR/all.json" >"$NP_DIR/moved.json"
	line 1 replace "$NP_DIR/moved.json" >"$NP_DIR/long.line"
	cat "$NP_DIR/long.line" "$NP_DIR/short.line" | send >"$NP_DIR/both.out" &
	NP_PIDS[both]=$!
	check "others are answered" nearpath_at node iface list
	join both
	check_equal "answers come in order" "1 2" "$(jq -r .id "$NP_DIR/both.out" | xargs)"
	check_equal "the short change came after the long one" 1 \
		"$(sed -n 2p "$NP_DIR/both.out" | jq .result.applied)"
	check_equal "an endpoint that is not ready is not used" false \
		"$(nearpath_at node -o json service get bench-0/service-0 |
			jq '[.. | .backends? // empty | .[] | objects | select(.ready == false) | .used] | first')"
}

# A long line of which the rest does not come yet holds nobody up, short or long, and is a change as
# any other when it is whole; if it never is, nothing comes of it.
slow() {
	local before slice
	before=$(shown)
	send_slow 1500000 - <"$NP_DIR/long.line"
	check_equal "of a line that never is whole, nothing comes" "$before" "$(shown)"
	send_slow 1500000 "$NP_DIR/gate" <"$NP_DIR/long.line" >"$NP_DIR/slow.out" &
	NP_PIDS[slow]=$!
	check "the beginning of a line is sent" wait_for is_sent
	check_equal "a short change is done meanwhile" 1 \
		"$(sed 's/10\.128\./10.131./g' "$NP_DIR/short.line" | send | jq .result.applied)"
	check_equal "so is a long one" $((2 * SERVICES)) \
		"$(line 3 replace "$NP_DIR/all.json" | send | jq '.result.applied + .result.unchanged')"
	check_equal "it is what is shown" "$(given "$NP_DIR/all.json")" "$(shown)"
	touch "$NP_DIR/gate"
	join slow
	check_equal "the slow one is done last" $((2 * SERVICES)) \
		"$(jq '.result.applied + .result.unchanged' "$NP_DIR/slow.out")"
	check_equal "and is what is shown" "$(given "$NP_DIR/moved.json")" "$(shown)"
}

# A first delivery is written to the disk while it comes.
first() {
	local journal wanted
	journal=$(daemon_dir node)/state/objects.journal
	stop_daemon node
	rm -f "$journal" "$NP_DIR/gate"
	start
	send_slow 1500000 - <"$NP_DIR/long.line"
	line 1 replace "$NP_DIR/bad.json" | send >/dev/null
	check_equal "what is refused or cut short leaves no file" "" "$(compgen -G "$journal.new")"
	check_equal "and nothing in the journal" 0 "$(stat -c %s "$journal")"
	# One of them twice, the second otherwise, and last.
	jq -c '.items[-1].metadata.labels.twice = "yes" | .items[-1]' "$NP_DIR/all.json" >"$NP_DIR/twice.json"
	line 1 replace "$NP_DIR/all.json" | sed "s|]}}\$|,$(cat "$NP_DIR/twice.json")]}}|" >"$NP_DIR/first.line"
	wanted=$({ jq -c '.items[:-1][]' "$NP_DIR/all.json"; cat "$NP_DIR/twice.json"; } | jq -cS . | sort | md5sum)
	send_slow 1500000 "$NP_DIR/gate" <"$NP_DIR/first.line" >"$NP_DIR/slow.out" &
	NP_PIDS[first]=$!
	check "the beginning of the first delivery is sent" wait_for is_sent
	check_equal "a short change comes between" 1 "$(send <"$NP_DIR/short.line" | jq .result.applied)"
	touch "$NP_DIR/gate"
	join first
	check_equal "of an object that is there twice, the second is shown" "$wanted" "$(shown)"
	kill_daemon node
	start
	check_equal "also by a daemon that was killed" "$wanted" "$(shown)"
	kill_daemon node
	rm "$journal"
	start
	send <"$NP_DIR/first.line" >/dev/null
	check_equal "a first delivery with one twice is shown" "$wanted" "$(shown)"
	kill_daemon node
	start
	check_equal "also after that" "$wanted" "$(shown)"
}

killed() {
	local before
	before=$(shown)
	kill_daemon node
	start
	check_equal "a daemon that was killed shows the same" "$before" "$(shown)"
	check_equal "and has it in the tables" 0 "$(nearpath_at node -o json diff | jq .count)"
}

# The file grows with changes and is begun anew; what is shown stays.
rewritten() {
	local before size journal i
	journal=$(daemon_dir node)/state/objects.journal
	for i in 1 2 3; do
		sed "s/\"app\":\"service/\"app\":\"$i-service/" "$NP_DIR/moved.json" >"$NP_DIR/again.json"
		line "$i" apply "$NP_DIR/again.json"
	done | send >/dev/null
	before=$(shown)
	size=$(wc -c <"$NP_DIR/again.json")
	check "the journal is begun anew when it is long" wait_for journal_is_short "$journal" "$size"
	check_equal "its objects are the same" "$before" "$(shown)"
	check_equal "they are what was given last" "$(given "$NP_DIR/again.json")" "$before"
	kill_daemon node
	start
	check_equal "a start reads the same of it" "$before" "$(shown)"
}

# A disk with no room: nothing is lost while the daemon lives, and all is written when there is room.
full_disk() {
	local before state
	state=$(daemon_dir node)/state
	stop_daemon node
	mount -t tmpfs -o size=2m tmpfs "$state"
	start
	nearpath_at node iface list >/dev/null
	check_equal "a change that cannot be written is done" "$((2 * SERVICES))" \
		"$(send <"$NP_DIR/long.line" | jq .result.applied)"
	check "that it could not is told" grep -q "could not be written" "$NP_DIR/nearpathd-node.log"
	before=$(shown)
	check_equal "it is shown as it was given" "$(given "$NP_DIR/moved.json")" "$before"
	mount -o remount,size=100m "$state"
	send <"$NP_DIR/short.line" >/dev/null
	before=$(shown)
	kill_daemon node
	start
	check_equal "with the next change all is written" "$before" "$(shown)"
}

journal_is_short() {
	[[ $(stat -c %s "$1") -le $((2 * $2 + 2000000)) && ! -e $1.new ]]
}

main() {
	np_init
	ns_add node
	write_client
	write_slow_client
	start
	load
	refused
	turns
	slow
	killed
	rewritten
	first
	full_disk
	finish
}

main "$@"
