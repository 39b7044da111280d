/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What kubeproxy.c and kubeproxy_legacy.c share. */
#ifndef NEARPATH_LOADER_KUBEPROXY_PRIVATE_H
#define NEARPATH_LOADER_KUBEPROXY_PRIVATE_H

#include "kubeproxy.h"

/* Is a chain of this name, in an iptables table, kube-proxy's? Not those of the kubelet. */
bool kubeproxy_has_chain(const char *name);

/* Is it the one that translates for services? */
bool kubeproxy_is_portal(const char *table, const char *chain);

/* The chains of iptables' own tables, which is all that is read there. 0 or -errno. */
int kubeproxy_legacy(struct kubeproxy *found);

#endif
