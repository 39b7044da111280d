/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * XDP on an uplink: both rewrites and the way out in one step for backends on other nodes, in a
 * network namespace where the FIB knows the way (netns.h). All else is passed as it came, and tc
 * goes on with the same flow.
 */
#include "harness.h"
#include "objects.h"

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
static const char *const state_cut_off[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "nowhere"),
	NULL,
};
static const char *const state_none[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	NULL,
};
static const char *const state_external_local[] = {
	LOAD_BALANCER("web", "cluster", "'externalTrafficPolicy':'Local',"),
	REMOTE("web", "remote"),
	NULL,
};

static const struct np_iface iface_drain = {.lb = NP_LB_DRAIN,
					    .flags = NP_IFACE_STATS | NP_IFACE_XDP_NATIVE,
					    .l2_len = 14,
					    .mtu = 1500};
static const struct np_iface iface_1400 = {.lb = NP_LB_ON,
					   .flags = NP_IFACE_STATS | NP_IFACE_XDP_NATIVE,
					   .l2_len = 14,
					   .mtu = 1500,
					   .mss4 = 1400,
					   .mss6 = 1400};
static const struct np_iface iface_quiet = {
	.lb = NP_LB_ON, .flags = NP_IFACE_XDP_NATIVE, .l2_len = 14, .mtu = 1500};

static const struct np_iface iface_generic = {
	.lb = NP_LB_ON, .flags = NP_IFACE_STATS, .l2_len = 14, .mtu = 1500};

static const struct np_iface iface_own = {.lb = NP_LB_ON,
					  .flags = NP_IFACE_STATS | NP_IFACE_XDP_NATIVE,
					  .l2_len = 14,
					  .mtu = 1500,
					  .mac = {2, 0, 0, 0, 0, 1}};

static void second_without_xdp(void)
{
	world.tables->ifaces[world.ns.second].flags = 0;
}

static void second_generic(void)
{
	world.tables->ifaces[world.ns.second].flags = NP_IFACE_XDP;
}

/* What goes to port 40001 leaves by the second uplink. */
static void rule_for_port(void)
{
	assert_int_equal(system("ip rule add dport 40001 table 7 && "
				"ip route add default via 172.17.0.254 table 7 && "
				"ip -6 rule add dport 40001 table 7 && "
				"ip -6 route add default via fd00:172:17::fe table 7"),
			 0);
}

static void no_rule_for_port(void)
{
	assert_int_equal(system("ip rule del dport 40001 && ip route flush table 7 && "
				"ip -6 rule del dport 40001 && ip -6 route flush table 7"),
			 0);
}

static void rule_is_known(void)
{
	rule_for_port();
	world.tables->config->routes_shared = 0;
}

#define BACK	 .verdict = TX, .out.src_mac = NETNS_MAC_UPLINK, .out.dst_mac = NETNS_MAC_GATEWAY
#define ACROSS	 .verdict = REDIRECT, .out.src_mac = NETNS_MAC_SECOND, .out.dst_mac = NETNS_MAC_FAR
#define AGED	 .out.ttl = 63
#define TO(s, d) .out.src = s, .out.dst = d, AGED
#define SENT_NEW .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_XDP_TX, 1}}
#define LEFT_NEW .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_XDP_NO_ROUTE, 1}}

static const struct test tests[] = {
	{"client -> remote backend and back, all at XDP", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "node:30080"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK), BACK,
		   TO("node:30080", "client:40000"), COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("client:40000", "node:30080", .payload = 999), BACK,
		   TO("snat:?0", "remote:8080"), COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .payload = 1), BACK,
		   TO("node:30080", "client:40000"), COUNTS(XDP_TX)}}},
	{"a frame for another host is passed, as the kernel will drop it", state_remote, &iface_own,
	 .step = {{AT_XDP, OPENS("client:40000", "node:30080", .dst_mac = "02:00:00:00:00:99")},
		  {AT_XDP, OPENS("client:40000", "node:30080", .dst_mac = NETNS_MAC_UPLINK), BACK,
		   TO("snat:?0", "remote:8080"), SENT_NEW}}},
	{"VIP and external address", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, OPENS("client:40001", "external:80"), BACK, TO("snat:?1", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0"), BACK, TO("vip:80", "client:40000"),
		   COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("remote:8080", "snat:?1"), BACK, TO("external:80", "client:40001"),
		   COUNTS(XDP_TX)}}},
	{"out of another uplink", state_second,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), ACROSS, TO("snat:?0", "second:8080"),
		   .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_XDP_REDIRECT, 1}}},
		  {AT_XDP, SENDS("second:8080", "snat:?0"), BACK, TO("vip:80", "client:40000"),
		   COUNTS(XDP_TX)}}},
	{"native XDP, out of an interface without: left to tc", state_second,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), LEFT_NEW, .action = second_without_xdp},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "second:8080"}, HIT}}},
	{"generic XDP, out of an interface without: left to tc", state_second, &iface_generic,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), LEFT_NEW,
		   .action = second_without_xdp}}},
	{"generic XDP: out of an interface with it", state_second, &iface_generic,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), ACROSS, TO("snat:?0", "second:8080"),
		   .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_XDP_REDIRECT, 1}},
		   .action = second_generic}}},
	{"the last TTL that may go on, and the first that may not", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80", .ttl = 2), BACK, .out.src = "snat:?0",
		   .out.dst = "remote:8080", .out.ttl = 1, SENT_NEW},
		  {AT_XDP, SENDS("client:40000", "vip:80", .ttl = 1)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .ttl = 1)},
		  {AT_XDP, SENDS("client:40000", "vip:80", .ttl = 255), BACK, .out.src = "snat:?0",
		   .out.dst = "remote:8080", .out.ttl = 254, COUNTS(XDP_TX)}}},
	{"TTL 1 in the first packet: tc has the flow", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80", .ttl = 1), COUNTS(NEW_FLOW)},
		  {INGRESS, OPENS("client:40000", "vip:80", .ttl = 1),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT}}},
	{"no neighbour: tc has the flow", state_silent,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), LEFT_NEW},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "silent:8080"}, HIT},
		  {EGRESS, OPENS("client:?0", "silent:8080"), .out = {.src = "snat:?0"}, HIT}}},
	{"no route", state_remote,
	 .step = {{AT_XDP, OPENS("unrouted:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0"), COUNTS(XDP_NO_ROUTE)}}},
	{"a packet longer than the MTU of the way", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80", .payload = 1700), LEFT_NEW}}},
	{"the same when the way is known by shorter ones", state_remote,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("client:40000", "vip:80", .payload = 1700),
		   COUNTS(XDP_NO_ROUTE)}}},
	{"local backend: tc has the flow", state_local,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), COUNTS(NEW_FLOW)},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "local:8080"}, HIT},
		  {EGRESS, OPENS("client:?0", "local:8080"), .out = {.src = "snat:?0"}, HIT},
		  {AT_XDP, SENDS("client:40000", "vip:80")},
		  {AT_XDP, SENDS("local:8080", "snat:?0")}}},
	{"a flow of tc's: XDP goes on when the handshake is over", state_remote, .only = ONLY_TCP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, OPENS("client:?0", "remote:8080"), .out = {.src = "snat:?0"}, HIT},
		  {AT_XDP, OPENS("client:40000", "vip:80")},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK)},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK),
		   .out = {.dst = "client:?0"}, HIT, .flows = "tcp_syn_recv"},
		  {EGRESS, SENDS("remote:8080", "client:?0", .flags = SYN | ACK),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		  {AT_XDP, SENDS("client:40000", "vip:80", .flags = ACK)},
		  {INGRESS, SENDS("client:40000", "vip:80", .flags = ACK),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT,
		   .flows = "tcp_established"},
		  {AT_XDP, SENDS("remote:8080", "snat:?0"), BACK, TO("vip:80", "client:40000"),
		   COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   COUNTS(XDP_TX)}}},
	{"a flow of XDP's whose SYN-ACK it could not carry: all of the handshake again",
	 state_remote, .only = ONLY_TCP,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK),
		   .out = {.dst = "client:?0"}, HIT, .flows = "tcp_syn_recv"},
		  {AT_XDP, SENDS("client:40000", "vip:80", .flags = ACK)},
		  {AT_XDP, OPENS("client:40000", "vip:80")},
		  {INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT}}},
	{"an association of tc's: XDP goes on when it is set up", state_remote, .only = ONLY_SCTP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK)},
		  {INGRESS, SENDS("remote:8080", "snat:?0"), .out = {.dst = "client:?0"}, HIT,
		   .flows = "sctp_established"},
		  {AT_XDP, SENDS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   COUNTS(XDP_TX)}}},
	{"datagrams of a flow of tc's: XDP goes on", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0"), BACK, TO("vip:80", "client:40000"),
		   COUNTS(XDP_TX)}}},
	{"states of a flow seen by XDP alone", state_remote, .only = ONLY_TCP,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW, .flows = "tcp_syn_sent"},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK), BACK,
		   TO("vip:80", "client:40000"), COUNTS(XDP_TX), .flows = "tcp_syn_recv"},
		  {AT_XDP, SENDS("client:40000", "vip:80", .flags = FIN | ACK), BACK,
		   TO("snat:?0", "remote:8080"), COUNTS(XDP_TX), .flows = "tcp_fin_wait"},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = FIN | ACK), BACK,
		   TO("vip:80", "client:40000"), COUNTS(XDP_TX), .flows = "tcp_last_ack"}}},
	{"checksums that become zero, and none", state_remote, .only = ONLY_UDP,
	 .step = {{AT_XDP, SENDS("client:40000", "vip:80", .no_checksum = true, .payload = 4), BACK,
		   TO("snat:?0", "remote:8080"), SENT_NEW},
		  {AT_XDP, SENDS("client:40000", "vip:80", .zero_sum = true, .payload = 5), BACK,
		   TO("snat:?0", "remote:8080"), COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .zero_sum = true, .payload = 5), BACK,
		   TO("vip:80", "client:40000"), COUNTS(XDP_TX)}}},
	{"rules for ports: each flow has its way", state_remote, .only = ONLY_TCP | ONLY_UDP,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW, .action = rule_is_known},
		  {AT_XDP, OPENS("client:40001", "vip:80"), BACK, TO("snat:?1", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK), BACK,
		   TO("vip:80", "client:40000"), COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("remote:8080", "snat:?1", .flags = SYN | ACK), ACROSS,
		   TO("vip:80", "client:40001"), COUNTS(XDP_REDIRECT)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0"), BACK, TO("vip:80", "client:40000"),
		   COUNTS(XDP_TX)},
		  {.action = no_rule_for_port}}},
	{"else the FIB is asked once for all of them", state_remote, .only = ONLY_TCP | ONLY_UDP,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW, .action = rule_for_port},
		  {AT_XDP, OPENS("client:40001", "vip:80"), BACK, TO("snat:?1", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK), BACK,
		   TO("vip:80", "client:40000"), COUNTS(XDP_TX)},
		  {AT_XDP, SENDS("remote:8080", "snat:?1", .flags = SYN | ACK), BACK,
		   TO("vip:80", "client:40001"), COUNTS(XDP_TX)},
		  {.action = no_rule_for_port}}},
	{"options, extension headers and fragments: left to tc", state_remote, .only = ONLY_UDP,
	 .step = {{AT_XDP, SENDS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   SENT_NEW},
		  {AT_XDP,
		   SENDS("client:40000", "vip:80", .payload = 100, .fragment = {0, 56, true})},
		  {AT_XDP,
		   SENDS("client:40000", "vip:80", .payload = 100, .fragment = {56, 52, false})},
		  {AT_XDP, SENDS("client:40000", "vip:80", .ip_options = BYTES("\1\1\1\0"),
				 .hop_by_hop = BYTES("\0\0\1\4\0\0\0\0"))}}},
	{"refused and dropped: left to tc, which counts", state_none,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80")},
		  {AT_XDP, OPENS("client:40000", "node:30080")}}},
	{"traffic policy Local, no local endpoint: left to tc", state_external_local,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80")}}},
	{"no source address: left to tc, which drops and counts", state_cut_off,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80")},
		  {INGRESS, OPENS("client:40000", "vip:80"), .verdict = DROP,
		   COUNTS(NO_SNAT_ADDRESS)}}},
	{"lb=drain", state_remote, &iface_drain,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80")}}},
	{"MSS clamped on the way", state_remote, &iface_1400, ONLY_TCP,
	 .step = {{AT_XDP,
		   OPENS("client:40000", "vip:80", .tcp_options = BYTES("\1\2\4\5\264\0\0\0")),
		   BACK, TO("snat:?0", "remote:8080"),
		   .out.tcp_options = BYTES("\1\2\4\5\170\0\0\0"),
		   .moved = {{NP_REASON_NEW_FLOW, 1},
			     {NP_REASON_XDP_TX, 1},
			     {NP_REASON_MSS_CLAMPED, 1}}},
		  {AT_XDP,
		   SENDS("remote:8080", "snat:?0", .flags = SYN | ACK,
			 .tcp_options = BYTES("\2\4\5\264")),
		   BACK, TO("vip:80", "client:40000"), .out.tcp_options = BYTES("\2\4\5\170"),
		   .moved = {{NP_REASON_XDP_TX, 1}, {NP_REASON_MSS_CLAMPED, 1}}}}},
	{"stats=off: new flows are counted, packets are not", state_remote, &iface_quiet,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080"),
		   COUNTS(NEW_FLOW)},
		  {AT_XDP, SENDS("client:40000", "vip:80"), BACK, TO("snat:?0", "remote:8080")}}},
};

const struct group packets_xdp = GROUP("XDP", tests);
