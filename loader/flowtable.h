/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The flow table as a writer beside the running programs: finding, ending and inserting flows in
 * the mapped tables. The protocol is the programs' own code (datapath/flow.h, flow_new.h), compiled
 * for user space. Any thread, any number of tables.
 */
#ifndef NEARPATH_LOADER_FLOWTABLE_H
#define NEARPATH_LOADER_FLOWTABLE_H

#include "tables.h"

/* A flow, whatever the family of its record. Addresses and ports in network order. */
struct flowtable_flow {
	uint8_t family; /* NP_IPV4 or NP_IPV6 */
	uint8_t protocol;
	uint8_t state;	/* enum np_flow_state; not FREE */
	uint16_t flags; /* NP_FLOW_*; NP_FLOW_TRANSLATED: four names, not two */
	uint32_t seen;	/* jiffies, low 32 bits */
	uint32_t born;	/* the same */
	uint32_t service;
	uint32_t backend; /* number in the backend table */
	__be16 port[NP_PLACES];
	union np_addr addr[NP_PLACES];
};

/* A packet's tuple, as a hook sees it. */
struct flowtable_tuple {
	uint8_t family;
	uint8_t protocol;
	__be16 src_port;
	__be16 dst_port;
	union np_addr src;
	union np_addr dst;
};

/* One life of a record: seq is even and stands for it. */
struct flowtable_hit {
	uint32_t number;
	uint32_t seq;
	uint32_t name; /* enum np_name: by which the tuple was found */
};

/*
 * Read record "number" of a family. -ENOENT: it is free, or was claimed or ended meanwhile.
 * seq: of this life; may be NULL.
 */
int flowtable_read(struct tables *t, int family, uint32_t number, struct flowtable_flow *flow,
		   uint32_t *seq);

/* The flow that knows a tuple in a hook (space: NP_HASH_INGRESS or NP_HASH_EGRESS), or -ENOENT. */
int flowtable_find(struct tables *t, const struct flowtable_tuple *tuple, uint32_t space,
		   struct flowtable_hit *hit);

/*
 * Take a record as a new connection does (free, expired, closed or never answered), fill it, give
 * it all its names, publish it. A live TCP connection is never taken. number: of the record; may be
 * NULL. -EEXIST: a flow has one of the names; -ENOSPC: no record can be taken, or a name's two
 * buckets are full; -EBUSY: another CPU is at one of the names, try again; -EINVAL: not a flow.
 */
int flowtable_insert(struct tables *t, const struct flowtable_flow *flow, uint32_t *number);

/* Have packets between the flow's addresses look for it, once that half counts as whole. */
void flowtable_unfilter(struct tables *t, int family, const struct flowtable_flow *flow,
			unsigned half);

/* End that life of a record. -ESTALE: it is over already. */
int flowtable_end(struct tables *t, int family, uint32_t number, uint32_t seq);

/*
 * End a flow whose timeout has passed, unless a packet comes just now. -EAGAIN: it has not passed;
 * -ENOENT: there is no flow; -ESTALE: another CPU was faster.
 */
int flowtable_expire(struct tables *t, int family, uint32_t number);

/*
 * Free the records that a process left claimed which died in between; their names go too. Only for
 * the one process that writes beside the programs, before it does: the claims of programs end
 * within a grace period, and what lasts longer is nobody's. Returns how many, or -errno.
 */
int flowtable_recover(struct tables *t);

/*
 * The flow has gone on elsewhere since it was inserted with state "was": what it is now is written
 * down, unless packets have moved it on here as well.
 */
void flowtable_follow(struct tables *t, int family, uint32_t number, uint32_t seq, uint8_t was,
		      const struct flowtable_flow *now);

#endif
