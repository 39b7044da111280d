/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What there is of kube-proxy's rules in this network namespace, asked of the kernel and of no
 * program: its chains by iptables (nf_tables or legacy) and its table of nftables mode. The names
 * are those of kube-proxy 1.36: pkg/proxy/iptables/proxier.go, pkg/proxy/nftables/proxier.go.
 */
#ifndef NEARPATH_LOADER_KUBEPROXY_H
#define NEARPATH_LOADER_KUBEPROXY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* X(enumerator, name). */
#define KUBEPROXY_KIND_LIST(X)                                                                     \
	X(NFT, "iptables-nft")                                                                     \
	X(LEGACY, "iptables-legacy")                                                               \
	X(NFTABLES, "nftables")

enum kubeproxy_kind {
#define X(e, name) KUBEPROXY_##e,
	KUBEPROXY_KIND_LIST(X)
#undef X
		KUBEPROXY_KINDS,
};

#define KUBEPROXY_FAMILIES 2 /* IPv4, IPv6 */

struct kubeproxy {
	bool serves; /* its rules translate: there is its chain of services, or its table */
	struct kubeproxy_count {
		size_t chains;
		size_t rules; /* in those chains */
	} of[KUBEPROXY_KINDS][KUBEPROXY_FAMILIES];
};

/*
 * Look; rules: count them too, which for thousands of services takes a second. 0, or -errno of a
 * kernel that could not be asked: what could be is in *found. Without nf_tables there is nothing.
 */
int kubeproxy_look(bool rules, struct kubeproxy *found);

/* A new array of {"kind","family","chains","rules"}, of those that are there. NULL: no memory. */
json_t *kubeproxy_json(const struct kubeproxy *found);

#endif
