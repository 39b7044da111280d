/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads a KubeProxyConfiguration as kubeadm writes it, or the ConfigMap it is kept in, by libyaml's
 * documents. Every field goes the way of the option of the same meaning. A field that is not known
 * is an error, as it is for kube-proxy; one that is empty says nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config_parts.h"
#include "options_parts.h"
#include "util.h"

#define FILE_MAX  (1 << 20)
#define FIELD_MAX 200

#define API_VERSION "kubeproxy.config.k8s.io/v1alpha1"
#define KIND	    "KubeProxyConfiguration"

struct reader {
	const char *file;
	yaml_document_t document;
	struct options *options;
	char *error;
	size_t size;
	bool version; /* apiVersion and kind were there, and right */
	bool kind;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct reader *r, const yaml_mark_t *mark,
							const char *format, ...)
{
	int used = snprintf(r->error, r->size, "--config %s:%zu:%zu: ", r->file, mark->line + 1,
			    mark->column + 1);
	va_list args;

	va_start(args, format);
	if (used > 0 && (size_t)used < r->size)
		vsnprintf(r->error + used, r->size - used, format, args);
	va_end(args);
	return -EINVAL;
}

static const char *scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
						      : NULL;
}

/* null, ~ or nothing at all, without quotes. */
static bool is_null(const yaml_node_t *node)
{
	const char *text = scalar(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || !strcmp(text, "~") || !strcmp(text, "null"));
}

/* What says nothing that is not so anyway. */
static bool is_empty(const yaml_node_t *node)
{
	static const char *const nothings[] = {"", "0", "0s", "false", "null"};
	const char *text = scalar(node);

	if (node->type == YAML_SEQUENCE_NODE)
		return node->data.sequence.items.start == node->data.sequence.items.top;
	if (node->type == YAML_MAPPING_NODE)
		return node->data.mapping.pairs.start == node->data.mapping.pairs.top;
	for (size_t i = 0; i < ARRAY_SIZE(nothings); i++)
		if (!strcmp(text, nothings[i]))
			return true;
	return false;
}

static const struct config_field *find_field(const char *path)
{
	const struct config_field *f = config_fields;

	while (f->path && strcmp(f->path, path) != 0)
		f++;
	return f->path ? f : NULL;
}

/* Is the path one of several with dots behind it? */
static bool is_group(const char *path)
{
	size_t length = strlen(path);

	for (const struct config_field *f = config_fields; f->path; f++)
		if (!strncmp(f->path, path, length) && f->path[length] == '.')
			return true;
	return false;
}

static int unknown(struct reader *r, const yaml_node_t *node, const char *path)
{
	const char *names[128];
	size_t count = 0;

	for (const struct config_field *f = config_fields; f->path; f++)
		names[count++] = f->path;
	return refuse(r, &node->start_mark,
		      "there is no field \"%s\" in " KIND "; did you mean \"%s\"?", path,
		      option_nearest(path, names, count));
}

/* The items of a list with commas between, to free(). NULL with an error told, or out of memory. */
static char *join(struct reader *r, const yaml_node_t *node, const char *path)
{
	_cleanup_free_ char *joined = strdup("");

	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     joined && i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = yaml_document_get_node(&r->document, *i);
		const char *text = scalar(item);
		char *more = NULL;

		if (!text) {
			refuse(r, &item->start_mark, "%s: a list of texts is wanted", path);
			return NULL;
		}
		if (asprintf(&more, "%s%s%s", joined, *joined ? "," : "", text) < 0)
			return NULL;
		free(joined);
		joined = more;
	}
	return TAKE_PTR(joined);
}

static int check_identity(struct reader *r, const yaml_node_t *node, const char *path,
			  const char *text)
{
	bool version = !strcmp(path, "apiVersion");
	const char *wanted = version ? API_VERSION : KIND;

	if (strcmp(text, wanted) != 0)
		return refuse(r, &node->start_mark, "%s: \"%.80s\" is not %s", path, text, wanted);
	*(version ? &r->version : &r->kind) = true;
	return 0;
}

/* Hand the value to the option; its text lives as long as the process, as argv's does. */
static int set_option(struct reader *r, const yaml_node_t *node, const struct config_field *f,
		      char *value)
{
	static char **kept;
	static size_t count;
	char **more = realloc(kept, (count + 1) * sizeof(*kept)), why[256];

	if (!more) {
		free(value);
		return -ENOMEM;
	}
	kept = more;
	kept[count++] = value;
	if (option_set(r->options, f->option, value, why, sizeof(why)))
		return refuse(r, &node->start_mark, "%s: %s", f->path, why);
	return 0;
}

static int wrong_type(struct reader *r, const yaml_node_t *node, const char *path,
		      const char *wanted)
{
	return refuse(r, &node->start_mark, "%s: %s is wanted", path, wanted);
}

static int check_type(struct reader *r, const yaml_node_t *node, const struct config_field *f)
{
	const char *text = scalar(node), *rest;
	char ignored[64];
	bool value;

	if (f->type == CONFIG_MAP)
		return node->type == YAML_MAPPING_NODE ? 0 : wrong_type(r, node, f->path, "a map");
	if (f->type == CONFIG_LIST)
		return node->type == YAML_SEQUENCE_NODE ? 0
							: wrong_type(r, node, f->path, "a list");
	if (!text)
		return wrong_type(r, node, f->path, "one value");
	if (f->type == CONFIG_BOOL && (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
				       option_bool(text, &value, ignored, sizeof(ignored))))
		return wrong_type(r, node, f->path, "true or false");
	rest = text + (*text == '-');
	if (f->type == CONFIG_NUMBER && (!*rest || rest[strspn(rest, "0123456789.")]))
		return wrong_type(r, node, f->path, "a number");
	return 0;
}

static int read_field(struct reader *r, const yaml_node_t *node, const struct config_field *f)
{
	char what[FIELD_MAX + 20], *value;
	int rc;

	if (is_null(node))
		return 0;
	rc = check_type(r, node, f);
	if (rc)
		return rc;
	if (f->option && !*f->option)
		return check_identity(r, node, f->path, scalar(node));
	if (!f->option) {
		snprintf(what, sizeof(what), "%s in --config", f->path);
		if (!is_empty(node) && strcmp(f->path, "metadata") != 0)
			option_note(r->options, what, "it means nothing here");
		return 0;
	}
	if (f->type == CONFIG_BOOL ? !strcmp(scalar(node), "false") &&
					     strcmp(f->option, "localhost-nodeports") != 0
				   : is_empty(node))
		return 0; /* as if it were not there: two fields may be one option */
	value = f->type == CONFIG_LIST ? join(r, node, f->path) : strdup(scalar(node));
	return value ? set_option(r, node, f, value) : r->error[0] ? -EINVAL : -ENOMEM;
}

static bool twice(struct reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const char *key = scalar(yaml_document_get_node(&r->document, pair->key));

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		const char *other = scalar(yaml_document_get_node(&r->document, p->key));

		if (other && !strcmp(other, key))
			return true;
	}
	return false;
}

/* Bounded by the table: only what is a group there is gone into. */
static int read_map(struct reader *r, const yaml_node_t *map, const char *above)
{
	char path[FIELD_MAX];
	int rc = 0;

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     !rc && p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(&r->document, p->key);
		const yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
		const struct config_field *f;

		if (!scalar(key))
			return refuse(r, &key->start_mark, "a name is wanted here");
		snprintf(path, sizeof(path), "%s%s%.80s", above, *above ? "." : "", scalar(key));
		f = find_field(path);
		if (twice(r, map, p))
			return refuse(r, &key->start_mark, "\"%s\" is there twice", path);
		if (f)
			rc = read_field(r, value, f);
		else if (!is_group(path))
			rc = unknown(r, key, path);
		else if (value->type == YAML_MAPPING_NODE)
			rc = read_map(r, value, path);
		else if (!is_null(value))
			rc = wrong_type(r, value, path, "a map");
	}
	return rc;
}

static const yaml_node_t *member(struct reader *r, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *key = scalar(yaml_document_get_node(&r->document, p->key));

		if (key && !strcmp(key, name))
			return yaml_document_get_node(&r->document, p->value);
	}
	return NULL;
}

static int load(struct reader *r, const char *text, size_t length)
{
	yaml_document_t second;
	yaml_parser_t parser;
	bool more;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	if (!yaml_parser_load(&parser, &r->document)) {
		rc = refuse(r, &parser.problem_mark, "not YAML: %s",
			    parser.problem ?: "out of memory");
	} else {
		more = yaml_parser_load(&parser, &second) && yaml_document_get_root_node(&second);
		if (more)
			rc = refuse(r, &yaml_document_get_root_node(&second)->start_mark,
				    "a second document; give one alone");
		yaml_document_delete(&second);
		if (rc)
			yaml_document_delete(&r->document);
	}
	yaml_parser_delete(&parser);
	return rc;
}

static int read_text(struct reader *r, const char *text, size_t length, int depth);

/* The document is a ConfigMap: what is in it is a document again. */
static int read_config_map(struct reader *r, const yaml_node_t *root, int depth)
{
	static const char *const keys[] = {"config.conf", "kubeproxy-config.yaml", "config.yaml"};
	const yaml_node_t *data = member(r, root, "data"), *inner = NULL;
	_cleanup_free_ char *text = NULL;
	yaml_document_t outer;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(keys) && !inner; i++)
		inner = member(r, data, keys[i]);
	if (!scalar(inner) || depth)
		return refuse(r, &root->start_mark,
			      "a ConfigMap without data.\"config.conf\"; give the one named "
			      "kube-proxy");
	text = strdup(scalar(inner));
	if (!text)
		return -ENOMEM;
	outer = r->document;
	rc = read_text(r, text, strlen(text), depth + 1);
	r->document = outer;
	return rc;
}

static int read_root(struct reader *r, int depth)
{
	const yaml_node_t *root = yaml_document_get_root_node(&r->document);
	const yaml_mark_t start = {0};
	const char *kind;
	int rc;

	if (!root || root->type != YAML_MAPPING_NODE)
		return refuse(r, root ? &root->start_mark : &start, "a " KIND " is wanted here");
	kind = scalar(member(r, root, "kind"));
	if (kind && !strcmp(kind, "ConfigMap"))
		return read_config_map(r, root, depth);
	rc = read_map(r, root, "");
	if (!rc && (!r->version || !r->kind))
		rc = refuse(r, &root->start_mark, "apiVersion: %s and kind: %s are wanted",
			    API_VERSION, KIND);
	return rc;
}

static int read_text(struct reader *r, const char *text, size_t length, int depth)
{
	int rc = load(r, text, length);

	if (rc)
		return rc;
	rc = read_root(r, depth);
	yaml_document_delete(&r->document);
	return rc;
}

int config_read(struct options *o, const char *path, char *error, size_t size)
{
	_cleanup_free_ struct options *changed = malloc(sizeof(*changed));
	_cleanup_free_ char *text = malloc(FILE_MAX + 1);
	struct reader r = {.file = path, .options = changed, .error = error, .size = size};
	FILE *f = fopen(path, "re");
	size_t length;
	int rc;

	error[0] = '\0';
	if (!f) {
		snprintf(error, size, "--config: cannot read \"%s\": %s", path, strerror(errno));
		return -EINVAL;
	}
	length = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
	fclose(f);
	if (!text || !changed)
		return -ENOMEM;
	if (length > FILE_MAX) {
		snprintf(error, size, "--config: \"%s\" is larger than 1 MiB", path);
		return -EINVAL;
	}
	*changed = *o;
	rc = read_text(&r, text, length, 0);
	if (!rc)
		*o = *changed;
	return rc;
}
