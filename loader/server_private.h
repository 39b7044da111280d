/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What server.c and server_calls.c share: clients and their calls. Private to them. */
#ifndef NEARPATH_LOADER_SERVER_PRIVATE_H
#define NEARPATH_LOADER_SERVER_PRIVATE_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/queue.h>

#include "server.h"
#include "server_socket.h"

/* A longer line is large: one large line a loop turn is parsed, and all together have a budget. */
#define LARGE_LINE	    SERVER_LONG
#define LARGE_LINES_AT_ONCE 2
#define READ_AT_ONCE	    (256UL << 10)
/* Calls of a peer that are yet to be answered. */
#define CALLS_MAX 1024
/* With more than this unread, a peer's next line waits. */
#define OUTPUT_LOW (64UL << 10)

TAILQ_HEAD(peer_queue, peer);
TAILQ_HEAD(call_queue, server_call);

/* A call that is answered later, or after one that is. */
struct server_call {
	TAILQ_ENTRY(server_call) next;
	struct peer *peer; /* NULL: it is gone */
	json_t *id;	   /* NULL: no answer is wanted */
	char *text;	   /* of the answer */
	bool answered;
};

struct peer {
	TAILQ_ENTRY(peer) all;
	TAILQ_ENTRY(peer) turn;
	struct peer_queue *queue; /* where it waits for its turn, or NULL */
	struct server *server;
	struct bufferevent *bev;
	struct event *deadline; /* of the line that has begun */
	char *line;		/* the line being read; once complete, more may follow it */
	size_t used;
	size_t size;	/* as it is counted */
	size_t room;	/* as it is: memory that nothing was written to costs nothing */
	size_t scanned; /* no newline before here, and one here if complete */
	size_t answer;	/* bytes of the last answer, which OUTPUT_MAX does not count */
	struct call_queue calls;
	unsigned n_calls;
	json_t *put_off; /* a request that is to be tried again */
	bool complete;
	bool told;    /* server_part of the line, */
	bool untold;  /* and it was not to be any more */
	bool blocked; /* its request, or its long line, is to be tried again */
	bool subscribed;
	bool closing; /* goes when its calls are answered and its output is written */
	bool dead;    /* goes when its call returns */
};

struct server {
	struct event_base *base;
	const struct rpc_method *methods;
	void *arg;
	size_t max_line;
	size_t max_parsed;
	unsigned max_clients;
	server_long long_line;
	server_part part;
	bool (*work)(void *arg);
	bool kicked;
	bool littered; /* a long line was parsed as a whole */
	struct timeval patience;
	struct server_socket socket;
	struct evconnlistener *listener;
	struct event *resume; /* accepting, after the descriptors ran out */
	struct event *turn;
	struct peer_queue peers;
	struct peer_queue small;
	struct peer_queue large;
	unsigned clients;
	size_t held; /* bytes in all line buffers */
	struct peer *running;
	json_t *id; /* of the call that is running */
};

static inline struct evbuffer *peer_output(const struct peer *peer)
{
	return bufferevent_get_output(peer->bev);
}

/* Line buffers are counted. */
static inline void peer_resize(struct peer *peer, char *line, size_t size, size_t room)
{
	peer->server->held += size - peer->size;
	peer->line = line;
	peer->size = size;
	peer->room = room;
}

/* Where clients are: server.c. */
void peer_leave_queue(struct peer *peer);
void peer_forget_input(struct peer *peer);
void peer_end_part(struct peer *peer);
void peer_enqueue(struct peer *peer);
/* Decides what a peer does next: wait for its turn, for its reader, or for more of its line. */
void peer_update(struct peer *peer);
/* Closes the connection now, or as soon as the peer's own call has returned. */
void peer_drop(struct peer *peer);
void server_schedule(struct server *server);

/* What they ask: server_calls.c. */
char *line_text(const json_t *object);
ssize_t peer_write(struct peer *peer, const char *text); /* the bytes added, or -errno */
void peer_run(struct peer *peer);
/* Calls that are yet to be answered are left to who answers them. */
void peer_forget_calls(struct peer *peer);

#endif
