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
	struct entry *entry = staged->entry;

	store_unlink(entry);
	kube_free(&entry->object);
	entry->object = TAKE_PTR(staged->before);
	if (entry->object) {
		store_link(entry, staged->group_before);
	} else {
		commit->store->count[staged->kind]--;
		entry->gone = true;
		DL_APPEND(commit->removed, entry);
	}
	staged->changed = false;
	commit->result.applied--;
}

static void undo_remove(struct commit *commit, struct entry *entry)
{
	DL_DELETE(commit->removed, entry);
	entry->gone = false;
	store_link(entry, entry->group_before);
	commit->store->count[entry->object->kind]++;
	commit->result.removed--;
}

/* What the change did to services that are refused, all of them in one pass. */
static void undo_refused(struct commit *commit, struct store_change *change)
{
	struct entry *entry, *next;
	struct staged *staged;

	DL_FOREACH_SAFE(commit->removed, entry, next)
	{
		if (entry->object && is_refused(entry->group_before))
			undo_remove(commit, entry);
	}
	for (staged = change->staged; staged; staged = staged->hh.next) {
		if (!staged->changed ||
		    !(is_refused(staged->group) || is_refused(staged->group_before)))
			continue;
		again(staged->group);
		again(staged->group_before);
		undo_put(commit, staged);
	}
}

/* Once each; those that fail once more when others have changed. */
static bool try_all(struct commit *commit, const struct store_visitor *visitor)
{
	bool failed, done;

	do {
		failed = done = false;
		for (struct group *group = commit->touched; group; group = group->next_touched) {
			if (group->tried)
				continue;
			group->tried =
				!visitor->service(group->namespace, group->name, visitor->arg);
			failed |= !group->tried;
			done |= group->tried;
		}
	} while (failed && done);
	return !failed;
}

void store_try(struct commit *commit, struct store_change *change,
	       const struct store_visitor *visitor)
{
	struct group *group;

	while (visitor->service && !try_all(commit, visitor)) {
		for (group = commit->touched; group; group = group->next_touched) {
			commit->result.refused += !group->tried;
			group->refused |= !group->tried;
			group->tried = true;
		}
		undo_refused(commit, change);
	}
	for (group = commit->touched; visitor->refused && group; group = group->next_touched)
		if (group->refused)
			visitor->refused(group->namespace, group->name, visitor->arg);
}
