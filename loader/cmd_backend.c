/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath backend list. */
#include "cmd.h"

static const struct out_column columns[] = {
	{.title = "ADDRESS", .key = "address"},
	{.title = "LOCAL", .key = "local"},
	{.title = "ZONE", .key = "zone_class"},
	{.title = "SNAT", .key = "snat"},
	{.title = "REFERENCES", .key = "references", .right = true},
	{},
};

int cmd_backend_list(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "get", json_pack("{s:s}", "what", "backends"), &result);

	return code ? code : cmd_printed(out, out_list(out, result, "backends", columns));
}
