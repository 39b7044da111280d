/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The shortcut of interfaces that are switched to redirect: a packet of a flow goes from where it
 * came in to the pod, or to the device, where it would leave, without the host's stack in between.
 * The stack's netfilter, and so a CNI's policy, does not see it: hence it is off by default.
 *
 * The rewrite that the egress hook would do is made here as well, as a pod's device skips that. So
 * it is for flows whose source is not translated, which need one rewrite a direction. SYN and
 * SYN-ACK go the long way, where the MSS is clamped for both devices, and the kernel finds the
 * neighbours; so does all that begins, ends early or is not plain.
 */
#ifndef NEARPATH_TC_REDIRECT_H
#define NEARPATH_TC_REDIRECT_H

#include "../datapath/flow_new.h"
#include "../datapath/iface.h"
#include "checksum.h"

/* A pod's device takes any frame; another one those that need no other header than Ethernet's. */
static __always_inline bool tc_may_leave(struct __sk_buff *skb, __u32 ifindex)
{
	struct np_iface *out = iface_find(ifindex);

	return out && out->lb != NP_LB_OFF && out->l2_len == ETH_HLEN && ifindex != skb->ifindex;
}

/* Bytes from the IP header on of the packet, or of what it will be cut into. */
static __always_inline __u32 redirect_length(struct __sk_buff *skb, const struct packet *p,
					     int family)
{
	void *end = (void *)(long)skb->data_end;
	const struct tcphdr *tcp = p->l4;

	if (!skb->gso_size)
		return packet_length(p, family);
	if (p->tuple.protocol != IPPROTO_TCP || (void *)(tcp + 1) > end)
		return skb->gso_size + p->length + sizeof(struct udphdr);
	return skb->gso_size + p->length + tcp->doff * 4;
}

#define np_ifindex(skb) ((skb)->ifindex)
#define np_may_leave	tc_may_leave
#define np_length	redirect_length
#define NP_FIB_NAME	4
#include "../datapath/fib.h"

/* Not a verdict: the packet is one for the long way. */
#define REDIRECT_NO (-2)

/* The packet's flow by a name of either hook, if it is one to be redirected. */
static __always_inline struct flow_hit redirect_flow(struct packet *p, struct tuple *scratch,
						     __u32 now, int family)
{
	struct flow_hit hit = flow_find(&p->tuple, NP_HASH_INGRESS, family, scratch);

	if (!hit.flow)
		hit = flow_find(&p->tuple, NP_HASH_EGRESS, family, scratch);
	if (hit.flow && (hit.flow->flags & (NP_FLOW_TRANSLATED | NP_FLOW_DEPARTED) ||
			 (p->tuple.protocol == IPPROTO_UDP && flow_expired(hit.flow, now))))
		hit.flow = NULL;
	return hit;
}

/* Out of the device: into the pod behind it, or on its wire. */
static __always_inline int redirect_out(__u32 ifindex)
{
	struct np_iface *out = iface_find(ifindex);

	return out && out->netns ? bpf_redirect_peer(ifindex, 0) : bpf_redirect(ifindex, 0);
}

static __always_inline int redirect(struct __sk_buff *skb, struct np_iface *iface, int family)
{
	void *end = (void *)(long)skb->data_end, *data = (void *)(long)skb->data;
	__u32 now = now32(), ifindex;
	struct tuple to, scratch;
	struct flow_hit hit;
	struct np_route *r;
	struct packet p;

	if (iface->l2_len != ETH_HLEN || packet_parse(&p, skb, ETH_HLEN, family) != PARSE_PORTS ||
	    !p.plain || p.fragment || p.tcp_flags & TCP_SYN || !SPORT(p.tuple.ports) ||
	    packet_ttl(&p, family) <= 1 || skb->pkt_type)
		return REDIRECT_NO;
	hit = redirect_flow(&p, &scratch, now, family);
	if (!hit.flow)
		return REDIRECT_NO;
	to = flow_translate(hit.flow, hit.name, &p.tuple, false, family);
	if (!flow_unchanged(&hit, &to, family))
		return REDIRECT_NO;
	r = fib_route(skb, &p, &hit, &to, &scratch, now, family);
	if (!r)
		return REDIRECT_NO;
	ifindex = r->ifindex;
	flow_track(&hit, &p, end, now, family);
	if (iface->flags & NP_IFACE_STATS)
		count(NP_HOOK_INGRESS, NP_REASON_TRANSLATED);
	rewrite_direct(skb, &p, &to, 1, family);
	if (data + ETH_HLEN <= end)
		__builtin_memcpy(data, r->mac, sizeof(r->mac));
	return redirect_out(ifindex);
}

/* BPF global functions: their stack is free again when the long way begins. */
__noinline int tc_redirect4(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? redirect(skb, iface, NP_IPV4) : REDIRECT_NO;
}

__noinline int tc_redirect6(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? redirect(skb, iface, NP_IPV6) : REDIRECT_NO;
}

/* TC_ACT_..., or REDIRECT_NO. Where ip_summed cannot be read, all go the long way. */
static __always_inline int tc_redirect(struct __sk_buff *skb, struct np_iface *iface, int family)
{
	if (!np.direct_checksum || np.handover || !(iface->flags & NP_IFACE_REDIRECT))
		return REDIRECT_NO;
	return family == NP_IPV4 ? tc_redirect4(skb, iface) : tc_redirect6(skb, iface);
}

#endif
