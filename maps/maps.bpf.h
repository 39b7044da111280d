/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The BTF definitions of the tables, for BPF programs. nearpathd sets max_entries before load,
 * creates each table once, and shares it between the programs of all hooks. What every packet needs
 * is in arrays: their lookup is inlined, and user space writes them by plain stores.
 */
#ifndef NEARPATH_MAPS_MAPS_BPF_H
#define NEARPATH_MAPS_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "explain.h"
#include "filter.h"
#include "flow.h"
#include "iface.h"
#include "limit.h"
#include "route.h"
#include "service.h"
#include "settings.h"
#include "stats.h"

/* Constants: see maps/settings.h. */
const volatile struct np_settings np = {};

/* Never read: the enums whose numbers are in the tables, for the BTF that goes with the tables. */
const volatile struct np_words np_words = {};

/* Index of frontends by address, port and protocol. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_bucket);
} frontends SEC(".maps");

/* Immutable versions of what a frontend decides. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_service);
} services SEC(".maps");

/* Runs of backend numbers, one a service version and class of client. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_slots);
} slots SEC(".maps");

/* Where a connection may go. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_backend);
} backends SEC(".maps");

/* Addresses beside np_backend.snat. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_source);
} snat_sources SEC(".maps");

/* What is known of source ports towards a backend. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_ports);
} snat_ports SEC(".maps");

/* Index of IPv4 flows by the tuples under which packets come. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_bucket);
} flow_index4 SEC(".maps");

/* Between which addresses flows may be. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_filter);
} flow_filter SEC(".maps");

/* Which addresses services and the node have. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_address_filter);
} address_filter SEC(".maps");

/* One record an IPv4 flow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_flow4);
} flows4 SEC(".maps");

/* The same two for IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_bucket);
} flow_index6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_flow6);
} flows6 SEC(".maps");

/* Where answers found their flow last, of both families. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_hints);
} hints SEC(".maps");

/* What is switched on at each interface. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_iface);
} ifaces SEC(".maps");

/* Settings of the node: one entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_config);
} config SEC(".maps");

/* Packets by hook and reason: one entry a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_stats);
} stats SEC(".maps");

/* Connections by service port and zone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_service_stats);
} service_stats SEC(".maps");

/* What the FIB said, by CPU: maps/route.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_route);
} routes SEC(".maps");

/* How many refusals each CPU may still answer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_limit);
} limits SEC(".maps");

/* A question and its answer: one entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_explain);
} explain SEC(".maps");

/* Which sources a service version with source ranges admits: only those services pay. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct np_range_key);
	__type(value, __u32);
} source_ranges SEC(".maps");

/* The backend of a client's last connection: only services with session affinity pay. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct np_affinity_key);
	__type(value, struct np_affinity);
} affinity SEC(".maps");

/* Ports of fragmented datagrams: only fragments pay for this one. */
struct np_fragment_key {
	union np_addr src;
	union np_addr dst;
	__be32 id;
	__u32 protocol; /* and, above it, enum np_hook */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct np_fragment_key);
	__type(value, __u32);
} fragments SEC(".maps");

#endif
