/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/routes.c: whatever the kernel has of routes, rules and addresses, the answer is
 * the one it gives itself, and it is asked less often. In a network namespace of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "netns.h"
#include "routes.h"
#include "util.h"

#define QUESTIONS 3000

static void ip(const char *args)
{
	char line[256];

	snprintf(line, sizeof(line), "ip %s", args);
	if (system(line))
		fail_msg("%s", line);
}

/* Destinations near what the kernel tells apart, and anywhere. */
static union np_addr destination(uint8_t family)
{
	static const char *const four[] = {"10.0.0.0",	"10.1.2.3",  "10.1.2.0",  "10.9.0.0",
					   "192.0.2.0", "127.0.0.1", "172.16.5.0"};
	static const char *const six[] = {"fd00:1::", "fd00:2::1", "fd00:2::", "2001:db8::",
					  "fe80::1",  "2002:1::1", "::1",      "fd00:1:0:0:8000::"};
	union np_addr addr = {};
	uint8_t *byte = (uint8_t *)&addr;
	const size_t size = family == NP_IPV4 ? 4 : 16;

	if (random() % 4)
		inet_pton(family == NP_IPV4 ? AF_INET : AF_INET6,
			  family == NP_IPV4 ? four[random() % 7] : six[random() % 8], &addr);
	byte[(size_t)random() % size] ^= (uint8_t)(1 << random() % 8);
	if (random() % 2)
		byte[size - 1] = (uint8_t)random();
	return addr;
}

static void compare(struct routes *routes, struct netlink *netlink, uint8_t family)
{
	const uint64_t asked = routes_asked(routes);

	for (int i = 0; i < QUESTIONS; i++) {
		const union np_addr dst = destination(family);
		union np_addr own = {}, theirs = {};
		int rc = routes_source(routes, family, &dst, &own);
		char text[INET6_ADDRSTRLEN];

		if (rc == netlink_source(netlink, family, &dst, &theirs) &&
		    (rc || !memcmp(&own, &theirs, sizeof(own))))
			continue;
		inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, &dst, text, sizeof(text));
		fail_msg("towards %s: %d", text, rc);
	}
	assert_true(routes_asked(routes) - asked < QUESTIONS / 2);
}

/*
 * A link gets its own address some time after it is up, and that is a source once no other is found
 * to have it: both would change answers between two questions.
 */
#define ADDRESSED                                                                                  \
	"&& for i in $(seq 100); do sleep .1;"                                                     \
	"[ $(ip -6 -o addr show scope link -tentative | wc -l) = 2 ] && exit; done; exit 1"

static void answers_are_the_kernels(void **state)
{
	static const char *const steps[] = {
		"link set lo up",
		"link add v0 type veth peer name v1 && ip link set v0 up && "
		"ip link set v1 up" ADDRESSED,
		"addr add 192.0.2.1/24 dev v0 && ip addr add 10.9.0.1/16 dev v1",
		"route add default via 192.0.2.254",
		"route add 10.1.0.0/16 via 10.9.0.7 && ip route add 10.1.2.0/24 dev v0 src "
		"192.0.2.1",
		"route add blackhole 172.16.0.0/12",
		"addr add fd00:1::1/64 dev v0 nodad && ip addr add fd00:2::1/64 dev v0 nodad",
		"addr add fd00:1::8000:0:0:1/64 dev v0 nodad && ip -6 route add default via "
		"fd00:1::99",
		"-6 route add 2001:db8::/32 via fd00:2::99 dev v0",
		"rule add to 10.1.2.3 table 99 && ip route add default dev v1 table 99",
		"-6 rule add to fd00:2::/48 prohibit",
		"route del 10.1.0.0/16 && ip addr add 10.1.2.3/32 dev lo",
	};
	static const struct netlink_events nothing;
	struct netlink *netlink = NULL;
	struct routes *routes = NULL;

	(void)state;
	srandom(1);
	assert_int_equal(netlink_open(&nothing, NULL, &netlink), 0);
	assert_int_equal(routes_new(netlink, &routes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		ip(steps[i]);
		routes_forget(routes);
		compare(routes, netlink, NP_IPV4);
		compare(routes, netlink, NP_IPV6);
	}
	routes_free(&routes);
	netlink_close(&netlink);
}

/* Each step undoes the one before. */
static void flows_share_routes_unless_more_than_addresses_decides(void **state)
{
	static const struct {
		const char *ip;
		bool shared;
	} steps[] = {
		{"rule add to 10.1.2.3 from 10.1.2.4 iif v0 table 99", true},
		{"rule add ipproto tcp dport 443 table 99", false},
		{"rule del ipproto tcp dport 443 table 99", true},
		{"-6 rule add sport 53 table 99", false},
		{"-6 rule del sport 53 table 99", true},
		{"rule add tos 0x10 table 99", false},
		{"rule del tos 0x10 table 99", true},
		{"route add 10.3.0.0/16 tos 0x10 dev v0", false},
		{"route del 10.3.0.0/16 tos 0x10 dev v0", true},
		{"route add 10.3.0.0/16 nexthop dev v0 nexthop dev v1", false},
		{"route del 10.3.0.0/16", true},
		{"-6 route add 2001:db8:1::/48 nexthop via fd00:1::5 nexthop via fd00:2::5", false},
		{"-6 route del 2001:db8:1::/48", true},
	};
	static const struct netlink_events nothing;
	struct netlink *netlink = NULL;
	struct routes *routes = NULL;

	(void)state;
	assert_int_equal(netlink_open(&nothing, NULL, &netlink), 0);
	assert_int_equal(routes_new(netlink, &routes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		ip(steps[i].ip);
		routes_forget(routes);
		if (routes_shared(routes) != steps[i].shared)
			fail_msg("after: ip %s", steps[i].ip);
	}
	routes_free(&routes);
	netlink_close(&netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_the_kernels),
		cmocka_unit_test(flows_share_routes_unless_more_than_addresses_decides),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("routes", tests, NULL, NULL);
	netns_leave();
	return failed;
}
