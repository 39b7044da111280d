/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An answer that is long and takes a while to write: whoever asks all the time gets it as it was a
 * moment ago, and all share one text. So neither the loop's time nor memory can be used up by it.
 */
#ifndef NEARPATH_LOADER_PAGE_H
#define NEARPATH_LOADER_PAGE_H

#include <stddef.h>

#include "http.h"

/* Writes *text, to be freed by free(). 0 or -errno. */
typedef int (*page_writer)(void *arg, char **text, size_t *length);

struct page;

int page_new(page_writer writer, void *arg, struct page **page);

/* Connections may still hold texts of it. */
void page_free(struct page **page);

/* The body; status 500 where there is none. */
void page_answer(struct page *page, struct http_answer *answer);

#endif
