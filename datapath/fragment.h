/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ports for fragments: the first one has them, the others are told by address and identification
 * (RFC 791, RFC 8200 4.5). One entry for each hook, since the rewrite in between changes the key.
 */
#ifndef NEARPATH_DATAPATH_FRAGMENT_H
#define NEARPATH_DATAPATH_FRAGMENT_H

#include "../maps/maps.bpf.h"
#include "packet.h"

static __always_inline struct np_fragment_key fragment_key(const struct packet *p, __u32 hook,
							   int family)
{
	struct tuple t = tuple_whole(&p->tuple, family);

	return (struct np_fragment_key){
		.src = t.src,
		.dst = t.dst,
		.id = p->id,
		.protocol = p->tuple.protocol | hook << 8,
	};
}

/* The first fragment: remember its ports. */
static __always_inline void fragment_note(const struct packet *p, __u32 hook, int family)
{
	struct np_fragment_key key = fragment_key(p, hook, family);

	bpf_map_update_elem(&fragments, &key, &p->tuple.ports, BPF_ANY);
}

/* Another fragment: complete its tuple. False if the first was not seen. */
static __always_inline bool fragment_ports(struct packet *p, __u32 hook, int family)
{
	struct np_fragment_key key = fragment_key(p, hook, family);
	__u32 *ports = bpf_map_lookup_elem(&fragments, &key);

	if (!ports)
		return false;
	p->tuple.ports = *ports;
	return true;
}

#endif
