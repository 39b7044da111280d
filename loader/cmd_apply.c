/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath apply and nearpath replace: give the daemon objects. */
#include "cmd.h"

#include "cmd_objects.h"
#include "util.h"

static long long number(const json_t *result, const char *key)
{
	return json_integer_value(json_object_get(result, key));
}

static int send_objects(const struct cmd_args *args, const struct out *out, const char *method)
{
	_cleanup_free_ char *params = NULL;
	json_auto_t *result = NULL;
	int code = cmd_objects_text(args, out, &params);

	if (code)
		return code;
	code = cmd_call_text(args, out, method, params, &result);
	if (code)
		return code;
	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, result));
	fprintf(out->data, "applied %lld, unchanged %lld", number(result, "applied"),
		number(result, "unchanged"));
	if (json_object_get(result, "removed"))
		fprintf(out->data, ", removed %lld", number(result, "removed"));
	fprintf(out->data, " (revision %lld)\n", number(result, "revision"));
	return CMD_DONE;
}

int cmd_apply(const struct cmd_args *args, const struct out *out)
{
	return send_objects(args, out, "apply");
}

int cmd_replace(const struct cmd_args *args, const struct out *out)
{
	return send_objects(args, out, "replace");
}
