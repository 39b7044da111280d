/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Finding a flow by one of its names: the hot path. What a packet of it tells is track.h's, making
 * and ending flows flow_new.h's. All are compiled for programs and, unchanged, for user space over
 * the mapped tables: how the tables are reached is table_bpf.h's, or loader/flowtable.c's, which
 * has the same functions and defines np.
 */
#ifndef NEARPATH_DATAPATH_FLOW_H
#define NEARPATH_DATAPATH_FLOW_H

#ifdef __bpf__
#include "table_bpf.h"
#endif
#include "bucket.h"
#include "packet.h"

#define FLOW_AHEAD 0x10000U /* ticks: minutes, far less than the wrap */

/* Is there no flow with a name between the addresses of this place? */
static __always_inline bool flow_is_filtered_at(struct np_filter_place at)
{
	struct np_filter *word = flow_filter_word(at.word & np.filter_mask);

	return word &&
	       !((*(volatile __u64 *)&word->half[0] | *(volatile __u64 *)&word->half[1]) & at.bit);
}

/* The same by the addresses. See maps/filter.h. */
static __always_inline bool flow_is_filtered(const union np_addr *src, const union np_addr *dst,
					     __u32 space, int family)
{
	return flow_is_filtered_at(np_filter_place(np.hash_key, family, src, dst, space));
}

#define FLOW_MASK(family) ((family) == NP_IPV4 ? np.flow4_mask : np.flow6_mask)

static __always_inline __u64 entry_of(__u32 name, __u32 number)
{
	return name << NP_FLOW_NAME_SHIFT | number;
}

static __always_inline __u32 entry_name(__u64 entry)
{
	return (__u32)entry >> NP_FLOW_NAME_SHIFT;
}

static __always_inline __u32 entry_record(__u64 entry)
{
	return (__u32)entry & NP_FLOW_RECORD_MASK;
}

/* A flow as one reader saw it; flow is NULL if there is none. */
struct flow_hit {
	struct np_flow *flow;
	__u32 seq;
	__u32 name;   /* enum np_name */
	__u32 number; /* of the record */
};

/* The addresses follow the common part, one word or four each. */
static __always_inline __be32 *flow_addr(struct np_flow *flow, enum np_place place, int family)
{
	if (family == NP_IPV4)
		return (void *)flow + __builtin_offsetof(struct np_flow4, addr[place]);
	return (void *)flow + __builtin_offsetof(struct np_flow6, addr[place]);
}

/* Not zero if they differ. */
static __always_inline __u64 flow_addr_differs(struct np_flow *flow, enum np_place place,
					       const union np_addr *addr, int family)
{
	const __be32 *theirs = flow_addr(flow, place, family);
	__u64 differs = theirs[0] ^ addr->word[0];

	if (family == NP_IPV6)
		differs |= (theirs[1] ^ addr->word[1]) | (theirs[2] ^ addr->word[2]) |
			   (theirs[3] ^ addr->word[3]);
	return differs;
}

static __always_inline bool flow_addr_is(struct np_flow *flow, enum np_place place,
					 const union np_addr *addr, int family)
{
	return !flow_addr_differs(flow, place, addr, family);
}

static __always_inline __u64 flow_tuple_differs(struct np_flow *f, enum np_place src,
						enum np_place dst, __u32 ports,
						const struct tuple *t, int family)
{
	return (f->protocol ^ t->protocol) | (ports ^ t->ports) |
	       flow_addr_differs(f, src, &t->src, family) |
	       flow_addr_differs(f, dst, &t->dst, family);
}

/*
 * Zero if this is what packets look like that the flow knows by this name: see maps/flow.h. All of
 * it is read, so that a load can be made to depend on that: see flow_check().
 */
static __always_inline __u64 flow_name_differs(struct np_flow *f, __u32 name, const struct tuple *t,
					       int family)
{
	if (name == NP_NAME_FORWARD)
		return flow_tuple_differs(f, NP_CLIENT, NP_FRONTEND,
					  PORTS(f->port[NP_CLIENT], f->port[NP_FRONTEND]), t,
					  family);
	if (name == NP_NAME_SNAT)
		return flow_tuple_differs(f, NP_CLIENT, NP_BACKEND,
					  PORTS(f->port[NP_SNAT], f->port[NP_BACKEND]), t, family);
	if (name == NP_NAME_UNSNAT)
		return flow_tuple_differs(f, NP_BACKEND, NP_SNAT,
					  PORTS(f->port[NP_BACKEND], f->port[NP_SNAT]), t, family);
	return flow_tuple_differs(f, NP_BACKEND, NP_CLIENT,
				  PORTS(f->port[NP_BACKEND], f->port[NP_SNAT]), t, family);
}

/*
 * The record, for what may only be read of it after "read" was: the address depends on that, which
 * orders the loads on machines that reorder them (arm64), without a fence. x86 reorders none with
 * each other (Intel SDM 3A, 9.2.2): there the compiler is kept from it, and nothing waits.
 */
static __always_inline struct np_flow *flow_after(const struct np_flow *flow, __u64 read)
{
#ifndef __bpf__
	(void)read;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#elif defined(__TARGET_ARCH_x86)
	asm volatile("" : "+r"(flow) : "r"(read));
#else
	asm volatile("%1 &= 0; %0 += %1" : "+r"(flow), "+r"(read));
#endif
	return (struct np_flow *)flow;
}

/* Its seq, after what was read of it; with its word, as loads of one place keep their order. */
static __always_inline __u32 flow_seq_after(const struct np_flow *flow, __u64 read)
{
#ifndef __TARGET_ARCH_x86
	read |= *(volatile __u64 *)&flow->word.all;
#endif
	return *(volatile __u32 *)&flow_after(flow, read)->seq;
}

/* The flow an index entry stands for, if the tuple is one of its. */
static __always_inline struct flow_hit flow_check(__u64 entry, const struct tuple *t, __u32 space,
						  int family)
{
	struct flow_hit hit = {.number = entry_record(entry)};
	struct np_flow *f;
	__u64 differs;

	/* Told from the hook, so that the verifier sees two names and not four. */
	if (space == NP_HASH_INGRESS)
		hit.name = entry_name(entry) == NP_NAME_FORWARD ? NP_NAME_FORWARD : NP_NAME_UNSNAT;
	else
		hit.name = entry_name(entry) == NP_NAME_SNAT ? NP_NAME_SNAT : NP_NAME_REPLY;
	f = flow_record(hit.number, family);
	if (!f)
		return hit;
	hit.seq = *(volatile __u32 *)&f->seq;
	f = flow_after(f, hit.seq);
	differs = flow_name_differs(f, hit.name, t, family);
	/*
	 * What is read of it from here on, seq among that, is read after the tuple: else another
	 * life's tuple could be taken for that of the life that seq told of, before and after.
	 */
	f = flow_after(f, differs);
	if (!(hit.seq & 1) && f->state != NP_FLOW_FREE && !differs)
		hit.flow = f;
	return hit;
}

static __always_inline __u64 search(const struct tuple *t, __u32 space, int family)
{
	struct np_hash h =
		np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol, space);
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 2 * NP_BUCKET; i++) {
		__u32 number = i < NP_BUCKET ? h.bucket : np_hash_other_bucket(h.bucket, h.tag);
		struct np_bucket *bucket = flow_bucket(number & FLOW_MASK(family), family);
		__u64 entry;

		if (!bucket)
			return 0;
		entry = *(volatile __u64 *)&bucket->entry[i % NP_BUCKET];
		if (entry >> 32 == h.tag && flow_check(entry, t, space, family).flow)
			return entry;
	}
	return 0;
}

/*
 * The exact search, which flow_find() leaves rare cases to: the index entry by which a live flow
 * knows the tuple, or 0. t is whole. A BPF global function: verified once.
 */
__noinline __u64 flow_search(struct tuple *t, __u32 space, __u32 family)
{
	if (!t)
		return 0;
	if (family == NP_IPV4)
		return space == NP_HASH_INGRESS ? search(t, NP_HASH_INGRESS, NP_IPV4)
						: search(t, NP_HASH_EGRESS, NP_IPV4);
	return space == NP_HASH_INGRESS ? search(t, NP_HASH_INGRESS, NP_IPV6)
					: search(t, NP_HASH_EGRESS, NP_IPV6);
}

/* What the index says of this hash first: the lower half of an entry, or BUCKET_NONE. */
static __always_inline __u64 flow_index(const struct np_hash *h, int family)
{
	__u32 number = h->bucket & FLOW_MASK(family);
	struct np_bucket *bucket = flow_bucket(number, family);
	__u64 found = bucket ? bucket_match(bucket, h->tag) : BUCKET_NONE;

	if (found != BUCKET_NONE)
		return found;
	number = np_hash_other_bucket(h->bucket, h->tag) & FLOW_MASK(family);
	bucket = flow_bucket(number, family);
	return bucket ? bucket_match(bucket, h->tag) : BUCKET_NONE;
}

/* False: no flow knows the tuple. */
static __always_inline bool flow_may_be(const struct tuple *t, __u32 space, int family)
{
	struct np_hash h;

	if (flow_is_filtered(&t->src, &t->dst, space, family))
		return false;
	h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol, space);
	return flow_index(&h, family) != BUCKET_NONE;
}

/* Where the record of a flow with such packets is looked for first, to be masked. */
static __always_inline __u32 flow_home(const union np_addr *src, const union np_addr *dst,
				       __u32 ports, __u32 space, int family)
{
	if (space == NP_HASH_INGRESS)
		return np_hash_home(np.hash_key, family, src, SPORT(ports));
	return np_hash_home(np.hash_key, family, dst, DPORT(ports));
}

/* What the index would say of a flow that has its record there. */
static __always_inline __u32 home_entry(__u32 home, __u32 space, int family)
{
	return entry_of(space == NP_HASH_INGRESS ? NP_NAME_FORWARD : NP_NAME_REPLY,
			home & FLOW_MASK(family));
}

/*
 * By the index, the flow that knows the tuple. scratch saves stack: the caller has a whole tuple of
 * its own to fill later.
 */
static __always_inline struct flow_hit flow_lookup(const struct tuple *t, __u32 space, int family,
						   struct tuple *scratch)
{
	struct np_hash h =
		np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol, space);
	__u64 entry = flow_index(&h, family);
	struct flow_hit hit = {};
	int i;

	if (entry == BUCKET_NONE)
		return hit;
#pragma clang loop unroll(disable)
	for (i = 0; i < 2; i++) {
		hit = flow_check(entry, t, space, family);
		if (hit.flow || i)
			break;
		*scratch = tuple_whole(t, family);
		entry = flow_search(scratch, space, family);
		if (!entry)
			break;
	}
	return hit;
}

/*
 * The flow that knows the tuple by a name of this hook (space: NP_HASH_INGRESS or _EGRESS). Most
 * whose source is not translated are at home, where the index need not be asked. What is published
 * there has its names in the index too: it is the flow that the index would lead to. While it is
 * claimed its tuple may be another flow's for a moment, hence the second look at seq.
 */
static __always_inline struct flow_hit flow_find(const struct tuple *t, __u32 space, int family,
						 struct tuple *scratch)
{
	struct flow_hit hit = {};
	__u32 home;

	if (flow_is_filtered(&t->src, &t->dst, space, family))
		return hit;
	home = flow_home(&t->src, &t->dst, t->ports, space, family);
	hit = flow_check(home_entry(home, space, family), t, space, family);
	return hit.flow && flow_seq_after(hit.flow, 0) == hit.seq
		       ? hit
		       : flow_lookup(t, space, family, scratch);
}

/* The same by the exact search, for rare packets; t is whole. */
static __always_inline struct flow_hit flow_find_rare(struct tuple *t, __u32 space, int family)
{
	__u64 entry = flow_search(t, space, family);

	return entry ? flow_check(entry, t, space, family) : (struct flow_hit){};
}

/* Has the record had one and the same life since seq was read? "to" is what was taken out of it. */
static __always_inline bool flow_unchanged(const struct flow_hit *hit, const struct tuple *to,
					   int family)
{
	__u64 read = to->ports + to->src.v4 + to->dst.v4;

	if (family == NP_IPV6)
		read += to->src.word[1] + to->src.word[2] + to->src.word[3] + to->dst.word[1] +
			to->dst.word[2] + to->dst.word[3];
	return flow_seq_after(hit->flow, read) == hit->seq;
}

/* Ticks since the last packet. Another CPU may have stored a tick that this one has not read yet.
 */
static __always_inline __u32 flow_age(const struct np_flow *flow, __u32 now)
{
	__u32 age = now - *(volatile __u32 *)&flow->seen;

	return age < -FLOW_AHEAD ? age : 0;
}

static __always_inline bool flow_expired(const struct np_flow *flow, __u32 now)
{
	return flow_age(flow, now) > np.flow_timeout[flow->state & (NP_FLOW_STATES_ROOM - 1)];
}

/* The tuple after the rewrite this name calls for; both rewrites at once if all is set (XDP). */
static __always_inline struct tuple flow_translate(struct np_flow *f, __u32 name,
						   const struct tuple *t, bool all, int family)
{
	struct tuple to = *t;

	if (name == NP_NAME_FORWARD) {
		addr_read(&to.dst, flow_addr(f, NP_BACKEND, family), family);
		to.ports = PORTS(f->port[NP_SNAT], f->port[NP_BACKEND]);
		if (all)
			addr_read(&to.src, flow_addr(f, NP_SNAT, family), family);
	} else if (name == NP_NAME_SNAT) {
		addr_read(&to.src, flow_addr(f, NP_SNAT, family), family);
	} else if (name == NP_NAME_UNSNAT) {
		addr_read(&to.dst, flow_addr(f, NP_CLIENT, family), family);
		if (all) {
			addr_read(&to.src, flow_addr(f, NP_FRONTEND, family), family);
			to.ports = PORTS(f->port[NP_FRONTEND], f->port[NP_CLIENT]);
		}
	} else {
		addr_read(&to.src, flow_addr(f, NP_FRONTEND, family), family);
		to.ports = PORTS(f->port[NP_FRONTEND], f->port[NP_CLIENT]);
	}
	return to;
}

/* Is it over, so that its tuple and its record may be used again? */
static __always_inline bool flow_is_over(const struct np_flow *f)
{
	__u8 state = f->state;

	return (state >= NP_FLOW_TCP_LAST_ACK && state <= NP_FLOW_TCP_CLOSE) ||
	       state == NP_FLOW_SCTP_CLOSED;
}

static __always_inline bool flow_is_spent(const struct np_flow *flow, __u32 now)
{
	return flow_is_over(flow) || flow_expired(flow, now);
}

/* Does the backend the flow was given still serve someone? */
static __always_inline bool flow_backend_used(struct np_flow *f, int family)
{
	struct np_backend *b = flow_backend(f);

	return b && b->flags & NP_BACKEND_USED && b->port == f->port[NP_BACKEND] &&
	       flow_addr_is(f, NP_BACKEND, &b->addr, family);
}

/*
 * Does a packet that could open a conversation end this flow of the same tuple and begin another?
 * Any does if it expired; the client's also if nearpathd marked the flow; a SYN or INIT also if it
 * is closed or its backend has gone.
 */
static __always_inline bool flow_superseded(struct np_flow *f, __u32 name, __u32 protocol,
					    __u32 now, int family)
{
	if (name == NP_NAME_FORWARD && f->flags & NP_FLOW_DEPARTED)
		return true;
	if (protocol == IPPROTO_UDP)
		return flow_expired(f, now);
	return flow_is_over(f) || flow_expired(f, now) || !flow_backend_used(f, family);
}

#endif
