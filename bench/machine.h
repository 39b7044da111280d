/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What must be said beside every measurement: the machine, the kernel, and what slows BPF down. */
#ifndef NEARPATH_BENCH_MACHINE_H
#define NEARPATH_BENCH_MACHINE_H

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

struct machine {
	char cpu[128];
	char kernel[128];
	char spectre_v2[200];
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

static inline void machine_cpu(char *model, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], *value;

	snprintf(model, size, "unknown");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[1 + strcspn(value + 1, "\n")] = '\0';
		snprintf(model, size, "%s", value + 2);
		break;
	}
	fclose(f);
}

static inline void machine_read(struct machine *m)
{
	struct utsname uts;

	machine_cpu(m->cpu, sizeof(m->cpu));
	if (uname(&uts))
		uts.release[0] = '\0';
	snprintf(m->kernel, sizeof(m->kernel), "%s", uts.release);
	machine_line("/sys/devices/system/cpu/vulnerabilities/spectre_v2", m->spectre_v2,
		     sizeof(m->spectre_v2));
	machine_line("/proc/sys/net/core/bpf_jit_enable", m->jit, sizeof(m->jit));
	machine_line("/proc/sys/net/core/bpf_jit_harden", m->harden, sizeof(m->harden));
}

#endif
