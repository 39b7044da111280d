/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The results as a table and as JSON. */
#ifndef NEARPATH_BENCH_PACKET_REPORT_H
#define NEARPATH_BENCH_PACKET_REPORT_H

#include <jansson.h>

#include "machine.h"
#include "packet_run.h"

struct options {
	uint32_t repeat;
	uint32_t rounds;
	const char *json; /* file; NULL: none */
};

static inline int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of the rounds: median and minimum. */
static inline void print_ns(const struct result *r, uint32_t rounds)
{
	double ns[ROUNDS_MAX];

	for (uint32_t i = 0; i < rounds; i++)
		ns[i] = r->sample[i].ns;
	qsort(ns, rounds, sizeof(*ns), compare);
	printf("  %6.0f %5.0f", ns[rounds / 2], ns[0]);
}

static inline void print_case(const struct world *w, size_t i, uint32_t rounds)
{
	const struct result *four = &w->result[i], *six = &w->result[i + w->results / 2];
	char flows[16] = "new";

	if (four->flows)
		snprintf(flows, sizeof(flows), "%u", four->flows);
	printf("%-37s %-4s %8s", four->bench->name, protocol_name(four->bench->protocol), flows);
	print_ns(four, rounds);
	print_ns(six, rounds);
	putchar('\n');
}

static inline void print_text(const struct world *w, const struct options *o,
			      const struct machine *m)
{
	printf("%s, Linux %s\n%s, JIT %s, hardening %s\n%u rounds of %u packets with %d bytes of "
	       "payload (new flows: at most 50,000; translated 8,000)\n\n",
	       m->cpu, m->kernel, m->spectre_v2, m->jit, m->harden, o->rounds, o->repeat,
	       FRAME_PAYLOAD);
	printf("%-51s  %12s  %12s\n", "ns a packet over the empty program", "IPv4", "IPv6");
	printf("%-37s %-4s %8s  %6s %5s  %6s %5s\n", "", "", "flows", "median", "min", "median",
	       "min");
	for (size_t i = 0; i < w->results / 2; i++)
		print_case(w, i, o->rounds);
	printf("\nProcesses of the node: bench-connect, as BPF_PROG_TEST_RUN runs no such "
	       "program.\n");
}

static inline json_t *json_sample(const struct result *r, uint32_t round)
{
	static const char *const hooks[NP_HOOKS] = {
#define X(e, name) [NP_HOOK_##e] = name,
		NP_HOOK_LIST(X)
#undef X
	};

	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:f, s:f}", "case", r->bench->name, "hook",
			 hooks[r->bench->hook], "protocol", protocol_name(r->bench->protocol),
			 "family", r->frame.family == NP_IPV4 ? "ipv4" : "ipv6", "flows",
			 r->flows ? json_integer(r->flows) : json_null(), "round", (int)round, "ns",
			 r->sample[round].ns, "ns_empty", r->sample[round].empty);
}

static inline void write_json(const struct world *w, const struct options *o,
			      const struct machine *m)
{
	json_t *samples = json_array(), *all;

	for (size_t i = 0; i < w->results; i++)
		for (uint32_t round = 0; round < o->rounds; round++)
			json_array_append_new(samples, json_sample(&w->result[i], round));
	all = json_pack("{s:i, s:s, s:o, s:i, s:i, s:o}", "schema", 1, "part", "packet", "machine",
			machine_json(m), "rounds", (int)o->rounds, "packets", (int)o->repeat,
			"samples", samples);
	if (!all || json_dump_file(all, o->json, JSON_INDENT(1)))
		die(o->json, EIO);
	json_decref(all);
}

#endif
