/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * For the tests of both ends of the config socket: a server in a child process on a socket in a
 * directory of its own, and raw connections to it. Every wait has an end: a hang is a failure.
 */
#ifndef NEARPATH_SELFTESTS_SERVE_H
#define NEARPATH_SELFTESTS_SERVE_H

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "server.h"

#define SERVE_PATIENCE_MS 5000

struct serve {
	char dir[32];
	char path[64];
	pid_t pid;
	struct server *server; /* in the child */
	int calls;	       /* in the child */
};

static inline long serve_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void serve_dir(struct serve *serve)
{
	*serve = (struct serve){.dir = "/tmp/nearpath-test-XXXXXX"};
	assert_non_null(mkdtemp(serve->dir));
	assert_int_equal(chmod(serve->dir, 0755), 0);
	snprintf(serve->path, sizeof(serve->path), "%s/sock", serve->dir);
}

static inline void serve_remove_dir(struct serve *serve)
{
	unlink(serve->path);
	assert_int_equal(rmdir(serve->dir), 0);
}

static inline void serve_stop(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	event_base_loopexit(base, NULL);
}

/* The life of the child: serves until SIGTERM, then frees everything, for the leak checker. */
static inline void serve_child(struct serve *serve, struct server_options options,
			       const struct rpc_method *methods, int ready)
{
	struct event_base *base = event_base_new();
	struct event *stop = evsignal_new(base, SIGTERM, serve_stop, base);
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	evsignal_add(stop, NULL);
	options.path = serve->path;
	r = server_new(base, &options, methods, serve, &serve->server);
	if (write(ready, &r, sizeof(r)) != sizeof(r) || r < 0)
		exit(1);
	event_base_dispatch(base);
	server_free(&serve->server);
	event_free(stop);
	event_base_free(base);
	libevent_global_shutdown();
	exit(0);
}

static inline void serve_start(struct serve *serve, const struct server_options *options,
			       const struct rpc_method *methods)
{
	int ready[2];
	int r = -1;

	serve_dir(serve);
	assert_int_equal(pipe(ready), 0);
	serve->pid = fork();
	assert_true(serve->pid >= 0);
	if (!serve->pid)
		serve_child(serve, *options, methods, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &r, sizeof(r)), sizeof(r));
	close(ready[0]);
	assert_int_equal(r, 0);
}

/* The child must end by itself, without a leak, and with its socket removed. */
static inline void serve_end(struct serve *serve)
{
	int status;

	assert_int_equal(kill(serve->pid, SIGTERM), 0);
	assert_int_equal(waitpid(serve->pid, &status, 0), serve->pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(serve->path, F_OK), -1);
	serve_remove_dir(serve);
}

/* ---- raw connections ---- */

static inline int dial(const struct serve *serve)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, serve->path, sizeof(serve->path));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Returns how much the server took before it closed, or before it took nothing for wait_ms. */
static inline size_t push(int fd, const char *bytes, size_t length, int wait_ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};
	size_t done = 0;

	while (done < length && poll(&poller, 1, wait_ms) == 1) {
		ssize_t r = send(fd, bytes + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno != EAGAIN)
			break;
		done += r > 0 ? (size_t)r : 0;
	}
	return done;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(push(fd, text, strlen(text), SERVE_PATIENCE_MS), strlen(text));
}

/* Reads a line as JSON; NULL at the end of the connection. */
static inline json_t *hear(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	size_t size = 4096;
	char *line = malloc(size);
	json_t *json;

	for (;;) {
		ssize_t peeked;
		char *end;
		size_t take;

		assert_int_equal(poll(&poller, 1, SERVE_PATIENCE_MS), 1);
		if (size - used < 2048)
			line = realloc(line, size *= 2);
		peeked = recv(fd, line + used, size - used, MSG_PEEK);
		if (peeked <= 0) {
			free(line);
			return NULL;
		}
		end = memchr(line + used, '\n', (size_t)peeked);
		take = end ? (size_t)(end - line) + 1 - used : (size_t)peeked;
		assert_int_equal(recv(fd, line + used, take, 0), take);
		used += take;
		if (end)
			break;
	}
	json = json_loadb(line, used, 0, NULL);
	assert_non_null(json);
	free(line);
	return json;
}

static inline void hear_end(int fd)
{
	assert_null(hear(fd));
}

/* Reads an answer that is an error and returns its code. */
static inline int hear_error(int fd)
{
	json_t *json = hear(fd);
	json_t *error = json_object_get(json, "error");
	int code = (int)json_integer_value(json_object_get(error, "code"));

	assert_non_null(json);
	assert_non_null(json_object_get(json, "id"));
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
	json_decref(json);
	return code;
}

static inline long long hear_number(int fd)
{
	json_t *json = hear(fd);
	json_t *result = json_object_get(json, "result");
	long long number = json_integer_value(result);

	assert_true(json_is_integer(result));
	json_decref(json);
	return number;
}

#endif
