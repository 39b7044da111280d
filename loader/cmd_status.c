/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath status: the daemon, its tables, counters, interfaces, and what is in conflict. */
#include "cmd.h"

#include <string.h>

#include "util.h"

static const struct out_column table_columns[] = {
	{.title = "TABLE", .key = "table"},
	{.title = "USED", .key = "used", .right = true},
	{.title = "SIZE", .key = "size", .right = true},
	{},
};

static const struct out_column counter_columns[] = {
	{.title = "HOOK", .key = "hook"},
	{.title = "COUNTER", .key = "counter"},
	{.title = "COUNT", .key = "count", .right = true},
	{},
};

static const struct out_column warning_columns[] = {
	{.title = "WARNING", .text = out_value},
	{},
};

static const struct out_column conflict_columns[] = {
	{.title = "CONFLICT", .text = out_value},
	{},
};

/* "1d 2h", "3m 4s": the two largest units. */
static char *duration_text(const json_t *seconds)
{
	const long long s = json_integer_value(seconds);

	if (s < 60)
		return out_text("%llds", s);
	if (s < 3600)
		return out_text("%lldm %llds", s / 60, s % 60);
	if (s < 86400)
		return out_text("%lldh %lldm", s / 3600, s / 60 % 60);
	return out_text("%lldd %lldh", s / 86400, s / 3600 % 24);
}

/* "Node 1, Service 3" of an object, in the order of its keys. */
static char *members_text(const json_t *object)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *dump = json_dumps(object, JSON_SORT_KEYS);
	json_auto_t *sorted = dump ? json_loads(dump, 0, NULL) : NULL;
	const char *key;
	json_t *value;

	json_object_foreach (sorted, key, value) {
		_cleanup_free_ char *before = TAKE_PTR(text);
		_cleanup_free_ char *shown = out_value(value);

		text = out_text("%s%s%s %s", before ? before : "", before ? ", " : "", key,
				shown ? shown : "-");
	}
	return TAKE_PTR(text);
}

/* Where the programs for the node's own processes are, or why not. */
static char *sock_text(const json_t *sock)
{
	const char *cgroup = json_string_value(json_object_get(sock, "cgroup"));
	const char *why = json_string_value(json_object_get(sock, "why"));

	if (!sock)
		return out_text("not known");
	if (json_is_true(json_object_get(sock, "attached")))
		return out_text("translated at %s", cgroup ? cgroup : "-");
	return out_text("not translated: %s", why ? why : "-");
}

/* NULL from a daemon that does not tell. */
static char *compared_text(const json_t *differences)
{
	const json_int_t count = json_integer_value(differences);

	if (!differences)
		return NULL;
	if (!count)
		return out_text("as wanted");
	return out_text("DIFFER: %lld difference%s, see nearpath diff", count,
			count == 1 ? "" : "s");
}

static void print_daemon(const struct out *out, const json_t *status)
{
	_cleanup_free_ char *version = out_value(json_object_get(status, "version"));
	_cleanup_free_ char *pid = out_value(json_object_get(status, "pid"));
	_cleanup_free_ char *uptime = duration_text(json_object_get(status, "uptime"));
	_cleanup_free_ char *node = out_value(json_object_get(status, "node"));
	_cleanup_free_ char *zone = out_value(json_object_get(status, "zone"));
	_cleanup_free_ char *revision = out_value(json_object_get(status, "revision"));
	const bool synced = json_is_true(json_object_get(status, "synced"));
	_cleanup_free_ char *about = out_text("%s, pid %s, up %s", version ? version : "-",
					      pid ? pid : "-", uptime ? uptime : "-");
	_cleanup_free_ char *where =
		out_text("%s, zone %s", node ? node : "not known", zone ? zone : "not known");
	_cleanup_free_ char *state = out_text(
		"%s, %s%s", revision ? revision : "-",
		synced ? "the tables hold it" : "NOT YET in the tables",
		json_is_false(json_object_get(status, "delivered")) ? ", a delivery is under way"
								    : "");
	_cleanup_free_ char *objects = members_text(json_object_get(status, "objects"));
	_cleanup_free_ char *kernel = members_text(json_object_get(status, "kernel"));
	_cleanup_free_ char *sock = sock_text(json_object_get(status, "sock"));
	_cleanup_free_ char *compared = compared_text(json_object_get(status, "differences"));

	out_field(out, "nearpathd", about);
	out_field(out, "node", where);
	out_field(out, "revision", state);
	out_field(out, "objects", objects);
	out_field(out, "kernel", kernel);
	out_field(out, "processes", sock);
	out_field(out, "tables", compared);
}

static json_t *table_rows(json_t *tables)
{
	json_t *rows = json_array();
	const char *name;
	json_t *table;

	json_object_foreach (tables, name, table)
		json_array_append_new(rows, json_pack("{s:s, s:O*, s:O*}", "table", name, "used",
						      json_object_get(table, "used"), "size",
						      json_object_get(table, "size")));
	return rows;
}

static json_t *counter_rows(json_t *hooks)
{
	json_t *rows = json_array();
	const char *hook;
	const char *name;
	json_t *counters;
	json_t *count;

	json_object_foreach (hooks, hook, counters) {
		json_object_foreach (counters, name, count) {
			if (json_integer_value(count))
				json_array_append_new(rows,
						      json_pack("{s:s, s:s, s:O}", "hook", hook,
								"counter", name, "count", count));
		}
	}
	return rows;
}

/* An empty table is left out, with the empty line before it. */
static int print_part(const struct out *out, const json_t *rows, const struct out_column *columns)
{
	if (!json_array_size(rows))
		return 0;
	fputc('\n', out->data);
	return out_table(out, rows, columns, "");
}

static int print_status(const struct out *out, json_t *status)
{
	json_auto_t *tables = table_rows(json_object_get(status, "tables"));
	json_auto_t *counters = counter_rows(json_object_get(status, "counters"));
	json_t *ifaces = json_object_get(status, "ifaces");
	json_t *conflicts = json_object_get(status, "conflicts");
	json_t *warnings = json_object_get(status, "warnings");
	int r;

	if (out->format == OUT_JSON) {
		r = ifaces ? out_sort(ifaces, cmd_iface_columns) : 0;
		return r < 0 ? r : out_json(out, status);
	}
	print_daemon(out, status);
	r = print_part(out, tables, table_columns);
	if (!r)
		r = print_part(out, ifaces, cmd_iface_columns);
	if (!r)
		r = print_part(out, counters, counter_columns);
	if (!r)
		r = print_part(out, warnings, warning_columns);
	return r ? r : print_part(out, conflicts, conflict_columns);
}

int cmd_status(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *status = NULL;
	int code = cmd_call(args, out, "status", NULL, &status);

	code = code ?: cmd_printed(out, print_status(out, status));
	if (!code && json_integer_value(json_object_get(status, "differences")))
		return CMD_FAILED;
	return code;
}
