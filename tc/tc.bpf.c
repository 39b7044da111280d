/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The two tc programs every attached interface has: ingress rewrites destinations (client ->
 * frontend, backend -> snat), egress rewrites sources (client -> backend, backend -> client);
 * maps/flow.h has the table. Routing in between is the kernel's. Both return "next" for all they
 * do not drop, so that programs behind them see the packet too.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define np_ctx	     struct __sk_buff
#define np_ct_lookup bpf_skb_ct_lookup

#include "../datapath/connect.h"
#include "../datapath/fragment.h"
#include "../datapath/icmp.h"
#include "../datapath/iface.h"
#include "../datapath/mss.h"
#include "../datapath/rewrite.h"
#include "checksum.h"
#include "explain.h"
#include "leave.h"
#include "redirect.h"
#include "reject.h"
#include "reset.h"

/* The longest headers that are read: Ethernet, IPv6 with extensions, TCP with options. */
#define PULL_BYTES 192

/* A pass for a pull of the headers, one for making a flow, one for using it. */
#define TC_PASSES 3

#define TC_NEXT TC_ACT_UNSPEC /* TCX_NEXT has the same value */

/* No verdict: the programs of before are to see the packet (datapath/handover.h). */
#define TC_BEFORE 0x6e70

/*
 * What the fast path leaves to be done. It returns instead of calling, so that its stack is free
 * again when the deep calls begin: all frames of a chain share 512 bytes.
 */
enum todo {
	TODO_NOTHING,
	TODO_HANDLE,	 /* all: see handle() */
	TODO_CLAMP,	 /* a SYN: look at its MSS */
	TODO_OPEN,	 /* opens a conversation; a flow of it was not found or not looked for */
	TODO_OPEN_CLAMP, /* the same, of TCP: TODO_CLAMP if none is made */
	TODO_PULL,	 /* headers are not in the linear part */
	TODO_FRAGMENT,
	TODO_ICMP,
	TODO_RESET,  /* of a flow whose endpoint is gone */
	TODO_BEFORE, /* a flow of the tables of before, as far as these can tell */
};

static __always_inline __u32 hook_space(__u32 hook)
{
	return hook == NP_HOOK_EGRESS ? NP_HASH_EGRESS : NP_HASH_INGRESS;
}

#include "fast.h"

static __always_inline int tc_pull(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
}

/* The MTU of the route to the peer out of this device, 0 if there is none. */
static __always_inline __u32 route_ask_mtu(struct __sk_buff *skb, const union np_addr *self,
					   const union np_addr *peer, int family)
{
	struct bpf_fib_lookup fib = {
		.ifindex = skb->ifindex,
		.l4_protocol = IPPROTO_TCP,
		.tot_len = 0xFFFF, /* too long for any: "fragmentation needed" tells the MTU */
	};

	if (family == NP_IPV4) {
		fib.family = FIB_AF_INET;
		fib.ipv4_src = self->v4;
		fib.ipv4_dst = peer->v4;
	} else {
		fib.family = FIB_AF_INET6;
		addr_write(fib.ipv6_src, self, family);
		addr_write(fib.ipv6_dst, peer, family);
	}
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT) !=
	    BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return 0;
	return fib.mtu_result;
}

/* The same, remembered for as long as the ways of flows are: SYNs come from the same pods. */
static __always_inline __u32 route_mtu(struct __sk_buff *skb, const union np_addr *self,
				       const union np_addr *peer, int family)
{
	__u32 what = NP_ROUTE_WHAT(NP_ROUTE_MTU, family, 0), now = now32();
	struct np_route *r = route_place(route_hash(self, peer, family));

	if (!r)
		return 0;
	if (route_is(r, self, peer, 0, skb->ifindex, what, now, family))
		return r->mtu;
	r->src = *self;
	r->dst = *peer;
	r->ports = 0;
	r->in = skb->ifindex;
	r->until = now + np.route_lifetime;
	r->mtu = route_ask_mtu(skb, self, peer, family);
	r->what = what;
	return r->mtu;
}

#define CLAMP_INGRESS  1
#define CLAMP_BY_ROUTE 2

/* l4: offset of the TCP header. */
static __always_inline bool lower_mss(struct __sk_buff *skb, struct packet *p, __u32 l4,
				      __u16 limit)
{
	void *end = (void *)(long)skb->data_end;
	__be16 was = 0, now = bpf_htons(limit);
	__u32 at;

	if (np.direct_checksum)
		return mss_lower(p->l4, end, limit, skb_checksum(skb));
	at = mss_find(p->l4, end, limit, &was);
	if (!at)
		return false;
	bpf_l4_csum_replace(skb, l4 + offsetof(struct tcphdr, check), mss_sum(was, at),
			    mss_sum(now, at), sizeof(now));
	bpf_skb_store_bytes(skb, l4 + at, &now, sizeof(now), 0);
	return true;
}

/*
 * Clamp a SYN to limit, and to the MTU of the route towards the peer behind this interface if that
 * is asked for. By numbers alone, as a global function, so that the verifier checks it once.
 */
static __always_inline int clamp(struct __sk_buff *skb, __u32 l2_len, __u32 limit, __u32 how,
				 int family)
{
	__u32 hook = how & CLAMP_INGRESS ? NP_HOOK_INGRESS : NP_HOOK_EGRESS;
	__u32 headers = family == NP_IPV4 ? 40 : 60, mtu;
	struct packet p = {};

	if (l2_len > ETH_HLEN || packet_parse(&p, skb, l2_len, family) != PARSE_PORTS)
		return 0;
	if (how & CLAMP_BY_ROUTE) {
		mtu = how & CLAMP_INGRESS ? route_mtu(skb, &p.tuple.dst, &p.tuple.src, family)
					  : route_mtu(skb, &p.tuple.src, &p.tuple.dst, family);
		if (mtu > headers && mtu - headers < limit)
			limit = mtu - headers;
	}
	if (p.tuple.protocol == IPPROTO_TCP && lower_mss(skb, &p, l2_len + p.length, limit))
		count(hook, NP_REASON_MSS_CLAMPED);
	return 0;
}

__noinline int tc_clamp4(struct __sk_buff *skb, __u32 l2_len, __u32 limit, __u32 how)
{
	return clamp(skb, l2_len, limit, how, NP_IPV4);
}

__noinline int tc_clamp6(struct __sk_buff *skb, __u32 l2_len, __u32 limit, __u32 how)
{
	return clamp(skb, l2_len, limit, how, NP_IPV6);
}

/*
 * A fragment other than the first: only addresses are rewritten. Not 0: the programs of before may
 * know more of it.
 */
static __always_inline int fragment(struct __sk_buff *skb, __u32 l2_len, __u32 hook, int family)
{
	struct packet p = {};
	struct flow_hit hit;
	struct tuple t;
	__u64 diff;

	if (l2_len > ETH_HLEN || packet_parse(&p, skb, l2_len, family) != PARSE_FRAGMENT)
		return 0;
	if (!fragment_ports(&p, hook, family))
		return np.handover ?: count(hook, NP_REASON_FRAGMENT_LOST);
	t = tuple_whole(&p.tuple, family);
	hit = flow_find_rare(&t, hook_space(hook), family);
	if (!hit.flow)
		return np.handover;
	t = flow_translate(hit.flow, hit.name, &p.tuple, false, family);
	diff = tuple_diff_addr(&p.tuple, &t, family);
	if (!flow_unchanged(&hit, &t, family))
		return 0;
	rewrite_l3(p.l3, &t, diff, 0, family);
	if (family == NP_IPV6) /* nothing unless CHECKSUM_COMPLETE */
		bpf_csum_update(skb, sum_fold(diff));
	return 0;
}

#define ICMP_REQUEST 1
#define ICMP_UNKNOWN 2 /* handover: for the programs of before */

static __always_inline int icmp(struct __sk_buff *skb, __u32 l2_len, __u32 hook, int family)
{
	struct packet p = {};

	tc_pull(skb); /* drivers leave little more than the ICMP header in the linear part */
	if (l2_len > ETH_HLEN || packet_parse(&p, skb, l2_len, family) != PARSE_ICMP)
		return 0;
	if (icmp_is_request(p.l4, (void *)(long)skb->data_end, family))
		return before_decides(family) ? ICMP_UNKNOWN : ICMP_REQUEST;
	if (icmp_translate(&p, (void *)(long)skb->data_end, hook_space(hook), family))
		return count(hook, NP_REASON_ICMP_TRANSLATED);
	return np.handover ? ICMP_UNKNOWN : 0;
}

/* BPF global functions, which read the packet anew: the verifier checks them once. */
__noinline int tc_fragment4(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return fragment(skb, l2_len, hook, NP_IPV4);
}

__noinline int tc_fragment6(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return fragment(skb, l2_len, hook, NP_IPV6);
}

__noinline int tc_icmp4(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return icmp(skb, l2_len, hook, NP_IPV4);
}

__noinline int tc_icmp6(struct __sk_buff *skb, __u32 l2_len, __u32 hook)
{
	return icmp(skb, l2_len, hook, NP_IPV6);
}

/* Rewrite a packet of a flow; false if the flow ended meanwhile. */
static __always_inline bool translate(struct __sk_buff *skb, struct packet *p,
				      const struct flow_hit *hit, const struct np_iface *iface,
				      __u32 hook, int family)
{
	struct tuple to = flow_translate(hit->flow, hit->name, &p->tuple, false, family);

	if (!flow_unchanged(hit, &to, family))
		return false;
	flow_track(hit, p, (void *)(long)skb->data_end, now32(), FLOW_BY_STACK, family);
	if (iface->flags & NP_IFACE_STATS)
		count(hook, NP_REASON_TRANSLATED);
	if (np.direct_checksum)
		rewrite_direct(skb, p, &to, 0, family);
	else
		rewrite_by_helpers(skb, p, iface->l2_len, &to, family);
	return true;
}

/*
 * A packet of a flow is rewritten; all else is for the caller. An enum todo. fresh: the flow was
 * made for it a moment ago, and is not to be superseded.
 */
static __always_inline int handle(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh,
				  __u32 hook, int family)
{
	struct packet p;
	struct flow_hit hit;
	struct tuple scratch;
	bool opens, ingress = hook == NP_HOOK_INGRESS;

	switch (packet_parse(&p, skb, iface->l2_len, family)) {
	case PARSE_PORTS:
		break;
	case PARSE_SHORT:
		return TODO_PULL;
	case PARSE_ICMP:
		return TODO_ICMP;
	case PARSE_FRAGMENT:
		return TODO_FRAGMENT;
	default:
		return TODO_NOTHING;
	}
	if (p.fragment) /* the first: the others come with the tuple it has now */
		fragment_note(&p, hook, family);
	/* At egress of interest if it is the host's, see tc_leaves(): UDP only beside kube-proxy.
	 */
	opens = packet_opens(&p) &&
		(ingress || p.tuple.protocol != IPPROTO_UDP || iface->flags & NP_IFACE_CONNTRACK);
	if (opens && ingress && !fresh && !np.handover && p.tuple.protocol == IPPROTO_TCP &&
	    connect_is_asked(&p.tuple.src, &p.tuple.dst, p.tuple.ports, family))
		return TODO_OPEN_CLAMP; /* its flow, if it has one, is for connect_known() to find
					 */
	hit = flow_find(&p.tuple, hook_space(hook), family, &scratch);
	if (!ingress && !hit.flow && np.direct_checksum && skb_is_tracked(skb))
		conntrack_note();
	if (np.handover && !hit.flow && !(opens && ingress && is_asked(skb, p.tuple.ports)) &&
	    before_knows(&p.tuple, hook_space(hook), family))
		return TODO_BEFORE;
	if (hit.flow && opens && ingress && is_asked(skb, p.tuple.ports))
		hit.flow = NULL;
	if (hit.flow && opens && !fresh &&
	    (ingress ? flow_superseded(hit.flow, hit.name, p.tuple.protocol, now32(), family)
		     : hit.name == NP_NAME_SNAT && flow_is_spent(hit.flow, now32()))) {
		flow_supersede(hit.flow, hit.seq);
		hit.flow = NULL;
	}
	if (hit.flow && reset_wanted(&hit, &p, opens))
		return TODO_RESET;
	if ((!hit.flow || !translate(skb, &p, &hit, iface, hook, family)) && opens &&
	    (ingress ? connect_is_asked(&p.tuple.src, &p.tuple.dst, p.tuple.ports, family)
		     : !address_is_strange(&p.tuple.src, family)))
		return p.tuple.protocol == IPPROTO_TCP ? TODO_OPEN_CLAMP : TODO_OPEN;
	return p.tcp_flags & TCP_SYN ? TODO_CLAMP : TODO_NOTHING;
}

__noinline int tc_ingress4(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh)
{
	return iface ? handle(skb, iface, fresh, NP_HOOK_INGRESS, NP_IPV4) : TODO_NOTHING;
}

__noinline int tc_ingress6(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh)
{
	return iface ? handle(skb, iface, fresh, NP_HOOK_INGRESS, NP_IPV6) : TODO_NOTHING;
}

__noinline int tc_egress4(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh)
{
	return iface ? handle(skb, iface, fresh, NP_HOOK_EGRESS, NP_IPV4) : TODO_NOTHING;
}

__noinline int tc_egress6(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh)
{
	return iface ? handle(skb, iface, fresh, NP_HOOK_EGRESS, NP_IPV6) : TODO_NOTHING;
}

static __always_inline int tc_handle(struct __sk_buff *skb, struct np_iface *iface, __u32 fresh,
				     __u32 hook, int family)
{
	if (hook == NP_HOOK_INGRESS)
		return family == NP_IPV4 ? tc_ingress4(skb, iface, fresh)
					 : tc_ingress6(skb, iface, fresh);
	return family == NP_IPV4 ? tc_egress4(skb, iface, fresh) : tc_egress6(skb, iface, fresh);
}

/* What opens a conversation, or a request of ICMP, which has no ports: an enum connect. */
static __always_inline int open(struct __sk_buff *skb, struct np_iface *iface, __u32 hook,
				int family)
{
	struct flow_request r;

	if (!connect_request(skb, iface->l2_len, &r, family))
		return CONNECT_PASS;
	r.hook = hook;
	if (hook == NP_HOOK_EGRESS)
		return tc_leaves(skb, &r, iface->lb == NP_LB_ON, family) ? CONNECT_DROP
									 : CONNECT_PASS;
	if (r.tuple.ports && !SPORT(r.tuple.ports) && tc_explain(skb, &r, iface, family))
		return CONNECT_DROP;
	return connect_packet(skb, &r, iface, family);
}

__noinline int tc_open4(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? open(skb, iface, NP_HOOK_INGRESS, NP_IPV4) : CONNECT_PASS;
}

__noinline int tc_open6(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? open(skb, iface, NP_HOOK_INGRESS, NP_IPV6) : CONNECT_PASS;
}

__noinline int tc_leave4(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? open(skb, iface, NP_HOOK_EGRESS, NP_IPV4) : CONNECT_PASS;
}

__noinline int tc_leave6(struct __sk_buff *skb, struct np_iface *iface)
{
	return iface ? open(skb, iface, NP_HOOK_EGRESS, NP_IPV6) : CONNECT_PASS;
}

static __always_inline int tc_open(struct __sk_buff *skb, struct np_iface *iface, __u32 hook,
				   int family)
{
	if (hook == NP_HOOK_INGRESS)
		return family == NP_IPV4 ? tc_open4(skb, iface) : tc_open6(skb, iface);
	return family == NP_IPV4 ? tc_leave4(skb, iface) : tc_leave6(skb, iface);
}

static __always_inline void tc_clamp_to_iface(struct __sk_buff *skb, const struct np_iface *iface,
					      __u32 hook, int family)
{
	__u32 limit = family == NP_IPV4 ? iface->mss4 : iface->mss6;
	__u32 how = hook == NP_HOOK_INGRESS ? CLAMP_INGRESS : 0;

	if (iface->flags & NP_IFACE_MSS_AUTO)
		how |= CLAMP_BY_ROUTE;
	if (!limit)
		return;
	if (family == NP_IPV4)
		tc_clamp4(skb, iface->l2_len, limit, how);
	else
		tc_clamp6(skb, iface->l2_len, limit, how);
}

static __always_inline int tc_refuse(struct __sk_buff *skb, __u32 l2_len, int family)
{
	return family == NP_IPV4 ? tc_refuse4(skb, l2_len) : tc_refuse6(skb, l2_len);
}

static __always_inline int tc_reset(struct __sk_buff *skb, __u32 l2_len, __u32 hook, int family)
{
	return family == NP_IPV4 ? tc_reset4(skb, l2_len, hook) : tc_reset6(skb, l2_len, hook);
}

/*
 * ICMP: errors about flows are translated; a request to an address that services have but no port
 * of it can answer (ping of a clusterIP) meets what any other packet there does.
 */
static __always_inline int tc_icmp(struct __sk_buff *skb, struct np_iface *iface, __u32 hook,
				   int family)
{
	int found = family == NP_IPV4 ? tc_icmp4(skb, iface->l2_len, hook)
				      : tc_icmp6(skb, iface->l2_len, hook);
	int made;

	if (found == ICMP_UNKNOWN)
		return TC_BEFORE;
	if (found != ICMP_REQUEST || hook != NP_HOOK_INGRESS)
		return TC_NEXT;
	made = tc_open(skb, iface, hook, family);
	if (made == CONNECT_REJECT)
		return tc_refuse(skb, iface->l2_len, family);
	return made == CONNECT_DROP ? TC_ACT_SHOT : TC_NEXT;
}

static __always_inline int tc_family(struct __sk_buff *skb, struct np_iface *iface, __u32 hook,
				     int family)
{
	int i, todo, made;

	if (hook == NP_HOOK_INGRESS && iface->flags & NP_IFACE_REDIRECT &&
	    !fast_is_syn(skb, iface, family)) {
		made = tc_redirect(skb, iface, false, family);
		if (made != REDIRECT_NO)
			return made;
	}
#pragma clang loop unroll(disable)
	for (i = 0; i < TC_PASSES; i++) {
		todo = tc_fast(skb, iface, hook, i == TC_PASSES - 1, family);
		if (todo == TODO_NOTHING)
			return TC_NEXT;
		if (todo == TODO_HANDLE)
			todo = tc_handle(skb, iface, i == TC_PASSES - 1, hook, family);
		if (todo == TODO_NOTHING)
			return TC_NEXT;
		if (todo == TODO_BEFORE)
			return TC_BEFORE;
		if (todo == TODO_PULL) {
			if (i || tc_pull(skb))
				return TC_NEXT;
			continue;
		}
		if (todo == TODO_RESET)
			return tc_reset(skb, iface->l2_len, hook, family);
		if (todo != TODO_OPEN && todo != TODO_OPEN_CLAMP)
			break;
		if (i == TC_PASSES - 1) /* its flow is gone again, or not yet there */
			return TC_ACT_SHOT;
		made = tc_open(skb, iface, hook, family);
		if (made == CONNECT_REJECT)
			return tc_refuse(skb, iface->l2_len, family);
		if (made == CONNECT_DROP)
			return TC_ACT_SHOT;
		if (made == CONNECT_PASS)
			break;
		i = TC_PASSES - 2; /* the last pass is for using it; no variable more: the stack */
	}
	if (todo == TODO_OPEN)
		return TC_NEXT;
	if (todo == TODO_FRAGMENT)
		return (family == NP_IPV4 ? tc_fragment4(skb, iface->l2_len, hook)
					  : tc_fragment6(skb, iface->l2_len, hook))
			       ? TC_BEFORE
			       : TC_NEXT;
	if (todo == TODO_ICMP)
		return tc_icmp(skb, iface, hook, family);
	tc_clamp_to_iface(skb, iface, hook, family);
	if (hook == NP_HOOK_INGRESS) {
		made = tc_redirect(skb, iface, true, family);
		if (made != REDIRECT_NO)
			return made;
	}
	return TC_NEXT;
}

static __always_inline int tc_run(struct __sk_buff *skb, __u32 hook)
{
	struct np_iface *iface = iface_find(skb->ifindex);

	if (!iface)
		return TC_NEXT;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return tc_family(skb, iface, hook, NP_IPV4);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return tc_family(skb, iface, hook, NP_IPV6);
	return TC_NEXT;
}

SEC("tc")
int np_ingress(struct __sk_buff *skb)
{
	return tc_run(skb, NP_HOOK_INGRESS);
}

SEC("tc")
int np_egress(struct __sk_buff *skb)
{
	return tc_run(skb, NP_HOOK_EGRESS);
}

/* The same two during a handover. Tail calls are the main program's: below, 256 bytes are all. */
static __always_inline int tc_run_over(struct __sk_buff *skb, __u32 hook)
{
	int verdict = tc_run(skb, hook);

	if (verdict != TC_BEFORE)
		return verdict;
	bpf_tail_call(skb, &before, hook);
	return TC_NEXT; /* there was none */
}

SEC("tc")
int np_ingress_over(struct __sk_buff *skb)
{
	return tc_run_over(skb, NP_HOOK_INGRESS);
}

SEC("tc")
int np_egress_over(struct __sk_buff *skb)
{
	return tc_run_over(skb, NP_HOOK_EGRESS);
}

/* For nearpathd, which cannot read jiffies otherwise; run by BPF_PROG_TEST_RUN and never attached.
 */
SEC("tc")
int np_now(struct __sk_buff *skb)
{
	(void)skb;
	return now32();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
