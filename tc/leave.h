/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * On its way out, what no flow knows, opens a connection and has an address of this host: a
 * socket's own, or what the kernel translates (kube-proxy's masquerade).
 */
#ifndef NEARPATH_TC_LEAVE_H
#define NEARPATH_TC_LEAVE_H

#include "../datapath/connect.h"

/* Not for UDP: a datagram that is dropped is met in sock/. */
static __always_inline bool tc_silence(struct flow_request *r, __u32 family)
{
	struct np_decision d;

	if (address_is_strange(&r->tuple.dst, NP_IPV6) &&
	    !in_service_cidr(&r->tuple.dst, family, NP_IPV6))
		return false;
	decide(&r->tuple, 0, DECIDE_LOCAL, family, &d);
	if (d.verdict != NP_VERDICT_DROP)
		return false;
	note_refusal(NP_HOOK_EGRESS, &d);
	return true;
}

static __always_inline int forget(struct __sk_buff *skb, struct tuple *reply, int family)
{
	struct bpf_sock_tuple t = {};
	__u32 size = sock_tuple(&t, &reply->src, &reply->dst, SPORT(reply->ports),
				DPORT(reply->ports), family);

	conntrack_forget(skb, &t, size, reply->protocol);
	return 0;
}

/* A BPF global function for its stack. */
__noinline int tc_forget(struct __sk_buff *skb, struct tuple *reply, __u32 family)
{
	if (!reply || !np.conntrack)
		return 0;
	return family == NP_IPV4 ? forget(skb, reply, NP_IPV4) : forget(skb, reply, NP_IPV6);
}

/* One that is spent is ended. */
static __always_inline bool has_port(struct tuple *reply, int family)
{
	struct flow_hit hit = flow_find_rare(reply, NP_HASH_INGRESS, family);

	if (!hit.flow || hit.name != NP_NAME_UNSNAT)
		return false;
	if (!flow_is_spent(hit.flow, now32()))
		return true;
	flow_end(hit.number, hit.seq, family);
	return false;
}

/*
 * Has a flow the source port towards this backend, so that it would be given the answers? The
 * kernel does not know of flows when it chooses a port. Beside a live one the packet may not go
 * out, and conntrack is to choose again when it is sent again.
 */
__noinline int tc_port_clashes(struct __sk_buff *skb, struct flow_request *r, __u32 family)
{
	struct tuple reply;

	if (!r)
		return 0;
	reply = tuple_reverse(&r->tuple);
	if (!(family == NP_IPV4
		      ? flow_may_be(&reply, NP_HASH_INGRESS, NP_IPV4) && has_port(&reply, NP_IPV4)
		      : flow_may_be(&reply, NP_HASH_INGRESS, NP_IPV6) && has_port(&reply, NP_IPV6)))
		return 0;
	tc_forget(skb, &reply, family);
	count(NP_HOOK_EGRESS, NP_REASON_PORT_CLASH);
	return 1;
}

/* 1: it ends here. on: new connections are ours. */
__noinline int tc_leaves(struct __sk_buff *skb, struct flow_request *r, __u32 on, __u32 family)
{
	if (!r || !(address_flags(&r->tuple.src, family) & NP_SERVICE_HOST_ADDRESS))
		return 0;
	if (on && r->tuple.protocol != IPPROTO_UDP && tc_silence(r, family))
		return 1;
	return tc_port_clashes(skb, r, family);
}

#endif
