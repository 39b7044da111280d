/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The programs of a handover: other tables, empty ones, take over from the world's. In the phase in
 * which flows begin there, all cases of this folder must go as they always do. What is different
 * when flows begin here, and between the two, is tested below.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "flowtable.h"
#include "harness.h"
#include "objects.h"

static struct tables *other;
static struct tables_before plain; /* the world's programs */

static void use(int ingress, int egress, int xdp)
{
	world.tables->ingress_fd = ingress;
	world.tables->egress_fd = egress;
	world.tables->xdp_fd = xdp;
}

static void set_phase(enum np_handover phase)
{
	other->config->handover = phase;
}

void handover_follow(void)
{
	if (!other)
		return;
	memcpy(other->ifaces, world.tables->ifaces,
	       sizeof(*other->ifaces) * other->size[TABLE_ifaces]);
}

int handover_open(void)
{
	const struct tables *t = world.tables;
	const struct tables_options options = {
		.max_flows = 16, /* another size, which is another mask */
		.max_services = 256,
		.max_slots = 256,
		.max_backends = 64,
		.max_affinity = 16,
		.snat_port_first = 20000,
		.snat_port_count = 1000,
		.hash_key = t->hash_key,
	};
	const char *why = "";
	int rc = tables_open(&options, &other, &why);

	plain = (struct tables_before){
		.index_fd = {t->fd[TABLE_flow_index4], t->fd[TABLE_flow_index6]},
		.size = {t->size[TABLE_flow_index4], t->size[TABLE_flow_index6]},
		.program = {t->ingress_fd, t->egress_fd, t->xdp_fd, -1},
	};
	rc = rc ?: tables_handover(other, &plain, &why);
	if (rc) {
		fprintf(stderr, "%s\n", why);
		return rc;
	}
	set_phase(NP_HANDOVER_ALL);
	use(other->ingress_fd, other->egress_fd, other->xdp_fd);
	return 0;
}

void handover_close(void)
{
	use(plain.program[NP_HOOK_INGRESS], plain.program[NP_HOOK_EGRESS],
	    plain.program[NP_HOOK_XDP]);
	tables_close(&other);
}

static void clear(void *table, enum table which)
{
	memset(table, 0, tables_value_size(which) * other->size[which]);
}

/* A flow of client:40000 through the NodePort, which the world's tables have. */
static void begin(void **variant)
{
	world.variant = *(struct variant *)*variant;
	world_reset(state_local, NULL);
	clear(other->frontends, TABLE_frontends);
	clear(other->flows4, TABLE_flows4);
	clear(other->flows6, TABLE_flows6);
	clear(other->flow_index4, TABLE_flow_index4);
	clear(other->flow_index6, TABLE_flow_index6);
	set_phase(NP_HANDOVER_ALL);
	step_run(&(struct step){INGRESS, OPENS("client:40000", "node:30080"),
				.out = {.src = "client:?0", .dst = "local:8080"}, NEW},
		 false);
	set_phase(NP_HANDOVER_KNOWN);
}

static void what_is_known_there_goes_on(void **variant)
{
	begin(variant);
	step_run(&(struct step){INGRESS, SENDS("client:40000", "node:30080", .payload = 9),
				.out = {.src = "client:?0", .dst = "local:8080"}, HIT},
		 false);
	step_run(&(struct step){EGRESS, SENDS("client:?0", "local:8080"), .out = {.src = "snat:?0"},
				HIT},
		 false);
	step_run(&(struct step){INGRESS, SENDS("local:8080", "snat:?0"),
				.out = {.dst = "client:?0"}, HIT},
		 false);
	step_run(&(struct step){EGRESS, SENDS("local:8080", "client:?0"),
				.out = {.src = "node:30080", .dst = "client:40000"}, HIT},
		 false);
	step_run(&(struct step){INGRESS, OPENS("client:40000", "node:30080"),
				.out = {.src = "client:?0", .dst = "local:8080"}, HIT},
		 false);
}

/* These tables have no services: what they decide on is passed as it is. */
static void what_is_new_is_decided_here(void **variant)
{
	begin(variant);
	step_run(&(struct step){INGRESS, OPENS("client:40001", "node:30080")}, false);
	assert_null(flow_of(40001));
	set_phase(NP_HANDOVER_NONE);
	step_run(&(struct step){INGRESS, OPENS("client:40002", "node:30080")}, false);
	assert_null(flow_of(40002));
}

static uint8_t family_of(void **variant)
{
	return ((struct variant *)*variant)->family;
}

/* The number of the world's only flow. */
static uint32_t only_flow(void **variant, struct flowtable_flow *flow, uint32_t *seq)
{
	uint32_t number = 0;

	while (flowtable_read(world.tables, family_of(variant), number, flow, seq))
		assert_true(++number < world.tables->size[TABLE_flows4]);
	return number;
}

/* Moved: it is here, then it is not there any more, and no packet notices. */
static void what_is_moved_goes_on_here(void **variant)
{
	struct flowtable_flow flow;
	uint32_t seq, number;

	begin(variant);
	number = only_flow(variant, &flow, &seq);
	assert_int_equal(flowtable_insert(other, &flow, NULL), 0);
	step_run(&(struct step){INGRESS, SENDS("client:40000", "node:30080"),
				.out = {.src = "client:?0", .dst = "local:8080"}},
		 false);
	assert_int_equal(flowtable_end(world.tables, flow.family, number, seq), 0);
	step_run(&(struct step){INGRESS, SENDS("client:40000", "node:30080"),
				.out = {.src = "client:?0", .dst = "local:8080"}},
		 false);
	step_run(&(struct step){EGRESS, SENDS("local:8080", "client:?0"),
				.out = {.src = "node:30080", .dst = "client:40000"}},
		 false);
}

static void copy(void *to, const void *from, enum table table)
{
	assert_int_equal(other->size[table], world.tables->size[table]);
	memcpy(to, from, tables_value_size(table) * other->size[table]);
}

/* The source port whose turn it is belongs to a flow that is still there. */
static void ports_that_are_taken_there_are_not_given_here(void **variant)
{
	struct flowtable_flow there, here;
	uint32_t seq, number = 0;

	begin(variant);
	only_flow(variant, &there, &seq);
	copy(other->frontends, world.tables->frontends, TABLE_frontends);
	copy(other->address_filter, world.tables->address_filter, TABLE_address_filter);
	copy(other->services, world.tables->services, TABLE_services);
	copy(other->slots, world.tables->slots, TABLE_slots);
	copy(other->backends, world.tables->backends, TABLE_backends);
	copy(other->config, world.tables->config, TABLE_config);
	copy(other->snat_ports, world.tables->snat_ports, TABLE_snat_ports);
	set_phase(NP_HANDOVER_KNOWN);
	other->snat_ports[there.backend].next--;
	step_only(&(struct step){INGRESS, OPENS("client:40001", "node:30080")});
	while (flowtable_read(other, there.family, number, &here, &seq) ||
	       here.port[NP_CLIENT] != htons(40001))
		assert_true(++number < other->size[TABLE_flows4]);
	assert_int_equal(here.backend, there.backend);
	assert_int_not_equal(here.port[NP_SNAT], there.port[NP_SNAT]);
}

static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_TCP},
				{.family = NP_IPV6, .protocol = IPPROTO_TCP},
				{.family = NP_IPV4, .protocol = IPPROTO_UDP},
				{.family = NP_IPV6, .protocol = IPPROTO_SCTP}};

#define IN_ALL(function)                                                                           \
	{#function " (IPv4, TCP)", function, NULL, NULL, &ways[0]},                                \
		{#function " (IPv6, TCP)", function, NULL, NULL, &ways[1]},                        \
		{#function " (IPv4, UDP)", function, NULL, NULL, &ways[2]},                        \
	{                                                                                          \
#function " (IPv6, SCTP)", function, NULL, NULL, &ways[3]                          \
	}

int handover_run(void)
{
	const struct CMUnitTest tests[] = {
		IN_ALL(what_is_known_there_goes_on),
		IN_ALL(what_is_new_is_decided_here),
		IN_ALL(what_is_moved_goes_on_here),
		IN_ALL(ports_that_are_taken_there_are_not_given_here),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
