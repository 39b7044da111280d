/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What ifaces.c and ifaces_set.c share: the records. Private to them. */
#ifndef NEARPATH_LOADER_IFACES_PRIVATE_H
#define NEARPATH_LOADER_IFACES_PRIVATE_H

#include <stdio.h>
#include <uthash.h>

#include "ifaces.h"

#define MSS_MIN 88 /* RFC 791: 68 bytes cross every link; less than this helps nobody */
#define MSS_MAX 65495

/* The switches of one interface, as they are wanted. */
struct switches {
	enum np_lb lb;
	enum attach_xdp xdp;
	int mss;
	bool stats;
	bool redirect;
};

/* Set by hand, by name; what was not set follows the defaults. */
struct manual {
	char name[IF_NAMESIZE];
	bool has_lb, has_xdp, has_mss, has_stats, has_redirect;
	struct switches set;
	bool has_before;   /* a takeover changed lb, */
	enum np_lb before; /* which was this */
	UT_hash_handle hh;
};

struct iface {
	struct netlink_link link;
	char pattern[64]; /* by which it is nearpath's; "" if by none */
	bool uplink;
	bool seen; /* told again in a resync */
	struct switches now;
	struct attachment attached;
	struct np_iface *entry; /* in the table; NULL: not there */
	UT_hash_handle hh;
};

struct ifaces {
	struct ifaces_options options;
	struct tables *tables;
	struct netlink *netlink;
	struct iface *by_index;
	struct manual *manual;
	enum np_lb lb;	/* of what is nearpath's by a pattern, unless set by hand: on or drain */
	bool conntrack; /* it may carry conversations for kube-proxy */
	bool hold;	/* nothing is attached or taken off */
};

/* Bring the kernel to what is wanted of an interface. first: it was not looked at before. */
void ifaces_apply(struct ifaces *ifs, struct iface *i, bool first);

/* Of a bridge: do its ports have the programs, so that it has none? */
bool ifaces_has_ports(const struct ifaces *ifs, const struct iface *bridge);

/* What the table should have of an interface, and writing that to i->entry. */
struct np_iface ifaces_entry(struct ifaces *ifs, const struct iface *i);
void ifaces_write(struct ifaces *ifs, struct iface *i);

/* The switches set by hand in an earlier life. */
void ifaces_load(struct ifaces *ifs);

/* Keep the switches in the file. 0 or -EIO. */
int ifaces_save(struct ifaces *ifs);

/* What lb is called. */
const char *ifaces_lb_name(enum np_lb lb);

#endif
