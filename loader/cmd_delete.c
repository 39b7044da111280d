/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath delete: objects named by files, or one named by kind and name. */
#include "cmd.h"

#include <string.h>

#include "cmd_objects.h"
#include "util.h"

static const char *const kind_words[] = {"service", "endpointslice", "node", "servicecidr", NULL};
static const char *const kinds[] = {"Service", "EndpointSlice", "Node", "ServiceCIDR"};

static const char *find_kind(const char *word)
{
	for (size_t i = 0; kind_words[i]; i++) {
		if (!strcasecmp(word, kind_words[i]))
			return kinds[i];
	}
	return NULL;
}

static int name_object(const struct cmd_args *args, const struct out *out, json_t **objects)
{
	const char *kind = find_kind(args->words[0]);
	const char *slash = strchr(args->words[1], '/');
	const char *name = slash ? slash + 1 : args->words[1];
	_cleanup_free_ char *hint = cmd_hint(args->words[0], kind_words);
	_cleanup_free_ char *namespace = NULL;

	if (!kind)
		return cmd_usage(out,
				 "unknown kind \"%s\"%s; it is service, endpointslice, node or "
				 "servicecidr",
				 args->words[0], hint ? hint : "");
	if (!name[0] || slash == args->words[1] || strchr(name, '/'))
		return cmd_usage(out, "\"%s\" is not [NAMESPACE/]NAME", args->words[1]);
	if (!strcmp(kind, "Node") || !strcmp(kind, "ServiceCIDR")) {
		if (slash || args->namespace)
			return cmd_usage(out, "a %s has no namespace: give just its name",
					 strcmp(kind, "Node") ? kind : "node");
		*objects = json_pack("[{s:s, s:{s:s}}]", "kind", kind, "metadata", "name", name);
	} else {
		namespace = slash ? strndup(args->words[1], (size_t)(slash - args->words[1]))
				  : strdup(args->namespace ? args->namespace : "default");
		*objects = json_pack("[{s:s, s:{s:s, s:s}}]", "kind", kind, "metadata", "namespace",
				     namespace, "name", name);
	}
	return *objects ? CMD_DONE : cmd_usage(out, "\"%s\" is not UTF-8", args->words[1]);
}

static int find_objects(const struct cmd_args *args, const struct out *out, json_t **objects)
{
	json_auto_t *files = NULL;
	int code;

	if (args->n_files && args->n_words)
		return cmd_usage(out, "give files or KIND and NAME, not both");
	if (args->n_words == 2)
		return name_object(args, out, objects);
	if (!args->n_files)
		return cmd_usage(out,
				 "what to delete is missing: -f FILE, or KIND [NAMESPACE/]NAME");
	if (args->namespace)
		return cmd_usage(out, "--namespace goes with KIND and NAME: files have their own");
	code = cmd_objects_read(args, out, &files);
	return code ? code : cmd_objects_names(out, files, objects);
}

int cmd_delete(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *objects = NULL;
	json_auto_t *result = NULL;
	int code = find_objects(args, out, &objects);

	if (code)
		return code;
	code = cmd_call(args, out, "delete", json_pack("{s:O}", "objects", objects), &result);
	if (code)
		return code;
	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, result));
	fprintf(out->data, "deleted %lld, missing %lld (revision %lld)\n",
		json_integer_value(json_object_get(result, "deleted")),
		json_integer_value(json_object_get(result, "missing")),
		json_integer_value(json_object_get(result, "revision")));
	return CMD_DONE;
}
