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
	/* Back to where it came from: as long as the change is there, the entry has its key. */
	staged->object = TAKE_PTR(entry->object);
	entry->object = TAKE_PTR(staged->before);
	if (entry->object) {
		entry->key = entry->object->key;
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
	for (size_t i = 0; (staged = staged_at(change, i)); i++) {
		if (!staged->changed ||
		    !(is_refused(staged->group) || is_refused(staged->group_before)))
			continue;
		again(staged->group);
		again(staged->group_before);
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
