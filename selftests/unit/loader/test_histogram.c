/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tests of loader/histogram.c and of the buckets in loader/metrics.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"
#include "metrics.h"
#include "util.h"

struct text {
	char *text;
	size_t size;
	FILE *out;
};

static struct text *begin(struct text *t)
{
	*t = (struct text){};
	t->out = open_memstream(&t->text, &t->size);
	assert_non_null(t->out);
	return t;
}

static void expect(struct text *t, const char *wanted)
{
	assert_int_equal(fclose(t->out), 0);
	assert_string_equal(t->text, wanted);
	free(t->text);
}

static void buckets_are_sums_and_their_bound_belongs_to_them(void **state)
{
	struct histogram h = {};
	struct text t;

	(void)state;
	histogram_linear(&h, 1, 1, 2);
	histogram_observe(&h, 0.5);
	histogram_observe(&h, 1);
	histogram_observe(&h, 1.5);
	histogram_observe(&h, 7);
	histogram_observe(&h, -3);
	histogram_write(&h, "x_seconds", "a=\"b\"", begin(&t)->out);
	expect(&t, "x_seconds_bucket{a=\"b\",le=\"1\"} 3\n"
		   "x_seconds_bucket{a=\"b\",le=\"2\"} 4\n"
		   "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 5\n"
		   "x_seconds_sum{a=\"b\"} 10\n"
		   "x_seconds_count{a=\"b\"} 5\n");
}

static void without_labels_there_are_no_braces(void **state)
{
	struct histogram h = {};
	struct text t;

	(void)state;
	histogram_write(&h, "x", "", begin(&t)->out);
	expect(&t, "x_bucket{le=\"+Inf\"} 0\nx_sum 0\nx_count 0\n");
}

static void sync_has_kube_proxys_buckets(void **state)
{
	static const double wanted[] = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
					0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384};
	struct metrics m = {};

	(void)state;
	metrics_init(&m);
	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		assert_int_equal(m.sync[i].bounds, ARRAY_SIZE(wanted));
		for (size_t j = 0; j < ARRAY_SIZE(wanted); j++)
			assert_true(m.sync[i].bound[j] == wanted[j]);
	}
}

static void network_programming_has_kube_proxys_buckets(void **state)
{
	struct metrics m = {};
	unsigned n = 0;

	(void)state;
	metrics_init(&m);
	assert_true(m.network[0].bound[n++] == 0);
	assert_true(m.network[0].bound[n++] == 0.25);
	assert_true(m.network[0].bound[n++] == 0.5);
	for (double b = 1; b < 60; b++)
		assert_true(m.network[0].bound[n++] == b);
	for (double b = 60; b < 120; b += 5)
		assert_true(m.network[0].bound[n++] == b);
	for (double b = 120; b <= 300; b += 30)
		assert_true(m.network[0].bound[n++] == b);
	assert_int_equal(m.network[0].bounds, n);
	assert_int_equal(m.network[1].bounds, n);
}

static void numbers_are_the_shortest_that_say_it(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0, "0"},
		{0.001, "0.001"},
		{0.1, "0.1"},
		{16.384, "16.384"},
		{60, "60"},
		{300, "300"},
		{1767323045.5, "1767323045.5"},
	};
	char text[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(prometheus_number(cases[i].value, text, sizeof(text)),
				    cases[i].text);
}

static void label_values_are_escaped(void **state)
{
	struct text t;

	(void)state;
	prometheus_escape(begin(&t)->out, "a\\b\"c\nd");
	expect(&t, "a\\\\b\\\"c\\nd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_sums_and_their_bound_belongs_to_them),
		cmocka_unit_test(without_labels_there_are_no_braces),
		cmocka_unit_test(sync_has_kube_proxys_buckets),
		cmocka_unit_test(network_programming_has_kube_proxys_buckets),
		cmocka_unit_test(numbers_are_the_shortest_that_say_it),
		cmocka_unit_test(label_values_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
