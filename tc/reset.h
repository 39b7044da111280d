/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * TCP of a flow whose endpoint is gone (NP_FLOW_DEPARTED): the packet is answered by RST (RFC 9293,
 * 3.10.7.1) from whom it was sent to, and the other side is told as well, once, by a RST that goes
 * the packet's way. No limit: an answer is no longer than what caused it, one for one, and RST is
 * never answered.
 *
 *   hook     packet             the answer                       the RST to the other side
 *   ingress  client -> frontend frontend -> client, back out     comes in in its place
 *   ingress  backend -> snat    snat -> backend, back out        comes in in its place
 *   egress   backend -> client  client -> backend, comes in by   goes out in its place
 *                               the interface of the client
 *
 * What comes in or goes out meets the programs again and is translated there: for the kernel in
 * between, and its conntrack, a connection of the two is reset by one of them.
 */
#ifndef NEARPATH_TC_RESET_H
#define NEARPATH_TC_RESET_H

#include "../datapath/flow.h"
#include "answer.h"
#include "checksum.h"

#define TCP_HEADER 20

/* Everything of the packet that its answer is made from. Numbers in host order. */
struct segment {
	struct tuple tuple;
	__u32 header; /* bytes of IP header, options and extensions */
	__u32 seq;
	__u32 ack;
	__u32 length; /* SEG.LEN */
	__u8 flags;
	__u8 tos;
	bool partial; /* the device completes the checksum */
	bool first;   /* the other side has not been told */
};

/*
 * Is the packet one of those? What opens a connection begins another flow, RST is what the answer
 * would be, and the SNAT name is met by what ingress let pass a moment ago.
 */
static __always_inline bool reset_wanted(const struct flow_hit *hit, const struct packet *p,
					 bool opens)
{
	return hit->flow->flags & NP_FLOW_DEPARTED && p->tuple.protocol == IPPROTO_TCP && !opens &&
	       !(p->tcp_flags & TCP_RST) && hit->name != NP_NAME_SNAT;
}

/* The flow is over. false: the packet is not, or no longer, one to be answered. */
static __always_inline bool reset_flow(struct segment *s, const struct packet *p, __u32 hook,
				       int family)
{
	__u32 space = hook == NP_HOOK_EGRESS ? NP_HASH_EGRESS : NP_HASH_INGRESS;
	struct flow_hit hit = flow_find_rare(&s->tuple, space, family);

	if (!hit.flow || !reset_wanted(&hit, p, packet_opens(p)))
		return false;
	/*
	 * A handshake is not broken off for the client: its next SYN goes to another endpoint, and
	 * is answered by it.
	 */
	s->first =
		hit.flow->state >= NP_FLOW_TCP_ESTABLISHED && hit.flow->state != NP_FLOW_TCP_CLOSE;
	hit.flow->seen = now32();
	flow_change(hit.number, hit.seq, TCP_RST, 0, family);
	return true;
}

static __always_inline bool segment_read(struct __sk_buff *skb, __u32 l2_len, struct segment *s,
					 __u32 hook, int family)
{
	struct packet p = {};
	struct tcphdr *tcp;

	if (packet_parse(&p, skb, l2_len, family) != PARSE_PORTS ||
	    p.tuple.protocol != IPPROTO_TCP || (hook == NP_HOOK_INGRESS && !frame_is_ours(skb)))
		return false;
	tcp = p.l4;
	s->tuple = tuple_whole(&p.tuple, family);
	s->header = p.length;
	s->seq = bpf_ntohl(tcp->seq);
	s->ack = bpf_ntohl(tcp->ack_seq);
	s->length = packet_length(&p, family) - p.length - tcp->doff * 4 + tcp->fin;
	s->flags = p.tcp_flags;
	s->tos = family == NP_IPV4 ? ((struct iphdr *)p.l3)->tos : bpf_ntohl(*(__be32 *)p.l3) >> 20;
	s->partial = np.direct_checksum
			     ? skb_ip_summed(skb) == SKB_CHECKSUM_PARTIAL
			     : checksum_is_partial(&p, (void *)(long)skb->data_end, family);
	return reset_flow(s, &p, hook, family);
}

/*
 * Cut the packet down to an IP header without options and a TCP header without options. The
 * latter stays where it is, as the device may have to complete the checksum there.
 */
static __always_inline int segment_cut(struct __sk_buff *skb, __u32 l2_len, const struct segment *s,
				       int family)
{
	__u32 header = ip_header_length(family);
	int rc = bpf_skb_change_tail(skb, l2_len + s->header + TCP_HEADER, 0)
			 ?: bpf_skb_pull_data(skb, l2_len + s->header + TCP_HEADER);

	if (rc || s->header == header)
		return rc;
	return bpf_skb_adjust_room(skb, (__s32)(header - s->header), BPF_ADJ_ROOM_MAC, 0);
}

/* Write what was cut down anew. */
static __always_inline int segment_write(struct __sk_buff *skb, __u32 l2_len,
					 const struct segment *s, __u32 seq, __u32 ack, __u8 flags,
					 int family)
{
	const struct tuple *t = &s->tuple;
	__u32 header = ip_header_length(family);
	__u64 before = packet_sum(skb, l2_len, header + TCP_HEADER);
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 *tcp = data + l2_len + header;
	__u64 sum = pseudo_sum(t, TCP_HEADER, IPPROTO_TCP);

	if ((void *)tcp + TCP_HEADER > end)
		return -1;
	if (family == NP_IPV4)
		write_ipv4((void *)tcp - header, t, s->tos & 0xFC, IPPROTO_TCP, TCP_HEADER);
	else
		write_ipv6((void *)tcp - header, t, s->tos & 0xFC, IPPROTO_TCP, TCP_HEADER);
	tcp[0] = t->ports;
	tcp[1] = bpf_htonl(seq);
	tcp[2] = bpf_htonl(ack);
	tcp[3] = bpf_htonl(TCP_HEADER / 4 << 28 | flags << 16);
	tcp[4] = s->partial ? sum_fold(sum)
			    : sum_update(0xFFFF, sum + tcp[0] + tcp[1] + tcp[2] + tcp[3]);
	/* Nothing unless CHECKSUM_COMPLETE. */
	bpf_csum_update(skb, sum_fold(packet_sum(skb, l2_len, header + TCP_HEADER) +
				      (__u16)~sum_fold(before)));
	return 0;
}

/* A RST of the sender in the packet's place; a copy, which meets this hook again. */
static __always_inline void tell_other_side(struct __sk_buff *skb, __u32 l2_len,
					    const struct segment *s, __u32 hook, int family)
{
	__u8 flags = TCP_RST | (s->flags & TCP_ACK);

	if (!segment_write(skb, l2_len, s, s->seq, s->ack, flags, family))
		bpf_clone_redirect(skb, skb->ifindex, hook == NP_HOOK_INGRESS ? BPF_F_INGRESS : 0);
}

/* The packet becomes the answer. */
static __always_inline int answer_segment(struct __sk_buff *skb, __u32 l2_len, struct segment *s,
					  int family)
{
	s->tuple = tuple_reverse(&s->tuple);
	if (s->flags & TCP_ACK)
		return segment_write(skb, l2_len, s, s->ack, 0, TCP_RST, family);
	return segment_write(skb, l2_len, s, 0, s->seq + s->length, TCP_RST | TCP_ACK, family);
}

/* A packet that reset_wanted(), read anew; what was read of it before holds no more. TC_ACT_... */
static __always_inline int reset(struct __sk_buff *skb, __u32 l2_len, __u32 hook, int family)
{
	struct segment s = {};

	if (l2_len > ETH_HLEN || !segment_read(skb, l2_len, &s, hook, family) ||
	    segment_cut(skb, l2_len, &s, family))
		return TC_ACT_SHOT;
	if (s.first)
		tell_other_side(skb, l2_len, &s, hook, family);
	if (answer_segment(skb, l2_len, &s, family) ||
	    (l2_len && !swap_macs((void *)(long)skb->data, (void *)(long)skb->data_end)))
		return TC_ACT_SHOT;
	count(hook, NP_REASON_RESET);
	if (hook == NP_HOOK_INGRESS)
		return answer_back(skb, l2_len);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

__noinline int tc_reset4(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return reset(skb, l2_len, hook, NP_IPV4);
}

__noinline int tc_reset6(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return reset(skb, l2_len, hook, NP_IPV6);
}

#endif
