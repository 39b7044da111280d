/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath watch: changes as they happen, one a line. */
#include "cmd.h"

#include <errno.h>

#include "client.h"
#include "util.h"

static int print_event(const struct out *out, const json_t *event)
{
	_cleanup_free_ char *revision = out_value(json_object_get(event, "revision"));
	_cleanup_free_ char *kind = out_value(json_object_get(event, "event"));
	_cleanup_free_ char *object = out_value(json_object_get(event, "object"));

	if (out->format == OUT_JSON)
		return out_json_line(out, event);
	fprintf(out->data, "%s %s %s\n", revision ? revision : "-", kind ? kind : "-",
		object ? object : "-");
	fflush(out->data);
	return 0;
}

static int watch(const struct out *out, struct client *client)
{
	struct rpc_error error = {};
	int r;

	for (;;) {
		json_auto_t *event = NULL;

		r = client_next_event(client, &event, &error);
		if (r < 0)
			return cmd_call_failed(out, "watch", &error);
		r = print_event(out, event);
		if (r < 0)
			return cmd_printed(out, r);
		if (ferror(out->data))
			return CMD_FAILED;
	}
}

int cmd_watch(const struct cmd_args *args, const struct out *out)
{
	_cleanup_(client_free) struct client *client = NULL;
	json_auto_t *result = NULL;
	struct rpc_error error = {};
	int code = cmd_connect(args, out, &client);

	if (code)
		return code;
	if (client_call(client, "watch", NULL, &result, &error) < 0)
		return cmd_call_failed(out, "watch", &error);
	if (out->format == OUT_TEXT)
		fprintf(out->notes, "watching from revision %lld\n",
			json_integer_value(json_object_get(result, "revision")));
	return watch(out, client);
}
