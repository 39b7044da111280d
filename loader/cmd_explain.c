/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath explain: by the daemon, or by a private instance on objects from a file. */
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "cmd_objects.h"
#include "instance.h"
#include "util.h"

/* The options as nearpathd reads them. Strings point into args. */
static int read_options(const struct cmd_args *args, const struct out *out, struct options *o)
{
	_cleanup_free_ char **argv = calloc(args->n_daemon + 2, sizeof(*argv));
	char why[512];

	if (!argv)
		return cmd_fail(out, "%s", strerror(ENOMEM));
	argv[0] = (char *)"nearpath";
	memcpy(argv + 1, args->daemon, args->n_daemon * sizeof(*argv));
	if (options_parse((int)args->n_daemon + 1, argv, o, why, sizeof(why)))
		return cmd_usage(out, "%s", why);
	if (o->notes[0])
		fprintf(out->notes, "%s", o->notes);
	return CMD_DONE;
}

/* "A,B,...". */
static int read_addresses(const char *text, const struct out *out, struct kube_address **list,
			  size_t *count)
{
	_cleanup_free_ char *copy = strdup(text ?: "");
	char *rest = copy, *word;

	*list = calloc(strlen(text ?: "") + 1, sizeof(**list));
	if (!copy || !*list)
		return cmd_fail(out, "%s", strerror(ENOMEM));
	while ((word = strsep(&rest, ","))) {
		if (!*word)
			continue;
		if (address_parse(word, &(*list)[*count].family, &(*list)[*count].addr))
			return cmd_usage(out, "--host-addresses: \"%s\" is not an address", word);
		(*count)++;
	}
	return CMD_DONE;
}

static int ask_instance(const struct cmd_args *args, const struct out *out,
			const struct options *options, json_t *objects, const struct question *q,
			json_t **answer)
{
	_cleanup_free_ struct kube_address *address = NULL;
	size_t addresses = 0;
	_cleanup_(instance_free) struct instance *in = NULL;
	struct kube_error error;
	const char *why;
	int rc = read_addresses(args->host_addresses, out, &address, &addresses);

	if (rc)
		return rc;
	rc = instance_new(&in, &why);
	if (rc)
		return cmd_fail(out, "cannot make a private instance: %s%s", why,
				rc == -EPERM ? "; it loads programs, and must be root" : "");
	rc = instance_set(in, options, objects, address, addresses, &error);
	if (rc == -EINVAL || rc == -ENOTSUP)
		return cmd_fail(out, "%s: %s: %s", error.object, error.path, error.reason);
	rc = rc ?: instance_explain(in, q, answer);
	return rc ? cmd_fail(out, "cannot ask a private instance: %s", strerror(-rc)) : CMD_DONE;
}

static int by_file(const struct cmd_args *args, const struct out *out, const struct question *q,
		   json_t **answer)
{
	struct cmd_args file = *args;
	json_auto_t *objects = NULL;
	struct options options;
	int code = read_options(args, out, &options);

	file.files = &file.state;
	file.n_files = 1;
	code = code ?: cmd_objects_read(&file, out, &objects);
	return code ?: ask_instance(args, out, &options, objects, q, answer);
}

static int print(const struct out *out, json_t *answer)
{
	static const struct {
		const char *title;
		const char *key;
	} fields[] = {
		{"verdict", "verdict"}, {"reason", "reason"},	  {"because", "explanation"},
		{"service", "service"}, {"class", "class"},	  {"interface", "interface"},
		{"chosen", "chosen"},	{"backends", "backends"}, {"snat", "snat"},
	};

	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, answer));
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		_cleanup_free_ char *text = out_value(json_object_get(answer, fields[i].key));

		out_field(out, fields[i].title, text);
	}
	return CMD_DONE;
}

int cmd_explain(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *answer = NULL;
	struct question q;
	char why[300];
	int code;

	if (question_parse(args->words[0], args->words[1], &q, why, sizeof(why)))
		return cmd_usage(out, "%s", why);
	if (!args->state && args->host_addresses)
		return cmd_usage(out, "option \"--host-addresses\" is for --state FILE");
	if (!args->state && args->n_daemon)
		return cmd_usage(out, "option \"%s\" is for --state FILE; the daemon has its own",
				 args->daemon[0]);
	if (args->state)
		code = by_file(args, out, &q, &answer);
	else
		code = cmd_call(
			args, out, "explain",
			json_pack("{s:s,s:s}", "from", args->words[0], "to", args->words[1]),
			&answer);
	return code ?: print(out, answer);
}
