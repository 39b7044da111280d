/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The last good state on disk: the changes that were accepted, one a line, written before a call
 * is answered, so that a killed daemon comes back with all it had promised. When the file has
 * grown to twice the state, it is written anew with the state alone and renamed into place.
 */
#ifndef NEARPATH_LOADER_JOURNAL_H
#define NEARPATH_LOADER_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

struct journal;

/* Opens DIR/objects.journal, makes DIR. */
int journal_open(const char *dir, struct journal **journal);
void journal_close(struct journal **journal);

/*
 * Call visit for every whole line, oldest first, with NULL for one that is no JSON; a torn last
 * line is cut off. Non-zero stops.
 */
int journal_replay(struct journal *j, int (*visit)(json_t *line, void *arg), void *arg,
		   size_t *lines);

/* Append one line and hand it to the kernel; on failure the file is as it was. */
int journal_append(struct journal *j, const json_t *line);

/* Is it time for journal_rewrite()? */
bool journal_is_long(const struct journal *j);
int journal_rewrite(struct journal *j, const json_t *line);

#endif
