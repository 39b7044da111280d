/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Times as Kubernetes writes them: RFC 3339 with up to nine decimals. No I/O. */
#ifndef NEARPATH_LOADER_RFC3339_H
#define NEARPATH_LOADER_RFC3339_H

#include <stddef.h>
#include <time.h>

/* "2026-01-02T03:04:05.6Z": UTC, no more decimals than there are; at least 36 bytes. */
const char *rfc3339_format(const struct timespec *time, char *text, size_t size);

/* With any offset. -EINVAL: it is not one. */
int rfc3339_parse(const char *text, struct timespec *time);

#endif
