/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Beside kube-proxy, before and after: whether the kernel's conntrack may carry conversations for
 * it, so that the programs ask before they begin one, and moving the node over and back.
 */
#ifndef NEARPATH_LOADER_TAKEOVER_H
#define NEARPATH_LOADER_TAKEOVER_H

#include <stdbool.h>

#include "flows.h"

struct daemon;
struct takeover;

/* The daemon's base, tables, publisher and interfaces must be there. Looks. 0 or -ENOMEM. */
int takeover_new(struct daemon *d, struct takeover **takeover);
void takeover_free(struct takeover **takeover);

/*
 * Look whether kube-proxy's rules are there, or conversations that they began; the interfaces'
 * programs go by it (NP_IFACE_CONNTRACK). By itself it does so every minute.
 */
void takeover_look(struct takeover *t);

/*
 * The node's own processes are, or are about to be, nearpath's: what conntrack carries of their UDP
 * is not. To be called once the host's addresses are known; kept up every minute.
 */
void takeover_sockets(struct takeover *t);

/*
 * New connections go to kube-proxy, or are about to: it shall not choose source ports for them that
 * flows have. By itself this is done every minute as long as an interface is drained.
 */
void takeover_reserve(struct takeover *t);

/* What the last look found. */
bool takeover_asks(const struct takeover *t);

/*
 * UDP of this node that conntrack carries to endpoints which departed: forgotten, so that the
 * client's next datagram begins another, as kube-proxy does it while it runs.
 */
void takeover_end_udp(struct takeover *t, flow_judge judge, void *arg);

#endif
