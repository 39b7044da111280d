/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a destination to a service, and from a service to a backend. Reads the tables nearpathd
 * wrote, changes nothing. All policy was compiled into the slots: choosing is one random number.
 */
#ifndef NEARPATH_DATAPATH_FRONTEND_H
#define NEARPATH_DATAPATH_FRONTEND_H

#include "../maps/maps.bpf.h"
#include "bucket.h"
#include "packet.h"

/* Is this the version of that key? */
static __always_inline bool service_is(__u32 number, const union np_addr *addr, __u32 port,
				       __u32 protocol, __u32 family)
{
	struct np_service *service = bpf_map_lookup_elem(&services, &number);

	return service && service->port == port && service->protocol == protocol &&
	       service->family == family && addr_equal(&service->addr, addr, NP_IPV6);
}

/* Several entries of a bucket have the tag: look at each. */
static __always_inline __u32 bucket_search(const struct np_bucket *bucket, __u32 tag,
					   const union np_addr *addr, __u32 port, __u32 protocol,
					   __u32 family)
{
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < NP_BUCKET; i++) {
		__u64 entry = *(volatile __u64 *)&bucket->entry[i];

		if (entry >> 32 == tag && service_is((__u32)entry, addr, port, protocol, family))
			return (__u32)entry + 1;
	}
	return 0;
}

/*
 * Number plus one of the service version that an index entry of this key names, or 0. One code
 * for both families: the words an IPv4 address has not are zero, and add nothing to the hash. A
 * BPF global function: verified once, not in each place that calls it.
 */
__noinline __u32 frontend_lookup(union np_addr *addr, __u32 port, __u32 protocol, __u32 family)
{
	struct np_hash h;
	bool several;
	__u64 entry;
	__u32 found;
	int side;

	if (!addr)
		return 0;
	h = np_hash_frontend(np.hash_key, NP_IPV6, addr, port, protocol);
#pragma clang loop unroll(disable)
	for (side = 0; side < 2; side++) {
		__u32 number = side ? np_hash_other_bucket(h.bucket, h.tag) : h.bucket;
		struct np_bucket *bucket;

		number &= np.frontend_mask;
		bucket = bpf_map_lookup_elem(&frontends, &number);
		if (!bucket)
			return 0;
		entry = bucket_match(bucket, h.tag, &several);
		if (!entry)
			continue;
		if (!several && service_is((__u32)entry, addr, port, protocol, family))
			return (__u32)entry + 1;
		found = several ? bucket_search(bucket, h.tag, addr, port, protocol, family) : 0;
		if (found)
			return found;
	}
	return 0;
}

/* The service version of this key, or NULL. */
static __always_inline struct np_service *frontend_find(union np_addr *addr, __be16 port,
							__u32 protocol, __u32 family)
{
	__u32 number = frontend_lookup(addr, port, protocol, family) - 1;

	return bpf_map_lookup_elem(&services, &number); /* 0 - 1 is a number no table has */
}

/* What is known of an address itself: flags of its address entry, 0 if it has none. */
static __always_inline __u32 address_flags(union np_addr *addr, __u32 family)
{
	struct np_service *entry = frontend_find(addr, 0, 0, family);

	return entry ? entry->flags : 0;
}

/*
 * Number plus one of the service version a packet is for, by its destination or as a NodePort of
 * a node address; 0 if it is for none. A function for the sake of its callers' stack.
 */
__noinline __u32 service_lookup(struct tuple *t, __u32 family)
{
	union np_addr any = {};
	__u32 number;

	if (!t)
		return 0;
	number = frontend_lookup(&t->dst, DPORT(t->ports), t->protocol, family);
	if (number || !(address_flags(&t->dst, family) & NP_SERVICE_NODE_ADDRESS))
		return number;
	return frontend_lookup(&any, DPORT(t->ports), t->protocol, family);
}

static __always_inline bool prefix_has(const struct np_prefix *prefix, const union np_addr *addr)
{
	return !(((addr->word[0] & prefix->mask[0]) ^ prefix->value[0]) |
		 ((addr->word[1] & prefix->mask[1]) ^ prefix->value[1]) |
		 ((addr->word[2] & prefix->mask[2]) ^ prefix->value[2]) |
		 ((addr->word[3] & prefix->mask[3]) ^ prefix->value[3]));
}

#define DETECT_BY_PREFIX 1
#define DETECT_BY_IFACE	 2

/* Which class of client a new connection comes from (kube-proxy: the local detector, srcLocal). */
static __always_inline enum np_class client_class(const struct np_service *service, struct tuple *t,
						  __u32 iface_flags, __u32 family)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c)
		return NP_CLASS_OUTSIDE;
	if (c->detector == DETECT_BY_PREFIX &&
	    prefix_has(family == NP_IPV4 ? &c->pod_prefix4 : &c->pod_prefix6, &t->src))
		return NP_CLASS_POD;
	if (c->detector == DETECT_BY_IFACE && iface_flags & NP_IFACE_POD)
		return NP_CLASS_POD;
	if (service->flags & NP_SERVICE_NODE_CLASS &&
	    address_flags(&t->src, family) & NP_SERVICE_HOST_ADDRESS)
		return NP_CLASS_NODE;
	return NP_CLASS_OUTSIDE;
}

/* One backend of the run, each with the same probability. */
static __always_inline struct np_backend *backend_choose(const struct np_policy *policy,
							 __u32 random, __u32 *number)
{
	__u32 slot = policy->slot + (__u32)((__u64)random * policy->count >> 32);
	__u32 pair = slot / 2, key;
	struct np_slots *found = bpf_map_lookup_elem(&slots, &pair);

	if (!found)
		return NULL;
	key = found->backend[slot % 2]; /* 6.1 wants a key on this function's own stack */
	*number = key;
	return bpf_map_lookup_elem(&backends, &key);
}

#endif
