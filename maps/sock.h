/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a socket of the node's own processes was promised and what it got: kept with the socket (the
 * socket-local storage map `sock_peers`), gone with it. Programs write, nearpathd only reads.
 */
#ifndef NEARPATH_MAPS_SOCK_H
#define NEARPATH_MAPS_SOCK_H

#include <linux/bpf.h>

#include "abi.h"

#define NP_SOCK_PEERS	  8 /* a power of two; an element of the map is then one of 512 bytes */
#define NP_SOCK_CONNECTED 0 /* the peer of connect(); the others are those of sendmsg() */

/* One conversation. */
struct np_peer {
	union np_addr frontend; /* what the process named */
	union np_addr backend;	/* where its packets go */
	__be16 frontend_port;
	__be16 backend_port;
	__u8 family; /* NP_IPV4 or NP_IPV6; 0: empty. NP_IPV4 too for ::ffff:a.b.c.d */
	__u8 protocol;
	__u8 pad[2];
	__u32 number; /* of the backend */
	__u32 seen;   /* jiffies, low 32 bits, of the last datagram either way */
	__u32 turn;   /* np_sock.turn at the last datagram sent */
};
NP_STATIC_ASSERT(sizeof(struct np_peer) == 52);

/*
 * Of TCP and connected UDP only the first peer counts, and only while the socket is connected. A
 * UDP socket that is not may talk to several frontends; answers are told apart by their source, and
 * where two frontends share a backend, they are taken for those of the one that was sent to last.
 */
struct np_sock {
	struct np_peer peer[NP_SOCK_PEERS];
	__u32 turn; /* datagrams sent */
	__u32 pad;
};
NP_STATIC_ASSERT(sizeof(struct np_sock) == 424);

/* To the program np_connected: what was the UDP socket given that packets of this tuple reach? */
struct np_sock_question {
	struct np_peer peer; /* the answer; zero before, and where nothing was */
	__u32 family;	     /* of the tuple: NP_IPV4 or NP_IPV6 */
	struct bpf_sock_tuple tuple;
};
NP_STATIC_ASSERT(sizeof(struct np_sock_question) == 92);

/*
 * Key of the map `sock_carried`: UDP of this host that conntrack carries for kube-proxy. What a
 * socket of this port sends there goes on so. nearpathd writes it; values are its own.
 */
#define NP_CARRIED_MAX 65536

struct np_carried {
	union np_addr frontend;
	__be16 frontend_port;
	__be16 port;
	__u32 family; /* NP_IPV4 or NP_IPV6 */
};
NP_STATIC_ASSERT(sizeof(struct np_carried) == 24);

#endif
