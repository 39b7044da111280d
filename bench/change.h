/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the parts of bench/change share. */
#ifndef NEARPATH_BENCH_CHANGE_H
#define NEARPATH_BENCH_CHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHANGE_PATH 256

struct change_config {
	char build[CHANGE_PATH]; /* where the programs are */
	char dir[CHANGE_PATH];	 /* of its own, for files */
	const long *services;	 /* numbers of them, ends with 0 */
	long endpoints;
	int rounds;	   /* full loads */
	int changes;	   /* one by one */
	int seconds;	   /* of 1,000 changes a second */
	long rules_most;   /* services for which rules are loaded too */
	int rules_seconds; /* a tool that takes longer is ended */
};

/* ---- samples: change.c ---- */

enum change_system { NEARPATH, IPTABLES, NFTABLES, CHANGE_SYSTEMS };

/* Keeps a measured value of the row, to be shown by its median, and a flat object of it. */
void sample(enum change_system system, long services, int round, const char *name, const char *unit,
	    double value);

/* ---- helpers: change_tools.c ---- */

double now(void); /* seconds */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * Starts a program whose stdout goes into the file out, or to nowhere; it dies with this process.
 */
pid_t spawn(const char *const *argv, const char *in, const char *out);

/* Waits for it, and ends it after some seconds (0: never). Its exit code, or -1; *peak_kib. */
int reap(pid_t pid, int seconds, long *peak_kib);

/* Runs a line of shell, which must succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A file as a whole, with a NUL behind; to be freed. */
char *slurp(const char *path, size_t *size);

/* A line "KEY: NUMBER" of a file in /proc; 0: there is none. */
long proc_number(const char *path, const char *key);

double percentile(double *value, size_t count, double part); /* sorts them */

/* ---- what is measured ---- */

/* The objects as objects.c prints them, in DIR/objects-SERVICES.json: with the tested one last. */
void objects_make(const struct change_config *c, long services, long endpoints, char *path);

void nearpath_measure(const struct change_config *c, long services, int round);
void nearpath_slopes(const struct change_config *c);
void rules_measure(const struct change_config *c, enum change_system system, long services,
		   int round);

#define TESTED_IP	0x0A600001U /* 10.96.0.1, port 80 */
#define TESTED_BACKENDS 0x0A010014U /* 10.1.0.20, port 8080, and the next */

#endif
