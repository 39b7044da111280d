#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Prints iptables-restore input of the shape kube-proxy's iptables mode makes, for comparing
# nearpath with it: every endpoint of a service at equal odds, whatever its zone. Written for
# ClusterIP and NodePort services with "Cluster" traffic policies; one family at a time.

set -euo pipefail

usage() {
	cat <<-'END'
		Usage: kubeproxy-rules.sh [--ipv6] [--cluster-cidr CIDR] < TABLE | iptables-restore
		TABLE has lines
		  service NAMESPACE NAME PORTNAME PROTOCOL CLUSTERIP PORT NODEPORT (0: none)
		  endpoint NAMESPACE NAME PORTNAME PROTOCOL ADDRESS PORT
		Lines of the other family are left out. Without --cluster-cidr nothing sent to a
		ClusterIP is masqueraded.
	END
}

declare -a keys=()
declare -A ip=() port=() node_port=() endpoints=()
family=4
cluster_cidr=
bits=32

# NAME KEY: a chain name, as kube-proxy's: a prefix and 16 characters of a hash.
chain() {
	local hash
	hash=$(sha256sum <<<"$2")
	hash=${hash:0:16}
	echo "KUBE-$1-${hash^^}"
}

is_of_family() {
	if [[ $1 == *:* ]]; then
		[[ $family == 6 ]]
	else
		[[ $family == 4 ]]
	fi
}

read_table() {
	local kind namespace name port_name protocol address number nodes key
	while read -r kind namespace name port_name protocol address number nodes; do
		is_of_family "$address" || continue
		key=$namespace/$name:$port_name/${protocol,,}
		case $kind in
		service)
			keys+=("$key")
			ip[$key]=$address
			port[$key]=$number
			node_port[$key]=$nodes
			;;
		endpoint)
			[[ $family == 4 ]] || address="[$address]"
			endpoints[$key]+=" $address:$number"
			;;
		*)
			echo "kubeproxy-rules.sh: \"$kind\" is neither service nor endpoint" >&2
			return 1
			;;
		esac
	done
}

print_filter() {
	local key protocol reject=icmp-port-unreachable
	[[ $family == 4 ]] || reject=icmp6-port-unreachable
	cat <<-'END'
		*filter
		:INPUT ACCEPT [0:0]
		:FORWARD ACCEPT [0:0]
		:OUTPUT ACCEPT [0:0]
		:KUBE-EXTERNAL-SERVICES - [0:0]
		:KUBE-FORWARD - [0:0]
		:KUBE-NODEPORTS - [0:0]
		:KUBE-PROXY-FIREWALL - [0:0]
		:KUBE-SERVICES - [0:0]
		-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
		-A INPUT -j KUBE-NODEPORTS
		-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
		-A FORWARD -j KUBE-FORWARD
		-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
		-A OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
		-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES
		-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
		-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
		-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	END
	for key in "${keys[@]}"; do
		[[ -z ${endpoints[$key]:-} ]] || continue
		protocol=${key##*/}
		echo "-A KUBE-SERVICES -d ${ip[$key]}/$bits -p $protocol -m comment --comment" \
			"\"${key%/*} has no endpoints\" --dport ${port[$key]}" \
			"-j REJECT --reject-with $reject"
		[[ ${node_port[$key]} == 0 ]] || echo "-A KUBE-EXTERNAL-SERVICES -p $protocol" \
			"-m addrtype --dst-type LOCAL --dport ${node_port[$key]}" \
			"-j REJECT --reject-with $reject"
	done
	echo COMMIT
}

print_nat_chains() {
	local key endpoint
	cat <<-'END'
		*nat
		:PREROUTING ACCEPT [0:0]
		:INPUT ACCEPT [0:0]
		:OUTPUT ACCEPT [0:0]
		:POSTROUTING ACCEPT [0:0]
		:KUBE-MARK-MASQ - [0:0]
		:KUBE-NODEPORTS - [0:0]
		:KUBE-POSTROUTING - [0:0]
		:KUBE-SERVICES - [0:0]
	END
	for key in "${keys[@]}"; do
		[[ -n ${endpoints[$key]:-} ]] || continue
		echo ":$(chain SVC "$key") - [0:0]"
		[[ ${node_port[$key]} == 0 ]] || echo ":$(chain EXT "$key") - [0:0]"
		for endpoint in ${endpoints[$key]}; do
			echo ":$(chain SEP "$key $endpoint") - [0:0]"
		done
	done
}

print_nat_common() {
	cat <<-'END'
		-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A POSTROUTING -m comment --comment "kubernetes postrouting" -j KUBE-POSTROUTING
		-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
		-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
		-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
		-A KUBE-POSTROUTING -j MASQUERADE --random-fully
	END
}

# The way from an address to the service's chain.
print_frontends() {
	local key=$1 protocol=${1##*/} comment
	comment="-m comment --comment \"${key%/*}"
	echo "-A KUBE-SERVICES -d ${ip[$key]}/$bits -p $protocol $comment cluster IP\"" \
		"-m $protocol --dport ${port[$key]} -j $(chain SVC "$key")"
	[[ ${node_port[$key]} != 0 ]] || return 0
	echo "-A KUBE-NODEPORTS -p $protocol $comment\" -m $protocol" \
		"--dport ${node_port[$key]} -j $(chain EXT "$key")"
	echo "-A $(chain EXT "$key") $comment masquerade\" -j KUBE-MARK-MASQ"
	echo "-A $(chain EXT "$key") -j $(chain SVC "$key")"
}

# The service's chain: each endpoint with the odds 1/n, 1/(n-1), ... 1.
print_endpoints() {
	local key=$1 protocol=${1##*/} svc sep endpoint left odds address
	local -a list
	read -ra list <<<"${endpoints[$key]}"
	svc=$(chain SVC "$key")
	[[ -z $cluster_cidr ]] || echo "-A $svc ! -s $cluster_cidr -d ${ip[$key]}/$bits" \
		"-p $protocol -m $protocol --dport ${port[$key]} -j KUBE-MARK-MASQ"
	left=${#list[@]}
	for endpoint in "${list[@]}"; do
		sep=$(chain SEP "$key $endpoint")
		odds=
		[[ $left == 1 ]] || odds="-m statistic --mode random --probability $(
			awk -v n="$left" 'BEGIN { printf "%.10f", 1 / n }'
		)"
		echo "-A $svc -m comment --comment \"${key%/*} -> $endpoint\" $odds -j $sep"
		address=${endpoint%:*}
		address=${address#[}
		echo "-A $sep -s ${address%]}/$bits -j KUBE-MARK-MASQ"
		echo "-A $sep -p $protocol -m $protocol -j DNAT --to-destination $endpoint"
		left=$((left - 1))
	done
}

print_nat() {
	local key
	print_nat_chains
	print_nat_common
	for key in "${keys[@]}"; do
		[[ -n ${endpoints[$key]:-} ]] || continue
		print_frontends "$key"
		print_endpoints "$key"
	done
	echo '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
	echo COMMIT
}

while [[ $# -gt 0 ]]; do
	case $1 in
	--ipv6)
		family=6
		bits=128
		;;
	--cluster-cidr)
		[[ $# -gt 1 ]] || { usage >&2; exit 2; }
		cluster_cidr=$2
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
print_filter
print_nat
