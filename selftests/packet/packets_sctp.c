/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is SCTP's alone (nearly all other cases are run in SCTP too): its CRC32c after every rewrite
 * and at every length, and what its chunks tell of an association.
 */
#include <string.h>

#include "harness.h"
#include "objects.h"

/* Endpoints listen on the service's own port: no port changes where the source is kept. */
static const char *const state_same_port[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICE_AT("80", "4", "web", ENDPOINT("4", "remote", "node2")),
	SLICE_AT("80", "6", "web", ENDPOINT("6", "remote", "node2")),
	NULL,
};
static const char *const state_other[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote2"),
	NULL,
};

/* RFC 9260, 3.2 */
#define INIT_ACK	  2
#define SACK		  3
#define HEARTBEAT	  4
#define ABORT		  6
#define SHUTDOWN	  7
#define SHUTDOWN_ACK	  8
#define ERROR_CHUNK	  9
#define COOKIE_ECHO	  10
#define COOKIE_ACK	  11
#define SHUTDOWN_COMPLETE 14
#define I_DATA		  64
#define ASCONF		  193

#define OPEN                                                                                       \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80", .payload = 16),                          \
			.out.dst = "remote:8080", NEW, .flows = "sctp_new"                         \
	}
#define CLIENT(type, after)                                                                        \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80", .chunk = type, .payload = 12),           \
			.out.dst = "remote:8080", HIT, .flows = after                              \
	}
#define BACKEND(type, after)                                                                       \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:40000", .chunk = type, .payload = 12),           \
			.out.src = "cluster:80", HIT, .flows = after                               \
	}

static void just_expire(void)
{
	struct np_flow *flow = flow_of(40000);

	assert_non_null(flow);
	flow->seen -= flow_timeout(flow->state) + 1 + tables_hertz();
}

static void almost_expire(void)
{
	struct np_flow *flow = flow_of(40000);

	assert_non_null(flow);
	flow->seen -= flow_timeout(flow->state) - tables_hertz();
}

static void move_to_other(void)
{
	world_apply(state_other);
}

static const struct test tests[] = {
	{"no port changes: the CRC stays", state_same_port,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", .payload = 33), .out.dst = "remote:80",
		   NEW},
		  {EGRESS, SENDS("remote:80", "pod:40000", .payload = 34), .out.src = "cluster:80",
		   HIT}}},
	{"four rewrites", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80", .payload = 20),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, OPENS("client:?0", "remote:8080", .payload = 20), .out.src = "snat:?0",
		   HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .chunk = INIT_ACK, .payload = 301),
		   .out.dst = "client:?0", HIT},
		  {EGRESS, SENDS("remote:8080", "client:?0", .chunk = INIT_ACK, .payload = 301),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		  {INGRESS, SENDS("client:40000", "vip:80", .chunk = COOKIE_ECHO, .payload = 299),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT}}},
	{"a CRC that the device is to make", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80", .no_checksum = true, .payload = 20),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("client:?0", "remote:8080", .no_checksum = true, .payload = 20),
		   .out.src = "snat:?0", HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .no_checksum = true, .payload = 99),
		   .out.dst = "client:?0", HIT},
		  {EGRESS, SENDS("remote:8080", "client:?0", .no_checksum = true, .payload = 99),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		  {AT_XDP, SENDS("client:40000", "vip:80", .no_checksum = true, .payload = 20)},
		  {AT_XDP, SENDS("remote:8080", "snat:?0", .no_checksum = true, .payload = 20)}}},
	{"the frame is padded: the CRC is not over that", state_remote,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80", .padding = 10),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("client:?0", "remote:8080", .payload = 1, .padding = 9),
		   .out.src = "snat:?0", HIT},
		  {INGRESS, SENDS("remote:8080", "snat:?0", .payload = 2, .padding = 8),
		   .out.dst = "client:?0", HIT},
		  {EGRESS, SENDS("remote:8080", "client:?0", .payload = 3, .padding = 7),
		   .out = {.src = "vip:80", .dst = "client:40000"}, HIT}}},
	{"only INIT opens", state_remote,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80", .payload = 16), .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .chunk = INIT_ACK), .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .chunk = COOKIE_ECHO), .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .chunk = ABORT), .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .chunk = I_DATA), .flows = ""},
		  {INGRESS, SENDS("pod:40000", "cluster:80", .chunk = 255), .flows = ""},
		  {AT_XDP, SENDS("client:40000", "vip:80", .chunk = COOKIE_ECHO), .flows = ""}}},
	{"opened by the answer, closed by SHUTDOWN COMPLETE", state_remote,
	 .step = {OPEN, CLIENT(HEARTBEAT, "sctp_new"), BACKEND(INIT_ACK, "sctp_new"),
		  CLIENT(COOKIE_ECHO, "sctp_new"), BACKEND(COOKIE_ACK, "sctp_established"),
		  CLIENT(0, "sctp_established"), BACKEND(SACK, "sctp_established"),
		  CLIENT(I_DATA, "sctp_established"), CLIENT(ASCONF, "sctp_established"),
		  BACKEND(ERROR_CHUNK, "sctp_established"), CLIENT(SHUTDOWN, "sctp_established"),
		  BACKEND(SHUTDOWN_ACK, "sctp_established"),
		  CLIENT(SHUTDOWN_COMPLETE, "sctp_closed")}},
	{"SHUTDOWN from the backend", state_remote,
	 .step = {OPEN, BACKEND(INIT_ACK, "sctp_new"), BACKEND(SHUTDOWN, "sctp_established"),
		  CLIENT(SHUTDOWN_ACK, "sctp_established"),
		  BACKEND(SHUTDOWN_COMPLETE, "sctp_closed")}},
	{"ABORT instead of an answer, then another INIT", state_remote,
	 .step = {OPEN, BACKEND(ABORT, "sctp_closed"), OPEN, BACKEND(INIT_ACK, "sctp_new")}},
	{"ABORT from the client", state_remote,
	 .step = {OPEN, BACKEND(INIT_ACK, "sctp_new"), CLIENT(ABORT, "sctp_closed"), OPEN}},
	{"INIT again: the same flow", state_remote,
	 .step = {OPEN,
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT,
		   .flows = "sctp_new"},
		  BACKEND(INIT_ACK, "sctp_new"),
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT,
		   .flows = "sctp_new"}}},
	{"the backend goes: an association lives on, a new one gets another", state_remote,
	 .step = {OPEN,
		  BACKEND(INIT_ACK, "sctp_new"),
		  {.action = move_to_other},
		  CLIENT(COOKIE_ECHO, "sctp_new"),
		  BACKEND(COOKIE_ACK, "sctp_established"),
		  CLIENT(0, "sctp_established"),
		  BACKEND(SACK, "sctp_established"),
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote2:8080", NEW,
		   .flows = "sctp_new"}}},
	{"INIT on an association that expired: a flow of its own", state_remote,
	 .step = {OPEN,
		  BACKEND(COOKIE_ACK, "sctp_established"),
		  {.action = just_expire},
		  CLIENT(0, "sctp_established"),
		  {.action = just_expire},
		  OPEN}},
	{"INIT on an association that is about to expire stays", state_remote,
	 .step = {OPEN,
		  BACKEND(COOKIE_ACK, "sctp_established"),
		  {.action = almost_expire},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", HIT,
		   .flows = "sctp_established"}}},
	{"an association that is never answered expires sooner", state_remote,
	 .step = {OPEN, {.action = just_expire}, OPEN}},
	{"SCTP beside UDP and TCP of the same ports", state_remote,
	 .step = {OPEN,
		  {INGRESS, OPENS("pod:40000", "cluster:80", .protocol = IPPROTO_UDP),
		   .out.dst = "remote:8080", NEW},
		  {INGRESS, OPENS("pod:40000", "cluster:80", .protocol = IPPROTO_TCP),
		   .out.dst = "remote:8080", NEW},
		  CLIENT(0, "tcp_syn_sent udp sctp_new")}},
};

#define ONLY(n, summed)                                                                            \
	{                                                                                          \
		.name = (n), .test = tests, .count = ARRAY_SIZE(tests), .complete = (summed),      \
		.only = ONLY_SCTP                                                                  \
	}

const struct group packets_sctp = ONLY("SCTP", false);
const struct group packets_sctp_summed = ONLY("SCTP with CHECKSUM_COMPLETE", true);

/* RFC 3720, B.4: what the CRC of these is. */
static void crc_is_known(void **state)
{
	uint8_t zeroes[32] = {0}, ones[32];

	(void)state;
	memset(ones, 0xFF, sizeof(ones));
	assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xE3069283);
	assert_int_equal(crc32c(zeroes, sizeof(zeroes)), 0x8A9136AA);
	assert_int_equal(crc32c(ones, sizeof(ones)), 0x62A8AB43);
}

/* Packets of every length through all four rewrites of tc and both of XDP. */
static void every_length(void **state)
{
	static const struct step opens = {INGRESS, OPENS("client:40000", "vip:80"),
					  .out = {.src = "client:?0", .dst = "remote:8080"}, NEW};
	struct step steps[] = {
		{INGRESS, SENDS("client:40000", "vip:80"),
		 .out = {.src = "client:?0", .dst = "remote:8080"}, HIT},
		{EGRESS, SENDS("client:?0", "remote:8080"), .out.src = "snat:?0", HIT},
		{INGRESS, SENDS("remote:8080", "snat:?0"), .out.dst = "client:?0", HIT},
		{EGRESS, SENDS("remote:8080", "client:?0"),
		 .out = {.src = "vip:80", .dst = "client:40000"}, HIT},
		{AT_XDP, SENDS("client:40000", "vip:80"), .verdict = TX,
		 .out = {.src = "snat:?0",
			 .dst = "remote:8080",
			 .ttl = 63,
			 .src_mac = NETNS_MAC_UPLINK,
			 .dst_mac = NETNS_MAC_GATEWAY},
		 COUNTS(XDP_TX)},
		{AT_XDP, SENDS("remote:8080", "snat:?0"), .verdict = TX,
		 .out = {.src = "vip:80",
			 .dst = "client:40000",
			 .ttl = 63,
			 .src_mac = NETNS_MAC_UPLINK,
			 .dst_mac = NETNS_MAC_GATEWAY},
		 COUNTS(XDP_TX)},
	};
	uint16_t most;

	world.variant = *(struct variant *)*state;
	world_reset(state_remote, NULL);
	step_run(&opens, false);
	most = world.variant.family == NP_IPV4 ? 1500 - 20 - 16 : 1500 - 40 - 16;
	for (uint16_t payload = 0; payload <= most; payload++) {
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			steps[i].in.payload = payload;
			step_run(&steps[i], payload % 2);
		}
	}
}

int sctp_run(void)
{
	static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_SCTP},
					{.family = NP_IPV6, .protocol = IPPROTO_SCTP}};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_known),
		{"every length (IPv4)", every_length, NULL, NULL, &ways[0]},
		{"every length (IPv6)", every_length, NULL, NULL, &ways[1]},
	};

	return cmocka_run_group_tests_name("SCTP's CRC", tests, NULL, NULL);
}
