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
	 .step = {CONNECT,
		  ESTABLISH,
		  CLOSE,
		  {.action = remember},
		  CONNECT,
		  {.action = has_same_names},
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
