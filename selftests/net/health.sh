#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# What is asked of the daemon by HTTP: /healthz, /livez, /metrics, /proxyMode and the
# healthCheckNodePorts, compared byte for byte with what kube-proxy says; when they come and go and
# turn to 503; and clients that stall, flood and do not read, which must keep nobody waiting.

# shellcheck disable=SC2317 # functions that check and wait_for call
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

NODE=192.0.2.1
NODE6=2001:db8::1
PORT=31000
NS=shop
HOLD=200

# --- asking ----------------------------------------------------------------------------------

# The times of day are now and differ: T stands for one of the right form.
ask() {
	in_ns "$1" curl -s -g -m 5 "${@:2}" |
		sed -E 's/"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,8}[1-9])?Z"/"T"/g'
}

code() {
	in_ns "$1" curl -s -g -m 5 -o /dev/null -w '%{http_code}' "${@:2}" || true
}

# headers NAMESPACE URL: status and headers but for the date, as they come.
headers() {
	in_ns "$1" curl -s -g -m 5 -o /dev/null -D - "$2" | tr -d '\r' | grep -v '^Date: ' || true
}

has_code() {
	[[ $(code "${@:2}") == "$1" ]]
}

# The same with a final newline kept, which $(...) would drop.
exact() {
	ask "$@"
	echo .
}

fd_count() {
	find "/proc/${NP_PIDS[nearpathd-node]}/fd" -mindepth 1 | wc -l
}

# --- objects ---------------------------------------------------------------------------------

node() {
	echo '{"apiVersion":"v1","kind":"Node","metadata":{"name":"node"'"${2:-}"'},"spec":{'"${1:-}"'}}'
}

# service NAME CLUSTERIPS HEALTHPORT [TYPE] [POLICY]
service() {
	local ips=${2//,/\",\"} port # its own for each name: two services may share a health port
	port=$((30000 + $(cksum <<<"$1" | cut -d ' ' -f 1) % 900))
	cat <<-END
		{"apiVersion":"v1","kind":"Service","metadata":{"name":"$1","namespace":"$NS"},
		"spec":{"type":"${4:-LoadBalancer}","externalTrafficPolicy":"${5:-Local}",
		"healthCheckNodePort":$3,"clusterIP":"${2%%,*}","clusterIPs":["$ips"],
		"ports":[{"name":"http","port":80,"nodePort":$port},{"name":"alt","port":81}]}}
	END
}

# slice NAME SERVICE FAMILY ENDPOINT[:NODE[:CONDITIONS]]...: @ stands for : in an address.
slice() {
	local name=$1 service=$2 family=$3 list='' address on state
	shift 3
	for address in "$@"; do
		IFS=: read -r address on state <<<"$address"
		case $state in
		terminating) state='"ready":false,"serving":true,"terminating":true' ;;
		notready) state='"ready":false' ;;
		*) state= ;;
		esac
		list+="${list:+,}{\"addresses\":[\"${address//@/:}\"],\"nodeName\":\"${on:-node}\",\"conditions\":{$state}}"
	done
	cat <<-END
		{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"$name",
		"namespace":"$NS","labels":{"kubernetes.io/service-name":"$service"}${ANNOTATIONS:-}},
		"addressType":"IPv$family","ports":[{"name":"http","port":8080},{"name":"alt","port":8081}],
		"endpoints":[$list]}
	END
}

apply() {
	nearpath_at node -o json apply -f -
}

forget() {
	nearpath_at node -o json delete -f - >/dev/null
}

# --- what is said ----------------------------------------------------------------------------

check_body() {
	printf '{\n\t"service": {\n\t\t"namespace": "%s",\n\t\t"name": "%s"\n\t},\n\t"localEndpoints": %s,\n\t"serviceProxyHealthy": true\n}.' \
		"$NS" "$1" "$2"
}

# says WHAT SERVICE COUNT STATUS URL
says() {
	check_equal "$1: status" "$4" "$(code client "$5")"
	check_equal "$1: body" "$(check_body "$2" "$3")" "$(exact client "$5")"
}

before_objects() {
	local url=http://$NODE:10256
	check_equal "/healthz before any object" '{"lastUpdated":"T","currentTime":"T","nodeEligible":true,"healthy":true}.' \
		"$(exact client $url/healthz)"
	check_equal "/livez before any object" '{"lastUpdated":"T","currentTime":"T","healthy":true}.' \
		"$(exact client $url/livez)"
}

health_ports() {
	local url=http://$NODE:10256 local=http://127.0.0.1:10249 status
	status='"status":{"IPv4":{"lastUpdated":"T","healthy":true},"IPv6":{"lastUpdated":"T","healthy":true}}'
	check_equal "/healthz: body" \
		'{"lastUpdated":"T","currentTime":"T","nodeEligible":true,"healthy":true,'"$status}." \
		"$(exact client $url/healthz)"
	check_equal "/livez: body" '{"lastUpdated":"T","currentTime":"T","healthy":true,'"$status}." \
		"$(exact client $url/livez)"
	check_equal "/healthz by IPv6, as kube-proxy at 0.0.0.0" 200 \
		"$(code client "http://[$NODE6]:10256/healthz")"
	check_equal "/healthz: the length by HEAD" "$(in_ns client curl -sI -m 5 $url/nope | tr -d '\r' |
		grep Content-Length)" "Content-Length: 19"
	check_equal "another path" "404 page not found"$'\n'. "$(exact client $url/)"
	check_equal "another path: status" 404 "$(code client $url/healthz/x)"
	check_equal "another method" 405 "$(code client -X POST -d x=y $url/healthz)"
	check_equal "10249 /healthz" ok. "$(exact node $local/healthz)"
	check_equal "10249 /proxyMode" nearpath. "$(exact node $local/proxyMode)"
	check_equal "10249 /proxyMode: headers" "HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8
X-Content-Type-Options: nosniff
Content-Length: 8
Connection: close" "$(headers node $local/proxyMode)"
	check_equal "10249 is not for others" 000 "$(code client "http://$NODE:10249/healthz")"
	check_equal "/livez: headers" "HTTP/1.1 200 OK
Content-Type: application/json
X-Content-Type-Options: nosniff
Content-Length: LENGTH
Connection: close" "$(headers client $url/livez | sed 's/Length: [0-9]*/Length: LENGTH/')"
}

# eligible WHAT YES|NO
eligible() {
	local status=200 word=true
	[[ $2 == yes ]] || status=503 word=false
	check_equal "$1: /healthz" "$status" "$(code client http://$NODE:10256/healthz)"
	check_equal "$1: nodeEligible" "$word" \
		"$(in_ns client curl -s -m 5 http://$NODE:10256/healthz | jq .nodeEligible)"
	check_equal "$1: healthy" true \
		"$(in_ns client curl -s -m 5 http://$NODE:10256/healthz | jq .healthy)"
	check_equal "$1: /livez" 200 "$(code client http://$NODE:10256/livez)"
	check_equal "$1: a healthCheckNodePort" 200 "$(code client http://$NODE:$PORT/)"
}

the_node_goes() {
	node '"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]' | apply >/dev/null
	eligible "tainted by the autoscaler" no
	node '"taints":[{"key":"other","effect":"NoSchedule"}]' | apply >/dev/null
	eligible "tainted otherwise" yes
	node '' ',"deletionTimestamp":"2026-01-02T03:04:05Z"' | apply >/dev/null
	eligible "being deleted" no
	node | apply >/dev/null
	eligible "as it was" yes
	node | forget
	eligible "deleted" no
	node | apply >/dev/null
	eligible "there again" yes
}

counts() {
	local url=http://$NODE:$PORT url6="http://[$NODE6]:$PORT"
	says "two local endpoints, two ports" web 2 200 "$url/"
	says "any path" web 2 200 "$url/some/where?x=y"
	check_equal "headers" "HTTP/1.1 200 OK
Content-Type: application/json
X-Content-Type-Options: nosniff
X-Load-Balancing-Endpoint-Weight: 2
Content-Length: 111
Connection: close" "$(headers client "$url/")"
	says "IPv6 counts its own" web 1 200 "$url6/"
	slice web-4b web 4 10.1.0.1 10.1.0.9 | apply >/dev/null
	says "an address in two slices is one" web 3 200 "$url/"
	slice web-4b web 4 | apply >/dev/null
	slice web-4 web 4 10.1.0.1:node:terminating 10.1.0.2:node:terminating | apply >/dev/null
	says "terminating only" web 0 503 "$url/"
	check_equal "terminating only: weight" "X-Load-Balancing-Endpoint-Weight: 0" \
		"$(headers client "$url/" | grep Weight)"
	says "terminating only: the other family stays" web 1 200 "$url6/"
	slice web-4 web 4 10.1.0.1:node:notready 10.1.0.2:other | apply >/dev/null
	says "none ready here" web 0 503 "$url/"
	slice web-4 web 4 10.1.0.1 10.1.0.2 10.1.0.3:other | apply >/dev/null
	says "ready again" web 2 200 "$url/"
}

is_open() {
	[[ $(code client "$1") != 000 ]]
}

is_closed() {
	! is_open "$1"
}

listeners_come_and_go() {
	local url=http://$NODE out
	service web 10.96.0.1,fd00:96::1 31500 | apply >/dev/null
	check "the port changes: the old one is closed" is_closed "$url:$PORT/"
	check_equal "the port changes: the new one answers" 200 "$(code client "$url:31500/")"
	service web 10.96.0.1,fd00:96::1 31500 LoadBalancer Cluster | apply >/dev/null
	check "externalTrafficPolicy Cluster: closed" is_closed "$url:31500/"
	service web 10.96.0.1,fd00:96::1 31500 NodePort | apply >/dev/null
	check "type NodePort: closed" is_closed "$url:31500/"
	service web 10.96.0.1 "$PORT" | apply >/dev/null
	check_equal "IPv4 alone: IPv4" 200 "$(code client "$url:$PORT/")"
	check "IPv4 alone: no IPv6" is_closed "http://[$NODE6]:$PORT/"
	{
		service web 10.96.0.1,fd00:96::1 31600
		echo ,
		service next 10.96.0.2 "$PORT"
	} | sed '1i [' | sed '$a ]' | apply >"$NP_DIR/out"
	says "two Services swap ports in one change" next 0 503 "$url:$PORT/"
	says "two Services swap ports: the other" web 2 200 "$url:31600/"
	check_equal "two Services swap ports: no warning" null "$(jq .warnings "$NP_DIR/out")"
	out=$(service late 10.96.0.3 "$PORT" | apply | jq -r '.warnings[0]')
	check_equal "a port taken by another: a warning" \
		"Service \"$NS/late\": healthCheckNodePort $PORT: cannot listen on 0.0.0.0:$PORT: Address already in use" "$out"
	check "a port taken by another: said once" grep -qF "$out; it is tried again" "$NP_DIR/nearpathd-node.log"
	service next 10.96.0.2 "$PORT" | forget
	check "a port taken by another: taken over when it is free" wait_for -t 15 answers_for late "$url:$PORT/"
	check_equal "said once, not at each try" 1 "$(grep -c "late.*cannot listen" "$NP_DIR/nearpathd-node.log")"
	service late 10.96.0.3 "$PORT" | forget
	check "the Service is gone: closed" is_closed "$url:$PORT/"
	service web 10.96.0.1,fd00:96::1 "$PORT" | apply >/dev/null
}

answers_for() {
	[[ $(in_ns client curl -s -m 5 "$2" | jq -r .service.name) == "$1" ]]
}

# --- metrics ---------------------------------------------------------------------------------

# The value of a sample of /metrics.
metric() {
	in_ns node curl -s -m 5 http://127.0.0.1:10249/metrics | awk -v name="$1" \
		'index($0, name " ") == 1 { print $NF }'
}

metric_is() {
	[[ $(metric "$1") == "$2" ]]
}

# Each family has HELP and TYPE, once, before its samples; names are in order; no sample twice.
well_formed() {
	in_ns node curl -s -m 5 http://127.0.0.1:10249/metrics | python3 -c '
import re, sys
seen, families, family, kind = set(), [], None, None
for line in sys.stdin.read().split("\n")[:-1]:
    if line.startswith("# HELP "):
        family = line.split(" ", 3)[2]
        families.append(family)
        continue
    if line.startswith("# TYPE "):
        name, kind = line.split(" ")[2:4]
        assert name == family and kind in ("counter", "gauge", "histogram"), line
        continue
    m = re.fullmatch(r"([a-z_0-9]+)(\{([a-z_]+=\"(\\.|[^\"\\])*\",?)*\})? ([0-9.e+-]+)", line)
    assert m, line
    name = m.group(1)
    if kind == "histogram":
        name = re.sub("_(bucket|sum|count)$", "", name)
    assert name == family, (line, family)
    assert (kind == "counter") == name.endswith("_total") or kind == "gauge", line
    key = line.rsplit(" ", 1)[0]
    assert key not in seen, line
    seen.add(key)
    float(m.group(5))
assert families == sorted(set(families)), families
'
}

metrics() {
	local before name
	check_equal "/metrics: type" "Content-Type: text/plain; version=0.0.4; charset=utf-8" \
		"$(headers node http://127.0.0.1:10249/metrics | grep Type)"
	check "/metrics is well-formed" well_formed
	for name in sync_proxy_rules_duration_seconds_count network_programming_duration_seconds_count \
		sync_proxy_rules_last_timestamp_seconds sync_proxy_rules_last_queued_timestamp_seconds; do
		check "kubeproxy_$name is there" test -n "$(metric "kubeproxy_$name{ip_family=\"IPv4\"}")"
	done
	before=$(metric kubeproxy_sync_proxy_rules_service_changes_total)
	service other 10.96.0.7 31700 | apply >/dev/null
	service other 10.96.0.7 31700 | apply >/dev/null
	check "changes of Services count, no change does not" \
		wait_for metric_is kubeproxy_sync_proxy_rules_service_changes_total $((before + 1))
	before=$(metric kubeproxy_sync_proxy_rules_endpoint_changes_total)
	slice other-1 other 4 10.1.0.5:other | apply >/dev/null
	check "changes of EndpointSlices count" \
		wait_for metric_is kubeproxy_sync_proxy_rules_endpoint_changes_total $((before + 1))
	check "a port with endpoints elsewhere only is without local ones" wait_for metric_is \
		'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"}' 1
	programming
	check "tables: in use" test "$(metric 'nearpath_table_entries{table="backends"}')" -gt 0
	check "services: a row for each zone class" test \
		"$(in_ns node curl -s -m 5 http://127.0.0.1:10249/metrics |
			grep -c 'nearpath_service_connections_total{ip_family="IPv4",name="other",namespace="shop",port="http"')" -eq 4
	service other 10.96.0.7 31700 | forget
	slice other-1 other 4 | forget
}

# Network programming latency, of slices that say when they began to change, after the start.
programming() {
	local count='kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"}'
	check_equal "no latency of slices that say no time" 0 "$(metric "$count")"
	ANNOTATIONS=',"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"'$(date -u +%FT%T.%NZ)'"}'
	slice other-1 other 4 10.1.0.6:other | apply >/dev/null
	check "a latency of a slice that does" wait_for metric_is "$count" 1
	ANNOTATIONS=',"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-01-02T03:04:05Z"}'
	slice other-1 other 4 10.1.0.7:other | apply >/dev/null
	ANNOTATIONS=',"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"soon"}'
	slice other-1 other 4 10.1.0.8:other | apply >/dev/null
	ANNOTATIONS=
	check_equal "none of before the start, or of no time" 1 "$(sleep 0.1 && metric "$count")"
}

# --- hostile clients -------------------------------------------------------------------------

write_hostile() {
	cat >"$NP_DIR/hostile.py" <<-'END'
		import socket, sys, time
		how, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
		def connect():
		    s = socket.create_connection((host, port), 5)
		    s.setblocking(False)
		    return s
		def send(s, data):
		    try:
		        s.send(data)
		    except OSError:
		        pass
		held = []
		for i in range(count):
		    if how == "unread":
		        s = socket.socket(socket.AF_INET)
		        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
		        s.connect((host, port))
		        s.setblocking(False)
		    else:
		        s = connect()
		    held.append(s)
		    if how == "unread":
		        send(s, b"GET /metrics HTTP/1.1\r\n\r\n")
		    elif how == "trickle":
		        send(s, b"GET / HTTP/1.1\r\n")
		    elif how == "giant":
		        send(s, b"GET / HTTP/1.1\r\nX: " + b"x" * 8000)
		print("ready", flush=True)
		while True:
		    time.sleep(1)
		    for s in held:
		        if how == "trickle":
		            send(s, b"x")
		        elif how == "giant":
		            send(s, b"x" * 65536)
	END
}

# hostile HOW NAMESPACE HOST PORT PROBE-NAMESPACE PROBE-URL
hostile() {
	local how=$1 i good=0 ns=$5 url=$6
	spawn_ready "hostile-$how-$4" "$2" python3 "$NP_DIR/hostile.py" "$how" "$3" "$4" "$HOLD"
	for ((i = 0; i < 5; i++)); do
		[[ $(code "$ns" "$url") != 200 ]] || good=$((good + 1))
	done
	check_equal "$HOLD that are $how at $4: others are answered" 5 "$good"
	check "$HOLD that are $how at $4: the config socket answers" daemon_answers node
	# Three servers with 128 connections each.
	check "$HOLD that are $how at $4: descriptors are bounded" test "$(fd_count)" -lt $((FDS + 400))
	check "$HOLD that are $how at $4: /healthz answers" has_code 200 client http://$NODE:10256/healthz
}

# Services enough for a /metrics that no socket buffer holds.
many() {
	python3 -c 'import json
print(json.dumps([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}",
    "namespace": "many"}, "spec": {"clusterIP": f"10.97.{i // 250}.{i % 250 + 1}",
    "ports": [{"name": "p", "port": 80}]}} for i in range(3000)]))'
}

few_fds() {
	[[ $(fd_count) -le $FDS ]]
}

hostile_clients() {
	local label
	write_hostile
	many | apply >/dev/null
	FDS=$(fd_count)
	hostile silent client $NODE 10256 client http://$NODE:10256/healthz
	hostile trickle client $NODE $PORT client http://$NODE:$PORT/
	hostile giant client $NODE $PORT client http://$NODE:$PORT/
	hostile unread node 127.0.0.1 10249 node http://127.0.0.1:10249/metrics
	hostile silent node 127.0.0.1 10249 node http://127.0.0.1:10249/metrics
	check "who sends nothing or a byte a second is cut off in the end" wait_for -t 20 trickled_out
	for label in silent-10256 trickle-$PORT giant-$PORT unread-10249 silent-10249; do
		stop "hostile-$label" KILL || true
	done
	many | forget
	check "no descriptor is left behind" wait_for -t 40 few_fds
	check_equal "all is well after that" 200 "$(code client http://$NODE:10256/healthz)"
}

# Of the silent and the trickling none is left, though their clients still hold on.
trickled_out() {
	[[ -z $(in_ns node ss -Htn state established "( sport = :10256 or sport = :$PORT )") ]]
}

# --- other options ---------------------------------------------------------------------------

listens() {
	in_ns node ss -Hltn "sport = :$1" | awk '{ print $4 }' | sort | paste -sd ' '
}

listens_on() {
	[[ $(listens "$1") == "$2" ]]
}

at_some_addresses() {
	stop_daemon node
	start_daemon node --xdp off --nodeport-addresses 192.0.2.0/24 --healthz-bind-address '[::]:10300' \
		--metrics-bind-address ''
	check "--nodeport-addresses: those of the family, all of the other" \
		wait_for listens_on $PORT "192.0.2.1:$PORT [::]:$PORT"
	ns_ip node addr add 192.0.2.9/24 dev eth0
	ns_ip node addr add 198.51.100.9/24 dev eth0
	check "an address in range comes" \
		wait_for listens_on $PORT "192.0.2.1:$PORT 192.0.2.9:$PORT [::]:$PORT"
	ns_ip node addr del 192.0.2.9/24 dev eth0
	check "and goes" wait_for listens_on $PORT "192.0.2.1:$PORT [::]:$PORT"
	ns_ip node addr del 198.51.100.9/24 dev eth0
	check_equal "after a restart the state answers at once" "$(check_body web 2)" \
		"$(exact client http://$NODE:$PORT/)"
	check_equal "--healthz-bind-address [::]" 200 "$(code client http://$NODE:10300/healthz)"
	check_equal "--metrics-bind-address '' is off" "" "$(listens 10249)"
}

at_primary_addresses() {
	stop_daemon node
	start_daemon node --xdp off --nodeport-addresses primary
	ns_ip node addr add 192.0.2.9/24 dev eth0
	primary_is 192.0.2.1
	check "primary: the node's own addresses" wait_for listens_on $PORT "192.0.2.1:$PORT [$NODE6]:$PORT"
	primary_is 192.0.2.9
	check "primary: the Node object names another" \
		wait_for listens_on $PORT "192.0.2.9:$PORT [$NODE6]:$PORT"
	ns_ip node addr del 192.0.2.9/24 dev eth0
	check "primary: it goes" wait_for listens_on $PORT "[$NODE6]:$PORT"
	node | apply >/dev/null
}

primary_is() {
	node | jq -c --arg a "$1" --arg b $NODE6 \
		'.status.addresses = [($a, $b) | {type: "InternalIP", address: .}]' | apply >/dev/null
}

a_port_is_taken() {
	stop_daemon node
	spawn_ready taken node python3 -c 'import socket, time
s = socket.create_server(("0.0.0.0", 10256)); print("ready", flush=True); time.sleep(1000)'
	start_daemon node --xdp off
	check "a port that is taken does not keep the daemon from starting" daemon_answers node
	check "it is named" grep -qF -e \
		'--healthz-bind-address: cannot listen on 0.0.0.0:10256: Address already in use' \
		"$NP_DIR/nearpathd-node.log"
	stop taken KILL || true
	check "and taken when it is free" wait_for -t 15 has_code 200 client http://$NODE:10256/healthz
}

# A Service that finds no room is refused: nothing waits, and all is well.
no_room() {
	stop_daemon node
	cleanup_daemon node >/dev/null 2>&1
	start_daemon node --xdp off --max-backends 64
	node | apply >/dev/null
	service web 10.96.0.1 "$PORT" | apply >/dev/null
	# shellcheck disable=SC2046 # words
	slice web-4 web 4 $(printf '10.1.2.%s ' {1..60}) | apply >/dev/null 2>&1 || true
	# shellcheck disable=SC2046 # words
	slice web-4 web 4 $(printf '10.1.4.%s ' {1..80}) | apply >"$NP_DIR/out" 2>&1 &&
		fail "80 backends were accepted by a table of 64"
	check "no room: it is refused by name" grep -q "Service .*$NS/web" "$NP_DIR/out"
	check "and nothing waits" metric_is kubeproxy_sync_proxy_rules_service_changes_pending 0
	check_equal "and that is healthy" 200 "$(code client http://$NODE:10256/healthz)"
	slice web-4 web 4 10.1.2.1 | apply >/dev/null
	check_equal "what fits is accepted" 10.1.2.1 "$(nearpath_at node -o json service get "$NS/web" |
		jq -r '.services[0].backends[].address | sub(":.*"; "")')"
}

main() {
	np_init
	command -v curl >/dev/null || skip "needs the command \"curl\""
	ns_add node client
	ip link add eth0 netns "$(ns node)" type veth peer name eth0 netns "$(ns client)"
	ns_ip node addr add $NODE/24 dev eth0
	ns_ip node addr add $NODE6/64 dev eth0 nodad
	ns_ip client addr add 192.0.2.2/24 dev eth0
	ns_ip client addr add 2001:db8::2/64 dev eth0 nodad
	ns_ip node link set eth0 up
	ns_ip client link set eth0 up
	start_daemon node --xdp off
	before_objects
	node | apply >/dev/null
	service web 10.96.0.1,fd00:96::1 "$PORT" | apply >/dev/null
	slice web-4 web 4 10.1.0.1 10.1.0.2 10.1.0.3:other | apply >/dev/null
	slice web-6 web 6 fd01@@1 fd01@@2:other | apply >/dev/null
	health_ports
	the_node_goes
	counts
	listeners_come_and_go
	metrics
	hostile_clients
	at_some_addresses
	at_primary_addresses
	a_port_is_taken
	no_room
	finish
}

main "$@"
