/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath sync: begin and end a delivery in parts. */
#include "cmd.h"

int cmd_sync(const struct cmd_args *args, const struct out *out)
{
	const bool begin = args->given & CMD_OPT_BEGIN;
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "sync", json_pack("{s:b}", "begin", begin), &result);
	long long revision;

	if (code)
		return code;
	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, result));
	revision = json_integer_value(json_object_get(result, "revision"));
	if (begin)
		fprintf(out->data, "delivery begun (revision %lld)\n", revision);
	else
		fprintf(out->data, "removed %lld (revision %lld)\n",
			(long long)json_integer_value(json_object_get(result, "removed")),
			revision);
	return CMD_DONE;
}
