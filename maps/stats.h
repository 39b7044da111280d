/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counters. Those by hook and reason have one entry a CPU and are plain stores; those by service
 * grow once a connection, by atomic adds. Readers sum. Nothing is ever reset.
 */
#ifndef NEARPATH_MAPS_STATS_H
#define NEARPATH_MAPS_STATS_H

#include "abi.h"

struct np_stats {
	__u64 packets[NP_HOOKS][NP_REASONS];
};

/* Connections of one service port by where the chosen backend is, and refusals. */
struct np_service_stats {
	__u64 connections[NP_ZONE_CLASSES];
	__u64 refused;
	__u64 pad[3];
};
NP_STATIC_ASSERT(sizeof(struct np_service_stats) == 64);

#endif
