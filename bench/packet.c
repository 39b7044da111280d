/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Nanoseconds a packet of the loaded programs over an empty program of the same type, measured by
 * BPF_PROG_TEST_RUN. Both are run in turns, case by case and round by round in one process on one
 * CPU, and only differences between neighbours in time are kept. Differences below 10 ns are none.
 */
#include <getopt.h>
#include <sched.h>

#include "number.h"
#include "packet_report.h"

#define PACKETS_MAX 10000000

static bool is_large(const struct result *r)
{
	return r->flows > STATE_CROWD_FEW;
}

static void run_case(const struct world *w, const struct options *o, struct result *r,
		     uint32_t round)
{
	uint32_t repeat =
		r->bench->repeat && r->bench->repeat < o->repeat ? r->bench->repeat : o->repeat;
	struct sample *s = &r->sample[round];

	prepare(w, r, false);
	/* What fits into the caches is to be there. */
	if (r->flows > 1 && !is_large(r))
		measure_case(w, r, r->flows < o->repeat ? 2 * r->flows : o->repeat);
	s->empty = measure_empty(w, r, repeat);
	s->ns = measure_case(w, r, repeat) - s->empty;
}

/* The cases for tables of this size: large or not. */
static void run(struct world *w, const struct options *o, bool large)
{
	const char *why;
	int rc = large ? open_tables(w, STATE_FLOWS_MANY, STATE_CROWD_MANY, &why)
		       : open_tables(w, STATE_FLOWS, STATE_CROWD_FEW, &why);

	if (rc)
		die(why, rc);
	for (size_t i = 0; i < w->results; i++)
		if (is_large(&w->result[i]) == large)
			prove(w, &w->result[i]);
	for (uint32_t round = 0; round < o->rounds; round++) {
		state_share_routes(w->tables);
		fprintf(stderr, "\rpacket: %s flows, round %u of %u ",
			large ? "1,048,576" : "to 65,536", round + 1, o->rounds);
		/* New flows come last, and are gone before the next round. */
		for (int family = NP_IPV4; !large && family <= NP_IPV6; family += NP_IPV6 - NP_IPV4)
			reset_flows(w, family);
		for (size_t i = 0; i < w->results; i++)
			if (is_large(&w->result[i]) == large)
				run_case(w, o, &w->result[i], round);
	}
	fputc('\n', stderr);
	tables_close(&w->tables);
}

static void count(struct world *w, const struct options *o)
{
	const char *why;
	int rc;

	fprintf(stderr, "packet: calls, sizes\n");
	count_calls(w);
	rc = open_tables(w, STATE_FLOWS, STATE_CROWD_FEW, &why);
	if (rc)
		die(why, rc);
	count_programs(w);
	if (o->stack)
		read_stacks(w, o->stack);
	w->sizes = count_tables(w->tables);
	tables_close(&w->tables);
}

/* Of all rows those that are wanted. */
static void choose(struct world *w, const char *only)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->results; i++)
		if (strstr(w->result[i].bench->name, only))
			w->result[kept++] = w->result[i];
	w->results = kept;
	if (!kept) {
		fprintf(stderr, "packet: no row has \"%s\" in its name\n", only);
		exit(2);
	}
}

static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"Usage: packet [OPTION]...\n"
		"Nanoseconds a packet of each program and path, by BPF_PROG_TEST_RUN, over an "
		"empty\n"
		"program; calls into the kernel, instructions, bytes. Needs root.\n"
		"  -q, --quick        3 rounds: 15 seconds\n"
		"  -n, --packets N    in a round\n"
		"  -r, --rounds N     15, to %d\n"
		"  -o, --only TEXT    rows that have it in their name\n"
		"  --counts           what does not vary, no times\n"
		"  --stack FILE       bytes of stack, by selftests/stack.py --list\n"
		"  --json FILE        every sample, as JSON\n"
		"Exit: 0 done, 1 failed, 2 usage.\n",
		ROUNDS_MAX);
	exit(code);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},
		{"packets", required_argument, NULL, 'n'},
		{"rounds", required_argument, NULL, 'r'},
		{"only", required_argument, NULL, 'o'},
		{"counts", no_argument, NULL, 'c'},
		{"stack", required_argument, NULL, 's'},
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	bool counts = false;
	int c;

	while ((c = getopt_long(argc, argv, "qn:r:o:h", options, NULL)) != -1) {
		if (c == 'q') {
			o->repeat = 30000;
			o->rounds = 3;
		} else if (c == 'n') {
			o->repeat = number_option('n', optarg, PACKETS_MAX);
		} else if (c == 'r') {
			o->rounds = number_option('r', optarg, ROUNDS_MAX);
		} else if (c == 'o') {
			o->only = optarg;
		} else if (c == 'c') {
			counts = true;
		} else if (c == 's') {
			o->stack = optarg;
		} else if (c == 'j') {
			o->json = optarg;
		} else {
			usage(c == 'h' ? 0 : 2);
		}
	}
	if (optind != argc)
		usage(2);
	if (counts)
		o->rounds = 0;
}

int main(int argc, char **argv)
{
	struct options o = {.repeat = 100000, .rounds = 15};
	static struct world w;
	struct machine m;
	cpu_set_t one;

	parse_options(argc, argv, &o);
	machine_results("packet", o.json);
	machine_read(&m);
	CPU_ZERO(&one);
	CPU_SET(m.cores - 1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	open_world(&w);
	if (o.only)
		choose(&w, o.only);
	count(&w, &o);
	for (int large = 0; o.rounds && large < 2; large++)
		run(&w, &o, large);
	print_text(&w, &o, &m);
	if (o.json)
		write_json(&w, &o, &m);
	return 0;
}
