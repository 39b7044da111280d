/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/store_refuse.c: what a commit does to the objects of services that find no room,
 * and to those of all others. Here a service fits if its name and slices are not in a list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kube_text.h"
#include "store_fixture.h"

struct fixture {
	struct store *store;
	struct store_result result;
	const char *none[4]; /* services that fit never, */
	size_t most;	     /* or only with so many slices; 0: as many as there are */
	const char *after;   /* one that fits only once this one has no slices */
	char tried[256];     /* "a b ", in order */
	char refused[256];
	char events[512]; /* "+Service ns/a -..." */
};

static void append(char *text, size_t size, const char *format, const char *a, const char *b)
{
	size_t length = strlen(text);

	snprintf(text + length, size - length, format, a, b);
}

static size_t slices_of(const struct fixture *f, const char *name)
{
	struct kube_slice **slices;
	size_t count;

	assert_int_equal(store_slices(f->store, "ns", name, &slices, &count), 0);
	free(slices);
	return count;
}

static int fits(const char *namespace, const char *name, void *arg)
{
	struct fixture *f = arg;

	(void)namespace;
	append(f->tried, sizeof(f->tried), "%s%s ", name, "");
	for (size_t i = 0; i < 4 && f->none[i]; i++)
		if (!strcmp(f->none[i], name))
			return -28;
	if (f->after && strcmp(f->after, name) != 0 && slices_of(f, f->after))
		return -28;
	return f->most && slices_of(f, name) > f->most ? -28 : 0;
}

static void refused(const char *namespace, const char *name, void *arg)
{
	struct fixture *f = arg;

	(void)namespace;
	append(f->refused, sizeof(f->refused), "%s%s ", name, "");
}

static void note(const char *key, const char *event, void *arg)
{
	struct fixture *f = arg;

	append(f->events, sizeof(f->events), "%s%s ", *event == 'a' ? "+" : "-", key);
}

static int set_up(void **state)
{
	return store_set_up(state, sizeof(struct fixture));
}

/* "S:a" a Service, "s:x@a" a slice x of a, "-S:a", "-s:x" gone. mark tells versions apart. */
static void stage(struct store_change *change, const char *word, int mark)
{
	struct kube_object *object;
	char text[600], name[64], service[64] = "";

	if (*word == '-') {
		snprintf(text, sizeof(text), "%s ns/%s",
			 word[1] == 'S' ? "Service" : "EndpointSlice", word + 3);
		assert_int_equal(store_change_remove(change, text), 0);
		return;
	}
	assert_true(sscanf(word + 2, "%63[^@]@%63s", name, service) >= 1);
	if (*word == 'S')
		snprintf(text, sizeof(text),
			 "{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'"
			 "%s',"
			 "'labels':{'mark':'%d'}},'spec':{'clusterIP':'10.96.0.1'}}",
			 name, mark);
	else
		snprintf(
			text, sizeof(text),
			"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"
			"{'namespace':'ns','name':'%s','labels':{'kubernetes.io/service-name':'%s',"
			"'mark':'%d'}},'addressType':'IPv4'}",
			name, service, mark);
	object = parse(text);
	assert_int_equal(store_change_put(change, &object), 0);
}

static void change(struct fixture *f, bool replace, int mark, const char *words)
{
	const struct store_visitor visitor = {
		.service = fits, .refused = refused, .object = note, .arg = f};
	struct store_change *change = NULL;
	char *copy = strdup(words), *rest = copy, *word;

	f->tried[0] = f->refused[0] = f->events[0] = '\0';
	assert_int_equal(store_change_new(f->store, replace, &change), 0);
	while ((word = strsep(&rest, " ")))
		if (*word)
			stage(change, word, mark);
	free(copy);
	assert_int_equal(store_commit(f->store, &change, &visitor, &f->result), 0);
}

static int add(const struct kube_object *object, void *arg)
{
	json_t *metadata = json_object_get(object->json, "metadata");
	const char *mark =
		json_string_value(json_object_get(json_object_get(metadata, "labels"), "mark"));
	char *text = arg, kind = object->kind == KUBE_SERVICE ? 'S' : 's';

	snprintf(text + strlen(text), 512 - strlen(text), "%c:%s%s%s=%s ", kind,
		 json_string_value(json_object_get(metadata, "name")), kind == 's' ? "@" : "",
		 kind == 's' ? object->slice.service : "", mark);
	return 0;
}

/* "s:x@a=1 S:a=1 ": slices first, as their keys are; with the marks of their versions. */
static void assert_has(struct fixture *f, const char *wanted)
{
	char text[512] = "";

	assert_int_equal(store_each(f->store, add, text), 0);
	assert_string_equal(text, wanted);
}

static void a_new_service_that_does_not_fit_stays_out(void **state)
{
	struct fixture *f = *state;

	f->none[0] = "b";
	change(f, false, 1, "S:a s:x@a S:b s:y@b S:c");
	assert_string_equal(f->refused, "b ");
	assert_has(f, "s:x@a=1 S:a=1 S:c=1 ");
	assert_int_equal(f->result.applied, 3);
	assert_int_equal(f->result.refused, 1);
	assert_int_equal(store_count(f->store, KUBE_SERVICE), 2);
	assert_int_equal(store_count(f->store, KUBE_SLICE), 1);
	assert_string_equal(f->events, "+Service ns/a +EndpointSlice ns/x +Service ns/c ");
	assert_null(store_service(f->store, "ns", "b"));
	f->none[0] = NULL;
	change(f, false, 2, "S:b s:y@b");
	assert_has(f, "s:x@a=1 s:y@b=2 S:a=1 S:b=2 S:c=1 ");
}

static void a_change_that_does_not_fit_leaves_what_there_was(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:a s:x@a s:y@a S:b");
	f->most = 2;
	change(f, false, 2, "S:a s:y@a s:z@a S:b");
	assert_string_equal(f->refused, "a ");
	assert_has(f, "s:x@a=1 s:y@a=1 S:a=1 S:b=2 ");
	assert_int_equal(slices_of(f, "a"), 2);
	assert_int_equal(f->result.applied, 1);
}

static void what_is_refused_was_delivered_all_the_same(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:a S:b");
	store_deliver(f->store);
	f->none[0] = "a";
	change(f, false, 2, "S:a");
	assert_string_equal(f->refused, "a ");
	assert_has(f, "S:a=1 S:b=1 ");
	assert_true(store_is_delivered(f->store, "Service ns/a"));
	assert_false(store_is_delivered(f->store, "Service ns/b"));
}

static void removals_of_a_refused_service_are_undone(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:a s:x@a s:y@a S:b s:w@b");
	f->none[0] = "a";
	change(f, true, 2, "S:a s:x@a S:b");
	assert_string_equal(f->refused, "a ");
	assert_has(f, "s:x@a=1 s:y@a=1 S:a=1 S:b=2 ");
	assert_int_equal(f->result.removed, 1);
	assert_int_equal(slices_of(f, "a"), 2);
	assert_int_equal(store_count(f->store, KUBE_SLICE), 2);
	assert_string_equal(f->events, "-EndpointSlice ns/w +Service ns/b ");
}

/* The order in a call says nothing of what makes room for what. */
static void what_others_make_room_for_fits(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:big s:x@big");
	f->after = "big";
	change(f, false, 2, "S:new -s:x");
	assert_string_equal(f->refused, "");
	assert_has(f, "S:big=1 S:new=2 ");
	f->after = NULL;
	change(f, false, 1, "s:x@big -S:new");
	f->after = "big";
	change(f, true, 3, "S:late");
	assert_string_equal(f->refused, "");
	assert_has(f, "S:late=3 ");
}

/* One that took a slice and is refused gives it back, and the other is published with it again. */
static void a_slice_goes_back_to_its_service(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:a s:x@a S:b");
	f->none[0] = "b";
	change(f, false, 2, "S:a s:x@b");
	assert_string_equal(f->refused, "b ");
	assert_has(f, "s:x@a=1 S:a=2 S:b=1 ");
	assert_int_equal(slices_of(f, "a"), 1);
	assert_string_equal(f->tried, "a b b a ");
}

/* If that one does not fit with it any more, both are as they were. */
static void two_that_hang_together_are_refused_together(void **state)
{
	struct fixture *f = *state;

	change(f, false, 1, "S:a s:x@a S:b");
	f->none[0] = "b";
	f->most = 1;
	change(f, false, 2, "S:a s:x@b s:z@a");
	assert_has(f, "s:x@a=1 S:a=1 S:b=1 ");
	assert_int_equal(f->result.refused, 2);
	assert_int_equal(f->result.applied, 0);
}

static void a_service_that_was_refused_may_go(void **state)
{
	struct fixture *f = *state;

	f->none[0] = "a";
	change(f, false, 1, "S:a s:x@a");
	assert_has(f, "");
	f->none[0] = NULL;
	change(f, false, 1, "-S:a -s:x");
	assert_int_equal(f->result.missing, 2);
	change(f, false, 2, "S:a s:x@a");
	assert_has(f, "s:x@a=2 S:a=2 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, store_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_service_that_does_not_fit_stays_out),
		TEST(a_change_that_does_not_fit_leaves_what_there_was),
		TEST(what_is_refused_was_delivered_all_the_same),
		TEST(removals_of_a_refused_service_are_undone),
		TEST(what_others_make_room_for_fits),
		TEST(a_slice_goes_back_to_its_service),
		TEST(two_that_hang_together_are_refused_together),
		TEST(a_service_that_was_refused_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
