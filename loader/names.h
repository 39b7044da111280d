/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the numbers in the tables are called, in JSON and in metrics: one name for each. */
#ifndef NEARPATH_LOADER_NAMES_H
#define NEARPATH_LOADER_NAMES_H

#include <jansson.h>

#include "../maps/flow.h"
#include "cidr.h"

extern const char *const verdict_names[NP_VERDICTS];
extern const char *const reason_names[NP_REASONS];
extern const char *const hook_names[NP_HOOKS];
extern const char *const class_names[NP_CLASSES];
extern const char *const zone_names[NP_ZONE_CLASSES];
extern const char *const state_names[NP_FLOW_STATES];

/* IPPROTO_TCP is "TCP"; "unknown" if it is none of ours. */
const char *protocol_name(uint8_t protocol);

/* New strings: "10.1.0.4"; "10.1.0.4:80" or "[fd00::4]:80"; "10.1.0.0/16". port in network order.
 */
json_t *address_json(uint8_t family, const void *addr);
json_t *endpoint_json(uint8_t family, const void *addr, __be16 port);
/* The same text of an endpoint, cut to size. */
void endpoint_text(uint8_t family, const void *addr, __be16 port, char *text, size_t size);
json_t *cidr_json(const struct cidr *cidr);

#endif
