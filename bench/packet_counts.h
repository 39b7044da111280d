/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What does not vary with the machine: sizes of the programs and tables, calls a packet. */
#ifndef NEARPATH_BENCH_PACKET_COUNTS_H
#define NEARPATH_BENCH_PACKET_COUNTS_H

#include "packet_run.h"

static inline void count_program(struct world *w, int fd)
{
	struct program_size *p = &w->program[w->programs];
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return;
	snprintf(p->name, sizeof(p->name), "%s", info.name);
	p->verified = info.verified_insns;
	p->xlated = info.xlated_prog_len;
	p->jited = info.jited_prog_len;
	w->programs++;
}

static inline void count_programs(struct world *w)
{
	const struct tables *t = w->tables;

	count_program(w, t->ingress_fd);
	count_program(w, t->egress_fd);
	count_program(w, t->xdp_fd);
	for (int i = 0; i < TABLES_SOCKS; i++)
		count_program(w, t->sock_fd[i]);
}

/* The file has a program's name and bytes a line, as selftests/stack.py --list prints them. */
static inline void read_stacks(struct world *w, const char *path)
{
	FILE *f = fopen(path, "re");
	char name[64];
	uint32_t bytes;

	if (!f)
		die(path, errno);
	while (fscanf(f, "%63s %u", name, &bytes) == 2)
		for (size_t i = 0; i < w->programs; i++)
			if (!strncmp(w->program[i].name, name, sizeof(w->program[i].name) - 1))
				w->program[i].stack = bytes;
	fclose(f);
}

/* All entries of a table, by as many of what they are for. */
static inline uint32_t bytes_each(const struct tables *t, enum table table, uint32_t objects)
{
	return tables_value_size(table) * t->size[table] / objects;
}

static inline struct table_sizes count_tables(const struct tables *t)
{
	uint32_t services = t->size[TABLE_services];

	return (struct table_sizes){
		.flow4 = bytes_each(t, TABLE_flows4, t->size[TABLE_flows4]) +
			 bytes_each(t, TABLE_flow_index4, t->size[TABLE_flows4]) +
			 bytes_each(t, TABLE_hints, t->size[TABLE_flows4]),
		.flow6 = bytes_each(t, TABLE_flows6, t->size[TABLE_flows6]) +
			 bytes_each(t, TABLE_flow_index6, t->size[TABLE_flows6]) +
			 bytes_each(t, TABLE_hints, t->size[TABLE_flows6]),
		.service = tables_value_size(TABLE_services) +
			   bytes_each(t, TABLE_frontends, services) +
			   bytes_each(t, TABLE_address_filter, services) +
			   bytes_each(t, TABLE_service_stats, services),
		.endpoint = tables_value_size(TABLE_backends) +
			    bytes_each(t, TABLE_snat_ports, t->size[TABLE_backends]) +
			    bytes_each(t, TABLE_slots, tables_slots(t)),
	};
}

static inline void count_calls_of(const struct world *w, struct result *r)
{
	uint64_t before[CALLS_LEFT + 1];

	prove(w, r);
	prepare(w, r, false);
	if (r->flows > 1) /* what is remembered of flows is to be there */
		measure_case(w, r, 2 * r->flows);
	for (int i = 0; i <= CALLS_LEFT; i++)
		before[i] = calls.count[i];
	measure_case(w, r, CALLS_TURNS);
	for (int i = 0; i <= CALLS_LEFT; i++)
		r->calls[i] = calls.count[i] - before[i];
	r->counted = true;
}

/* A kernel may refuse the programs as they are for counting: then it is not known. */
static inline void count_calls(struct world *w)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	const char *why = "";
	int rc = calls_begin();

	if (rc >= 0)
		rc = open_tables(w, STATE_FLOWS, STATE_CROWD_FEW, &why);
	calls_end();
	libbpf_set_print(print);
	if (rc) {
		fprintf(stderr, "packet: calls are not counted: %s: %s\n", why, strerror(-rc));
		return;
	}
	for (size_t i = 0; i < w->results; i++)
		if (w->result[i].flows <= STATE_CROWD_FEW)
			count_calls_of(w, &w->result[i]);
	tables_close(&w->tables);
}

/* Of all kinds, a packet. */
static inline double calls_a_packet(const struct result *r)
{
	uint32_t sum = 0;

	for (int i = 0; i < CALLS_MAX; i++)
		sum += r->calls[i];
	return (double)sum / CALLS_TURNS;
}

#endif
