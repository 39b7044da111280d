#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# kube-proxy's rules, loaded into the kernel, decide every packet of the decision cases as nearpath
# does, or otherwise for a reason that is kube-proxy's: so that what the benchmarks compare does the
# same work.

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
shopt -s nullglob

FILES=("$NP_SELFTESTS"/cases/*.jsonl)

# build NODE: with one link, by which everything comes and goes, and no opinion on where from.
build() {
	local node=$1 wire=$1-wire address
	ns_add "$node" "$wire"
	ns_ip "$node" link add node0 address 02:00:00:00:00:01 type veth \
		peer name wire address 02:00:00:00:00:02 netns "$(ns "$wire")"
	ns_sysctl "$wire" net.ipv6.conf.all.disable_ipv6=1
	ns_sysctl "$node" net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.{all,node0}.rp_filter=0 net.ipv4.conf.{all,node0}.send_redirects=0 \
		net.ipv4.conf.all.accept_local=1 net.ipv4.conf.all.route_localnet=1 \
		net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
	while read -r address; do
		ns_ip "$node" addr add "$address" dev node0
	done < <(cat "${FILES[@]}" | jq -r '.node.addresses // [] | .[]' | sort -u)
	ns_ip "$node" link set node0 up
	ns_ip "$wire" link set wire up
	in_ns "$wire" ethtool -K wire tx off >/dev/null
	ns_ip "$node" neigh add 169.254.1.1 lladdr 02:00:00:00:00:02 dev node0 nud permanent
	ns_ip "$node" neigh add fe80::1 lladdr 02:00:00:00:00:02 dev node0 nud permanent
	ns_ip "$node" route add default via 169.254.1.1 dev node0 onlink
	ns_ip "$node" -6 route add default via fe80::1 dev node0
	modprobe -q nf_conntrack || true # or built in
	# The program sends SCTP without a checksum.
	ns_sysctl "$node" net.netfilter.nf_conntrack_checksum=0
}

packets() {
	spawn packets "$1-wire" "$NP_SELFTESTS/kubeproxy/packets.py" "$1" "$(ns "$1")" "${FILES[@]}"
	join packets || { cat "$NP_DIR/packets.log"; return 1; }
}

[[ -x $NEARPATH_BUILD/bench/kubeproxy ]] || die "no \"bench/kubeproxy\": run make tests"
[[ ${#FILES[@]} -gt 0 ]] || skip "there are no cases"
export NEARPATH_BUILD
np_init
for mode in nftables iptables; do
	build "$mode"
	check "$mode: every packet as the cases say, or for kube-proxy's own reason" packets "$mode"
	grep ' otherwise: ' "$NP_DIR/packets.log" || true
done
finish
