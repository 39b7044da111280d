/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The objects of a change: read, checked and staged; and how a wrong one is refused. */
#include <errno.h>
#include <string.h>

#include "change.h"
#include "util.h"

/* As kube-proxy, which leaves it to the API server to refuse them. */
static void warn_of_ranges(struct change *c, const struct kube_service *service)
{
	struct cidr cidr;

	for (size_t i = 0; i < service->source_ranges; i++)
		if (cidr_parse(service->source_range[i], &cidr))
			json_array_append_new(
				c->warnings,
				json_sprintf(
					"Service \"%s/%s\": loadBalancerSourceRanges: \"%s\" is "
					"no range and is ignored; without any that is one, "
					"everybody is let in",
					service->namespace, service->name,
					service->source_range[i]));
}

/* What kube-proxy leaves out of an object without refusing it is told. */
static void warn(struct change *c, const struct kube_object *object)
{
	if (object->kind == KUBE_SERVICE)
		warn_of_ranges(c, &object->service);
	if (object->kind == KUBE_SLICE && object->slice.ports_ignored)
		json_array_append_new(
			c->warnings,
			json_sprintf("EndpointSlice \"%s/%s\": ports without a name or a number "
				     "are ignored",
				     object->slice.namespace, object->slice.name));
}

/* Of an object that is part of a text only that is kept: of its JSON, what is needed is read. */
static void leave_in_text(struct change *c, struct kube_object *object, const struct item *item)
{
	object->length = (uint32_t)item->length;
	if (c->d->replaying)
		kube_in_journal(object, c->at + (item->text - c->line));
	else
		kube_in_line(object, item->text);
}

/* item NULL: it is in no text. */
static int stage(struct change *c, json_t *json, const struct item *item)
{
	struct kube_object *object = NULL;
	_cleanup_free_ char *key = NULL;
	int rc;

	c->objects++;
	if (!strcmp(c->method, "delete")) {
		rc = kube_key(json, &key, &c->error);
		return rc ?: store_change_remove(c->staged, key);
	}
	rc = kube_parse(json, &object, &c->error);
	if (!rc)
		warn(c, object);
	if (!rc && item)
		leave_in_text(c, object, item);
	if (!rc && object->kind == KUBE_SLICE)
		c->endpoints += object->slice.endpoints;
	rc = rc ?: store_change_put(c->staged, &object);
	if (!rc && item)
		change_keep_early(c, item);
	kube_free(&object);
	return rc;
}

static int stage_json(json_t *json, void *arg)
{
	return stage(arg, json, NULL);
}

/* What is wrong with the input, as docs/socket.md has it. */
static int refuse(struct change *c, int rc)
{
	struct kube_error *e = &c->error;

	if (rc != -EINVAL && rc != -ENOTSUP)
		return rc;
	if (!e->object[0])
		snprintf(e->object, sizeof(e->object), "object %zu", c->objects);
	rpc_error_set(&c->failure, RPC_BAD_PARAMS, "%s%s%s%s%s", e->object,
		      e->object[0] ? ": " : "", e->path, e->path[0] ? ": " : "", e->reason);
	c->failure.data = json_pack("{s:s,s:s,s:s}", "object", e->object, "path", e->path, "reason",
				    e->reason);
	return -EINVAL;
}

int change_read_params(struct change *c)
{
	json_t *objects = json_object_get(c->params, "objects");
	int rc;

	if (!json_is_array(objects)) {
		rpc_error_set(&c->failure, RPC_BAD_PARAMS,
			      "%s wants params.objects, an array of objects", c->method);
		return -EINVAL;
	}
	rc = kube_each(objects, stage_json, c, &c->error);
	return rc ? refuse(c, rc) : 0;
}

static int refuse_text(struct change *c, const json_error_t *why)
{
	rpc_error_set(&c->failure, RPC_PARSE, "the line is not JSON: %s (byte %d)", why->text,
		      why->position);
	return -EINVAL;
}

/* What stands behind the objects may be wrong too. */
static int check_request(struct change *c)
{
	const char *fault = rpc_fault(items_request(c->items));

	if (!fault || c->d->replaying)
		return 0;
	rpc_error_set(&c->failure, RPC_INVALID_REQUEST, "%s", fault);
	return -EINVAL;
}

#define WHOLE_MAX (64UL << 20)

/*
 * It is a request of another form than was thought: of that its tree is made, which takes many
 * times the memory.
 */
static int read_whole(struct change *c)
{
	json_auto_t *request = NULL;
	json_error_t why;
	int rc;

	items_free(&c->items);
	if (c->length > WHOLE_MAX) {
		rpc_error_set(&c->failure, RPC_BAD_PARAMS,
			      "of a line of more than %lu bytes, all objects of more than 1 MiB "
			      "must be Lists with items",
			      WHOLE_MAX);
		return -EINVAL;
	}
	store_change_free(&c->staged);
	change_keep_end(c);
	c->objects = c->endpoints = 0;
	c->rc = 0;
	rc = store_change_new(c->d->store, !strcmp(c->method, "replace"), &c->staged);
	if (rc)
		return rc;
	request = json_loadb(c->line, c->length, JSON_REJECT_DUPLICATES, &why);
	if (!request)
		return refuse_text(c, &why);
	c->id = json_incref(json_object_get(request, "id"));
	c->params = json_incref(json_object_get(request, "params"));
	return change_read_params(c);
}

/* Who is refused is told so under the id of the call, which may stand behind the objects. */
static bool knows_id(const struct change *c)
{
	return c->d->replaying || json_object_get(items_request(c->items), "id");
}

static void stage_item(struct change *c, const struct item *item)
{
	if (!c->rc) {
		memset(&c->error, 0, sizeof(c->error));
		c->rc = stage(c, item->json, item);
	}
	json_decref(item->json);
}

void change_read_ready(struct change *c)
{
	struct timespec began;
	struct item item;
	json_error_t why;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!change_is_late(&began) && items_ready(c->items) &&
	       items_next(c->items, &item, &why) > 0)
		stage_item(c, &item);
}

int change_read_items(struct change *c)
{
	struct timespec began;
	struct item item;
	json_error_t why;
	int rc = 1;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (rc > 0 && !change_is_late(&began)) {
		rc = items_next(c->items, &item, &why);
		if (rc <= 0)
			break;
		stage_item(c, &item);
		if (c->rc && knows_id(c))
			break;
		rc = 1;
	}
	if (rc == -ENOTSUP)
		return read_whole(c);
	if (rc == -EINVAL)
		return refuse_text(c, &why);
	if (rc > 0 && !(c->rc && knows_id(c)))
		return rc;
	c->id = json_incref(json_object_get(items_request(c->items), "id"));
	if (c->rc)
		return refuse(c, c->rc);
	return rc < 0 ? rc : check_request(c);
}

int change_open_items(const char *text, size_t length, struct items **items, const char **method)
{
	static const char *const methods[] = {"apply", "replace", "delete"};
	json_error_t why;
	const char *name;
	int rc = items_open(text, length, items, &why);

	if (rc)
		return rc;
	name = json_string_value(json_object_get(items_request(*items), "method"));
	for (size_t i = 0; name && i < ARRAY_SIZE(methods); i++) {
		if (!strcmp(methods[i], name)) {
			*method = methods[i];
			return 0;
		}
	}
	items_free(items);
	return -ENOTSUP;
}
