/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Open addressing, place after place; what is removed leaves a mark until the set is made anew. */
#include "set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

#define FIRST_SIZE 16

static char removed;
#define REMOVED ((void *)&removed)

uint32_t set_hash(const void *bytes, size_t length)
{
	return (uint32_t)digest_bytes(bytes, length);
}

uint32_t set_hash_more(uint32_t hash, uint64_t more)
{
	const uint64_t both[2] = {hash, more};

	return set_hash(both, sizeof(both));
}

/* The place to begin at: hashes in order are places in order, whatever the size. */
static size_t first(const struct set *s, uint32_t hash)
{
	return (size_t)((uint64_t)hash * s->size >> 32);
}

static size_t after(const struct set *s, size_t at)
{
	return at + 1 < s->size ? at + 1 : 0;
}

void *set_find(const struct set *s, uint32_t hash, set_is is, const void *key)
{
	size_t at = first(s, hash);

	if (!s->size)
		return NULL;
	for (; s->item[at]; at = after(s, at))
		if (s->hash[at] == hash && s->item[at] != REMOVED && is(s->item[at], key))
			return s->item[at];
	return NULL;
}

void set_ahead(const struct set *s, uint32_t hash)
{
	if (!s->size)
		return;
	__builtin_prefetch(&s->item[first(s, hash)]);
	__builtin_prefetch(&s->hash[first(s, hash)]);
}

static void put(struct set *s, uint32_t hash, void *item)
{
	size_t at = first(s, hash);

	while (s->item[at])
		at = after(s, at);
	s->item[at] = item;
	s->hash[at] = hash;
	s->used++;
	s->count++;
}

/* Of at least the size; larger, so that this is not done again soon. */
static int make_anew(struct set *s, size_t size)
{
	struct set more = {.size = s->count + s->count * 9 / 16};

	more.size = (more.size < size ? size : more.size) + FIRST_SIZE;

	more.item = calloc(more.size, sizeof(*more.item));
	more.hash = malloc(more.size * sizeof(*more.hash));
	if (!more.item || !more.hash) {
		set_free(&more);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->size; i++)
		if (s->item[i] && s->item[i] != REMOVED)
			put(&more, s->hash[i], s->item[i]);
	set_free(s);
	*s = more;
	return 0;
}

int set_reserve(struct set *s, size_t more)
{
	return (s->used + more) * 5 > s->size * 4 ? make_anew(s, (s->count + more) * 4 / 3) : 0;
}

int set_add(struct set *s, uint32_t hash, void *item)
{
	if (set_reserve(s, 1))
		return -ENOMEM;
	put(s, hash, item);
	return 0;
}

/* Where it is; NULL: nowhere. */
static void **find_item(const struct set *s, uint32_t hash, const void *item)
{
	size_t at = first(s, hash);

	if (!s->size)
		return NULL;
	while (s->item[at] && s->item[at] != item)
		at = after(s, at);
	return s->item[at] ? &s->item[at] : NULL;
}

void set_remove(struct set *s, uint32_t hash, const void *item)
{
	void **found = find_item(s, hash, item);

	if (!found)
		return;
	*found = REMOVED;
	s->count--;
}

void set_replace(struct set *s, uint32_t hash, const void *old, void *item)
{
	*find_item(s, hash, old) = item;
}

void *set_next(const struct set *s, size_t *place)
{
	while (*place < s->size) {
		void *item = s->item[(*place)++];

		if (item && item != REMOVED)
			return item;
	}
	return NULL;
}

void set_free(struct set *s)
{
	free(s->item);
	free(s->hash);
	*s = (struct set){};
}
