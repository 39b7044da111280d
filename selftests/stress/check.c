/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See check.h. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define PRINTED 20 /* violations; then they are only counted */
#define LOOKS	3  /* at what seems wrong, before it is */

/* A record as it was during one life. */
struct life {
	uint32_t number;
	uint32_t seq;
	struct np_flow flow;
	union np_addr addr[NP_PLACES];
};

/* What a name of a flow is in the index. */
struct name {
	uint32_t space;
	uint32_t ports;
	uint32_t protocol;
	union np_addr src;
	union np_addr dst;
};

static struct np_flow *record(const struct tables *t, int family, uint32_t number)
{
	return family == NP_IPV4 ? &t->flows4[number].flow : &t->flows6[number].flow;
}

static uint32_t records(const struct tables *t, int family)
{
	return t->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6];
}

static uint64_t entry_at(const struct tables *t, int family, uint32_t place)
{
	struct np_bucket *index = family == NP_IPV4 ? t->flow_index4 : t->flow_index6;

	return __atomic_load_n(&index[place / NP_BUCKET].entry[place % NP_BUCKET],
			       __ATOMIC_ACQUIRE);
}

static void __attribute__((format(printf, 2, 3)))
violation(struct check_counts *counts, const char *format, ...)
{
	va_list args;

	if (counts->violations++ >= PRINTED)
		return;
	va_start(args, format);
	printf("violation: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static bool same_life(const struct tables *t, int family, const struct life *l)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&record(t, family, l->number)->seq, __ATOMIC_RELAXED) == l->seq;
}

/* False: the record is free, claimed, or changed while it was read. */
static bool life_read(const struct tables *t, int family, uint32_t number, struct life *l)
{
	struct np_flow *flow = record(t, family, number);
	const __be32 *words = (const __be32 *)(flow + 1);
	size_t count = family == NP_IPV4 ? 1 : 4;

	memset(l, 0, sizeof(*l));
	l->number = number;
	l->seq = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
	if (l->seq & 1)
		return false;
	memcpy(&l->flow, flow, sizeof(l->flow));
	for (int i = 0; i < NP_PLACES; i++)
		memcpy(&l->addr[i], words + i * count, count * sizeof(*words));
	return same_life(t, family, l) && l->flow.state != NP_FLOW_FREE;
}

static bool has_name(const struct life *l, unsigned name)
{
	return l->flow.flags & NP_FLOW_TRANSLATED || name == NP_NAME_FORWARD ||
	       name == NP_NAME_REPLY;
}

/* The table at the top of maps/flow.h. */
static struct name name_of(const struct life *l, unsigned name)
{
	static const struct {
		uint32_t space;
		enum np_place src, sport, dst, dport;
	} how[NP_NAMES] = {
		[NP_NAME_FORWARD] = {NP_HASH_INGRESS, NP_CLIENT, NP_CLIENT, NP_FRONTEND,
				     NP_FRONTEND},
		[NP_NAME_SNAT] = {NP_HASH_EGRESS, NP_CLIENT, NP_SNAT, NP_BACKEND, NP_BACKEND},
		[NP_NAME_UNSNAT] = {NP_HASH_INGRESS, NP_BACKEND, NP_BACKEND, NP_SNAT, NP_SNAT},
		[NP_NAME_REPLY] = {NP_HASH_EGRESS, NP_BACKEND, NP_BACKEND, NP_CLIENT, NP_SNAT},
	};

	return (struct name){
		.space = how[name].space,
		.ports = l->flow.port[how[name].sport] | (uint32_t)l->flow.port[how[name].dport]
								 << 16,
		.protocol = l->flow.protocol,
		.src = l->addr[how[name].src],
		.dst = l->addr[how[name].dst],
	};
}

/* Would a packet of it pass by the index, if it looked into the whole half alone? */
static bool is_filtered(const struct tables *t, int family, const struct name *n)
{
	struct np_filter_place at =
		np_filter_place(t->hash_key, family, &n->src, &n->dst, n->space);
	const struct np_filter *word = &t->flow_filter[at.word & (t->size[TABLE_flow_filter] - 1)];

	return !(__atomic_load_n(&word->half[t->config->filter], __ATOMIC_RELAXED) & at.bit);
}

/* What is wrong with a name; NULL: nothing. */
static const char *name_fault(const struct tables *t, int family, const struct life *l,
			      unsigned name)
{
	uint32_t mask = records(t, family) - 1, place = l->flow.index[name];
	struct name n = name_of(l, name);
	struct np_hash h;
	uint64_t entry;

	if (!has_name(l, name))
		return place ? "is not to have it" : NULL;
	if (!place)
		return "has no place";
	if (--place / NP_BUCKET > mask)
		return "has a place outside of the index";
	if (is_filtered(t, family, &n))
		return "is between addresses that no packet looks for";
	entry = entry_at(t, family, place);
	if ((uint32_t)entry != (name << NP_FLOW_NAME_SHIFT | l->number))
		return "is not in the index";
	h = np_hash_tuple(t->hash_key, family, &n.src, &n.dst, n.ports, n.protocol, n.space);
	if (entry >> 32 != h.tag)
		return "is there for another tuple";
	if (place / NP_BUCKET != (h.bucket & mask) &&
	    place / NP_BUCKET != (np_hash_other_bucket(h.bucket, h.tag) & mask))
		return "is in a bucket where nobody looks";
	return NULL;
}

static bool same_name(const struct name *a, const struct name *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Another live flow of the same tuple in the same hook, where packets look for it; or none. */
static bool has_double(const struct tables *t, int family, const struct life *l, unsigned name,
		       struct life *other)
{
	struct name mine = name_of(l, name), theirs;
	struct np_hash h = np_hash_tuple(t->hash_key, family, &mine.src, &mine.dst, mine.ports,
					 mine.protocol, mine.space);
	uint32_t bucket[2] = {h.bucket, np_hash_other_bucket(h.bucket, h.tag)};

	for (unsigned i = 0; i < 2 * NP_BUCKET; i++) {
		uint32_t place = (bucket[i / NP_BUCKET] & (records(t, family) - 1)) * NP_BUCKET +
				 i % NP_BUCKET;
		uint64_t entry = entry_at(t, family, place);
		uint32_t number = entry & NP_FLOW_RECORD_MASK;

		if (entry >> 32 != h.tag || number == l->number || number >= records(t, family) ||
		    !life_read(t, family, number, other))
			continue;
		theirs = name_of(other, (uint32_t)entry >> NP_FLOW_NAME_SHIFT);
		if (same_name(&mine, &theirs) && same_life(t, family, l) &&
		    same_life(t, family, other))
			return true;
	}
	return false;
}

static void check_record(const struct tables *t, int family, uint32_t number,
			 struct check_counts *counts)
{
	const char *fault = NULL;
	struct life l, other;
	unsigned name;

	if (!life_read(t, family, number, &l))
		return;
	for (name = 0; name < NP_NAMES; name++)
		if (has_name(&l, name) && has_double(t, family, &l, name, &other))
			violation(counts,
				  "IPv%d records %u and %u, seq %u and %u, state %u and %u: both "
				  "have name %u of one tuple",
				  family, number, other.number, l.seq, other.seq, l.flow.state,
				  other.flow.state, name);
	for (name = 0; name < NP_NAMES && !fault; name++)
		fault = name_fault(t, family, &l, name);
	if (!same_life(t, family, &l))
		return;
	counts->records++;
	if ((l.flow.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(l.seq))
		violation(counts, "IPv%d record %u, seq %u: state %u is of another life", family,
			  number, l.seq, l.flow.state);
	if (l.flow.state >= NP_FLOW_STATES)
		violation(counts, "IPv%d record %u: state %u", family, number, l.flow.state);
	if (fault)
		violation(counts, "IPv%d record %u, seq %u, state %u: name %u %s", family, number,
			  l.seq, l.flow.state, name - 1, fault);
}

static bool entry_is_known(const struct tables *t, int family, uint32_t place, uint64_t entry)
{
	uint32_t number = entry & NP_FLOW_RECORD_MASK;
	unsigned name = (uint32_t)entry >> NP_FLOW_NAME_SHIFT;

	return number < records(t, family) &&
	       __atomic_load_n(&record(t, family, number)->index[name], __ATOMIC_ACQUIRE) ==
		       place + 1;
}

static void check_entry(const struct tables *t, int family, uint32_t place,
			struct check_counts *counts)
{
	uint64_t entry = entry_at(t, family, place);

	if (!entry)
		return;
	counts->entries++;
	for (int i = 0; i < LOOKS; i++)
		if (entry_is_known(t, family, place, entry) || entry_at(t, family, place) != entry)
			return;
	violation(counts, "IPv%d place %u: record %u does not know of its name %u here", family,
		  place, (uint32_t)entry & NP_FLOW_RECORD_MASK,
		  (uint32_t)entry >> NP_FLOW_NAME_SHIFT);
}

void check_running(const struct tables *t, int family, struct check_counts *counts)
{
	uint32_t count = records(t, family), i;

	for (i = 0; i < count; i++)
		check_record(t, family, i, counts);
	for (i = 0; i < count * NP_BUCKET; i++)
		check_entry(t, family, i, counts);
}

/* Is it one of a flow that ended by its word, and kept for its client's next (reclaim())? */
static bool is_kept(const struct tables *t, int family, const struct life *l, unsigned name)
{
	uint32_t place = l->flow.index[name];

	return l->flow.state == NP_FLOW_FREE && has_name(l, name) &&
	       (uint32_t)entry_at(t, family, place - 1) == (name << NP_FLOW_NAME_SHIFT | l->number);
}

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name));
}

static void check_shared(int family, struct name *names, size_t count, struct check_counts *counts)
{
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 1; i < count; i++)
		if (!compare_names(&names[i - 1], &names[i]))
			violation(counts, "IPv%d: two flows share a tuple, ports %u to %u", family,
				  (names[i].ports & 0xFF) << 8 | (names[i].ports >> 8 & 0xFF),
				  (names[i].ports >> 16 & 0xFF) << 8 | names[i].ports >> 24);
}

void check_stopped(const struct tables *t, int family, struct check_counts *counts, uint32_t *live)
{
	uint32_t count = records(t, family), i, entries = 0;
	_cleanup_free_ struct name *names = calloc((size_t)count * NP_NAMES, sizeof(*names));
	size_t named = 0, kept = 0;
	struct life l;

	*live = 0;
	check_running(t, family, counts);
	for (i = 0; i < count * NP_BUCKET; i++)
		entries += entry_at(t, family, i) != 0;
	for (i = 0; i < count && names; i++) {
		bool is_live = life_read(t, family, i, &l);

		if (l.seq & 1)
			violation(counts, "IPv%d record %u was left claimed, seq %u", family, i,
				  l.seq);
		*live += is_live;
		for (unsigned name = 0; name < NP_NAMES; name++) {
			if (is_live && has_name(&l, name))
				names[named++] = name_of(&l, name);
			else if (l.seq & 1 || !l.flow.index[name])
				continue;
			else if (is_kept(t, family, &l, name))
				kept++;
			else
				violation(counts, "IPv%d record %u: a name that it is not to have",
					  family, i);
		}
	}
	if (entries != named + kept)
		violation(counts, "IPv%d: %u index entries, %zu names of flows", family, entries,
			  named + kept);
	if (names)
		check_shared(family, names, named, counts);
}
