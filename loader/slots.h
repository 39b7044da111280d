/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which slots are free: a buddy allocator of runs whose length is a power of two, so that freed
 * runs join again however services come and go. Bookkeeping only, in process memory.
 */
#ifndef NEARPATH_LOADER_SLOTS_H
#define NEARPATH_LOADER_SLOTS_H

#include <stdint.h>

struct slots;

/* size: a power of two, of at least 64. */
int slots_new(uint32_t size, struct slots **slots);
void slots_free(struct slots **slots);

/* A run of at least count (from 1). -ENOSPC: no such run is free. */
int slots_take(struct slots *s, uint32_t count, uint32_t *first);

/* This very run, as slots_take() gave it to an earlier process. -EBUSY: not free, or none of its.
 */
int slots_take_at(struct slots *s, uint32_t first, uint32_t count);

void slots_give(struct slots *s, uint32_t first, uint32_t count);

uint32_t slots_size(const struct slots *s);
uint32_t slots_used(const struct slots *s);

#endif
