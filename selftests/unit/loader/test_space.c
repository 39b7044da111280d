/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/space.c: what is given back is not handed out again while there is other room,
 * and is when there is none; what was adopted is never handed out. A grace period cannot be seen
 * from here; that it is waited for only then can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "space.h"
#include "util.h"

/* More than limbo holds, so that it can be filled. */
#define SERVICES 20000
#define SLOTS	 64
#define BACKENDS 70

static int set_up(void **state)
{
	const struct space_sizes sizes = {SERVICES, SLOTS, BACKENDS};
	struct space *s = NULL;
	int rc = space_new(&sizes, &s);

	*state = s;
	return rc;
}

static int tear_down(void **state)
{
	struct space *s = *state;

	space_free(&s);
	assert_null(s);
	return 0;
}

static void assert_used(const struct space *s, uint32_t services, uint32_t slots, uint32_t backends)
{
	struct space_sizes used = space_used(s);

	assert_int_equal(used.services, services);
	assert_int_equal(used.slots, slots);
	assert_int_equal(used.backends, backends);
}

/* The two tables of single numbers, seen alike. */
struct numbers_case {
	uint32_t size;
	int (*take)(struct space *s, uint32_t *number);
	int (*adopt)(struct space *s, uint32_t number);
	void (*give)(struct space *s, uint32_t number);
};
static const struct numbers_case numbers_cases[] = {
	{SERVICES, space_take_service, space_adopt_service, space_give_service},
	{BACKENDS, space_take_backend, space_adopt_backend, space_give_backend},
};

/* Takes all there are; each is in the table and comes once. */
static uint32_t take_all(struct space *s, const struct numbers_case *c, uint32_t *number)
{
	static bool seen[SERVICES];
	uint32_t n = 0;

	memset(seen, 0, sizeof(seen));
	while (!c->take(s, &number[n])) {
		assert_true(number[n] < c->size);
		assert_false(seen[number[n]]);
		seen[number[n]] = true;
		assert_true(++n <= c->size);
	}
	return n;
}

static void numbers_are_handed_out_once(void **state)
{
	static uint32_t number[SERVICES + 1];
	struct space *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers_cases); i++) {
		const struct numbers_case *c = &numbers_cases[i];
		uint32_t other = 77;

		assert_int_equal(take_all(s, c, number), c->size);
		assert_int_equal(c->take(s, &other), -ENOSPC);
		assert_int_equal(other, 77);
	}
	assert_used(s, SERVICES, 0, BACKENDS);
}

static void a_number_given_back_waits_until_room_is_needed(void **state)
{
	static uint32_t number[SERVICES + 1];
	struct space *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers_cases); i++) {
		const struct numbers_case *c = &numbers_cases[i];
		uint32_t gone[2];

		assert_int_equal(c->take(s, &gone[0]), 0);
		assert_int_equal(c->take(s, &gone[1]), 0);
		c->give(s, gone[0]);
		c->give(s, gone[1]);
		assert_int_equal(take_all(s, c, number), c->size);
		for (uint32_t n = 0; n < c->size; n++) {
			bool late = n >= c->size - 2;

			assert_int_equal(number[n] == gone[0] || number[n] == gone[1], late);
		}
	}
}

static void numbers_come_back_however_many_wait(void **state)
{
	static uint32_t number[SERVICES + 1];
	struct space *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers_cases); i++) {
		const struct numbers_case *c = &numbers_cases[i];

		for (int round = 0; round < 2; round++) {
			assert_int_equal(take_all(s, c, number), c->size);
			for (uint32_t n = 0; n < c->size; n++)
				c->give(s, number[n]);
			assert_used(s, 0, 0, 0);
		}
	}
}

static void slots_given_back_wait_until_room_is_needed(void **state)
{
	struct space *s = *state;
	uint32_t gone, first = 77;

	assert_int_equal(space_take_slots(s, 16, &gone), 0);
	space_give_slots(s, gone, 16);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(space_take_slots(s, 16, &first), 0);
		assert_int_not_equal(first, gone);
	}
	assert_used(s, 0, 48, 0);
	assert_int_equal(space_take_slots(s, 16, &first), 0);
	assert_int_equal(first, gone);
	first = 77;
	assert_int_equal(space_take_slots(s, 1, &first), -ENOSPC);
	assert_int_equal(first, 77);
}

/* Room for one long run can come from many short ones. */
static void short_runs_given_back_make_room_for_a_long_one(void **state)
{
	struct space *s = *state;
	uint32_t first[SLOTS], whole;

	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(space_take_slots(s, 1, &first[i]), 0);
	for (int i = 0; i < SLOTS; i++)
		space_give_slots(s, first[i], 1);
	assert_int_equal(space_take_slots(s, SLOTS, &whole), 0);
	assert_int_equal(whole, 0);
}

static void nothing_is_in_use_when_all_is_given_back(void **state)
{
	static const uint32_t counts[] = {1, 3, 5, 7, 12};
	uint32_t first[ARRAY_SIZE(counts)], number;
	struct space *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		assert_int_equal(space_take_slots(s, counts[i], &first[i]), 0);
	assert_int_equal(space_take_service(s, &number), 0);
	space_give_service(s, number);
	assert_int_equal(space_take_backend(s, &number), 0);
	space_give_backend(s, number);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		space_give_slots(s, first[i], counts[i]);
	assert_used(s, 0, 0, 0);
}

/* Limbo is one for all three: what waits is counted by its kind, also after it was emptied. */
static void what_waits_is_counted_by_its_kind(void **state)
{
	struct space *s = *state;
	uint32_t service, backend, slots, all;

	assert_int_equal(space_take_service(s, &service), 0);
	assert_int_equal(space_take_backend(s, &backend), 0);
	assert_int_equal(space_take_slots(s, 4, &slots), 0);
	assert_used(s, 1, 4, 1);
	space_give_slots(s, slots, 4);
	assert_used(s, 1, 0, 1);
	space_give_service(s, service);
	space_give_backend(s, backend);
	assert_used(s, 0, 0, 0);
	assert_int_equal(space_take_slots(s, SLOTS, &all), 0);
	assert_used(s, 0, SLOTS, 0);
	assert_int_equal(space_take_service(s, &service), 0);
	assert_used(s, 1, SLOTS, 0);
}

static void adopted_numbers_are_not_handed_out(void **state)
{
	static uint32_t number[SERVICES + 1];
	struct space *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers_cases); i++) {
		const struct numbers_case *c = &numbers_cases[i];
		uint32_t adopted = c->size - 3;

		assert_int_equal(c->adopt(s, adopted), 0);
		assert_int_equal(c->adopt(s, adopted), -EBUSY);
		assert_int_equal(c->adopt(s, c->size), -EBUSY);
		assert_int_equal(c->adopt(s, UINT32_MAX), -EBUSY);
		assert_int_equal(take_all(s, c, number), c->size - 1);
		for (uint32_t n = 0; n < c->size - 1; n++)
			assert_int_not_equal(number[n], adopted);
		c->give(s, adopted);
		assert_int_equal(take_all(s, c, number), 1);
		assert_int_equal(number[0], adopted);
	}
	assert_used(s, SERVICES, 0, BACKENDS);
}

static void adopted_slots_are_not_handed_out(void **state)
{
	struct space *s = *state;
	uint32_t first;

	assert_int_equal(space_adopt_slots(s, 32, 3), 0);
	assert_int_equal(space_adopt_slots(s, 32, 3), -EBUSY);
	assert_int_equal(space_adopt_slots(s, 34, 1), -EBUSY);
	assert_int_equal(space_adopt_slots(s, SLOTS, 1), -EBUSY);
	for (int i = 0; i < SLOTS / 4 - 1; i++) {
		assert_int_equal(space_take_slots(s, 4, &first), 0);
		assert_int_not_equal(first, 32);
	}
	assert_int_equal(space_take_slots(s, 1, &first), -ENOSPC);
	space_give_slots(s, 32, 3);
	assert_int_equal(space_take_slots(s, 4, &first), 0);
	assert_int_equal(first, 32);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(numbers_are_handed_out_once),
		TEST(a_number_given_back_waits_until_room_is_needed),
		TEST(numbers_come_back_however_many_wait),
		TEST(slots_given_back_wait_until_room_is_needed),
		TEST(short_runs_given_back_make_room_for_a_long_one),
		TEST(nothing_is_in_use_when_all_is_given_back),
		TEST(what_waits_is_counted_by_its_kind),
		TEST(adopted_numbers_are_not_handed_out),
		TEST(adopted_slots_are_not_handed_out),
	};

	return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
