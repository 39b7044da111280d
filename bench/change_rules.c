/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The same objects as kube-proxy's rules: how long iptables-restore and nft take for all of them,
 * and for the change of one endpoint. Only the tools are timed; what kube-proxy does before and
 * between (watching, comparing, writing the input, its pauses) comes on top.
 *
 * The input of a change is what kube-proxy writes then: for iptables the chains of the changed
 * service and, as they are not kept per service, all rules of KUBE-SERVICES; for nftables the
 * changed service's chain alone.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "change.h"

static const char *const names[] = {[IPTABLES] = "iptables", [NFTABLES] = "nftables"};

struct rules {
	const struct change_config *c;
	enum change_system system;
	long services;
	int report; /* to the process that keeps samples */
	char all[CHANGE_PATH];
	char one[2][CHANGE_PATH]; /* the tested service with this endpoint or that */
};

/* All rules, and out of them those of a change of the tested service. */
static void make_inputs(struct rules *r)
{
	static const char *const pick[] = {
		[IPTABLES] =
			"grep -e '^[*C]' -e '^:KUBE-[A-RT-Z]' -e '^:KUBE-SERVICES' "
			"-e '^-A KUBE-[A-RT-Z]' -e '^-A KUBE-SERVICES' -e 'bench/tested:' $all; "
			"grep bench/tested: $all | grep -o 'KUBE-S[EV][PC]-[A-Z0-9]*' | sort -u",
		[NFTABLES] = "grep -e 'chain ip kube-proxy service-[A-Z0-9]*-bench/tested/' "
			     "-e 'rule ip kube-proxy service-[A-Z0-9]*-bench/tested/' $all",
	};
	const char *name = names[r->system];

	snprintf(r->all, sizeof(r->all), "%.200s/%s.all", r->c->dir, name);
	for (int i = 0; i < 2; i++) {
		snprintf(r->one[i], sizeof(r->one[i]), "%.200s/%s.one%d", r->c->dir, name, i);
		shell("%s/bench/objects -t 10.1.0.%d:8080 -p last %ld %ld | "
		      "%s/bench/kubeproxy %s > %s",
		      r->c->build, 21 - i, r->services, r->c->endpoints, r->c->build, name, r->all);
		shell("all=%s; { %s; } > %s", r->all, pick[r->system], r->one[i]);
		/* Chains of the service are named behind: their headers go in front. */
		if (r->system == IPTABLES)
			shell("f=%s; grep '^KUBE-S' $f | sed 's/.*/:& - [0:0]/' > $f.heads; "
			      "sed -i '/^KUBE-S/d' $f; "
			      "sed -i \"/^\\*nat/r $f.heads\" $f",
			      r->one[i]);
	}
}

static double load(const struct rules *r, const char *input, long *peak_kib)
{
	static const char *const restore[] = {"iptables-restore", "-w",		"5",
					      "--noflush",	  "--counters", NULL};
	const char *nft[] = {"nft", "-f", input, NULL};
	char log[CHANGE_PATH];
	double began;
	int rc;

	snprintf(log, sizeof(log), "%.200s/rules.log", r->c->dir);
	began = now();
	rc = reap(spawn(r->system == IPTABLES ? restore : nft, input, log), r->c->rules_seconds,
		  peak_kib);
	if (rc > 0)
		progress("  %s: %s failed with %d; see %s", names[r->system], input, rc, log);
	return rc ? -1 : now() - began;
}

/* Of all that runs: what cannot be given back, in MiB. */
static double kernel_mib(void)
{
	return (double)(proc_number("/proc/meminfo", "SUnreclaim") +
			proc_number("/proc/meminfo", "VmallocUsed")) /
	       1024;
}

static void report(const struct rules *r, const char *name, const char *unit, double value)
{
	dprintf(r->report, "%s\t%s\t%.9g\n", name, unit, value);
}

/* In a namespace of its own, which goes with this process. */
static void measure(struct rules *r)
{
	const int changes = r->services > 5000 ? 5 : 10;
	double took[10], value;
	double before;
	long peak;
	int i, done;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET))
		die("cannot make a network namespace");
	before = kernel_mib();
	value = load(r, r->all, &peak);
	if (value < 0)
		_exit(0);
	report(r, "full load", "s", value);
	report(r, "peak memory of the tool", "MiB", (double)peak / 1024);
	report(r, "kernel memory", "MiB", kernel_mib() - before);
	for (i = done = 0; i < changes; i++) {
		value = load(r, r->one[i % 2], &peak);
		if (value >= 0)
			took[done++] = value * 1e3;
	}
	if (done) {
		report(r, "one endpoint, p50", "ms", percentile(took, (size_t)done, 0.5));
		report(r, "one endpoint, max", "ms", percentile(took, (size_t)done, 1));
	}
	_exit(0);
}

void rules_measure(const struct change_config *c, enum change_system system, long services,
		   int round)
{
	struct rules r = {.c = c, .system = system, .services = services};
	char name[64], unit[16], line[256];
	int pipes[2], status;
	double value;
	FILE *file;
	pid_t pid;

	progress("  %s, %ld services, round %d", names[system], services, round + 1);
	make_inputs(&r);
	if (pipe(pipes))
		die("cannot make a pipe");
	pid = fork();
	if (!pid) {
		close(pipes[0]);
		r.report = pipes[1];
		measure(&r);
	}
	close(pipes[1]);
	file = fdopen(pipes[0], "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[^\t]\t%15[^\t]\t%lf", name, unit, &value) == 3)
			sample(system, services, round, name, unit, value);
	if (file)
		fclose(file);
	waitpid(pid, &status, 0);
}
