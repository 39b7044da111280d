/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which switches hold for the interface a packet is on. */
#ifndef NEARPATH_DATAPATH_IFACE_H
#define NEARPATH_DATAPATH_IFACE_H

#include "../maps/maps.bpf.h"

/* NULL: this interface is not nearpath's. */
static __always_inline struct np_iface *iface_find(__u32 ifindex)
{
	struct np_iface *iface;
	int i;

	for (i = 0; i < NP_IFACE_PROBES; i++) {
		__u32 number = (ifindex + i) & (NP_IFACES - 1);

		iface = bpf_map_lookup_elem(&ifaces, &number);
		if (!iface)
			return NULL;
		if (iface->ifindex == ifindex)
			return iface;
	}
	return NULL;
}

/* Do addresses alone decide where packets go, as far as nearpathd has looked? */
static __always_inline bool routes_shared(__u32 now)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	return c && np_routes_shared_at(*(volatile __u32 *)&c->routes_shared, now);
}

#endif
