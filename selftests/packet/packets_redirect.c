/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Redirected packets: what may be taken past the host's stack, and what only looks so. That they
 * arrive is for selftests/net/redirect.sh.
 */
#include "harness.h"
#include "objects.h"

static const struct np_iface redirected = {
	.lb = NP_LB_ON,
	.flags = NP_IFACE_STATS | NP_IFACE_PORT | NP_IFACE_REDIRECT,
	.l2_len = 14,
	.mtu = 1500,
};

static const char *const state_second[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "second"),
	NULL,
};

static const char *const state_silent[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "silent"),
	NULL,
};

/* The other device as well. */
static void both(void)
{
	world.tables->ifaces[world.ns.second].flags |= NP_IFACE_REDIRECT;
}

/* And this one is a pod's, whose source addresses are looked at. */
static void pod(void)
{
	both();
	world.tables->ifaces[world.ns.uplink].netns = 7;
}

static void at_silent(void)
{
	world_apply(state_silent);
}

/* As of flows whose endpoints are gone. */
static void no_numbers(void)
{
	for (uint32_t i = 0; i < world.tables->size[TABLE_flows4]; i++)
		flow_at(i)->backend = UINT32_MAX;
}

#define MAC	     .dst_mac = NETNS_MAC_UPLINK
#define DIRECT_MOVED .moved = {{NP_REASON_TRANSLATED, 1}, {NP_REASON_PORT_MOVED, 1}}
#define OUT(from)                                                                                  \
	.verdict = REDIRECT,                                                                       \
	.out = {.src = from, .src_mac = NETNS_MAC_SECOND, .dst_mac = NETNS_MAC_FAR, .ttl = 63}

static const struct test tests[] = {
	{"answers from handshake to reset, the SYN goes by the stack", state_remote, &redirected,
	 .step = {{INGRESS, OPENS("second:40000", "cluster:80", MAC), .out = {.dst = "remote:8080"},
		   NEW, .action = both},
		  {INGRESS, SENDS("remote:8080", "second:40000", .flags = SYN | ACK, MAC),
		   OUT("cluster:80"), HIT, .flows = "tcp_syn_recv"},
		  {INGRESS, SENDS("remote:8080", "second:40000", .payload = 9, MAC),
		   OUT("cluster:80"), HIT},
		  {INGRESS, SENDS("remote:8080", "second:40000", .flags = RST, MAC),
		   OUT("cluster:80"), HIT, .flows = "tcp_close"}}},
	{"a SYN that is sent again, beside a direct connection from its port", state_second,
	 &redirected,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", MAC), .out = {.dst = "second:8080"},
		   NEW, .action = both},
		  {INGRESS, OPENS("pod:40000", "second:8080", MAC), .out = {.src = "pod:?0"},
		   DIRECT_MOVED},
		  {INGRESS, OPENS("pod:40000", "cluster:80", MAC), .out = {.dst = "second:8080"},
		   HIT}}},
	{"an address that is not routed to the pod, beside one that is", state_remote, &redirected,
	 .step = {{INGRESS, OPENS("second:40000", "cluster:80", MAC), .out = {.dst = "remote:8080"},
		   NEW, .action = pod},
		  {INGRESS, OPENS("second:40001", "cluster:80", MAC), .out = {.dst = "silent:8080"},
		   NEW, .action = at_silent},
		  {INGRESS, SENDS("remote:8080", "second:40000", .flags = SYN | ACK, MAC),
		   OUT("cluster:80"), HIT, .action = no_numbers},
		  {INGRESS, SENDS("silent:8080", "second:40001", .flags = SYN | ACK, MAC)}}},
};

const struct group packets_redirect = {.name = "packets: redirect",
				       .test = tests,
				       .count = sizeof(tests) / sizeof(tests[0]),
				       .only = ONLY_TCP};
