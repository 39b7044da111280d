/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Looking for a tag in a bucket of an index, the same for flows and frontends. */
#ifndef NEARPATH_DATAPATH_BUCKET_H
#define NEARPATH_DATAPATH_BUCKET_H

#include "../maps/hash.h"

/*
 * The entry with the tag, or 0; several: more than one has it. Without branches: eight of them
 * would make the verifier follow hundreds of paths into whatever comes after.
 */
static __always_inline __u64 bucket_match(const struct np_bucket *bucket, __u32 tag, bool *several)
{
	__u64 found = 0, matches = 0;
	int i;

	for (i = 0; i < NP_BUCKET; i++) {
		__u64 entry = *(volatile __u64 *)&bucket->entry[i];
		__u64 differs = (__u32)(entry >> 32) ^ tag;
		__u64 match = (differs - 1) >> 63; /* 1 if nothing differs */

#ifdef __bpf__
		/* Not "&": from 6.18 the verifier follows both values of a mask. */
		asm volatile("%0 *= %1" : "+r"(entry) : "r"(match));
#else
		entry *= match;
#endif
		found |= entry;
		matches += match;
	}
	*several = matches > 1;
	return found;
}

#endif
