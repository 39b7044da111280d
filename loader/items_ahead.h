/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A thread that reads the objects of a long request ahead of whoever works on them: reading is two
 * thirds of the work. Objects are handed over by the dozen, each dozen with a part of the memory.
 */
#ifndef NEARPATH_LOADER_ITEMS_AHEAD_H
#define NEARPATH_LOADER_ITEMS_AHEAD_H

#include "items.h"

#define AHEAD_BATCHES 4 /* and so many parts of memory, which is open */

struct ahead;

/* As items_next(), by the calling thread itself. */
int items_read(struct items *items, struct item *item, json_error_t *why);

/* The items are the thread's from now on; NULL: there is no thread to be had. */
struct ahead *ahead_new(struct items *items);
/* Is there an object that ahead_next() need not wait for? */
bool ahead_ready(struct ahead *ahead);
/* As items_next(). */
int ahead_next(struct ahead *ahead, struct item *item, json_error_t *why);
/* At the end or at any other time: the items are the caller's again. */
void ahead_free(struct ahead **ahead);

#endif
