/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The Kubernetes objects of a long request one by one, so that its tree is never in memory as a
 * whole, and other work can be done in between. The values are parsed by jansson; here is known
 * only what surrounds them: the request, its params.objects, arrays and Lists.
 */
#ifndef NEARPATH_LOADER_ITEMS_H
#define NEARPATH_LOADER_ITEMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct items;

struct item {
	json_t *json;	  /* a new reference, to be gone before the next and the end: no List and no
			     array */
	const char *text; /* of it */
	size_t length;
};

/*
 * The text is borrowed. Reads up to the first object. -ENOTSUP: not a request of this form, though
 * it may be one of another; -EINVAL: it is no JSON, *why says where; -ENOMEM.
 */
int items_open(const char *text, size_t length, struct items **items, json_error_t *why);
void items_free(struct items **items);

/* 1: *item is the next one; 0: there is no more, and the request is whole. Else as above. */
int items_next(struct items *items, struct item *item, json_error_t *why);

/*
 * The text that was opened is but the beginning of what is to come, which will be in the same
 * place: it is read ahead as far as it is there. -ENOMEM: it is not, and the items are to be freed.
 */
int items_open_part(struct items *items);
/* So much of it is there now; whole: all. */
void items_more(struct items *items, size_t length, bool whole);
/* Is there an object that items_next() need not wait for? */
bool items_ready(struct items *items);

/* The request without its objects: what was read of it so far. Borrowed. */
const json_t *items_request(const struct items *items);

#endif
