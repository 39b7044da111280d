/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How full each table is, and the option by which it has more room. */
#ifndef NEARPATH_LOADER_FILL_H
#define NEARPATH_LOADER_FILL_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

struct fill {
	const char *name;
	uint64_t size;
	uint64_t used;
	bool counted;	    /* used is known */
	const char *option; /* "max-backends"; NULL: it has the one size */
};

#define FILLS 10

/* In the order of their names. */
void fill_of(struct daemon *d, struct fill fill[FILLS]);

/* Nine parts in ten are used: what is new may soon find no room. */
bool fill_is_high(const struct fill *fill);

#endif
