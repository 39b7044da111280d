/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every Kubernetes object has: kind, version, name, and the key made of them; and the walk
 * through Lists. The fields of each kind are read by a file of its own.
 */
#include "kube.h"
#include "kube_parts.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_LIST_DEPTH 4

static const struct {
	const char *name;
	const char *api_version;
	const char *older; /* another one whose fields are the same; NULL: none */
	bool namespaced;
	int (*read)(const struct field *root, struct kube_object *object);
	void (*clear)(struct kube_object *object);
} kinds[KUBE_KINDS] = {
	[KUBE_SERVICE] = {"Service", "v1", NULL, true, kube_service_read, kube_service_clear},
	[KUBE_SLICE] = {"EndpointSlice", "discovery.k8s.io/v1", NULL, true, kube_slice_read,
			kube_slice_clear},
	[KUBE_NODE] = {"Node", "v1", NULL, false, kube_node_read, kube_node_clear},
	[KUBE_SERVICE_CIDR] = {"ServiceCIDR", "networking.k8s.io/v1", "networking.k8s.io/v1beta1",
			       false, kube_service_cidr_read, kube_service_cidr_clear},
};

/* Who an object is; the strings are borrowed from it. namespace is NULL if its kind has none. */
struct identity {
	enum kube_kind kind;
	const char *namespace;
	const char *name;
};

const char *kube_kind_name(enum kube_kind kind)
{
	return kinds[kind].name;
}

/* As much of `Service "ns/name"` as there is, before anything is known to be right. */
static void name_object(const json_t *json, struct kube_error *error)
{
	const json_t *metadata = json_object_get(json, "metadata");
	const char *kind = json_string_value(json_object_get(json, "kind"));
	const char *namespace = json_string_value(json_object_get(metadata, "namespace"));
	const char *name = json_string_value(json_object_get(metadata, "name"));

	memset(error, 0, sizeof(*error));
	if (!name || !name[0])
		return;
	snprintf(error->object, sizeof(error->object), "%.60s \"%.253s%s%.253s\"",
		 kind ? kind : "object", namespace ? namespace : "", namespace ? "/" : "", name);
	field_clean(error->object);
}

static int read_kind(const struct field *root, enum kube_kind *kind)
{
	struct field field = field_member(root, "kind");
	const char *name = NULL;
	int err;

	err = field_required(&field);
	if (!err)
		err = field_string(&field, &name);
	if (err)
		return err;
	for (size_t i = 0; i < KUBE_KINDS; i++) {
		if (!strcmp(kinds[i].name, name)) {
			*kind = (enum kube_kind)i;
			return 0;
		}
	}
	field_refuse(
		&field,
		"\"%.60s\" is not used; give Service, EndpointSlice, Node and ServiceCIDR only",
		name);
	return -ENOTSUP;
}

/* An object that is only named, to be deleted, need not give its apiVersion. */
static int check_version(const struct field *root, enum kube_kind kind, bool required)
{
	struct field field = field_member(root, "apiVersion");
	const char *version = NULL;
	int err;

	err = required ? field_required(&field) : 0;
	if (!err)
		err = field_string(&field, &version);
	if (err || !version || !strcmp(version, kinds[kind].api_version))
		return err;
	if (kinds[kind].older && !strcmp(version, kinds[kind].older))
		return 0;
	field_refuse(&field, "\"%.60s\" is not supported; give the object as %s", version,
		     kinds[kind].api_version);
	return -ENOTSUP;
}

static int read_metadata_name(const struct field *metadata, const char *member, const char **name)
{
	struct field field = field_member(metadata, member);
	const char *read = NULL;
	int err;

	err = kube_read_name(&field, KUBE_MAX_NAME, &read);
	if (err)
		return err;
	if (!read)
		return field_refuse(&field, "is missing; the object must have one");
	*name = read;
	return 0;
}

static int read_identity(const struct field *root, bool whole, struct identity *identity)
{
	struct identity read = {.name = ""};
	struct field metadata;
	int err;

	err = field_required(root);
	if (!err)
		err = field_object(root);
	if (!err)
		err = read_kind(root, &read.kind);
	if (!err)
		err = check_version(root, read.kind, whole);
	if (!err)
		err = field_member_object(root, "metadata", &metadata);
	if (!err)
		err = read_metadata_name(&metadata, "name", &read.name);
	if (!err && kinds[read.kind].namespaced)
		err = read_metadata_name(&metadata, "namespace", &read.namespace);
	if (!err)
		*identity = read;
	return err;
}

_Static_assert(KUBE_KEY_MAX > 32 + 2 * KUBE_MAX_NAME, "room for every key");

static const char *write_key(enum kube_kind kind, const char *namespace, const char *name,
			     char key[KUBE_KEY_MAX])
{
	char *end = stpcpy(stpcpy(key, kinds[kind].name), " ");

	if (namespace)
		end = stpcpy(stpcpy(end, namespace), "/");
	strcpy(end, name);
	return key;
}

const char *kube_name(const struct kube_object *object, const char **namespace)
{
	*namespace = NULL;
	switch (object->kind) {
	case KUBE_SERVICE:
		*namespace = object->service.namespace;
		return object->service.name;
	case KUBE_SLICE:
		*namespace = object->slice.namespace;
		return object->slice.name;
	case KUBE_SERVICE_CIDR:
		return object->service_cidr.name;
	default:
		return object->node.name;
	}
}

const char *kube_write_key(const struct kube_object *object, char key[KUBE_KEY_MAX])
{
	const char *namespace, *name = kube_name(object, &namespace);

	return write_key(object->kind, namespace, name, key);
}

static int copy_identity(const struct identity *identity, struct kube_object *object)
{
	int err = 0;

	switch (identity->kind) {
	case KUBE_SERVICE:
		err = kube_copy(identity->namespace, &object->service.namespace);
		return err ? err : kube_copy(identity->name, &object->service.name);
	case KUBE_SLICE:
		object->slice.name = strdup(identity->name);
		if (!object->slice.name)
			return -ENOMEM;
		return kube_copy(identity->namespace, &object->slice.namespace);
	case KUBE_SERVICE_CIDR:
		return kube_copy(identity->name, &object->service_cidr.name);
	default:
		return kube_copy(identity->name, &object->node.name);
	}
}

/* An object that was only written again gets a new version and is no change. */
static void digest_object(const json_t *json, struct kube_object *object)
{
	static const char *const metadata[] = {"metadata", NULL};
	static const char *const versions[] = {"resourceVersion", "managedFields", NULL};
	struct digest without;

	object->content =
		digest_pair(digest_members(json, metadata, NULL),
			    digest_members(json_object_get(json, "metadata"), versions, &without));
	object->versions = without.word[0];
}

static void leave(struct kube_object *object, enum kube_where where)
{
	if (object->where == KUBE_AS_JSON)
		json_decref(object->json);
	object->where = (uint8_t)where;
}

void kube_in_line(struct kube_object *object, const char *line)
{
	leave(object, KUBE_IN_LINE);
	object->line = line;
}

void kube_in_journal(struct kube_object *object, int64_t at)
{
	leave(object, KUBE_IN_JOURNAL);
	object->at = at;
}

static void clear(struct kube_object *object)
{
	kinds[object->kind].clear(object);
	leave(object, KUBE_IN_JOURNAL);
}

void kube_free(struct kube_object **object)
{
	if (*object)
		clear(*object);
	util_free(object);
}

/* While it is read its parts are pieces of their own. */
static void draft_free(struct kube_object **draft)
{
	if (*draft) {
		clear(*draft);
		kube_free_parts(*draft);
	}
	util_free(draft);
}

int kube_parse(json_t *json, struct kube_object **object, struct kube_error *error)
{
	struct field root = {.value = json_is_null(json) ? NULL : json, .error = error};
	_cleanup_(draft_free) struct kube_object *draft = NULL;
	struct identity identity;
	int err;

	name_object(json, error);
	err = read_identity(&root, true, &identity);
	if (err)
		return err;
	draft = calloc(1, sizeof(*draft));
	if (!draft)
		return -ENOMEM;
	draft->kind = (uint8_t)identity.kind;
	draft->json = json_incref(json);
	err = copy_identity(&identity, draft);
	if (!err)
		err = kinds[identity.kind].read(&root, draft);
	if (err)
		return err;
	digest_object(json, draft);
	return kube_pack(&draft, object);
}

int kube_key(json_t *json, char **key, struct kube_error *error)
{
	struct field root = {.value = json_is_null(json) ? NULL : json, .error = error};
	struct identity identity;
	char made[KUBE_KEY_MAX];
	int err;

	name_object(json, error);
	err = read_identity(&root, false, &identity);
	if (err)
		return err;
	write_key(identity.kind, identity.namespace, identity.name, made);
	*key = strdup(made);
	return *key ? 0 : -ENOMEM;
}

struct walk {
	int (*visit)(json_t *json, void *arg);
	void *arg;
	struct kube_error *error;
	size_t visited;
};

static int refuse_list(struct walk *walk, const char *path, const char *reason)
{
	snprintf(walk->error->object, sizeof(walk->error->object), "List after object %zu",
		 walk->visited);
	snprintf(walk->error->path, sizeof(walk->error->path), "%s", path);
	snprintf(walk->error->reason, sizeof(walk->error->reason), "%s", reason);
	return -EINVAL;
}

static bool is_list(const json_t *json)
{
	const char *kind = json_string_value(json_object_get(json, "kind"));
	size_t length = kind ? strlen(kind) : 0;

	return length >= 4 && !strcmp(kind + length - 4, "List");
}

static int visit_one(struct walk *walk, json_t *json)
{
	int err;

	walk->visited++;
	walk->error->object[0] = '\0';
	err = walk->visit(json, walk->arg);
	if (err && !walk->error->object[0])
		snprintf(walk->error->object, sizeof(walk->error->object), "object %zu",
			 walk->visited);
	return err;
}

/* Bounded by MAX_LIST_DEPTH, whatever the input. */
static int walk_list(struct walk *walk, json_t *json, unsigned int depth)
{
	json_t *items = json;
	int err = 0;

	if (is_list(json)) {
		items = json_object_get(json, "items");
		if (json_is_null(items)) /* how Go writes an empty one */
			return 0;
		if (!json_is_array(items))
			return refuse_list(walk, "items",
					   "is missing or not an array; a List must have one");
	}
	if (!json_is_array(items))
		return visit_one(walk, json);
	if (depth == MAX_LIST_DEPTH)
		return refuse_list(walk, "items",
				   "Lists are nested more than 4 deep; give a flat one");
	for (size_t i = 0; i < json_array_size(items) && !err; i++)
		err = walk_list(walk, json_array_get(items, i), depth + 1);
	return err;
}

int kube_each(json_t *json, int (*visit)(json_t *json, void *arg), void *arg,
	      struct kube_error *error)
{
	struct walk walk = {.visit = visit, .arg = arg, .error = error};

	memset(error, 0, sizeof(*error));
	if (!json_is_object(json) && !json_is_array(json))
		return refuse_list(&walk, "", "is neither an object, a List nor an array");
	return walk_list(&walk, json, 0);
}
