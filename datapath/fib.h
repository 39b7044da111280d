/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where a packet of a flow goes next, asked of the kernel's FIB and remembered (maps/route.h). The
 * includer defines np_ctx; np_ifindex(ctx), the device the packet came in by; np_may_leave(ctx,
 * ifindex), whether it may go out by that one; np_length(ctx, p, family), the bytes from the IP
 * header on that an MTU limits; np_may_go(ctx, p, r, to, name, family), whether the flow's packets
 * may at all, where r->src may be written; NP_FIB_KIND, an enum np_route_kind;
 * np_routes_shared(now), whether flows between the same addresses go the same way;
 * np_route_shared_by(p, family), what else they have in common then; and
 * np_route_more(hit, protocol), 8 bits by which an entry differs that is one flow's.
 */
#ifndef NEARPATH_DATAPATH_FIB_H
#define NEARPATH_DATAPATH_FIB_H

#include "../maps/maps.bpf.h"
#include "flow.h"

static __always_inline __u32 route_hash(const union np_addr *src, const union np_addr *dst,
					int family)
{
	return np_filter_place(np.hash_key, family, src, dst, 0).word;
}

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
		       __u32 family)
{
	struct bpf_fib_lookup fib = {};
	int rc;

	if (!to || !r)
		return -1;
	fib.family = family == NP_IPV4 ? FIB_AF_INET : FIB_AF_INET6;
	fib.ifindex = np_ifindex(ctx);
	fib.l4_protocol = to->protocol;
	fib.sport = SPORT(to->ports);
	fib.dport = DPORT(to->ports);
	fib.tot_len = r->mtu;
	if (family == NP_IPV4) {
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

/* This CPU's place in the cache of that number. */
static __always_inline struct np_route *route_place(__u32 number)
{
	__u32 place = bpf_get_smp_processor_id() * NP_ROUTES + (number & (NP_ROUTES - 1));

	return bpf_map_lookup_elem(&routes, &place);
}

/* Is it that of such packets, and fresh? */
static __always_inline bool route_is(const struct np_route *r, const union np_addr *src,
				     const union np_addr *dst, __u32 ports, __u32 in, __u32 what,
				     __u32 now, int family)
{
	return r->what == what && r->ports == ports && r->in == in &&
	       addr_equal(&r->dst, dst, family) && addr_equal(&r->src, src, family) &&
	       r->until - now - 1 < np.route_lifetime;
}

/*
 * The way of a packet of a flow that is to have this tuple, from the cache or else from the kernel;
 * NULL: none for this hook.
 */
static __always_inline struct np_route *fib_route(np_ctx *ctx, const struct packet *p,
						  const struct flow_hit *hit,
						  const struct tuple *to, struct tuple *scratch,
						  __u32 now, int family)
{
	bool shared = np_routes_shared(now);
	__u32 what =
		NP_ROUTE_WHAT(NP_FIB_KIND, family, shared ? 0 : np_route_more(hit, to->protocol));
	__u32 ports = shared ? np_route_shared_by(p, family) : to->ports;
	struct np_route *r =
		route_place(shared ? route_hash(&to->src, &to->dst, family) + NP_FIB_KIND
				   : hit->number << 1 | hit->name >> 1);

	if (!r)
		return NULL;
	if (route_is(r, &to->src, &to->dst, ports, np_ifindex(ctx), what, now, family))
		return np_length(ctx, p, family) <= r->mtu ? r : NULL;
	r->what = 0; /* not to be found if there is no way */
	*scratch = tuple_whole(to, family);
	if (!np_may_go(ctx, p, r, scratch, hit->name, family))
		return NULL;
	r->mtu = np_length(ctx, p, family);
	if (fib_ask(ctx, scratch, r, packet_traffic(p, family), family))
		return NULL;
	r->src = scratch->src;
	r->dst = scratch->dst;
	r->ports = ports;
	r->in = np_ifindex(ctx);
	r->until = now32() + np.route_lifetime;
	r->what = what;
	return r;
}

#endif
