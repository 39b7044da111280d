/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A pointer that moves on, one for each thread. */
#include "arena.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#define PART_SIZE (1UL << 20)

static char *begin, *end;

static _Thread_local struct {
	char *at;
	char *end;
	bool on;
} mine;

static void *take(size_t size)
{
	char *piece = mine.at;

	size = (size + 15) & ~15UL;
	if (!mine.on || size > (size_t)(mine.end - piece))
		return malloc(size);
	mine.at += size;
	return piece;
}

static void give(void *piece)
{
	if ((char *)piece < begin || (char *)piece >= end)
		free(piece);
}

void arena_open(size_t parts)
{
	if (begin)
		return;
	begin = malloc(parts * PART_SIZE);
	end = begin ? begin + parts * PART_SIZE : NULL;
	json_set_alloc_funcs(take, give); /* and so it stays */
}

void arena_close(void)
{
	free(begin);
	begin = end = NULL;
	mine.at = mine.end = NULL;
}

void arena_begin(size_t part)
{
	mine.at = begin ? begin + part * PART_SIZE : NULL;
	mine.end = begin ? mine.at + PART_SIZE : NULL;
}

void arena_on(void)
{
	mine.on = mine.at;
}

void arena_off(void)
{
	mine.on = false;
}

void *arena_place(void)
{
	return mine.at;
}

void arena_back(void *place)
{
	mine.at = place;
}
