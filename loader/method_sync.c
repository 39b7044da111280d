/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The method "sync": the end of a delivery in parts, as "replace" is one in a piece. Between its
 * beginning (the daemon's start, or "sync" itself) and its end nothing is missed: what has not come
 * may yet come. At the end, what did not come is gone.
 */
#include <errno.h>

#include "change.h"
#include "util.h"

struct parting {
	const struct store *store;
	struct change *change;
	size_t removed;
	size_t delivered;
};

static int part(const struct kube_object *object, void *arg)
{
	char key[KUBE_KEY_MAX];
	struct parting *p = arg;

	kube_write_key(object, key);
	if (store_is_delivered(p->store, key)) {
		p->delivered++;
		return 0;
	}
	p->removed++;
	return store_change_remove(p->change->staged, key);
}

static int end_delivery(struct daemon *d, json_t **result, struct rpc_error *error)
{
	struct parting p = {.store = d->store};
	int rc = change_new(d, "sync", &p.change);

	rc = rc ?: store_each(d->store, part, &p);
	if (!rc && !p.delivered && (p.removed || d->tables->adopted)) {
		rpc_error_set(
			error, RPC_FAILED,
			"nothing was delivered since the delivery began: all %zu objects, and "
			"whatever else the tables hold, would be removed; send them by apply "
			"before, or, if that is meant, replace all by nothing",
			p.removed);
		rc = -EAGAIN;
	}
	if (rc) {
		change_free(&p.change);
		return rc;
	}
	d->change = p.change;
	return change_start(d, result, error);
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
	if (d->change)
		return RPC_AGAIN;
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
