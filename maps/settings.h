/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is fixed when the programs are loaded: constants to the verifier, which prunes what is
 * switched off. nearpathd fills one struct for the programs of all hooks.
 */
#ifndef NEARPATH_MAPS_SETTINGS_H
#define NEARPATH_MAPS_SETTINGS_H

#include "flow.h"
#include "hash.h"

/*
 * From one source port to the one whose turn is next: neighbours in turn are none in number. A
 * prime that does not divide np_settings.snat_port_count, so that all have their turn.
 */
#define NP_SNAT_STRIDE 7919

struct np_settings {
	__u64 hash_key[NP_HASH_KEYS];

	/* Sizes less one of the tables whose size is a power of two. */
	__u32 frontend_mask;
	__u32 flow4_mask; /* buckets and records alike */
	__u32 flow6_mask;
	__u32 hint_mask; /* of hints, NP_HINTS an entry */
	__u32 filter_mask;
	__u32 address_mask; /* of address_filter */
	__u32 before4_mask; /* of the index that is replaced: datapath/handover.h */
	__u32 before6_mask;

	__u32 flow_timeout[NP_FLOW_STATES_ROOM]; /* by enum np_flow_state, in jiffies */

	__u32 route_lifetime; /* of a cached route, in jiffies */
	__u32 hertz;	      /* jiffies a second */

	/* Source ports for translation: first, and how many (host order); see NP_SNAT_STRIDE. */
	__u32 snat_port_first;
	__u32 snat_port_count;

	__u8 direct_checksum; /* the kernel has bpf_cast_to_kern_ctx (6.2) */
	__u8 conntrack;	      /* the kernel's conntrack is loaded and can be asked (6.0) */
	__u8 handover;	      /* tables of another version are being replaced */
	__u8 pad[5];
};
NP_STATIC_ASSERT(sizeof(struct np_settings) == 216);

/* The enums whose numbers are in the tables: see maps/abi.h. */
struct np_words {
	enum np_flow_state flow_state;
	enum np_hook hook;
	enum np_reason reason;
	enum np_zone_class zone_class;
};

#endif
