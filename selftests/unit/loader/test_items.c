/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/items.c: the objects of a long request one by one are those of its tree, whatever
 * they are in; and what is no JSON as a whole is none in parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "items.h"
#include "util.h"

#define MIB (1UL << 20)

#define REQUEST(objects)                                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"apply\",\"params\":{\"objects\":" objects "}}"

/* The numbers "n" of the objects, "1 2 ", each also found in its text. */
static int collect(const char *text, size_t length, char *out, json_t **request)
{
	struct items *items = NULL;
	struct item item;
	json_error_t why;
	int rc = items_open(text, length, &items, &why);

	*out = '\0';
	while (!rc && (rc = items_next(items, &item, &why)) > 0) {
		json_error_t again;
		json_auto_t *same = json_loadb(item.text, item.length, JSON_DECODE_ANY, &again);

		assert_true(json_equal(same, item.json));
		out += sprintf(out, "%lld ", json_integer_value(json_object_get(item.json, "n")));
		json_decref(item.json);
		rc = 0;
	}
	if (!rc && request)
		*request = json_deep_copy(items_request(items));
	items_free(&items);
	return rc;
}

static void objects_come_out_of_whatever_they_are_in(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{REQUEST("[]"), ""},
		{REQUEST("[{\"n\":1}]"), "1 "},
		{REQUEST(" [ {\"n\":1} , {\"n\":2} ] "), "1 2 "},
		{REQUEST("[{\"kind\":\"List\",\"items\":[{\"n\":1},{\"n\":2}]},{\"n\":3}]"),
		 "1 2 3 "},
		{REQUEST("[{\"items\":[{\"n\":1}],\"kind\":\"ServiceList\"}]"), "1 "},
		{REQUEST("[{\"kind\":\"List\",\"items\":null},{\"n\":1}]"), "1 "},
		{REQUEST("[[{\"n\":1},[{\"n\":2}]],{\"n\":3}]"), "1 2 3 "},
		{REQUEST("[{\"kind\":\"Service\",\"items\":[{\"n\":1}],\"n\":5}]"), "5 "},
		{REQUEST("[{\"kind\":\"List\",\"items\":[{\"kind\":\"List\",\"items\":[{\"n\":1}]}]"
			 "}]"),
		 "1 "},
		{"{\"params\":{\"objects\":[{\"n\":1}]},\"method\":\"apply\"}", "1 "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char out[64];

		assert_int_equal(collect(cases[i].text, strlen(cases[i].text), out, NULL), 0);
		assert_string_equal(out, cases[i].wanted);
	}
}

static void the_request_is_there_without_its_objects(void **state)
{
	static const char text[] = REQUEST("[{\"n\":1}],\"more\":[1,{}]");
	json_auto_t *request = NULL;
	char out[64];

	(void)state;
	assert_int_equal(collect(text, strlen(text), out, &request), 0);
	assert_int_equal(json_integer_value(json_object_get(request, "id")), 7);
	assert_string_equal(json_string_value(json_object_get(request, "method")), "apply");
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(request, "params"), "more")), 2);
}

/* Other forms are the caller's to parse: they may be right, or wrong in a way of their own. */
static void what_is_of_another_form_is_told(void **state)
{
	static const char *const texts[] = {
		"[]",
		"7",
		"\"x\"",
		"{}",
		"{\"method\":\"status\"}",
		"{\"params\":[]}",
		"{\"params\":{\"objects\":{}}}",
		REQUEST("[{\"kind\":\"List\"}]"),
		REQUEST("[{\"kind\":\"List\",\"items\":7}]"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char out[64];

		assert_int_equal(collect(texts[i], strlen(texts[i]), out, NULL), -ENOTSUP);
	}
}

/* A list of many bytes is never a tree; what is as long and no list is of another form. */
static void long_lists_are_entered(void **state)
{
	const size_t size = 3 * MIB;
	char *text = malloc(size + 4096), *end;
	char *out = malloc(size);
	int count = 0;

	(void)state;
	for (int kind_first = 0; kind_first < 3; kind_first++) {
		end = text + sprintf(text, "{\"params\":{\"objects\":[{%s\"items\":[",
				     kind_first ? "\"kind\":\"List\"," : "");
		for (count = 0; end < text + size; count++)
			end += sprintf(end, "%s{\"n\":%d,\"pad\":\"%0200d\"}", count ? "," : "",
				       count % 10, 0);
		end += sprintf(end, "]%s}]}}", kind_first == 0 ? ",\"kind\":\"XList\"" : "");
		if (kind_first == 2)
			memcpy(strstr(text, "List"), "Lost", 4);
		assert_int_equal(collect(text, (size_t)(end - text), out, NULL),
				 kind_first == 2 ? -ENOTSUP : 0);
		if (kind_first < 2)
			assert_int_equal(strlen(out), 2 * (size_t)count);
	}
	free(out);
	free(text);
}

/* Objects by number, of all lengths up to some KiB, and what stands behind them; to be freed. */
static char *many(int count, const char *behind, size_t *length)
{
	char *text = malloc((size_t)count * 4200 + 4096), *end = text;

	end += sprintf(end, "{\"id\":7,\"params\":{\"objects\":[");
	for (int n = 0; n < count; n++)
		end += sprintf(end, "%s{\"n\":%d,\"pad\":[\"%0*d\"]}", n ? "," : "", n,
			       n % 100 ? n % 700 : 4000, 0);
	end += sprintf(end, "]%s", behind);
	*length = (size_t)(end - text);
	return text;
}

/* Long ones are read by a thread, ahead of who asks. */
static void many_come_in_order_with_what_is_behind_them(void **state)
{
	enum { COUNT = 20000 };
	struct items *items = NULL;
	struct item item;
	json_error_t why;
	size_t length;
	char *text = many(COUNT, "},\"method\":\"apply\"}", &length);
	int rc, n = 0;

	(void)state;
	assert_int_equal(items_open(text, length, &items, &why), 0);
	while ((rc = items_next(items, &item, &why)) > 0) {
		assert_int_equal(json_integer_value(json_object_get(item.json, "n")), n++);
		assert_memory_equal(item.text, "{\"n\":", 5);
		assert_memory_equal(item.text + item.length - 3, "\"]}", 3);
		json_decref(item.json);
		assert_int_equal(json_integer_value(json_object_get(items_request(items), "id")),
				 7);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(n, COUNT);
	assert_string_equal(json_string_value(json_object_get(items_request(items), "method")),
			    "apply");
	items_free(&items);
	free(text);
}

/* Gives the items a little more of the text at a time, and takes what is ready of it. */
static int collect_parts(const char *text, size_t length, size_t first, size_t step, char *out)
{
	struct items *items = NULL;
	size_t there = first;
	struct item item;
	json_error_t why;
	int rc = items_open(text, there, &items, &why);

	*out = '\0';
	assert_int_equal(rc, 0);
	assert_int_equal(items_open_part(items), 0);
	while (rc >= 0) {
		if (there < length && !items_ready(items)) {
			there = there + step < length ? there + step : length;
			items_more(items, there, there == length);
			continue;
		}
		rc = items_next(items, &item, &why);
		if (rc <= 0)
			break;
		assert_true(item.text + item.length <= text + there);
		out += sprintf(out, "%lld ", json_integer_value(json_object_get(item.json, "n")));
		json_decref(item.json);
	}
	if (!rc)
		assert_string_equal(
			json_string_value(json_object_get(items_request(items), "method")),
			"apply");
	items_free(&items);
	return rc;
}

static void what_comes_in_parts_is_the_same(void **state)
{
	static const char *const behind[] = {"},\"method\":\"apply\"}", "},\"method\":truth}"};
	static const size_t steps[] = {999, 4096, 300000, 5 * MIB};
	char *whole = malloc(MIB), *parts = malloc(MIB);

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(steps); i++) {
		size_t length;
		char *text = many(20000, behind[i % 2], &length);
		int rc = collect(text, length, whole, NULL);

		assert_int_equal(rc, i % 2 ? -EINVAL : 0);
		assert_int_equal(collect_parts(text, length, MIB + i, steps[i / 2], parts), rc);
		assert_string_equal(parts, whole);
		free(text);
	}
	free(parts);
	free(whole);
}

/* Longer than what is looked at beyond an object: it is waited for. */
static void long_spaces_and_members_come_in_parts_too(void **state)
{
	const size_t size = 5 * MIB;
	char *text = malloc(3 * size), *end = text, out[64];

	(void)state;
	end += sprintf(end, "{\"method\":\"apply\",\"params\":{\"objects\":[{\"n\":1}");
	memset(end, ' ', size);
	end += size;
	end += sprintf(end, ",{\"n\":2}],\"more\":\"");
	memset(end, 'x', size);
	end += size;
	end += sprintf(end, "\"}}");
	assert_int_equal(collect_parts(text, (size_t)(end - text), 2 * MIB, 70000, out), 0);
	assert_string_equal(out, "1 2 ");
	free(text);
}

static void of_what_does_not_come_no_thread_waits(void **state)
{
	struct items *items = NULL;
	json_error_t why;
	size_t length;
	char *text = many(20000, "}}", &length);

	(void)state;
	for (size_t part = MIB; part < 4 * MIB; part += MIB) {
		assert_int_equal(items_open(text, part, &items, &why), 0);
		assert_int_equal(items_open_part(items), 0);
		items_more(items, part + 1000, false);
		items_free(&items);
	}
	free(text);
}

/* The most memory the process had, in KiB. */
static long peak(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* What nobody wants any more is not parsed either: it may be long. */
static void of_a_member_that_does_not_come_nothing_is_parsed(void **state)
{
	const size_t size = 64 * MIB;
	char *text = malloc(size), *end = text;
	struct items *items = NULL;
	json_error_t why;
	long before;

	(void)state;
	end += sprintf(end, "{\"method\":\"apply\",\"params\":{\"objects\":[],\"more\":[1");
	while (end < text + size - 2)
		end = stpcpy(end, ",1");
	assert_int_equal(items_open(text, MIB, &items, &why), 0);
	assert_int_equal(items_open_part(items), 0);
	items_more(items, (size_t)(end - text), false);
	usleep(200000); /* until its thread waits for the rest */
	before = peak();
	items_free(&items);
	assert_true(peak() < before + 64 * 1024);
	free(text);
}

/*
 * What is looked at of a long text may end within anything: of a list of which there is more, or of
 * a member that does not come at once.
 */
static void cuts_may_be_anywhere(void **state)
{
	static const char unit[] = "true,null,-1,1.5e5,\"\\u00e9\\n\xF0\x9F\x90\xA7\",";
	const size_t size = 3 * MIB;
	char *text = malloc(size + 4096), *out = malloc(size);

	(void)state;
	for (int shift = 0; shift < (int)sizeof(unit); shift++) {
		char *end =
			text + sprintf(text,
				       "{\"method\":\"apply\",\"params\":{\"objects\":[{"
				       "\"kind\":\"List\",\"pad\":\"%.*s\",\"a\":[",
				       shift, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

		while (end < text + 2 * MIB)
			end = stpcpy(end, unit);
		end += sprintf(end, "0],\"items\":[{\"n\":1}]}]}}");
		assert_int_equal(collect(text, (size_t)(end - text), out, NULL), 0);
		assert_string_equal(out, "1 ");
		assert_int_equal(
			collect_parts(text, (size_t)(end - text), 70000 + (size_t)shift, size, out),
			0);
		assert_string_equal(out, "1 ");
	}
	free(out);
	free(text);
}

/* Where it is wrong is told as if it had been read from one end to the other by who asks. */
static void what_is_wrong_behind_many_is_told(void **state)
{
	struct items *items = NULL;
	struct item item;
	json_error_t why;
	size_t length;
	char *text = many(6000, "},\"method\":truth}", &length);
	int rc;

	(void)state;
	assert_int_equal(items_open(text, length, &items, &why), 0);
	while ((rc = items_next(items, &item, &why)) > 0)
		json_decref(item.json);
	assert_int_equal(rc, -EINVAL);
	assert_in_range(why.position, length - 8, length);
	items_free(&items);
	free(text);
}

static void many_may_be_left_at_any_time(void **state)
{
	struct items *items = NULL;
	struct item item;
	json_error_t why;
	size_t length;
	char *text = many(6000, "}}", &length);

	(void)state;
	for (int taken = 0; taken < 400; taken += 1 + taken / 3) {
		assert_int_equal(items_open(text, length, &items, &why), 0);
		for (int i = 0; i < taken; i++) {
			assert_int_equal(items_next(items, &item, &why), 1);
			json_decref(item.json);
		}
		items_free(&items);
	}
	free(text);
}

/* Cut or changed anywhere: what passes in parts passes as a whole. */
static void no_damage_passes(void **state)
{
	static const char text[] = REQUEST(
		"[{\"n\":1,\"a\":[1,2.5,\"x\\\"y\",null]},{\"kind\":\"List\",\"items\":[{\"n\":2}]"
		"},[{\"n\":3}]]");
	static const char other[] = "{}[],:\"x1 \\";
	const size_t length = strlen(text);
	char copy[sizeof(text)], out[256];

	(void)state;
	for (size_t cut = 0; cut < length; cut++)
		assert_int_not_equal(collect(text, cut, out, NULL), 0);
	for (size_t at = 0; at < length; at++) {
		for (const char *c = other; *c; c++) {
			json_auto_t *whole = NULL;

			memcpy(copy, text, sizeof(text));
			copy[at] = *c;
			if (collect(copy, length, out, NULL))
				continue;
			whole = json_loadb(copy, length, JSON_REJECT_DUPLICATES, NULL);
			if (!whole)
				fail_msg("passes: %s", copy);
		}
	}
}

static void duplicates_are_found_where_the_tree_would_have_them(void **state)
{
	static const char *const texts[] = {
		"{\"id\":1,\"id\":2,\"params\":{\"objects\":[]}}",
		"{\"params\":{\"objects\":[]},\"params\":{}}",
		"{\"params\":{\"objects\":[],\"objects\":[]}}",
		"{\"params\":{\"objects\":[{\"n\":1,\"n\":2}]}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char out[64];

		assert_int_equal(collect(texts[i], strlen(texts[i]), out, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_come_out_of_whatever_they_are_in),
		cmocka_unit_test(the_request_is_there_without_its_objects),
		cmocka_unit_test(what_is_of_another_form_is_told),
		cmocka_unit_test(long_lists_are_entered),
		cmocka_unit_test(many_come_in_order_with_what_is_behind_them),
		cmocka_unit_test(what_is_wrong_behind_many_is_told),
		cmocka_unit_test(what_comes_in_parts_is_the_same),
		cmocka_unit_test(long_spaces_and_members_come_in_parts_too),
		cmocka_unit_test(of_what_does_not_come_no_thread_waits),
		cmocka_unit_test(of_a_member_that_does_not_come_nothing_is_parsed),
		cmocka_unit_test(cuts_may_be_anywhere),
		cmocka_unit_test(many_may_be_left_at_any_time),
		cmocka_unit_test(no_damage_passes),
		cmocka_unit_test(duplicates_are_found_where_the_tree_would_have_them),
	};

	return cmocka_run_group_tests_name("items", tests, NULL, NULL);
}
