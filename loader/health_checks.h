/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The healthCheckNodePorts: for each LoadBalancer Service with externalTrafficPolicy Local, a
 * listener on the node's addresses, by which a load balancer learns whether this node has ready
 * endpoints of it. One for each family the Service has a clusterIP of, counting that family's.
 */
#ifndef NEARPATH_LOADER_HEALTH_CHECKS_H
#define NEARPATH_LOADER_HEALTH_CHECKS_H

#include <jansson.h>

#include "http.h"
#include "node.h"

struct health_checks;

struct health_checks_options {
	struct http *http;
	const struct node *node;
	bool (*healthy)(void *arg); /* is the proxy, when asked? */
	void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2)));
	void *arg;
};

int health_checks_new(const struct health_checks_options *options, struct health_checks **checks);
void health_checks_free(struct health_checks **checks);

/*
 * The Service or its slices changed, or are gone. What is to be closed is closed at once; what is
 * to be opened waits for health_checks_settle(), so that a port can go from one to another.
 */
void health_checks_touch(struct health_checks *c, const char *namespace, const char *name);

/* The addresses of this host, as publish_addresses_begin() and so on. */
void health_checks_addresses_begin(struct health_checks *c);
void health_checks_address(struct health_checks *c, uint8_t family, const union np_addr *addr);
void health_checks_addresses_end(struct health_checks *c);

/*
 * Open what is not open yet. What cannot be is said once, and added to warnings (NULL: none) when
 * its Service was touched. Returns true if anything is left to be tried again.
 */
bool health_checks_settle(struct health_checks *c, bool again, json_t *warnings);

#endif
