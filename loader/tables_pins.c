/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The pins of tables and kernel maps: still there and still theirs? And how large the maps are. */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "tables.h"
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

	return pin < TABLES ? tables_name(pin) : maps[pin - TABLES];
}

int tables_pin_check(const struct tables *t, const char *bpffs, unsigned pin, bool repair)
{
	const int own = pin < TABLES ? t->fd[pin] : t->map_fd[pin - TABLES];
	struct bpf_map_info mine, there;
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (own < 0)
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s", bpffs, tables_pin_name(pin)) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd < 0)
		return repair && bpf_obj_pin(own, path) ? -errno : 1;
	if (map_info(own, &mine) || map_info(fd, &there))
		return -EIO;
	return mine.id == there.id ? 0 : -EEXIST;
}

/* They name each other by number. */
static const enum table published[] = {TABLE_frontends, TABLE_services, TABLE_slots,
				       TABLE_backends};

int tables_pins_sort_out(const char *bpffs)
{
	char path[PATH_MAX];
	size_t i, there = 0;

	for (i = 0; i < 2 * ARRAY_SIZE(published); i++) {
		const char *name = tables_name(published[i % ARRAY_SIZE(published)]);

		if (snprintf(path, sizeof(path), "%s/%s", bpffs, name) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (i < ARRAY_SIZE(published))
			there += !access(path, F_OK);
		else if (there < ARRAY_SIZE(published) && unlink(path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}
