/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Entries of the index `frontends`: where one goes, and the one store by which packets see another
 * version of it.
 */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

struct frontend_key frontend_key(const struct plan *plan, const struct plan_frontend *f)
{
	struct frontend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = f->addr;
	key.port = f->port;
	key.protocol = plan->protocol;
	key.family = plan->family;
	return key;
}

static uint32_t hash_of(const struct frontend_key *key)
{
	return set_hash(key, sizeof(*key));
}

static bool is(const void *item, const void *key)
{
	const struct frontend *f = item;

	return same_bytes(&f->service.key, key, sizeof(f->service.key));
}

struct frontend *frontend_get(struct publisher *p, const struct frontend_key *key)
{
	return set_find(&p->frontends, hash_of(key), is, key);
}

static struct np_filter_place address_place(const struct publisher *p,
					    const struct frontend_key *key)
{
	struct np_filter_place at = np_address_place(p->tables->hash_key, NP_IPV6, &key->addr);

	at.word &= p->tables->size[TABLE_address_filter] - 1;
	return at;
}

bool frontend_is_known(const struct publisher *p, const struct frontend *f)
{
	const struct np_filter_place at = address_place(p, &f->service.key);

	return p->tables->address_filter[at.word].bits & at.bit;
}

void frontend_know(struct publisher *p, const struct frontend *f)
{
	const struct np_filter_place at = address_place(p, &f->service.key);
	__u64 *bits = &p->tables->address_filter[at.word].bits;

	__atomic_store_n(bits, *bits | at.bit, __ATOMIC_RELEASE);
}

int frontend_add(struct publisher *p, struct frontend *f, const uint64_t *entry, uint32_t tag)
{
	int rc = set_add(&p->frontends, hash_of(&f->service.key), f);

	if (rc)
		return rc;
	f->entry = (uint32_t)(entry - (const uint64_t *)p->tables->frontends);
	f->tag = tag;
	entry_take(p, entry, true);
	frontend_know(p, f);
	return 0;
}

bool entry_is_taken(const struct publisher *p, const uint64_t *entry)
{
	size_t n = entry - (const uint64_t *)p->tables->frontends;

	return p->entry_taken[n / 64] >> (n % 64) & 1;
}

void entry_take(struct publisher *p, const uint64_t *entry, bool take)
{
	size_t n = entry - (const uint64_t *)p->tables->frontends;

	if (take)
		p->entry_taken[n / 64] |= 1ULL << (n % 64);
	else
		p->entry_taken[n / 64] &= ~(1ULL << (n % 64));
}

bool entry_in_place(struct publisher *p, const uint64_t *entry, const struct frontend_key *key,
		    uint32_t *tag)
{
	const struct tables *t = p->tables;
	struct np_hash h =
		np_hash_frontend(t->hash_key, NP_IPV6, &key->addr, key->port, key->protocol);
	uint32_t mask = t->size[TABLE_frontends] - 1;
	uint32_t at = (entry - (const uint64_t *)t->frontends) / NP_BUCKET;

	*tag = h.tag;
	return at == (h.bucket & mask) || at == (np_hash_other_bucket(h.bucket, h.tag) & mask);
}

/*
 * Make the filter anew: what has gone goes from it. Without memory for that it is as it was, and
 * more packets than need be look into the index.
 */
static void refilter(struct publisher *p)
{
	struct np_address_filter *filter = p->tables->address_filter;
	const uint32_t words = p->tables->size[TABLE_address_filter];
	_cleanup_free_ __u64 *bits = calloc(words, sizeof(*bits));
	const struct frontend *f;
	struct np_filter_place at;
	size_t place = 0;

	if (!bits)
		return;
	while ((f = set_next(&p->frontends, &place))) {
		at = address_place(p, &f->service.key);
		bits[at.word] |= at.bit;
	}
	for (uint32_t i = 0; i < words; i++)
		__atomic_store_n(&filter[i].bits, bits[i], __ATOMIC_RELEASE);
	p->forgotten = 0;
}

void frontends_settled(struct publisher *p)
{
	if (p->swept && p->addressed)
		refilter(p);
}

/* The index entry of a key: where it is, or where it can go. NULL: both buckets are full. */
static uint64_t *entry_place(struct publisher *p, const struct frontend_key *key, uint32_t *tag)
{
	struct tables *t = p->tables;
	struct np_hash h =
		np_hash_frontend(t->hash_key, NP_IPV6, &key->addr, key->port, key->protocol);
	uint32_t mask = t->size[TABLE_frontends] - 1;
	uint64_t *place[2] = {};
	uint32_t used[2] = {};
	int side, i;

	*tag = h.tag;
	for (side = 0; side < 2; side++) {
		uint32_t n = side ? np_hash_other_bucket(h.bucket, h.tag) : h.bucket;
		uint64_t *entry = (uint64_t *)t->frontends[n & mask].entry;

		for (i = 0; i < NP_BUCKET; i++) {
			if (entry[i] || entry_is_taken(p, &entry[i]))
				used[side]++;
			else if (!place[side])
				place[side] = &entry[i];
		}
	}
	/* The emptier of the two: so no bucket overflows, and no entry ever has to move. */
	return !place[0] || (place[1] && used[1] < used[0]) ? place[1] : place[0];
}

static void entry_store(struct publisher *p, const struct frontend *f)
{
	__atomic_store_n(frontend_entry(p, f), frontend_value(f), __ATOMIC_RELEASE);
}

/* All but its content is as it was. */
static void inherit(struct frontend *f, const struct frontend *old)
{
	f->tag = old->tag;
	f->entry = old->entry;
	f->owner = old->owner;
	f->generation = old->generation; /* or cluster_ips */
	f->host_flags = old->host_flags;
	f->stale = old->stale;
	f->adopted = old->adopted;
	f->taken_over = old->taken_over;
	f->told = old->told;
}

int frontend_publish(struct publisher *p, struct frontend *f)
{
	const struct frontend_key *key = &f->service.key;
	struct frontend *old = frontend_get(p, key);
	uint64_t *entry;
	uint32_t tag;
	int rc;

	if (old) {
		inherit(f, old);
		set_replace(&p->frontends, hash_of(key), old, f);
		entry_store(p, f);
		version_give(p, old);
		return 0;
	}
	entry = entry_place(p, key, &tag);
	if (!entry) {
		p->full = TABLE_frontends;
		return -ENOSPC;
	}
	rc = frontend_add(p, f, entry, tag);
	if (!rc)
		entry_store(p, f);
	return rc;
}

/* Not for each that goes: to make the filter takes as long as there are frontends. */
#define FORGOTTEN_LEAST 1024

void frontend_remove(struct publisher *p, struct frontend *f)
{
	uint64_t *entry = frontend_entry(p, f);

	__atomic_store_n(entry, 0, __ATOMIC_RELEASE);
	entry_take(p, entry, false);
	set_remove(&p->frontends, hash_of(&f->service.key), f);
	version_give(p, f);
	if (++p->forgotten > FORGOTTEN_LEAST + p->frontends.count / 2)
		frontends_settled(p);
}
