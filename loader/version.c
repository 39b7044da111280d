/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Versions of frontends: writing one with its slots and backends into free space, and giving one
 * back. Also what belongs to a backend alone (its source address) and address entries.
 */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

static struct backend_key backend_key(uint8_t family, const union np_addr *addr, __be16 port)
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
	union np_addr source = {};
	unsigned i;

	if (p->source(p->source_arg, entry->family, &entry->addr, &source))
		return;
	/* Word by word: programs may be reading; an address changes when the node's does. */
	for (i = 0; i < 4; i++)
		__atomic_store_n(&entry->snat.word[i], source.word[i], __ATOMIC_RELAXED);
}

static void backend_fill(struct publisher *p, const struct backend *b)
{
	struct np_backend *entry = &p->tables->backends[b->number];

	memset(entry, 0, sizeof(*entry));
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

static void backend_drop(struct publisher *p, struct backend *b, uint32_t references)
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

/* Write a run of slots for the backends of a policy. */
static int run_make(struct publisher *p, const struct plan *plan, const struct plan_policy *policy,
		    uint32_t *first)
{
	struct backend_key key;
	struct backend *b;
	uint32_t i;
	int rc = space_take_slots(p->space, policy->count, first);

	if (rc)
		return rc;
	for (i = 0; i < policy->count; i++) {
		const struct plan_backend *pb = &plan->backend[policy->backend[i]];

		key = backend_key(plan->family, &pb->addr, pb->port);
		rc = backend_get(p, &key, &b);
		if (rc) {
			run_drop(p, *first, i, policy->count);
			return rc;
		}
		b->references++;
		backend_mark(p, b, pb);
		*tables_slot(p->tables, *first + i) = b->number;
	}
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

static bool run_is_first(const struct np_service *s, int class)
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
	rc = fill_policies(p, plan, f, s);
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

static struct frontend_key address_key(uint8_t family, const union np_addr *addr)
{
	struct frontend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.family = family;
	return key;
}

int publish_address(struct publisher *p, uint8_t family, const union np_addr *addr, uint32_t flags)
{
	struct frontend_key key = address_key(family, addr);
	struct frontend *f = frontend_get(p, &key);
	struct np_service *s;
	uint32_t version;
	int rc;

	if (f && p->tables->services[f->version].flags == flags) {
		f->told = true;
		return 0;
	}
	if (f)
		f->told = true; /* whatever comes: it is there */
	rc = space_take_service(p->space, &version);
	if (rc)
		return rc;
	s = &p->tables->services[version];
	memset(s, 0, sizeof(*s));
	s->addr = *addr;
	s->family = family;
	s->flags = flags;
	rc = frontend_publish(p, &key, version, &f);
	if (rc) {
		space_give_service(p->space, version);
		return rc;
	}
	f->address = f->told = true;
	return 0;
}

void publish_addresses_begin(struct publisher *p)
{
	struct frontend *f, *next;

	HASH_ITER (hh, p->frontends, f, next) {
		f->told = false;
	}
}

void publish_addresses_end(struct publisher *p)
{
	struct frontend *f, *next;

	HASH_ITER (hh, p->frontends, f, next) {
		if (f->address && !f->told)
			frontend_remove(p, f);
	}
}

/* The runs of an adopted version, and the references to its backends. False: not to be believed. */
static bool adopt_runs(struct publisher *p, const struct np_service *s)
{
	uint32_t n, number;
	int i;

	for (i = 0; i < NP_CLASSES; i++)
		if (run_is_first(s, i) &&
		    (s->policy[i].slot + (uint64_t)s->policy[i].count > tables_slots(p->tables) ||
		     space_adopt_slots(p->space, s->policy[i].slot, s->policy[i].count)))
			break;
	if (i < NP_CLASSES) {
		while (i--)
			if (run_is_first(s, i))
				space_give_slots(p->space, s->policy[i].slot, s->policy[i].count);
		return false;
	}
	for (i = 0; i < NP_CLASSES; i++) {
		for (n = 0; run_is_first(s, i) && n < s->policy[i].count; n++) {
			number = *tables_slot(p->tables, s->policy[i].slot + n);
			if (number < p->tables->size[TABLE_backends] && p->by_number[number])
				p->by_number[number]->references++;
		}
	}
	return true;
}

/* Is this entry where programs look for it? */
static bool entry_in_place(struct publisher *p, const uint64_t *entry,
			   const struct frontend_key *key)
{
	const struct tables *t = p->tables;
	struct np_hash h =
		np_hash_frontend(t->hash_key, NP_IPV6, &key->addr, key->port, key->protocol);
	uint32_t mask = t->size[TABLE_frontends] - 1;
	uint32_t at = (entry - (const uint64_t *)t->frontends) / NP_BUCKET;

	return *entry >> 32 == h.tag &&
	       (at == (h.bucket & mask) || at == (np_hash_other_bucket(h.bucket, h.tag) & mask));
}

static int adopt_backend(struct publisher *p, uint32_t number)
{
	const struct np_backend *entry = &p->tables->backends[number];
	struct backend *b;

	if (!(entry->flags & NP_BACKEND_USED))
		return 0;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->key = backend_key(entry->family, &entry->addr, entry->port);
	b->number = number;
	HASH_ADD(hh, p->backends, key, sizeof(b->key), b);
	p->by_number[number] = b;
	return space_adopt_backend(p->space, number);
}

/* What cannot have come from this program is dropped. */
static int adopt_entry(struct publisher *p, uint64_t *entry)
{
	uint32_t version = (uint32_t)*entry;
	const struct np_service *s = &p->tables->services[version];
	struct frontend_key key;
	struct frontend *f;

	if (version >= p->tables->size[TABLE_services]) {
		*entry = 0;
		return 0;
	}
	memset(&key, 0, sizeof(key));
	key.addr = s->addr;
	key.port = s->port;
	key.protocol = s->protocol;
	key.family = s->family;
	if (!entry_in_place(p, entry, &key) || frontend_get(p, &key) ||
	    space_adopt_service(p->space, version)) {
		*entry = 0;
		return 0;
	}
	if (!adopt_runs(p, s)) {
		*entry = 0;
		space_give_service(p->space, version);
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->key = key;
	f->entry = entry;
	f->version = version;
	f->address = !s->port;
	HASH_ADD(hh, p->frontends, key, sizeof(f->key), f);
	if (s->port && s->id < p->tables->size[TABLE_service_stats])
		p->id_taken[s->id] = ID_ADOPTED;
	return 0;
}

static int adopt(struct publisher *p)
{
	struct backend *b, *next;
	uint32_t i;
	int j, rc = 0;

	for (i = 0; i < p->tables->size[TABLE_backends] && !rc; i++)
		rc = adopt_backend(p, i);
	for (i = 0; i < p->tables->size[TABLE_frontends] && !rc; i++)
		for (j = 0; j < NP_BUCKET && !rc; j++)
			if (p->tables->frontends[i].entry[j])
				rc = adopt_entry(p, (uint64_t *)&p->tables->frontends[i].entry[j]);
	/* Left by a daemon that died between taking a backend and publishing it. */
	HASH_ITER (hh, p->backends, b, next) {
		if (!b->references)
			backend_drop(p, b, 0);
	}
	return rc;
}

int publisher_new(struct tables *tables, publish_source source, void *arg,
		  struct publisher **publisher)
{
	_cleanup_(publisher_free) struct publisher *p = calloc(1, sizeof(*p));
	struct space_sizes sizes = {
		.services = tables->size[TABLE_services],
		.slots = tables_slots(tables),
		.backends = tables->size[TABLE_backends],
	};
	int rc;

	if (!p)
		return -ENOMEM;
	p->tables = tables;
	p->source = source;
	p->source_arg = arg;
	rc = space_new(&sizes, &p->space);
	if (rc)
		return rc;
	p->by_number = calloc(sizes.backends, sizeof(*p->by_number));
	p->id_taken = calloc(tables->size[TABLE_service_stats], 1);
	if (!p->by_number || !p->id_taken)
		return -ENOMEM;
	rc = adopt(p);
	if (rc)
		return rc;
	/* What an earlier daemon gave back just before it died may be in a packet's hands. */
	tables_synchronize();
	*publisher = TAKE_PTR(p);
	return 0;
}
