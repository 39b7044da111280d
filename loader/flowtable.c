/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The programs' flow table code over the mapped tables. What it is given by its includer is here:
 * how a record is reached, the settings, the time.
 */
#include "flowtable.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "../maps/settings.h"
#include "util.h"

/* The tables of the call that this thread is in. */
static __thread struct tables *table;

/* The settings that the programs were loaded with. */
#define np (*table->settings)

#define np_ctx struct __sk_buff /* for packet.h; no packet comes here */

static inline __u32 now32(void)
{
	return tables_jiffies();
}

static inline struct np_flow *flow_record(__u32 number, int family)
{
	if (family == NP_IPV4)
		return number < table->size[TABLE_flows4] ? &table->flows4[number].flow : NULL;
	return number < table->size[TABLE_flows6] ? &table->flows6[number].flow : NULL;
}

static inline struct np_bucket *flow_bucket(__u32 number, int family)
{
	if (family == NP_IPV4)
		return number < table->size[TABLE_flow_index4] ? &table->flow_index4[number] : NULL;
	return number < table->size[TABLE_flow_index6] ? &table->flow_index6[number] : NULL;
}

static inline struct np_filter *flow_filter_word(__u32 number)
{
	return number < table->size[TABLE_flow_filter] ? &table->flow_filter[number] : NULL;
}

static inline struct np_backend *flow_backend(const struct np_flow *flow)
{
	return flow->backend < table->size[TABLE_backends] ? &table->backends[flow->backend] : NULL;
}

/* The counters are the programs', one writer a CPU. */
static inline int count(__u32 hook, __u32 reason)
{
	(void)hook;
	(void)reason;
	return 0;
}

/* clang's, for loops that the verifier follows. */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

#include "../datapath/flow.h"
#include "../datapath/flow_new.h"

static uint32_t records(int family)
{
	return table->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6];
}

/* As flow_unchanged(). */
static bool same_life(const struct flow_hit *hit)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&hit->flow->seq, __ATOMIC_RELAXED) == hit->seq;
}

int flowtable_read(struct tables *t, int family, uint32_t number, struct flowtable_flow *flow,
		   uint32_t *seq)
{
	struct flow_hit hit = {.number = number};
	struct flowtable_flow f = {.family = family};
	union np_flow_word word;

	table = t;
	hit.flow = flow_record(number, family);
	if (!hit.flow)
		return -ENOENT;
	hit.seq = __atomic_load_n(&hit.flow->seq, __ATOMIC_ACQUIRE);
	word.all = __atomic_load_n(&hit.flow->word.all, __ATOMIC_RELAXED);
	f.protocol = word.protocol;
	f.state = word.state;
	f.flags = word.flags & ~NP_FLOW_LIFE;
	f.seen = hit.flow->seen;
	f.born = word.born;
	f.service = hit.flow->service;
	f.backend = hit.flow->backend;
	memcpy(f.port, hit.flow->port, sizeof(f.port));
	for (int i = 0; i < NP_PLACES; i++)
		addr_read(&f.addr[i], flow_addr(hit.flow, i, family), family);
	if (hit.seq & 1 || f.state == NP_FLOW_FREE || !same_life(&hit))
		return -ENOENT;
	*flow = f;
	if (seq)
		*seq = hit.seq;
	return 0;
}

int flowtable_find(struct tables *t, const struct flowtable_tuple *tuple, uint32_t space,
		   struct flowtable_hit *hit)
{
	struct tuple key = {.src = tuple->src,
			    .dst = tuple->dst,
			    .ports = PORTS(tuple->src_port, tuple->dst_port),
			    .protocol = tuple->protocol};
	struct tuple scratch;
	struct flow_hit found;

	table = t;
	found = tuple->family == NP_IPV4 ? flow_find(&key, space, NP_IPV4, &scratch)
					 : flow_find(&key, space, NP_IPV6, &scratch);
	if (!found.flow || !same_life(&found))
		return -ENOENT;
	*hit = (struct flowtable_hit){.number = found.number, .seq = found.seq, .name = found.name};
	return 0;
}

int flowtable_end(struct tables *t, int family, uint32_t number, uint32_t seq)
{
	table = t;
	return flow_end(number, seq, family);
}

int flowtable_expire(struct tables *t, int family, uint32_t number)
{
	struct np_flow *flow;
	uint32_t seq;

	table = t;
	flow = flow_record(number, family);
	if (!flow)
		return -ENOENT;
	seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
	if (seq & 1 || flow->state == NP_FLOW_FREE)
		return -ENOENT;
	if (!flow_give_up(flow, seq, now32(), WORTH(1)))
		return -EAGAIN;
	if (__sync_val_compare_and_swap(&flow->seq, seq, seq + 1) != seq)
		return -ESTALE;
	flow_release(flow, number, family);
	return 0;
}

/* Looks at a claim before it is taken for a dead writer's; a grace period between them. */
#define RECOVER_LOOKS 3

/* The records of a family that are claimed, as their seqs; others 0. Those there are. */
static size_t look_for_claims(uint32_t *seqs, int family, bool first)
{
	size_t found = 0;

	for (uint32_t n = 0; n < records(family); n++) {
		uint32_t seq = __atomic_load_n(&flow_record(n, family)->seq, __ATOMIC_ACQUIRE);

		if (first)
			seqs[n] = seq & 1 ? seq : 0;
		else if (seqs[n] != seq)
			seqs[n] = 0;
		found += seqs[n] != 0;
	}
	return found;
}

static int recover_family(int family)
{
	_cleanup_free_ uint32_t *seqs = calloc(records(family), sizeof(*seqs));
	size_t found = 0;
	int rc;

	if (!seqs)
		return -ENOMEM;
	for (int look = 0; look < RECOVER_LOOKS; look++) {
		rc = look ? tables_synchronize() : 0;
		if (rc)
			return rc;
		found = look_for_claims(seqs, family, !look);
		if (!found)
			return 0;
	}
	for (uint32_t n = 0; n < records(family); n++)
		if (seqs[n])
			flow_release(flow_record(n, family), n, family);
	return found;
}

int flowtable_recover(struct tables *t)
{
	int four, six;

	table = t;
	four = recover_family(NP_IPV4);
	six = four < 0 ? 0 : recover_family(NP_IPV6);
	return four < 0 ? four : six < 0 ? six : four + six;
}

static uint32_t claim_from(uint32_t first, bool home, int family)
{
	return family == NP_IPV4 ? claim(first, home, 0, NP_IPV4) : claim(first, home, 0, NP_IPV6);
}

/* As a program does; where that finds none, the whole table is looked at. */
static int claim_any(const struct tuple *forward, int family, uint32_t *number)
{
	uint32_t claimed = 0, first;
	int i;

	for (i = 0; i < FLOW_CLAIM_TRIES && !claimed; i++)
		claimed = claim_from(flow_row(forward, i, family), !i, family);
	for (first = 0; first < records(family) && !claimed; first += FLOW_PROBES)
		claimed = claim_from(first, false, family);
	*number = claimed - 1;
	return claimed ? 0 : -ENOSPC;
}

/* All names of a claimed record. */
static int name_all(struct np_flow *record, uint32_t number, const struct flow_request *r,
		    __be16 port, int family)
{
	struct tuple forward = r->tuple;
	int rc = flow_name_backend_side(record, number, r, port, 0, family), i;

	if (rc)
		return rc;
	rc = -EBUSY;
	for (i = 0; i < FLOW_NAME_TRIES && rc == -EBUSY; i++)
		rc = flow_name_insert(&forward, NP_NAME_FORWARD, number, family);
	return rc;
}

/* The addresses of a name: maps/flow.h. */
static const struct {
	uint32_t space;
	enum np_place src, dst;
} name_ends[NP_NAMES] = {
	[NP_NAME_FORWARD] = {NP_HASH_INGRESS, NP_CLIENT, NP_FRONTEND},
	[NP_NAME_SNAT] = {NP_HASH_EGRESS, NP_CLIENT, NP_BACKEND},
	[NP_NAME_UNSNAT] = {NP_HASH_INGRESS, NP_BACKEND, NP_SNAT},
	[NP_NAME_REPLY] = {NP_HASH_EGRESS, NP_BACKEND, NP_CLIENT},
};

void flowtable_unfilter(struct tables *t, int family, const struct flowtable_flow *flow,
			unsigned half)
{
	struct np_filter_place at;

	for (int name = 0; name < NP_NAMES; name++) {
		if (!(flow->flags & NP_FLOW_TRANSLATED) &&
		    (name == NP_NAME_SNAT || name == NP_NAME_UNSNAT))
			continue;
		at = np_filter_place(t->hash_key, family, &flow->addr[name_ends[name].src],
				     &flow->addr[name_ends[name].dst], name_ends[name].space);
		__atomic_fetch_or(
			&t->flow_filter[at.word & (t->size[TABLE_flow_filter] - 1)].half[half],
			at.bit, __ATOMIC_RELAXED);
	}
}

int flowtable_insert(struct tables *t, const struct flowtable_flow *flow, uint32_t *number)
{
	struct flow_request r = {
		.tuple = {.src = flow->addr[NP_CLIENT],
			  .dst = flow->addr[NP_FRONTEND],
			  .ports = PORTS(flow->port[NP_CLIENT], flow->port[NP_FRONTEND]),
			  .protocol = flow->protocol},
		.backend = flow->addr[NP_BACKEND],
		.snat = flow->addr[NP_SNAT],
		.decision = {.backend = flow->backend, .service = flow->service},
		.backend_port = flow->port[NP_BACKEND],
		.flags = flow->flags & ~NP_FLOW_LIFE,
	};
	struct np_flow *record;
	uint32_t n;
	int rc;

	if (flow->state == NP_FLOW_FREE || flow->state >= NP_FLOW_STATES ||
	    (flow->family != NP_IPV4 && flow->family != NP_IPV6))
		return -EINVAL;
	table = t;
	rc = claim_any(&r.tuple, flow->family, &n);
	if (rc)
		return rc;
	record = flow_record(n, flow->family);
	flow_fill(record, &r, flow->family);
	record->state = flow->state;
	record->seen = flow->seen;
	record->born = flow->born;
	flow_track_way(&record->word, false); /* a version that does not know may have been at it */
	rc = name_all(record, n, &r, flow->port[NP_SNAT], flow->family);
	if (rc) {
		flow_release(record, n, flow->family);
		return rc;
	}
	flow_publish(record);
	if (number)
		*number = n;
	return 0;
}

void flowtable_follow(struct tables *t, int family, uint32_t number, uint32_t seq, uint8_t was,
		      const struct flowtable_flow *now)
{
	union np_flow_word word, next;
	struct np_flow *record;

	table = t;
	record = flow_record(number, family);
	if (!record)
		return;
	next.all = word.all = __atomic_load_n(&record->word.all, __ATOMIC_RELAXED);
	if (word.state != was || (word.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq))
		return;
	next.state = now->state;
	next.born = now->born;
	next.flags &= NP_FLOW_LIFE | NP_FLOW_DEPARTED; /* packets take back what else they set */
	next.flags |= now->flags & ~NP_FLOW_LIFE;
	flow_track_way(&next, false);
	__sync_val_compare_and_swap(&record->word.all, word.all, next.all);
}
