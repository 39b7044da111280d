/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How many refusals may still be answered: a token bucket a CPU, so that a flood of connections to
 * a service without endpoints does not become a flood of ICMP (RFC 1812, 4.3.2.8; RFC 4443, 2.4f).
 */
#ifndef NEARPATH_MAPS_LIMIT_H
#define NEARPATH_MAPS_LIMIT_H

#include "abi.h"

#define NP_REJECTS_PER_SECOND 1000 /* a CPU; the kernel's icmp_msgs_per_sec was as much */
#define NP_REJECTS_BURST      100

struct np_limit {
	__u32 filled; /* jiffies, low 32 bits, when tokens were last added */
	__u32 tokens;
	__u8 pad[56];
};
NP_STATIC_ASSERT(sizeof(struct np_limit) == 64);

#endif
