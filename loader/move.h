/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Moving what the tables of another version hold into these, beside the running programs: flows in
 * batches, counters, session affinity, turns of source ports. Knows no order of events.
 */
#ifndef NEARPATH_LOADER_MOVE_H
#define NEARPATH_LOADER_MOVE_H

#include "layout.h"
#include "publish.h"

#define MOVE_BATCH   4096  /* flows between two grace periods */
#define MOVE_RECORDS 65536 /* looked at in one slice */

struct move {
	struct layout *from;
	struct tables *to;
	struct publisher *publisher;
	int family;
	uint32_t next; /* record */
	bool cleaning; /* records are done: the index is next */
	uint32_t left; /* names that are still in the index, in this pass */
	uint64_t flows;
	uint32_t stuck;	 /* flows of this pass that could not be moved */
	uint32_t passes; /* that found something */
};

/*
 * A slice of the work; it waits for one grace period at most. 1: there may be more; 0: a whole pass
 * is over; left and stuck say what it found.
 */
int move_slice(struct move *m);

/* Free what a nearpathd that was killed had claimed in the other tables. */
int move_repair(struct layout *from);

/* Add what they counted: once their programs no longer run, and of services at any time. */
void move_stats(struct layout *from, struct tables *to);
void move_service_stats(struct layout *from, struct tables *to, struct publisher *p);

/* The affinity of clients that have none here yet (only_new), or of all. */
void move_affinity(struct layout *from, struct tables *to, struct publisher *p, bool only_new);

/*
 * Whose turn it is of the source ports towards each backend, with room in between: programs of
 * before may be giving out the next ones at this moment.
 */
void move_turns(struct layout *from, struct tables *to, struct publisher *p);

#endif
