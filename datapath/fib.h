/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where a packet of a flow goes next, asked of the kernel's FIB and remembered (maps/route.h). The
 * includer defines np_ctx; np_ifindex(ctx), the device the packet came in by; np_may_leave(ctx,
 * ifindex), whether it may go out by that one; np_length(ctx, p, family), the bytes from the IP
 * header on that an MTU limits; np_may_go(ctx, p, r, to, name, family), whether the flow's packets
 * may at all, where r->to may be written; and NP_FIB_NAME, which tells its hook's entries from
 * others' (bits above enum np_name).
 */
#ifndef NEARPATH_DATAPATH_FIB_H
#define NEARPATH_DATAPATH_FIB_H

#include "../maps/maps.bpf.h"
#include "flow.h"

/* Above enum np_name in np_route.name, beside NP_FIB_NAME: MTUs of addresses, no flow's ways. */
#define FIB_NAME_MTU 8

/* How many routers it may still pass. */
static __always_inline __u8 packet_ttl(const struct packet *p, int family)
{
	return family == NP_IPV4 ? ((struct iphdr *)p->l3)->ttl
				 : ((struct ipv6hdr *)p->l3)->hop_limit;
}

/* TOS, or the IPv6 flow information. */
static __always_inline __u32 packet_traffic(const struct packet *p, int family)
{
	if (family == NP_IPV4)
		return ((struct iphdr *)p->l3)->tos;
	return *(__be32 *)p->l3 & bpf_htonl(0x0FFFFFFF);
}

/*
 * Ask the kernel for the way of a packet of this tuple and fill in ifindex, mtu and mac. traffic:
 * see packet_traffic(). Not 0: there is none, or none that the hook can go. A BPF global function
 * for its stack and since it is rare.
 */
__noinline int fib_ask(np_ctx *ctx, struct tuple *to, struct np_route *r, __u32 traffic,
		       __u32 length)
{
	struct bpf_fib_lookup fib = {};
	int rc;

	if (!to || !r)
		return -1;
	fib.family = r->family == NP_IPV4 ? FIB_AF_INET : FIB_AF_INET6;
	fib.ifindex = np_ifindex(ctx);
	fib.l4_protocol = to->protocol;
	fib.sport = SPORT(to->ports);
	fib.dport = DPORT(to->ports);
	fib.tot_len = length;
	if (r->family == NP_IPV4) {
		fib.tos = traffic;
		fib.ipv4_src = to->src.v4;
		fib.ipv4_dst = to->dst.v4;
	} else {
		fib.flowinfo = traffic;
		addr_write(fib.ipv6_src, &to->src, NP_IPV6);
		addr_write(fib.ipv6_dst, &to->dst, NP_IPV6);
	}
	rc = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (rc || !np_may_leave(ctx, fib.ifindex))
		return -1;
	r->ifindex = fib.ifindex;
	r->mtu = fib.mtu_result;
	__builtin_memcpy(r->mac, fib.dmac, 6);
	__builtin_memcpy(r->mac + 6, fib.smac, 6);
	return 0;
}

/* This CPU's place in the cache for a flow and direction. */
static __always_inline struct np_route *fib_place(const struct flow_hit *hit)
{
	__u32 place = hit->number << 1 | hit->name >> 1;

	place = bpf_get_smp_processor_id() * NP_ROUTES + (place & (NP_ROUTES - 1));
	return bpf_map_lookup_elem(&routes, &place);
}

/*
 * The way of a packet of a flow that is to have this tuple, from the cache or else from the kernel;
 * NULL: none for this hook.
 */
static __always_inline struct np_route *fib_route(np_ctx *ctx, const struct packet *p,
						  const struct flow_hit *hit,
						  const struct tuple *to, struct tuple *scratch,
						  __u32 now, __u32 family)
{
	struct np_route *r = fib_place(hit);

	if (!r)
		return NULL;
	if (r->flow == hit->number && r->seq == hit->seq && r->name == (hit->name | NP_FIB_NAME) &&
	    r->family == family && r->in == np_ifindex(ctx) &&
	    r->until - now - 1 < np.route_lifetime)
		return np_length(ctx, p, family) <= r->mtu ? r : NULL;
	r->until = now; /* not to be found if there is no way */
	r->family = family;
	*scratch = tuple_whole(to, family);
	if (!np_may_go(ctx, p, r, scratch, hit->name, family))
		return NULL;
	if (fib_ask(ctx, scratch, r, packet_traffic(p, family), np_length(ctx, p, family)))
		return NULL;
	r->flow = hit->number;
	r->seq = hit->seq;
	r->name = hit->name | NP_FIB_NAME;
	r->in = np_ifindex(ctx);
	r->until = now + np.route_lifetime;
	return r;
}

#endif
