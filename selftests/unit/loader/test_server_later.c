/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls that the config socket answers later, or carries out later; others do not wait for them. */
#include "serve.h"

static int do_count(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)params;
	(void)error;
	*result = json_integer(++serve->calls);
	return 0;
}

/* Calls that wait for "now"; and whether "again" may be carried out. */
static struct server_call *deferred[8];
static size_t n_deferred;
static bool open_gate;

static int do_later(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)params, (void)result, (void)error;
	deferred[n_deferred++] = server_defer(serve->server);
	return RPC_LATER;
}

static int do_now(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct rpc_error late = {};
	json_t *number;

	(void)arg, (void)params, (void)error;
	for (size_t i = n_deferred; i-- > 0;) { /* the last one first */
		number = json_integer(100 + (json_int_t)i);
		server_answer(&deferred[i], i == 1 ? -EBUSY : 0, number, &late);
		json_decref(number);
	}
	*result = json_integer((json_int_t)n_deferred);
	n_deferred = 0;
	return 0;
}

static int do_again(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)params, (void)error;
	if (!open_gate)
		return RPC_AGAIN;
	*result = json_integer(++serve->calls);
	return 0;
}

static int do_gate(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)params, (void)error;
	open_gate = true;
	server_wake(serve->server);
	*result = json_true();
	return 0;
}

static const struct rpc_method methods[] = {
	{.name = "count", .handler = do_count}, {.name = "later", .handler = do_later},
	{.name = "now", .handler = do_now},	{.name = "again", .handler = do_again},
	{.name = "gate", .handler = do_gate},	{},
};

static int setup(void **state)
{
	static struct serve serve;

	serve_start(&serve, &(struct server_options){.max_clients = 8, .line_seconds = 1}, methods);
	*state = &serve;
	return 0;
}

static int teardown(void **state)
{
	serve_end(*state);
	return 0;
}

#define CALL(id, method) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"" method "\"}\n"

static void assert_answer(int fd, int id, int result)
{
	json_auto_t *json = hear(fd);

	assert_int_equal(json_integer_value(json_object_get(json, "id")), id);
	assert_int_equal(json_integer_value(json_object_get(json, "result")), result);
}

static void assert_silent(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&poller, 1, 100), 0);
}

static void answers_that_come_late_come_in_order(void **state)
{
	int fd = dial(*state), other = dial(*state);
	json_auto_t *refused = NULL;

	say(fd, CALL(1, "later") CALL(2, "later") CALL(3, "count") CALL(4, "later"));
	assert_silent(fd);
	say(other, CALL(9, "count"));
	assert_answer(other, 9, 2);
	say(other, CALL(10, "now"));
	assert_answer(other, 10, 3);
	assert_answer(fd, 1, 100);
	refused = hear(fd);
	assert_int_equal(json_integer_value(json_object_get(refused, "id")), 2);
	assert_non_null(json_object_get(refused, "error"));
	assert_answer(fd, 3, 1);
	assert_answer(fd, 4, 102);
	close(fd);
	close(other);
}

/* Who has gone is answered by nobody; who has only ended its side is, and then closed. */
static void callers_may_go_before_they_are_answered(void **state)
{
	int gone = dial(*state), half = dial(*state), other = dial(*state);

	say(gone, CALL(1, "later"));
	say(half, CALL(2, "later"));
	shutdown(half, SHUT_WR);
	assert_silent(half);
	close(gone);
	say(other, CALL(10, "now"));
	assert_answer(other, 10, 2);
	json_decref(hear(half));
	hear_end(half);
	close(half);
	close(other);
}

static void a_call_that_is_put_off_holds_up_its_own_client_alone(void **state)
{
	int fd = dial(*state), other = dial(*state);

	say(fd, CALL(1, "again") CALL(2, "count"));
	assert_silent(fd);
	say(other, CALL(9, "count"));
	assert_answer(other, 9, 1);
	say(other, CALL(10, "gate"));
	json_decref(hear(other));
	assert_answer(fd, 1, 2);
	assert_answer(fd, 2, 3);
	close(fd);
	close(other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(answers_that_come_late_come_in_order),
		CASE(callers_may_go_before_they_are_answered),
		CASE(a_call_that_is_put_off_holds_up_its_own_client_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
