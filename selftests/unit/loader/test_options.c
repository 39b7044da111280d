/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/options.c: the defaults, what each option takes and refuses, and that a refusal
 * names the option and the way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "ifaces.h"
#include "options_fixture.h"

static void without_options_there_are_defaults(void **state)
{
	struct options o = GOOD(NULL);
	char host[HOST_NAME_MAX + 1] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	assert_int_equal(strcasecmp(o.node_name, host), 0); /* in lower case */
	assert_null(o.zone);
	assert_string_equal(o.socket, "/run/nearpath/nearpath.sock");
	assert_null(o.socket_group);
	assert_string_equal(o.bpffs, "/sys/fs/bpf/nearpath");
	assert_string_equal(o.state_dir, "/var/lib/nearpath");
	assert_int_equal(o.max_flows, 262144);
	assert_int_equal(o.max_services, 65536);
	assert_int_equal(o.max_backends, 65536);
	assert_int_equal(o.max_slots, 1048576);
	assert_string_equal(o.ifaces, "cali*,lxc*,veth*,cni*,flannel*,vxlan*,tunl*,wg*");
	assert_string_equal(o.uplinks, "auto");
	assert_int_equal(o.xdp, ATTACH_XDP_NATIVE);
	assert_int_equal(o.mss, MSS_AUTO);
	assert_false(o.clsact || o.masquerade_all || o.cleanup);
	assert_int_equal(o.snat_port_first, 0);
	assert_int_equal(o.snat_port_count, 0);
	assert_int_equal(o.cluster_cidr.count, 0);
}

static void texts_are_taken_as_they_are(void **state)
{
	struct options o = GOOD("--node-name=n1", "--zone=a=b", "--socket=/s", "--socket-group=g",
				"--bpffs=/b", "--state-dir=/d", "--ifaces=x*", "--uplinks=");

	(void)state;
	assert_string_equal(o.node_name, "n1");
	assert_string_equal(o.zone, "a=b");
	assert_string_equal(o.socket, "/s");
	assert_string_equal(o.socket_group, "g");
	assert_string_equal(o.bpffs, "/b");
	assert_string_equal(o.state_dir, "/d");
	assert_string_equal(o.ifaces, "x*");
	assert_string_equal(o.uplinks, "");
}

static void a_value_may_be_the_next_word(void **state)
{
	struct options o = GOOD("--zone", "a", "--clsact", "--max-flows", "64", "--zone", "b");

	(void)state;
	assert_string_equal(o.zone, "b");
	assert_true(o.clsact);
	assert_int_equal(o.max_flows, 64);
}

static void switches_switch_on_what_they_name(void **state)
{
	struct options clsact = GOOD("--clsact"), all = GOOD("--masquerade-all");
	struct options cleanup = GOOD("--cleanup");

	(void)state;
	assert_true(clsact.clsact && !clsact.masquerade_all && !clsact.cleanup);
	assert_true(!all.clsact && all.masquerade_all && !all.cleanup);
	assert_true(!cleanup.clsact && !cleanup.masquerade_all && cleanup.cleanup);
}

static void numbers_are_taken_up_to_their_bounds(void **state)
{
	struct options low = GOOD("--max-flows=64", "--max-services=64", "--max-backends=64",
				  "--max-slots=64", "--mss=88");
	struct options high = GOOD("--max-flows=16777216", "--max-services=1048576",
				   "--max-backends=1048576", "--max-slots=16777216", "--mss=65495");

	(void)state;
	assert_int_equal(low.max_flows, 64);
	assert_int_equal(low.max_services, 64);
	assert_int_equal(low.max_backends, 64);
	assert_int_equal(low.max_slots, 64);
	assert_int_equal(low.mss, 88);
	assert_int_equal(high.max_flows, 1 << 24);
	assert_int_equal(high.max_services, 1 << 20);
	assert_int_equal(high.max_backends, 1 << 20);
	assert_int_equal(high.max_slots, 1 << 24);
	assert_int_equal(high.mss, 65495);
}

static void flow_timeouts_are_taken(void **state)
{
	struct options o = GOOD("--flow-timeouts=tcp_established=5h30m,udp=7",
				"--conntrack-tcp-timeout-close-wait=1h0m0s",
				"--conntrack-udp-timeout-stream=1500ms", "--flow-timeouts=udp=8s");
	struct options proxy =
		GOOD("--conntrack-tcp-timeout-established=0s", "--conntrack-udp-timeout=45s");

	(void)state;
	assert_int_equal(o.flow_seconds[NP_FLOW_TCP_ESTABLISHED], 19800);
	assert_int_equal(o.flow_seconds[NP_FLOW_UDP], 8);
	assert_int_equal(o.flow_seconds[NP_FLOW_UDP_REPLIED], 0);
	assert_int_equal(o.flow_seconds[NP_FLOW_TCP_CLOSE_WAIT], 3600);
	assert_int_equal(o.flow_seconds[NP_FLOW_UDP_STREAM], 1);
	assert_int_equal(proxy.flow_seconds[NP_FLOW_TCP_ESTABLISHED], 0);
	assert_int_equal(proxy.flow_seconds[NP_FLOW_UDP], 45);
	assert_int_equal(proxy.flow_seconds[NP_FLOW_UDP_REPLIED], 45);
}

static void modes_are_taken_by_name(void **state)
{
	(void)state;
	assert_int_equal(GOOD("--xdp=off").xdp, ATTACH_XDP_OFF);
	assert_int_equal(GOOD("--xdp=off").on_endpoint_removed, ENDPOINT_REMOVED_KEEP);
	assert_int_equal(GOOD("--on-endpoint-removed=reset").on_endpoint_removed,
			 ENDPOINT_REMOVED_RESET);
	assert_int_equal(GOOD("--on-endpoint-removed=reset", "--on_endpoint_removed", "keep")
				 .on_endpoint_removed,
			 ENDPOINT_REMOVED_KEEP);
	assert_int_equal(GOOD("--xdp=generic").xdp, ATTACH_XDP_GENERIC);
	assert_int_equal(GOOD("--xdp=off", "--xdp=native").xdp, ATTACH_XDP_NATIVE);
	assert_int_equal(GOOD("--mss=off").mss, MSS_OFF);
	assert_int_equal(GOOD("--mss=1400", "--mss=auto").mss, MSS_AUTO);
}

static void snat_ports_are_a_range(void **state)
{
	static const struct {
		const char *word;
		uint16_t first, count;
	} cases[] = {
		{"--snat-ports=1024-32767", 1024, 31744},
		{"--snat-ports=1-65535", 1, 65535},
		{"--snat-ports=65535-65535", 65535, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options o = GOOD(cases[i].word);

		assert_int_equal(o.snat_port_first, cases[i].first);
		assert_int_equal(o.snat_port_count, cases[i].count);
	}
}

/* value and mask as text, in the family of value. */
static void assert_prefix(const struct np_prefix *p, const char *value, const char *mask)
{
	int family = strchr(value, ':') ? AF_INET6 : AF_INET;
	struct np_prefix wanted = {.value = {0}};

	assert_int_equal(inet_pton(family, value, wanted.value), 1);
	assert_int_equal(inet_pton(family, mask, wanted.mask), 1);
	assert_memory_equal(p, &wanted, sizeof(wanted));
}

static void cluster_cidrs_become_masks(void **state)
{
	static const struct {
		const char *word, *value, *mask;
	} cases[] = {
		{"--cluster-cidr=0.0.0.0/0", "0.0.0.0", "0.0.0.0"},
		{"--cluster-cidr=128.0.0.0/1", "128.0.0.0", "128.0.0.0"},
		{"--cluster-cidr=10.1.2.3/8", "10.0.0.0", "255.0.0.0"},
		{"--cluster-cidr=10.255.255.255/12", "10.240.0.0", "255.240.0.0"},
		{"--cluster-cidr=10.1.2.255/31", "10.1.2.254", "255.255.255.254"},
		{"--cluster-cidr=10.1.2.3/32", "10.1.2.3", "255.255.255.255"},
		{"--cluster-cidr=::/0", "::", "::"},
		{"--cluster-cidr=ff00::/1", "8000::", "8000::"},
		{"--cluster-cidr=fd00:1:2:3:4::/31", "fd00::", "ffff:fffe::"},
		{"--cluster-cidr=fd00:1:2:3:4::/32", "fd00:1::", "ffff:ffff::"},
		{"--cluster-cidr=fd00:1:ffff::/33", "fd00:1:8000::", "ffff:ffff:8000::"},
		{"--cluster-cidr=fd00:1:2:3:4::/48", "fd00:1:2::", "ffff:ffff:ffff::"},
		{"--cluster-cidr=fd00:1:2:3:4::/64", "fd00:1:2:3::", "ffff:ffff:ffff:ffff::"},
		{"--cluster-cidr=fd00::f:1:ffff/127", "fd00::f:1:fffe",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
		{"--cluster-cidr=fd00::1/128", "fd00::1",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options o = GOOD(cases[i].word);
		bool six = strchr(cases[i].value, ':');

		assert_int_equal(o.cluster_cidr.count, 1);
		assert_int_equal(o.cluster_cidr.cidr[0].family, six ? NP_IPV6 : NP_IPV4);
		assert_prefix(&o.cluster_cidr.cidr[0].prefix, cases[i].value, cases[i].mask);
	}
}

static void of_each_family_the_first_cidr_counts(void **state)
{
	struct options o = GOOD("--cluster-cidr=fd00::/16,10.1.0.0/16,10.2.0.0/16,fd01::/16");

	(void)state;
	assert_prefix(&cidr_list_first(&o.cluster_cidr, NP_IPV4)->prefix, "10.1.0.0",
		      "255.255.0.0");
	assert_prefix(&cidr_list_first(&o.cluster_cidr, NP_IPV6)->prefix, "fd00::", "ffff::");
}

#define LONG_NAME                                                                                  \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

#define CIDRS "10.1.0.0/16,fd00:1::/48"
#define PORTS "1024-32767"

/* What is refused, and what the error says besides the option: the way out. */
static const struct option_refusal refusals[] = {
	{{"--node-name="}, "--node-name", "1 to 253 characters"},
	{{"--node-name=" LONG_NAME}, "--node-name", "1 to 253 characters"},
	{{"--on-endpoint-removed=drop"}, "--on-endpoint-removed", "\"drop\" is not keep or reset"},
	{{"--socket=run/np.sock"}, "--socket", "absolute path"},
	{{"--socket="}, "--socket", "absolute path"},
	{{"--socket=/" LONG_NAME}, "--socket", "longer than"},
	{{"--bpffs=bpf"}, "--bpffs", "absolute path"},
	{{"--state-dir=./x"}, "--state-dir", "absolute path"},
	{{"--flow-timeouts=tcp_established"}, "--flow-timeouts", "STATE=DURATION"},
	{{"--flow-timeouts=tcp_open=5s"}, "--flow-timeouts", "tcp_syn_sent, tcp_syn_recv"},
	{{"--flow-timeouts=free=5s"}, "--flow-timeouts", "\"free\" is not"},
	{{"--flow-timeouts=udp=0"}, "--flow-timeouts", "from 1s to 720h"},
	{{"--flow-timeouts=udp=5s,udp_stream=721h"}, "--flow-timeouts", "from 1s to 720h"},
	{{"--flow-timeouts=udp=5 s"}, "--flow-timeouts", "from 1s to 720h"},
	{{"--flow-timeouts=udp=-5s"}, "--flow-timeouts", "from 1s to 720h"},
	{{"--flow-timeouts=udp=0x10"}, "--flow-timeouts", "from 1s to 720h"},
	{{"--conntrack-udp-timeout=x"}, "--conntrack-udp-timeout", "not a duration"},
	{{"--max-flows=63"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=16777217"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=4294967360"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=99999999999999999999"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=-64"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=0x100"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows=100k"}, "--max-flows", "from 64 to 16777216"},
	{{"--max-flows="}, "--max-flows", "from 64 to 16777216"},
	{{"--max-services=63"}, "--max-services", "from 64 to 1048576"},
	{{"--max-services=1048577"}, "--max-services", "from 64 to 1048576"},
	{{"--max-backends=63"}, "--max-backends", "from 64 to 1048576"},
	{{"--max-backends=1048577"}, "--max-backends", "from 64 to 1048576"},
	{{"--max-slots=63"}, "--max-slots", "from 64 to 16777216"},
	{{"--max-slots=16777217"}, "--max-slots", "from 64 to 16777216"},
	{{"--xdp=offload"}, "--xdp", "native, generic or off"},
	{{"--xdp="}, "--xdp", "native, generic or off"},
	{{"--mss=0"}, "--mss", "auto, off or a number from 88 to 65495"},
	{{"--mss=87"}, "--mss", "auto, off or a number from 88 to 65495"},
	{{"--mss=65496"}, "--mss", "auto, off or a number from 88 to 65495"},
	{{"--mss=on"}, "--mss", "auto, off or a number from 88 to 65495"},
	{{"--snat-ports=1024"}, "--snat-ports", PORTS},
	{{"--snat-ports=1024-"}, "--snat-ports", PORTS},
	{{"--snat-ports=0-1024"}, "--snat-ports", PORTS},
	{{"--snat-ports=2000-1000"}, "--snat-ports", PORTS},
	{{"--snat-ports=1024-65536"}, "--snat-ports", PORTS},
	{{"--snat-ports=1024-2000x"}, "--snat-ports", PORTS},
	{{"--snat-ports=4294968320-4294969000"}, "--snat-ports", PORTS},
	{{"--snat-ports=1024-4294969000"}, "--snat-ports", PORTS},
	{{"--cluster-cidr=10.1.0.0"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0.0/"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0.0/33"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0/16"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0.0/-16"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0.0/-18446744073709551600"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=fd00::/129"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=fd00::g/64"}, "--cluster-cidr", CIDRS},
	{{"--cluster-cidr=10.1.0.0/16,10.2.0.0/99"}, "--cluster-cidr", CIDRS},
	{{"--zone"}, "--zone", "wants ZONE"},
	{{"--clsact", "--max-flows"}, "--max-flows", "wants N"},
	{{"--cleanup=yes"}, "--cleanup", "true or false"},
	{{"--max-flow=100"}, "--max-flow;", "did you mean --max-flows?"},
	{{"--nodename=n1"}, "--nodename;", "did you mean --node-name?"},
	{{"--cluster-cidrs"}, "--cluster-cidrs;", "did you mean --cluster-cidr?"},
	{{"--masquerade"}, "--masquerade;", "did you mean --masquerade-all?"},
	{{"--snat-port=1"}, "--snat-port;", "did you mean --snat-ports?"},
	{{"--verson"}, "--verson;", "did you mean --version?"},
	{{"--hlep"}, "--hlep;", "did you mean --help?"},
	{{"--prox-mode=ipvs"}, "--prox-mode;", "did you mean --proxy-mode?"},
	{{"run"}, "\"run\"", "nearpathd --help"},
	{{"--"}, "\"--\"", "nearpathd --help"},
	{{""}, "\"\"", "nearpathd --help"},
};

static void an_error_is_cut_where_there_is_no_room(void **state)
{
	const char *const words[] = {"--max-flows=x", NULL};
	char error[16] = "";
	struct options o;

	(void)state;
	assert_int_equal(parse_words(words, &o, error, 12), -EINVAL);
	assert_string_equal(error, "--max-flows");
}

/* What options_parse() prints for the word: at most size - 1 bytes of it. */
static void printed(const char *word, char *text, size_t size)
{
	const char *const words[] = {word, NULL};
	_cleanup_close_ int out = dup(STDOUT_FILENO), file = memfd_create("out", MFD_CLOEXEC);
	char error[64];
	struct options o;
	ssize_t length;
	int rc;

	assert_true(out >= 0 && file >= 0);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	rc = parse_words(words, &o, error, sizeof(error));
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	assert_int_equal(rc, 1);
	length = pread(file, text, size - 1, 0);
	assert_true(length > 0);
	text[length] = '\0';
}

static void help_tells_of_every_option(void **state)
{
	static const char *const names[] = {
		"node-name",
		"zone",
		"socket",
		"socket-group",
		"bpffs",
		"state-dir",
		"max-flows",
		"max-services",
		"max-backends",
		"max-slots",
		"max-affinity",
		"ifaces",
		"uplinks",
		"xdp",
		"mss",
		"clsact",
		"snat-ports",
		"sock",
		"cgroup",
		"service-cidr",
		"localhost-nodeports",
		"config",
		"cluster-cidr",
		"masquerade-all",
		"detect-local-mode",
		"pod-bridge-interface",
		"pod-interface-name-prefix",
		"nodeport-addresses",
		"bind-address",
		"healthz-bind-address",
		"metrics-bind-address",
		"hostname-override",
		"cleanup",
		"version",
	};
	char text[8192], option[64];

	(void)state;
	printed("--help", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(option, sizeof(option), "\n  --%s", names[i]);
		if (!strstr(text, option))
			fail_msg("--%s is not in the help", names[i]);
	}
	printed("--version", text, sizeof(text));
	assert_string_equal(text, "nearpathd " NEARPATH_VERSION "\n");
}

static void help_fits_100_columns(void **state)
{
	char text[8192], *line, *rest;

	(void)state;
	printed("--help", text, sizeof(text));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strlen(line) > 100 || line[strlen(line) - 1] == ' ')
			fail_msg("%zu columns: \"%s\"", strlen(line), line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_timeouts_are_taken),
		cmocka_unit_test(without_options_there_are_defaults),
		cmocka_unit_test(texts_are_taken_as_they_are),
		cmocka_unit_test(a_value_may_be_the_next_word),
		cmocka_unit_test(switches_switch_on_what_they_name),
		cmocka_unit_test(numbers_are_taken_up_to_their_bounds),
		cmocka_unit_test(modes_are_taken_by_name),
		cmocka_unit_test(snat_ports_are_a_range),
		cmocka_unit_test(cluster_cidrs_become_masks),
		cmocka_unit_test(of_each_family_the_first_cidr_counts),
		cmocka_unit_test(an_error_is_cut_where_there_is_no_room),
		cmocka_unit_test(help_tells_of_every_option),
		cmocka_unit_test(help_fits_100_columns),
	};
	int failed;

	failed = run_refusals(refusals, ARRAY_SIZE(refusals));
	failed += cmocka_run_group_tests_name("options", tests, NULL, NULL);
	return failed;
}
