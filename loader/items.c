/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A stack of what is open: the request, its params, then arrays and Lists by turns. An element is
 * parsed as a whole; a List or an array is then entered, and so is what is so long that it can only
 * be one of these. If such an object turns out at its end to be no List, or a List to have no
 * items, this is no request of the form.
 */
#include "items.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "items_ahead.h"
#include "util.h"

#define ELEMENT_MAX (1UL << 20)
#define PART_MIN    (64UL << 10) /* of a text that goes on, to be looked at */
#define DEPTH_MAX   12
#define AHEAD_MIN   (1UL << 20) /* of text: for less, no thread is worth it */

enum place { IN_REQUEST, IN_PARAMS, IN_ARRAY, IN_LIST };

struct level {
	enum place place;
	json_t *members; /* of an object, but for the one that is entered; borrowed or owned */
	bool begun;	 /* something stands before */
	bool entered;	 /* the member that has the objects came already */
};

struct items {
	const char *text;
	size_t length;
	size_t at;
	json_t *request;
	struct level level[DEPTH_MAX];
	unsigned depth;	     /* levels open */
	struct ahead *ahead; /* NULL, or the above is its thread's; then */
	json_t *early;	     /* is the request as it was before */
	bool goes_on;	     /* length is not all of the text: see below. The thread's as well */
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t there; /* under the lock, as are */
	bool whole;
	bool left; /* nobody wants the rest */
};

static int fault(struct items *it, const char *what, json_error_t *why)
{
	memset(why, 0, sizeof(*why));
	why->position = (int)it->at;
	snprintf(why->text, sizeof(why->text), "%s", what);
	return -EINVAL;
}

/* Until so much more of the text is there than was read, or all of it. */
static void await(struct items *it, size_t more)
{
	pthread_mutex_lock(&it->lock);
	while (!it->whole && it->there - it->at < more)
		pthread_cond_wait(&it->more, &it->lock);
	it->length = it->left ? it->at : it->there;
	it->goes_on = !it->whole;
	pthread_mutex_unlock(&it->lock);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char skip_space(struct items *it)
{
	for (;;) {
		while (it->at < it->length && is_space(it->text[it->at]))
			it->at++;
		if (it->at < it->length || !it->goes_on)
			break;
		await(it, PART_MIN);
	}
	return it->at < it->length ? it->text[it->at] : '\0';
}

static bool take(struct items *it, char c)
{
	if (skip_space(it) != c || it->at == it->length)
		return false;
	it->at++;
	return true;
}

/* A byte of a UTF-8 character that is not its first. */
static bool is_inside(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* A text that is cut within a word, a number or an escape is wrong there, and not at an end. */
#define TOKEN_MAX 16

static bool may_be_cut(const json_error_t *why, size_t part)
{
	return json_error_code(why) == json_error_premature_end_of_input ||
	       (json_error_code(why) != json_error_out_of_memory &&
		(size_t)why->position + TOKEN_MAX >= part);
}

/*
 * -E2BIG: it goes on beyond max, if there is one. While the text goes on no more than ELEMENT_MAX
 * is looked at, and what ends with it may be but a part: then again when more is there.
 */
static int parse(struct items *it, size_t max, json_t **value, json_error_t *why)
{
	size_t left, part, wanted = PART_MIN;
	bool again;

	do {
		if (it->goes_on && it->length - it->at < wanted)
			await(it, wanted);
		left = it->length - it->at;
		part = it->goes_on && max > ELEMENT_MAX ? ELEMENT_MAX : max;
		part = left < part ? left : part;
		while (part < left && part && is_inside(it->text[it->at + part]))
			part--;
		*value = json_loadb(
			it->text + it->at, part,
			JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, why);
		again = it->goes_on && (part == left || max > ELEMENT_MAX) &&
			!(*value && (size_t)why->position < part);
		if (again)
			json_decref(*value);
		wanted = max > ELEMENT_MAX ? SIZE_MAX : max + 1;
	} while (again);
	if (*value) {
		it->at += (size_t)why->position;
		return 0;
	}
	if (part < left && may_be_cut(why, part))
		return -E2BIG;
	why->position += (int)it->at;
	return json_error_code(why) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
}

static int enter(struct items *it, enum place place, json_t *members)
{
	if (it->depth == DEPTH_MAX)
		return -ENOTSUP;
	if (place != IN_ARRAY && !members)
		return -ENOMEM;
	it->at++; /* the bracket */
	it->level[it->depth++] = (struct level){.place = place, .members = members};
	return 0;
}

static int enter_list(struct items *it, char first)
{
	json_t *members = first == '{' ? json_object() : NULL;
	int rc = first == '{' ? enter(it, IN_LIST, members) : -ENOTSUP;

	if (rc)
		json_decref(members);
	return rc;
}

static bool is_list(const json_t *members)
{
	const char *kind = json_string_value(json_object_get(members, "kind"));
	size_t length = kind ? strlen(kind) : 0;

	return length >= 4 && !strcmp(kind + length - 4, "List");
}

static int leave(struct items *it)
{
	struct level *level = &it->level[it->depth - 1];
	bool list = level->place != IN_LIST ||
		    (is_list(level->members) &&
		     (level->entered || json_is_null(json_object_get(level->members, "items"))));

	if (level->place == IN_LIST)
		json_decref(level->members);
	it->depth--;
	return list ? 0 : -ENOTSUP;
}

/* The member that leads to the objects: params, objects of it, items of a List. */
static int enter_member(struct items *it, struct level *level, const char *name, char first)
{
	static const char *const names[] = {
		[IN_REQUEST] = "params", [IN_PARAMS] = "objects", [IN_LIST] = "items"};
	json_t *params;

	if (strcmp(name, names[level->place]) != 0 ||
	    first != (level->place == IN_REQUEST ? '{' : '['))
		return 0;
	level->entered = true;
	if (level->place != IN_REQUEST)
		return enter(it, IN_ARRAY, NULL) ?: 1;
	params = json_object();
	if (!params || json_object_set_new(it->request, "params", params))
		return -ENOMEM;
	return enter(it, IN_PARAMS, params) ?: 1;
}

static int read_member(struct items *it, struct level *level, json_error_t *why)
{
	json_auto_t *name = NULL, *value = NULL;
	const char *key;
	int rc;

	if (skip_space(it) != '"')
		return fault(it, "a member's name expected", why);
	rc = parse(it, SIZE_MAX, &name, why);
	if (rc)
		return rc;
	key = json_string_value(name);
	if (!take(it, ':'))
		return fault(it, "':' expected", why);
	if (json_object_get(level->members, key) ||
	    (level->entered && level->place != IN_REQUEST &&
	     !strcmp(key, level->place == IN_LIST ? "items" : "objects")))
		return fault(it, "duplicate object key", why);
	rc = enter_member(it, level, key, skip_space(it));
	if (rc)
		return rc < 0 ? rc : 0;
	rc = parse(it, SIZE_MAX, &value, why);
	if (rc)
		return rc;
	return json_object_set(level->members, key, value) ? -ENOMEM : 0;
}

static int read_element(struct items *it, struct item *item, json_error_t *why)
{
	const char first = skip_space(it);
	const size_t at = it->at;
	void *place = arena_place();
	json_t *json;
	int rc;

	arena_on();
	rc = parse(it, ELEMENT_MAX, &json, why);
	arena_off();

	const bool inner = rc == -E2BIG || (!rc && (first == '[' || is_list(json)));

	if (!rc && inner)
		json_decref(json);
	if (inner) {
		arena_back(place);
		it->at = at;
		return first == '[' ? enter(it, IN_ARRAY, NULL) : enter_list(it, first);
	}
	if (rc)
		return rc;
	*item = (struct item){.json = json, .text = it->text + at, .length = it->at - at};
	return 1;
}

/* The end of the level, or the comma before its next part. 1: it was the end. */
static int next_part(struct items *it, struct level *level, json_error_t *why)
{
	if (take(it, level->place == IN_ARRAY ? ']' : '}'))
		return leave(it) ?: 1;
	if (level->begun && !take(it, ','))
		return fault(it, "',' or the end of it expected", why);
	level->begun = true;
	return 0;
}

int items_read(struct items *it, struct item *item, json_error_t *why)
{
	struct level *level;
	int rc = 0;

	while (it->depth && !rc) {
		level = &it->level[it->depth - 1];
		rc = next_part(it, level, why);
		if (rc > 0)
			rc = 0;
		else if (!rc)
			rc = level->place == IN_ARRAY ? read_element(it, item, why)
						      : read_member(it, level, why);
	}
	if (rc)
		return rc;
	skip_space(it);
	return it->at < it->length ? fault(it, "end of line expected", why) : 0;
}

static void start_ahead(struct items *it)
{
	it->early = json_deep_copy(it->request);
	it->ahead = it->early ? ahead_new(it) : NULL; /* asked for once */
}

int items_open_part(struct items *it)
{
	it->goes_on = true;
	it->there = it->length;
	start_ahead(it);
	return it->ahead ? 0 : -ENOMEM;
}

void items_more(struct items *it, size_t length, bool whole)
{
	pthread_mutex_lock(&it->lock);
	it->there = length;
	it->whole = whole;
	pthread_cond_signal(&it->more);
	pthread_mutex_unlock(&it->lock);
}

bool items_ready(struct items *it)
{
	return it->ahead && ahead_ready(it->ahead);
}

int items_next(struct items *it, struct item *item, json_error_t *why)
{
	int rc;

	if (!it->early && it->length - it->at > AHEAD_MIN)
		start_ahead(it);
	if (!it->ahead) {
		arena_begin(0);
		return items_read(it, item, why);
	}
	rc = ahead_next(it->ahead, item, why);
	if (rc <= 0)
		ahead_free(&it->ahead);
	return rc;
}

int items_open(const char *text, size_t length, struct items **items, json_error_t *why)
{
	_cleanup_(items_free) struct items *it = calloc(1, sizeof(*it));
	int rc = 0;

	if (!it)
		return -ENOMEM;
	arena_open(AHEAD_BATCHES);
	pthread_mutex_init(&it->lock, NULL);
	pthread_cond_init(&it->more, NULL);
	it->text = text;
	it->length = length;
	it->request = json_object();
	if (skip_space(it) != '{')
		return -ENOTSUP;
	rc = enter(it, IN_REQUEST, it->request);
	while (!rc && it->depth && it->level[it->depth - 1].place != IN_ARRAY) {
		rc = next_part(it, &it->level[it->depth - 1], why);
		if (!rc)
			rc = read_member(it, &it->level[it->depth - 1], why);
		else if (rc > 0)
			rc = 0;
	}
	if (!rc && !it->depth)
		rc = -ENOTSUP;
	if (!rc)
		*items = TAKE_PTR(it);
	return rc;
}

const json_t *items_request(const struct items *it)
{
	return it->ahead ? it->early : it->request;
}

void items_free(struct items **items)
{
	struct items *it = TAKE_PTR(*items);

	if (!it)
		return;
	pthread_mutex_lock(&it->lock);
	it->left = it->whole = true; /* the thread waits no longer */
	pthread_cond_signal(&it->more);
	pthread_mutex_unlock(&it->lock);
	ahead_free(&it->ahead);
	while (it->depth)
		leave(it);
	pthread_cond_destroy(&it->more);
	pthread_mutex_destroy(&it->lock);
	json_decref(it->early);
	json_decref(it->request);
	free(it);
	arena_close();
}
