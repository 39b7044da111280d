/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Attaches a program that does nothing where nearpathd would attach its own, and by the same means:
 * what is left between that and nearpath is nearpath's, and what is below it no tc program can do.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "frame.h"
#include "programs.h"

int main(int argc, char **argv)
{
	struct attachment a = {0};
	int program;

	if (argc < 3) {
		fputs("usage: hooks DIRECTORY DEVICE...\n"
		      "DIRECTORY, on a bpffs: where the links are pinned, which keeps them.\n",
		      stderr);
		return 2;
	}
	program = program_empty(false);
	if (program < 0) {
		fprintf(stderr, "hooks: the empty program: %s\n", strerror(-program));
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		int err = attach_tc(argv[1], (int)if_nametoindex(argv[i]), program, program, false,
				    &a);

		if (err) {
			fprintf(stderr, "hooks: \"%s\": %s\n", argv[i], strerror(-err));
			return 1;
		}
	}
	return 0;
}
