/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the daemon needs to know of the kernel's network: links, addresses, and the source address
 * it would take towards a destination; and being told when any of it changes. By libmnl.
 */
#ifndef NEARPATH_LOADER_NETLINK_H
#define NEARPATH_LOADER_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "../maps/abi.h"

struct netlink;

struct netlink_link {
	int ifindex;
	char name[IF_NAMESIZE];
	uint32_t mtu;
	bool up; /* IFF_UP */
	bool loopback;
	uint8_t l2_len; /* bytes of link-layer header at tc: 14 for ARPHRD_ETHER, 0 for none */
	bool supported; /* Ethernet or no link-layer header: a device tc programs understand */
	bool veth;	/* a virtual Ethernet pair */
	bool bridge;
	uint8_t mac[6];
	int master;	/* ifindex of the bridge or bond it is a port of, 0 if none */
	uint16_t netns; /* of its other end, if that is in another: its number here plus one */
};

struct netlink_addr {
	uint8_t family; /* NP_IPV4 or NP_IPV6 */
	uint8_t prefix;
	int ifindex;
	bool loopback_scope; /* 127.0.0.0/8, ::1, or host scope */
	bool link_local;     /* fe80::/10, 169.254.0.0/16 */
	bool passing;	     /* not for good: deprecated, temporary (RFC 8981), tentative */
	union np_addr addr;
};

/* Any may be NULL. Called from netlink_dump() for what there is, and from netlink_receive(). */
struct netlink_events {
	void (*link)(const struct netlink_link *link, void *arg); /* new or changed */
	void (*link_gone)(int ifindex, const char *name, void *arg);
	void (*addr)(const struct netlink_addr *addr, void *arg);
	void (*addr_gone)(const struct netlink_addr *addr, void *arg);
	void (*routes_changed)(void *arg);
	/* The kernel dropped messages: forget what was told and call netlink_dump() again. */
	void (*overrun)(void *arg);
};

int netlink_open(const struct netlink_events *events, void *arg, struct netlink **netlink);
void netlink_close(struct netlink **netlink);

int netlink_fd(const struct netlink *netlink); /* readable: call netlink_receive() */
int netlink_receive(struct netlink *netlink);  /* never blocks */
int netlink_dump(struct netlink *netlink);     /* links first, then addresses */

/*
 * The source address the kernel takes towards dst (RTM_GETROUTE: RTA_PREFSRC), of the same family.
 * -ENETUNREACH and the like where there is no route. Blocks for one answer of the local kernel.
 */
int netlink_source(struct netlink *netlink, uint8_t family, const union np_addr *dst,
		   union np_addr *src);

/* The same, and the interface: where packets to dst leave, and where such from it should come in.
 */
int netlink_route(struct netlink *netlink, uint8_t family, const union np_addr *dst,
		  union np_addr *src, int *ifindex);

/*
 * All messages of a dump, as they are. header: what the type begins with. A dump that the kernel
 * could not make of one moment is begun anew, so that messages may come more than once.
 */
struct nlmsghdr;
int netlink_each(struct netlink *netlink, uint16_t type, const void *header, size_t size,
		 int (*each)(const struct nlmsghdr *message, void *arg), void *arg);

/* The interface of the default route of a family, 0 if there is none. */
int netlink_default_iface(struct netlink *netlink, uint8_t family);

#endif
