/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Fragmented datagrams: only the first fragment has the ports, the others must go where it went,
 * at every rewrite. The datagram here: 2000 bytes of payload, cut after 1480 bytes of transport.
 * Not SCTP: its CRC cannot follow a port that changes, for the length of the whole is not known.
 */
#include "harness.h"
#include "objects.h"

#define FIRST(from, to, n, ...)                                                                    \
	.in = {.src = from,                                                                        \
	       .dst = to,                                                                          \
	       .id = n,                                                                            \
	       .payload = 1900,                                                                    \
	       .fragment = {0, 1480, true},                                                        \
	       ##__VA_ARGS__}
#define SECOND(from, to, n, ...)                                                                   \
	.in = {.src = from,                                                                        \
	       .dst = to,                                                                          \
	       .id = n,                                                                            \
	       .payload = 1900,                                                                    \
	       .fragment = {1480, 400, false},                                                     \
	       ##__VA_ARGS__}

static const struct test tests[] = {
	{"of a new flow: the second follows the first", state_local, .only = ONLY_UDP,
	 .step = {{INGRESS, FIRST("pod:40000", "cluster:80", 7), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SECOND("pod:40000", "cluster:80", 7), .out = {.dst = "local:8080"}}}},
	{"of a flow that exists", state_local, .only = ONLY_TCP | ONLY_UDP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, FIRST("pod:40000", "cluster:80", 7), .out = {.dst = "local:8080"}, HIT},
		  {INGRESS, SECOND("pod:40000", "cluster:80", 7), .out = {.dst = "local:8080"}}}},
	{"on the way back", state_local, .only = ONLY_TCP | ONLY_UDP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "local:8080"}, NEW},
		  {EGRESS, FIRST("local:8080", "pod:40000", 9), .out = {.src = "cluster:80"}, HIT},
		  {EGRESS, SECOND("local:8080", "pod:40000", 9), .out = {.src = "cluster:80"}}}},
	{"four rewrites", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, FIRST("client:40000", "vip:80", 7),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, FIRST("client:?0", "remote:8080", 7), .out = {.src = "snat:?0"}, HIT},
		  {INGRESS, SECOND("client:40000", "vip:80", 7),
		   .out = {.src = "client:?0", .dst = "remote:8080"}},
		  {EGRESS, SECOND("client:?0", "remote:8080", 7), .out = {.src = "snat:?0"}},
		  {INGRESS, FIRST("remote:8080", "snat:?0", 8), .out = {.dst = "client:?0"}, HIT},
		  {EGRESS, FIRST("remote:8080", "client:?0", 8),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		  {INGRESS, SECOND("remote:8080", "snat:?0", 8), .out = {.dst = "client:?0"}},
		  {EGRESS, SECOND("remote:8080", "client:?0", 8),
		   .out = {.src = "vip:80", .dst = "client:40000"}}}},
	{"two datagrams at a time", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, FIRST("client:40000", "vip:80", 7),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {INGRESS, FIRST("client:40001", "node:30080", 7),
		   .out = {.src = "client:?1", .dst = "remote:8080"}, NEW},
		  {INGRESS, FIRST("client:40002", "vip:80", 8),
		   .out = {.src = "client:?2", .dst = "remote:8080"}, NEW},
		  {INGRESS, SECOND("client:40000", "vip:80", 7),
		   .out = {.src = "client:?0", .dst = "remote:8080"}},
		  {INGRESS, SECOND("client:40002", "vip:80", 8),
		   .out = {.src = "client:?2", .dst = "remote:8080"}},
		  {INGRESS, SECOND("client:40001", "node:30080", 7),
		   .out = {.src = "client:?1", .dst = "remote:8080"}}}},
	{"one that came before its first", state_local, .only = ONLY_UDP,
	 .step = {{INGRESS, SECOND("pod:40000", "cluster:80", 7), COUNTS(FRAGMENT_LOST)},
		  {INGRESS, FIRST("pod:40000", "cluster:80", 7), .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SECOND("pod:40000", "cluster:80", 8), COUNTS(FRAGMENT_LOST)}}},
	{"of no service: untouched, and none is lost", state_local,
	 .step = {{INGRESS, FIRST("pod:40000", "client:80", 7)},
		  {INGRESS, SECOND("pod:40000", "client:80", 7)},
		  {EGRESS, FIRST("pod:40000", "client:80", 7)},
		  {EGRESS, SECOND("pod:40000", "client:80", 7)}}},
	{"after other extension headers", state_local, .only = ONLY_UDP | ONLY_IPV6,
	 .step = {{INGRESS, FIRST("pod:40000", "cluster:80", 7, .extensions = "hd"),
		   .out = {.dst = "local:8080"}, NEW},
		  {INGRESS, SECOND("pod:40000", "cluster:80", 7, .extensions = "hd"),
		   .out = {.dst = "local:8080"}}}},
};

const struct group packets_fragment = GROUP("fragments", tests);

const struct group packets_fragment_summed = {
	.name = "fragments with CHECKSUM_COMPLETE",
	.test = tests,
	.count = ARRAY_SIZE(tests),
	.complete = true,
};
