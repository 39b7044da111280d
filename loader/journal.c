/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Accepted changes as lines of JSON in a file that is only appended to, or replaced as a whole. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dirs.h"
#include "util.h"

#define REWRITE_MIN (1 << 20) /* bytes below which a rewrite is not worth it */

struct journal {
	char *path;
	int fd;
	off_t length;
	off_t base; /* length after the last rewrite */
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
	if (asprintf(&j->path, "%s/objects.journal", dir) < 0)
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
	util_close(&j->fd);
	free(j->path);
	free(j);
}

int journal_replay(struct journal *j, int (*visit)(json_t *line, void *arg), void *arg,
		   size_t *lines)
{
	_cleanup_free_ char *text = NULL;
	size_t capacity = 0;
	off_t good = 0, damaged = 0;
	ssize_t length = 0;
	int rc = 0, failed, copy = dup(j->fd);
	FILE *file = copy < 0 ? NULL : fdopen(copy, "r");

	*lines = 0;
	if (!file)
		return -errno;
	rewind(file);
	errno = 0;
	while (!rc && (length = getline(&text, &capacity, file)) > 0 && text[length - 1] == '\n') {
		json_t *line = json_loadb(text, length, 0, NULL);

		damaged += length;
		if (!line)
			continue;
		if (damaged > length) /* something is lost before it, and this is not the end */
			rc = visit(NULL, arg);
		rc = rc ?: visit(line, arg);
		json_decref(line);
		good += damaged;
		damaged = 0;
		++*lines;
	}
	failed = feof(file) ? 0 : errno; /* not a torn line: one that could not be read */
	if (!rc && damaged) { /* whole, and no JSON: not what a death leaves; it is told again */
		good += damaged;
		rc = visit(NULL, arg);
	}
	fclose(file);
	if (rc || (failed && length < 0))
		return rc ?: -failed;
	j->length = j->base = good;
	if (ftruncate(j->fd, good))
		return -errno;
	return lseek(j->fd, good, SEEK_SET) < 0 ? -errno : 0;
}

static int write_line(int fd, const json_t *line, off_t *length)
{
	_cleanup_free_ char *text = json_dumps(line, JSON_COMPACT);
	size_t size, done = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	size = strlen(text);
	text[size++] = '\n'; /* in place of the NUL: length-delimited from here */
	while (done < size) {
		n = write(fd, text + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += n;
	}
	*length = size;
	return 0;
}

int journal_append(struct journal *j, const json_t *line)
{
	off_t length;
	int rc = write_line(j->fd, line, &length);

	if (!rc) {
		j->length += length;
		return 0;
	}
	if (!ftruncate(j->fd, j->length))
		lseek(j->fd, j->length, SEEK_SET);
	return rc;
}

bool journal_is_long(const struct journal *j)
{
	return j->length > REWRITE_MIN && j->length > 2 * j->base;
}

int journal_rewrite(struct journal *j, const json_t *line)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	off_t length = 0;
	int rc;

	if (asprintf(&temporary, "%s.new", j->path) < 0)
		return -ENOMEM;
	fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_line(fd, line, &length);
	if (!rc && fdatasync(fd))
		rc = -errno;
	if (!rc && rename(temporary, j->path))
		rc = -errno;
	if (rc) {
		unlink(temporary);
		return rc;
	}
	util_close(&j->fd);
	j->fd = TAKE_FD(fd);
	j->length = j->base = length;
	return 0;
}
