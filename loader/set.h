/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Pointers to records, found by a hash of what the caller holds for their key: 12 bytes a place, of
 * which at most four in five are in use. Owns no record. Records may be removed while all are
 * gone over, but not added.
 */
#ifndef NEARPATH_LOADER_SET_H
#define NEARPATH_LOADER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct set {
	void **item;
	uint32_t *hash;
	size_t size; /* places */
	size_t used; /* by items and by what was removed */
	size_t count;
};

/* Keyed with a secret, so that nobody can choose records that collide. */
uint32_t set_hash(const void *bytes, size_t length);
uint32_t set_hash_more(uint32_t hash, uint64_t more);

typedef bool (*set_is)(const void *item, const void *key);

void *set_find(const struct set *set, uint32_t hash, set_is is, const void *key);
/* The place of that hash will be looked at soon: from memory, it comes meanwhile. */
void set_ahead(const struct set *set, uint32_t hash);
int set_add(struct set *set, uint32_t hash, void *item); /* 0 or -ENOMEM */
/* So that as many can be added; 0 or -ENOMEM. */
int set_reserve(struct set *set, size_t more);
void set_remove(struct set *set, uint32_t hash, const void *item);
/* Of the same hash; old is there. */
void set_replace(struct set *set, uint32_t hash, const void *old, void *item);
void set_free(struct set *set);

/* The next one; *place: 0 at first. NULL: there is none. */
void *set_next(const struct set *set, size_t *place);

#endif
