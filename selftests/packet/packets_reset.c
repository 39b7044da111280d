/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * TCP of flows whose endpoint is gone, as nearpathd marks them: what is answered by RST, byte for
 * byte (refusal.c), from whichever side and at whichever hook it comes; what is not. That the other
 * side gets a RST of its own, and devices without an Ethernet header, are live/live-endpoints.sh's.
 */
#include "harness.h"
#include "objects.h"

#define MACS .src_mac = "02:11:22:33:44:55", .dst_mac = "ee:ee:ee:ee:ee:ee"

static void mark(void)
{
	flow_of(40000)->flags |= NP_FLOW_DEPARTED;
}

static void withdraw(void)
{
	flow_of(40000)->flags &= ~NP_FLOW_DEPARTED;
}

static void drain(void)
{
	world.tables->ifaces[world.ns.uplink].lb = NP_LB_DRAIN;
}

static void no_port(void)
{
	world.tables->ifaces[world.ns.uplink].flags &= ~NP_IFACE_PORT;
}

#define MARK                                                                                       \
	{                                                                                          \
		.action = mark                                                                     \
	}
#define WITHDRAW                                                                                   \
	{                                                                                          \
		.action = withdraw                                                                 \
	}

/* A pod's connection: its source stays. */
#define POD                                                                                        \
	{INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW},                \
		{EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),                    \
		 .out.src = "cluster:80", HIT},                                                    \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT,          \
							   .flows = "tcp_established"              \
	}
/* One whose source is translated. */
#define CLIENT                                                                                     \
	{INGRESS, OPENS("client:40000", "node:30080"),                                             \
	 .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},                                  \
		{INGRESS, SENDS("remote:8080", "snat:?0", .flags = SYN | ACK),                     \
		 .out.dst = "client:?0", HIT},                                                     \
	{                                                                                          \
		INGRESS, SENDS("client:40000", "node:30080"),                                      \
			.out = {.src = "client:?0", .dst = "remote:8080"}, HIT,                    \
			.flows = "tcp_established"                                                 \
	}

#define FROM_POD(...)                                                                              \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80", MACS, ##__VA_ARGS__), RESET,             \
			.flows = "tcp_close"                                                       \
	}
#define TO_POD(...)                                                                                \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:40000", MACS, ##__VA_ARGS__), RESET,             \
			.flows = "tcp_close"                                                       \
	}
#define FROM_CLIENT(...)                                                                           \
	{                                                                                          \
		INGRESS, SENDS("client:40000", "node:30080", MACS, ##__VA_ARGS__), RESET,          \
			.flows = "tcp_close"                                                       \
	}
#define FROM_BACKEND(...)                                                                          \
	{                                                                                          \
		INGRESS, SENDS("remote:8080", "snat:?0", MACS, ##__VA_ARGS__), RESET,              \
			.flows = "tcp_close"                                                       \
	}
#define OPTIONS .tcp_options = BYTES("\1\1\10\12\1\2\3\4\5\6\7\10")

static const struct test tests[] = {
	{"the client's packet, and its next ones", state_remote,
	 .step = {POD, MARK, FROM_POD(), FROM_POD(.payload = 100), FROM_POD(OPTIONS),
		  FROM_POD(.flags = FIN | ACK), FROM_POD(.flags = PSH | ACK, .payload = 1300)}},
	{"the backend's, at the client's interface", state_remote,
	 .step = {POD, MARK, TO_POD(), TO_POD(.payload = 100), TO_POD(OPTIONS),
		  TO_POD(.flags = FIN | ACK)}},
	{"either, then the other", state_remote,
	 .step = {POD, MARK, FROM_POD(.payload = 9), TO_POD(.payload = 9), FROM_POD()}},
	{"source translated: both sides", state_remote,
	 .step = {CLIENT, MARK, FROM_CLIENT(.payload = 7), FROM_BACKEND(.payload = 7, OPTIONS),
		  FROM_CLIENT(), FROM_BACKEND(.flags = FIN | ACK)}},
	{"source translated: the backend first", state_remote,
	 .step = {CLIENT, MARK, FROM_BACKEND(), FROM_CLIENT()}},
	{"source translated: what is on its way is let go", state_remote,
	 .step = {CLIENT,
		  MARK,
		  {EGRESS, SENDS("client:?0", "remote:8080", .payload = 9), .out.src = "snat:?0",
		   HIT},
		  {EGRESS, SENDS("remote:8080", "client:?0", MACS), RESET}}},
	{"without ACK: from zero, and what it is long is acknowledged", state_remote,
	 .step = {POD, MARK, FROM_POD(.flags = PSH), FROM_POD(.flags = PSH, .payload = 77),
		  FROM_POD(.flags = FIN, .payload = 1, OPTIONS)}},
	{"padding of the frame is no data", state_remote,
	 .step = {POD, MARK, FROM_POD(.flags = PSH, .padding = 6),
		  FROM_POD(.flags = PSH, .payload = 3, .padding = 3)}},
	{"IPv4 options are not answered", state_remote, .only = ONLY_IPV4 | ONLY_TCP,
	 .step = {POD, MARK, FROM_POD(.ip_options = BYTES("\7\7\4\0\0\0\0\0")),
		  FROM_POD(.payload = 9, .ip_options = BYTES("\1\1\1\0"), OPTIONS)}},
	{"IPv6 extension headers are not answered", state_remote, .only = ONLY_IPV6 | ONLY_TCP,
	 .step = {POD, MARK, FROM_POD(.extensions = "h"),
		  FROM_POD(.extensions = "hdrd", .payload = 5), TO_POD(.extensions = "hd")}},
	{"a first fragment", state_remote,
	 .step = {POD, MARK, FROM_POD(.id = 7, .payload = 1000, .fragment = {0, 520, true})}},
	{"type of service: kept, without ECN", state_remote,
	 .step = {POD, MARK, FROM_POD(.tos = 0x10), FROM_POD(.tos = 0xFF), FROM_POD(.tos = 0x03),
		  FROM_POD(.ttl = 1)}},
	{"a SYN begins another flow", state_remote,
	 .step = {POD,
		  MARK,
		  FROM_POD(),
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW,
		   .flows = "tcp_syn_sent"},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out.src = "cluster:80", HIT, .flows = "tcp_syn_recv"}}},
	{"so does one before anything was answered", state_remote,
	 .step = {POD,
		  MARK,
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW,
		   .flows = "tcp_syn_sent"}}},
	{"a handshake: the backend is told, the client begins again", state_remote,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW},
		  MARK,
		  TO_POD(.flags = SYN | ACK),
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW,
		   .flows = "tcp_syn_sent"}}},
	{"RST is not answered but translated", state_remote,
	 .step = {POD,
		  MARK,
		  {INGRESS, SENDS("pod:40000", "cluster:80", .flags = RST),
		   .out.dst = "remote:8080", HIT, .flows = "tcp_close"},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = RST | ACK),
		   .out.src = "cluster:80", HIT},
		  TO_POD()}},
	{"the mark is withdrawn: it goes on", state_remote,
	 .step = {POD,
		  MARK,
		  WITHDRAW,
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT,
		   .flows = "tcp_established"}}},
	{"XDP leaves it to tc", state_remote,
	 .step = {CLIENT,
		  MARK,
		  {AT_XDP, SENDS("client:40000", "node:30080", MACS)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", MACS)},
		  {AT_XDP, SENDS("client:40000", "node:30080", MACS, .flags = RST)},
		  FROM_CLIENT()}},
	{"lb=drain: flows that exist are nearpath's", state_remote,
	 .step = {POD, {.action = drain}, MARK, FROM_POD()}},
	{"frames for another host: it will answer", state_remote,
	 .step = {POD,
		  MARK,
		  {.action = no_port},
		  {INGRESS, SENDS("pod:40000", "cluster:80", MACS), .verdict = DROP},
		  {INGRESS,
		   SENDS("pod:40000", "cluster:80", .src_mac = "02:11:22:33:44:55",
			 .dst_mac = NETNS_MAC_UPLINK),
		   RESET}}},
	{"UDP to an endpoint that is gone is not reset", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW},
		  MARK,
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out.src = "cluster:80", HIT}}},
	{"nor is SCTP", state_remote, .only = ONLY_SCTP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000", .flags = SYN | ACK),
		   .out.src = "cluster:80", HIT},
		  MARK,
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out.src = "cluster:80", HIT}}},
};

const struct group packets_reset = {
	.name = "reset", .test = tests, .count = ARRAY_SIZE(tests), .only = ONLY_TCP};

const struct group packets_reset_summed = {
	.name = "reset with CHECKSUM_COMPLETE",
	.test = tests,
	.count = ARRAY_SIZE(tests),
	.complete = true,
	.only = ONLY_TCP,
};
