/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/plan.c: a table of services and what each class of client meets at each of their
 * frontends; how endpoints are put together from slices; families; equality. Which endpoints are
 * eligible is tested in test_endpoints.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "kube_text.h"
#include "plan.h"

#define PORT		  "'ports':[{'name':'http','port':80,'nodePort':30080}]"
#define PORTS		  "'ports':[{'name':'http','port':8080}]"
#define SLICE4(endpoints) SLICE("'addressType':'IPv4'," PORTS ",'endpoints':[" endpoints "]")

#define HERE	    "{'addresses':['10.1.0.1'],'nodeName':'n1'}"
#define THERE	    "{'addresses':['10.1.0.2'],'nodeName':'n2'}"
#define ENDING	    "'conditions':{'ready':false,'serving':true,'terminating':true}}"
#define HERE_ENDING "{'addresses':['10.1.0.3'],'nodeName':'n1'," ENDING
#define UNREADY	    "{'addresses':['10.1.0.4'],'conditions':{'ready':false,'serving':false}}"

static const struct plan_node detecting = {
	.name = "n1", .zone = "a", .detector4 = true, .detector6 = true};
static const struct plan_node blind = {.name = "n1", .zone = "a"};
static const struct plan_node masquerading = {
	.name = "n1", .zone = "a", .detector4 = true, .detector6 = true, .masquerade_all = true};
static const struct plan_node blind_masquerading = {
	.name = "n1", .zone = "a", .masquerade_all = true};

/* Plans, and the objects they were made of. */
struct made {
	struct plan **plans;
	size_t count;
};

static void free_made(struct made *made)
{
	for (size_t i = 0; i < made->count; i++)
		plan_free(&made->plans[i]);
	free(made->plans);
}
#define _cleanup_made_ _cleanup_(free_made)

/* slices: up to 4 texts, NULL after the last. */
static struct made make(const struct plan_node *node, const char *service,
			const char *const slices[4])
{
	struct kube_object *service_object = parse(service), *object[4] = {NULL};
	struct kube_slice *slice[4];
	struct made made = {NULL, 0};
	size_t n = 0;

	for (; n < 4 && slices[n]; n++) {
		object[n] = parse(slices[n]);
		slice[n] = &object[n]->slice;
	}
	assert_int_equal(
		plan_make(node, &service_object->service, slice, n, &made.plans, &made.count), 0);
	for (size_t i = 0; i < n; i++)
		kube_free(&object[i]);
	kube_free(&service_object);
	return made;
}

static struct made make_one(const struct plan_node *node, const char *service, const char *slice)
{
	struct made made = make(node, service, (const char *const[4]){slice});

	assert_int_equal(made.count, 1);
	return made;
}

static const struct plan_frontend *frontend_of(const struct plan *plan, enum plan_kind kind)
{
	for (size_t i = 0; i < plan->frontends; i++)
		if (plan->frontend[i].kind == kind)
			return &plan->frontend[i];
	return NULL;
}

/* C or L, then + if the source is translated; DROP; REJECT. */
static const char *policy_text(const struct plan *plan, const struct plan_policy *policy)
{
	const struct plan_choice choice = plan_choice(plan, policy);

	if (policy->verdict != NP_VERDICT_FORWARD) {
		assert_int_equal(policy->list, PLAN_NO_LIST);
		assert_false(policy->snat);
		return policy->verdict == NP_VERDICT_DROP ? "DROP" : "REJECT";
	}
	assert_true(choice.count > 0);
	if (policy->list == PLAN_CLUSTER) {
		assert_ptr_equal(choice.backend, plan->cluster);
		assert_int_equal(choice.count, plan->clusters);
		return policy->snat ? "C+" : "C";
	}
	assert_ptr_equal(choice.backend, plan->local);
	assert_int_equal(choice.count, plan->locals);
	return policy->snat ? "L+" : "L";
}

static void assert_policies(const struct plan *plan, enum plan_kind kind, const char *wanted)
{
	const struct plan_frontend *frontend = frontend_of(plan, kind);
	char text[64];

	if (!wanted) {
		assert_null(frontend);
		return;
	}
	assert_non_null(frontend);
	snprintf(text, sizeof(text), "%s %s %s", policy_text(plan, &frontend->policy[NP_CLASS_POD]),
		 policy_text(plan, &frontend->policy[NP_CLASS_NODE]),
		 policy_text(plan, &frontend->policy[NP_CLASS_OUTSIDE]));
	assert_string_equal(text, wanted);
}

/* What pods, the node and others meet, in this order; NULL: there is no such frontend. */
struct policy_case {
	const char *name;
	const struct plan_node *node;
	const char *spec; /* besides clusterIP and the port */
	const char *slice;
	const char *internal; /* at the clusterIP */
	const char *external; /* at the NodePort; at the externalIP, if the type is ClusterIP */
};

#define ITP   "'internalTrafficPolicy':'Local'"
#define ETP   "'externalTrafficPolicy':'Local'"
#define NP    "'type':'NodePort'"
#define EXTIP "'externalIPs':['192.0.2.1']"

static const char service_format[] =
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web'},"
	"'spec':{'clusterIP':'10.96.0.1'," PORT ",%s}}";

static const struct policy_case policy_cases[] = {
	{"clusterIP: pods keep their address, others do not", &detecting, "'type':'ClusterIP'",
	 SLICE4(HERE "," THERE), "C C+ C+", NULL},
	{"clusterIP without a detector: all keep their address", &blind, "'type':'ClusterIP'",
	 SLICE4(HERE "," THERE), "C C C", NULL},
	{"clusterIP, masquerade all", &masquerading, "'type':'ClusterIP'", SLICE4(HERE), "C+ C+ C+",
	 NULL},
	{"clusterIP, masquerade all without a detector", &blind_masquerading, "'type':'ClusterIP'",
	 SLICE4(HERE), "C+ C+ C+", NULL},
	{"no endpoint: everyone is refused", &detecting, NP, SLICE4(""), "REJECT REJECT REJECT",
	 "REJECT REJECT REJECT"},
	{"no endpoint that could be used: everyone is refused", &detecting, NP "," ETP "," ITP,
	 SLICE4(UNREADY), "REJECT REJECT REJECT", "REJECT REJECT REJECT"},
	{"iTP Local: local endpoints for all", &detecting, ITP, SLICE4(HERE "," THERE), "L L+ L+",
	 NULL},
	{"iTP Local without a detector", &blind, ITP, SLICE4(HERE "," THERE), "L L L", NULL},
	{"iTP Local, masquerade all", &masquerading, ITP, SLICE4(HERE "," THERE), "L+ L+ L+", NULL},
	{"iTP Local, no local endpoint: dropped", &detecting, ITP, SLICE4(THERE), "DROP DROP DROP",
	 NULL},
	{"iTP Local does not concern the NodePort", &detecting, NP "," ITP, SLICE4(THERE),
	 "DROP DROP DROP", "C+ C+ C+"},
	{"eTP Cluster: always translated", &detecting, NP, SLICE4(HERE "," THERE), "C C+ C+",
	 "C+ C+ C+"},
	{"eTP Cluster without a detector: always translated", &blind, NP, SLICE4(HERE), "C C C",
	 "C+ C+ C+"},
	{"eTP Local: short cut for pods and the node", &detecting, NP "," ETP,
	 SLICE4(HERE "," THERE), "C C+ C+", "C C+ L"},
	{"eTP Local, no local endpoint: dropped from outside only", &detecting, NP "," ETP,
	 SLICE4(THERE), "C C+ C+", "C C+ DROP"},
	{"eTP Local without a detector: pods are like others", &blind, NP "," ETP,
	 SLICE4(HERE "," THERE), "C C C", "L C+ L"},
	{"eTP Local without a detector or local endpoint", &blind, NP "," ETP, SLICE4(THERE),
	 "C C C", "DROP C+ DROP"},
	{"eTP Local, masquerade all: the client address is kept", &masquerading, NP "," ETP,
	 SLICE4(HERE "," THERE), "C+ C+ C+", "C C+ L"},
	{"eTP Local: terminating local endpoint as a last resort", &detecting, NP "," ETP,
	 SLICE4(HERE_ENDING "," THERE), "C C+ C+", "C C+ L"},
	{"iTP and eTP Local", &detecting, NP "," ETP "," ITP, SLICE4(HERE "," THERE), "L L+ L+",
	 "C C+ L"},
	{"iTP and eTP Local, no local endpoint", &detecting, NP "," ETP "," ITP, SLICE4(THERE),
	 "DROP DROP DROP", "C C+ DROP"},
	{"type LoadBalancer has NodePorts", &detecting, "'type':'LoadBalancer'," ETP,
	 SLICE4(HERE "," THERE), "C C+ C+", "C C+ L"},
	{"type ClusterIP with an externalIP: eTP counts", &detecting, EXTIP "," ETP,
	 SLICE4(HERE "," THERE), "C C+ C+", "C C+ L"},
	{"type ClusterIP without externalIP: eTP means nothing", &detecting, ETP, SLICE4(HERE),
	 "C C+ C+", NULL},
};

static void policies_are_those_of_kube_proxy(void **state)
{
	const struct policy_case *c = *state;
	enum plan_kind outer = strstr(c->spec, "'type'") ? PLAN_NODE_PORT : PLAN_EXTERNAL_IP;
	char service[512];
	_cleanup_made_ struct made made = {NULL, 0};

	snprintf(service, sizeof(service), service_format, c->spec);
	made = make_one(c->node, service, c->slice);
	assert_policies(made.plans[0], PLAN_CLUSTER_IP, c->internal);
	assert_policies(made.plans[0], outer, c->external);
}

static void assert_frontend(const struct plan_frontend *frontend, enum plan_kind kind,
			    const char *address, uint16_t port)
{
	union np_addr addr = {.word = {0}};

	inet_pton(strchr(address, ':') ? AF_INET6 : AF_INET, address, &addr);
	assert_int_equal(frontend->kind, kind);
	assert_memory_equal(&frontend->addr, &addr, sizeof(addr));
	assert_int_equal(ntohs(frontend->port), port);
}

#define BALANCER(ips, externals)                                                                   \
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web'},"          \
	"'spec':{'type':'LoadBalancer','clusterIPs':[" ips "],'externalIPs':[" externals "]," PORT \
	"},'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.1'},"                            \
	"{'ip':'198.51.100.9','ipMode':'Proxy'},{'ip':'2001:db8::9'},{'hostname':'a'}]}}}"

static void every_way_in_is_a_frontend(void **state)
{
	_cleanup_made_ struct made made = make_one(
		&detecting, BALANCER("'10.96.0.1'", "'192.0.2.1','2001:db8::1'"), SLICE4(HERE));
	const struct plan *plan = made.plans[0];

	(void)state;
	assert_string_equal(plan->namespace, "ns");
	assert_string_equal(plan->name, "web");
	assert_string_equal(plan->port_name, "http");
	assert_int_equal(plan->protocol, IPPROTO_TCP);
	assert_int_equal(plan->family, NP_IPV4);
	assert_int_equal(plan->frontends, 4);
	assert_frontend(&plan->frontend[0], PLAN_CLUSTER_IP, "10.96.0.1", 80);
	assert_frontend(&plan->frontend[1], PLAN_EXTERNAL_IP, "192.0.2.1", 80);
	assert_frontend(&plan->frontend[2], PLAN_LOAD_BALANCER, "198.51.100.1", 80);
	assert_frontend(&plan->frontend[3], PLAN_NODE_PORT, "0.0.0.0", 30080);
}

static void each_family_of_the_cluster_ips_has_a_plan(void **state)
{
	_cleanup_made_ struct made made =
		make(&detecting, BALANCER("'fd00::1','10.96.0.1'", "'192.0.2.1','2001:db8::1'"),
		     (const char *const[4]){SLICE4(HERE),
					    SLICE("'addressType':'IPv6'," PORTS
						  ",'endpoints':[{'addresses':['fd00:1::1']}]")});

	(void)state;
	assert_int_equal(made.count, 2);
	assert_int_equal(made.plans[0]->family, NP_IPV4);
	assert_int_equal(made.plans[0]->backends, 1);
	assert_int_equal(made.plans[1]->family, NP_IPV6);
	assert_int_equal(made.plans[1]->backends, 1);
	assert_int_equal(made.plans[1]->frontends, 4);
	assert_frontend(&made.plans[1]->frontend[0], PLAN_CLUSTER_IP, "fd00::1", 80);
	assert_frontend(&made.plans[1]->frontend[1], PLAN_EXTERNAL_IP, "2001:db8::1", 80);
	assert_frontend(&made.plans[1]->frontend[2], PLAN_LOAD_BALANCER, "2001:db8::9", 80);
	assert_frontend(&made.plans[1]->frontend[3], PLAN_NODE_PORT, "::", 30080);
}

static void only_the_first_cluster_ip_of_a_family_is_used(void **state)
{
	_cleanup_made_ struct made made =
		make_one(&detecting, BALANCER("'10.96.0.1','10.96.0.2'", ""), SLICE4(HERE));

	(void)state;
	assert_frontend(&made.plans[0]->frontend[0], PLAN_CLUSTER_IP, "10.96.0.1", 80);
	assert_int_equal(made.plans[0]->frontend[1].kind, PLAN_LOAD_BALANCER);
}

static void an_address_given_twice_is_one_frontend(void **state)
{
	_cleanup_made_ struct made made = make_one(
		&detecting, BALANCER("'10.96.0.1'", "'198.51.100.1','198.51.100.1','10.96.0.1'"),
		SLICE4(HERE));

	(void)state;
	assert_int_equal(made.plans[0]->frontends, 3);
	assert_frontend(&made.plans[0]->frontend[1], PLAN_EXTERNAL_IP, "198.51.100.1", 80);
	assert_int_equal(made.plans[0]->frontend[2].kind, PLAN_NODE_PORT);
}

/* A VIP of the other family does not make a Service reachable from outside in this one. */
static void reachability_is_decided_by_family(void **state)
{
	_cleanup_made_ struct made made =
		make_one(&detecting,
			 SERVICE("'clusterIP':'10.96.0.1'," ITP ",'externalIPs':['2001:db8::1'],"
				 "'ports':[{'name':'http','port':80}]"),
			 SLICE4(HERE "," THERE));

	(void)state;
	assert_int_equal(made.plans[0]->clusters, 0);
	assert_int_equal(made.plans[0]->locals, 1);
}

static void a_skipped_service_has_no_plan(void **state)
{
	_cleanup_made_ struct made headless =
		make(&detecting, SERVICE("'clusterIP':'None'," PORT), (const char *const[4]){NULL});
	_cleanup_made_ struct made bare =
		make(&detecting, SERVICE("'clusterIP':'10.96.0.1'"), (const char *const[4]){NULL});

	(void)state;
	assert_int_equal(headless.count, 0);
	assert_int_equal(bare.count, 0);
}

static void ports_are_tied_by_name_and_protocol(void **state)
{
	static const char service[] =
		SERVICE("'clusterIP':'10.96.0.1','ports':[{'name':'dns','port':53,'targetPort':9},"
			"{'name':'dns','port':53,'protocol':'UDP'},{'name':'web','port':80}]");
	static const char slice[] =
		SLICE("'addressType':'IPv4','endpoints':[" HERE "],'ports':["
		      "{'name':'dns','port':1053},{'name':'dns','port':2053,'protocol':'UDP'},"
		      "{'name':'','port':3000}]");
	_cleanup_made_ struct made made = make(&detecting, service, (const char *const[4]){slice});

	(void)state;
	assert_int_equal(made.count, 3);
	assert_int_equal(made.plans[0]->backends, 1);
	assert_int_equal(ntohs(made.plans[0]->backend[0].port), 1053);
	assert_int_equal(made.plans[1]->protocol, IPPROTO_UDP);
	assert_int_equal(ntohs(made.plans[1]->backend[0].port), 2053);
	assert_int_equal(made.plans[2]->backends, 0);
	assert_policies(made.plans[2], PLAN_CLUSTER_IP, "REJECT REJECT REJECT");
}

static void slices_that_are_skipped_are_not_looked_at(void **state)
{
	static const char headless[] =
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'namespace'"
		":'ns','name':'h','labels':{'service.kubernetes.io/headless':''}},"
		"'addressType':'IPv4'," PORTS ",'endpoints':[" HERE "]}";
	_cleanup_made_ struct made made =
		make_one(&detecting, SERVICE("'clusterIP':'10.96.0.1'," PORT), headless);

	(void)state;
	assert_int_equal(made.plans[0]->backends, 0);
}

#define NAMED_SLICE(name, port, endpoints)                                                         \
	"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"                   \
	"{'namespace':'ns','name':'" name "'},'addressType':'IPv4','ports':[{'name':'http',"       \
	"'port':" port "}],'endpoints':[" endpoints "]}"

static void backends_are_in_order_whatever_that_of_the_slices(void **state)
{
	static const char a[] = NAMED_SLICE("a", "80",
					    "{'addresses':['10.1.0.9']},"
					    "{'addresses':['10.1.0.1']}");
	static const char b[] = NAMED_SLICE("b", "79",
					    "{'addresses':['10.1.0.9']},"
					    "{'addresses':['9.255.0.1']}");
	static const char service[] = SERVICE("'clusterIP':'10.96.0.1'," PORT);
	static const char *const addresses[] = {"9.255.0.1", "10.1.0.1", "10.1.0.9", "10.1.0.9"};
	static const uint16_t ports[] = {79, 80, 79, 80};
	_cleanup_made_ struct made ab = make(&detecting, service, (const char *const[4]){a, b});
	_cleanup_made_ struct made ba = make(&detecting, service, (const char *const[4]){b, a});

	(void)state;
	assert_int_equal(ab.plans[0]->backends, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ab.plans[0]->backend[i].addr.v4, inet_addr(addresses[i]));
		assert_int_equal(ntohs(ab.plans[0]->backend[i].port), ports[i]);
	}
	assert_true(plan_equal(ab.plans[0], ba.plans[0]));
}

/* A pod's address may be given to the next pod before the old one is gone. */
static void a_living_endpoint_wins_over_a_terminating_one(void **state)
{
	static const char ending[] =
		NAMED_SLICE("a", "80", "{'addresses':['10.1.0.1'],'nodeName':'n2'," ENDING);
	static const char living[] =
		NAMED_SLICE("b", "80", "{'addresses':['10.1.0.1'],'nodeName':'n1'}");
	static const char service[] = SERVICE("'clusterIP':'10.96.0.1'," PORT);
	static const char *const orders[2][4] = {{ending, living}, {living, ending}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_made_ struct made made = make(&detecting, service, orders[i]);

		assert_int_equal(made.plans[0]->backends, 1);
		assert_false(made.plans[0]->backend[0].terminating);
		assert_true(made.plans[0]->backend[0].ready);
	}
}

#define ZONED(last, zone) "{'addresses':['10.1.0." last "'],'zone':'" zone "'}"

static void backends_know_how_far_away_they_are(void **state)
{
	static const char service[] = SERVICE("'clusterIP':'10.96.0.1'," PORT);
	static const char slice[] =
		SLICE4("{'addresses':['10.1.0.1'],'zone':'b','nodeName':'n1'}," ZONED(
			"2", "a") "," ZONED("3", "b") ",{'addresses':['10.1.0.4']}");
	const struct plan_node nowhere = {.name = "n9", .zone = ""};
	_cleanup_made_ struct made made = make_one(&detecting, service, slice);
	_cleanup_made_ struct made lost = make_one(&nowhere, service, slice);
	const struct plan_backend *backend = made.plans[0]->backend;

	(void)state;
	assert_int_equal(backend[0].zone, NP_ZONE_NODE);
	assert_true(backend[0].local);
	assert_int_equal(backend[1].zone, NP_ZONE_ZONE);
	assert_int_equal(backend[2].zone, NP_ZONE_OTHER);
	assert_int_equal(backend[3].zone, NP_ZONE_UNKNOWN);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(lost.plans[0]->backend[i].zone, NP_ZONE_UNKNOWN);
}

static void hints_choose_among_all_backends(void **state)
{
	static const char slice[] =
		SLICE4("{'addresses':['10.1.0.2'],'hints':{'forZones':[{'name':'a'}]}},"
		       "{'addresses':['10.1.0.1'],'hints':{'forZones':[{'name':'b'}]}}");
	_cleanup_made_ struct made made =
		make_one(&detecting, SERVICE("'clusterIP':'10.96.0.1'," PORT), slice);
	const struct plan *plan = made.plans[0];

	(void)state;
	assert_int_equal(plan->topology, PLAN_TOPOLOGY_ZONE);
	assert_int_equal(plan->backends, 2);
	assert_int_equal(plan->clusters, 1);
	assert_int_equal(plan->backend[plan->cluster[0]].addr.v4, inet_addr("10.1.0.2"));
}

static void a_node_without_a_name_has_no_local_endpoints(void **state)
{
	const struct plan_node nameless = {.name = "", .detector4 = true, .detector6 = true};
	_cleanup_made_ struct made made =
		make_one(&nameless, SERVICE("'clusterIP':'10.96.0.1'," ITP "," PORT),
			 SLICE4("{'addresses':['10.1.0.1'],'nodeName':''}"));

	(void)state;
	assert_false(made.plans[0]->backend[0].local);
	assert_policies(made.plans[0], PLAN_CLUSTER_IP, "DROP DROP DROP");
}

static void what_can_be_seen_makes_plans_differ(void **state)
{
	static const char base[] = SERVICE("'clusterIP':'10.96.0.1'," PORT);
	static const struct {
		const struct plan_node *node;
		const char *service;
		const char *slice;
	} others[] = {
		{&masquerading, base, SLICE4(HERE)},
		{&detecting, base, SLICE4(HERE "," THERE)},
		{&detecting, base, SLICE4(THERE)},
		{&detecting, base, SLICE4("{'addresses':['10.1.0.1']}")},
		{&detecting, base,
		 SLICE4("{'addresses':['10.1.0.1'],'nodeName':'n1','conditions':"
			"{'terminating':true}}")},
		{&detecting, SERVICE("'clusterIP':'10.96.0.2'," PORT), SLICE4(HERE)},
		{&detecting, SERVICE("'clusterIP':'10.96.0.1','type':'NodePort'," PORT),
		 SLICE4(HERE)},
		{&detecting, SERVICE("'clusterIP':'10.96.0.1'," ITP "," PORT), SLICE4(HERE)},
		{&detecting, SERVICE("'clusterIP':'10.96.0.1','ports':[{'name':'http','port':81}]"),
		 SLICE4(HERE)},
	};
	_cleanup_made_ struct made first = make_one(&detecting, base, SLICE4(HERE));
	_cleanup_made_ struct made same = make_one(&detecting, base, SLICE4(HERE));

	(void)state;
	assert_true(plan_equal(first.plans[0], same.plans[0]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_cleanup_made_ struct made other =
			make_one(others[i].node, others[i].service, others[i].slice);

		assert_false(plan_equal(first.plans[0], other.plans[0]));
		assert_false(plan_equal(other.plans[0], first.plans[0]));
	}
}

static void names_are_those_of_the_interface(void **state)
{
	(void)state;
	assert_string_equal(plan_kind_name(PLAN_CLUSTER_IP), "ClusterIP");
	assert_string_equal(plan_kind_name(PLAN_EXTERNAL_IP), "ExternalIP");
	assert_string_equal(plan_kind_name(PLAN_LOAD_BALANCER), "LoadBalancer");
	assert_string_equal(plan_kind_name(PLAN_NODE_PORT), "NodePort");
	assert_string_equal(plan_topology_name(PLAN_TOPOLOGY_NONE), "none");
	assert_string_equal(plan_topology_name(PLAN_TOPOLOGY_ZONE), "zone");
	assert_string_equal(plan_topology_name(PLAN_TOPOLOGY_NODE), "node");
}

static void freeing_nothing_is_fine(void **state)
{
	struct plan *plan = NULL;

	(void)state;
	plan_free(&plan);
	assert_null(plan);
}

int main(void)
{
	static struct CMUnitTest table[ARRAY_SIZE(policy_cases)];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_in_is_a_frontend),
		cmocka_unit_test(each_family_of_the_cluster_ips_has_a_plan),
		cmocka_unit_test(only_the_first_cluster_ip_of_a_family_is_used),
		cmocka_unit_test(an_address_given_twice_is_one_frontend),
		cmocka_unit_test(reachability_is_decided_by_family),
		cmocka_unit_test(a_skipped_service_has_no_plan),
		cmocka_unit_test(ports_are_tied_by_name_and_protocol),
		cmocka_unit_test(slices_that_are_skipped_are_not_looked_at),
		cmocka_unit_test(backends_are_in_order_whatever_that_of_the_slices),
		cmocka_unit_test(a_living_endpoint_wins_over_a_terminating_one),
		cmocka_unit_test(backends_know_how_far_away_they_are),
		cmocka_unit_test(hints_choose_among_all_backends),
		cmocka_unit_test(a_node_without_a_name_has_no_local_endpoints),
		cmocka_unit_test(what_can_be_seen_makes_plans_differ),
		cmocka_unit_test(names_are_those_of_the_interface),
		cmocka_unit_test(freeing_nothing_is_fine),
	};
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(policy_cases); i++)
		table[i] = (struct CMUnitTest){
			.name = policy_cases[i].name,
			.test_func = policies_are_those_of_kube_proxy,
			.initial_state = (void *)&policy_cases[i],
		};
	failed = cmocka_run_group_tests_name("policies", table, NULL, NULL);
	failed += cmocka_run_group_tests_name("plans", tests, NULL, NULL);
	return failed;
}
