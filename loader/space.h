/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which entries of the tables services, slots and backends are free. What is given back may still
 * be read by a running program: it waits in limbo until an RCU grace period has passed, which is
 * waited for only when room is needed. Bookkeeping in process memory; touches no table.
 */
#ifndef NEARPATH_LOADER_SPACE_H
#define NEARPATH_LOADER_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct space;

struct space_sizes {
	uint32_t services;
	uint32_t slots;
	uint32_t backends;
};

int space_new(const struct space_sizes *sizes, struct space **space);
void space_free(struct space **space);

/* -ENOSPC if there is no room even after a grace period. */
int space_take_service(struct space *s, uint32_t *number);
int space_take_backend(struct space *s, uint32_t *number);
int space_take_slots(struct space *s, uint32_t count, uint32_t *first);

/* Entries found in adopted tables. -EBUSY: taken already, or outside the table. */
int space_adopt_service(struct space *s, uint32_t number);
int space_adopt_backend(struct space *s, uint32_t number);
int space_adopt_slots(struct space *s, uint32_t first, uint32_t count);

/* Given back: into limbo; when that is full, a grace period is waited for at once. */
void space_give_service(struct space *s, uint32_t number);
void space_give_backend(struct space *s, uint32_t number);
void space_give_slots(struct space *s, uint32_t first, uint32_t count);

/*
 * A grace period that somebody else waits for: what was given back before it began is free when it
 * is over. It is wanted when much is in limbo, so that nobody has to wait at once.
 */
void space_begin_grace(struct space *s);
void space_end_grace(struct space *s);
bool space_wants_grace(const struct space *s);

/*
 * Is there room for something new? The last part of each table is kept for new versions of what is
 * there already: else no endpoint could change any more once a table is full.
 */
bool space_has_room(const struct space *s);

/* Which of them has none. */
enum space_kind { SPACE_ENOUGH, SPACE_SERVICES, SPACE_SLOTS, SPACE_BACKENDS };
enum space_kind space_lacking(const struct space *s);

/* In use, limbo not counted. */
struct space_sizes space_used(const struct space *s);

#endif
