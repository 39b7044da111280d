/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The objects by key, each slice also in the list of its service, and the commit of a change in
 * two steps: one that may fail and only makes room, one that cannot fail. What the objects mean
 * is not looked at here.
 */
#include "store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store_private.h"
#include "util.h"

static struct entry *find_entry(const struct store *store, const char *key)
{
	struct entry *entry;

	HASH_FIND_STR(store->entries, key, entry);
	return entry;
}

/* NULL also for names that are too long to be there. */
static struct group *find_group(const struct store *store, const char *namespace, const char *name)
{
	struct group *group;
	char key[512];
	int n;

	n = snprintf(key, sizeof(key), "%s/%s", namespace, name);
	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	HASH_FIND_STR(store->groups, key, group);
	return group;
}

static void free_group(struct group *group)
{
	free(group->namespace);
	free(group->name);
	free(group);
}

static int get_group(struct store *store, const char *namespace, const char *name,
		     struct group **found)
{
	size_t size = strlen(namespace) + strlen(name) + 2;
	struct group *group = find_group(store, namespace, name);

	if (group) {
		*found = group;
		return 0;
	}
	group = calloc(1, sizeof(*group) + size);
	if (!group)
		return -ENOMEM;
	snprintf(group->key, size, "%s/%s", namespace, name);
	group->namespace = strdup(namespace);
	group->name = strdup(name);
	if (group->namespace && group->name)
		HASH_ADD_STR(store->groups, key, group);
	if (!group->hh.tbl) {
		free_group(group);
		return -ENOMEM;
	}
	*found = group;
	return 0;
}

static void drop_group_if_unused(struct store *store, struct group *group)
{
	if (group->service || group->slices)
		return;
	HASH_DEL(store->groups, group);
	free_group(group);
}

static void drop_entry(struct store *store, struct entry *entry)
{
	HASH_DEL(store->entries, entry);
	kube_free(&entry->object);
	free(entry);
}

int store_new(struct store **store)
{
	struct store *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	*store = made;
	return 0;
}

void store_free(struct store **store)
{
	struct entry *entry, *next_entry;
	struct group *group, *next_group;

	if (!*store)
		return;
	HASH_ITER (hh, (*store)->entries, entry, next_entry)
		drop_entry(*store, entry);
	HASH_ITER (hh, (*store)->groups, group, next_group) {
		HASH_DEL((*store)->groups, group);
		free_group(group);
	}
	free(*store);
	*store = NULL;
}

int store_change_new(struct store *store, bool replace, struct store_change **change)
{
	struct store_change *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->store = store;
	made->replace = replace;
	*change = made;
	return 0;
}

void store_change_free(struct store_change **change)
{
	struct staged *staged, *next;

	if (!*change)
		return;
	HASH_ITER (hh, (*change)->staged, staged, next) {
		HASH_DEL((*change)->staged, staged);
		kube_free(&staged->object);
		kube_free(&staged->before);
		free(staged);
	}
	free(*change);
	*change = NULL;
}

static int stage(struct store_change *change, const char *key, struct kube_object *object)
{
	struct staged *staged;
	size_t size = strlen(key) + 1;

	HASH_FIND_STR(change->staged, key, staged);
	if (staged) {
		kube_free(&staged->object);
		staged->object = object;
		return 0;
	}
	staged = calloc(1, sizeof(*staged) + size);
	if (!staged)
		return -ENOMEM;
	memcpy(staged->key, key, size);
	HASH_ADD_STR(change->staged, key, staged);
	if (!staged->hh.tbl) {
		free(staged);
		return -ENOMEM;
	}
	staged->object = object;
	return 0;
}

int store_change_put(struct store_change *change, struct kube_object **object)
{
	int err = stage(change, (*object)->key, *object);

	if (!err)
		*object = NULL;
	return err;
}

int store_change_remove(struct store_change *change, const char *key)
{
	return stage(change, key, NULL);
}

/* Members other than those excepted are the same. */
static bool same_except(json_t *a, json_t *b, const char *const *except)
{
	const char *name;
	json_t *value;
	size_t excepted_a = 0, excepted_b = 0;

	if (!json_is_object(a) || !json_is_object(b))
		return json_equal(a, b);
	for (const char *const *e = except; *e; e++) {
		excepted_a += json_object_get(a, *e) != NULL;
		excepted_b += json_object_get(b, *e) != NULL;
	}
	if (json_object_size(a) - excepted_a != json_object_size(b) - excepted_b)
		return false;
	json_object_foreach (a, name, value) {
		const char *const *e = except;

		while (*e && strcmp(*e, name) != 0)
			e++;
		if (!*e && !json_equal(value, json_object_get(b, name)))
			return false;
	}
	return true;
}

/* An object that was only written again gets a new version and is no change. */
static bool same_object(json_t *a, json_t *b)
{
	static const char *const metadata[] = {"metadata", NULL};
	static const char *const versions[] = {"resourceVersion", "managedFields", NULL};

	return same_except(a, b, metadata) && same_except(json_object_get(a, "metadata"),
							  json_object_get(b, "metadata"), versions);
}

static int make_entry(struct store *store, const char *key, struct entry **made)
{
	size_t size = strlen(key) + 1;
	struct entry *entry;

	entry = calloc(1, sizeof(*entry) + size);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->key, key, size);
	HASH_ADD_STR(store->entries, key, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	*made = entry;
	return 0;
}

/* The group a Service or slice belongs to; NULL for other objects. */
static int get_object_group(struct store *store, const struct kube_object *object,
			    struct group **group)
{
	*group = NULL;
	if (object->kind == KUBE_SERVICE)
		return get_group(store, object->service.namespace, object->service.name, group);
	if (object->kind == KUBE_SLICE && object->slice.service)
		return get_group(store, object->slice.namespace, object->slice.service, group);
	return 0;
}

/* Everything of the commit that needs memory; undone by undo_room(). */
static int make_room(struct store *store, struct store_change *change)
{
	struct staged *staged, *next;
	int err = 0;

	HASH_ITER (hh, change->staged, staged, next) {
		staged->entry = find_entry(store, staged->key);
		if (!staged->object)
			continue;
		err = get_object_group(store, staged->object, &staged->group);
		if (!err && !staged->entry)
			err = make_entry(store, staged->key, &staged->entry);
		if (err)
			return err;
	}
	return 0;
}

static void undo_room(struct store *store, struct store_change *change)
{
	struct staged *staged, *next_staged;
	struct group *group, *next_group;

	HASH_ITER (hh, change->staged, staged, next_staged) {
		if (staged->entry && !staged->entry->object)
			drop_entry(store, staged->entry);
		staged->entry = NULL;
	}
	HASH_ITER (hh, store->groups, group, next_group)
		drop_group_if_unused(store, group);
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

/* Take entry out of what refers to it. Its group may be left empty until the commit ends. */
void store_unlink(struct entry *entry)
{
	struct group *group = entry->group;

	if (!group)
		return;
	if (entry->object->kind == KUBE_SERVICE) {
		group->service = NULL;
	} else {
		DL_DELETE(group->slices, entry);
		group->count--;
	}
	entry->group = NULL;
}

void store_link(struct entry *entry, struct group *group)
{
	entry->group = group;
	if (!group)
		return;
	if (entry->object->kind == KUBE_SERVICE) {
		group->service = entry->object;
	} else {
		DL_APPEND(group->slices, entry);
		group->count++;
	}
}

/* Put the staged object in place of the one that is there, if any. Cannot fail. */
static void apply_put(struct commit *commit, struct staged *staged)
{
	struct entry *entry = staged->entry;

	staged->changed = !entry->object || !same_object(entry->object->json, staged->object->json);
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
	struct staged *staged, *next_staged, *found;
	struct entry *entry, *next_entry;

	if (change->replace) {
		HASH_ITER (hh, commit->store->entries, entry, next_entry) {
			HASH_FIND_STR(change->staged, entry->key, found);
			if (!found)
				apply_remove(commit, entry);
		}
	}
	HASH_ITER (hh, change->staged, staged, next_staged) {
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

/* What services are planned for first; and what was done to an object once it is done. */
static void tell(struct commit *commit, struct store_change *change,
		 const struct store_visitor *visitor)
{
	const struct staged *staged;
	const struct entry *entry;

	DL_FOREACH(commit->removed, entry)
	tell_node(visitor, entry);
	for (staged = change->staged; staged; staged = staged->hh.next)
		if (staged->changed)
			tell_node(visitor, staged->entry);
	store_try(commit, change, visitor);
	DL_FOREACH(commit->removed, entry)
	tell_object(visitor, entry, "removed");
	for (staged = change->staged; staged; staged = staged->hh.next)
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
		drop_entry(commit->store, entry);
	}
	while (commit->touched) {
		group = commit->touched;
		commit->touched = TAKE_PTR(group->next_touched);
		group->touched = group->tried = group->refused = false;
		drop_group_if_unused(commit->store, group);
	}
}

int store_commit(struct store *store, struct store_change **change,
		 const struct store_visitor *visitor, struct store_result *result)
{
	_cleanup_(store_change_free) struct store_change *own = TAKE_PTR(*change);
	struct commit commit = {.store = store};
	int err;

	if (own->store != store)
		return -EINVAL;
	err = make_room(store, own);
	if (err) {
		undo_room(store, own);
		return err;
	}
	apply(&commit, own);
	if (visitor)
		tell(&commit, own, visitor);
	clean_up(&commit);
	*result = commit.result;
	return 0;
}

const struct kube_service *store_service(const struct store *store, const char *namespace,
					 const char *name)
{
	const struct group *group = find_group(store, namespace, name);

	return group && group->service ? &group->service->service : NULL;
}

const struct kube_node *store_node(const struct store *store, const char *name)
{
	const struct entry *entry;
	char key[512];
	int n;

	n = snprintf(key, sizeof(key), "%s %s", kube_kind_name(KUBE_NODE), name);
	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	entry = find_entry(store, key);
	return entry && !entry->gone ? &entry->object->node : NULL;
}

const struct kube_slice *store_slice(const struct store *store, const char *key)
{
	const struct entry *entry = find_entry(store, key);

	return entry && !entry->gone && entry->object->kind == KUBE_SLICE ? &entry->object->slice
									  : NULL;
}

int store_slices(const struct store *store, const char *namespace, const char *service,
		 struct kube_slice ***slices, size_t *count)
{
	const struct group *group = find_group(store, namespace, service);
	struct kube_slice **found;
	struct entry *entry;
	size_t n = 0;

	found = calloc(group && group->count ? group->count : 1, sizeof(struct kube_slice *));
	if (!found)
		return -ENOMEM;
	if (group)
		DL_FOREACH(group->slices, entry)
	found[n++] = &entry->object->slice;
	*slices = found;
	*count = n;
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *const *first = a, *const *second = b;

	return strcmp((*first)->key, (*second)->key);
}

int store_each(const struct store *store, int (*visit)(const struct kube_object *object, void *arg),
	       void *arg)
{
	_cleanup_free_ const struct entry **sorted = NULL;
	const struct entry *entry;
	size_t n = 0;
	int err = 0;

	sorted = calloc(HASH_COUNT(store->entries) + 1UL, sizeof(const struct entry *));
	if (!sorted)
		return -ENOMEM;
	for (entry = store->entries; entry; entry = entry->hh.next)
		if (!entry->gone)
			sorted[n++] = entry;
	qsort(sorted, n, sizeof(*sorted), compare_entries);
	for (size_t i = 0; i < n && !err; i++)
		err = visit(sorted[i]->object, arg);
	return err;
}

size_t store_count(const struct store *store, enum kube_kind kind)
{
	return store->count[kind];
}

void store_deliver(struct store *store)
{
	store->delivery++;
}

bool store_is_delivered(const struct store *store, const char *key)
{
	const struct entry *entry = find_entry(store, key);

	return entry && entry->delivery == store->delivery;
}
