/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the fast paths of tc and XDP have in common (tc/fast.h, xdp/fast.h). They are for most
 * packets of a node: those of established flows and those of no service, plain TCP and UDP. They
 * are in the frame of the program itself, as a call between BPF functions costs 10 ns where returns
 * are not predicted (Safe RET; AMD Zen 3), and all that is done here 25.
 * Whatever is rarer is left to handle(), which knows all cases and does the same for these.
 *
 * Headers are not kept but read anew where they are needed, hence the barriers: they are in the
 * first level of the cache, where the stack would be, of which there are 96 bytes
 * (selftests/stack.py).
 */
#ifndef NEARPATH_DATAPATH_FAST_H
#define NEARPATH_DATAPATH_FAST_H

#include "rewrite.h"
#include "track.h"

/* All that is read here: addresses, ports, checksum. A shorter datagram is a rare one. */
#define FAST_L4 sizeof(struct tcphdr)

static __always_inline __u32 fast_header(int family)
{
	return family == NP_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

static __always_inline __u8 fast_protocol(const void *l3, int family)
{
	return family == NP_IPV4 ? ((const struct iphdr *)l3)->protocol
				 : ((const struct ipv6hdr *)l3)->nexthdr;
}

/* Of an IPv4 address only the first word is to be touched. */
static __always_inline union np_addr *fast_src(void *l3, int family)
{
	return family == NP_IPV4 ? (void *)&((struct iphdr *)l3)->saddr
				 : (void *)&((struct ipv6hdr *)l3)->saddr;
}

static __always_inline union np_addr *fast_dst(void *l3, int family)
{
	return family == NP_IPV4 ? (void *)&((struct iphdr *)l3)->daddr
				 : (void *)&((struct ipv6hdr *)l3)->daddr;
}

static __always_inline __u32 *fast_ports(void *l3, int family)
{
	return l3 + fast_header(family);
}

static __always_inline bool fast_is_tcp(void *l3, int family)
{
	return fast_protocol(l3, family) == IPPROTO_TCP;
}

/* Of the transport header. */
static __always_inline __sum16 *fast_check(void *l3, int family)
{
	return (void *)fast_ports(l3, family) +
	       (fast_is_tcp(l3, family) ? __builtin_offsetof(struct tcphdr, check)
					: __builtin_offsetof(struct udphdr, check));
}

/* Of TCP: its flags; of UDP none. */
static __always_inline __u8 fast_flags(void *l3, int family)
{
	return fast_is_tcp(l3, family) ? ((__u8 *)fast_ports(l3, family))[13] : 0;
}

/* Does it begin a conversation, as far as it alone tells? */
static __always_inline bool fast_opens(void *l3, int family)
{
	return !fast_is_tcp(l3, family) ||
	       (fast_flags(l3, family) & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* TCP or UDP without options, extensions, fragments. */
static __always_inline bool fast_is_plain(void *l3, void *end, int family)
{
	struct ipv6hdr *six = l3;
	struct iphdr *four = l3;
	__u8 protocol;

	if (l3 + fast_header(family) + FAST_L4 > end)
		return false;
	if (family == NP_IPV4
		    ? *(__u8 *)l3 != 0x45 || four->frag_off & bpf_htons(IP_MF | IP_OFFSET_MASK)
		    : six->version != 6)
		return false;
	protocol = fast_protocol(l3, family);
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* As flow_addr_differs(), 64 bits at a time: np_flow6 has them so aligned. */
static __always_inline __u64 fast_addr_differs(struct np_flow *f, enum np_place place,
					       const void *addr, int family)
{
	const void *theirs = flow_addr(f, place, family);
	const __u64 *six = theirs, *with = addr;

	if (family == NP_IPV4)
		return *(const __be32 *)theirs ^ *(const __be32 *)addr;
	return (six[0] ^ with[0]) | (six[1] ^ with[1]);
}

static __always_inline __u64 fast_tuple_differs(struct np_flow *f, enum np_place src,
						enum np_place dst, __u32 ports, void *l3,
						int family)
{
	return (f->protocol ^ fast_protocol(l3, family)) | (ports ^ *fast_ports(l3, family)) |
	       fast_addr_differs(f, src, fast_src(l3, family), family) |
	       fast_addr_differs(f, dst, fast_dst(l3, family), family);
}

/* As flow_name_differs(); first: by FORWARD or SNAT, else by UNSNAT or REPLY. */
static __always_inline __u64 fast_differs(struct np_flow *f, bool first, __u32 space, void *l3,
					  int family)
{
	__u32 backend = PORTS(f->port[NP_SNAT], f->port[NP_BACKEND]);

	if (space == NP_HASH_INGRESS)
		return first ? fast_tuple_differs(f, NP_CLIENT, NP_FRONTEND,
						  PORTS(f->port[NP_CLIENT], f->port[NP_FRONTEND]),
						  l3, family)
			     : fast_tuple_differs(f, NP_BACKEND, NP_SNAT, ports_reverse(backend),
						  l3, family);
	return first ? fast_tuple_differs(f, NP_CLIENT, NP_BACKEND, backend, l3, family)
		     : fast_tuple_differs(f, NP_BACKEND, NP_CLIENT, ports_reverse(backend), l3,
					  family);
}

/* Of a flow to the registers, 64 bits at a time: np_flow6 has them so aligned. */
static __always_inline void fast_addr_read(__u64 *to, const __be32 *from, int family)
{
	if (family == NP_IPV4) {
		to[0] = *from;
		return;
	}
	to[0] = ((const __u64 *)from)[0];
	to[1] = ((const __u64 *)from)[1];
}

static __always_inline __u64 fast_diff(__u64 from, __u64 to)
{
	return sum_diff(from, to) + sum_diff(from >> 32, to >> 32);
}

/* Into the packet; returns by how much the sum changes. */
static __always_inline __u64 fast_addr_write(void *addr, const __u64 *to, int family)
{
	__u64 *six = addr, diff;
	__be32 *four = addr;

	if (family == NP_IPV4) {
		diff = sum_diff(*four, to[0]);
		*four = to[0];
		return diff;
	}
	diff = fast_diff(six[0], to[0]) + fast_diff(six[1], to[1]);
	six[0] = to[0];
	six[1] = to[1];
	return diff;
}

/*
 * May something else become of the flow than that it goes on, or of the packet? fresh: the flow was
 * made for it a moment ago.
 */
static __always_inline bool fast_is_odd(const struct np_flow *f, bool fresh, void *l3, int family)
{
	if (f->flags & NP_FLOW_DEPARTED)
		return true;
	if (fast_is_tcp(l3, family))
		return !fresh && fast_opens(l3, family);
	return !SPORT(*fast_ports(l3, family)) || flow_expired(f, now32());
}

/* A flow that knows the packet, as struct flow_hit. */
struct fast_hit {
	struct np_flow *flow;
	__u32 seq;
	__u32 entry; /* name and number of the record, as in the index */
};

/* By FORWARD or SNAT, those of packets from the client, and not by UNSNAT or REPLY. */
static __always_inline bool fast_first(const struct fast_hit *hit)
{
	return entry_name(hit->entry) < NP_NAME_UNSNAT;
}

enum fast {
	FAST_NONE, /* no flow knows the packet */
	FAST_FLOW, /* one does, and what is to be done is what always is */
	FAST_ODD,  /* neither is certain: for handle() */
};

/* What the index says of the packet first; BUCKET_NONE: no flow knows it. */
static __always_inline __u64 fast_index(void *l3, __u32 space, int family)
{
	struct np_hash h =
		np_hash_tuple(np.hash_key, family, fast_src(l3, family), fast_dst(l3, family),
			      *fast_ports(l3, family), fast_protocol(l3, family), space);

	return flow_index(&h, family);
}

/* Is it the flow that hit->entry stands for? */
static __always_inline bool fast_hits(struct fast_hit *hit, __u32 space, void *l3, int family)
{
	struct np_flow *f = flow_record(entry_record(hit->entry), family);
	__u64 differs;

	if (!f)
		return false;
	hit->seq = *(volatile __u32 *)&f->seq;
	f = flow_after(f, hit->seq);
	differs = fast_differs(f, fast_first(hit), space, l3, family);
	hit->flow = f = flow_after(f, differs); /* see flow_check() */
	return !(hit->seq & 1) && f->state != NP_FLOW_FREE && !differs;
}

/* As flow_find() looks first; and beside it, where in a table half full every seventh flow is. */
static __always_inline bool fast_is_home(struct fast_hit *hit, __u32 space, void *l3, int family)
{
	__u32 home = flow_home(fast_src(l3, family), fast_dst(l3, family), *fast_ports(l3, family),
			       space, family);
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 2; i++) {
		hit->entry = home_entry(home + i, space, family);
		if (fast_hits(hit, space, l3, family))
			return true;
	}
	return false;
}

/* Where the hint is for an answer to a translated source between these addresses. */
static __always_inline volatile __u32 *fast_hint(__u32 word, void *l3, int family)
{
	__u32 ports = *fast_ports(l3, family);
	__u32 place = np_hint_place(word, SPORT(ports), bpf_ntohs(DPORT(ports))) & np.hint_mask;
	__u32 number = place / NP_HINTS;
	struct np_hints *some = bpf_map_lookup_elem(&hints, &number);

	return some ? &some->record[place % NP_HINTS] : NULL;
}

/*
 * Is it the flow that the hint leads to? As at home, but that not all flows have the name: of one
 * whose source is not translated, answers would look the same.
 */
static __always_inline bool fast_is_hinted(struct fast_hit *hit, volatile __u32 *hint, void *l3,
					   int family)
{
	hit->entry = entry_of(NP_NAME_UNSNAT, *hint & FLOW_MASK(family));
	return fast_hits(hit, NP_HASH_INGRESS, l3, family) && hit->flow->flags & NP_FLOW_TRANSLATED;
}

/* By the index: FAST_FLOW if it is certain. */
static __always_inline enum fast fast_find_by_index(struct fast_hit *hit, volatile __u32 *hint,
						    __u32 space, void *l3, int family)
{
	__u64 entry = fast_index(l3, space, family);

	barrier();
	if (entry == BUCKET_NONE)
		return FAST_NONE;
	hit->entry = entry;
	if (!fast_hits(hit, space, l3, family))
		return FAST_ODD;
	if (hint && entry_name(entry) == NP_NAME_UNSNAT)
		*hint = entry_record(entry);
	return FAST_FLOW;
}

static __always_inline enum fast fast_find(struct fast_hit *hit, bool fresh, __u32 space, void *l3,
					   int family)
{
	struct np_filter_place at = np_filter_place(np.hash_key, family, fast_src(l3, family),
						    fast_dst(l3, family), space);
	volatile __u32 *hint = NULL;
	enum fast found;

	if (flow_is_filtered_at(at))
		return FAST_NONE;
	barrier();
	if (!fast_is_home(hit, space, l3, family)) {
		barrier();
		if (space == NP_HASH_INGRESS)
			hint = fast_hint(at.word, l3, family);
		if (!hint || !fast_is_hinted(hit, hint, l3, family)) {
			found = fast_find_by_index(hit, hint, space, l3, family);
			if (found != FAST_FLOW)
				return found;
		}
	}
	return fast_is_odd(hit->flow, fresh, l3, family) ? FAST_ODD : FAST_FLOW;
}

/* As flow_track(); way: FLOW_BY_STACK or 0. */
static __always_inline void fast_track(const struct fast_hit *hit, void *l3, __u32 way, int family)
{
	const struct tcphdr *tcp = (void *)fast_ports(l3, family);
	__u8 flags = fast_flags(l3, family);
	__u32 number = 0, now = now32();

	if (hit->flow->seen != now)
		hit->flow->seen = now;
	if (!flow_is_news(hit->flow, fast_first(hit),
			  fast_is_tcp(l3, family) ? IPPROTO_TCP : IPPROTO_UDP, flags, way, now))
		return;
	if (fast_is_tcp(l3, family))
		number = bpf_ntohl(fast_first(hit) ? tcp->ack_seq : tcp->seq);
	flow_change(entry_record(hit->entry), hit->seq,
		    flags | (fast_first(hit) ? FLOW_FROM_CLIENT : 0) | way, number, family);
}

#endif
