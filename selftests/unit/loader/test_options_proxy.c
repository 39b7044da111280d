/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/options*.c: the options of kube-proxy, in every form that it takes, those that
 * mean nothing here, and what must fit together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "options_fixture.h"
#include "options_parts.h"

#define CIDR "--cluster-cidr=10.1.0.0/16" /* or there is a note about it */

static void assert_addr(uint8_t family, const union np_addr *addr, const char *text)
{
	char read[INET6_ADDRSTRLEN];

	assert_int_equal(family, strchr(text, ':') ? NP_IPV6 : NP_IPV4);
	inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, addr, read, sizeof(read));
	assert_string_equal(read, text);
}

static void kube_proxys_defaults_hold(void **state)
{
	struct options o = GOOD(NULL);

	(void)state;
	assert_int_equal(o.detect_local, DETECT_CLUSTER_CIDR);
	assert_null(o.pod_bridge);
	assert_null(o.pod_iface_prefix);
	assert_int_equal(o.nodeport_addresses.count, 0);
	assert_false(o.nodeport_primary);
	assert_true(o.localhost_nodeports);
	assert_int_equal(o.service_cidr.count, 0);
	assert_int_equal(o.bind_family, 0);
	assert_addr(o.healthz.family, &o.healthz.addr, "0.0.0.0");
	assert_int_equal(o.healthz.port, 10256);
	assert_addr(o.metrics.family, &o.metrics.addr, "127.0.0.1");
	assert_int_equal(o.metrics.port, 10249);
	assert_true(o.sock);
	assert_null(o.cgroup);
	assert_int_equal(o.max_affinity, 65536);
}

static void pods_are_told_apart_as_the_mode_says(void **state)
{
	struct options bridge =
		GOOD("--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cni0");
	struct options prefix = GOOD("--pod-interface-name-prefix", "cali", "--detect-local-mode",
				     "InterfaceNamePrefix");

	(void)state;
	assert_int_equal(GOOD("--detect-local-mode=").detect_local, DETECT_CLUSTER_CIDR);
	assert_int_equal(GOOD("--detect-local-mode=NodeCIDR").detect_local, DETECT_NODE_CIDR);
	assert_int_equal(bridge.detect_local, DETECT_BRIDGE);
	assert_string_equal(bridge.pod_bridge, "cni0");
	assert_string_equal(bridge.notes, "");
	assert_int_equal(prefix.detect_local, DETECT_IFACE_PREFIX);
	assert_string_equal(prefix.pod_iface_prefix, "cali");
	assert_string_equal(prefix.notes, "");
}

static void a_mode_without_its_ranges_is_noted(void **state)
{
	(void)state;
	assert_non_null(strstr(GOOD(NULL).notes, "--cluster-cidr: not given"));
	assert_non_null(strstr(GOOD("--detect-local-mode=NodeCIDR").notes, "NodeCIDR: pods"));
	assert_string_equal(GOOD(CIDR).notes, "");
	assert_string_equal(GOOD("--cleanup").notes, "");
}

static void nodeport_addresses_are_collected(void **state)
{
	struct options one = GOOD("--nodeport-addresses=10.0.0.0/8, fd00::/16");
	struct options two = GOOD("--nodeport-addresses", "10.0.0.0/8", "--clsact",
				  "--nodeport-addresses", "fd00::/16,192.168.0.0/16");

	(void)state;
	assert_int_equal(one.nodeport_addresses.count, 2);
	assert_int_equal(two.nodeport_addresses.count, 3);
	assert_int_equal(two.nodeport_addresses.cidr[0].bits, 8);
	assert_int_equal(two.nodeport_addresses.cidr[1].family, NP_IPV6);
	assert_int_equal(two.nodeport_addresses.cidr[2].prefix.value[0], inet_addr("192.168.0.0"));
	assert_true(GOOD("--nodeport-addresses=primary").nodeport_primary);
	assert_int_equal(GOOD("--nodeport-addresses=primary").nodeport_addresses.count, 0);
	assert_int_equal(GOOD("--nodeport-addresses=").nodeport_addresses.count, 0);
	assert_false(GOOD("--nodeport-addresses=").nodeport_primary);
}

static void booleans_are_pflags(void **state)
{
	static const struct {
		const char *word;
		bool value;
	} cases[] = {
		{"--iptables-localhost-nodeports", true},
		{"--iptables-localhost-nodeports=false", false},
		{"--iptables-localhost-nodeports=0", false},
		{"--localhost-nodeports=f", false},
		{"--localhost-nodeports=F", false},
		{"--localhost-nodeports=FALSE", false},
		{"--localhost-nodeports=t", true},
		{"--localhost-nodeports=1", true},
		{"--localhost-nodeports=True", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(GOOD("--localhost-nodeports=0", cases[i].word).localhost_nodeports,
				 cases[i].value);
	assert_false(GOOD("--masquerade-all", "--masquerade-all=false").masquerade_all);
	assert_false(GOOD("--cleanup=false").cleanup);
	assert_true(GOOD("--cleanup=1").cleanup);
}

static void servers_are_bound_where_they_are_told(void **state)
{
	static const struct {
		const char *word, *address;
		uint16_t port;
	} cases[] = {
		{"--healthz-bind-address=192.0.2.1:80", "192.0.2.1", 80},
		{"--healthz-bind-address=192.0.2.1", "192.0.2.1", 10256},
		{"--healthz-bind-address=[fd00::1]:65535", "fd00::1", 65535},
		{"--healthz-bind-address=[::]:10256", "::", 10256},
		{"--healthz-bind-address=::", "::", 10256},
		{"--healthz-bind-address=fd00::1:80", "fd00::1:80", 10256},
		{"--healthz-port=81", "0.0.0.0", 81},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options o = GOOD(cases[i].word);

		assert_addr(o.healthz.family, &o.healthz.addr, cases[i].address);
		assert_int_equal(o.healthz.port, cases[i].port);
		assert_int_equal(o.metrics.port, 10249);
	}
	assert_int_equal(GOOD("--healthz-bind-address=").healthz.family, 0);
	assert_int_equal(GOOD("--metrics-bind-address", "").metrics.family, 0);
	assert_int_equal(GOOD("--metrics-bind-address=[::1]:9").metrics.port, 9);
}

static void ports_alone_are_the_old_form(void **state)
{
	struct options off = GOOD(CIDR, "--metrics-port=0", "--healthz-port", "0");
	struct options again = GOOD("--metrics-port=0", "--metrics-port=9000");

	(void)state;
	assert_int_equal(off.metrics.family, 0);
	assert_int_equal(off.healthz.family, 0);
	assert_string_equal(off.notes,
			    "--metrics-port: it is deprecated; use --metrics-bind-address\n"
			    "--healthz-port: it is deprecated; use --healthz-bind-address\n");
	assert_addr(again.metrics.family, &again.metrics.addr, "127.0.0.1");
	assert_int_equal(again.metrics.port, 9000);
}

static void the_nodes_address_and_name_are_taken(void **state)
{
	struct options o =
		GOOD("--bind-address=fd00::5", "--hostname-override", " Node-A.Example ");
	struct options any =
		GOOD("--bind-address=0.0.0.0", "--node-name=B", "--hostname-override=");

	(void)state;
	assert_addr(o.bind_family, &o.bind_addr, "fd00::5");
	assert_string_equal(o.node_name, "node-a.example");
	assert_addr(any.bind_family, &any.bind_addr, "0.0.0.0");
	assert_string_equal(any.node_name, "b");
	assert_int_equal(GOOD("--bind-address=10.0.0.1", "--bind-address=").bind_family, 0);
}

static void ours_are_taken(void **state)
{
	struct options o = GOOD("--service-cidr=10.96.0.0/12,fd00:96::/108", "--sock=off",
				"--cgroup=/sys/fs/cgroup", "--max-affinity=64");

	(void)state;
	assert_int_equal(o.service_cidr.count, 2);
	assert_false(o.sock);
	assert_true(GOOD("--sock=off", "--sock=on").sock);
	assert_string_equal(o.cgroup, "/sys/fs/cgroup");
	assert_int_equal(o.max_affinity, 64);
}

static void what_means_nothing_here_is_noted_with_the_reason(void **state)
{
	struct options o = GOOD(CIDR, "--proxy-mode=ipvs", "--ipvs-scheduler", "rr", "--profiling",
				"--kubeconfig=/k", "--feature_gates=A=true");

	(void)state;
	assert_string_equal(
		o.notes,
		"--proxy-mode: the only mode is nearpath's own; docs/options.md says how it "
		"differs\n"
		"--ipvs-scheduler: there is no IPVS here\n"
		"--profiling: there is no /debug/pprof\n"
		"--kubeconfig: nearpathd asks no API server; objects come by the config socket\n"
		"--feature_gates: there are no feature gates\n");
}

static void verbosity_is_taken_in_every_form(void **state)
{
	static const char *const forms[][3] = {
		{"-v", "2"}, {"-v=2"}, {"-v2"}, {"--v=2"}, {"--v", "2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct options o = GOOD(CIDR, forms[i][0], forms[i][1]);

		assert_string_equal(o.notes, "--v: the log is stderr, one line an event\n");
	}
}

/* One alone, one with "=", one with a next word: the option behind it is read as one again. */
static void every_ignored_option_takes_what_it_takes(void **state)
{
	char name[80], both[80];

	(void)state;
	for (const struct option_ignored *i = options_ignored; i->name; i++) {
		struct options o;

		snprintf(name, sizeof(name), "--%s", i->name);
		snprintf(both, sizeof(both), "--%s=true", i->name);
		o = i->is_bool ? GOOD(CIDR, name, both, "--clsact")
			       : GOOD(CIDR, name, "--x", both, "--clsact");
		assert_true(o.clsact);
		assert_non_null(strstr(o.notes, i->why));
		assert_string_equal(option_ignored_why(i->name), i->why);
	}
	assert_null(option_ignored_why("clsact"));
}

static void no_name_is_there_twice(void **state)
{
	(void)state;
	for (const struct option_ignored *i = options_ignored; i->name; i++) {
		for (const struct option_ignored *n = options_ignored; n < i; n++)
			assert_string_not_equal(n->name, i->name);
		for (const struct option_info *n = options_table; n->name; n++)
			assert_string_not_equal(n->name, i->name);
	}
}

static void notes_are_whole_lines_however_many(void **state)
{
	struct options o = GOOD(CIDR);

	(void)state;
	for (int i = 0; i < 1000; i++)
		option_note(&o, "--some-option", "it is of no use, and this is why");
	assert_int_equal(
		strlen(o.notes) % strlen("--some-option: it is of no use, and this is why\n"), 0);
	assert_true(strlen(o.notes) > sizeof(o.notes) - 100);
}

static void underscores_are_dashes(void **state)
{
	struct options o = GOOD(CIDR, "--masquerade_all", "--nodeport_addresses=10.0.0.0/8",
				"--node_name", "n", "--nodeport-addresses=11.0.0.0/8");
	bool wants = false;

	(void)state;
	assert_true(o.masquerade_all);
	assert_int_equal(o.nodeport_addresses.count, 2);
	assert_string_equal(o.node_name, "n");
	assert_true(options_knows("--node_name", &wants) && wants);
	assert_false(options_knows("--node_nam", &wants));
}

static const struct option_refusal refusals[] = {
	{{"--detect-local-mode=clustercidr"}, "--detect-local-mode", "NodeCIDR, BridgeInterface"},
	{{"--detect-local-mode=BridgeInterface"}, "BridgeInterface", "--pod-bridge-interface too"},
	{{"--detect-local-mode=BridgeInterface", "--pod-bridge-interface="},
	 "BridgeInterface",
	 "--pod-bridge-interface too"},
	{{"--detect-local-mode=InterfaceNamePrefix", "--pod-bridge-interface=cni0"},
	 "InterfaceNamePrefix",
	 "--pod-interface-name-prefix too"},
	{{"--pod-bridge-interface=a-name-of-16-chr"}, "--pod-bridge-interface", "at most 15"},
	{{"--pod-interface-name-prefix=a/b"}, "--pod-interface-name-prefix", "a/b"},
	{{"--nodeport-addresses=primary,10.0.0.0/8"}, "--nodeport-addresses", "primary or a list"},
	{{"--nodeport-addresses=primary", "--nodeport-addresses=10.0.0.0/8"},
	 "--nodeport-addresses",
	 "stands alone"},
	{{"--nodeport-addresses=10.0.0.0/8", "--nodeport-addresses=primary"},
	 "--nodeport-addresses",
	 "stands alone"},
	{{"--nodeport-addresses=10.0.0.1"}, "--nodeport-addresses", "such as 192.168.0.0/16"},
	{{"--service-cidr=10.96.0.0"}, "--service-cidr", "such as 10.1.0.0/16"},
	{{"--localhost-nodeports=on"}, "--localhost-nodeports", "true or false"},
	{{"--localhost-nodeports="}, "--localhost-nodeports", "true or false"},
	{{"--masquerade-all", "false"}, "\"false\"", "is not an option"},
	{{"--bind-address=10.0.0.256"}, "--bind-address", "is not an address"},
	{{"--bind-address=10.0.0.1:80"}, "--bind-address", "is not an address"},
	{{"--healthz-bind-address=:10256"}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=localhost:1"}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=0.0.0.0:"}, "--healthz-bind-address", "from 1 to 65535"},
	{{"--healthz-bind-address=0.0.0.0:0"}, "--healthz-bind-address", "from 1 to 65535"},
	{{"--healthz-bind-address=0.0.0.0:65536"}, "--healthz-bind-address", "from 1 to 65535"},
	{{"--healthz-bind-address=[::1"}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=::1]:80"}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=[10.0.0.1]:80"}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=["}, "--healthz-bind-address", "[::]:10256"},
	{{"--healthz-bind-address=[]:80"}, "--healthz-bind-address", "[::]:10256"},
	{{"--metrics-bind-address=127.0.0.1:http"}, "--metrics-bind-address", "from 1 to 65535"},
	{{"--metrics-port=65536"}, "--metrics-port", "from 0 to 65535"},
	{{"--hostname-override=  "}, "--hostname-override", "1 to 253 characters"},
	{{"--sock=true"}, "--sock", "on or off"},
	{{"--cgroup=sys"}, "--cgroup", "absolute path"},
	{{"--max-affinity=63"}, "--max-affinity", "from 64 to 16777216"},
	{{"--proxy-mode"}, "--proxy-mode", "wants a value"},
	{{"-v"}, "--v", "wants a value"},
	{{"-x"}, "\"-x\"", "is not an option"},
	{{"--=1"}, "--;", "did you mean"},
	{{"--config=/none/there"}, "\"/none/there\"", "No such file"},
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kube_proxys_defaults_hold),
		cmocka_unit_test(pods_are_told_apart_as_the_mode_says),
		cmocka_unit_test(a_mode_without_its_ranges_is_noted),
		cmocka_unit_test(nodeport_addresses_are_collected),
		cmocka_unit_test(booleans_are_pflags),
		cmocka_unit_test(servers_are_bound_where_they_are_told),
		cmocka_unit_test(ports_alone_are_the_old_form),
		cmocka_unit_test(the_nodes_address_and_name_are_taken),
		cmocka_unit_test(ours_are_taken),
		cmocka_unit_test(what_means_nothing_here_is_noted_with_the_reason),
		cmocka_unit_test(verbosity_is_taken_in_every_form),
		cmocka_unit_test(every_ignored_option_takes_what_it_takes),
		cmocka_unit_test(no_name_is_there_twice),
		cmocka_unit_test(notes_are_whole_lines_however_many),
		cmocka_unit_test(underscores_are_dashes),
	};
	int failed;

	failed = run_refusals(refusals, ARRAY_SIZE(refusals));
	failed += cmocka_run_group_tests_name("options of kube-proxy", tests, NULL, NULL);
	return failed;
}
