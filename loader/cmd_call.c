/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How commands ask the daemon, and in which words and exit code a refusal ends. */
#include "cmd.h"

#include <errno.h>
#include <string.h>

#include "client.h"
#include "util.h"

/* A change of 64 MiB takes seconds; a daemon that is stuck should not be waited for for ever. */
#define CALL_SECONDS 120

int cmd_connect(const struct cmd_args *args, const struct out *out, struct client **client)
{
	_cleanup_free_ char *message = NULL;
	int r = client_connect(args->socket, client);

	switch (-r) {
	case 0:
		return CMD_DONE;
	case ENOENT:
	case ECONNREFUSED:
		message = out_text("no daemon answers at \"%s\": %s; is nearpathd running? "
				   "Another socket is named by --socket",
				   args->socket, strerror(-r));
		out_error(out, "no_daemon", message ? message : strerror(ENOMEM), NULL);
		return CMD_NO_DAEMON;
	case EACCES:
		return cmd_fail(out,
				"cannot connect to \"%s\": %s; only root and the daemon's "
				"--socket-group may, try sudo",
				args->socket, strerror(-r));
	default:
		return cmd_fail(out, "cannot connect to \"%s\": %s", args->socket, strerror(-r));
	}
}

/* The object, the path in it and the reason, where the daemon named them. */
static char *refusal_text(const struct rpc_error *error)
{
	const char *object = json_string_value(json_object_get(error->data, "object"));
	const char *path = json_string_value(json_object_get(error->data, "path"));
	const char *reason = json_string_value(json_object_get(error->data, "reason"));

	if (!object || !reason)
		return out_text("%s", error->message);
	return out_text("%s: %s%s%s", object, path ? path : "", path && path[0] ? ": " : "",
			reason);
}

static const char *next_step(int code)
{
	switch (code) {
	case RPC_BAD_PARAMS:
		return "; nothing was changed";
	case RPC_NO_METHOD:
		return "; is the daemon of another version? See \"nearpath version\"";
	default:
		return "";
	}
}

int cmd_call_failed(const struct out *out, const char *operation, struct rpc_error *error)
{
	_cleanup_(rpc_error_clear) struct rpc_error owned = *error;
	_cleanup_free_ char *refusal = refusal_text(&owned);
	_cleanup_free_ char *message = NULL;
	json_auto_t *more = json_pack("{s:i, s:O*}", "code", owned.code, "data", owned.data);

	error->data = NULL;
	message = out_text("%s failed: %s%s", operation, refusal ? refusal : owned.message,
			   next_step(owned.code));
	out_error(out, "failed", message ? message : strerror(ENOMEM), more);
	return CMD_FAILED;
}

int cmd_call(const struct cmd_args *args, const struct out *out, const char *method, json_t *params,
	     json_t **result)
{
	_cleanup_(client_free) struct client *client = NULL;
	json_auto_t *owned = params;
	struct rpc_error error = {};
	int code = cmd_connect(args, out, &client);
	int r;

	if (code)
		return code;
	client_set_timeout(client, CALL_SECONDS);
	r = client_call(client, method, TAKE_PTR(owned), result, &error);
	return r < 0 ? cmd_call_failed(out, method, &error) : CMD_DONE;
}

int cmd_call_text(const struct cmd_args *args, const struct out *out, const char *method,
		  const char *params, json_t **result)
{
	_cleanup_(client_free) struct client *client = NULL;
	struct rpc_error error = {};
	int code = cmd_connect(args, out, &client);
	int r;

	if (code)
		return code;
	client_set_timeout(client, CALL_SECONDS);
	r = client_call_text(client, method, params, result, &error);
	return r < 0 ? cmd_call_failed(out, method, &error) : CMD_DONE;
}

int cmd_printed(const struct out *out, int r)
{
	return r < 0 ? cmd_fail(out, "cannot print: %s", strerror(-r)) : CMD_DONE;
}
