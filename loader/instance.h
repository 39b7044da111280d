/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A private instance: tables and programs of its own, attached to nothing and pinned nowhere, with
 * the state given to it. For questions without a daemon, and for tests of decisions.
 */
#ifndef NEARPATH_LOADER_INSTANCE_H
#define NEARPATH_LOADER_INSTANCE_H

#include <jansson.h>

#include "explain.h"
#include "node.h"

struct instance;

/* Load the programs. On failure *why says what to do. */
int instance_new(struct instance **instance, const char **why);
void instance_free(struct instance **instance);

/*
 * From now on this is the state: options, objects (as kube_each() takes them), and the addresses
 * the host has beside those of its Node object. options must stay as long as the instance. -EINVAL,
 * -ENOTSUP: an object is refused, *error filled; others as publishing does.
 */
int instance_set(struct instance *in, const struct options *options, json_t *objects,
		 const struct kube_address *address, size_t addresses, struct kube_error *error);

/* docs/socket.md, "explain". */
int instance_explain(struct instance *in, const struct question *q, json_t **answer);

#endif
