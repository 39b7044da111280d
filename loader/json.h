/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Typed reading of JSON fields, each of which knows the path that leads to it, so that a refusal
 * can name it. Knows nothing of Kubernetes.
 */
#ifndef NEARPATH_LOADER_JSON_H
#define NEARPATH_LOADER_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube.h"

/* A value and where it was found. Lives on the stack; its parent must outlive it. */
struct field {
	const struct field *parent; /* NULL: the object as a whole, which has no name */
	const char *name;	    /* NULL: item number `index` of its parent */
	size_t index;
	const json_t *value; /* NULL: absent, or null, which Kubernetes takes for the same */
	struct kube_error *error;
};

/* The member of an object (absent if that is absent), or an item of an array. */
struct field field_member(const struct field *object, const char *name);
struct field field_item(const struct field *array, size_t index);

/* Fill path and reason, whose text is cleaned. Always -EINVAL. */
int field_refuse(const struct field *field, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Refused unless absent or of the type; out parameters are left alone where it is absent. */
int field_object(const struct field *field);
int field_array(const struct field *field, size_t max);
int field_string(const struct field *field, const char **string);
int field_bool(const struct field *field, bool *value);
int field_integer(const struct field *field, long long *value);

/* Refused where it is absent. */
int field_required(const struct field *field);

/* A member which is an object, or a string, in one step. */
int field_member_object(const struct field *object, const char *name, struct field *member);
int field_member_array(const struct field *object, const char *name, size_t max,
		       struct field *member);
int field_member_string(const struct field *object, const char *name, const char **string);
int field_member_bool(const struct field *object, const char *name, bool *value);

/* Number of items; 0 if absent. */
size_t field_length(const struct field *array);

/* Make text printable ASCII: what users wrote must not break a terminal or be half a character. */
void field_clean(char *text);

#endif
