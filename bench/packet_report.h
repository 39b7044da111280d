/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The results as a table and as JSON. */
#ifndef NEARPATH_BENCH_PACKET_REPORT_H
#define NEARPATH_BENCH_PACKET_REPORT_H

#include <jansson.h>

#include "machine.h"
#include "packet_counts.h"

struct options {
	uint32_t repeat;
	uint32_t rounds;   /* 0: only what is counted */
	const char *only;  /* part of the name of a row; NULL: all */
	const char *json;  /* file; NULL: none */
	const char *stack; /* file, see read_stacks(); NULL: none */
};

static inline int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of the rounds: median and minimum. */
static inline void print_numbers(const struct result *r, uint32_t rounds)
{
	double ns[ROUNDS_MAX];

	if (r->counted)
		printf("  %6.2f", calls_a_packet(r));
	else
		printf("  %6s", "-");
	if (!rounds)
		return;
	for (uint32_t i = 0; i < rounds; i++)
		ns[i] = r->sample[i].ns;
	qsort(ns, rounds, sizeof(*ns), compare);
	printf(" %6.0f %5.0f", ns[rounds / 2], ns[0]);
}

static inline void print_case(const struct world *w, size_t i, uint32_t rounds)
{
	const struct result *four = &w->result[i], *six = &w->result[i + w->results / 2];
	char flows[16] = "new";

	if (four->flows)
		snprintf(flows, sizeof(flows), "%u", four->flows);
	printf("%-37s %-4s %8s", four->bench->name, protocol_name(four->bench->protocol), flows);
	print_numbers(four, rounds);
	print_numbers(six, rounds);
	putchar('\n');
}

static inline void print_programs(const struct world *w)
{
	printf("%-16s %22s %22s %12s %6s\n", "program", "verified instructions",
	       "loaded instructions", "machine code", "stack");
	for (size_t i = 0; i < w->programs; i++) {
		const struct program_size *p = &w->program[i];

		printf("%-16s %22u %22zu %12u", p->name, p->verified,
		       p->xlated / sizeof(struct bpf_insn), p->jited);
		if (p->stack)
			printf(" %6u\n", p->stack);
		else
			printf(" %6s\n", "-");
	}
	printf("\nbytes of tables: flow %u in IPv4, %u in IPv6; service %u; endpoint %u\n\n",
	       w->sizes.flow4, w->sizes.flow6, w->sizes.service, w->sizes.endpoint);
}

static inline void print_text(const struct world *w, const struct options *o,
			      const struct machine *m)
{
	printf("%s, Linux %s\n%s; SRSO: %s; JIT %s, hardening %s\n\n", m->cpu, m->kernel,
	       m->spectre_v2, m->srso, m->jit, m->harden);
	print_programs(w);
	if (o->rounds)
		printf("%u rounds of %u packets with %d bytes of payload (new flows: at most "
		       "50,000; "
		       "translated 8,000)\n",
		       o->rounds, o->repeat, FRAME_PAYLOAD);
	printf("%-51s  %-20s  IPv6\n", "a packet: calls, and ns over the empty program", "IPv4");
	printf("%-37s %-4s %8s", "", "", "flows");
	for (int i = 0; i < 2; i++)
		printf(o->rounds ? "  %6s %6s %5s" : "  %6s", "calls", "median", "min");
	putchar('\n');
	for (size_t i = 0; i < w->results / 2; i++)
		print_case(w, i, o->rounds);
	printf("\nProcesses of the node: bench-connect, as BPF_PROG_TEST_RUN runs no such "
	       "program.\n");
}

/* What tells a case from others. */
static inline json_t *json_case(const struct result *r)
{
	static const char *const hooks[NP_HOOKS] = {
#define X(e, name) [NP_HOOK_##e] = name,
		NP_HOOK_LIST(X)
#undef X
	};

	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "case", r->bench->name, "hook",
			 hooks[r->bench->hook], "protocol", protocol_name(r->bench->protocol),
			 "family", r->frame.family == NP_IPV4 ? "ipv4" : "ipv6", "flows",
			 r->flows ? json_integer(r->flows) : json_null());
}

static inline json_t *json_samples(const struct world *w, const struct options *o)
{
	json_t *all = json_array(), *sample;

	for (size_t i = 0; i < w->results; i++)
		for (uint32_t round = 0; round < o->rounds; round++) {
			const struct sample *s = &w->result[i].sample[round];

			sample = json_case(&w->result[i]);
			json_object_set_new(sample, "round", json_integer(round));
			json_object_set_new(sample, "ns", json_real(s->ns));
			json_object_set_new(sample, "ns_empty", json_real(s->empty));
			json_array_append_new(all, sample);
		}
	return all;
}

static inline json_t *json_calls(const struct world *w)
{
	json_t *all = json_array(), *one, *by;

	for (size_t i = 0; i < w->results; i++) {
		const struct result *r = &w->result[i];

		if (!r->counted)
			continue;
		by = json_object();
		for (int k = 0; k < calls.callees; k++)
			if (r->calls[k])
				json_object_set_new(by, calls_name(&calls.callee[k]),
						    json_real((double)r->calls[k] / CALLS_TURNS));
		one = json_case(r);
		json_object_set_new(one, "calls", json_real(calls_a_packet(r)));
		json_object_set_new(one, "by_function", by);
		json_object_set_new(one, "left_by_fast_path",
				    json_real((double)r->calls[CALLS_LEFT] / CALLS_TURNS));
		json_array_append_new(all, one);
	}
	return all;
}

static inline json_t *json_programs(const struct world *w)
{
	json_t *all = json_array();

	for (size_t i = 0; i < w->programs; i++) {
		const struct program_size *p = &w->program[i];

		json_array_append_new(
			all,
			json_pack("{s:s, s:i, s:i, s:i, s:i, s:o}", "name", p->name,
				  "verified_instructions", (int)p->verified, "xlated_instructions",
				  (int)(p->xlated / sizeof(struct bpf_insn)), "xlated_bytes",
				  (int)p->xlated, "jited_bytes", (int)p->jited, "stack_bytes",
				  p->stack ? json_integer(p->stack) : json_null()));
	}
	return all;
}

static inline void write_json(const struct world *w, const struct options *o,
			      const struct machine *m)
{
	json_t *sizes = json_pack("{s:i, s:i, s:i, s:i}", "flow_ipv4", (int)w->sizes.flow4,
				  "flow_ipv6", (int)w->sizes.flow6, "service",
				  (int)w->sizes.service, "endpoint", (int)w->sizes.endpoint);
	json_t *all =
		json_pack("{s:i, s:s, s:o, s:i, s:i, s:o, s:o, s:o, s:o}", "schema", 1, "part",
			  "packet", "machine", machine_json(m), "rounds", (int)o->rounds, "packets",
			  (int)o->repeat, "programs", json_programs(w), "bytes", sizes, "calls",
			  json_calls(w), "samples", json_samples(w, o));

	if (!all || json_dump_file(all, o->json, JSON_INDENT(1)))
		die(o->json, EIO);
	json_decref(all);
}

#endif
