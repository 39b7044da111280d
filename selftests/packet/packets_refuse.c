/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Refusals: what is answered by ICMP port unreachable, byte for byte (refusal.c), what is not
 * answered, and how many are. Devices without an Ethernet header are net/refuse.sh's: a test run
 * gives every skb one.
 */
#include <string.h>
#include <time.h>

#include "harness.h"
#include "objects.h"

static const char *const state_none[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	NULL,
};

static const struct np_iface iface_drain = {
	.lb = NP_LB_DRAIN, .flags = NP_IFACE_STATS, .l2_len = 14, .mtu = 1500};

static const struct np_iface iface_own = {
	.lb = NP_LB_ON, .flags = NP_IFACE_STATS, .l2_len = 14, .mtu = 1500};

#define MACS .src_mac = "02:11:22:33:44:55", .dst_mac = "ee:ee:ee:ee:ee:ee"
#define ECHO .icmp4_type = 8, .icmp6_type = 128

#define ASKED(...)                                                                                 \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80", MACS, ##__VA_ARGS__),                    \
			REFUSED(NO_ENDPOINT)                                                       \
	}
#define UNANSWERED(from, ...)                                                                      \
	{                                                                                          \
		INGRESS, OPENS(from, "cluster:80", ##__VA_ARGS__), .verdict = DROP,                \
								   COUNTS(NO_ENDPOINT)             \
	}
#define PART(n, at, bytes, is_more)                                                                \
	.src = "pod:40000", .dst = "cluster:80", .flags = SYN, .id = n, .payload = 1900,           \
	.fragment = {at, bytes, is_more}

static const struct test tests[] = {
	{"without an endpoint, by every frontend", state_none,
	 .step = {ASKED(),
		  {INGRESS, OPENS("client:40000", "external:80", MACS), REFUSED(NO_ENDPOINT)},
		  {INGRESS, OPENS("client:40000", "vip:80", MACS), REFUSED(NO_ENDPOINT)},
		  {INGRESS, OPENS("client:40000", "node:30080", MACS), REFUSED(NO_ENDPOINT)},
		  {INGRESS, OPENS("node:40000", "cluster:80", MACS), REFUSED(NO_ENDPOINT)}}},
	{"another port of a clusterIP", state_local,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:81", MACS), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, OPENS("client:40000", "cluster:0", MACS), REFUSED(NO_SUCH_PORT)}}},
	{"an echo request to a clusterIP", state_local, .only = ONLY_TCP,
	 .step = {{INGRESS, SENDS("pod", "cluster", MACS, ECHO, .payload = 56),
		   REFUSED(NO_SUCH_PORT)},
		  {INGRESS, SENDS("pod", "cluster", MACS, ECHO), REFUSED(NO_SUCH_PORT)},
		  {INGRESS, SENDS("client", "cluster", MACS, ECHO, .payload = 1401),
		   REFUSED(NO_SUCH_PORT)},
		  {INGRESS,
		   SENDS("pod", "cluster", MACS, ECHO, .payload = 31, .extensions = "hd",
			 .ip_options = BYTES("\1\1\1\0")),
		   REFUSED(NO_SUCH_PORT)},
		  {EGRESS, SENDS("pod", "cluster", MACS, ECHO, .payload = 56)},
		  {AT_XDP, SENDS("pod", "cluster", MACS, ECHO, .payload = 56)}}},
	{"an echo request elsewhere", state_local, .only = ONLY_TCP,
	 .step = {{INGRESS, SENDS("pod", "external", MACS, ECHO, .payload = 56)},
		  {INGRESS, SENDS("pod", "vip", MACS, ECHO, .payload = 56)},
		  {INGRESS, SENDS("pod", "node", MACS, ECHO, .payload = 56)},
		  {INGRESS, SENDS("pod", "local", MACS, ECHO, .payload = 56)},
		  {INGRESS, SENDS("pod", "cluster2", MACS, ECHO, .payload = 56)}}},

	{"frames for another host: it will answer", state_none, .iface = &iface_own,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", MACS), .verdict = DROP,
		   COUNTS(NO_ENDPOINT)},
		  {INGRESS,
		   OPENS("pod:40000", "cluster:80", .src_mac = "02:11:22:33:44:55",
			 .dst_mac = NETNS_MAC_UPLINK),
		   REFUSED(NO_ENDPOINT)}}},

	{"odd lengths: whole words are quoted", state_none,
	 .step = {ASKED(.payload = 1), ASKED(.payload = 2), ASKED(.payload = 3),
		  ASKED(.payload = 333)}},
	{"long ones are cut", state_none,
	 .step = {ASKED(.payload = 1400), ASKED(.payload = 1399),
		  ASKED(.payload = 1200, .extensions = "hdd",
			.ip_options = BYTES("\1\1\1\1\1\1\1\0"))}},
	{"padding of the frame is not quoted", state_none,
	 .step = {ASKED(.padding = 18), ASKED(.payload = 3, .padding = 3),
		  ASKED(.payload = 500, .padding = 100)}},
	{"type of service: precedence internetwork control; IPv6 has none", state_none,
	 .step = {ASKED(.tos = 0x10), ASKED(.tos = 0xFF), ASKED(.tos = 0xE1), ASKED(.ttl = 1)}},
	{"TCP options", state_none, .only = ONLY_TCP,
	 .step = {ASKED(.tcp_options = BYTES("\2\4\5\264\4\2\10\12\1\2\3\4\0\0\0\0\1\3\3\7"))}},
	{"IPv4 options", state_none, .only = ONLY_IPV4,
	 .step = {ASKED(.ip_options = BYTES("\7\7\4\0\0\0\0\0")),
		  ASKED(.payload = 9, .ip_options = BYTES("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
							  "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
							  "\0"))}},
	{"IPv6 extension headers", state_none, .only = ONLY_IPV6,
	 .step = {ASKED(.extensions = "h"), ASKED(.extensions = "hdrd", .payload = 5),
		  ASKED(.extensions = "hddddddd", .payload = 1000)}},
	{"UDP without a checksum; SCTP whose CRC the device is to make", state_none,
	 .only = ONLY_UDP | ONLY_SCTP, .step = {ASKED(.no_checksum = true, .payload = 20)}},
	{"of a fragmented datagram the first fragment", state_none,
	 .step = {{INGRESS, .in = {PART(7, 0, 1480, true)}, REFUSED(NO_ENDPOINT)},
		  {INGRESS, .in = {PART(7, 1480, 400, false)}},
		  {INGRESS, .in = {PART(8, 1480, 400, false)}, COUNTS(FRAGMENT_LOST)},
		  {INGRESS, .in = {PART(9, 0, 32, true)}, REFUSED(NO_ENDPOINT)}}},

	{"no answer to who is nobody", state_none,
	 .step = {UNANSWERED("zero:40000"), UNANSWERED("loop:40000"), UNANSWERED("group:40000"),
		  UNANSWERED("everybody:40000")}},
	{"no answer to what is reserved", state_none, .only = ONLY_IPV4,
	 .step = {UNANSWERED("reserved:40000"), UNANSWERED("thisnet:40000"),
		  UNANSWERED("loop2:40000")}},
	{"no answer to a link-layer broadcast or multicast", state_none,
	 .step = {UNANSWERED("pod:40000", .dst_mac = "ff:ff:ff:ff:ff:ff"),
		  UNANSWERED("pod:40000", .dst_mac = "33:33:00:00:00:01"),
		  UNANSWERED("pod:40000", .dst_mac = "01:00:5e:00:00:01")}},
	{"no answer to an ICMP error, nor to an echo reply", state_none, .only = ONLY_TCP,
	 .step = {{INGRESS,
		   SENDS("pod", "cluster", MACS, .icmp4_type = 3, .icmp_code = 3, .icmp6_type = 1,
			 .quote = &(const struct packet){.src = "cluster:80", .dst = "pod:40000"})},
		  {INGRESS,
		   SENDS("pod", "cluster", MACS, .icmp4_type = 11, .icmp6_type = 3, .payload = 40)},
		  {INGRESS,
		   SENDS("pod", "cluster", MACS, .icmp4_type = 12, .icmp6_type = 4, .payload = 40)},
		  {INGRESS, SENDS("pod", "cluster", MACS, .icmp4_type = 14, .icmp6_type = 129,
				  .payload = 40)}}},
	{"in mid-flow: the kernel's", state_none, .only = ONLY_TCP | ONLY_SCTP,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80", MACS)},
		  {INGRESS, SENDS("pod:40000", "cluster:80", MACS, .flags = RST)},
		  {INGRESS, SENDS("pod:40000", "cluster:80", MACS, .flags = SYN | ACK)}}},
	{"lb=drain: the kernel's", state_none, &iface_drain,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", MACS), COUNTS(DRAIN)},
		  {INGRESS, OPENS("pod:40000", "cluster:81", MACS), COUNTS(DRAIN)},
		  {INGRESS, SENDS("pod", "cluster", MACS, ECHO), COUNTS(DRAIN)}}},
	{"XDP leaves it to tc, egress sees none", state_none,
	 .step = {{AT_XDP, OPENS("client:40000", "node:30080", MACS)},
		  {AT_XDP, OPENS("client:40000", "cluster:81", MACS)},
		  {EGRESS, OPENS("client:40000", "node:30080", MACS)}}},
};

const struct group packets_refuse = GROUP("refused by ICMP", tests);

const struct group packets_refuse_summed = {
	.name = "refused by ICMP with CHECKSUM_COMPLETE",
	.test = tests,
	.count = ARRAY_SIZE(tests),
	.complete = true,
};

static void forget_limit(void)
{
	memset(world.tables->limits, 0,
	       world.tables->size[TABLE_limits] * sizeof(*world.tables->limits));
}

/* Every length a datagram can have, and what is said of it. */
static void every_length(void **state)
{
	struct step step = ASKED();

	world.variant = *(struct variant *)*state;
	world_reset(state_none, NULL);
	step.action = forget_limit;
	for (step.in.payload = 0; step.in.payload < 1440; step.in.payload++) {
		step_run(&step, false);
		step_run(&step, true);
	}
}

static uint64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

#define FLOOD 2000

/* A burst, and then no more than so many a second. */
static void a_flood_is_answered_in_part(void **state)
{
	static const struct step step = ASKED();
	uint64_t answered = counter(NP_HOOK_INGRESS, NP_REASON_REJECTED), allowed;
	uint64_t limited = counter(NP_HOOK_INGRESS, NP_REASON_REJECT_LIMITED);
	uint64_t begin = milliseconds();

	world.variant = *(struct variant *)*state;
	world_reset(state_none, NULL);
	for (int i = 0; i < FLOOD; i++)
		step_only(&step);
	answered = counter(NP_HOOK_INGRESS, NP_REASON_REJECTED) - answered;
	limited = counter(NP_HOOK_INGRESS, NP_REASON_REJECT_LIMITED) - limited;
	allowed = NP_REJECTS_BURST +
		  (milliseconds() - begin + 20) * NP_REJECTS_PER_SECOND / 1000; /* and two ticks */
	print_message("%llu of %d answered\n", (unsigned long long)answered, FLOOD);
	assert_int_equal(answered + limited, FLOOD);
	assert_in_range(answered, NP_REJECTS_BURST, allowed < FLOOD ? allowed : FLOOD);
	assert_in_range(world.tables->limits[0].tokens, 0, NP_REJECTS_BURST);
}

/* An account that was never used is full; one that is empty fills with time. */
static void an_account_fills(void **state)
{
	static const struct step answered = ASKED();
	struct np_limit *account = &world.tables->limits[0];

	world.variant = *(struct variant *)*state;
	world_reset(state_none, NULL);
	step_run(&answered, false);
	assert_int_equal(account->tokens, NP_REJECTS_BURST - 1);
	account->tokens = 0;
	account->filled -= tables_hertz() / 20; /* 50 ms, give or take a tick */
	step_run(&answered, false);
	assert_in_range(account->tokens, 30, NP_REJECTS_BURST - 1);
	account->tokens = 0;
	account->filled -= 100 * tables_hertz();
	step_run(&answered, false);
	assert_int_equal(account->tokens, NP_REJECTS_BURST - 1);
}

int refuse_run(void)
{
	static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_TCP},
					{.family = NP_IPV6, .protocol = IPPROTO_TCP},
					{.family = NP_IPV4, .protocol = IPPROTO_UDP},
					{.family = NP_IPV6, .protocol = IPPROTO_UDP},
					{.family = NP_IPV4, .protocol = IPPROTO_SCTP},
					{.family = NP_IPV6, .protocol = IPPROTO_SCTP}};
	const struct CMUnitTest tests[] = {
		{"every length (IPv4 TCP)", every_length, NULL, NULL, &ways[0]},
		{"every length (IPv6 TCP)", every_length, NULL, NULL, &ways[1]},
		{"every length (IPv4 UDP)", every_length, NULL, NULL, &ways[2]},
		{"every length (IPv6 UDP)", every_length, NULL, NULL, &ways[3]},
		{"every length (IPv4 SCTP)", every_length, NULL, NULL, &ways[4]},
		{"every length (IPv6 SCTP)", every_length, NULL, NULL, &ways[5]},
		{"a flood is answered in part (IPv4)", a_flood_is_answered_in_part, NULL, NULL,
		 &ways[0]},
		{"a flood is answered in part (IPv6)", a_flood_is_answered_in_part, NULL, NULL,
		 &ways[1]},
		{"an account fills", an_account_fills, NULL, NULL, &ways[2]},
	};

	return cmocka_run_group_tests_name("how much is refused", tests, NULL, NULL);
}
