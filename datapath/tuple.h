/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Addresses and tuples: what packets, sockets and tables have in common. Knows no packet and no
 * hook.
 */
#ifndef NEARPATH_DATAPATH_TUPLE_H
#define NEARPATH_DATAPATH_TUPLE_H

#include <stdbool.h>

#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../maps/abi.h"

struct tuple {
	union np_addr src;
	union np_addr dst;
	__u32 ports; /* as in the header: source in the lower half, both in network order */
	__u32 protocol;
};

#define PORTS(sport, dport) ((__u32)(sport) | (__u32)(dport) << 16)
#define SPORT(ports)	    ((__be16)(ports))
#define DPORT(ports)	    ((__be16)((ports) >> 16))

static __always_inline bool addr_equal(const union np_addr *a, const union np_addr *b, int family)
{
	if (family == NP_IPV4)
		return a->v4 == b->v4;
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		 (a->word[3] ^ b->word[3]));
}

static __always_inline bool addr_is_zero(const union np_addr *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

/* From and to memory that holds only as many words as the family has. */
static __always_inline void addr_read(union np_addr *to, const __be32 *from, int family)
{
	to->word[0] = from[0];
	if (family == NP_IPV6) {
		to->word[1] = from[1];
		to->word[2] = from[2];
		to->word[3] = from[3];
	}
}

static __always_inline void addr_write(__be32 *to, const union np_addr *from, int family)
{
	to[0] = from->word[0];
	if (family == NP_IPV6) {
		to[1] = from->word[1];
		to[2] = from->word[2];
		to[3] = from->word[3];
	}
}

/* A copy for functions that take any family: words that the family has not are zero. */
static __always_inline struct tuple tuple_whole(const struct tuple *t, int family)
{
	struct tuple whole = {.ports = t->ports, .protocol = t->protocol};

	addr_read(&whole.src, t->src.word, family);
	addr_read(&whole.dst, t->dst.word, family);
	return whole;
}

static __always_inline __u32 ports_reverse(__u32 ports)
{
	return ports << 16 | ports >> 16;
}

static __always_inline struct tuple tuple_reverse(const struct tuple *t)
{
	return (struct tuple){
		.src = t->dst,
		.dst = t->src,
		.ports = ports_reverse(t->ports),
		.protocol = t->protocol,
	};
}

#endif
