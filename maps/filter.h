/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Between which addresses flows may be: a Bloom filter of one hash over source and destination of
 * the tuples that names stand for. A packet between others, as most of a node's are that are no
 * service's, is spared the two buckets of its tuple, which are anywhere in memory.
 *
 * Programs set the bits of what they name and never take one back. For that there are two halves:
 * packets look into the one that np_config.filter tells, names are set in both, and nearpathd,
 * going through all records anyway (loader/sweep.c), empties the other, sets it anew and then has
 * it looked into.
 */
#ifndef NEARPATH_MAPS_FILTER_H
#define NEARPATH_MAPS_FILTER_H

#include "hash.h"

/* 64 bits of both halves. */
struct np_filter {
	__u64 half[2];
};
NP_STATIC_ASSERT(sizeof(struct np_filter) == 16);

/* One word for so many records of a family: four bits each. */
#define NP_FILTER_RECORDS 16
#define NP_FILTER_MIN	  1024 /* words */

struct np_filter_place {
	__u32 word; /* to be masked with the table's size less one */
	__u64 bit;
};

/* space: NP_HASH_INGRESS or NP_HASH_EGRESS. */
static inline __attribute__((always_inline)) struct np_filter_place
np_filter_place(const volatile __u64 *key, int family, const union np_addr *src,
		const union np_addr *dst, __u32 space)
{
	__u64 h = key[0] + key[2] * space + np_hash_addr(key + 3, src, family) +
		  np_hash_addr(key + 7, dst, family);

	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15ULL;
	return (struct np_filter_place){.word = h >> 38, .bit = 1ULL << (h >> 32 & 63)};
}

#endif
