/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is switched on at each interface, and the node-wide settings that may change while the
 * programs run. nearpathd writes both, programs read.
 */
#ifndef NEARPATH_MAPS_IFACE_H
#define NEARPATH_MAPS_IFACE_H

#include "abi.h"

/*
 * Open addressing by ifindex: an entry sits in one of the NP_IFACE_PROBES places that begin at
 * ifindex % NP_IFACES, so that indexes may grow without bound while pods come and go. The size is
 * a constant, since every packet begins with it and waits for what the place depends on.
 */
#define NP_IFACES	4096
#define NP_IFACE_PROBES 8

enum np_lb {
	NP_LB_OFF, /* not ours */
	NP_LB_ON,
	NP_LB_DRAIN, /* flows that exist live on, new ones go to the kernel */
};

/* Bits of np_iface.flags. */
#define NP_IFACE_STATS	    0x01 /* count every translated packet */
#define NP_IFACE_XDP_NATIVE 0x02 /* native XDP is attached: a target for its redirects */
#define NP_IFACE_MSS_AUTO   0x04 /* clamp to the route's MTU too */
#define NP_IFACE_POD	    0x08 /* by the local detector, what comes in here is from a pod */
#define NP_IFACE_PORT	    0x10 /* of a bridge: frames are for its address and not for this one */
#define NP_IFACE_XDP	    0x40 /* XDP is attached, native or generic */
#define NP_IFACE_CONNTRACK  0x20 /* conntrack may carry conversations for kube-proxy: ask it */

#define NP_IFACE_REDIRECT 0x80 /* what comes in here may skip the host: tc/redirect.h */

struct np_iface {
	__u32 ifindex; /* 0: empty */
	__u8 lb;       /* enum np_lb */
	__u8 flags;
	__u8 l2_len; /* bytes before the IP header: 14, or 0 on wg0, tunl0 and the like */
	__u8 pad;
	__u16 mss4; /* largest MSS to let through, in bytes; 0: do not clamp */
	__u16 mss6;
	__u32 mtu;
	__u8 mac[6]; /* what comes for another is the kernel's business, in promiscuous mode too */
	__u16 netns; /* of the pod behind it, as this network namespace numbers it, plus one; or 0
		      */
};
NP_STATIC_ASSERT(sizeof(struct np_iface) == 24);

/* A prefix, as word-wise mask and value; a value with bits that the mask lacks matches nothing. */
struct np_prefix {
	__be32 value[4];
	__be32 mask[4];
};

#define NP_SERVICE_CIDRS 8

/* How pods are told from others: np_config.detector. */
enum np_detect {
	NP_DETECT_NONE,
	NP_DETECT_BY_PREFIX, /* their source is in pod_prefix4 or 6 */
	NP_DETECT_BY_IFACE,  /* NP_IFACE_POD is set where they come in */
};

/*
 * np_config.handover: how far these tables have taken over from those of another version, which
 * holds flows that are yet to be moved here. Read by programs that nearpathd loads for it.
 */
enum np_handover {
	NP_HANDOVER_NONE,  /* there are no others, or they hold nothing any more */
	NP_HANDOVER_ALL,   /* some programs may know only the others: flows begin there */
	NP_HANDOVER_KNOWN, /* flows begin here, unless the others may know their tuple */
};

/* One entry. Every word is read alone: no field may depend on another. */
struct np_config {
	__u32 abi_version;
	__u32 detector;	    /* enum np_detect */
	__u64 hash_key[12]; /* secret, drawn once; see maps/hash.h */
	struct np_prefix pod_prefix4;
	struct np_prefix pod_prefix6;
	/* What is in these and no clusterIP is dropped; NP_SERVICE_CIDRS of each family. */
	struct np_prefix service_cidr4[NP_SERVICE_CIDRS];
	struct np_prefix service_cidr6[NP_SERVICE_CIDRS];
	/* This node's own addresses: the source of its processes' sockets that are not bound. */
	union np_addr node_addr4;
	union np_addr node_addr6;
	__u64 netns_cookie;	    /* of the node's network namespace: whose sockets are ours */
	__u32 localhost_nodeports4; /* 1: NodePorts answer at 127.0.0.0/8 */
	__u32 localhost_nodeports6; /* and at ::1 */
	__u32 sock_drain;    /* 1: what the node's own processes begin is left to the kernel */
	__u32 sock_asks;     /* 1: the map sock_carried may have some of theirs */
	__u32 handover;	     /* enum np_handover */
	__u32 conntrack;     /* 1: it is at work in this network namespace. Programs set it, too */
	__u32 filter;	     /* which half of flow_filter is whole, see there */
	__u32 routes_shared; /* jiffies until which routes depend on addresses alone: route.h */
};
NP_STATIC_ASSERT(sizeof(struct np_config) == 752);

#endif
