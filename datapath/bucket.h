/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Looking through a bucket of an index, the same for flows and frontends. */
#ifndef NEARPATH_DATAPATH_BUCKET_H
#define NEARPATH_DATAPATH_BUCKET_H

#include "../maps/hash.h"

#define BUCKET_NONE 0xFFFFFFFFFFFFFFFFULL

/*
 * What the first entry with the tag says (its lower half), or BUCKET_NONE. Others may have the tag
 * as well, once in 2^31: who finds that this one is not it has to look at each.
 *
 * Three instructions an entry. The verifier follows the eight ways out, but they meet with the same
 * to be known of the one value that lives on.
 */
static __always_inline __u64 bucket_match(const struct np_bucket *bucket, __u32 tag)
{
	__u64 want = (__u64)tag << 32;
	int i;

	for (i = 0; i < NP_BUCKET; i++) {
		__u64 differs = *(volatile __u64 *)&bucket->entry[i] ^ want;

		if (differs <= 0xFFFFFFFF)
			return differs;
	}
	return BUCKET_NONE;
}

/* Has the bucket an entry with the tag that says something else than this? */
static __always_inline bool bucket_has_other(const struct np_bucket *bucket, __u32 tag, __u32 own)
{
	__u64 want = (__u64)tag << 32;
	int i;

	for (i = 0; i < NP_BUCKET; i++) {
		__u64 differs = *(volatile __u64 *)&bucket->entry[i] ^ want;

		if (differs <= 0xFFFFFFFF && differs != own)
			return true;
	}
	return false;
}

/* A bit for each entry in use, the first lowest. Every tag has its highest bit set. */
static __always_inline __u32 bucket_used(const struct np_bucket *bucket)
{
	__u64 used = 0;
	int i;

	for (i = 0; i < NP_BUCKET; i++)
		used |= *(volatile __u64 *)&bucket->entry[i] >> 63 << i;
	return used;
}

/* How many bits of eight are set. */
static __always_inline __u32 bits_count(__u32 bits)
{
	bits -= bits >> 1 & 0x55;
	bits = (bits & 0x33) + (bits >> 2 & 0x33);
	return (bits + (bits >> 4)) & 0xF;
}

/* Number of the lowest of eight bits that is not set; one of them is not. */
static __always_inline __u32 bits_first_clear(__u32 bits)
{
	bits = ~bits & (bits + 1);
	return ((bits & 0xAA) != 0) | ((bits & 0xCC) != 0) << 1 | ((bits & 0xF0) != 0) << 2;
}

#endif
