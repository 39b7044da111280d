/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the files of the configuration share: its fields, and YAML with places. Private to
 * config*.c. */
#ifndef NEARPATH_LOADER_CONFIG_PARTS_H
#define NEARPATH_LOADER_CONFIG_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "options.h"

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
	const char *option; /* the one of the same meaning, ignored or not; NULL: there is none */
	const char *usual;  /* kube-proxy's default, not worth a note; NULL: 0, or nothing */
};

extern const struct config_field config_fields[]; /* path NULL at the end */

struct config_reader {
	const char *file;
	const char *inside; /* the text in the file that is a document again, or "" */
	yaml_document_t document;
	struct options *options;
	char *error;
	size_t size;
	bool healthz; /* their addresses are in the file */
	bool metrics;
};

/* The error, with the place in the file; always -EINVAL. */
__attribute__((format(printf, 3, 4))) int
config_refuse(struct config_reader *r, const yaml_mark_t *mark, const char *format, ...);

/*
 * Fill r->document, to be deleted by yaml_document_delete(). It is one document, without aliases
 * and not deep: it may be walked. -EINVAL: text is no such; -ENOMEM.
 */
int config_load(struct config_reader *r, const char *text, size_t length);

/* The text of a scalar; NULL: it is none, or has a NUL in it. */
const char *config_scalar(const yaml_node_t *node);

/* Scalars without quotes that YAML takes for nothing, for a boolean, for a number. */
bool config_is_null(const yaml_node_t *node);
bool config_is_bool(const yaml_node_t *node, bool *value);
bool config_is_number(const yaml_node_t *node);

/* The value of a name in a map; NULL: there is none. */
const yaml_node_t *config_member(struct config_reader *r, const yaml_node_t *map, const char *name);

#endif
