/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/store.c with ServiceCIDR objects: which commits tell that ranges changed, and
 * that all of them are found by iteration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "kube_text.h"
#include "store_fixture.h"

#define NAMED(name, cidrs)                                                                         \
	"{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR','metadata':{'name':'" name      \
	"','resourceVersion':'1'},'spec':{'cidrs':[" cidrs "]}}"
#define FOUR "'10.96.0.0/12'"
#define SIX  "'fd00:96::/108'"

/* A store, and how often its last commit told that ranges changed. */
struct fixture {
	struct store *store;
	struct store_result result;
	unsigned int told;
	size_t seen; /* of the store, while it was told */
};

static int set_up(void **state)
{
	return store_set_up(state, sizeof(struct fixture));
}

static void note_ranges(void *arg)
{
	struct fixture *f = arg;

	f->told++;
	f->seen = store_count(f->store, KUBE_SERVICE_CIDR);
}

static int fail_on_service(const char *namespace, const char *name, void *arg)
{
	(void)arg;
	fail_msg("%s/%s was told to have changed", namespace, name);
	return 0;
}

static void fail_on_node(const char *name, void *arg)
{
	(void)arg;
	fail_msg("%s was told to have changed", name);
}

/* Commit the objects of texts, up to a NULL; each begins with '-' to remove that key. */
static void commit(struct fixture *f, bool replace, const char *const *texts)
{
	const struct store_visitor visitor = {.service = fail_on_service,
					      .node = fail_on_node,
					      .service_cidr = note_ranges,
					      .arg = f};
	struct store_change *change = NULL;

	f->told = 0;
	assert_int_equal(store_change_new(f->store, replace, &change), 0);
	for (; *texts; texts++) {
		struct kube_object *object = **texts == '-' ? NULL : parse(*texts);

		assert_int_equal(object ? store_change_put(change, &object)
					: store_change_remove(change, *texts + 1),
				 0);
	}
	assert_int_equal(store_commit(f->store, &change, &visitor, &f->result), 0);
}
#define COMMIT(f, replace, ...) commit(f, replace, (const char *const[]){__VA_ARGS__, NULL})

static int list_ranges(const struct kube_object *object, void *arg)
{
	char *text = arg;

	if (object->kind == KUBE_SERVICE_CIDR)
		snprintf(text + strlen(text), 64, "%s:%zu ", object->service_cidr.name,
			 object->service_cidr.cidrs);
	return 0;
}

static void assert_ranges(const struct fixture *f, const char *wanted)
{
	char text[256] = "";

	assert_int_equal(store_each(f->store, list_ranges, text), 0);
	assert_string_equal(text, wanted);
}

static void each_that_changed_is_told_after_the_commit(void **state)
{
	struct fixture *f = *state;

	COMMIT(f, false, NAMED("b", FOUR), NAMED("a", FOUR "," SIX));
	assert_int_equal(f->told, 2);
	assert_int_equal(f->seen, 2);
	assert_ranges(f, "a:2 b:1 ");
	COMMIT(f, false, NAMED("b", SIX), NAMED("a", FOUR "," SIX));
	assert_int_equal(f->told, 1);
	assert_int_equal(f->result.unchanged, 1);
}

static void one_that_goes_is_told_too(void **state)
{
	struct fixture *f = *state;

	COMMIT(f, false, NAMED("a", FOUR), NAMED("b", SIX));
	COMMIT(f, false, "-ServiceCIDR a");
	assert_int_equal(f->told, 1);
	assert_int_equal(f->seen, 1);
	assert_ranges(f, "b:1 ");
	COMMIT(f, false, "-ServiceCIDR a");
	assert_int_equal(f->told, 0);
	assert_int_equal(f->result.missing, 1);
	COMMIT(f, true, NAMED("c", SIX));
	assert_int_equal(f->told, 2);
	assert_int_equal(f->result.removed, 1);
	assert_ranges(f, "c:1 ");
}

static void other_objects_do_not_tell_of_ranges(void **state)
{
	const struct store_visitor visitor = {.service_cidr = note_ranges, .arg = *state};
	struct kube_object *node = parse(NODE("'spec':{}"));
	struct store_change *change = NULL;
	struct fixture *f = *state;

	assert_int_equal(store_change_new(f->store, false, &change), 0);
	assert_int_equal(store_change_put(change, &node), 0);
	assert_int_equal(store_commit(f->store, &change, &visitor, &f->result), 0);
	assert_int_equal(f->told, 0);
	assert_int_equal(store_count(f->store, KUBE_SERVICE_CIDR), 0);
	assert_int_equal(store_count(f->store, KUBE_NODE), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_that_changed_is_told_after_the_commit),
		TEST(one_that_goes_is_told_too),
		TEST(other_objects_do_not_tell_of_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
