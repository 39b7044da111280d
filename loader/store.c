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

static uint32_t key_hash(const char *key)
{
	return set_hash(key, strlen(key));
}

static bool object_is(const void *item, const void *key)
{
	char own[KUBE_KEY_MAX];

	return !strcmp(kube_write_key(item, own), key);
}

struct kube_object *store_find(const struct store *store, const char *key)
{
	return set_find(&store->objects, key_hash(key), object_is, key);
}

uint32_t store_hash(const struct kube_object *object)
{
	char key[KUBE_KEY_MAX];

	return key_hash(kube_write_key(object, key));
}

static const struct kube_object *find_there(const struct store *store, const char *key)
{
	const struct kube_object *object = store_find(store, key);

	return object && !object->gone ? object : NULL;
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

	if (group->objects)
		return;
	set_remove(&store->groups, group_hash(names), group);
	free_group(group);
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
	struct kube_object *object;
	struct group *group;
	size_t place = 0;

	if (!*store)
		return;
	while ((object = set_next(&(*store)->objects, &place)))
		kube_free(&object);
	for (place = 0; (group = set_next(&(*store)->groups, &place));)
		free_group(group);
	set_free(&(*store)->objects);
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
	const struct staged *staged = item;

	return staged->own ? !strcmp(staged->own, key)
			   : object_is(staged->object ?: staged->stored, key);
}

struct staged *store_staged(const struct store_change *change, const char *key)
{
	return set_find(&change->by_key, key_hash(key), staged_is, key);
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

/* object, or else own, is taken over. */
static int stage(struct store_change *change, const char *key, char *own,
		 struct kube_object *object)
{
	struct staged *staged = store_staged(change, key);

	if (!staged) {
		if (make_chunk(change))
			return -ENOMEM;
		staged = &change->chunk[change->count / STAGED_CHUNK][change->count % STAGED_CHUNK];
		if (set_add(&change->by_key, key_hash(key), staged))
			return -ENOMEM;
		change->count++;
	}
	kube_free(&staged->object);
	free(staged->own);
	staged->own = own;
	staged->object = object;
	return 0;
}

int store_change_put(struct store_change *change, struct kube_object **object)
{
	char key[KUBE_KEY_MAX];
	int err = stage(change, kube_write_key(*object, key), NULL, *object);

	if (!err)
		*object = NULL;
	return err;
}

int store_change_remove(struct store_change *change, const char *key)
{
	char *own = strdup(key);
	int err = own ? stage(change, own, own, NULL) : -ENOMEM;

	if (err)
		free(own);
	return err;
}

int store_find_group(struct store *store, struct kube_object *object)
{
	if (object->kind == KUBE_SERVICE)
		return get_group(store, object->service.namespace, object->service.name,
				 &object->group);
	if (object->kind == KUBE_SLICE && object->slice.service)
		return get_group(store, object->slice.namespace, object->slice.service,
				 &object->group);
	return 0;
}

/* The group may be left empty until the commit ends. */
void store_unlink(struct kube_object *object)
{
	if (object->group)
		LL_DELETE(object->group->objects, object);
}

/* A Service is the first of its group, the latest slice the next. */
void store_link(struct kube_object *object)
{
	struct kube_object **at = object->group ? &object->group->objects : NULL;

	if (!at)
		return;
	if (object->kind == KUBE_SLICE && *at && (*at)->kind == KUBE_SERVICE)
		at = &(*at)->next;
	object->next = *at;
	*at = object;
}

const struct kube_service *store_service(const struct store *store, const char *namespace,
					 const char *name)
{
	const struct group *group = find_group(store, namespace, name);
	const struct kube_object *first = group ? group->objects : NULL;

	return first && first->kind == KUBE_SERVICE ? &first->service : NULL;
}

const struct kube_node *store_node(const struct store *store, const char *name)
{
	const struct kube_object *object;
	char key[KUBE_KEY_MAX];
	int n;

	n = snprintf(key, sizeof(key), "%s %s", kube_kind_name(KUBE_NODE), name);
	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	object = find_there(store, key);
	return object ? &object->node : NULL;
}

const struct kube_slice *store_slice(const struct store *store, const char *key)
{
	const struct kube_object *object = find_there(store, key);

	return object && object->kind == KUBE_SLICE ? &object->slice : NULL;
}

int store_slices(const struct store *store, const char *namespace, const char *service,
		 struct kube_slice ***slices, size_t *count)
{
	const struct group *group = find_group(store, namespace, service);
	struct kube_object *first = group ? group->objects : NULL, *object;
	struct kube_slice **found;
	size_t n = 0;

	LL_COUNT(first, object, n);
	found = calloc(n + 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	*count = 0;
	for (object = first; object; object = object->next)
		if (object->kind == KUBE_SLICE)
			found[(*count)++] = &object->slice;
	*slices = found;
	return 0;
}

static int compare_objects(const void *a, const void *b)
{
	const struct kube_object *const *left = a, *const *right = b;
	const char *namespaces[2];
	const char *const names[2] = {kube_name(*left, &namespaces[0]),
				      kube_name(*right, &namespaces[1])};
	int order = strcmp(kube_kind_name((*left)->kind), kube_kind_name((*right)->kind));

	if (!order && namespaces[0])
		order = strcmp(namespaces[0], namespaces[1]);
	return order ?: strcmp(names[0], names[1]);
}

/* kind KUBE_KINDS: of all. */
int store_each_of(const struct store *store, enum kube_kind kind,
		  int (*visit)(const struct kube_object *object, void *arg), void *arg)
{
	const size_t room = kind == KUBE_KINDS ? store->objects.count : store->count[kind];
	_cleanup_free_ const struct kube_object **sorted = calloc(room + 1, sizeof(*sorted));
	const struct kube_object *object;
	size_t n = 0, place = 0;
	int err = 0;

	if (!sorted)
		return -ENOMEM;
	while (n < room && (object = store_next(store, &place)))
		if (kind == KUBE_KINDS || object->kind == kind)
			sorted[n++] = object;
	qsort(sorted, n, sizeof(*sorted), compare_objects);
	for (size_t i = 0; i < n && !err; i++)
		err = visit(sorted[i], arg);
	return err;
}

int store_each(const struct store *store, int (*visit)(const struct kube_object *object, void *arg),
	       void *arg)
{
	return store_each_of(store, KUBE_KINDS, visit, arg);
}

struct kube_object *store_next(const struct store *store, size_t *place)
{
	struct kube_object *object;

	do
		object = set_next(&store->objects, place);
	while (object && object->gone);
	return object;
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
	const struct kube_object *object = store_find(store, key);

	return object && object->delivery == store->delivery;
}
