/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/publish.c and version.c over time: tables that a new process adopts from their
 * pins, whole or damaged, and long random histories against a model. Needs root; the bpffs is the
 * test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "publish_fixture.h"

static const struct tables_options tight = {
	.max_flows = 64, .max_services = 40, .max_slots = 128, .max_backends = 30};

static void reopen(struct fixture *f)
{
	close_all(f);
	open_all(f);
	assert_true(f->t->adopted);
}

static struct np_service_stats stats_of(struct fixture *f, const char *key, const char *spec)
{
	_cleanup_made_ struct made made = make(key, spec, "1");

	return publish_stats(f->p, made.plans[0]);
}

static void adopted_tables_are_as_they_were(void **state)
{
	static const enum table kept[] = {TABLE_frontends, TABLE_services, TABLE_slots,
					  TABLE_backends};
	struct fixture *f = *state;
	void *before[ARRAY_SIZE(kept)];

	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1L 2 3a");
	PUBLISH(f, "ns/b", SIX, "1 2");
	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1L 2");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const void *memory[] = {f->t->frontends, f->t->services, f->t->slots,
					f->t->backends};

		before[i] = copy_of(f->t, kept[i], memory[i]);
	}
	f->source = htonl(0xC0000299);
	reopen(f);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const void *memory[] = {f->t->frontends, f->t->services, f->t->slots,
					f->t->backends};

		assert_memory_equal(before[i], memory[i],
				    f->t->size[kept[i]] * tables_value_size(kept[i]));
		free(before[i]);
	}
	/* Each service's clusterIP has an address entry beside its frontends. */
	assert_int_equal(publish_used(f->p, TABLE_frontends), 3 + 2);
	assert_int_equal(publish_used(f->p, TABLE_services), 3 + 2);
	assert_int_equal(publish_used(f->p, TABLE_backends), 4);
	publish_sweep(f->p);
	assert_empty(f);
}

static void counters_go_on_after_a_restart(void **state)
{
	struct fixture *f = *state;
	uint32_t a, b;

	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1");
	PUBLISH(f, "ns/b", IP("2"), "1");
	a = find4(f, V4(1), 80, NULL)->id;
	b = find4(f, V4(2), 80, NULL)->id;
	assert_int_not_equal(a, b);
	f->t->service_stats[a].connections[1] = 11;
	f->t->service_stats[b].refused = 22;
	reopen(f);
	PUBLISH(f, "ns/new", IP("3"), "1");
	PUBLISH(f, "ns/b", IP("2"), "1");
	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "2");
	assert_int_equal(find4(f, V4(1), 80, NULL)->id, a);
	assert_int_equal(find4(f, inet_addr("192.0.2.1"), 80, NULL)->id, a);
	assert_int_equal(find4(f, V4(2), 80, NULL)->id, b);
	assert_int_equal(stats_of(f, "ns/a", IP("1")).connections[1], 11);
	assert_int_equal(stats_of(f, "ns/b", IP("2")).refused, 22);
	assert_int_equal(stats_of(f, "ns/new", IP("3")).connections[1], 0);
	REMOVE(f, "ns/a");
	REMOVE(f, "ns/b");
	REMOVE(f, "ns/new");
	assert_empty(f);
}

/* An externalIP moved from one service to the other while no daemon ran. */
static void two_services_never_share_counters(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1");
	reopen(f);
	PUBLISH(f, "ns/b", "'clusterIP':'192.0.2.1','ports':[{'name':'http','port':80}]", "1");
	PUBLISH(f, "ns/a", IP("1"), "1");
	assert_int_not_equal(find4(f, V4(1), 80, NULL)->id,
			     find4(f, inet_addr("192.0.2.1"), 80, NULL)->id);
}

static void a_sweep_removes_what_no_service_claims(void **state)
{
	const union np_addr addr = {.word = {V4(9)}};
	struct fixture *f = *state;

	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1 2");
	PUBLISH(f, "ns/b", IP("2"), "2 3");
	assert_int_equal(publish_address(f->p, NP_IPV4, &addr, NP_SERVICE_HOST_ADDRESS), 0);
	reopen(f);
	PUBLISH(f, "ns/a", IP("1"), "1 2");
	assert_non_null(find4(f, V4(2), 80, NULL));
	publish_sweep(f->p);
	CHECK(f, "ns/a", IP("1"), "1 2");
	assert_null(find4(f, V4(2), 80, NULL));
	assert_null(find4(f, inet_addr("192.0.2.1"), 80, NULL));
	assert_non_null(find(f->t, NP_IPV4, &addr, 0, 0, NULL));
	assert_int_equal(publish_used(f->p, TABLE_backends), 2);
	publish_addresses_begin(f->p);
	publish_addresses_end(f->p);
	REMOVE(f, "ns/a");
	assert_empty(f);
}

/* Publishes count services with numbers from first; all must fit. */
static void publish_many(struct fixture *f, unsigned first, unsigned count)
{
	char key[16], spec[128];

	for (unsigned n = first; n < first + count; n++) {
		snprintf(key, sizeof(key), "ns/s%u", n);
		snprintf(spec, sizeof(spec),
			 "'clusterIP':'10.96.0.%u','ports':[{'name':'http',"
			 "'port':80}]",
			 n);
		PUBLISH(f, key, spec, "1");
	}
}

static void what_was_swept_makes_room(void **state)
{
	struct fixture *f = *state;

	publish_many(f, 1, 30);
	reopen(f);
	publish_sweep(f->p);
	assert_empty(f);
	publish_many(f, 101, 30);
}

static unsigned known_addresses(const struct fixture *f)
{
	unsigned bits = 0;

	for (uint32_t i = 0; i < f->t->size[TABLE_address_filter]; i++)
		bits += __builtin_popcountll(f->t->address_filter[i].bits);
	return bits;
}

/* Without: three quarters of the 1024 bits of these tables would be set. */
static void addresses_that_have_gone_are_forgotten(void **state)
{
	struct fixture *f = *state;
	char spec[80];

	PUBLISH(f, "ns/stays", IP("1"), "1");
	publish_sweep(f->p);
	publish_addresses_begin(f->p);
	publish_addresses_end(f->p);
	for (unsigned n = 2; n < 1200; n++) {
		snprintf(spec, sizeof(spec),
			 "'clusterIP':'10.97.%u.%u','ports':[{'name':'http','port':80}]", n / 250,
			 n % 250);
		PUBLISH(f, "ns/moves", spec, "1");
	}
	assert_in_range(known_addresses(f), 2, 600);
	reopen(f); /* no daemon knows what went before it */
	PUBLISH(f, "ns/stays", IP("1"), "1");
	publish_sweep(f->p);
	assert_in_range(known_addresses(f), 2, 600);
	publish_addresses_begin(f->p);
	publish_addresses_end(f->p);
	assert_int_equal(known_addresses(f), 1);
	CHECK(f, "ns/stays", IP("1"), "1");
}

/* Its programs go on with the frontends they have. */
static void a_lost_table_takes_no_address_from_programs_of_before(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/stays", IP("1"), "1");
	memset(f->t->frontends, 0, f->t->size[TABLE_frontends] * sizeof(*f->t->frontends));
	reopen(f);
	assert_int_equal(known_addresses(f), 1);
	PUBLISH(f, "ns/stays", IP("1"), "1");
	publish_sweep(f->p);
	CHECK(f, "ns/stays", IP("1"), "1");
}

static void a_lost_filter_is_filled(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/stays", IP("1"), "1");
	memset(f->t->address_filter, 0,
	       f->t->size[TABLE_address_filter] * sizeof(*f->t->address_filter));
	reopen(f);
	assert_int_equal(known_addresses(f), 1);
}

/* How many of the services with numbers up to last are in the tables. */
static unsigned count_many(struct fixture *f, unsigned last)
{
	unsigned count = 0;

	for (unsigned n = 1; n <= last; n++)
		count += find4(f, V4(n), 80, NULL) != NULL;
	return count;
}

/* Every version that is published anew would want another one, for a moment. */
static void a_full_table_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	char key[16], spec[128];
	unsigned last, before;

	for (last = 1; last < 64; last++) {
		snprintf(key, sizeof(key), "ns/s%u", last);
		snprintf(spec, sizeof(spec),
			 "'clusterIP':'10.96.0.%u','ports':[{'name':'http','port':80}]", last);
		publish(f, key, spec, "1");
	}
	before = count_many(f, last);
	assert_true(before > 20 && before < 60);
	reopen(f);
	for (unsigned n = 1; n < last; n++) {
		snprintf(key, sizeof(key), "ns/s%u", n);
		snprintf(spec, sizeof(spec),
			 "'clusterIP':'10.96.0.%u','ports':[{'name':'http','port':80}]", n);
		publish(f, key, spec, "2");
	}
	publish_sweep(f->p);
	assert_int_equal(count_many(f, last), before);
}

enum damage { VERSION, TWICE, SLOT, SLOT_COUNT, SLOTS_OF_ANOTHER, ID, BACKEND, DAMAGES };

static void damage(struct fixture *f, enum damage what)
{
	uint64_t *entry;
	struct np_service *s = (struct np_service *)find4(f, V4(1), 80, &entry);
	const struct np_service *other = find4(f, V4(2), 80, NULL);

	if (what == VERSION)
		*entry = *entry >> 32 << 32 | f->t->size[TABLE_services];
	if (what == TWICE)
		f->t->frontends[0].entry[7] = *entry;
	if (what == ID)
		s->id = 0x7FFFFFFF;
	if (what == BACKEND)
		*tables_slot(f->t, s->policy[0].slot) = 0x7FFFFFFF;
	for (int i = 0; i < NP_CLASSES; i++) {
		if (what == SLOT)
			s->policy[i].slot = 0xFFFFFFF0;
		if (what == SLOT_COUNT)
			s->policy[i].count = 0x80000000;
		if (what == SLOTS_OF_ANOTHER)
			s->policy[i].slot = other->policy[0].slot;
	}
}

/* Whatever is in one entry: no crash, and what is published afterwards is right. */
static void damaged_entries_do_no_harm(struct fixture *f, enum damage what)
{
	const struct np_service *other;

	PUBLISH(f, "ns/a", IP("1"), "1 2");
	PUBLISH(f, "ns/b", IP("2"), "2 3");
	damage(f, what);
	reopen(f);
	if (what == VERSION)
		assert_int_equal(publish_used(f->p, TABLE_frontends), 1 + 2);
	PUBLISH(f, "ns/a", IP("1"), "4");
	CHECK(f, "ns/a", IP("1"), "4");
	other = find4(f, V4(2), 80, NULL);
	assert_true(other || what == SLOTS_OF_ANOTHER); /* then either of the two may be dropped */
	if (other)
		assert_int_equal(backend_of(f, &other->policy[0], 0)->flags, NP_BACKEND_USED);
	PUBLISH(f, "ns/b", IP("2"), "3 4");
	publish_sweep(f->p);
	CHECK(f, "ns/a", IP("1"), "4");
	CHECK(f, "ns/b", IP("2"), "3 4");
	REMOVE(f, "ns/a");
	REMOVE(f, "ns/b");
	assert_empty(f);
}

static void an_adopted_version_outside_the_table_is_dropped(void **state)
{
	damaged_entries_do_no_harm(*state, VERSION);
}

static void an_adopted_version_named_twice_is_dropped_once(void **state)
{
	damaged_entries_do_no_harm(*state, TWICE);
}

static void an_adopted_slot_outside_the_table_does_no_harm(void **state)
{
	damaged_entries_do_no_harm(*state, SLOT);
}

static void an_adopted_run_beyond_the_table_does_no_harm(void **state)
{
	damaged_entries_do_no_harm(*state, SLOT_COUNT);
}

static void an_adopted_run_of_another_service_does_no_harm(void **state)
{
	damaged_entries_do_no_harm(*state, SLOTS_OF_ANOTHER);
}

static void an_adopted_counter_outside_the_table_does_no_harm(void **state)
{
	damaged_entries_do_no_harm(*state, ID);
}

static void an_adopted_backend_outside_the_table_does_no_harm(void **state)
{
	damaged_entries_do_no_harm(*state, BACKEND);
}

/* The model: what each service was last published with. */
#define MODELS 50
struct model {
	char key[16], spec[256], endpoints[64];
	bool there;
};

static void draw(struct model *m, unsigned n, unsigned *seed)
{
	static const char marks[] = " Lab";
	int used, count = rand_r(seed) % 6;

	snprintf(m->key, sizeof(m->key), "ns/s%u", n);
	used = snprintf(m->spec, sizeof(m->spec),
			"'clusterIP':'%s%u','ports':[{'name':'http',"
			"'port':80}",
			n % 5 ? "10.96.0." : "fd00:9::", n + 1);
	if (rand_r(seed) % 2)
		used += snprintf(m->spec + used, sizeof(m->spec) - used,
				 ",{'name':'dns','port':53,'protocol':'UDP'}");
	used += snprintf(m->spec + used, sizeof(m->spec) - used, "]");
	if (n % 5 && rand_r(seed) % 3 == 0)
		used += snprintf(m->spec + used, sizeof(m->spec) - used,
				 ",'externalIPs':['192.0.2.%u']", rand_r(seed) % 8);
	if (rand_r(seed) % 3 == 0)
		snprintf(m->spec + used, sizeof(m->spec) - used,
			 ",'internalTrafficPolicy':'Local'");
	m->endpoints[0] = '\0';
	for (int i = used = 0; i < count; i++) {
		unsigned last = 1 + rand_r(seed) % 40;

		/* Marks hang on the address, as those of a pod do. */
		used += snprintf(m->endpoints + used, sizeof(m->endpoints) - used, "%u%c ", last,
				 marks[last % 4]);
	}
}

/* Every frontend is in the tables, each owned once, with what its owner wants. */
static void check_models(struct fixture *f, const struct model *models)
{
	uint32_t own = 0;

	for (unsigned n = 0; n < MODELS; n++) {
		if (!models[n].there)
			continue;
		own += check(f, models[n].key, models[n].spec, models[n].endpoints, true);
		own++; /* the address entry of its clusterIP */
	}
	assert_int_equal(publish_used(f->p, TABLE_frontends), own);
	assert_int_equal(publish_used(f->p, TABLE_services), own);
}

static void any_history_ends_in_what_was_published_last(void **state)
{
	static struct model models[MODELS];
	struct fixture *f = *state;
	unsigned seed = 1, full = 0;

	memset(models, 0, sizeof(models));
	for (int step = 0; step < (f->options == &tight ? 1000 : 4000); step++) {
		unsigned n = rand_r(&seed) % MODELS;
		bool remove = models[n].there && rand_r(&seed) % 3 == 0;
		int rc;

		draw(&models[n], n, &seed);
		rc = publish(f, models[n].key, remove ? NULL : models[n].spec, models[n].endpoints);
		models[n].there = !remove && !rc;
		if (rc) {
			assert_int_equal(rc, -ENOSPC);
			REMOVE(f, models[n].key);
			full++;
		}
		if (step % 500 == 0 && !full)
			check_models(f, models);
	}
	assert_int_equal(full > 0, f->options == &tight);
	if (!full)
		check_models(f, models);
	for (unsigned n = 0; n < MODELS; n++)
		REMOVE(f, models[n].key[0] ? models[n].key : "ns/none");
	assert_empty(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(adopted_tables_are_as_they_were, pinned),
		TEST(counters_go_on_after_a_restart, pinned),
		TEST(two_services_never_share_counters, pinned),
		TEST(a_sweep_removes_what_no_service_claims, pinned),
		TEST(what_was_swept_makes_room, pinned),
		TEST(addresses_that_have_gone_are_forgotten, pinned),
		TEST(a_lost_table_takes_no_address_from_programs_of_before, pinned),
		TEST(a_lost_filter_is_filled, pinned),
		TEST(a_full_table_survives_a_restart, pinned),
		TEST(an_adopted_version_outside_the_table_is_dropped, pinned),
		TEST(an_adopted_version_named_twice_is_dropped_once, pinned),
		TEST(an_adopted_slot_outside_the_table_does_no_harm, pinned),
		TEST(an_adopted_run_beyond_the_table_does_no_harm, pinned),
		TEST(an_adopted_run_of_another_service_does_no_harm, pinned),
		TEST(an_adopted_counter_outside_the_table_does_no_harm, pinned),
		TEST(an_adopted_backend_outside_the_table_does_no_harm, pinned),
		TEST(any_history_ends_in_what_was_published_last, roomy),
		TEST(any_history_ends_in_what_was_published_last, tight),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("publish over time", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
