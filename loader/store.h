/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The wanted state: every Kubernetes object given to the daemon, by key, and which services a
 * change touches. Changes are staged and then taken over as a whole or not at all. No I/O.
 */
#ifndef NEARPATH_LOADER_STORE_H
#define NEARPATH_LOADER_STORE_H

#include "kube.h"

struct store;

int store_new(struct store **store);
void store_free(struct store **store);

/* A set of changes under construction. */
struct store_change;

/* replace: objects that are not in the change are removed by it. */
int store_change_new(struct store *store, bool replace, struct store_change **change);
void store_change_free(struct store_change **change);

/*
 * Add an object (a second one of the same key wins over the first); takes *object over and nulls
 * it. Or name a key to remove; removing what is not there is counted, not an error.
 */
int store_change_put(struct store_change *change, struct kube_object **object);
int store_change_remove(struct store_change *change, const char *key);

struct store_result {
	size_t applied;	  /* new or different */
	size_t unchanged; /* the same JSON as before, but for its version in metadata */
	size_t removed;
	size_t missing; /* to be removed, but not there */
	size_t refused; /* services; their objects are in none of the other counts */
};

/*
 * Take the change over. When it is in the store, node and service_cidr are called for each of those
 * that changed, then service for each one touched (by itself or by a slice), then object for all.
 * If service returns non-zero, it is called again after others have been published; if it still
 * does, the objects of that service are put back as they were before the change, and refused is
 * told. A slice that goes from one service to another ties the two: neither has it half.
 * Members of the visitor may be NULL, and visitor too. Frees *change in any case. Returns 0 or
 * -ENOMEM (nothing changed then).
 */
struct store_visitor {
	int (*service)(const char *namespace, const char *name, void *arg);
	void (*refused)(const char *namespace, const char *name, void *arg);
	void (*node)(const char *name, void *arg);
	void (*service_cidr)(void *arg); /* for each ServiceCIDR that changed */
	void (*object)(const char *key, const char *event, void *arg); /* "applied", "removed" */
	void *arg;
};
int store_commit(struct store *store, struct store_change **change,
		 const struct store_visitor *visitor, struct store_result *result);

/*
 * The same in parts, between which the store may be read, but not changed. store_step() goes on
 * with it, calling service up to max times; 1: there is more, 0: all but the end is done, -ENOMEM.
 * store_end() frees all, also of a commit that failed.
 */
struct commit;
int store_begin(struct store *store, struct store_change **change,
		const struct store_visitor *visitor, struct commit **commit);
int store_step(struct commit *commit, size_t max);
void store_end(struct commit **commit, struct store_result *result);

/* Before its end: how much of it there is so far; and each object that it put, or key removed, in
 * order; *place: 0 at first. */
const struct store_result *store_so_far(const struct commit *commit);
struct store_put {
	struct kube_object *object; /* NULL: there is none */
	const char *key;	    /* that was to be removed; NULL: it was to be put */
};
bool store_next_put(const struct commit *commit, size_t *place, struct store_put *put);

/* Every object, in no order; as long as the store does not change. *place: 0 at first. */
struct kube_object *store_next(const struct store *store, size_t *place);

/* NULL where there is none. Borrowed: valid until the next commit. */
const struct kube_service *store_service(const struct store *store, const char *namespace,
					 const char *name);
const struct kube_node *store_node(const struct store *store, const char *name);
const struct kube_slice *store_slice(const struct store *store, const char *key);

/* The slices of one service; *slices to be freed by free(), what it points to is borrowed. */
int store_slices(const struct store *store, const char *namespace, const char *service,
		 struct kube_slice ***slices, size_t *count);

/*
 * Every object in order of kind, namespace and name, or those of one kind; visit as in kube_each().
 */
int store_each_of(const struct store *store, enum kube_kind kind,
		  int (*visit)(const struct kube_object *object, void *arg), void *arg);
int store_each(const struct store *store, int (*visit)(const struct kube_object *object, void *arg),
	       void *arg);

/* A delivery begins: no object is delivered any more until a commit puts it, changed or not. */
void store_deliver(struct store *store);
bool store_is_delivered(const struct store *store, const char *key);
size_t store_count(const struct store *store, enum kube_kind kind);

#endif
