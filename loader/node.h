/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What this node is, put together from the options and its Node object: what the plans, the
 * programs' config and the address entries need to know of it.
 */
#ifndef NEARPATH_LOADER_NODE_H
#define NEARPATH_LOADER_NODE_H

#include "options.h"
#include "plan.h"
#include "publish.h"
#include "store.h"

struct node {
	const struct options *options;
	const struct store *store;
	/* The kernel's source towards far away, where nothing else tells the node's address. */
	union np_addr route4;
	union np_addr route6;
};

/* What plans are made for; borrowed from the node and its store until the next commit. */
struct plan_node node_plan(const struct node *node);

/* All of the node that plans depend on, as one value to compare. */
struct node_mark {
	char zone[256];
	union np_addr address4;
	union np_addr address6;
	bool detector4;
	bool detector6;
};
struct node_mark node_mark(const struct node *node);
bool node_mark_equal(const struct node_mark *a, const struct node_mark *b);

/* Plan one service for this node, or find it gone, and publish that; as publish_service(). */
int node_publish(const struct node *node, struct publisher *publisher, const char *namespace,
		 const char *name);

/* The same, all or nothing: as publish_service_whole(). */
int node_publish_whole(const struct node *node, struct publisher *publisher, const char *namespace,
		       const char *name);

/*
 * The detector, service ranges, own addresses and localhost NodePorts, written word by word. How
 * many service ranges there was no room for (NP_SERVICE_CIDRS of a family).
 */
size_t node_config(const struct node *node, struct np_config *config);

/* What node_config() writes, from a copy that it was written to. */
void node_config_write(struct np_config *to, const struct np_config *wanted);

/* The node's own address: --bind-address, of the Node object, or of the route. NULL: unknown. */
const union np_addr *node_address(const struct node *node, uint8_t family);

/* What an address of this host is: NP_SERVICE_HOST_ADDRESS and ..._NODE_ADDRESS. */
uint32_t node_address_flags(const struct node *node, uint8_t family, const union np_addr *addr);

/* Does an interface's packets' class follow from its name, and is this such a name? */
bool node_iface_is_pod(const struct options *options, const char *name, const char *master);

#endif
