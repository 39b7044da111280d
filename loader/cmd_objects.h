/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading Kubernetes objects from the files of a command line. */
#ifndef NEARPATH_LOADER_CMD_OBJECTS_H
#define NEARPATH_LOADER_CMD_OBJECTS_H

#include "cmd.h"

/*
 * All objects and Lists in args' files, as a new array. Returns an exit code, having said what is
 * wrong; a file without any object is wrong, since that is what a failed kubectl leaves.
 */
int cmd_objects_read(const struct cmd_args *args, const struct out *out, json_t **objects);

/*
 * The same as the text of params: {"objects":[...]}, in one line, to be freed by free(). What is
 * wrong in a file of many bytes is left to the daemon to find.
 */
int cmd_objects_text(const struct cmd_args *args, const struct out *out, char **params);

/* The array with Lists replaced by their items, and of each object only what names it. */
int cmd_objects_names(const struct out *out, const json_t *objects, json_t **names);

#endif
