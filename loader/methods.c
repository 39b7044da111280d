/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Methods of the config socket that change something: apply, replace, delete, iface; and watch. A
 * change is read whole, taken into the store, written to the journal, and in the tables before it
 * is answered. What only reads is get.c's.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "takeover.h"
#include "util.h"

/* A change while its objects are read. */
struct reading {
	struct store_change *change;
	struct kube_error error;
	json_t *warnings;
	bool remove;
	size_t count;
};

/* As kube-proxy, which leaves it to the API server to refuse them. */
static void warn_of_ranges(struct reading *r, const struct kube_service *service)
{
	struct cidr cidr;

	for (size_t i = 0; i < service->source_ranges; i++)
		if (cidr_parse(service->source_range[i], &cidr))
			json_array_append_new(
				r->warnings,
				json_sprintf(
					"Service \"%s/%s\": loadBalancerSourceRanges: \"%s\" is "
					"no range and is ignored; without any that is one, "
					"everybody is let in",
					service->namespace, service->name,
					service->source_range[i]));
}

/* What kube-proxy leaves out of an object without refusing it is told. */
static void warn(struct reading *r, const struct kube_object *object)
{
	if (object->kind == KUBE_SERVICE)
		warn_of_ranges(r, &object->service);
	if (object->kind == KUBE_SLICE && object->slice.ports_ignored)
		json_array_append_new(
			r->warnings,
			json_sprintf("EndpointSlice \"%s/%s\": ports without a name or a number "
				     "are ignored",
				     object->slice.namespace, object->slice.name));
}

static int read_object(json_t *json, void *arg)
{
	struct reading *r = arg;
	struct kube_object *object = NULL;
	_cleanup_free_ char *key = NULL;
	int rc;

	r->count++;
	if (r->remove) {
		rc = kube_key(json, &key, &r->error);
		return rc ?: store_change_remove(r->change, key);
	}
	rc = kube_parse(json, &object, &r->error);
	if (!rc)
		warn(r, object);
	rc = rc ?: store_change_put(r->change, &object);
	kube_free(&object);
	return rc;
}

/* What is wrong with the input, as docs/socket.md has it. */
static int refuse(const struct kube_error *e, struct rpc_error *error)
{
	rpc_error_set(error, RPC_BAD_PARAMS, "%s%s%s%s%s", e->object, e->object[0] ? ": " : "",
		      e->path, e->path[0] ? ": " : "", e->reason);
	error->data = json_pack("{s:s,s:s,s:s}", "object", e->object, "path", e->path, "reason",
				e->reason);
	return -EINVAL;
}

/* Why a Service does not fit now; it may yet, when others have changed. */
static void note_refusal(struct daemon *d, const char *namespace, const char *name, int rc)
{
	const struct publish_full full = publish_full(d->publisher);
	char key[520];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	if (rc == -ENOSPC)
		json_object_set_new(d->refusals, key,
				    json_pack("{s:s,s:s,s:I,s:s}", "service", key, "table",
					      full.table, "size", (json_int_t)full.size, "option",
					      full.option));
	else
		json_object_set_new(
			d->refusals, key,
			json_pack("{s:s,s:s}", "service", key, "reason", strerror(-rc)));
}

static int touched(const char *namespace, const char *name, void *arg)
{
	struct daemon *d = arg;
	int rc;

	if (d->replaying)
		return 0;
	rc = node_publish_whole(&d->node, d->publisher, namespace, name);
	if (rc) {
		note_refusal(d, namespace, name, rc);
		return rc;
	}
	monitor_published(d->monitor, namespace, name, 0);
	json_array_append_new(d->touched, json_pack("[s,s]", namespace, name));
	return 0;
}

/* It has what it had before; should that have suffered, it waits. */
static void refused(const char *namespace, const char *name, void *arg)
{
	struct daemon *d = arg;
	char key[520];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	json_array_append(d->refused, json_object_get(d->refusals, key));
	daemon_publish(d, namespace, name);
}

/* Frontends that belong to another, once all is published: two may have swapped theirs. */
static void warn_of_conflicts(struct daemon *d)
{
	const char *namespace, *name;
	json_t *pair;
	size_t i;

	json_array_foreach (d->touched, i, pair) {
		if (!json_unpack(pair, "[s,s]", &namespace, &name))
			publish_conflicts_of(d->publisher, namespace, name, d->warnings);
	}
	json_array_clear(d->touched);
}

static void node_changed(const char *name, void *arg)
{
	struct daemon *d = arg;

	if (!d->replaying && !strcmp(name, d->options.node_name))
		daemon_node_config(d);
}

static void ranges_changed(void *arg)
{
	struct daemon *d = arg;

	if (!d->replaying)
		daemon_node_config(d);
}

static void object_changed(const char *key, const char *event, void *arg)
{
	struct daemon *d = arg;

	monitor_object(d->monitor, key, event);
	if (!d->replaying)
		server_notify(d->server, "event",
			      json_pack("{s:I,s:s,s:s}", "revision", (json_int_t)d->revision,
					"event", event, "object", key));
}

static int all_objects(const struct kube_object *object, void *arg)
{
	return json_array_append(arg, object->json) ? -ENOMEM : 0;
}

/* The file has what the store has: a call of which part was refused is no line of it. */
void daemon_keep(struct daemon *d, const char *method, json_t *params)
{
	const bool part = json_array_size(d->refused);
	json_t *line = json_pack("{s:s,s:O}", "method", method, "params", params), *all;
	int rc = line ? 0 : -ENOMEM;

	if (!rc && !part)
		rc = journal_append(d->journal, line);
	json_decref(line);
	if (!rc && (part || journal_is_long(d->journal))) {
		all = json_array();
		store_each(d->store, all_objects, all);
		line = json_pack("{s:s,s:{s:o}}", "method", "replace", "params", "objects", all);
		rc = line ? journal_rewrite(d->journal, line) : -ENOMEM;
		json_decref(line);
	}
	if (rc)
		daemon_log("the change is in the tables, but could not be written to \"%s\": %s",
			   d->options.state_dir, strerror(-rc));
}

static json_t *change_result(struct daemon *d, const char *method, const struct store_result *r)
{
	json_t *result;

	if (!strcmp(method, "delete"))
		result = json_pack("{s:I,s:i,s:i}", "revision", (json_int_t)d->revision, "deleted",
				   (int)r->removed, "missing", (int)r->missing);
	else
		result = json_pack("{s:I,s:i,s:i}", "revision", (json_int_t)d->revision, "applied",
				   (int)r->applied, "unchanged", (int)r->unchanged);
	if (!strcmp(method, "replace"))
		json_object_set_new(result, "removed", json_integer(r->removed));
	if (json_array_size(d->warnings))
		json_object_set(result, "warnings", d->warnings);
	return result;
}

/* As many names as there is room for: "a/b", "c/d" and 3 more. */
static void refused_names(const json_t *list, char *text, size_t size)
{
	size_t i, used = 0;

	for (i = 0; i < json_array_size(list); i++) {
		const char *key =
			json_string_value(json_object_get(json_array_get(list, i), "service"));

		if (i && (i == 3 || used + strlen(key ?: "") + 20 > size))
			break;
		used += snprintf(text + used, size - used, "%s\"%.320s\"", i ? ", " : "",
				 key ?: "");
	}
	if (i < json_array_size(list))
		snprintf(text + used, size - used, " and %zu more", json_array_size(list) - i);
}

/* Some of it was refused: that is an error, and data says what became of the rest. */
int daemon_refusal(struct daemon *d, json_t **result, struct rpc_error *error)
{
	const json_t *first = json_array_get(d->refused, 0);
	const char *table = json_string_value(json_object_get(first, "table"));
	char names[340] = "", why[120];

	refused_names(d->refused, names, sizeof(names));
	if (table)
		snprintf(why, sizeof(why), "table \"%s\" is full (%lld entries), raise --%s", table,
			 json_integer_value(json_object_get(first, "size")),
			 json_string_value(json_object_get(first, "option")));
	else
		snprintf(why, sizeof(why), "%s",
			 json_string_value(json_object_get(first, "reason")) ?: "out of memory");
	rpc_error_set(error, RPC_FAILED, "Service %s: no room: %s; all else was done", names, why);
	daemon_log("%s", error->message);
	error->data = TAKE_PTR(*result);
	if (error->data)
		json_object_set(error->data, "refused", d->refused);
	return -ENOSPC;
}

int daemon_commit(struct daemon *d, struct store_change **change, bool whole, json_t *warnings,
		  struct store_result *done)
{
	const struct store_visitor visitor = {
		.service = touched,
		.refused = refused,
		.node = node_changed,
		.service_cidr = ranges_changed,
		.object = object_changed,
		.arg = d,
	};
	int rc;

	d->revision++;
	json_array_clear(d->warnings);
	json_array_extend(d->warnings, warnings);
	json_array_clear(d->refused);
	monitor_begin(d->monitor);
	rc = store_commit(d->store, change, &visitor, done);
	json_object_clear(d->refusals);
	/* After the services of the change: those of others may be planned otherwise now. */
	if (!rc && !d->replaying)
		daemon_node_changed(d);
	if (!rc && whole && !d->replaying) {
		publish_sweep(d->publisher);
		rc = daemon_release(d);
	}
	d->synced |= !rc;
	d->delivered |= !rc && whole && !d->replaying;
	warn_of_conflicts(d);
	monitor_end(d->monitor);
	if (!rc && !d->replaying)
		daemon_end_departed(d, whole);
	return rc;
}

int daemon_change(struct daemon *d, const char *method, json_t *params, json_t **result,
		  struct rpc_error *error)
{
	_cleanup_(store_change_free) struct store_change *change = NULL;
	bool replace = !strcmp(method, "replace");
	json_auto_t *warnings = json_array();
	struct reading r = {.remove = !strcmp(method, "delete"), .warnings = warnings};
	json_t *objects = json_object_get(params, "objects");
	struct store_result done = {};
	int rc;

	if (!json_is_array(objects)) {
		rpc_error_set(error, RPC_BAD_PARAMS, "%s wants params.objects, an array of objects",
			      method);
		return -EINVAL;
	}
	rc = store_change_new(d->store, replace, &change);
	if (rc)
		return rc;
	r.change = change;
	rc = kube_each(objects, read_object, &r, &r.error);
	if (rc == -EINVAL || rc == -ENOTSUP)
		return refuse(&r.error, error);
	if (rc)
		return rc;
	rc = daemon_commit(d, &change, replace, warnings, &done);
	if (rc)
		return rc;
	if (!d->replaying && (done.applied || done.removed || replace))
		daemon_keep(d, method, params);
	*result = change_result(d, method, &done);
	return json_array_size(d->refused) ? daemon_refusal(d, result, error) : 0;
}

static int method_apply(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return daemon_change(arg, "apply", params, result, error);
}

static int method_replace(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return daemon_change(arg, "replace", params, result, error);
}

static int method_delete(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return daemon_change(arg, "delete", params, result, error);
}

static int method_watch(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct daemon *d = arg;

	(void)params, (void)error;
	*result = json_pack("{s:I}", "revision", (json_int_t)d->revision);
	return *result ? 0 : -ENOMEM;
}

static int method_iface(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	json_t *set = json_object_get(params, "set");
	struct daemon *d = arg;
	char why[400] = "";
	const char *lb;
	int rc;

	if (!json_object_size(params)) {
		*result = json_pack("{s:o}", "ifaces", ifaces_json(d->ifaces));
		return *result ? 0 : -ENOMEM;
	}
	if (!name || !json_is_object(set)) {
		rpc_error_set(error, RPC_BAD_PARAMS,
			      "iface wants params.name, a string, and params.set, an object");
		return -EINVAL;
	}
	lb = json_string_value(json_object_get(set, "lb"));
	if (lb)
		takeover_look(d->takeover);
	rc = ifaces_set(d->ifaces, name, set, result, why, sizeof(why));
	if (!rc && lb && !strcmp(lb, "drain"))
		takeover_reserve(d->takeover);
	if (rc) {
		rpc_error_set(error, rc == -EINVAL ? RPC_BAD_PARAMS : RPC_FAILED, "%s",
			      why[0] ? why : strerror(-rc));
		return rc;
	}
	server_notify(d->server, "event",
		      json_pack("{s:I,s:s,s:s}", "revision", (json_int_t)d->revision, "event",
				"iface", "object", name));
	return 0;
}

const struct rpc_method daemon_methods[] = {
	{.name = "apply", .handler = method_apply},
	{.name = "replace", .handler = method_replace},
	{.name = "delete", .handler = method_delete},
	{.name = "sync", .handler = method_sync},
	{.name = "get", .handler = method_get},
	{.name = "watch", .handler = method_watch, .subscribes = true},
	{.name = "status", .handler = method_status},
	{.name = "iface", .handler = method_iface},
	{.name = "explain", .handler = method_explain},
	{.name = "takeover", .handler = method_takeover},
	{.name = "diff", .handler = method_diff},
	{.name = NULL},
};
