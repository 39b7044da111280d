/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The table of fields a configuration file may have. Private to config*.c. */
#ifndef NEARPATH_LOADER_CONFIG_PARTS_H
#define NEARPATH_LOADER_CONFIG_PARTS_H

enum config_type {
	CONFIG_TEXT,
	CONFIG_BOOL,
	CONFIG_NUMBER,
	CONFIG_LIST, /* of texts */
	CONFIG_MAP,  /* whatever is in it */
};

/* Looked at by itself, not by an option. */
#define CONFIG_CHECKED ""

struct config_field {
	const char *path; /* names with dots between */
	enum config_type type;
	const char *option; /* NULL: means nothing here */
};

extern const struct config_field config_fields[]; /* path NULL at the end */

#endif
