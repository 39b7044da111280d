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

/* Does a mount that was just made there stay when this process ends? mountinfo: proc(5). */
static bool is_shared(const char *dir)
{
	_cleanup_free_ char *line = NULL, *at = NULL;
	bool shared = false;
	size_t size = 0;
	FILE *f;

	if (asprintf(&at, " %s ", dir) < 0)
		return true;
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return true;
	while (getline(&line, &size, f) > 0)
		if (strstr(line, at))
			shared = strstr(line, " shared:");
	fclose(f);
	return shared;
}

/* Is the process in this mount namespace, as far as that can be seen? */
static bool is_here(pid_t pid)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return stat("/proc/self/ns/mnt", &own) || stat(path, &other) || own.st_ino == other.st_ino;
}

int bpffs_make(const char *dir)
{
	int rc = dirs_make(dir);

	if (rc)
		return rc;
	if (is_bpffs(dir))
		return 0;
	if (mount("bpf", dir, "bpf", 0, "mode=0700"))
		return -errno;
	return (is_here(1) && is_here(getppid())) || is_shared(dir) ? 0 : BPFFS_OWN;
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
