/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packets through the loaded programs, one test run each, and what may come out of them: the
 * oracle of the stress test. Any number of threads, each with a struct traffic of its own.
 */
#ifndef NEARPATH_SELFTESTS_STRESS_TRAFFIC_H
#define NEARPATH_SELFTESTS_STRESS_TRAFFIC_H

#include "world.h"

struct traffic_counts {
	uint64_t packets[NP_HOOKS];
	uint64_t translated;
	uint64_t dropped;
	uint64_t passed;	/* of no flow: they came out as they went in */
	uint64_t kept;		/* packets of connections that only this thread uses */
	uint64_t conversations; /* such connections, from SYN to FIN or RST */
	uint64_t slow;		/* packets as a slow CPU would handle them (slow.h) */
	uint64_t slow_opened;	/* flows it made */
	uint64_t violations;
};

struct outcome; /* what came of a packet */
struct kept;	/* a connection that only this thread uses */

struct traffic {
	const struct tables *tables;
	uint32_t ifindex;
	unsigned number; /* of the thread: its clients are SHARED + 2 * number and the next */
	uint64_t random;
	struct kept *kept;
	struct outcome *last;
	struct traffic_counts counts;
};

int traffic_init(struct traffic *t, const struct tables *tables, uint32_t ifindex, unsigned number);
void traffic_free(struct traffic *t);

/* One step: some packet of a shared flow, or the next one of a kept connection. */
void traffic_step(struct traffic *t);

/* Some packet of a shared flow, as a slow CPU would handle it. */
void traffic_slow_step(struct traffic *t);

#endif
