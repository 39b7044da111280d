/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the FIB said of the way between two addresses, so that programs need not ask for every
 * packet (100 ns and more). A cache of one CPU each, hence without locks; an entry is good for a
 * tenth of a second, the longest that a changed route or neighbour goes unnoticed. Programs only.
 */
#ifndef NEARPATH_MAPS_ROUTE_H
#define NEARPATH_MAPS_ROUTE_H

#include "abi.h"

#define NP_ROUTES 16384 /* a CPU; a power of two */

/* Whose an entry is, in np_route.what. */
enum np_route_kind {
	NP_ROUTE_XDP,
	NP_ROUTE_REDIRECT, /* tc's, of interfaces with redirect=on */
	NP_ROUTE_MTU,	   /* the way back out of a device, of which only the MTU is known */
};

/*
 * Is it known still that flows between two addresses go one way? until: np_config.routes_shared,
 * for a second more as long as nearpathd is there to see a change; 0: it is not so. In jiffies.
 */
#define NP_ROUTES_WATCHED 0x10000 /* more than any until is ahead */

static inline __attribute__((always_inline)) int np_routes_shared_at(__u32 until, __u32 now)
{
	return until && until - now - 1 < NP_ROUTES_WATCHED;
}

/* Source and destination as the packet is to have them when it leaves. */
struct np_route {
	union np_addr src;
	union np_addr dst;
	__u32 ports;   /* as in a packet; 0, and no protocol: of all ports (np_config.routes_shared)
			*/
	__u32 in;      /* ifindex by which the packet came in */
	__u32 until;   /* jiffies, low 32 bits */
	__u32 ifindex; /* by which it leaves */
	__u16 mtu;
	__u16 what;   /* NP_ROUTE_WHAT; 0: empty */
	__u8 mac[12]; /* destination and source, as in an Ethernet header */
};
NP_STATIC_ASSERT(sizeof(struct np_route) == 64);

#define NP_ROUTE_WHAT(kind, family, protocol) ((protocol) << 8 | (kind) << 4 | (family))

#endif
