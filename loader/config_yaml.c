/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * YAML that is safe to walk, by libyaml: looked through event by event before it is made a
 * document, so that a refusal has a place and nothing can be small and unfold to be large.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_parts.h"
#include "util.h"

#define DEPTH_MAX 16

int config_refuse(struct config_reader *r, const yaml_mark_t *mark, const char *format, ...)
{
	int used = snprintf(r->error, r->size, "--config %s%s:%zu:%zu: ", r->file, r->inside,
			    mark->line + 1, mark->column + 1);
	va_list args;

	va_start(args, format);
	if (used > 0 && (size_t)used < r->size)
		vsnprintf(r->error + used, r->size - used, format, args);
	va_end(args);
	return -EINVAL;
}

const char *config_scalar(const yaml_node_t *node)
{
	const char *text;

	if (!node || node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}

/* The text of a scalar without quotes, or NULL. */
static const char *plain(const yaml_node_t *node)
{
	const char *text = config_scalar(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? text : NULL;
}

bool config_is_null(const yaml_node_t *node)
{
	const char *text = plain(node);

	return text && (!*text || !strcmp(text, "~") || !strcasecmp(text, "null"));
}

bool config_is_bool(const yaml_node_t *node, bool *value)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"n", "y"}};
	const char *text = plain(node);

	for (size_t i = 0; text && i < ARRAY_SIZE(words); i++) {
		*value = !strcasecmp(text, words[i][1]);
		if (*value || !strcasecmp(text, words[i][0]))
			return true;
	}
	return false;
}

bool config_is_number(const yaml_node_t *node)
{
	const char *text = plain(node);
	char *end;

	if (!text || !strchr("+-.0123456789", *text) || strspn(text, "+-.") == strlen(text))
		return false;
	strtod(text, &end);
	return !*end;
}

const yaml_node_t *config_member(struct config_reader *r, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *key = config_scalar(yaml_document_get_node(&r->document, p->key));

		if (key && !strcmp(key, name))
			return yaml_document_get_node(&r->document, p->value);
	}
	return NULL;
}

/* libyaml tells where a bad character is by its offset alone. */
static yaml_mark_t mark_at(const char *text, size_t length, size_t offset)
{
	yaml_mark_t mark = {.index = offset};

	for (size_t i = 0; i < offset && i < length; i++) {
		mark.column = text[i] == '\n' ? 0 : mark.column + 1;
		mark.line += text[i] == '\n';
	}
	return mark;
}

static int not_yaml(struct config_reader *r, const yaml_parser_t *parser, const char *text,
		    size_t length)
{
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		mark = mark_at(text, length, parser->problem_offset);
	return config_refuse(r, &mark, "not YAML: %s", parser->problem ?: "it cannot be read");
}

static bool has_anchor(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor;
	default:
		return false;
	}
}

struct seen {
	size_t documents;
	size_t depth;
};

static int check_event(struct config_reader *r, const yaml_event_t *event, struct seen *seen)
{
	if (has_anchor(event))
		return config_refuse(r, &event->start_mark,
				     "anchors and aliases are not taken; write the value out");
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++seen->documents > 1)
			return config_refuse(r, &event->start_mark,
					     "a second document; give the KubeProxyConfiguration "
					     "alone");
		return 0;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++seen->depth > DEPTH_MAX)
			return config_refuse(r, &event->start_mark,
					     "more than %d deep: this is no KubeProxyConfiguration",
					     DEPTH_MAX);
		return 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		seen->depth--;
		return 0;
	default:
		return 0;
	}
}

static int check_events(struct config_reader *r, const char *text, size_t length)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	struct seen seen = {};
	yaml_parser_t parser;
	yaml_event_t event;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (!rc && type != YAML_STREAM_END_EVENT) {
		if (!yaml_parser_parse(&parser, &event)) {
			rc = not_yaml(r, &parser, text, length);
			break;
		}
		type = event.type;
		rc = check_event(r, &event, &seen);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return rc;
}

int config_load(struct config_reader *r, const char *text, size_t length)
{
	yaml_parser_t parser;
	int rc = check_events(r, text, length);

	if (rc)
		return rc;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	if (!yaml_parser_load(&parser, &r->document))
		rc = not_yaml(r, &parser, text, length);
	yaml_parser_delete(&parser);
	return rc;
}
