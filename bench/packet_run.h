/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Making the packets of the cases, proving that they are what they are called, and measuring. */
#ifndef NEARPATH_BENCH_PACKET_RUN_H
#define NEARPATH_BENCH_PACKET_RUN_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>

#include "../selftests/packet/netns.h"
#include "calls.h"
#include "packet_cases.h"

#define ROUNDS_MAX  101
#define RESULTS_MAX (2 * (1 + ARRAY_SIZE(crowd_sizes)) * ARRAY_SIZE(benches))

/* What is known of a program without running it. */
struct program_size {
	char name[BPF_OBJ_NAME_LEN];
	uint32_t verified; /* instructions that the verifier went through */
	uint32_t xlated;   /* bytes of instructions that are left */
	uint32_t jited;	   /* bytes of machine code */
	uint32_t stack;	   /* 0: not known */
};

/* Bytes of kernel memory; a service is one published frontend, an endpoint is in one service. */
struct table_sizes {
	uint32_t flow4;
	uint32_t flow6;
	uint32_t service;
	uint32_t endpoint;
};

#define PROGRAMS_MAX (TABLES_PROGRAMS + TABLES_SOCKS)
#define CALLS_TURNS  1000

/* Nanoseconds a packet: over the empty program, and of that. */
struct sample {
	double ns;
	double empty;
};

struct result {
	const struct bench *bench;
	uint32_t flows; /* at random; 1: one alone, hot; 0: every packet is of another */
	struct frame frame;
	int prelude_fd; /* -1: none */
	bool counted;
	uint32_t calls[CALLS_LEFT + 1]; /* of what is called, in CALLS_TURNS packets */
	struct sample sample[ROUNDS_MAX];
};

struct world {
	struct tables *tables;
	uint32_t crowd; /* flows in them */
	struct netns ns;
	int empty_fd[2];  /* tc, xdp */
	int target_fd[2]; /* program arrays of one, for preludes */
	int counter_fd;
	struct result result[RESULTS_MAX];
	size_t results;
	struct program_size program[PROGRAMS_MAX];
	size_t programs;
	struct table_sizes sizes;
};

static inline void die(const char *what, int rc)
{
	fprintf(stderr, "packet: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

static inline int program_of(const struct world *w, const struct result *r)
{
	if (is_xdp(r->bench))
		return w->tables->xdp_fd;
	return r->bench->hook == NP_HOOK_INGRESS ? w->tables->ingress_fd : w->tables->egress_fd;
}

/* Whole nanoseconds a run, from the kernel. The packet is a copy: each run begins with the same. */
static inline double test_run(const struct world *w, int fd, const struct result *r,
			      uint32_t repeat, uint32_t *verdict)
{
	uint8_t out[FRAME_MAX];
	struct xdp_md md = {.data_end = r->frame.length, .ingress_ifindex = w->ns.uplink};
	struct __sk_buff skb = {.ifindex = w->ns.uplink};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = r->frame.byte, .data_size_in = r->frame.length,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), .repeat = repeat);
	int rc;

	if (is_xdp(r->bench)) {
		o.ctx_in = &md;
		o.ctx_size_in = sizeof(md);
	}
	rc = bpf_prog_test_run_opts(fd, &o);
	if (rc)
		die(r->bench->name, rc);
	*verdict = o.retval;
	return o.duration;
}

/* One measurement of a program, behind the case's prelude if it has one. */
static inline double measure(const struct world *w, int fd, const struct result *r, uint32_t repeat,
			     uint32_t verdict)
{
	uint32_t zero = 0, got;
	double ns;

	if (r->prelude_fd >= 0) {
		if (bpf_map_update_elem(w->target_fd[is_xdp(r->bench)], &zero, &fd, BPF_ANY))
			die("prelude", errno);
		fd = r->prelude_fd;
	}
	ns = test_run(w, fd, r, repeat, &got);
	if (got == verdict)
		return ns;
	fprintf(stderr, "packet: %s, IPv%d: verdict %d, expected %d\n", r->bench->name,
		r->frame.family, (int)got, (int)verdict);
	exit(1);
}

static inline double measure_empty(const struct world *w, const struct result *r, uint32_t repeat)
{
	return measure(w, w->empty_fd[is_xdp(r->bench)], r, repeat,
		       is_xdp(r->bench) ? XDP_PASS : NEXT);
}

static inline double measure_case(const struct world *w, const struct result *r, uint32_t repeat)
{
	return measure(w, program_of(w, r), r, repeat, r->bench->verdict);
}

static inline void reset_flows(const struct world *w, int family)
{
	/* Surely past, and not long: the process's idea of jiffies is not exact. */
	uint32_t recently = tables_jiffies() - 5 * tables_hertz();
	int rc = state_reset_flows(w->tables, family, w->crowd, recently);

	if (rc)
		die("flow tables", rc);
}

/* What the case finds in the tables. */
static inline void prepare(const struct world *w, const struct result *r, bool stats)
{
	state_iface(w->tables, w->ns.uplink, stats, r->bench->mss);
	state_iface(w->tables, w->ns.second, stats, STATE_MSS_OFF);
	if (r->bench->fill == FILL_KEEP)
		return;
	reset_flows(w, r->frame.family);
	if (r->bench->fill == FILL_UNANSWERED)
		measure_case(w, r, STATE_FLOWS);
}

static inline uint64_t counted(const struct world *w, enum np_hook hook, int reason)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < w->tables->size[TABLE_stats]; cpu++)
		sum += w->tables->stats[cpu].packets[hook][reason];
	return sum;
}

/* Is it a hit (a new flow, nothing at all) in every turn? */
static inline void prove(const struct world *w, const struct result *r)
{
	const struct bench *b = r->bench;
	const uint32_t turns = 1000;
	uint64_t before[NP_REASONS], moved;

	prepare(w, r, true);
	for (int i = 0; i < NP_REASONS; i++)
		before[i] = counted(w, b->hook, i);
	measure_case(w, r, turns);
	for (int i = 0; i < NP_REASONS; i++) {
		moved = counted(w, b->hook, i) - before[i];
		if (moved == turns || (b->proof ? !(b->proof >> i & 1) : !moved))
			continue;
		fprintf(stderr, "packet: %s, IPv%d: %llu of %u packets were what they should be\n",
			b->name, r->frame.family, (unsigned long long)moved, turns);
		exit(1);
	}
}

static inline void make_frame(struct result *r, uint8_t end, int family)
{
	struct end client = state_client(family), other = state_frontend(family, end);
	const struct end *src = &client, *dst = &other;

	if (r->bench->direction == TO_CLIENT) {
		src = &other;
		dst = &client;
	}
	if (r->bench->protocol == IPPROTO_ICMP)
		frame_make_error(&r->frame, family, src, dst);
	else
		frame_make(&r->frame, family, r->bench->protocol, r->bench->flags, src, dst);
}

/* crowd: how many flows at random; 0: as the case says. */
static inline void add_result(struct world *w, const struct bench *b, int family, uint32_t crowd)
{
	struct result *r = &w->result[w->results++];
	unsigned prelude = b->prelude | (crowd ? PRELUDE_RANDOM : 0);

	r->bench = b;
	r->flows = crowd ?: !(prelude & PRELUDE_COUNTER);
	make_frame(r, crowd ? STATE_CROWD : b->end, family);
	r->prelude_fd = -1;
	if (!prelude)
		return;
	r->prelude_fd = program_prelude(prelude, crowd, b->direction == TO_CLIENT, &r->frame,
					is_xdp(b), w->target_fd[is_xdp(b)], w->counter_fd);
	if (r->prelude_fd < 0)
		die("prelude", r->prelude_fd);
}

static inline void make_results(struct world *w, int family)
{
	for (size_t i = 0; i < ARRAY_SIZE(benches); i++) {
		add_result(w, &benches[i], family, 0);
		for (size_t k = 0; benches[i].crowd && k < ARRAY_SIZE(crowd_sizes); k++)
			add_result(w, &benches[i], family, crowd_sizes[k]);
	}
}

static inline void open_programs(struct world *w)
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

static inline void open_world(struct world *w)
{
	int rc = netns_enter(&w->ns);

	if (rc)
		die("network namespace", rc);
	open_programs(w);
	make_results(w, NP_IPV4);
	make_results(w, NP_IPV6);
}

/* Tables for so many flows, with a crowd of so many in them. 0 or -errno and why. */
static inline int open_tables(struct world *w, uint32_t flows, uint32_t crowd, const char **why)
{
	struct tables_options o = {.max_flows = flows,
				   .max_services = 64,
				   .max_slots = 64,
				   .max_backends = 64,
				   .sock = true};
	int rc = tables_open(&o, &w->tables, why);

	if (rc)
		return rc;
	rc = netns_attach(&w->ns, w->tables->xdp_fd);
	if (rc)
		die("XDP on a veth", rc);
	w->crowd = crowd;
	state_share_routes(w->tables);
	state_fill_services(w->tables);
	reset_flows(w, NP_IPV4);
	reset_flows(w, NP_IPV6);
	return 0;
}

#endif
