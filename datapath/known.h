/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The flow that a SYN may have already, looked for once it is decided where the connection goes:
 * and on the way there, all that a new one is made of is fetched from memory together.
 */
#ifndef NEARPATH_DATAPATH_KNOWN_H
#define NEARPATH_DATAPATH_KNOWN_H

#include "flow_new.h"

/* The source port whose turn it is, out of the range for translation. */
static __always_inline __be16 port_in_turn(__u32 turn)
{
	turn = (turn * NP_SNAT_STRIDE + (__u32)np.hash_key[0]) % np.snat_port_count;
	return bpf_htons(np.snat_port_first + turn);
}

/*
 * Lines that are wanted from memory. All addresses are worked out before the first is touched: a
 * load that waits keeps what comes after it from being retired, and what is between two loads
 * counts towards what a core can have begun meanwhile (256 operations on AMD Zen 3).
 */
#define AHEAD_RECORDS 4 /* home and the next, of IPv6 two lines each */
#define AHEAD_LINES   (AHEAD_RECORDS + 2 * NP_NAMES)

struct ahead {
	volatile __u32 *line[AHEAD_LINES];
};

/* Both buckets of the name. */
static __always_inline void name_ahead(struct ahead *a, enum np_name name, const struct np_hash *h,
				       int family)
{
	volatile __u32 **line = a->line + AHEAD_RECORDS + 2 * name;

	line[0] = (void *)flow_bucket(h->bucket & FLOW_MASK(family), family);
	line[1] = (void *)flow_bucket(np_hash_other_bucket(h->bucket, h->tag) & FLOW_MASK(family),
				      family);
}

static __always_inline void tuple_ahead(struct ahead *a, enum np_name name,
					const union np_addr *src, const union np_addr *dst,
					__be16 sport, __be16 dport, __u32 protocol, int family)
{
	struct np_hash h = np_hash_tuple(np.hash_key, family, src, dst, PORTS(sport, dport),
					 protocol, name_space(name));

	name_ahead(a, name, &h, family);
}

/* The records that are tried first: where others of the table are, it is the second often. */
static __always_inline void records_ahead(struct ahead *a, const union np_addr *client, __be16 port,
					  int family)
{
	__u32 home = np_hash_home(np.hash_key, family, client, port);
	int i;

	for (i = 0; i < 2; i++) {
		struct np_flow *flow = flow_record((home + i) & FLOW_MASK(family), family);

		if (!flow)
			continue;
		a->line[2 * i] = (void *)&flow->seq;
		if (family == NP_IPV6) /* it has two lines */
			a->line[2 * i + 1] = (void *)flow_addr(flow, NP_BACKEND, family);
	}
}

/* The buckets of the backend's side, if the first port that is tried is free. */
static __always_inline void backend_side_ahead(struct ahead *a, const struct flow_request *r,
					       int family)
{
	const struct tuple *t = &r->tuple;
	__u32 number = r->decision.backend;
	struct np_backend *backend = bpf_map_lookup_elem(&backends, &number);
	struct np_ports *ports = bpf_map_lookup_elem(&snat_ports, &number);
	__be16 port = SPORT(t->ports);

	if (!backend || !ports || r->decision.verdict != NP_VERDICT_FORWARD)
		return;
	if (r->decision.snat) {
		port = port_in_turn(ports->next);
		tuple_ahead(a, NP_NAME_UNSNAT, &backend->addr, &backend->snat, backend->port, port,
			    t->protocol, family);
		tuple_ahead(a, NP_NAME_SNAT, &t->src, &backend->addr, port, backend->port,
			    t->protocol, family);
	}
	tuple_ahead(a, NP_NAME_REPLY, &backend->addr, &t->src, backend->port, port, t->protocol,
		    family);
}

/* All that a new flow is made of is on its way from memory. The values say nothing. */
static __always_inline void flow_ahead(const struct flow_request *r, const struct np_hash *forward,
				       int family)
{
	struct ahead a = {};
	int i;

	name_ahead(&a, NP_NAME_FORWARD, forward, family);
	records_ahead(&a, &r->tuple.src, SPORT(r->tuple.ports), family);
	backend_side_ahead(&a, r, family);
	barrier();
	for (i = 0; i < AHEAD_LINES; i++)
		if (a.line[i])
			(void)*a.line[i];
}

static __always_inline bool is_known(struct flow_request *r, int family)
{
	const struct tuple *t = &r->tuple;
	struct np_hash h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports,
					 t->protocol, NP_HASH_INGRESS);
	struct flow_hit hit = {};
	__u64 entry;

	if (r->decision.verdict != NP_VERDICT_FORWARD &&
	    flow_is_filtered(&t->src, &t->dst, NP_HASH_INGRESS, family))
		return false; /* nothing is to be made: spare it the memory */
	flow_ahead(r, &h, family);
	entry = flow_index(&h, family);
	r->unknown = entry == BUCKET_NONE;
	if (r->unknown)
		return false;
	hit = flow_check(entry, t, NP_HASH_INGRESS, family);
	if (!hit.flow)
		hit = flow_find_rare(&r->tuple, NP_HASH_INGRESS, family);
	if (!hit.flow)
		return false;
	if (!flow_superseded(hit.flow, hit.name, t->protocol, now32(), family))
		return true;
	flow_supersede(hit.flow, hit.seq);
	return false;
}

/*
 * Does a SYN belong to a flow that goes on? Most do not, so the decision has been made before,
 * which is in the caches: with it, all that a new flow is made of is known, and its record and
 * buckets come from memory at the same time, not one after the other.
 */
__noinline int connect_known(struct flow_request *r, __u32 family)
{
	if (!r)
		return false;
	return family == NP_IPV4 ? is_known(r, NP_IPV4) : is_known(r, NP_IPV6);
}

#endif
