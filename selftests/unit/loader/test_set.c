/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tests of loader/set.c, loader/intern.c and loader/digest.c: what memory is saved by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"
#include "intern.h"
#include "set.h"
#include "util.h"

#define NUMBERS 4000

static bool is(const void *item, const void *key)
{
	return *(const int *)item == *(const int *)key;
}

/* collisions: only a few hashes for all. */
static uint32_t hash_of(int number, bool collisions)
{
	return collisions ? (uint32_t)(number % 3) * 0x50000000U
			  : set_hash(&number, sizeof(number));
}

static void check_all(const struct set *s, const int *item, const bool *there, bool collisions)
{
	size_t count = 0, seen = 0, place = 0;

	for (int i = 0; i < NUMBERS; i++) {
		const int *found = set_find(s, hash_of(item[i], collisions), is, &item[i]);

		assert_ptr_equal(found, there[i] ? &item[i] : NULL);
		count += there[i];
	}
	while (set_next(s, &place))
		seen++;
	assert_int_equal(seen, count);
	assert_int_equal(s->count, count);
}

static void a_set_has_what_was_added_and_not_removed(void **state)
{
	static int item[NUMBERS];
	static bool there[NUMBERS];

	(void)state;
	srandom(1);
	for (int i = 0; i < NUMBERS; i++)
		item[i] = i;
	for (int collisions = 0; collisions < 2; collisions++) {
		struct set s = {};
		const int turns = collisions ? 2000 : 40000;

		memset(there, 0, sizeof(there));
		check_all(&s, item, there, collisions);
		for (int turn = 0; turn < turns; turn++) {
			const int n = (int)(random() % NUMBERS);

			if (there[n])
				set_remove(&s, hash_of(n, collisions), &item[n]);
			else
				assert_int_equal(set_add(&s, hash_of(n, collisions), &item[n]), 0);
			there[n] = !there[n];
			if (turn % (turns / 10) == 0)
				check_all(&s, item, there, collisions);
		}
		check_all(&s, item, there, collisions);
		set_free(&s);
	}
}

static void an_item_is_put_in_the_place_of_another(void **state)
{
	int item[100], again[100], *found;
	size_t place = 0, count = 0;
	struct set s = {};

	(void)state;
	for (int i = 0; i < 100; i++) {
		item[i] = again[i] = i;
		assert_int_equal(set_add(&s, hash_of(i, true), &item[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		set_replace(&s, hash_of(i, true), &item[i], &again[i]);
		assert_ptr_equal(set_find(&s, hash_of(i, true), is, &i), &again[i]);
	}
	while ((found = set_next(&s, &place))) {
		assert_ptr_equal(found, &again[*found]);
		count++;
	}
	assert_int_equal(count, 100);
	set_free(&s);
}

static void a_set_may_be_emptied_while_it_is_gone_over(void **state)
{
	int item[100], *found;
	struct set s = {};
	size_t place = 0, count = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		item[i] = i;
		assert_int_equal(set_add(&s, hash_of(i, false), &item[i]), 0);
	}
	for (; (found = set_next(&s, &place)); count++)
		set_remove(&s, hash_of(*found, false), found);
	assert_int_equal(count, 100);
	assert_int_equal(s.count, 0);
	set_free(&s);
}

static void equal_texts_are_one(void **state)
{
	char copy[] = "node-1";
	const char *first = intern("node-1"), *again = intern(copy);

	(void)state;
	assert_ptr_equal(first, again);
	assert_ptr_not_equal(first, copy);
	assert_ptr_equal(intern_find("node-1"), first);
	assert_null(intern_find("node-2"));
	assert_ptr_equal(intern_again(first), first);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(intern_find("node-1"), first);
		intern_put(first);
	}
	assert_null(intern_find("node-1"));
	intern_put(NULL);
	assert_null(intern_again(NULL));
}

static void values_have_the_digest_of_their_equals_alone(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"null",
		"true",
		"false",
		"0",
		"1",
		"0.0",
		"1.0",
		"\"\"",
		"\"a\"",
		"\"b\"",
		"[1]",
		"[1,2]",
		"[2,1]",
		"[[1],2]",
		"[1,[2]]",
		"{\"a\":1}",
		"{\"a\":2}",
		"{\"b\":1}",
		"{\"a\":1,\"b\":2}",
		"{\"b\":2,\"a\":1}",
		"{\"a\":2,\"b\":1}",
		"{\"a\":{\"b\":2}}",
		"{\"a\":[]}",
		"{\"a\":{}}",
		"{\"a\":null}",
		"\"0123456789abcdef\"",
		"\"0123456789abcdefg\"",
		"-0.0",
		"{\"a\":[1,2],\"b\":[]}",
		"{\"a\":[1],\"b\":[2]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_auto_t *a = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
			json_auto_t *b = json_loads(texts[j], JSON_DECODE_ANY, NULL);
			const struct digest da = digest_json(a), db = digest_json(b);

			if (digest_equal(&da, &db) != json_equal(a, b))
				fail_msg("%s and %s", texts[i], texts[j]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_has_what_was_added_and_not_removed),
		cmocka_unit_test(an_item_is_put_in_the_place_of_another),
		cmocka_unit_test(a_set_may_be_emptied_while_it_is_gone_over),
		cmocka_unit_test(equal_texts_are_one),
		cmocka_unit_test(values_have_the_digest_of_their_equals_alone),
	};

	return cmocka_run_group_tests_name("set", tests, NULL, NULL);
}
