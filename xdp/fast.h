/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The fast path of XDP: see datapath/fast.h. Its includer has datapath/fib.h for XDP. */
#ifndef NEARPATH_XDP_FAST_H
#define NEARPATH_XDP_FAST_H

#include "../datapath/connect.h"
#include "../datapath/fast.h"

/* Not a verdict: left to handle(). */
#define FAST_RARE  (-1)
#define FAST_OPENS (-2) /* nor is this: a SYN for connect_known() */

/* Both addresses, of IPv4 one word each, and the ports. */
struct fast_change {
	__u64 src[2];
	__u64 dst[2];
	__u32 ports;
};

static __always_inline void fast_read(struct fast_change *to, struct np_flow *f, bool first,
				      int family)
{
	enum np_place src = first ? NP_SNAT : NP_FRONTEND, dst = first ? NP_BACKEND : NP_CLIENT;

	to->ports = first ? PORTS(f->port[NP_SNAT], f->port[NP_BACKEND])
			  : PORTS(f->port[NP_FRONTEND], f->port[NP_CLIENT]);
	fast_addr_read(to->src, flow_addr(f, src, family), family);
	fast_addr_read(to->dst, flow_addr(f, dst, family), family);
}

/*
 * From the cache alone: the way of all between the addresses that the packet is to have. NULL: it
 * is not there. The record is read as it is: fast_read() reads the same once more, and finds out if
 * it has changed.
 */
static __always_inline struct np_route *fast_route(struct xdp_md *ctx, struct np_flow *f,
						   bool first, __u32 length, __u32 now, int family)
{
	union np_addr *src =
		(void *)(first ? flow_addr(f, NP_SNAT, family) : flow_addr(f, NP_FRONTEND, family));
	union np_addr *dst = (void *)(first ? flow_addr(f, NP_BACKEND, family)
					    : flow_addr(f, NP_CLIENT, family));
	struct np_route *r;

	if (!np_routes_shared(now))
		return NULL;
	r = route_place(route_hash(src, dst, family) + NP_FIB_KIND);
	barrier();
	if (!r || length > r->mtu ||
	    !route_is(r, src, dst, 0, ctx->ingress_ifindex, NP_ROUTE_WHAT(NP_FIB_KIND, family, 0),
		      now, family))
		return NULL;
	return r;
}

static __always_inline void fast_write(void *l3, const struct fast_change *to, int family)
{
	__u32 *at = fast_ports(l3, family);
	__u64 ports = sum_diff(*at, to->ports), diff;
	__sum16 *check = fast_check(l3, family);
	struct ipv6hdr *six = l3;
	struct iphdr *four = l3;

	diff = fast_addr_write(fast_src(l3, family), to->src, family) +
	       fast_addr_write(fast_dst(l3, family), to->dst, family);
	*at = to->ports;
	*check = sum_transport(*check, CHECKSUM_WHOLE,
			       fast_is_tcp(l3, family) ? IPPROTO_TCP : IPPROTO_UDP, diff, ports);
	if (family == NP_IPV4) {
		four->ttl--;
		four->check = sum_update(four->check, diff + sum_diff(bpf_htons(0x0100), 0));
	} else {
		six->hop_limit--;
	}
}

static __always_inline union np_addr addr_of(const union np_addr *from, int family)
{
	union np_addr addr;

	addr_read(&addr, from->word, family);
	return addr;
}

/* Is it left to tc by what its headers tell? */
static __always_inline bool fast_stays(struct xdp_md *ctx, void *l3, int family)
{
	const struct packet p = {
		.l3 = l3,
		.l4 = fast_ports(l3, family),
		.check = fast_check(l3, family),
		.tuple = {.src = addr_of(fast_src(l3, family), family),
			  .dst = addr_of(fast_dst(l3, family), family),
			  .protocol = fast_is_tcp(l3, family) ? IPPROTO_TCP : IPPROTO_UDP},
		.length = fast_header(family),
	};

	return packet_ttl(&p, family) <= 1 ||
	       checksum_is_partial(&p, (void *)(long)ctx->data_end, family);
}

/* The verdict, or FAST_RARE or FAST_OPENS. */
static __always_inline int xdp_fast(struct xdp_md *ctx, const struct np_iface *iface, int family)
{
	void *l3 = (void *)(long)ctx->data + ETH_HLEN;
	struct fast_change to;
	struct fast_hit hit;
	struct np_route *r;
	__u32 flags;

	if (np.handover || iface->flags & NP_IFACE_STATS ||
	    !fast_is_plain(l3, (void *)(long)ctx->data_end, family))
		return FAST_RARE;
	if (fast_is_tcp(l3, family) && fast_opens(l3, family) &&
	    !connect_is_needless(fast_src(l3, family), fast_dst(l3, family), family))
		return FAST_OPENS;
	switch (fast_find(&hit, false, NP_HASH_INGRESS, l3, family)) {
	case FAST_NONE: /* of a SYN that is asked for above */
		return !fast_is_tcp(l3, family) &&
				       !connect_is_needless(fast_src(l3, family),
							    fast_dst(l3, family), family)
			       ? FAST_RARE
			       : XDP_PASS;
	case FAST_FLOW:
		break;
	default:
		return FAST_RARE;
	}
	flags = hit.flow->flags;
	if ((flags & (NP_FLOW_REMOTE | NP_FLOW_STACK)) != NP_FLOW_REMOTE)
		return flow_seq_after(hit.flow, flags) == hit.seq ? XDP_PASS : FAST_RARE;
	if (fast_stays(ctx, l3, family))
		return XDP_PASS;
	if (fast_flags(l3, family) & TCP_SYN)
		return FAST_RARE;
	barrier();
	r = fast_route(ctx, hit.flow, fast_first(&hit), l3_length(l3, family), now32(), family);
	barrier();
	if (!r)
		return FAST_RARE;
	fast_read(&to, hit.flow, fast_first(&hit), family);
	barrier();
	if (flow_seq_after(hit.flow, to.ports + to.src[0] + to.dst[0] +
					     (family == NP_IPV6 ? to.src[1] + to.dst[1] : 0)) !=
	    hit.seq)
		return FAST_RARE;
	fast_write(l3, &to, family);
	__builtin_memcpy(l3 - ETH_HLEN, r->mac, sizeof(r->mac));
	barrier();
	fast_track(&hit, l3, 0, family);
	return r->ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(r->ifindex, 0);
}

#endif
