/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the FIB said for a flow and direction, so that programs need not ask for every packet (100
 * ns and more). A cache of one CPU each, hence without locks; an entry is good for a tenth of a
 * second, the longest that a changed route or neighbour goes unnoticed. Programs only.
 */
#ifndef NEARPATH_MAPS_ROUTE_H
#define NEARPATH_MAPS_ROUTE_H

#include "abi.h"

#define NP_ROUTES 16384 /* a CPU; a power of two */

struct np_route {
	__u32 flow; /* number of the record, */
	__u32 seq;  /* its life */
	__u32 name; /* and direction: enum np_name; above it whose entry: datapath/fib.h */
	__u32 family;
	__u32 until;   /* jiffies, low 32 bits */
	__u32 ifindex; /* 0: empty */
	__u32 mtu;
	__u8 mac[12];	  /* destination and source, as in an Ethernet header */
	union np_addr to; /* where no flow is meant, but flow is the end of the source address */
	__u32 in;	  /* ifindex by which the packet came in */
	__u8 pad[4];
};
NP_STATIC_ASSERT(sizeof(struct np_route) == 64);

#endif
