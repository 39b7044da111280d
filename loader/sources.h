/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which of the node's addresses may stand for clients beside the one the kernel takes: once that
 * one has no source port left towards a backend, others of the same device and subnet follow.
 * Addresses of a host alone (/32, /128), which VIPs are that move from node to node, are not taken.
 * The only writer of the table snat_sources.
 */
#ifndef NEARPATH_LOADER_SOURCES_H
#define NEARPATH_LOADER_SOURCES_H

#include "netlink.h"
#include "tables.h"

struct sources;

/* Programs find runs by np_backend.source: they are written before a backend names them. */
int sources_new(struct tables *tables, struct sources **sources);
void sources_free(struct sources **sources);

/* The addresses of this host, told one by one; those not told again after a clear are gone. */
void sources_clear(struct sources *s);
int sources_add(struct sources *s, const struct netlink_addr *addr);

/* The run of addresses that may follow this one: its first place, and how many; 0: there is none.
 */
uint8_t sources_after(struct sources *s, uint8_t family, const union np_addr *addr,
		      uint16_t *first);

#endif
