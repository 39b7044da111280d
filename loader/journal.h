/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The last good state on disk: the changes that were accepted, one a line, written before a call
 * is answered, so that a killed daemon comes back with all it had promised. When the file has
 * grown to twice the state, it is written anew with the state alone and renamed into place. It is
 * also where the text of objects is, which is not kept in memory.
 */
#ifndef NEARPATH_LOADER_JOURNAL_H
#define NEARPATH_LOADER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

/* Opens DIR/objects.journal, makes DIR. */
int journal_open(const char *dir, struct journal **journal);
void journal_close(struct journal **journal);

/*
 * Call visit for every whole line, oldest first, with its text (not terminated) and where it is.
 * One for which it returns -EBADMSG is no line of a journal: it is told by a NULL (that and those
 * that follow it at once), and counts no further. Other errors stop. A torn last line is cut off.
 */
int journal_replay(struct journal *j,
		   int (*visit)(const char *line, size_t length, int64_t at, void *arg), void *arg,
		   size_t *lines);

/*
 * A line in parts: begun at the end of the file or, anew, in a file of its own; objects are added,
 * *at is where the text is (of a new file: once it is in place); then it ends. Whatever fails: the
 * file is as it was, and the line is no more.
 */
int journal_begin(struct journal *j, const char *method, bool anew);
int journal_add(struct journal *j, const char *text, size_t length, int64_t *at);
int journal_end(struct journal *j);
void journal_abandon(struct journal *j);

/*
 * A new file, when its line has ended: to the disk (which takes time, and may be done by another
 * thread while nothing is written), then in place of the old one, which is not there any more.
 */
int journal_sync(struct journal *j);
int journal_replace(struct journal *j);

/* The text that was added there: text has room for length and a NUL. */
int journal_read(const struct journal *j, int64_t at, size_t length, char *text);

/* Is it time to begin anew? */
bool journal_is_long(const struct journal *j);

#endif
