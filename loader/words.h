/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Comparing words that people typed. */
#ifndef NEARPATH_LOADER_WORDS_H
#define NEARPATH_LOADER_WORDS_H

#include <stddef.h>

/* How many characters to insert, remove or change (Levenshtein). SIZE_MAX: to is over 255 long. */
size_t edit_distance(const char *from, const char *to);

#endif
