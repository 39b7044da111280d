/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Session affinity ClientIP: which backend the connections of one client get, read from the flows
 * they make, and what the record of the last one says. Time is moved in the record.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "../../maps/service.h"
#include "harness.h"
#include "objects.h"

#define SECONDS 100
#define STICKY                                                                                     \
	"'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':100}}" \
	","
#define WEB(spec) LOAD_BALANCER("web", "cluster", spec)
#define SLICES_WITH(endpoints4, endpoints6)                                                        \
	SLICE_OF("4", "web", endpoints4), SLICE_OF("6", "web", endpoints6)
#define TWO(f)	ENDPOINT(f, "remote", "node2") "," ENDPOINT(f, "remote2", "node2")
#define FOUR(f) TWO(f) "," ENDPOINT(f, "second", "node2") "," ENDPOINT(f, "local", "node1")

static const char *const state_four[] = {WEB(STICKY), SLICES_WITH(FOUR("4"), FOUR("6")), NULL};
static const char *const state_two[] = {WEB(STICKY), SLICES_WITH(TWO("4"), TWO("6")), NULL};
static const char *const state_first[] = {WEB(STICKY), REMOTE("web", "remote"), NULL};
static const char *const state_second[] = {WEB(STICKY), REMOTE("web", "remote2"), NULL};
static const char *const state_off[] = {WEB(""), SLICES_WITH(FOUR("4"), FOUR("6")), NULL};
static const char *const state_default[] = {WEB("'sessionAffinity':'ClientIP',"),
					    SLICES_WITH(FOUR("4"), FOUR("6")), NULL};
static const char *const state_external_local[] = {
	WEB(STICKY "'externalTrafficPolicy':'Local',"),
	SLICES_WITH(ENDPOINT("4", "remote", "node2") "," ENDPOINT("4", "local", "node1"),
		    ENDPOINT("6", "remote", "node2") "," ENDPOINT("6", "local", "node1")),
	NULL};

static uint16_t next_port;

static void begin(void **variant, const char *const *state)
{
	world.variant = *(struct variant *)*variant;
	world_reset(state, NULL);
	next_port = 40000;
}

static uint64_t of_both_hooks(enum np_reason reason)
{
	return counter(NP_HOOK_INGRESS, reason) + counter(NP_HOOK_XDP, reason);
}

/* A new connection; by affinity or not. Returns the backend's address as text. */
static const char *connect_at(enum np_hook hook, const char *client, const char *frontend,
			      bool affine)
{
	uint64_t opened = of_both_hooks(NP_REASON_NEW_FLOW);
	uint64_t by_affinity = of_both_hooks(NP_REASON_AFFINITY);
	struct step step = {.hook = hook, .in = {.src = client, .dst = frontend, .flags = SYN}};
	static char text[INET6_ADDRSTRLEN];
	bool four = world.variant.family == NP_IPV4;
	char from[32];
	struct np_flow *flow;

	snprintf(from, sizeof(from), "%s:%u", client, ++next_port);
	step.in.src = from;
	step_only(&step);
	flow = flow_of(next_port);
	assert_non_null(flow);
	assert_int_equal(of_both_hooks(NP_REASON_NEW_FLOW) - opened, 1);
	if (of_both_hooks(NP_REASON_AFFINITY) - by_affinity != affine)
		fail_msg("%s -> %s: by affinity: expected %d", client, frontend, affine);
	inet_ntop(four ? AF_INET : AF_INET6,
		  four ? (void *)&((struct np_flow4 *)flow)->addr[NP_BACKEND]
		       : (void *)((struct np_flow6 *)flow)->addr[NP_BACKEND],
		  text, sizeof(text));
	flow->state = NP_FLOW_TCP_CLOSE; /* the next one may have its record */
	return text;
}

static const char *first(const char *client, const char *frontend)
{
	return connect_at(NP_HOOK_INGRESS, client, frontend, false);
}

static const char *again(const char *client, const char *frontend)
{
	return connect_at(NP_HOOK_INGRESS, client, frontend, true);
}

static int map_fd(void)
{
	return world.tables->map_fd[TABLES_MAP_affinity];
}

static unsigned records(void)
{
	struct np_affinity_key key, *previous = NULL;
	unsigned count = 0;

	while (!bpf_map_get_next_key(map_fd(), previous, &key)) {
		previous = &key;
		count++;
	}
	return count;
}

/* The only record there is; its time is moved by so many ticks. Returns what it says now. */
static struct np_affinity move(int64_t ticks)
{
	struct np_affinity record;
	struct np_affinity_key key;

	assert_int_equal(records(), 1);
	assert_int_equal(bpf_map_get_next_key(map_fd(), NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(map_fd(), &key, &record), 0);
	record.seen += ticks;
	assert_int_equal(bpf_map_update_elem(map_fd(), &key, &record, BPF_EXIST), 0);
	return record;
}

static void forget(void)
{
	struct np_affinity_key key;

	while (!bpf_map_get_next_key(map_fd(), NULL, &key))
		bpf_map_delete_elem(map_fd(), &key);
}

static void one_client_has_one_backend(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_four);
	strcpy(backend, first("client", "cluster:80"));
	for (int i = 1; i < 50; i++)
		assert_string_equal(again("client", "cluster:80"), backend);
	assert_int_equal(records(), 1);
}

static void clients_are_spread(void **variant)
{
	static const char *const clients[] = {"client", "client2", "router", "pod",
					      "local",	"nowhere", "silent", "unrouted"};
	char seen[4][INET6_ADDRSTRLEN] = {""};
	unsigned different = 0;

	begin(variant, state_four);
	for (int i = 0; i < 100; i++) {
		const char *backend = first(clients[i % ARRAY_SIZE(clients)], "cluster:80");
		unsigned at = 0;

		while (at < different && strcmp(seen[at], backend))
			at++;
		assert_true(at < 4);
		if (at == different)
			strcpy(seen[different++], backend);
		if (i % ARRAY_SIZE(clients) == ARRAY_SIZE(clients) - 1) {
			assert_int_equal(records(), ARRAY_SIZE(clients));
			forget();
		}
	}
	assert_int_equal(different, 4);
}

static void every_connection_begins_it_anew(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_four);
	strcpy(backend, first("client", "cluster:80"));
	for (int i = 0; i < 5; i++) {
		move(-(int64_t)(SECONDS - 2) * tables_hertz());
		assert_string_equal(again("client", "cluster:80"), backend);
	}
}

static void packets_do_not(void **variant)
{
	static const struct step packet = {INGRESS, SENDS("client:40001", "cluster:80")};
	struct np_affinity before, after;

	begin(variant, state_four);
	first("client", "cluster:80");
	flow_of(40001)->state = NP_FLOW_TCP_ESTABLISHED;
	before = move(-50LL * tables_hertz());
	for (int i = 0; i < 5; i++)
		step_only(&packet);
	after = move(0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void it_ends_when_its_time_is_over(void **variant)
{
	char backend[INET6_ADDRSTRLEN];
	unsigned moved = 0;

	begin(variant, state_four);
	strcpy(backend, first("client", "cluster:80"));
	for (int i = 0; i < 100; i++) {
		move(-(int64_t)(SECONDS + 1) * tables_hertz());
		moved += strcmp(first("client", "cluster:80"), backend) != 0;
	}
	assert_in_range(moved, 40, 99); /* three of four */
	strcpy(backend, first("client2", "cluster:80"));
	assert_string_equal(again("client2", "cluster:80"), backend);
}

static void a_tick_ahead_is_not_over(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_four);
	strcpy(backend, first("client", "cluster:80"));
	move(3);
	assert_string_equal(again("client", "cluster:80"), backend);
}

static void without_a_time_it_lasts_three_hours(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_default);
	strcpy(backend, first("client", "cluster:80"));
	move(-10798LL * tables_hertz());
	assert_string_equal(again("client", "cluster:80"), backend);
	move(-10801LL * tables_hertz());
	first("client", "cluster:80");
}

static void a_backend_that_went_is_replaced(void **variant)
{
	char backend[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN], name[INET6_ADDRSTRLEN];
	union np_addr remote;

	begin(variant, state_two);
	strcpy(backend, first("client", "cluster:80"));
	remote = name_address("remote", world.variant.family);
	inet_ntop(world.variant.family == NP_IPV4 ? AF_INET : AF_INET6, &remote, name,
		  sizeof(name));
	world_apply(strcmp(backend, name) ? state_first : state_second);
	strcpy(other, first("client", "cluster:80"));
	assert_string_not_equal(other, backend);
	world_apply(state_two); /* the first one is back, and forgotten */
	for (int i = 0; i < 10; i++)
		assert_string_equal(again("client", "cluster:80"), other);
	assert_int_equal(records(), 1);
}

/* Another service's endpoint has the number and not the address, or was given the address anew. */
static void another_backend_of_its_number_is_not_it(void **variant)
{
	struct np_affinity_key key;
	struct np_affinity record;

	begin(variant, state_two);
	first("client", "cluster:80");
	assert_int_equal(bpf_map_get_next_key(map_fd(), NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(map_fd(), &key, &record), 0);
	record.port ^= 1;
	assert_int_equal(bpf_map_update_elem(map_fd(), &key, &record, BPF_EXIST), 0);
	first("client", "cluster:80");
	record.port ^= 1;
	record.addr.word[0] ^= htonl(1);
	assert_int_equal(bpf_map_update_elem(map_fd(), &key, &record, BPF_EXIST), 0);
	first("client", "cluster:80");
	record.backend = 0xFFFFFFFF;
	assert_int_equal(bpf_map_update_elem(map_fd(), &key, &record, BPF_EXIST), 0);
	first("client", "cluster:80");
}

/* One client, two classes of traffic: the run of the second may lack what the first one got. */
static void only_what_the_class_may_have(void **variant)
{
	unsigned ignored = 0;
	char backend[INET6_ADDRSTRLEN], local[INET6_ADDRSTRLEN];
	union np_addr addr;

	begin(variant, state_external_local);
	addr = name_address("local", world.variant.family);
	inet_ntop(world.variant.family == NP_IPV4 ? AF_INET : AF_INET6, &addr, local,
		  sizeof(local));
	for (int i = 0; i < 40; i++) {
		forget();
		strcpy(backend, first("client", "cluster:80"));
		if (!strcmp(backend, local)) {
			assert_string_equal(again("client", "vip:80"), local);
			continue;
		}
		ignored++;
		assert_string_equal(first("client", "vip:80"), local);
		assert_string_equal(again("client", "cluster:80"), local);
	}
	assert_in_range(ignored, 1, 39);
}

static void all_frontends_of_a_port_share_it(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_four);
	strcpy(backend, first("client", "node:30080"));
	for (int i = 0; i < 5; i++) {
		assert_string_equal(again("client", "cluster:80"), backend);
		assert_string_equal(again("client", "external:80"), backend);
		assert_string_equal(again("client", "vip:80"), backend);
		assert_string_equal(again("client", "node:30080"), backend);
	}
	assert_int_equal(records(), 1);
}

/* The service's UDP and SCTP are ports of their own. */
static void other_ports_do_not(void **variant)
{
	begin(variant, state_four);
	first("client", "cluster:80");
	world.variant.protocol = IPPROTO_UDP;
	first("client", "cluster:80");
	again("client", "cluster:80");
	world.variant.protocol = IPPROTO_SCTP;
	first("client", "cluster:80");
	again("client", "cluster:80");
	assert_int_equal(records(), 3);
	world.variant.family = world.variant.family == NP_IPV4 ? NP_IPV6 : NP_IPV4;
	first("client", "cluster:80");
	assert_int_equal(records(), 4);
}

static void it_outlives_a_change_of_the_service(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_two);
	strcpy(backend, first("client", "cluster:80"));
	for (int i = 0; i < 10; i++) {
		world_apply(i % 2 ? state_two : state_four);
		assert_string_equal(again("client", "cluster:80"), backend);
	}
}

static void xdp_and_tc_share_it(void **variant)
{
	char backend[INET6_ADDRSTRLEN];

	begin(variant, state_two);
	strcpy(backend, connect_at(NP_HOOK_XDP, "client", "vip:80", false));
	for (int i = 0; i < 10; i++) {
		assert_string_equal(again("client", "vip:80"), backend);
		assert_string_equal(connect_at(NP_HOOK_XDP, "client", "vip:80", true), backend);
	}
	strcpy(backend, first("client2", "vip:80"));
	assert_string_equal(connect_at(NP_HOOK_XDP, "client2", "node:30080", true), backend);
}

static void without_it_nothing_is_remembered(void **variant)
{
	begin(variant, state_four);
	first("client", "cluster:80");
	world_apply(state_off);
	for (int i = 0; i < 20; i++)
		first("client", "cluster:80");
	assert_int_equal(records(), 1); /* of before */
	forget();
	first("client", "vip:80");
	assert_int_equal(records(), 0);
}

static struct variant ways[] = {{.family = NP_IPV4, .protocol = IPPROTO_TCP},
				{.family = NP_IPV6, .protocol = IPPROTO_TCP}};

#define IN_BOTH(function)                                                                          \
	{#function " (IPv4)", function, NULL, NULL, &ways[0]},                                     \
	{                                                                                          \
#function " (IPv6)", function, NULL, NULL, &ways[1]                                \
	}

int affinity_run(void)
{
	const struct CMUnitTest tests[] = {
		IN_BOTH(one_client_has_one_backend),
		IN_BOTH(clients_are_spread),
		IN_BOTH(every_connection_begins_it_anew),
		IN_BOTH(packets_do_not),
		IN_BOTH(it_ends_when_its_time_is_over),
		IN_BOTH(a_tick_ahead_is_not_over),
		IN_BOTH(without_a_time_it_lasts_three_hours),
		IN_BOTH(a_backend_that_went_is_replaced),
		IN_BOTH(another_backend_of_its_number_is_not_it),
		IN_BOTH(only_what_the_class_may_have),
		IN_BOTH(all_frontends_of_a_port_share_it),
		IN_BOTH(other_ports_do_not),
		IN_BOTH(it_outlives_a_change_of_the_service),
		IN_BOTH(xdp_and_tc_share_it),
		IN_BOTH(without_it_nothing_is_remembered),
	};

	return cmocka_run_group_tests_name("session affinity", tests, NULL, NULL);
}
