/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What others ask of the daemon by HTTP: is it well (health.h), how many endpoints are here
 * (health_checks.h), what has it done (metrics.h). The daemon tells it what happens; it listens,
 * answers, and tries again what failed: publishing, and listening.
 */
#ifndef NEARPATH_LOADER_MONITOR_H
#define NEARPATH_LOADER_MONITOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../maps/abi.h"

struct daemon;
struct monitor;

/* The daemon's base, tables, publisher, store and node must be there when it is called. */
int monitor_new(struct daemon *d, struct monitor **monitor);
void monitor_free(struct monitor **monitor);

/* Listen. An address that is taken is said, and tried again: the daemon goes on without it. */
void monitor_start(struct monitor *m);

/* A new array of {"option","address","held"} of the addresses wanted; tries those not held yet. */
json_t *monitor_ports_json(struct monitor *m);

/* A change came, and now it is in the tables, or as far as it can be. They may be nested. */
void monitor_begin(struct monitor *m);
void monitor_end(struct monitor *m);

/* Meanwhile: an object of this key changed; a Service was published, or not (rc). */
void monitor_object(struct monitor *m, const char *key, const char *event);
void monitor_published(struct monitor *m, const char *namespace, const char *name, int rc);

/* The host's addresses, all anew (then end is called with 0), or one that came. */
void monitor_addresses_begin(struct monitor *m);
void monitor_address(struct monitor *m, uint8_t family, const union np_addr *addr);
void monitor_addresses_end(struct monitor *m, int rc);

/* The network has settled: listen where the addresses are now. */
void monitor_settle(struct monitor *m);

#endif
