/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Making and removing the directory for pins. */
#include "bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dirs.h"
#include "util.h"

static bool is_bpffs(const char *dir)
{
	struct statfs fs;

	return !statfs(dir, &fs) && fs.f_type == BPF_FS_MAGIC;
}

static bool is_mount_point(const char *dir)
{
	_cleanup_free_ char *parent = NULL;
	struct stat here, above;

	if (asprintf(&parent, "%s/..", dir) < 0)
		return false;
	return !stat(dir, &here) && !stat(parent, &above) && here.st_dev != above.st_dev;
}

int bpffs_make(const char *dir)
{
	int rc = dirs_make(dir);

	if (rc)
		return rc;
	if (is_bpffs(dir))
		return 0;
	return mount("bpf", dir, "bpf", 0, "mode=0700") ? -errno : 0;
}

/* Does anyone have something in it? The kernel's own two files do not count (kernel/bpf/preload).
 */
static bool is_empty(const char *dir)
{
	DIR *open = opendir(dir);
	struct dirent *entry;
	bool empty = true;

	while (open && empty && (entry = readdir(open)))
		empty = entry->d_name[0] == '.' || !strcmp(entry->d_name, "maps.debug") ||
			!strcmp(entry->d_name, "progs.debug");
	if (open)
		closedir(open);
	return empty;
}

int bpffs_remove(const char *dir)
{
	if (!is_empty(dir))
		return 0;
	if (is_bpffs(dir) && is_mount_point(dir) && umount(dir))
		return -errno;
	if (rmdir(dir) && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
		return -errno;
	return 0;
}
