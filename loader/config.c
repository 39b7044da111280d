/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads a KubeProxyConfiguration as kubeadm writes it, or the ConfigMap it is kept in. Every field
 * goes the way of the option of the same meaning; one that is empty says nothing. A field that is
 * not known is an error: kube-proxy reads on with a warning, and does without what it was meant to
 * do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "json.h"
#include "options_parts.h"
#include "util.h"

#define FILE_MAX   (1 << 20)
#define FIELD_MAX  200
#define FIELDS_MAX 128

#define API_VERSION "kubeproxy.config.k8s.io/v1alpha1"
#define KIND	    "KubeProxyConfiguration"

static bool is_zero(const char *text)
{
	static const char *const zeroes[] = {"", "0", "0s", "false", "null", "~"};

	for (size_t i = 0; i < ARRAY_SIZE(zeroes); i++)
		if (!strcmp(text, zeroes[i]))
			return true;
	return false;
}

/* Does it say nothing that is not so anyway? As deep as config_load() lets it be. */
static bool is_default(struct config_reader *r, const yaml_node_t *node)
{
	if (node->type == YAML_SCALAR_NODE)
		return is_zero((const char *)node->data.scalar.value);
	if (node->type == YAML_SEQUENCE_NODE)
		return node->data.sequence.items.start == node->data.sequence.items.top;
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
	     p++)
		if (!is_default(r, yaml_document_get_node(&r->document, p->value)))
			return false;
	return true;
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

static int unknown(struct config_reader *r, const yaml_node_t *node, const char *path)
{
	const char *names[FIELDS_MAX];
	size_t count = 0;

	for (const struct config_field *f = config_fields; f->path && count < FIELDS_MAX; f++)
		names[count++] = f->path;
	return config_refuse(r, &node->start_mark,
			     "there is no field \"%s\" in " KIND "; did you mean \"%s\"?", path,
			     option_nearest(path, names, count));
}

/* The items of a list with commas between, to free(). */
static int join(struct config_reader *r, const yaml_node_t *node, const char *path, char **joined)
{
	_cleanup_free_ char *all = strdup("");
	ptrdiff_t count = node->data.sequence.items.top - node->data.sequence.items.start;

	if (count > CIDR_LIST_MAX)
		return config_refuse(r, &node->start_mark, "%s: more than %d items", path,
				     CIDR_LIST_MAX);
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     all && i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = yaml_document_get_node(&r->document, *i);
		const char *text = config_scalar(item);
		char *more = NULL;

		if (!text || !*text || strchr(text, ','))
			return config_refuse(r, &item->start_mark,
					     "%s: a list with one text an item is wanted", path);
		if (asprintf(&more, "%s%s%s", all, *all ? "," : "", text) < 0)
			return -ENOMEM;
		free(all);
		all = more;
	}
	*joined = TAKE_PTR(all);
	return *joined ? 0 : -ENOMEM;
}

static int set_option(struct config_reader *r, const yaml_node_t *node,
		      const struct config_field *f, const char *value)
{
	const char *kept = option_keep(value);
	char why[256];

	if (!kept)
		return -ENOMEM;
	if (option_set(r->options, f->option, kept, why, sizeof(why)))
		return config_refuse(r, &node->start_mark, "%s: %s", f->path, why);
	r->healthz |= !strcmp(f->option, "healthz-bind-address");
	r->metrics |= !strcmp(f->option, "metrics-bind-address");
	return 0;
}

static int check_type(struct config_reader *r, const yaml_node_t *node,
		      const struct config_field *f)
{
	bool is_bool, value;
	const char *wanted = NULL;

	is_bool = config_is_bool(node, &value);
	if (f->type == CONFIG_MAP && node->type != YAML_MAPPING_NODE)
		wanted = "a map is wanted";
	else if (f->type == CONFIG_LIST && node->type != YAML_SEQUENCE_NODE)
		wanted = "a list is wanted, \"- \" before each item";
	else if (f->type == CONFIG_BOOL && !is_bool)
		wanted = "true or false is wanted, without quotes";
	else if (f->type == CONFIG_NUMBER && !config_is_number(node))
		wanted = "a number is wanted, without quotes";
	else if (f->type == CONFIG_TEXT && !config_scalar(node))
		wanted = "a text is wanted";
	else if (f->type == CONFIG_TEXT && (is_bool || config_is_number(node)))
		wanted = "a text is wanted; write it in quotes";
	return wanted ? config_refuse(r, &node->start_mark, "%s: %s", f->path, wanted) : 0;
}

/* What means nothing here, and is not as it would be anyway, is noted. */
static void note(struct config_reader *r, const yaml_node_t *node, const struct config_field *f)
{
	const char *why = f->option ? option_ignored_why(f->option) : NULL;
	const char *text = config_scalar(node);
	char what[FIELD_MAX + 20];

	if (is_default(r, node) || !strcmp(f->path, "metadata") ||
	    (f->usual && text && !strcmp(text, f->usual)))
		return;
	snprintf(what, sizeof(what), "%s in --config", f->path);
	option_note(r->options, what, why ?: "it has no counterpart here");
}

static int read_known(struct config_reader *r, const yaml_node_t *node,
		      const struct config_field *f)
{
	_cleanup_free_ char *joined = NULL;
	bool value;
	int rc = config_is_null(node) ? 0 : check_type(r, node, f);

	if (rc || config_is_null(node) || (f->option && !*f->option))
		return rc;
	if (!f->option || option_ignored_why(f->option)) {
		note(r, node, f);
		return 0;
	}
	if (f->type == CONFIG_LIST) {
		rc = join(r, node, f->path, &joined);
		return rc || !*joined ? rc : set_option(r, node, f, joined);
	}
	if (f->type != CONFIG_BOOL)
		return *config_scalar(node) ? set_option(r, node, f, config_scalar(node)) : 0;
	/* Two fields are --masquerade-all: false of one is not against true of the other. */
	if (!config_is_bool(node, &value) || (!value && !strcmp(f->option, "masquerade-all")))
		return 0;
	return set_option(r, node, f, value ? "true" : "false");
}

static bool is_twice(struct config_reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const char *key = config_scalar(yaml_document_get_node(&r->document, pair->key));

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		const char *other = config_scalar(yaml_document_get_node(&r->document, p->key));

		if (other && !strcmp(other, key))
			return true;
	}
	return false;
}

static int read_map(struct config_reader *r, const yaml_node_t *map, const char *above);

static int read_pair(struct config_reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair,
		     const char *above)
{
	const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
	const yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
	const char *name = config_scalar(key);
	const struct config_field *f;
	char path[FIELD_MAX];

	if (!name)
		return config_refuse(r, &key->start_mark, "the name of a field is wanted here");
	snprintf(path, sizeof(path), "%s%s%.80s", above, *above ? "." : "", name);
	f = find_field(path);
	if (f && strchr(name, '.'))
		return config_refuse(r, &key->start_mark,
				     "\"%s\" is a field in a map; write each name on a line of its "
				     "own",
				     path);
	if (!f && !is_group(path))
		return unknown(r, key, path);
	if (is_twice(r, map, pair))
		return config_refuse(r, &key->start_mark, "\"%s\" is there twice; leave one out",
				     path);
	if (f)
		return read_known(r, value, f);
	if (value->type == YAML_MAPPING_NODE)
		return read_map(r, value, path);
	return config_is_null(value)
		       ? 0
		       : config_refuse(r, &value->start_mark, "%s: a map is wanted", path);
}

/* Bounded by the table: only what is a group there is gone into. */
static int read_map(struct config_reader *r, const yaml_node_t *map, const char *above)
{
	int rc = 0;

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     !rc && p < map->data.mapping.pairs.top; p++)
		rc = read_pair(r, map, p, above);
	return rc;
}

static int check_identity(struct config_reader *r, const yaml_node_t *root, const char *name,
			  const char *wanted)
{
	const yaml_node_t *node = config_member(r, root, name);
	const char *text = config_scalar(node);

	if (text && !strcmp(text, wanted))
		return 0;
	return config_refuse(r, node ? &node->start_mark : &root->start_mark,
			     "%s: %s is wanted, not \"%.80s\"", name, wanted, text ?: "");
}

/* As kube-proxy: where the node's own address is an IPv6 one, so are those of the servers. */
static void follow_bind_address(struct config_reader *r)
{
	struct options *o = r->options;

	if (o->bind_family != NP_IPV6)
		return;
	if (!r->healthz)
		o->healthz = (struct bind_to){.family = NP_IPV6, .port = o->healthz.port};
	if (!r->metrics)
		o->metrics = (struct bind_to){
			.family = NP_IPV6, .port = o->metrics.port, .addr.word[3] = htonl(1)};
}

static int read_text(struct config_reader *r, const char *text, size_t length);

/* The document is a ConfigMap: what is in it is a document again. */
static int read_config_map(struct config_reader *r, const yaml_node_t *root)
{
	static const char *const names[][2] = {
		{"config.conf", " data.\"config.conf\""},
		{"config.yaml", " data.\"config.yaml\""},
		{"kubeproxy-config.yaml", " data.\"kubeproxy-config.yaml\""},
	};
	const yaml_node_t *data = config_member(r, root, "data");
	yaml_document_t outer = r->document;
	const char *text = NULL;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(names) && !text; i++)
		text = config_scalar(config_member(r, data, names[i][0]));
	if (!text || *r->inside)
		return config_refuse(r, &root->start_mark,
				     "a ConfigMap without data.\"config.conf\"; give the one named "
				     "kube-proxy, in namespace kube-system");
	r->inside = names[i - 1][1];
	rc = read_text(r, text, strlen(text));
	r->inside = "";
	r->document = outer;
	return rc;
}

static int read_root(struct config_reader *r)
{
	const yaml_node_t *root = yaml_document_get_root_node(&r->document);
	const yaml_mark_t start = {0};
	const char *kind;
	int rc;

	if (!root || root->type != YAML_MAPPING_NODE)
		return config_refuse(r, root ? &root->start_mark : &start,
				     "a " KIND " is wanted here, as kubeadm writes it");
	kind = config_scalar(config_member(r, root, "kind"));
	if (kind && !strcmp(kind, "ConfigMap"))
		return read_config_map(r, root);
	rc = check_identity(r, root, "kind", KIND);
	rc = rc ?: check_identity(r, root, "apiVersion", API_VERSION);
	rc = rc ?: read_map(r, root, "");
	if (!rc)
		follow_bind_address(r);
	return rc;
}

static int read_text(struct config_reader *r, const char *text, size_t length)
{
	int rc = config_load(r, text, length);

	if (rc)
		return rc;
	rc = read_root(r);
	yaml_document_delete(&r->document);
	return rc;
}

/* The file as a whole, to free(). */
static int read_file(const char *path, char **text, size_t *length)
{
	_cleanup_free_ char *read = malloc(FILE_MAX + 1);
	FILE *f = read ? fopen(path, "re") : NULL;
	int rc = read ? 0 : -ENOMEM;

	if (read && !f)
		rc = -errno;
	if (!f)
		return rc;
	errno = 0;
	*length = fread(read, 1, FILE_MAX + 1, f);
	if (ferror(f))
		rc = errno ? -errno : -EIO;
	fclose(f);
	if (!rc && *length > FILE_MAX)
		rc = -EFBIG;
	if (!rc)
		*text = TAKE_PTR(read);
	return rc;
}

int config_read(struct options *o, const char *path, char *error, size_t size)
{
	_cleanup_free_ struct options *changed = malloc(sizeof(*changed));
	struct config_reader r = {
		.file = path, .inside = "", .options = changed, .error = error, .size = size};
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int rc = read_file(path, &text, &length);

	if (rc) {
		snprintf(error, size, "--config: cannot read \"%s\": %s", path,
			 rc == -EFBIG ? "it is larger than 1 MiB" : strerror(-rc));
		return -EINVAL;
	}
	rc = changed ? 0 : -ENOMEM;
	if (!rc) {
		*changed = *o;
		rc = read_text(&r, text, length);
	}
	if (rc == -ENOMEM)
		snprintf(error, size, "--config: out of memory");
	if (rc)
		field_clean(error); /* what is quoted from the file may be anything */
	else
		*o = *changed;
	return rc;
}
