/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The audit: all that is wanted against all that the kernel has, over and over, a slice at a time,
 * and what differs is put right. The same comparison, at once and without repair, is behind the
 * method diff.
 */
#ifndef NEARPATH_LOADER_AUDIT_H
#define NEARPATH_LOADER_AUDIT_H

#include "compare.h"

struct daemon;
struct audit;

struct audit_counts {
	uint64_t rounds;
	uint64_t differences; /* found since the start, those that wait for room left out */
	uint64_t repairs;
	unsigned standing; /* left over at the end of the last round, those that wait included */
	double last;	   /* when that ended, in seconds of the day's clock; 0: never */
	double work;	   /* seconds of the processor it took */
};

/* A round takes --audit-interval seconds (0: there are none), and never more than 1 ms in 100. */
int audit_new(struct daemon *d, struct audit **audit);
void audit_free(struct audit **audit);

const struct audit_counts *audit_counts(const struct audit *audit);

/* Everything at once. */
void audit_all(struct daemon *d, const struct compare *compare);

#endif
