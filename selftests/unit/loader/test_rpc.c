/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a line to a request, and from a request to an answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "rpc.h"

#define REQUEST(rest) "{\"jsonrpc\":\"2.0\"" rest "}"

static int code_of(const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");

	assert_true(json_string_length(json_object_get(error, "message")) > 0);
	return (int)json_integer_value(json_object_get(error, "code"));
}

static void what_is_no_request_is_refused_with_the_right_code(void **state)
{
	static const struct {
		int code;
		size_t length; /* 0: strlen() */
		const char *line;
	} cases[] = {
		{RPC_PARSE, 0, ""},
		{RPC_PARSE, 0, "hello"},
		{RPC_PARSE, 0, "{\"jsonrpc\":\"2.0\","},
		{RPC_PARSE, 0, "{} {}"},
		{RPC_PARSE, 4, "{\0\0}"},
		{RPC_PARSE, 6, "\"a\0bc\""},
		{RPC_PARSE, 3, "{}\0"},
		{RPC_PARSE, 0, "{\"a\":\"\\u0000\"}"},
		{RPC_PARSE, 0, "{\"a\":\"\xff\xfe\"}"},
		{RPC_PARSE, 0, "{\"a\":\"\xed\xa0\x80\"}"},
		{RPC_PARSE, 0, "{\"a\":\"\\ud800\"}"},
		{RPC_PARSE, 0, "{\"method\":\"a\",\"method\":\"b\"}"},
		{RPC_PARSE, 0, "{\"a\":1e999}"},
		{RPC_PARSE, 0, "{\"a\":99999999999999999999}"},
		{RPC_INVALID_REQUEST, 0, "1"},
		{RPC_INVALID_REQUEST, 0, "null"},
		{RPC_INVALID_REQUEST, 0, "{}"},
		{RPC_INVALID_REQUEST, 0, "[]"},
		{RPC_INVALID_REQUEST, 0, "[" REQUEST(",\"id\":1,\"method\":\"a\"") "]"},
		{RPC_INVALID_REQUEST, 0, "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}"},
		{RPC_INVALID_REQUEST, 0, "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}"},
		{RPC_INVALID_REQUEST, 0, REQUEST(",\"id\":{},\"method\":\"a\"")},
		{RPC_INVALID_REQUEST, 0, REQUEST(",\"id\":true,\"method\":\"a\"")},
		{RPC_INVALID_REQUEST, 0, REQUEST(",\"id\":1,\"method\":5")},
		{RPC_INVALID_REQUEST, 0, REQUEST(",\"id\":1")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = cases[i].length ? cases[i].length : strlen(cases[i].line);
		json_auto_t *request = NULL;
		json_auto_t *answer = NULL;

		assert_int_equal(rpc_parse(cases[i].line, length, &request, &answer), 0);
		assert_null(request);
		assert_int_equal(code_of(answer), cases[i].code);
		assert_non_null(json_object_get(answer, "id"));
	}
}

static void a_refused_request_keeps_its_id_where_it_has_one(void **state)
{
	json_auto_t *request = NULL;
	json_auto_t *answer = NULL;
	const char *line = REQUEST(",\"id\":\"x\"");

	(void)state;
	assert_int_equal(rpc_parse(line, strlen(line), &request, &answer), 0);
	assert_string_equal(json_string_value(json_object_get(answer, "id")), "x");
}

/* ---- calls ---- */

static int do_params(void *arg, json_t *params, json_t **result, struct rpc_error *error)
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

static const struct rpc_method methods[] = {
	{.name = "params", .handler = do_params},
	{.name = "fail", .handler = do_fail},
	{.name = "watch", .handler = do_params, .subscribes = true},
	{.name = "watch-fail", .handler = do_fail, .subscribes = true},
	{},
};

static json_t *call(const char *line, bool *subscribed)
{
	json_auto_t *request = NULL;
	json_t *answer = NULL;

	assert_int_equal(rpc_parse(line, strlen(line), &request, &answer), 0);
	assert_non_null(request);
	assert_int_equal(rpc_call(methods, NULL, request, &answer, subscribed), 0);
	return answer;
}

static void a_result_is_answered_and_a_missing_one_is_null(void **state)
{
	bool subscribed = false;
	json_auto_t *some =
		call(REQUEST(",\"id\":1,\"method\":\"params\",\"params\":{\"a\":1}"), &subscribed);
	json_auto_t *none = call(REQUEST(",\"id\":null,\"method\":\"params\""), &subscribed);

	(void)state;
	assert_true(json_is_object(json_object_get(some, "result")));
	assert_null(json_object_get(some, "error"));
	assert_true(json_is_null(json_object_get(none, "result")));
	assert_true(json_is_null(json_object_get(none, "id")));
	assert_false(subscribed);
}

static void a_call_without_id_is_not_answered(void **state)
{
	bool subscribed = false;

	(void)state;
	assert_null(call(REQUEST(",\"method\":\"params\""), &subscribed));
	assert_null(call(REQUEST(",\"method\":\"fail\""), &subscribed));
	assert_null(call(REQUEST(",\"method\":\"nothing\""), &subscribed));
}

static void only_a_watch_that_succeeds_subscribes(void **state)
{
	bool subscribed = false;
	json_t *answer = call(REQUEST(",\"id\":1,\"method\":\"watch-fail\""), &subscribed);

	(void)state;
	assert_false(subscribed);
	json_decref(answer);
	answer = call(REQUEST(",\"id\":1,\"method\":\"watch\""), &subscribed);
	assert_true(subscribed);
	json_decref(answer);
}

static void a_failure_has_code_message_and_data(void **state)
{
	bool subscribed = false;
	json_auto_t *bare = call(REQUEST(",\"id\":1,\"method\":\"fail\""), &subscribed);
	json_auto_t *full =
		call(REQUEST(",\"id\":1,\"method\":\"fail\",\"params\":{\"a\":1}"), &subscribed);
	json_t *error = json_object_get(full, "error");

	(void)state;
	assert_int_equal(code_of(bare), RPC_FAILED);
	assert_int_equal(code_of(full), RPC_BAD_PARAMS);
	assert_string_equal(json_string_value(json_object_get(error, "message")), "cut in ?");
	assert_true(json_is_object(json_object_get(error, "data")));
}

static void params_that_are_no_object_are_refused(void **state)
{
	static const char *const lines[] = {
		REQUEST(",\"id\":1,\"method\":\"params\",\"params\":[1]"),
		REQUEST(",\"id\":1,\"method\":\"params\",\"params\":null"),
		REQUEST(",\"id\":1,\"method\":\"params\",\"params\":\"x\""),
	};
	bool subscribed = false;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		json_auto_t *answer = call(lines[i], &subscribed);

		assert_int_equal(code_of(answer), RPC_BAD_PARAMS);
	}
}

/* The quote is cut after 64 bytes: here in the middle of a character. */
static void an_unknown_method_is_quoted_short(void **state)
{
	bool subscribed = false;
	char name[1024];
	char line[2048];
	json_auto_t *answer = NULL;
	json_t *message;

	(void)state;
	memset(name, 'x', sizeof(name));
	memcpy(name + 63, "\xc3\xa9", 2);
	snprintf(line, sizeof(line), REQUEST(",\"id\":1,\"method\":\"%.*s\""), (int)sizeof(name),
		 name);
	answer = call(line, &subscribed);
	message = json_object_get(json_object_get(answer, "error"), "message");
	assert_int_equal(code_of(answer), RPC_NO_METHOD);
	assert_in_range(json_string_length(message), 64, 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_request_is_refused_with_the_right_code),
		cmocka_unit_test(a_refused_request_keeps_its_id_where_it_has_one),
		cmocka_unit_test(a_result_is_answered_and_a_missing_one_is_null),
		cmocka_unit_test(a_call_without_id_is_not_answered),
		cmocka_unit_test(only_a_watch_that_succeeds_subscribes),
		cmocka_unit_test(a_failure_has_code_message_and_data),
		cmocka_unit_test(params_that_are_no_object_are_refused),
		cmocka_unit_test(an_unknown_method_is_quoted_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
