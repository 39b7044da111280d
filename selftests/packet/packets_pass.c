/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is not a service's passes every hook with no byte changed and nothing counted: other
 * traffic, packets in mid-flow that have no record, and packets that are broken or cut off.
 */
#include <string.h>

#include "harness.h"
#include "objects.h"

/* The same packet to all three hooks. */
#define EVERYWHERE(...)                                                                            \
	{INGRESS, .in = {__VA_ARGS__}}, {EGRESS, .in = {__VA_ARGS__}},                             \
	{                                                                                          \
		AT_XDP, .in = { __VA_ARGS__ }                                                      \
	}
#define BETWEEN(a, b) .src = a, .dst = b

/* 520 bytes, in whose middle, 8 bytes in, stands what looks like a SYN to the service. */
#define PAD8   "\0\0\0\0\0\0\0\0"
#define PAD64  PAD8 PAD8 PAD8 PAD8 PAD8 PAD8 PAD8 PAD8
#define PAD496 PAD64 PAD64 PAD64 PAD64 PAD64 PAD64 PAD64 PAD8 PAD8 PAD8 PAD8 PAD8 PAD8
#define LONG_HEADER                                                                                \
	"\0\100\1\4\0\0\0\0"                                                                       \
	"\234\100\0\120\0\0\0\0\0\0\0\0\120\2\0\0" PAD496

static const struct test tests[] = {
	{"TCP of no service", state_local, .only = ONLY_TCP,
	 .step = {EVERYWHERE(BETWEEN("client:40000", "pod:80"), .flags = SYN),
		  EVERYWHERE(BETWEEN("pod:80", "client:40000"), .flags = SYN | ACK),
		  EVERYWHERE(BETWEEN("client:40000", "pod:80"), .payload = 77),
		  EVERYWHERE(BETWEEN("client:40000", "pod:80"), .flags = RST)}},
	{"UDP of no service", state_local, .only = ONLY_UDP,
	 .step = {EVERYWHERE(BETWEEN("client:40000", "pod:80"), .payload = 77),
		  EVERYWHERE(BETWEEN("client:40000", "pod:80"), .payload = 0),
		  EVERYWHERE(BETWEEN("pod:80", "client:40000"), .no_checksum = true)}},
	{"directly to a backend", state_local,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "local:8080"), .flags = SYN)}},
	{"in mid-flow without a record", state_local, .only = ONLY_TCP | ONLY_SCTP,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .payload = 10),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = FIN | ACK),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = RST),
		  EVERYWHERE(BETWEEN("local:8080", "pod:40000"), .flags = SYN | ACK),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN | ACK)}},
	{"ARP", state_local, .only = ONLY_TCP | ONLY_IPV4,
	 .step = {EVERYWHERE(BETWEEN("pod", "cluster"), .ethertype = 0x0806, .payload = 46)}},
	{"an Ethernet type of nothing known, a VLAN", state_local, .only = ONLY_TCP | ONLY_IPV4,
	 .step = {EVERYWHERE(BETWEEN("pod", "cluster"), .ethertype = 0x88B5, .payload = 100),
		  EVERYWHERE(BETWEEN("pod", "cluster"), .ethertype = 0x8100, .payload = 100)}},
	{"echo request and reply", state_local, .only = ONLY_TCP,
	 .step = {EVERYWHERE(BETWEEN("pod", "local"), .icmp4_type = 8, .icmp6_type = 128,
			     .payload = 56),
		  EVERYWHERE(BETWEEN("local", "pod"), .icmp4_type = 14, .icmp6_type = 129,
			     .payload = 56)}},
	{"neighbour discovery", state_local, .only = ONLY_TCP | ONLY_IPV6,
	 .step = {EVERYWHERE(BETWEEN("pod", "cluster"), .icmp4_type = 1, .icmp6_type = 135,
			     .payload = 24)}},
	{"IGMP, GRE, ESP, a protocol of nobody", state_local, .only = ONLY_TCP,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .protocol = 2, .payload = 8),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .protocol = 47, .payload = 40),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .protocol = 50, .payload = 40),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .protocol = 253, .payload = 40)}},
	{"ICMPv6 in IPv4", state_local, .only = ONLY_TCP | ONLY_IPV4,
	 .step = {EVERYWHERE(BETWEEN("pod", "cluster"), .protocol = 58, .payload = 40)}},
	{"ICMP in IPv6", state_local, .only = ONLY_TCP | ONLY_IPV6,
	 .step = {EVERYWHERE(BETWEEN("pod", "cluster"), .protocol = 1, .payload = 40)}},
	{"an IPv4 header length that is none", state_local, .only = ONLY_IPV4,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN, .ihl = 4),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN, .ihl = 1),
		  EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN, .ihl = 15)}},
	{"more IPv6 extension headers than are followed", state_local, .only = ONLY_IPV6,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN,
			     .extensions = "hdddddddd")}},
	{"an IPv6 extension header longer than is followed", state_local, .only = ONLY_IPV6,
	 .step = {EVERYWHERE(BETWEEN("pod:40000", "cluster:80"), .flags = SYN, .payload = 20,
			     .hop_by_hop = BYTES(LONG_HEADER))}},
};

const struct group packets_pass = GROUP("what passes untouched", tests);

/*
 * Every packet cut off everywhere: what headers are there must be enough, or it passes. The test
 * run itself refuses less than an Ethernet header, and since Linux 6.18 less than an IP header.
 */
static bool enough(enum np_hook hook, size_t length, int family)
{
	return length >= (hook == NP_HOOK_XDP ? 14U : family == NP_IPV4 ? 34U : 54U);
}

static void cut_everywhere(const struct packet *whole)
{
	size_t headers = (world.variant.family == NP_IPV4 ? 34 : 54) +
			 (world.variant.protocol == IPPROTO_TCP	  ? 20
			  : world.variant.protocol == IPPROTO_UDP ? 8
								  : 16);

	for (enum np_hook hook = 0; hook < NP_HOOKS; hook++) {
		for (uint16_t length = 1; length < headers; length++) {
			struct step step = {.hook = hook, .in = *whole};

			if (!enough(hook, length, world.variant.family))
				continue;
			step.in.truncate = length;
			step_run(&step, false);
		}
	}
}

static void cut_off(void **state)
{
	static const struct packet packets[] = {
		{.src = "pod:40000", .dst = "cluster:80", .flags = SYN},
		{.src = "client:40000", .dst = "node:30080", .flags = SYN},
		{.src = "pod:40000", .dst = "client:80", .flags = SYN},
	};

	world.variant = *(struct variant *)*state;
	world_reset(state_local, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		cut_everywhere(&packets[i]);
	assert_null(flow_of(40000));
}

/* ICMP errors of a flow, whose quoted packet ends everywhere. */
static void cut_off_errors(void **state)
{
	static const struct packet about = {.src = "pod:40000", .dst = "local:8080", .payload = 20};
	static const struct step open = {INGRESS, OPENS("pod:40000", "cluster:80"),
					 .out = {.dst = "local:8080"}, NEW};
	struct step step = {.hook = NP_HOOK_EGRESS,
			    .in = {.src = "router",
				   .dst = "pod",
				   .icmp4_type = 3,
				   .icmp_code = 4,
				   .icmp6_type = 2,
				   .quote = &about}};
	uint16_t start;

	world.variant = *(struct variant *)*state;
	world_reset(state_local, NULL);
	step_run(&open, false);
	start = world.variant.family == NP_IPV4 ? 34 : 54;
	for (step.in.truncate = start; step.in.truncate < start + 8 + (start - 14) + 4;
	     step.in.truncate++)
		step_run(&step, false);
}

int truncated_run(void)
{
	static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_TCP},
					{.family = NP_IPV4, .protocol = IPPROTO_UDP},
					{.family = NP_IPV6, .protocol = IPPROTO_TCP},
					{.family = NP_IPV6, .protocol = IPPROTO_UDP},
					{.family = NP_IPV4, .protocol = IPPROTO_SCTP},
					{.family = NP_IPV6, .protocol = IPPROTO_SCTP}};
	const struct CMUnitTest tests[] = {
		{"cut off anywhere (IPv4 TCP)", cut_off, NULL, NULL, &ways[0]},
		{"cut off anywhere (IPv4 UDP)", cut_off, NULL, NULL, &ways[1]},
		{"cut off anywhere (IPv6 TCP)", cut_off, NULL, NULL, &ways[2]},
		{"cut off anywhere (IPv6 UDP)", cut_off, NULL, NULL, &ways[3]},
		{"cut off anywhere (IPv4 SCTP)", cut_off, NULL, NULL, &ways[4]},
		{"cut off anywhere (IPv6 SCTP)", cut_off, NULL, NULL, &ways[5]},
		{"ICMP error cut off anywhere (IPv4)", cut_off_errors, NULL, NULL, &ways[0]},
		{"ICMP error cut off anywhere (IPv6)", cut_off_errors, NULL, NULL, &ways[2]},
	};

	return cmocka_run_group_tests_name("cut off", tests, NULL, NULL);
}
