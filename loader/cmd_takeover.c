/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath takeover: all interfaces over to nearpath or back, and what remains of kube-proxy. */
#include "cmd.h"

#include <string.h>

#include "util.h"

static const struct out_column iface_columns[] = {
	{.title = "INTERFACE", .key = "name"},
	{.title = "WAS", .key = "was"},
	{.title = "LB", .key = "lb"},
	{},
};

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

static void print_processes(const struct out *out, const json_t *processes)
{
	_cleanup_free_ char *line = NULL;

	if (json_is_object(processes))
		line = out_text("lb was %s, is %s", text(processes, "was"), text(processes, "lb"));
	out_field(out, "processes", line ? line : "not translated; see nearpath status");
}

static void print_rules(const struct out *out, const json_t *proxy)
{
	const json_t *rules = json_object_get(proxy, "rules"), *kind;
	const bool known = json_is_true(json_object_get(proxy, "known"));
	size_t i;

	json_array_foreach (rules, i, kind) {
		_cleanup_free_ char *line = out_text("%s, %s: %lld chains, %lld rules",
						     text(kind, "kind"), text(kind, "family"),
						     number(kind, "chains"), number(kind, "rules"));
		out_field(out, "rules", line);
	}
	if (!known)
		out_field(out, "rules", "not known: the kernel could not be asked for all");
	else if (!json_array_size(rules))
		out_field(out, "rules", "none of kube-proxy");
}

static void print_carried(const struct out *out, const json_t *connections)
{
	_cleanup_free_ char *line = out_text("%lld connections, by the kernel for kube-proxy",
					     (long long)json_integer_value(connections));

	out_field(out, "carried", json_is_integer(connections) ? line : "not known");
}

static void print_ports(const struct out *out, const json_t *ports)
{
	const json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		_cleanup_free_ char *line =
			out_text("%s: %s", text(port, "address"),
				 json_is_true(json_object_get(port, "held"))
					 ? "nearpath's"
					 : "another process holds it; taken over when it ends");
		out_field(out, "port", line);
	}
}

/* What to do next. */
static void print_advice(const struct out *out, const json_t *result, bool undo)
{
	const json_t *proxy = json_object_get(result, "kube_proxy");
	const json_t *connections = json_object_get(proxy, "connections");
	const bool any = json_array_size(json_object_get(proxy, "rules"));

	if (undo && number(result, "flows"))
		fputs("\nConnections of nearpath live: \"nearpath iface set DEV lb=off\" would "
		      "break\n"
		      "them. Wait for 0 flows; \"nearpath takeover --undo\" counts again.\n",
		      out->data);
	else if (undo)
		fputs("\nNo connection of nearpath lives: \"nearpath iface set DEV lb=off\" is "
		      "safe.\n",
		      out->data);
	else if (!any)
		return;
	else if (json_is_integer(connections) && !json_integer_value(connections))
		fputs("\nNo connection of kube-proxy lives: stop it, and remove its rules by\n"
		      "\"kube-proxy --cleanup\".\n",
		      out->data);
	else
		fputs("\nThe rules are removed by \"kube-proxy --cleanup\". Not before 0 "
		      "connections\n"
		      "are carried: without them the kernel may stop translating those that live.\n"
		      "\"nearpath takeover\" counts again.\n",
		      out->data);
}

static int print_takeover(const struct out *out, const json_t *result, bool undo)
{
	const json_t *proxy = json_object_get(result, "kube_proxy");
	_cleanup_free_ char *flows = out_text("%lld of nearpath live", number(result, "flows"));
	int r = out_table(out, json_object_get(result, "ifaces"), iface_columns, "");

	fputc('\n', out->data);
	print_processes(out, json_object_get(result, "processes"));
	out_field(out, "flows", flows);
	print_carried(out, json_object_get(proxy, "connections"));
	print_rules(out, proxy);
	print_ports(out, json_object_get(proxy, "ports"));
	print_advice(out, result, undo);
	return r;
}

int cmd_takeover(const struct cmd_args *args, const struct out *out)
{
	const bool undo = args->given & CMD_OPT_UNDO;
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "takeover", json_pack("{s:b}", "undo", undo), &result);

	if (code)
		return code;
	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, result));
	return cmd_printed(out, print_takeover(out, result, undo));
}
