/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/config*.c: kubeadm's ConfigMap as it is, what each field does, that the command
 * line wins, and that whatever is wrong with a file is told with its place and nothing is taken of
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <unistd.h>

#include "config_parts.h"
#include "kubeadm_text.h"
#include "options_fixture.h"
#include "options_parts.h"

#define HEAD                                                                                       \
	"apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"                                           \
	"kind: KubeProxyConfiguration\n"
#define PODS "clusterCIDR: 10.1.0.0/16\n" /* or there is a note about it */

static char file[] = "/tmp/nearpath-config-XXXXXX";

static void put_bytes(const char *bytes, size_t length)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, length, f), length);
	assert_int_equal(fclose(f), 0);
}

static struct options read_file(const char *text, const char *before, const char *after)
{
	const char *words[ARGS_MAX + 1] = {before ?: "--config", before ? "--config" : file,
					   before ? file : after, before ? after : NULL};

	put_bytes(text, strlen(text));
	return parse_good(words);
}
#define READ(text) read_file(text, NULL, NULL)

static void assert_refused_file(const char *place, const char *says)
{
	const char *const words[] = {"--config", file, NULL};

	assert_refused(words, place, says);
}

static void assert_bind(const struct bind_to *to, const char *address, uint16_t port)
{
	char read[INET6_ADDRSTRLEN];

	inet_ntop(to->family == NP_IPV4 ? AF_INET : AF_INET6, &to->addr, read, sizeof(read));
	assert_string_equal(read, address);
	assert_int_equal(to->port, port);
}

/* What the fixture says, and kube-proxy's defaults for what it leaves empty. */
static void assert_kubeadms(const struct options *o)
{
	struct options none = GOOD(NULL);

	assert_int_equal(o->cluster_cidr.count, 2);
	assert_int_equal(o->cluster_cidr.cidr[0].prefix.value[0], inet_addr("10.244.0.0"));
	assert_int_equal(o->cluster_cidr.cidr[1].bits, 56);
	assert_int_equal(o->detect_local, DETECT_CLUSTER_CIDR);
	assert_string_equal(o->node_name, none.node_name);
	assert_bind(&o->healthz, "0.0.0.0", 10256);
	assert_bind(&o->metrics, "127.0.0.1", 10249);
	assert_false(o->masquerade_all || o->nodeport_primary || o->nodeport_addresses.count);
	assert_true(o->localhost_nodeports);
	assert_string_equal(o->notes, "--kubeconfig: nearpathd asks no API server; objects come by "
				      "the config socket\n");
}

static void kubeadms_config_map_works_as_it_is(void **state)
{
	struct options o = READ(kubeadm_config_map);

	(void)state;
	assert_kubeadms(&o);
}

/* As it is mounted into the pod: the text of config.conf, without its indentation. */
static void kubeadms_config_conf_works_as_it_is(void **state)
{
	_cleanup_free_ char *text = strdup(kubeadm_config_map);
	char *line = strstr(text, "    apiVersion: kubeproxy"),
	     *end = strstr(text, "  kubeconfig.");
	char conf[sizeof(kubeadm_config_map)] = "", *rest;
	struct options o;

	(void)state;
	*end = '\0';
	for (line = strtok_r(line, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		strcat(conf, line + 4);
		strcat(conf, "\n");
	}
	o = READ(conf);
	assert_kubeadms(&o);
}

static void json_is_yaml_too(void **state)
{
	struct options o =
		READ("{\"kind\":\"KubeProxyConfiguration\",\"apiVersion\":"
		     "\"kubeproxy.config.k8s.io/v1alpha1\",\"iptables\":{\"masqueradeAll\":true}}");

	(void)state;
	assert_true(o.masquerade_all);
}

static void fields_are_the_options_of_their_meaning(void **state)
{
	struct options o = READ(HEAD "bindAddress: 192.0.2.1\n"
				     "detectLocalMode: InterfaceNamePrefix\n"
				     "detectLocal:\n"
				     "  bridgeInterface: cni0\n"
				     "  interfaceNamePrefix: cali\n"
				     "healthzBindAddress: 192.0.2.1\n"
				     "hostnameOverride: Node-A\n"
				     "iptables:\n"
				     "  localhostNodePorts: false\n"
				     "metricsBindAddress: '[::1]:9'\n"
				     "nftables:\n"
				     "  masqueradeAll: true\n"
				     "nodePortAddresses:\n"
				     "- 10.0.0.0/8\n"
				     "- fd00::/16\n");

	(void)state;
	assert_int_equal(o.bind_family, NP_IPV4);
	assert_int_equal(o.bind_addr.v4, inet_addr("192.0.2.1"));
	assert_int_equal(o.detect_local, DETECT_IFACE_PREFIX);
	assert_string_equal(o.pod_bridge, "cni0");
	assert_string_equal(o.pod_iface_prefix, "cali");
	assert_bind(&o.healthz, "192.0.2.1", 10256);
	assert_string_equal(o.node_name, "node-a");
	assert_false(o.localhost_nodeports);
	assert_bind(&o.metrics, "::1", 9);
	assert_true(o.masquerade_all);
	assert_int_equal(o.nodeport_addresses.count, 2);
	assert_string_equal(o.notes, "");
	assert_true(READ(HEAD "nodePortAddresses: [primary]\n").nodeport_primary);
}

static void one_masquerade_all_of_two_is_enough(void **state)
{
	(void)state;
	assert_true(READ(HEAD "iptables: {masqueradeAll: true}\nnftables: {masqueradeAll: false}\n")
			    .masquerade_all);
	assert_true(READ(HEAD "iptables: {masqueradeAll: false}\nnftables: {masqueradeAll: true}\n")
			    .masquerade_all);
}

static void booleans_are_yamls(void **state)
{
	static const char *const yes[] = {"true", "True", "yes", "ON", "y"};
	static const char *const no[] = {"false", "FALSE", "no", "Off", "n"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		snprintf(text, sizeof(text), HEAD "iptables: {localhostNodePorts: %s}\n", no[i]);
		assert_false(READ(text).localhost_nodeports);
		snprintf(text, sizeof(text), HEAD "iptables: {masqueradeAll: %s}\n", yes[i]);
		assert_true(READ(text).masquerade_all);
	}
}

static void servers_follow_an_ipv6_bind_address(void **state)
{
	struct options both = READ(HEAD "bindAddress: '::'\n");
	struct options one =
		READ(HEAD "metricsBindAddress: 127.0.0.1:10249\nbindAddress: fd00::1\n");

	(void)state;
	assert_bind(&both.healthz, "::", 10256);
	assert_bind(&both.metrics, "::1", 10249);
	assert_bind(&one.healthz, "::", 10256);
	assert_bind(&one.metrics, "127.0.0.1", 10249);
}

static void the_command_line_wins_in_any_order(void **state)
{
	static const char text[] = HEAD PODS "hostnameOverride: a\n"
					     "iptables: {masqueradeAll: true}\n"
					     "nodePortAddresses: [10.0.0.0/8]\n";
	struct options before = read_file(text, "--hostname-override=b", "--masquerade-all=false");
	struct options after = read_file(text, NULL, "--nodeport-addresses=primary");

	(void)state;
	assert_string_equal(before.node_name, "b");
	assert_false(before.masquerade_all);
	assert_int_equal(before.nodeport_addresses.count, 1);
	assert_string_equal(after.node_name, "a");
	assert_true(after.masquerade_all);
	assert_true(after.nodeport_primary);
	assert_int_equal(after.nodeport_addresses.count, 0);
}

static void the_last_of_several_files_is_read(void **state)
{
	struct options o = read_file(HEAD "hostnameOverride: a\n", "--config=/none/there", NULL);

	(void)state;
	assert_string_equal(o.node_name, "a");
	assert_string_equal(GOOD("--config=", "--node-name=b").node_name, "b");
}

/* The field at path with value, as a whole file. */
static const char *file_of(const char *path, const char *value)
{
	static char text[512];
	const char *dot = strchr(path, '.');

	if (dot)
		snprintf(text, sizeof(text), HEAD "%.*s:\n  %s: %s\n", (int)(dot - path), path,
			 dot + 1, value);
	else
		snprintf(text, sizeof(text), HEAD "%s: %s\n", path, value);
	return text;
}

static void every_field_may_be_empty(void **state)
{
	static const char *const empty[][2] = {
		[CONFIG_TEXT] = {"\"\"", "null"}, [CONFIG_BOOL] = {"false", "~"},
		[CONFIG_NUMBER] = {"0", "null"},  [CONFIG_LIST] = {"[]", ""},
		[CONFIG_MAP] = {"{}", "null"},
	};
	struct options none = GOOD(NULL);

	(void)state;
	for (const struct config_field *f = config_fields; f->path; f++) {
		if (f->option && (!*f->option || !strcmp(f->option, "localhost-nodeports")))
			continue;
		for (size_t i = 0; i < 2; i++) {
			struct options o = READ(file_of(f->path, empty[f->type][i]));

			if (strcmp(o.notes, none.notes) != 0)
				fail_msg("%s: %s: %s", f->path, empty[f->type][i], o.notes);
		}
		if (f->usual)
			assert_string_equal(READ(file_of(f->path, f->usual)).notes, none.notes);
	}
}

static void every_field_has_an_option_that_is_known(void **state)
{
	bool wants_value;
	char word[80];

	(void)state;
	for (const struct config_field *f = config_fields; f->path; f++) {
		snprintf(word, sizeof(word), "--%s", f->option ?: "v");
		if (strlen(word) > 2 && !options_knows(word, &wants_value))
			fail_msg("%s: there is no %s", f->path, word);
	}
}

static void what_means_nothing_here_is_noted_with_the_reason(void **state)
{
	struct options o = READ(HEAD PODS "mode: nftables\n"
					  "conntrack: {min: 7, maxPerCore: 0}\n"
					  "ipvs: {excludeCIDRs: [10.0.0.0/8]}\n"
					  "logging: {options: {json: {infoBufferSize: '1'}}}\n"
					  "metadata: {name: x}\n");

	(void)state;
	assert_string_equal(
		o.notes,
		"mode in --config: the only mode is nearpath's own; docs/options.md says how it "
		"differs\n"
		"conntrack.min in --config: flows are kept in tables of their own; see "
		"--max-flows\n"
		"ipvs.excludeCIDRs in --config: there is no IPVS here\n"
		"logging in --config: the log is stderr, one line an event\n");
}

#define TEN(x)	     x x x x x x x x x x
#define NODEPORTS(x) HEAD "nodePortAddresses: [" x "]\n"

static const struct refusal {
	const char *name;
	const char *text;
	const char *place;
	const char *says;
} refusals[] = {
	{"empty", "", ":1:1: ", "a KubeProxyConfiguration is wanted"},
	{"comment only", "# nothing\n", ":1:1: ", "a KubeProxyConfiguration is wanted"},
	{"a word", "hello\n", ":1:1: ", "a KubeProxyConfiguration is wanted"},
	{"a list", "\n- a\n", ":2:1: ", "a KubeProxyConfiguration is wanted"},
	{"no kind", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n", ":1:1: ", "kind: "},
	{"no apiVersion", "kind: KubeProxyConfiguration\n",
	 ":1:1: ", "apiVersion: kubeproxy.config.k8s.io/v1alpha1 is wanted"},
	{"another version",
	 "apiVersion: kubeproxy.config.k8s.io/v1\nkind: KubeProxyConfiguration\n",
	 ":1:13: ", "not \"kubeproxy.config.k8s.io/v1\""},
	{"another kind", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n",
	 ":2:7: ", "not \"KubeletConfiguration\""},
	{"unknown field", HEAD "clusterCidr: 10.0.0.0/8\n", ":3:1: ",
	 "no field \"clusterCidr\" in KubeProxyConfiguration; did you mean \"clusterCIDR\"?"},
	{"unknown field in a map", HEAD "iptables:\n  masqueradeal: true\n", ":4:3: ",
	 "\"iptables.masqueradeal\" in KubeProxyConfiguration; did you mean "
	 "\"iptables.masqueradeAll\"?"},
	{"field in the wrong place", HEAD "masqueradeAll: true\n", ":3:1: ", "did you mean"},
	{"path as a name", HEAD "conntrack.min: 1\n", ":3:1: ", "each name on a line"},
	{"empty name", HEAD "\"\": 1\n", ":3:1: ", "no field \"\""},
	{"map as a name", HEAD "? {a: b}\n: 1\n", ":3:3: ", "the name of a field"},
	{"twice", HEAD "mode: ''\nportRange: ''\nmode: ''\n", ":5:1: ", "\"mode\" is there twice"},
	{"twice in a map", HEAD "iptables:\n  syncPeriod: 0s\n  syncPeriod: 0s\n",
	 ":5:3: ", "\"iptables.syncPeriod\" is there twice"},
	{"map that is a word", HEAD "iptables: x\n", ":3:11: ", "iptables: a map is wanted"},
	{"map that is a list", HEAD "featureGates: [a]\n", ":3:15: ", "featureGates: a map"},
	{"list that is a text", HEAD "nodePortAddresses: 10.0.0.0/8\n",
	 ":3:20: ", "nodePortAddresses: a list is wanted"},
	{"list in a list", NODEPORTS("[a]"), ":3:21: ", "one text an item"},
	{"empty item", NODEPORTS("10.0.0.0/8, ''"), ":3:33: ", "one text an item"},
	{"two in an item", NODEPORTS("'10.0.0.0/8,11.0.0.0/8'"), ":3:21: ", "one text an item"},
	{"too many items", NODEPORTS(TEN(TEN("10.0.0.0/8,"))), ":3:20: ", "more than 64 items"},
	{"primary among others", NODEPORTS("primary, 10.0.0.0/8"), ":3:20: ", "primary or a list"},
	{"text that is a map", HEAD "clusterCIDR: {a: b}\n", ":3:14: ", "a text is wanted"},
	{"text that is a number", HEAD "hostnameOverride: 7\n", ":3:19: ", "write it in quotes"},
	{"text that is a boolean", HEAD "mode: yes\n", ":3:7: ", "write it in quotes"},
	{"text with a NUL", HEAD "hostnameOverride: \"a\\0b\"\n", ":3:19: ", "a text is wanted"},
	{"boolean in quotes", HEAD "iptables: {masqueradeAll: 'true'}\n",
	 ":3:27: ", "iptables.masqueradeAll: true or false"},
	{"boolean that is a number", HEAD "enableProfiling: 1\n", ":3:18: ", "true or false"},
	{"number in quotes", HEAD "oomScoreAdj: '1'\n", ":3:14: ", "a number is wanted"},
	{"number that is a word", HEAD "conntrack: {min: many}\n", ":3:18: ", "a number is wanted"},
	{"number that is a sign", HEAD "conntrack: {min: -}\n", ":3:18: ", ""},
	{"bad value", HEAD "clusterCIDR: 10.0.0.0\n",
	 ":3:14: ", "clusterCIDR: \"10.0.0.0\" is not"},
	{"bad value in quotes", HEAD "clusterCIDR: 'false'\n", ":3:14: ", "\"false\" is not"},
	{"bad mode", HEAD "detectLocalMode: Bridge\n", ":3:18: ", "BridgeInterface"},
	{"bad address", HEAD "healthzBindAddress: here\n",
	 ":3:21: ", "healthzBindAddress: \"here\""},
	{"bridge without its name", HEAD "detectLocalMode: BridgeInterface\n", "BridgeInterface",
	 "(detectLocal.bridgeInterface)"},
	{"bad YAML", HEAD "iptables: {a\n", ":4:1: ", "not YAML: "},
	{"tab", HEAD "iptables:\n\tmasqueradeAll: true\n", ":4:1: ", "not YAML: found"},
	{"bad UTF-8", HEAD "mode: \"\xff\"\n", ":3:8: ", "not YAML: "},
	{"control character", HEAD "mode: \x01\n", ":3:7: ", "not YAML: "},
	{"names that would break a line", HEAD "\"a\\nb\\u001b\": 1\n", ":3:1: ", "\"a?b?\""},
	{"second document", HEAD "---\nkind: X\n", ":3:1: ", "a second document"},
	{"second document that is bad", HEAD "---\n{{{\n", ":3:1: ", "a second document"},
	{"rubbish behind the end", HEAD "...\n]\n", ":4:1: ", "not YAML: "},
	{"anchor", HEAD "mode: &a ''\n", ":3:7: ", "anchors and aliases are not taken"},
	{"anchor of a map", HEAD "iptables: &a {}\n", ":3:11: ", "write the value out"},
	{"itself in itself", "&a\nkind: *a\n", ":1:1: ", "anchors and aliases"},
	{"deep", HEAD "featureGates: " TEN("[") TEN("["), ":3:30: ", "more than 16 deep"},
	{"ConfigMap without data", "kind: ConfigMap\napiVersion: v1\n",
	 ":1:1: ", "give the one named kube-proxy"},
	{"another ConfigMap", "kind: ConfigMap\ndata: {a: b}\n", ":1:1: ", "\"config.conf\""},
	{"config.conf that is a map", "kind: ConfigMap\ndata: {config.conf: {}}\n",
	 ":1:1: ", "\"config.conf\""},
	{"ConfigMap in a ConfigMap",
	 "kind: ConfigMap\ndata:\n  config.conf: |\n    kind: ConfigMap\n    data: {config.conf: "
	 "x}\n",
	 " data.\"config.conf\":1:1: ", "give the one named kube-proxy"},
	{"unknown field in a ConfigMap",
	 "kind: ConfigMap\ndata:\n  config.conf: |\n"
	 "    kind: KubeProxyConfiguration\n"
	 "    apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
	 "    moed: x\n",
	 " data.\"config.conf\":3:1: ", "did you mean \"mode\"?"},
	{"bad YAML in a ConfigMap", "kind: ConfigMap\ndata:\n  config.conf: '{'\n",
	 " data.\"config.conf\":2:1: ", "not YAML: "},
};

static void a_refusal_names_the_place_and_the_way_out(void **state)
{
	const struct refusal *r = *state;

	put_bytes(r->text, strlen(r->text));
	assert_refused_file(r->place, r->says);
}

static void errors_are_printable_whatever_was_written(void **state)
{
	char text[256], error[512];

	(void)state;
	for (int c = 1; c < 256; c++) {
		const char *argv[] = {"nearpathd", "--config", file, NULL};
		struct options o;

		snprintf(text, sizeof(text), HEAD "x%c%c: '%c'\n", c, c, c);
		put_bytes(text, strlen(text));
		assert_int_equal(options_parse(3, (char **)argv, &o, error, sizeof(error)),
				 -EINVAL);
		for (const char *e = error; *e; e++)
			assert_true(isascii(*e) && isprint(*e));
	}
}

/* Every beginning of the fixture: refused, or taken, and never more than that. */
static void a_file_that_is_cut_is_harmless(void **state)
{
	const char *argv[] = {"nearpathd", "--config", file, NULL};
	char error[512];
	struct options o;

	(void)state;
	for (size_t length = 0; length < strlen(kubeadm_config_map); length += 3) {
		put_bytes(kubeadm_config_map, length);
		assert_in_range(-options_parse(3, (char **)argv, &o, error, sizeof(error)), 0,
				EINVAL);
	}
}

static void a_file_that_is_too_large_is_refused(void **state)
{
	const size_t size = (1 << 20) + 1;
	_cleanup_free_ char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '#', size);
	memcpy(text, HEAD, strlen(HEAD));
	put_bytes(text, size - 1);
	assert_non_null(strstr(parse_good((const char *const[]){"--config", file, NULL}).notes,
			       "--cluster-cidr"));
	put_bytes(text, size);
	assert_refused_file(file, "larger than 1 MiB");
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	assert_refused((const char *const[]){"--config=/tmp", NULL}, "\"/tmp\"", "directory");
	assert_refused((const char *const[]){"--config", NULL}, "--config", "wants FILE");
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

int main(void)
{
	static struct CMUnitTest table[ARRAY_SIZE(refusals)];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kubeadms_config_map_works_as_it_is),
		cmocka_unit_test(kubeadms_config_conf_works_as_it_is),
		cmocka_unit_test(json_is_yaml_too),
		cmocka_unit_test(fields_are_the_options_of_their_meaning),
		cmocka_unit_test(one_masquerade_all_of_two_is_enough),
		cmocka_unit_test(booleans_are_yamls),
		cmocka_unit_test(servers_follow_an_ipv6_bind_address),
		cmocka_unit_test(the_command_line_wins_in_any_order),
		cmocka_unit_test(the_last_of_several_files_is_read),
		cmocka_unit_test(every_field_may_be_empty),
		cmocka_unit_test(every_field_has_an_option_that_is_known),
		cmocka_unit_test(what_means_nothing_here_is_noted_with_the_reason),
		cmocka_unit_test(errors_are_printable_whatever_was_written),
		cmocka_unit_test(a_file_that_is_cut_is_harmless),
		cmocka_unit_test(a_file_that_is_too_large_is_refused),
		cmocka_unit_test(what_is_no_file_is_refused),
	};
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		table[i] = (struct CMUnitTest){
			.name = refusals[i].name,
			.test_func = a_refusal_names_the_place_and_the_way_out,
			.initial_state = (void *)&refusals[i],
		};
	close(mkstemp(file));
	failed = cmocka_run_group_tests_name("refusals", table, NULL, NULL);
	failed += cmocka_run_group_tests_name("configuration", tests, NULL, remove_file);
	return failed;
}
