/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Ownership helpers used by every C file: cleanup attributes, TAKE_PTR, TAKE_FD. */
#ifndef NEARPATH_LOADER_UTIL_H
#define NEARPATH_LOADER_UTIL_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

static inline void util_free(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void util_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define _cleanup_free_	_cleanup_(util_free)
#define _cleanup_close_ _cleanup_(util_close)

#endif
