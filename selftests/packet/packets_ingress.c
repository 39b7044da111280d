/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The first of the four rewrites, client -> frontend at ingress: every kind of frontend, every
 * shape of packet, and what is refused. The other three are packets_egress.c's.
 */
#include "harness.h"
#include "objects.h"

static const char *const state_none[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	NULL,
};

/* Pods and node may use any backend, others only those of this node, and there are none. */
static const char *const state_external_local[] = {
	LOAD_BALANCER("web", "cluster", "'externalTrafficPolicy':'Local',"),
	REMOTE("web", "remote"),
	NULL,
};

static const char *const state_internal_local[] = {
	CLUSTER_IP("web", "cluster", "'internalTrafficPolicy':'Local',"),
	REMOTE("web", "remote"),
	NULL,
};

static const char *const state_host[] = {
	LOAD_BALANCER("web", "cluster", ""),
	LOCAL("web", "node"),
	NULL,
};

static const char *const state_cut_off[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "nowhere"),
	NULL,
};

static const struct np_iface iface_drain = {
	.lb = NP_LB_DRAIN, .flags = NP_IFACE_STATS, .l2_len = 14, .mtu = 1500};
static const struct np_iface iface_no_l2 = {
	.lb = NP_LB_ON, .flags = NP_IFACE_STATS, .l2_len = 0, .mtu = 1500};

static void switch_drain(void)
{
	world.tables->ifaces[world.ns.uplink].lb = NP_LB_DRAIN;
}

static void remove_iface(void)
{
	world.tables->ifaces[world.ns.uplink].ifindex = 0;
}

static void displace_iface(void)
{
	struct np_iface *ifaces = world.tables->ifaces;

	ifaces[world.ns.uplink + 7] = ifaces[world.ns.uplink];
	ifaces[world.ns.uplink].ifindex = world.ns.uplink + world.tables->size[TABLE_ifaces];
}

static const struct test tests[] = {
	{"pod -> ClusterIP", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .payload = 100),
		   .out = {.dst = "local:8080"}, HIT}}},
	{"outside -> ClusterIP: source port is chosen at ingress", state_local,
	 .step = {{INGRESS, OPENS("client:40000", "cluster:80"),
		   .out = {.src = "client:?0", .dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("client:40000", "cluster:80", .payload = 7),
		   .out = {.src = "client:?0", .dst = "local:8080"}, HIT}}},
	{"outside -> external address", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "external:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW}}},
	{"outside -> VIP", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW}}},
	{"outside -> NodePort", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "node:30080"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW}}},
	{"pod -> VIP, traffic policy Cluster", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "vip:80"),
		   .out = {.src = "pod:?0", .dst = "local:8080"}, NEW}}},
	{"pod -> VIP, traffic policy Local: short cut, source kept", state_external_local,
	 .step = {{INGRESS, OPENS("pod:40000", "vip:80"), .out = {.dst = "remote:8080"}, NEW}}},
	{"node -> VIP, traffic policy Local: source translated", state_external_local,
	 .step = {{INGRESS, OPENS("node:40000", "vip:80"),
		   .out = {.src = "node:?0", .dst = "remote:8080"}, NEW}}},
	{"outside -> VIP, traffic policy Local, no local endpoint: dropped", state_external_local,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"), .verdict = DROP,
		   COUNTS(POLICY_DROP)}}},
	{"internal traffic policy Local, no local endpoint: dropped", state_internal_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .verdict = DROP,
		   COUNTS(POLICY_DROP)}}},
	{"no endpoint: refused", state_none,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), REFUSED(NO_ENDPOINT)},
		  {INGRESS, OPENS("client:40000", "node:30080"), REFUSED(NO_ENDPOINT)}}},
	{"a port the service has not: refused at its clusterIP alone", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:81"), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, OPENS("pod:40000", "cluster:30080"), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, OPENS("pod:40000", "external:81")},
		  {INGRESS, OPENS("pod:40000", "vip:81")},
		  {INGRESS, OPENS("pod:40000", "node:30081")}}},
	{"the NodePort of an address that serves none", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "snat:30080")},
		  {INGRESS, OPENS("pod:40000", "router:30080")}}},
	{"a backend in the host's network: source kept, for egress never sees the way there",
	 state_host,
	 .step = {{INGRESS, OPENS("client:40000", "node:30080"), .out = {.dst = "node:8080"}, NEW},
		  {EGRESS, SENDS("node:8080", "client:40000"), .out = {.src = "node:30080"}, HIT}}},
	{"no source address towards the backend: dropped where one is needed", state_cut_off,
	 .step = {{INGRESS, OPENS("client:40000", "node:30080"), .verdict = DROP,
		   COUNTS(NO_SNAT_ADDRESS)},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "nowhere:8080"},
		   NEW}}},
	{"hairpin: a pod reaches itself through the service", state_local,
	 .step = {{INGRESS, OPENS("local:40000", "cluster:80"),
		   .out = {.src = "local:?0", .dst = "local:8080"}, NEW}}},

	{"odd payload lengths", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", .payload = 1),
		   .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .payload = 3),
		   .out = {.dst = "local:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .payload = 1399),
		   .out = {.dst = "local:8080"}, HIT}}},
	{"a checksum that becomes zero: 0xFFFF in UDP", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .payload = 33, .zero_sum = true),
		   .out = {.dst = "local:8080"}, HIT}}},
	{"UDP without a checksum has none after", state_local, .only = ONLY_UDP,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80", .payload = 20, .no_checksum = true),
		   .out = {.dst = "local:8080"}, NEW}}},
	{"TCP options", state_local, .only = ONLY_TCP,
	 .step = {{INGRESS,
		   OPENS("pod:40000", "cluster:80",
			 .tcp_options = BYTES("\2\4\5\264\4\2\10\12\1\2\3\4\0\0\0\0\1\3\3\7")),
		   .out = {.dst = "local:8080"}, NEW},
		  {INGRESS,
		   SENDS("pod:40000", "cluster:80", .payload = 9,
			 .tcp_options = BYTES("\1\1\10\12\1\2\3\4\5\6\7\10")),
		   .out = {.dst = "local:8080"}, HIT}}},
	{"IPv4 options", state_local, .only = ONLY_IPV4,
	 .step = {{INGRESS,
		   OPENS("pod:40000", "cluster:80", .ip_options = BYTES("\7\7\4\0\0\0\0\0")),
		   .out = {.dst = "local:8080"}, NEW},
		  {INGRESS,
		   SENDS("pod:40000", "cluster:80", .payload = 11,
			 .ip_options = BYTES("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
					     "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\0")),
		   .out = {.dst = "local:8080"}, HIT}}},
	{"IPv6 extension headers", state_local, .only = ONLY_IPV6,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", .extensions = "h"),
		   .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .extensions = "d", .payload = 5),
		   .out = {.dst = "local:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .extensions = "hdrd", .payload = 5),
		   .out = {.dst = "local:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .extensions = "hddddddd"),
		   .out = {.dst = "local:8080"}, HIT}}},

	{"no Ethernet header (wg0, tunl0)", state_local, &iface_no_l2,
	 .step = {{INGRESS, OPENS("tunnel:40000", "cluster:80", .bare = true, .payload = 40),
		   .out = {.src = "tunnel:?0", .dst = "local:8080"}, NEW},
		  {EGRESS, SENDS("tunnel:?0", "local:8080", .bare = true, .payload = 40),
		   .out = {.src = "snat:?0"}, HIT}}},
	{"an interface that is not nearpath's", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .action = remove_iface},
		  {EGRESS, SENDS("local:8080", "pod:40000")},
		  {AT_XDP, OPENS("client:40000", "vip:80")}}},
	{"an interface whose entry is not in its own place", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .action = displace_iface,
		   .out = {.dst = "local:8080"}, NEW}}},
	{"lb=drain: new connections are the kernel's", state_local, &iface_drain,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), COUNTS(DRAIN)},
		  {INGRESS, OPENS("client:40000", "node:30080"), COUNTS(DRAIN)},
		  {INGRESS, OPENS("pod:40000", "remote:80")}}},
	{"lb=drain: what exists lives on", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW},
		  {EGRESS, SENDS("local:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT,
		   .action = switch_drain},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, HIT},
		  {INGRESS, OPENS("pod:40001", "cluster:80"), COUNTS(DRAIN)}}},
};

const struct group packets_ingress = GROUP("ingress: client -> frontend", tests);

/* The same once more with skbs for which the device has summed all bytes. */
const struct group packets_summed = {
	.name = "ingress with CHECKSUM_COMPLETE",
	.test = tests,
	.count = ARRAY_SIZE(tests),
	.complete = true,
};
