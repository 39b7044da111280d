/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The connections of the config socket: lines in, calls, answers out, limits and turns. The file
 * system and credential side of the socket is in server_socket.c, methods belong to the caller.
 *
 * A peer has at most one complete line here; reading stops until that line was carried out and the
 * answer before it was mostly read. Answers may come later than that, in the order of the calls; of
 * calls that wait so a peer has a limited number.
 */
#include "server.h"

#include <errno.h>
#include <event2/listener.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>

#include "server_private.h"
#include "util.h"

#define DEFAULT_MAX_LINE     (512UL << 20)
#define DEFAULT_MAX_PARSED   (64UL << 20)
#define DEFAULT_MAX_CLIENTS  64
#define DEFAULT_LINE_SECONDS 30
#define LIBEVENT_READ	     4096 /* bytes, if there are so many */
#define FIRST_BUFFER	     4096
/* With more notifications than this unread, a peer is cut off. */
#define OUTPUT_MAX (4UL << 20)

static const struct timeval at_once = {};
static const struct timeval accept_pause = {.tv_usec = 200 * 1000};

void peer_leave_queue(struct peer *peer)
{
	if (peer->queue)
		TAILQ_REMOVE(peer->queue, peer, turn);
	peer->queue = NULL;
}

/* Tell that the rest of the line does not come. */
void peer_end_part(struct peer *peer)
{
	if (peer->told)
		peer->server->part(peer->server->arg, peer->line, 0);
	peer->told = false;
}

void peer_forget_input(struct peer *peer)
{
	peer_end_part(peer);
	util_free(&peer->line);
	peer_resize(peer, NULL, 0, 0);
	peer->used = peer->scanned = 0;
	peer->complete = peer->untold = false;
}

static void peer_free(struct peer **owner)
{
	struct peer *peer = TAKE_PTR(*owner);

	if (!peer)
		return;
	peer_forget_calls(peer);
	json_decref(peer->put_off);
	peer_leave_queue(peer);
	peer_forget_input(peer);
	TAILQ_REMOVE(&peer->server->peers, peer, all);
	peer->server->clients--;
	if (peer->deadline)
		event_free(peer->deadline);
	if (peer->bev)
		bufferevent_free(peer->bev);
	free(peer);
}

void peer_drop(struct peer *peer)
{
	if (peer == peer->server->running)
		peer->dead = true;
	else
		peer_free(&peer);
}

/* Closes the connection once the error is written. What the peer still sends is not read. */
static void peer_cut(struct peer *peer, const struct rpc_error *error)
{
	json_auto_t *object = rpc_error_json(NULL, error);
	_cleanup_free_ char *text = line_text(object);

	peer_leave_queue(peer);
	peer_forget_input(peer);
	peer_forget_calls(peer);
	evtimer_del(peer->deadline);
	bufferevent_disable(peer->bev, EV_READ);
	bufferevent_setwatermark(peer->bev, EV_WRITE, 0, 0);
	peer->closing = true;
	if (peer_write(peer, text) < 0)
		peer_drop(peer);
}

/* ---- turns ---- */

void server_schedule(struct server *server)
{
	/* A timer and not an active event: the descriptors are polled between two turns. */
	if (!evtimer_pending(server->turn, NULL))
		evtimer_add(server->turn, &at_once);
}

static void server_turn(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct peer *peer;
	unsigned turns = 0;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(peer, &server->small, turn)
	turns++;
	/* A call may drop other peers: take the first anew each time. */
	for (; turns && (peer = TAILQ_FIRST(&server->small)); turns--)
		peer_run(peer);
	peer = TAILQ_FIRST(&server->large);
	if (peer)
		peer_run(peer);
	/* 64 MiB of JSON are 1 GiB of small pieces, which glibc keeps otherwise. */
	if (server->littered)
		malloc_trim(0);
	server->littered = false;
	if (server->kicked)
		server->kicked = server->work(server->arg);
	if (server->kicked || !TAILQ_EMPTY(&server->small) || !TAILQ_EMPTY(&server->large))
		server_schedule(server);
}

/* ---- input ---- */

static void peer_scan(struct peer *peer)
{
	const char *end;

	if (peer->complete || peer->scanned == peer->used)
		return;
	end = memchr(peer->line + peer->scanned, '\n', peer->used - peer->scanned);
	peer->complete = end != NULL;
	peer->scanned = end ? (size_t)(end - peer->line) : peer->used;
}

void peer_enqueue(struct peer *peer)
{
	struct server *server = peer->server;

	if (peer->queue || peer->blocked)
		return;
	peer->queue =
		!peer->put_off && peer->scanned > LARGE_LINE ? &server->large : &server->small;
	TAILQ_INSERT_TAIL(peer->queue, peer, turn);
	server_schedule(server);
}

static void peer_tell_part(struct peer *peer)
{
	struct server *server = peer->server;

	if (peer->complete || peer->untold || !server->part || !server->long_line)
		return;
	peer->told = server->part(server->arg, peer->line, peer->used);
	peer->untold = !peer->told;
}

void peer_update(struct peer *peer)
{
	const bool backed_up =
		evbuffer_get_length(peer_output(peer)) > OUTPUT_LOW || peer->n_calls >= CALLS_MAX;
	struct server *server = peer->server;
	struct rpc_error error = {};

	if (peer->closing || peer->put_off)
		return;
	peer_scan(peer);
	if (peer->scanned > server->max_line) {
		rpc_error_set(&error, RPC_LIMIT,
			      "the line is longer than %zu bytes: send fewer objects in a call",
			      server->max_line);
		peer_cut(peer, &error);
		return;
	}
	if (peer->complete && !backed_up)
		peer_enqueue(peer);
	else if (peer->used > SERVER_PART)
		peer_tell_part(peer);
	if (peer->complete || backed_up) {
		bufferevent_disable(peer->bev, EV_READ);
		evtimer_del(peer->deadline);
		return;
	}
	bufferevent_enable(peer->bev, EV_READ);
	if (!peer->used)
		evtimer_del(peer->deadline);
	else if (!evtimer_pending(peer->deadline, NULL))
		evtimer_add(peer->deadline, &server->patience);
}

/*
 * A line of more than SERVER_PART is given all that a line may have, and stays where it is; where
 * there is no memory for that, it is told of as a whole only.
 */
static char *line_grow(struct peer *peer, size_t size, size_t *room)
{
	char *line = NULL;

	*room = peer->server->max_line + LARGE_LINE;
	if (size > SERVER_PART && size <= *room)
		line = realloc(peer->line, *room);
	if (line)
		return line;
	peer->untold = size > SERVER_PART;
	*room = size;
	return realloc(peer->line, size);
}

/* Makes room for more bytes. Returns 0, -ENOMEM, or -ENOBUFS when the budget is spent. */
static int peer_reserve(struct peer *peer, size_t more)
{
	struct server *server = peer->server;
	size_t size = peer->size ? peer->size : FIRST_BUFFER, room = peer->room;
	char *line = peer->line;

	while (size - peer->used < more)
		size *= 2;
	if (size == peer->size)
		return 0;
	/* What was read is never above the limit by more than one read. */
	if (size > server->max_line + more)
		size = server->max_line + more;
	if (size > LARGE_LINE && server->held - peer->size + size >
					 LARGE_LINES_AT_ONCE * (server->max_line + LARGE_LINE))
		return -ENOBUFS;
	if (size > room)
		line = line_grow(peer, size, &room);
	if (!line)
		return -ENOMEM;
	peer_resize(peer, line, size, room);
	return 0;
}

static void peer_refuse_line(struct peer *peer, int r)
{
	struct rpc_error error = {};

	rpc_error_set(&error, RPC_LIMIT, "no memory for this line: %s",
		      r == -ENOBUFS ? "too many long lines at once, try again" : strerror(-r));
	peer_cut(peer, &error);
}

/*
 * What there is beyond the 4096 bytes that libevent takes at a time, straight into the line. An end
 * or an error is left for libevent to meet. Returns 0, or as peer_reserve().
 */
static int peer_read_on(struct peer *peer)
{
	const int fd = bufferevent_getfd(peer->bev);
	size_t room;
	ssize_t length;
	int r;

	if (memchr(peer->line + peer->scanned, '\n', peer->used - peer->scanned))
		return 0;
	r = peer_reserve(peer, LIBEVENT_READ);
	if (r < 0)
		return r;
	room = peer->size - peer->used;
	length = recv(fd, peer->line + peer->used, room < READ_AT_ONCE ? room : READ_AT_ONCE,
		      MSG_DONTWAIT);
	peer->used += length > 0 ? (size_t)length : 0;
	return 0;
}

/*
 * The bytes are moved to a buffer of our own: a line of 512 MiB in an evbuffer is 131072 pieces,
 * which would be walked from the first at every search.
 */
static void peer_readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t length = evbuffer_get_length(input);
	struct peer *peer = arg;
	int r;

	if (!length || peer->closing)
		return;
	r = peer_reserve(peer, length);
	if (!r) {
		evbuffer_remove(input, peer->line + peer->used, length);
		peer->used += length;
		r = length == LIBEVENT_READ ? peer_read_on(peer) : 0;
	}
	if (r < 0)
		peer_refuse_line(peer, r);
	else
		peer_update(peer);
}

static void peer_written(struct bufferevent *bev, void *arg)
{
	struct peer *peer = arg;

	(void)bev;
	if (!peer->closing)
		peer_update(peer);
	else if (!evbuffer_get_length(peer_output(peer)) && !peer->n_calls)
		peer_drop(peer);
}

static void peer_event(struct bufferevent *bev, short what, void *arg)
{
	struct peer *peer = arg;
	struct rpc_error error = {};

	(void)bev;
	if (!(what & BEV_EVENT_EOF)) { /* an error, or an answer nobody reads */
		peer_drop(peer);
		return;
	}
	if (peer->used) {
		rpc_error_set(&error, RPC_PARSE, "the connection ended in the middle of a line");
		peer_cut(peer, &error);
		return;
	}
	peer->closing = true;
	bufferevent_setwatermark(peer->bev, EV_WRITE, 0, 0);
	if (!evbuffer_get_length(peer_output(peer)) && !peer->n_calls)
		peer_drop(peer);
}

static void peer_late(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	struct rpc_error error = {};

	(void)fd;
	(void)what;
	rpc_error_set(&error, RPC_LIMIT, "the line was not complete after %ld seconds",
		      (long)peer->server->patience.tv_sec);
	peer_cut(peer, &error);
}

/* ---- connections ---- */

static int peer_new(struct server *server, int *fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	peer->server = server;
	TAILQ_INIT(&peer->calls);
	TAILQ_INSERT_TAIL(&server->peers, peer, all);
	server->clients++;
	peer->bev = bufferevent_socket_new(server->base, *fd, BEV_OPT_CLOSE_ON_FREE);
	if (peer->bev)
		*fd = -1;
	peer->deadline = evtimer_new(server->base, peer_late, peer);
	if (!peer->bev || !peer->deadline) {
		peer_free(&peer);
		return -ENOMEM;
	}
	bufferevent_setcb(peer->bev, peer_readable, peer_written, peer_event, peer);
	bufferevent_setwatermark(peer->bev, EV_WRITE, OUTPUT_LOW, 0);
	bufferevent_set_timeouts(peer->bev, NULL, &server->patience);
	bufferevent_enable(peer->bev, EV_READ | EV_WRITE);
	return 0;
}

/* A new connection has an empty socket buffer: the line fits, and nothing waits for its reader. */
static void refuse(int fd, const struct rpc_error *error)
{
	json_auto_t *object = rpc_error_json(NULL, error);
	_cleanup_free_ char *text = line_text(object);
	struct iovec part[] = {
		{.iov_base = text, .iov_len = text ? strlen(text) : 0},
		{.iov_base = "\n", .iov_len = 1},
	};
	const struct msghdr message = {.msg_iov = part, .msg_iovlen = ARRAY_SIZE(part)};

	if (text)
		sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void server_accepted(struct evconnlistener *listener, evutil_socket_t accepted,
			    struct sockaddr *address, int length, void *arg)
{
	struct server *server = arg;
	_cleanup_close_ int fd = accepted;
	struct rpc_error error = {};

	(void)listener;
	(void)address;
	(void)length;
	if (server_socket_check_peer(&server->socket, fd, &error) < 0) {
		refuse(fd, &error);
		return;
	}
	if (server->clients >= server->max_clients) {
		rpc_error_set(&error, RPC_LIMIT,
			      "%u clients are connected, no more are taken: close one",
			      server->clients);
		refuse(fd, &error);
		return;
	}
	peer_new(server, &fd);
}

/* Out of descriptors or memory: the listening socket stays readable, so polling it would spin. */
static void server_accept_failed(struct evconnlistener *listener, void *arg)
{
	struct server *server = arg;

	evconnlistener_disable(listener);
	evtimer_add(server->resume, &accept_pause);
}

static void server_resume(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(server->listener);
}

/* ---- the server ---- */

void server_notify(struct server *server, const char *method, json_t *params)
{
	json_auto_t *object =
		json_pack("{s:s, s:s, s:o*}", "jsonrpc", "2.0", "method", method, "params", params);
	_cleanup_free_ char *text = line_text(object);
	struct peer *peer = TAILQ_FIRST(&server->peers);
	struct peer *next;

	for (; peer; peer = next) {
		next = TAILQ_NEXT(peer, all);
		if (!peer->subscribed || peer->closing || peer->dead)
			continue;
		/* A peer that would miss an event is better off knowing: it is cut off. */
		if (peer_write(peer, text) < 0 ||
		    evbuffer_get_length(peer_output(peer)) > OUTPUT_MAX + peer->answer)
			peer_drop(peer);
	}
}

static int server_listen(struct server *server, const struct server_options *options)
{
	_cleanup_close_ int fd = -1;
	int r;

	server->turn = evtimer_new(server->base, server_turn, server);
	server->resume = evtimer_new(server->base, server_resume, server);
	if (!server->turn || !server->resume)
		return -ENOMEM;
	r = server_socket_open(&server->socket, options->path, options->group, &fd);
	if (r < 0)
		return r;
	/* A backlog of 0: it listens already. */
	server->listener = evconnlistener_new(server->base, server_accepted, server,
					      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!server->listener)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	evconnlistener_set_error_cb(server->listener, server_accept_failed);
	return 0;
}

int server_new(struct event_base *base, const struct server_options *options,
	       const struct rpc_method *methods, void *arg, struct server **server)
{
	_cleanup_(server_free) struct server *new = calloc(1, sizeof(*new));
	int r;

	if (!new)
		return -ENOMEM;
	new->base = base;
	new->methods = methods;
	new->arg = arg;
	new->max_line = options->max_line ? options->max_line : DEFAULT_MAX_LINE;
	new->max_parsed = options->max_parsed ? options->max_parsed : DEFAULT_MAX_PARSED;
	new->long_line = options->long_line;
	new->part = options->part;
	new->work = options->work;
	new->max_clients = options->max_clients ? options->max_clients : DEFAULT_MAX_CLIENTS;
	new->patience.tv_sec = options->line_seconds ? options->line_seconds : DEFAULT_LINE_SECONDS;
	TAILQ_INIT(&new->peers);
	TAILQ_INIT(&new->small);
	TAILQ_INIT(&new->large);
	r = server_listen(new, options);
	if (r < 0)
		return r;
	*server = TAKE_PTR(new);
	return 0;
}

void server_free(struct server **owner)
{
	struct server *server = TAKE_PTR(*owner);
	struct peer *peer;

	if (!server)
		return;
	while ((peer = TAILQ_FIRST(&server->peers)))
		peer_free(&peer);
	server_socket_close(&server->socket);
	if (server->listener)
		evconnlistener_free(server->listener);
	if (server->turn)
		event_free(server->turn);
	if (server->resume)
		event_free(server->resume);
	free(server);
}
