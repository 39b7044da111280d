/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/slots.c: runs never overlap, join again, can be taken where they were, and are
 * counted; a bounded random walk against a map of who has which slot.
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

#include "slots.h"
#include "util.h"

#define SIZE 256
#define RUNS 64

static int set_up(void **state)
{
	struct slots *s = NULL;
	int rc = slots_new(SIZE, &s);

	*state = s;
	return rc;
}

static int tear_down(void **state)
{
	struct slots *s = *state;

	slots_free(&s);
	assert_null(s);
	return 0;
}

static uint32_t take(struct slots *s, uint32_t count)
{
	uint32_t first = UINT32_MAX;

	assert_int_equal(slots_take(s, count, &first), 0);
	assert_true(first < SIZE && count <= SIZE - first);
	return first;
}

/* Takes runs of this length until none is left; returns how many. */
static uint32_t fill(struct slots *s, uint32_t count, uint32_t *first)
{
	uint32_t n = 0;

	while (!slots_take(s, count, &first[n]))
		assert_true(++n <= SIZE);
	return n;
}

static void sizes_that_cannot_be_halved_are_refused(void **state)
{
	static const uint32_t sizes[] = {0, 1, 32, 63, 65, 96, 1000};
	struct slots *s = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(slots_new(sizes[i], &s), -EINVAL);
		assert_null(s);
	}
	assert_int_equal(slots_new(64, &s), 0);
	slots_free(&s);
	slots_free(&s);
}

static void every_slot_can_be_taken_once(void **state)
{
	struct slots *s = *state;
	uint32_t first[SIZE + 1];
	bool seen[SIZE] = {false};

	assert_int_equal(fill(s, 1, first), SIZE);
	for (uint32_t i = 0; i < SIZE; i++) {
		assert_true(first[i] < SIZE);
		assert_false(seen[first[i]]);
		seen[first[i]] = true;
	}
	assert_int_equal(slots_used(s), SIZE);
}

static void the_whole_is_one_run(void **state)
{
	struct slots *s = *state;
	uint32_t first = 77;

	assert_int_equal(take(s, SIZE), 0);
	assert_int_equal(slots_take(s, 1, &first), -ENOSPC);
	assert_int_equal(first, 77);
	slots_give(s, 0, SIZE);
	assert_int_equal(take(s, SIZE - 1), 0);
	assert_int_equal(slots_take(s, 1, &first), -ENOSPC);
}

static void more_than_there_is_is_refused(void **state)
{
	static const uint32_t counts[] = {SIZE + 1, 2 * SIZE, 1U << 30, 1U << 31, UINT32_MAX};
	struct slots *s = *state;
	uint32_t first = 77;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		assert_int_equal(slots_take(s, counts[i], &first), -ENOSPC);
		assert_int_equal(slots_take_at(s, 0, counts[i]), -EBUSY);
	}
	assert_int_equal(first, 77);
	assert_int_equal(slots_used(s), 0);
}

static void used_counts_what_others_cannot_have(void **state)
{
	struct slots *s = *state;
	uint32_t one = take(s, 1), three, sixteen;

	assert_int_equal(slots_used(s), 1);
	three = take(s, 3);
	assert_int_equal(slots_used(s), 5);
	sixteen = take(s, 16);
	assert_int_equal(slots_used(s), 21);
	slots_give(s, three, 3);
	assert_int_equal(slots_used(s), 17);
	slots_give(s, one, 1);
	slots_give(s, sixteen, 16);
	assert_int_equal(slots_used(s), 0);
}

/* 0 to n - 1 in three orders: forwards, backwards, odd ones first. */
static uint32_t in_order(int order, uint32_t i, uint32_t n)
{
	if (order == 0)
		return i;
	if (order == 1)
		return n - 1 - i;
	return i < n / 2 ? 2 * i + 1 : 2 * (i - n / 2);
}

static void runs_that_are_given_back_join_again(void **state)
{
	struct slots *s = *state;
	uint32_t first[SIZE + 1];

	for (int order = 0; order < 3; order++) {
		assert_int_equal(fill(s, 2, first), SIZE / 2);
		for (uint32_t i = 0; i < SIZE / 2; i++)
			slots_give(s, first[in_order(order, i, SIZE / 2)], 2);
		assert_int_equal(slots_used(s), 0);
		assert_int_equal(take(s, SIZE), 0);
		slots_give(s, 0, SIZE);
	}
}

/* Every second run of 8 is free: no 16 fit, but all of the 8s do, and nothing else is handed out.
 */
static void holes_are_filled_exactly(void **state)
{
	struct slots *s = *state;
	uint32_t first[SIZE + 1], again[SIZE + 1], none = 77;

	assert_int_equal(fill(s, 8, first), SIZE / 8);
	for (uint32_t i = 0; i < SIZE; i += 16)
		slots_give(s, i, 8);
	assert_int_equal(slots_take(s, 9, &none), -ENOSPC);
	assert_int_equal(fill(s, 8, again), SIZE / 16);
	for (uint32_t i = 0; i < SIZE / 16; i++)
		assert_int_equal(again[i] % 16, 0);
	assert_int_equal(slots_used(s), SIZE);
}

/* A new process takes what it finds in use, in any order, and the rest stays free. */
static void runs_can_be_taken_where_they_were(void **state)
{
	static const uint32_t counts[] = {5, 1, 16, 3, 2, 32, 1};
	uint32_t first[ARRAY_SIZE(counts)], used, rest[SIZE + 1];
	struct slots *s = *state, *later = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		first[i] = take(s, counts[i]);
	used = slots_used(s);
	assert_int_equal(slots_new(SIZE, &later), 0);
	for (size_t i = ARRAY_SIZE(counts); i--;)
		assert_int_equal(slots_take_at(later, first[i], counts[i]), 0);
	assert_int_equal(slots_used(later), used);
	assert_int_equal(fill(later, 1, rest), SIZE - used);
	for (size_t i = 0; i < SIZE - used; i++)
		slots_give(later, rest[i], 1);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		slots_give(later, first[i], counts[i]);
	assert_int_equal(slots_used(later), 0);
	assert_int_equal(take(later, SIZE), 0);
	slots_free(&later);
}

static void a_run_that_is_not_free_cannot_be_taken(void **state)
{
	static const struct {
		uint32_t first;
		uint32_t count;
	} busy[] = {
		{64, 8},   {64, 1},	   {71, 1},	    {64, 16},
		{0, SIZE},			   /* taken, in part or whole */
		{1, 2},	   {4, 8},	   {2, 3}, /* no run begins there */
		{SIZE, 1}, {SIZE + 64, 1}, {UINT32_MAX, 1}, {1U << 31, 1}, /* outside */
	};
	struct slots *s = *state;

	assert_int_equal(slots_take_at(s, 64, 8), 0);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		assert_int_equal(slots_take_at(s, busy[i].first, busy[i].count), -EBUSY);
	assert_int_equal(slots_used(s), 8);
	assert_int_equal(slots_take_at(s, 72, 8), 0);
	assert_int_equal(slots_take_at(s, 56, 8), 0);
	slots_give(s, 64, 8);
	assert_int_equal(slots_take_at(s, 64, 5), 0);
}

/* owner[n] is the run that has slot n, plus one. */
static void assert_run_is_free(uint8_t *owner, uint32_t first, uint32_t count, uint8_t mark)
{
	assert_true(first < SIZE && count <= SIZE - first);
	for (uint32_t i = first; i < first + count; i++) {
		assert_int_equal(owner[i], 0);
		owner[i] = mark;
	}
}

static void runs_never_overlap(void **state)
{
	uint32_t first[RUNS], count[RUNS] = {0}, refused = 0;
	struct slots *s = *state;
	uint8_t owner[SIZE] = {0};
	unsigned seed = 1;

	for (int step = 0; step < 100000; step++) {
		uint32_t run = rand_r(&seed) % RUNS;
		uint32_t wanted = 1 + rand_r(&seed) % (rand_r(&seed) % 8 ? 6 : 70);

		if (count[run]) {
			memset(owner + first[run], 0, count[run]);
			slots_give(s, first[run], count[run]);
			count[run] = 0;
		} else if (!slots_take(s, wanted, &first[run])) {
			assert_run_is_free(owner, first[run], wanted, run + 1);
			count[run] = wanted;
		} else {
			refused++;
		}
	}
	assert_true(refused > 0);
	for (uint32_t run = 0; run < RUNS; run++)
		if (count[run])
			slots_give(s, first[run], count[run]);
	assert_int_equal(slots_used(s), 0);
	assert_int_equal(take(s, SIZE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_cannot_be_halved_are_refused),
		TEST(every_slot_can_be_taken_once),
		TEST(the_whole_is_one_run),
		TEST(more_than_there_is_is_refused),
		TEST(used_counts_what_others_cannot_have),
		TEST(runs_that_are_given_back_join_again),
		TEST(holes_are_filled_exactly),
		TEST(runs_can_be_taken_where_they_were),
		TEST(a_run_that_is_not_free_cannot_be_taken),
		TEST(runs_never_overlap),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
