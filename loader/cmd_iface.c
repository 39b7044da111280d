/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpath iface: the switches of interfaces, and what the kernel made of them. */
#include "cmd.h"

#include <net/if.h>
#include <string.h>

#include "util.h"

struct setting {
	const char *key;
	const char *values[4];
	bool number; /* may also be a number */
};

static const struct setting settings[] = {
	{.key = "lb", .values = {"on", "drain", "off"}},
	{.key = "xdp", .values = {"native", "generic", "off"}},
	{.key = "mss", .values = {"auto", "off"}, .number = true},
	{.key = "stats", .values = {"on", "off"}},
	{.key = "redirect", .values = {"on", "off"}},
};

/* What the kernel has: "tcx, xdp generic". */
static char *attached_text(const json_t *row)
{
	const json_t *attached = json_object_get(row, "attached");
	const char *tc = json_string_value(json_object_get(attached, "tc"));
	const char *xdp = json_string_value(json_object_get(attached, "xdp"));
	const bool shared = json_is_true(json_object_get(attached, "dispatcher"));

	if (tc && !strcmp(tc, "off"))
		tc = NULL;
	if (xdp && !strcmp(xdp, "off"))
		xdp = NULL;
	if (!tc && !xdp)
		return NULL;
	return out_text("%s%s%s%s%s", tc ? tc : "", tc && xdp ? ", " : "", xdp ? "xdp " : "",
			xdp ? xdp : "", xdp && shared ? " shared" : "");
}

/* Shown where one does. */
static char *redirect_text(const json_t *row)
{
	const char *redirect = json_string_value(json_object_get(row, "redirect"));

	return redirect && !strcmp(redirect, "on") ? out_text("on") : NULL;
}

const struct out_column cmd_iface_columns[] = {
	{.title = "NAME", .key = "name"},
	{.title = "ROLE", .key = "role"},
	{.title = "MTU", .key = "mtu", .right = true},
	{.title = "LB", .key = "lb"},
	{.title = "XDP", .key = "xdp"},
	{.title = "MSS", .key = "mss"},
	{.title = "STATS", .key = "stats"},
	{.title = "REDIRECT", .text = redirect_text, .optional = true},
	{.title = "ATTACHED", .text = attached_text},
	{.title = "NOTE", .key = "note", .optional = true},
	{},
};

int cmd_iface_list(const struct cmd_args *args, const struct out *out)
{
	json_auto_t *result = NULL;
	int code = cmd_call(args, out, "iface", NULL, &result);

	return code ? code : cmd_printed(out, out_list(out, result, "ifaces", cmd_iface_columns));
}

/* ---- set ---- */

static const struct setting *find_setting(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (!strcmp(key, settings[i].key))
			return &settings[i];
	}
	return NULL;
}

static json_t *setting_value(const struct setting *setting, const char *value)
{
	for (size_t i = 0; setting->values[i]; i++) {
		if (!strcmp(value, setting->values[i]))
			return json_string(value);
	}
	if (setting->number && value[0] && strlen(value) < 10 &&
	    strspn(value, "0123456789") == strlen(value))
		return json_integer(strtol(value, NULL, 10));
	return NULL;
}

static int unknown_key(const struct out *out, const char *key)
{
	const char *names[ARRAY_SIZE(settings) + 1] = {};
	_cleanup_free_ char *hint = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		names[i] = settings[i].key;
	hint = cmd_hint(key, names);
	return cmd_usage(out, "unknown setting \"%s\"%s; see \"nearpath iface set --help\"", key,
			 hint ? hint : "");
}

static int unknown_value(const struct out *out, const struct setting *setting, const char *value)
{
	_cleanup_free_ char *hint = cmd_hint(value, setting->values);
	const char *const *values = setting->values;

	return cmd_usage(out, "\"%s\" is no value of %s%s; it is %s, %s%s%s%s", value, setting->key,
			 hint ? hint : "", values[0], values[1], values[2] ? ", " : "",
			 values[2] ? values[2] : "", setting->number ? " or a number" : "");
}

static int add_setting(const struct out *out, json_t *set, const char *word)
{
	const char *equals = strchr(word, '=');
	_cleanup_free_ char *key = equals ? strndup(word, (size_t)(equals - word)) : NULL;
	const struct setting *setting = key ? find_setting(key) : NULL;
	json_t *value;

	if (!equals)
		return cmd_usage(out,
				 "\"%s\" is not SETTING=VALUE; see \"nearpath iface set --help\"",
				 word);
	if (!setting)
		return unknown_key(out, key ? key : word);
	if (json_object_get(set, setting->key))
		return cmd_usage(out, "%s is set twice", setting->key);
	value = setting_value(setting, equals + 1);
	if (!value)
		return unknown_value(out, setting, equals + 1);
	json_object_set_new(set, setting->key, value);
	return CMD_DONE;
}

int cmd_iface_set(const struct cmd_args *args, const struct out *out)
{
	const char *name = args->words[0];
	json_auto_t *set = json_object();
	json_auto_t *result = NULL;
	json_auto_t *rows = NULL;
	json_t *params;
	int code;

	if (!name[0] || strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t\n"))
		return cmd_usage(out, "\"%s\" cannot be the name of an interface", name);
	for (size_t i = 1; i < args->n_words; i++) {
		code = add_setting(out, set, args->words[i]);
		if (code)
			return code;
	}
	params = json_pack("{s:s, s:O}", "name", name, "set", set);
	if (!params)
		return cmd_usage(out, "\"%s\" is not UTF-8", name);
	code = cmd_call(args, out, "iface", params, &result);
	if (code)
		return code;
	if (out->format == OUT_JSON)
		return cmd_printed(out, out_json(out, result));
	rows = json_pack("[O]", result);
	return cmd_printed(out, out_table(out, rows, cmd_iface_columns, ""));
}
