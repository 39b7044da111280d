/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Lines made calls, and their answers: at once, or later, in the order in which they were asked
 * for.
 */
#include <errno.h>
#include <string.h>

#include "server_private.h"
#include "util.h"

/* ---- answers ---- */

char *line_text(const json_t *object)
{
	return object ? json_dumps(object, JSON_COMPACT) : NULL;
}

/* Returns the bytes added, or -errno. */
ssize_t peer_write(struct peer *peer, const char *text)
{
	size_t length;

	if (!text)
		return -ENOMEM;
	length = strlen(text);
	if (evbuffer_add(peer_output(peer), text, length) ||
	    evbuffer_add(peer_output(peer), "\n", 1))
		return -ENOMEM;
	return (ssize_t)length + 1;
}

static void call_free(struct server_call **owner)
{
	struct server_call *call = TAKE_PTR(*owner);

	if (!call)
		return;
	if (call->peer) {
		TAILQ_REMOVE(&call->peer->calls, call, next);
		call->peer->n_calls--;
	}
	json_decref(call->id);
	free(call->text);
	free(call);
}

void peer_forget_calls(struct peer *peer)
{
	struct server_call *call;

	while ((call = TAILQ_FIRST(&peer->calls))) {
		if (call->answered) {
			call_free(&call);
			continue;
		}
		TAILQ_REMOVE(&peer->calls, call, next);
		call->peer = NULL;
	}
	peer->n_calls = 0;
}

static struct server_call *call_new(struct peer *peer, json_t *id)
{
	struct server_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->peer = peer;
	call->id = json_incref(id);
	TAILQ_INSERT_TAIL(&peer->calls, call, next);
	peer->n_calls++;
	return call;
}

/* The answers whose turn it is. Returns 0 or -ENOMEM. */
static int peer_flush(struct peer *peer)
{
	struct server_call *call;
	ssize_t length = 0;

	while (length >= 0 && (call = TAILQ_FIRST(&peer->calls)) && call->answered) {
		if (call->text)
			length = peer_write(peer, call->text);
		if (call->text && length > 0)
			peer->answer = (size_t)length;
		call_free(&call);
	}
	return length < 0 ? (int)length : 0;
}

/* Takes text over; NULL: there is no answer. */
static int call_finish(struct server_call *call, char *text)
{
	call->text = text;
	call->answered = true;
	return peer_flush(call->peer);
}

static int peer_answer(struct peer *peer, const json_t *answer)
{
	struct server_call *call = call_new(peer, NULL);
	char *text = line_text(answer);

	if (!call || !text) {
		call_free(&call);
		free(text);
		return -ENOMEM;
	}
	return call_finish(call, text);
}

/* ---- lines ---- */

/* Takes the line off the input. A buffer that grew large is given back before the call runs. */
static void peer_consume_line(struct peer *peer)
{
	const size_t rest = peer->used - (peer->scanned + 1);
	char *shorter;

	peer_end_part(peer);
	if (!rest) {
		peer_forget_input(peer);
		return;
	}
	memmove(peer->line, peer->line + peer->scanned + 1, rest);
	peer->used = rest;
	peer->scanned = 0;
	peer->complete = peer->untold = false;
	if (peer->size <= LARGE_LINE)
		return;
	shorter = realloc(peer->line, rest);
	if (shorter)
		peer_resize(peer, shorter, rest, rest);
}

/* Hands a long line over. -ENOTSUP: it is to be parsed here. */
static int peer_hand_over(struct peer *peer)
{
	struct server *server = peer->server;
	const size_t length = peer->scanned, rest = peer->used - (length + 1);
	_cleanup_free_ char *copy = NULL;
	struct server_call *call;
	char *line = peer->line;
	int r;

	if (length <= LARGE_LINE || !server->long_line)
		return -ENOTSUP;
	copy = malloc(rest ?: 1);
	call = copy ? call_new(peer, NULL) : NULL;
	if (!call)
		return -ENOMEM;
	memcpy(copy, line + length + 1, rest);
	r = server->long_line(server->arg, &line, length, call);
	if (r) {
		call_free(&call);
		return r;
	}
	peer_resize(peer, NULL, 0, 0);
	peer->used = peer->scanned = 0;
	peer->complete = peer->told = peer->untold = false;
	if (rest) {
		peer_resize(peer, TAKE_PTR(copy), rest, rest);
		peer->used = rest;
	}
	return 0;
}

/* The line made a request, or answered. */
static int peer_parse(struct peer *peer, json_t **request, json_t **answer)
{
	const size_t max = peer->server->max_parsed;
	struct rpc_error error = {};
	int r = 0;

	peer->server->littered |= peer->scanned > LARGE_LINE;
	if (peer->scanned <= max) {
		r = rpc_parse(peer->line, peer->scanned, request, answer);
	} else {
		rpc_error_set(&error, RPC_INVALID_REQUEST,
			      "a line of more than %zu bytes must be apply or replace, with "
			      "\"method\" before \"params\"",
			      max);
		*answer = rpc_error_json(NULL, &error);
		r = *answer ? 0 : -ENOMEM;
	}
	peer_consume_line(peer);
	return r;
}

static int peer_call(struct peer *peer, json_t **request)
{
	struct server *server = peer->server;
	json_auto_t *answer = NULL;
	int r;

	server->running = peer;
	server->id = json_object_get(*request, "id");
	r = rpc_call(server->methods, server->arg, *request, &answer, &peer->subscribed);
	server->running = NULL;
	server->id = NULL;
	if (r == RPC_AGAIN)
		peer->put_off = TAKE_PTR(*request);
	if (r || !answer || peer->dead)
		return r;
	return peer_answer(peer, answer);
}

void peer_run(struct peer *peer)
{
	json_auto_t *request = TAKE_PTR(peer->put_off);
	json_auto_t *answer = NULL;
	int r = request ? 1 : -ENOTSUP;

	peer_leave_queue(peer);
	if (!request)
		r = peer_hand_over(peer);
	if (r == -ENOTSUP)
		r = peer_parse(peer, &request, &answer);
	if (r >= 0 && request)
		r = peer_call(peer, &request);
	else if (r >= 0 && answer)
		r = peer_answer(peer, answer);
	peer->blocked = r == RPC_AGAIN;
	if (peer->dead || r < 0)
		peer_drop(peer);
	else
		peer_update(peer);
}

struct server_call *server_defer(struct server *server)
{
	return call_new(server->running, server->id);
}

void server_set_id(struct server_call *call, json_t *id)
{
	json_decref(call->id);
	call->id = json_incref(id);
}

void server_answer(struct server_call **owner, int r, json_t *result, struct rpc_error *error)
{
	struct server_call *call = TAKE_PTR(*owner);
	json_auto_t *answer = NULL;
	struct peer *peer;
	char *text = NULL;

	if (!call)
		return;
	peer = call->peer;
	if (!peer) {
		call_free(&call);
		return;
	}
	if (r < 0)
		rpc_error_complete(error, r);
	if (call->id) {
		answer =
			r < 0 ? rpc_error_json(call->id, error) : rpc_result_json(call->id, result);
		text = line_text(answer);
	}
	r = call->id && !text ? -ENOMEM : call_finish(call, text);
	if (r < 0 || (peer->closing && !peer->n_calls && !evbuffer_get_length(peer_output(peer))))
		peer_drop(peer);
	else
		peer_update(peer);
}

void server_kick(struct server *server)
{
	server->kicked = true;
	server_schedule(server);
}

void server_wake(struct server *server)
{
	struct peer *peer;

	TAILQ_FOREACH(peer, &server->peers, all)
	{
		if (!peer->blocked || peer->dead)
			continue;
		peer->blocked = false;
		peer_enqueue(peer);
	}
}

bool server_is_watched(const struct server *server)
{
	const struct peer *peer;

	TAILQ_FOREACH(peer, &server->peers, all)
	if (peer->subscribed)
		return true;
	return false;
}
