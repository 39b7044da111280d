/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Claiming, unnaming and freeing a record as datapath/flow_new.h does. */
#include "flows.h"

#include <netinet/in.h>
#include <string.h>

static struct np_flow *record(struct tables *t, uint8_t family, uint32_t n)
{
	return family == NP_IPV4 ? &t->flows4[n].flow : &t->flows6[n].flow;
}

static struct np_bucket *bucket(struct tables *t, uint8_t family, uint32_t n)
{
	return family == NP_IPV4 ? &t->flow_index4[n] : &t->flow_index6[n];
}

/* Take the names of a claimed record out of the index, unless they are another's by now. */
static void unname(struct tables *t, uint8_t family, struct np_flow *flow, uint32_t number,
		   uint32_t buckets)
{
	for (uint32_t name = 0; name < NP_NAMES; name++) {
		uint32_t at = flow->index[name] - 1;
		uint64_t *place, entry;

		if (!flow->index[name])
			continue;
		flow->index[name] = 0;
		if (at / NP_BUCKET >= buckets)
			continue;
		place = (uint64_t *)&bucket(t, family, at / NP_BUCKET)->entry[at % NP_BUCKET];
		entry = __atomic_load_n(place, __ATOMIC_RELAXED);
		if ((uint32_t)entry == (name << NP_FLOW_NAME_SHIFT | number))
			__atomic_compare_exchange_n(place, &entry, 0, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_RELAXED);
	}
}

/* End the life of the record that seq stands for. False: it was over already. */
static bool end(struct tables *t, uint8_t family, uint32_t number, uint32_t seq)
{
	struct np_flow *flow = record(t, family, number);
	uint32_t buckets = t->size[family == NP_IPV4 ? TABLE_flow_index4 : TABLE_flow_index6];

	if (!__atomic_compare_exchange_n(&flow->seq, &seq, seq + 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	unname(t, family, flow, number, buckets);
	flow->state = NP_FLOW_FREE;
	__atomic_fetch_add(&flow->seq, 1, __ATOMIC_RELEASE);
	return true;
}

/* The addresses follow the common part of the record, one word or four each. */
static union np_addr place(const struct np_flow *flow, uint8_t family, enum np_place which)
{
	const __be32 *words = (const __be32 *)(flow + 1);
	size_t count = family == NP_IPV4 ? 1 : 4;
	union np_addr addr = {};

	memcpy(&addr, words + which * count, count * sizeof(*words));
	return addr;
}

static size_t end_family(struct tables *t, uint8_t family,
			 bool (*keep)(const struct flow_ends *ends, void *arg), void *arg)
{
	uint32_t records = t->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6], n, seq;
	size_t ended = 0;

	for (n = 0; n < records; n++) {
		struct np_flow *flow = record(t, family, n);
		union np_addr frontend, backend;
		struct flow_ends ends = {.family = family};

		if (flow->state == NP_FLOW_FREE || flow->protocol != IPPROTO_UDP)
			continue;
		seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
		if (seq & 1)
			continue;
		frontend = place(flow, family, NP_FRONTEND);
		backend = place(flow, family, NP_BACKEND);
		ends.frontend = &frontend;
		ends.backend = &backend;
		ends.frontend_port = flow->port[NP_FRONTEND];
		ends.backend_port = flow->port[NP_BACKEND];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		/* A record that changed meanwhile is another flow; end() sees it by seq. */
		if (!keep(&ends, arg))
			ended += end(t, family, n, seq);
	}
	return ended;
}

size_t flows_end_udp(struct tables *t, bool (*keep)(const struct flow_ends *ends, void *arg),
		     void *arg)
{
	return end_family(t, NP_IPV4, keep, arg) + end_family(t, NP_IPV6, keep, arg);
}
