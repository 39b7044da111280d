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
	struct kube_object *objects; /* linked by next: the Service, if it is there, and slices */
	struct group *next_touched;
	bool touched;
	bool tried; /* published, or to be published again if not set */
	bool refused;
};

/*
 * Of a struct kube_object are the store's:
 *   group     a Service's, a tied slice's; NULL for others
 *   next      in group->objects, or a commit's removed
 *   delivery  in which it was put last
 *   gone      inside a commit: removed, but in the set until all is told
 */
struct store {
	struct set objects;
	struct set groups;
	size_t count[KUBE_KINDS];
	uint32_t delivery; /* the number of the one under way */
};

/* What is to happen to one key. */
struct staged {
	struct kube_object *object; /* NULL: remove, or the store has it */
	struct kube_object *stored; /* filled by the commit: what the store has now; NULL: none */
	struct kube_object *before; /* what it had, where that is another */
	char *own;		    /* the key where there is no object */
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
	size_t room;		     /* the next one that room is made for */
	size_t more;		     /* objects of them that the store has not */
	struct kube_object *removed; /* linked by next; the last one's next is *removed_end */
	struct kube_object **removed_end;
	struct group *touched; /* linked by next_touched, in order of the change */
	struct group *last_touched;
	struct group *next; /* the next one to be published */
	bool failed;	    /* one of this pass did not fit, */
	bool done;	    /* and one did */
};

/* Of its key, in store->objects. */
uint32_t store_hash(const struct kube_object *object);
/* Gone or not. */
struct kube_object *store_find(const struct store *store, const char *key);
/* The group a Service or slice belongs to is object->group now. 0 or -ENOMEM. */
int store_find_group(struct store *store, struct kube_object *object);
void store_drop_group_if_unused(struct store *store, struct group *group);

/* Taking an object out of its group, and putting it in. Neither can fail. */
void store_unlink(struct kube_object *object);
void store_link(struct kube_object *object);

/*
 * Have services touched published, up to max of them. Those that do not fit are tried again after
 * all others, since these may make room; then what the change did to them is undone. True: there
 * are more.
 */
bool store_try(struct commit *commit, size_t max);

#endif
