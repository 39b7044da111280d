/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The services of a commit, one by one: published, or refused, and what the change did to a refused
 * one undone. Nothing here needs memory.
 */
#include "store_private.h"
#include "util.h"

static bool is_refused(const struct group *group)
{
	return group && group->refused;
}

/* The other service that an object was taken from, or given to, is to be published again. */
static void again(struct group *group)
{
	if (group && !group->refused)
		group->tried = false;
}

static void undo_put(struct commit *commit, struct staged *staged)
{
	struct kube_object *object = staged->stored, *before = staged->before;
	struct set *objects = &commit->store->objects;

	store_unlink(object);
	if (before) {
		set_replace(objects, store_hash(object), object, before);
		before->delivery = object->delivery;
		store_link(before);
	} else {
		set_remove(objects, store_hash(object), object);
		commit->store->count[object->kind]--;
	}
	staged->object = object;
	staged->stored = TAKE_PTR(staged->before);
	staged->changed = false;
	commit->result.applied--;
}

static void undo_remove(struct commit *commit, struct kube_object *object)
{
	object->gone = false;
	store_link(object);
	commit->store->count[object->kind]++;
	commit->result.removed--;
}

/* What the change did to services that are refused, all of them in one pass. */
static void undo_refused(struct commit *commit, struct store_change *change)
{
	struct kube_object *object, **at = &commit->removed;
	struct group *group, *group_before;
	struct staged *staged;

	while ((object = *at)) {
		if (!is_refused(object->group)) {
			at = &object->next;
			continue;
		}
		*at = object->next;
		undo_remove(commit, object);
	}
	commit->removed_end = at;
	for (size_t i = 0; (staged = staged_at(change, i)); i++) {
		if (!staged->changed)
			continue;
		group = staged->stored->group;
		group_before = staged->before ? staged->before->group : NULL;
		if (!is_refused(group) && !is_refused(group_before))
			continue;
		again(group);
		again(group_before);
		undo_put(commit, staged);
	}
}

/* Those that failed in this pass are refused, and what the change did to them is undone. */
static void refuse_failed(struct commit *commit)
{
	for (struct group *group = commit->touched; group; group = group->next_touched) {
		commit->result.refused += !group->tried;
		group->refused |= !group->tried;
		group->tried = true;
	}
	undo_refused(commit, commit->change);
}

/* Once each; those that fail once more when others have changed. */
bool store_try(struct commit *commit, size_t max)
{
	const struct store_visitor *visitor = &commit->visitor;
	struct group *group;

	for (; max && (group = commit->next); commit->next = group->next_touched) {
		if (group->tried || !visitor->service)
			continue;
		group->tried = !visitor->service(group->namespace, group->name, visitor->arg);
		commit->failed |= !group->tried;
		commit->done |= group->tried;
		max--;
	}
	if (commit->next)
		return true;
	if (!commit->failed)
		return false;
	if (!commit->done)
		refuse_failed(commit);
	commit->failed = commit->done = false;
	commit->next = commit->touched;
	return true;
}
