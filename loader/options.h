/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The command line of nearpathd, checked; one table says what each option is, takes and means. */
#ifndef NEARPATH_LOADER_OPTIONS_H
#define NEARPATH_LOADER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "attach.h"
#include "../maps/flow.h"
#include "cidr.h"

/* How pods are told from others: kube-proxy's --detect-local-mode. */
enum detect_local {
	DETECT_CLUSTER_CIDR, /* their source is in --cluster-cidr */
	DETECT_NODE_CIDR,    /* in spec.podCIDRs of this Node */
	DETECT_BRIDGE,	     /* they come in by ports of --pod-bridge-interface */
	DETECT_IFACE_PREFIX, /* by interfaces whose name begins with --pod-interface-name-prefix */
};

/* What becomes of TCP to an endpoint that was removed. */
enum endpoint_removed {
	ENDPOINT_REMOVED_KEEP,
	ENDPOINT_REMOVED_RESET,
};

/* Where a server listens; family 0: nowhere. */
struct bind_to {
	uint8_t family;
	uint16_t port; /* host order */
	union np_addr addr;
};

struct options {
	const char *node_name; /* in lower case; default: the host name */
	const char *zone;      /* NULL: from the Node object's label */
	const char *socket;
	const char *socket_group;
	const char *bpffs;
	const char *state_dir;
	uint32_t max_flows;
	uint32_t flow_seconds[NP_FLOW_STATES]; /* by state; 0: the default */
	uint32_t max_services;
	uint32_t max_backends;
	uint32_t max_slots;
	const char *ifaces;
	const char *redirect;
	const char *uplinks;
	enum attach_xdp xdp;
	bool xdp_given; /* not the default: holds for veths too */
	int mss;	/* MSS_AUTO, MSS_OFF or bytes: ifaces.h */
	bool clsact;
	bool masquerade_all;
	uint16_t snat_port_first; /* 0: chosen */
	uint16_t snat_port_count;
	enum detect_local detect_local;
	struct cidr_list cluster_cidr; /* of each family the first counts */
	const char *pod_bridge;	       /* NULL: none */
	const char *pod_iface_prefix;
	struct cidr_list nodeport_addresses; /* where NodePorts are served; empty: everywhere */
	bool nodeport_primary;		     /* "primary": the node's primary addresses */
	bool localhost_nodeports;	     /* default: true */
	struct cidr_list service_cidr;	     /* beside those of ServiceCIDR objects */
	uint8_t bind_family;	 /* --bind-address: the node's own address; 0: not given, */
	union np_addr bind_addr; /* or unspecified: taken from its Node object */
	struct bind_to healthz;	 /* default: 0.0.0.0:10256 */
	struct bind_to metrics;	 /* default: 127.0.0.1:10249 */
	const char *cgroup;	 /* of the node's own processes; NULL: found */
	bool sock;		 /* translate for them at connect(); default: true */
	uint32_t max_affinity;	 /* session affinity records */
	enum endpoint_removed on_endpoint_removed; /* default: keep */
	uint32_t audit_interval; /* seconds of a round of comparing the tables; 0: none */
	bool cleanup;
	char notes[4096]; /* what was accepted but means nothing here, or is missing: a line each */
};

/*
 * 0: run. 1: --help or --version was printed, exit 0. -EINVAL: error says what is wrong and the
 * way out; *options is as it was. The file of --config is read first, whatever the order: what the
 * command line says wins. (kube-proxy leaves most of its command line out once it has a file.)
 * Strings point into argv, or live as long as the process.
 */
int options_parse(int argc, char **argv, struct options *options, char *error, size_t size);

/* Does the word begin an option of nearpathd, and does that take the next word as its value? */
bool options_knows(const char *word, bool *wants_value);

#endif
