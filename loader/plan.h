/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the tables should hold for one service port in one address family: its backends and its
 * frontends with a policy for each class of client. Made from Kubernetes objects by kube-proxy's
 * rules (plan.c, endpoints.c); turned into tables by publish.c. Pure data, no I/O.
 */
#ifndef NEARPATH_LOADER_PLAN_H
#define NEARPATH_LOADER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cidr.h"

struct kube_port;
struct kube_service;
struct kube_slice;

#define NO_ID UINT32_MAX

enum plan_kind {
	PLAN_CLUSTER_IP,
	PLAN_EXTERNAL_IP,
	PLAN_LOAD_BALANCER,
	PLAN_NODE_PORT, /* addr is zero: any node address */
	PLAN_KINDS,
};

struct plan_backend {
	union np_addr addr;
	__be16 port;
	bool local : 1; /* nodeName is this node's */
	bool ready : 1;
	bool serving : 1;
	bool terminating : 1;
	uint8_t zone; /* enum np_zone_class: NODE if local, else by zone name */
};

/* For one class: a verdict and, if it is FORWARD, of which of the plan's lists to choose. */
enum plan_list { PLAN_NO_LIST, PLAN_CLUSTER, PLAN_LOCAL };
struct plan_policy {
	uint8_t verdict; /* enum np_verdict */
	uint8_t list;	 /* enum plan_list: one that is not empty, if FORWARD, else none */
	bool snat;
};

struct plan_frontend {
	union np_addr addr;
	__be16 port;
	uint8_t kind; /* enum plan_kind */
	bool ranged;  /* only sources in plan.range come in */
	struct plan_policy policy[NP_CLASSES];
};

enum plan_topology { PLAN_TOPOLOGY_NONE, PLAN_TOPOLOGY_ZONE, PLAN_TOPOLOGY_NODE };

/* One piece of memory, but for the names, which are interned. */
struct plan {
	const char *namespace;
	const char *name;
	const char *port_name; /* "" where the port has no name */
	uint8_t protocol;      /* IPPROTO_* */
	uint8_t family;	       /* NP_IPV4 or NP_IPV6 */
	uint8_t topology;      /* enum plan_topology */
	bool address_held;     /* publish.c's: counted at the address entry of the clusterIP */

	struct plan_backend *backend; /* every endpoint known, whatever its state */
	uint32_t *cluster;	      /* kube-proxy's cluster list: numbers into backend */
	uint32_t *local;	      /* its local list */
	struct plan_frontend *frontend;
	struct cidr *range; /* loadBalancerSourceRanges of the family; none: every source */
	uint32_t backends;
	uint32_t clusters;
	uint32_t locals;
	uint32_t frontends;
	uint32_t ranges;
	uint32_t affinity_seconds; /* session affinity ClientIP; 0: none */
	uint32_t id;		   /* publish.c's: of its counters; NO_ID: none yet */
};

/* The backends a policy chooses from: numbers into plan->backend. */
struct plan_choice {
	const uint32_t *backend;
	uint32_t count;
};
struct plan_choice plan_choice(const struct plan *plan, const struct plan_policy *policy);

/* What the node contributes to a plan. zone NULL or "": unknown. */
struct plan_node {
	const char *name;
	const char *zone;
	bool detector4; /* a local detector is configured: pods can be told apart, by family */
	bool detector6;
	bool masquerade_all; /* translate the source of everything */
	/* The node's own address of each family, NULL if unknown: see source ranges. */
	const union np_addr *address4;
	const union np_addr *address6;
};

/*
 * Make the plans of one Service from its slices (all of them slices of this service, any order):
 * one plan for each port and family with a clusterIP of that family. *plans is an array of *count
 * pointers, each to be freed by plan_free(), the array by free(). A Service that kube-proxy skips
 * gives *count 0. Returns 0 or -ENOMEM.
 */
int plan_make(const struct plan_node *node, const struct kube_service *service,
	      struct kube_slice *const *slices, size_t nslices, struct plan ***plans,
	      size_t *count);

void plan_free(struct plan **plan);

/* A copy in one piece, of a plan whose parts are pieces of their own. 0 or -ENOMEM. */
int plan_pack(const struct plan *draft, struct plan **made);

/*
 * Is externalTrafficPolicy Local, and of a type of Service that has one? Has the port a NodePort,
 * and can it be reached from outside at all in this family, by a NodePort, an externalIP or a VIP?
 */
bool plan_external_local(const struct kube_service *service);
bool plan_has_node_port(const struct kube_service *service, const struct kube_port *port);
bool plan_is_external(const struct kube_service *service, const struct kube_port *port,
		      uint8_t family);

/* The same frontends, policies and backends, so that nothing need be published. */
bool plan_equal(const struct plan *a, const struct plan *b);

const char *plan_kind_name(enum plan_kind kind);	 /* "ClusterIP", "ExternalIP", ... */
const char *plan_topology_name(enum plan_topology mode); /* "none", "zone", "node" */

#endif
