/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ending flows from user space: the programs' own protocol on the mapped tables. Only UDP flows to
 * endpoints that are gone are ever ended here (kube-proxy: pkg/proxy/conntrack).
 */
#ifndef NEARPATH_LOADER_FLOWS_H
#define NEARPATH_LOADER_FLOWS_H

#include "tables.h"

/* One end of a flow, as keep() is asked about it; ports in network order. */
struct flow_ends {
	uint8_t family;
	const union np_addr *frontend;
	const union np_addr *backend;
	__be16 frontend_port;
	__be16 backend_port;
};

/*
 * Visit every UDP flow of both families and end those for which keep() is false. Safe beside
 * running programs. Returns how many were ended.
 */
size_t flows_end_udp(struct tables *tables, bool (*keep)(const struct flow_ends *ends, void *arg),
		     void *arg);

#endif
