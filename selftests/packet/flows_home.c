/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where packets look for their flow: at home first, the record that the client's address and port
 * stand for, and only then through the index. Answers to a translated source, which do not tell the
 * client, where the last one's flow was.
 */
#include <arpa/inet.h>
#include <string.h>

#include "harness.h"
#include "objects.h"

static const char *const state[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	CLUSTER_IP("twin", "cluster2", ""),
	REMOTE("twin", "remote"),
	NULL,
};

static void lose_index(void)
{
	struct tables *t = world.tables;

	memset(t->flow_index4, 0, t->size[TABLE_flow_index4] * sizeof(*t->flow_index4));
	memset(t->flow_index6, 0, t->size[TABLE_flow_index6] * sizeof(*t->flow_index6));
}

/* Beside it only the fast path looks. */
static void lose_index_of_fast(void)
{
	if (world.quiet)
		lose_index();
}

static struct np_flow *home;

/* Another flow has the record: of this one's client, from and to another port. */
static void squat(void)
{
	home = flow_of(40000);
	assert_non_null(home);
	home->state = NP_FLOW_TCP_ESTABLISHED;
	home->port[NP_CLIENT] ^= htons(1);
	home->port[NP_SNAT] ^= htons(1);
}

/* It ended, and the record tells still of the one before it. */
static void leave(void)
{
	home->state = NP_FLOW_FREE;
	home->port[NP_CLIENT] ^= htons(1);
	home->port[NP_SNAT] ^= htons(1);
}

/* As another CPU leaves it while it ends the flow and makes another of the record. */
static void claim(void)
{
	flow_of(40000)->seq++;
}

static void publish(void)
{
	flow_of(40000)->seq++;
}

/* What is remembered of answers is of no flow, or of the one flow that there is. */
static void forget_answers(void)
{
	memset(world.tables->hints, 0xFF,
	       world.tables->size[TABLE_hints] * sizeof(*world.tables->hints));
}

static void mistake_answers(void)
{
	struct np_hints *hints = world.tables->hints;
	uint32_t number = 0;

	assert_non_null(flow_of(40000));
	while (flow_at(number) != flow_of(40000))
		number++;
	for (uint32_t i = 0; i < world.tables->size[TABLE_hints]; i++)
		hints[i].record[0] = hints[i].record[1] = number;
}

/* And the filter takes everything for a flow's. */
static void mistake_all(void)
{
	mistake_answers();
	memset(world.tables->flow_filter, 0xFF,
	       world.tables->size[TABLE_flow_filter] * sizeof(*world.tables->flow_filter));
}

#define CONNECT                                                                                    \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW      \
	}
#define ASK                                                                                        \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT      \
	}
#define ANSWER                                                                                     \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT       \
	}
/* The same client's port, which the backend is to tell apart. */
#define CONNECT_TWIN                                                                               \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster2:80"),                                        \
			.out = {.src = "pod:?0", .dst = "remote:8080"}, .moved = {                 \
				{NP_REASON_NEW_FLOW, 1},                                           \
				{NP_REASON_TRANSLATED, 1},                                         \
				{NP_REASON_PORT_MOVED, 1}                                          \
			}                                                                          \
	}
#define ASK_TWIN                                                                                   \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster2:80"),                                        \
			.out = {.src = "pod:?0", .dst = "remote:8080"}, HIT                        \
	}
#define ANSWER_TWIN                                                                                \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:?0"),                                            \
			.out = {.src = "cluster2:80", .dst = "pod:40000"}, HIT                     \
	}

#define CONNECT_OUTSIDE(client, port)                                                              \
	{                                                                                          \
		INGRESS, OPENS(client ":40000", "vip:80"),                                         \
			.out = {.src = client ":" port, .dst = "remote:8080"}, NEW                 \
	}
#define ANSWER_OUTSIDE(client, port)                                                               \
	{                                                                                          \
		INGRESS, SENDS("remote:8080", "snat:" port), .out = {.dst = client ":" port}, HIT  \
	}

static const struct test tests[] = {
	{"at home, whatever the index says", state,
	 .step = {CONNECT, {.action = lose_index}, ASK, ANSWER, ASK}},
	{"beside it", state, .only = ONLY_TCP | ONLY_UDP,
	 .step = {CONNECT,
		  {.action = squat},
		  CONNECT,
		  {.action = lose_index_of_fast},
		  ASK,
		  ANSWER}},
	{"not where it was before", state,
	 .step = {CONNECT, {.action = squat}, CONNECT, {.action = leave}, ASK, ANSWER}},
	{"another flow of the same port, which is not", state,
	 .step = {CONNECT, CONNECT_TWIN, ASK, ASK_TWIN, ANSWER, ANSWER_TWIN, ASK, ASK_TWIN}},
	{"not while it is claimed", state, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ASK,
		  {.action = claim},
		  {INGRESS, SENDS("pod:40000", "cluster:80")},
		  {EGRESS, SENDS("remote:8080", "pod:40000")},
		  {.action = publish},
		  ASK,
		  ANSWER}},
	{"nor what has the client alone in common with it", state, .only = ONLY_TCP,
	 .step = {CONNECT,
		  {INGRESS, SENDS("pod:40000", "remote:8080")},
		  {INGRESS, SENDS("pod:40000", "cluster:81")},
		  {EGRESS, SENDS("remote:8081", "pod:40000")},
		  ASK}},
	{"answers to a translated source, where the last one's was", state,
	 .only = ONLY_TCP | ONLY_UDP,
	 .step = {CONNECT_OUTSIDE("client", "?0"),
		  ANSWER_OUTSIDE("client", "?0"),
		  {.action = lose_index_of_fast},
		  ANSWER_OUTSIDE("client", "?0")}},
	{"none of them is of a flow whose source is not translated", state, .only = ONLY_TCP,
	 .step = {CONNECT,
		  {.action = mistake_all},
		  {INGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .flows = "tcp_syn_sent"}}},
	{"which are not of what is remembered", state, .only = ONLY_TCP | ONLY_UDP,
	 .step = {CONNECT_OUTSIDE("client", "?0"),
		  {.action = forget_answers},
		  ANSWER_OUTSIDE("client", "?0"),
		  {.action = mistake_answers},
		  CONNECT_OUTSIDE("client2", "?1"),
		  ANSWER_OUTSIDE("client2", "?1"),
		  ANSWER_OUTSIDE("client", "?0"),
		  {.action = lose_index_of_fast},
		  ANSWER_OUTSIDE("client2", "?1"),
		  ANSWER_OUTSIDE("client", "?0")}},
};

const struct group flows_home = GROUP("where packets look for their flow", tests);
