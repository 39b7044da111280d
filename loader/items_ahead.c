/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A ring of batches, filled by the thread, emptied by the caller, who holds the one at its tail. */
#include "items_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "background.h"
#include "util.h"

#define BATCH_ITEMS 64
#define BATCH_BYTES (32UL << 10) /* of text: its tree is ten times as long */

struct batch {
	struct item item[BATCH_ITEMS];
	size_t count;
	int rc; /* what came after them: 1, there is more */
	json_error_t why;
};

struct ahead {
	struct items *items;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_cond_t emptied;
	struct batch batch[AHEAD_BATCHES];
	size_t head; /* batches filled so far */
	size_t tail; /* batches emptied so far */
	bool stop;
	size_t at; /* in the batch at the tail; the caller's */
};

static void fill(struct ahead *a, size_t number)
{
	struct batch *b = &a->batch[number];
	size_t bytes = 0;

	arena_begin(number);
	b->count = 0;
	do {
		b->rc = items_read(a->items, &b->item[b->count], &b->why);
		if (b->rc > 0)
			bytes += b->item[b->count++].length;
	} while (b->rc > 0 && b->count < BATCH_ITEMS && bytes < BATCH_BYTES);
}

static bool may_fill(struct ahead *a)
{
	bool may;

	pthread_mutex_lock(&a->lock);
	while (!a->stop && a->head - a->tail == AHEAD_BATCHES)
		pthread_cond_wait(&a->emptied, &a->lock);
	may = !a->stop;
	pthread_mutex_unlock(&a->lock);
	return may;
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	int rc = 1;

	while (rc > 0 && may_fill(a)) {
		fill(a, a->head % AHEAD_BATCHES);
		rc = a->batch[a->head % AHEAD_BATCHES].rc;
		pthread_mutex_lock(&a->lock);
		a->head++;
		pthread_cond_signal(&a->filled);
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

/* The batch at the tail, once it is there. */
static struct batch *await(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	while (a->head == a->tail)
		pthread_cond_wait(&a->filled, &a->lock);
	pthread_mutex_unlock(&a->lock);
	return &a->batch[a->tail % AHEAD_BATCHES];
}

static void empty(struct ahead *a)
{
	a->at = 0;
	pthread_mutex_lock(&a->lock);
	a->tail++;
	pthread_cond_signal(&a->emptied);
	pthread_mutex_unlock(&a->lock);
}

bool ahead_ready(struct ahead *a)
{
	size_t tail = a->tail, filled;

	pthread_mutex_lock(&a->lock);
	filled = a->head;
	pthread_mutex_unlock(&a->lock);
	if (tail == filled)
		return false;
	if (a->at < a->batch[tail % AHEAD_BATCHES].count)
		return true;
	return ++tail != filled && a->batch[tail % AHEAD_BATCHES].count;
}

int ahead_next(struct ahead *a, struct item *item, json_error_t *why)
{
	struct batch *b = await(a);

	while (a->at == b->count && b->rc > 0) {
		empty(a);
		b = await(a);
	}
	if (a->at == b->count) {
		*why = b->why;
		return b->rc;
	}
	*item = b->item[a->at++];
	return 1;
}

struct ahead *ahead_new(struct items *items)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->items = items;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->filled, NULL);
	pthread_cond_init(&a->emptied, NULL);
	if (background_thread(&a->thread, run, a))
		util_free(&a);
	return a;
}

void ahead_free(struct ahead **ahead)
{
	struct ahead *a = TAKE_PTR(*ahead);

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->emptied);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	for (; a->tail != a->head; a->tail++, a->at = 0)
		for (; a->at < a->batch[a->tail % AHEAD_BATCHES].count; a->at++)
			json_decref(a->batch[a->tail % AHEAD_BATCHES].item[a->at].json);
	pthread_cond_destroy(&a->emptied);
	pthread_cond_destroy(&a->filled);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
