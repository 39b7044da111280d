/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The methods of the config socket, and two of them: watch and iface. Those that change objects
 * are change.c's; what only reads is get.c's.
 */
#include <errno.h>
#include <string.h>

#include "change.h"
#include "daemon.h"
#include "takeover.h"
#include "util.h"

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
