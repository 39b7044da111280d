/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath backend list. */
#include "cmd.h"

/* Source ports that stand for clients there, and how many there are; what found none. */
static char *ports_text(const json_t *row)
{
	const json_t *ports = json_object_get(row, "snat_ports");
	const json_int_t used = json_integer_value(json_object_get(ports, "used"));

	return used ? out_text("%lld/%lld", (long long)used,
			       (long long)json_integer_value(json_object_get(ports, "max")))
		    : NULL;
}

static char *refused_text(const json_t *row)
{
	const json_t *ports = json_object_get(row, "snat_ports");
	const json_int_t refused = json_integer_value(json_object_get(ports, "refused"));

	return refused ? out_text("%lld", (long long)refused) : NULL;
}

static const struct out_column columns[] = {
	{.title = "ADDRESS", .key = "address"},
	{.title = "LOCAL", .key = "local"},
	{.title = "ZONE", .key = "zone_class"},
	{.title = "SNAT", .key = "snat"},
	{.title = "REFERENCES", .key = "references", .right = true},
	{.title = "PORTS", .text = ports_text, .right = true, .optional = true},
	{.title = "NO PORT", .text = refused_text, .right = true, .optional = true},
	{},
};

int cmd_backend_list(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "get", json_pack("{s:s}", "what", "backends"), &result);

	return code ? code : cmd_printed(out, out_list(out, result, "backends", columns));
}
