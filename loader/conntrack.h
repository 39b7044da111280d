/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the kernel's conntrack carries whose destination it translates: kube-proxy's connections
 * and, maybe, others'. By ctnetlink; nothing here knows which addresses are services'.
 */
#ifndef NEARPATH_LOADER_CONNTRACK_H
#define NEARPATH_LOADER_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "../maps/abi.h"

struct mnl_socket;

/* As the client began it, and where it went. Addresses and ports in network order. */
struct conntrack_entry {
	uint8_t family;	   /* NP_IPV4 or NP_IPV6 */
	uint8_t protocol;  /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint8_t tcp_state; /* include/uapi/linux/netfilter/nf_conntrack_tcp.h; 0 of others */
	union np_addr client, frontend, backend;
	__be16 client_port, frontend_port, backend_port;
};

/*
 * Have conntrack of this network namespace take TCP that is outside of the window it knows for what
 * it is: of what XDP carries it sees nothing, or one side, and when that comes its way again it
 * would be INVALID, which kube-proxy's rules drop (kubernetes #74839; kube-proxy's own way out is
 * --conntrack-tcp-be-liberal). 0, or -errno; -ENOENT: there is no conntrack.
 */
int conntrack_be_liberal(void);

/* Is there an entry in this network namespace? Also if the kernel does not tell. */
bool conntrack_is_used(void);

/* Every one of them in this network namespace. 0 or -errno: the kernel cannot be asked. */
int conntrack_each(void (*visit)(const struct conntrack_entry *entry, void *arg), void *arg);

/* Is it neither closing nor closed? */
bool conntrack_is_live(const struct conntrack_entry *entry);

/* Could its next packet look like the first of a connection: UDP, or TCP without an answer? */
bool conntrack_may_open(const struct conntrack_entry *entry);

/* Forget it: the next packet of the client begins another. 0 or -errno; -ENOENT: it is gone. */
int conntrack_delete(const struct conntrack_entry *entry);

/*
 * Source ports that the kernel shall not choose for connections it translates: an entry for
 * each, that no packet belongs to. begin: 0 or -errno; one: what cannot be reserved is not; an
 * entry that is there is kept for as long again. end takes what begin made.
 */
struct conntrack_reserve {
	struct mnl_socket *nl;
	uint32_t seconds;
};
int conntrack_reserve_begin(struct conntrack_reserve *r, uint32_t seconds);
void conntrack_reserve_one(struct conntrack_reserve *r, uint8_t family, uint8_t protocol,
			   const union np_addr *source, __be16 source_port,
			   const union np_addr *backend, __be16 backend_port);
void conntrack_reserve_end(struct conntrack_reserve *r);

#endif
