/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath diff: where the kernel's tables and programs are not what is wanted. */
#include "cmd.h"

#include "util.h"

static void print_one(const struct out *out, const json_t *difference)
{
	_cleanup_free_ char *what = out_value(json_object_get(difference, "what"));
	_cleanup_free_ char *wanted = out_value(json_object_get(difference, "wanted"));
	_cleanup_free_ char *found = out_value(json_object_get(difference, "found"));

	fprintf(out->data, "%s: wanted %s, found %s\n", what ? what : "-", wanted ? wanted : "-",
		found ? found : "-");
}

int cmd_diff(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "diff", NULL, &result);
	const json_t *list, *difference;
	json_int_t count;
	size_t i;

	if (code)
		return code;
	list = json_object_get(result, "differences");
	count = json_integer_value(json_object_get(result, "count"));
	if (out->format == OUT_JSON) {
		code = cmd_printed(out, out_json(out, result));
		return count ? CMD_FAILED : code;
	}
	json_array_foreach (list, i, difference)
		print_one(out, difference);
	if (count > (json_int_t)i)
		fprintf(out->data, "and %lld more\n", count - (json_int_t)i);
	if (!count)
		fprintf(out->notes, "no differences\n");
	return count ? CMD_FAILED : CMD_DONE;
}
