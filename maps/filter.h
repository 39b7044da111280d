/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Between which addresses flows may be: a Bloom filter of one hash over source and destination of
 * the tuples that names stand for. A packet between others, as most of a node's are that are no
 * service's, is spared the two buckets of its tuple, which are anywhere in memory.
 *
 * Programs set the bits of what they name and never take one back. For that there are two halves:
 * names are set in both, packets look into both, and nearpathd, going through all records anyway
 * (loader/sweep.c), empties one and sets it anew, then the other. Which of them is whole meanwhile
 * np_config.filter tells, by which older programs go: they look into that one alone, and wait for
 * two pages of memory one after the other. A bit of what has gone is there for two rounds at most.
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

/*
 * Which addresses frontends have or the kernel told to be the node's: the same for one address.
 * What opens a connection to another one is no service's, which need not be looked for in the
 * index. nearpathd alone writes it: a bit is set before the first entry of its address, and a word
 * in which bits are no longer needed is replaced by one that has all that are.
 */
struct np_address_filter {
	__u64 bits;
};
NP_STATIC_ASSERT(sizeof(struct np_address_filter) == 8);

/* Sixteen bits a service version. */
#define NP_ADDRESS_FILTER_VERSIONS 4

/* IPv4: with family NP_IPV6, of a whole address, the place is the same. */
static inline __attribute__((always_inline)) struct np_filter_place
np_address_place(const volatile __u64 *key, int family, const union np_addr *addr)
{
	const union np_addr none = {};

	return np_filter_place(key, family, &none, addr, NP_HASH_FRONTEND);
}

#endif
