/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The directory for pins: made, and mounted as a bpffs where it is none. */
#ifndef NEARPATH_LOADER_BPFFS_H
#define NEARPATH_LOADER_BPFFS_H

#define BPFFS_OWN 1

/*
 * 0 or -errno. BPFFS_OWN: it was mounted, but for this process and its children alone, since its
 * parent or process 1 is in another mount namespace, to which it does not spread.
 */
int bpffs_make(const char *dir);

/* Remove what bpffs_make() made, the mount and the directory, unless others have pins there. */
int bpffs_remove(const char *dir);

#endif
