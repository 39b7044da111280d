/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The HTTP server against clients that err, trickle, flood and do not read. */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "http.h"
#include "util.h"

#define PATIENCE_MS 5000
#define BIG	    (8UL << 20)

static struct event_base *base;
static struct http *http;
static struct http_listener *listener;
static uint16_t port = 20000;
static char seen[64]; /* the path the handler got last */

static void handle(const char *path, struct http_answer *answer, void *arg)
{
	char *big;

	(void)arg;
	snprintf(seen, sizeof(seen), "%s", path);
	answer->type = "text/plain";
	if (!strcmp(path, "/big")) {
		big = calloc(1, BIG);
		evbuffer_add(answer->body, big, BIG);
		free(big);
		return;
	}
	snprintf(answer->lines, sizeof(answer->lines), "X-Test: 1\r\n");
	evbuffer_add_printf(answer->body, "hello");
}

static int start(const struct http_options *options)
{
	const struct http_address any = {.family = NP_IPV4, .port = ++port};

	seen[0] = '\0';
	assert_int_equal(http_new(base, options, &http), 0);
	assert_int_equal(http_listen(http, &any, handle, NULL, &listener), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	http_listener_free(&listener);
	if (http)
		assert_int_equal(http_connections(http), 0);
	http_free(&http);
	return 0;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int client(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All until the server closes; closes too. Returns the length; -1: the connection was reset. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	long until = now_ms() + PATIENCE_MS;
	size_t length = 0;
	ssize_t n;

	for (;;) {
		turn();
		n = recv(fd, text + length, size - 1 - length, 0);
		if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			length += (size_t)n;
		if (!n || length == size - 1 || now_ms() > until)
			break;
	}
	assert_true(now_ms() <= until);
	text[length] = '\0';
	close(fd);
	turn();
	return n < 0 ? -1 : (ssize_t)length;
}

/* Is the connection closed by the server in time? What it sends before is dropped. */
static bool is_closed(int fd, long ms)
{
	long until = now_ms() + ms;
	char part[4096];
	ssize_t n;

	do {
		turn();
		n = recv(fd, part, sizeof(part), 0);
		if (!n || (n < 0 && errno != EAGAIN))
			return true;
	} while (now_ms() < until);
	return false;
}

static void expect_answer(const char *request, const char *begins, const char *ends)
{
	char text[4096];
	int fd = client();

	say(fd, request);
	assert_true(read_all(fd, text, sizeof(text)) > 0);
	if (strncmp(text, begins, strlen(begins)) != 0)
		fail_msg("%s: got %s", request, text);
	assert_string_equal(text + strlen(text) - strlen(ends), ends);
	assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
}

static void requests_are_answered_and_the_connection_closed(void **state)
{
	(void)state;
	start(NULL);
	expect_answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Test: 1\r\n"
		      "Content-Length: 5\r\nDate: ",
		      "\r\n\r\nhello");
	assert_string_equal(seen, "/");
	expect_answer("GET /a/b?c=d HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
	assert_string_equal(seen, "/a/b");
	expect_answer("GET http://h:1/p HTTP/1.1\n\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
	assert_string_equal(seen, "/p");
	expect_answer("GET http://h HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
	assert_string_equal(seen, "/");
}

static void head_has_the_headers_and_no_body(void **state)
{
	(void)state;
	start(NULL);
	expect_answer("HEAD / HTTP/1.1\r\n\r\n",
		      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Test: 1\r\n"
		      "Content-Length: 5\r\n",
		      "\r\nConnection: close\r\n\r\n");
}

static void other_methods_are_405(void **state)
{
	static const char *const methods[] = {"POST",	 "PUT", "DELETE", "OPTIONS",
					      "CONNECT", "get", "G"};
	char request[128];

	(void)state;
	start(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
			 methods[i]);
		expect_answer(request, "HTTP/1.1 405 Method Not Allowed\r\n",
			      "\r\n\r\n405 Method Not Allowed\n");
	}
	assert_string_equal(seen, "");
}

static void what_is_no_request_is_400(void **state)
{
	static const char *const wrong[] = {
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET /\r\n\r\n",
		"GET  HTTP/1.1\r\n\r\n",
		"/ HTTP/1.1\r\n\r\n",
		" / HTTP/1.1\r\n\r\n",
		"GET x HTTP/1.1\r\n\r\n",
		"GET / HTTP/2\r\n\r\n",
		"GET / SIP/2.0\r\n\r\n",
		"\x16\x03\x01\r\n\r\n",
	};

	(void)state;
	start(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		expect_answer(wrong[i], "HTTP/1.1 400 Bad Request\r\n", "400 Bad Request\n");
	assert_string_equal(seen, "");
}

static void a_request_may_come_byte_by_byte(void **state)
{
	const char *request = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
	char text[1024];
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	for (const char *c = request; *c; c++) {
		assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
		turn();
	}
	assert_true(read_all(fd, text, sizeof(text)) > 0);
	assert_string_equal(seen, "/slow");
}

static void a_second_request_is_not_read(void **state)
{
	char text[4096];
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
	assert_true(read_all(fd, text, sizeof(text)) > 0);
	assert_string_equal(seen, "/1");
	assert_null(strstr(strstr(text, "hello"), "HTTP/1.1"));
}

static void a_long_head_is_431_and_read_no_further(void **state)
{
	const struct http_options options = {.max_head = 1024};
	char text[4096], line[600];
	int fd;

	(void)state;
	start(&options);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	fd = client();
	say(fd, "GET / HTTP/1.1\r\n");
	say(fd, line);
	turn();
	say(fd, line);
	assert_true(read_all(fd, text, sizeof(text)) > 0);
	assert_int_equal(strncmp(text, "HTTP/1.1 431 ", 13), 0);
	assert_string_equal(seen, "");
}

static void who_never_stops_sending_is_cut_off(void **state)
{
	static char junk[65536];
	long until = now_ms() + PATIENCE_MS;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	do {
		turn();
		if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
	} while (now_ms() < until);
	assert_true(now_ms() < until);
	close(fd);
	turn();
	assert_int_equal(http_connections(http), 0);
}

static void who_trickles_is_cut_off_in_the_end(void **state)
{
	const struct http_options options = {.request_seconds = 1};
	long until = now_ms() + PATIENCE_MS;
	int slow, silent;

	(void)state;
	start(&options);
	slow = client();
	silent = client();
	say(slow, "GET / HTTP/1.1\r\n");
	do {
		turn();
		if (send(slow, "x", 1, MSG_NOSIGNAL) < 0)
			break;
		usleep(50000);
	} while (now_ms() < until);
	assert_true(now_ms() < until);
	assert_true(is_closed(silent, PATIENCE_MS));
	close(slow);
	close(silent);
	assert_string_equal(seen, "");
	assert_int_equal(http_connections(http), 0);
}

static void who_does_not_read_is_cut_off_in_the_end(void **state)
{
	const struct http_options options = {.response_seconds = 1};
	long until = now_ms() + PATIENCE_MS;
	int fd;

	(void)state;
	start(&options);
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	do {
		turn();
	} while (now_ms() < until && (!seen[0] || http_connections(http)));
	assert_int_equal(http_connections(http), 0);
	close(fd);
}

static void unread_answers_are_bounded_and_the_oldest_gives_way(void **state)
{
	const struct http_options options = {.max_output = 3 * BIG};
	static char text[BIG + 1024];
	int fds[5];

	(void)state;
	start(&options);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client();
		say(fds[i], "GET /big HTTP/1.1\r\n\r\n");
		for (int turns = 0; turns < 20; turns++)
			turn();
	}
	/* Three bodies and their headers do not fit. */
	assert_int_equal(http_connections(http), 2);
	assert_true(read_all(fds[4], text, sizeof(text)) > (ssize_t)BIG);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	while (http_connections(http))
		turn();
}

static void silent_connections_give_way_to_new_ones(void **state)
{
	const struct http_options options = {.max_connections = 4};
	char text[4096];
	int fds[20], fd;

	(void)state;
	start(&options);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client();
		turn();
		assert_true(http_connections(http) <= 4);
	}
	fd = client();
	say(fd, "GET /new HTTP/1.1\r\n\r\n");
	assert_true(read_all(fd, text, sizeof(text)) > 0);
	assert_string_equal(seen, "/new");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (int turns = 0; turns < 20; turns++)
		turn();
}

static void an_answer_under_way_is_not_given_up_for_silence(void **state)
{
	const struct http_options options = {.max_connections = 4};
	static char text[BIG + 1024];
	int fds[20], fd;

	(void)state;
	start(&options);
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	while (!seen[0])
		turn();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client();
		turn();
	}
	assert_true(read_all(fd, text, sizeof(text)) > (ssize_t)BIG);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (int turns = 0; turns < 20; turns++)
		turn();
}

static void a_taken_address_says_so(void **state)
{
	struct http_address taken = {.family = NP_IPV4};
	struct http_listener *other = NULL;
	char text[64];

	(void)state;
	start(NULL);
	taken.port = port;
	assert_int_equal(http_listen(http, &taken, handle, NULL, &other), -EADDRINUSE);
	assert_null(other);
	taken.family = NP_IPV6; /* beside it, as it is IPv6 alone */
	assert_int_equal(http_listen(http, &taken, handle, NULL, &other), 0);
	http_listener_free(&other);
	assert_string_equal(http_address_text(&(struct http_address){.family = NP_IPV6, .port = 80},
					      text, sizeof(text)),
			    "[::]:80");
	assert_string_equal(http_address_text(&(struct http_address){.family = NP_IPV4, .port = 80},
					      text, sizeof(text)),
			    "0.0.0.0:80");
}

static void an_address_not_there_yet_is_listened_on_early(void **state)
{
	struct http_address foreign = {
		.family = NP_IPV4, .port = 19999, .addr.v4 = htonl(0xC0000207)};
	struct http_listener *early = NULL;

	(void)state;
	start(NULL);
	assert_int_equal(http_listen(http, &foreign, handle, NULL, &early), -EADDRNOTAVAIL);
	foreign.early = true;
	assert_int_equal(http_listen(http, &foreign, handle, NULL, &early), 0);
	http_listener_free(&early);
}

static void listeners_leave_descriptors_to_others(void **state)
{
	const struct http_address any = {.family = NP_IPV4, .port = 19998};
	struct http_listener *one = NULL;
	struct rlimit before, few;

	(void)state;
	start(NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(http_listen(http, &any, handle, NULL, &one), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(http_listen(http, &any, handle, NULL, &one), 0);
	http_listener_free(&one);
}

static void a_listener_takes_its_connections_along(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	while (!http_connections(http))
		turn();
	http_listener_free(&listener);
	assert_int_equal(http_connections(http), 0);
	assert_true(is_closed(fd, PATIENCE_MS));
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	run("ip link set lo up");
	base = event_base_new();
	return base ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

#define test(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(requests_are_answered_and_the_connection_closed),
		test(head_has_the_headers_and_no_body),
		test(other_methods_are_405),
		test(what_is_no_request_is_400),
		test(a_request_may_come_byte_by_byte),
		test(a_second_request_is_not_read),
		test(a_long_head_is_431_and_read_no_further),
		test(who_never_stops_sending_is_cut_off),
		test(who_trickles_is_cut_off_in_the_end),
		test(who_does_not_read_is_cut_off_in_the_end),
		test(unread_answers_are_bounded_and_the_oldest_gives_way),
		test(silent_connections_give_way_to_new_ones),
		test(an_answer_under_way_is_not_given_up_for_silence),
		test(a_taken_address_says_so),
		test(an_address_not_there_yet_is_listened_on_early),
		test(listeners_leave_descriptors_to_others),
		test(a_listener_takes_its_connections_along),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	netns_enter();
	failed = cmocka_run_group_tests(tests, set_up, tear_down);
	netns_leave();
	return failed;
}
