/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Making and ending flows: taking a record, giving it names, publishing it. Lock-free: records
 * and index entries are claimed by compare-and-swap, which is a full barrier in BPF.
 *
 * Functions that are not static are BPF global functions: the verifier checks each once, by
 * itself, instead of anew in each of the nested loops that call them.
 */
#ifndef NEARPATH_DATAPATH_FLOW_NEW_H
#define NEARPATH_DATAPATH_FLOW_NEW_H

#include <linux/errno.h>

#include "../maps/explain.h"
#include "track.h"

/* How many records are looked at for one to take, and how many source ports are tried. */
#define FLOW_PROBES	 32
#define FLOW_PROBES_HOME 4  /* from home on, where others of the same client may be */
#define FLOW_PORT_TURNS	 32 /* ports in a row, */
#define FLOW_PORT_TRIES	 96 /* and the rest of so many at random; */
#define FLOW_PORT_MORE	 32 /* so many at each other address, half of them in a row */
#define FLOW_CLAIM_TRIES 5
#define FLOW_NAME_TRIES	 3

/* From this many entries on, a bucket leaves new ones to the other if that has fewer. */
#define BUCKET_CROWDED 5

/* A name to be given, and how urgently: 2 bits of enum np_name, and above them how many halvings.
 */
#define NAME_MASK	   (NP_NAMES - 1)
#define NAME_URGENCY_SHIFT 2
#define NAME_URGENCY_MASK  0xF
#define NAME_URGENCY_FIRST 4 /* halvings where nothing was tried in vain yet */

/*
 * How much a record is worth keeping, by its state: free, over, never answered by whoever opened it
 * (or, of UDP, not gone on with), a stream of UDP. RANK_LIVE is never taken for a new flow. UDP
 * that was answered once is worth no more than a SYN: a flood at a server that answers would leave
 * no handshake the time it takes.
 */
#define RANK_PASSING 2 /* up to this one: nobody relies on it for long */
#define RANK_LIVE    4

const volatile __u8 np_flow_rank[NP_FLOW_STATES_ROOM] = {
	[NP_FLOW_FREE] = 0,
	[NP_FLOW_TCP_LAST_ACK] = 1,
	[NP_FLOW_TCP_TIME_WAIT] = 1,
	[NP_FLOW_TCP_CLOSE] = 1,
	[NP_FLOW_SCTP_CLOSED] = 1,
	[NP_FLOW_TCP_SYN_SENT] = RANK_PASSING,
	[NP_FLOW_TCP_SYN_RECV] = RANK_PASSING,
	[NP_FLOW_UDP] = RANK_PASSING,
	[NP_FLOW_SCTP_NEW] = RANK_PASSING,
	[NP_FLOW_UDP_REPLIED] = RANK_PASSING,
	[NP_FLOW_UDP_STREAM] = 3,
	[NP_FLOW_TCP_ESTABLISHED] = RANK_LIVE,
	[NP_FLOW_TCP_FIN_WAIT] = RANK_LIVE,
	[NP_FLOW_TCP_CLOSE_WAIT] = RANK_LIVE,
	[NP_FLOW_SCTP_ESTABLISHED] = RANK_LIVE,
};

static __always_inline __u8 flow_rank(const struct np_flow *flow)
{
	return np_flow_rank[flow->state & (NP_FLOW_STATES_ROOM - 1)];
}

/* What a new flow is to be. */
struct flow_request {
	struct tuple tuple; /* client -> frontend */
	union np_addr backend;
	union np_addr snat; /* the client's own address unless the source is translated */
	struct np_decision decision;
	__be16 backend_port;
	__u16 flags;	    /* NP_FLOW_TRANSLATED, NP_FLOW_REMOTE, NP_FLOW_STACK */
	__u16 netns;	    /* np_iface.netns of where it came in */
	__u8 move_port : 1; /* do not keep the client's port */
	__u8 decided : 1;   /* the decision is made: see connect_known() */
	__u8 unknown : 1;   /* connect_known() found no record that reclaim() could want */
	__u8 hook;
};

static __always_inline __u32 name_space(__u32 name)
{
	return name == NP_NAME_FORWARD || name == NP_NAME_UNSNAT ? NP_HASH_INGRESS : NP_HASH_EGRESS;
}

static __always_inline int unname(__u32 number, int family)
{
	struct np_flow *flow = flow_record(number, family);
	__u32 name;

	if (!flow)
		return 0;
	for (name = 0; name < NP_NAMES; name++) {
		__u32 at = flow->index[name] - 1;
		struct np_bucket *bucket;
		__u64 *place, entry;

		if (!flow->index[name])
			continue;
		bucket = flow_bucket(at / NP_BUCKET, family);
		if (!bucket)
			continue;
		place = &bucket->entry[at % NP_BUCKET];
		entry = *(volatile __u64 *)place;
		if ((__u32)entry == entry_of(name, number))
			__sync_val_compare_and_swap(place, entry, 0);
		flow->index[name] = 0;
	}
	return 0;
}

/*
 * Take every name of a claimed record out of the index. A name's place is written into the record
 * before the entry is stored, and stays there until the entry is gone: whatever an index entry
 * leads to knows of it, and even a writer that dies in between leaves nothing that cannot be found.
 */
__noinline int flow_unname(__u32 number, __u32 family)
{
	return family == NP_IPV4 ? unname(number, NP_IPV4) : unname(number, NP_IPV6);
}

/*
 * seq becomes even: what was written before is seen with it. The result is used so that clang emits
 * the fetching instruction; the other one orders nothing on arm64.
 */
static __always_inline void flow_publish(struct np_flow *flow)
{
	__u32 seq = __sync_fetch_and_add(&flow->seq, 1);

	asm volatile("" ::"r"(seq));
}

/* Make a claimed record free. */
static __always_inline void flow_release(struct np_flow *flow, __u32 number, int family)
{
	flow_unname(number, family);
	flow->state = NP_FLOW_FREE;
	flow_publish(flow);
}

static __always_inline int end_flow(__u32 number, __u32 seq, int family)
{
	struct np_flow *flow = flow_record(number, family);

	if (!flow || seq & 1 || __sync_val_compare_and_swap(&flow->seq, seq, seq + 1) != seq)
		return -ESTALE;
	/* As flow_release(), by a call less: this is the end of the longest chain. */
	unname(number, family);
	flow->state = NP_FLOW_FREE;
	flow_publish(flow);
	return 0;
}

/* End the life of a record that seq stands for. -ESTALE: it is over already. */
__noinline int flow_end(__u32 number, __u32 seq, __u32 family)
{
	return family == NP_IPV4 ? end_flow(number, seq, NP_IPV4) : end_flow(number, seq, NP_IPV6);
}

/*
 * May a new flow have this name of an old one? If the old one is over. The names with a chosen port
 * also if whoever opened it has not answered (UDP: not gone on), or a flood at one backend would
 * hold all ports: the more ports were tried in vain (urgency), the less time there was for that.
 */
static __always_inline bool flow_gives_way(const struct np_flow *flow, __u32 name, __u32 urgency,
					   __u32 now)
{
	__u32 timeout = np.flow_timeout[flow->state & (NP_FLOW_STATES_ROOM - 1)];
	__u32 age = flow_age(flow, now);

	if (flow->state == NP_FLOW_FREE || flow_is_over(flow) || age > timeout)
		return true;
	return name != NP_NAME_FORWARD && flow_rank(flow) <= RANK_PASSING &&
	       age > timeout >> (NAME_URGENCY_FIRST + urgency);
}

static __always_inline int name_taken(struct tuple *t, __u64 entry, __u32 how, int family)
{
	__u32 name = entry_name(entry), number = entry_record(entry), seq;
	struct np_flow *flow = flow_record(number, family);

	if (!t || !flow)
		return 0;
	seq = *(volatile __u32 *)&flow->seq; /* first: what is found to be over is what ends */
	flow = flow_after(flow, seq);
	if (flow_name_differs(flow, name, t, family))
		return 0;
	if (seq & 1)
		return -EBUSY;
	if (!flow_gives_way(flow, name, how >> NAME_URGENCY_SHIFT & NAME_URGENCY_MASK, now32()))
		return -EEXIST;
	/* Whoever was faster may be reclaim(), which keeps the names. */
	return end_flow(number, seq, family) ? -EBUSY : 0;
}

/*
 * Does the entry stand for this tuple, by whichever name and be it for the flow itself (a client
 * that is its own backend, known by the port it listens on: both ways would look the same)? A flow
 * that is over is ended and does not count.
 */
__noinline int flow_name_taken(struct tuple *t, __u64 entry, __u32 how, __u32 family)
{
	return family == NP_IPV4 ? name_taken(t, entry, how, NP_IPV4)
				 : name_taken(t, entry, how, NP_IPV6);
}

/* Hashed in every turn, which is rare and takes less stack than keeping what does not change. */
static __always_inline int name_rivals(struct tuple *t, __u32 place, __u32 how, int family)
{
	int i, rc;

	if (!t)
		return -EINVAL;
#pragma clang loop unroll(disable)
	for (i = 0; i < 2 * NP_BUCKET; i++) {
		struct np_hash h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports,
						 t->protocol, name_space(how & NAME_MASK));
		__u32 n = i < NP_BUCKET ? h.bucket : np_hash_other_bucket(h.bucket, h.tag);
		struct np_bucket *bucket;
		__u64 entry;

		n &= FLOW_MASK(family);
		bucket = flow_bucket(n, family);
		if (!bucket || n * NP_BUCKET + i % NP_BUCKET + 1 == place)
			continue;
		entry = *(volatile __u64 *)&bucket->entry[i % NP_BUCKET];
		if (entry >> 32 != h.tag)
			continue;
		rc = flow_name_taken(t, entry, how, family);
		if (rc)
			return rc;
	}
	return 0;
}

/*
 * Is the tuple taken, by an entry in any place but this one (0: in any)? As flow_name_taken(); how
 * says at which hook, and how urgently.
 */
__noinline int flow_name_rivals(struct tuple *t, __u32 place, __u32 how, __u32 family)
{
	return family == NP_IPV4 ? name_rivals(t, place, how, NP_IPV4)
				 : name_rivals(t, place, how, NP_IPV6);
}

/*
 * A name between these addresses is given: from now on packets look for it. In both halves, as
 * either may be the next that is emptied. Mostly the bits are there.
 */
static __always_inline void flow_unfilter(const union np_addr *src, const union np_addr *dst,
					  __u32 space, int family)
{
	struct np_filter_place at = np_filter_place(np.hash_key, family, src, dst, space);
	struct np_filter *word = flow_filter_word(at.word & np.filter_mask);

	if (!word || *(volatile __u64 *)&word->half[0] & *(volatile __u64 *)&word->half[1] & at.bit)
		return;
	__sync_fetch_and_or(&word->half[0], at.bit);
	__sync_fetch_and_or(&word->half[1], at.bit);
}

static __always_inline int name_insert(struct tuple *t, __u32 how, __u32 number, int family)
{
	struct np_flow *flow = flow_record(number, family);
	__u32 name = how & NAME_MASK, used, used2, n;
	struct np_bucket *first, *second, *to;
	struct np_hash h;
	__u64 *place;
	int rc;

	if (!t || !flow)
		return -EINVAL;
	if (flow->index[name]) /* kept: see reclaim() */
		return 0;
	flow_unfilter(&t->src, &t->dst, name_space(name), family);
	h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol,
			  name_space(name));
	n = h.bucket & FLOW_MASK(family);
	first = flow_bucket(n, family);
	n = np_hash_other_bucket(h.bucket, h.tag) & FLOW_MASK(family);
	second = flow_bucket(n, family);
	if (!first || !second)
		return -EINVAL;
	if (bucket_match(first, h.tag) != BUCKET_NONE ||
	    bucket_match(second, h.tag) != BUCKET_NONE) {
		rc = flow_name_rivals(t, 0, how, family);
		if (rc)
			return rc;
	}
	/*
	 * The first bucket, as long as it is not crowded, else the emptier one: names of expired
	 * flows stay until their records are needed, so that a table in use is always full of
	 * names.
	 */
	used = bucket_used(first);
	used2 = bucket_used(second);
	if (bits_count(used) < BUCKET_CROWDED || bits_count(used) <= bits_count(used2)) {
		n = h.bucket & FLOW_MASK(family);
		to = first;
	} else {
		used = used2;
		to = second;
	}
	if (used == (1 << NP_BUCKET) - 1)
		return -ENOSPC;
	used = bits_first_clear(used) & (NP_BUCKET - 1);
	place = &to->entry[used];
	n = n * NP_BUCKET + used + 1;
	flow->index[name] = n;
	rc = -EBUSY;
	if (!__sync_val_compare_and_swap(place, 0, (__u64)h.tag << 32 | entry_of(name, number))) {
		/*
		 * Another CPU at the same name may have found another place free than this one
		 * did, since names come and go. Both are in by now, or that one will see this.
		 */
		if (!bucket_has_other(first, h.tag, entry_of(name, number)) &&
		    !bucket_has_other(second, h.tag, entry_of(name, number)))
			return 0;
		rc = flow_name_rivals(t, n, how, family);
		if (!rc)
			return 0;
		*(volatile __u64 *)place = 0;
	}
	flow->index[name] = 0;
	return rc;
}

/*
 * Give a claimed record a name: how is an enum np_name and above it the urgency, see
 * flow_gives_way(). -EEXIST: a live flow has it; -EBUSY: another CPU is at it; -ENOSPC: both
 * buckets are full.
 */
__noinline int flow_name_insert(struct tuple *t, __u32 how, __u32 number, __u32 family)
{
	return family == NP_IPV4 ? name_insert(t, how, number, NP_IPV4)
				 : name_insert(t, how, number, NP_IPV6);
}

/* What flow_worth() gives to a rank at least; less than WORTH(1): it is free or expired. */
#define WORTH(rank) ((__u64)(rank) << 32)

/* Rank in the upper half; below it, the longer idle the smaller. */
static __always_inline __u64 flow_worth(const struct np_flow *flow, __u32 now)
{
	__u64 rank = flow_rank(flow);

	if (flow_expired(flow, now))
		return 0;
	return WORTH(rank) | (__u32)~flow_age(flow, now);
}

/* The flow ends by its word, if that is what it was: packets find it no more, only its names are
 * left. */
static __always_inline bool flow_retire(struct np_flow *flow, union np_flow_word was)
{
	union np_flow_word next = was;

	next.state = NP_FLOW_FREE;
	return __sync_val_compare_and_swap(&flow->word.all, was.all, next.all) == was.all;
}

/*
 * Before a record is claimed for another flow, its own ends, by its word: false if it has become
 * worth as much as most since it was judged (answered, or seen again), and then no packet of it
 * ever misses it.
 */
static __always_inline bool flow_give_up(struct np_flow *flow, __u32 seq, __u32 now, __u64 most)
{
	union np_flow_word was = {.all = *(volatile __u64 *)&flow->word.all};

	if (was.state == NP_FLOW_FREE)
		return true;
	if ((was.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq) || flow_worth(flow, now) >= most)
		return false;
	return flow_retire(flow, was);
}

/*
 * A packet found the flow to be over, and is to begin another of the same tuple: that takes the
 * record, and to the same backend its names. See reclaim().
 */
static __always_inline void flow_supersede(struct np_flow *flow, __u32 seq)
{
	union np_flow_word was;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < FLOW_CHANGE_TRIES; i++) {
		was.all = *(volatile __u64 *)&flow->word.all;
		if (was.state == NP_FLOW_FREE ||
		    (was.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq) || flow_retire(flow, was))
			return;
	}
}

/*
 * home: take only what is free or expired. The flows of one client's port have the same home, and
 * would end each other while there is room elsewhere.
 */
static __always_inline __u32 claim(__u32 first, bool home, __u32 hook, int family)
{
	const __u64 most = WORTH(home ? 1 : RANK_LIVE);
	__u64 least = most;
	__u32 best = 0, best_seq = 0, now = now32();
	struct np_flow *flow;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < (home ? FLOW_PROBES_HOME : FLOW_PROBES); i++) {
		__u32 number = (first + i) & FLOW_MASK(family), seq;
		__u64 worth;

		flow = flow_record(number, family);
		if (!flow)
			return 0;
		seq = *(volatile __u32 *)&flow->seq;
		worth = flow_worth(flow_after(flow, seq), now);
		if (seq & 1 || worth >= least)
			continue;
		best = number;
		best_seq = seq;
		least = worth;
		if (worth < WORTH(1))
			break;
	}
	if (least == most)
		return 0;
	flow = flow_record(best, family);
	if (!flow || !flow_give_up(flow, best_seq, now, most) ||
	    __sync_val_compare_and_swap(&flow->seq, best_seq, best_seq + 1) != best_seq)
		return 0;
	if (least >= WORTH(1))
		count(hook, NP_REASON_EVICTED);
	flow_unname(best, family);
	return best + 1;
}

static __always_inline bool has_entry(const struct np_flow *flow, __u32 name, __u32 number,
				      int family)
{
	__u32 at = flow->index[name] - 1;
	struct np_bucket *bucket = flow_bucket(at / NP_BUCKET, family);

	return flow->index[name] && bucket &&
	       (__u32) * (volatile __u64 *)&bucket->entry[at % NP_BUCKET] == entry_of(name, number);
}

/*
 * May a claimed record keep its names, FORWARD and REPLY, for this flow? Not where the port is
 * chosen: those take turns. The filter may have forgotten them meanwhile; and nearpathd of
 * an older version, which cleans these tables, has taken out what was of a free record.
 */
static __always_inline bool names_stay(struct np_flow *flow, const struct flow_request *r,
				       __u32 number, int family)
{
	if ((flow->flags | r->flags) & NP_FLOW_TRANSLATED || r->move_port ||
	    flow->port[NP_SNAT] != SPORT(r->tuple.ports) ||
	    flow->port[NP_BACKEND] != r->backend_port ||
	    !flow_addr_is(flow, NP_BACKEND, &r->backend, family) ||
	    !has_entry(flow, NP_NAME_FORWARD, number, family) ||
	    !has_entry(flow, NP_NAME_REPLY, number, family))
		return false;
	flow_unfilter(&r->tuple.src, &r->tuple.dst, NP_HASH_INGRESS, family);
	flow_unfilter(&r->backend, &r->tuple.src, NP_HASH_EGRESS, family);
	return true;
}

/*
 * The record of the flow before this one, from the same client's port to the same frontend, if that
 * was superseded: its number plus one, or 0. Names that stay the same stay in the index, where
 * nobody else can have been given them.
 */
static __always_inline __u32 reclaim(const struct flow_request *r, int family)
{
	const struct tuple *t = &r->tuple;
	struct np_hash h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports,
					 t->protocol, NP_HASH_INGRESS);
	__u64 entry = flow_index(&h, family);
	__u32 number = entry_record(entry), seq;
	struct np_flow *flow;

	if (entry == BUCKET_NONE || entry_name(entry) != NP_NAME_FORWARD)
		return 0;
	flow = flow_record(number, family);
	if (!flow)
		return 0;
	seq = *(volatile __u32 *)&flow->seq;
	flow = flow_after(flow, seq);
	if (seq & 1 || flow->state != NP_FLOW_FREE ||
	    flow_name_differs(flow, NP_NAME_FORWARD, t, family) ||
	    __sync_val_compare_and_swap(&flow->seq, seq, seq + 1) != seq)
		return 0;
	if (!names_stay(flow, r, number, family))
		flow_unname(number, family);
	return number + 1;
}

/*
 * Where the record of a new flow is looked for in try number i: first from home on, where packets
 * look for it (flow_find()), then anywhere. Either way what is live is spread over the table, and
 * no row of it is as full as if records were taken one after the other. t: client -> frontend.
 */
static __always_inline __u32 flow_row(const struct tuple *t, __u32 i, int family)
{
	struct np_hash h;

	if (!i)
		return np_hash_home(np.hash_key, family, &t->src, SPORT(t->ports));
	h = np_hash_tuple(np.hash_key, family, &t->src, &t->dst, t->ports, t->protocol,
			  NP_HASH_INGRESS);
	/* Not the same rows when it is sent again. 2^32 divided by the golden ratio, odd. */
	return h.bucket + (now32() + i) * 0x9E3779B1;
}

static __always_inline __u32 claim_for(const struct flow_request *r, __u32 i, int family)
{
	__u32 number = i || r->unknown ? 0 : reclaim(r, family);

	return number ? number : claim(flow_row(&r->tuple, i, family), !i, r->hook, family);
}

/*
 * Take a record, in try number i the best of some in a row. Returns its number plus one,
 * with seq odd and none but names that it is to have; 0 if all are live or another CPU was faster.
 */
__noinline __u32 flow_claim(struct flow_request *r, __u32 i, __u32 family)
{
	if (!r)
		return 0;
	return family == NP_IPV4 ? claim_for(r, i, NP_IPV4) : claim_for(r, i, NP_IPV6);
}

/* Fill a claimed record with all but its source port and names. */
static __always_inline void flow_fill(struct np_flow *flow, const struct flow_request *r,
				      int family)
{
	union np_flow_word word = {
		.protocol = r->tuple.protocol,
		.state = r->tuple.protocol == IPPROTO_TCP   ? NP_FLOW_TCP_SYN_SENT
			 : r->tuple.protocol == IPPROTO_UDP ? NP_FLOW_UDP
							    : NP_FLOW_SCTP_NEW,
		.flags = r->flags | NP_FLOW_LIFE_OF(flow->seq + 1),
		.born = now32(),
	};

	*(volatile __u64 *)&flow->word.all = word.all; /* at once: see flow_change() */
	flow->service = r->decision.service;
	flow->backend = r->decision.backend;
	flow->seen = word.born;
	flow->port[NP_CLIENT] = SPORT(r->tuple.ports);
	flow->port[NP_FRONTEND] = DPORT(r->tuple.ports);
	flow->port[NP_BACKEND] = r->backend_port;
	addr_write(flow_addr(flow, NP_CLIENT, family), &r->tuple.src, family);
	addr_write(flow_addr(flow, NP_FRONTEND, family), &r->tuple.dst, family);
	addr_write(flow_addr(flow, NP_BACKEND, family), &r->backend, family);
	addr_write(flow_addr(flow, NP_SNAT, family), &r->snat, family);
}

/* All names but FORWARD, with this source port: as the backend's side sees the flow. */
static __always_inline int flow_name_backend_side(struct np_flow *flow, __u32 number,
						  const struct flow_request *r, __be16 port,
						  __u32 urgency, int family)
{
	struct tuple t = {.protocol = r->tuple.protocol, .src = r->backend, .dst = r->tuple.src};
	__u32 how = urgency << NAME_URGENCY_SHIFT;
	int rc;

	flow->port[NP_SNAT] = port;
	t.ports = PORTS(r->backend_port, port);
	rc = flow_name_insert(&t, how | NP_NAME_REPLY, number, family);
	if (rc || !(r->flags & NP_FLOW_TRANSLATED))
		return rc;
	t.dst = r->snat;
	rc = flow_name_insert(&t, how | NP_NAME_UNSNAT, number, family);
	if (rc)
		return rc;
	t.src = r->tuple.src;
	t.dst = r->backend;
	t.ports = PORTS(port, r->backend_port);
	return flow_name_insert(&t, how | NP_NAME_SNAT, number, family);
}

#endif
