/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What answers that are made of the packet itself have in common (reject.h, reset.h): who may be
 * answered, new IP headers, sums, and the way back to the sender.
 */
#ifndef NEARPATH_TC_ANSWER_H
#define NEARPATH_TC_ANSWER_H

#include "../datapath/frontend.h"
#include "../datapath/iface.h"
#include "../datapath/rewrite.h"

/* include/uapi/linux/if_packet.h: a link-layer broadcast or multicast is never answered. */
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3

#define ANSWER_TTL 64
#define ANSWER_MAX 512 /* bytes that are summed */

struct ethernet_addresses {
	__u8 dst[6];
	__u8 src[6];
};

static __always_inline __u32 ip_header_length(int family)
{
	return family == NP_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/* Is the frame one that this host, or a port of a bridge, has to answer? */
static __always_inline bool frame_is_ours(struct __sk_buff *skb)
{
	struct np_iface *iface;

	if (skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_MULTICAST)
		return false;
	/* For another host, which will answer; but a port of a bridge sees nothing else. */
	if (skb->pkt_type != PACKET_OTHERHOST)
		return true;
	iface = iface_find(skb->ifindex);
	return iface && iface->flags & NP_IFACE_PORT;
}

/* May the sender be answered? RFC 1812, 4.3.2.7; RFC 4443, 2.4e. */
static __always_inline bool can_answer(struct __sk_buff *skb, const union np_addr *src, int family)
{
	__u32 first = bpf_ntohl(src->word[0]) >> 24;

	if (!frame_is_ours(skb))
		return false;
	if (family == NP_IPV4) /* this network, loopback, multicast, reserved and broadcast */
		return first != 0 && first != 127 && first < 224;
	return first != 0xFF && !addr_is_zero(src) && !addr_is_loopback(src, family);
}

/* Sum of the 32-bit words from at on, length bytes; a global function for its loop. */
__noinline __u64 packet_sum(struct __sk_buff *skb, __u32 at, __u32 length)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 sum = 0;
	__u32 i;

	if (at > 128)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < ANSWER_MAX; i += 4) {
		__u32 *word = data + at + i;

		if (i >= length || (void *)(word + 1) > end)
			break;
		sum += *word;
	}
	return sum;
}

/* Of both families; t is whole. length: of what follows the IP header. */
static __always_inline __u64 pseudo_sum(const struct tuple *t, __u32 length, __u32 protocol)
{
	const union np_addr *s = &t->src, *d = &t->dst;

	return (__u64)s->word[0] + s->word[1] + s->word[2] + s->word[3] + d->word[0] + d->word[1] +
	       d->word[2] + d->word[3] + bpf_htonl(length) + bpf_htonl(protocol);
}

static __always_inline void write_ipv4(struct iphdr *ip, const struct tuple *t, __u8 tos,
				       __u8 protocol, __u32 length)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = sizeof(*ip) / 4,
		.tos = tos,
		.tot_len = bpf_htons(sizeof(*ip) + length),
		.id = bpf_get_prandom_u32(),
		.ttl = ANSWER_TTL,
		.protocol = protocol,
		.saddr = t->src.v4,
		.daddr = t->dst.v4,
	};
	ip->check = sum_update(0xFFFF, (__u64)((__u32 *)ip)[0] + ((__u32 *)ip)[1] +
					       ((__u32 *)ip)[2] + ip->saddr + ip->daddr);
}

static __always_inline void write_ipv6(struct ipv6hdr *ip, const struct tuple *t, __u8 tos,
				       __u8 protocol, __u32 length)
{
	*ip = (struct ipv6hdr){
		.version = 6,
		.priority = tos >> 4,
		.flow_lbl[0] = tos << 4,
		.payload_len = bpf_htons(length),
		.nexthdr = protocol,
		.hop_limit = ANSWER_TTL,
	};
	addr_write(ip->saddr.in6_u.u6_addr32, &t->src, NP_IPV6);
	addr_write(ip->daddr.in6_u.u6_addr32, &t->dst, NP_IPV6);
}

/* Back to who sent it. false: the packet has no Ethernet header. */
static __always_inline bool swap_macs(void *data, void *end)
{
	struct ethernet_addresses *eth = data;
	__u8 mac[6];

	if ((void *)(eth + 1) > end)
		return false;
	__builtin_memcpy(mac, eth->dst, sizeof(mac));
	__builtin_memcpy(eth->dst, eth->src, sizeof(mac));
	__builtin_memcpy(eth->src, mac, sizeof(mac));
	return true;
}

/* Out by the interface it came in by. TC_ACT_... */
static __always_inline int answer_back(struct __sk_buff *skb, __u32 l2_len)
{
	if (l2_len)
		return bpf_redirect(skb->ifindex, 0);
	/*
	 * Without a link-layer header (wg0, tunl0) the device wants a route; who asks for it takes
	 * an Ethernet header off and loses what has none (net/core/filter.c, __bpf_redirect_neigh).
	 */
	if (bpf_skb_change_head(skb, ETH_HLEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(skb->ifindex, NULL, 0, 0);
}

#endif
