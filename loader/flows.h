/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Walking the mapped records of flows: how many live, and marking those to endpoints that are gone.
 * They are not ended: UDP answers that are on their way are still translated, and the client's next
 * packet begins another flow (kube-proxy: pkg/proxy/conntrack); the next packet of TCP is answered
 * by RST (tc/reset.h).
 */
#ifndef NEARPATH_LOADER_FLOWS_H
#define NEARPATH_LOADER_FLOWS_H

#include "tables.h"

#define FLOW_NO_SERVICE UINT32_MAX

/* A flow, or a socket, as it is judged; ports in network order. */
struct flow_ends {
	uint8_t family;
	uint8_t protocol;
	uint32_t service; /* np_flow.service; FLOW_NO_SERVICE: a socket, it is not known */
	const union np_addr *frontend;
	const union np_addr *backend;
	__be16 frontend_port;
	__be16 backend_port;
};

enum flow_fate {
	FLOW_LEAVE,    /* as it is */
	FLOW_STAYS,    /* its endpoint is there: a TCP flow's mark is withdrawn */
	FLOW_DEPARTED, /* its endpoint is gone */
};

typedef enum flow_fate (*flow_judge)(const struct flow_ends *ends, void *arg);

/*
 * Judge every flow of both families and mark those that departed. TCP flows whose closing is over
 * are not asked for. Safe beside running programs. Returns how many TCP flows are marked now.
 */
size_t flows_mark(struct tables *tables, flow_judge judge, void *arg);

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
