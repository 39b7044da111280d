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

#include "intern.h"
#include "store_private.h"
#include "util.h"

static uint32_t entry_hash(const char *key)
{
	return set_hash(key, strlen(key));
}

static bool entry_is(const void *item, const void *key)
{
	return !strcmp(((const struct entry *)item)->key, key);
}

struct entry *store_find_entry(const struct store *store, const char *key)
{
	return set_find(&store->entries, entry_hash(key), entry_is, key);
}

/* Of entries only those that have an object: there may be room for others. */
static const struct entry *find_whole(const struct store *store, const char *key)
{
	const struct entry *entry = store_find_entry(store, key);

	return entry && entry->object && !entry->gone ? entry : NULL;
}

/* By interned names. */
static uint32_t group_hash(const char *const names[2])
{
	return set_hash(names, 2 * sizeof(*names));
}

static bool group_is(const void *item, const void *key)
{
	const struct group *group = item;
	const char *const *names = key;

	return group->namespace == names[0] && group->name == names[1];
}

static struct group *find_group(const struct store *store, const char *namespace, const char *name)
{
	const char *const names[2] = {intern_find(namespace), intern_find(name)};

	if (!names[0] || !names[1])
		return NULL;
	return set_find(&store->groups, group_hash(names), group_is, names);
}

static void free_group(struct group *group)
{
	intern_put(group->namespace);
	intern_put(group->name);
	free(group);
}

static int get_group(struct store *store, const char *namespace, const char *name,
		     struct group **found)
{
	struct group *group = find_group(store, namespace, name);
	int err = -ENOMEM;

	if (group) {
		*found = group;
		return 0;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->namespace = intern(namespace);
	group->name = intern(name);
	if (group->namespace && group->name) {
		const char *const names[2] = {group->namespace, group->name};

		err = set_add(&store->groups, group_hash(names), group);
	}
	if (err) {
		free_group(group);
		return err;
	}
	*found = group;
	return 0;
}

void store_drop_group_if_unused(struct store *store, struct group *group)
{
	const char *const names[2] = {group->namespace, group->name};

	if (group->service || group->slices)
		return;
	set_remove(&store->groups, group_hash(names), group);
	free_group(group);
}

void store_drop_entry(struct store *store, struct entry *entry)
{
	set_remove(&store->entries, entry_hash(entry->key), entry);
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
	struct entry *entry;
	struct group *group;
	size_t place = 0;

	if (!*store)
		return;
	while ((entry = set_next(&(*store)->entries, &place))) {
		kube_free(&entry->object);
		free(entry);
	}
	for (place = 0; (group = set_next(&(*store)->groups, &place));)
		free_group(group);
	set_free(&(*store)->entries);
	set_free(&(*store)->groups);
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
	struct store_change *own = TAKE_PTR(*change);
	struct staged *staged;

	if (!own)
		return;
	for (size_t i = 0; (staged = staged_at(own, i)); i++) {
		kube_free(&staged->object);
		kube_free(&staged->before);
		free(staged->own);
	}
	for (size_t i = 0; i * STAGED_CHUNK < own->count; i++)
		free(own->chunk[i]);
	free(own->chunk);
	set_free(&own->by_key);
	free(own);
}

static bool staged_is(const void *item, const void *key)
{
	return !strcmp(((const struct staged *)item)->key, key);
}

struct staged *store_staged(const struct store_change *change, const char *key)
{
	return set_find(&change->by_key, entry_hash(key), staged_is, key);
}

/* Room for one more at the end. */
static int make_chunk(struct store_change *change)
{
	const size_t n = change->count / STAGED_CHUNK;
	struct staged **more;

	if (change->count % STAGED_CHUNK)
		return 0;
	more = reallocarray(change->chunk, n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	change->chunk = more;
	more[n] = calloc(STAGED_CHUNK, sizeof(**more));
	return more[n] ? 0 : -ENOMEM;
}

/* key is the object's, or is taken over where there is none. */
static int stage(struct store_change *change, char *key, struct kube_object *object)
{
	struct staged *staged = store_staged(change, key);

	if (!staged) {
		if (make_chunk(change))
			return -ENOMEM;
		staged = &change->chunk[change->count / STAGED_CHUNK][change->count % STAGED_CHUNK];
		staged->key = key;
		if (set_add(&change->by_key, entry_hash(key), staged))
			return -ENOMEM;
		change->count++;
	}
	kube_free(&staged->object);
	free(staged->own);
	staged->key = key;
	staged->own = object ? NULL : key;
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
	char *own = strdup(key);
	int err = own ? stage(change, own, NULL) : -ENOMEM;

	if (err)
		free(own);
	return err;
}

int store_make_entry(struct store *store, const char *key, struct entry **made)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	entry->key = key;
	if (set_add(&store->entries, entry_hash(key), entry)) {
		free(entry);
		return -ENOMEM;
	}
	*made = entry;
	return 0;
}

/* The group a Service or slice belongs to; NULL for other objects. */
int store_get_object_group(struct store *store, const struct kube_object *object,
			   struct group **group)
{
	*group = NULL;
	if (object->kind == KUBE_SERVICE)
		return get_group(store, object->service.namespace, object->service.name, group);
	if (object->kind == KUBE_SLICE && object->slice.service)
		return get_group(store, object->slice.namespace, object->slice.service, group);
	return 0;
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
	entry = find_whole(store, key);
	return entry ? &entry->object->node : NULL;
}

const struct kube_slice *store_slice(const struct store *store, const char *key)
{
	const struct entry *entry = find_whole(store, key);

	return entry && entry->object->kind == KUBE_SLICE ? &entry->object->slice : NULL;
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
	size_t n = 0, place = 0;
	int err = 0;

	sorted = calloc(store->entries.count + 1, sizeof(const struct entry *));
	if (!sorted)
		return -ENOMEM;
	while ((entry = set_next(&store->entries, &place)))
		if (!entry->gone && entry->object)
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
	const struct entry *entry = store_find_entry(store, key);

	return entry && entry->delivery == store->delivery;
}
