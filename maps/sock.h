/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a socket of the node's own processes was promised and what it got: kept with the socket (a
 * socket-local storage map), gone with it. TCP and connected UDP have one peer; a UDP socket that
 * sends to several frontends has one for each, and answers are told by them.
 */
#ifndef NEARPATH_MAPS_SOCK_H
#define NEARPATH_MAPS_SOCK_H

#include "abi.h"

#define NP_SOCK_PEERS 4

struct np_peer {
	union np_addr frontend; /* what the process named */
	union np_addr backend;	/* where the packets go */
	__be16 frontend_port;
	__be16 backend_port;
	__u8 family;	/* NP_IPV4 or NP_IPV6; 0: empty. IPv4 also where the socket is AF_INET6 */
	__u8 connected; /* by connect(), not sendmsg() */
	__u8 pad[2];
	__u32 service; /* np_service.id */
	__u32 number;  /* of the backend */
	__u64 seen;    /* jiffies, of the last datagram sent */
};
NP_STATIC_ASSERT(sizeof(struct np_peer) == 56);

struct np_sock {
	struct np_peer peer[NP_SOCK_PEERS];
};

#endif
