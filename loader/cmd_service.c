/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath service: the wanted state of services as the daemon has compiled it. */
#include "cmd.h"

#include <string.h>

#include "util.h"

/* "80/TCP" */
static char *port_text(const json_t *row)
{
	_cleanup_free_ char *port = out_value(json_object_get(row, "port"));
	_cleanup_free_ char *protocol = out_value(json_object_get(row, "protocol"));

	return out_text("%s/%s", port ? port : "-", protocol ? protocol : "-");
}

/* "10.96.0.10:80"; "*:30080" is every node address. */
static char *address_text(const json_t *frontend)
{
	_cleanup_free_ char *address = out_value(json_object_get(frontend, "address"));
	_cleanup_free_ char *port = out_value(json_object_get(frontend, "port"));

	if (!address || !port)
		return TAKE_PTR(address);
	return out_text(strchr(address, ':') ? "[%s]:%s" : "%s:%s", address, port);
}

/* The first address with its port, the NodePort, and how many more there are. */
static char *frontend_text(const json_t *row)
{
	const json_t *frontends = json_object_get(row, "frontends"), *last;
	_cleanup_free_ char *first = address_text(json_array_get(frontends, 0));
	_cleanup_free_ char *node_port = NULL;
	size_t more = json_array_size(frontends);

	if (!first || more < 2)
		return TAKE_PTR(first);
	last = json_array_get(frontends, more - 1);
	if (!strcmp(json_string_value(json_object_get(last, "address")) ?: "", "*"))
		node_port = address_text(last);
	more -= node_port ? 2 : 1;
	return more ? out_text("%s%s%s +%zu", first, node_port ? "," : "", node_port ?: "", more)
		    : out_text("%s,%s", first, node_port ?: "");
}

/* Backends that get connections, of all there are. */
static char *backends_text(const json_t *row)
{
	const json_t *backends = json_object_get(row, "backends");
	const json_t *backend;
	size_t used = 0;
	size_t i;

	json_array_foreach (backends, i, backend)
		used += json_is_true(json_object_get(backend, "used"));
	return out_text("%zu/%zu", used, json_array_size(backends));
}

static const struct out_column list_columns[] = {
	{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"},
	{.title = "PORT", .text = port_text},
	{.title = "FAMILY", .key = "family"},
	{.title = "FRONTEND", .text = frontend_text},
	{.title = "USED", .text = backends_text, .right = true},
	{.title = "TOPOLOGY", .key = "topology"},
	{},
};

static const struct out_column policy_columns[] = {
	{.title = "FRONTEND", .key = "address"},
	{.title = "KIND", .key = "kind"},
	{.title = "FROM", .key = "from"},
	{.title = "VERDICT", .key = "verdict"},
	{.title = "SNAT", .key = "snat"},
	{.title = "BACKENDS", .key = "backends"},
	{},
};

static const struct out_column backend_columns[] = {
	{.title = "BACKEND", .key = "address"},
	{.title = "NODE", .key = "node"},
	{.title = "ZONE", .key = "zone"},
	{.title = "LOCAL", .key = "local"},
	{.title = "READY", .key = "ready"},
	{.title = "SERVING", .key = "serving"},
	{.title = "TERMINATING", .key = "terminating"},
	{.title = "USED", .key = "used"},
	{},
};

int cmd_service_list(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *result = NULL;
	int code =
		cmd_call(args, out, "get",
			 json_pack("{s:s, s:s*}", "what", "services", "namespace", args->namespace),
			 &result);

	return code ? code : cmd_printed(out, out_list(out, result, "services", list_columns));
}

/* ---- get ---- */

/* A frontend has a policy for each origin: a row for each of them. */
static int add_policies(json_t *rows, const json_t *frontend)
{
	json_t *policies = json_object_get(frontend, "policy");
	const char *from;
	json_t *policy;

	json_object_foreach (policies, from, policy) {
		_cleanup_free_ char *address = address_text(frontend);
		json_t *row = json_pack("{s:s*, s:O*, s:s, s:O*, s:O*, s:O*}", "address", address,
					"kind", json_object_get(frontend, "kind"), "from", from,
					"verdict", json_object_get(policy, "verdict"), "snat",
					json_object_get(policy, "snat"), "backends",
					json_object_get(policy, "backends"));

		if (json_array_append_new(rows, row))
			return -1;
	}
	return 0;
}

static void print_connections(const struct out *out, json_t *connections)
{
	const char *separator = "connections ";
	const char *key;
	json_t *value;

	json_object_foreach (connections, key, value) {
		_cleanup_free_ char *text = out_value(value);

		fprintf(out->data, "%s%s %s", separator, key, text ? text : "-");
		separator = ", ";
	}
	if (json_object_size(connections))
		fputc('\n', out->data);
}

/* Who may come, and for how long a client stays with its backend; of services that say so. */
static void print_limits(const struct out *out, const json_t *service)
{
	json_t *ranges = json_object_get(service, "source_ranges");
	json_int_t affinity = json_integer_value(json_object_get(service, "affinity_seconds"));
	_cleanup_free_ char *text = out_value(ranges);

	if (json_array_size(ranges) && text)
		fprintf(out->data, "  LoadBalancer addresses only from %s\n", text);
	if (affinity)
		fprintf(out->data, "  session affinity ClientIP, %lld s\n", (long long)affinity);
}

static int print_service(const struct out *out, const json_t *service)
{
	_cleanup_free_ char *namespace = out_value(json_object_get(service, "namespace"));
	_cleanup_free_ char *name = out_value(json_object_get(service, "name"));
	_cleanup_free_ char *port = port_text(service);
	_cleanup_free_ char *family = out_value(json_object_get(service, "family"));
	_cleanup_free_ char *topology = out_value(json_object_get(service, "topology"));
	json_auto_t *policies = json_array();
	json_t *backends = json_object_get(service, "backends");
	const json_t *frontend;
	size_t i;
	int r = 0;

	fprintf(out->data, "%s/%s %s %s, topology %s\n", namespace ? namespace : "-",
		name ? name : "-", port ? port : "-", family ? family : "-",
		topology ? topology : "-");
	json_array_foreach (json_object_get(service, "frontends"), i, frontend) {
		if (add_policies(policies, frontend))
			return -1;
	}
	if (json_array_size(policies))
		r = out_table(out, policies, policy_columns, "  ");
	if (!r && json_array_size(backends))
		r = out_table(out, backends, backend_columns, "  ");
	print_limits(out, service);
	fputs("  ", out->data);
	print_connections(out, json_object_get(service, "connections"));
	return r;
}

static int print_services(const struct out *out, json_t *result)
{
	json_t *services = json_object_get(result, "services");
	const json_t *service;
	size_t i;
	int r = out_sort(services, list_columns);

	if (out->format == OUT_JSON)
		return r < 0 ? r : out_json(out, result);
	json_array_foreach (services, i, service) {
		if (r < 0)
			return r;
		if (i)
			fputc('\n', out->data);
		r = print_service(out, service);
	}
	return r;
}

int cmd_service_get(const struct cmd_args *args, const struct out *out)
{
	const char *slash = strchr(args->words[0], '/');
	const char *name = slash ? slash + 1 : args->words[0];
	_cleanup_free_ char *before =
		slash ? strndup(args->words[0], (size_t)(slash - args->words[0])) : NULL;
	const char *namespace = before ? before : args->namespace ? args->namespace : "default";
	json_auto_t *result = NULL;
	json_t *params;
	int code;

	if (!name[0] || !namespace[0] || strchr(name, '/'))
		return cmd_usage(out, "\"%s\" is not [NAMESPACE/]NAME", args->words[0]);
	if (slash && args->namespace && strcmp(namespace, args->namespace))
		return cmd_usage(out, "two namespaces: \"%s\" and \"%s\"", namespace,
				 args->namespace);
	params = json_pack("{s:s, s:s, s:s}", "what", "services", "namespace", namespace, "name",
			   name);
	if (!params)
		return cmd_usage(out, "\"%s\" is not UTF-8", args->words[0]);
	code = cmd_call(args, out, "get", params, &result);
	if (code)
		return code;
	if (!json_array_size(json_object_get(result, "services")))
		return cmd_fail(out, "there is no service \"%s/%s\"; see \"nearpath service list\"",
				namespace, name);
	return cmd_printed(out, print_services(out, result));
}
