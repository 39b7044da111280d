/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath flow list. */
#include "cmd.h"

static const struct out_column columns[] = {
	{.title = "PROTO", .key = "protocol"},
	{.title = "CLIENT", .key = "client"},
	{.title = "FRONTEND", .key = "frontend"},
	{.title = "BACKEND", .key = "backend"},
	{.title = "SNAT", .key = "snat", .optional = true},
	{.title = "STATE", .key = "state"},
	{.title = "IDLE", .key = "idle", .right = true},
	{.title = "AGE", .key = "age", .right = true},
	{},
};

int cmd_flow_list(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *limit = args->limit ? json_integer(args->limit) : NULL;
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "get",
			    json_pack("{s:s, s:O*}", "what", "flows", "limit", limit), &result);

	if (code)
		return code;
	code = cmd_printed(out, out_list(out, result, "flows", columns));
	if (out->format == OUT_TEXT && json_is_true(json_object_get(result, "truncated")))
		fputs("there are more flows; see --limit\n", out->notes);
	return code;
}
