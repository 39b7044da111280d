/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tables and JSON. A table is built as a whole before its first line is printed, since the widths
 * and the order come from all of it.
 */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "util.h"

#define GAP	    2
#define FIELD_WIDTH 11

struct row {
	json_t *json;
	char **cells; /* NULL for nothing to show */
};

struct table {
	const struct out_column *columns;
	size_t n_columns;
	struct row *rows;
	size_t n_rows;
};

struct out out_new(FILE *data, FILE *notes)
{
	const char *no_color = getenv("NO_COLOR");
	const bool colors = !no_color || !no_color[0];
	const int fd = fileno(data);

	return (struct out){
		.data = data,
		.notes = notes,
		.bold = colors && fd >= 0 && isatty(fd),
	};
}

/* ---- text ---- */

char *out_text(const char *format, ...)
{
	va_list args;
	char *text;
	int r;

	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	return r < 0 ? NULL : text;
}

/* C0, DEL, and C1, which is C2 80 to C2 9F: both can drive a terminal. */
static void make_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
}

static char *joined(const json_t *array)
{
	_cleanup_free_ char *text = NULL;
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		_cleanup_free_ char *before = TAKE_PTR(text);
		_cleanup_free_ char *next = out_value(item);

		text = out_text("%s%s%s", before ? before : "", before ? "," : "",
				next ? next : "-");
	}
	return TAKE_PTR(text);
}

char *out_value(const json_t *value)
{
	char *text = NULL;

	if (json_is_array(value))
		text = joined(value);
	else if (json_is_boolean(value))
		text = strdup(json_is_true(value) ? "yes" : "no");
	else if (json_is_string(value))
		text = json_string_length(value) ? strdup(json_string_value(value)) : NULL;
	else if (value && !json_is_null(value))
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	if (text)
		make_printable(text);
	return text;
}

/* Columns on a terminal, at one for a character. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* ---- tables ---- */

static void table_free(struct table *table)
{
	for (size_t i = 0; table->rows && i < table->n_rows; i++) {
		for (size_t n = 0; table->rows[i].cells && n < table->n_columns; n++)
			free(table->rows[i].cells[n]);
		free(table->rows[i].cells);
		json_decref(table->rows[i].json);
	}
	util_free(&table->rows);
}

static int row_fill(const struct table *table, struct row *row, const json_t *json)
{
	row->json = json_incref((json_t *)json);
	row->cells = calloc(table->n_columns, sizeof(*row->cells));
	if (!row->cells)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++) {
		const struct out_column *column = &table->columns[i];

		row->cells[i] = column->text ? column->text(json)
					     : out_value(json_object_get(json, column->key));
		if (row->cells[i])
			make_printable(row->cells[i]);
	}
	return 0;
}

static int row_compare(const void *left, const void *right, void *arg)
{
	const struct table *table = arg;
	const struct row *a = left;
	const struct row *b = right;
	_cleanup_free_ char *all_a = NULL;
	_cleanup_free_ char *all_b = NULL;
	int order;

	for (size_t i = 0; i < table->n_columns; i++) {
		order = strverscmp(a->cells[i] ? a->cells[i] : "", b->cells[i] ? b->cells[i] : "");
		if (order)
			return order;
	}
	/* What the cells do not show must not make the order of the JSON change. */
	all_a = json_dumps(a->json, JSON_SORT_KEYS);
	all_b = json_dumps(b->json, JSON_SORT_KEYS);
	return strcmp(all_a ? all_a : "", all_b ? all_b : "");
}

static int table_make(struct table *table, const json_t *rows, const struct out_column *columns)
{
	const json_t *json;
	size_t i;
	int r;

	*table = (struct table){.columns = columns, .n_rows = json_array_size(rows)};
	while (columns[table->n_columns].title)
		table->n_columns++;
	table->rows = calloc(table->n_rows + 1, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	json_array_foreach (rows, i, json) {
		r = row_fill(table, &table->rows[i], json);
		if (r < 0)
			return r;
	}
	qsort_r(table->rows, table->n_rows, sizeof(*table->rows), row_compare, table);
	return 0;
}

/* Returns 0 for a column that is left out. */
static size_t column_width(const struct table *table, size_t n)
{
	size_t width = text_width(table->columns[n].title);
	bool shown = !table->columns[n].optional;

	for (size_t i = 0; i < table->n_rows; i++) {
		const char *cell = table->rows[i].cells[n];

		shown |= cell != NULL;
		if (cell && text_width(cell) > width)
			width = text_width(cell);
	}
	return shown ? width : 0;
}

/* The last cell of a line is not padded: a line ends where its text does. */
static void print_cell(const struct out *out, const char *text, size_t width, bool right, bool last)
{
	const size_t own = text_width(text);
	const int padding = own < width ? (int)(width - own) : 0;

	if (right)
		fprintf(out->data, "%*s%s%*s", padding, "", text, last ? 0 : GAP, "");
	else
		fprintf(out->data, "%s%*s", text, last ? 0 : padding + GAP, "");
}

static void print_line(const struct out *out, const struct table *table, const size_t *widths,
		       const struct row *row)
{
	size_t last = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		last = widths[i] ? i : last;
	for (size_t i = 0; i <= last; i++) {
		const struct out_column *column = &table->columns[i];
		const char *text = row ? row->cells[i] : column->title;

		if (widths[i])
			print_cell(out, text ? text : "-", widths[i], column->right, i == last);
	}
}

static int table_print(const struct out *out, const struct table *table, const char *indent)
{
	_cleanup_free_ size_t *widths = calloc(table->n_columns + 1, sizeof(*widths));

	if (!widths)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = column_width(table, i);
	fprintf(out->data, "%s%s", indent, out->bold ? "\033[1m" : "");
	print_line(out, table, widths, NULL);
	fprintf(out->data, "%s\n", out->bold ? "\033[0m" : "");
	for (size_t i = 0; i < table->n_rows; i++) {
		fputs(indent, out->data);
		print_line(out, table, widths, &table->rows[i]);
		fputc('\n', out->data);
	}
	return 0;
}

int out_sort(json_t *rows, const struct out_column *columns)
{
	_cleanup_(table_free) struct table table = {};
	int r = table_make(&table, rows, columns);

	if (r < 0)
		return r;
	for (size_t i = 0; i < table.n_rows; i++) {
		if (json_array_set(rows, i, table.rows[i].json))
			return -ENOMEM;
	}
	return 0;
}

int out_table(const struct out *out, const json_t *rows, const struct out_column *columns,
	      const char *indent)
{
	_cleanup_(table_free) struct table table = {};
	int r = table_make(&table, rows, columns);

	return r < 0 ? r : table_print(out, &table, indent);
}

void out_field(const struct out *out, const char *title, const char *value)
{
	if (!value)
		return;
	fprintf(out->data, "%s%-*s%s%s\n", out->bold ? "\033[1m" : "", FIELD_WIDTH, title,
		out->bold ? "\033[0m" : "", value);
}

/* ---- JSON ---- */

static int print_json(const struct out *out, const json_t *object, size_t flags)
{
	json_auto_t *versioned = json_copy((json_t *)object);

	if (!versioned || json_object_set_new(versioned, "schema", json_integer(OUT_SCHEMA)) ||
	    json_dumpf(versioned, out->data, flags | JSON_SORT_KEYS))
		return -ENOMEM;
	fputc('\n', out->data);
	return 0;
}

int out_json(const struct out *out, const json_t *object)
{
	return print_json(out, object, JSON_INDENT(2));
}

int out_json_line(const struct out *out, const json_t *object)
{
	int r = print_json(out, object, JSON_COMPACT);

	fflush(out->data);
	return r;
}

int out_list(const struct out *out, json_t *result, const char *member,
	     const struct out_column *columns)
{
	json_t *rows = json_object_get(result, member);
	int r;

	if (out->format == OUT_TEXT && json_array_size(rows))
		return out_table(out, rows, columns, "");
	if (out->format == OUT_TEXT) {
		fprintf(out->notes, "no %s\n", member);
		return 0;
	}
	r = rows ? out_sort(rows, columns) : 0;
	return r < 0 ? r : out_json(out, result);
}

/* A message may quote an argument that is not UTF-8, which JSON has to be. */
static json_t *error_json(const char *kind, char *message)
{
	json_t *object = json_pack("{s:{s:s, s:s}}", "error", "kind", kind, "message", message);

	if (object)
		return object;
	for (char *c = message; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	return json_pack("{s:{s:s, s:s}}", "error", "kind", kind, "message", message);
}

void out_error(const struct out *out, const char *kind, const char *message, const json_t *more)
{
	_cleanup_free_ char *shown = strdup(message);
	json_auto_t *object = NULL;

	if (!shown)
		return;
	make_printable(shown);
	if (out->format == OUT_TEXT) {
		fprintf(out->notes, "nearpath: %s\n", shown);
		return;
	}
	object = error_json(kind, shown);
	if (!object)
		return;
	if (more)
		json_object_update_missing(json_object_get(object, "error"), (json_t *)more);
	out_json(out, object);
}
