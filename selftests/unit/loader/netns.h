/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A network namespace, a mount namespace and a bpffs of the test's own: what a test makes in them
 * is gone when it ends, however it ends. Exits with 4 and the reason where that is not possible.
 */
#ifndef NEARPATH_SELFTESTS_UNIT_LOADER_NETNS_H
#define NEARPATH_SELFTESTS_UNIT_LOADER_NETNS_H

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

static char netns_bpffs[] = "/tmp/nearpath-test-XXXXXX";

static inline void netns_skip(const char *reason)
{
	fprintf(stderr, "SKIP: %s\n", reason);
	exit(4);
}

static inline void netns_enter(void)
{
	if (geteuid())
		netns_skip("needs root");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		netns_skip("cannot make namespaces");
	if (!mkdtemp(netns_bpffs) || mount("bpf", netns_bpffs, "bpf", 0, NULL))
		netns_skip("cannot mount a bpffs");
}

static inline void netns_leave(void)
{
	umount2(netns_bpffs, MNT_DETACH);
	rmdir(netns_bpffs);
}

/* Runs a command that must succeed; returns its exit code where it may fail. */
__attribute__((format(printf, 1, 2))) static inline int run_any(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}
#define run(...) assert_int_equal(run_any(__VA_ARGS__), 0)

static inline int ifindex_of(const char *name)
{
	return (int)if_nametoindex(name);
}

#endif
