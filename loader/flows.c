/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walking the mapped records. */
#include "flows.h"

#include <netinet/in.h>
#include <string.h>

static struct np_flow *record(struct tables *t, uint8_t family, uint32_t n)
{
	return family == NP_IPV4 ? &t->flows4[n].flow : &t->flows6[n].flow;
}

static union np_addr place(const struct np_flow *flow, uint8_t family, enum np_place which)
{
	union np_addr addr = {};

	if (family == NP_IPV4)
		addr.v4 = ((const struct np_flow4 *)flow)->addr[which];
	else
		memcpy(&addr, ((const struct np_flow6 *)flow)->addr[which], sizeof(addr));
	return addr;
}

/* Set the mark in that life of a record and no later one, or withdraw it. Is it set now? */
static bool mark(struct np_flow *flow, uint32_t seq, bool set)
{
	union np_flow_word was = {.all = __atomic_load_n(&flow->word.all, __ATOMIC_RELAXED)}, next;

	do {
		if (was.state == NP_FLOW_FREE || (was.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq))
			return false;
		next = was;
		next.flags = (was.flags & ~NP_FLOW_DEPARTED) | (set ? NP_FLOW_DEPARTED : 0);
	} while (next.all != was.all &&
		 !__atomic_compare_exchange_n(&flow->word.all, &was.all, next.all, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return set;
}

static bool is_closing(uint8_t state)
{
	return state == NP_FLOW_TCP_LAST_ACK || state == NP_FLOW_TCP_TIME_WAIT;
}

static enum flow_fate fate_of(const struct np_flow *flow, uint8_t family, uint32_t seq,
			      flow_judge judge, void *arg)
{
	const union np_addr frontend = place(flow, family, NP_FRONTEND);
	const union np_addr backend = place(flow, family, NP_BACKEND);
	const struct flow_ends ends = {
		.family = family,
		.protocol = flow->protocol,
		.service = flow->service,
		.frontend = &frontend,
		.backend = &backend,
		.frontend_port = flow->port[NP_FRONTEND],
		.backend_port = flow->port[NP_BACKEND],
	};

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&flow->seq, __ATOMIC_RELAXED) != seq)
		return FLOW_LEAVE;
	return judge(&ends, arg);
}

/* Is it of TCP, and marked now? */
static bool look_at(struct np_flow *flow, uint8_t family, flow_judge judge, void *arg)
{
	uint32_t seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
	uint8_t state = flow->state, protocol = flow->protocol;
	bool marked = flow->flags & NP_FLOW_DEPARTED;
	enum flow_fate fate;

	if (state == NP_FLOW_FREE || seq & 1 || is_closing(state))
		return false;
	fate = fate_of(flow, family, seq, judge, arg);
	if (fate == FLOW_DEPARTED)
		marked = mark(flow, seq, true);
	else if (fate == FLOW_STAYS && protocol == IPPROTO_TCP && marked)
		marked = mark(flow, seq, false);
	return marked && protocol == IPPROTO_TCP;
}

size_t flows_mark(struct tables *t, flow_judge judge, void *arg)
{
	size_t marked = 0;

	for (uint32_t n = 0; n < t->size[TABLE_flows4]; n++)
		marked += look_at(record(t, NP_IPV4, n), NP_IPV4, judge, arg);
	for (uint32_t n = 0; n < t->size[TABLE_flows6]; n++)
		marked += look_at(record(t, NP_IPV6, n), NP_IPV6, judge, arg);
	return marked;
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
