/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The programs' flow table code as a slow CPU would run it: compiled for user space once more, with
 * a chance of a pause wherever it reaches for a record or a bucket, and between the steps of a
 * packet. So the windows of races, nanoseconds in the programs, are open for as long as other
 * threads and programs take for hundreds of packets.
 */
#ifndef NEARPATH_SELFTESTS_STRESS_SLOW_H
#define NEARPATH_SELFTESTS_STRESS_SLOW_H

#include "flowtable.h"

/* What a packet has become; ports in network order. */
struct slow_packet {
	struct flowtable_tuple tuple;
	uint32_t space;	 /* the hook: NP_HASH_INGRESS or NP_HASH_EGRESS */
	uint8_t flags;	 /* TCP's */
	uint32_t number; /* TCP: sequence number of the backend, or what the client acks */
};

/*
 * A packet that finds its flow is translated and changes its state: 0. One that opens ends a flow
 * that is over. -ENOENT: it has none.
 */
int slow_packet(const struct tables *t, struct slow_packet *p);

/* As flowtable_insert(); a new flow, of TCP or UDP. */
int slow_open(const struct tables *t, const struct flowtable_flow *flow);

#endif
