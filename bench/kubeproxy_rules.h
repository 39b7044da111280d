/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What kube-proxy's two modes make rules of: the service ports of one address family with the
 * endpoints this node uses for them. Chosen by the daemon's own code, so that the rules and
 * nearpath are made from the same objects and mean the same.
 */
#ifndef NEARPATH_BENCH_KUBEPROXY_RULES_H
#define NEARPATH_BENCH_KUBEPROXY_RULES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube.h"
#include "plan.h"

/* As kube-proxy writes it: its format leaves the zeros of the bit's number in. */
#define MASQUERADE_MARK "0x00004000"

struct rules_options {
	uint8_t family;
	const char *node_name;
	const char *zone;
	struct cidr_list cluster_cidr;
	struct cidr_list service_cidr;
	bool masquerade_all;
	bool localhost_node_ports;
	bool tcp_be_liberal; /* net.netfilter.nf_conntrack_tcp_be_liberal is set on the node */
	bool nfacct;	     /* the kernel has xt_nfacct, and the counters are made */
	bool jumps;	     /* write the jumps from the built-in chains too */
	bool any_node_address;
	struct cidr_list node_address; /* where NodePorts are accepted, if not at any */
};

/* One endpoint that new connections may go to from here. */
struct rules_endpoint {
	char ip[INET6_ADDRSTRLEN];
	char text[INET6_ADDRSTRLEN + 8]; /* "10.1.0.4:80", "[fd00::4]:80" */
	uint16_t port;
	bool local;	 /* on this node */
	bool in_cluster; /* in the list for policy Cluster */
	bool in_local;	 /* in the list for policy Local */
};

/* One service port. Borrows from the store and the plan; the endpoints are its own. */
struct rules_port {
	const struct kube_service *service;
	const struct kube_port *port;
	const struct plan *plan;
	const char *protocol; /* "tcp" */
	char name[800];	      /* "namespace/name:port"; without the colon if the port has no name */
	char cluster_ip[INET6_ADDRSTRLEN];
	bool internal_local; /* the traffic policies */
	bool external_local;
	bool has_any; /* an endpoint is usable somewhere */
	bool has_internal;
	bool has_external;
	bool uses_external; /* there is a chain for those who do not come by the clusterIP */
	size_t vips;	    /* of the family, and answered by the node */
	size_t own_ranges;  /* of plan->range those of the Service; the others are its VIPs */
	struct rules_endpoint *endpoint; /* in order of their text, as kube-proxy's */
	size_t endpoints;
	size_t clusters; /* how many are in_cluster, in_local; none where the list is not used */
	size_t locals;
};

/* Every service port in the order of its Service in the input. */
struct rules_input {
	struct store *store;
	struct rules_planned {
		const struct kube_service *service;
		const struct kube_port *port;
		struct plan *plan;
	} * planned;
	size_t count;
	size_t endpoints; /* of all, usable or not */
	struct cidr_list service_cidr;
};

/* Reads standard input; complains on standard error. 0 or -errno. */
int rules_read(struct rules_options *options, struct rules_input *input);
void rules_input_free(struct rules_input *input);

/* 0 or -ENOMEM. */
int rules_port_make(const struct rules_planned *planned, struct rules_port *port);
void rules_port_free(struct rules_port *port);

const char *rules_address(uint8_t family, const union np_addr *addr, char text[INET6_ADDRSTRLEN]);

/* "10.0.0.0/8"; in a buffer that the next call overwrites. */
const char *rules_cidr(const struct cidr *cidr);

/* The first characters (at most 24) of the hash that kube-proxy makes names of. */
void rules_hash(const char *text, unsigned characters, char *hash);

/* 0 or -errno. */
int rules_iptables(const struct rules_options *options, const struct rules_input *input);
int rules_nftables(const struct rules_options *options, const struct rules_input *input);

/* Is the Service's VIP of that number one that the node answers, in this family? */
#define RULES_VIP(port, i)                                                                         \
	(!(port)->service->vip[i].proxy &&                                                         \
	 (port)->service->vip[i].ip.family == (port)->plan->family)

#endif
