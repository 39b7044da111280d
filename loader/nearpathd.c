/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* main() of nearpathd, the daemon. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "util.h"

int main(int argc, char **argv)
{
	_cleanup_(daemon_free) struct daemon *daemon = NULL;
	struct options options;
	char error[512], *note, *rest;
	int rc = options_parse(argc, argv, &options, error, sizeof(error));

	if (rc > 0)
		return 0;
	if (rc) {
		daemon_log("%s", error);
		return 2;
	}
	for (note = strtok_r(options.notes, "\n", &rest); note; note = strtok_r(NULL, "\n", &rest))
		daemon_log("note: %s", note);
	if (options.cleanup)
		return daemon_cleanup(&options) ? 1 : 0;
	/* One for all threads: what one takes another gives back, and malloc_trim() finds it. */
	mallopt(M_ARENA_MAX, 1);
	if (daemon_start(&options, &daemon))
		return 1;
	return daemon_run(daemon) ? 1 : 0;
}
