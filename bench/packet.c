/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Nanoseconds a packet of the loaded programs over an empty program of the same type, measured by
 * BPF_PROG_TEST_RUN. Both are run in turns, case by case and round by round in one process on one
 * CPU, and only differences between neighbours in time are kept. Differences below 10 ns are none.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <getopt.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../selftests/packet/netns.h"
#include "frame.h"
#include "machine.h"
#include "programs.h"
#include "state.h"
#include "util.h"

#define TCP_ACK_FLAG 0x10
#define TCP_SYN_FLAG 0x02
#define ROUNDS_MAX   101

enum direction { TO_FRONTEND, TO_CLIENT };

/* What is to be in the flow tables before a case. */
enum fill {
	FILL_KEEP,
	FILL_RESET,	 /* only the flows of state.h: every new one finds a free record */
	FILL_UNANSWERED, /* all other records hold connections that were never answered */
};

struct bench {
	const char *name;
	enum np_hook hook;
	int protocol;
	uint8_t flags;
	uint8_t end; /* STATE_REMOTE and so on */
	enum direction direction;
	enum prelude prelude;
	enum fill fill;
	uint32_t verdict;
	uint32_t repeat; /* at most; 0: as the user wants */
	int proof; /* the counter that moves with every packet; -1: none, -2: nothing is counted */
};

#define NEXT  ((uint32_t)-1)
#define TCP   .protocol = IPPROTO_TCP, .flags = TCP_ACK_FLAG
#define UDP   .protocol = IPPROTO_UDP
#define SYN   .protocol = IPPROTO_TCP, .flags = TCP_SYN_FLAG, .prelude = PRELUDE_COUNTER
#define HIT   .verdict = NEXT, .proof = NP_REASON_TRANSLATED
#define PASS  .verdict = NEXT, .proof = -1, .end = STATE_NOTHING
#define XPASS .verdict = XDP_PASS, .proof = -1, .end = STATE_NOTHING
#define NEW   .verdict = NEXT, .proof = NP_REASON_NEW_FLOW, .repeat = 100000
#define SEND  .verdict = XDP_TX, .proof = NP_REASON_XDP_TX, .prelude = PRELUDE_TTL

static const struct bench benches[] = {
	{"tc ingress, client to frontend", NP_HOOK_INGRESS, TCP, HIT, .end = STATE_REMOTE},
	{"tc ingress, client to frontend", NP_HOOK_INGRESS, UDP, HIT, .end = STATE_REMOTE},
	{"tc egress, backend to client", NP_HOOK_EGRESS, TCP, HIT, .end = STATE_REMOTE,
	 .direction = TO_CLIENT},
	{"tc egress, backend to client", NP_HOOK_EGRESS, UDP, HIT, .end = STATE_REMOTE,
	 .direction = TO_CLIENT},
	{"tc egress, source translated", NP_HOOK_EGRESS, TCP, HIT, .end = STATE_REMOTE},
	{"tc ingress, backend to snat", NP_HOOK_INGRESS, TCP, HIT, .end = STATE_REMOTE,
	 .direction = TO_CLIENT},
	{"tc ingress, 65,536 flows at random", NP_HOOK_INGRESS, TCP, HIT, .end = STATE_CROWD,
	 .prelude = PRELUDE_RANDOM},
	{"tc ingress, no service's", NP_HOOK_INGRESS, TCP, PASS},
	{"tc ingress, no service's", NP_HOOK_INGRESS, UDP, PASS},
	{"tc ingress, no service's, SYN", NP_HOOK_INGRESS, SYN, PASS},
	{"tc egress, no service's", NP_HOOK_EGRESS, TCP, PASS},
	{"tc egress, no service's", NP_HOOK_EGRESS, UDP, PASS},
	{"xdp, client to remote backend, sent", NP_HOOK_XDP, TCP, SEND, .end = STATE_REMOTE},
	{"xdp, client to remote backend, sent", NP_HOOK_XDP, UDP, SEND, .end = STATE_REMOTE},
	{"xdp, remote backend to client, sent", NP_HOOK_XDP, TCP, SEND, .end = STATE_REMOTE,
	 .direction = TO_CLIENT},
	{"xdp, flow to a local backend, passed", NP_HOOK_XDP, TCP, .verdict = XDP_PASS, .proof = -1,
	 .end = STATE_LOCAL},
	{"xdp, no service's", NP_HOOK_XDP, TCP, XPASS},
	{"xdp, no service's", NP_HOOK_XDP, UDP, XPASS},
	{"tc ingress, new flow", NP_HOOK_INGRESS, SYN, NEW, .end = STATE_SERVICE,
	 .fill = FILL_RESET},
	{"tc ingress, new flow, snat", NP_HOOK_INGRESS, SYN, .verdict = NEXT,
	 .proof = NP_REASON_NEW_FLOW, .repeat = 8000, .end = STATE_SERVICE_SNAT,
	 .fill = FILL_RESET},
	{"tc ingress, new flow, SYN flood", NP_HOOK_INGRESS, SYN, NEW, .end = STATE_SERVICE,
	 .fill = FILL_UNANSWERED},
};

#define CASES (2 * ARRAY_SIZE(benches)) /* each in IPv4, then in IPv6 */

struct result {
	const struct bench *bench;
	struct frame frame;
	int prelude_fd; /* -1: none */
	double over[ROUNDS_MAX];
	double empty[ROUNDS_MAX];
};

struct world {
	struct tables *tables;
	struct netns ns;
	int empty_fd[2];  /* tc, xdp */
	int target_fd[2]; /* program arrays of one, for preludes */
	int counter_fd;
	struct result result[CASES];
};

struct options {
	uint32_t repeat;
	uint32_t rounds;
	bool json;
};

static bool is_xdp(const struct result *r)
{
	return r->bench->hook == NP_HOOK_XDP;
}

static int program_of(const struct world *w, const struct result *r)
{
	if (is_xdp(r))
		return w->tables->xdp_fd;
	return r->bench->hook == NP_HOOK_INGRESS ? w->tables->ingress_fd : w->tables->egress_fd;
}

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench-packet: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

/* Whole nanoseconds a run, from the kernel. The packet is a copy: each run begins with the same. */
static double test_run(const struct world *w, int fd, const struct result *r, uint32_t repeat,
		       uint32_t *verdict)
{
	uint8_t out[FRAME_MAX];
	struct xdp_md md = {.data_end = r->frame.length, .ingress_ifindex = w->ns.uplink};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = r->frame.byte, .data_size_in = r->frame.length,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = repeat);
	int rc;

	if (is_xdp(r)) {
		o.ctx_in = &md;
		o.ctx_size_in = sizeof(md);
	}
	rc = bpf_prog_test_run_opts(fd, &o);
	if (rc)
		die(r->bench->name, rc);
	*verdict = o.retval;
	return o.duration;
}

/* A time that is surely past, and not long: the process's idea of jiffies is not exact. */
static uint32_t recently(void)
{
	return tables_jiffies() - 5 * tables_hertz();
}

/* One measurement of a program, behind the case's prelude if it has one. */
static double measure(const struct world *w, int fd, const struct result *r, uint32_t repeat,
		      uint32_t verdict)
{
	uint32_t zero = 0, got;
	double ns;

	if (r->prelude_fd >= 0) {
		if (bpf_map_update_elem(w->target_fd[is_xdp(r)], &zero, &fd, BPF_ANY))
			die("prelude", errno);
		fd = r->prelude_fd;
	}
	ns = test_run(w, fd, r, repeat, &got);
	if (got == verdict)
		return ns;
	fprintf(stderr, "bench-packet: %s, IPv%d: verdict %d, expected %d\n", r->bench->name,
		r->frame.family, (int)got, (int)verdict);
	exit(1);
}

static double measure_empty(const struct world *w, const struct result *r, uint32_t repeat)
{
	return measure(w, w->empty_fd[is_xdp(r)], r, repeat, is_xdp(r) ? XDP_PASS : NEXT);
}

static double measure_case(const struct world *w, const struct result *r, uint32_t repeat)
{
	return measure(w, program_of(w, r), r, repeat, r->bench->verdict);
}

static void fill(const struct world *w, const struct result *r)
{
	int rc;

	if (r->bench->fill == FILL_KEEP)
		return;
	rc = state_reset_flows(w->tables, recently());
	if (rc)
		die("flow tables", rc);
	for (int i = 0; r->bench->fill == FILL_UNANSWERED && i < 3; i++)
		measure_case(w, r, r->bench->repeat);
}

static uint64_t counted(const struct world *w, const struct bench *b, int reason)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < w->tables->size[TABLE_stats]; cpu++)
		for (int i = 0; i < NP_REASONS; i++)
			if (reason < 0 || i == reason)
				sum += w->tables->stats[cpu].packets[b->hook][i];
	return sum;
}

/* Is it a hit (a new flow, nothing at all) in every turn? */
static void prove(const struct world *w, const struct result *r)
{
	uint32_t turns = 1000;
	uint64_t before, moved;

	fill(w, r);
	before = counted(w, r->bench, r->bench->proof);
	measure_case(w, r, turns);
	moved = counted(w, r->bench, r->bench->proof) - before;
	if (moved == (r->bench->proof < 0 ? 0 : turns))
		return;
	fprintf(stderr, "bench-packet: %s, IPv%d: %llu of %u packets were what they should be\n",
		r->bench->name, r->frame.family, (unsigned long long)moved, turns);
	exit(1);
}

static void make_result(struct world *w, struct result *r, const struct bench *b, int family)
{
	struct end client = state_client(family), other = state_frontend(family, b->end);

	r->bench = b;
	if (b->direction == TO_FRONTEND)
		frame_make(&r->frame, family, b->protocol, b->flags, &client, &other);
	else
		frame_make(&r->frame, family, b->protocol, b->flags, &other, &client);
	r->prelude_fd = -1;
	if (b->prelude == PRELUDE_NONE)
		return;
	r->prelude_fd = program_prelude(b->prelude, &r->frame, is_xdp(r), w->target_fd[is_xdp(r)],
					w->counter_fd);
	if (r->prelude_fd < 0)
		die("prelude", r->prelude_fd);
}

static void open_programs(struct world *w)
{
	w->counter_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counter", 4, 4, 1, NULL);
	if (w->counter_fd < 0)
		die("counter", errno);
	for (int xdp = 0; xdp < 2; xdp++) {
		w->empty_fd[xdp] = program_empty(xdp);
		w->target_fd[xdp] =
			bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "target", 4, 4, 1, NULL);
		if (w->empty_fd[xdp] < 0 || w->target_fd[xdp] < 0)
			die("empty program", errno);
	}
}

static void open_world(struct world *w)
{
	struct tables_options o = {
		.max_flows = STATE_FLOWS, .max_services = 64, .max_slots = 64, .max_backends = 64};
	const char *why;
	int rc;

	rc = netns_enter(&w->ns);
	if (rc)
		die("network namespace", rc);
	rc = tables_open(&o, &w->tables, &why);
	if (rc)
		die(why, rc);
	rc = netns_attach(&w->ns, w->tables->xdp_fd);
	if (rc)
		die("XDP on a veth", rc);
	open_programs(w);
	state_fill_services(w->tables);
	rc = state_reset_flows(w->tables, recently());
	if (rc)
		die("flow tables", rc);
	for (size_t i = 0; i < CASES; i++)
		make_result(w, &w->result[i], &benches[i % ARRAY_SIZE(benches)],
			    i < ARRAY_SIZE(benches) ? NP_IPV4 : NP_IPV6);
}

static void switch_stats(struct world *w, bool on)
{
	state_iface(w->tables, 1, on);
	state_iface(w->tables, w->ns.uplink, on);
}

static void run_round(struct world *w, const struct options *o, uint32_t round)
{
	int rc = state_reset_flows(w->tables, recently());

	if (rc)
		die("flow tables", rc);
	for (size_t i = 0; i < CASES; i++) {
		struct result *r = &w->result[i];
		uint32_t repeat = r->bench->repeat ?: o->repeat;
		double ns;

		fill(w, r);
		r->empty[round] = measure_empty(w, r, repeat);
		ns = measure_case(w, r, repeat);
		r->over[round] = ns - r->empty[round];
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_text(struct world *w, const struct options *o, const struct machine *m)
{
	printf("cpu %s\nkernel %s\nspectre_v2 %s\nbpf_jit_enable %s, bpf_jit_harden %s\n"
	       "%u rounds of %u packets (new flows: 100,000; 8,000 with snat), %d bytes of "
	       "payload\n\n",
	       m->cpu, m->kernel, m->spectre_v2, m->jit, m->harden, o->rounds, o->repeat,
	       FRAME_PAYLOAD);
	printf("%-38s %-4s %-5s %9s %9s\n", "ns a packet over the empty program", "", "", "median",
	       "min");
	for (size_t i = 0; i < CASES; i++) {
		struct result *r = &w->result[i];

		printf("%-38s %-4s %-5s %9.0f %9.0f\n", r->bench->name,
		       r->bench->protocol == IPPROTO_TCP ? "TCP" : "UDP",
		       r->frame.family == NP_IPV4 ? "IPv4" : "IPv6", r->over[o->rounds / 2],
		       r->over[0]);
	}
}

static int print_json(struct world *w, const struct options *o, const struct machine *m)
{
	json_t *cases = json_array(), *all;

	for (size_t i = 0; i < CASES; i++) {
		struct result *r = &w->result[i];

		json_array_append_new(
			cases,
			json_pack("{s:s, s:s, s:s, s:f, s:f, s:f}", "case", r->bench->name,
				  "protocol", r->bench->protocol == IPPROTO_TCP ? "tcp" : "udp",
				  "family", r->frame.family == NP_IPV4 ? "ipv4" : "ipv6",
				  "ns_median", r->over[o->rounds / 2], "ns_min", r->over[0],
				  "ns_empty_median", r->empty[o->rounds / 2]));
	}
	all = json_pack("{s:i, s:o, s:i, s:i, s:o}", "schema", 1, "machine", machine_json(m),
			"rounds", (int)o->rounds, "repeat", (int)o->repeat, "cases", cases);
	if (!all || json_dumpf(all, stdout, JSON_INDENT(2)))
		return 1;
	putchar('\n');
	json_decref(all);
	return 0;
}

static void parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "n:r:o:h")) != -1) {
		if (c == 'n')
			o->repeat = strtoul(optarg, NULL, 10);
		else if (c == 'r')
			o->rounds = strtoul(optarg, NULL, 10);
		else if (c == 'o' && !strcmp(optarg, "json"))
			o->json = true;
		else
			o->rounds = 0;
	}
	if (o->repeat && o->rounds && o->rounds <= ROUNDS_MAX && optind == argc)
		return;
	fprintf(stderr, "usage: packet [-n packets] [-r rounds (to %d)] [-o json]\n", ROUNDS_MAX);
	exit(2);
}

int main(int argc, char **argv)
{
	struct options o = {.repeat = 200000, .rounds = 15};
	static struct world w;
	struct machine m;
	cpu_set_t one;

	parse_options(argc, argv, &o);
	machine_read(&m);
	CPU_ZERO(&one);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	open_world(&w);
	switch_stats(&w, true);
	for (size_t i = 0; i < CASES; i++)
		prove(&w, &w.result[i]);
	switch_stats(&w, false);
	for (uint32_t round = 0; round < o.rounds; round++)
		run_round(&w, &o, round);
	for (size_t i = 0; i < CASES; i++) {
		qsort(w.result[i].over, o.rounds, sizeof(double), compare);
		qsort(w.result[i].empty, o.rounds, sizeof(double), compare);
	}
	if (o.json)
		return print_json(&w, &o, &m);
	print_text(&w, &o, &m);
	return 0;
}
