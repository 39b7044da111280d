/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/publish.c and version.c on real tables: what programs find there by the hash,
 * that a change touches its service only, full tables, conflicts, backends and addresses. What is
 * adopted, and long random histories, are in test_publish_adopt.c. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "publish_fixture.h"

static const struct tables_options few_services = {
	.max_flows = 64, .max_services = 8, .max_slots = 256, .max_backends = 64};
static const struct tables_options few_slots = {
	.max_flows = 64, .max_services = 64, .max_slots = 64, .max_backends = 64};
static const struct tables_options few_backends = {
	.max_flows = 64, .max_services = 64, .max_slots = 256, .max_backends = 16};

/* What the policies say, in literal words: F forward, R reject, D drop, backends, + translated. */
static const struct lookup_case {
	const char *name, *spec, *endpoints, *addr;
	uint16_t port;
	uint8_t protocol;
	const char *wanted;
	bool node_class;
} lookup_cases[] = {
	{"clusterIP", WEB, "1L 2", "10.96.0.1", 80, IPPROTO_TCP, "F2 F2+ F2+", false},
	{"no endpoint", WEB, "", "10.96.0.1", 80, IPPROTO_TCP, "R0 R0 R0", false},
	{"iTP Local", WEB LOCAL("internal"), "1L 2", "10.96.0.1", 80, IPPROTO_TCP, "F1 F1+ F1+",
	 false},
	{"iTP Local, none", WEB LOCAL("internal"), "1", "10.96.0.1", 80, IPPROTO_TCP, "D0 D0 D0",
	 false},
	{"externalIP", WEB EXTERNAL, "1", "192.0.2.1", 80, IPPROTO_TCP, "F1+ F1+ F1+", false},
	{"eTP Local", NODE_PORT LOCAL("external"), "1 2L 3", "0.0.0.0", 30080, IPPROTO_TCP,
	 "F3 F3+ F1", true},
	{"eTP Local, none", NODE_PORT LOCAL("external"), "1", "0.0.0.0", 30080, IPPROTO_TCP,
	 "F1 F1+ D0", true},
	{"UDP", DNS, "1 2 3", "10.96.0.1", 53, IPPROTO_UDP, "F3 F3+ F3+", false},
	{"IPv6", SIX, "1L 2", "fd00:9::1", 80, IPPROTO_TCP, "F2 F2+ F2+", false},
};

static void a_frontend_is_found_with_its_policies(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lookup_cases); i++) {
		const struct lookup_case *c = &lookup_cases[i];
		int family = strchr(c->addr, ':') ? NP_IPV6 : NP_IPV4, n = 0;
		union np_addr addr = {.word = {0}};
		const struct np_service *s;
		char text[64];

		inet_pton(family == NP_IPV6 ? AF_INET6 : AF_INET, c->addr, &addr);
		PUBLISH(f, "ns/web", c->spec, c->endpoints);
		s = find(f->t, family, &addr, htons(c->port), c->protocol, NULL);
		assert_non_null(s);
		for (int k = 0; k < NP_CLASSES; k++)
			n += sprintf(text + n, "%s%c%u%s", k ? " " : "",
				     "PFRD"[s->policy[k].verdict], s -> policy[k].count,
				     s->policy[k].snat ? "+" : "");
		if (strcmp(text, c->wanted) ||
		    !!(s->flags & NP_SERVICE_NODE_CLASS) != c->node_class)
			fail_msg("%s: %s, flags %x", c->name, text, s->flags);
		CHECK(f, "ns/web", c->spec, c->endpoints);
	}
	REMOVE(f, "ns/web");
	assert_empty(f);
}

static uint32_t entries_changed(struct fixture *f, const uint64_t *before)
{
	const uint64_t *now = (const uint64_t *)f->t->frontends;
	uint32_t changed = 0;

	for (uint32_t i = 0; i < f->t->size[TABLE_frontends] * NP_BUCKET; i++)
		changed += now[i] != before[i];
	return changed;
}

static void a_change_concerns_its_service_only(void **state)
{
	_cleanup_free_ uint64_t *before = NULL;
	struct fixture *f = *state;

	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1 2");
	PUBLISH(f, "ns/b", IP("2"), "1 2 3");
	PUBLISH(f, "ns/c", IP("3"), "2");
	before = copy_of(f->t, TABLE_frontends, f->t->frontends);
	PUBLISH(f, "ns/b", IP("2"), "1 2 3");
	assert_int_equal(entries_changed(f, before), 0);
	PUBLISH(f, "ns/a", IP("1") EXTERNAL, "1 9");
	assert_int_equal(entries_changed(f, before), 2);
	CHECK(f, "ns/a", IP("1") EXTERNAL, "1 9");
	CHECK(f, "ns/b", IP("2"), "1 2 3");
	CHECK(f, "ns/c", IP("3"), "2");
}

static void a_change_leaves_the_old_version_whole(void **state)
{
	const struct np_service *old, *new;
	uint32_t number, first, backend;
	uint64_t *entry, *after, tag;
	struct fixture *f = *state;
	struct np_service copy;

	PUBLISH(f, "ns/web", WEB, "1 2 3");
	old = find4(f, V4(1), 80, &entry);
	assert_non_null(old);
	copy = *old;
	tag = *entry >> 32;
	number = (uint32_t)*entry;
	first = old->policy[0].slot;
	backend = *tables_slot(f->t, first + 2);
	PUBLISH(f, "ns/web", WEB, "4 5");
	new = find4(f, V4(1), 80, &after);
	assert_ptr_equal(after, entry);
	assert_int_equal(*entry >> 32, tag);
	assert_int_not_equal((uint32_t)*entry, number);
	assert_memory_equal(old, &copy, sizeof(copy));
	assert_int_equal(*tables_slot(f->t, first + 2), backend);
	assert_int_equal(f->t->backends[backend].addr.v4, inet_addr("10.1.0.3"));
	assert_int_equal(new->id, copy.id);
}

struct reader {
	const uint64_t *entry;
	uint64_t tag;
	bool stop;
	unsigned long torn, seen;
};

static void *read_entry(void *arg)
{
	struct reader *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint64_t entry = __atomic_load_n(r->entry, __ATOMIC_ACQUIRE);

		r->torn += entry >> 32 != r->tag;
		__atomic_fetch_add(&r->seen, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_reader_never_misses_a_frontend_that_changes(void **state)
{
	struct fixture *f = *state;
	struct reader r = {.stop = false};
	pthread_t thread;
	uint64_t *entry;

	PUBLISH(f, "ns/web", WEB, "1 2");
	assert_non_null(find4(f, V4(1), 80, &entry));
	r.entry = entry;
	r.tag = *entry >> 32;
	assert_int_equal(pthread_create(&thread, NULL, read_entry, &r), 0);
	while (!__atomic_load_n(&r.seen, __ATOMIC_RELAXED))
		;
	for (int i = 0; i < 1000; i++)
		PUBLISH(f, "ns/web", WEB, i % 2 ? "1 2" : "3");
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(r.torn, 0);
}

static void assert_conflicts(struct fixture *f, const char *wanted, size_t count)
{
	json_t *list = publish_conflicts(f->p);
	const char *text = json_string_value(json_array_get(list, 0));

	assert_int_equal(json_array_size(list), count);
	if (count && !strstr(text, wanted))
		fail_msg("%s", text);
	json_decref(list);
}

static void who_claims_a_frontend_first_keeps_it(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/z", IP("1") EXTERNAL, "1");
	PUBLISH(f, "ns/a", IP("2") EXTERNAL, "2");
	CHECK(f, "ns/z", IP("1") EXTERNAL, "1");
	CHECK(f, "ns/a", IP("2"), "2");
	assert_conflicts(
		f, "Service \"ns/a\": ExternalIP port 80 belongs to Service \"ns/z\" already", 1);
	PUBLISH(f, "ns/z", IP("1") EXTERNAL, "3");
	CHECK(f, "ns/z", IP("1") EXTERNAL, "3");
	PUBLISH(f, "ns/a", IP("2") EXTERNAL, "4");
	CHECK(f, "ns/z", IP("1") EXTERNAL, "3");
	REMOVE(f, "ns/a");
	CHECK(f, "ns/z", IP("1") EXTERNAL, "3");
	assert_conflicts(f, "", 0);
}

static void the_second_gets_a_frontend_when_the_first_goes(void **state)
{
	static const char *const left[] = {NULL, IP("1")};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		PUBLISH(f, "ns/z", IP("1") EXTERNAL, "1");
		PUBLISH(f, "ns/a", IP("2") EXTERNAL, "2");
		PUBLISH(f, "ns/z", left[i], "1");
		CHECK(f, "ns/a", IP("2") EXTERNAL, "2");
		assert_conflicts(f, "", 0);
		REMOVE(f, "ns/a");
		REMOVE(f, "ns/z");
		assert_empty(f);
	}
}

/* Services with three endpoints of their own until one does not fit; returns its number. */
static unsigned fill(struct fixture *f, char *spec, size_t size)
{
	char key[16], endpoints[32];
	unsigned n = 0;
	int rc = 0;

	while (!rc) {
		assert_true(++n < 64);
		snprintf(key, sizeof(key), "ns/s%u", n);
		snprintf(spec, size, "'clusterIP':'10.96.0.%u','ports':[{'name':'http','port':80}]",
			 n);
		snprintf(endpoints, sizeof(endpoints), "%u %u %u", 3 * n, 3 * n + 1, 3 * n + 2);
		rc = publish(f, key, spec, endpoints);
	}
	assert_int_equal(rc, -ENOSPC);
	REMOVE(f, key);
	return n;
}

static void a_full_table_leaves_other_services_alone(void **state)
{
	_cleanup_free_ uint64_t *before = NULL;
	struct fixture *f = *state;
	char spec[128], key[16], endpoints[32];
	unsigned last = fill(f, spec, sizeof(spec));

	assert_true(last > 3);
	assert_null(find4(f, V4(last), 80, NULL));
	before = copy_of(f->t, TABLE_frontends, f->t->frontends);
	snprintf(key, sizeof(key), "ns/s%u", last);
	snprintf(endpoints, sizeof(endpoints), "%u %u %u", 200, 201, 202);
	assert_int_equal(publish(f, key, spec, endpoints), -ENOSPC);
	assert_int_equal(entries_changed(f, before), 0);
	CHECK(f, "ns/s1", IP("1"), "3 4 5");
	CHECK(f, "ns/s2", IP("2"), "6 7 8");
	REMOVE(f, "ns/s2");
	PUBLISH(f, key, spec, endpoints);
	CHECK(f, key, spec, endpoints);
	CHECK(f, "ns/s1", IP("1"), "3 4 5");
	for (unsigned n = 1; n <= last; n++) {
		snprintf(key, sizeof(key), "ns/s%u", n);
		REMOVE(f, key);
	}
	assert_empty(f);
}

/* What is there may change although nothing new finds room. */
static void a_full_table_takes_changes(void **state)
{
	struct fixture *f = *state;
	char spec[128];

	fill(f, spec, sizeof(spec));
	for (int n = 0; n < 3; n++) {
		PUBLISH(f, "ns/s1", IP("1"), "3 4 9");
		CHECK(f, "ns/s1", IP("1"), "3 4 9");
		PUBLISH(f, "ns/s1", IP("1"), "3 4 5");
	}
}

static void a_change_without_room_keeps_what_there_was(void **state)
{
	struct fixture *f = *state;
	char spec[128], many[512] = "";

	fill(f, spec, sizeof(spec));
	for (int n = 0; n < 45; n++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%d ", 180 + n);
	assert_int_equal(publish(f, "ns/s1", IP("1"), many), -ENOSPC);
	assert_int_equal(find4(f, V4(1), 80, NULL)->policy[0].count, 3);
}

/* The frontends it had and no longer names must not be forgotten in the tables. */
static void what_a_failed_change_gave_up_goes_in_the_end(void **state)
{
	struct fixture *f = *state;
	char spec[128];

	fill(f, spec, sizeof(spec));
	assert_int_equal(publish(f, "ns/s1", IP("201"), "100 101 102"), -ENOSPC);
	REMOVE(f, "ns/s2");
	REMOVE(f, "ns/s3");
	PUBLISH(f, "ns/s1", IP("201"), "100 101 102");
	CHECK(f, "ns/s1", IP("201"), "100 101 102");
	assert_null(find4(f, V4(1), 80, NULL));
}

static void what_a_failed_change_gave_up_goes_with_its_service(void **state)
{
	struct fixture *f = *state;
	char spec[128];

	fill(f, spec, sizeof(spec));
	assert_int_equal(publish(f, "ns/s1", IP("201"), "100 101 102"), -ENOSPC);
	REMOVE(f, "ns/s1");
	assert_null(find4(f, V4(1), 80, NULL));
	assert_null(find4(f, V4(201), 80, NULL));
	PUBLISH(f, "ns/new", IP("1"), "3");
	CHECK(f, "ns/new", IP("1"), "3");
	assert_conflicts(f, "", 0);
}

struct counted {
	uint32_t backends, references, last;
};

static int count(const struct publish_backend *b, void *arg)
{
	struct counted *counted = arg;

	assert_true(b->entry->flags & NP_BACKEND_USED);
	assert_int_equal(b->entry->port, htons(8080));
	counted->backends++;
	counted->references += b->references;
	counted->last = b->number;
	return 0;
}

static void assert_backends(struct fixture *f, uint32_t backends, uint32_t references)
{
	struct counted counted = {0};

	assert_int_equal(publish_each_backend(f->p, count, &counted), 0);
	assert_int_equal(counted.backends, backends);
	assert_int_equal(counted.references, references);
	assert_int_equal(publish_used(f->p, TABLE_backends), backends);
}

static void a_backend_of_many_services_is_one(void **state)
{
	struct counted counted = {0};
	struct fixture *f = *state;

	PUBLISH(f, "ns/a", IP("1"), "1 2");
	PUBLISH(f, "ns/b", IP("2") EXTERNAL, "1");
	assert_backends(f, 2, 4);
	assert_int_equal(*tables_slot(f->t, find4(f, V4(1), 80, NULL)->policy[0].slot),
			 *tables_slot(f->t, find4(f, V4(2), 80, NULL)->policy[0].slot));
	REMOVE(f, "ns/a");
	assert_backends(f, 1, 2);
	CHECK(f, "ns/b", IP("2") EXTERNAL, "1");
	publish_each_backend(f->p, count, &counted);
	PUBLISH(f, "ns/b", IP("2"), "1");
	assert_backends(f, 1, 1);
	assert_int_equal(f->t->backends[counted.last].flags, NP_BACKEND_USED);
	REMOVE(f, "ns/b");
	assert_int_equal(f->t->backends[counted.last].flags, 0);
	assert_int_equal(f->t->backends[counted.last].addr.v4, inet_addr("10.1.0.1"));
	assert_backends(f, 0, 0);
}

static void marks_follow_the_endpoint(void **state)
{
	static const struct {
		const char *endpoints;
		uint8_t zone, flags;
	} steps[] = {
		{"1b", NP_ZONE_OTHER, NP_BACKEND_USED},
		{"1a", NP_ZONE_ZONE, NP_BACKEND_USED},
		{"1L", NP_ZONE_NODE, NP_BACKEND_USED | NP_BACKEND_LOCAL},
		{"1", NP_ZONE_UNKNOWN, NP_BACKEND_USED},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct np_backend *b;

		PUBLISH(f, "ns/web", WEB, steps[i].endpoints);
		b = backend_of(f, &find4(f, V4(1), 80, NULL)->policy[0], 0);
		assert_int_equal(b->zone, steps[i].zone);
		assert_int_equal(b->flags, steps[i].flags);
		assert_backends(f, 1, 1);
	}
}

static void sources_are_asked_for_again(void **state)
{
	struct fixture *f = *state;
	const struct np_backend *b;

	f->source = 0;
	PUBLISH(f, "ns/web", WEB, "1");
	b = backend_of(f, &find4(f, V4(1), 80, NULL)->policy[0], 0);
	assert_int_equal(b->snat.v4, 0);
	for (uint32_t n = 1; n < 3; n++) {
		f->source = htonl(0xC0000200 + n);
		publish_sources(f->p);
		assert_int_equal(b->snat.v4, f->source);
	}
	PUBLISH(f, "ns/web", WEB, "1 2");
	b = backend_of(f, &find4(f, V4(1), 80, NULL)->policy[0], 1);
	assert_int_equal(b->snat.v4, f->source);
}

static void assert_address(struct fixture *f, int family, const union np_addr *addr, uint32_t flags)
{
	const struct np_service *s = find(f->t, family, addr, 0, 0, NULL);

	assert_int_equal(s ? s->flags : 0, flags);
}

static void addresses_not_told_again_are_gone(void **state)
{
	const union np_addr a = {.word = {V4(11)}}, b = {.word = {V4(12)}};
	const union np_addr six = {.word = {htonl(0xFD000000), 0, 0, htonl(1)}};
	const uint32_t both = NP_SERVICE_HOST_ADDRESS | NP_SERVICE_NODE_ADDRESS;
	struct fixture *f = *state;

	PUBLISH(f, "ns/web", WEB, "1");
	assert_int_equal(publish_address(f->p, NP_IPV4, &a, both), 0);
	assert_int_equal(publish_address(f->p, NP_IPV4, &b, NP_SERVICE_HOST_ADDRESS), 0);
	assert_int_equal(publish_address(f->p, NP_IPV6, &six, both), 0);
	assert_address(f, NP_IPV4, &a, both);
	assert_address(f, NP_IPV4, &b, NP_SERVICE_HOST_ADDRESS);
	assert_address(f, NP_IPV6, &six, both);
	publish_addresses_begin(f->p);
	assert_int_equal(publish_address(f->p, NP_IPV4, &a, NP_SERVICE_HOST_ADDRESS), 0);
	assert_int_equal(publish_address(f->p, NP_IPV6, &six, both), 0);
	assert_address(f, NP_IPV4, &b, NP_SERVICE_HOST_ADDRESS);
	publish_addresses_end(f->p);
	assert_address(f, NP_IPV4, &a, NP_SERVICE_HOST_ADDRESS);
	assert_address(f, NP_IPV4, &b, 0);
	assert_address(f, NP_IPV6, &six, both);
	CHECK(f, "ns/web", WEB, "1");
	publish_sweep(f->p);
	assert_address(f, NP_IPV4, &a, NP_SERVICE_HOST_ADDRESS);
	publish_addresses_begin(f->p);
	publish_addresses_end(f->p);
	REMOVE(f, "ns/web");
	assert_empty(f);
}

static int note(const struct plan *plan, void *arg)
{
	char *text = arg, *end = text + strlen(text);

	sprintf(end, "%s/%s:%s ", plan->namespace, plan->name, plan->port_name);
	return strstr(text, "stop") ? -ECANCELED : 0;
}

static void services_are_told_in_order(void **state)
{
	struct fixture *f = *state;
	char text[256] = "";

	PUBLISH(f, "b/a", IP("1"), "1");
	PUBLISH(f, "a-b/a", IP("2"), "1");
	PUBLISH(f, "a/z", IP("3"), "1");
	PUBLISH(f, "a/b",
		"'clusterIP':'10.96.0.4','ports':[{'name':'http','port':80},"
		"{'name':'dns','port':53,'protocol':'UDP'}]",
		"1");
	assert_int_equal(publish_each(f->p, note, text), 0);
	assert_string_equal(text, "a/b:dns a/b:http a/z:http a-b/a:http b/a:http ");
	PUBLISH(f, "a/stop", IP("5"), "1");
	text[0] = '\0';
	assert_int_equal(publish_each(f->p, note, text), -ECANCELED);
	assert_string_equal(text, "a/b:dns a/b:http a/stop:http ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frontend_is_found_with_its_policies, roomy),
		TEST(a_change_concerns_its_service_only, roomy),
		TEST(a_change_leaves_the_old_version_whole, roomy),
		TEST(a_reader_never_misses_a_frontend_that_changes, roomy),
		TEST(who_claims_a_frontend_first_keeps_it, roomy),
		TEST(the_second_gets_a_frontend_when_the_first_goes, roomy),
		TEST(a_full_table_leaves_other_services_alone, few_services),
		TEST(a_full_table_leaves_other_services_alone, few_slots),
		TEST(a_full_table_leaves_other_services_alone, few_backends),
		TEST(a_full_table_takes_changes, few_services),
		TEST(a_full_table_takes_changes, few_backends),
		TEST(a_change_without_room_keeps_what_there_was, few_slots),
		TEST(a_change_without_room_keeps_what_there_was, few_backends),
		TEST(what_a_failed_change_gave_up_goes_in_the_end, few_services),
		TEST(what_a_failed_change_gave_up_goes_in_the_end, few_backends),
		TEST(what_a_failed_change_gave_up_goes_with_its_service, few_services),
		TEST(a_backend_of_many_services_is_one, roomy),
		TEST(marks_follow_the_endpoint, roomy),
		TEST(sources_are_asked_for_again, roomy),
		TEST(addresses_not_told_again_are_gone, roomy),
		TEST(services_are_told_in_order, roomy),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("publish", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
