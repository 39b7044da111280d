/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Memory for the trees of JSON that are read one after the other. Each is made of hundreds of
 * pieces that live as long as it does: they are taken from one part of memory, one after the other,
 * and all of them are free when the part begins anew. What does not fit and what is made at other
 * times is malloc()'s. Freeing is for any thread; there is one memory at a time.
 */
#ifndef NEARPATH_LOADER_ARENA_H
#define NEARPATH_LOADER_ARENA_H

#include <stddef.h>

/* Memory of so many parts, from now on jansson's. Without memory all is malloc()'s. */
void arena_open(size_t parts);
/* When no tree is left and no thread uses it. */
void arena_close(void);

/* The calling thread takes pieces of this part, from its beginning, whenever it is on. */
void arena_begin(size_t part);
void arena_on(void);
void arena_off(void);

/* What was taken since is free again. */
void *arena_place(void);
void arena_back(void *place);

#endif
