/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Refusing a packet: it becomes an ICMP port unreachable to its sender (RFC 792; RFC 4443, 3.1; as
 * netfilter's REJECT does, for TCP too) and leaves by the interface it came from. The source is the
 * address that was asked for.
 */
#ifndef NEARPATH_TC_REJECT_H
#define NEARPATH_TC_REJECT_H

#include "../datapath/icmp.h"
#include "../datapath/limit.h"
#include "answer.h"
#include "checksum.h"

#define ICMP4_PORT_UNREACHABLE 3
#define ICMP6_PORT_UNREACHABLE 4
#define TOS_INTERNETCONTROL    0xC0 /* RFC 1812, 4.3.2.5 */

/*
 * At most so many bytes are quoted, whole words: within the 576 bytes of RFC 1812, 4.3.2.3, and the
 * 1280 of RFC 4443, 2.4c.
 */
#define QUOTE_MAX ANSWER_MAX

/* Everything of the packet that its refusal is made from. */
struct refusal {
	struct tuple tuple; /* of the answer: src is who was asked */
	__u32 header;	    /* bytes of IP header, options and extensions */
	__u32 quote;	    /* bytes from the IP header on that are quoted */
	__u16 pseudo;	    /* CHECKSUM_PARTIAL: the seed in the transport checksum */
	__u8 partial;
	__u8 tos;
};

/*
 * The device that completes a CHECKSUM_PARTIAL sums from the transport header to the end of the
 * packet, which is then the end of the quotation. Whatever is summed there: with the checksum that
 * makes up for it, it comes to minus the seed (Documentation/networking/checksum-offloads.rst,
 * "LCO"). SCTP's CRC is not known here; a device that would complete it delivers without looking.
 */
static __always_inline void refusal_checksum(struct __sk_buff *skb, struct refusal *r,
					     const struct packet *p)
{
	if (!np.direct_checksum || p->tuple.protocol == IPPROTO_SCTP ||
	    skb_ip_summed(skb) != SKB_CHECKSUM_PARTIAL)
		return;
	r->partial = true;
	r->pseudo = *p->check;
}

static __always_inline bool refusal_read(struct __sk_buff *skb, __u32 l2_len, struct refusal *r,
					 int family)
{
	struct packet p = {};
	enum parse parsed = packet_parse(&p, skb, l2_len, family);

	if ((parsed != PARSE_PORTS && parsed != PARSE_ICMP) ||
	    !can_answer(skb, &p.tuple.src, family))
		return false;
	r->tuple = (struct tuple){};
	addr_read(&r->tuple.src, p.tuple.dst.word, family);
	addr_read(&r->tuple.dst, p.tuple.src.word, family);
	r->header = p.length;
	r->quote = packet_length(&p, family);
	if (r->quote > skb->len - l2_len)
		r->quote = skb->len - l2_len;
	if (r->quote > QUOTE_MAX)
		r->quote = QUOTE_MAX;
	r->quote &= ~3U;
	if (r->quote <
	    r->header + sizeof(struct icmp_header)) /* it says it is shorter than it is */
		return false;
	r->tos = family == NP_IPV4 ? ((struct iphdr *)p.l3)->tos : 0;
	r->partial = false;
	if (parsed == PARSE_PORTS)
		refusal_checksum(skb, r, &p);
	return true;
}

/* Of the quotation, as its receiver will find it. at: where it begins. */
static __always_inline __u64 quote_sum(struct __sk_buff *skb, __u32 at, const struct refusal *r)
{
	if (r->partial)
		return packet_sum(skb, at, r->header) + (__u16)~r->pseudo;
	return packet_sum(skb, at, r->quote);
}

/* The new headers, in the room that was made; sum is the quotation's. */
static __always_inline bool write_headers(struct __sk_buff *skb, __u32 l2_len,
					  const struct refusal *r, __u64 sum, int family)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 header = ip_header_length(family);
	struct icmp_header *icmp = data + l2_len + header;
	__u32 length = sizeof(*icmp) + r->quote;

	if ((void *)(icmp + 1) > end || (l2_len == ETH_HLEN && !swap_macs(data, end)))
		return false;
	if (family == NP_IPV4) {
		write_ipv4((void *)icmp - header, &r->tuple, (r->tos & 0x1E) | TOS_INTERNETCONTROL,
			   IPPROTO_ICMP, length);
		icmp->type = ICMP4_UNREACHABLE;
		icmp->code = ICMP4_PORT_UNREACHABLE;
	} else {
		write_ipv6((void *)icmp - header, &r->tuple, 0, IPPROTO_ICMPV6, length);
		icmp->type = ICMP6_UNREACHABLE;
		icmp->code = ICMP6_PORT_UNREACHABLE;
		sum += pseudo_sum(&r->tuple, length, IPPROTO_ICMPV6);
	}
	icmp->rest = 0;
	icmp->check = sum_update(0xFFFF, sum + (icmp->type | icmp->code << 8));
	return true;
}

/* An skb's bytes change below: nothing read of it before holds any more. TC_ACT_... */
static __always_inline int refuse(struct __sk_buff *skb, __u32 l2_len, int family)
{
	__u32 room = ip_header_length(family) + sizeof(struct icmp_header);
	struct refusal r = {};
	__u64 sum;

	if (l2_len > ETH_HLEN || !refusal_read(skb, l2_len, &r, family))
		return TC_ACT_SHOT;
	if (!reject_allowed()) {
		count(NP_HOOK_INGRESS, NP_REASON_REJECT_LIMITED);
		return TC_ACT_SHOT;
	}
	if (bpf_skb_change_tail(skb, l2_len + r.quote, 0) ||
	    bpf_skb_pull_data(skb, l2_len + r.quote))
		return TC_ACT_SHOT;
	sum = quote_sum(skb, l2_len, &r);
	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0) ||
	    !write_headers(skb, l2_len, &r, sum, family))
		return TC_ACT_SHOT;
	/* The room came as zeroes; nothing unless CHECKSUM_COMPLETE. */
	bpf_csum_update(skb, sum_fold(packet_sum(skb, l2_len, room)));
	count(NP_HOOK_INGRESS, NP_REASON_REJECTED);
	return answer_back(skb, l2_len);
}

__noinline int tc_refuse4(struct __sk_buff *skb, __u32 l2_len)
{
	return refuse(skb, l2_len, NP_IPV4);
}

__noinline int tc_refuse6(struct __sk_buff *skb, __u32 l2_len)
{
	return refuse(skb, l2_len, NP_IPV6);
}

#endif
