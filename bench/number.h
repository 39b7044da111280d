/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Numbers of the command line. */
#ifndef NEARPATH_BENCH_NUMBER_H
#define NEARPATH_BENCH_NUMBER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The argument of that option, from 1 to max; what is none ends the program, and says what is
 * wanted. */
static inline unsigned long number_option(char option, const char *text, unsigned long max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (!errno && *text >= '0' && *text <= '9' && !*end && n && n <= max)
		return n;
	fprintf(stderr, "-%c wants a number from 1 to %lu, not \"%s\"; see --help\n", option, max,
		text);
	exit(2);
}

#endif
