#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The two-zone world of the network self-tests and of the demo: two nodes with pods behind routed
# veths as Calico has them, a slow and narrow link between the zones, and a client outside. It
# also writes the Kubernetes objects of the services in it. Source lib.sh first.
#
#   outside --- router ---+-- eth0 node-a cali1 -- client-a   10.1.0.10  fd00:1::10
#   192.168.60.10         |             cali2 -- server-a     10.1.0.20  fd00:1::20
#                         |        zlink (MTU 1400)
#                         |          | zone-link: delayline
#                         |        zlink
#                         +-- eth0 node-b cali1 -- client-b   10.2.0.10  fd00:2::10
#                                       cali2 -- server-b     10.2.0.20  fd00:2::20
#
# Set before world_build:
WORLD_DELAY_MS=${WORLD_DELAY_MS:-4}    # each way, so 8 ms of round trip; 0 joins the nodes directly
WORLD_LINK_MTU=${WORLD_LINK_MTU:-1400} # of the link between the zones; everything else has 1500
WORLD_BLACKHOLE=${WORLD_BLACKHOLE:-on} # nobody hears of "fragmentation needed"
WORLD_FAMILIES=${WORLD_FAMILIES:-4 6}  # of the objects' endpoints; the network has both always
WORLD_OFFLOADS=${WORLD_OFFLOADS:-off}  # off: frames reach uplinks whole, as from a NIC (for XDP)
WORLD_HINTS=${WORLD_HINTS:-on}         # zone hints in slices

WORLD_NODES=(node-a node-b)
WORLD_CLUSTER_CIDR=10.0.0.0/14,fd00::/30
declare -A WORLD_ZONE=([node-a]=zone-a [node-b]=zone-b)
declare -A WORLD_NODE_IP4=([node-a]=192.168.50.1 [node-b]=192.168.50.2)
declare -A WORLD_NODE_IP6=([node-a]=fd00:50::1 [node-b]=fd00:50::2)
declare -A WORLD_POD_NET4=([node-a]=10.1.0 [node-b]=10.2.0)
declare -A WORLD_POD_NET6=([node-a]=fd00:1: [node-b]=fd00:2:)
declare -A WORLD_POD_NODE=() WORLD_POD_IP4=() WORLD_POD_IP6=()
# shellcheck disable=SC2034 # for the tests
declare -A WORLD_POD_DEV=() # the node's end of the pod's veth
declare -A WORLD_POD_COUNT=([node-a]=0 [node-b]=0)
WORLD_OUTSIDE_IP4=192.168.60.10
WORLD_OUTSIDE_IP6=fd00:60::10
WORLD_PORT=8080 # where the servers listen

# --- the network -----------------------------------------------------------------------------

# world_build: the whole picture above, with a netserver in each server pod.
world_build() {
	ns_add router outside "${WORLD_NODES[@]}"
	local node
	for node in router "${WORLD_NODES[@]}"; do
		ns_sysctl "$node" net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	done
	world_router
	for node in "${WORLD_NODES[@]}"; do
		world_uplink "$node"
	done
	world_zone_link
	if [[ $WORLD_BLACKHOLE == on ]]; then
		for node in router "${WORLD_NODES[@]}"; do
			world_blackhole "$node"
		done
	fi
	world_pod node-a client-a 10
	world_pod node-a server-a 20
	world_pod node-b client-b 10
	world_pod node-b server-b 20
	world_serve server-a
	world_serve server-b
	for node in "${WORLD_NODES[@]}"; do
		world_node "$node"
	done
}

# The nodes' uplinks meet in the router's bridge, isolated from each other: node to node goes
# over the zone link only.
world_router() {
	ns_ip router link add br0 type bridge
	ns_ip router addr add 192.168.50.254/24 dev br0
	ns_ip router addr add fd00:50::fe/64 dev br0 nodad
	ns_ip router link set br0 up
	ns_ip router link add out type veth peer name eth0 netns "$(ns outside)"
	ns_ip router addr add 192.168.60.254/24 dev out
	ns_ip router addr add fd00:60::fe/64 dev out nodad
	ns_ip router link set out up
	ns_ip outside addr add "$WORLD_OUTSIDE_IP4/24" dev eth0
	ns_ip outside addr add "$WORLD_OUTSIDE_IP6/64" dev eth0 nodad
	ns_ip outside link set eth0 up
	ns_ip outside route add default via 192.168.60.254
	ns_ip outside -6 route add default via fd00:60::fe
}

# For the far end of an uplink: a NIC delivers whole checksums, and a veth takes what comes by
# XDP_TX or redirect only while it has an XDP program itself.
world_nic_like() {
	local name=$1 dev=$2
	[[ $WORLD_OFFLOADS == off ]] || return 0
	in_ns "$name" ethtool -K "$dev" tx off >/dev/null
	in_ns "$name" "$(tool xdppass)" "$dev"
}

world_uplink() {
	local node=$1 port=to-$1
	ns_ip router link add "$port" type veth peer name eth0 netns "$(ns "$node")"
	ns_ip router link set "$port" master br0 up
	in_ns router bridge link set dev "$port" isolated on
	world_nic_like router "$port"
	ns_ip "$node" addr add "${WORLD_NODE_IP4[$node]}/24" dev eth0
	ns_ip "$node" addr add "${WORLD_NODE_IP6[$node]}/64" dev eth0 nodad
	ns_ip "$node" link set eth0 up
	ns_ip "$node" route add default via 192.168.50.254
	ns_ip "$node" -6 route add default via fd00:50::fe
	ns_ip router route add "${WORLD_POD_NET4[$node]}.0/24" via "${WORLD_NODE_IP4[$node]}"
	ns_ip router -6 route add "${WORLD_POD_NET6[$node]}:/64" via "${WORLD_NODE_IP6[$node]}"
}

world_zone_link() {
	local node
	if [[ $WORLD_DELAY_MS == 0 ]]; then
		ns_ip node-a link add zlink type veth peer name zlink netns "$(ns node-b)"
		for node in "${WORLD_NODES[@]}"; do # each is the other's far end
			[[ $WORLD_OFFLOADS != off ]] ||
				in_ns "$node" ethtool -K zlink tx off >/dev/null
		done
	else
		world_delayed_link
	fi
	world_zone_end node-a 1 node-b 2
	world_zone_end node-b 2 node-a 1
}

# The namespace in the middle has no addresses: its only inhabitant is the delay line.
world_delayed_link() {
	local node
	ns_add zone-link
	ns_sysctl zone-link net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	for node in "${WORLD_NODES[@]}"; do
		ns_ip zone-link link add "to-$node" type veth peer name zlink netns "$(ns "$node")"
		world_nic_like zone-link "to-$node"
		ns_ip zone-link link set "to-$node" up
	done
	spawn_ready delayline zone-link "$(tool delayline)" --a to-node-a --b to-node-b \
		--delay-ms "$WORLD_DELAY_MS" --mtu "$WORLD_LINK_MTU"
}

world_zone_end() {
	local node=$1 number=$2 other=$3 other_number=$4
	ns_ip "$node" link set zlink mtu "$WORLD_LINK_MTU" up
	ns_ip "$node" addr add "192.168.70.$number/24" dev zlink
	ns_ip "$node" addr add "fd00:70::$number/64" dev zlink nodad
	ns_ip "$node" route add "${WORLD_POD_NET4[$other]}.0/24" via "192.168.70.$other_number"
	ns_ip "$node" route add "${WORLD_NODE_IP4[$other]}" via "192.168.70.$other_number"
	ns_ip "$node" -6 route add "${WORLD_POD_NET6[$other]}:/64" via "fd00:70::$other_number"
	ns_ip "$node" -6 route add "${WORLD_NODE_IP6[$other]}" via "fd00:70::$other_number"
}

# What a firewall that drops all ICMP does to path MTU discovery.
world_blackhole() {
	in_ns "$1" nft -f - <<-'END'
		table inet blackhole {
			chain output {
				type filter hook output priority 0;
				icmp type destination-unreachable icmp code frag-needed drop
				icmpv6 type packet-too-big drop
			}
			chain forward {
				type filter hook forward priority 0;
				icmp type destination-unreachable icmp code frag-needed drop
				icmpv6 type packet-too-big drop
			}
		}
	END
}

# world_pod NODE NAME NUMBER: a pod namespace with the address .NUMBER behind a routed veth.
world_pod() {
	local node=$1 name=$2 number=$3 dev ip4 ip6 gw6=fe80::ecee:eeff:feee:eeee
	WORLD_POD_COUNT[$node]=$((WORLD_POD_COUNT[$node] + 1))
	dev=cali${WORLD_POD_COUNT[$node]}
	ip4=${WORLD_POD_NET4[$node]}.$number
	ip6=${WORLD_POD_NET6[$node]}:$number
	WORLD_POD_NODE[$name]=$node
	WORLD_POD_IP4[$name]=$ip4
	WORLD_POD_IP6[$name]=$ip6
	# shellcheck disable=SC2034
	WORLD_POD_DEV[$name]=$dev
	ns_add "$name"
	ns_ip "$node" link add "$dev" address ee:ee:ee:ee:ee:ee type veth \
		peer name eth0 netns "$(ns "$name")"
	ns_sysctl "$node" "net.ipv4.conf.$dev.proxy_arp=1" "net.ipv4.neigh.$dev.proxy_delay=0" \
		"net.ipv4.conf.$dev.rp_filter=1"
	ns_ip "$node" link set "$dev" up
	ns_ip "$name" link set eth0 up
	ns_ip "$name" addr add "$ip4/32" dev eth0
	ns_ip "$name" addr add "$ip6/128" dev eth0 nodad
	ns_ip "$name" route add 169.254.1.1 dev eth0 scope link
	ns_ip "$name" route add default via 169.254.1.1 dev eth0
	ns_ip "$name" -6 route add default via "$gw6" dev eth0
	ns_ip "$node" route add "$ip4" dev "$dev" scope link
	ns_ip "$node" -6 route add "$ip6" dev "$dev"
}

# bracket ADDRESS: as it stands before a port.
bracket() {
	[[ $1 == *:* ]] && echo "[$1]" || echo "$1"
}

# world_serve POD [PORT]...: a netserver named as its pod (default port $WORLD_PORT).
world_serve() {
	local pod=$1 port
	local -a listen=()
	shift
	for port in "${@:-$WORLD_PORT}"; do
		listen+=(--listen "$port")
	done
	spawn_ready "server-of-$pod" "$pod" "$(tool netserver)" --name "$pod" "${listen[@]}"
}

# world_load LABEL NAME NETLOAD-OPTIONS...: netload in namespace NAME, its JSON for world_result
# and world_names; returns netload's exit code. It runs in the background and is waited for, so
# that a signal to the test is acted on at once. For several at a time: world_load_start for
# each, then world_load_end.
world_load() {
	world_load_start "$@"
	world_load_end "$1"
}

world_load_start() {
	local label=$1 name=$2
	shift 2
	spawn "load-$label" "$name" "$(tool netload)" --json "$@"
}

world_load_end() {
	join "load-$1"
}

# world_result LABEL KEY: a value of the result, as ok, failed, p50, p99, mbit_per_s.
world_result() {
	json_get "$NP_DIR/load-$1.log" "$2"
}

# world_names LABEL servers|peer_seen|errors: lines "NAME COUNT".
world_names() {
	json_part "$NP_DIR/load-$1.log" "$2"
}

# world_reach WHAT NAME SERVER PEER NETLOAD-OPTIONS...: checks that all connections from namespace
# NAME succeed, that SERVER answered all of them and saw them come from PEER ("any": whoever).
world_reach() {
	local what=$1 name=$2 server=$3 peer=$4 got
	shift 4
	world_load reach "$name" "$@" || true
	got="failed $(world_result reach failed)"
	[[ $server == any ]] || got+=" by $(world_names reach servers | cut -d ' ' -f 1 | xargs)"
	[[ $peer == any ]] || got+=" from $(world_names reach peer_seen | cut -d ' ' -f 1 | xargs)"
	[[ $server == any ]] || server=" by $server"
	[[ $peer == any ]] || peer=" from $peer"
	check_equal "$what" "failed 0${server#any}${peer#any}" "$got"
}

# world_watch_mss NAME: from now on nftables notes each MSS that comes in.
world_watch_mss() {
	in_ns "$1" nft -f - <<-'END'
		table inet mss {
			set seen {
				typeof tcp option maxseg size
				flags dynamic
			}
			chain input {
				type filter hook input priority -300
				tcp flags & (syn | rst) == syn add @seen { tcp option maxseg size }
			}
		}
	END
}

# world_seen_mss NAME: the values since the last time.
world_seen_mss() {
	in_ns "$1" nft -j list set inet mss seen |
		jq -r '[.nftables[] | .set? // empty | .elem[]? | .elem?.val // .] | join(" ")'
	in_ns "$1" nft flush set inet mss seen
}

# --- the objects -----------------------------------------------------------------------------
# Kept as files in $NP_DIR/objects: naming one again replaces it. An ADDRESS with ':' is IPv6.

# world_node NODE: the Node object.
world_node() {
	world_object "Node-$1" <<-END
		{"apiVersion":"v1","kind":"Node","metadata":{"name":"$1","labels":{
		"kubernetes.io/hostname":"$1","topology.kubernetes.io/zone":"${WORLD_ZONE[$1]}"}},
		"status":{"addresses":[{"type":"InternalIP","address":"${WORLD_NODE_IP4[$1]}"},
		{"type":"InternalIP","address":"${WORLD_NODE_IP6[$1]}"}]}}
	END
}

# world_service NAME NAMESPACE CLUSTERIP[,CLUSTERIP] PORT [NODEPORT [PROTOCOL [SPEC]]]: one port
# named "main"; NODEPORT 0 or none makes type ClusterIP; SPEC is JSON members added to the spec,
# as '"sessionAffinity":"ClientIP"' (without a comma before or after).
world_service() {
	local name=$1 namespace=$2 ips=$3 port=$4 node_port=${5:-0} protocol=${6:-TCP} spec=${7:-}
	local type=ClusterIP families='"IPv4"' node_port_json=''
	[[ $ips != *:* ]] || families='"IPv6"'
	[[ $ips != *,* ]] || families='"IPv4","IPv6"'
	if [[ $node_port != 0 ]]; then
		type=NodePort
		node_port_json=",\"nodePort\":$node_port"
	fi
	world_object "Service-$namespace-$name" <<-END
		{"apiVersion":"v1","kind":"Service",
		"metadata":{"name":"$name","namespace":"$namespace"},
		"spec":{"type":"$type","clusterIP":"${ips%%,*}","clusterIPs":["${ips//,/\",\"}"],
		"ipFamilies":[$families],"ports":[{"name":"main","protocol":"$protocol",
		"port":$port$node_port_json}]${spec:+,$spec}}}
	END
}

# world_slice SERVICE NAMESPACE TARGETPORT POD[:STATE]...: the EndpointSlices (one for each of
# $WORLD_FAMILIES) of a service with these pods; STATE is ready, notready or terminating. PROTOCOL
# is TCP unless WORLD_PROTOCOL is set.
world_slice() {
	local service=$1 namespace=$2 port=$3 family
	shift 3
	for family in $WORLD_FAMILIES; do
		world_slice_of "$family" "$service" "$namespace" "$port" "$@"
	done
}

world_slice_of() {
	local family=$1 service=$2 namespace=$3 port=$4 protocol=${WORLD_PROTOCOL:-TCP}
	local endpoints='' pod state ip file
	shift 4
	file=EndpointSlice-$namespace-$service-$family
	for pod in "$@"; do
		state=${pod#"${pod%%:*}"}
		pod=${pod%%:*}
		ip=${WORLD_POD_IP4[$pod]}
		[[ $family == 4 ]] || ip=${WORLD_POD_IP6[$pod]}
		endpoints+="${endpoints:+,}$(world_endpoint "$pod" "$ip" "${state#:}")"
	done
	world_object "$file" <<-END
		{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",
		"metadata":{"name":"$service-$family","namespace":"$namespace",
		"labels":{"kubernetes.io/service-name":"$service"}},"addressType":"IPv$family",
		"ports":[{"name":"main","protocol":"$protocol","port":$port}],
		"endpoints":[$endpoints]}
	END
}

world_endpoint() {
	local pod=$1 ip=$2 state=$3 node zone conditions hints=''
	node=${WORLD_POD_NODE[$pod]}
	zone=${WORLD_ZONE[$node]}
	case $state in
	notready) conditions='"ready":false,"serving":false,"terminating":false' ;;
	terminating) conditions='"ready":false,"serving":true,"terminating":true' ;;
	*) conditions='"ready":true,"serving":true,"terminating":false' ;;
	esac
	[[ $WORLD_HINTS != on ]] || hints=",\"hints\":{\"forZones\":[{\"name\":\"$zone\"}]}"
	echo "{\"addresses\":[\"$ip\"],\"conditions\":{$conditions},\"nodeName\":\"$node\"," \
		"\"zone\":\"$zone\"$hints}"
}

world_object() {
	mkdir -p "$NP_DIR/objects"
	cat >"$NP_DIR/objects/$1.json"
}

# world_forget KIND-NAMESPACE-NAME: removes an object from the set.
world_forget() {
	rm -f "$NP_DIR/objects/$1.json"
}

# world_objects: all of them as one List, for nearpath apply -f -.
world_objects() {
	local file comma=''
	echo '{"apiVersion":"v1","kind":"List","items":['
	for file in "$NP_DIR"/objects/*.json; do
		echo "$comma"
		cat "$file"
		comma=,
	done
	echo ']}'
}

# --- who carries the services ----------------------------------------------------------------

# world_rules MODE [OPTIONS]: kube-proxy's rules for world_objects. They are not told which node it is,
# so that they take each endpoint at equal odds, whatever its zone.
world_rules() {
	[[ -x $NEARPATH_BUILD/bench/kubeproxy ]] || die "no \"bench/kubeproxy\": run make tests"
	world_objects | "$NEARPATH_BUILD/bench/kubeproxy" "$@" --cluster-cidr "$WORLD_CLUSTER_CIDR"
}

# world_kubeproxy NODE...: in place of all other rules, those of kube-proxy's iptables mode.
world_kubeproxy() {
	local node
	for node in "$@"; do
		world_rules iptables | in_ns "$node" iptables-restore
		world_rules iptables --ipv6 | in_ns "$node" ip6tables-restore
	done
}

# world_kubeproxy_nftables NODE...: those of its nftables mode.
world_kubeproxy_nftables() {
	local node
	for node in "$@"; do
		world_rules nftables --nodeport-addresses "${WORLD_NODE_IP4[$node]}" |
			in_ns "$node" nft -f -
		world_rules nftables --nodeport-addresses "${WORLD_NODE_IP6[$node]}" --ipv6 |
			in_ns "$node" nft -f -
	done
}

# world_kubeproxy_off NODE...: without these rules, and without what conntrack knew.
world_kubeproxy_off() {
	local node command
	for node in "$@"; do
		in_ns "$node" nft delete table ip kube-proxy 2>/dev/null || true
		in_ns "$node" nft delete table ip6 kube-proxy 2>/dev/null || true
		for command in iptables-restore ip6tables-restore; do
			printf '*%s\nCOMMIT\n' nat filter mangle | in_ns "$node" "$command"
		done
		in_ns "$node" conntrack -F >/dev/null 2>&1 || true
	done
}

# world_nearpath NODE [OPTIONS]: start_daemon with what this world's nodes need. The daemon has
# the objects after world_apply NODE.
world_nearpath() {
	local node=$1
	shift
	start_daemon "$node" --zone "${WORLD_ZONE[$node]}" --ifaces 'cali*' \
		--uplinks eth0,zlink --xdp native --cluster-cidr "$WORLD_CLUSTER_CIDR" "$@"
}

# world_cgroup: the hierarchy of the node's own processes is mounted where those started in
# namespaces see it; ip netns exec hides /sys. Call it before world_nearpath.
world_cgroup() {
	mkdir "$NP_DIR/cgroup"
	mount -t cgroup2 cgroup2 "$NP_DIR/cgroup" 2>/dev/null || skip "the kernel has no cgroup v2"
}

world_apply() {
	world_objects >"$NP_DIR/objects.json"
	nearpath_at "$1" apply -f "$NP_DIR/objects.json" >/dev/null
}
