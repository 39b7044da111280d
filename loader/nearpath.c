/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The command nearpath. Everything it does is in cmd.c. */
#include "cmd.h"

int main(int argc, char **argv)
{
	return cmd_main(argc, argv, stdout, stderr);
}
