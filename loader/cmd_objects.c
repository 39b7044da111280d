/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files as kubectl prints them: one object, a List, an array, or several documents one after the
 * other. What is in an object is for the daemon to judge.
 */
#include "cmd_objects.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "util.h"

#define READ_SIZE (64UL << 10)
#define FILE_MAX  (1UL << 30)
#define TREE_MAX  (1UL << 20) /* bytes of a file that is parsed here, to say what is wrong in it */

struct text {
	const char *name;
	char *bytes;
	size_t length;
};

static void close_file(FILE **file)
{
	if (*file && *file != stdin)
		fclose(*file);
}

static void text_free(struct text *text)
{
	util_free(&text->bytes);
}

static int text_read(struct text *text, const char *path)
{
	const bool standard = !strcmp(path, "-");
	_cleanup_(close_file) FILE *file = standard ? stdin : fopen(path, "re");
	_cleanup_free_ char *bytes = NULL;
	size_t size = 0;
	size_t used = 0;

	if (!file)
		return -errno;
	do {
		if (size - used < READ_SIZE) {
			char *longer = realloc(bytes, 2 * size + READ_SIZE);

			if (!longer)
				return -ENOMEM;
			bytes = longer;
			size = 2 * size + READ_SIZE;
		}
		errno = 0;
		used += fread(bytes + used, 1, READ_SIZE, file);
		if (used > FILE_MAX)
			return -EFBIG;
	} while (!feof(file) && !ferror(file));
	if (ferror(file))
		return errno ? -errno : -EIO;
	*text = (struct text){
		.name = standard ? "standard input" : path,
		.bytes = TAKE_PTR(bytes),
		.length = used,
	};
	return 0;
}

static size_t skip_space(const struct text *text, size_t at)
{
	while (at < text->length && isspace((unsigned char)text->bytes[at]))
		at++;
	return at;
}

static size_t line_of(const struct text *text, size_t at)
{
	size_t line = 1;

	for (size_t i = 0; i < at && i < text->length; i++)
		line += text->bytes[i] == '\n';
	return line;
}

static int add_document(json_t *objects, json_t *document)
{
	if (json_is_array(document))
		return json_array_extend(objects, document) ? -ENOMEM : 0;
	return json_array_append(objects, document) ? -ENOMEM : 0;
}

static int text_parse(const struct text *text, const struct out *out, json_t *objects)
{
	json_error_t where;
	size_t at = skip_space(text, 0);

	if (at == text->length)
		return cmd_fail(out, "\"%s\" is empty: nothing was sent", text->name);
	if (text->bytes[at] != '{' && text->bytes[at] != '[')
		return cmd_fail(
			out,
			"\"%s\" is not JSON; for YAML try \"kubectl create --dry-run=client "
			"-o json -f FILE\"",
			text->name);
	for (; at < text->length; at = skip_space(text, at)) {
		json_auto_t *document =
			json_loadb(text->bytes + at, text->length - at,
				   JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &where);

		if (!document)
			return cmd_fail(out, "\"%s\" line %zu is not JSON: %s; nothing was sent",
					text->name, line_of(text, at + (size_t)where.position),
					where.text);
		if (add_document(objects, document))
			return cmd_fail(out, "%s", strerror(ENOMEM));
		at += (size_t)where.position;
	}
	return CMD_DONE;
}

/* Nothing is known of what is in it but where it ends: after as many brackets as it opens. */
static size_t document_end(const struct text *text, size_t at)
{
	size_t depth = 0;

	for (; at < text->length; at++) {
		const char c = text->bytes[at];

		if (c == '"') {
			for (at++; at < text->length && text->bytes[at] != '"'; at++)
				at += text->bytes[at] == '\\';
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && depth && !--depth) {
			return at + 1;
		}
	}
	return text->length;
}

/* Of an array its items. */
static void write_document(const struct text *text, size_t at, size_t end, FILE *to, bool *first)
{
	if (text->bytes[at] == '[') {
		at = skip_space(text, at + 1);
		end--;
	}
	if (at >= end)
		return;
	if (!*first)
		fputc(',', to);
	*first = false;
	fwrite(text->bytes + at, 1, end - at, to);
}

/* Without their tree, which takes many times the memory. */
static void write_documents(const struct text *text, FILE *to, bool *first)
{
	size_t at = skip_space(text, 0), end;

	/* Newlines are spaces in JSON: it has none in strings. */
	for (size_t i = 0; i < text->length; i++)
		text->bytes[i] = text->bytes[i] == '\n' ? ' ' : text->bytes[i];
	for (; at < text->length; at = skip_space(text, end)) {
		end = document_end(text, at);
		write_document(text, at, end, to, first);
	}
}

static int add_file(const struct out *out, const char *path, FILE *to, bool *first)
{
	_cleanup_(text_free) struct text text = {};
	json_auto_t *tree = json_array();
	int r = text_read(&text, path), code = CMD_DONE;

	if (r < 0)
		return cmd_fail(out, "cannot read \"%s\": %s", path, strerror(-r));
	if (text.length <= TREE_MAX || !strchr("{[", text.bytes[skip_space(&text, 0)]))
		code = text_parse(&text, out, tree);
	if (!code)
		write_documents(&text, to, first);
	return code;
}

int cmd_objects_text(const struct cmd_args *args, const struct out *out, char **params)
{
	_cleanup_free_ char *text = NULL;
	bool first = true;
	int code = CMD_DONE;
	size_t length;
	FILE *to;

	if (!args->n_files)
		return cmd_usage(out, "a file is missing: -f FILE, or -f - for standard input");
	to = open_memstream(&text, &length);
	if (!to)
		return cmd_fail(out, "%s", strerror(errno));
	fputs("{\"objects\":[", to);
	for (size_t i = 0; i < args->n_files && !code; i++)
		code = add_file(out, args->files[i], to, &first);
	fputs("]}", to);
	if (fclose(to) && !code)
		return cmd_fail(out, "%s", strerror(ENOMEM));
	if (!code)
		*params = TAKE_PTR(text);
	return code;
}

int cmd_objects_read(const struct cmd_args *args, const struct out *out, json_t **objects)
{
	json_auto_t *all = json_array();
	int code;
	int r;

	if (!args->n_files)
		return cmd_usage(out, "a file is missing: -f FILE, or -f - for standard input");
	for (size_t i = 0; i < args->n_files; i++) {
		_cleanup_(text_free) struct text text = {};

		r = text_read(&text, args->files[i]);
		if (r < 0)
			return cmd_fail(out, "cannot read \"%s\": %s", args->files[i],
					strerror(-r));
		code = text_parse(&text, out, all);
		if (code)
			return code;
	}
	*objects = TAKE_PTR(all);
	return CMD_DONE;
}

/* kind is what the list says its items are: those of a ServiceList do not say it themselves. */
static int add_name(const struct out *out, json_t *names, const json_t *object, const char *kind)
{
	const json_t *metadata = json_object_get(object, "metadata");
	json_t *namespace = json_object_get(metadata, "namespace");
	json_t *name = json_object_get(metadata, "name");
	const char *own = json_string_value(json_object_get(object, "kind"));

	if (!own)
		own = kind;
	if (!own || !json_is_string(name))
		return cmd_fail(
			out, "object %zu has no \"kind\" or no \"metadata.name\"; nothing was sent",
			json_array_size(names) + 1);
	if (json_array_append_new(names, json_pack("{s:s, s:{s:O*, s:O}}", "kind", own, "metadata",
						   "namespace", namespace, "name", name)))
		return cmd_fail(out, "%s", strerror(ENOMEM));
	return CMD_DONE;
}

static int add_names(const struct out *out, json_t *names, const json_t *objects, const char *kind)
{
	const json_t *object;
	size_t i;

	json_array_foreach (objects, i, object) {
		const char *own = json_string_value(json_object_get(object, "kind"));
		const json_t *items = json_object_get(object, "items");
		const size_t length = own ? strlen(own) : 0;
		_cleanup_free_ char *items_kind = NULL;
		int code;

		/* Lists do not nest in each other: an item is always an object. */
		if (!kind && json_is_array(items) && length >= 4 &&
		    !strcmp(own + length - 4, "List")) {
			items_kind = strndup(own, length - 4);
			code = add_names(out, names, items, items_kind ? items_kind : "");
		} else {
			code = add_name(out, names, object, kind && kind[0] ? kind : NULL);
		}
		if (code)
			return code;
	}
	return CMD_DONE;
}

int cmd_objects_names(const struct out *out, const json_t *objects, json_t **names)
{
	json_auto_t *all = json_array();
	int code = add_names(out, all, objects, NULL);

	if (!code)
		*names = TAKE_PTR(all);
	return code;
}
