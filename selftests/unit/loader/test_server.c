/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The config socket against clients that err, lie, stall, flood and leave. */
#include "serve.h"

#include <sys/resource.h>

#define MIB (1UL << 20)

/* ---- the methods of the server under test ---- */

static int do_count(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)params;
	(void)error;
	*result = json_integer(++serve->calls);
	return 0;
}

static int do_echo(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)error;
	*result = json_incref(params);
	return 0;
}

static int do_fail(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)result;
	if (!params)
		return -ENOSPC;
	rpc_error_set(error, RPC_BAD_PARAMS, "cut in \xc3");
	error->data = json_incref(params);
	return -EINVAL;
}

static int do_big(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	size_t length = (size_t)json_integer_value(json_object_get(params, "length"));
	char *text = malloc(length);

	(void)arg;
	(void)error;
	memset(text, 'x', length);
	*result = json_stringn(text, length);
	free(text);
	return 0;
}

/* Notifies of as many KiB as asked for. */
static int do_notify(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	long long kib = json_integer_value(json_object_get(params, "kib"));
	struct serve *serve = arg;
	char text[1024];

	(void)result;
	(void)error;
	memset(text, 'x', sizeof(text));
	for (; kib > 0; kib--)
		server_notify(serve->server, "event",
			      json_pack("{s:s%}", "text", text, sizeof(text)));
	return 0;
}

static const struct rpc_method methods[] = {
	{.name = "count", .handler = do_count},
	{.name = "echo", .handler = do_echo},
	{.name = "fail", .handler = do_fail},
	{.name = "big", .handler = do_big},
	{.name = "notify", .handler = do_notify},
	{.name = "watch", .handler = do_echo, .subscribes = true},
	{},
};

#define COUNT "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\"}\n"

/* What matters in every case: somebody else is served, and soon. */
static void assert_served(const struct serve *serve)
{
	long begin = serve_now_ms();
	int fd = dial(serve);

	say(fd, COUNT);
	assert_true(hear_number(fd) > 0);
	assert_true(serve_now_ms() - begin < 1000);
	close(fd);
}

static int setup_with(void **state, const struct server_options *options)
{
	static struct serve serve;

	serve_start(&serve, options, methods);
	*state = &serve;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, &(struct server_options){.max_clients = 8, .line_seconds = 1});
}

static int setup_defaults(void **state)
{
	return setup_with(state, &(struct server_options){.max_line = 64 * MIB});
}

static int setup_short_lines(void **state)
{
	return setup_with(state, &(struct server_options){.max_line = 128});
}

static int setup_1_mib_lines(void **state)
{
	return setup_with(state, &(struct server_options){.max_line = 1 * MIB});
}

static int teardown(void **state)
{
	serve_end(*state);
	return 0;
}

/* ---- calls ---- */

static void answers_carry_the_id_that_was_sent(void **state)
{
	static const char *const ids[] = {"7", "\"a\"", "null", "-1", "1.5"};
	int fd = dial(*state);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		json_t *id = json_loads(ids[i], JSON_DECODE_ANY, NULL);
		char line[128];
		json_t *answer;

		snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"echo\",\"params\":{}}\n",
			 ids[i]);
		say(fd, line);
		answer = hear(fd);
		assert_true(json_equal(json_object_get(answer, "id"), id));
		assert_true(json_is_object(json_object_get(answer, "result")));
		assert_null(json_object_get(answer, "error"));
		json_decref(answer);
		json_decref(id);
	}
	close(fd);
}

static void a_request_without_id_is_done_and_not_answered(void **state)
{
	int fd = dial(*state);

	say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}\n" COUNT);
	assert_int_equal(hear_number(fd), 2);
	close(fd);
}

static void a_failure_is_answered_with_code_message_and_data(void **state)
{
	int fd = dial(*state);
	json_t *answer;

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fail\"}\n");
	assert_int_equal(hear_error(fd), RPC_FAILED);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fail\",\"params\":{\"a\":1}}\n");
	answer = hear(fd);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "error"), "message")),
		"cut in ?");
	assert_true(json_is_object(json_object_get(json_object_get(answer, "error"), "data")));
	json_decref(answer);
	close(fd);
}

static void bad_lines_are_refused_and_the_connection_lives(void **state)
{
	int fd = dial(*state);

	say(fd, "hello\n");
	assert_int_equal(hear_error(fd), RPC_PARSE);
	assert_int_equal(push(fd, "{\0\0}\n", 5, 1000), 5);
	assert_int_equal(hear_error(fd), RPC_PARSE);
	say(fd, "[" COUNT "]\n");
	assert_int_equal(hear_error(fd), RPC_PARSE);
	assert_int_equal(hear_error(fd), RPC_PARSE);
	say(fd, "{}\n");
	assert_int_equal(hear_error(fd), RPC_INVALID_REQUEST);
	say(fd, COUNT);
	assert_int_equal(hear_number(fd), 1);
	close(fd);
}

static void deep_nesting_is_refused(void **state)
{
	const size_t depth = 1 * MIB;
	char *line = malloc(depth + 1);
	int fd = dial(*state);

	memset(line, '[', depth);
	line[depth] = '\n';
	assert_int_equal(push(fd, line, depth + 1, 1000), depth + 1);
	assert_int_equal(hear_error(fd), RPC_PARSE);
	free(line);
	assert_served(*state);
	close(fd);
}

/* ---- lines ---- */

static void a_line_at_the_limit_is_taken_and_one_over_it_is_not(void **state)
{
	char line[131];
	int fd = dial(*state);

	memset(line, ' ', sizeof(line));
	memcpy(line, COUNT, strlen(COUNT) - 1);
	line[128] = '\n';
	assert_int_equal(push(fd, line, 129, 1000), 129);
	assert_int_equal(hear_number(fd), 1);
	line[128] = ' ';
	line[129] = '\n';
	assert_int_equal(push(fd, line, 130, 1000), 130);
	assert_int_equal(hear_error(fd), RPC_LIMIT);
	hear_end(fd);
	assert_served(*state);
	close(fd);
}

/* There in a build for AddressSanitizer, which takes memory of its own. */
extern void __asan_init(void) __attribute__((weak));

static long peak_kib(pid_t pid)
{
	char path[64];
	char line[256];
	long peak = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "VmHWM:", 6))
			peak = strtol(line + 6, NULL, 10);
	}
	if (file)
		fclose(file);
	return peak;
}

static void a_line_of_100_mb_is_cut_off_at_the_limit(void **state)
{
	const struct serve *serve = *state;
	const size_t length = 100UL * 1000 * 1000;
	char *line = malloc(length);
	long begin = serve_now_ms();
	int fd = dial(serve);
	size_t taken;

	memset(line, 'x', length);
	taken = push(fd, line, 32 * MIB, 1000);
	assert_int_equal(taken, 32 * MIB);
	assert_served(serve);
	taken += push(fd, line, length - taken, 1000);
	assert_true(taken < 65 * MIB);
	assert_int_equal(hear_error(fd), RPC_LIMIT);
	hear_end(fd);
	assert_served(serve);
	assert_true(serve_now_ms() - begin < 4000);
	if (!__asan_init)
		assert_in_range(peak_kib(serve->pid), 1, 100 * 1024);
	free(line);
	close(fd);
}

static void a_line_of_64_mib_is_answered(void **state)
{
	char *line = malloc(64 * MIB + 1);
	long begin = serve_now_ms();
	int fd = dial(*state);

	memset(line, ' ', 64 * MIB);
	memcpy(line, COUNT, strlen(COUNT) - 1);
	line[64 * MIB] = '\n';
	assert_int_equal(push(fd, line, 64 * MIB + 1, 1000), 64 * MIB + 1);
	assert_int_equal(hear_number(fd), 1);
	assert_true(serve_now_ms() - begin < 4000);
	free(line);
	close(fd);
}

static void too_many_long_lines_at_once_are_cut_off(void **state)
{
	char *line = malloc(1 * MIB);
	int fds[3];

	memset(line, 'x', 1 * MIB);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(*state);
		assert_int_equal(push(fds[i], line, MIB / 32, 1000), MIB / 32);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(push(fds[i], line, MIB / 2, 1000), MIB / 2);
	assert_served(*state); /* and so it has read all of that */
	push(fds[2], line, MIB / 2, 1000);
	assert_int_equal(hear_error(fds[2]), RPC_LIMIT);
	hear_end(fds[2]);
	assert_served(*state);
	/* The others are not disturbed: the end of their lines is judged as such. */
	for (int i = 0; i < 2; i++) {
		say(fds[i], "\n");
		assert_int_equal(hear_error(fds[i]), RPC_PARSE);
		close(fds[i]);
	}
	close(fds[2]);
	free(line);
}

static void half_a_line_and_gone_disturbs_nobody(void **state)
{
	int fd = dial(*state);

	say(fd, "{\"jsonrpc\":");
	close(fd);
	fd = dial(*state);
	say(fd, "{\"jsonrpc\":");
	shutdown(fd, SHUT_WR);
	assert_int_equal(hear_error(fd), RPC_PARSE);
	hear_end(fd);
	close(fd);
	assert_served(*state);
}

static void what_was_asked_before_the_end_is_answered(void **state)
{
	int fd = dial(*state);

	say(fd, COUNT COUNT COUNT);
	shutdown(fd, SHUT_WR);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(hear_number(fd), i);
	hear_end(fd);
	close(fd);
}

/* Three clients at once: a second is a long time for a test. */
static void a_line_that_does_not_end_is_cut_off_and_the_idle_stay(void **state)
{
	long begin = serve_now_ms();
	int idle = dial(*state);
	int silent = dial(*state);
	int trickle = dial(*state);

	say(silent, "{\"jsonrpc\":");
	while (serve_now_ms() - begin < 3000 && push(trickle, " ", 1, 0) == 1)
		usleep(50 * 1000);
	assert_in_range(serve_now_ms() - begin, 900, 2500);
	assert_int_equal(hear_error(trickle), RPC_LIMIT);
	assert_int_equal(hear_error(silent), RPC_LIMIT);
	hear_end(silent);
	say(idle, COUNT);
	assert_int_equal(hear_number(idle), 1);
	close(idle);
	close(silent);
	close(trickle);
}

/* ---- output ---- */

#define BIG "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":{\"length\":1000000}}\n"

static void requests_wait_while_their_answers_are_not_read(void **state)
{
	char requests[16 * sizeof(BIG)] = "";
	int fd = dial(*state);

	for (int i = 0; i < 16; i++)
		strcat(requests, BIG);
	say(fd, requests);
	assert_served(*state);
	for (int i = 0; i < 16; i++) {
		json_t *answer = hear(fd);

		assert_int_equal(json_string_length(json_object_get(answer, "result")), 1000000);
		json_decref(answer);
	}
	close(fd);
}

static void an_answer_that_is_never_read_ends_the_connection(void **state)
{
	char byte;
	int fd = dial(*state);

	say(fd, BIG);
	usleep(1500 * 1000);
	assert_served(*state);
	while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		;
	assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	close(fd);
}

#define WATCH "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"watch\",\"params\":{}}\n"
#define NOTIFY(kib)                                                                                \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notify\",\"params\":{\"kib\":" kib "}}\n"

static void notifications_go_to_those_who_watch(void **state)
{
	int watcher = dial(*state);
	int other = dial(*state);
	json_t *json;

	say(watcher, WATCH);
	json_decref(hear(watcher));
	say(other, NOTIFY("1"));
	json = hear(other);
	assert_true(json_is_null(json_object_get(json, "result")));
	json_decref(json);
	json = hear(watcher);
	assert_string_equal(json_string_value(json_object_get(json, "method")), "event");
	assert_null(json_object_get(json, "id"));
	json_decref(json);
	close(watcher);
	close(other);
}

static void a_watcher_that_does_not_read_is_cut_off(void **state)
{
	int deaf = dial(*state);
	int watcher = dial(*state);
	int other = dial(*state);
	size_t events = 0;
	json_t *json;

	say(deaf, WATCH);
	say(watcher, WATCH);
	json_decref(hear(watcher));
	for (int i = 0; i < 6; i++) {
		say(other, NOTIFY("1024"));
		json_decref(hear(other));
		for (int n = 0; n < 1024; n++)
			json_decref(hear(watcher));
	}
	assert_served(*state);
	json_decref(hear(deaf));
	/* It may end in the middle of a line, so bytes are read here. */
	for (char text[65536]; recv(deaf, text, sizeof(text), 0) > 0; events++)
		;
	assert_in_range(events, 1, 6 * 1024);
	say(watcher, COUNT);
	json = hear(watcher);
	assert_non_null(json_object_get(json, "result"));
	json_decref(json);
	close(deaf);
	close(watcher);
	close(other);
}

static void a_caller_may_be_cut_off_by_its_own_call(void **state)
{
	int fd = dial(*state);
	char text[65536];

	say(fd, WATCH);
	json_decref(hear(fd));
	say(fd, NOTIFY("6000"));
	while (recv(fd, text, sizeof(text), 0) > 0)
		;
	assert_served(*state);
	close(fd);
}

/* ---- many clients ---- */

static void a_client_too_many_is_told_so(void **state)
{
	int fds[8];
	int extra;

	for (int i = 0; i < 8; i++) {
		fds[i] = dial(*state);
		say(fds[i], COUNT);
		hear_number(fds[i]);
	}
	extra = dial(*state);
	assert_int_equal(hear_error(extra), RPC_LIMIT);
	hear_end(extra);
	close(extra);
	close(fds[0]);
	/* Its place is free once the server has seen it leave: after an answer to somebody else. */
	say(fds[1], COUNT);
	hear_number(fds[1]);
	assert_served(*state);
	for (int i = 1; i < 8; i++)
		close(fds[i]);
}

static void a_client_that_floods_takes_turns(void **state)
{
	const size_t count = 200000;
	const size_t length = strlen(COUNT);
	char *lines = malloc(count * length);
	int flood = dial(*state);
	size_t sent = 0;

	for (size_t i = 0; i < count; i++)
		memcpy(lines + i * length, COUNT, length);
	for (int i = 0; i < 20; i++) {
		sent += push(flood, lines + sent, count * length - sent, 0);
		assert_served(*state);
	}
	free(lines);
	close(flood);
}

static rlim_t highest_fd(pid_t pid)
{
	rlim_t highest = 0;
	struct stat st;
	char path[64];

	for (rlim_t fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%lu", pid, fd);
		if (!lstat(path, &st))
			highest = fd;
	}
	return highest;
}

static void out_of_descriptors_it_waits_and_goes_on(void **state)
{
	const struct serve *serve = *state;
	struct rlimit few = {};
	int fds[7];

	few.rlim_cur = few.rlim_max = highest_fd(serve->pid) + 4;
	assert_int_equal(prlimit(serve->pid, RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < 7; i++)
		fds[i] = dial(serve);
	say(fds[0], COUNT);
	hear_number(fds[0]);
	usleep(300 * 1000);
	say(fds[0], COUNT);
	hear_number(fds[0]);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	say(fds[6], COUNT);
	hear_number(fds[6]);
	assert_served(serve);
	close(fds[6]);
}

#define CASE_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CASE(name)	       CASE_WITH(setup, name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(answers_carry_the_id_that_was_sent),
		CASE(a_request_without_id_is_done_and_not_answered),
		CASE(a_failure_is_answered_with_code_message_and_data),
		CASE(bad_lines_are_refused_and_the_connection_lives),
		CASE(deep_nesting_is_refused),
		CASE_WITH(setup_short_lines, a_line_at_the_limit_is_taken_and_one_over_it_is_not),
		CASE_WITH(setup_defaults, a_line_of_100_mb_is_cut_off_at_the_limit),
		CASE_WITH(setup_defaults, a_line_of_64_mib_is_answered),
		CASE_WITH(setup_1_mib_lines, too_many_long_lines_at_once_are_cut_off),
		CASE(half_a_line_and_gone_disturbs_nobody),
		CASE(what_was_asked_before_the_end_is_answered),
		CASE(a_line_that_does_not_end_is_cut_off_and_the_idle_stay),
		CASE(requests_wait_while_their_answers_are_not_read),
		CASE(an_answer_that_is_never_read_ends_the_connection),
		CASE(notifications_go_to_those_who_watch),
		CASE(a_watcher_that_does_not_read_is_cut_off),
		CASE(a_caller_may_be_cut_off_by_its_own_call),
		CASE(a_client_too_many_is_told_so),
		CASE(a_client_that_floods_takes_turns),
		CASE(out_of_descriptors_it_waits_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
