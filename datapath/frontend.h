/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a destination to a service version: looking up addresses, ports and protocols in the index
 * that nearpathd wrote. What happens to the connection is decide.h's.
 */
#ifndef NEARPATH_DATAPATH_FRONTEND_H
#define NEARPATH_DATAPATH_FRONTEND_H

#include "../maps/maps.bpf.h"
#include "bucket.h"
#include "tuple.h"

/* Is this the version of that key? */
static __always_inline bool service_is(__u32 number, const union np_addr *addr, __u32 port,
				       __u32 protocol, __u32 family)
{
	struct np_service *service = bpf_map_lookup_elem(&services, &number);

	return service && service->port == port && service->protocol == protocol &&
	       service->family == family && addr_equal(&service->addr, addr, NP_IPV6);
}

/* The same as frontend_lookup(), when the first entry with the tag is not it: look at each. */
static __always_inline __u32 frontend_search(const struct np_hash *h, const union np_addr *addr,
					     __u32 port, __u32 protocol, __u32 family)
{
	struct np_bucket *bucket;
	int i, side;

#pragma clang loop unroll(disable)
	for (side = 0; side < 2; side++) {
		__u32 number = side ? np_hash_other_bucket(h->bucket, h->tag) : h->bucket;

		number &= np.frontend_mask;
		bucket = bpf_map_lookup_elem(&frontends, &number);
		if (!bucket)
			return 0;
#pragma clang loop unroll(disable)
		for (i = 0; i < NP_BUCKET; i++) {
			__u64 entry = *(volatile __u64 *)&bucket->entry[i];

			if (entry >> 32 == h->tag &&
			    service_is((__u32)entry, addr, port, protocol, family))
				return (__u32)entry + 1;
		}
	}
	return 0;
}

/* What the index says of this hash first: number of a service version, or BUCKET_NONE. */
static __always_inline __u64 frontend_index(const struct np_hash *h)
{
	__u32 number = h->bucket & np.frontend_mask;
	struct np_bucket *bucket = bpf_map_lookup_elem(&frontends, &number);
	__u64 found = bucket ? bucket_match(bucket, h->tag) : BUCKET_NONE;

	if (found != BUCKET_NONE)
		return found;
	number = np_hash_other_bucket(h->bucket, h->tag) & np.frontend_mask;
	bucket = bpf_map_lookup_elem(&frontends, &number);
	return bucket ? bucket_match(bucket, h->tag) : BUCKET_NONE;
}

/*
 * Number plus one of the service version that an index entry of this key names, or 0. One code
 * for both families: the words an IPv4 address has not are zero, and add nothing to the hash. A
 * BPF global function: verified once, not in each place that calls it.
 */
__noinline __u32 frontend_lookup(union np_addr *addr, __u32 port, __u32 protocol, __u32 family)
{
	struct np_hash h;
	__u64 found;

	if (!addr)
		return 0;
	h = np_hash_frontend(np.hash_key, NP_IPV6, addr, port, protocol);
	found = frontend_index(&h);
	if (found == BUCKET_NONE)
		return 0;
	if (service_is(found, addr, port, protocol, family))
		return found + 1;
	return frontend_search(&h, addr, port, protocol, family);
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

/* What service_lookup() found. */
struct found {
	__u32 number;  /* plus one, of the service version; 0: none */
	__u32 address; /* NP_SERVICE_..._ADDRESS, NP_SERVICE_CLUSTER_IP; looked up only without
			  number */
};

/* Is it 127.0.0.0/8 or ::1? */
static __always_inline bool addr_is_loopback(const union np_addr *addr, __u32 family)
{
	if (family == NP_IPV4)
		return (addr->v4 & bpf_htonl(0xFF000000)) == bpf_htonl(0x7F000000);
	return !(addr->word[0] | addr->word[1] | addr->word[2]) && addr->word[3] == bpf_htonl(1);
}

/* Do NodePorts answer at this address? local: to the node itself, which has its loopback too. */
static __always_inline bool address_has_node_ports(const union np_addr *addr, __u32 flags,
						   bool local, __u32 family)
{
	__u32 zero = 0;
	struct np_config *c;

	if (!addr_is_loopback(addr, family))
		return flags & NP_SERVICE_NODE_ADDRESS;
	c = bpf_map_lookup_elem(&config, &zero);
	return local && c &&
	       (family == NP_IPV4 ? c->localhost_nodeports4 : c->localhost_nodeports6);
}

/*
 * The service version a packet is for, by its destination or as a NodePort of a node address.
 * A BPF global function for the sake of its callers' stack.
 */
__noinline int service_lookup(struct tuple *t, __u32 local, __u32 family, struct found *found)
{
	union np_addr any = {};

	if (!t || !found)
		return 0;
	found->address = 0;
	found->number = frontend_lookup(&t->dst, DPORT(t->ports), t->protocol, family);
	if (found->number)
		return 0;
	found->address = address_flags(&t->dst, family);
	if (address_has_node_ports(&t->dst, found->address, local, family))
		found->number = frontend_lookup(&any, DPORT(t->ports), t->protocol, family);
	return 0;
}

#endif
