/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * JSON-RPC 2.0 over a UNIX stream socket, one object a line, for clients that are not trusted to
 * behave. Owns the socket file, the connections, the limits and the turns clients take. Knows no
 * method: those come in a table. Logs nothing.
 */
#ifndef NEARPATH_LOADER_SERVER_H
#define NEARPATH_LOADER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "rpc.h"

struct event_base;
struct server;
struct server_call;

/*
 * Takes a long line (of more than SERVER_LONG bytes) over, *line to be freed by free(), and answers
 * the call later; RPC_AGAIN: not now; -ENOTSUP: it is to be parsed as any other.
 */
#define SERVER_LONG (64UL << 10)
typedef int (*server_long)(void *arg, char **line, size_t length, struct server_call *call);

/*
 * Of a line that is not complete: so many bytes of it are there, and stay where they are until
 * server_long has the line, or it does not come: length 0. False: it is not to be told again.
 */
#define SERVER_PART (256UL << 10) /* told of longer ones */
typedef bool (*server_part)(void *arg, const char *line, size_t length);

/* A 0 in the numbers takes the default: 512 MiB, 64 clients, 30 seconds, 64 MiB. */
struct server_options {
	const char *path;
	const char *group; /* NULL: root only */
	size_t max_line;   /* bytes, without the newline */
	unsigned max_clients;
	unsigned line_seconds; /* for a line that has begun, and for an answer that is not read */
	size_t max_parsed;     /* of a line that long_line does not take */
	server_long long_line; /* may be NULL */
	server_part part;      /* may be NULL */
	/* Work in parts, between the turns of clients; true: there is more. May be NULL. */
	bool (*work)(void *arg);
};

/*
 * Listens on options->path; a socket left by a dead daemon is replaced. methods ends with a NULL
 * name and must outlive the server, as arg must; options need not. The caller ignores SIGPIPE.
 * -EADDRINUSE: another daemon listens there. -ENOTSOCK: the path is some other file, left alone.
 * -ESRCH: no such group. -ENAMETOOLONG, and what mkdir, bind, chown and chmod return.
 */
int server_new(struct event_base *base, const struct server_options *options,
	       const struct rpc_method *methods, void *arg, struct server **server);

/* Closes all connections, and removes the socket file if it is still this server's. */
void server_free(struct server **server);

/*
 * The call under way is answered later, by server_answer(); its handler returns RPC_LATER. Clients
 * are answered in the order of their calls. NULL: no memory.
 */
struct server_call *server_defer(struct server *server);

/*
 * r: what the handler would have returned, with *result or *error, which are borrowed. The call is
 * gone then, and so is its client maybe.
 */
void server_answer(struct server_call **call, int r, json_t *result, struct rpc_error *error);

/* The id of a call by a long line; borrowed. */
void server_set_id(struct server_call *call, json_t *id);

/* There is work to do. And calls that were put off (RPC_AGAIN) may be tried again. */
void server_kick(struct server *server);
void server_wake(struct server *server);

/* Is anybody subscribed? */
bool server_is_watched(const struct server *server);

/* Sends a notification to every subscribed client. Takes params, which may be NULL. */
void server_notify(struct server *server, const char *method, json_t *params);

#endif
