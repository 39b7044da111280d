/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The method "sync": the end of a delivery in parts, as "replace" is one in a piece. Between its
 * beginning (the daemon's start, or "sync" itself) and its end nothing is missed: what has not come
 * may yet come. At the end, what did not come is gone.
 */
#include <errno.h>

#include "daemon.h"
#include "util.h"

struct parting {
	struct daemon *d;
	struct store_change *change;
	json_t *objects; /* what is removed, as "delete" names it: it is kept so in the journal */
	size_t delivered;
};

/* Kind, and name and namespace where it has one, of an object as it was given. */
static json_t *name_json(const struct kube_object *object)
{
	const json_t *metadata = json_object_get(object->json, "metadata");

	return json_pack("{s:s,s:{s:O*,s:O}}", "kind", kube_kind_name(object->kind), "metadata",
			 "namespace", json_object_get(metadata, "namespace"), "name",
			 json_object_get(metadata, "name"));
}

static int part(const struct kube_object *object, void *arg)
{
	struct parting *p = arg;

	if (store_is_delivered(p->d->store, object->key)) {
		p->delivered++;
		return 0;
	}
	if (json_array_append_new(p->objects, name_json(object)))
		return -ENOMEM;
	return store_change_remove(p->change, object->key);
}

static int end_delivery(struct daemon *d, json_t **result, struct rpc_error *error)
{
	_cleanup_(store_change_free) struct store_change *change = NULL;
	json_auto_t *params = json_pack("{s:[]}", "objects"), *warnings = json_array();
	struct parting p = {.d = d, .objects = json_object_get(params, "objects")};
	struct store_result done;
	int rc = params && warnings ? store_change_new(d->store, false, &change) : -ENOMEM;

	p.change = change;
	rc = rc ?: store_each(d->store, part, &p);
	if (rc)
		return rc;
	if (!p.delivered && (json_array_size(p.objects) || d->tables->adopted)) {
		rpc_error_set(
			error, RPC_FAILED,
			"nothing was delivered since the delivery began: all %zu objects, and "
			"whatever else the tables hold, would be removed; send them by apply "
			"before, or, if that is meant, replace all by nothing",
			json_array_size(p.objects));
		return -EAGAIN;
	}
	rc = daemon_commit(d, &change, true, warnings, &done);
	if (rc)
		return rc;
	if (done.removed)
		daemon_keep(d, "delete", params);
	*result = json_pack("{s:I,s:I}", "revision", (json_int_t)d->revision, "removed",
			    (json_int_t)done.removed);
	if (*result && json_array_size(d->warnings))
		json_object_set(*result, "warnings", d->warnings);
	if (json_array_size(d->refused))
		return daemon_refusal(d, result, error);
	return *result ? 0 : -ENOMEM;
}

int method_sync(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	json_t *begin = json_object_get(params, "begin");
	struct daemon *d = arg;

	if (json_object_size(params) != (begin != NULL) || (begin && !json_is_boolean(begin))) {
		rpc_error_set(error, RPC_BAD_PARAMS,
			      "sync takes params.begin, true or false, or "
			      "none");
		return -EINVAL;
	}
	if (json_is_true(begin)) {
		store_deliver(d->store);
		d->delivered = false;
		*result = json_pack("{s:I}", "revision", (json_int_t)d->revision);
		return *result ? 0 : -ENOMEM;
	}
	if (d->delivered) {
		rpc_error_set(error, RPC_FAILED,
			      "no delivery is under way that sync could end: begin one by "
			      "{\"begin\":true} (nearpath sync --begin), send every object by "
			      "apply, then sync");
		return -EALREADY;
	}
	return end_delivery(d, result, error);
}
