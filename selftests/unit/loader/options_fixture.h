/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Words as options_parse() gets them from main(), for tests. To be included after cmocka.h. */
#ifndef NEARPATH_SELFTESTS_OPTIONS_FIXTURE_H
#define NEARPATH_SELFTESTS_OPTIONS_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "options.h"
#include "util.h"

#define ARGS_MAX 8

/* The strings of *o point into words: both live as long as the test. */
static inline int parse_words(const char *const *words, struct options *o, char *error, size_t size)
{
	char *argv[ARGS_MAX + 2] = {(char *)"nearpathd"};
	int argc = 1;

	for (; argc <= ARGS_MAX && words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	return options_parse(argc, argv, o, error, size);
}

static inline struct options parse_good(const char *const *words)
{
	struct options o;
	char error[512] = "";

	if (parse_words(words, &o, error, sizeof(error)))
		fail_msg("refused: %s", error);
	return o;
}
#define GOOD(...) parse_good((const char *const[ARGS_MAX + 1]){__VA_ARGS__})

/* Words that must be refused, with both texts in the error and *o as it was. */
static inline void assert_refused(const char *const *words, const char *what, const char *way_out)
{
	struct options o, untouched;
	char error[512] = "";

	memset(&o, 0x5A, sizeof(o));
	memset(&untouched, 0x5A, sizeof(untouched));
	if (!parse_words(words, &o, error, sizeof(error)))
		fail_msg("%s: taken", words[0]);
	if (!strstr(error, what) || !strstr(error, way_out))
		fail_msg("%s: \"%s\" says not \"%s\" and \"%s\"", words[0], error, what, way_out);
	if (strchr(error, '\n'))
		fail_msg("%s: more than a line: %s", words[0], error);
	assert_memory_equal(&o, &untouched, sizeof(o));
}

/* Words to be refused, ended by NULL, and what the error must say. */
struct option_refusal {
	const char *words[4];
	const char *option;
	const char *way_out;
};

static inline void a_refusal_names_the_option_and_the_way_out(void **state)
{
	const struct option_refusal *r = *state;

	assert_refused(r->words, r->option, r->way_out);
}

/* Each as a test named after its option. */
static inline int run_refusals(const struct option_refusal *refusals, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		const struct CMUnitTest test[] = {{
			.name = refusals[i].words[refusals[i].words[1] ? 1 : 0],
			.test_func = a_refusal_names_the_option_and_the_way_out,
			.initial_state = (void *)&refusals[i],
		}};

		failed += cmocka_run_group_tests_name("refusal", test, NULL, NULL);
	}
	return failed;
}

#endif
