/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "words.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 256

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t edit_distance(const char *from, const char *to)
{
	size_t row[WORD_MAX];
	const size_t length = strlen(to);

	if (length >= WORD_MAX)
		return SIZE_MAX;
	for (size_t n = 0; n <= length; n++)
		row[n] = n;
	for (size_t i = 0; from[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t n = 1; n <= length; n++) {
			const size_t change = diagonal + (from[i] != to[n - 1]);

			diagonal = row[n];
			row[n] = smaller(change, smaller(row[n], row[n - 1]) + 1);
		}
	}
	return row[length];
}
