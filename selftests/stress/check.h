/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The invariants of the flow table, looked at from outside over the mapped tables, by code that
 * shares nothing with the programs' but the hash: maps/flow.h says what must hold.
 */
#ifndef NEARPATH_SELFTESTS_STRESS_CHECK_H
#define NEARPATH_SELFTESTS_STRESS_CHECK_H

#include "tables.h"

struct check_counts {
	uint64_t records; /* lives of records that were looked at */
	uint64_t entries; /* index entries */
	uint64_t violations;
};

/*
 * Beside running writers: every live record has all its names, each at the place the record knows,
 * with the tag and in a bucket of its tuple; every index entry leads to a record that knows of it.
 * What changes while it is looked at is left out. Violations are printed.
 */
void check_running(const struct tables *t, int family, struct check_counts *counts);

/*
 * When nobody writes, also: no record is claimed, free ones have no names, no entry is left over,
 * and no two flows share a tuple in a hook. live: flows there are.
 */
void check_stopped(const struct tables *t, int family, struct check_counts *counts, uint32_t *live);

#endif
