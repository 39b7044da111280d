/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Versions of frontends: writing one with its slots and backends into free space, and giving one
 * back. Also what belongs to a backend alone: its source address.
 */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

struct backend_key backend_key(uint8_t family, const union np_addr *addr, __be16 port)
{
	struct backend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.port = port;
	key.family = family;
	return key;
}

void backend_write(struct publisher *p, const struct backend *b)
{
	struct np_backend *entry = &p->tables->backends[backend_number(p, b)];
	unsigned i;

	/* Word by word: programs may be reading; an address changes when the node's does. */
	for (i = 0; i < 4; i++) {
		__atomic_store_n(&entry->addr.word[i], b->entry.addr.word[i], __ATOMIC_RELAXED);
		__atomic_store_n(&entry->snat.word[i], b->entry.snat.word[i], __ATOMIC_RELAXED);
	}
	__atomic_store_n(&entry->port, b->entry.port, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->family, b->entry.family, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->zone, b->entry.zone, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->source, b->entry.source, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->sources, b->entry.sources, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->flags, b->entry.flags, __ATOMIC_RELEASE);
}

/* Ask for the source address; an unknown one stays zero and new connections are refused. */
static void backend_source(struct publisher *p, struct backend *b)
{
	struct publish_addresses source = {};

	if (p->source(p->source_arg, b->entry.family, &b->entry.addr, &source))
		return;
	b->entry.snat = source.addr;
	b->entry.source = source.more;
	b->entry.sources = source.count;
}

static void backend_fill(struct publisher *p, struct backend *b)
{
	const uint32_t number = backend_number(p, b);

	memset(&p->tables->backends[number], 0, sizeof(struct np_backend));
	memset(&p->tables->snat_ports[number], 0, sizeof(struct np_ports));
	backend_source(p, b);
	backend_write(p, b);
}

/* The number it had in other tables, where it can be had. */
static int take_backend(struct publisher *p, const struct backend_key *key, uint32_t *number)
{
	uint32_t wanted = NO_NUMBER;

	if (p->wanted)
		wanted = p->wanted(p->wanted_arg, key->family, &key->addr, key->port);
	if (wanted < p->tables->size[TABLE_backends] && !space_adopt_backend(p->space, wanted)) {
		*number = wanted;
		return 0;
	}
	return space_take_backend(p->space, number);
}

static uint32_t hash_of(const struct backend_key *key)
{
	return set_hash(key, sizeof(*key));
}

static bool is(const void *item, const void *wanted)
{
	const struct backend_entry *entry = &((const struct backend *)item)->entry;
	const struct backend_key *key = wanted;

	return entry->port == key->port && entry->family == key->family &&
	       same_bytes(&entry->addr, &key->addr, sizeof(key->addr));
}

struct backend *backend_find(struct publisher *p, const struct backend_key *key)
{
	return set_find(&p->backends, hash_of(key), is, key);
}

uint32_t backend_number(const struct publisher *p, const struct backend *b)
{
	return (uint32_t)(b - p->backend);
}

struct backend *backend_at(const struct publisher *p, uint32_t number)
{
	return number < p->tables->size[TABLE_backends] && p->backend[number].there
		       ? &p->backend[number]
		       : NULL;
}

int backend_add(struct publisher *p, const struct backend_key *key, uint32_t number)
{
	struct backend *b = &p->backend[number];
	int rc = set_add(&p->backends, hash_of(key), b);

	if (rc)
		return rc;
	*b = (struct backend){
		.entry = {.addr = key->addr, .port = key->port, .family = key->family},
		.there = true,
	};
	return 0;
}

void publish_expect(struct publisher *p, size_t endpoints)
{
	/* What finds no room, here or in the table, is told of one by one. */
	if (endpoints > p->tables->size[TABLE_backends])
		endpoints = p->tables->size[TABLE_backends];
	if (endpoints > p->backends.count)
		(void)set_reserve(&p->backends, endpoints - p->backends.count);
}

static int backend_get(struct publisher *p, const struct backend_key *key, struct backend **backend)
{
	struct backend *b = backend_find(p, key);
	uint32_t number;
	int rc;

	if (b) {
		*backend = b;
		return 0;
	}
	rc = take_backend(p, key, &number);
	if (rc) {
		p->full = TABLE_backends;
		return rc;
	}
	rc = backend_add(p, key, number);
	if (rc) {
		space_give_backend(p->space, number);
		return rc;
	}
	*backend = &p->backend[number];
	backend_fill(p, *backend);
	return 0;
}

void backend_drop(struct publisher *p, struct backend *b, uint32_t references)
{
	const struct backend_key key = backend_key(b->entry.family, &b->entry.addr, b->entry.port);
	const uint32_t number = backend_number(p, b);

	b->references -= references < b->references ? references : b->references;
	if (b->references)
		return;
	__atomic_store_n(&p->tables->backends[number].flags, 0, __ATOMIC_RELEASE);
	space_give_backend(p->space, number);
	set_remove(&p->backends, hash_of(&key), b);
	*b = (struct backend){};
}

/* Local and zone may change while the address stays: bytes that stand for themselves. */
static void backend_mark(struct publisher *p, struct backend *b, const struct plan_backend *pb)
{
	b->entry.zone = pb->zone;
	b->entry.flags = NP_BACKEND_USED | (pb->local ? NP_BACKEND_LOCAL : 0);
	backend_write(p, b);
}

static void run_drop(struct publisher *p, uint32_t first, const uint32_t *number, uint32_t filled,
		     uint32_t count)
{
	uint32_t i;

	for (i = 0; i < filled; i++)
		if (backend_at(p, number[i]))
			backend_drop(p, backend_at(p, number[i]), 1);
	space_give_slots(p->space, first, count);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

static int run_take(struct publisher *p, uint32_t count, uint32_t *first)
{
	int rc = space_take_slots(p->space, count, first);

	if (rc == -ENOSPC)
		p->full = TABLE_slots;
	return rc;
}

#define AHEAD 16

/* The places of the next few backends in the set of them, which is larger than any cache. */
static void run_ahead(struct publisher *p, const struct plan *plan, struct plan_choice choice,
		      uint32_t from)
{
	struct backend_key key;

	for (uint32_t i = from; i < choice.count && i < from + AHEAD; i++) {
		const struct plan_backend *pb = &plan->backend[choice.backend[i]];

		key = backend_key(plan->family, &pb->addr, pb->port);
		set_ahead(&p->backends, hash_of(&key));
	}
}

/* Write a run of slots for the backends chosen from; their numbers go into number too. */
static int run_make(struct publisher *p, const struct plan *plan, struct plan_choice choice,
		    uint32_t *number, uint32_t *first)
{
	struct backend_key key;
	struct backend *b;
	uint32_t i;
	int rc = run_take(p, choice.count, first);

	if (rc)
		return rc;
	for (i = 0; i < choice.count; i++) {
		const struct plan_backend *pb = &plan->backend[choice.backend[i]];

		if (i % AHEAD == 0)
			run_ahead(p, plan, choice, i);
		key = backend_key(plan->family, &pb->addr, pb->port);
		rc = backend_get(p, &key, &b);
		if (rc) {
			run_drop(p, *first, number, i, choice.count);
			return rc;
		}
		b->references++;
		backend_mark(p, b, pb);
		number[i] = backend_number(p, b);
	}
	qsort(number, choice.count, sizeof(*number), by_number);
	return 0;
}

/* The run of an earlier class with the same backends, so that most versions have one run. */
static const struct np_policy *run_shared(const struct np_policy *policy,
					  const struct plan_frontend *pf, int class)
{
	int i;

	for (i = 0; i < class; i++)
		if (policy[i].count && pf->policy[i].list == pf->policy[class].list)
			return &policy[i];
	return NULL;
}

bool run_is_first(const struct np_policy *policy, int class)
{
	int i;

	for (i = 0; i < class; i++)
		if (policy[i].count && policy[i].slot == policy[class].slot)
			return false;
	return policy[class].count;
}

size_t version_count(const struct np_policy *policy)
{
	size_t count = 0;

	for (int i = 0; i < NP_CLASSES; i++)
		count += run_is_first(policy, i) ? policy[i].count : 0;
	return count;
}

const uint32_t *version_run(const struct frontend *f, int class)
{
	const struct np_policy *policy = frontend_policy(f);
	const uint32_t *number = f->number;
	int i;

	for (i = 0; i < NP_CLASSES; i++) {
		if (!run_is_first(policy, i))
			continue;
		if (policy[i].slot == policy[class].slot)
			return number;
		number += policy[i].count;
	}
	return f->number;
}

static int fill_policies(struct publisher *p, const struct plan *plan,
			 const struct plan_frontend *pf, struct frontend *f)
{
	struct np_policy *policy = f->service.policy;
	const struct np_policy *shared;
	struct plan_choice choice;
	size_t filled = 0;
	uint32_t first;
	int i, rc;

	for (i = 0; i < NP_CLASSES; i++) {
		policy[i].verdict = pf->policy[i].verdict;
		policy[i].snat = pf->policy[i].snat;
		choice = plan_choice(plan, &pf->policy[i]);
		if (!choice.count)
			continue;
		shared = run_shared(policy, pf, i);
		first = shared ? shared->slot : 0;
		rc = shared ? 0 : run_make(p, plan, choice, &f->number[filled], &first);
		if (rc)
			return rc;
		policy[i].slot = first;
		policy[i].count = choice.count;
		filled += shared ? 0 : choice.count;
	}
	return 0;
}

static bool policies_differ(const struct plan_policy *a, const struct plan_policy *b)
{
	return a->verdict != b->verdict || a->snat != b->snat || a->list != b->list;
}

struct frontend *version_new(bool address, size_t count)
{
	const size_t size = address ? FRONTEND_ADDRESS_SIZE
				    : offsetof(struct frontend, number) + count * sizeof(uint32_t);
	struct frontend *f = calloc(1, size);

	if (f)
		f->address = address;
	return f;
}

int version_take(struct publisher *p, bool address, size_t count, struct frontend **version)
{
	struct frontend *f = version_new(address, count);
	int rc = f ? space_take_service(p->space, &f->version) : -ENOMEM;

	if (rc) {
		if (rc == -ENOSPC)
			p->full = TABLE_services;
		free(f);
		return rc;
	}
	p->version[f->version] = f;
	*version = f;
	return 0;
}

void version_write(struct publisher *p, const struct frontend *f)
{
	const struct np_policy *policy = frontend_policy(f);
	const uint32_t *number;
	uint32_t i;
	int class;

	for (class = 0; class < NP_CLASSES; class ++) {
		number = version_run(f, class);
		for (i = 0; run_is_first(policy, class) && i < policy[class].count; i++)
			*tables_slot(p->tables, policy[class].slot + i) = number[i];
	}
	p->tables->services[f->version] = service_whole(frontend_service(f));
}

/* Room for the runs that fill_policies() makes: a list that classes share is one. */
static size_t count_numbers(const struct plan *plan, const struct plan_frontend *pf)
{
	size_t count = 0;
	int i, j;

	for (i = 0; i < NP_CLASSES; i++) {
		for (j = 0; j < i; j++)
			if (pf->policy[j].list == pf->policy[i].list)
				break;
		count += j == i ? plan_choice(plan, &pf->policy[i]).count : 0;
	}
	return count;
}

int version_make(struct publisher *p, const struct plan *plan, const struct plan_frontend *pf,
		 struct frontend **version)
{
	struct service_entry *s;
	struct frontend *f;
	int rc = version_take(p, false, count_numbers(plan, pf), &f);

	if (rc)
		return rc;
	s = &f->service;
	s->key = frontend_key(plan, pf);
	s->id = plan->id;
	if (policies_differ(&pf->policy[NP_CLASS_NODE], &pf->policy[NP_CLASS_OUTSIDE]))
		s->flags |= NP_SERVICE_NODE_CLASS;
	s->affinity = plan->affinity_seconds * tables_hertz();
	if (pf->ranged)
		s->flags |= NP_SERVICE_RANGES;
	rc = ranges_set(p, f->version, plan->range, pf->ranged ? plan->ranges : 0);
	rc = rc ?: fill_policies(p, plan, pf, f);
	if (rc) {
		version_give(p, f);
		return rc;
	}
	version_write(p, f);
	*version = f;
	return 0;
}

/* The place that a run of the old version has in the new one: of its own, or an earlier class's. */
static int copy_run(struct publisher *p, const struct frontend *old, struct frontend *f, int class,
		    size_t *filled)
{
	const struct np_policy *all = old->service.policy, *policy = &all[class];
	const uint32_t *number = version_run(old, class);
	uint32_t first = 0, i;
	int rc;

	if (!run_is_first(all, class)) {
		for (i = 0; all[i].slot != policy->slot || !all[i].count; i++)
			;
		f->service.policy[class].slot = f->service.policy[i].slot;
		f->service.policy[class].count = policy->count;
		return 0;
	}
	rc = run_take(p, policy->count, &first);
	if (rc)
		return rc;
	for (i = 0; i < policy->count; i++) {
		f->number[(*filled)++] = number[i];
		if (backend_at(p, number[i]))
			backend_at(p, number[i])->references++;
	}
	f->service.policy[class].slot = first;
	f->service.policy[class].count = policy->count;
	return 0;
}

int version_copy(struct publisher *p, const struct frontend *from, struct frontend **version)
{
	const struct np_policy *policy = frontend_policy(from);
	struct frontend *f;
	size_t filled = 0;
	int i, rc = version_take(p, from->address, version_count(policy), &f);

	if (rc)
		return rc;
	frontend_set_service(f, frontend_service(from));
	for (i = 0; i < NP_CLASSES && !f->address; i++)
		f->service.policy[i].count = 0;
	rc = ranges_copy(p, from->version, f->version);
	for (i = 0; i < NP_CLASSES && !rc; i++)
		if (policy[i].count)
			rc = copy_run(p, from, f, i, &filled);
	if (rc) {
		version_give(p, f);
		return rc;
	}
	version_write(p, f);
	*version = f;
	return 0;
}

void version_give(struct publisher *p, struct frontend *f)
{
	const struct np_policy *policy = frontend_policy(f);
	int i;

	for (i = 0; i < NP_CLASSES; i++)
		if (run_is_first(policy, i))
			run_drop(p, policy[i].slot, version_run(f, i), policy[i].count,
				 policy[i].count);
	ranges_give(p, f->version);
	space_give_service(p->space, f->version);
	p->version[f->version] = NULL;
	free(f);
}

void publish_sources(struct publisher *p)
{
	for (uint32_t i = 0; i < p->tables->size[TABLE_backends]; i++) {
		if (!p->backend[i].there)
			continue;
		backend_source(p, &p->backend[i]);
		backend_write(p, &p->backend[i]);
	}
}

int publish_each_backend(struct publisher *p,
			 int (*visit)(const struct publish_backend *backend, void *arg), void *arg)
{
	struct publish_backend view;
	struct backend *b;
	uint32_t i;
	int rc;

	for (i = 0; i < p->tables->size[TABLE_backends]; i++) {
		b = backend_at(p, i);
		if (!b)
			continue;
		view = (struct publish_backend){i, b->references, &p->tables->backends[i]};
		rc = visit(&view, arg);
		if (rc)
			return rc;
	}
	return 0;
}
