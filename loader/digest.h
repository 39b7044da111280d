/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What stands for the content of a JSON value where the value itself is not kept: two that are
 * equal (json_equal()) have the same digest, and no others that anybody can find, since it is keyed
 * with a secret of the process.
 */
#ifndef NEARPATH_LOADER_DIGEST_H
#define NEARPATH_LOADER_DIGEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct digest {
	uint64_t word[2];
};

struct digest digest_json(const json_t *value);

/* Of an object without some of its members; *without: of these, where it is not NULL. */
struct digest digest_members(const json_t *object, const char *const *except,
			     struct digest *without);

/* Of bytes, for tables in memory. */
uint64_t digest_bytes(const void *bytes, size_t length);

/* Of two, in this order. */
struct digest digest_pair(struct digest first, struct digest second);

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return !memcmp(a, b, sizeof(*a));
}

#endif
