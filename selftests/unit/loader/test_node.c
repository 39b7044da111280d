/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/node.c: by which addresses pods are told, where NodePorts are served, which
 * ranges are services', and what the node's own address is; from options and objects together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "kube_text.h"
#include "node.h"
#include "util.h"

#define NODE_PORTS (NP_SERVICE_HOST_ADDRESS | NP_SERVICE_NODE_ADDRESS)

static const char own_node[] =
	"{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'},'spec':{'podCIDRs':"
	"['10.1.2.0/24','fd00:1:2::/64']},'status':{'addresses':["
	"{'type':'ExternalIP','address':'203.0.113.1'},{'type':'InternalIP','address':'10.0.0.1'},"
	"{'type':'InternalIP','address':'fd00::1'},{'type':'InternalIP','address':'10.0.0.2'}]}}";

struct fixture {
	struct store *store;
	struct options options;
	struct node node;
	struct np_config config;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*state = f;
	f->options.node_name = "n1";
	f->options.localhost_nodeports = true;
	assert_int_equal(store_new(&f->store), 0);
	f->node = (struct node){.options = &f->options, .store = f->store};
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_free(&f->store);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *text)
{
	struct store_change *change = NULL;
	struct kube_object *object = parse(text);
	struct store_result result;

	assert_int_equal(store_change_new(f->store, false, &change), 0);
	assert_int_equal(store_change_put(change, &object), 0);
	assert_int_equal(store_commit(f->store, &change, NULL, &result), 0);
}

static union np_addr address(const char *text)
{
	union np_addr addr = {};

	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &addr), 1);
	return addr;
}

static uint8_t family(const char *text)
{
	return strchr(text, ':') ? NP_IPV6 : NP_IPV4;
}

/* As datapath/decide.h does. */
static bool prefix_has(const struct np_prefix *prefix, const char *text)
{
	union np_addr addr = address(text);

	for (int i = 0; i < 4; i++)
		if ((addr.word[i] & prefix->mask[i]) != prefix->value[i])
			return false;
	return true;
}

static bool is_service_range(struct fixture *f, const char *text)
{
	for (int i = 0; i < NP_SERVICE_CIDRS; i++)
		if (prefix_has(family(text) == NP_IPV4 ? &f->config.service_cidr4[i]
						       : &f->config.service_cidr6[i],
			       text))
			return true;
	return false;
}

static uint32_t flags(struct fixture *f, const char *text)
{
	union np_addr addr = address(text);

	return node_address_flags(&f->node, family(text), &addr);
}

static void assert_own(struct fixture *f, uint8_t of, const char *text)
{
	const union np_addr *own = node_address(&f->node, of);
	union np_addr wanted;

	if (!text) {
		assert_null(own);
		return;
	}
	wanted = address(text);
	assert_non_null(own);
	assert_true(address_equal(own, &wanted));
}

static void without_a_range_nobody_is_a_pod(void **state)
{
	struct fixture *f = *state;

	node_config(&f->node, &f->config);
	assert_int_equal(f->config.detector, NP_DETECT_NONE);
	assert_false(prefix_has(&f->config.pod_prefix4, "0.0.0.0"));
	assert_false(prefix_has(&f->config.pod_prefix6, "::1"));
	assert_false(node_plan(&f->node).detector4 || node_plan(&f->node).detector6);
	assert_false(is_service_range(f, "10.96.0.1") || is_service_range(f, "fd00::1"));
}

static void of_each_family_the_first_cluster_cidr_tells_pods(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cidr_list_parse("10.1.0.0/16,10.2.0.0/16", &f->options.cluster_cidr), 0);
	node_config(&f->node, &f->config);
	assert_int_equal(f->config.detector, NP_DETECT_BY_PREFIX);
	assert_true(prefix_has(&f->config.pod_prefix4, "10.1.9.9"));
	assert_false(prefix_has(&f->config.pod_prefix4, "10.2.0.1"));
	assert_true(node_plan(&f->node).detector4);
	assert_false(node_plan(&f->node).detector6);
}

static void pod_cidrs_come_and_change_with_the_node_object(void **state)
{
	struct fixture *f = *state;
	struct node_mark before, after;

	f->options.detect_local = DETECT_NODE_CIDR;
	before = node_mark(&f->node);
	assert_false(node_plan(&f->node).detector4);
	put(f, own_node);
	node_config(&f->node, &f->config);
	assert_true(prefix_has(&f->config.pod_prefix4, "10.1.2.9"));
	assert_true(prefix_has(&f->config.pod_prefix6, "fd00:1:2::9"));
	assert_false(prefix_has(&f->config.pod_prefix4, "10.1.3.9"));
	after = node_mark(&f->node);
	assert_false(node_mark_equal(&before, &after));
	assert_true(node_mark_equal(&after, &after));
	assert_true(node_plan(&f->node).detector4 && node_plan(&f->node).detector6);
}

static void interfaces_tell_pods_by_name_or_bridge(void **state)
{
	struct fixture *f = *state;

	assert_false(node_iface_is_pod(&f->options, "cali1", NULL));
	f->options.detect_local = DETECT_IFACE_PREFIX;
	f->options.pod_iface_prefix = "cali";
	assert_true(node_iface_is_pod(&f->options, "cali1", NULL));
	assert_false(node_iface_is_pod(&f->options, "eth0", "cali0"));
	f->options.detect_local = DETECT_BRIDGE;
	f->options.pod_bridge = "cni0";
	assert_true(node_iface_is_pod(&f->options, "cni0", NULL));
	assert_true(node_iface_is_pod(&f->options, "veth7", "cni0"));
	assert_false(node_iface_is_pod(&f->options, "veth7", "docker0"));
	assert_false(node_iface_is_pod(&f->options, "cali1", NULL));
	node_config(&f->node, &f->config);
	assert_int_equal(f->config.detector, NP_DETECT_BY_IFACE);
	assert_true(node_plan(&f->node).detector4 && node_plan(&f->node).detector6);
}

static void the_own_address_is_given_of_the_object_or_of_the_route(void **state)
{
	struct fixture *f = *state;

	assert_own(f, NP_IPV4, NULL);
	f->node.route4 = address("192.0.2.9");
	assert_own(f, NP_IPV4, "192.0.2.9");
	put(f, own_node);
	assert_own(f, NP_IPV4, "10.0.0.1");
	assert_own(f, NP_IPV6, "fd00::1");
	f->options.bind_family = NP_IPV4;
	assert_own(f, NP_IPV4, "10.0.0.1"); /* 0.0.0.0 says nothing */
	f->options.bind_addr = address("192.0.2.1");
	assert_own(f, NP_IPV4, "192.0.2.1");
	assert_own(f, NP_IPV6, "fd00::1");
	node_config(&f->node, &f->config);
	assert_int_equal(f->config.node_addr4.v4, inet_addr("192.0.2.1"));
}

static void node_ports_are_served_where_they_are_meant_to(void **state)
{
	struct fixture *f = *state;

	put(f, own_node);
	assert_int_equal(flags(f, "192.168.7.7"), NODE_PORTS);
	assert_int_equal(flags(f, "127.0.0.1"), NP_SERVICE_HOST_ADDRESS);
	assert_int_equal(flags(f, "::1"), NP_SERVICE_HOST_ADDRESS);
	assert_int_equal(cidr_list_parse("10.0.0.0/8", &f->options.nodeport_addresses), 0);
	assert_int_equal(flags(f, "10.0.0.2"), NODE_PORTS);
	assert_int_equal(flags(f, "192.168.7.7"), NP_SERVICE_HOST_ADDRESS);
	assert_int_equal(flags(f, "fd00::9"), NODE_PORTS); /* no range of the family: everywhere */
	f->options.nodeport_addresses.count = 0;
	f->options.nodeport_primary = true;
	assert_int_equal(flags(f, "10.0.0.1"), NODE_PORTS);
	assert_int_equal(flags(f, "10.0.0.2"), NP_SERVICE_HOST_ADDRESS);
	assert_int_equal(flags(f, "fd00::1"), NODE_PORTS);
}

static void assert_localhost(struct fixture *f, bool four, bool six)
{
	node_config(&f->node, &f->config);
	assert_int_equal(f->config.localhost_nodeports4, four);
	assert_int_equal(f->config.localhost_nodeports6, six);
}

static void localhost_serves_unless_something_says_no(void **state)
{
	struct fixture *f = *state;

	assert_localhost(f, true, true);
	assert_int_equal(cidr_list_parse("10.0.0.0/8", &f->options.nodeport_addresses), 0);
	assert_localhost(f, false, true);
	assert_int_equal(cidr_list_parse("127.0.0.0/8", &f->options.nodeport_addresses), 0);
	assert_localhost(f, true, true);
	f->options.localhost_nodeports = false;
	assert_localhost(f, false, false);
	f->options.localhost_nodeports = true;
	f->options.nodeport_addresses.count = 0;
	f->options.nodeport_primary = true;
	assert_localhost(f, false, false);
}

static void service_ranges_are_those_of_options_and_objects(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cidr_list_parse("10.97.0.0/16", &f->options.service_cidr), 0);
	put(f, RANGES("'cidrs':['10.96.0.0/16','fd00:96::/112']"));
	node_config(&f->node, &f->config);
	assert_true(is_service_range(f, "10.96.1.1") && is_service_range(f, "10.97.1.1"));
	assert_true(is_service_range(f, "fd00:96::7"));
	assert_false(is_service_range(f, "10.98.1.1") || is_service_range(f, "fd00:97::7"));
	put(f, RANGES("'cidrs':['10.98.0.0/16']"));
	node_config(&f->node, &f->config);
	assert_true(is_service_range(f, "10.98.1.1"));
	assert_false(is_service_range(f, "10.96.1.1") || is_service_range(f, "fd00:96::7"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_range_nobody_is_a_pod),
		TEST(of_each_family_the_first_cluster_cidr_tells_pods),
		TEST(pod_cidrs_come_and_change_with_the_node_object),
		TEST(interfaces_tell_pods_by_name_or_bridge),
		TEST(the_own_address_is_given_of_the_object_or_of_the_route),
		TEST(node_ports_are_served_where_they_are_meant_to),
		TEST(localhost_serves_unless_something_says_no),
		TEST(service_ranges_are_those_of_options_and_objects),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
