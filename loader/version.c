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

/* Ask for the source address; an unknown one stays zero and new connections are refused. */
static void backend_source(struct publisher *p, struct np_backend *entry)
{
	struct publish_addresses source = {};
	unsigned i;

	if (p->source(p->source_arg, entry->family, &entry->addr, &source))
		return;
	/* Word by word: programs may be reading; an address changes when the node's does. */
	for (i = 0; i < 4; i++)
		__atomic_store_n(&entry->snat.word[i], source.addr.word[i], __ATOMIC_RELAXED);
	__atomic_store_n(&entry->source, source.more, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->sources, source.count, __ATOMIC_RELEASE);
}

static void backend_fill(struct publisher *p, const struct backend *b)
{
	struct np_backend *entry = &p->tables->backends[b->number];

	memset(entry, 0, sizeof(*entry));
	memset(&p->tables->snat_ports[b->number], 0, sizeof(struct np_ports));
	entry->addr = b->key.addr;
	entry->port = b->key.port;
	entry->family = b->key.family;
	backend_source(p, entry);
}

static int backend_get(struct publisher *p, const struct backend_key *key, struct backend **backend)
{
	struct backend *b;
	int rc;

	HASH_FIND(hh, p->backends, key, sizeof(*key), b);
	if (b) {
		*backend = b;
		return 0;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	rc = space_take_backend(p->space, &b->number);
	if (rc) {
		free(b);
		return rc;
	}
	b->key = *key;
	HASH_ADD(hh, p->backends, key, sizeof(b->key), b);
	p->by_number[b->number] = b;
	backend_fill(p, b);
	*backend = b;
	return 0;
}

void backend_drop(struct publisher *p, struct backend *b, uint32_t references)
{
	struct np_backend *entry = &p->tables->backends[b->number];

	b->references -= references < b->references ? references : b->references;
	if (b->references)
		return;
	__atomic_store_n(&entry->flags, 0, __ATOMIC_RELEASE);
	p->by_number[b->number] = NULL;
	space_give_backend(p->space, b->number);
	HASH_DEL(p->backends, b);
	free(b);
}

/* Local and zone may change while the address stays: bytes that stand for themselves. */
static void backend_mark(struct publisher *p, const struct backend *b,
			 const struct plan_backend *pb)
{
	struct np_backend *entry = &p->tables->backends[b->number];

	__atomic_store_n(&entry->zone, pb->zone, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->flags, NP_BACKEND_USED | (pb->local ? NP_BACKEND_LOCAL : 0),
			 __ATOMIC_RELEASE);
}

static void run_drop(struct publisher *p, uint32_t first, uint32_t filled, uint32_t count)
{
	uint32_t i, number;

	for (i = 0; i < filled; i++) {
		number = *tables_slot(p->tables, first + i);
		if (number < p->tables->size[TABLE_backends] && p->by_number[number])
			backend_drop(p, p->by_number[number], 1);
	}
	space_give_slots(p->space, first, count);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

static void run_store(struct publisher *p, uint32_t first, uint32_t *numbers, uint32_t count)
{
	uint32_t i;

	qsort(numbers, count, sizeof(*numbers), by_number);
	for (i = 0; i < count; i++)
		*tables_slot(p->tables, first + i) = numbers[i];
}

/* Write a run of slots for the backends of a policy. */
static int run_make(struct publisher *p, const struct plan *plan, const struct plan_policy *policy,
		    uint32_t *first)
{
	_cleanup_free_ uint32_t *numbers = NULL;
	struct backend_key key;
	struct backend *b;
	uint32_t i;
	int rc = space_take_slots(p->space, policy->count, first);

	if (rc)
		return rc;
	numbers = malloc(policy->count * sizeof(*numbers));
	if (!numbers) {
		space_give_slots(p->space, *first, policy->count);
		return -ENOMEM;
	}
	for (i = 0; i < policy->count; i++) {
		const struct plan_backend *pb = &plan->backend[policy->backend[i]];

		key = backend_key(plan->family, &pb->addr, pb->port);
		rc = backend_get(p, &key, &b);
		if (rc) {
			run_store(p, *first, numbers, i);
			run_drop(p, *first, i, policy->count);
			return rc;
		}
		b->references++;
		backend_mark(p, b, pb);
		numbers[i] = b->number;
	}
	run_store(p, *first, numbers, policy->count);
	return 0;
}

/* The run of an earlier class with the same backends, so that most versions have one run. */
static const struct np_policy *run_shared(const struct np_service *s, const struct plan_frontend *f,
					  int class)
{
	int i;

	for (i = 0; i < class; i++)
		if (s->policy[i].count && f->policy[i].backend == f->policy[class].backend &&
		    f->policy[i].count == f->policy[class].count)
			return &s->policy[i];
	return NULL;
}

bool run_is_first(const struct np_service *s, int class)
{
	int i;

	for (i = 0; i < class; i++)
		if (s->policy[i].count && s->policy[i].slot == s->policy[class].slot)
			return false;
	return s->policy[class].count;
}

static int fill_policies(struct publisher *p, const struct plan *plan,
			 const struct plan_frontend *f, struct np_service *s)
{
	const struct np_policy *shared;
	uint32_t first;
	int i, rc;

	for (i = 0; i < NP_CLASSES; i++) {
		s->policy[i].verdict = f->policy[i].verdict;
		s->policy[i].snat = f->policy[i].snat;
		if (f->policy[i].verdict != NP_VERDICT_FORWARD || !f->policy[i].count)
			continue;
		shared = run_shared(s, f, i);
		first = shared ? shared->slot : 0;
		rc = shared ? 0 : run_make(p, plan, &f->policy[i], &first);
		if (rc)
			return rc;
		s->policy[i].slot = first;
		s->policy[i].count = f->policy[i].count;
	}
	return 0;
}

static bool policies_differ(const struct plan_policy *a, const struct plan_policy *b)
{
	return a->verdict != b->verdict || a->snat != b->snat || a->count != b->count ||
	       a->backend != b->backend;
}

int version_make(struct publisher *p, const struct plan *plan, const struct plan_frontend *f,
		 uint32_t id, uint32_t *version)
{
	struct np_service *s;
	int rc = space_take_service(p->space, version);

	if (rc)
		return rc;
	s = &p->tables->services[*version];
	memset(s, 0, sizeof(*s));
	s->addr = f->addr;
	s->port = f->port;
	s->protocol = plan->protocol;
	s->family = plan->family;
	s->id = id;
	if (policies_differ(&f->policy[NP_CLASS_NODE], &f->policy[NP_CLASS_OUTSIDE]))
		s->flags |= NP_SERVICE_NODE_CLASS;
	s->affinity = plan->affinity_seconds * tables_hertz();
	if (f->ranged)
		s->flags |= NP_SERVICE_RANGES;
	rc = ranges_set(p, *version, plan->range, f->ranged ? plan->ranges : 0);
	rc = rc ?: fill_policies(p, plan, f, s);
	if (rc)
		version_give(p, *version);
	return rc;
}

void version_give(struct publisher *p, uint32_t version)
{
	const struct np_service *s = &p->tables->services[version];
	int i;

	for (i = 0; i < NP_CLASSES; i++)
		if (run_is_first(s, i))
			run_drop(p, s->policy[i].slot, s->policy[i].count, s->policy[i].count);
	ranges_give(p, version);
	space_give_service(p->space, version);
}

void publish_sources(struct publisher *p)
{
	struct backend *b, *next;

	HASH_ITER (hh, p->backends, b, next) {
		backend_source(p, &p->tables->backends[b->number]);
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
		b = p->by_number[i];
		if (!b)
			continue;
		view = (struct publish_backend){i, b->references, &p->tables->backends[i]};
		rc = visit(&view, arg);
		if (rc)
			return rc;
	}
	return 0;
}
