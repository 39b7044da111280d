/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The bytes netserver sends and netload expects, and the other way round: a pseudo-random block
 * whose length is a prime, so that lost or repeated blocks of any usual size are noticed.
 */
#ifndef NEARPATH_SELFTESTS_PATTERN_H
#define NEARPATH_SELFTESTS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PATTERN_LEN 65521

static unsigned char pattern[PATTERN_LEN];

static inline void pattern_fill(void)
{
	uint32_t x = 1;
	int i;

	for (i = 0; i < PATTERN_LEN; i++) {
		x = x * 1103515245u + 12345u;
		pattern[i] = x >> 16;
	}
}

/* The bytes from offset at: where they are, and how many follow in one piece. */
static inline const unsigned char *pattern_at(uint64_t at, size_t *len)
{
	*len = PATTERN_LEN - at % PATTERN_LEN;
	return pattern + at % PATTERN_LEN;
}

static inline bool pattern_matches(uint64_t at, const unsigned char *data, size_t len)
{
	while (len) {
		size_t part;
		const unsigned char *want = pattern_at(at, &part);

		if (part > len)
			part = len;
		if (memcmp(data, want, part))
			return false;
		data += part;
		len -= part;
		at += part;
	}
	return true;
}

#endif
