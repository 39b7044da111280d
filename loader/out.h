/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How the command prints: the same rows as a text table or as JSON, in the same order every time.
 * Data goes to one stream, everything else to the other. Knows nothing of what the rows mean.
 */
#ifndef NEARPATH_LOADER_OUT_H
#define NEARPATH_LOADER_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define OUT_SCHEMA 1

enum out_format {
	OUT_TEXT,
	OUT_JSON,
};

struct out {
	FILE *data;  /* what was asked for */
	FILE *notes; /* the rest */
	enum out_format format;
	bool bold; /* mark titles: a terminal, and no NO_COLOR */
};

struct out_column {
	const char *title; /* NULL ends a list of columns */
	const char *key;   /* the member of a row that is shown, unless there is a text() */
	char *(*text)(const json_t *row); /* a string to free(), or NULL for nothing to show */
	bool right;
	bool optional; /* left out where no row has anything to show */
};

struct out out_new(FILE *data, FILE *notes);

/*
 * The value as text to free(): yes and no, "a,b" for an array, NULL for null, "" or what is
 * missing. Control characters are replaced, since names come from elsewhere and the reader is a
 * terminal.
 */
char *out_value(const json_t *value);

/* Shorthand for a printf into a string to free(), NULL when out of memory. */
__attribute__((format(printf, 1, 2))) char *out_text(const char *format, ...);

/* Sorts rows, a JSON array, by their cells from left to right; 9 comes before 10. 0 or -ENOMEM. */
int out_sort(json_t *rows, const struct out_column *columns);

/* Prints a text table, sorted as by out_sort(), each line after the indent. 0 or -ENOMEM. */
int out_table(const struct out *out, const json_t *rows, const struct out_column *columns,
	      const char *indent);

/* Prints a line "title  value" of text; a NULL value prints nothing. */
void out_field(const struct out *out, const char *title, const char *value);

/*
 * Print an object as JSON with the schema version added to it, its keys sorted: over several
 * lines, or as one line, flushed, of a stream. 0 or -ENOMEM.
 */
int out_json(const struct out *out, const json_t *object);
int out_json_line(const struct out *out, const json_t *object);

/*
 * Prints the rows that are result's member: as a table, or with all of result as JSON. Where there
 * are none, text notes that there is "no MEMBER".
 */
int out_list(const struct out *out, json_t *result, const char *member,
	     const struct out_column *columns);

/*
 * Says once what went wrong: "nearpath: message" as a note, and with JSON as
 * {"schema":1,"error":{"kind":..., "message":..., ...more}} on the data stream. more is an object
 * or NULL.
 */
void out_error(const struct out *out, const char *kind, const char *message, const json_t *more);

#endif
