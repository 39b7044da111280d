/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a command line to the command that runs, by the tables of cmd_table.c. What a command does,
 * and what the words after its name mean, is in its own file.
 */
#include "cmd.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "options.h"
#include "util.h"
#include "words.h"

#define OPTIONS_MAX 32

static const char *const formats[] = {"text", "json", NULL};

/* ---- saying what is wrong ---- */

const char *cmd_nearest(const char *word, const char *const *names)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (; *names; names++) {
		const size_t far = edit_distance(word, *names);
		const size_t near_enough = strlen(*names) < 4 ? 1 : 2;

		if (far < best && far <= near_enough && far < strlen(*names)) {
			best = far;
			nearest = *names;
		}
	}
	return nearest;
}

char *cmd_hint(const char *word, const char *const *names)
{
	const char *nearest = cmd_nearest(word, names);

	return nearest ? out_text(" (did you mean \"%s\"?)", nearest) : out_text("%s", "");
}

static void say(const struct out *out, const char *kind, const char *format, va_list args)
{
	_cleanup_free_ char *message = NULL;

	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	out_error(out, kind, message ? message : strerror(ENOMEM), NULL);
}

int cmd_usage(const struct out *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(out, "usage", format, args);
	va_end(args);
	return CMD_USAGE;
}

int cmd_fail(const struct out *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(out, "failed", format, args);
	va_end(args);
	return CMD_FAILED;
}

/* ---- options ---- */

static int unknown_option(const struct out *out, const char *word)
{
	const char *names[OPTIONS_MAX + 1] = {};
	_cleanup_free_ char *name = strndup(word, strcspn(word, "="));
	_cleanup_free_ char *hint = NULL;
	char options[ARRAY_SIZE(names)][24];

	for (size_t i = 0; i < OPTIONS_MAX && cmd_options[i].name; i++) {
		snprintf(options[i], sizeof(options[i]), "--%s", cmd_options[i].name);
		names[i] = options[i];
	}
	hint = name ? cmd_hint(name, names) : NULL;
	return cmd_usage(out, "unknown option \"%s\"%s; see \"nearpath --help\"", word,
			 hint ? hint : "");
}

/* *value becomes what follows in the same word, or NULL. */
static const struct cmd_option_info *find_option(const char *word, const char **value)
{
	const bool whole = word[1] == '-';
	const size_t length = strcspn(word, "=");

	for (const struct cmd_option_info *info = cmd_options; info->name; info++) {
		if (whole && strlen(info->name) == length - 2 &&
		    !strncmp(info->name, word + 2, length - 2)) {
			*value = word[length] ? word + length + 1 : NULL;
			return info;
		}
		if (!whole && info->letter == word[1] && (info->value || !word[2])) {
			*value = word[2] ? word + 2 : NULL;
			return info;
		}
	}
	return NULL;
}

static int set_format(struct cmd_args *args, struct out *out, const char *value)
{
	for (size_t i = 0; formats[i]; i++) {
		if (!strcmp(value, formats[i])) {
			args->format = out->format = (enum out_format)i;
			return CMD_DONE;
		}
	}
	return cmd_usage(out, "unknown output \"%s\": it is text or json", value);
}

static int set_limit(struct cmd_args *args, const struct out *out, const char *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || !number || number > INT_MAX)
		return cmd_usage(out, "--limit \"%s\" is not a number from 1 to %d", value,
				 INT_MAX);
	args->limit = (unsigned)number;
	return CMD_DONE;
}

static int set_option(struct cmd_args *args, struct out *out, enum cmd_option option,
		      const char *value)
{
	args->given |= option;
	switch (option) {
	case CMD_OPT_SOCKET:
		args->socket = value;
		return CMD_DONE;
	case CMD_OPT_OUTPUT:
		return set_format(args, out, value);
	case CMD_OPT_FILE:
		args->files[args->n_files++] = value;
		return CMD_DONE;
	case CMD_OPT_NAMESPACE:
		args->namespace = value;
		return CMD_DONE;
	case CMD_OPT_LIMIT:
		return set_limit(args, out, value);
	case CMD_OPT_STATE:
		args->state = value;
		return CMD_DONE;
	case CMD_OPT_HOST_ADDRESSES:
		args->host_addresses = value;
		return CMD_DONE;
	case CMD_OPT_UNDO:
	case CMD_OPT_BEGIN:
	case CMD_OPT_EMPTY:
	case CMD_OPT_HELP:
	case CMD_OPT_DAEMON:
		return CMD_DONE;
	}
	return CMD_USAGE;
}

/* One of nearpathd's: kept for a command that plays the daemon. */
static int daemon_option(struct cmd_args *args, const struct out *out, const char *word,
			 const char *next, bool *used_next)
{
	if (!options_knows(word, used_next))
		return unknown_option(out, word);
	if (*used_next && !next)
		return cmd_usage(out, "option \"%s\" needs a value", word);
	args->given |= CMD_OPT_DAEMON;
	args->daemon[args->n_daemon++] = word;
	if (*used_next)
		args->daemon[args->n_daemon++] = next;
	return CMD_DONE;
}

/* Options may stand anywhere; all after "--" are words. A value of NULL is taken from next. */
static int parse_word(struct cmd_args *args, struct out *out, const char *word, const char *next,
		      bool *used_next)
{
	const struct cmd_option_info *info;
	const char *value = NULL;

	if (word[0] != '-' || !word[1]) {
		args->words[args->n_words++] = word;
		return CMD_DONE;
	}
	info = find_option(word, &value);
	if (!info)
		return daemon_option(args, out, word, next, used_next);
	if (!info->value && value)
		return cmd_usage(out, "option \"--%s\" takes no value", info->name);
	if (info->value && !value) {
		*used_next = true;
		value = next;
	}
	if (info->value && (!value || !value[0]))
		return cmd_usage(out, "option \"--%s\" needs a value: %s", info->name, info->value);
	return set_option(args, out, info->option, value ? value : "");
}

static int parse(struct cmd_args *args, struct out *out, int argc, char **argv)
{
	int code;

	for (int i = 1; i < argc; i++) {
		bool used_next = false;

		if (!strcmp(argv[i], "--")) {
			while (++i < argc)
				args->words[args->n_words++] = argv[i];
			break;
		}
		code = parse_word(args, out, argv[i], i + 1 < argc ? argv[i + 1] : NULL,
				  &used_next);
		if (code)
			return code;
		i += used_next;
	}
	return CMD_DONE;
}

/* ---- commands ---- */

static bool is_object(const char *word)
{
	for (const struct cmd *cmd = cmd_table; cmd->verb; cmd++) {
		if (cmd->object && !strcmp(cmd->object, word))
			return true;
	}
	return false;
}

/* Takes the words that name it off args. */
static const struct cmd *find_command(struct cmd_args *args)
{
	for (const struct cmd *cmd = cmd_table; cmd->verb; cmd++) {
		const size_t length = cmd->object ? 2 : 1;

		if (args->n_words < length || strcmp(cmd->verb, args->words[length - 1]))
			continue;
		if (cmd->object && strcmp(cmd->object, args->words[0]))
			continue;
		args->words += length;
		args->n_words -= length;
		return cmd;
	}
	return NULL;
}

static int unknown_command(const struct out *out, const struct cmd_args *args)
{
	const char *names[32] = {"help"};
	const bool object = is_object(args->words[0]);
	const char *word = args->words[object ? 1 : 0];
	_cleanup_free_ char *hint = NULL;
	size_t n = object ? 0 : 1;

	for (const struct cmd *cmd = cmd_table; cmd->verb && n < ARRAY_SIZE(names) - 1; cmd++) {
		if (!object)
			names[n++] = cmd->object ? cmd->object : cmd->verb;
		else if (cmd->object && !strcmp(cmd->object, args->words[0]))
			names[n++] = cmd->verb;
	}
	hint = cmd_hint(word, names);
	return cmd_usage(out, "unknown command \"%s%s%s\"%s; see \"nearpath%s%s --help\"",
			 object ? args->words[0] : "", object ? " " : "", word, hint ? hint : "",
			 object ? " " : "", object ? args->words[0] : "");
}

static int check_command(const struct out *out, const struct cmd *cmd, const struct cmd_args *args)
{
	const char *object = cmd->object ? cmd->object : "";
	const char *space = cmd->object ? " " : "";

	for (const struct cmd_option_info *info = cmd_options; info->name; info++) {
		if (args->given & info->option & ~(cmd->options | CMD_OPTS_GLOBAL))
			return cmd_usage(out,
					 "\"%s%s%s\" takes no option \"--%s\"; see "
					 "\"nearpath %s%s%s --help\"",
					 object, space, cmd->verb, info->name, object, space,
					 cmd->verb);
	}
	if (args->given & CMD_OPT_DAEMON & ~cmd->options)
		return cmd_usage(out, "\"%s%s%s\" takes no option \"%s\", which is nearpathd's",
				 object, space, cmd->verb, args->daemon[0]);
	if (args->n_words > cmd->max_words)
		return cmd_usage(out,
				 "\"%s%s%s\" does not take \"%s\"; see \"nearpath %s%s%s --help\"",
				 object, space, cmd->verb, args->words[cmd->max_words], object,
				 space, cmd->verb);
	if (args->n_words < cmd->min_words)
		return cmd_usage(out, "\"%s%s%s\" needs %s; see \"nearpath %s%s%s --help\"", object,
				 space, cmd->verb, cmd->words, object, space, cmd->verb);
	return CMD_DONE;
}

static int run(struct cmd_args *args, const struct out *out)
{
	const struct cmd *cmd;
	int code;

	if (args->n_words && !strcmp(args->words[0], "help")) {
		args->given |= CMD_OPT_HELP;
		args->words++;
		args->n_words--;
	}
	if (!args->n_words || (args->n_words == 1 && is_object(args->words[0]))) {
		if (args->given & CMD_OPT_HELP) {
			cmd_help(out->data, args->words, args->n_words);
			return CMD_DONE;
		}
		if (out->format == OUT_JSON)
			return cmd_usage(out, "a command is missing; see \"nearpath --help\"");
		cmd_help(out->notes, args->words, args->n_words);
		return CMD_USAGE;
	}

	if (args->given & CMD_OPT_HELP) {
		const char **words = args->words;
		const size_t n_words = args->n_words;

		if (!find_command(args))
			return unknown_command(out, args);
		cmd_help(out->data, words, n_words);
		return CMD_DONE;
	}
	cmd = find_command(args);
	if (!cmd)
		return unknown_command(out, args);
	code = check_command(out, cmd, args);
	return code ? code : cmd->run(args, out);
}

/* An error in an early option is reported in the format that a later one asks for. */
static enum out_format guess_format(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-ojson") || !strcmp(argv[i], "--output=json"))
			return OUT_JSON;
		if (i + 1 < argc && !strcmp(argv[i + 1], "json") &&
		    (!strcmp(argv[i], "-o") || !strcmp(argv[i], "--output")))
			return OUT_JSON;
	}
	return OUT_TEXT;
}

int cmd_main(int argc, char **argv, FILE *data, FILE *notes)
{
	_cleanup_free_ const char **files = calloc((size_t)argc + 1, sizeof(*files));
	_cleanup_free_ const char **words = calloc((size_t)argc + 1, sizeof(*words));
	_cleanup_free_ const char **daemon = calloc((size_t)argc + 1, sizeof(*daemon));
	const char *path = getenv("NEARPATH_SOCKET");
	struct out out = out_new(data, notes);
	struct cmd_args args = {
		.socket = path && path[0] ? path : RPC_DEFAULT_PATH,
		.files = files,
		.words = words,
		.daemon = daemon,
	};
	int code;

	out.format = guess_format(argc, argv);
	if (!files || !words || !daemon)
		return cmd_fail(&out, "%s", strerror(ENOMEM));
	code = parse(&args, &out, argc, argv);
	if (!code)
		code = run(&args, &out);
	if (fflush(data) || ferror(data)) {
		fprintf(notes, "nearpath: cannot write the output: %s\n", strerror(errno));
		return code ? code : CMD_FAILED;
	}
	return code;
}
