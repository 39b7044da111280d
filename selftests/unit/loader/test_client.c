/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The calling end against a real server, and against peers that speak nonsense. */
#include "serve.h"

#include "client.h"

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
	rpc_error_set(error, RPC_BAD_PARAMS, "no");
	error->data = json_incref(params);
	return -EINVAL;
}

static int do_notify(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct serve *serve = arg;

	(void)result;
	(void)error;
	for (int i = 0; i < 3; i++)
		server_notify(serve->server, "event", json_pack("{s:i}", "n", i));
	*result = json_incref(params);
	return 0;
}

static int do_sleep(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)params;
	(void)result;
	(void)error;
	sleep(2);
	return 0;
}

static const struct rpc_method methods[] = {
	{.name = "echo", .handler = do_echo},
	{.name = "fail", .handler = do_fail},
	{.name = "sleep", .handler = do_sleep},
	{.name = "notify", .handler = do_notify},
	{.name = "watch", .handler = do_echo, .subscribes = true},
	{},
};

static int setup(void **state)
{
	static struct serve serve;
	const struct server_options options = {.max_line = 1 << 20, .max_clients = 2};

	serve_start(&serve, &options, methods);
	*state = &serve;
	return 0;
}

static int teardown(void **state)
{
	serve_end(*state);
	return 0;
}

static struct client *connected(const struct serve *serve)
{
	struct client *client = NULL;

	assert_int_equal(client_connect(serve->path, &client), 0);
	return client;
}

static void no_daemon_is_told_from_no_access(void **state)
{
	struct client *client = NULL;
	struct serve at;
	int fd;

	(void)state;
	serve_dir(&at);
	assert_int_equal(client_connect(at.path, &client), -ENOENT);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, at.path, sizeof(at.path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(client_connect(at.path, &client), -ECONNREFUSED);
	assert_null(client);
	serve_remove_dir(&at);
}

static void a_call_returns_what_the_handler_did(void **state)
{
	struct client *client = connected(*state);
	struct rpc_error error = {};
	json_t *result = NULL;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			client_call(client, "echo", json_pack("{s:i}", "i", i), &result, &error),
			0);
		assert_int_equal(json_integer_value(json_object_get(result, "i")), i);
		json_decref(result);
	}
	client_free(&client);
	assert_null(client);
}

static void a_refusal_keeps_code_message_and_data(void **state)
{
	struct client *client = connected(*state);
	struct rpc_error error = {};
	json_t *result = NULL;

	assert_int_equal(client_call(client, "fail", json_pack("{s:i}", "a", 1), &result, &error),
			 -EREMOTEIO);
	assert_int_equal(error.code, RPC_BAD_PARAMS);
	assert_string_equal(error.message, "no");
	assert_int_equal(json_object_size(error.data), 1);
	assert_null(result);
	rpc_error_clear(&error);
	/* The client is still of use. */
	assert_int_equal(client_call(client, "echo", NULL, &result, &error), 0);
	json_decref(result);
	client_free(&client);
}

static void a_request_that_is_too_long_is_refused_in_words(void **state)
{
	struct client *client = connected(*state);
	struct rpc_error error = {};
	char *text = malloc(8 << 20);
	json_t *result = NULL;

	memset(text, 'x', 8 << 20);
	assert_int_equal(client_call(client, "echo",
				     json_pack("{s:s%}", "text", text, (size_t)8 << 20), &result,
				     &error),
			 -EREMOTEIO);
	assert_int_equal(error.code, RPC_LIMIT);
	free(text);
	client_free(&client);
}

static void a_client_too_many_is_refused_in_words(void **state)
{
	struct client *clients[3] = {};
	struct rpc_error error = {};
	json_t *result = NULL;

	for (int i = 0; i < 3; i++) {
		clients[i] = connected(*state);
		if (i == 2)
			break;
		assert_int_equal(client_call(clients[i], "echo", NULL, &result, &error), 0);
		json_decref(result);
	}
	assert_int_equal(client_call(clients[2], "echo", NULL, &result, &error), -EREMOTEIO);
	assert_int_equal(error.code, RPC_LIMIT);
	for (int i = 0; i < 3; i++)
		client_free(&clients[i]);
}

static void a_daemon_that_is_silent_is_not_waited_for(void **state)
{
	struct client *client = connected(*state);
	struct rpc_error error = {};
	json_t *result = NULL;

	client_set_timeout(client, 1);
	assert_int_equal(client_call(client, "sleep", NULL, &result, &error), -ETIMEDOUT);
	assert_true(error.message[0] != '\0');
	client_free(&client);
}

static void events_that_come_during_a_call_are_kept(void **state)
{
	struct client *client = connected(*state);
	struct rpc_error error = {};
	json_t *result = NULL;

	assert_int_equal(client_call(client, "watch", NULL, &result, &error), 0);
	json_decref(result);
	assert_int_equal(client_call(client, "notify", NULL, &result, &error), 0);
	json_decref(result);
	for (int i = 0; i < 3; i++) {
		json_t *event = NULL;

		assert_int_equal(client_next_event(client, &event, &error), 0);
		assert_int_equal(json_integer_value(json_object_get(event, "n")), i);
		json_decref(event);
	}
	client_free(&client);
}

/* ---- peers that are no daemon of ours ---- */

/* A peer that says this to whatever is asked, and closes. */
static int call_liar(const char *says, struct rpc_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct client *client = NULL;
	json_t *result = NULL;
	struct serve at;
	char byte;
	int r, fd, peer;

	serve_dir(&at);
	memcpy(address.sun_path, at.path, sizeof(at.path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	client = connected(&at);
	if (!fork()) {
		peer = accept(fd, NULL, NULL);
		while (recv(peer, &byte, 1, 0) == 1 && byte != '\n')
			;
		push(peer, says, strlen(says), 1000);
		_exit(0);
	}
	close(fd);
	r = client_call(client, "echo", NULL, &result, error);
	assert_null(result);
	wait(NULL);
	client_free(&client);
	serve_remove_dir(&at);
	return r;
}

static void nonsense_is_a_protocol_error(void **state)
{
	static const char *const lies[] = {
		"HTTP/1.1 400 Bad Request\r\n",
		"[]\n",
		"{}\n",
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}\n",
		"{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}\n",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":1}\n",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct rpc_error error = {};

		assert_int_equal(call_liar(lies[i], &error), -EPROTO);
		assert_true(error.message[0] != '\0');
	}
}

static void a_connection_that_ends_is_told_from_nonsense(void **state)
{
	struct rpc_error error = {};

	(void)state;
	assert_int_equal(call_liar("", &error), -ECONNRESET);
	assert_int_equal(call_liar("{\"jsonrpc\"", &error), -ECONNRESET);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_daemon_is_told_from_no_access),
		CASE(a_call_returns_what_the_handler_did),
		CASE(a_refusal_keeps_code_message_and_data),
		CASE(a_request_that_is_too_long_is_refused_in_words),
		CASE(a_client_too_many_is_refused_in_words),
		CASE(a_daemon_that_is_silent_is_not_waited_for),
		CASE(events_that_come_during_a_call_are_kept),
		cmocka_unit_test(nonsense_is_a_protocol_error),
		cmocka_unit_test(a_connection_that_ends_is_told_from_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
