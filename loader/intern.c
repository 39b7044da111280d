/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A set of counted texts. */
#include "intern.h"

#include <stdlib.h>
#include <string.h>

#include "set.h"

struct text {
	uint32_t count;
	char bytes[];
};

static struct set texts;

static struct text *text_of(const char *interned)
{
	return (struct text *)(interned - offsetof(struct text, bytes));
}

static bool is(const void *item, const void *key)
{
	const struct text *text = item;

	return !strcmp(text->bytes, key);
}

const char *intern_find(const char *text)
{
	struct text *found = set_find(&texts, set_hash(text, strlen(text)), is, text);

	return found ? found->bytes : NULL;
}

const char *intern(const char *text)
{
	const size_t length = strlen(text);
	const uint32_t hash = set_hash(text, length);
	struct text *made = set_find(&texts, hash, is, text);

	if (made) {
		made->count++;
		return made->bytes;
	}
	made = malloc(sizeof(*made) + length + 1);
	if (!made)
		return NULL;
	made->count = 1;
	memcpy(made->bytes, text, length + 1);
	if (set_add(&texts, hash, made)) {
		free(made);
		return NULL;
	}
	return made->bytes;
}

const char *intern_again(const char *interned)
{
	if (interned)
		text_of(interned)->count++;
	return interned;
}

void intern_put(const char *interned)
{
	struct text *text;

	if (!interned)
		return;
	text = text_of(interned);
	if (--text->count)
		return;
	set_remove(&texts, set_hash(text->bytes, strlen(text->bytes)), text);
	free(text);
	if (!texts.count)
		set_free(&texts);
}
