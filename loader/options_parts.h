/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the files of the options share: the tables. Private to options*.c and config*.c. */
#ifndef NEARPATH_LOADER_OPTIONS_PARTS_H
#define NEARPATH_LOADER_OPTIONS_PARTS_H

#include "options.h"

/* A setter gets the text and says in error what is wrong with it. */
typedef int (*option_setter)(struct options *o, const char *text, char *error, size_t size);

struct option_info {
	const char *name;
	const char *argument; /* what it takes, as help shows it; BOOL: --x, --x=true, --x=false */
	option_setter set;
	const char *help; /* NULL: another name of an option that has one */
};

#define OPTION_BOOL "[=BOOL]"

/* Ours, and those of kube-proxy that mean something here; name NULL at the end. */
extern const struct option_info options_table[];

/* Those of kube-proxy that mean nothing here, and why. */
struct option_ignored {
	const char *name;
	bool is_bool; /* the next word is not its value */
	const char *why;
};
extern const struct option_ignored options_ignored[];

/* Set one option from text, by whatever way it came. -ENOENT: there is no such option. */
int option_set(struct options *o, const char *name, const char *text, char *error, size_t size);

/* Why an option of kube-proxy means nothing here; NULL: it is none of those. */
const char *option_ignored_why(const char *name);

/* A copy that lives as long as the process, as argv does. NULL: no memory. */
char *option_keep(const char *text);

/* Note that something was accepted and means nothing; left out where there is no more room. */
void option_note(struct options *o, const char *what, const char *why);

/* pflag's words, in any case: true, false, 1, 0, t, f. */
int option_bool(const char *text, bool *value, char *error, size_t size);

/* The nearest of names by edit distance. */
const char *option_nearest(const char *word, const char *const *names, size_t count);

/* config.c: a file with a KubeProxyConfiguration. */
int config_read(struct options *o, const char *path, char *error, size_t size);

#endif
