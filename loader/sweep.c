/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See sweep.h. What a record says is believed if its seq was the same before and after. */
#include "sweep.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>

#include "flowtable.h"
#include "names.h"
#include "util.h"

#define SLICE_MS 100
#define SLICES	 (SWEEP_SECONDS * 1000 / SLICE_MS)

#define FILTER_ROUNDS 6 /* of so many one makes the filter anew, which waits twice for all CPUs */

/* The clock may be behind the tick of the CPU that saw the last packet. */
#define AHEAD 0x100000U

struct sweep {
	struct tables *tables;
	struct event *timer;
	uint32_t next; /* record of both families */
	uint32_t now;
	struct sweep_counts done, current;
	uint32_t *ports, *ports_current; /* by protocol, then backend */
	uint32_t backends;
	bool filters; /* this round makes the other half of the filter */
};

static const uint8_t protocols[SWEEP_PROTOCOLS] = {
	[SWEEP_TCP] = IPPROTO_TCP, [SWEEP_UDP] = IPPROTO_UDP, [SWEEP_SCTP] = IPPROTO_SCTP};

static bool has_expired(const struct sweep *s, uint8_t state, uint32_t seen)
{
	uint32_t age = s->now - seen;

	return age < -AHEAD && age > s->tables->settings->flow_timeout[state % NP_FLOW_STATES_ROOM];
}

static void count_ports(struct sweep *s, uint8_t protocol, uint32_t backend)
{
	for (int i = 0; i < SWEEP_PROTOCOLS; i++)
		if (protocols[i] == protocol && backend < s->backends)
			s->ports_current[i * s->backends + backend]++;
}

/*
 * Empty the half that need not be whole. No packet needs it still after a grace period, be it one
 * that found its bit missing in the other when that was not whole; and when it is empty every
 * program is over that found a bit there and had no need to set it: after the grace periods records
 * tell of all bits that are to be there, or programs set them again. Where there are none
 * (nohz_full), the filter goes on filling.
 */
static void begin_filter(struct sweep *s)
{
	struct tables *t = s->tables;
	unsigned other = ~t->config->filter & 1;

	s->filters = !tables_synchronize();
	for (uint32_t i = 0; s->filters && i < t->size[TABLE_flow_filter]; i++)
		__atomic_store_n(&t->flow_filter[i].half[other], 0, __ATOMIC_RELAXED);
	s->filters = s->filters && !tables_synchronize();
}

static void end_filter(struct sweep *s)
{
	struct np_config *config = s->tables->config;

	if (s->filters)
		__atomic_store_n(&config->filter, ~config->filter & 1, __ATOMIC_RELEASE);
	s->filters = false;
}

static void filter_one(struct sweep *s, enum sweep_family family, uint32_t number)
{
	const int version = family == SWEEP_IPV4 ? NP_IPV4 : NP_IPV6;
	struct flowtable_flow flow;

	/* What is claimed now sets its bits itself. */
	if (!flowtable_read(s->tables, version, number, &flow, NULL))
		flowtable_unfilter(s->tables, version, &flow, ~s->tables->config->filter & 1);
}

static void look_at(struct sweep *s, enum sweep_family family, const struct np_flow *flow,
		    uint32_t number)
{
	uint32_t seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
	uint8_t state = flow->state, protocol = flow->protocol;
	uint32_t seen = flow->seen, backend = flow->backend;
	uint16_t flags = flow->flags;

	if (state == NP_FLOW_FREE || state >= NP_FLOW_STATES || seq & 1)
		return;
	if (s->filters)
		filter_one(s, family, number);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&flow->seq, __ATOMIC_RELAXED) != seq)
		return;
	if (has_expired(s, state, seen) &&
	    !flowtable_expire(s->tables, family == SWEEP_IPV4 ? NP_IPV4 : NP_IPV6, number)) {
		s->current.expired++;
		return;
	}
	s->current.flows[family][state]++;
	s->current.total[family]++;
	if (flags & NP_FLOW_TRANSLATED)
		count_ports(s, protocol, backend);
}

static uint32_t records(const struct sweep *s)
{
	const uint32_t *size = s->tables->size;

	return size[TABLE_flows4] > size[TABLE_flows6] ? size[TABLE_flows4] : size[TABLE_flows6];
}

static void end_round(struct sweep *s)
{
	uint32_t *ports = s->ports;

	end_filter(s);
	s->current.rounds++;
	s->done = s->current;
	s->ports = s->ports_current;
	s->ports_current = ports;
	memset(ports, 0, SWEEP_PROTOCOLS * (size_t)s->backends * sizeof(*ports));
	s->current = (struct sweep_counts){.expired = s->done.expired, .rounds = s->done.rounds};
	s->next = 0;
}

static void slice(struct sweep *s, uint32_t count)
{
	const struct tables *t = s->tables;

	tables_ask_jiffies(t);
	s->now = tables_jiffies();
	for (; count && s->next < records(s); count--, s->next++) {
		if (s->next < t->size[TABLE_flows4])
			look_at(s, SWEEP_IPV4, &t->flows4[s->next].flow, s->next);
		if (s->next < t->size[TABLE_flows6])
			look_at(s, SWEEP_IPV6, &t->flows6[s->next].flow, s->next);
	}
	if (s->next >= records(s))
		end_round(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sweep *s = arg;

	(void)fd, (void)what;
	if (!s->next && s->current.rounds % FILTER_ROUNDS == 0)
		begin_filter(s);
	slice(s, records(s) / SLICES + 1);
}

void sweep_round(struct sweep *s)
{
	s->next = 0;
	s->current =
		(struct sweep_counts){.expired = s->current.expired, .rounds = s->current.rounds};
	memset(s->ports_current, 0, SWEEP_PROTOCOLS * (size_t)s->backends * sizeof(*s->ports));
	begin_filter(s);
	slice(s, records(s));
}

int sweep_new(struct event_base *base, struct tables *tables, struct sweep **sweep)
{
	static const struct timeval every = {.tv_usec = SLICE_MS * 1000};
	_cleanup_(sweep_free) struct sweep *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->tables = tables;
	s->backends = tables->size[TABLE_backends];
	s->ports = calloc(SWEEP_PROTOCOLS * (size_t)s->backends, sizeof(*s->ports));
	s->ports_current = calloc(SWEEP_PROTOCOLS * (size_t)s->backends, sizeof(*s->ports));
	if (!s->ports || !s->ports_current)
		return -ENOMEM;
	if (base) {
		s->timer = event_new(base, -1, EV_PERSIST, on_timer, s);
		if (!s->timer || event_add(s->timer, &every))
			return -ENOMEM;
	}
	*sweep = TAKE_PTR(s);
	return 0;
}

void sweep_free(struct sweep **sweep)
{
	struct sweep *s = TAKE_PTR(*sweep);

	if (!s)
		return;
	if (s->timer)
		event_free(s->timer);
	free(s->ports);
	free(s->ports_current);
	free(s);
}

const struct sweep_counts *sweep_counts(const struct sweep *s)
{
	return &s->done;
}

uint32_t sweep_ports(const struct sweep *s, enum sweep_protocol protocol, uint32_t backend)
{
	return backend < s->backends ? s->ports[protocol * s->backends + backend] : 0;
}

const char *sweep_protocol_name(enum sweep_protocol protocol)
{
	return protocol_name(protocols[protocol]);
}
