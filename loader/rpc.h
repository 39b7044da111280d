/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * JSON-RPC 2.0 as messages, without any I/O: error codes, a table of methods, a line of text made a
 * request, and a request made an answer. The protocol is in docs/socket.md; its two ends are
 * server.h and client.h.
 */
#ifndef NEARPATH_LOADER_RPC_H
#define NEARPATH_LOADER_RPC_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define RPC_DEFAULT_PATH "/run/nearpath/nearpath.sock"

enum rpc_code {
	RPC_PARSE = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_BAD_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_FAILED = -32000,	/* the call was understood and could not be carried out */
	RPC_LIMIT = -32001,	/* a limit of the socket; the connection is closed */
	RPC_FORBIDDEN = -32002, /* the peer may not connect; the connection is closed */
};

/* data is owned by the struct and may be NULL. */
struct rpc_error {
	int code;
	char message[512];
	json_t *data;
};

/* Replaces code and message; data stays as it is. */
__attribute__((format(printf, 3, 4))) static inline void
rpc_error_set(struct rpc_error *error, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error->code = code;
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
}

static inline void rpc_error_clear(struct rpc_error *error)
{
	json_decref(error->data);
	*error = (struct rpc_error){};
}

/*
 * Carries out one call. params is borrowed and is an object or NULL. Returns 0 with *result set (a
 * new reference; left NULL it is answered as null), or -errno with *error filled; a code left at 0
 * is answered as RPC_FAILED, an empty message as the text of the errno. Or one of these. May call
 * server_notify(), but not server_free().
 */
#define RPC_LATER 1 /* the answer is given later: server_defer() */
#define RPC_AGAIN 2 /* it cannot be done now; it will be called again: server_wake() */
typedef int (*rpc_handler)(void *arg, json_t *params, json_t **result, struct rpc_error *error);

struct rpc_method {
	const char *name; /* NULL ends a table */
	rpc_handler handler;
	bool subscribes; /* a client that called it gets server_notify() from then on */
};

/* The answer that reports an error; id is borrowed and may be NULL. NULL when out of memory. */
json_t *rpc_error_json(json_t *id, const struct rpc_error *error);

/* The answer to a call that succeeded; both borrowed. */
json_t *rpc_result_json(json_t *id, json_t *result);

/* Code and message of an error of which a handler may have left them out; r: what it returned. */
void rpc_error_complete(struct rpc_error *error, int r);

/* Why it is no request, or NULL. */
const char *rpc_fault(const json_t *request);

/* Sets *request, or *answer where the line is no valid request. -ENOMEM. */
int rpc_parse(const char *line, size_t length, json_t **request, json_t **answer);

/*
 * Carries out a request that rpc_parse() made. *answer stays NULL where none is wanted; *subscribed
 * becomes true where the method subscribes. -ENOMEM; a call that fails is an answer. RPC_LATER,
 * RPC_AGAIN: as the handler returned.
 */
int rpc_call(const struct rpc_method *methods, void *arg, const json_t *request, json_t **answer,
	     bool *subscribed);

#endif
