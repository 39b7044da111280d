/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Attaching the programs for the node's own processes to a cgroup (the root one: every process is
 * below it), and taking them off. Links are pinned beside those of interfaces.
 */
#ifndef NEARPATH_LOADER_ATTACH_SOCK_H
#define NEARPATH_LOADER_ATTACH_SOCK_H

#include <stddef.h>

#include "tables.h"

/*
 * The root of the cgroup v2 hierarchy where this process can see it mounted. -ENOENT: nowhere.
 * *dir is for the caller to free.
 */
int attach_sock_root(char **dir);

/*
 * programs: by enum tables_sock. Pins are links/sock_<name>. Programs attached before are replaced
 * in place; those on another cgroup once the new ones are on this. 0 or -errno with the reason in
 * why; what is attached by then stays.
 */
int attach_sock(const char *links, const char *cgroup, const int programs[TABLES_SOCKS], char *why,
		size_t size);

/* Are they all attached there? 0; 1: one is not, and found names it; -errno. */
int attach_sock_check(const char *cgroup, const int programs[TABLES_SOCKS], char *found,
		      size_t size);

/* 0 also if there were none. */
int detach_sock(const char *links);

#endif
