/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one hash of all tables: multilinear over 32-bit words, h = k0 + k1*w1 + k2*w2 + ... modulo
 * 2^64, which is strongly universal for random keys (Lemire and Kaser, "Strongly universal string
 * hashing is fast", 2014), then one round of mixing, without which ports that follow each other
 * would, for some keys, meet in few buckets. The key is secret and drawn once, since strangers
 * choose the tuples. Multiplications are independent of each other: 4 for IPv4, 10 for IPv6.
 */
#ifndef NEARPATH_MAPS_HASH_H
#define NEARPATH_MAPS_HASH_H

#include "abi.h"

#define NP_HASH_KEYS	 12
#define NP_HASH_TAG_USED 0x80000000U /* set in every tag, so that no entry is zero */

/* Sets the egress names apart from the ingress ones, and frontends from both. */
#define NP_HASH_INGRESS	 0x000
#define NP_HASH_EGRESS	 0x100
#define NP_HASH_FRONTEND 0x200

/*
 * A bucket of an index: entries are a tag in the upper 32 bits and what the index says in the
 * lower. Zero is an empty entry. A key may be in either of two buckets.
 */
#define NP_BUCKET 8

struct np_bucket {
	__u64 entry[NP_BUCKET];
};
NP_STATIC_ASSERT(sizeof(struct np_bucket) == 64);

struct np_hash {
	__u32 bucket; /* to be masked with the table's size less one */
	__u32 tag;
};

/* Key pointers are volatile because the programs keep theirs in .rodata, set before load. */
static inline __attribute__((always_inline)) __u64
np_hash_addr(const volatile __u64 *key, const union np_addr *addr, int family)
{
	__u64 h = key[0] * addr->word[0];

	if (family == NP_IPV6)
		h += key[1] * addr->word[1] + key[2] * addr->word[2] + key[3] * addr->word[3];
	return h;
}

static inline __attribute__((always_inline)) struct np_hash np_hash_finish(__u64 h)
{
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15ULL; /* 2^64 divided by the golden ratio */
	return (struct np_hash){
		.bucket = h >> 32,
		.tag = (__u32)(h ^ h >> 32) | NP_HASH_TAG_USED,
	};
}

/* ports: source port in the lower half, destination port in the upper, both in network order. */
static inline __attribute__((always_inline)) struct np_hash
np_hash_tuple(const volatile __u64 *key, int family, const union np_addr *src,
	      const union np_addr *dst, __u32 ports, __u32 protocol, __u32 space)
{
	__u64 h = key[0] + key[1] * ports + key[2] * (protocol | space);

	return np_hash_finish(h + np_hash_addr(key + 3, src, family) +
			      np_hash_addr(key + 7, dst, family));
}

static inline __attribute__((always_inline)) struct np_hash
np_hash_frontend(const volatile __u64 *key, int family, const union np_addr *addr, __be16 port,
		 __u32 protocol)
{
	__u64 h = key[0] + key[1] * port + key[2] * (protocol | NP_HASH_FRONTEND);

	return np_hash_finish(h + np_hash_addr(key + 7, addr, family));
}

/*
 * Where the record of a flow is looked for first, to be masked: by the client and its port alone,
 * which packets of both ways have unless the source is translated.
 */
static inline __attribute__((always_inline)) __u32
np_hash_home(const volatile __u64 *key, int family, const union np_addr *client, __be16 port)
{
	return np_hash_finish(key[1] * port + np_hash_addr(key + 3, client, family)).bucket;
}

/* The second candidate; from it, the same step leads back to the first. */
static inline __attribute__((always_inline)) __u32 np_hash_other_bucket(__u32 bucket, __u32 tag)
{
	return bucket ^ (tag | 1);
}

#endif
