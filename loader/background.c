/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A thread with a queue, and an eventfd by which the loop hears of what is done. */
#include "background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "util.h"

struct piece {
	STAILQ_ENTRY(piece) next;
	int (*work)(void *arg);
	void (*done)(int rc, void *arg);
	void *arg;
	int rc;
};

STAILQ_HEAD(pieces, piece);

struct background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct pieces waiting;
	struct pieces finished;
	bool started;
	bool ending;
	int fd;
	struct event *event;
};

static void *run(void *arg)
{
	const uint64_t one = 1;
	struct background *b = arg;
	struct piece *piece;

	pthread_mutex_lock(&b->lock);
	while (!b->ending || !STAILQ_EMPTY(&b->waiting)) {
		piece = STAILQ_FIRST(&b->waiting);
		if (!piece) {
			pthread_cond_wait(&b->more, &b->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&b->waiting, next);
		pthread_mutex_unlock(&b->lock);
		piece->rc = piece->work(piece->arg);
		pthread_mutex_lock(&b->lock);
		STAILQ_INSERT_TAIL(&b->finished, piece, next);
		if (write(b->fd, &one, sizeof(one)) < 0)
			continue; /* its counter is full: the loop is told already */
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static struct piece *next_finished(struct background *b)
{
	struct piece *piece;

	pthread_mutex_lock(&b->lock);
	piece = STAILQ_FIRST(&b->finished);
	if (piece)
		STAILQ_REMOVE_HEAD(&b->finished, next);
	pthread_mutex_unlock(&b->lock);
	return piece;
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct background *b = arg;
	struct piece *piece;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	while ((piece = next_finished(b))) {
		piece->done(piece->rc, piece->arg);
		free(piece);
	}
}

int background_do(struct background *b, int (*work)(void *arg), void (*done)(int rc, void *arg),
		  void *arg)
{
	struct piece *piece = calloc(1, sizeof(*piece));

	if (!piece)
		return -ENOMEM;
	piece->work = work;
	piece->done = done;
	piece->arg = arg;
	pthread_mutex_lock(&b->lock);
	STAILQ_INSERT_TAIL(&b->waiting, piece, next);
	pthread_cond_signal(&b->more);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

int background_thread(pthread_t *thread, void *(*work)(void *arg), void *arg)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, work, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int background_new(struct event_base *base, struct background **background)
{
	_cleanup_(background_free) struct background *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->more, NULL);
	STAILQ_INIT(&b->waiting);
	STAILQ_INIT(&b->finished);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0)
		return -errno;
	b->event = event_new(base, b->fd, EV_READ | EV_PERSIST, on_finished, b);
	if (!b->event || event_add(b->event, NULL))
		return -ENOMEM;
	rc = background_thread(&b->thread, run, b);
	b->started = !rc;
	if (!rc)
		*background = TAKE_PTR(b);
	return rc;
}

void background_free(struct background **background)
{
	struct background *b = TAKE_PTR(*background);
	struct piece *piece;

	if (!b)
		return;
	if (b->started) {
		pthread_mutex_lock(&b->lock);
		b->ending = true;
		pthread_cond_signal(&b->more);
		pthread_mutex_unlock(&b->lock);
		pthread_join(b->thread, NULL);
	}
	while ((piece = next_finished(b)))
		free(piece);
	if (b->event)
		event_free(b->event);
	util_close(&b->fd);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->more);
	free(b);
}
