/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A call is one line out and one line back. Reading goes on while a request is written: a daemon
 * that cuts us off in the middle of a long line says why before it closes.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "util.h"

#define READ_SIZE  (64UL << 10)
#define ANSWER_MAX (1UL << 30)

struct client {
	int fd;
	unsigned seconds;
	long long call; /* the id of the last call */
	json_t *events; /* notifications that came while a call was waited for */
	char *input;
	size_t used;
	size_t size;
	size_t scanned; /* no newline before here */
	bool ended;
};

struct output {
	const char *text;
	size_t left;
};

int client_connect(const char *path, struct client **client)
{
	_cleanup_(client_free) struct client *new = NULL;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->events = json_array();
	new->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (new->fd < 0)
		return -errno;
	if (!new->events)
		return -ENOMEM;
	if (connect(new->fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	*client = TAKE_PTR(new);
	return 0;
}

void client_free(struct client **owner)
{
	struct client *client = TAKE_PTR(*owner);

	if (!client)
		return;
	util_close(&client->fd);
	json_decref(client->events);
	free(client->input);
	free(client);
}

void client_set_timeout(struct client *client, unsigned seconds)
{
	client->seconds = seconds;
}

static int fail(struct rpc_error *error, int r, const char *what)
{
	rpc_error_set(error, RPC_INTERNAL, "%s", what);
	return r;
}

/* ---- bytes ---- */

static int read_some(struct client *client, struct rpc_error *error)
{
	ssize_t length;

	if (client->size - client->used < READ_SIZE) {
		size_t size = client->size ? 2 * client->size : 2 * READ_SIZE;
		char *input = size <= ANSWER_MAX ? realloc(client->input, size) : NULL;

		if (!input)
			return fail(error, -ENOMEM, "the answer does not fit into memory");
		client->input = input;
		client->size = size;
	}
	length = recv(client->fd, client->input + client->used, READ_SIZE, MSG_DONTWAIT);
	if (length > 0)
		client->used += (size_t)length;
	else if (!length || errno == ECONNRESET)
		client->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		return fail(error, -errno, strerror(errno));
	return 0;
}

/* A peer that is gone may have said why: that is still to be read, so it is not an error here. */
static int write_some(struct client *client, struct output *output, struct rpc_error *error)
{
	ssize_t length = send(client->fd, output->text, output->left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (length >= 0) {
		output->text += length;
		output->left -= (size_t)length;
	} else if (errno == EPIPE || errno == ECONNRESET) {
		output->left = 0;
	} else if (errno != EAGAIN && errno != EINTR) {
		return fail(error, -errno, strerror(errno));
	}
	return 0;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* end: a time of now_ms(), or 0 for never. */
static int exchange(struct client *client, struct output *output, long long end,
		    struct rpc_error *error)
{
	struct pollfd fd = {.fd = client->fd, .events = POLLIN | (output->left ? POLLOUT : 0)};
	long long wait = end ? end - now_ms() : -1;
	int r;

	if (end && wait <= 0)
		return fail(error, -ETIMEDOUT, "the daemon did not answer in time");
	r = poll(&fd, 1, (int)wait);
	if (r < 0)
		return errno == EINTR ? 0 : fail(error, -errno, strerror(errno));
	if (output->left && (fd.revents & (POLLOUT | POLLERR | POLLHUP))) {
		r = write_some(client, output, error);
		if (r < 0)
			return r;
	}
	return (fd.revents & (POLLIN | POLLERR | POLLHUP)) ? read_some(client, error) : 0;
}

/* ---- messages ---- */

/* Takes one line off the input. Returns 1 with *message, 0 when there is no whole line. */
static int next_message(struct client *client, json_t **message, struct rpc_error *error)
{
	json_auto_t *parsed = NULL;
	const char *end = NULL;
	json_error_t where;
	size_t length;

	if (client->used > client->scanned)
		end = memchr(client->input + client->scanned, '\n', client->used - client->scanned);
	client->scanned = client->used;
	if (!end)
		return 0;
	length = (size_t)(end - client->input);
	parsed = json_loadb(client->input, length, 0, &where);
	client->used -= length + 1;
	memmove(client->input, end + 1, client->used);
	client->scanned = 0;
	if (!json_is_object(parsed))
		return fail(error, -EPROTO, "what answers there does not speak JSON-RPC");
	*message = TAKE_PTR(parsed);
	return 1;
}

/* Waits for a message, writing what is left of the output meanwhile. */
static int wait_message(struct client *client, struct output *output, long long end,
			json_t **message, struct rpc_error *error)
{
	int r;

	for (;;) {
		r = next_message(client, message, error);
		if (r < 0)
			return r;
		if (r)
			return 0;
		if (client->ended)
			return fail(error, -ECONNRESET, "the daemon closed the connection");
		r = exchange(client, output, end, error);
		if (r < 0)
			return r;
	}
}

static int take_error(const json_t *object, struct rpc_error *error)
{
	const json_t *code = json_object_get(object, "code");
	const char *message = json_string_value(json_object_get(object, "message"));

	if (!json_is_integer(code) || !message)
		return fail(error, -EPROTO, "the daemon sent an error without code and message");
	rpc_error_set(error, (int)json_integer_value(code), "%s", message);
	error->data = json_incref(json_object_get(object, "data"));
	return -EREMOTEIO;
}

/* Returns 1 with *result if the message ends this call, 0 if it is something else. */
static int take_answer(struct client *client, const json_t *message, json_t **result,
		       struct rpc_error *error)
{
	json_t *id = json_object_get(message, "id");
	json_t *problem = json_object_get(message, "error");
	json_t *value = json_object_get(message, "result");

	if (!id && json_object_get(message, "method"))
		return json_array_append(client->events,
					 json_object_get(message, "params") ?: json_null())
			       ? -ENOMEM
			       : 0;
	/* An error without an id is about the line, or the connection: about us, then. */
	if (problem && (json_is_null(id) || json_integer_value(id) == client->call))
		return take_error(problem, error);
	if (!value || !json_is_integer(id) || json_integer_value(id) != client->call)
		return fail(error, -EPROTO, "the daemon answered something that was not asked");
	*result = json_incref(value);
	return 1;
}

/* Sends a whole line, with its newline, and waits for the answer to the last call. */
static int send_line(struct client *client, const char *line, size_t length, json_t **result,
		     struct rpc_error *error)
{
	long long end = client->seconds ? now_ms() + client->seconds * 1000LL : 0;
	struct output output = {.text = line, .left = length};
	int r = 0;

	while (!r) {
		json_auto_t *message = NULL;

		r = wait_message(client, &output, end, &message, error);
		if (!r)
			r = take_answer(client, message, result, error);
	}
	return r < 0 ? r : 0;
}

int client_call(struct client *client, const char *method, json_t *params, json_t **result,
		struct rpc_error *error)
{
	json_auto_t *request =
		json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id",
			  (json_int_t)++client->call, "method", method, "params", params);
	_cleanup_free_ char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t length;

	if (!text)
		return fail(error, -ENOMEM, "no memory for the request");
	/* The terminating NUL has done its work: the newline takes its place. */
	length = strlen(text) + 1;
	text[length - 1] = '\n';
	return send_line(client, text, length, result, error);
}

int client_call_text(struct client *client, const char *method, const char *params, json_t **result,
		     struct rpc_error *error)
{
	_cleanup_free_ char *line = NULL;
	int length = asprintf(&line,
			      "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"%s\",\"params\":%s}\n",
			      ++client->call, method, params);

	if (length < 0)
		return fail(error, -ENOMEM, "no memory for the request");
	return send_line(client, line, (size_t)length, result, error);
}

int client_next_event(struct client *client, json_t **params, struct rpc_error *error)
{
	json_auto_t *message = NULL;
	struct output nothing = {};
	json_t *problem;
	int r;

	if (!json_array_size(client->events)) {
		r = wait_message(client, &nothing, 0, &message, error);
		if (r < 0)
			return r;
		problem = json_object_get(message, "error");
		if (problem)
			return take_error(problem, error);
		if (!json_object_get(message, "method"))
			return fail(error, -EPROTO, "the daemon sent something that is no event");
		*params = json_incref(json_object_get(message, "params"));
		return 0;
	}
	*params = json_incref(json_array_get(client->events, 0));
	json_array_remove(client->events, 0);
	return 0;
}
