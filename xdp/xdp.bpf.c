/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * XDP on uplinks: the shortcut for service traffic that leaves through an uplink again (a NodePort
 * or external address with a backend on another node) and for its replies. Both rewrites, TTL,
 * FIB lookup, then out. Everything else is passed untouched to tc, which would do the same in two
 * steps: a flow made here works there, and the other way round.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define np_ctx	     struct xdp_md
#define np_ct_lookup bpf_xdp_ct_lookup

#include "../datapath/connect.h"
#include "../datapath/iface.h"
#include "../datapath/mss.h"
#include "../datapath/rewrite.h"

struct ethernet {
	__u8 dst[6];
	__u8 src[6];
	__be16 protocol;
} __attribute__((packed));

/* What the fast path leaves to be done; it returns for the same reason as in tc.bpf.c. */
enum todo {
	TODO_PASS,
	TODO_OPEN,   /* opens a conversation; a flow of it was not found or not looked for */
	TODO_SEND,   /* rewritten, struct out is set */
	TODO_CLAMP,  /* the same, and it is a SYN */
	TODO_BEFORE, /* a flow of the tables of before, as far as these can tell */
};

/* Where a packet goes. */
struct out {
	__u32 ifindex;
	__u32 mtu; /* of the route */
};

/*
 * May a packet leave by this device from here? Back where it came from; else where XDP is too, so
 * that what comes back goes the same way: conntrack sees both sides of a connection or neither, and
 * takes none for INVALID. From native XDP only where that is native, as other drivers drop such
 * frames silently.
 */
static __always_inline bool may_leave(struct xdp_md *ctx, __u32 ifindex)
{
	struct np_iface *in = iface_find(ctx->ingress_ifindex), *out;

	if (ifindex == ctx->ingress_ifindex)
		return true;
	out = iface_find(ifindex);
	if (!out || !(out->flags & NP_IFACE_XDP))
		return false;
	return out->flags & NP_IFACE_XDP_NATIVE || (in && !(in->flags & NP_IFACE_XDP_NATIVE));
}

#define np_ifindex(ctx)			       ((ctx)->ingress_ifindex)
#define np_may_leave			       may_leave
#define np_length(ctx, p, family)	       packet_length(p, family)
#define np_may_go(ctx, p, r, to, name, family) true
#define NP_FIB_KIND			       NP_ROUTE_XDP
#define np_routes_shared		       routes_shared
#define np_route_shared_by(p, family)	       0
#define np_route_more(hit, protocol)	       (protocol)
#include "../datapath/fib.h"
#include "fast.h"

/* A packet of a flow to or from a backend on another node: rewrite it and set its way. */
static __always_inline int forward(struct xdp_md *ctx, struct packet *p, const struct flow_hit *hit,
				   struct out *out, struct tuple *scratch, int family)
{
	struct ethernet *eth = p->l3 - sizeof(*eth);
	__u32 now = now32();
	struct np_route *r;
	struct tuple to;

	/* What is to be reset is answered by tc. */
	if ((hit->flow->flags & (NP_FLOW_REMOTE | NP_FLOW_DEPARTED | NP_FLOW_STACK)) !=
		    NP_FLOW_REMOTE ||
	    !p->plain || p->fragment || packet_ttl(p, family) <= 1 ||
	    checksum_is_partial(p, (void *)(long)ctx->data_end, family))
		return TODO_PASS;
	to = flow_translate(hit->flow, hit->name, &p->tuple, true, family);
	if (!flow_unchanged(hit, &to, family))
		return TODO_PASS;
	r = fib_route(ctx, p, hit, &to, scratch, now, family);
	if (!r) {
		count(NP_HOOK_XDP, NP_REASON_XDP_NO_ROUTE);
		return TODO_PASS;
	}
	flow_track(hit, p, (void *)(long)ctx->data_end, now, 0, family);
	rewrite(p, &to, CHECKSUM_WHOLE, (void *)(long)ctx->data_end, 1, family);
	__builtin_memcpy(eth, r->mac, sizeof(r->mac));
	out->ifindex = r->ifindex;
	out->mtu = r->mtu;
	return p->tcp_flags & TCP_SYN ? TODO_CLAMP : TODO_SEND;
}

static __always_inline int handle(struct xdp_md *ctx, struct out *out, int family)
{
	struct packet p;
	struct flow_hit hit;
	struct tuple scratch;
	bool opens;

	if (!out || packet_parse(&p, ctx, ETH_HLEN, family) != PARSE_PORTS)
		return TODO_PASS;
	opens = packet_opens(&p);
	hit = flow_find(&p.tuple, NP_HASH_INGRESS, family, &scratch);
	if (!hit.flow && before_knows(&p.tuple, NP_HASH_INGRESS, family))
		return TODO_BEFORE;
	if (hit.flow && opens &&
	    flow_superseded(hit.flow, hit.name, p.tuple.protocol, now32(), family)) {
		flow_supersede(hit.flow, hit.seq);
		hit.flow = NULL;
	}
	if (hit.flow)
		return forward(ctx, &p, &hit, out, &scratch, family);
	return !opens || p.fragment || connect_is_needless(&p.tuple.src, &p.tuple.dst, family)
		       ? TODO_PASS
		       : TODO_OPEN;
}

/* BPF global functions: their stack is free again when a flow is made. */
__noinline int xdp_handle4(struct xdp_md *ctx, struct out *out)
{
	return handle(ctx, out, NP_IPV4);
}

__noinline int xdp_handle6(struct xdp_md *ctx, struct out *out)
{
	return handle(ctx, out, NP_IPV6);
}

static __always_inline int open(struct xdp_md *ctx, struct np_iface *iface, int family)
{
	struct flow_request r;

	if (!connect_request(ctx, ETH_HLEN, &r, family))
		return CONNECT_PASS;
	r.hook = NP_HOOK_XDP;
	return connect_packet(ctx, &r, iface, family);
}

__noinline int xdp_open4(struct xdp_md *ctx, struct np_iface *iface)
{
	return iface ? open(ctx, iface, NP_IPV4) : CONNECT_PASS;
}

__noinline int xdp_open6(struct xdp_md *ctx, struct np_iface *iface)
{
	return iface ? open(ctx, iface, NP_IPV6) : CONNECT_PASS;
}

static __always_inline int clamp(struct xdp_md *ctx, __u32 limit, int family)
{
	struct packet p = {};

	if (packet_parse(&p, ctx, ETH_HLEN, family) == PARSE_PORTS &&
	    p.tuple.protocol == IPPROTO_TCP &&
	    mss_lower(p.l4, (void *)(long)ctx->data_end, limit, CHECKSUM_WHOLE))
		count(NP_HOOK_XDP, NP_REASON_MSS_CLAMPED);
	return 0;
}

/* The lower of two limits, where 0 is none. */
static __always_inline __u32 lower(__u32 a, __u32 b)
{
	return !a || (b && b < a) ? b : a;
}

/* By both interfaces, the second and its MTU as numbers: keys on the stack are its own. */
__noinline int xdp_clamp(struct xdp_md *ctx, struct np_iface *in, __u32 ifindex, __u32 mtu,
			 __u32 family)
{
	struct np_iface *other = iface_find(ifindex);
	__u32 headers = family == NP_IPV4 ? 40 : 60;
	__u32 limit;

	if (!in)
		return 0;
	limit = family == NP_IPV4 ? in->mss4 : in->mss6;
	if (other)
		limit = lower(limit, family == NP_IPV4 ? other->mss4 : other->mss6);
	if ((in->flags | (other ? other->flags : 0)) & NP_IFACE_MSS_AUTO && mtu > headers)
		limit = lower(limit, mtu - headers);
	if (!limit)
		return 0;
	return family == NP_IPV4 ? clamp(ctx, limit, NP_IPV4) : clamp(ctx, limit, NP_IPV6);
}

static __always_inline int xdp_handle(struct xdp_md *ctx, struct out *out, int family)
{
	return family == NP_IPV4 ? xdp_handle4(ctx, out) : xdp_handle6(ctx, out);
}

static __always_inline int run(struct xdp_md *ctx, struct np_iface *iface, struct out *out,
			       bool over, int family)
{
	int todo = xdp_fast(ctx, iface, family);

	if (todo != FAST_RARE && todo != FAST_OPENS)
		return todo;
	todo = todo == FAST_OPENS ? TODO_OPEN : xdp_handle(ctx, out, family);

	/* A tail call is the main program's, which this is part of: below it, 256 bytes are all. */
	if (over && todo == TODO_BEFORE)
		bpf_tail_call(ctx, &before, NP_HOOK_XDP); /* if there is none, it is tc's */
	if (todo == TODO_OPEN) {
		/* What is refused or not a service's is left to tc, which answers it. */
		todo = family == NP_IPV4 ? xdp_open4(ctx, iface) : xdp_open6(ctx, iface);
		if (todo != CONNECT_FLOW && todo != CONNECT_AGAIN)
			return XDP_PASS;
		todo = xdp_handle(ctx, out, family);
	}
	if (todo != TODO_SEND && todo != TODO_CLAMP)
		return XDP_PASS;
	if (todo == TODO_CLAMP)
		xdp_clamp(ctx, iface, out->ifindex, out->mtu, family);
	if (out->ifindex == ctx->ingress_ifindex) {
		if (iface->flags & NP_IFACE_STATS)
			count(NP_HOOK_XDP, NP_REASON_XDP_TX);
		return XDP_TX;
	}
	if (iface->flags & NP_IFACE_STATS)
		count(NP_HOOK_XDP, NP_REASON_XDP_REDIRECT);
	return bpf_redirect(out->ifindex, 0);
}

static __always_inline bool is_mac(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

static __always_inline int xdp_run(struct xdp_md *ctx, bool over)
{
	struct ethernet *eth = (void *)(long)ctx->data;
	struct np_iface *iface;
	struct out out;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	iface = iface_find(ctx->ingress_ifindex);
	/* The kernel forwards what is for this device alone (ip_rcv(), ip_forward()): so does XDP.
	 */
	if (!iface || !is_mac(eth->dst, iface->mac))
		return XDP_PASS;
	if (eth->protocol == bpf_htons(ETH_P_IP))
		return run(ctx, iface, &out, over, NP_IPV4);
	if (eth->protocol == bpf_htons(ETH_P_IPV6))
		return run(ctx, iface, &out, over, NP_IPV6);
	return XDP_PASS;
}

SEC("xdp")
int np_xdp(struct xdp_md *ctx)
{
	return xdp_run(ctx, false);
}

/* The same during a handover. */
SEC("xdp")
int np_xdp_over(struct xdp_md *ctx)
{
	return xdp_run(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
