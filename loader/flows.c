/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walking the mapped records. */
#include "flows.h"

#include <netinet/in.h>
#include <string.h>

static struct np_flow *record(struct tables *t, uint8_t family, uint32_t n)
{
	return family == NP_IPV4 ? &t->flows4[n].flow : &t->flows6[n].flow;
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

/* Mark that life of a record, and no later one. */
static bool mark(struct np_flow *flow, uint32_t seq)
{
	union np_flow_word was = {.all = __atomic_load_n(&flow->word.all, __ATOMIC_RELAXED)}, next;

	do {
		if (was.state == NP_FLOW_FREE || (was.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq))
			return false;
		next = was;
		next.flags |= NP_FLOW_DEPARTED;
	} while (!__atomic_compare_exchange_n(&flow->word.all, &was.all, next.all, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

static size_t mark_family(struct tables *t, uint8_t family,
			  bool (*keep)(const struct flow_ends *ends, void *arg), void *arg)
{
	uint32_t records = t->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6], n, seq;
	size_t marked = 0;

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
		if (__atomic_load_n(&flow->seq, __ATOMIC_RELAXED) != seq || keep(&ends, arg))
			continue;
		marked += mark(flow, seq);
	}
	return marked;
}

size_t flows_mark_udp(struct tables *t, bool (*keep)(const struct flow_ends *ends, void *arg),
		      void *arg)
{
	return mark_family(t, NP_IPV4, keep, arg) + mark_family(t, NP_IPV6, keep, arg);
}

static bool is_over(uint8_t state)
{
	return state == NP_FLOW_FREE || state == NP_FLOW_SCTP_CLOSED ||
	       (state >= NP_FLOW_TCP_LAST_ACK && state <= NP_FLOW_TCP_CLOSE);
}

static bool is_live(const struct tables *t, const struct np_flow *flow, uint32_t now)
{
	/* Programs' ticks may be ahead of this clock. */
	int32_t age = (int32_t)(now - flow->seen);

	return !is_over(flow->state) &&
	       (age < 0 ||
		(uint32_t)age <= t->settings->flow_timeout[flow->state % NP_FLOW_STATES_ROOM]);
}

static uint32_t records_of(const struct tables *t, uint8_t family)
{
	return t->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6];
}

static size_t count_family(struct tables *t, uint8_t family, uint32_t now)
{
	uint32_t n;
	size_t live = 0;

	for (n = 0; n < records_of(t, family); n++)
		live += is_live(t, record(t, family, n), now);
	return live;
}

size_t flows_live(struct tables *t)
{
	uint32_t now = tables_jiffies();

	return count_family(t, NP_IPV4, now) + count_family(t, NP_IPV6, now);
}

static void visit_family(struct tables *t, uint8_t family,
			 void (*visit)(const struct flow_source *source, void *arg), void *arg)
{
	uint32_t now = tables_jiffies(), n, seq;

	for (n = 0; n < records_of(t, family); n++) {
		const struct np_flow *flow = record(t, family, n);
		struct flow_source source = {.family = family};

		seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
		if (seq & 1 || !(flow->flags & NP_FLOW_TRANSLATED) || !is_live(t, flow, now))
			continue;
		source.protocol = flow->protocol;
		source.snat = place(flow, family, NP_SNAT);
		source.backend = place(flow, family, NP_BACKEND);
		source.snat_port = flow->port[NP_SNAT];
		source.backend_port = flow->port[NP_BACKEND];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&flow->seq, __ATOMIC_RELAXED) == seq)
			visit(&source, arg);
	}
}

void flows_each_source(struct tables *t, void (*visit)(const struct flow_source *source, void *arg),
		       void *arg)
{
	visit_family(t, NP_IPV4, visit, arg);
	visit_family(t, NP_IPV6, visit, arg);
}
