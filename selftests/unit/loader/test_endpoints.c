/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/endpoints.c: a table of services and endpoints, each row a test of its own, with
 * the lists and the topology mode that must come of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "endpoints.h"
#include "util.h"

#define MAX_ENDPOINTS 6
#define MAX_HINTS     4

struct expectation {
	const char *cluster; /* numbers with a blank between */
	const char *local;
	bool has_any;
	enum plan_topology topology;
};

/*
 * service: i internalTrafficPolicy Local, e externalTrafficPolicy Local, x reachable from outside.
 * An endpoint is a word: l local, r ready, s serving, t terminating, - none of these; then @ and
 * its zone hints, with a comma between, then % and its node hint.
 */
struct table_case {
	const char *name;
	const char *service;
	const char *node;
	const char *zone;
	const char *endpoints;
	struct expectation expect;
};

#define NONE PLAN_TOPOLOGY_NONE
#define ZONE PLAN_TOPOLOGY_ZONE
#define NODE PLAN_TOPOLOGY_NODE

/* clang-format off */
static const struct table_case cases[] = {
	/* Topology: zones */
	{"all hinted: endpoints hinted for our zone are used",
	 "", "n1", "a", "r@a r@b r@c r@a", {"0 3", "", true, ZONE}},
	{"an endpoint may be hinted for several zones",
	 "", "n1", "b", "r@a,b r@a r@b", {"0 2", "", true, ZONE}},
	{"one ready endpoint without a hint turns zones off",
	 "", "n1", "a", "r@a r@b r r@a", {"0 1 2 3", "", true, NONE}},
	{"an unready endpoint without a hint does not matter",
	 "", "n1", "a", "r@a r@b - r@a", {"0 3", "", true, ZONE}},
	{"a terminating endpoint without a hint does not matter",
	 "", "n1", "a", "r@a st r@b", {"0", "", true, ZONE}},
	{"an unready endpoint of our zone is not used",
	 "", "n1", "a", "r@a r@b r@c -@a", {"0", "", true, ZONE}},
	{"only an unready endpoint is hinted for our zone: all zones",
	 "", "n1", "a", "-@a r@b r@c", {"1 2", "", true, NONE}},
	{"our zone has no endpoint: all zones",
	 "", "n1", "d", "r@a r@b", {"0 1", "", true, NONE}},
	{"node without a zone label: all zones",
	 "", "n1", "", "r@a", {"0", "", true, NONE}},
	{"node whose zone is not known: all zones",
	 "", "n1", NULL, "r@a r@b", {"0 1", "", true, NONE}},
	{"no hints at all: everything ready",
	 "", "n1", "a", "r r -", {"0 1", "", true, NONE}},
	/* Topology: nodes */
	{"all hinted for nodes: ours is used",
	 "", "n1", "a", "r@a%n1 r@b%n2 r@c%n3 r@a%n4", {"0", "", true, NODE}},
	{"no endpoint for our node: our zone",
	 "", "n0", "a", "r@a%n1 r@b%n2 r@c%n3 r@a%n4", {"0 3", "", true, ZONE}},
	{"no endpoint for our node or zone: all",
	 "", "n0", "d", "r@a%n1 r@b%n2", {"0 1", "", true, NONE}},
	{"one ready endpoint without a node hint turns nodes off",
	 "", "n1", "a", "r@a%n1 r@a r@b%n2", {"0 1", "", true, ZONE}},
	{"node hints without zone hints work",
	 "", "n1", "a", "r%n1 r%n2 r%n1", {"0 2", "", true, NODE}},
	{"an unready endpoint for our node does not switch to nodes",
	 "", "n1", "a", "-@a%n1 r@a%n2 r@b%n3", {"1", "", true, ZONE}},
	{"no name of our own: node hints do nothing",
	 "", NULL, "b", "r@a%n1 r@b%n2", {"1", "", true, ZONE}},
	/* Cluster list and terminating endpoints */
	{"no endpoints: refuse",
	 "", "n1", "a", "", {"", "", false, NONE}},
	{"unready endpoints only: refuse",
	 "", "n1", "", "- -", {"", "", false, NONE}},
	{"a single endpoint in no good state: refuse",
	 "", "n1", "a", "-", {"", "", false, NONE}},
	{"serving without terminating is not enough",
	 "", "n1", "", "s", {"", "", false, NONE}},
	{"terminating without serving is not enough",
	 "", "n1", "", "t", {"", "", false, NONE}},
	{"nothing ready: serving and terminating ones are used",
	 "", "n1", "", "lst st t -", {"0 1", "", true, NONE}},
	{"the last resort looks at no zone",
	 "", "n1", "a", "st@a st@b", {"0 1", "", true, NONE}},
	{"one ready endpoint is preferred to all terminating ones",
	 "", "n1", "", "st r st", {"1", "", true, NONE}},
	{"ready counts, whatever serving says",
	 "", "n1", "", "r rs", {"0 1", "", true, NONE}},
	{"a ready endpoint that terminates is used (publishNotReadyAddresses)",
	 "", "n1", "", "rt r", {"0 1", "", true, NONE}},
	/* internalTrafficPolicy Local */
	{"iTP Local: no endpoints: refuse",
	 "i", "n1", "", "", {"", "", false, NONE}},
	{"iTP Local: all local",
	 "i", "n1", "", "lr lr", {"", "0 1", true, NONE}},
	{"iTP Local: none local, but ready elsewhere: a drop, not a refusal",
	 "i", "n1", "", "r r", {"", "", true, NONE}},
	{"iTP Local: terminating elsewhere: a drop, not a refusal",
	 "i", "n1", "", "st", {"", "", true, NONE}},
	{"iTP Local: unready elsewhere: refuse",
	 "i", "n1", "", "- s", {"", "", false, NONE}},
	{"iTP Local, not reachable from outside: there is no cluster list",
	 "i", "n1", "", "r lr", {"", "1", true, NONE}},
	{"iTP Local: hints do not filter local endpoints",
	 "ix", "n1", "a", "lr@a lr@b r@c r@a", {"0 3", "0 1", true, ZONE}},
	{"iTP Local: local terminating ones when none local is ready",
	 "i", "n1", "", "lst r l", {"", "0", true, NONE}},
	{"iTP Local: a local ready one is preferred to local terminating ones",
	 "i", "n1", "", "lst lr", {"", "1", true, NONE}},
	/* externalTrafficPolicy Local */
	{"eTP Local: some local",
	 "ex", "n1", "", "lr r", {"0 1", "0", true, NONE}},
	{"eTP Local: terminating local ones, ready ones elsewhere",
	 "ex", "n1", "", "r l lst st", {"0", "2", true, NONE}},
	{"eTP Local, not reachable from outside: there is no local list",
	 "e", "n1", "", "lr r", {"0 1", "", true, NONE}},
	{"eTP Local: zones filter the cluster list only",
	 "ex", "n1", "a", "lr@b r@a", {"1", "0", true, ZONE}},
	{"iTP and eTP Local: all elsewhere",
	 "iex", "n1", "", "r r", {"0 1", "", true, NONE}},
	{"iTP and eTP Local, not reachable from outside: local only",
	 "ie", "n1", "", "lr r", {"", "0", true, NONE}},
	{"eTP Local: nothing ready, terminating elsewhere",
	 "ex", "n1", "", "st l", {"0", "", true, NONE}},
	{"policies Cluster, reachable from outside: no local list",
	 "x", "n1", "", "lr r", {"0 1", "", true, NONE}},
};
/* clang-format on */

/* The endpoint that is written as word, which is cut to pieces; hints has room for both kinds. */
static struct endpoint read_endpoint(char *word, char *hints[2][MAX_HINTS])
{
	char *node = strchr(word, '%'), *zone = strchr(word, '@'), *next = NULL;
	struct endpoint endpoint = {.zone_hints = zone ? hints[0] : NULL};
	size_t n = 0;

	memset(hints, 0, 2 * sizeof(*hints));
	if (node) {
		*node = '\0';
		hints[1][0] = node + 1;
		endpoint.node_hints = hints[1];
	}
	if (zone) {
		*zone = '\0';
		for (char *w = strtok_r(zone + 1, ",", &next); w; w = strtok_r(NULL, ",", &next))
			hints[0][n++] = w;
	}
	endpoint.local = strchr(word, 'l');
	endpoint.ready = strchr(word, 'r');
	endpoint.serving = strchr(word, 's');
	endpoint.terminating = strchr(word, 't');
	return endpoint;
}

static void assert_list(const char *wanted, const uint32_t *list, size_t count)
{
	char text[64] = "";
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
					   i ? " " : "", list[i]);
	assert_string_equal(text, wanted);
}

static void run_case(void **state)
{
	const struct table_case *c = *state;
	const struct endpoint_rules rules = {
		.node = c->node,
		.zone = c->zone,
		.internal_local = strchr(c->service, 'i'),
		.external_local = strchr(c->service, 'e'),
		.external = strchr(c->service, 'x'),
	};
	char text[128], *next = NULL, *hints[MAX_ENDPOINTS][2][MAX_HINTS];
	uint32_t cluster[MAX_ENDPOINTS], local[MAX_ENDPOINTS];
	struct endpoint endpoint[MAX_ENDPOINTS];
	struct endpoint_choice choice;
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", c->endpoints);
	for (char *w = strtok_r(text, " ", &next); w; w = strtok_r(NULL, " ", &next), n++)
		endpoint[n] = read_endpoint(w, hints[n]);
	choice = endpoints_choose(&rules, endpoint, n, cluster, local);
	assert_list(c->expect.cluster, cluster, choice.clusters);
	assert_list(c->expect.local, local, choice.locals);
	assert_int_equal(choice.has_any, c->expect.has_any);
	assert_int_equal(choice.topology, c->expect.topology);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = run_case,
			.initial_state = (void *)&cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
