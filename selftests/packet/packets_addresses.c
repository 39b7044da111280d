/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is decided by the destination address alone, whatever the port: loopback, addresses of the
 * host, clusterIPs, service ranges, and one address that is several of these.
 */
#include <arpa/inet.h>
#include <string.h>

#include "cidr.h"
#include "harness.h"
#include "objects.h"

/* A clusterIP that the host has as well, as with a node-local DNS cache. */
static const char *const state_own[] = {
	LOAD_BALANCER("web", "node", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_two[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	CLUSTER_IP("other", "cluster2", ""),
	REMOTE("other", "remote2"),
	NULL,
};
/* Two services cannot share a clusterIP, but tell that to the API server. */
static const char *const state_shared[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	CLUSTER_IP("other", "cluster", ""),
	REMOTE("other", "remote2"),
	NULL,
};

static const struct np_iface iface_drain = {
	.lb = NP_LB_DRAIN, .flags = NP_IFACE_STATS, .l2_len = 14, .mtu = 1500};

static void one_leaves(void)
{
	world_apply(state_remote);
}

static void all_leave(void)
{
	world_apply(NULL);
}

/* Before it are ranges of others: those there are come first (loader/node.c). */
static void set_range(const char *four, const char *six, size_t place)
{
	struct np_config *c = world.tables->config;
	struct cidr cidr;

	if (place)
		set_range("198.18.0.0/24", "2001:db8:18::/112", place - 1);
	assert_int_equal(cidr_parse(four, &cidr), 0);
	c->service_cidr4[place] = cidr.prefix;
	assert_int_equal(cidr_parse(six, &cidr), 0);
	c->service_cidr6[place] = cidr.prefix;
}

static void with_range(void)
{
	set_range("10.96.0.0/24", "fd00:10:96::/112", 0);
}

static void with_last_range(void)
{
	set_range("10.96.0.0/24", "fd00:10:96::/112", NP_SERVICE_CIDRS - 1);
}

/* One that the node, its pods and everybody else are in. */
static void with_widest_range(void)
{
	set_range("0.0.0.0/0", "::/0", 3);
}

static void without_ranges(void)
{
	struct np_config *c = world.tables->config;

	for (size_t i = 0; i < NP_SERVICE_CIDRS; i++)
		c->service_cidr4[i] = c->service_cidr6[i] = cidr_nobody();
}

static void localhost_answers(void)
{
	world.tables->config->localhost_nodeports4 = 1;
	world.tables->config->localhost_nodeports6 = 1;
}

#define ECHO .icmp4_type = 8, .icmp6_type = 128
#define PASSES(from, to)                                                                           \
	{                                                                                          \
		INGRESS, OPENS(from, to)                                                           \
	}
#define PINGED(to)                                                                                 \
	{                                                                                          \
		INGRESS, SENDS("pod", to, ECHO, .payload = 56)                                     \
	}
#define SWALLOWED(from, to)                                                                        \
	{                                                                                          \
		INGRESS, OPENS(from, to), .verdict = DROP, COUNTS(NO_SUCH_SERVICE)                 \
	}

static const struct test tests[] = {
	{"loopback is no NodePort of a packet's, whatever the option says", state_remote,
	 .step = {{.action = localhost_answers},
		  PASSES("client:40000", "loop:30080"),
		  PASSES("pod:40000", "loop:30080"),
		  PASSES("loop:40000", "loop:30080"),
		  {AT_XDP, OPENS("client:40000", "loop:30080")},
		  PASSES("client:40001", "loop:30080")}},
	{"a clusterIP that is the host's: the service's port alone is the service's", state_own,
	 .step = {{INGRESS, OPENS("pod:40000", "node:80"), .out.dst = "remote:8080", NEW},
		  {INGRESS, OPENS("client:40000", "node:30080"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  PASSES("pod:40000", "node:81"),
		  PINGED("node")}},
	{"it stays the host's when the service goes", state_own,
	 .step = {{.action = all_leave},
		  PASSES("pod:40000", "node:80"),
		  PASSES("pod:40000", "node:81"),
		  PINGED("node")}},
	{"a clusterIP that goes is the kernel's again", state_two,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster2:81"), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, OPENS("pod:40001", "cluster2:80"), .out.dst = "remote2:8080", NEW},
		  {.action = one_leaves},
		  PASSES("pod:40002", "cluster2:81"),
		  PASSES("pod:40003", "cluster2:80"),
		  PINGED("cluster2"),
		  {INGRESS, SENDS("pod:40001", "cluster2:80"), .out.dst = "remote2:8080", HIT},
		  {INGRESS, OPENS("pod:40004", "cluster:81"), REFUSED(NO_SUCH_PORT)}}},
	{"of two that share a clusterIP one leaves: it is still one", state_shared,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:81"), REFUSED(NO_SUCH_PORT)},
		  {.action = one_leaves},
		  {INGRESS, OPENS("pod:40001", "cluster:81"), REFUSED(NO_SUCH_PORT)},
		  {.action = all_leave},
		  PASSES("pod:40002", "cluster:81")}},
	{"no external address or VIP is a clusterIP", state_two,
	 .step = {PASSES("pod:40000", "external:81"), PASSES("pod:40000", "vip:81"),
		  PINGED("external"), PINGED("vip")}},

	{"an address of the service range that no service has", state_remote,
	 .step = {{.action = with_range},
		  SWALLOWED("pod:40000", "cluster2:80"),
		  SWALLOWED("client:40000", "cluster2:30080"),
		  SWALLOWED("node:40000", "cluster2:0"),
		  {INGRESS, OPENS("pod:40000", "cluster:81"), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW},
		  PASSES("pod:40000", "external:81"),
		  PASSES("pod:40000", "pod:80"),
		  {EGRESS, OPENS("pod:40000", "cluster2:80")},
		  {AT_XDP, OPENS("client:40000", "cluster2:80")},
		  {.action = without_ranges},
		  PASSES("pod:40001", "cluster2:80")}},
	{"the unspecified address is in no range, least of all in one that is not set",
	 state_remote,
	 .step = {PASSES("client:40000", "zero:67"),
		  {.action = with_range},
		  PASSES("zero:68", "zero:67")}},
	{"ping of one", state_remote, .only = ONLY_TCP,
	 .step = {{.action = with_range},
		  {INGRESS, SENDS("pod", "cluster2", ECHO, .payload = 56), .verdict = DROP,
		   COUNTS(NO_SUCH_SERVICE)}}},
	{"the last of the ranges", state_remote,
	 .step = {{.action = with_last_range},
		  SWALLOWED("pod:40000", "cluster2:80"),
		  PASSES("pod:40000", "vip:81")}},
	{"in mid-flow", state_remote, .only = ONLY_TCP | ONLY_SCTP,
	 .step = {{.action = with_range}, {INGRESS, SENDS("pod:40000", "cluster2:80")}}},
	{"a range that the host is in", state_remote,
	 .step = {{.action = with_widest_range},
		  PASSES("client:40000", "node:22"),
		  PASSES("client:40000", "snat:30080"),
		  PINGED("node"),
		  SWALLOWED("client:40000", "pod:80")}},
	{"lb=drain: the kernel's", state_remote, &iface_drain,
	 .step = {{.action = with_range},
		  {INGRESS, OPENS("pod:40000", "cluster2:80"), COUNTS(DRAIN)}}},
};

const struct group packets_addresses = GROUP("addresses", tests);
