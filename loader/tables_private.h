/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What tables.c, tables_load.c, tables_pins.c, tables_dirs.c and layout.c share. Private to them.
 */
#ifndef NEARPATH_LOADER_TABLES_PRIVATE_H
#define NEARPATH_LOADER_TABLES_PRIVATE_H

#include <limits.h>

#include "tables.h"

#define TABLES_DIR   "abi-"	  /* and the version: the directory of its pins */
#define TABLES_ALIVE "np_ingress" /* the pin that is there while tables are in use */

/* Why a call failed, and the way out; "" if nothing has been said yet. */
#define TABLES_REASON 400
extern __thread char tables_reason[TABLES_REASON];

/* DIR/NAME; -ENAMETOOLONG. */
int tables_pin_path(char path[PATH_MAX], const char *dir, const char *name);

/* Pin under that name in the place of what may be pinned so; there is no moment without. */
int tables_pin(int fd, const char *dir, const char *name);

/*
 * Remove a directory of pins with all that is in it, TABLES_ALIVE first: what is cut short is not
 * alive. 0 also if there is none.
 */
int tables_remove_dir(const char *dir);

/*
 * Remove the pins that version 2 had in the bpffs itself, and none of others. It is alive while
 * "config" is there, which goes first, and TABLES_ALIVE goes last.
 */
int tables_remove_files(const char *bpffs);

/* Is the map one that all versions share, pinned in the bpffs itself? */
bool tables_is_shared(enum tables_map map);

/* Open the skeletons, before the tables; load them over the tables, and pin the programs. */
int tables_load_begin(struct tables *t);
int tables_load(struct tables *t, const struct tables_options *o);
void tables_unload(struct tables *t);

#endif
