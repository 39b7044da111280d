/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Making a directory and its parents. */
#include "dirs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

int dirs_make(const char *dir)
{
	_cleanup_free_ char *path = strdup(dir);
	char *slash;

	if (!path)
		return -ENOMEM;
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(dir, 0700) && errno != EEXIST ? -errno : 0;
}
