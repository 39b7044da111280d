/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The shortcut of interfaces that are switched to redirect: a packet of a flow goes from where it
 * came in to the pod, or to the device, where it would leave, without the host's stack in between.
 * The stack's netfilter, and so a CNI's policy, does not see it: hence it is off by default.
 *
 * The rewrite that the egress hook would do is made here as well, as a pod's device skips that. So
 * it is for flows whose source is not translated, which need one rewrite a direction; and for TCP
 * between devices that are both switched so. A SYN that opens a connection goes the long way. So
 * does, where conntrack is at work, all else that it has to see: the handshake to its end, and
 * every FIN and RST; what the kernel translates; and what a pod sends from an address that is not
 * routed to it.
 */
#ifndef NEARPATH_TC_REDIRECT_H
#define NEARPATH_TC_REDIRECT_H

#include "../datapath/connect.h"
#include "../datapath/iface.h"
#include "../datapath/mss.h"
#include "checksum.h"

static __always_inline bool tc_may_leave(struct __sk_buff *skb, __u32 ifindex)
{
	struct np_iface *out = iface_find(ifindex);

	return out && out->lb != NP_LB_OFF && out->l2_len == ETH_HLEN && ifindex != skb->ifindex &&
	       out->flags & NP_IFACE_REDIRECT;
}

/* A global function for its stack. What conntrack does may differ by ports. */
__noinline int tc_shares_routes(__u32 now)
{
	return !conntrack_sees() && routes_shared(now);
}

/* Does conntrack translate what goes client -> backend, as a CNI's masquerade? A global function.
 */
__noinline int tc_is_translated(struct __sk_buff *skb, struct tuple *to, __u32 family)
{
	struct bpf_sock_tuple t = {};
	__u32 size;

	if (!to || !conntrack_sees())
		return false;
	if (!np.conntrack) /* it cannot be asked */
		return true;
	size = family == NP_IPV4 ? sock_tuple(&t, &to->src, &to->dst, SPORT(to->ports),
					      DPORT(to->ports), NP_IPV4)
				 : sock_tuple(&t, &to->src, &to->dst, SPORT(to->ports),
					      DPORT(to->ports), NP_IPV6);
	return conntrack_ask(skb, &t, size, to->protocol) & CT_NAT;
}

/*
 * Is the address routed to the device the packet came in by? The stack's rp_filter, which a
 * redirected packet does not meet. A global function for its stack.
 */
__noinline int tc_is_spoofed(struct __sk_buff *skb, union np_addr *src, __u32 family)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex};
	int rc;

	if (!src)
		return true;
	if (family == NP_IPV4) {
		fib.family = FIB_AF_INET;
		fib.ipv4_dst = src->v4;
	} else {
		fib.family = FIB_AF_INET6;
		addr_write(fib.ipv6_dst, src, NP_IPV6);
	}
	rc = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	return (rc && rc != BPF_FIB_LKUP_RET_NO_NEIGH) || fib.ifindex != skb->ifindex;
}

/* Bytes from the IP header on of the TCP packet, or of what it will be cut into. */
static __always_inline __u32 redirect_length(struct __sk_buff *skb, const struct packet *p,
					     int family)
{
	void *end = (void *)(long)skb->data_end;
	const struct tcphdr *tcp = p->l4;

	if (!skb->gso_size || (void *)(tcp + 1) > end)
		return packet_length(p, family);
	return skb->gso_size + p->length + tcp->doff * 4;
}

static __always_inline __u32 redirect_source(const union np_addr *src, int family)
{
	return family == NP_IPV4 ? src->v4 : np_address_place(np.hash_key, family, src).word;
}

/* Which of the reasons for the long way are a flow's own: asked as often as the FIB. */
static __always_inline bool tc_may_go(struct __sk_buff *skb, const struct packet *p,
				      struct np_route *r, struct tuple *to, __u32 name, int family)
{
	struct np_iface *in = iface_find(skb->ifindex);

	if (name == NP_NAME_FORWARD && tc_is_translated(skb, to, family))
		return false;
	if (!in || !in->netns) /* what comes from outside may come any way */
		return in;
	r->src = (union np_addr){};
	addr_read(&r->src, p->tuple.src.word, family);
	return !tc_is_spoofed(skb, &r->src, family);
}

#define np_ifindex(skb)	 ((skb)->ifindex)
#define np_may_leave	 tc_may_leave
#define np_may_go	 tc_may_go
#define np_length	 redirect_length
#define NP_FIB_KIND	 NP_ROUTE_REDIRECT
#define np_routes_shared tc_shares_routes
/* The source that tc_may_go() judged, which an answer has no more when it leaves. */
#define np_route_shared_by(p, family) redirect_source(&(p)->tuple.src, family)
/* All are TCP. The source that was judged is another one in the next life of the record. */
#define np_route_more(hit, protocol) ((hit)->seq >> 1 & 0xFF)
#include "../datapath/fib.h"

/* Not a verdict: the packet is one for the long way. */
#define REDIRECT_NO (-2)

/*
 * The packet's flow by a name of either hook, if it is one to be redirected. A SYN-ACK has passed
 * the ingress hook already, and what its names make of it may be like another flow's.
 */
static __always_inline struct flow_hit redirect_flow(struct packet *p, struct tuple *scratch,
						     bool syn, int family)
{
	struct flow_hit hit = {};

	if (!syn)
		hit = flow_find(&p->tuple, NP_HASH_INGRESS, family, scratch);
	if (!hit.flow)
		hit = flow_find(&p->tuple, NP_HASH_EGRESS, family, scratch);
	if (hit.flow && (hit.flow->flags & (NP_FLOW_TRANSLATED | NP_FLOW_DEPARTED) ||
			 ((p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ||
			   hit.flow->state != NP_FLOW_TCP_ESTABLISHED) &&
			  conntrack_sees())))
		hit.flow = NULL;
	return hit;
}

/* Out of the device: into the pod behind it, or on its wire. */
static __always_inline int redirect_out(__u32 ifindex)
{
	struct np_iface *out = iface_find(ifindex);

	return out && out->netns ? bpf_redirect_peer(ifindex, 0) : bpf_redirect(ifindex, 0);
}

/* A SYN that goes out: as the egress hook of the device would clamp it. */
static __noinline int redirect_clamp(struct __sk_buff *skb, void *l4, __u32 ifindex, __u32 mtu,
				     __u32 family)
{
	struct np_iface *out = iface_find(ifindex);
	__u32 headers = family == NP_IPV4 ? 40 : 60, limit;

	if (!out)
		return 0;
	limit = family == NP_IPV4 ? out->mss4 : out->mss6;
	if (limit && out->flags & NP_IFACE_MSS_AUTO && mtu > headers && mtu - headers < limit)
		limit = mtu - headers;
	if (limit && mss_lower(l4, (void *)(long)skb->data_end, limit, skb_checksum(skb)))
		count(NP_HOOK_EGRESS, NP_REASON_MSS_CLAMPED);
	return 0;
}

static __always_inline bool redirect_is_meant(__u8 flags, bool syn)
{
	return syn ? (flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) : !(flags & TCP_SYN);
}

static __always_inline int redirect(struct __sk_buff *skb, struct np_iface *iface, bool syn,
				    int family)
{
	struct tuple to, scratch;
	struct flow_hit hit;
	struct np_route *r;
	struct packet p;
	__u32 ifindex;

	if (iface->l2_len != ETH_HLEN || skb->vlan_present || skb->pkt_type ||
	    packet_parse(&p, skb, ETH_HLEN, family) != PARSE_PORTS ||
	    p.tuple.protocol != IPPROTO_TCP || !redirect_is_meant(p.tcp_flags, syn) || !p.plain ||
	    p.fragment || packet_ttl(&p, family) <= 1)
		return REDIRECT_NO;
	hit = redirect_flow(&p, &scratch, syn, family);
	if (!hit.flow)
		return REDIRECT_NO;
	to = flow_translate(hit.flow, hit.name, &p.tuple, false, family);
	if (!flow_unchanged(&hit, &to, family))
		return REDIRECT_NO;
	r = fib_route(skb, &p, &hit, &to, &scratch, now32(), family);
	if (!r)
		return REDIRECT_NO;
	ifindex = r->ifindex;
	flow_track(&hit, &p, (void *)(long)skb->data_end, now32(), 0, family);
	if (iface->flags & NP_IFACE_STATS)
		count(NP_HOOK_INGRESS, NP_REASON_TRANSLATED);
	rewrite_direct(skb, &p, &to, 1, family);
	__builtin_memcpy(p.l3 - ETH_HLEN, r->mac, sizeof(r->mac));
	if (syn)
		redirect_clamp(skb, p.l4, ifindex, r->mtu, family);
	return redirect_out(ifindex);
}

/*
 * BPF global functions: their stack is free again when the long way begins. Linux before 6.8
 * verifies them even where nothing calls them, hence the check here as well, without which 6.1
 * refuses all.
 */
__noinline int tc_redirect4(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface && np.direct_checksum ? redirect(skb, iface, false, NP_IPV4) : REDIRECT_NO;
}

__noinline int tc_redirect6(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface && np.direct_checksum ? redirect(skb, iface, false, NP_IPV6) : REDIRECT_NO;
}

__noinline int tc_redirect_syn4(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface && np.direct_checksum ? redirect(skb, iface, true, NP_IPV4) : REDIRECT_NO;
}

__noinline int tc_redirect_syn6(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface && np.direct_checksum ? redirect(skb, iface, true, NP_IPV6) : REDIRECT_NO;
}

/*
 * TC_ACT_..., or REDIRECT_NO. syn: it is a SYN-ACK, clamped as it came in; else all but SYNs. Where
 * ip_summed cannot be read, all go the long way.
 */
static __always_inline int tc_redirect(struct __sk_buff *skb, struct np_iface *iface, bool syn,
				       int family)
{
	if (!np.direct_checksum || np.handover || !(iface->flags & NP_IFACE_REDIRECT))
		return REDIRECT_NO;
	if (syn)
		return family == NP_IPV4 ? tc_redirect_syn4(skb, iface)
					 : tc_redirect_syn6(skb, iface);
	return family == NP_IPV4 ? tc_redirect4(skb, iface) : tc_redirect6(skb, iface);
}

#endif
