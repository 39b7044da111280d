/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The change that is under way: its phases, what it does to the tables, and its answer.
 */
#include "change.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "util.h"

#define SERVICES_A_STEP 16

/* ---- while it is in the store ---- */

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
	if (rc)
		note_refusal(d, namespace, name, rc);
	else
		monitor_published(d->monitor, namespace, name, 0);
	return rc;
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
	if (!d->replaying && server_is_watched(d->server))
		server_notify(d->server, "event",
			      json_pack("{s:I,s:s,s:s}", "revision", (json_int_t)d->revision,
					"event", event, "object", key));
}

/* What was delivered is all there is. */
static bool is_whole(const struct change *c)
{
	return !strcmp(c->method, "replace") || !strcmp(c->method, "sync");
}

static int begin_store(struct change *c)
{
	const struct store_visitor visitor = {
		.service = touched,
		.refused = refused,
		.node = node_changed,
		.service_cidr = ranges_changed,
		.object = object_changed,
		.arg = c->d,
	};
	struct daemon *d = c->d;
	int rc;

	d->revision++;
	json_array_clear(d->warnings);
	json_array_extend(d->warnings, c->warnings);
	json_array_clear(d->refused);
	c->generation = publish_generation(d->publisher);
	if (!d->replaying)
		publish_expect(d->publisher, c->endpoints);
	monitor_begin(d->monitor);
	rc = store_begin(d->store, &c->staged, &visitor, &c->commit);
	if (rc)
		monitor_end(d->monitor);
	return rc;
}

/* 1: there is more. */
static int step_store(struct change *c)
{
	struct timespec began;
	int rc = c->commit ? 1 : begin_store(c);

	if (rc < 0)
		return rc;
	clock_gettime(CLOCK_MONOTONIC, &began);
	do
		rc = store_step(c->commit, SERVICES_A_STEP);
	while (rc > 0 && !change_is_late(&began));
	return rc;
}

/* It is in the tables, and in the journal. rc: or could not be taken into the store. */
static int end_store(struct change *c, int rc)
{
	const bool whole = is_whole(c);
	struct daemon *d = c->d;

	store_end(&c->commit, &c->done);
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
	/* Frontends that belong to another, once all is published: two may have swapped theirs. */
	publish_conflicts_since(d->publisher, c->generation, d->warnings);
	monitor_end(d->monitor);
	if (!rc && !d->replaying)
		c->owe = daemon_end_departed(d, whole);
	return rc;
}

/* ---- the answer ---- */

static json_t *result_json(const struct change *c)
{
	const struct store_result *r = &c->done;
	const struct daemon *d = c->d;
	json_t *result;

	if (!strcmp(c->method, "sync"))
		result = json_pack("{s:I,s:I}", "revision", (json_int_t)d->revision, "removed",
				   (json_int_t)r->removed);
	else if (!strcmp(c->method, "delete"))
		result = json_pack("{s:I,s:i,s:i}", "revision", (json_int_t)d->revision, "deleted",
				   (int)r->removed, "missing", (int)r->missing);
	else
		result = json_pack("{s:I,s:i,s:i}", "revision", (json_int_t)d->revision, "applied",
				   (int)r->applied, "unchanged", (int)r->unchanged);
	if (!strcmp(c->method, "replace"))
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
static int refusal(struct change *c)
{
	const struct daemon *d = c->d;
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
	rpc_error_set(&c->failure, RPC_FAILED, "Service %s: no room: %s; all else was done", names,
		      why);
	daemon_log("%s", c->failure.message);
	c->failure.data = TAKE_PTR(c->result);
	if (c->failure.data)
		json_object_set(c->failure.data, "refused", d->refused);
	return -ENOSPC;
}

static int answer(struct change *c, int rc)
{
	if (rc)
		return rc;
	c->result = result_json(c);
	if (json_array_size(c->d->refused))
		return refusal(c);
	return c->result ? 0 : -ENOMEM;
}

/* ---- phases ---- */

bool change_is_late(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * 1000000 + (now.tv_nsec - began->tv_nsec) / 1000 >
	       CHANGE_PART_US;
}

static int read_some(struct change *c)
{
	if (c->items)
		return change_read_items(c);
	return c->params ? change_read_params(c) : 0;
}

/* Of the phase it is in. 1: there is more; 0: it has come to its end; -errno: so it has. */
static int step(struct change *c)
{
	int rc;

	switch (c->phase) {
	case CHANGE_READ:
		rc = read_some(c);
		if (rc)
			return rc;
		c->phase = CHANGE_STORE;
		return 1;
	case CHANGE_STORE:
		rc = step_store(c);
		if (rc < 0 && c->commit)
			end_store(c, rc);
		if (rc)
			return rc;
		c->phase = CHANGE_KEEP;
		return 1;
	case CHANGE_KEEP:
		rc = c->keep ? change_keep(c) : 0;
		if (rc)
			return rc;
		c->phase = CHANGE_END;
		return 1;
	default:
		return c->commit ? answer(c, end_store(c, 0)) : 0;
	}
}

int change_new(struct daemon *d, const char *method, struct change **change)
{
	_cleanup_(change_free) struct change *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->d = d;
	c->method = method;
	c->keep = !d->replaying;
	c->warnings = json_array();
	rc = c->warnings ? store_change_new(d->store, !strcmp(method, "replace"), &c->staged)
			 : -ENOMEM;
	if (!rc)
		*change = TAKE_PTR(c);
	return rc;
}

void change_free(struct change **change)
{
	struct change *c = TAKE_PTR(*change);

	if (!c)
		return;
	items_free(&c->items);
	store_end(&c->commit, &c->done);
	store_change_free(&c->staged);
	change_keep_end(c);
	free(c->line);
	json_decref(c->params);
	json_decref(c->id);
	json_decref(c->warnings);
	json_decref(c->result);
	rpc_error_clear(&c->failure);
	free(c);
}

/* The file has grown long: a change of nothing, of which only the journal hears. */
static void begin_anew(struct daemon *d)
{
	if (d->replaying || !journal_is_long(d->journal))
		return;
	if (change_new(d, "replace", &d->change))
		return;
	d->change->phase = CHANGE_KEEP;
	server_kick(d->server);
}

/* Then it is answered even if it has no id. */
static bool is_no_request(const struct change *c)
{
	return c->failure.code == RPC_PARSE || c->failure.code == RPC_INVALID_REQUEST;
}

/* The end of a change for whoever waits for it; others may have theirs. */
static void finish(struct daemon *d, int rc)
{
	struct change *c = TAKE_PTR(d->change);
	bool was_long;

	/* The next may begin while this is answered: there is one reader, and one journal. */
	items_free(&c->items);
	change_keep_end(c);
	if (c->line)
		server_set_id(c->call, c->id ?: is_no_request(c) ? json_null() : NULL);
	if (c->owe)
		daemon_owe(d, &c->call, rc, c->result, &c->failure);
	else
		server_answer(&c->call, rc, c->result, &c->failure);
	was_long = c->line;
	change_free(&c);
	if (was_long)
		malloc_trim(0); /* what was only staged, and what it replaced */
	begin_anew(d);
	if (!d->change)
		server_wake(d->server);
}

bool change_work(void *arg)
{
	struct daemon *d = arg;
	int rc;

	if (!d->change || d->change->waiting)
		return false;
	rc = step(d->change);
	if (rc <= 0)
		finish(d, rc);
	return d->change && !d->change->waiting;
}

/* Most changes are short and come to their end here. */
int change_start(struct daemon *d, json_t **result, struct rpc_error *error)
{
	struct change *c = d->change;
	struct timespec began;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do
		rc = step(c);
	while (rc > 0 && !c->waiting && !change_is_late(&began));
	if (rc > 0 || c->owe) {
		c->call = server_defer(d->server);
		if (rc > 0)
			server_kick(d->server);
		else
			finish(d, rc);
		return RPC_LATER;
	}
	*result = TAKE_PTR(c->result);
	*error = c->failure;
	c->failure = (struct rpc_error){};
	finish(d, rc);
	return rc;
}

static int call(struct daemon *d, const char *method, json_t *params, json_t **result,
		struct rpc_error *error)
{
	int rc;

	if (d->change)
		return RPC_AGAIN;
	rc = change_new(d, method, &d->change);
	if (rc)
		return rc;
	d->change->params = json_incref(params) ?: json_object();
	return change_start(d, result, error);
}

int method_apply(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return call(arg, "apply", params, result, error);
}

int method_replace(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return call(arg, "replace", params, result, error);
}

int method_delete(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	return call(arg, "delete", params, result, error);
}

/* ---- from texts ---- */

static int begin_long(struct daemon *d, const char *line, size_t length)
{
	struct items *items = NULL;
	const char *method;
	int rc = change_open_items(line, length, &items, &method);

	if (rc)
		return rc == -ENOMEM ? rc : -ENOTSUP;
	rc = change_new(d, method, &d->change);
	if (rc)
		items_free(&items);
	else
		d->change->items = items;
	return rc;
}

int change_long(void *arg, char **line, size_t length, struct server_call *call)
{
	struct daemon *d = arg;
	int rc;

	if (d->change)
		return RPC_AGAIN;
	if (!change_take_part(d, *line, length)) {
		change_drop_part(d);
		rc = begin_long(d, *line, length);
		if (rc)
			return rc;
	}
	d->change->line = TAKE_PTR(*line);
	d->change->length = length;
	d->change->call = call;
	server_kick(d->server);
	return 0;
}

/* What the journal had before this one, in whatever form: as a tree. */
static int replay_tree(struct daemon *d, const char *line, size_t length)
{
	static const char *const methods[] = {"apply", "replace", "delete"};
	json_auto_t *tree = json_loadb(line, length, 0, NULL);
	const char *name = json_string_value(json_object_get(tree, "method"));
	int rc;

	if (!tree)
		return -EBADMSG;
	for (size_t i = 0; name && i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i], name) != 0)
			continue;
		rc = change_new(d, methods[i], &d->change);
		if (!rc)
			d->change->params = json_incref(json_object_get(tree, "params"));
		return rc;
	}
	d->damaged = true;
	return 0;
}

int change_replay(const char *line, size_t length, int64_t at, void *arg)
{
	struct items *items = NULL;
	struct daemon *d = arg;
	const char *method;
	int rc;

	if (!line) {
		d->damaged = true;
		return 0;
	}
	rc = change_open_items(line, length, &items, &method);
	if (!rc)
		rc = change_new(d, method, &d->change);
	if (!rc) {
		d->change->items = items;
		d->change->line = (char *)line;
		d->change->length = length;
		d->change->at = at;
	} else {
		items_free(&items);
		rc = rc == -ENOMEM ? rc : replay_tree(d, line, length);
	}
	if (rc || !d->change)
		return rc;
	do
		rc = step(d->change);
	while (rc > 0);
	if (d->change->failure.code == RPC_PARSE)
		rc = -EBADMSG;
	else if (rc)
		daemon_log("a change in \"%s/objects.journal\" is left out: %s",
			   d->options.state_dir, d->change->failure.message);
	d->damaged |= rc != 0;
	d->change->line = NULL;
	change_free(&d->change);
	return rc == -EBADMSG ? rc : 0;
}
