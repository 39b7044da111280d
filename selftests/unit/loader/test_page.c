/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tests of loader/page.c: who shares a text, when it is written anew, and who frees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/buffer.h>
#include <unistd.h>

#include "page.h"
#include "util.h"

#define READERS 20

struct writer {
	unsigned written;
	unsigned cost_us;
	int rc;
};

static int write_number(void *arg, char **text, size_t *length)
{
	struct writer *w = arg;

	if (w->rc)
		return w->rc;
	usleep(w->cost_us);
	*length = (size_t)asprintf(text, "%u", ++w->written);
	return 0;
}

static struct evbuffer *ask(struct page *page, unsigned status, const char *body)
{
	struct http_answer answer = {.status = 200, .body = evbuffer_new()};
	size_t length = strlen(body);

	page_answer(page, &answer);
	assert_int_equal(answer.status, status);
	assert_int_equal(evbuffer_get_length(answer.body), length);
	if (length)
		assert_memory_equal(evbuffer_pullup(answer.body, -1), body, length);
	return answer.body;
}

/* Where the machine was busy with something else, the last text was a costly one. */
static struct evbuffer *ask_later(struct page *page, const char *body)
{
	struct http_answer answer;

	for (int i = 0; i < 400; i++) {
		answer = (struct http_answer){.status = 200, .body = evbuffer_new()};
		page_answer(page, &answer);
		if (evbuffer_get_length(answer.body) == strlen(body) &&
		    !memcmp(evbuffer_pullup(answer.body, -1), body, strlen(body)))
			return answer.body;
		evbuffer_free(answer.body);
		usleep(5000);
	}
	fail_msg("never \"%s\"", body);
	return NULL;
}

static void a_costly_text_is_used_again(void **state)
{
	struct writer w = {.cost_us = 50000};
	struct page *page;

	(void)state;
	assert_int_equal(page_new(write_number, &w, &page), 0);
	for (int i = 0; i < READERS; i++)
		evbuffer_free(ask(page, 200, "1"));
	assert_int_equal(w.written, 1);
	page_free(&page);
	assert_null(page);
}

static void a_cheap_text_is_fresh(void **state)
{
	struct writer w = {};
	struct page *page;

	(void)state;
	assert_int_equal(page_new(write_number, &w, &page), 0);
	evbuffer_free(ask(page, 200, "1"));
	evbuffer_free(ask_later(page, "2"));
	page_free(&page);
}

static void unread_texts_are_few_and_outlive_the_page(void **state)
{
	struct evbuffer *reader[READERS];
	struct writer w = {};
	struct page *page;
	char wanted[16];

	(void)state;
	assert_int_equal(page_new(write_number, &w, &page), 0);
	for (unsigned i = 0; i < READERS; i++) {
		snprintf(wanted, sizeof(wanted), "%u", i < 8 ? i + 1 : 8);
		reader[i] = ask_later(page, wanted);
	}
	evbuffer_free(reader[0]);
	reader[0] = ask_later(page, "9");
	page_free(&page);
	for (unsigned i = 0; i < READERS; i++)
		evbuffer_free(reader[i]);
}

static void what_cannot_be_written_is_500(void **state)
{
	struct writer w = {.rc = -ENOMEM};
	struct page *page;

	(void)state;
	assert_int_equal(page_new(write_number, &w, &page), 0);
	evbuffer_free(ask(page, 500, ""));
	w.rc = 0;
	evbuffer_free(ask(page, 200, "1"));
	page_free(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_costly_text_is_used_again),
		cmocka_unit_test(a_cheap_text_is_fresh),
		cmocka_unit_test(unread_texts_are_few_and_outlive_the_page),
		cmocka_unit_test(what_cannot_be_written_is_500),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
