/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The connections of the HTTP servers. Each goes one way: its request is read, answered, the answer
 * written, and what the client still sends is read and dropped for a moment, so that the kernel
 * does not reset the connection under an answer that is on its way. Every step has its deadline.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "util.h"

#define DEFAULT_CONNECTIONS	 128
#define DEFAULT_HEAD		 8192
#define DEFAULT_OUTPUT		 (64UL << 20)
#define DEFAULT_REQUEST_SECONDS	 10
#define DEFAULT_RESPONSE_SECONDS 30
#define LINGER_SECONDS		 2
#define LINGER_BYTES		 (256UL << 10)
#define BACKLOG			 128
/* The loop has others to serve: the rest of those who wait is accepted at its next turn. */
#define ACCEPTS_A_TURN 16
/* Descriptors that listeners leave to connections, of this server and of the config socket. */
#define DESCRIPTORS_KEPT 256

enum step { READING, LINGERING, WRITING };

TAILQ_HEAD(connections, connection);
TAILQ_HEAD(listeners, http_listener);

struct connection {
	TAILQ_ENTRY(connection) all;
	struct http_listener *listener;
	struct bufferevent *bev;
	struct event *deadline;
	enum step step;
	size_t output; /* bytes of its answer, counted until it goes */
	size_t lingered;
};

struct http_listener {
	TAILQ_ENTRY(http_listener) all;
	struct http *http;
	int fd;
	struct event *readable;
	http_handler handler;
	void *arg;
};

struct http {
	struct event_base *base;
	struct http_options options;
	struct connections connections; /* the oldest first */
	struct listeners listeners;
	struct event *resume; /* accepting, after the descriptors ran out */
	unsigned count;
	size_t output;
};

static const struct timeval accept_pause = {.tv_usec = 200 * 1000};

/* ---- connections ---- */

static void connection_free(struct connection **owner)
{
	struct connection *c = TAKE_PTR(*owner);
	struct http *http;

	if (!c)
		return;
	http = c->listener->http;
	TAILQ_REMOVE(&http->connections, c, all);
	http->count--;
	http->output -= c->output;
	if (c->deadline)
		event_free(c->deadline);
	if (c->bev)
		bufferevent_free(c->bev);
	free(c);
}

static void set_deadline(struct connection *c, unsigned seconds)
{
	const struct timeval after = {.tv_sec = seconds};

	evtimer_add(c->deadline, &after);
}

/* The oldest at the earliest step: answered ones first, then those whose request does not come. */
static struct connection *worth_least(struct http *http)
{
	static const int worth[] = {[LINGERING] = 0, [READING] = 1, [WRITING] = 2};
	struct connection *c, *least = NULL;

	TAILQ_FOREACH(c, &http->connections, all)
	{
		if (!least || worth[c->step] < worth[least->step])
			least = c;
	}
	return least;
}

/* Answers that nobody reads make room, the oldest first. */
static void make_room(struct connection *for_whom, size_t size)
{
	struct http *http = for_whom->listener->http;
	struct connection *c = TAILQ_FIRST(&http->connections), *next;

	for (; c && http->output + size > http->options.max_output; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c != for_whom && c->output)
			connection_free(&c);
	}
}

/* ---- answers ---- */

static const char *status_text(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static const char *date(char *text, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	strftime(text, size, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	return text;
}

void http_not_found(struct http_answer *answer)
{
	answer->status = 404;
	answer->type = "text/plain; charset=utf-8";
	snprintf(answer->lines, sizeof(answer->lines), "X-Content-Type-Options: nosniff\r\n");
	evbuffer_add_printf(answer->body, "404 page not found\n");
}

/* What is wrong with the request itself. */
static void refuse(struct http_answer *answer, unsigned status)
{
	answer->status = status;
	answer->type = "text/plain; charset=utf-8";
	if (status == 405)
		snprintf(answer->lines, sizeof(answer->lines), "Allow: GET, HEAD\r\n");
	evbuffer_add_printf(answer->body, "%u %s\n", status, status_text(status));
}

static int connection_write(struct connection *c, struct http_answer *answer, bool head)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);
	size_t length = evbuffer_get_length(answer->body);
	char now[64];

	if (!head && !answer->shared)
		make_room(c, length);
	if (evbuffer_add_printf(output,
				"HTTP/1.1 %u %s\r\n%s%s%s%sContent-Length: %zu\r\nDate: %s\r\n"
				"Connection: close\r\n\r\n",
				answer->status, status_text(answer->status),
				answer->type ? "Content-Type: " : "", answer->type ?: "",
				answer->type ? "\r\n" : "", answer->lines, length,
				date(now, sizeof(now))) < 0)
		return -ENOMEM;
	if (!head && evbuffer_add_buffer(output, answer->body))
		return -ENOMEM;
	c->output = evbuffer_get_length(output) - (answer->shared && !head ? length : 0);
	c->listener->http->output += c->output;
	return 0;
}

/* From now on the connection only writes. */
static void connection_answer(struct connection *c, struct http_answer *answer, bool head)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);

	c->step = WRITING;
	bufferevent_disable(c->bev, EV_READ);
	evbuffer_drain(input, evbuffer_get_length(input));
	set_deadline(c, c->listener->http->options.response_seconds);
	if (connection_write(c, answer, head))
		connection_free(&c);
}

/* ---- requests ---- */

/*
 * Splits "GET /path?query HTTP/1.1" in place. 0, or the status to refuse it by. Of a full URL, as
 * proxies are sent, the path counts.
 */
static unsigned read_request(char *line, char **path, bool *head)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version || target == line || strncmp(version + 1, "HTTP/1.", 7) != 0)
		return 400;
	*target++ = *version = '\0';
	if (!strncmp(target, "http://", 7)) {
		target += 7;
		target += strcspn(target, "/?#");
		if (*target != '/') /* there is room: the version follows */
			memcpy(target, "/", 2);
	}
	*head = !strcmp(line, "HEAD");
	if (!*head && strcmp(line, "GET") != 0)
		return 405;
	if (*target != '/')
		return 400;
	*path = target;
	target[strcspn(target, "?#")] = '\0';
	return 0;
}

static void connection_request(struct connection *c, size_t length)
{
	_cleanup_free_ char *text = malloc(length + 1);
	struct http_answer answer = {.status = 200, .body = evbuffer_new()};
	struct http_listener *l = c->listener;
	char *path = NULL;
	bool head = false;
	unsigned status;

	if (!text || !answer.body ||
	    evbuffer_remove(bufferevent_get_input(c->bev), text, length) != (int)length) {
		connection_free(&c);
		goto out;
	}
	text[length] = '\0';
	status = memchr(text, '\0', length) ? 400 : 0;
	text[strcspn(text, "\r\n")] = '\0';
	status = status ?: read_request(text, &path, &head);
	if (status)
		refuse(&answer, status);
	else
		l->handler(path, &answer, l->arg);
	connection_answer(c, &answer, head);
out:
	if (answer.body)
		evbuffer_free(answer.body);
}

/* The length of the request up to the empty line; 0: it is not there yet. */
static size_t head_length(struct evbuffer *input)
{
	struct evbuffer_ptr crlf = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct evbuffer_ptr lf = evbuffer_search(input, "\n\n", 2, NULL);
	size_t first = crlf.pos >= 0 ? (size_t)crlf.pos + 4 : 0;
	size_t second = lf.pos >= 0 ? (size_t)lf.pos + 2 : 0;

	return first && (!second || first < second) ? first : second;
}

static void refuse_long(struct connection *c)
{
	struct http_answer answer = {.body = evbuffer_new()};

	if (!answer.body) {
		connection_free(&c);
		return;
	}
	refuse(&answer, 431);
	connection_answer(c, &answer, false);
	evbuffer_free(answer.body);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	struct connection *c = arg;
	size_t length = evbuffer_get_length(input), head;

	if (c->step == LINGERING) {
		c->lingered += length;
		evbuffer_drain(input, length);
		if (c->lingered > LINGER_BYTES)
			connection_free(&c);
		return;
	}
	if (c->step != READING)
		return;
	head = head_length(input);
	if (head)
		connection_request(c, head);
	else if (length >= c->listener->http->options.max_head)
		refuse_long(c);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;

	if (c->step != WRITING || evbuffer_get_length(bufferevent_get_output(bev)))
		return;
	c->step = LINGERING;
	set_deadline(c, LINGER_SECONDS);
	shutdown(bufferevent_getfd(bev), SHUT_WR);
	bufferevent_enable(bev, EV_READ);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	struct connection *c = arg;

	(void)bev, (void)what;
	connection_free(&c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd, (void)what;
	connection_free(&c);
}

static void connection_new(struct http_listener *l, int *fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct http *http = l->http;
	struct connection *least;

	if (!c)
		return;
	least = http->count >= http->options.max_connections ? worth_least(http) : NULL;
	connection_free(&least);
	c->listener = l;
	TAILQ_INSERT_TAIL(&http->connections, c, all);
	http->count++;
	c->bev = bufferevent_socket_new(http->base, *fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev)
		*fd = -1;
	c->deadline = evtimer_new(http->base, on_deadline, c);
	if (!c->bev || !c->deadline) {
		connection_free(&c);
		return;
	}
	set_deadline(c, http->options.request_seconds);
	bufferevent_setcb(c->bev, on_readable, on_written, on_end, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, http->options.max_head);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* ---- listeners ---- */

static void on_accept(evutil_socket_t listening, short what, void *arg)
{
	struct http_listener *l = arg;
	struct http *http = l->http;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		_cleanup_close_ int fd =
			accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connection_new(l, &fd);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return; /* nobody waits, or who waited has left */
		/* The socket stays readable: polling it would spin. */
		event_del(l->readable);
		evtimer_add(http->resume, &accept_pause);
		return;
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	struct http_listener *l;

	(void)fd, (void)what;
	TAILQ_FOREACH(l, &http->listeners, all)
	event_add(l->readable, NULL);
}

static socklen_t fill(struct sockaddr_storage *to, const struct http_address *from)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	struct sockaddr_in *four = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	if (from->family == NP_IPV4) {
		four->sin_family = AF_INET;
		four->sin_port = htons(from->port);
		four->sin_addr.s_addr = from->addr.v4;
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(from->port);
	memcpy(&six->sin6_addr, &from->addr, sizeof(six->sin6_addr));
	return sizeof(*six);
}

static int set(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) ? -errno : 0;
}

static int open_socket(const struct http_address *address, int *opened)
{
	const bool six = address->family == NP_IPV6;
	_cleanup_close_ int fd =
		socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	socklen_t length = fill(&to, address);
	struct rlimit limit;
	int rc;

	if (fd < 0)
		return -errno;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd + DESCRIPTORS_KEPT > limit.rlim_cur)
		return -EMFILE;
	rc = set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!rc && six)
		rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!rc && address->early)
		rc = set(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_FREEBIND : IP_FREEBIND);
	if (rc)
		return rc;
	if (bind(fd, (struct sockaddr *)&to, length) || listen(fd, BACKLOG))
		return -errno;
	*opened = TAKE_FD(fd);
	return 0;
}

int http_listen(struct http *http, const struct http_address *address, http_handler handler,
		void *arg, struct http_listener **listener)
{
	_cleanup_close_ int fd = -1;
	struct http_listener *l;
	int rc = open_socket(address, &fd);

	if (rc)
		return rc;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->readable = event_new(http->base, fd, EV_READ | EV_PERSIST, on_accept, l);
	if (!l->readable || event_add(l->readable, NULL)) {
		if (l->readable)
			event_free(l->readable);
		free(l);
		return -ENOMEM;
	}
	l->http = http;
	l->fd = TAKE_FD(fd);
	l->handler = handler;
	l->arg = arg;
	TAILQ_INSERT_TAIL(&http->listeners, l, all);
	*listener = l;
	return 0;
}

void http_listener_free(struct http_listener **listener)
{
	struct http_listener *l = TAKE_PTR(*listener);
	struct connection *c, *next;

	if (!l)
		return;
	for (c = TAILQ_FIRST(&l->http->connections); c; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->listener == l)
			connection_free(&c);
	}
	TAILQ_REMOVE(&l->http->listeners, l, all);
	event_free(l->readable);
	util_close(&l->fd);
	free(l);
}

const char *http_address_text(const struct http_address *address, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(address->family == NP_IPV4 ? AF_INET : AF_INET6, &address->addr, ip, sizeof(ip));
	snprintf(text, size, address->family == NP_IPV4 ? "%s:%u" : "[%s]:%u", ip, address->port);
	return text;
}

/* ---- the server ---- */

int http_new(struct event_base *base, const struct http_options *options, struct http **http)
{
	struct http *new = calloc(1, sizeof(*new));
	struct http_options *o;

	if (!new)
		return -ENOMEM;
	new->base = base;
	new->resume = evtimer_new(base, on_resume, new);
	if (!new->resume) {
		free(new);
		return -ENOMEM;
	}
	TAILQ_INIT(&new->connections);
	TAILQ_INIT(&new->listeners);
	o = &new->options;
	if (options)
		*o = *options;
	o->max_connections = o->max_connections ?: DEFAULT_CONNECTIONS;
	o->max_head = o->max_head ?: DEFAULT_HEAD;
	o->max_output = o->max_output ?: DEFAULT_OUTPUT;
	o->request_seconds = o->request_seconds ?: DEFAULT_REQUEST_SECONDS;
	o->response_seconds = o->response_seconds ?: DEFAULT_RESPONSE_SECONDS;
	*http = new;
	return 0;
}

unsigned http_connections(const struct http *http)
{
	return http->count;
}

void http_free(struct http **owner)
{
	struct http *http = TAKE_PTR(*owner);
	struct http_listener *l;

	if (!http)
		return;
	while ((l = TAILQ_FIRST(&http->listeners)))
		http_listener_free(&l);
	event_free(http->resume);
	free(http);
}
