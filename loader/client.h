/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The calling end of the config socket, blocking, one call at a time. Prints nothing.
 */
#ifndef NEARPATH_LOADER_CLIENT_H
#define NEARPATH_LOADER_CLIENT_H

#include "rpc.h"

struct client;

/*
 * -ENOENT or -ECONNREFUSED: no daemon there. -EACCES: the file's mode forbids it. Any other -errno
 * of socket() and connect().
 */
int client_connect(const char *path, struct client **client);
void client_free(struct client **client);

/* How long a call may take, in seconds; 0: for ever, which is how it begins. */
void client_set_timeout(struct client *client, unsigned seconds);

/*
 * Both set error->message when they fail, except with -ENOMEM:
 * -EREMOTEIO: the daemon refused; error is what it said.
 * -EPROTO: what came back is not the protocol.
 * -ECONNRESET: the daemon went away. -ETIMEDOUT: it did not answer. Other -errno: the socket.
 * After anything but -EREMOTEIO the client is of no more use.
 */

/* Takes params, which may be NULL. *result is a new reference. */
int client_call(struct client *client, const char *method, json_t *params, json_t **result,
		struct rpc_error *error);

/* The same with params as text, in which there is no newline. */
int client_call_text(struct client *client, const char *method, const char *params, json_t **result,
		     struct rpc_error *error);

/* Waits for a notification and returns its params, NULL for none, as a new reference. */
int client_next_event(struct client *client, json_t **params, struct rpc_error *error);

#endif
