/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Waiting without holding up the event loop: for an RCU grace period, for a disk. One thread, one
 * piece of work at a time; what it is given it alone may touch until the loop is told of its end.
 */
#ifndef NEARPATH_LOADER_BACKGROUND_H
#define NEARPATH_LOADER_BACKGROUND_H

#include <event2/event.h>
#include <pthread.h>

struct background;

/* A thread of its own that takes no signals: those are the loop's. 0 or -errno. */
int background_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);

int background_new(struct event_base *base, struct background **background);
void background_free(struct background **background); /* waits for what is under way */

/*
 * Have work(arg) done; then done(rc, arg) is called by the loop with what it returned. Work is done
 * in the order it was given in. -ENOMEM.
 */
int background_do(struct background *background, int (*work)(void *arg),
		  void (*done)(int rc, void *arg), void *arg);

#endif
