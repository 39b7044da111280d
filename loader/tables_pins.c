/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The pins of tables, kernel maps and programs: still there and still theirs? And how large the
 * maps are. Their directories are tables_dirs.c's.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>

#include "tables_private.h"
#include "util.h"

static int map_info(int fd, struct bpf_map_info *info)
{
	uint32_t length = sizeof(*info);

	*info = (struct bpf_map_info){};
	return bpf_obj_get_info_by_fd(fd, info, &length) ? -errno : 0;
}

uint32_t tables_map_entries(const struct tables *t, enum tables_map map)
{
	struct bpf_map_info info;

	if (t->map_fd[map] < 0 || map_info(t->map_fd[map], &info))
		return 0;
	return info.max_entries;
}

const char *tables_pin_name(unsigned pin)
{
	static const char *const maps[TABLES_MAPS] = {
#define X(name, key, value) [TABLES_MAP_##name] = #name,
		TABLES_MAP_LIST(X)
#undef X
	};
	static const char *const programs[] = {"np_xdp", "np_egress", TABLES_ALIVE};

	if (pin < TABLES)
		return tables_name(pin);
	return pin < TABLES + TABLES_MAPS ? maps[pin - TABLES]
					  : programs[pin - TABLES - TABLES_MAPS];
}

/* What is to have the pin; -1: nothing. Programs are those that know these tables alone. */
static int pin_fd(const struct tables *t, unsigned pin)
{
	if (pin < TABLES)
		return t->fd[pin];
	return pin < TABLES + TABLES_MAPS ? t->map_fd[pin - TABLES]
					  : t->plain_fd[pin - TABLES - TABLES_MAPS];
}

/* The kernel's number of a map or program; 0: it is none. */
static uint32_t number_of(int fd, bool program)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);
	struct bpf_map_info map;

	if (program)
		return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
	return map_info(fd, &map) ? 0 : map.id;
}

int tables_pin_file(const struct tables *t, unsigned pin, char path[PATH_MAX])
{
	const bool shared =
		pin >= TABLES && pin < TABLES + TABLES_MAPS && tables_is_shared(pin - TABLES);
	int rc = tables_pin_path(path, t->dir, tables_pin_name(pin));

	if (rc || !shared || !access(path, F_OK)) /* of another size than that of all versions */
		return rc;
	return tables_pin_path(path, t->bpffs, tables_pin_name(pin));
}

int tables_pin_check(const struct tables *t, unsigned pin, bool repair)
{
	const bool program = pin >= TABLES + TABLES_MAPS;
	const int own = pin_fd(t, pin);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int rc;

	if (own < 0 || !t->dir)
		return 0;
	rc = tables_pin_file(t, pin, path);
	if (rc)
		return rc;
	fd = bpf_obj_get(path);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd < 0)
		return repair && bpf_obj_pin(own, path) ? -errno : 1;
	return number_of(own, program) == number_of(fd, program) ? 0 : -EEXIST;
}

/* They name each other by number. */
static const enum table published[] = {TABLE_frontends, TABLE_services, TABLE_slots,
				       TABLE_backends};

int tables_pins_sort_out(const char *dir)
{
	char path[PATH_MAX];
	size_t i, there = 0;

	for (i = 0; i < 2 * ARRAY_SIZE(published); i++) {
		const char *name = tables_name(published[i % ARRAY_SIZE(published)]);

		if (tables_pin_path(path, dir, name))
			return -ENAMETOOLONG;
		if (i < ARRAY_SIZE(published))
			there += !access(path, F_OK);
		else if (there < ARRAY_SIZE(published) && unlink(path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}
