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

/* A 0 in the numbers takes the default: 64 MiB, 64 clients, 30 seconds. */
struct server_options {
	const char *path;
	const char *group; /* NULL: root only */
	size_t max_line;   /* bytes, without the newline */
	unsigned max_clients;
	unsigned line_seconds; /* for a line that has begun, and for an answer that is not read */
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

/* Sends a notification to every subscribed client. Takes params, which may be NULL. */
void server_notify(struct server *server, const char *method, json_t *params);

#endif
