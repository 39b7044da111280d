/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Flows that would look the same somewhere: one client port, one backend, two ways to it. Each
 * must be told apart, on every way and back.
 */
#include "harness.h"
#include "objects.h"

static const char *const state_twins[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	CLUSTER_IP("twin", "cluster2", ""),
	REMOTE("twin", "remote"),
	NULL,
};

#define NEW_MOVED                                                                                  \
	.moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_TRANSLATED, 1}, {NP_REASON_PORT_MOVED, 1}}
#define DIRECT_MOVED .moved = {{NP_REASON_TRANSLATED, 1}, {NP_REASON_PORT_MOVED, 1}}

/* One pod that listens on two of the ports for translation: see world.c. */
static const char *const state_listens_there[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICE_AT("20500", "4", "web", ENDPOINT("4", "local", "node1")),
	SLICE_AT("20500", "6", "web", ENDPOINT("6", "local", "node1")),
	CLUSTER_IP("twin", "cluster2", ""),
	SLICE_AT("20501", "4", "twin", ENDPOINT("4", "local", "node1")),
	SLICE_AT("20501", "6", "twin", ENDPOINT("6", "local", "node1")),
	NULL,
};

/* It is this port's turn to be a source port, at every backend. */
static void turn_of(unsigned port)
{
	const struct np_settings *s = world.tables->settings;
	uint32_t turn = 0;

	while (s->snat_port_first + (turn * NP_SNAT_STRIDE + (uint32_t)world.tables->hash_key[0]) %
					    s->snat_port_count !=
	       port)
		turn++;
	for (uint32_t i = 0; i < world.tables->size[TABLE_snat_ports]; i++)
		world.tables->snat_ports[i].next = turn;
}

static void turn_of_20500(void)
{
	turn_of(20500);
}

static void turn_of_20501(void)
{
	turn_of(20501);
}

/* Two pods of this node, each an endpoint of a service that the other uses. */
static const char *const state_each_other[] = {
	CLUSTER_IP("web", "cluster", ""),
	LOCAL("web", "local"),
	CLUSTER_IP("twin", "cluster2", ""),
	LOCAL("twin", "pod"),
	NULL,
};

static const char *const state_nobody[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	CLUSTER_IP("twin", "cluster2", ""),
	SLICES_EMPTY("twin"),
	NULL,
};

static void no_endpoints(void)
{
	world_apply(state_nobody);
}

static const struct test tests[] = {
	{"two frontends, one backend: the second gets another source port", state_twins,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("pod:40000", "cluster2:80"),
		   .out = {.src = "pod:?0", .dst = "remote:8080"}, NEW_MOVED},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT},
		  {EGRESS, SENDS("remote:8080", "pod:?0", .flags = SYN | ACK),
		   .out = {.src = "cluster2:80", .dst = "pod:40000"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .payload = 5),
		   .out = {.dst = "remote:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster2:80", .payload = 5),
		   .out = {.src = "pod:?0", .dst = "remote:8080"}, HIT},
		  {EGRESS, OPENS("pod:?0", "remote:8080")}}},
	{"two frontends, one backend, source translated", state_twins,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("client:40000", "external:80"),
		   .out = {.src = "client:?1", .dst = "remote:8080"}, NEW},
		  {EGRESS, OPENS("client:?0", "remote:8080"), .out = {.src = "snat:?0"}, HIT},
		  {EGRESS, OPENS("client:?1", "remote:8080"), .out = {.src = "snat:?1"}, HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?1"), .out = {.dst = "client:?1"}, HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?0"), .out = {.dst = "client:?0"}, HIT},
		  {EGRESS, SENDS("remote:8080", "client:?0"),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		  {EGRESS, SENDS("remote:8080", "client:?1"),
		   .out = {.src = "external:80", .dst = "client:40000"}, HIT}}},
	{"hairpin: never from the port it listens on, or both ways would be one",
	 state_listens_there,
	 .step = {{INGRESS, OPENS("local:40000", "cluster:80"),
		   .out = {.src = "local:?0", .dst = "local:20500"}, NEW, .action = turn_of_20500},
		  {EGRESS, OPENS("local:?0", "local:20500"), .out = {.src = "snat:?0"}, HIT},
		  {INGRESS, SENDS("local:20500", "snat:?0"), .out = {.dst = "local:?0"}, HIT},
		  {EGRESS, SENDS("local:20500", "local:?0"),
		   .out = {.src = "cluster:80", .dst = "local:40000"}, HIT}}},
	{"hairpin: nor so that one way of one is the other way of another", state_listens_there,
	 .step = {{INGRESS, OPENS("local:40000", "cluster:80"),
		   .out = {.src = "local:20501", .dst = "local:20500"}, NEW,
		   .action = turn_of_20501},
		  {INGRESS, OPENS("local:40000", "cluster2:80"),
		   .out = {.src = "local:?0", .dst = "local:20501"}, NEW, .action = turn_of_20500},
		  {EGRESS, OPENS("local:20501", "local:20500"), .out = {.src = "snat:20501"}, HIT},
		  {EGRESS, OPENS("local:?0", "local:20501"), .out = {.src = "snat:?0"}, HIT},
		  {EGRESS, SENDS("local:20500", "local:20501"),
		   .out = {.src = "cluster:80", .dst = "local:40000"}, HIT},
		  {EGRESS, SENDS("local:20501", "local:?0"),
		   .out = {.src = "cluster2:80", .dst = "local:40000"}, HIT}}},
	{"two pods to each other from the ports they listen on: the second gets another",
	 state_each_other,
	 .step = {{INGRESS, OPENS("local:8080", "cluster2:80"), .out = {.dst = "pod:8080"}, NEW},
		  {INGRESS, OPENS("pod:8080", "cluster:80"),
		   .out = {.src = "pod:?0", .dst = "local:8080"}, NEW_MOVED},
		  {EGRESS, OPENS("local:8080", "pod:8080")},
		  {EGRESS, OPENS("pod:?0", "local:8080")},
		  {EGRESS, SENDS("pod:8080", "local:8080"), .out = {.src = "cluster2:80"}, HIT},
		  {EGRESS, SENDS("local:8080", "pod:?0"),
		   .out = {.src = "cluster:80", .dst = "pod:8080"}, HIT}}},
	{"another client may be known by the port the backend listens on", state_listens_there,
	 .step = {{INGRESS, OPENS("client:40000", "node:30080"),
		   .out = {.src = "client:20500", .dst = "local:20500"}, NEW,
		   .action = turn_of_20500},
		  {EGRESS, OPENS("client:20500", "local:20500"), .out = {.src = "snat:20500"}, HIT},
		  {INGRESS, SENDS("local:20500", "snat:20500"), .out = {.dst = "client:20500"},
		   HIT},
		  {EGRESS, SENDS("local:20500", "client:20500"),
		   .out = {.src = "node:30080", .dst = "client:40000"}, HIT}}},
	{"two clients, one port, source translated", state_twins,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("client2:40000", "vip:80"),
		   .out = {.src = "client2:?1", .dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("remote:8080", "snat:?0"), .out = {.dst = "client:?0"}, HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?1"), .out = {.dst = "client2:?1"}, HIT}}},
	{"the first is closed: its name is free for the second", state_twins, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .flags = RST),
		   .out = {.dst = "remote:8080"}, HIT, .flows = "tcp_close"},
		  {INGRESS, OPENS("pod:40000", "cluster2:80"), .out = {.dst = "remote:8080"}, NEW,
		   .flows = "tcp_syn_sent"},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster2:80"}, HIT}}},
	{"a SYN to the backend itself ends a closed flow of that tuple", state_twins,
	 .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = RST),
		   .out = {.src = "cluster:80"}, HIT, .flows = "tcp_close"},
		  {INGRESS, OPENS("pod:40000", "remote:8080"), .flows = ""},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK)},
		  {INGRESS, SENDS("pod:40000", "remote:8080")}}},
	{"a SYN to the backend itself gets around a live flow", state_twins, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, OPENS("pod:40000", "remote:8080"), .out = {.src = "pod:?0"},
		   DIRECT_MOVED, .flows = "tcp_syn_sent tcp_syn_recv"},
		  {INGRESS, OPENS("pod:40000", "remote:8080"), .out = {.src = "pod:?0"}, HIT},
		  {EGRESS, SENDS("remote:8080", "pod:?0", .flags = SYN | ACK),
		   .out = {.dst = "pod:40000"}, HIT, .flows = "tcp_syn_recv tcp_syn_recv"},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, SENDS("pod:40000", "remote:8080"), .out = {.src = "pod:?0"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT}}},
	{"the same to a pod that is no endpoint any more", state_twins, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, OPENS("pod:40000", "remote:8080"), .out = {.src = "pod:?0"},
		   DIRECT_MOVED, .action = no_endpoints, .flows = "tcp_syn_sent tcp_syn_recv"}}},
	{"a SYN to the backend itself, source of the flow translated: no clash", state_twins,
	 .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("client:40000", "remote:8080")},
		  {INGRESS, OPENS("client:?0", "remote:8080"), .out = {.src = "client:?1"},
		   DIRECT_MOVED}}},
	{"the kernel chose the source port of a live flow: not out, and it is to choose again",
	 state_twins, .only = ONLY_TCP | ONLY_SCTP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, OPENS("snat:?0", "remote:8080"), .verdict = DROP,
		   .moved = {{NP_REASON_PORT_CLASH, 1}}},
		  {EGRESS, OPENS("snat:77", "remote:8080")},
		  {EGRESS, OPENS("client:?0", "remote:8080"), .out = {.src = "snat:?0"}, HIT}}},
	{"the kernel chose the source port of a closed flow: the flow ends", state_twins,
	 .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("client:40000", "vip:80", .flags = RST),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT, .flows = "tcp_close"},
		  {EGRESS, OPENS("snat:?0", "remote:8080"), .flows = ""},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK)}}},
	{"a SYN that leaves by the name of a closed flow ends it", state_twins, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("client:40000", "vip:80", .flags = RST),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT, .flows = "tcp_close"},
		  {EGRESS, OPENS("client:?0", "remote:8080"), .flows = ""}}},
	{"TCP and UDP from one port", state_twins, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .protocol = IPPROTO_UDP),
		   .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster2:80", .protocol = IPPROTO_UDP),
		   .out = {.src = "pod:?0", .dst = "remote:8080"}, NEW_MOVED},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .protocol = IPPROTO_UDP),
		   .out = {.src = "cluster:80"}, HIT},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT}}},
};

const struct group flows_ports = GROUP("source ports", tests);
