/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the tc and the XDP side have in common, and taking everything off again. How a program
 * gets onto a device is in attach_tc.c and attach_xdp.c.
 */
#include "attach_parts.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "attach_sock.h"

static char kernel_words[120];

/* libbpf hands the text of a netlink error to its printer and to nobody else. */
static int keep_kernel_words(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char prefix[] = "Kernel error message: ";
	char line[sizeof(kernel_words) + 64];
	char *start;

	(void)level;
	vsnprintf(line, sizeof(line), format, args);
	start = strstr(line, prefix);
	if (!start)
		return 0;
	start += strlen(prefix);
	start[strcspn(start, "\n")] = '\0';
	snprintf(kernel_words, sizeof(kernel_words), "%.*s", (int)sizeof(kernel_words) - 1, start);
	return 0;
}

static int print_nothing(enum libxdp_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

void attach_quiet_begin(struct attach_quiet *quiet)
{
	kernel_words[0] = '\0';
	quiet->libbpf = libbpf_set_print(keep_kernel_words);
	quiet->libxdp = libxdp_set_print(print_nothing);
}

void attach_quiet_end(struct attach_quiet *quiet)
{
	libbpf_set_print(quiet->libbpf);
	libxdp_set_print(quiet->libxdp);
}

const char *attach_reason(int err)
{
	static char words[sizeof(kernel_words)];

	if (!kernel_words[0])
		return strerror(-err);
	memcpy(words, kernel_words, sizeof(words));
	kernel_words[0] = '\0';
	return words;
}

int attach_remove_link(const char *path)
{
	_cleanup_close_ int link = bpf_obj_get(path);

	if (link == -ENOENT || link == -ENOTDIR)
		return 0;
	/* Others may hold the link open: what counts is that it is off, not who has a name for it.
	 */
	if (link >= 0)
		bpf_link_detach(link);
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

void attach_note(struct attachment *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(a->note, sizeof(a->note), format, args);
	va_end(args);
}

int attach_prog_info(uint32_t id, char name[BPF_OBJ_NAME_LEN], uint32_t *type)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN - 1] = '\0';
	*type = info.type;
	return 0;
}

int attach_prog_id(int fd, uint32_t *id)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	*id = info.id;
	return 0;
}

bool attach_prog_is(uint32_t id, const char *name)
{
	char found[BPF_OBJ_NAME_LEN];
	uint32_t type;

	return id && !attach_prog_info(id, found, &type) && attach_is_named(found, name);
}

bool attach_is_named(const char *found, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(found, name, length) &&
	       (!found[length] || !strcmp(found + length, ATTACH_PROG_OVER));
}

int attach_path(char path[ATTACH_PATH_SIZE], const char *links, int ifindex, const char *what)
{
	int length = snprintf(path, ATTACH_PATH_SIZE, "%s/%d-%s", links, ifindex, what);

	return length < ATTACH_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

int attach_make_dir(const char *links)
{
	return mkdir(links, 0700) && errno != EEXIST ? -errno : 0;
}

/* The interface a pin belongs to; 0 for a file that is none of ours. */
static int pin_ifindex(const char *file)
{
	static const char *const kinds[] = {"ingress", "egress", "xdp", "clsact"};
	int ifindex = 0, used = 0;

	if (sscanf(file, "%d-%n", &ifindex, &used) != 1 || !used || ifindex <= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(file + used, kinds[i]))
			return ifindex;
	return 0;
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int next_pinned(DIR *dir)
{
	const struct dirent *entry;
	int ifindex = 0;

	rewinddir(dir);
	while (!ifindex && (entry = readdir(dir)))
		ifindex = pin_ifindex(entry->d_name);
	return ifindex;
}

/*
 * The pins of every interface, also of those that are gone. Read from the start each time, because
 * what readdir() returns after files of the directory went is not defined for bpffs.
 */
static int detach_pinned(const char *links)
{
	_cleanup_(close_dir) DIR *dir = opendir(links);
	int ifindex, before = 0, err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (ifindex = next_pinned(dir))) {
		if (ifindex == before) /* what cannot be removed would be found for ever */
			return -EBUSY;
		before = ifindex;
		err = detach_tc(links, ifindex);
		if (!err)
			err = attach_xdp_remove(links, ifindex);
	}
	return err;
}

int attach_sweep(const char *links)
{
	_cleanup_(close_dir) DIR *dir = opendir(links);
	char name[IF_NAMESIZE];
	struct dirent *entry;
	int ifindex, err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(dir))) {
		ifindex = pin_ifindex(entry->d_name);
		if (!ifindex || if_indextoname(ifindex, name))
			continue;
		err = detach_tc(links, ifindex);
		if (!err)
			err = attach_xdp_remove(links, ifindex);
		rewinddir(dir); /* what readdir() returns after files went is not defined */
	}
	return err;
}

static void free_names(struct if_nameindex **names)
{
	if (*names)
		if_freenameindex(*names);
}

void attach_ids(const char *links, int ifindex, uint32_t *id)
{
	_cleanup_quiet_ struct attach_quiet quiet;

	attach_quiet_begin(&quiet);
	attach_tc_ids(links, ifindex, id);
	attach_xdp_id(ifindex, &id[NP_HOOK_XDP]);
}

int attach_programs(const char *links, int *program)
{
	_cleanup_(free_names) struct if_nameindex *names = if_nameindex();

	if (!names)
		return -errno;
	for (const struct if_nameindex *name = names; name->if_index; name++) {
		uint32_t id[NP_HOOKS] = {};

		attach_ids(links, (int)name->if_index, id);
		for (int hook = 0; hook < NP_HOOKS; hook++) {
			int fd = id[hook] && program[hook] < 0 ? bpf_prog_get_fd_by_id(id[hook])
							       : -1;

			if (fd >= 0)
				program[hook] = fd;
		}
	}
	return 0;
}

int detach_all(const char *links)
{
	_cleanup_(free_names) struct if_nameindex *names = if_nameindex();
	int first;

	if (!names)
		return -errno;
	first = detach_sock(links) ?: detach_pinned(links);
	for (const struct if_nameindex *name = names; name->if_index; name++) {
		int err = detach_tc(links, (int)name->if_index);

		if (!err)
			err = attach_xdp_remove(links, (int)name->if_index);
		if (err && err != -ENODEV && !first) /* it may go at any time */
			first = err;
	}
	if (first)
		return first;
	return rmdir(links) && errno != ENOENT ? -errno : 0;
}

const char *attach_tc_name(enum attach_tc tc)
{
	static const char *const names[] = {
		[ATTACH_TC_NONE] = "none",
		[ATTACH_TC_TCX] = "tcx",
		[ATTACH_TC_CLSACT] = "clsact",
	};

	return (size_t)tc < ARRAY_SIZE(names) ? names[tc] : "unknown";
}

const char *attach_xdp_name(enum attach_xdp xdp)
{
	static const char *const names[] = {
		[ATTACH_XDP_OFF] = "off",
		[ATTACH_XDP_GENERIC] = "generic",
		[ATTACH_XDP_NATIVE] = "native",
	};

	return (size_t)xdp < ARRAY_SIZE(names) ? names[xdp] : "unknown";
}
