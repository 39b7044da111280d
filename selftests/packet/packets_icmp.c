/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ICMP errors about packets of a flow: "fragmentation needed" and "packet too big" above all,
 * translated inside and outside on every way a reporter can stand, with all their checksums.
 */
#include "harness.h"
#include "objects.h"

/* An ICMP error; kinds of it; and what it is about: n bytes of a packet from a to b. */
#define ERROR(from, to, ...) .in = {.src = from, .dst = to, __VA_ARGS__}
#define BIG		     .icmp4_type = 3, .icmp_code = 4, .icmp6_type = 2, .icmp_rest = 1400
#define UNREACHABLE	     .icmp4_type = 3, .icmp_code = 3, .icmp6_type = 1
#define EXCEEDED	     .icmp4_type = 11, .icmp6_type = 3
#define ECHO_REQUEST	     .icmp4_type = 8, .icmp6_type = 128
#define REDIRECTED	     .icmp4_type = 5, .icmp6_type = 137
#define ABOUT(a, b, n)                                                                             \
	.quote = &(const struct packet){.src = a, .dst = b, .payload = 600}, .quote_length = n
#define TOO_BIG(from, to, a, b) ERROR(from, to, BIG, ABOUT(a, b, 548))
#define CONVERTED		.moved = {{NP_REASON_ICMP_TRANSLATED, 1}}

/* How a conversation of each kind begins. */
#define KEPT                                                                                       \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW       \
	}
#define TRANSLATED                                                                                 \
	{                                                                                          \
		INGRESS, OPENS("client:40000", "vip:80"),                                          \
			.out = {.src = "client:?0", .dst = "remote:8080"}, NEW                     \
	}

static const struct test tests[] = {
	{"on the way to the backend, source kept: back to the client", state_local,
	 .step = {KEPT,
		  {INGRESS, TOO_BIG("router", "pod", "pod:40000", "local:8080")},
		  {EGRESS, TOO_BIG("router", "pod", "pod:40000", "local:8080"),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED}}},
	{"by the backend itself: it is the frontend to the client", state_local,
	 .step = {KEPT,
		  {EGRESS, TOO_BIG("local", "pod", "pod:40000", "local:8080"),
		   .out = {.src = "cluster", .quote_dst = "cluster:80"}, CONVERTED}}},
	{"on the way to the client, source kept: back to the backend", state_local,
	 .step = {KEPT,
		  {INGRESS, TOO_BIG("router", "cluster", "cluster:80", "pod:40000"),
		   .out = {.dst = "local", .quote_src = "local:8080"}, CONVERTED},
		  {EGRESS, TOO_BIG("router", "local", "local:8080", "pod:40000")}}},
	{"on the way to the backend, source translated", state_remote,
	 .step = {TRANSLATED,
		  {INGRESS, TOO_BIG("router", "snat", "snat:?0", "remote:8080"),
		   .out = {.dst = "client", .quote_src = "client:?0"}, CONVERTED},
		  {EGRESS, TOO_BIG("router", "client", "client:?0", "remote:8080"),
		   .out = {.quote_src = "client:40000", .quote_dst = "vip:80"}, CONVERTED}}},
	{"on the way to the client, source translated", state_remote,
	 .step = {TRANSLATED,
		  {INGRESS, TOO_BIG("router", "vip", "vip:80", "client:40000"),
		   .out = {.dst = "remote", .quote_src = "remote:8080", .quote_dst = "client:?0"},
		   CONVERTED},
		  {EGRESS, TOO_BIG("router", "remote", "remote:8080", "client:?0"),
		   .out = {.quote_dst = "snat:?0"}, CONVERTED}}},
	{"by the client itself: it is snat to the backend", state_remote,
	 .step = {TRANSLATED,
		  {INGRESS, TOO_BIG("client", "vip", "vip:80", "client:40000"),
		   .out = {.dst = "remote", .quote_src = "remote:8080", .quote_dst = "client:?0"},
		   CONVERTED},
		  {EGRESS, TOO_BIG("client", "remote", "remote:8080", "client:?0"),
		   .out = {.src = "snat", .quote_dst = "snat:?0"}, CONVERTED}}},
	{"only the first 8 bytes of the transport header are quoted", state_local,
	 .step = {KEPT,
		  {EGRESS, ERROR("router", "pod", BIG, ABOUT("pod:40000", "local:8080", 48)),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED}}},
	{"an odd length is quoted", state_local,
	 .step = {KEPT,
		  {EGRESS, ERROR("router", "pod", BIG, ABOUT("pod:40000", "local:8080", 61)),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED}}},
	{"time exceeded, and port unreachable", state_local,
	 .step = {KEPT,
		  {EGRESS, ERROR("router", "pod", EXCEEDED, ABOUT("pod:40000", "local:8080", 548)),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED},
		  {EGRESS,
		   ERROR("local", "pod", UNREACHABLE, ABOUT("pod:40000", "local:8080", 548)),
		   .out = {.src = "cluster", .quote_dst = "cluster:80"}, CONVERTED}}},
	{"behind IPv4 options and IPv6 extension headers", state_local,
	 .step = {KEPT,
		  {EGRESS,
		   ERROR("router", "pod", BIG, ABOUT("pod:40000", "local:8080", 548),
			 .extensions = "hd", .ip_options = BYTES("\1\1\1\0")),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED}}},
	{"a quoted packet with IPv4 options", state_local, .only = ONLY_IPV4,
	 .step = {KEPT,
		  {EGRESS,
		   ERROR("router", "pod", BIG,
			 .quote = &(const struct packet){.src = "pod:40000",
							 .dst = "local:8080",
							 .payload = 600,
							 .ip_options = BYTES("\1\1\1\0")}),
		   .out = {.quote_dst = "cluster:80"}, CONVERTED}}},
	{"about no flow", state_local,
	 .step = {KEPT,
		  {INGRESS, TOO_BIG("router", "pod", "pod:40001", "local:8080")},
		  {EGRESS, TOO_BIG("router", "pod", "pod:40001", "local:8080")},
		  {EGRESS, TOO_BIG("router", "pod", "pod:40000", "remote:8080")}}},
	{"too short to tell", state_local,
	 .step = {KEPT,
		  {EGRESS, ERROR("router", "pod", BIG, ABOUT("pod:40000", "local:8080", 19))},
		  {EGRESS, ERROR("router", "pod", BIG, ABOUT("pod:40000", "local:8080", 3))}}},
	{"no errors: echo request, redirect", state_local,
	 .step = {KEPT,
		  {INGRESS,
		   ERROR("client", "pod", ECHO_REQUEST, ABOUT("pod:40000", "local:8080", 548))},
		  {EGRESS,
		   ERROR("local", "pod", ECHO_REQUEST, ABOUT("pod:40000", "local:8080", 548))},
		  {EGRESS, ERROR("local", "pod", ECHO_REQUEST, .payload = 56)},
		  {EGRESS,
		   ERROR("local", "pod", REDIRECTED, ABOUT("pod:40000", "local:8080", 548))}}},
};

const struct group packets_icmp = GROUP("ICMP errors", tests);

/* IPv6 has its addresses in the sums: the skb's whole sum must follow them. */
const struct group packets_icmp_summed = {
	.name = "ICMP errors with CHECKSUM_COMPLETE",
	.test = tests,
	.count = ARRAY_SIZE(tests),
	.complete = true,
};
