/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Typed reading of JSON fields and the words in which a wrong one is refused. Which fields there
 * are, and what else they must be, is the business of kube_*.c.
 */
#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct field field_member(const struct field *object, const char *name)
{
	const json_t *value = object->value ? json_object_get(object->value, name) : NULL;

	return (struct field){
		.parent = object,
		.name = name,
		.value = json_is_null(value) ? NULL : value,
		.error = object->error,
	};
}

struct field field_item(const struct field *array, size_t index)
{
	const json_t *value = json_array_get(array->value, index);

	return (struct field){
		.parent = array,
		.index = index,
		.value = json_is_null(value) ? NULL : value,
		.error = array->error,
	};
}

/* Appends the path to text, which has room for size and holds length characters; new length. */
static size_t path_of(const struct field *field, char *text, size_t size, size_t length)
{
	int n;

	if (!field->parent)
		return length;
	length = path_of(field->parent, text, size, length);
	if (!field->name)
		n = snprintf(text + length, size - length, "[%zu]", field->index);
	else if (strpbrk(field->name, "./"))
		n = snprintf(text + length, size - length, "[\"%s\"]", field->name);
	else
		n = snprintf(text + length, size - length, "%s%s", length ? "." : "", field->name);
	if (n < 0 || (size_t)n >= size - length)
		return size - 1;
	return length + (size_t)n;
}

int field_refuse(const struct field *field, const char *format, ...)
{
	struct kube_error *error = field->error;
	va_list args;

	error->path[0] = '\0';
	path_of(field, error->path, sizeof(error->path), 0);
	va_start(args, format);
	vsnprintf(error->reason, sizeof(error->reason), format, args);
	va_end(args);
	field_clean(error->reason);
	return -EINVAL;
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

static int refuse_type(const struct field *field, const char *wanted)
{
	return field_refuse(field, "is %s; write %s", type_name(field->value), wanted);
}

int field_object(const struct field *field)
{
	if (field->value && !json_is_object(field->value))
		return refuse_type(field, "an object {...}");
	return 0;
}

int field_array(const struct field *field, size_t max)
{
	if (!field->value)
		return 0;
	if (!json_is_array(field->value))
		return refuse_type(field, "an array [...]");
	if (json_array_size(field->value) > max)
		return field_refuse(field, "has %zu items; at most %zu are allowed",
				    json_array_size(field->value), max);
	return 0;
}

int field_string(const struct field *field, const char **string)
{
	const char *text;

	if (!field->value)
		return 0;
	if (!json_is_string(field->value))
		return refuse_type(field, "a string in quotes");
	text = json_string_value(field->value);
	if (strlen(text) != json_string_length(field->value))
		return field_refuse(field, "contains a NUL character; remove it");
	*string = text;
	return 0;
}

int field_bool(const struct field *field, bool *value)
{
	if (!field->value)
		return 0;
	if (!json_is_boolean(field->value))
		return refuse_type(field, "true or false, without quotes");
	*value = json_is_true(field->value);
	return 0;
}

int field_integer(const struct field *field, long long *value)
{
	if (!field->value)
		return 0;
	if (!json_is_integer(field->value))
		return refuse_type(field, "an integer, without quotes or fraction");
	*value = json_integer_value(field->value);
	return 0;
}

int field_required(const struct field *field)
{
	if (!field->value)
		return field_refuse(field, "is missing; it must be given");
	return 0;
}

int field_member_object(const struct field *object, const char *name, struct field *member)
{
	struct field found = field_member(object, name);
	int err = field_object(&found);

	if (!err)
		*member = found;
	return err;
}

int field_member_array(const struct field *object, const char *name, size_t max,
		       struct field *member)
{
	struct field found = field_member(object, name);
	int err = field_array(&found, max);

	if (!err)
		*member = found;
	return err;
}

int field_member_string(const struct field *object, const char *name, const char **string)
{
	struct field found = field_member(object, name);

	return field_string(&found, string);
}

int field_member_bool(const struct field *object, const char *name, bool *value)
{
	struct field found = field_member(object, name);

	return field_bool(&found, value);
}

size_t field_length(const struct field *array)
{
	return json_array_size(array->value);
}

void field_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}
