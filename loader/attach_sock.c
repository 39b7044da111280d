/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The cgroup links: made, replaced in place, removed. */
#include "attach_sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "attach_parts.h"

/*
 * In order of attaching: what names answers comes before what makes them need it. Detached in
 * reverse.
 */
static const struct sock_hook {
	const char *name;
	enum bpf_attach_type type;
} hooks[TABLES_SOCKS] = {
#define X(name, hook) [TABLES_SOCK_##name] = {#name, BPF_CGROUP_##hook},
	TABLES_SOCK_LIST(X)
#undef X
};

static void close_mounts(FILE **mounts)
{
	if (*mounts)
		endmntent(*mounts);
}

/* Every cgroup but the root has a file that tells its type (Documentation/.../cgroup-v2.rst). */
static bool is_root(const char *dir)
{
	_cleanup_free_ char *procs = NULL;
	_cleanup_free_ char *type = NULL;

	if (asprintf(&procs, "%s/cgroup.procs", dir) < 0 ||
	    asprintf(&type, "%s/cgroup.type", dir) < 0)
		return false;
	return !access(procs, F_OK) && access(type, F_OK);
}

int attach_sock_root(char **dir)
{
	_cleanup_(close_mounts) FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;

	if (!mounts)
		return -errno;
	while ((mount = getmntent(mounts))) {
		if (strcmp(mount->mnt_type, "cgroup2") || !is_root(mount->mnt_dir))
			continue;
		*dir = strdup(mount->mnt_dir);
		return *dir ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static int open_cgroup(const char *dir, uint64_t *id, int *fd)
{
	_cleanup_close_ int open_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (open_fd < 0 || fstatfs(open_fd, &fs) || fstat(open_fd, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EMEDIUMTYPE;
	*id = st.st_ino; /* kernfs: on 64-bit machines the same number */
	*fd = TAKE_FD(open_fd);
	return 0;
}

static int pin_path(char path[ATTACH_PATH_SIZE], const char *links, const char *name,
		    const char *suffix)
{
	int length = snprintf(path, ATTACH_PATH_SIZE, "%s/sock_%s%s", links, name, suffix);

	return length < ATTACH_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

/* The link pinned by an earlier daemon, if it is on this cgroup; else -ENOENT. */
static int open_link(const char *path, uint64_t cgroup, int *link)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.type != BPF_LINK_TYPE_CGROUP || info.cgroup.cgroup_id != cgroup)
		return -ENOENT;
	*link = TAKE_FD(fd);
	return 0;
}

/* Pinned beside the old one first and then in its place: there is no moment without. */
static int create_link(const char *links, const struct sock_hook *hook, int cgroup, int program)
{
	_cleanup_close_ int link = -1;
	char path[ATTACH_PATH_SIZE];
	char beside[ATTACH_PATH_SIZE];
	int err = pin_path(path, links, hook->name, "") ?: pin_path(beside, links, hook->name, "_");

	if (err)
		return err;
	link = bpf_link_create(program, cgroup, hook->type, NULL);
	if (link < 0)
		return link;
	if (unlink(beside) && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(link, beside) || rename(beside, path))
		return -errno;
	return 0;
}

static int attach_hook(const char *links, const struct sock_hook *hook, int cgroup, uint64_t id,
		       int program)
{
	_cleanup_close_ int link = -1;
	char path[ATTACH_PATH_SIZE];
	int err = pin_path(path, links, hook->name, "");

	if (err)
		return err;
	err = open_link(path, id, &link);
	if (!err)
		return bpf_link_update(link, program, NULL);
	return err == -ENOENT ? create_link(links, hook, cgroup, program) : err;
}

int attach_sock(const char *links, const char *cgroup, const int programs[TABLES_SOCKS], char *why,
		size_t size)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	_cleanup_close_ int fd = -1;
	uint64_t id = 0;
	int err = attach_make_dir(links) ?: open_cgroup(cgroup, &id, &fd);

	attach_quiet_begin(&quiet);
	if (err) {
		snprintf(why, size, "\"%s\": %s", cgroup,
			 err == -EMEDIUMTYPE ? "not a cgroup v2" : strerror(-err));
		return err;
	}
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		err = attach_hook(links, &hooks[i], fd, id, programs[i]);
		if (err) {
			snprintf(why, size, "%s: %s", hooks[i].name, strerror(-err));
			return err;
		}
	}
	return 0;
}

#define PROGRAMS_MAX 64 /* of a cgroup and hook: BPF_CGROUP_MAX_PROGS */

static bool is_there(int cgroup, const struct sock_hook *hook, uint32_t id)
{
	uint32_t ids[PROGRAMS_MAX], count = ARRAY_SIZE(ids), flags;

	if (bpf_prog_query(cgroup, hook->type, 0, &flags, ids, &count))
		return false;
	while (count--)
		if (ids[count] == id)
			return true;
	return false;
}

int attach_sock_check(const char *cgroup, const int programs[TABLES_SOCKS], char *found,
		      size_t size)
{
	_cleanup_close_ int fd = -1;
	uint64_t cgroup_id;
	uint32_t id = 0;
	int rc = open_cgroup(cgroup, &cgroup_id, &fd);

	for (size_t i = 0; i < ARRAY_SIZE(hooks) && !rc; i++) {
		rc = attach_prog_id(programs[i], &id);
		if (rc || is_there(fd, &hooks[i], id))
			continue;
		snprintf(found, size, "%s: program %u is not attached", hooks[i].name, id);
		rc = 1;
	}
	return rc;
}

static int detach_hook(const char *links, const struct sock_hook *hook, const char *suffix)
{
	char path[ATTACH_PATH_SIZE];

	return pin_path(path, links, hook->name, suffix) ?: attach_remove_link(path);
}

int detach_sock(const char *links)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	int first = 0;

	attach_quiet_begin(&quiet);
	for (size_t i = ARRAY_SIZE(hooks); i-- > 0;) {
		int err = detach_hook(links, &hooks[i], "") ?: detach_hook(links, &hooks[i], "_");

		if (err && !first)
			first = err;
	}
	return first;
}
