/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A change of objects: apply, replace, delete, the end of a delivery, what the state on disk says
 * at a start. It is read whole, taken into the store, in the tables, and written to the journal
 * before it is answered; all of it in parts, between which the daemon does other work and answers
 * who does not change objects. There is one at a time.
 */
#ifndef NEARPATH_LOADER_CHANGE_H
#define NEARPATH_LOADER_CHANGE_H

#include "daemon.h"
#include "items.h"

struct change_keeping;

enum change_phase { CHANGE_READ, CHANGE_STORE, CHANGE_KEEP, CHANGE_END };

struct change {
	struct daemon *d;
	const char *method; /* "apply", "replace", "delete", or "sync" */
	enum change_phase phase;

	/* Of where its objects are from; NULL where that is not it. */
	char *line; /* owned, unless it is the journal's */
	size_t length;
	struct items *items;
	int64_t at; /* of the line, in the journal that is replayed */
	json_t *params;
	json_t *id; /* of the call by a long line */

	struct store_change *staged;
	struct kube_error error; /* what is wrong with an object */
	size_t objects;		 /* read so far */
	size_t endpoints;	 /* of those that were staged */
	int rc;			 /* of the one that is wrong; the rest is not staged */
	json_t *warnings;

	struct commit *commit;
	uint64_t generation; /* of the publisher, before */
	struct store_result done;
	struct change_keeping *keeping;
	bool keep;    /* it is to be written to the journal */
	bool waiting; /* for the disk: change_work() has nothing to do */

	struct server_call *call; /* NULL: nobody waits for it */
	json_t *result;
	struct rpc_error failure;
	bool owe; /* the answer waits for a grace period */
};

/* 0 or -ENOMEM. */
int change_new(struct daemon *d, const char *method, struct change **change);
void change_free(struct change **change);

/*
 * The objects of d->change are read or staged: carry it out as far as it goes at once. Answers as a
 * handler does: 0, -errno, or RPC_LATER.
 */
int change_start(struct daemon *d, json_t **result, struct rpc_error *error);

/*
 * For the server: a long line, what is there of one (change_part.c), and the work that is left. A
 * change of a line that is not complete is d->coming: it is staged, and in nobody's way.
 */
bool change_part(void *arg, const char *line, size_t length);
void change_drop_part(struct daemon *d);
/* Make it d->change, if it is of this line, which is complete now. */
bool change_take_part(struct daemon *d, const char *line, size_t length);
int change_long(void *arg, char **line, size_t length, struct server_call *call);
bool change_work(void *arg);

/* For the journal: one of its lines, at a start. */
int change_replay(const char *line, size_t length, int64_t at, void *arg);

/* apply, replace and delete. */
int method_apply(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_replace(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_delete(void *arg, json_t *params, json_t **result, struct rpc_error *error);

/*
 * change_read.c: all objects of params; or some of a text, 1: there are more. -errno with failure
 * filled. And the method of the request that a text begins with, where it can be read so.
 */
int change_read_params(struct change *c);
int change_read_items(struct change *c);
void change_read_ready(struct change *c); /* those of them that are there */
int change_open_items(const char *text, size_t length, struct items **items, const char **method);

/*
 * change_keep.c: 1: there is more; 0: done, or told. What could not be written stays in memory. And
 * of a change that is still read: the item, which was staged last, may be written before its time.
 */
int change_keep(struct change *c);
void change_keep_early(struct change *c, const struct item *item);
void change_keep_end(struct change *c);

/* A part is to take so long that others need not wait longer. */
#define CHANGE_PART_US 2000
bool change_is_late(const struct timespec *began);

#endif
