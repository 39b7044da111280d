/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A client's port that is used again, to the same frontend: the new flow takes the record of the
 * old one over, and its names where they stay the same.
 */
#include <string.h>

#include "harness.h"
#include "objects.h"

static const char *const state_twins[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	CLUSTER_IP("twin", "cluster2", ""),
	REMOTE("twin", "remote"),
	NULL,
};
static const char *const state_none[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	CLUSTER_IP("twin", "cluster2", ""),
	SLICES_EMPTY("twin"),
	NULL,
};
static const char *const state_other[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote2"),
	NULL,
};

static const char *const state_port[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICE_AT("8081", "4", "web", ENDPOINT("4", "remote", "node2")),
	SLICE_AT("8081", "6", "web", ENDPOINT("6", "remote", "node2")),
	NULL,
};
static const char *const state_kept[] = {
	LOAD_BALANCER("web", "cluster", "'externalTrafficPolicy':'Local',"),
	LOCAL("web", "local"),
	NULL,
};
static const char *const state_translated[] = {
	LOAD_BALANCER("web", "cluster", ""),
	LOCAL("web", "local"),
	NULL,
};

static void move_port(void)
{
	world_apply(state_port);
}

static void translate(void)
{
	world_apply(state_translated);
}

static void remove_all(void)
{
	world_apply(state_none);
}

static void restore_all(void)
{
	world_apply(state_twins);
}

static void move_to_other(void)
{
	world_apply(state_other);
}

static struct {
	struct np_flow *flow;
	uint32_t seq;
	uint32_t index[NP_NAMES];
} before;

static void remember(void)
{
	before.flow = flow_of(40000);
	assert_non_null(before.flow);
	before.seq = before.flow->seq;
	memcpy(before.index, before.flow->index, sizeof(before.index));
}

static void is_next_life(void)
{
	assert_ptr_equal(flow_of(40000), before.flow);
	assert_int_equal(before.flow->seq, before.seq + 2);
}

static void has_same_names(void)
{
	is_next_life();
	assert_memory_equal(before.flow->index, before.index, sizeof(before.index));
}

/* A name that is given goes to the first place that is free: not where it would be without these.
 */
#define OCCUPIED (0x80000001ULL << 32)

static void fill_first_places(uint64_t from, uint64_t to)
{
	struct tables *t = world.tables;

	for (uint32_t i = 0; i < t->size[TABLE_flow_index4]; i++)
		if (t->flow_index4[i].entry[0] == from)
			t->flow_index4[i].entry[0] = to;
	for (uint32_t i = 0; i < t->size[TABLE_flow_index6]; i++)
		if (t->flow_index6[i].entry[0] == from)
			t->flow_index6[i].entry[0] = to;
}

static void occupy(void)
{
	fill_first_places(0, OCCUPIED);
}

static void vacate(void)
{
	fill_first_places(OCCUPIED, 0);
}

/* An older nearpathd, which cleans these tables, took out what is of a free record. */
static void lose_reply(void)
{
	uint32_t at = before.index[NP_NAME_REPLY] - 1;
	struct np_bucket *index = world.variant.family == NP_IPV4 ? world.tables->flow_index4
								  : world.tables->flow_index6;

	index[at / NP_BUCKET].entry[at % NP_BUCKET] = 0;
}

/* As nearpathd does once no flow is left between these addresses. */
static void filter_forgets(void)
{
	struct tables *t = world.tables;

	for (uint32_t i = 0; i < t->size[TABLE_flow_filter]; i++)
		memset(t->flow_filter[i].half, 0, sizeof(t->flow_filter[i].half));
}

#define CONNECT_TO(to)                                                                             \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = to}, NEW,                \
							   .flows = "tcp_syn_sent"                 \
	}
#define CONNECT CONNECT_TO("remote:8080")
#define CLIENT(f, after)                                                                           \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80", .flags = f),                             \
			.out = {.dst = "remote:8080"}, HIT, .flows = after                         \
	}
#define BACKEND(f, after)                                                                          \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:40000", .flags = f),                             \
			.out = {.src = "cluster:80"}, HIT, .flows = after                          \
	}
#define ESTABLISH BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(ACK, "tcp_established")
#define CLOSE	  CLIENT(RST, "tcp_close")

static const struct test tests[] = {
	{"to the same backend: the record with its names", state_twins, .only = ONLY_TCP,
	 .step = {{.action = occupy},
		  CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {.action = vacate},
		  CONNECT,
		  {.action = has_same_names},
		  ESTABLISH}},
	{"but for one that is not in the index any more", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {.action = lose_reply},
		  CONNECT,
		  {.action = is_next_life},
		  ESTABLISH}},
	{"and packets look for it, be the filter emptied meanwhile", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLOSE, {.action = filter_forgets}, CONNECT, ESTABLISH}},
	{"to another backend: the record alone", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {.action = move_to_other},
		  CONNECT_TO("remote2:8080"),
		  {.action = is_next_life},
		  {EGRESS, SENDS("remote2:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT, .flows = "tcp_syn_recv"},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK)}}},
	{"to another port of the backend: the record alone", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {.action = move_port},
		  CONNECT_TO("remote:8081"),
		  {.action = is_next_life},
		  {EGRESS, SENDS("remote:8081", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT, .flows = "tcp_syn_recv"},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK)}}},
	{"source is translated now: other names", state_kept, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("client:40000", "vip:80", .flags = RST),
		   .out = {.dst = "local:8080"}, HIT},
		  {.action = remember},
		  {.action = translate},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "local:8080"}, NEW},
		  {.action = is_next_life},
		  {EGRESS, OPENS("client:?0", "local:8080"), .out = {.src = "snat:?0"}, HIT},
		  {INGRESS, SENDS("local:8080", "snat:?0"), .out = {.dst = "client:?0"}, HIT},
		  {EGRESS, SENDS("local:8080", "client:?0"),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT}}},
	{"its port was moved, and need not be any more: other names", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  {INGRESS, OPENS("pod:40000", "cluster2:80"),
		   .out = {.src = "pod:?0", .dst = "remote:8080"},
		   .moved = {{NP_REASON_NEW_FLOW, 1},
			     {NP_REASON_TRANSLATED, 1},
			     {NP_REASON_PORT_MOVED, 1}}},
		  {INGRESS, SENDS("pod:40000", "cluster2:80", .flags = RST),
		   .out = {.src = "pod:?0", .dst = "remote:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .flags = RST),
		   .out = {.dst = "remote:8080"}, HIT},
		  {INGRESS, OPENS("pod:40000", "cluster2:80"), .out = {.dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster2:80"}, HIT}}},
	{"source translated: the next port in turn, and names of that", state_twins,
	 .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, OPENS("client:?0", "remote:8080"), .out = {.src = "snat:?0"}, HIT},
		  {INGRESS, SENDS("client:40000", "vip:80", .flags = RST),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT, .flows = "tcp_close"},
		  {.action = remember},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?1", .dst = "remote:8080"}, NEW},
		  {.action = is_next_life},
		  {EGRESS, OPENS("client:?1", "remote:8080"), .out = {.src = "snat:?1"}, HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?1"), .out = {.dst = "client:?1"}, HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?0")},
		  {EGRESS, SENDS("client:?0", "remote:8080")}}},
	{"refused: no packet is of the old flow, whose names are for whoever wants them",
	 state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), REFUSED(NO_ENDPOINT),
		   .action = remove_all, .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80")},
		  {EGRESS, SENDS("remote:8080", "pod:40000")},
		  {INGRESS, OPENS("pod:40000", "cluster2:80"), .out = {.dst = "remote:8080"}, NEW,
		   .action = restore_all, .flows = "tcp_syn_sent"},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster2:80"}, HIT}}},
	{"refused, then there is an endpoint again", state_twins, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), REFUSED(NO_ENDPOINT),
		   .action = remove_all, .flows = ""},
		  {.action = restore_all},
		  CONNECT,
		  {.action = has_same_names},
		  ESTABLISH}},
};

const struct group flows_again = GROUP("a port that is used again", tests);
