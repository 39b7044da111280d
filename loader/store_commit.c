/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The commit of a change: room is made, which may fail; then all of it is in the store at once,
 * which cannot; then its services are published and all is told.
 */
#include <errno.h>
#include <string.h>

#include "store_private.h"
#include "util.h"

#define ROOMS_A_STEP 1000

/* Everything of the commit that needs memory; undone by undo_room(). 1: there is more. */
static int make_room(struct commit *commit)
{
	struct store *store = commit->store;
	char key[KUBE_KEY_MAX];
	struct staged *staged;
	int err;

	for (int i = 0; i < ROOMS_A_STEP && (staged = staged_at(commit->change, commit->room));
	     i++) {
		commit->room++;
		staged->stored =
			store_find(store, staged->own ?: kube_write_key(staged->object, key));
		if (!staged->object)
			continue;
		commit->more += !staged->stored;
		err = store_find_group(store, staged->object);
		if (err)
			return err;
	}
	return commit->room < commit->change->count ? 1
						    : set_reserve(&store->objects, commit->more);
}

static void undo_room(struct store *store)
{
	struct group *group;
	size_t place = 0;

	while ((group = set_next(&store->groups, &place)))
		store_drop_group_if_unused(store, group);
}

static void touch(struct commit *commit, struct group *group)
{
	if (!group || group->touched)
		return;
	group->touched = true;
	if (commit->touched)
		commit->last_touched->next_touched = group;
	else
		commit->touched = group;
	commit->last_touched = group;
}

/* The same, with the version it had: nothing need be done. */
static bool is_same(const struct kube_object *a, const struct kube_object *b)
{
	return a && digest_equal(&a->content, &b->content) && a->versions == b->versions;
}

/* Put the staged object in place of the one that is there, if any. Cannot fail: there is room. */
static void apply_put(struct commit *commit, struct staged *staged)
{
	struct kube_object *old = staged->stored, *object = staged->object;
	struct store *store = commit->store;

	if (is_same(old, object)) {
		old->delivery = store->delivery;
		commit->result.unchanged++;
		return;
	}
	staged->changed = !old || !digest_equal(&old->content, &object->content);
	if (staged->changed) {
		touch(commit, old ? old->group : NULL);
		touch(commit, object->group);
		commit->result.applied++;
	} else {
		commit->result.unchanged++;
	}
	/* Taken over even if unchanged: it is shown as it was given last. */
	if (old) {
		store_unlink(old);
		set_replace(&store->objects, store_hash(object), old, object);
	} else {
		set_add(&store->objects, store_hash(object), object);
		store->count[object->kind]++;
	}
	object->delivery = store->delivery;
	store_link(object);
	staged->before = old;
	staged->stored = TAKE_PTR(staged->object);
}

/* Out of the store, but kept until it has been told of. Cannot fail. */
static void apply_remove(struct commit *commit, struct kube_object *object)
{
	touch(commit, object->group);
	store_unlink(object);
	object->gone = true;
	object->next = NULL;
	*commit->removed_end = object;
	commit->removed_end = &object->next;
	commit->store->count[object->kind]--;
	commit->result.removed++;
}

static void apply(struct commit *commit, struct store_change *change)
{
	struct kube_object *object;
	struct staged *staged;
	char key[KUBE_KEY_MAX];
	size_t place = 0;

	while (change->replace && (object = store_next(commit->store, &place)))
		if (!store_staged(change, kube_write_key(object, key)))
			apply_remove(commit, object);
	for (size_t i = 0; (staged = staged_at(change, i)); i++) {
		if (staged->object)
			apply_put(commit, staged);
		else if (staged->stored)
			apply_remove(commit, staged->stored);
		else
			commit->result.missing++;
	}
}

static void tell_object(const struct store_visitor *visitor, const struct kube_object *object,
			const char *event)
{
	char key[KUBE_KEY_MAX];

	if (visitor->object)
		visitor->object(kube_write_key(object, key), event, visitor->arg);
}

static void tell_node(const struct store_visitor *visitor, const struct kube_object *object)
{
	if (visitor->node && object->kind == KUBE_NODE)
		visitor->node(object->node.name, visitor->arg);
	if (visitor->service_cidr && object->kind == KUBE_SERVICE_CIDR)
		visitor->service_cidr(visitor->arg);
}

/* What services are planned for first. */
static void tell_nodes(const struct commit *commit)
{
	const struct staged *staged;
	const struct kube_object *object;

	for (object = commit->removed; object; object = object->next)
		tell_node(&commit->visitor, object);
	for (size_t i = 0; (staged = staged_at(commit->change, i)); i++)
		if (staged->changed)
			tell_node(&commit->visitor, staged->stored);
}

/* What was done to an object once it is done. */
static void tell(const struct commit *commit)
{
	const struct store_visitor *visitor = &commit->visitor;
	const struct staged *staged;
	const struct kube_object *object;
	const struct group *group;

	for (group = commit->touched; visitor->refused && group; group = group->next_touched)
		if (group->refused)
			visitor->refused(group->namespace, group->name, visitor->arg);
	for (object = commit->removed; object; object = object->next)
		tell_object(visitor, object, "removed");
	for (size_t i = 0; (staged = staged_at(commit->change, i)); i++)
		if (staged->changed)
			tell_object(visitor, staged->stored, "applied");
}

static void clean_up(struct commit *commit)
{
	struct kube_object *object, *next;
	struct group *group;

	LL_FOREACH_SAFE(commit->removed, object, next)
	{
		set_remove(&commit->store->objects, store_hash(object), object);
		kube_free(&object);
	}
	while (commit->touched) {
		group = commit->touched;
		commit->touched = TAKE_PTR(group->next_touched);
		group->touched = group->tried = group->refused = false;
		store_drop_group_if_unused(commit->store, group);
	}
}

int store_begin(struct store *store, struct store_change **change,
		const struct store_visitor *visitor, struct commit **commit)
{
	static const struct store_visitor nobody;
	_cleanup_(store_change_free) struct store_change *own = TAKE_PTR(*change);
	struct commit *made;

	if (own->store != store)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->store = store;
	made->change = TAKE_PTR(own);
	made->visitor = visitor ? *visitor : nobody;
	made->removed_end = &made->removed;
	*commit = made;
	return 0;
}

int store_step(struct commit *commit, size_t max)
{
	int rc;

	if (commit->phase == COMMIT_ROOM) {
		rc = make_room(commit);
		if (rc)
			return rc;
		apply(commit, commit->change);
		tell_nodes(commit);
		commit->next = commit->touched;
		commit->phase = COMMIT_PUBLISH;
		return 1;
	}
	if (commit->phase == COMMIT_PUBLISH && !store_try(commit, max))
		commit->phase = COMMIT_DONE;
	return commit->phase != COMMIT_DONE;
}

void store_end(struct commit **commit, struct store_result *result)
{
	struct commit *own = TAKE_PTR(*commit);

	if (!own)
		return;
	if (own->phase == COMMIT_ROOM)
		undo_room(own->store);
	if (own->phase == COMMIT_DONE)
		tell(own);
	clean_up(own);
	*result = own->result;
	store_change_free(&own->change);
	free(own);
}

const struct store_result *store_so_far(const struct commit *commit)
{
	return &commit->result;
}

bool store_next_put(const struct commit *commit, size_t *place, struct store_put *put)
{
	const struct staged *staged = staged_at(commit->change, (*place)++);

	if (!staged)
		return false;
	*put = (struct store_put){
		.object = staged->stored && !staged->stored->gone ? staged->stored : NULL,
		.key = staged->own,
	};
	return true;
}

int store_commit(struct store *store, struct store_change **change,
		 const struct store_visitor *visitor, struct store_result *result)
{
	struct commit *commit;
	int rc = store_begin(store, change, visitor, &commit);

	if (rc)
		return rc;
	do
		rc = store_step(commit, SIZE_MAX);
	while (rc > 0);
	store_end(&commit, result);
	return rc;
}
