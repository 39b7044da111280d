/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/compare.c, and of changes that are put back (loader/publish.c): on real tables,
 * which are written into as somebody else would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"
#include "publish_fixture.h"

struct seen {
	unsigned count, waits, repaired;
	struct difference last;
};

static void see(const struct difference *d, void *arg)
{
	struct seen *seen = arg;

	seen->count++;
	seen->waits += d->waits;
	seen->repaired += d->repaired == 1;
	seen->last = *d;
}

static struct seen compare(struct fixture *f, bool repair)
{
	struct seen seen = {};
	const struct compare c = {.repair = repair, .found = see, .arg = &seen};

	for (uint32_t n = 0; n < f->t->size[TABLE_services]; n++)
		compare_version(f->p, n, &c);
	for (uint32_t n = 0; n < f->t->size[TABLE_frontends]; n++)
		compare_bucket(f->p, n, &c);
	for (uint32_t n = 0; n < f->t->size[TABLE_backends]; n++)
		compare_backend(f->p, n, &c);
	compare_ranges(f->p, &c);
	compare_waiting(f->p, &c);
	return seen;
}

static int publish_whole(struct fixture *f, const char *key, const char *spec,
			 const char *endpoints)
{
	_cleanup_made_ struct made made = make(key, spec, endpoints);

	return publish_service_whole(f->p, made.namespace, made.name, made.plans, made.count);
}

static struct np_service *writable(struct fixture *f, uint32_t n)
{
	return (struct np_service *)find4(f, V4(n), 80, NULL);
}

struct used {
	uint32_t frontends, services, slots, backends, ids;
};

static struct used used(struct fixture *f)
{
	return (struct used){
		publish_used(f->p, TABLE_frontends),
		publish_used(f->p, TABLE_services),
		publish_used(f->p, TABLE_slots),
		publish_used(f->p, TABLE_backends),
		publish_id_count(f->p),
	};
}

static void assert_used(struct fixture *f, struct used before)
{
	const struct used now = used(f);

	assert_memory_equal(&now, &before, sizeof(now));
}

/* "100 101 ...". */
static void many(unsigned count, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < count; i++)
		n += snprintf(text + n, size - n, "%u ", 100 + i);
}

/* Whatever the size at which it does not fit, and however much was done by then. */
static void what_does_not_fit_leaves_all_as_it_was(void **state)
{
	static const char three[] =
		"'clusterIP':'10.96.0.1','externalIPs':['192.0.2.1','192.0.2.2','192.0.2.3'],"
		"'ports':[{'name':'http','port':80}]";
	struct fixture *f = *state;
	unsigned refused = 0;
	struct used before;
	char text[1024];

	PUBLISH(f, "ns/web", three, "1 2 3");
	PUBLISH(f, "ns/other", IP("2"), "4 5 6");
	before = used(f);
	for (unsigned count = 4; count < 64; count++) {
		many(count, text, sizeof(text));
		if (!publish_whole(f, "ns/web", three, text)) {
			CHECK(f, "ns/web", three, text);
			assert_int_equal(publish_whole(f, "ns/web", three, "1 2 3"), 0);
		} else {
			refused++;
		}
		CHECK(f, "ns/web", three, "1 2 3");
		CHECK(f, "ns/other", IP("2"), "4 5 6");
		assert_used(f, before);
		assert_int_equal(compare(f, false).count, 0);
	}
	assert_true(refused > 20); /* of some of the frontends first, of backends in the end */
}

static void what_does_not_fit_is_told_by_table_and_option(void **state)
{
	struct fixture *f = *state;
	const struct used before = used(f);
	struct publish_full full;
	char text[1024];

	many(70, text, sizeof(text));
	assert_int_equal(publish_whole(f, "ns/web", WEB, text), -ENOSPC);
	full = publish_full(f->p);
	assert_string_equal(full.table, "backends");
	assert_string_equal(full.option, "max-backends");
	assert_int_equal(full.size, 64);
	assert_used(f, before);
	assert_empty(f);
}

/* Of several ports, those that were published go again, their numbers and addresses too. */
static void a_new_service_comes_whole_or_not_at_all(void **state)
{
	static const char ports[] =
		"'clusterIP':'10.96.0.1','externalIPs':['192.0.2.1'],'ports':["
		"{'name':'http','port':80},{'name':'x','port':81,'targetPort':8080},"
		"{'name':'dns','port':53,'protocol':'UDP'}]";
	struct fixture *f = *state;
	char text[1024];

	many(60, text, sizeof(text)); /* of http; dns has as many more */
	assert_int_equal(publish_whole(f, "ns/web", ports, text), -ENOSPC);
	assert_empty(f);
	assert_int_equal(publish_id_count(f->p), 0);
	assert_int_equal(compare(f, false).count, 0);
	assert_int_equal(publish_whole(f, "ns/web", ports, "1 2 3"), 0);
	assert_true(find4(f, V4(1), 80, NULL) != NULL);
}

static void a_damaged_version_is_published_anew(void **state)
{
	struct fixture *f = *state;
	const struct np_service *before;
	struct used was;
	struct seen seen;

	PUBLISH(f, "ns/web", WEB, "1 2 3");
	was = used(f);
	before = writable(f, 1);
	writable(f, 1)->policy[NP_CLASS_POD].verdict = NP_VERDICT_DROP;
	assert_int_equal(compare(f, false).count, 1);
	seen = compare(f, true);
	assert_int_equal(seen.repaired, 1);
	assert_string_equal(seen.last.what,
			    "Service \"ns/web\" port \"http\" ClusterIP 10.96.0.1:80/TCP");
	assert_string_equal(seen.last.wanted,
			    "pod: forward to 10.1.0.1:8080, 10.1.0.2:8080, 10.1.0.3:8080");
	assert_string_equal(seen.last.found,
			    "pod: drop to 10.1.0.1:8080, 10.1.0.2:8080, 10.1.0.3:8080");
	assert_ptr_not_equal(find4(f, V4(1), 80, NULL), before);
	CHECK(f, "ns/web", WEB, "1 2 3");
	assert_used(f, was);
	assert_int_equal(compare(f, false).count, 0);
	REMOVE(f, "ns/web");
	assert_empty(f);
}

/* The slots of a damaged version are anybody's: giving it back frees its own. */
static void a_damaged_version_frees_nothing_of_others(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/web", WEB, "1 2 3");
	PUBLISH(f, "ns/other", IP("2"), "4 5 6");
	for (int i = 0; i < NP_CLASSES; i++) {
		writable(f, 1)->policy[i].slot = writable(f, 2)->policy[i].slot;
		writable(f, 1)->policy[i].count = 0x10000000;
	}
	REMOVE(f, "ns/web");
	CHECK(f, "ns/other", IP("2"), "4 5 6");
	PUBLISH(f, "ns/new", IP("3"), "7 8 9");
	CHECK(f, "ns/other", IP("2"), "4 5 6");
	CHECK(f, "ns/new", IP("3"), "7 8 9");
	REMOVE(f, "ns/other");
	REMOVE(f, "ns/new");
	assert_empty(f);
}

static void a_lost_entry_is_not_given_to_others(void **state)
{
	struct fixture *f = *state;
	uint64_t *entry;

	PUBLISH(f, "ns/web", WEB, "1");
	find4(f, V4(1), 80, &entry);
	*entry = 0;
	for (unsigned n = 2; n < 12; n++) {
		char key[16], spec[80];

		snprintf(key, sizeof(key), "ns/s%u", n);
		snprintf(spec, sizeof(spec),
			 "'clusterIP':'10.96.0.%u','ports':[{'name':'http','port':80}]", n);
		PUBLISH(f, key, spec, "1");
		assert_int_equal(*entry, 0);
	}
	assert_int_equal(compare(f, true).repaired, 1);
	assert_true(*entry != 0);
	CHECK(f, "ns/web", WEB, "1");
	assert_int_equal(compare(f, false).count, 0);
}

/* All bits: of the frontend, and of the clusterIP's address entry, which is the same address. */
static void a_lost_address_is_known_again(void **state)
{
	struct fixture *f = *state;
	const uint32_t words = f->t->size[TABLE_address_filter];

	PUBLISH(f, "ns/web", WEB, "1");
	memset(f->t->address_filter, 0, words * sizeof(*f->t->address_filter));
	assert_null(find4(f, V4(1), 80, NULL));
	assert_int_not_equal(compare(f, false).count, 0);
	assert_null(find4(f, V4(1), 80, NULL));
	assert_int_not_equal(compare(f, true).repaired, 0);
	CHECK(f, "ns/web", WEB, "1");
	assert_int_equal(compare(f, false).count, 0);
}

static void a_service_that_waits_is_a_difference(void **state)
{
	struct fixture *f = *state;
	struct seen seen;
	char text[1024];

	PUBLISH(f, "ns/web", WEB, "1");
	many(70, text, sizeof(text));
	assert_int_equal(publish(f, "ns/web", WEB, text), -ENOSPC);
	seen = compare(f, true);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.waits, 1);
	assert_int_equal(seen.repaired, 0);
	PUBLISH(f, "ns/web", WEB, "1");
	assert_int_equal(compare(f, false).count, 0);
}

/* An address that another service has is a conflict of objects, which the tables can do nothing
 * for. */
static void a_conflict_is_no_difference(void **state)
{
	struct fixture *f = *state;

	PUBLISH(f, "ns/a", WEB, "1");
	PUBLISH(f, "ns/b", WEB, "2");
	assert_int_equal(compare(f, false).count, 0);
}

static void an_address_without_room_waits(void **state)
{
	struct fixture *f = *state;
	union np_addr addr = {};
	unsigned n;

	for (n = 0; n < 100; n++) {
		addr.v4 = htonl(0xC6120000 + n);
		if (publish_address(f->p, NP_IPV4, &addr, NP_SERVICE_HOST_ADDRESS))
			break;
	}
	assert_true(n < 100);
	assert_false(publish_is_host(f->p, NP_IPV4, &addr));
	assert_int_equal(compare(f, false).waits, 1);
	publish_addresses_begin(f->p);
	publish_address(f->p, NP_IPV4, &addr, NP_SERVICE_HOST_ADDRESS);
	publish_addresses_end(f->p); /* the others are gone */
	compare(f, true);
	assert_true(publish_is_host(f->p, NP_IPV4, &addr));
	assert_int_equal(compare(f, false).count, 0);
	publish_addresses_begin(f->p);
	publish_addresses_end(f->p);
	assert_empty(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_does_not_fit_leaves_all_as_it_was, pinned),
		TEST(what_does_not_fit_is_told_by_table_and_option, pinned),
		TEST(a_new_service_comes_whole_or_not_at_all, pinned),
		TEST(a_damaged_version_is_published_anew, pinned),
		TEST(a_damaged_version_frees_nothing_of_others, pinned),
		TEST(a_lost_entry_is_not_given_to_others, pinned),
		TEST(a_lost_address_is_known_again, pinned),
		TEST(a_service_that_waits_is_a_difference, pinned),
		TEST(a_conflict_is_no_difference, pinned),
		TEST(an_address_without_room_waits, pinned),
	};

	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("comparison", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
