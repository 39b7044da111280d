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
#define NP_SERVICE_CLUSTER_IP	0x08 /* address entry: a clusterIP; its other ports are refused */
#define NP_SERVICE_RANGES	0x10 /* only sources in `source_ranges` under this number */

/* One version of one frontend. 80 bytes; never changed once an entry names it. */
struct np_service {
	union np_addr addr; /* all zero for a NodePort: any node address */
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP; 0 for an address entry */
	__u8 family;   /* NP_IPV4 or NP_IPV6 */
	__u32 flags;
	__u32 id; /* number of the service port, the same in all versions: index of counters */
	struct np_policy policy[NP_CLASSES];
	__u32 affinity; /* session affinity ClientIP, how long: in jiffies; 0: none */
	__u8 pad[12];
};
NP_STATIC_ASSERT(sizeof(struct np_service) == 80);

/*
 * Key of the LPM trie `source_ranges`: the ranges a version with NP_SERVICE_RANGES admits. As they
 * are the version's own, a packet sees the ranges of before or those of now. Values say nothing.
 */
struct np_range_key {
	__u32 prefixlen; /* 32 for the version, and the range's own bits */
	__u32 version;	 /* number of the struct np_service */
	union np_addr addr;
};
NP_STATIC_ASSERT(sizeof(struct np_range_key) == 24);
#define NP_RANGE_BITS 32

/*
 * Session affinity (the LRU map `affinity`): the backend of a client's last new connection to a
 * service port, by whatever frontend and class. Used only while the backend, number and address,
 * is in the run of the connection at hand.
 */
struct np_affinity_key {
	union np_addr client;
	__u32 service; /* np_service.id */
	__u32 family;
};
NP_STATIC_ASSERT(sizeof(struct np_affinity_key) == 24);

struct np_affinity {
	union np_addr addr;
	__be16 port;
	__u16 pad;
	__u32 backend;
	__u64 seen; /* jiffies */
};
NP_STATIC_ASSERT(sizeof(struct np_affinity) == 32);

/*
 * Slots: backend numbers, ascending within a run. Two an entry, because the kernel rounds the
 * entries of an array up to 8 bytes (kernel/bpf/arraymap.c); slot n is backend[n % 2] of entry n
 * / 2.
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
	__u8 zone;    /* enum np_zone_class */
	__u8 sources; /* how many addresses more, if snat has no port left, */
	__u16 source; /* beginning with this one of the table `snat_sources` */
	__u8 spare[24];
};
NP_STATIC_ASSERT(sizeof(struct np_backend) == 64);

/* Other addresses of this host that may stand for clients, in runs. */
#define NP_SOURCES	256 /* entries of the table `snat_sources` */
#define NP_SOURCES_EACH 3   /* of one backend, at most */

struct np_source {
	union np_addr addr;
};
NP_STATIC_ASSERT(sizeof(struct np_source) == 16);

/* Source ports towards a backend, by its number: where to look next, and refusals. Programs write.
 */
struct np_ports {
	__u32 next;
	__u32 urgency; /* with which one was found last: flow_gives_way() */
	__u64 refused; /* connections that found no port */
};
NP_STATIC_ASSERT(sizeof(struct np_ports) == 16);

#endif
