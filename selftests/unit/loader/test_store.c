/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/store.c: what a commit counts, whom it visits, and that slices are found by
 * their service whatever happened before.
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

/* A store and what its last commit told. */
struct fixture {
	struct store *store;
	struct store_result result;
	char services[256]; /* "ns/a ns/b ", in order of visit */
	char nodes[256];
	char objects[512]; /* "+Service ns/a -Node n1 " */
};

static void append(char *text, size_t size, const char *format, const char *a, const char *b)
{
	size_t length = strlen(text);

	snprintf(text + length, size - length, format, a, b);
}

static int note_service(const char *namespace, const char *name, void *arg)
{
	struct fixture *f = arg;

	append(f->services, sizeof(f->services), "%s/%s ", namespace, name);
	return 0;
}

static void note_node(const char *name, void *arg)
{
	struct fixture *f = arg;

	append(f->nodes, sizeof(f->nodes), "%s%s ", name, "");
}

static void note_object(const char *key, const char *event, void *arg)
{
	struct fixture *f = arg;
	const char *sign = !strcmp(event, "applied") ? "+" : "-";

	assert_true(!strcmp(event, "applied") || !strcmp(event, "removed"));
	append(f->objects, sizeof(f->objects), "%s%s ", sign, key);
}

static int set_up(void **state)
{
	return store_set_up(state, sizeof(struct fixture));
}

static json_t *object(const char *kind, const char *name, const char *service, const char *extra)
{
	const char *version = strcmp(kind, "EndpointSlice") ? "v1" : "discovery.k8s.io/v1";
	json_t *json = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:{s:s*}}, s:{s:s}, s:s}",
				 "apiVersion", version, "kind", kind, "metadata", "namespace", "ns",
				 "name", name, "resourceVersion", extra ? extra : "1", "labels",
				 "kubernetes.io/service-name", service, "spec", "clusterIP",
				 "10.96.0.1", "addressType", "IPv4");

	assert_non_null(json);
	return json;
}

static void put_json(struct store_change *change, json_t *json)
{
	struct kube_object *parsed = NULL;
	struct kube_error error;
	int err = kube_parse(json, &parsed, &error);

	json_decref(json);
	if (err)
		fail_msg("refused: %s: %s: %s", error.object, error.path, error.reason);
	assert_int_equal(store_change_put(change, &parsed), 0);
	assert_null(parsed);
}

static struct store_change *begin(struct fixture *f, bool replace)
{
	struct store_change *change = NULL;

	assert_int_equal(store_change_new(f->store, replace, &change), 0);
	return change;
}

static void commit(struct fixture *f, struct store_change *change)
{
	const struct store_visitor visitor = {
		.service = note_service, .node = note_node, .object = note_object, .arg = f};

	f->services[0] = '\0';
	f->nodes[0] = '\0';
	f->objects[0] = '\0';
	assert_int_equal(store_commit(f->store, &change, &visitor, &f->result), 0);
	assert_null(change);
}

static void assert_result(const struct fixture *f, size_t applied, size_t unchanged, size_t removed,
			  size_t missing)
{
	assert_int_equal(f->result.applied, applied);
	assert_int_equal(f->result.unchanged, unchanged);
	assert_int_equal(f->result.removed, removed);
	assert_int_equal(f->result.missing, missing);
}

static int compare_names(const void *a, const void *b)
{
	const struct kube_slice *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

/* Names of the slices of a service, sorted, each with a blank after it. */
static void assert_slices(const struct fixture *f, const char *service, const char *wanted)
{
	struct kube_slice **slices = NULL;
	char text[256] = "";
	size_t count;

	assert_int_equal(store_slices(f->store, "ns", service, &slices, &count), 0);
	qsort(slices, count, sizeof(*slices), compare_names);
	for (size_t i = 0; i < count; i++)
		append(text, sizeof(text), "%s%s ", slices[i]->name, "");
	free(slices);
	assert_string_equal(text, wanted);
}

/* Service web with slices a and b, service api with slice c, node n1. */
static void fill(struct fixture *f)
{
	struct store_change *change = begin(f, false);

	put_json(change, object("Service", "web", NULL, NULL));
	put_json(change, object("EndpointSlice", "a", "web", NULL));
	put_json(change, object("EndpointSlice", "b", "web", NULL));
	put_json(change, object("EndpointSlice", "c", "api", NULL));
	put_json(change, object("Service", "api", NULL, NULL));
	put_json(change, object("Node", "n1", NULL, NULL));
	commit(f, change);
}

static void empty_store_has_nothing(void **state)
{
	struct fixture *f = *state;

	assert_null(store_service(f->store, "ns", "web"));
	assert_null(store_node(f->store, "n1"));
	assert_slices(f, "web", "");
	assert_int_equal(store_count(f->store, KUBE_SERVICE), 0);
	commit(f, begin(f, true));
	assert_result(f, 0, 0, 0, 0);
}

static void objects_are_found_after_the_commit(void **state)
{
	struct fixture *f = *state;

	fill(f);
	assert_result(f, 6, 0, 0, 0);
	assert_string_equal(store_service(f->store, "ns", "web")->name, "web");
	assert_null(store_service(f->store, "other", "web"));
	assert_string_equal(store_node(f->store, "n1")->name, "n1");
	assert_slices(f, "web", "a b ");
	assert_slices(f, "api", "c ");
	assert_int_equal(store_count(f->store, KUBE_SERVICE), 2);
	assert_int_equal(store_count(f->store, KUBE_SLICE), 3);
	assert_int_equal(store_count(f->store, KUBE_NODE), 1);
}

static void nothing_is_there_before_the_commit(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);

	put_json(change, object("Service", "web", NULL, NULL));
	assert_null(store_service(f->store, "ns", "web"));
	store_change_free(&change);
	assert_null(change);
	assert_null(store_service(f->store, "ns", "web"));
}

static void each_service_touched_is_visited_once(void **state)
{
	struct fixture *f = *state;

	fill(f);
	assert_non_null(strstr(f->services, "ns/web "));
	assert_non_null(strstr(f->services, "ns/api "));
	assert_int_equal(strlen(f->services), strlen("ns/web ns/api "));
	assert_string_equal(f->nodes, "n1 ");
	assert_string_equal(f->objects, "+Service ns/web +EndpointSlice ns/a +EndpointSlice ns/b "
					"+EndpointSlice ns/c +Service ns/api +Node n1 ");
}

static void one_slice_touches_its_service_only(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;
	json_t *json;

	fill(f);
	change = begin(f, false);
	json = object("EndpointSlice", "a", "web", NULL);
	json_object_set_new(json, "endpoints", load("[{'addresses':['10.1.0.1']}]"));
	put_json(change, json);
	commit(f, change);
	assert_result(f, 1, 0, 0, 0);
	assert_string_equal(f->services, "ns/web ");
	assert_string_equal(f->nodes, "");
	assert_slices(f, "web", "a b ");
}

static void a_slice_before_its_service_is_kept_for_it(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);

	put_json(change, object("EndpointSlice", "a", "late", NULL));
	commit(f, change);
	assert_string_equal(f->services, "ns/late ");
	assert_null(store_service(f->store, "ns", "late"));
	assert_slices(f, "late", "a ");
}

static void a_slice_that_changes_service_touches_both(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;

	fill(f);
	change = begin(f, false);
	put_json(change, object("EndpointSlice", "a", "api", NULL));
	commit(f, change);
	assert_int_equal(strlen(f->services), strlen("ns/web ns/api "));
	assert_slices(f, "web", "b ");
	assert_slices(f, "api", "a c ");
}

static void a_slice_that_loses_its_label_touches_the_old_service(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;

	fill(f);
	change = begin(f, false);
	put_json(change, object("EndpointSlice", "a", NULL, NULL));
	commit(f, change);
	assert_string_equal(f->services, "ns/web ");
	assert_slices(f, "web", "b ");
	assert_int_equal(store_count(f->store, KUBE_SLICE), 3);
}

static void the_same_object_is_no_change(void **state)
{
	struct fixture *f = *state;

	fill(f);
	fill(f);
	assert_result(f, 0, 6, 0, 0);
	assert_string_equal(f->services, "");
	assert_string_equal(f->nodes, "");
	assert_string_equal(f->objects, "");
	assert_slices(f, "web", "a b ");
	assert_non_null(store_service(f->store, "ns", "web"));
}

static int check_version(const struct kube_object *o, void *arg)
{
	const json_t *metadata = json_object_get(o->json, "metadata");

	assert_string_equal(json_string_value(json_object_get(metadata, "resourceVersion")), arg);
	return 0;
}

static void a_new_version_alone_is_no_change_but_is_shown(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);
	json_t *json;

	put_json(change, object("Service", "web", NULL, "1"));
	commit(f, change);
	change = begin(f, false);
	json = object("Service", "web", NULL, "2");
	json_object_set_new(json_object_get(json, "metadata"), "managedFields", json_array());
	put_json(change, json);
	commit(f, change);
	assert_result(f, 0, 1, 0, 0);
	assert_int_equal(store_each(f->store, check_version, "2"), 0);
}

static void a_member_that_appears_or_goes_is_a_change(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;
	json_t *json;

	fill(f);
	for (int i = 0; i < 2; i++) {
		change = begin(f, false);
		json = object("Service", "web", NULL, NULL);
		if (i == 0)
			json_object_set_new(json_object_get(json, "metadata"), "uid",
					    json_integer(1));
		put_json(change, json);
		commit(f, change);
		assert_result(f, 1, 0, 0, 0);
	}
}

static void removing_counts_what_is_missing(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;

	fill(f);
	change = begin(f, false);
	assert_int_equal(store_change_remove(change, "Service ns/web"), 0);
	assert_int_equal(store_change_remove(change, "Service ns/nowhere"), 0);
	assert_int_equal(store_change_remove(change, "Node n1"), 0);
	commit(f, change);
	assert_result(f, 0, 0, 2, 1);
	assert_null(store_service(f->store, "ns", "web"));
	assert_slices(f, "web", "a b ");
	assert_string_equal(f->services, "ns/web ");
	assert_string_equal(f->nodes, "n1 ");
	assert_string_equal(f->objects, "-Service ns/web -Node n1 ");
}

static void what_is_left_of_a_service_goes_with_its_last_slice(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;

	fill(f);
	change = begin(f, false);
	store_change_remove(change, "EndpointSlice ns/a");
	store_change_remove(change, "Service ns/web");
	store_change_remove(change, "EndpointSlice ns/b");
	commit(f, change);
	assert_result(f, 0, 0, 3, 0);
	assert_string_equal(f->services, "ns/web ");
	assert_slices(f, "web", "");
	fill(f);
	assert_result(f, 3, 3, 0, 0);
	assert_slices(f, "web", "a b ");
}

static void replace_removes_what_is_not_named(void **state)
{
	struct fixture *f = *state;
	struct store_change *change;

	fill(f);
	change = begin(f, true);
	put_json(change, object("Service", "web", NULL, NULL));
	put_json(change, object("EndpointSlice", "b", "web", NULL));
	put_json(change, object("EndpointSlice", "d", "new", NULL));
	commit(f, change);
	assert_result(f, 1, 2, 4, 0);
	assert_slices(f, "web", "b ");
	assert_slices(f, "api", "");
	assert_slices(f, "new", "d ");
	assert_null(store_service(f->store, "ns", "api"));
	assert_null(store_node(f->store, "n1"));
	assert_string_equal(f->nodes, "n1 ");
	assert_int_equal(strlen(f->services), strlen("ns/web ns/api ns/new "));
	commit(f, begin(f, true));
	assert_result(f, 0, 0, 3, 0);
	assert_int_equal(store_count(f->store, KUBE_SLICE), 0);
}

static void the_last_mention_of_a_key_wins(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);

	put_json(change, object("EndpointSlice", "a", "web", NULL));
	put_json(change, object("EndpointSlice", "a", "api", NULL));
	put_json(change, object("Service", "web", NULL, NULL));
	assert_int_equal(store_change_remove(change, "Service ns/web"), 0);
	assert_int_equal(store_change_remove(change, "Node n1"), 0);
	put_json(change, object("Node", "n1", NULL, NULL));
	commit(f, change);
	assert_result(f, 2, 0, 0, 1);
	assert_slices(f, "web", "");
	assert_slices(f, "api", "a ");
	assert_null(store_service(f->store, "ns", "web"));
	assert_non_null(store_node(f->store, "n1"));
}

struct watch {
	struct store *store;
	int seen;
};

static int see_whole_change(const char *namespace, const char *name, void *arg)
{
	struct watch *watch = arg;
	struct kube_slice **slices = NULL;
	size_t count;

	assert_non_null(store_service(watch->store, namespace, name));
	assert_int_equal(store_slices(watch->store, namespace, name, &slices, &count), 0);
	assert_int_equal(count, 1);
	free(slices);
	watch->seen++;
	return 0;
}

static void visits_see_the_whole_change(void **state)
{
	struct fixture *f = *state;
	struct watch watch = {.store = f->store};
	const struct store_visitor visitor = {.service = see_whole_change, .arg = &watch};
	struct store_change *change = begin(f, false);

	put_json(change, object("EndpointSlice", "a", "web", NULL));
	put_json(change, object("Service", "web", NULL, NULL));
	put_json(change, object("Node", "n1", NULL, NULL));
	assert_int_equal(store_commit(f->store, &change, &visitor, &f->result), 0);
	assert_int_equal(watch.seen, 1);
}

static void a_commit_needs_no_visitor(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);

	put_json(change, object("Service", "web", NULL, NULL));
	assert_int_equal(store_commit(f->store, &change, NULL, &f->result), 0);
	assert_non_null(store_service(f->store, "ns", "web"));
}

static void a_change_belongs_to_its_store(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);
	struct store *other = NULL;

	put_json(change, object("Service", "web", NULL, NULL));
	assert_int_equal(store_new(&other), 0);
	assert_int_equal(store_commit(other, &change, NULL, &f->result), -EINVAL);
	assert_null(change);
	assert_int_equal(store_count(other, KUBE_SERVICE), 0);
	store_free(&other);
}

static int note_key(const struct kube_object *o, void *arg)
{
	char *text = arg, key[KUBE_KEY_MAX];

	if (!strcmp(kube_write_key(o, key), "Service ns/web"))
		return 7;
	append(text, 256, "%s%s, ", key, "");
	return 0;
}

static void objects_are_shown_in_order_until_told_to_stop(void **state)
{
	struct fixture *f = *state;
	char text[256] = "";

	fill(f);
	assert_int_equal(store_each(f->store, note_key, text), 7);
	assert_string_equal(text, "EndpointSlice ns/a, EndpointSlice ns/b, EndpointSlice ns/c, "
				  "Node n1, Service ns/api, ");
}

static void names_that_are_too_long_are_not_there(void **state)
{
	struct fixture *f = *state;
	struct kube_slice **slices = NULL;
	char name[2000];
	size_t count;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_null(store_service(f->store, name, name));
	assert_null(store_node(f->store, name));
	assert_int_equal(store_slices(f->store, name, "a", &slices, &count), 0);
	assert_int_equal(count, 0);
	free(slices);
}

static void many_objects_survive_random_changes(void **state)
{
	struct fixture *f = *state;
	bool there[64] = {false};
	unsigned int seed = 1;
	size_t count = 0;

	for (int round = 0; round < 300; round++) {
		struct store_change *change = begin(f, round % 50 == 49);

		if (round % 50 == 49)
			memset(there, 0, sizeof(there));
		for (int i = 0; i < 8; i++) {
			unsigned int n = (unsigned int)rand_r(&seed) % 64;
			char name[16], service[16], key[40];

			snprintf(name, sizeof(name), "s%u", n);
			snprintf(service, sizeof(service), "w%u", (unsigned int)rand_r(&seed) % 5);
			snprintf(key, sizeof(key), "EndpointSlice ns/%s", name);
			there[n] = rand_r(&seed) % 3;
			if (there[n])
				put_json(change, object("EndpointSlice", name, service, NULL));
			else
				assert_int_equal(store_change_remove(change, key), 0);
		}
		commit(f, change);
	}
	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		count += there[i];
	assert_int_equal(store_count(f->store, KUBE_SLICE), count);
	for (char service[] = "w0"; service[1] < '5'; service[1]++) {
		struct kube_slice **slices = NULL;
		size_t n;

		assert_int_equal(store_slices(f->store, "ns", service, &slices, &n), 0);
		for (size_t i = 0; i < n; i++)
			assert_string_equal(slices[i]->service, service);
		free(slices);
		count -= n;
	}
	assert_int_equal(count, 0);
}

static void a_delivery_knows_what_came_in_it(void **state)
{
	struct fixture *f = *state;
	struct store_change *change = begin(f, false);

	fill(f);
	store_deliver(f->store);
	assert_false(store_is_delivered(f->store, "Service ns/web"));
	put_json(change, object("Service", "web", NULL, NULL));
	commit(f, change);
	assert_result(f, 0, 1, 0, 0);
	assert_true(store_is_delivered(f->store, "Service ns/web"));
	assert_false(store_is_delivered(f->store, "Service ns/api"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, store_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_store_has_nothing),
		TEST(objects_are_found_after_the_commit),
		TEST(nothing_is_there_before_the_commit),
		TEST(each_service_touched_is_visited_once),
		TEST(one_slice_touches_its_service_only),
		TEST(a_slice_before_its_service_is_kept_for_it),
		TEST(a_slice_that_changes_service_touches_both),
		TEST(a_slice_that_loses_its_label_touches_the_old_service),
		TEST(the_same_object_is_no_change),
		TEST(a_new_version_alone_is_no_change_but_is_shown),
		TEST(a_member_that_appears_or_goes_is_a_change),
		TEST(removing_counts_what_is_missing),
		TEST(what_is_left_of_a_service_goes_with_its_last_slice),
		TEST(replace_removes_what_is_not_named),
		TEST(the_last_mention_of_a_key_wins),
		TEST(visits_see_the_whole_change),
		TEST(a_commit_needs_no_visitor),
		TEST(a_change_belongs_to_its_store),
		TEST(objects_are_shown_in_order_until_told_to_stop),
		TEST(names_that_are_too_long_are_not_there),
		TEST(a_delivery_knows_what_came_in_it),
		TEST(many_objects_survive_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
