/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What store.c and store_refuse.c share: the records. Private to them. */
#ifndef NEARPATH_LOADER_STORE_PRIVATE_H
#define NEARPATH_LOADER_STORE_PRIVATE_H

#include <stdbool.h>

#include <utlist.h>

#include "set.h"
#include "store.h"

/* A service name, as a Service has it or a slice is tied to it. Gone when nothing refers to it. */
struct group {
	const char *namespace; /* interned, as name */
	const char *name;
	struct kube_object *service; /* borrowed from its entry; NULL: only slices so far */
	struct entry *slices;	     /* doubly linked by prev, next */
	uint32_t count;
	bool touched;
	bool tried; /* published, or to be published again if not set */
	bool refused;
	struct group *next_touched;
};

struct entry {
	const char *key;	    /* the object's, or of who makes room for one */
	struct kube_object *object; /* NULL only inside a commit: room made for it */
	struct group *group;	    /* a Service's, a tied slice's; NULL for others */
	struct group *group_before; /* inside a commit: of an entry that is removed by it */
	struct entry *prev, *next;  /* in group->slices, or a commit's removed */
	unsigned delivery;	    /* in which it was put last */
	bool gone;		    /* inside a commit: removed, but kept until all is told */
};

struct store {
	struct set entries;
	struct set groups;
	size_t count[KUBE_KINDS];
	unsigned delivery; /* the number of the one under way */
};

/* What is to happen to one key. */
struct staged {
	struct kube_object *object; /* NULL: remove */
	struct entry *entry;	    /* filled by the commit; NULL: not there */
	struct group *group;	    /* of the new object; filled by the commit */
	struct kube_object *before; /* what the entry had */
	struct group *group_before;
	const char *key; /* the object's, or own */
	char *own;
	enum kube_kind kind; /* of the new object */
	bool changed;
};

struct store_change {
	struct store *store;
	bool replace;
	struct set by_key;
	struct staged **chunk; /* in the order of the first mention */
	size_t count;
};

/* Large enough that its memory is given back as a whole. */
#define STAGED_CHUNK 4096

static inline struct staged *staged_at(const struct store_change *change, size_t i)
{
	return i < change->count ? &change->chunk[i / STAGED_CHUNK][i % STAGED_CHUNK] : NULL;
}

/* What is to happen to the key; NULL: nothing. */
struct staged *store_staged(const struct store_change *change, const char *key);

enum commit_phase { COMMIT_ROOM, COMMIT_PUBLISH, COMMIT_DONE };

/* The state of a commit that is under way. */
struct commit {
	struct store *store;
	struct store_change *change;
	struct store_visitor visitor;
	struct store_result result;
	enum commit_phase phase;
	size_t room;	       /* the next one that room is made for */
	struct entry *removed; /* doubly linked */
	struct group *touched; /* linked by next_touched, in order of the change */
	struct group *last_touched;
	struct group *next; /* the next one to be published */
	bool failed;	    /* one of this pass did not fit, */
	bool done;	    /* and one did */
};

/* Records. An entry may be there without an object: room for one. */
struct entry *store_find_entry(const struct store *store, const char *key);
int store_make_entry(struct store *store, const char *key, struct entry **made);
void store_drop_entry(struct store *store, struct entry *entry);
/* The group a Service or slice belongs to; NULL for other objects. */
int store_get_object_group(struct store *store, const struct kube_object *object,
			   struct group **group);
void store_drop_group_if_unused(struct store *store, struct group *group);

/* Taking an entry out of what refers to it, and putting it in. Neither can fail. */
void store_unlink(struct entry *entry);
void store_link(struct entry *entry, struct group *group);

/*
 * Have services touched published, up to max of them. Those that do not fit are tried again after
 * all others, since these may make room; then what the change did to them is undone. True: there
 * are more.
 */
bool store_try(struct commit *commit, size_t max);

#endif
