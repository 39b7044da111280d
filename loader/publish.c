/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which service has which frontends, and replacing them one by one: the new version is whole
 * before the one store that makes packets see it, the old one is given back after. What a version
 * holds is written and read by version.c.
 */
#include "publish.h"

#include <errno.h>
#include <string.h>

#include "intern.h"
#include "publish_private.h"
#include "util.h"

/* By interned names. */
static uint32_t hash_of(const char *namespace, const char *name)
{
	const char *const names[] = {namespace, name};

	return set_hash(names, sizeof(names));
}

static bool is(const void *item, const void *key)
{
	const struct owner *o = item;
	const char *const *names = key;

	return o->namespace == names[0] && o->name == names[1];
}

struct owner *owner_get(struct publisher *p, const char *namespace, const char *name)
{
	const char *const names[] = {intern_find(namespace), intern_find(name)};

	if (!names[0] || !names[1])
		return NULL;
	return set_find(&p->owners, hash_of(names[0], names[1]), is, names);
}

void owner_text(const struct owner *o, char *text, size_t size)
{
	snprintf(text, size, "%s/%s", o->namespace, o->name);
}

static void owner_clear(struct owner *o)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		plan_free(&o->plans[i]);
	if (o->plans != &o->one)
		free(o->plans);
	o->plans = NULL;
	o->count = 0;
}

static void owner_free(struct owner *o)
{
	owner_clear(o);
	intern_put(o->namespace);
	intern_put(o->name);
	free(o);
}

static struct owner *owner_add(struct publisher *p, const char *namespace, const char *name)
{
	struct owner *o = owner_get(p, namespace, name);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->namespace = intern(namespace);
	o->name = intern(name);
	if (o->namespace && o->name && !set_add(&p->owners, hash_of(o->namespace, o->name), o))
		return o;
	owner_free(o);
	return NULL;
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
	set_remove(&p->owners, hash_of(o->namespace, o->name), o);
	owner_free(o);
}

/* Room for something new: the last part of each table is kept for changes of what there is. */
static bool lacks_room(struct publisher *p)
{
	static const enum table tables[] = {[SPACE_SERVICES] = TABLE_services,
					    [SPACE_SLOTS] = TABLE_slots,
					    [SPACE_BACKENDS] = TABLE_backends};
	enum space_kind kind = space_lacking(p->space);

	if (kind != SPACE_ENOUGH)
		p->full = tables[kind];
	return kind != SPACE_ENOUGH;
}

/* The change that is under way names it. */
static void name_frontend(const struct publisher *p, struct frontend *f)
{
	f->taken_over &= f->generation == p->generation;
	f->generation = p->generation;
}

/* Publish one frontend, unless another service has it. */
static int publish_frontend(struct publisher *p, struct owner *owner, struct plan *plan,
			    const struct plan_frontend *pf)
{
	struct frontend_key key = frontend_key(plan, pf);
	struct frontend *f = frontend_get(p, &key), *version;
	int rc;

	if (f && f->owner && f->owner != owner)
		return 0;
	if (!f && lacks_room(p))
		return -ENOSPC;
	rc = ident_get(p, plan, f && !f->owner ? f->service.id : NO_ID);
	if (rc)
		return rc;
	rc = version_make(p, plan, pf, &version);
	if (rc)
		return rc;
	rc = frontend_publish(p, version);
	if (rc) {
		version_give(p, version);
		return rc;
	}
	f = version;
	name_frontend(p, f);
	f->taken_over |= !f->owner && f->adopted;
	f->owner = owner;
	f->stale = false;
	return 0;
}

static bool has_equal(const struct owner *o, const struct plan *plan)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		if (plan_equal(o->plans[i], plan))
			return true;
	return false;
}

/* A plan that is as it was needs nothing, if all of its frontends are in place. */
static bool plan_in_place(struct publisher *p, struct owner *o, const struct plan *plan)
{
	bool old = has_equal(o, plan);
	struct frontend_key key;
	struct frontend *f;
	size_t i;

	for (i = 0; old && i < plan->frontends; i++) {
		key = frontend_key(plan, &plan->frontend[i]);
		f = frontend_get(p, &key);
		if (!f || f->owner != o || f->stale)
			return false;
	}
	for (i = 0; old && i < plan->frontends; i++) {
		key = frontend_key(plan, &plan->frontend[i]);
		name_frontend(p, frontend_get(p, &key));
	}
	return old;
}

static int publish_plan(struct publisher *p, struct owner *o, struct plan *plan)
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
			name_frontend(p, f);
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
	struct frontend_key key;
	struct frontend *f;
	size_t i, j, place = 0;
	struct owner *o;

	while ((o = set_next(&p->owners, &place))) {
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

static bool has_stale(struct publisher *p, const struct owner *o)
{
	struct frontend_key key;
	const struct frontend *f;
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			key = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
			f = frontend_get(p, &key);
			if (f && f->owner == o && f->stale)
				return true;
		}
	}
	return false;
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
static void drop_idents(struct publisher *p, struct plan **gone, size_t n, struct plan **plans,
			size_t count)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < count; j++)
			if (plan_same_port(gone[i], plans[j]))
				break;
		if (j == count)
			ident_drop(p, gone[i]);
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

static void release_addresses(struct publisher *p, struct plan **plans, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (plans[i]->address_held)
			address_release(p, plans[i]->family, &plans[i]->frontend[0].addr);
		plans[i]->address_held = false;
	}
}

static int by_port(const void *a, const void *b)
{
	const struct plan *const *left = a, *const *right = b;

	return strcmp((*left)->port_name, (*right)->port_name);
}

static int take_plans(struct owner *o, struct plan **plans, size_t count)
{
	struct plan **copy = count > 1 ? calloc(count, sizeof(*copy)) : NULL;

	if (count > 1 && !copy)
		return -ENOMEM;
	owner_clear(o);
	o->plans = copy ?: &o->one;
	if (count) {
		memcpy(o->plans, plans, count * sizeof(*plans));
		qsort(o->plans, count, sizeof(*plans), by_port);
		memset(plans, 0, count * sizeof(*plans));
	}
	o->count = (uint32_t)count;
	return 0;
}

/* A service port has the number that it had. */
static void inherit_idents(const struct owner *o, struct plan **plans, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++)
		for (j = 0; j < o->count; j++)
			if (plan_same_port(plans[i], o->plans[j]))
				plans[i]->id = o->plans[j]->id;
}

static int publish_plans(struct publisher *p, struct owner *o, struct plan **plans, size_t count)
{
	size_t i;
	int rc = 0;

	inherit_idents(o, plans, count);
	o->generation = ++p->generation;
	for (i = 0; i < count && !rc; i++)
		rc = publish_plan(p, o, plans[i]);
	return rc;
}

/* The change is in the tables: what there was before goes, and these are the owner's plans. */
static int settle(struct publisher *p, struct owner *o, struct plan **plans, size_t count,
		  bool stale)
{
	int rc;

	release_addresses(p, o->plans, o->count);
	remove_old(p, o);
	departed_note(p, o, plans, count);
	drop_idents(p, o->plans, o->count, plans, count);
	rc = take_plans(o, plans, count);
	owner_wait(p, o, owner_waits(p, o, stale));
	return rc;
}

/* Of what plans[] could not be used for, and an owner that has none. */
static void finish(struct publisher *p, struct owner *o, struct plan **plans, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		plan_free(&plans[i]);
	if (o && !o->count)
		owner_remove(p, o);
	if (p->waiting)
		publish_waiting(p);
}

int publish_service(struct publisher *p, const char *namespace, const char *name,
		    struct plan **plans, size_t count)
{
	struct owner *o = owner_add(p, namespace, name);
	int rc = o ? publish_plans(p, o, plans, count) : -ENOMEM;
	bool stale = rc;

	if (o) {
		if (stale)
			keep_named(p, o, plans, count);
		rc = hold_addresses(p, plans, count, stale) ?: rc;
		rc = settle(p, o, plans, count, stale) ?: rc;
	}
	finish(p, o, plans, count);
	return rc;
}

static void put_back_one(struct publisher *p, struct owner *o, const struct frontend_key *key)
{
	struct frontend *f = frontend_get(p, key);
	const struct plan_frontend *pf;
	struct plan *plan;

	if (!f || f->owner != o || f->generation != p->generation)
		return;
	pf = owner_frontend(o, key, &plan);
	if (pf) {
		if (publish_frontend(p, o, plan, pf))
			f->stale = true;
	} else if (f->taken_over) {
		f->owner = NULL;
	} else {
		frontend_remove(p, f);
	}
}

/*
 * Undo a change that came to an end half-way. In reverse, since each step then finds the room that
 * it had when it was done.
 */
static void put_back(struct publisher *p, struct owner *o, struct plan **plans, size_t count)
{
	struct frontend_key key;
	size_t i, j;

	for (i = count; i-- > 0;) {
		if (has_equal(o, plans[i]))
			continue;
		for (j = plans[i]->frontends; j-- > 0;) {
			key = frontend_key(plans[i], &plans[i]->frontend[j]);
			put_back_one(p, o, &key);
		}
	}
	release_addresses(p, plans, count);
	drop_idents(p, plans, count, o->plans, o->count);
	owner_wait(p, o, o->waiting || owner_waits(p, o, has_stale(p, o)));
}

int publish_service_whole(struct publisher *p, const char *namespace, const char *name,
			  struct plan **plans, size_t count)
{
	struct owner *o = owner_add(p, namespace, name);
	int rc = o ? publish_plans(p, o, plans, count) : -ENOMEM;

	rc = rc ?: hold_addresses(p, plans, count, false);
	if (o && rc)
		put_back(p, o, plans, count);
	else if (o)
		rc = settle(p, o, plans, count, false);
	finish(p, o, plans, count);
	return rc;
}

void publish_sweep(struct publisher *p)
{
	struct frontend *f;
	size_t place = 0;

	while ((f = set_next(&p->frontends, &place))) {
		if (!f->owner && !f->address)
			frontend_remove(p, f);
	}
	address_sweep(p);
	ident_sweep(p);
	p->swept = true;
	frontends_settled(p);
}

void publisher_free(struct publisher **publisher)
{
	struct publisher *p = *publisher;
	struct lost_address *lost, *next_lost;
	struct owner *o;
	size_t place = 0;

	*publisher = NULL;
	if (!p)
		return;
	while ((o = set_next(&p->owners, &place)))
		owner_free(o);
	set_free(&p->frontends);
	set_free(&p->backends);
	set_free(&p->owners);
	HASH_ITER (hh, p->lost, lost, next_lost) {
		HASH_DEL(p->lost, lost);
		free(lost);
	}
	for (uint32_t i = 0; p->version && i < p->tables->size[TABLE_services]; i++)
		free(p->version[i]);
	free(p->id_taken);
	free(p->departed.touched);
	free(p->departed.gone);
	ranges_forget(p);
	free(p->backend);
	free(p->version);
	free(p->entry_taken);
	space_free(&p->space);
	free(p);
}
