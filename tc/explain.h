/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The switch in the program's own state by which nearpathd asks it: see maps/explain.h. */
#ifndef NEARPATH_TC_EXPLAIN_H
#define NEARPATH_TC_EXPLAIN_H

#include "../datapath/decide.h"
#include "../datapath/flow_new.h"

/* Is the packet the question itself? */
static __always_inline bool is_question(struct __sk_buff *skb, const struct np_explain *e)
{
	__u32 differs = (e->nonce[0] ^ skb->cb[0]) | (e->nonce[1] ^ skb->cb[1]) |
			(e->nonce[2] ^ skb->cb[2]) | (e->nonce[3] ^ skb->cb[3]) |
			(e->nonce[4] ^ skb->cb[4]);

	return !differs && e->nonce[0];
}

/*
 * A question is from port 0, and so may be a flow, of UDP that wants no answer: that is not to be
 * touched, and not the answer.
 */
static __always_inline bool is_asked(struct __sk_buff *skb, __u32 ports)
{
	__u32 zero = 0;
	struct np_explain *e;

	if (SPORT(ports))
		return false;
	e = bpf_map_lookup_elem(&explain, &zero);
	return e && is_question(skb, e);
}

/*
 * A packet that opens a connection is a question: answer it, and let nothing come of it. A BPF
 * global function for the sake of its caller's stack.
 */
__noinline int tc_explain(struct __sk_buff *skb, struct flow_request *r, struct np_iface *iface,
			  __u32 family)
{
	__u32 zero = 0, how = DECIDE_CLASS;
	struct np_explain *e = bpf_map_lookup_elem(&explain, &zero);

	if (!r || !iface || !e || !is_question(skb, e))
		return false;
	if (addr_is_loopback(&r->tuple.src, family) ||
	    address_flags(&r->tuple.src, family) & NP_SERVICE_HOST_ADDRESS)
		how |= DECIDE_LOCAL;
	decide(&r->tuple, iface->flags, how, family, &e->decision);
	e->answered = 1;
	return true;
}

#endif
