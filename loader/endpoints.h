/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which endpoints a service port may use on this node: kube-proxy's rules (pkg/proxy/topology.go,
 * KEP-2433, KEP-1669, KEP-2086) as pure functions over arrays. No I/O, no allocation.
 */
#ifndef NEARPATH_LOADER_ENDPOINTS_H
#define NEARPATH_LOADER_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

/* One endpoint of the port. Hints are NULL-terminated arrays of names, or NULL for none. */
struct endpoint {
	bool local;
	bool ready;
	bool serving;
	bool terminating;
	char *const *zone_hints;
	char *const *node_hints;
};

struct endpoint_rules {
	const char *node;    /* this node's name */
	const char *zone;    /* this node's zone; NULL or "": unknown */
	bool internal_local; /* internalTrafficPolicy: Local */
	bool external_local; /* externalTrafficPolicy: Local, where the type has one */
	bool external;	     /* has a nodePort, a VIP or an externalIP of this family */
};

struct endpoint_choice {
	enum plan_topology topology;
	size_t clusters; /* length of cluster[] */
	size_t locals;	 /* length of local[] */
	bool has_any;	 /* false: refuse every new connection */
};

/* cluster[] and local[] have room for n numbers each; filled in ascending order. */
struct endpoint_choice endpoints_choose(const struct endpoint_rules *rules,
					const struct endpoint *endpoint, size_t n,
					uint32_t *cluster, uint32_t *local);

#endif
