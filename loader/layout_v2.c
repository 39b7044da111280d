/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The layout of ABI version 2, whose tables carry no BTF, as far as it is read. */
#include <string.h>

#include "layout.h"

static const struct {
	const char *table;
	const char *name;
	struct layout_field field;
} fields[] = {
	{"config", "abi_version", {0, 4, 1}},
	{"config", "hash_key", {8, 8, NP_HASH_KEYS}},
	{"flows", "seq", {0, 4, 1}},
	{"flows", "seen", {4, 4, 1}},
	{"flows", "port", {8, 2, NP_PLACES}},
	{"flows", "index", {16, 4, NP_NAMES}},
	{"flows", "protocol", {32, 1, 1}},
	{"flows", "state", {33, 1, 1}},
	{"flows", "flags", {34, 2, 1}},
	{"flows", "service", {36, 4, 1}},
	{"flows", "backend", {40, 4, 1}},
	{"flows", "born", {44, 4, 1}},
	{"flows4", "addr", {48, 4, NP_PLACES}},
	{"flows6", "addr", {48, 16, NP_PLACES}},
	{"services", "addr", {0, 16, 1}},
	{"services", "port", {16, 2, 1}},
	{"services", "protocol", {18, 1, 1}},
	{"services", "family", {19, 1, 1}},
	{"services", "id", {24, 4, 1}},
	{"backends", "addr", {0, 16, 1}},
	{"backends", "port", {32, 2, 1}},
	{"backends", "family", {34, 1, 1}},
	{"backends", "flags", {35, 1, 1}},
	{"service_stats", "connections", {0, 8, NP_ZONE_CLASSES}},
	{"service_stats", "refused", {32, 8, 1}},
	{"affinity key", "client", {0, 16, 1}},
	{"affinity key", "service", {16, 4, 1}},
	{"affinity key", "family", {20, 4, 1}},
	{"affinity", "addr", {0, 16, 1}},
	{"affinity", "port", {16, 2, 1}},
	{"affinity", "backend", {20, 4, 1}},
	{"affinity", "seen", {24, 8, 1}},
};

/* "flows" stands for both families. */
static bool is_table(const char *entry, const char *table)
{
	return !strcmp(entry, table) ||
	       (!strcmp(entry, "flows") && !strncmp(table, "flows", strlen("flows")));
}

struct layout_field layout_v2_field(const char *table, const char *name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (is_table(fields[i].table, table) && !strcmp(fields[i].name, name))
			return fields[i].field;
	return (struct layout_field){};
}
