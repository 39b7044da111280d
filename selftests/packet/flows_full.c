/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A full flow table: which record a new connection is given (expired, then closed, then never
 * answered, then the UDP flow idle longest), which it never is, and that it is told. The table of
 * the tests has 64 records.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "flowtable.h"
#include "harness.h"
#include "objects.h"

#define RECORDS	   64
#define FIRST_PORT 40000

static struct np_flow *flow(int number)
{
	struct np_flow *f = flow_of(FIRST_PORT + number);

	assert_non_null(f);
	return f;
}

/* The table full of flows in this state, all seen now; pod ports from FIRST_PORT. */
static void fill(unsigned state)
{
	const int family = world.variant.family;
	struct flowtable_flow f = {
		.family = family,
		.protocol = IPPROTO_TCP,
		.state = state,
		.seen = tables_jiffies(),
		.addr = {name_address("pod", family), name_address("cluster", family),
			 name_address("remote", family), name_address("pod", family)}};

	for (int i = 0; i < RECORDS; i++) {
		f.port[NP_CLIENT] = f.port[NP_SNAT] = htons(FIRST_PORT + i);
		f.port[NP_FRONTEND] = htons(80);
		f.port[NP_BACKEND] = htons(8080);
		assert_int_equal(flowtable_insert(world.tables, &f, NULL), 0);
		flow(i)->state = NP_FLOW_TCP_ESTABLISHED; /* not to be taken for the next */
	}
	for (int i = 0; i < RECORDS; i++)
		flow(i)->state = state;
}

static void begin(void **variant, unsigned state)
{
	world.variant = *(struct variant *)*variant;
	world_reset(state_remote, NULL);
	fill(state);
}

/* One more connection that finds a record; counted: somebody's who was still in use. */
static void open_one(int port, bool counted)
{
	char from[32];
	struct step step = {INGRESS, OPENS(from, "cluster:80"), .out = {.dst = "remote:8080"}, NEW};

	snprintf(from, sizeof(from), "pod:%d", port);
	if (counted)
		step.moved[2] = (struct moved){NP_REASON_EVICTED, 1};
	step_run(&step, false);
}

/* One more connection, for which there is none. */
static void refuse_one(int port)
{
	char from[32];
	struct step step = {INGRESS, OPENS(from, "cluster:80"), .verdict = DROP,
			    COUNTS(FLOWS_FULL)};

	snprintf(from, sizeof(from), "pod:%d", port);
	step_run(&step, false);
	assert_null(flow_of(port));
}

static void idle(int number, uint32_t seconds)
{
	flow(number)->seen -= seconds * tables_hertz();
}

/* What gives way before what follows; idle in seconds. */
static const struct kind {
	unsigned state;
	uint32_t idle;
	bool expired;
} kinds[] = {
	{NP_FLOW_TCP_ESTABLISHED, 86401, true},
	{NP_FLOW_TCP_CLOSE, 5, false},
	{NP_FLOW_TCP_TIME_WAIT, 4, false},
	{NP_FLOW_TCP_LAST_ACK, 3, false},
	{NP_FLOW_SCTP_CLOSED, 0, false},
	{NP_FLOW_TCP_SYN_SENT, 20, false},
	{NP_FLOW_UDP, 15, false},
	{NP_FLOW_UDP_REPLIED, 12, false},
	{NP_FLOW_TCP_SYN_RECV, 10, false},
	{NP_FLOW_SCTP_NEW, 0, false},
	{NP_FLOW_UDP_STREAM, 100, false},
	{NP_FLOW_UDP_STREAM, 0, false},
};

/* Record n and its counterpart in the other half of the table. */
static void become(uint32_t n, const struct kind *kind)
{
	for (int half = 0; half < RECORDS; half += RECORDS / 2) {
		flow_at(half + n)->state = kind->state;
		flow_at(half + n)->seen -= kind->idle * tables_hertz();
	}
}

static int taken(uint32_t n, int port)
{
	return (flow_at(n)->port[NP_CLIENT] == htons(port)) +
	       (flow_at(n + RECORDS / 2)->port[NP_CLIENT] == htons(port));
}

/* Half of the table is looked at, wherever that begins: each kind is in both halves. */
static void order_of_eviction(void **variant)
{
	for (size_t i = 0; i + 1 < ARRAY_SIZE(kinds); i++) {
		begin(variant, NP_FLOW_TCP_ESTABLISHED);
		become(5, &kinds[i]);
		become(20, &kinds[i + 1]);
		open_one(50000, !kinds[i].expired);
		assert_int_equal(taken(5, 50000), 1);
		assert_int_equal(taken(20, 50000), 0);
	}
}

static void live_is_never_evicted(void **variant, unsigned state)
{
	begin(variant, state);
	for (int i = 0; i < RECORDS; i++)
		idle(i, 100);
	for (int i = 0; i < 10; i++)
		refuse_one(50000 + i);
	for (int i = 0; i < RECORDS; i++)
		assert_int_equal(flow(i)->state, state);
}

static void open_is_never_evicted(void **variant)
{
	live_is_never_evicted(variant, NP_FLOW_TCP_ESTABLISHED);
}

static void half_closed_is_never_evicted(void **variant)
{
	live_is_never_evicted(variant, NP_FLOW_TCP_CLOSE_WAIT);
}

/* Seen by another CPU a tick later than the one that looks for space believes it is. */
static void ahead_is_never_evicted(void **variant)
{
	begin(variant, NP_FLOW_TCP_ESTABLISHED);
	for (int i = 0; i < RECORDS; i++)
		flow(i)->seen += 3;
	refuse_one(50000);
}

/* In a flood of SYNs only the unanswered give way to each other. */
static void flood_spares_the_live(void **variant)
{
	char from[32];

	begin(variant, NP_FLOW_TCP_SYN_SENT);
	for (int i = 0; i < RECORDS / 2; i++)
		flow(i * 2)->state = NP_FLOW_TCP_ESTABLISHED;
	for (int i = 0; i < 500; i++) {
		struct step step = {INGRESS, OPENS(from, "cluster:80"),
				    .out = {.dst = "remote:8080"},
				    .moved = {{NP_REASON_NEW_FLOW, 1},
					      {NP_REASON_TRANSLATED, 1},
					      {NP_REASON_EVICTED, 1}}};

		snprintf(from, sizeof(from), "pod:%d", 50000 + i);
		step_run(&step, false);
	}
	for (int i = 0; i < RECORDS / 2; i++)
		assert_int_equal(flow(i * 2)->state, NP_FLOW_TCP_ESTABLISHED);
}

/* Names of evicted flows are gone from the index: it does not fill up, nothing is found by them. */
static void index_entries_follow(void **variant)
{
	struct tables *t = world.tables;
	const __u64 *entry;
	int used = 0;

	begin(variant, NP_FLOW_TCP_SYN_SENT);
	for (int i = 0; i < 300; i++)
		open_one(50000 + i, true);
	entry = world.variant.family == NP_IPV4 ? t->flow_index4->entry : t->flow_index6->entry;
	for (size_t i = 0; i < RECORDS * sizeof(*t->flow_index4) / sizeof(*entry); i++)
		used += entry[i] != 0;
	assert_int_equal(used, 2 * RECORDS);
}

static void full_for_one_family_only(void **variant)
{
	static const struct step step = {INGRESS, OPENS("pod:40000", "cluster:80"),
					 .out = {.dst = "remote:8080"}, NEW};

	begin(variant, NP_FLOW_TCP_ESTABLISHED);
	world.variant.family = world.variant.family == NP_IPV4 ? NP_IPV6 : NP_IPV4;
	step_run(&step, false);
}

/* What exists goes on when the table is full, and what needs no record too. */
static void full_concerns_new_flows_only(void **variant)
{
	static const struct step steps[] = {
		{INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT},
		{EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT},
		{INGRESS, OPENS("pod:50000", "client:80")},
	};

	begin(variant, NP_FLOW_TCP_ESTABLISHED);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		step_run(&steps[i], false);
}

/* All from one port are looked for at one place: none has to go while half of the table is free. */
static void one_port_takes_many(void **variant)
{
	static const struct step step = {INGRESS, OPENS("pod:40000", "cluster:80"),
					 .out = {.dst = "remote:8080"}, NEW};
	const int family = ((struct variant *)*variant)->family;
	struct flowtable_flow f = {
		.family = family,
		.protocol = IPPROTO_UDP,
		.state = NP_FLOW_UDP_STREAM,
		.addr = {name_address("pod", family), name_address("cluster2", family),
			 name_address("remote", family), name_address("pod", family)}};
	int left = 0;

	world.variant = *(struct variant *)*variant;
	world.variant.protocol = IPPROTO_UDP;
	world_reset(state_remote, NULL);
	f.seen = tables_jiffies();
	f.port[NP_CLIENT] = f.port[NP_SNAT] = htons(40000);
	for (int i = 0; i < 32; i++) {
		f.port[NP_FRONTEND] = htons(1000 + i);
		f.port[NP_BACKEND] = htons(2000 + i);
		assert_int_equal(flowtable_insert(world.tables, &f, NULL), 0);
	}
	step_run(&step, false);
	for (int i = 0; i < RECORDS; i++)
		left += flow_at(i)->state == NP_FLOW_UDP_STREAM;
	assert_int_equal(left, 32);
}

static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_TCP},
				{.family = NP_IPV6, .protocol = IPPROTO_TCP}};

#define IN_BOTH(title, function)                                                                   \
	{title " (IPv4)", function, NULL, NULL, &ways[0]},                                         \
	{                                                                                          \
		title " (IPv6)", function, NULL, NULL, &ways[1]                                    \
	}

int full_run(void)
{
	const struct CMUnitTest tests[] = {
		IN_BOTH("order of eviction", order_of_eviction),
		IN_BOTH("open TCP is never evicted", open_is_never_evicted),
		IN_BOTH("half-closed TCP is never evicted", half_closed_is_never_evicted),
		IN_BOTH("a flow seen a tick ahead is never evicted", ahead_is_never_evicted),
		IN_BOTH("a flood of SYNs spares the live", flood_spares_the_live),
		IN_BOTH("index entries follow their records", index_entries_follow),
		IN_BOTH("each family has its own table", full_for_one_family_only),
		IN_BOTH("one port to many frontends, half of the table free: none is evicted",
			one_port_takes_many),
		IN_BOTH("a full table concerns new flows only", full_concerns_new_flows_only),
	};

	return cmocka_run_group_tests_name("a full table", tests, NULL, NULL);
}
