/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a change costs: from a line on nearpathd's socket to a packet that sees it, and the same
 * objects as kube-proxy's rules by iptables-restore and nft. In namespaces of its own, which go
 * with it.
 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "machine.h"
#include "number.h"
#include "util.h"

#define ROWS_MAX     128
#define ROUNDS_MAX   16
#define SERVICES_MAX 100000

static const char *const systems[] = {"nearpath", "iptables", "nftables"};

/* Values of one kind, of all rounds. */
struct row {
	const char *name;
	const char *unit;
	long services;
	double value[CHANGE_SYSTEMS][ROUNDS_MAX];
	size_t count[CHANGE_SYSTEMS];
};

static struct row rows[ROWS_MAX];
static size_t n_rows;
static json_t *samples;
static struct machine machine; /* read before there is a namespace that hides parts of it */

static struct row *row_of(long services, const char *name, const char *unit)
{
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].services == services && !strcmp(rows[i].name, name))
			return &rows[i];
	if (n_rows == ROWS_MAX)
		die("too many rows");
	rows[n_rows] =
		(struct row){.name = strdup(name), .unit = strdup(unit), .services = services};
	return &rows[n_rows++];
}

void sample(enum change_system system, long services, int round, const char *name, const char *unit,
	    double value)
{
	struct row *row = row_of(services, name, unit);

	if (row->count[system] < ROUNDS_MAX)
		row->value[system][row->count[system]++] = value;
	json_array_append_new(samples,
			      json_pack("{s:s, s:i, s:i, s:s, s:s, s:f}", "system", systems[system],
					"services", (int)services, "round", round, "what", name,
					"unit", unit, "value", value));
}

static void print_cell(struct row *row, int system)
{
	double *value = row->value[system];
	const size_t n = row->count[system];
	char text[64], range[48] = "";

	if (n > 1)
		snprintf(range, sizeof(range), " (%.3g-%.3g)", percentile(value, n, 0),
			 percentile(value, n, 1));
	snprintf(text, sizeof(text), "%.3g%s", percentile(value, n, 0.5), range);
	printf(" %24s", n ? text : "-");
}

static void print_table(long endpoints)
{
	long services = 0;

	for (size_t i = 0; i < n_rows; i++) {
		if (rows[i].services != services) {
			services = rows[i].services;
			printf("\n%ld services of %ld endpoints: median (min-max)\n%44s %24s %24s "
			       "%24s\n",
			       services, endpoints, "", systems[0], systems[1], systems[2]);
		}
		printf("  %-33s %8s", rows[i].name, rows[i].unit);
		for (int s = 0; s < CHANGE_SYSTEMS; s++)
			print_cell(&rows[i], s);
		putchar('\n');
	}
	puts("\nOf iptables and nftables only the tools are timed; kube-proxy's own work comes on "
	     "top.\nTheir kernel memory is by how much SUnreclaim and VmallocUsed grew: "
	     "approximate.");
}

static void write_json(const char *path)
{
	json_t *all;

	all = json_pack("{s:i, s:s, s:o, s:O}", "schema", 1, "part", "change", "machine",
			machine_json(&machine), "samples", samples);
	if (!all || json_dump_file(all, path, JSON_INDENT(2)))
		die("cannot write %s", path);
	json_decref(all);
}

/* ---- the run ---- */

/* A network and mounts of its own, with one interface that nearpathd is on. */
static void enter_world(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		die("cannot make namespaces: %s; it needs root", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("cannot make mounts private: %s", strerror(errno));
	shell("ip link set lo up && ip link add veth0 type veth peer name veth1 && "
	      "ip addr add 192.0.2.1/24 dev veth0 && ip link set veth0 up && "
	      "ip link set veth1 up && ip route add default via 192.0.2.254");
}

static void run(const struct change_config *c, const char *json)
{
	samples = json_array();
	enter_world();
	for (const long *services = c->services; *services; services++) {
		const int rounds = *services > 20000 && c->rounds > 2 ? 2 : c->rounds;

		for (int round = 0; round < rounds; round++) {
			nearpath_measure(c, *services, round);
			if (*services > c->rules_most || (*services > 5000 && round))
				continue;
			rules_measure(c, IPTABLES, *services, round);
			rules_measure(c, NFTABLES, *services, round);
		}
	}
	nearpath_slopes(c);
	print_table(c->endpoints);
	if (json)
		write_json(json);
	fflush(stdout);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

/* The run is a child, so that what it leaves is removed however it ends. */
static int supervise(struct change_config *c, const char *json)
{
	const struct sigaction action = {.sa_handler = on_signal};
	int status = 0;
	pid_t pid;

	snprintf(c->dir, sizeof(c->dir), "/tmp/nearpath-change-XXXXXX");
	if (!mkdtemp(c->dir))
		die("cannot make a directory: %s", strerror(errno));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(c, json);
		exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		if (stopped)
			kill(pid, SIGKILL);
	shell("rm -rf --one-file-system %s", c->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void usage(int code)
{
	fputs("Usage: change [OPTION]...\n"
	      "Time, memory and CPU of changes, with 1,000, 10,000 and 100,000 services of 10\n"
	      "endpoints, beside iptables-restore and nft (to 10,000). Needs root.\n"
	      "  -q, --quick   1,000 services: 20 seconds\n"
	      "  -s SERVICES   with so many, to 100000\n"
	      "  --json FILE   every sample, as JSON\n"
	      "Exit: 0 done, 1 failed, 2 usage.\n",
	      code ? stderr : stdout);
	exit(code);
}

int main(int argc, char **argv)
{
	static const long full[] = {1000, 10000, 100000, 0}, quick[] = {1000, 0};
	static long chosen[2];
	struct change_config c = {.services = full,
				  .endpoints = 10,
				  .rounds = 3,
				  .changes = 100,
				  .seconds = 3,
				  .rules_most = 10000,
				  .rules_seconds = 40};
	static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
						{"json", required_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{}};
	const char *json = NULL;
	char self[PATH_MAX];
	int o;

	while ((o = getopt_long(argc, argv, "qs:h", options, NULL)) != -1) {
		if (o == 'q')
			c = (struct change_config){.services = quick,
						   .endpoints = 10,
						   .rounds = 1,
						   .changes = 100,
						   .seconds = 2,
						   .rules_most = 1000,
						   .rules_seconds = 10};
		else if (o == 's')
			chosen[0] = (long)number_option('s', optarg, SERVICES_MAX);
		else if (o == 'j')
			json = optarg;
		else
			usage(o == 'h' ? 0 : 2);
	}
	if (optind != argc)
		usage(2);
	if (chosen[0])
		c.services = chosen;
	machine_results("change", json);
	machine_read(&machine);
	if (!realpath("/proc/self/exe", self))
		die("cannot find the programs");
	snprintf(c.build, sizeof(c.build), "%.200s", dirname(dirname(self)));
	return supervise(&c, json);
}
