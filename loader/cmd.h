/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The command line: what a command is, the options it is given, and how it asks the daemon. The
 * commands are in cmd_*.c, one object or verb a file; cmd.c has the table of them.
 */
#ifndef NEARPATH_LOADER_CMD_H
#define NEARPATH_LOADER_CMD_H

#include "out.h"
#include "rpc.h"

#ifndef NEARPATH_VERSION
#define NEARPATH_VERSION "0.1"
#endif

enum cmd_exit {
	CMD_DONE = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_NO_DAEMON = 3,
};

enum cmd_option {
	CMD_OPT_SOCKET = 1 << 0,
	CMD_OPT_OUTPUT = 1 << 1,
	CMD_OPT_HELP = 1 << 2,
	CMD_OPT_FILE = 1 << 3,
	CMD_OPT_NAMESPACE = 1 << 4,
	CMD_OPT_LIMIT = 1 << 5,
	CMD_OPT_STATE = 1 << 6,
	CMD_OPT_DAEMON = 1 << 7, /* any of nearpathd's */
	CMD_OPT_HOST_ADDRESSES = 1 << 8,
	CMD_OPT_UNDO = 1 << 9,
	CMD_OPT_BEGIN = 1 << 10,
	CMD_OPT_EMPTY = 1 << 11,
};
#define CMD_OPTS_GLOBAL (CMD_OPT_SOCKET | CMD_OPT_OUTPUT | CMD_OPT_HELP)

struct cmd_args {
	unsigned given; /* which options were */
	const char *socket;
	enum out_format format;
	const char **files;
	size_t n_files;
	const char *namespace;
	unsigned limit;
	const char *state;	    /* file of objects */
	const char *host_addresses; /* with commas between */
	const char **daemon;	    /* nearpathd's options, word by word */
	size_t n_daemon;
	const char **words; /* what is no option, without the command's own name */
	size_t n_words;
};

struct cmd {
	const char *object; /* "service", or NULL where the verb stands alone */
	const char *verb;   /* NULL ends the table */
	const char *words;  /* what follows, as help shows it */
	const char *summary;
	const char *details; /* more help, or NULL */
	unsigned options;    /* beside the global ones */
	size_t min_words;
	size_t max_words;
	int (*run)(const struct cmd_args *args, const struct out *out);
};

struct cmd_option_info {
	enum cmd_option option;
	char letter; /* or 0 */
	const char *name;
	const char *value; /* what it takes, as help shows it; NULL: nothing */
	const char *help;
};

extern const struct cmd cmd_table[];
extern const struct cmd_option_info cmd_options[]; /* a NULL name ends it */

/* Runs the command line and returns the exit code. */
int cmd_main(int argc, char **argv, FILE *data, FILE *notes);

/* The nearest of the names, a NULL-terminated list, or NULL where none is near. */
const char *cmd_nearest(const char *word, const char *const *names);

/* Help for what the first n words name: everything, an object, or one command. */
void cmd_help(FILE *stream, const char *const *words, size_t n_words);

/* Each says what went wrong and returns the exit code for it. */
__attribute__((format(printf, 2, 3))) int cmd_usage(const struct out *out, const char *format, ...);
__attribute__((format(printf, 2, 3))) int cmd_fail(const struct out *out, const char *format, ...);

/* " (did you mean "x"?)" to free(), or an empty string. */
char *cmd_hint(const char *word, const char *const *names);

/* ---- asking the daemon ---- */

struct client;

/* These return an exit code and have said what went wrong where it is not CMD_DONE. */
int cmd_connect(const struct cmd_args *args, const struct out *out, struct client **client);

/* One call on a connection of its own. Takes params, which may be NULL. */
/* params: as text, without a newline. */
int cmd_call_text(const struct cmd_args *args, const struct out *out, const char *method,
		  const char *params, json_t **result);
int cmd_call(const struct cmd_args *args, const struct out *out, const char *method, json_t *params,
	     json_t **result);

/* Says that an operation failed; takes what error holds. */
int cmd_call_failed(const struct out *out, const char *operation, struct rpc_error *error);

/* The exit code for what a function of out.h returned. */
int cmd_printed(const struct out *out, int r);

/* ---- the commands ---- */

int cmd_apply(const struct cmd_args *args, const struct out *out);
int cmd_replace(const struct cmd_args *args, const struct out *out);
int cmd_delete(const struct cmd_args *args, const struct out *out);
int cmd_service_list(const struct cmd_args *args, const struct out *out);
int cmd_service_get(const struct cmd_args *args, const struct out *out);
int cmd_backend_list(const struct cmd_args *args, const struct out *out);
int cmd_flow_list(const struct cmd_args *args, const struct out *out);
int cmd_iface_list(const struct cmd_args *args, const struct out *out);
int cmd_iface_set(const struct cmd_args *args, const struct out *out);
int cmd_explain(const struct cmd_args *args, const struct out *out);
int cmd_sync(const struct cmd_args *args, const struct out *out);
int cmd_takeover(const struct cmd_args *args, const struct out *out);
int cmd_status(const struct cmd_args *args, const struct out *out);
int cmd_diff(const struct cmd_args *args, const struct out *out);
int cmd_watch(const struct cmd_args *args, const struct out *out);
int cmd_version(const struct cmd_args *args, const struct out *out);

extern const struct out_column cmd_iface_columns[];

#endif
