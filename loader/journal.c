/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Accepted changes as lines of JSON in a file that is only appended to, or replaced as a whole. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dirs.h"
#include "util.h"

#define REWRITE_MIN (1 << 20) /* bytes below which a rewrite is not worth it */
#define BUFFER_SIZE (256 << 10)

/* The line that is being written. */
struct writing {
	int fd; /* the journal's, or that of the new file */
	off_t at;
	size_t used; /* of the buffer, which begins at */
	bool first;  /* no object yet */
	bool anew;
	bool ended;
};

struct journal {
	char *path;
	char *temporary;
	int fd;
	off_t length;
	off_t base; /* length after the last rewrite */
	struct writing writing;
	char *buffer; /* NULL: no line is being written */
};

int journal_open(const char *dir, struct journal **journal)
{
	_cleanup_(journal_close) struct journal *j = calloc(1, sizeof(*j));
	int rc = dirs_make(dir);

	if (!j)
		return -ENOMEM;
	j->fd = -1;
	if (rc)
		return rc;
	if (asprintf(&j->path, "%s/objects.journal", dir) < 0 ||
	    asprintf(&j->temporary, "%s.new", j->path) < 0)
		return -ENOMEM;
	j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return -errno;
	*journal = TAKE_PTR(j);
	return 0;
}

void journal_close(struct journal **journal)
{
	struct journal *j = *journal;

	*journal = NULL;
	if (!j)
		return;
	journal_abandon(j);
	util_close(&j->fd);
	free(j->path);
	free(j->temporary);
	free(j);
}

/* ---- reading ---- */

struct replay {
	int (*visit)(const char *line, size_t length, int64_t at, void *arg);
	void *arg;
	size_t *lines;
	bool damaged; /* the line before was no line of a journal */
};

static int replay_one(struct replay *r, const char *line, size_t length, int64_t at)
{
	int rc = r->visit(line, length, at, r->arg);

	if (rc != -EBADMSG) {
		r->damaged = false;
		*r->lines += !rc;
		return rc;
	}
	if (r->damaged)
		return 0;
	r->damaged = true;
	return r->visit(NULL, 0, at, r->arg);
}

/* *good: the end of the last whole line. */
static int replay_text(struct replay *r, const char *text, size_t size, off_t *good)
{
	const char *line = text, *end;
	int rc = 0;

	while (!rc && (end = memchr(line, '\n', size - (size_t)(line - text)))) {
		rc = replay_one(r, line, (size_t)(end - line), line - text);
		line = end + 1;
	}
	*good = line - text;
	return rc;
}

int journal_replay(struct journal *j,
		   int (*visit)(const char *line, size_t length, int64_t at, void *arg), void *arg,
		   size_t *lines)
{
	struct replay replay = {.visit = visit, .arg = arg, .lines = lines};
	struct stat st;
	off_t good = 0;
	char *text;
	int rc = 0;

	*lines = 0;
	if (fstat(j->fd, &st))
		return -errno;
	if (st.st_size) {
		text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, j->fd, 0);
		if (text == MAP_FAILED)
			return -errno;
		rc = replay_text(&replay, text, (size_t)st.st_size, &good);
		munmap(text, (size_t)st.st_size);
	}
	if (rc)
		return rc;
	j->length = j->base = good;
	return ftruncate(j->fd, good) ? -errno : 0;
}

int journal_read(const struct journal *j, int64_t at, size_t length, char *text)
{
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = pread(j->fd, text + done, length - done, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	text[length] = '\0';
	return 0;
}

/* ---- writing ---- */

static int write_out(struct writing *w, const char *text, size_t length)
{
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = pwrite(w->fd, text + done, length - done, w->at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
		w->at += n;
	}
	return 0;
}

static int put(struct journal *j, const char *text, size_t length)
{
	struct writing *w = &j->writing;
	int rc = 0;

	if (w->used + length > BUFFER_SIZE) {
		rc = write_out(w, j->buffer, w->used);
		w->used = 0;
	}
	if (rc)
		return rc;
	if (length > BUFFER_SIZE)
		return write_out(w, text, length);
	memcpy(j->buffer + w->used, text, length);
	w->used += length;
	return 0;
}

int journal_begin(struct journal *j, const char *method, bool anew)
{
	char head[64];
	int n = snprintf(head, sizeof(head), "{\"method\":\"%s\",\"params\":{\"objects\":[",
			 method);
	int rc;

	j->writing = (struct writing){.fd = j->fd, .at = j->length, .first = true, .anew = anew};
	if (anew) {
		j->writing.at = 0;
		j->writing.fd = open(j->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (j->writing.fd < 0)
			return -errno;
	}
	j->buffer = malloc(BUFFER_SIZE);
	rc = j->buffer ? put(j, head, (size_t)n) : -ENOMEM;
	if (rc)
		journal_abandon(j);
	return rc;
}

int journal_add(struct journal *j, const char *text, size_t length, int64_t *at)
{
	struct writing *w = &j->writing;
	int rc = w->first ? 0 : put(j, ",", 1);

	w->first = false;
	*at = w->at + (off_t)w->used;
	rc = rc ?: put(j, text, length);
	if (rc)
		journal_abandon(j);
	return rc;
}

int journal_end(struct journal *j)
{
	struct writing *w = &j->writing;
	int rc = put(j, "]}}\n", 4);

	rc = rc ?: write_out(w, j->buffer, w->used);
	if (rc) {
		journal_abandon(j);
		return rc;
	}
	w->ended = true;
	if (w->anew)
		return 0;
	j->length = w->at;
	util_free(&j->buffer);
	return 0;
}

void journal_abandon(struct journal *j)
{
	struct writing *w = &j->writing;

	if (w->anew && w->fd >= 0) {
		util_close(&w->fd);
		unlink(j->temporary);
	} else if (j->buffer && ftruncate(j->fd, j->length)) {
		/* what is left is no whole line, and written over by the next one */
	}
	*w = (struct writing){.fd = -1};
	util_free(&j->buffer);
}

int journal_sync(struct journal *j)
{
	return fdatasync(j->writing.fd) ? -errno : 0;
}

int journal_replace(struct journal *j)
{
	struct writing *w = &j->writing;

	if (rename(j->temporary, j->path)) {
		int rc = -errno;

		journal_abandon(j);
		return rc;
	}
	util_close(&j->fd);
	j->fd = TAKE_FD(w->fd);
	j->length = j->base = w->at;
	w->anew = false;
	util_free(&j->buffer);
	return 0;
}

bool journal_is_long(const struct journal *j)
{
	return j->length > REWRITE_MIN && j->length > 2 * j->base;
}
