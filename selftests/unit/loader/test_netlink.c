/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the kernel of a namespace of its own tells, against what `ip` was told to do there. */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#include "netlink.h"
#include "util.h"

struct seen {
	struct netlink_link link; /* the last one called np* */
	struct netlink_addr addr;
	int links, links_gone, addrs, addrs_gone, routes, overruns;
	char gone[IF_NAMESIZE];
	bool loopback;
	bool ask; /* for a source address in the middle of a dump */
	int source;
};

static struct seen seen;
static struct netlink *netlink;

static union np_addr address(const char *text)
{
	union np_addr addr = {};

	if (inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &addr) != 1)
		fail_msg("%s is no address", text);
	return addr;
}

static void on_link(const struct netlink_link *link, void *arg)
{
	struct seen *s = arg;

	s->loopback |= link->loopback;
	if (strncmp(link->name, "np", 2))
		return;
	s->link = *link;
	s->links++;
}

static void on_link_gone(int ifindex, const char *name, void *arg)
{
	struct seen *s = arg;

	assert_true(ifindex > 0);
	snprintf(s->gone, sizeof(s->gone), "%s", name);
	s->links_gone++;
}

static void on_addr(const struct netlink_addr *addr, void *arg)
{
	const union np_addr dst = address("10.1.0.9");
	struct seen *s = arg;
	union np_addr src;

	if (s->ask)
		s->source = netlink_source(netlink, NP_IPV4, &dst, &src);
	if (addr->link_local)
		return;
	s->addr = *addr;
	s->addrs++;
}

static void on_addr_gone(const struct netlink_addr *addr, void *arg)
{
	struct seen *s = arg;

	s->addr = *addr;
	s->addrs_gone++;
}

static void on_routes(void *arg)
{
	((struct seen *)arg)->routes++;
}

static void on_overrun(void *arg)
{
	((struct seen *)arg)->overruns++;
}

/* What has been sent is in the socket before `ip` returns, so there is nothing to wait for. */
static void receive(void)
{
	assert_int_equal(netlink_receive(netlink), 0);
}

/* IPv6 addresses are told of by a work queue of the kernel, after ip has returned. */
static void receive_family(uint8_t family)
{
	int i;

	for (i = 0; i < 200 && seen.addr.family != family; i++) {
		usleep(10000);
		receive();
	}
}

static void forget(void)
{
	receive();
	memset(&seen, 0, sizeof(seen));
}

static void assert_source(const char *dst_text, const char *src_text)
{
	uint8_t family = strchr(dst_text, ':') ? NP_IPV6 : NP_IPV4;
	const union np_addr dst = address(dst_text), wanted = address(src_text);
	union np_addr src = {};

	assert_int_equal(netlink_source(netlink, family, &dst, &src), 0);
	assert_memory_equal(&src, &wanted, sizeof(src));
}

static void a_dump_tells_links_and_addresses(void **state)
{
	(void)state;
	run("ip link set lo up && ip addr add 10.1.0.1/24 dev np0 && ip link set np0 mtu 1400 up");
	forget();
	assert_int_equal(netlink_dump(netlink), 0);
	assert_true(seen.loopback);
	assert_int_equal(seen.links, 2);
	assert_int_equal(seen.links_gone, 0);
	assert_true(seen.addrs >= 2); /* 127.0.0.1, ::1 and that of np0 */
}

static void a_link_is_described(void **state)
{
	(void)state;
	forget();
	run("ip link set np0 mtu 1400");
	receive();
	assert_string_equal(seen.link.name, "np0");
	assert_int_equal(seen.link.ifindex, ifindex_of("np0"));
	assert_int_equal(seen.link.mtu, 1400);
	assert_int_equal(seen.link.l2_len, 14);
	assert_true(seen.link.supported);
	assert_false(seen.link.up || seen.link.loopback || seen.link.master);
	run("ip link set np0 up");
	receive();
	assert_true(seen.link.up);
}

static void a_device_without_a_header_is_supported(void **state)
{
	(void)state;
	forget();
	run("ip tuntap add np2 mode tun");
	receive();
	assert_string_equal(seen.link.name, "np2");
	assert_int_equal(seen.link.l2_len, 0);
	assert_true(seen.link.supported);
}

static void a_port_that_leaves_its_bridge_is_not_gone(void **state)
{
	(void)state;
	run("ip link add br2 type bridge");
	forget();
	run("ip link set np0 master br2");
	receive();
	assert_int_equal(seen.link.master, ifindex_of("br2"));
	run("ip link set np0 nomaster");
	receive();
	assert_int_equal(seen.links_gone, 0);
	run("ip link del br2");
	receive();
	assert_int_equal(seen.links_gone, 1);
	assert_string_equal(seen.gone, "br2");
}

static void an_address_is_described(void **state)
{
	union np_addr wanted = address("10.1.0.1");

	(void)state;
	forget();
	run("ip addr add 10.1.0.1 peer 10.9.0.0/24 dev np0");
	receive();
	assert_int_equal(seen.addr.family, NP_IPV4);
	assert_int_equal(seen.addr.prefix, 24);
	assert_int_equal(seen.addr.ifindex, ifindex_of("np0"));
	assert_memory_equal(&seen.addr.addr, &wanted, sizeof(wanted));
	assert_false(seen.addr.loopback_scope || seen.addr.link_local);

	run("ip addr del 10.1.0.1 peer 10.9.0.0/24 dev np0");
	receive();
	assert_int_equal(seen.addrs_gone, 1);
	run("ip addr add 10.1.0.2/32 dev np0 scope host");
	receive();
	assert_true(seen.addr.loopback_scope);
	wanted = address("fd00::1");
	run("ip addr add fd00::1/64 dev np0 nodad");
	receive_family(NP_IPV6);
	assert_int_equal(seen.addr.family, NP_IPV6);
	assert_memory_equal(&seen.addr.addr, &wanted, sizeof(wanted));
}

static void link_local_addresses_are_marked(void **state)
{
	(void)state;
	forget();
	run("ip addr add 169.254.7.7/16 dev np0 && ip addr add fe80::7/64 dev np0");
	receive();
	assert_int_equal(seen.addrs, 0);
	run("ip addr del 169.254.7.7/16 dev np0");
	receive();
	assert_true(seen.addr.link_local);
}

static void routes_are_told_of_once_a_call(void **state)
{
	(void)state;
	run("ip addr add 10.1.0.1/24 dev np0 && ip link set np0 up && ip link set np1 up");
	forget();
	run("ip route add 10.2.0.0/24 via 10.1.0.2 && ip route add 10.3.0.0/24 via 10.1.0.2");
	receive();
	assert_int_equal(seen.routes, 1);
	run("ip rule add prio 77 to 10.7.0.0/16 table 77");
	receive();
	assert_int_equal(seen.routes, 2);
	run("ip rule del prio 77");
	receive();
	/* Its routes go without a message of their own. */
	run("ip link set np0 down");
	forget();
	run("ip link set np0 up");
	forget();
	run("ip link set np0 down");
	receive();
	assert_int_equal(seen.routes, 1);
}

static void the_kernels_own_routes_are_not_told_of(void **state)
{
	(void)state;
	forget();
	run("ip route add local 10.5.0.0/24 dev lo table local");
	run("ip -6 route add fe80::/64 dev np0 metric 7 2>/dev/null || true");
	run("ip link set np0 txqueuelen 500");
	run("ip neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev np0");
	receive();
	assert_int_equal(seen.routes, 0);
	run("ip route del local 10.5.0.0/24 dev lo table local");
}

static void the_source_is_the_one_the_kernel_takes(void **state)
{
	const union np_addr nowhere = address("192.0.2.1");
	const union np_addr far = address("fd99::1");
	union np_addr src = address("1.2.3.4"), before = src;

	(void)state;
	assert_int_equal(netlink_source(netlink, NP_IPV4, &nowhere, &src), -ENETUNREACH);
	assert_int_equal(netlink_source(netlink, NP_IPV6, &far, &src), -ENETUNREACH);
	assert_int_equal(netlink_source(netlink, 5, &nowhere, &src), -EAFNOSUPPORT);
	assert_memory_equal(&src, &before, sizeof(src));

	run("ip link set lo up && ip link set np0 up && ip link set np1 up");
	run("ip addr add 10.1.0.1/24 dev np0 && ip addr add 10.1.0.3/24 dev np0");
	run("ip addr add fd00::1/64 dev np0 nodad && ip addr add fd01::1/64 dev np0 nodad");
	run("ip route add 10.2.0.0/24 via 10.1.0.2 && "
	    "ip route add 10.3.0.0/24 via 10.1.0.2 src 10.1.0.3");
	run("ip route add fd03::/64 dev np0 src fd01::1");
	run("ip route add unreachable 10.4.0.0/24 && ip route add unreachable fd04::/64");
	assert_source("10.1.0.2", "10.1.0.1");
	assert_source("10.2.0.9", "10.1.0.1");
	assert_source("10.3.0.9", "10.1.0.3");
	assert_source("10.1.0.1", "10.1.0.1"); /* itself */
	assert_source("fd00::2", "fd00::1");
	assert_source("fd03::9", "fd01::1");
	src = address("10.4.0.1");
	assert_true(netlink_source(netlink, NP_IPV4, &src, &src) < 0);
	src = address("fd04::1");
	assert_true(netlink_source(netlink, NP_IPV6, &src, &src) < 0);
}

static void a_source_can_be_asked_for_during_a_dump(void **state)
{
	(void)state;
	run("ip link set np0 up && ip addr add 10.1.0.1/24 dev np0");
	forget();
	seen.ask = true;
	seen.source = -1;
	assert_int_equal(netlink_dump(netlink), 0);
	assert_int_equal(seen.source, 0);
}

static void the_default_interface_has_the_lowest_metric(void **state)
{
	(void)state;
	assert_int_equal(netlink_default_iface(netlink, NP_IPV4), 0);
	assert_int_equal(netlink_default_iface(netlink, NP_IPV6), 0);
	run("ip link set np0 up && ip link set np1 up");
	run("ip addr add 10.1.0.1/24 dev np0 && ip addr add 10.2.0.1/24 dev np1");
	run("ip route add default via 10.1.0.2 metric 200");
	assert_int_equal(netlink_default_iface(netlink, NP_IPV4), ifindex_of("np0"));
	run("ip route add default via 10.2.0.2 metric 100");
	run("ip route add default via 10.1.0.2 table 77 metric 1");
	assert_int_equal(netlink_default_iface(netlink, NP_IPV4), ifindex_of("np1"));
	run("ip route add unreachable default metric 5");
	assert_int_equal(netlink_default_iface(netlink, NP_IPV4), ifindex_of("np1"));
	run("ip route add default metric 3 nexthop via 10.1.0.2 nexthop via 10.2.0.2");
	assert_int_equal(netlink_default_iface(netlink, NP_IPV4), ifindex_of("np0"));
	run("ip -6 route add default dev np1");
	assert_int_equal(netlink_default_iface(netlink, NP_IPV6), ifindex_of("np1"));
}

/* More than the buffer holds; the batch is one process, for speed. */
static void lost_messages_are_told_of_after_the_rest(void **state)
{
	int small = 4096;

	(void)state;
	forget();
	setsockopt(netlink_fd(netlink), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 4; i++)
		run("for i in 1 2 3 4 5; do echo link set np0 mtu 140$i; done | ip -batch -");
	receive();
	assert_int_equal(seen.overruns, 1);
	assert_int_equal(seen.routes, 1);
	assert_true(seen.links >= 1);
	receive();
	assert_int_equal(seen.overruns, 1);
}

static void receiving_nothing_does_not_block(void **state)
{
	struct pollfd fd = {.fd = netlink_fd(netlink), .events = POLLIN};

	(void)state;
	forget();
	receive();
	assert_int_equal(poll(&fd, 1, 0), 0);
	run("ip link set np0 mtu 1401");
	assert_int_equal(poll(&fd, 1, 0), 1);
}

static void every_callback_may_be_absent(void **state)
{
	_cleanup_(netlink_close) struct netlink *deaf = NULL;
	const struct netlink_events none = {};

	(void)state;
	assert_int_equal(netlink_open(&none, NULL, &deaf), 0);
	run("ip addr add 10.1.0.1/24 dev np0 && ip link set np0 up && ip link del np0");
	assert_int_equal(netlink_receive(deaf), 0);
	assert_int_equal(netlink_dump(deaf), 0);
}

static int setup(void **state)
{
	static const struct netlink_events events = {
		.link = on_link,
		.link_gone = on_link_gone,
		.addr = on_addr,
		.addr_gone = on_addr_gone,
		.routes_changed = on_routes,
		.overrun = on_overrun,
	};

	(void)state;
	if (run_any("ip link add np0 type veth peer name np1"))
		return -1;
	return netlink_open(&events, &seen, &netlink);
}

static int teardown(void **state)
{
	(void)state;
	netlink_close(&netlink);
	run_any("ip link del np0 2>/dev/null; ip link del np2 2>/dev/null; ip link del br2 "
		"2>/dev/null");
	run_any("ip route flush table all type unreachable 2>/dev/null");
	run_any("ip -6 route flush type unreachable 2>/dev/null");
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dump_tells_links_and_addresses),
		TEST(a_link_is_described),
		TEST(a_device_without_a_header_is_supported),
		TEST(a_port_that_leaves_its_bridge_is_not_gone),
		TEST(an_address_is_described),
		TEST(link_local_addresses_are_marked),
		TEST(routes_are_told_of_once_a_call),
		TEST(the_kernels_own_routes_are_not_told_of),
		TEST(the_source_is_the_one_the_kernel_takes),
		TEST(a_source_can_be_asked_for_during_a_dump),
		TEST(the_default_interface_has_the_lowest_metric),
		TEST(lost_messages_are_told_of_after_the_rest),
		TEST(receiving_nothing_does_not_block),
		TEST(every_callback_may_be_absent),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	netns_leave();
	return failed ? 1 : 0;
}
