#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Prints nft input of the shape kube-proxy's nftables mode makes, from the same table as
# kubeproxy-rules.sh: a table "kube-proxy" with verdict maps from addresses and NodePorts to chains
# of services, and from random numbers to chains of endpoints. Written for ClusterIP and NodePort
# services with "Cluster" traffic policies; one family at a time.

set -euo pipefail

usage() {
	cat <<-'END'
		Usage: kubeproxy-nftables.sh [--ipv6] [--cluster-cidr CIDR] [--node-ips ADDR,...]
		         < TABLE | nft -f -
		TABLE has lines
		  service NAMESPACE NAME PORTNAME PROTOCOL CLUSTERIP PORT NODEPORT (0: none)
		  endpoint NAMESPACE NAME PORTNAME PROTOCOL ADDRESS PORT
		Lines of the other family are left out. Without --cluster-cidr nothing sent to a
		ClusterIP is masqueraded. NodePorts are accepted at --node-ips.
	END
}

declare -a keys=()
declare -A ip=() port=() node_port=() endpoints=()
family=ip
type=ipv4_addr
cluster_cidr=
node_ips=

# chain KIND KEY: KIND-HASH-KEY, as kube-proxy's.
chain() {
	local hash
	hash=$(sha256sum <<<"$2")
	hash=${hash:0:8}
	echo "$1-${hash^^}-$2"
}

is_of_family() {
	if [[ $1 == *:* ]]; then
		[[ $family == ip6 ]]
	else
		[[ $family == ip ]]
	fi
}

read_table() {
	local kind namespace name port_name protocol address number nodes key
	while read -r kind namespace name port_name protocol address number nodes; do
		is_of_family "$address" || continue
		key=$namespace/$name/${protocol,,}/$port_name
		case $kind in
		service)
			keys+=("$key")
			ip[$key]=$address
			port[$key]=$number
			node_port[$key]=$nodes
			;;
		endpoint)
			endpoints[$key]+=" $address/$number"
			;;
		*)
			echo "kubeproxy-nftables.sh: \"$kind\" is neither service nor endpoint" >&2
			return 1
			;;
		esac
	done
}

protocol_of() {
	local rest=${1#*/*/}
	echo "${rest%%/*}"
}

print_base() {
	cat <<-END
		add table $family kube-proxy { comment "rules for kube-proxy" ; }
		flush table $family kube-proxy
		add set $family kube-proxy cluster-ips { type $type ; }
		add set $family kube-proxy nodeport-ips { type $type ; }
		add map $family kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
		add map $family kube-proxy no-endpoint-services { type $type . inet_proto . inet_service : verdict ; }
		add map $family kube-proxy service-ips { type $type . inet_proto . inet_service : verdict ; }
		add map $family kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
		add chain $family kube-proxy cluster-ips-check
		add chain $family kube-proxy filter-forward { type filter hook forward priority 0 ; }
		add chain $family kube-proxy filter-input { type filter hook input priority 0 ; }
		add chain $family kube-proxy filter-output { type filter hook output priority 0 ; }
		add chain $family kube-proxy mark-for-masquerade
		add chain $family kube-proxy masquerading
		add chain $family kube-proxy nat-output { type nat hook output priority -100 ; }
		add chain $family kube-proxy nat-postrouting { type nat hook postrouting priority 100 ; }
		add chain $family kube-proxy nat-prerouting { type nat hook prerouting priority -100 ; }
		add chain $family kube-proxy nodeport-endpoints-check
		add chain $family kube-proxy reject-chain
		add chain $family kube-proxy service-endpoints-check
		add chain $family kube-proxy services
		add rule $family kube-proxy cluster-ips-check $family daddr @cluster-ips reject
		add rule $family kube-proxy filter-forward ct state new jump service-endpoints-check
		add rule $family kube-proxy filter-forward ct state new jump cluster-ips-check
		add rule $family kube-proxy filter-input ct state new jump nodeport-endpoints-check
		add rule $family kube-proxy filter-input ct state new jump service-endpoints-check
		add rule $family kube-proxy filter-output ct state new jump service-endpoints-check
		add rule $family kube-proxy filter-output ct state new jump cluster-ips-check
		add rule $family kube-proxy mark-for-masquerade mark set mark or 0x4000
		add rule $family kube-proxy masquerading mark and 0x4000 == 0 return
		add rule $family kube-proxy masquerading mark set mark xor 0x4000
		add rule $family kube-proxy masquerading masquerade fully-random
		add rule $family kube-proxy nat-output jump services
		add rule $family kube-proxy nat-postrouting jump masquerading
		add rule $family kube-proxy nat-prerouting jump services
		add rule $family kube-proxy nodeport-endpoints-check $family daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
		add rule $family kube-proxy reject-chain reject
		add rule $family kube-proxy service-endpoints-check $family daddr . meta l4proto . th dport vmap @no-endpoint-services
		add rule $family kube-proxy services $family daddr . meta l4proto . th dport vmap @service-ips
		add rule $family kube-proxy services $family daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
	END
	[[ -z $node_ips ]] ||
		echo "add element $family kube-proxy nodeport-ips { ${node_ips//,/, } }"
}

print_unserved() {
	local key=$1 protocol
	protocol=$(protocol_of "$key")
	echo "add element $family kube-proxy no-endpoint-services {" \
		"${ip[$key]} . $protocol . ${port[$key]} : goto reject-chain }"
	[[ ${node_port[$key]} == 0 ]] || echo "add element $family kube-proxy" \
		"no-endpoint-nodeports { $protocol . ${node_port[$key]} : goto reject-chain }"
}

# Each endpoint's chain, and the service's with a map of them.
print_endpoints() {
	local key=$1 protocol=$2 service=$3 endpoint address to chain map='' i=0
	for endpoint in ${endpoints[$key]}; do
		address=${endpoint%/*}
		to=$address
		[[ $family == ip ]] || to="[$address]"
		chain=$(chain endpoint "${key}__${endpoint//:/.}")
		echo "add chain $family kube-proxy $chain"
		echo "add rule $family kube-proxy $chain $family saddr $address" \
			"jump mark-for-masquerade"
		echo "add rule $family kube-proxy $chain meta l4proto $protocol" \
			"dnat to $to:${endpoint#*/}"
		map+="${map:+, }$i : goto $chain"
		i=$((i + 1))
	done
	echo "add chain $family kube-proxy $service"
	[[ -z $cluster_cidr ]] || echo "add rule $family kube-proxy $service" \
		"$family daddr ${ip[$key]} $family saddr != $cluster_cidr jump mark-for-masquerade"
	echo "add rule $family kube-proxy $service numgen random mod $i vmap { $map }"
}

print_service() {
	local key=$1 protocol service external
	protocol=$(protocol_of "$key")
	service=$(chain service "$key")
	external=$(chain external "$key")
	print_endpoints "$key" "$protocol" "$service"
	echo "add element $family kube-proxy service-ips {" \
		"${ip[$key]} . $protocol . ${port[$key]} : goto $service }"
	[[ ${node_port[$key]} != 0 ]] || return 0
	echo "add chain $family kube-proxy $external"
	echo "add rule $family kube-proxy $external jump mark-for-masquerade"
	echo "add rule $family kube-proxy $external goto $service"
	echo "add element $family kube-proxy service-nodeports {" \
		"$protocol . ${node_port[$key]} : goto $external }"
}

while [[ $# -gt 0 ]]; do
	case $1 in
	--ipv6)
		family=ip6
		type=ipv6_addr
		;;
	--cluster-cidr | --node-ips)
		[[ $# -gt 1 ]] || { usage >&2; exit 2; }
		[[ $1 == --cluster-cidr ]] && cluster_cidr=$2 || node_ips=$2
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
read_table
print_base
for key in "${keys[@]}"; do
	echo "add element $family kube-proxy cluster-ips { ${ip[$key]} }"
	if [[ -n ${endpoints[$key]:-} ]]; then
		print_service "$key"
	else
		print_unserved "$key"
	fi
done
