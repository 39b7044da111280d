/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Walking the flows: how many live, and UDP flows to endpoints that are gone (kube-proxy:
 * pkg/proxy/conntrack). They are not ended but marked: answers that are on their way are still
 * translated, and the client's next packet begins another flow.
 */
#ifndef NEARPATH_LOADER_FLOWS_H
#define NEARPATH_LOADER_FLOWS_H

#include "tables.h"

/* A flow, as keep() is asked about it; ports in network order. */
struct flow_ends {
	uint8_t family;
	const union np_addr *frontend;
	const union np_addr *backend;
	__be16 frontend_port;
	__be16 backend_port;
};

/*
 * Visit every UDP flow of both families and mark those for which keep() is false. Safe beside
 * running programs. Returns how many were marked.
 */
size_t flows_mark_udp(struct tables *tables, bool (*keep)(const struct flow_ends *ends, void *arg),
		      void *arg);

/* Every flow that lives and whose source is translated: what the backend sees. */
struct flow_source {
	uint8_t family, protocol;
	union np_addr snat, backend;
	__be16 snat_port, backend_port;
};
void flows_each_source(struct tables *tables,
		       void (*visit)(const struct flow_source *source, void *arg), void *arg);

/* How many flows of both families are neither over nor expired. */
size_t flows_live(struct tables *tables);

#endif
