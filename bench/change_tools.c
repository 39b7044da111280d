/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Programs, files and numbers for bench/change. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "util.h"

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress(const char *format, ...)
{
	static double began;
	va_list args;

	began = began ?: now();
	fprintf(stderr, "%6.1f s", now() - began);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void die(const char *format, ...)
{
	va_list args;

	fputs("change: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

pid_t spawn(const char *const *argv, const char *in, const char *out)
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(in ?: "/dev/null", O_RDONLY);
	dup2(fd, 0);
	fd = open(out ?: "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int reap(pid_t pid, int seconds, long *peak_kib)
{
	const double end = now() + seconds;
	struct rusage usage = {};
	bool killed = false;
	int status;
	pid_t got;

	while ((got = wait4(pid, &status, seconds ? WNOHANG : 0, &usage)) != pid) {
		if (got < 0 && errno != EINTR)
			return -1;
		if (seconds && !killed && now() > end)
			killed = !kill(pid, SIGKILL);
		usleep(200);
	}
	if (peak_kib)
		*peak_kib = usage.ru_maxrss;
	return !killed && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void shell(const char *format, ...)
{
	_cleanup_free_ char *line = NULL;
	const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
	va_list args;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		die("no memory");
	va_end(args);
	argv[2] = line;
	if (reap(spawn(argv, NULL, NULL), 0, NULL))
		die("failed: %s", line);
}

char *slurp(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t used = 0;
	char *text;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		die("cannot read %s: %s", path, strerror(errno));
	text = malloc((size_t)st.st_size + 1);
	while (text && (n = read(fd, text + used, (size_t)st.st_size - used)) > 0)
		used += (size_t)n;
	if (!text || used != (size_t)st.st_size)
		die("cannot read %s", path);
	close(fd);
	text[used] = '\0';
	*size = used;
	return text;
}

long proc_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long number = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			number = strtol(line + strlen(key) + 1, NULL, 10);
	if (file)
		fclose(file);
	return number;
}

static int by_value(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

double percentile(double *value, size_t count, double part)
{
	double at = (double)(count - 1) * part;
	size_t below = (size_t)at;

	if (!count)
		return 0;
	qsort(value, count, sizeof(*value), by_value);
	if (below + 1 == count)
		return value[below];
	return value[below] + (at - (double)below) * (value[below + 1] - value[below]);
}

void objects_make(const struct change_config *c, long services, long endpoints, char *path)
{
	snprintf(path, CHANGE_PATH, "%.200s/objects-%ld-%ld.json", c->dir, services, endpoints);
	if (access(path, R_OK))
		shell("%s/bench/objects -t 10.1.0.20:8080 -p last %ld %ld > %s", c->build, services,
		      endpoints, path);
}
