/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A store for each test. The first member of a fixture is its struct store *. */
#ifndef NEARPATH_SELFTESTS_STORE_FIXTURE_H
#define NEARPATH_SELFTESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store.h"

/* size: of the whole fixture, which is all zero but for its store. */
static inline int store_set_up(void **state, size_t size)
{
	struct store **fixture = calloc(1, size);

	assert_non_null(fixture);
	*state = fixture;
	return store_new(fixture);
}

static inline int store_tear_down(void **state)
{
	struct store **fixture = *state;

	store_free(fixture);
	assert_null(*fixture);
	free(fixture);
	return 0;
}

#endif
