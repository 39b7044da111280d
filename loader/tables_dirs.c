/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The pins of tables: a directory for each ABI version, so that those of two can lie beside each
 * other while one replaces the other. Version 2 had its pins in the bpffs itself.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tables_private.h"
#include "util.h"

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int tables_pin(int fd, const char *dir, const char *name)
{
	char path[PATH_MAX], beside[PATH_MAX];
	int rc = tables_pin_path(path, dir, name);

	if (rc || snprintf(beside, sizeof(beside), "%s_", path) >= (int)sizeof(beside))
		return rc ?: -ENAMETOOLONG;
	if (unlink(beside) && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(fd, beside) || rename(beside, path) ? -errno : 0;
}

/* Any file of a directory but "." and ".."; false: there is none. */
static bool next_file(DIR *dir, char *name, size_t size)
{
	const struct dirent *entry;

	/* From the start, as what readdir() returns after files went is not defined. */
	rewinddir(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, size, "%s", entry->d_name);
		return true;
	}
	return false;
}

int tables_remove_dir(const char *dir)
{
	_cleanup_(close_dir) DIR *open = opendir(dir);
	char path[PATH_MAX], name[NAME_MAX + 1] = TABLES_ALIVE;
	int rc;

	if (!open)
		return errno == ENOENT ? 0 : -errno;
	do {
		rc = tables_pin_path(path, dir, name);
		if (rc || (unlink(path) && errno != ENOENT))
			return rc ?: -errno;
	} while (next_file(open, name, sizeof(name)));
	return rmdir(dir) && errno != ENOENT ? -errno : 0;
}

int tables_remove_files(const char *bpffs)
{
	static const char *const names[] = {
		"config",
		"np_egress",
		"np_xdp",
		"flow_hands",
#define X(name, type) #name,
		TABLES_LIST(X)
#undef X
			"source_ranges",
		"affinity",
		TABLES_ALIVE,
	};
	char path[PATH_MAX];
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		rc = tables_pin_path(path, bpffs, names[i]);
		if (rc || (unlink(path) && errno != ENOENT))
			return rc ?: -errno;
	}
	return 0;
}

static int remove_dirs(const char *bpffs)
{
	_cleanup_(close_dir) DIR *open = opendir(bpffs);
	const struct dirent *entry;
	char path[PATH_MAX];
	int rc = 0;

	if (!open)
		return errno == ENOENT ? 0 : -errno;
	while (!rc && (entry = readdir(open))) {
		if (strncmp(entry->d_name, TABLES_DIR, strlen(TABLES_DIR)) != 0)
			continue;
		rc = tables_pin_path(path, bpffs, entry->d_name) ?: tables_remove_dir(path);
		rewinddir(open);
	}
	return rc;
}

int tables_unpin(const char *bpffs)
{
	static const char *const shared[] = {"sock_peers", "sock_carried"}; /* by all versions */
	char path[PATH_MAX];
	int rc = remove_dirs(bpffs) ?: tables_remove_files(bpffs);

	for (size_t i = 0; i < ARRAY_SIZE(shared) && !rc; i++) {
		rc = tables_pin_path(path, bpffs, shared[i]);
		if (!rc && unlink(path) && errno != ENOENT)
			rc = -errno;
	}
	return rc;
}
