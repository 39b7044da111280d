/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/kube*.c: what is read from objects that are good, the keys made of them, and the
 * walk through Lists. Refusals are tested in test_kube.c.
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
#include <netinet/in.h>

#include "kube_text.h"

static void assert_address(const struct kube_address *address, uint8_t family, const char *text)
{
	char read[INET6_ADDRSTRLEN];

	assert_int_equal(address->family, family);
	inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, &address->addr, read, sizeof(read));
	assert_string_equal(read, text);
	if (family == NP_IPV4)
		assert_true(!address->addr.word[1] && !address->addr.word[2] &&
			    !address->addr.word[3]);
}

static void assert_key(const struct kube_object *object, const char *wanted)
{
	char key[KUBE_KEY_MAX];

	assert_string_equal(kube_write_key(object, key), wanted);
}

static void service_is_read_whole(void **state)
{
	_cleanup_(kube_free) struct kube_object *object = parse(
		"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web.v1',"
		"'uid':7,'managedFields':[{}]},'spec':{'type':'LoadBalancer','clusterIP':'10.0.0.9'"
		","
		"'clusterIPs':['10.96.0.1','fd00::1'],'externalIPs':['192.0.2.1','2001:db8::1'],"
		"'ports':[{'name':'http','port':80,'targetPort':'any','nodePort':30001},"
		"{'name':'dns','port':53,'protocol':'UDP'},{'name':'x','port':80,'protocol':'SCTP'}"
		"],"
		"'internalTrafficPolicy':'Local','externalTrafficPolicy':'Local',"
		"'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':"
		"{'timeoutSeconds':60}},'healthCheckNodePort':30002,'trafficDistribution':9,"
		"'loadBalancerSourceRanges':[' 10.0.0.0/8\\n','x']},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.1'},{'hostname':'lb'},"
		"{'ip':'198.51.100.2','ipMode':'Proxy'},{'ip':'fd00::2','ipMode':'VIP'}]}}}");
	const struct kube_service *service = &object->service;

	(void)state;
	assert_int_equal(object->kind, KUBE_SERVICE);
	assert_key(object, "Service ns/web.v1");
	assert_string_equal(service->namespace, "ns");
	assert_string_equal(service->name, "web.v1");
	assert_int_equal(service->type, KUBE_LOAD_BALANCER);
	assert_false(service->skip);
	assert_int_equal(service->cluster_ips, 2);
	assert_address(&service->cluster_ip[0], NP_IPV4, "10.96.0.1");
	assert_address(&service->cluster_ip[1], NP_IPV6, "fd00::1");
	assert_int_equal(service->external_ips, 2);
	assert_address(&service->external_ip[1], NP_IPV6, "2001:db8::1");
	assert_int_equal(service->vips, 3);
	assert_false(service->vip[0].proxy);
	assert_true(service->vip[1].proxy);
	assert_address(&service->vip[2].ip, NP_IPV6, "fd00::2");
	assert_int_equal(service->source_ranges, 2);
	assert_string_equal(service->source_range[0], "10.0.0.0/8");
	assert_int_equal(service->ports, 3);
	assert_string_equal(service->port[0].name, "http");
	assert_int_equal(service->port[0].protocol, IPPROTO_TCP);
	assert_int_equal(service->port[0].port, 80);
	assert_int_equal(service->port[0].node_port, 30001);
	assert_int_equal(service->port[1].protocol, IPPROTO_UDP);
	assert_int_equal(service->port[2].protocol, IPPROTO_SCTP);
	assert_true(service->internal_local && service->external_local);
	assert_true(service->client_ip_affinity);
	assert_int_equal(service->affinity_seconds, 60);
	assert_int_equal(service->health_check_node_port, 30002);
}

static void absent_and_null_fields_have_defaults(void **state)
{
	_cleanup_(kube_free) struct kube_object *object =
		parse(PROGRAMMED("'ports':[{'port':80,'name':null}],'externalIPs':null,"
				 "'sessionAffinity':'ClientIP','type':null,'clusterIPs':[]"));
	const struct kube_service *service = &object->service;

	(void)state;
	assert_int_equal(service->type, KUBE_CLUSTER_IP);
	assert_address(&service->cluster_ip[0], NP_IPV4, "10.96.0.1");
	assert_string_equal(service->port[0].name, "");
	assert_int_equal(service->port[0].protocol, IPPROTO_TCP);
	assert_int_equal(service->port[0].node_port, 0);
	assert_int_equal(service->affinity_seconds, 10800);
	assert_false(service->internal_local || service->external_local);
	assert_int_equal(service->external_ips, 0);
}

static void health_port_is_only_for_local_load_balancers(void **state)
{
	_cleanup_(kube_free) struct kube_object *cluster =
		parse(PROGRAMMED("'type':'LoadBalancer','healthCheckNodePort':30002"));
	_cleanup_(kube_free) struct kube_object *node_port =
		parse(PROGRAMMED("'type':'NodePort','externalTrafficPolicy':'Local',"
				 "'healthCheckNodePort':30002"));

	(void)state;
	assert_int_equal(cluster->service.health_check_node_port, 0);
	assert_int_equal(node_port->service.health_check_node_port, 0);
}

static void mapped_address_is_the_ipv4_address(void **state)
{
	_cleanup_(kube_free) struct kube_object *object =
		parse(PROGRAMMED("'externalIPs':['::ffff:192.0.2.1']"));

	(void)state;
	assert_address(&object->service.external_ip[0], NP_IPV4, "192.0.2.1");
}

static void services_of_others_are_skipped(void **state)
{
	static const char *const skipped[] = {
		SERVICE("'clusterIP':'None'"),
		SERVICE("'clusterIP':''"),
		SERVICE("'type':'ClusterIP'"),
		SERVICE("'clusterIPs':['None'],'clusterIP':'10.0.0.1'"),
		/* What is wrong with one that is skipped does not matter. */
		SERVICE("'clusterIP':'None','ports':[{'port':70000}]"),
		SERVICE("'type':'ExternalName','externalName':'a.example','clusterIP':'10.0.0.1'"),
		"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web',"
		"'labels':{'service.kubernetes.io/service-proxy-name':''}},"
		"'spec':{'clusterIP':'10.96.0.1'}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(skipped); i++) {
		_cleanup_(kube_free) struct kube_object *object = parse(skipped[i]);

		assert_true(object->service.skip);
		assert_key(object, "Service ns/web");
	}
}

static void slice_is_read_whole(void **state)
{
	_cleanup_(kube_free) struct kube_object *object = parse(SLICE(
		"'addressType':'IPv4','endpoints':[{'addresses':['10.1.0.1','ignored'],"
		"'conditions':{'ready':false,'serving':true,'terminating':true},'nodeName':'n1',"
		"'zone':'Zone_A','hints':{'forZones':[{'name':'Zone_A'},{'name':'b'}],"
		"'forNodes':[{'name':'n1'}]},'targetRef':{}},{'addresses':['10.1.0.2']},"
		"{'addresses':['10.1.0.3'],'conditions':{'ready':null},'zone':'','hints':{}}],"
		"'ports':[{'name':'http','port':8080},{'name':'','port':53,'protocol':'UDP'},{'"
		"name':'all'},"
		"{'name':'zero','port':0},{'name':'nil','port':null,'protocol':'SCTP'},"
		"{'port':54},{'name':null,'port':55},{'name':'none'}]"));
	const struct kube_slice *slice = &object->slice;

	(void)state;
	assert_key(object, "EndpointSlice ns/web-x1");
	assert_string_equal(slice->service, "web");
	assert_int_equal(slice->family, NP_IPV4);
	assert_false(slice->skip);
	assert_int_equal(slice->endpoints, 3);
	assert_int_equal(slice->endpoint[0].addr.v4, inet_addr("10.1.0.1"));
	assert_false(slice->endpoint[0].ready);
	assert_true(slice->endpoint[0].serving && slice->endpoint[0].terminating);
	assert_string_equal(slice->endpoint[0].node_name, "n1");
	assert_string_equal(slice->endpoint[0].zone, "Zone_A");
	assert_string_equal(slice->endpoint[0].hints->zone[1], "b");
	assert_null(slice->endpoint[0].hints->zone[2]);
	assert_string_equal(slice->endpoint[0].hints->node[0], "n1");
	assert_true(slice->endpoint[1].ready && slice->endpoint[1].serving);
	assert_false(slice->endpoint[1].terminating);
	assert_null(slice->endpoint[1].node_name);
	assert_null(slice->endpoint[1].hints);
	assert_true(slice->endpoint[2].ready);
	assert_null(slice->endpoint[2].zone);
	/* Ports without a number or a name are left out, as kube-proxy does. */
	assert_int_equal(slice->ports, 2);
	assert_int_equal(slice->ports_ignored, 6);
	assert_string_equal(slice->port[1].name, "");
	assert_int_equal(slice->port[1].port, 53);
}

static void slices_of_no_use_are_skipped(void **state)
{
	_cleanup_(kube_free) struct kube_object *fqdn =
		parse(SLICE("'addressType':'FQDN','endpoints':[{'addresses':['a.example']}]"));
	_cleanup_(kube_free) struct kube_object *headless = parse(
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"
		"{'namespace':'ns','name':'a','labels':{'service.kubernetes.io/headless':''}},"
		"'addressType':'IPv4'}");

	(void)state;
	assert_true(fqdn->slice.skip);
	assert_true(headless->slice.skip);
	assert_null(headless->slice.service);
}

static void service_cidr_is_read_whole(void **state)
{
	_cleanup_(kube_free) struct kube_object *both =
		parse(RANGES("'cidrs':['10.96.0.1/12','fd00:96::/108']"));
	_cleanup_(kube_free) struct kube_object *six = parse(
		"{'apiVersion':'networking.k8s.io/v1beta1','kind':'ServiceCIDR','metadata':"
		"{'name':'six'},'spec':{'cidrs':['fd00:97::/112']},'status':{'conditions':[]}}");
	const struct kube_service_cidr *ranges = &both->service_cidr;

	(void)state;
	assert_int_equal(both->kind, KUBE_SERVICE_CIDR);
	assert_key(both, "ServiceCIDR r");
	assert_string_equal(ranges->name, "r");
	assert_int_equal(ranges->cidrs, 2);
	assert_int_equal(ranges->cidr[0].family, NP_IPV4);
	assert_int_equal(ranges->cidr[0].bits, 12);
	assert_int_equal(ranges->cidr[0].prefix.value[0], inet_addr("10.96.0.0"));
	assert_int_equal(ranges->cidr[1].family, NP_IPV6);
	assert_int_equal(ranges->cidr[1].bits, 108);
	assert_key(six, "ServiceCIDR six");
	assert_int_equal(six->service_cidr.cidrs, 1);
	assert_int_equal(six->service_cidr.cidr[0].family, NP_IPV6);
}

static void node_is_read_whole(void **state)
{
	_cleanup_(kube_free) struct kube_object *object = parse(
		"{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1.example','labels':"
		"{'topology.kubernetes.io/zone':'zone-a'}},'spec':{'podCIDR':'10.1.0.0/24',"
		"'podCIDRs':['10.2.0.0/24','fd00:2::/64']},'status':{'addresses':["
		"{'type':'Hostname','address':'n1'},{'type':'ExternalIP','address':'192.0.2.7'},"
		"{'type':'InternalIP','address':'10.0.0.7'}]}}");

	(void)state;
	assert_key(object, "Node n1.example");
	assert_string_equal(object->node.zone, "zone-a");
	assert_int_equal(object->node.pod_cidrs, 2);
	assert_int_equal(object->node.pod_cidr[1].family, NP_IPV6);
	assert_int_equal(object->node.addresses, 2);
	assert_int_equal(object->node.address[0].addr.v4, inet_addr("10.0.0.7"));
	assert_int_equal(object->node.address[1].addr.v4, inet_addr("192.0.2.7"));
	assert_false(object->node.deleting);
}

/* As kube-proxy prefers them: GetNodeHostIPs() in pkg/util/node. */
static void node_addresses_are_internal_before_external(void **state)
{
	static const char *const wanted[] = {"10.0.0.7", "fd00::7", "192.0.2.7", "2001:db8::7"};
	_cleanup_(kube_free) struct kube_object *object =
		parse(NODE("'status':{'addresses':[{'type':'ExternalIP','address':'192.0.2.7'},"
			   "{'type':'Hostname','address':'not an address'},"
			   "{'type':'InternalIP','address':'10.0.0.7'},"
			   "{'type':'ExternalIP','address':'2001:db8::7'},"
			   "{'type':'InternalDNS','address':'n1.example'},"
			   "{'type':'InternalIP','address':'fd00::7'}]}"));
	_cleanup_(kube_free) struct kube_object *none = parse(NODE("'status':{'addresses':null}"));

	(void)state;
	assert_int_equal(object->node.addresses, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_address(&object->node.address[i], strchr(wanted[i], ':') ? NP_IPV6 : NP_IPV4,
			       wanted[i]);
	assert_int_equal(none->node.addresses, 0);
}

static void node_on_its_way_out_is_known(void **state)
{
	_cleanup_(kube_free) struct kube_object *deleted =
		parse("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1',"
		      "'deletionTimestamp':'2026-01-01T00:00:00Z'}}");
	_cleanup_(kube_free) struct kube_object *tainted =
		parse(NODE("'spec':{'podCIDR':'10.1.0.0/24','taints':[{'key':'a'},"
			   "{'key':'ToBeDeletedByClusterAutoscaler'}]}"));

	(void)state;
	assert_true(deleted->node.deleting);
	assert_int_equal(deleted->node.pod_cidrs, 0);
	assert_true(tainted->node.deleting);
	assert_int_equal(tainted->node.pod_cidr[0].bits, 24);
}

static void key_needs_only_kind_and_name(void **state)
{
	_cleanup_free_ char *service = NULL, *node = NULL, *ranges = NULL;
	struct kube_error error;
	json_t *json;

	(void)state;
	json = load("{'kind':'Service','metadata':{'namespace':'ns','name':'web'}}");
	assert_int_equal(kube_key(json, &service, &error), 0);
	json_decref(json);
	assert_string_equal(service, "Service ns/web");
	json = load("{'kind':'Node','apiVersion':'v1','metadata':{'name':'n1'},'spec':1}");
	assert_int_equal(kube_key(json, &node, &error), 0);
	json_decref(json);
	assert_string_equal(node, "Node n1");
	json = load("{'kind':'ServiceCIDR','metadata':{'name':'r'}}");
	assert_int_equal(kube_key(json, &ranges, &error), 0);
	json_decref(json);
	assert_string_equal(ranges, "ServiceCIDR r");
	json = load("{'kind':'Service','metadata':{'name':'web'}}");
	assert_int_equal(kube_key(json, &node, &error), -EINVAL);
	json_decref(json);
	assert_string_equal(error.path, "metadata.namespace");
}

struct visited {
	char names[64];
	struct kube_error *error;
};

static int note_name(json_t *json, void *arg)
{
	const char *name = json_string_value(json_object_get(json, "name"));
	struct visited *visited = arg;
	size_t length = strlen(visited->names);

	if (!name)
		return -EINVAL;
	snprintf(visited->names + length, sizeof(visited->names) - length, "%s", name);
	return 0;
}

static int each(const char *text, struct visited *visited, struct kube_error *error)
{
	json_t *json = load(text);
	int err;

	memset(visited, 0, sizeof(*visited));
	visited->error = error;
	err = kube_each(json, note_name, visited, error);
	json_decref(json);
	return err;
}

static void lists_and_arrays_are_walked_in_order(void **state)
{
	struct visited visited;
	struct kube_error error;

	(void)state;
	assert_int_equal(each("{'kind':'Node','name':'a'}", &visited, &error), 0);
	assert_string_equal(visited.names, "a");
	assert_int_equal(each("[{'name':'a'},{'kind':'List','items':[{'name':'b'},{'kind':"
			      "'NodeList','items':[{'name':'c'}]}]},{'name':'d'}]",
			      &visited, &error),
			 0);
	assert_string_equal(visited.names, "abcd");
	assert_int_equal(each("{'kind':'ServiceList','items':null}", &visited, &error), 0);
	assert_string_equal(visited.names, "");
}

static void walk_stops_at_the_first_failure_and_counts(void **state)
{
	struct visited visited;
	struct kube_error error;

	(void)state;
	assert_int_equal(each("[{'name':'a'},[{'name':'b'}],{},{'name':'d'}]", &visited, &error),
			 -EINVAL);
	assert_string_equal(visited.names, "ab");
	assert_string_equal(error.object, "object 3");
}

static void walk_refuses_what_holds_no_objects(void **state)
{
	struct visited visited;
	struct kube_error error;

	(void)state;
	assert_int_equal(each("'text'", &visited, &error), -EINVAL);
	assert_int_equal(each("null", &visited, &error), -EINVAL);
	assert_int_equal(each("{'kind':'List'}", &visited, &error), -EINVAL);
	assert_string_equal(error.path, "items");
	assert_int_equal(each("{'kind':'List','items':{}}", &visited, &error), -EINVAL);
}

static void lists_nest_four_deep_and_no_deeper(void **state)
{
	struct visited visited;
	struct kube_error error;

	(void)state;
	assert_int_equal(each("[[[[{'name':'a'}]]]]", &visited, &error), 0);
	assert_string_equal(visited.names, "a");
	assert_int_equal(each("[[[[[{'name':'a'}]]]]]", &visited, &error), -EINVAL);
	assert_string_equal(visited.names, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(service_is_read_whole),
		cmocka_unit_test(absent_and_null_fields_have_defaults),
		cmocka_unit_test(health_port_is_only_for_local_load_balancers),
		cmocka_unit_test(mapped_address_is_the_ipv4_address),
		cmocka_unit_test(services_of_others_are_skipped),
		cmocka_unit_test(slice_is_read_whole),
		cmocka_unit_test(slices_of_no_use_are_skipped),
		cmocka_unit_test(service_cidr_is_read_whole),
		cmocka_unit_test(node_is_read_whole),
		cmocka_unit_test(node_addresses_are_internal_before_external),
		cmocka_unit_test(node_on_its_way_out_is_known),
		cmocka_unit_test(key_needs_only_kind_and_name),
		cmocka_unit_test(lists_and_arrays_are_walked_in_order),
		cmocka_unit_test(walk_stops_at_the_first_failure_and_counts),
		cmocka_unit_test(walk_refuses_what_holds_no_objects),
		cmocka_unit_test(lists_nest_four_deep_and_no_deeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
