/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath apply and nearpath replace: give the daemon objects. */
#include "cmd.h"

#include <stdbool.h>
#include <string.h>

#include "cmd_objects.h"
#include "util.h"

static long long number(const json_t *result, const char *key)
{
	return json_integer_value(json_object_get(result, key));
}

/* Longer than what kubectl prints of a List without items. */
#define NOTHING_LONGEST 4096

static bool is_nothing(const json_t *object)
{
	const json_t *items = json_object_get(object, "items");

	return json_is_array(items) && !json_array_size(items);
}

/* Is there no object in it? */
static bool holds_nothing(const char *params)
{
	json_auto_t *all = NULL;
	const json_t *object;
	size_t i;

	if (strlen(params) > NOTHING_LONGEST)
		return false;
	all = json_loads(params, 0, NULL);
	json_array_foreach (json_object_get(all, "objects"), i, object)
		if (!is_nothing(object))
			return false;
	return all;
}

/* empty: even if there are none. */
static int send_objects(const struct cmd_args *args, const struct out *out, const char *method,
			bool empty)
{
	_cleanup_free_ char *params = NULL;
	json_auto_t *result = NULL;
	int code = cmd_objects_text(args, out, &params);

	if (code)
		return code;
	if (!empty && holds_nothing(params))
		return cmd_fail(out, "no object was given, and all would be removed: nothing was "
				     "sent; if that is meant, say --empty");
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
	return send_objects(args, out, "apply", true);
}

int cmd_replace(const struct cmd_args *args, const struct out *out)
{
	return send_objects(args, out, "replace", args->given & CMD_OPT_EMPTY);
}
