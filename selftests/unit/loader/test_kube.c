/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/kube*.c and json.c: a table of objects that must be refused, with the path that
 * must be named, and input that is meant to do harm. What is read from good objects is tested in
 * test_kube_read.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "kube_text.h"

#define DIGITS64 "0123456789012345678901234567890123456789012345678901234567890123"

static int refusal(const char *text, struct kube_error *error)
{
	struct kube_object *untouched = (struct kube_object *)&untouched, *object = untouched;
	json_t *json = load(text);
	int err = kube_parse(json, &object, error);

	assert_true(json_is_null(json) || json->refcount == 1);
	json_decref(json);
	assert_ptr_equal(object, untouched);
	assert_true(error->reason[0]);
	return err;
}

struct bad_case {
	const char *name;
	const char *text;
	const char *path;
	const char *says; /* part of the reason */
};

static const struct bad_case bad_cases[] = {
	/* What every object has */
	{"not an object", "[]", "", "is an array"},
	{"no object at all", "null", "", "missing"},
	{"a number", "7", "", "is an integer"},
	{"no kind", "{}", "kind", "missing"},
	{"kind of the wrong type", "{'kind':1}", "kind", "is an integer"},
	{"no apiVersion", "{'kind':'Service'}", "apiVersion", "missing"},
	{"no metadata", "{'kind':'Service','apiVersion':'v1'}", "metadata.name", "missing"},
	{"metadata of the wrong type", "{'kind':'Node','apiVersion':'v1','metadata':'n'}",
	 "metadata", "is a string; write an object"},
	{"empty name", "{'kind':'Node','apiVersion':'v1','metadata':{'name':''}}", "metadata.name",
	 "missing"},
	{"no namespace", "{'kind':'Service','apiVersion':'v1','metadata':{'name':'a'}}",
	 "metadata.namespace", "missing"},
	{"upper case in a name", "{'kind':'Node','apiVersion':'v1','metadata':{'name':'Node'}}",
	 "metadata.name", "lower-case"},
	{"slash in a namespace",
	 "{'kind':'Service','apiVersion':'v1','metadata':{'name':'a','namespace':'b/c'}}",
	 "metadata.namespace", "b/c"},
	{"name that ends with a dash", "{'kind':'Node','apiVersion':'v1','metadata':{'name':'n-'}}",
	 "metadata.name", "begin and end"},
	{"name that is too long",
	 "{'kind':'Node','apiVersion':'v1','metadata':{'name':'" DIGITS64 DIGITS64 DIGITS64 DIGITS64
	 "'}}",
	 "metadata.name", "256 characters long; at most 253"},
	{"labels of the wrong type",
	 "{'kind':'Node','apiVersion':'v1','metadata':{'name':'n','labels':[]}}", "metadata.labels",
	 "is an array"},
	/* Service */
	{"Service without spec",
	 "{'kind':'Service','apiVersion':'v1','metadata':{'name':'a','namespace':'b'}}", "spec",
	 "missing"},
	{"spec of the wrong type",
	 "{'kind':'Service','apiVersion':'v1','metadata':{'name':'a','namespace':'b'},'spec':1}",
	 "spec", "is an integer"},
	{"unknown type", PROGRAMMED("'type':'Balancer'"), "spec.type",
	 "write one of ClusterIP, NodePort, LoadBalancer, ExternalName"},
	{"clusterIP of no family", SERVICE("'clusterIP':'10.0.0.300'"), "spec.clusterIP",
	 "\"10.0.0.300\" is not an IP address"},
	{"clusterIP of the wrong type", SERVICE("'clusterIP':10"), "spec.clusterIP", "a string"},
	{"clusterIP that means none", SERVICE("'clusterIP':'0.0.0.0'"), "spec.clusterIP",
	 "0.0.0.0"},
	{"clusterIP :: means none too", SERVICE("'clusterIP':'::'"), "spec.clusterIP", "::"},
	{"clusterIP with a range", SERVICE("'clusterIP':'10.0.0.1/32'"), "spec.clusterIP",
	 "10.0.0.1/32"},
	{"second clusterIP", SERVICE("'clusterIPs':['10.0.0.1','None']"), "spec.clusterIPs[1]",
	 "None"},
	{"clusterIPs is a string", SERVICE("'clusterIPs':'10.0.0.1'"), "spec.clusterIPs",
	 "write an array"},
	{"three clusterIPs", SERVICE("'clusterIPs':['10.0.0.1','fd00::1','10.0.0.2']"),
	 "spec.clusterIPs", "3 items; at most 2"},
	{"port 0", PROGRAMMED("'ports':[{'port':0}]"), "spec.ports[0].port", "from 1 to 65535"},
	{"port 70000", PROGRAMMED("'ports':[{'port':1},{'name':'b','port':70000}]"),
	 "spec.ports[1].port", "70000 is not a port"},
	{"negative port", PROGRAMMED("'ports':[{'port':-1}]"), "spec.ports[0].port", "-1"},
	{"port of 64 bits", PROGRAMMED("'ports':[{'port':4294967376}]"), "spec.ports[0].port",
	 "4294967376"},
	{"port 80.0", PROGRAMMED("'ports':[{'port':80.0}]"), "spec.ports[0].port", "fraction"},
	{"port '80'", PROGRAMMED("'ports':[{'port':'80'}]"), "spec.ports[0].port", "is a string"},
	{"no port", PROGRAMMED("'ports':[{'name':'a'}]"), "spec.ports[0].port", "missing"},
	{"nodePort 70000", PROGRAMMED("'ports':[{'port':80,'nodePort':70000}]"),
	 "spec.ports[0].nodePort", "70000 is not a port"},
	{"nodePort true", PROGRAMMED("'ports':[{'port':80,'nodePort':true}]"),
	 "spec.ports[0].nodePort", "is a boolean"},
	{"unknown protocol", PROGRAMMED("'ports':[{'port':80,'protocol':'tcp'}]"),
	 "spec.ports[0].protocol", "write one of TCP, UDP, SCTP"},
	{"port name with a blank", PROGRAMMED("'ports':[{'port':80,'name':'a b'}]"),
	 "spec.ports[0].name", "a b"},
	{"port name that is too long", PROGRAMMED("'ports':[{'port':80,'name':'" DIGITS64 "'}]"),
	 "spec.ports[0].name", "at most 63"},
	{"null as a port", PROGRAMMED("'ports':[null]"), "spec.ports[0]", "missing"},
	{"ports of the wrong type", PROGRAMMED("'ports':{}"), "spec.ports", "is an object"},
	{"two ports of one name", PROGRAMMED("'ports':[{'port':80},{'port':81}]"),
	 "spec.ports[1].name", "spec.ports[0]"},
	{"one port twice", PROGRAMMED("'ports':[{'port':80},{'name':'b','port':80}]"),
	 "spec.ports[1].port", "80 is also the port of spec.ports[0]"},
	{"one nodePort twice",
	 PROGRAMMED("'ports':[{'port':80,'nodePort':3001},{'name':'b','port':81,'nodePort':3001}]"),
	 "spec.ports[1].nodePort", "3001"},
	{"externalIP that is a name", PROGRAMMED("'externalIPs':['a.example']"),
	 "spec.externalIPs[0]", "a.example"},
	{"externalIP null", PROGRAMMED("'externalIPs':[null]"), "spec.externalIPs[0]", "missing"},
	{"VIP of no family", STATUS("'loadBalancer':{'ingress':[{'hostname':'a'},{'ip':'1.2.3'}]}"),
	 "status.loadBalancer.ingress[1].ip", "1.2.3"},
	{"unknown ipMode", STATUS("'loadBalancer':{'ingress':[{'ip':'1.2.3.4','ipMode':'NAT'}]}"),
	 "status.loadBalancer.ingress[0].ipMode", "write one of VIP, Proxy"},
	{"ingress of strings", STATUS("'loadBalancer':{'ingress':['1.2.3.4']}"),
	 "status.loadBalancer.ingress[0]", "is a string"},
	{"loadBalancer of the wrong type", STATUS("'loadBalancer':[]"), "status.loadBalancer",
	 "is an array"},
	{"source range that is a number", PROGRAMMED("'loadBalancerSourceRanges':[10]"),
	 "spec.loadBalancerSourceRanges[0]", "is an integer"},
	{"unknown internalTrafficPolicy", PROGRAMMED("'internalTrafficPolicy':'local'"),
	 "spec.internalTrafficPolicy", "write one of Cluster, Local"},
	{"externalTrafficPolicy false", PROGRAMMED("'externalTrafficPolicy':false"),
	 "spec.externalTrafficPolicy", "is a boolean"},
	{"unknown sessionAffinity", PROGRAMMED("'sessionAffinity':'Cookie'"),
	 "spec.sessionAffinity", "None, ClientIP"},
	{"affinity of 0 seconds",
	 PROGRAMMED("'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':"
		    "{'timeoutSeconds':0}}"),
	 "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "1 to 86400"},
	{"affinity of more than a day",
	 PROGRAMMED("'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':"
		    "{'timeoutSeconds':86401}}"),
	 "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "86401"},
	{"healthCheckNodePort 65536",
	 PROGRAMMED("'type':'LoadBalancer','externalTrafficPolicy':'Local',"
		    "'healthCheckNodePort':65536"),
	 "spec.healthCheckNodePort", "65536"},
	/* EndpointSlice */
	{"slice without addressType", SLICE("'endpoints':[]"), "addressType", "missing"},
	{"unknown addressType", SLICE("'addressType':'ipv4'"), "addressType", "IPv4, IPv6, FQDN"},
	{"service label that is a number",
	 "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'namespace':'ns',"
	 "'name':'a','labels':{'kubernetes.io/service-name':1}},'addressType':'IPv4'}",
	 "metadata.labels[\"kubernetes.io/service-name\"]", "is an integer"},
	{"endpoints of the wrong type", SLICE("'addressType':'IPv4','endpoints':{}"), "endpoints",
	 "is an object"},
	{"endpoint that is a string", ENDPOINT("'10.1.0.2'"), "endpoints[1]", "is a string"},
	{"endpoint without addresses", ENDPOINT("{}"), "endpoints[1].addresses", "no address"},
	{"endpoint with no address", ENDPOINT("{'addresses':[]}"), "endpoints[1].addresses",
	 "no address"},
	{"address of no family", ENDPOINT("{'addresses':['10.0.0.300']}"),
	 "endpoints[1].addresses[0]", "10.0.0.300"},
	{"IPv6 address in a slice of IPv4", ENDPOINT("{'addresses':['fd00::1']}"),
	 "endpoints[1].addresses[0]", "not an IPv4 address, as addressType says"},
	{"mapped IPv4 address in a slice of IPv6",
	 SLICE("'addressType':'IPv6','endpoints':[{'addresses':['::ffff:10.0.0.1']}]"),
	 "endpoints[0].addresses[0]", "not an IPv6 address"},
	{"ready of the wrong type",
	 ENDPOINT("{'addresses':['10.1.0.2'],'conditions':{'ready':'true'}}"),
	 "endpoints[1].conditions.ready", "true or false"},
	{"conditions of the wrong type", ENDPOINT("{'addresses':['10.1.0.2'],'conditions':[]}"),
	 "endpoints[1].conditions", "is an array"},
	{"nodeName with a blank", ENDPOINT("{'addresses':['10.1.0.2'],'nodeName':'a b'}"),
	 "endpoints[1].nodeName", "a b"},
	{"zone of the wrong type", ENDPOINT("{'addresses':['10.1.0.2'],'zone':1}"),
	 "endpoints[1].zone", "is an integer"},
	{"zone hint without a name",
	 ENDPOINT("{'addresses':['10.1.0.2'],'hints':{'forZones':[{'name':'a'},{}]}}"),
	 "endpoints[1].hints.forZones[1].name", "missing"},
	{"empty node hint",
	 ENDPOINT("{'addresses':['10.1.0.2'],'hints':{'forNodes':[{'name':''}]}}"),
	 "endpoints[1].hints.forNodes[0].name", "is empty; name a node"},
	{"zone hint that is a string",
	 ENDPOINT("{'addresses':['10.1.0.2'],'hints':{'forZones':['a']}}"),
	 "endpoints[1].hints.forZones[0]", "is a string"},
	{"slice port 65536", SLICE("'addressType':'IPv4','ports':[{'port':65536}]"),
	 "ports[0].port", "65536"},
	{"slice protocol", SLICE("'addressType':'IPv4','ports':[{'port':1,'protocol':'ICMP'}]"),
	 "ports[0].protocol", "ICMP"},
	/* Node */
	{"zone label with a slash",
	 "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n','labels':"
	 "{'topology.kubernetes.io/zone':'a/b'}}}",
	 "metadata.labels[\"topology.kubernetes.io/zone\"]", "a/b"},
	{"pod range without a length", NODE("'spec':{'podCIDRs':['10.0.0.0']}"), "spec.podCIDRs[0]",
	 "is not a range"},
	{"pod range of 33 bits", NODE("'spec':{'podCIDRs':['10.0.0.0/33']}"), "spec.podCIDRs[0]",
	 "10.0.0.0/33"},
	{"single pod range", NODE("'spec':{'podCIDR':'10.0.0.0/-1'}"), "spec.podCIDR",
	 "10.0.0.0/-1"},
	{"taint key of the wrong type", NODE("'spec':{'taints':[{'key':[]}]}"),
	 "spec.taints[0].key", "is an array"},
	{"addresses of the wrong type", NODE("'status':{'addresses':{}}"), "status.addresses",
	 "is an object"},
	{"address that is a string", NODE("'status':{'addresses':['10.0.0.1']}"),
	 "status.addresses[0]", "is a string"},
	{"InternalIP that is a name",
	 NODE("'status':{'addresses':[{'type':'Hostname','address':'n1'},"
	      "{'type':'InternalIP','address':'n1'}]}"),
	 "status.addresses[1].address", "\"n1\" is not an IP address"},
	{"ExternalIP with a length",
	 NODE("'status':{'addresses':[{'type':'ExternalIP','address':'192.0.2.1/32'}]}"),
	 "status.addresses[0].address", "192.0.2.1/32"},
	{"InternalIP without an address", NODE("'status':{'addresses':[{'type':'InternalIP'}]}"),
	 "status.addresses[0].address", "missing"},
	/* ServiceCIDR */
	{"ServiceCIDR without spec",
	 "{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR','metadata':{'name':'r'}}",
	 "spec", "missing"},
	{"ServiceCIDR without ranges", RANGES(""), "spec.cidrs", "has no range"},
	{"ServiceCIDR with no range", RANGES("'cidrs':[]"), "spec.cidrs", "has no range"},
	{"ServiceCIDR of three ranges",
	 RANGES("'cidrs':['10.96.0.0/12','fd00::/108','10.0.0.0/8']"), "spec.cidrs",
	 "3 items; at most 2"},
	{"ServiceCIDR of two of one family", RANGES("'cidrs':['10.96.0.0/12','10.0.0.0/16']"),
	 "spec.cidrs[1]", "same family"},
	{"service range without a length", RANGES("'cidrs':['10.96.0.0']"), "spec.cidrs[0]",
	 "is not a range"},
	{"service range null", RANGES("'cidrs':[null]"), "spec.cidrs[0]", "missing"},
	{"service ranges that are a string", RANGES("'cidrs':'10.96.0.0/12'"), "spec.cidrs",
	 "is a string"},
};

static void bad_object_is_refused(void **state)
{
	const struct bad_case *c = *state;
	struct kube_error error;

	assert_int_equal(refusal(c->text, &error), -EINVAL);
	assert_string_equal(error.path, c->path);
	if (!strstr(error.reason, c->says))
		fail_msg("the reason \"%s\" does not say \"%s\"", error.reason, c->says);
}

static void refusal_names_the_object(void **state)
{
	struct kube_error error;

	(void)state;
	refusal(PROGRAMMED("'ports':[{'port':0}]"), &error);
	assert_string_equal(error.object, "Service \"ns/web\"");
	refusal(NODE("'spec':1"), &error);
	assert_string_equal(error.object, "Node \"n1\"");
	refusal("{'kind':'Service','apiVersion':'v1'}", &error);
	assert_string_equal(error.object, "");
}

static void other_kinds_and_versions_are_not_supported(void **state)
{
	static const char *const others[][2] = {
		{"{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a','namespace':'b'}}",
		 "kind"},
		{"{'kind':'Endpoints','apiVersion':'v1'}", "kind"},
		{"{'kind':'service','apiVersion':'v1'}", "kind"},
		{"{'kind':'Service','apiVersion':'v2'}", "apiVersion"},
		{"{'kind':'Node','apiVersion':'discovery.k8s.io/v1'}", "apiVersion"},
		{"{'kind':'EndpointSlice','apiVersion':'discovery.k8s.io/v1beta1'}", "apiVersion"},
		{"{'kind':'ServiceCIDR','apiVersion':'networking.k8s.io/v1alpha1'}", "apiVersion"},
		{"{'kind':'ServiceCIDR','apiVersion':'v1'}", "apiVersion"},
	};
	struct kube_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(refusal(others[i][0], &error), -ENOTSUP);
		assert_string_equal(error.path, others[i][1]);
	}
}

/* Object that is good but for count items of text in the array `before`...`after`. */
static int parse_many(const char *before, const char *item, size_t count, const char *after,
		      struct kube_error *error)
{
	size_t size = strlen(before) + strlen(after) + count * (strlen(item) + 1) + 1;
	_cleanup_(kube_free) struct kube_object *object = NULL;
	_cleanup_free_ char *text = malloc(size);
	char *end;
	json_t *json;
	int err;

	assert_non_null(text);
	end = stpcpy(text, before);
	for (size_t i = 0; i < count; i++) {
		end = stpcpy(end, i ? "," : "");
		end = stpcpy(end, item);
	}
	stpcpy(end, after);
	json = load(text);
	err = kube_parse(json, &object, error);
	json_decref(json);
	return err;
}

static void arrays_are_limited(void **state)
{
	static const char endpoints[] =
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"
		"{'namespace':'ns','name':'a'},'addressType':'IPv4','endpoints':[";
	static const char ports[] =
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"
		"{'namespace':'ns','name':'a'},'addressType':'IPv4','ports':[";
	static const char externals[] =
		"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'a'},"
		"'spec':{'clusterIP':'10.0.0.1','externalIPs':[";
	struct kube_error error;

	(void)state;
	assert_int_equal(parse_many(endpoints, "{'addresses':['10.0.0.1']}", 1000, "]}", &error),
			 0);
	assert_int_equal(parse_many(endpoints, "{'addresses':['10.0.0.1']}", 1001, "]}", &error),
			 -EINVAL);
	assert_string_equal(error.path, "endpoints");
	assert_string_equal(error.reason, "has 1001 items; at most 1000 are allowed");
	assert_int_equal(parse_many(ports, "{'port':1}", 100, "]}", &error), 0);
	assert_int_equal(parse_many(ports, "{'port':1}", 101, "]}", &error), -EINVAL);
	assert_string_equal(error.path, "ports");
	assert_int_equal(parse_many(externals, "'10.0.0.1'", 1000, "]}}", &error), -EINVAL);
	assert_string_equal(error.path, "spec.externalIPs");
}

static void deep_nesting_is_harmless(void **state)
{
	static const char head[] = "{'apiVersion':'v1','kind':'Service','metadata':"
				   "{'namespace':'ns','name':'a'},'spec':{'clusterIP':";
	char text[4096], *end = stpcpy(text, head);
	struct kube_error error;

	(void)state;
	for (size_t i = 0; i < 1800; i++)
		*end++ = i < 900 ? '[' : ']';
	stpcpy(end, "}}");
	assert_int_equal(refusal(text, &error), -EINVAL);
	assert_string_equal(error.path, "spec.clusterIP");
	end[0] = '\0';
	assert_int_equal(refusal(text + strlen(head), &error), -EINVAL);
	assert_string_equal(error.path, "");
}

/* Replace every value of a good object, one after the other, by one of another type. */
static void replace_each(json_t *whole, json_t *part, json_t *with)
{
	_cleanup_(kube_free) struct kube_object *object = NULL;
	struct kube_error error;
	const char *name;
	json_t *value;
	void *next;
	size_t i;

	json_object_foreach_safe(part, next, name, value)
	{
		json_incref(value);
		replace_each(whole, value, with);
		json_object_set(part, name, with);
		if (!kube_parse(whole, &object, &error))
			kube_free(&object);
		json_object_set_new(part, name, value);
	}
	json_array_foreach (part, i, value) {
		json_incref(value);
		replace_each(whole, value, with);
		json_array_set(part, i, with);
		if (!kube_parse(whole, &object, &error))
			kube_free(&object);
		json_array_set_new(part, i, value);
	}
}

static void wrong_types_anywhere_are_harmless(void **state)
{
	static const char *const wholes[] = {
		"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web',"
		"'labels':{'a':'b'}},'spec':{'type':'LoadBalancer','clusterIPs':['10.0.0.1'],"
		"'clusterIP':'10.0.0.1','externalIPs':['10.0.0.2'],'ports':[{'name':'a','port':1,"
		"'nodePort':2,'protocol':'TCP'}],'externalTrafficPolicy':'Local',"
		"'internalTrafficPolicy':'Local','sessionAffinity':'ClientIP',"
		"'sessionAffinityConfig':{'clientIP':{'timeoutSeconds':9}},"
		"'healthCheckNodePort':7,'loadBalancerSourceRanges':['10.0.0.0/8']},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'10.0.0.3','ipMode':'VIP'}]}}}",
		SLICE("'addressType':'IPv4','endpoints':[{'addresses':['10.1.0.1'],'conditions':"
		      "{'ready':true,'serving':true,'terminating':false},'nodeName':'n','zone':'z',"
		      "'hints':{'forZones':[{'name':'z'}],'forNodes':[{'name':'n'}]}}],"
		      "'ports':[{'name':'a','port':1,'protocol':'UDP'}]"),
		"{'apiVersion':'v1','kind':'Node','metadata':{'name':'n','deletionTimestamp':'x',"
		"'labels':{'topology.kubernetes.io/zone':'z'}},'spec':{'podCIDR':'10.0.0.0/8',"
		"'podCIDRs':['10.0.0.0/8'],'taints':[{'key':'a'}]}}",
	};
	static const char *const values[] = {"null",
					     "true",
					     "0",
					     "-9223372036854775808",
					     "1e300",
					     "''",
					     "'\\u0001\\u00e9%s%n'",
					     "[]",
					     "{}",
					     "[[null]]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wholes); i++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			json_t *whole = load(wholes[i]), *with = load(values[v]);

			replace_each(whole, whole, with);
			json_decref(with);
			json_decref(whole);
		}
	}
}

static void errors_are_printable_whatever_was_written(void **state)
{
	struct kube_error error;

	(void)state;
	refusal("{'kind':'Node','apiVersion':'v1','metadata':{'name':'a\\u001b[2J\\u00e9'}}",
		&error);
	for (const char *c = error.object; *c; c++)
		assert_in_range(*c, ' ', '~');
	for (const char *c = error.reason; *c; c++)
		assert_in_range(*c, ' ', '~');
	assert_string_equal(error.path, "metadata.name");
}

static void nul_in_a_string_is_refused(void **state)
{
	struct kube_object *object = NULL;
	struct kube_error error;
	json_t *json = json_loads("{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":"
				  "{\"name\":\"a\\u0000b\"}}",
				  JSON_ALLOW_NUL, NULL);

	(void)state;
	assert_int_equal(kube_parse(json, &object, &error), -EINVAL);
	assert_string_equal(error.path, "metadata.name");
	json_decref(json);
}

int main(void)
{
	static struct CMUnitTest bad[ARRAY_SIZE(bad_cases)];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusal_names_the_object),
		cmocka_unit_test(other_kinds_and_versions_are_not_supported),
		cmocka_unit_test(arrays_are_limited),
		cmocka_unit_test(deep_nesting_is_harmless),
		cmocka_unit_test(wrong_types_anywhere_are_harmless),
		cmocka_unit_test(errors_are_printable_whatever_was_written),
		cmocka_unit_test(nul_in_a_string_is_refused),
	};
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++)
		bad[i] = (struct CMUnitTest){
			.name = bad_cases[i].name,
			.test_func = bad_object_is_refused,
			.initial_state = (void *)&bad_cases[i],
		};
	failed = cmocka_run_group_tests_name("refused", bad, NULL, NULL);
	failed += cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
	return failed;
}
