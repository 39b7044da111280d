/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath version: works without a daemon. */
#include "cmd.h"

#include "client.h"
#include "util.h"

#define PATIENCE 5

/* NULL where there is no daemon to ask. */
static char *daemon_version(const struct cmd_args *args)
{
	_cleanup_(client_free) struct client *client = NULL;
	_cleanup_(rpc_error_clear) struct rpc_error error = {};
	json_auto_t *status = NULL;

	if (client_connect(args->socket, &client) < 0)
		return NULL;
	client_set_timeout(client, PATIENCE);
	if (client_call(client, "status", NULL, &status, &error) < 0)
		return NULL;
	return out_value(json_object_get(status, "version"));
}

int cmd_version(const struct cmd_args *args, const struct out *out)
{
	_cleanup_free_ char *daemon = daemon_version(args);
	json_auto_t *versions =
		json_pack("{s:s, s:s?}", "command", NEARPATH_VERSION, "daemon", daemon);

	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, versions));
	out_field(out, "nearpath", NEARPATH_VERSION);
	out_field(out, "nearpathd", daemon ? daemon : "not reached");
	return CMD_DONE;
}
