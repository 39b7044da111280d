/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/ranges.c on real tables: which sources the trie admits for a version, that what
 * is no longer needed makes room, that a full trie is said and harms no other service, and what a
 * new process makes of it. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "publish_fixture.h"

/* The trie has 16 keys a service: 256 here. */
static const struct tables_options small = {
	.max_flows = 64, .max_services = 16, .max_slots = 256, .max_backends = 64};
static const struct tables_options small_pinned = {.max_flows = 64,
						   .max_services = 16,
						   .max_slots = 256,
						   .max_backends = 64,
						   .bpffs = netns_bpffs};

#define KEYS 256
#define VIP  "192.0.2."

/* A load balancer 10.96.0.N with VIP 192.0.2.N and ranges 198.FIRST.I.0/24, I < count. */
static void balancer(char *spec, size_t size, unsigned n, unsigned first, unsigned count)
{
	int used = snprintf(spec, size,
			    "'clusterIP':'10.96.0.%u','type':'LoadBalancer','ports':[{'name':"
			    "'http','port':80}],'loadBalancerSourceRanges':[",
			    n);

	for (unsigned i = 0; i < count; i++)
		used += snprintf(spec + used, size - used, "%s'198.%u.%u.0/24'", i ? "," : "",
				 first, i);
	snprintf(spec + used, size - used,
		 "]},'status':{'loadBalancer':{'ingress':[{'ip':'" VIP "%u'}]}", n);
}

static int publish_ranges(struct fixture *f, unsigned n, unsigned first, unsigned count)
{
	char key[16], spec[8192];

	snprintf(key, sizeof(key), "ns/s%u", n);
	balancer(spec, sizeof(spec), n, first, count);
	return publish(f, key, spec, "1");
}

static void remove_ranges(struct fixture *f, unsigned n)
{
	char key[16];

	snprintf(key, sizeof(key), "ns/s%u", n);
	REMOVE(f, key);
}

static int trie(struct fixture *f)
{
	return f->t->map_fd[TABLES_MAP_source_ranges];
}

static uint32_t keys(struct fixture *f)
{
	struct np_range_key key, *previous = NULL;
	uint32_t count = 0;

	while (!bpf_map_get_next_key(trie(f), previous, &key)) {
		previous = &key;
		count++;
	}
	return count;
}

/* The version that packets for the VIP of a balancer find now. */
static uint32_t version_of(struct fixture *f, unsigned n)
{
	const struct np_service *s = find4(f, htonl(0xC0000200 + n), 80, NULL);

	assert_non_null(s);
	assert_true(s->flags & NP_SERVICE_RANGES);
	return s - f->t->services;
}

/* As a program asks. */
static bool admits(struct fixture *f, unsigned n, unsigned second, unsigned third)
{
	struct np_range_key key = {.prefixlen = NP_RANGE_BITS + 32, .version = version_of(f, n)};
	uint32_t value;

	key.addr.word[0] = htonl(198U << 24 | second << 16 | third << 8 | 7);
	return !bpf_map_lookup_elem(trie(f), &key, &value);
}

static void assert_admits(struct fixture *f, unsigned n, unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_true(admits(f, n, first, i));
	assert_false(admits(f, n, first, count));
	assert_false(admits(f, n, first + 1, 0));
}

static void empty_trie(struct fixture *f)
{
	struct np_range_key key;

	while (!bpf_map_get_next_key(trie(f), NULL, &key))
		assert_int_equal(bpf_map_delete_elem(trie(f), &key), 0);
}

static void only_the_vip_has_them(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(publish_ranges(f, 1, 10, 3), 0);
	assert_admits(f, 1, 10, 3);
	assert_int_equal(find4(f, V4(1), 80, NULL)->flags & NP_SERVICE_RANGES, 0);
	assert_int_equal(keys(f), 3);
	remove_ranges(f, 1);
	assert_empty(f);
	empty_trie(f);
}

static void a_new_version_has_its_own(void **state)
{
	struct fixture *f = *state;
	uint32_t old;

	assert_int_equal(publish_ranges(f, 1, 10, 3), 0);
	old = version_of(f, 1);
	assert_int_equal(publish_ranges(f, 1, 20, 2), 0);
	assert_int_not_equal(version_of(f, 1), old);
	assert_admits(f, 1, 20, 2);
	assert_false(admits(f, 1, 10, 0));
	/* A packet may still have the old one in hand. */
	assert_int_equal(keys(f), 5);
	remove_ranges(f, 1);
	empty_trie(f);
}

/* What was drops out as numbers come round again, and all of it when room is needed. */
static void a_thousand_changes_leave_nothing_behind(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(publish_ranges(f, 1, 10 + i % 100, 1 + i % 40), 0);
		assert_true(keys(f) <= KEYS);
		assert_admits(f, 1, 10 + i % 100, 1 + i % 40);
	}
	assert_int_equal(publish_ranges(f, 1, 10, 5), 0);
	assert_int_equal(publish_ranges(f, 2, 10, KEYS - 5), 0);
	assert_int_equal(keys(f), KEYS);
	assert_admits(f, 1, 10, 5);
	assert_admits(f, 2, 10, KEYS - 5);
	remove_ranges(f, 1);
	remove_ranges(f, 2);
	assert_empty(f);
	assert_int_equal(publish_ranges(f, 3, 10, KEYS), 0);
	assert_int_equal(keys(f), KEYS);
	remove_ranges(f, 3);
	empty_trie(f);
}

static void a_full_trie_leaves_other_services_alone(void **state)
{
	struct fixture *f = *state;
	uint32_t version;

	assert_int_equal(publish_ranges(f, 1, 10, 120), 0);
	assert_int_equal(publish_ranges(f, 2, 20, 120), 0);
	version = version_of(f, 1);
	assert_int_equal(publish_ranges(f, 3, 30, 20), -ENOSPC);
	assert_null(find4(f, htonl(0xC0000203), 80, NULL));
	assert_int_equal(version_of(f, 1), version);
	assert_admits(f, 1, 10, 120);
	assert_admits(f, 2, 20, 120);
	/* What one needs that cannot have it stays as it was. */
	assert_int_equal(publish_ranges(f, 2, 40, 60), -ENOSPC);
	assert_admits(f, 2, 20, 120);
	assert_int_equal(publish_ranges(f, 2, 40, 5), 0);
	assert_admits(f, 2, 40, 5);
	assert_int_equal(publish_ranges(f, 3, 30, 20), 0);
	assert_admits(f, 3, 30, 20);
	assert_admits(f, 1, 10, 120);
	for (unsigned n = 1; n <= 3; n++)
		remove_ranges(f, n);
	assert_empty(f);
	empty_trie(f);
}

static void a_new_process_keeps_what_is_named(void **state)
{
	struct fixture *f = *state;
	uint32_t version;

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(publish_ranges(f, 1, 10 + i, 20), 0);
	version = version_of(f, 1);
	assert_true(keys(f) >= 100);
	close_all(f);
	open_all(f);
	assert_int_equal(version_of(f, 1), version);
	assert_admits(f, 1, 14, 20);
	/* There is room for all but these: what the old process gave back is free. */
	assert_int_equal(publish_ranges(f, 2, 30, KEYS - 20), 0);
	assert_admits(f, 1, 14, 20);
	assert_admits(f, 2, 30, KEYS - 20);
	assert_int_equal(keys(f), KEYS);
	publish_sweep(f->p); /* the first was never told again */
	assert_int_equal(publish_ranges(f, 3, 50, 20), 0);
	assert_admits(f, 3, 50, 20);
	remove_ranges(f, 2);
	remove_ranges(f, 3);
	assert_empty(f);
	empty_trie(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_the_vip_has_them, small),
		TEST(a_new_version_has_its_own, small),
		TEST(a_thousand_changes_leave_nothing_behind, small),
		TEST(a_full_trie_leaves_other_services_alone, small),
		TEST(a_new_process_keeps_what_is_named, small_pinned),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("source ranges", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
