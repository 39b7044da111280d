/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tests of loader/rfc3339.c: times as Go writes and reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rfc3339.h"
#include "util.h"

static const struct {
	const char *text;
	time_t seconds;
	long nanoseconds;
} both_ways[] = {
	{"2026-01-02T03:04:05Z", 1767323045, 0},
	{"2026-01-02T03:04:05.1Z", 1767323045, 100000000},
	{"2026-01-02T03:04:05.120034Z", 1767323045, 120034000},
	{"2026-01-02T03:04:05.000000001Z", 1767323045, 1},
	{"2024-02-29T23:59:59.999999999Z", 1709251199, 999999999},
	{"1970-01-01T00:00:01Z", 1, 0},
};

static void times_are_written_and_read(void **state)
{
	struct timespec time;
	char text[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(both_ways); i++) {
		time = (struct timespec){both_ways[i].seconds, both_ways[i].nanoseconds};
		assert_string_equal(rfc3339_format(&time, text, sizeof(text)), both_ways[i].text);
		time = (struct timespec){};
		assert_int_equal(rfc3339_parse(both_ways[i].text, &time), 0);
		assert_int_equal(time.tv_sec, both_ways[i].seconds);
		assert_int_equal(time.tv_nsec, both_ways[i].nanoseconds);
	}
}

static void no_time_is_the_year_one(void **state)
{
	const struct timespec never = {};
	char text[40];

	(void)state;
	assert_string_equal(rfc3339_format(&never, text, sizeof(text)), "0001-01-01T00:00:00Z");
}

static void offsets_are_taken_off(void **state)
{
	struct timespec time;

	(void)state;
	assert_int_equal(rfc3339_parse("2026-01-02T05:34:05.5+02:30", &time), 0);
	assert_int_equal(time.tv_sec, 1767323045);
	assert_int_equal(time.tv_nsec, 500000000);
	assert_int_equal(rfc3339_parse("2026-01-01T19:04:05-08:00", &time), 0);
	assert_int_equal(time.tv_sec, 1767323045);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"now",
		"2026-01-02",
		"2026-01-02T03:04:05",
		"2026-01-02 03:04:05Z",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-01-00T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05ZZ",
		"2026-01-02T03:04:05+2:00",
		"2026-01-02T03:04:05+02:00x",
		"20x6-01-02T03:04:05Z",
		"2026-01-02T03:04:05.123456789",
	};
	struct timespec time = {.tv_sec = 7};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!rfc3339_parse(wrong[i], &time))
			fail_msg("\"%s\" was taken", wrong[i]);
	assert_int_equal(time.tv_sec, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_and_read),
		cmocka_unit_test(no_time_is_the_year_one),
		cmocka_unit_test(offsets_are_taken_off),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
