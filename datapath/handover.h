/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * While tables of another version are replaced by these: what these do not know is left to the
 * programs of before, by a tail call from the main program. Of the tables of before only the index
 * is read, whose format no version changes: which tags it has. Programs loaded without
 * np_settings.handover have none of this. The phases are in maps/iface.h, enum np_handover.
 */
#ifndef NEARPATH_DATAPATH_HANDOVER_H
#define NEARPATH_DATAPATH_HANDOVER_H

#include "flow_new.h"

/* The other version's index of flows. nearpathd puts its maps in place of these. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_bucket);
} before4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct np_bucket);
} before6 SEC(".maps");

/* Its programs, by enum np_hook. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, NP_HOOKS);
	__type(key, __u32);
	__type(value, __u32);
} before SEC(".maps");

static __always_inline bool before_bucket_has(__u32 bucket, __u32 tag, __u32 family)
{
	struct np_bucket *found;
	__u32 number;

	if (family == NP_IPV4) {
		number = bucket & np.before4_mask;
		found = bpf_map_lookup_elem(&before4, &number);
	} else {
		number = bucket & np.before6_mask;
		found = bpf_map_lookup_elem(&before6, &number);
	}
	return found && bucket_match(found, tag) != BUCKET_NONE;
}

/*
 * Does the index of before have a name with this hash? A BPF global function, as it is rare; hence
 * verified by itself, also where nothing calls it and there are no maps: before Linux 6.8.
 */
__noinline int before_has(__u32 bucket, __u32 tag, __u32 family)
{
	if (!np.handover)
		return false;
	return before_bucket_has(bucket, tag, family) ||
	       before_bucket_has(np_hash_other_bucket(bucket, tag), tag, family);
}

/* The same as far as the phase leaves packets to the programs of before. */
__noinline int before_wants(__u32 bucket, __u32 tag, __u32 family)
{
	__u32 zero = 0;
	struct np_config *c = np.handover ? bpf_map_lookup_elem(&config, &zero) : NULL;
	__u32 phase = c ? *(volatile __u32 *)&c->handover : NP_HANDOVER_NONE;

	if (phase != NP_HANDOVER_KNOWN)
		return phase == NP_HANDOVER_ALL;
	return before_has(bucket, tag, family);
}

/* Is a packet of this tuple, of which these tables have no flow, one for the programs of before? */
static __always_inline bool before_knows(const struct tuple *t, __u32 space, int family)
{
	struct np_hash h;

	if (!np.handover)
		return false;
	h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol, space);
	return before_wants(h.bucket, h.tag, family);
}

/* Do the programs of before decide on whatever begins? No name has the tag 0. */
static __always_inline bool before_decides(int family)
{
	return np.handover && before_wants(0, 0, family);
}

/* May the backend's side know a flow of before by this source port? Such a port is not given. */
__noinline int before_has_port(struct flow_request *r, __u32 port, __u32 family)
{
	struct np_hash h;
	__u32 ports;

	if (!r)
		return false;
	ports = PORTS(r->backend_port, port);
	if (family == NP_IPV4)
		h = np_hash_tuple(np.hash_key, NP_IPV4, &r->backend, &r->tuple.src, ports,
				  r->tuple.protocol, NP_HASH_EGRESS);
	else
		h = np_hash_tuple(np.hash_key, NP_IPV6, &r->backend, &r->tuple.src, ports,
				  r->tuple.protocol, NP_HASH_EGRESS);
	if (before_has(h.bucket, h.tag, family))
		return true;
	if (!(r->flags & NP_FLOW_TRANSLATED))
		return false;
	if (family == NP_IPV4)
		h = np_hash_tuple(np.hash_key, NP_IPV4, &r->backend, &r->snat, ports,
				  r->tuple.protocol, NP_HASH_INGRESS);
	else
		h = np_hash_tuple(np.hash_key, NP_IPV6, &r->backend, &r->snat, ports,
				  r->tuple.protocol, NP_HASH_INGRESS);
	return before_has(h.bucket, h.tag, family);
}

#endif
