/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What must be said beside every measurement: what is measured, the machine, the kernel, what slows
 * BPF down, the compilers, and when.
 */
#ifndef NEARPATH_BENCH_MACHINE_H
#define NEARPATH_BENCH_MACHINE_H

#include <jansson.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Of the programs; the Makefile says it, as a BPF object does not. */
#ifndef NEARPATH_CLANG
#define NEARPATH_CLANG "unknown"
#endif

#ifdef __clang__
#define MACHINE_CC __VERSION__ /* begins with its name */
#else
#define MACHINE_CC "gcc " __VERSION__
#endif

struct machine {
	char cpu[160]; /* model name, family and model, which tell cloud machines apart */
	long cores;
	char kernel[128];
	char date[24]; /* UTC, when it was read */
	char spectre_v2[200];
	char srso[64]; /* of AMD: "Safe RET" has no return predicted */
	char jit[16];
	char harden[16];
};

/* The first line of a file, or "unknown". */
static inline void machine_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	snprintf(line, size, "unknown");
	if (!f)
		return;
	if (fgets(line, size, f))
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
}

static inline void machine_cpu(char *cpu, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], name[100] = "unknown";
	int family = 0, model = 0;

	while (f && fgets(line, sizeof(line), f) && *line != '\n') {
		sscanf(line, "cpu family : %d", &family);
		sscanf(line, "model : %d", &model);
		sscanf(line, "model name : %99[^\n]", name);
	}
	if (family)
		snprintf(cpu, size, "%s (family %d, model %d)", name, family, model);
	else
		snprintf(cpu, size, "%s", name);
	if (f)
		fclose(f);
}

static inline void machine_read(struct machine *m)
{
	time_t now = time(NULL);
	struct utsname uts;
	struct tm utc;

	machine_cpu(m->cpu, sizeof(m->cpu));
	m->cores = sysconf(_SC_NPROCESSORS_ONLN);
	strftime(m->date, sizeof(m->date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	if (uname(&uts))
		uts.release[0] = '\0';
	snprintf(m->kernel, sizeof(m->kernel), "%s", uts.release);
	machine_line("/sys/devices/system/cpu/vulnerabilities/spectre_v2", m->spectre_v2,
		     sizeof(m->spectre_v2));
	machine_line("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", m->srso,
		     sizeof(m->srso));
	machine_line("/proc/sys/net/core/bpf_jit_enable", m->jit, sizeof(m->jit));
	machine_line("/proc/sys/net/core/bpf_jit_harden", m->harden, sizeof(m->harden));
}

/* Before anything is measured: may it be, and can the results be written there? path may be NULL.
 */
static inline void machine_results(const char *program, const char *path)
{
	FILE *f;

	if (geteuid()) {
		fprintf(stderr, "%s: needs root, to load programs and to make namespaces\n",
			program);
		exit(1);
	}
	f = path ? fopen(path, "ae") : NULL;

	if (path && !f) {
		fprintf(stderr, "%s: cannot write \"%s\": %s\n", program, path, strerror(errno));
		exit(1);
	}
	if (f)
		fclose(f);
}

/* The member "machine" of all results; NULL if there is no memory. */
static inline json_t *machine_json(const struct machine *m)
{
	const char *commit = getenv("NEARPATH_COMMIT"); /* the Makefile's */

	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "commit",
			 commit && *commit ? commit : "unknown", "cpu", m->cpu, "cores",
			 (json_int_t)m->cores, "kernel", m->kernel, "spectre_v2", m->spectre_v2,
			 "spec_rstack_overflow", m->srso, "bpf_jit_enable", m->jit,
			 "bpf_jit_harden", m->harden, "compiler", MACHINE_CC, "bpf_compiler",
			 NEARPATH_CLANG, "date", m->date);
}

#endif
