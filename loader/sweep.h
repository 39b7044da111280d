/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The walk through the mapped flow records: frees those that expired, so that what is listed and
 * counted is true, and counts the rest. Programs need none of it: to them an expired record is
 * free. No system call a record; a slice of the tables at a time. Once a minute it makes the filter
 * of addresses (maps/filter.h) anew, which otherwise only fills.
 */
#ifndef NEARPATH_LOADER_SWEEP_H
#define NEARPATH_LOADER_SWEEP_H

#include "tables.h"

struct event_base;
struct sweep;

enum sweep_family { SWEEP_IPV4, SWEEP_IPV6, SWEEP_FAMILIES };
enum sweep_protocol { SWEEP_TCP, SWEEP_UDP, SWEEP_SCTP, SWEEP_PROTOCOLS };

/* Of the last whole round. */
struct sweep_counts {
	uint32_t flows[SWEEP_FAMILIES][NP_FLOW_STATES]; /* in use, by state; FREE is 0 */
	uint32_t total[SWEEP_FAMILIES];
	uint64_t expired; /* freed since the start */
	uint64_t rounds;
};

/* A round takes SWEEP_SECONDS; base NULL: only by sweep_round(). */
#define SWEEP_SECONDS 10
int sweep_new(struct event_base *base, struct tables *tables, struct sweep **sweep);
void sweep_free(struct sweep **sweep);

/* A whole round at once. */
void sweep_round(struct sweep *s);

const struct sweep_counts *sweep_counts(const struct sweep *s);

/* Translated source ports in use towards a backend (its number), of the protocol. */
uint32_t sweep_ports(const struct sweep *s, enum sweep_protocol protocol, uint32_t backend);
const char *sweep_protocol_name(enum sweep_protocol protocol); /* "TCP" */

#endif
