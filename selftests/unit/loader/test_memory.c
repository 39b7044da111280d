/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the daemon holds for each service and for each endpoint, in bytes that are allocated: store,
 * plans and publisher together, with what malloc() needs for itself. The objects' text is on disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>

#include "node.h"
#include "publish_fixture.h"
#include "publish_private.h"
#include "store.h"

#define SERVICES       5000
#define ENDPOINT_BYTES 200
#define SERVICE_BYTES  1024

static const struct tables_options many = {
	.max_flows = 64, .max_services = 16384, .max_slots = 131072, .max_backends = 65536};

struct state {
	struct store *store;
	struct options options;
	struct node node;
	struct fixture *fixture;
};

static int publish_one(const char *namespace, const char *name, void *arg)
{
	const struct state *s = arg;

	return node_publish_whole(&s->node, s->fixture->p, namespace, name);
}

/* As the daemon keeps it: what is read of it, and where its text is. */
static void put(struct store_change *change, const char *text)
{
	struct kube_object *object = parse(text);

	kube_in_journal(object, 0);
	assert_int_equal(store_change_put(change, &object), 0);
}

static void put_service(struct store_change *change, int number, int endpoints)
{
	char text[16384], *end = text;

	snprintf(text, sizeof(text),
		 "{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'team-%d','name':"
		 "'service-%d'},'spec':{'clusterIP':'10.100.%d.%d','ports':[{'name':'http','port':"
		 "80}]}}",
		 number / 100, number, number / 250, number % 250 + 1);
	put(change, text);
	end += sprintf(end,
		       "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{"
		       "'namespace':'team-%d','name':'service-%d-abcde','labels':{"
		       "'kubernetes.io/service-name':'service-%d'}},'addressType':'IPv4','ports':[{"
		       "'name':'http','port':8080}],'endpoints':[",
		       number / 100, number, number);
	for (int i = 0; i < endpoints; i++)
		end += sprintf(
			end,
			"%s{'addresses':['10.%d.%d.%d'],'nodeName':'node-%d','zone':'zone-%d'}",
			i ? "," : "", 128 + i, number / 250, number % 250 + 1, i, i % 3);
	strcpy(end, "]}");
	put(change, text);
}

static double allocated(void)
{
	const struct mallinfo2 info = mallinfo2();

	return (double)info.uordblks + (double)info.hblkhd;
}

/* Bytes of services with so many endpoints each. */
static double load_services(void **state, int endpoints)
{
	struct state s = {.fixture = *state, .options = {.node_name = "n1"}};
	const struct store_visitor visitor = {.service = publish_one, .arg = &s};
	struct store_change *change = NULL;
	struct store_result result;
	double before, after;

	assert_int_equal(store_new(&s.store), 0);
	s.node = (struct node){.options = &s.options, .store = s.store};
	before = allocated();
	assert_int_equal(store_change_new(s.store, true, &change), 0);
	for (int i = 0; i < SERVICES; i++)
		put_service(change, i, endpoints);
	assert_int_equal(store_commit(s.store, &change, &visitor, &result), 0);
	assert_int_equal(result.applied, 2 * SERVICES);
	assert_int_equal(result.refused, 0);
	after = allocated();
	store_free(&s.store);
	close_all(*state);
	empty_tables(*state);
	open_all(*state);
	/* These have their place in arrays that are there from the beginning: an endpoint's record,
	 * and where the two frontends of a service are, its port and its address. */
	return after - before + (double)SERVICES * endpoints * sizeof(struct backend) +
	       SERVICES * 2.0 * sizeof(struct frontend *);
}

static void a_service_and_an_endpoint_take_no_more_than_that(void **state)
{
	const double few = load_services(state, 1), many_bytes = load_services(state, 11);
	const double endpoint = (many_bytes - few) / (SERVICES * 10.0);
	const double service = few / SERVICES - endpoint;

	print_message("%.0f bytes a service, %.0f bytes an endpoint\n", service, endpoint);
	assert_true(service <= SERVICE_BYTES);
	assert_true(endpoint <= ENDPOINT_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(
			a_service_and_an_endpoint_take_no_more_than_that, set_up, tear_down,
			(void *)&many),
	};

	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
