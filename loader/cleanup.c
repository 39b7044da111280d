/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* nearpathd --cleanup: takes away what a daemon leaves behind when it ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpffs.h"
#include "daemon.h"
#include "util.h"

static int remove_state(const struct options *o)
{
	static const char *const files[] = {"objects.journal", "objects.journal.new", "ifaces.json",
					    "ifaces.json.new", "lock"};
	_cleanup_free_ char *path = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		util_free(&path);
		if (asprintf(&path, "%s/%s", o->state_dir, files[i]) < 0)
			return -ENOMEM;
		if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
			return -errno;
	}
	if (rmdir(o->state_dir) && errno != ENOENT && errno != ENOTEMPTY)
		return -errno;
	return 0;
}

static int cleanup_step(const char *what, int rc)
{
	if (rc)
		daemon_log("cannot remove %s: %s", what, strerror(-rc));
	return rc;
}

int daemon_cleanup(const struct options *options)
{
	struct daemon d = {.options = *options, .lock_fd = -1};
	_cleanup_free_ char *links = NULL;
	int rc = daemon_lock_state(&d);

	if (rc) {
		journal_close(&d.journal);
		return rc;
	}
	if (asprintf(&links, "%s/links", options->bpffs) < 0)
		return -ENOMEM;
	if (access(options->bpffs, F_OK))
		daemon_log("there is nothing at \"%s\"; was another --bpffs used?", options->bpffs);
	else
		rc = daemon_lock(options->bpffs, O_RDONLY | O_DIRECTORY, "--bpffs", &d.tables_fd);
	if (rc)
		goto out;
	util_close(&d.tables_fd); /* or it could not be unmounted */
	rc = cleanup_step("attached programs", detach_all(links));
	rc = cleanup_step("pinned tables", tables_unpin(options->bpffs)) ?: rc;
	rc = cleanup_step("the bpffs directory", bpffs_remove(options->bpffs)) ?: rc;
	rc = cleanup_step("the state", remove_state(options)) ?: rc;
out:
	journal_close(&d.journal);
	util_close(&d.lock_fd);
	util_close(&d.tables_fd);
	return rc;
}
