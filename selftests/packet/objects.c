/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* States that the cases of several files have; see objects.h. */
#include "objects.h"

#include <stddef.h>

const char *const state_local[] = {
	LOAD_BALANCER("web", "cluster", ""),
	LOCAL("web", "local"),
	NULL,
};

const char *const state_remote[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote"),
	NULL,
};
