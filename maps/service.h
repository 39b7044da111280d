/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The service side of the tables: frontends (an index), services (one immutable version of one
 * frontend's decision), slots (runs of backend numbers) and backends. nearpathd writes them,
 * programs only read.
 *
 * A change is published by writing a new struct np_service and its slots into free space and then
 * storing the one 64-bit frontend entry; a program sees the old version or the new one, never a
 * mix. Space that was freed is used again only after an RCU grace period.
 */
#ifndef NEARPATH_MAPS_SERVICE_H
#define NEARPATH_MAPS_SERVICE_H

#include "abi.h"

/*
 * An entry of the index `frontends` (maps/hash.h) has the number of a struct np_service in its
 * lower half.
 */

/* What happens to new connections of one class: a run of slots, or no forwarding at all. */
struct np_policy {
	__u32 slot;   /* first slot of the run */
	__u32 count;  /* length of the run; 0 unless verdict is NP_VERDICT_FORWARD */
	__u8 verdict; /* enum np_verdict */
	__u8 snat;    /* 1: translate the source */
	__u8 pad[2];
};
NP_STATIC_ASSERT(sizeof(struct np_policy) == 12);

/* Bits of np_service.flags. An entry with port 0 and protocol 0 describes the address itself. */
#define NP_SERVICE_NODE_ADDRESS 0x01 /* address entry: NodePorts are served here */
#define NP_SERVICE_HOST_ADDRESS 0x02 /* address entry: an address of this host */
#define NP_SERVICE_NODE_CLASS	0x04 /* policy of NODE and OUTSIDE differ: look at the source */

/* One version of one frontend. 80 bytes; never changed once an entry names it. */
struct np_service {
	union np_addr addr; /* all zero for a NodePort: any node address */
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP; 0 for an address entry */
	__u8 family;   /* NP_IPV4 or NP_IPV6 */
	__u32 flags;
	__u32 id; /* number of the service port, the same in all versions: index of counters */
	struct np_policy policy[NP_CLASSES];
	__u8 pad[16];
};
NP_STATIC_ASSERT(sizeof(struct np_service) == 80);

/*
 * Slots: backend numbers. Two an entry, because the kernel rounds the entries of an array up to
 * 8 bytes (kernel/bpf/arraymap.c); slot n is backend[n % 2] of entry n / 2.
 */
struct np_slots {
	__u32 backend[2];
};
NP_STATIC_ASSERT(sizeof(struct np_slots) == 8);

/* Bits of np_backend.flags. */
#define NP_BACKEND_USED	 0x01 /* some service names it; a SYN may stay with it */
#define NP_BACKEND_LOCAL 0x02 /* its pod runs on this node: XDP leaves it to tc */

/* A backend. addr, port and family never change while NP_BACKEND_USED is set. */
struct np_backend {
	union np_addr addr;
	union np_addr snat; /* the source address the kernel takes towards it; zero: unknown */
	__be16 port;
	__u8 family;
	__u8 flags;
	__u8 zone; /* enum np_zone_class */
	__u8 pad[3];
	__u8 spare[24];
};
NP_STATIC_ASSERT(sizeof(struct np_backend) == 64);

#endif
