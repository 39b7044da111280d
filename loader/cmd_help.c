/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The help texts, made from the tables of commands and options. */
#include "cmd.h"

#include <string.h>

#define NAME_WIDTH   16
#define OPTION_WIDTH 26

static void print_options(FILE *stream, unsigned options)
{
	for (const struct cmd_option_info *info = cmd_options; info->name; info++) {
		char text[64];
		char letter[8] = "   ";

		if (!(options & info->option))
			continue;
		if (info->letter)
			snprintf(letter, sizeof(letter), "-%c,", info->letter);
		snprintf(text, sizeof(text), "%s --%s %s", letter, info->name,
			 info->value ? info->value : "");
		fprintf(stream, "  %-*s %s\n", OPTION_WIDTH, text, info->help);
	}
}

static void print_commands(FILE *stream, const char *object)
{
	for (const struct cmd *cmd = cmd_table; cmd->verb; cmd++) {
		char name[64];

		if (object && (!cmd->object || strcmp(cmd->object, object)))
			continue;
		snprintf(name, sizeof(name), "%s%s%s", cmd->object ? cmd->object : "",
			 cmd->object ? " " : "", cmd->verb);
		fprintf(stream, "  %-*s %s\n", NAME_WIDTH, name, cmd->summary);
	}
}

static void help_command(FILE *stream, const struct cmd *cmd)
{
	fprintf(stream, "Usage: nearpath %s%s%s%s%s [OPTION...]\n\n%s.\n",
		cmd->object ? cmd->object : "", cmd->object ? " " : "", cmd->verb,
		cmd->words ? " " : "", cmd->words ? cmd->words : "", cmd->summary);
	if (cmd->details)
		fprintf(stream, "\n%s\n", cmd->details);
	fputs("\nOptions:\n", stream);
	print_options(stream, cmd->options | CMD_OPTS_GLOBAL);
}

static void help_object(FILE *stream, const char *object)
{
	fprintf(stream, "Usage: nearpath %s COMMAND [OPTION...]\n\nCommands:\n", object);
	print_commands(stream, object);
	fprintf(stream, "\nMore: nearpath %s COMMAND --help\n", object);
}

static void help_all(FILE *stream)
{
	fputs("Usage: nearpath COMMAND [OPTION...]\n\n"
	      "Shows and changes what nearpathd does with Kubernetes services on this node.\n\n"
	      "Commands:\n",
	      stream);
	print_commands(stream, NULL);
	fputs("\nOptions, before or after the command:\n", stream);
	print_options(stream, CMD_OPTS_GLOBAL);
	fputs("\nThe socket is --socket, or else NEARPATH_SOCKET, or else\n" RPC_DEFAULT_PATH
	      ".\n\n"
	      "Data goes to standard output, errors to standard error. With -o json an error is\n"
	      "JSON on standard output too: "
	      "{\"schema\":1,\"error\":{\"kind\":...,\"message\":...}}.\n"
	      "The kind is usage, failed or no_daemon.\n\n"
	      "Exit codes: 0 done, 1 failed, 2 usage, 3 no daemon.\n\n"
	      "More: nearpath COMMAND --help\n",
	      stream);
}

static bool named(const struct cmd *cmd, const char *const *words, size_t n_words)
{
	if (!cmd->object)
		return !strcmp(cmd->verb, words[0]);
	return n_words > 1 && !strcmp(cmd->object, words[0]) && !strcmp(cmd->verb, words[1]);
}

void cmd_help(FILE *stream, const char *const *words, size_t n_words)
{
	if (!n_words) {
		help_all(stream);
		return;
	}
	for (const struct cmd *cmd = cmd_table; cmd->verb; cmd++) {
		if (named(cmd, words, n_words)) {
			help_command(stream, cmd);
			return;
		}
	}
	help_object(stream, words[0]);
}
