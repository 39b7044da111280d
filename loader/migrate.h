/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Taking over from the tables of another ABI version while traffic runs: in which order programs
 * are exchanged, flows moved and pins removed, so that a kill between any two steps loses nothing
 * and either version can go on. docs/design.md, "Upgrades", says why.
 */
#ifndef NEARPATH_LOADER_MIGRATE_H
#define NEARPATH_LOADER_MIGRATE_H

#include <jansson.h>

#include "ifaces.h"
#include "publish.h"
#include "tables.h"

struct event_base;
struct migrate;

/*
 * Before the tables are opened: are there those of another version? *migrate is NULL if not, and
 * all others take NULL. What they tell the new tables is put into o. -EPROTO with *why: they cannot
 * be taken over; nothing was changed.
 */
int migrate_find(const char *bpffs, const char *links, struct tables_options *o,
		 struct migrate **migrate, const char **why);
void migrate_free(struct migrate **migrate); /* what has not come to its end goes on next time */

/* The other version; 0 for NULL. */
unsigned migrate_from(const struct migrate *m);

/* Are these tables new, so that only the others hold services until all objects are known? */
bool migrate_is_fresh(const struct migrate *m);

/* Backends are to have the numbers they had: before anything is published. */
void migrate_want(struct migrate *m, struct publisher *p);

/*
 * The services are published: load the programs that know both tables; t->ingress_fd and the like
 * are then theirs. Without another version: what one left is removed.
 */
int migrate_load(struct migrate *m, struct tables *t, const char **why);

/*
 * The programs are attached wherever they are to be: begin to move flows, in slices, by events of
 * base. done is called once, when there is no other version any more and the programs without are
 * attached.
 */
struct migrate_end {
	unsigned version; /* the other */
	uint64_t flows;	  /* moved */
	uint32_t milliseconds;
};
int migrate_start(struct migrate *m, struct event_base *base, struct tables *t,
		  struct publisher *publisher, struct ifaces *ifaces,
		  void (*done)(const struct migrate_end *end, void *arg), void *arg);

/* {from, moved, stuck, moving}: docs/socket.md, "status"; JSON null for NULL. */
json_t *migrate_json(const struct migrate *m);

#endif
