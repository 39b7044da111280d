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
	struct staged *staged;
	int err;

	for (int i = 0; i < ROOMS_A_STEP && (staged = staged_at(commit->change, commit->room));
	     i++) {
		commit->room++;
		staged->entry = store_find_entry(store, staged->key);
		if (!staged->object)
			continue;
		err = store_get_object_group(store, staged->object, &staged->group);
		if (!err && !staged->entry)
			err = store_make_entry(store, staged->key, &staged->entry);
		if (err)
			return err;
	}
	return commit->room < commit->change->count;
}

static void undo_room(struct store *store, struct store_change *change)
{
	struct staged *staged;
	struct group *group;
	size_t place = 0;

	for (size_t i = 0; (staged = staged_at(change, i)); i++) {
		if (staged->entry && !staged->entry->object)
			store_drop_entry(store, staged->entry);
		staged->entry = NULL;
	}
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
	return a && digest_equal(&a->content, &b->content) &&
	       digest_equal(&a->versions, &b->versions);
}

/* Put the staged object in place of the one that is there, if any. Cannot fail. */
static void apply_put(struct commit *commit, struct staged *staged)
{
	struct entry *entry = staged->entry;

	if (is_same(entry->object, staged->object)) {
		entry->delivery = commit->store->delivery;
		commit->result.unchanged++;
		return;
	}
	staged->changed =
		!entry->object || !digest_equal(&entry->object->content, &staged->object->content);
	if (staged->changed) {
		touch(commit, entry->group);
		touch(commit, staged->group);
		commit->result.applied++;
	} else {
		commit->result.unchanged++;
	}
	/* Taken over even if unchanged: it is shown as it was given last. */
	if (entry->object) {
		staged->group_before = entry->group;
		store_unlink(entry);
		staged->before = TAKE_PTR(entry->object);
	} else {
		commit->store->count[staged->object->kind]++;
	}
	staged->kind = staged->object->kind;
	entry->object = TAKE_PTR(staged->object);
	entry->key = entry->object->key;
	entry->delivery = commit->store->delivery;
	store_link(entry, staged->group);
}

/* Out of the store, but kept until it has been told of. Cannot fail. */
static void apply_remove(struct commit *commit, struct entry *entry)
{
	touch(commit, entry->group);
	entry->group_before = entry->group;
	store_unlink(entry);
	entry->gone = true;
	DL_APPEND(commit->removed, entry);
	commit->store->count[entry->object->kind]--;
	commit->result.removed++;
}

static void apply(struct commit *commit, struct store_change *change)
{
	struct staged *staged;
	struct entry *entry;
	size_t place = 0;

	if (change->replace) {
		while ((entry = set_next(&commit->store->entries, &place))) {
			if (!store_staged(change, entry->key))
				apply_remove(commit, entry);
		}
	}
	for (size_t i = 0; (staged = staged_at(change, i)); i++) {
		if (staged->object)
			apply_put(commit, staged);
		else if (staged->entry)
			apply_remove(commit, staged->entry);
		else
			commit->result.missing++;
	}
}

static void tell_object(const struct store_visitor *visitor, const struct entry *entry,
			const char *event)
{
	if (visitor->object && entry->object)
		visitor->object(entry->key, event, visitor->arg);
}

static void tell_node(const struct store_visitor *visitor, const struct entry *entry)
{
	if (visitor->node && entry->object->kind == KUBE_NODE)
		visitor->node(entry->object->node.name, visitor->arg);
	if (visitor->service_cidr && entry->object->kind == KUBE_SERVICE_CIDR)
		visitor->service_cidr(visitor->arg);
}

/* What services are planned for first. */
static void tell_nodes(const struct commit *commit)
{
	const struct staged *staged;
	const struct entry *entry;

	DL_FOREACH(commit->removed, entry)
	tell_node(&commit->visitor, entry);
	for (size_t i = 0; (staged = staged_at(commit->change, i)); i++)
		if (staged->changed)
			tell_node(&commit->visitor, staged->entry);
}

/* What was done to an object once it is done. */
static void tell(const struct commit *commit)
{
	const struct store_visitor *visitor = &commit->visitor;
	const struct staged *staged;
	const struct entry *entry;
	const struct group *group;

	for (group = commit->touched; visitor->refused && group; group = group->next_touched)
		if (group->refused)
			visitor->refused(group->namespace, group->name, visitor->arg);
	DL_FOREACH(commit->removed, entry)
	tell_object(visitor, entry, "removed");
	for (size_t i = 0; (staged = staged_at(commit->change, i)); i++)
		if (staged->changed)
			tell_object(visitor, staged->entry, "applied");
}

static void clean_up(struct commit *commit)
{
	struct entry *entry, *next_entry;
	struct group *group;

	DL_FOREACH_SAFE(commit->removed, entry, next_entry)
	{
		DL_DELETE(commit->removed, entry);
		store_drop_entry(commit->store, entry);
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
		undo_room(own->store, own->change);
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
		.key = staged->key,
		.object = staged->entry && !staged->entry->gone ? staged->entry->object : NULL,
	};
	return true;
}

struct kube_object *store_next(const struct store *store, size_t *place)
{
	const struct entry *entry;

	do
		entry = set_next(&store->entries, place);
	while (entry && (entry->gone || !entry->object));
	return entry ? entry->object : NULL;
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
