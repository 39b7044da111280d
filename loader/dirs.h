/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Making a directory that is nearpath's own, with the ones above it. */
#ifndef NEARPATH_LOADER_DIRS_H
#define NEARPATH_LOADER_DIRS_H

/* dir: absolute; mode 0700, those above it 0755. What is there already stays as it is. 0 or -errno.
 */
int dirs_make(const char *dir);

#endif
