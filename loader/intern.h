/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * One copy of each text that many records have: names of namespaces, services, ports, nodes, zones.
 * Two that are equal are the same pointer. Counted: each intern() is to be given back by one
 * intern_put(). For one thread.
 */
#ifndef NEARPATH_LOADER_INTERN_H
#define NEARPATH_LOADER_INTERN_H

const char *intern(const char *text);		/* NULL: no memory */
const char *intern_again(const char *interned); /* one more of it; NULL stays NULL */
void intern_put(const char *interned);		/* may be NULL */

/* What was interned, if it is; not counted. */
const char *intern_find(const char *text);

#endif
