/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The flows of another version: reading records, ending them, clearing the index. The protocol of
 * seq and of index entries is the same in all versions (maps/abi.h).
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "layout.h"
#include "util.h"

static const struct {
	const char *name;
	size_t place; /* in struct layout_record */
	uint32_t size, count;
} wanted[] = {
#define FIELD(name, size, count)                                                                   \
	{                                                                                          \
#name, offsetof(struct layout_record, name), size, count                           \
	}
	FIELD(seq, 4, 1),	   FIELD(seen, 4, 1),	      FIELD(port, 2, NP_PLACES),
	FIELD(index, 4, NP_NAMES), FIELD(protocol, 0, 1),     FIELD(state, 0, 1),
	FIELD(flags, 0, 1),	   FIELD(service, 4, 1),      FIELD(backend, 4, 1),
	FIELD(born, 4, 1),	   FIELD(addr, 0, NP_PLACES),
#undef FIELD
};

/* X(enumerator): the states of version 2 and what they are now: of TCP, UDP, SCTP. */
static const struct {
	const char *name;
	uint8_t state[3];
} old_states[] = {
	{"NP_FLOW_FREE", {NP_FLOW_FREE, NP_FLOW_FREE, NP_FLOW_FREE}},
	{"NP_FLOW_TCP_NEW", {NP_FLOW_TCP_SYN_SENT, NP_FLOW_UDP, NP_FLOW_SCTP_NEW}},
	{"NP_FLOW_TCP_OPEN",
	 {NP_FLOW_TCP_ESTABLISHED, NP_FLOW_UDP_STREAM, NP_FLOW_SCTP_ESTABLISHED}},
	{"NP_FLOW_TCP_HALF_CLOSED",
	 {NP_FLOW_TCP_CLOSE_WAIT, NP_FLOW_UDP_STREAM, NP_FLOW_SCTP_ESTABLISHED}},
	{"NP_FLOW_CLOSED", {NP_FLOW_TCP_TIME_WAIT, NP_FLOW_UDP, NP_FLOW_SCTP_CLOSED}},
	{"NP_FLOW_UDP_NEW", {NP_FLOW_TCP_SYN_SENT, NP_FLOW_UDP, NP_FLOW_SCTP_NEW}},
	{"NP_FLOW_UDP_OPEN",
	 {NP_FLOW_TCP_ESTABLISHED, NP_FLOW_UDP_STREAM, NP_FLOW_SCTP_ESTABLISHED}},
	{"NP_FLOW_SCTP_OPEN",
	 {NP_FLOW_TCP_ESTABLISHED, NP_FLOW_UDP_STREAM, NP_FLOW_SCTP_ESTABLISHED}},
};

/* A state that is unknown here is taken for that of a flow in use. */
static const uint8_t in_use[3] = {NP_FLOW_TCP_ESTABLISHED, NP_FLOW_UDP_STREAM,
				  NP_FLOW_SCTP_ESTABLISHED};

static const char *const state_names[NP_FLOW_STATES] = {
#define X(e, name, seconds) [NP_FLOW_##e] = "NP_FLOW_" #e,
	NP_FLOW_STATE_LIST(X)
#undef X
};

static void learn_state(const char *name, uint32_t value, void *arg)
{
	struct layout *l = arg;

	for (size_t i = 0; i < NP_FLOW_STATES && value < ARRAY_SIZE(l->state); i++)
		if (!strcmp(state_names[i], name))
			memset(l->state[value], (int)i, sizeof(l->state[value]));
}

static void learn_states(struct layout *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(l->state); i++)
		memcpy(l->state[i],
		       l->in_root && i < ARRAY_SIZE(old_states) ? old_states[i].state : in_use,
		       sizeof(l->state[i]));
	memset(l->state[0], NP_FLOW_FREE, sizeof(l->state[0])); /* in all versions */
	layout_enum(l, "np_flow_state", learn_state, l);
}

static enum layout_map records_of(int family)
{
	return family == NP_IPV4 ? LAYOUT_flows4 : LAYOUT_flows6;
}

static const struct layout_record *fields_of(const struct layout *l, int family)
{
	return &l->record[family == NP_IPV6];
}

/* Sizes that are 0 in the table may differ between versions. */
static bool is_wanted(const struct layout_field *f, uint32_t size, uint32_t count)
{
	return f->size && f->count >= count && (size ? f->size == size : f->size <= 16) &&
	       (size != 4 || f->at % 4 == 0);
}

int layout_flow_fields(struct layout *l, const char **missing)
{
	for (int six = 0; six < 2; six++) {
		for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
			struct layout_field f = layout_field(l, six ? LAYOUT_flows6 : LAYOUT_flows4,
							     wanted[i].name);

			*missing = wanted[i].name;
			if (!is_wanted(&f, wanted[i].size, wanted[i].count))
				return -EPROTO;
			memcpy((char *)&l->record[six] + wanted[i].place, &f, sizeof(f));
		}
		if (l->record[six].addr.size != (six ? 16 : 4))
			return -EPROTO;
	}
	learn_states(l);
	return 0;
}

uint32_t layout_records(const struct layout *l, int family)
{
	return l->table[records_of(family)].size;
}

static uint32_t *word(void *record, const struct layout_field *f, uint32_t i)
{
	return (uint32_t *)((char *)record + f->at) + i;
}

static uint8_t state_of(const struct layout *l, const void *record, const struct layout_record *r)
{
	uint8_t protocol = layout_number(record, &r->protocol, 0);
	uint8_t state = layout_number(record, &r->state, 0);

	return l->state[state][protocol == IPPROTO_TCP ? 0 : protocol == IPPROTO_UDP ? 1 : 2];
}

int layout_read(const struct layout *l, int family, uint32_t number, struct flowtable_flow *flow,
		uint32_t *seq)
{
	const struct layout_record *r = fields_of(l, family);
	void *record = layout_entry(l, records_of(family), number);
	struct flowtable_flow f = {.family = family};
	uint32_t life;
	int i;

	if (!record)
		return -ENOENT;
	life = __atomic_load_n(word(record, &r->seq, 0), __ATOMIC_ACQUIRE);
	f.state = state_of(l, record, r);
	if (life & 1 || f.state == NP_FLOW_FREE)
		return -ENOENT;
	f.protocol = layout_number(record, &r->protocol, 0);
	f.flags = layout_number(record, &r->flags, 0) & ~NP_FLOW_LIFE;
	f.seen = layout_number(record, &r->seen, 0);
	f.born = layout_number(record, &r->born, 0);
	f.service = layout_number(record, &r->service, 0);
	f.backend = layout_number(record, &r->backend, 0);
	for (i = 0; i < NP_PLACES; i++) {
		f.port[i] = layout_number(record, &r->port, i);
		f.addr[i] = layout_addr(record, &r->addr, i);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(word(record, &r->seq, 0), __ATOMIC_RELAXED) != life)
		return -ENOENT;
	*flow = f;
	*seq = life;
	return 0;
}

static uint64_t *index_entry(const struct layout *l, int family, uint32_t at)
{
	struct np_bucket *bucket = layout_entry(
		l, family == NP_IPV4 ? LAYOUT_flow_index4 : LAYOUT_flow_index6, at / NP_BUCKET);

	return bucket ? (uint64_t *)&bucket->entry[at % NP_BUCKET] : NULL;
}

static void clear_entry(uint64_t *place, uint64_t entry)
{
	__atomic_compare_exchange_n(place, &entry, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* A claimed record loses its names and is free: datapath/flow_new.h, flow_release(). */
static void release(struct layout *l, int family, uint32_t number)
{
	const struct layout_record *r = fields_of(l, family);
	void *record = layout_entry(l, records_of(family), number);
	uint32_t name, at;

	for (name = 0; name < NP_NAMES; name++) {
		uint32_t *index = word(record, &r->index, name);
		uint64_t *place, entry;

		at = __atomic_load_n(index, __ATOMIC_RELAXED);
		if (!at)
			continue;
		__atomic_store_n(index, 0, __ATOMIC_RELAXED);
		place = index_entry(l, family, at - 1);
		entry = place ? __atomic_load_n(place, __ATOMIC_RELAXED) : 0;
		if ((uint32_t)entry == (name << NP_FLOW_NAME_SHIFT | number))
			clear_entry(place, entry);
	}
	memset((char *)record + r->state.at, 0, r->state.size);
	__atomic_add_fetch(word(record, &r->seq, 0), 1, __ATOMIC_SEQ_CST);
}

int layout_end(struct layout *l, int family, uint32_t number, uint32_t seq)
{
	void *record = layout_entry(l, records_of(family), number);
	uint32_t *life = record ? word(record, &fields_of(l, family)->seq, 0) : NULL;

	if (!life || seq & 1 ||
	    !__atomic_compare_exchange_n(life, &seq, seq + 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return -ESTALE;
	release(l, family, number);
	return 0;
}

bool layout_is_claimed(const struct layout *l, int family, uint32_t number, uint32_t *seq)
{
	void *record = layout_entry(l, records_of(family), number);

	*seq = record ? __atomic_load_n(word(record, &fields_of(l, family)->seq, 0),
					__ATOMIC_ACQUIRE)
		      : 0;
	return *seq & 1;
}

void layout_free_claimed(struct layout *l, int family, uint32_t number, uint32_t seq)
{
	uint32_t now;

	if (layout_is_claimed(l, family, number, &now) && now == seq)
		release(l, family, number);
}

/* Is the entry at this place one that its record knows of? -EAGAIN: that may be about to change. */
static int is_known(const struct layout *l, int family, uint32_t at, uint64_t entry, uint32_t *seq)
{
	const uint32_t number = (uint32_t)entry & NP_FLOW_RECORD_MASK;
	const uint32_t name = (uint32_t)entry >> NP_FLOW_NAME_SHIFT;
	void *record = layout_entry(l, records_of(family), number);
	uint32_t now;
	bool known;

	if (!record)
		return false;
	/* One that is being made knows its entries before it stores them. */
	if (layout_is_claimed(l, family, number, seq))
		return -EAGAIN;
	known = *word(record, &fields_of(l, family)->index, name) == at + 1;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* Else the next life may have put the same entry in the same place. */
	return layout_is_claimed(l, family, number, &now) || now != *seq ? -EAGAIN : known;
}

uint32_t layout_clean(struct layout *l, int family, uint32_t bucket)
{
	const struct layout_record *r = fields_of(l, family);
	uint32_t left = 0, at;

	for (at = bucket * NP_BUCKET; at < (bucket + 1) * NP_BUCKET; at++) {
		uint64_t *place = index_entry(l, family, at);
		uint64_t entry = place ? __atomic_load_n(place, __ATOMIC_ACQUIRE) : 0;
		uint32_t number = (uint32_t)entry & NP_FLOW_RECORD_MASK, seq = 0;
		int known = entry ? is_known(l, family, at, entry, &seq) : 0;

		if (entry && !known)
			clear_entry(place, entry);
		else if (known < 0 ||
			 (known && state_of(l, layout_entry(l, records_of(family), number), r) !=
					   NP_FLOW_FREE))
			left++;
		else if (known) /* its client's next flow would take it over with its names */
			left += layout_end(l, family, number, seq) != 0;
	}
	return left;
}
