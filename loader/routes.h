/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The source address the kernel takes towards a destination, asked once for all destinations that
 * it cannot tell apart. The prefixes of its routes, rules and (in IPv6, where the source is chosen
 * by the destination's bits) addresses cut the addresses into cells; within one the answer is the
 * same.
 */
#ifndef NEARPATH_LOADER_ROUTES_H
#define NEARPATH_LOADER_ROUTES_H

#include "netlink.h"

struct routes;

int routes_new(struct netlink *netlink, struct routes **routes);
void routes_free(struct routes **routes);

/* Routes, rules or addresses changed: what was asked counts no more. */
void routes_forget(struct routes *routes);

/* As netlink_source(). */
int routes_source(struct routes *routes, uint8_t family, const union np_addr *dst,
		  union np_addr *src);

/*
 * Do all packets between two addresses that come in by one device go one way? Not where a route has
 * several hops, or a rule asks for ports or TOS. False if it could not be found out.
 */
bool routes_shared(struct routes *routes);

/* How often the kernel was asked. */
uint64_t routes_asked(const struct routes *routes);

#endif
