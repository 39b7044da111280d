/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The texts of a page: the newest, and those that some connection has not read to its end. */
#include "page.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <time.h>

#include "util.h"

/* A text is used again for this many times as long as it took to write, ... */
#define REUSE 10
/* ... and longer, while so many are being read. */
#define TEXTS_MAX 8

struct text {
	struct page *page;
	char *text;
	size_t length;
	unsigned references;
};

struct page {
	page_writer writer;
	void *arg;
	struct text *newest;
	double until;	/* it is used again, in seconds of the steady clock */
	unsigned texts; /* there are */
	bool abandoned; /* goes with the last of its texts */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void text_drop(struct text *t)
{
	struct page *page = t->page;

	if (--t->references)
		return;
	free(t->text);
	free(t);
	if (!--page->texts && page->abandoned)
		free(page);
}

static void on_read(const void *data, size_t length, void *arg)
{
	(void)data, (void)length;
	text_drop(arg);
}

static int write_text(struct page *page)
{
	struct text *t = calloc(1, sizeof(*t));
	int rc = t ? page->writer(page->arg, &t->text, &t->length) : -ENOMEM;

	if (rc) {
		free(t);
		return rc;
	}
	t->page = page;
	t->references = 1;
	page->texts++;
	if (page->newest)
		text_drop(page->newest);
	page->newest = t;
	return 0;
}

static int refresh(struct page *page)
{
	const double before = now();
	int rc;

	if (page->newest && (before < page->until || page->texts >= TEXTS_MAX))
		return 0;
	rc = write_text(page);
	page->until = now() + REUSE * (now() - before);
	return rc;
}

void page_answer(struct page *page, struct http_answer *answer)
{
	struct text *t;

	answer->shared = true;
	if (refresh(page)) {
		answer->status = 500;
		return;
	}
	t = page->newest;
	t->references++;
	if (evbuffer_add_reference(answer->body, t->text, t->length, on_read, t)) {
		text_drop(t);
		answer->status = 500;
	}
}

int page_new(page_writer writer, void *arg, struct page **page)
{
	struct page *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->writer = writer;
	new->arg = arg;
	*page = new;
	return 0;
}

void page_free(struct page **owner)
{
	struct page *page = TAKE_PTR(*owner);

	if (!page)
		return;
	page->abandoned = true;
	if (page->newest)
		text_drop(page->newest);
	else
		free(page);
}
