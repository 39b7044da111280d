/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The fast path of tc: see datapath/fast.h. */
#ifndef NEARPATH_TC_FAST_H
#define NEARPATH_TC_FAST_H

#include "../datapath/connect.h"
#include "../datapath/fast.h"
#include "checksum.h"

static __always_inline bool fast_is_asked(void *l3, int family)
{
	return connect_is_asked(fast_src(l3, family), fast_dst(l3, family), *fast_ports(l3, family),
				family);
}

/* A SYN of which connect_known() is to find the flow, if it has one. */
static __always_inline bool fast_is_new(void *l3, __u32 hook, bool fresh, int family)
{
	return hook == NP_HOOK_INGRESS && !fresh && fast_is_tcp(l3, family) &&
	       fast_opens(l3, family) && fast_is_asked(l3, family);
}

/* No flow knows the packet. fresh: its flow is gone again, or not yet there. */
static __always_inline enum todo fast_miss(struct __sk_buff *skb, void *l3,
					   const struct np_iface *iface, __u32 hook, bool fresh,
					   int family)
{
	bool opens = fast_opens(l3, family);

	if (hook == NP_HOOK_EGRESS) {
		if (skb_is_tracked(skb))
			conntrack_note();
		if (!fast_is_tcp(l3, family) && !(iface->flags & NP_IFACE_CONNTRACK))
			opens = false;
		opens = opens && !address_is_strange(fast_src(l3, family), family);
	} else {
		/* Of a SYN fast_is_new() has asked. */
		opens = opens && (fast_is_tcp(l3, family) ? fresh : fast_is_asked(l3, family));
	}
	if (opens)
		return fast_is_tcp(l3, family) ? TODO_OPEN_CLAMP : TODO_OPEN;
	return fast_flags(l3, family) & TCP_SYN ? TODO_CLAMP : TODO_NOTHING;
}

/* What the hook makes of a packet: one address, of IPv4 one word, and the ports. */
struct fast_change {
	__u64 addr[2];
	__u32 ports;
};

static __always_inline void fast_read(struct fast_change *to, struct np_flow *f, bool first,
				      __u32 hook, void *l3, int family)
{
	enum np_place place;

	to->ports = *fast_ports(l3, family);
	if (hook == NP_HOOK_INGRESS) {
		place = first ? NP_BACKEND : NP_CLIENT;
		if (first)
			to->ports = PORTS(f->port[NP_SNAT], f->port[NP_BACKEND]);
	} else {
		place = first ? NP_SNAT : NP_FRONTEND;
		if (!first)
			to->ports = PORTS(f->port[NP_FRONTEND], f->port[NP_CLIENT]);
	}
	fast_addr_read(to->addr, flow_addr(f, place, family), family);
}

static __always_inline void fast_write(struct __sk_buff *skb, void *l3,
				       const struct fast_change *to, __u32 hook, int family)
{
	void *addr = hook == NP_HOOK_INGRESS ? fast_dst(l3, family) : fast_src(l3, family);
	__u32 summed = skb_ip_summed(skb), *at = fast_ports(l3, family);
	enum checksum checksum = summed == SKB_CHECKSUM_PARTIAL ? CHECKSUM_PSEUDO : CHECKSUM_WHOLE;
	__u64 diff = fast_addr_write(addr, to->addr, family), ports = sum_diff(*at, to->ports);
	__sum16 *check = fast_check(l3, family);
	bool tcp = fast_is_tcp(l3, family);

	if (family == NP_IPV4)
		((struct iphdr *)l3)->check = sum_update(((struct iphdr *)l3)->check, diff);
	*at = to->ports;
	if (summed == SKB_CHECKSUM_COMPLETE)
		bpf_csum_update(skb, sum_fold(sum_bytes(tcp || *check, diff, ports, family)));
	*check = sum_transport(*check, checksum, tcp ? IPPROTO_TCP : IPPROTO_UDP, diff, ports);
}

/* Is it one that tc_redirect() leaves alone at first, and the fast path takes? */
static __always_inline bool fast_is_syn(struct __sk_buff *skb, const struct np_iface *iface,
					int family)
{
	void *l3 = (void *)(long)skb->data + iface->l2_len;

	return fast_is_plain(l3, (void *)(long)skb->data_end, family) &&
	       fast_flags(l3, family) & TCP_SYN;
}

/* What is left to be done; TODO_HANDLE if that is not known here. fresh: see fast_is_odd(). */
static __always_inline enum todo tc_fast(struct __sk_buff *skb, struct np_iface *iface, __u32 hook,
					 bool fresh, int family)
{
	void *l3 = (void *)(long)skb->data + iface->l2_len;
	struct fast_change to;
	struct fast_hit hit;

	if (!np.direct_checksum || np.handover || iface->flags & NP_IFACE_STATS ||
	    !fast_is_plain(l3, (void *)(long)skb->data_end, family) ||
	    (hook == NP_HOOK_INGRESS && iface->flags & NP_IFACE_REDIRECT &&
	     !(fast_flags(l3, family) & TCP_SYN)))
		return TODO_HANDLE;
	if (fast_is_new(l3, hook, fresh, family))
		return TODO_OPEN_CLAMP;
	switch (fast_find(&hit, fresh, hook_space(hook), l3, family)) {
	case FAST_NONE:
		return fast_miss(skb, l3, iface, hook, fresh, family);
	case FAST_FLOW:
		break;
	default:
		return TODO_HANDLE;
	}
	barrier();
	fast_read(&to, hit.flow, fast_first(&hit), hook, l3, family);
	barrier();
	if (flow_seq_after(hit.flow,
			   to.ports + to.addr[0] + (family == NP_IPV6 ? to.addr[1] : 0)) != hit.seq)
		return TODO_HANDLE;
	fast_write(skb, l3, &to, hook, family);
	barrier();
	fast_track(&hit, l3, FLOW_BY_STACK, family);
	return fast_flags(l3, family) & TCP_SYN ? TODO_CLAMP : TODO_NOTHING;
}

#endif
