/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which service has which frontends, and replacing them one by one: the new version is whole
 * before the one store that makes packets see it, the old one is given back after. What a version
 * holds is written and read by version.c.
 */
#include "publish.h"

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

struct frontend *frontend_get(struct publisher *p, const struct frontend_key *key)
{
	struct frontend *f;

	HASH_FIND(hh, p->frontends, key, sizeof(*key), f);
	return f;
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
			if (entry[i])
				used[side]++;
			else if (!place[side])
				place[side] = &entry[i];
		}
	}
	/* The emptier of the two: so no bucket overflows, and no entry ever has to move. */
	return !place[0] || (place[1] && used[1] < used[0]) ? place[1] : place[0];
}

static void entry_store(uint64_t *entry, uint32_t tag, uint32_t version)
{
	__atomic_store_n(entry, (uint64_t)tag << 32 | version, __ATOMIC_RELEASE);
}

/* Make packets for the key see this version. The version before, if any, is given back. */
int frontend_publish(struct publisher *p, const struct frontend_key *key, uint32_t version,
		     struct frontend **frontend)
{
	struct frontend *f = frontend_get(p, key);
	uint32_t old, tag;
	uint64_t *entry;

	if (f) {
		old = f->version;
		f->version = version;
		entry_store(f->entry, *f->entry >> 32, version);
		version_give(p, old);
		*frontend = f;
		return 0;
	}
	entry = entry_place(p, key, &tag);
	if (!entry)
		return -ENOSPC;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->key = *key;
	f->entry = entry;
	f->version = version;
	HASH_ADD(hh, p->frontends, key, sizeof(f->key), f);
	entry_store(entry, tag, version);
	*frontend = f;
	return 0;
}

void frontend_remove(struct publisher *p, struct frontend *f)
{
	__atomic_store_n(f->entry, 0, __ATOMIC_RELEASE);
	HASH_DEL(p->frontends, f);
	version_give(p, f->version);
	free(f);
}

static struct owner *owner_get(struct publisher *p, const char *namespace, const char *name)
{
	char key[520];
	struct owner *o;

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(p->owners, key, o);
	return o;
}

static void owner_clear(struct owner *o)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		plan_free(&o->plans[i]);
	free(o->plans);
	o->plans = NULL;
	o->count = 0;
}

static struct owner *owner_add(struct publisher *p, const char *namespace, const char *name)
{
	struct owner *o = owner_get(p, namespace, name);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o || asprintf(&o->key, "%s/%s", namespace, name) < 0) {
		free(o);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, p->owners, o->key, strlen(o->key), o);
	return o;
}

/* How many wait is known, so that a change costs nothing for the services that do not. */
static void owner_wait(struct publisher *p, struct owner *o, bool waiting)
{
	p->waiting += waiting - o->waiting;
	o->waiting = waiting;
}

static void owner_remove(struct publisher *p, struct owner *o)
{
	owner_wait(p, o, false);
	HASH_DEL(p->owners, o);
	owner_clear(o);
	free(o->key);
	free(o);
}

/* Publish one frontend, unless another service has it. */
static int publish_frontend(struct publisher *p, struct owner *owner, const struct plan *plan,
			    const struct plan_frontend *pf)
{
	struct frontend_key key = frontend_key(plan, pf);
	struct frontend *f = frontend_get(p, &key);
	uint32_t version, id;
	int rc;

	if (f && f->owner && f->owner != owner)
		return 0;
	if (!f && !space_has_room(p->space))
		return -ENOSPC;
	rc = ident_get(p, plan, f && !f->owner ? p->tables->services[f->version].id : NO_ID, &id);
	if (rc)
		return rc;
	rc = version_make(p, plan, pf, id, &version);
	if (rc)
		return rc;
	rc = frontend_publish(p, &key, version, &f);
	if (rc) {
		version_give(p, version);
		return rc;
	}
	f->owner = owner;
	f->stale = false;
	f->generation = p->generation;
	return 0;
}

/* A plan that is as it was needs nothing, if all of its frontends are in place. */
static bool plan_in_place(struct publisher *p, struct owner *o, const struct plan *plan)
{
	const struct plan *old = NULL;
	struct frontend_key key;
	struct frontend *f;
	size_t i;

	for (i = 0; i < o->count && !old; i++)
		if (plan_equal(o->plans[i], plan))
			old = o->plans[i];
	for (i = 0; old && i < plan->frontends; i++) {
		key = frontend_key(plan, &plan->frontend[i]);
		f = frontend_get(p, &key);
		if (!f || f->owner != o || f->stale)
			return false;
	}
	for (i = 0; old && i < plan->frontends; i++) {
		key = frontend_key(plan, &plan->frontend[i]);
		f = frontend_get(p, &key);
		f->generation = p->generation;
	}
	return old;
}

static int publish_plan(struct publisher *p, struct owner *o, const struct plan *plan)
{
	size_t i;
	int rc;

	if (plan_in_place(p, o, plan))
		return 0;
	for (i = 0; i < plan->frontends; i++) {
		rc = publish_frontend(p, o, plan, &plan->frontend[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* After a change that failed: what the plans still name stays as it was, for now. */
static void keep_named(struct publisher *p, struct owner *o, struct plan **plans, size_t count)
{
	struct frontend_key key;
	struct frontend *f;
	size_t i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < plans[i]->frontends; j++) {
			key = frontend_key(plans[i], &plans[i]->frontend[j]);
			f = frontend_get(p, &key);
			if (!f || (f->owner && f->owner != o) || f->generation == p->generation)
				continue;
			f->owner = o; /* adopted: what an earlier daemon published holds, too */
			f->stale = true;
			f->generation = p->generation;
		}
	}
}

/* Frontends of the owner that its plans no longer name; found by the plans it had. */
static void remove_old(struct publisher *p, struct owner *o)
{
	struct frontend_key key;
	struct frontend *f;
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			key = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
			f = frontend_get(p, &key);
			if (f && f->owner == o && f->generation != p->generation)
				frontend_remove(p, f);
		}
	}
}

/* A frontend that another service wanted too may be free for that one now. */
static void publish_waiting(struct publisher *p)
{
	struct owner *o, *next;
	struct frontend_key key;
	struct frontend *f;
	size_t i, j;

	HASH_ITER (hh, p->owners, o, next) {
		for (i = 0; o->waiting && i < o->count; i++) {
			for (j = 0; j < o->plans[i]->frontends; j++) {
				key = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
				f = frontend_get(p, &key);
				if (!f || (f->owner == o && f->stale))
					publish_frontend(p, o, o->plans[i],
							 &o->plans[i]->frontend[j]);
			}
		}
	}
}

static bool owner_waits(struct publisher *p, const struct owner *o, bool stale)
{
	size_t i, j;

	for (i = 0; i < o->count; i++)
		for (j = 0; j < o->plans[i]->frontends; j++)
			if (!publish_has(p, o->plans[i], &o->plans[i]->frontend[j]))
				return true;
	return stale;
}

/* The counters' numbers of service ports that are gone are free for others. */
static void drop_idents(struct publisher *p, struct owner *o, struct plan **plans, size_t count)
{
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < count; j++)
			if (plan_same_port(o->plans[i], plans[j]))
				break;
		if (j == count)
			ident_drop(p, o->plans[i]);
	}
}

/*
 * Count the plans at the address entries of their clusterIPs, the new ones before the old ones, and
 * after their frontends are in place: no port is refused that is, or was, one of the service's. Of
 * a service that could not be published (kept) only the entries there are stay.
 */
static int hold_addresses(struct publisher *p, struct plan **plans, size_t count, bool kept)
{
	const union np_addr *addr;
	size_t i;
	int rc = 0;

	for (i = 0; i < count && !rc; i++) {
		addr = &plans[i]->frontend[0].addr;
		if (kept && !address_is_held(p, plans[i]->family, addr))
			continue;
		rc = address_hold(p, plans[i]->family, addr);
		plans[i]->address_held = !rc;
	}
	return rc;
}

static void release_addresses(struct publisher *p, struct owner *o)
{
	size_t i;

	for (i = 0; i < o->count; i++) {
		if (o->plans[i]->address_held)
			address_release(p, o->plans[i]->family, &o->plans[i]->frontend[0].addr);
		o->plans[i]->address_held = false;
	}
}

static int by_port(const void *a, const void *b)
{
	const struct plan *const *left = a, *const *right = b;

	return strcmp((*left)->port_name, (*right)->port_name);
}

static int take_plans(struct owner *o, struct plan **plans, size_t count)
{
	struct plan **copy = calloc(count ?: 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (count) {
		memcpy(copy, plans, count * sizeof(*copy));
		qsort(copy, count, sizeof(*copy), by_port);
		memset(plans, 0, count * sizeof(*plans));
	}
	owner_clear(o);
	o->plans = copy;
	o->count = count;
	return 0;
}

int publish_service(struct publisher *p, const char *namespace, const char *name,
		    struct plan **plans, size_t count)
{
	struct owner *o = owner_add(p, namespace, name);
	int rc = o ? 0 : -ENOMEM;
	bool stale;
	size_t i;

	p->generation++;
	for (i = 0; i < count && !rc; i++)
		rc = publish_plan(p, o, plans[i]);
	if (o) {
		stale = rc;
		if (stale)
			keep_named(p, o, plans, count);
		rc = hold_addresses(p, plans, count, stale) ?: rc;
		release_addresses(p, o);
		remove_old(p, o);
		departed_note(p, o, plans, count);
		drop_idents(p, o, plans, count);
		rc = take_plans(o, plans, count) ?: rc;
		owner_wait(p, o, owner_waits(p, o, stale));
	}
	for (i = 0; i < count; i++)
		plan_free(&plans[i]);
	if (o && !o->count)
		owner_remove(p, o);
	if (p->waiting)
		publish_waiting(p);
	return rc;
}

void publish_sweep(struct publisher *p)
{
	struct frontend *f, *next;

	HASH_ITER (hh, p->frontends, f, next) {
		if (!f->owner && !f->address)
			frontend_remove(p, f);
	}
	address_sweep(p);
	ident_sweep(p);
}

bool publish_has(struct publisher *p, const struct plan *plan, const struct plan_frontend *pf)
{
	struct frontend_key key = frontend_key(plan, pf);
	struct frontend *f = frontend_get(p, &key);

	return f && f->owner && f->owner == owner_get(p, plan->namespace, plan->name);
}

const struct plan *publish_plan_of(struct publisher *p, uint32_t version)
{
	const struct np_service *s = &p->tables->services[version];
	struct frontend_key key, other;
	struct frontend *f;
	size_t i, j;

	memset(&key, 0, sizeof(key));
	key.addr = s->addr;
	key.port = s->port;
	key.protocol = s->protocol;
	key.family = s->family;
	f = frontend_get(p, &key);
	for (i = 0; f && f->owner && i < f->owner->count; i++) {
		for (j = 0; j < f->owner->plans[i]->frontends; j++) {
			other = frontend_key(f->owner->plans[i], &f->owner->plans[i]->frontend[j]);
			if (address_equal(&key.addr, &other.addr) && key.port == other.port &&
			    key.protocol == other.protocol && key.family == other.family)
				return f->owner->plans[i];
		}
	}
	return NULL;
}

const struct plan *publish_cluster_ip(struct publisher *p, uint8_t family,
				      const union np_addr *addr)
{
	struct owner *o, *next;
	size_t i;

	HASH_ITER (hh, p->owners, o, next) {
		for (i = 0; i < o->count; i++)
			if (o->plans[i]->family == family &&
			    address_equal(&o->plans[i]->frontend[0].addr, addr))
				return o->plans[i];
	}
	return NULL;
}

struct np_service_stats publish_stats(struct publisher *p, const struct plan *plan)
{
	struct frontend_key key;
	struct frontend *f;
	size_t i;

	for (i = 0; i < plan->frontends; i++) {
		key = frontend_key(plan, &plan->frontend[i]);
		f = frontend_get(p, &key);
		if (f && publish_has(p, plan, &plan->frontend[i]))
			return p->tables->service_stats[p->tables->services[f->version].id];
	}
	return (struct np_service_stats){};
}

static int by_key(struct owner *a, struct owner *b)
{
	int order = strcmp(a->plans[0]->namespace, b->plans[0]->namespace);

	return order ?: strcmp(a->plans[0]->name, b->plans[0]->name);
}

int publish_each(struct publisher *p, int (*visit)(const struct plan *plan, void *arg), void *arg)
{
	struct owner *o, *next;
	size_t i;
	int rc;

	HASH_SORT(p->owners, by_key);
	HASH_ITER (hh, p->owners, o, next) {
		for (i = 0; i < o->count; i++) {
			rc = visit(o->plans[i], arg);
			if (rc)
				return rc;
		}
	}
	return 0;
}

static void conflicts_of(struct publisher *p, struct owner *o, json_t *list)
{
	struct frontend_key key;
	struct frontend *f;
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			key = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
			f = frontend_get(p, &key);
			if (f && f->owner && f->owner != o)
				json_array_append_new(
					list,
					json_sprintf("Service \"%s\": %s port %u belongs to "
						     "Service \"%s\" already",
						     o->key,
						     plan_kind_name(o->plans[i]->frontend[j].kind),
						     ntohs(key.port), f->owner->key));
		}
	}
}

void publish_conflicts_of(struct publisher *p, const char *namespace, const char *name,
			  json_t *list)
{
	struct owner *o = owner_get(p, namespace, name);

	if (o && o->waiting)
		conflicts_of(p, o, list);
}

json_t *publish_conflicts(struct publisher *p)
{
	json_t *list = json_array();
	struct owner *o, *next;

	if (!list)
		return NULL;
	HASH_SORT(p->owners, by_key);
	HASH_ITER (hh, p->owners, o, next) {
		if (o->waiting)
			conflicts_of(p, o, list);
	}
	return list;
}

uint32_t publish_used(struct publisher *p, enum table table)
{
	struct space_sizes used = space_used(p->space);

	switch (table) {
	case TABLE_frontends:
		return HASH_COUNT(p->frontends);
	case TABLE_services:
		return used.services;
	case TABLE_slots:
		return used.slots;
	case TABLE_backends:
		return used.backends;
	default:
		return 0;
	}
}

void publisher_free(struct publisher **publisher)
{
	struct publisher *p = *publisher;
	struct frontend *f, *next_frontend;
	struct backend *b, *next_backend;
	struct owner *o, *next_owner;

	*publisher = NULL;
	if (!p)
		return;
	HASH_ITER (hh, p->frontends, f, next_frontend) {
		HASH_DEL(p->frontends, f);
		free(f);
	}
	HASH_ITER (hh, p->backends, b, next_backend) {
		HASH_DEL(p->backends, b);
		free(b);
	}
	HASH_ITER (hh, p->owners, o, next_owner) {
		owner_remove(p, o);
	}
	ident_free(p);
	ranges_forget(p);
	free(p->by_number);
	free(p->departed.touched);
	free(p->departed.gone);
	space_free(&p->space);
	free(p);
}
