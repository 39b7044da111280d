/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Requests and answers of JSON-RPC 2.0. The text of a request comes from anyone. */
#include "rpc.h"

#include <errno.h>
#include <string.h>

#include "util.h"

/* Messages may quote hostile text, or be cut in the middle of a character. */
static json_t *message_json(const char *message)
{
	char ascii[sizeof(((struct rpc_error *)NULL)->message)];
	json_t *text = json_string(message);
	size_t i;

	if (text)
		return text;
	for (i = 0; i < sizeof(ascii) - 1 && message[i]; i++)
		ascii[i] = '?';
	for (size_t n = 0; n < i; n++) {
		if ((unsigned char)message[n] < 0x80)
			ascii[n] = message[n];
	}
	ascii[i] = '\0';
	return json_string(ascii);
}

json_t *rpc_error_json(json_t *id, const struct rpc_error *error)
{
	return json_pack("{s:s, s:O?, s:{s:i, s:o, s:O*}}", "jsonrpc", "2.0", "id", id, "error",
			 "code", error->code, "message", message_json(error->message), "data",
			 error->data);
}

json_t *rpc_result_json(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:O, s:O?}", "jsonrpc", "2.0", "id", id, "result", result);
}

void rpc_error_complete(struct rpc_error *error, int r)
{
	if (!error->code)
		error->code = RPC_FAILED;
	if (!error->message[0])
		rpc_error_set(error, error->code, "%s", strerror(-r));
}

static bool id_valid(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

const char *rpc_fault(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));

	if (json_is_array(request))
		return "batches are not supported: send one object a line";
	if (!json_is_object(request))
		return "a request is a JSON object";
	if (!version || strcmp(version, "2.0"))
		return "\"jsonrpc\" must be \"2.0\"";
	if (id && !id_valid(id))
		return "\"id\" must be a string, a number or null";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	return NULL;
}

int rpc_parse(const char *line, size_t length, json_t **request, json_t **answer)
{
	json_auto_t *parsed = NULL;
	json_auto_t *refusal = NULL;
	struct rpc_error error = {};
	const char *fault;
	json_error_t where;
	json_t *id;

	parsed = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
	fault = parsed ? rpc_fault(parsed) : NULL;
	if (parsed && !fault) {
		*request = TAKE_PTR(parsed);
		return 0;
	}
	if (fault)
		rpc_error_set(&error, RPC_INVALID_REQUEST, "%s", fault);
	else
		rpc_error_set(&error, RPC_PARSE, "the line is not JSON: %s (byte %d)", where.text,
			      where.position);
	id = json_object_get(parsed, "id");
	refusal = rpc_error_json(id && id_valid(id) ? id : NULL, &error);
	if (!refusal)
		return -ENOMEM;
	*answer = TAKE_PTR(refusal);
	return 0;
}

static const struct rpc_method *find_method(const struct rpc_method *methods, const char *name)
{
	for (; methods->name; methods++) {
		if (!strcmp(methods->name, name))
			return methods;
	}
	return NULL;
}

static int carry_out(const struct rpc_method *method, void *arg, json_t *params, json_t **result,
		     struct rpc_error *error)
{
	int r;

	if (params && !json_is_object(params)) {
		rpc_error_set(error, RPC_BAD_PARAMS, "\"params\" must be an object");
		return -EINVAL;
	}
	r = method->handler(arg, params, result, error);
	if (r < 0)
		rpc_error_complete(error, r);
	return r;
}

int rpc_call(const struct rpc_method *methods, void *arg, const json_t *request, json_t **answer,
	     bool *subscribed)
{
	_cleanup_(rpc_error_clear) struct rpc_error error = {};
	json_auto_t *result = NULL;
	json_auto_t *reply = NULL;
	const char *name = json_string_value(json_object_get(request, "method"));
	const struct rpc_method *method = find_method(methods, name);
	json_t *id = json_object_get(request, "id");
	int r = -EOPNOTSUPP;

	if (method)
		r = carry_out(method, arg, json_object_get(request, "params"), &result, &error);
	else
		rpc_error_set(&error, RPC_NO_METHOD, "there is no method \"%.64s\"", name);
	if (!r && method->subscribes)
		*subscribed = true;
	if (r > 0)
		return r;
	if (!id)
		return 0;

	reply = r < 0 ? rpc_error_json(id, &error) : rpc_result_json(id, result);
	if (!reply)
		return -ENOMEM;
	*answer = TAKE_PTR(reply);
	return 0;
}
