/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is published, for those who show it: plans, who has which frontend, fill. Changes nothing.
 */
#include <string.h>

#include <errno.h>

#include "publish_private.h"
#include "util.h"

bool publish_has(struct publisher *p, const struct plan *plan, const struct plan_frontend *pf)
{
	struct frontend_key key = frontend_key(plan, pf);
	struct frontend *f = frontend_get(p, &key);

	return f && f->owner && f->owner == owner_get(p, plan->namespace, plan->name);
}

const struct plan_frontend *owner_frontend(const struct owner *o, const struct frontend_key *key,
					   struct plan **plan)
{
	struct frontend_key other;
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			other = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
			if (!same_bytes(&other, key, sizeof(other)))
				continue;
			*plan = o->plans[i];
			return &o->plans[i]->frontend[j];
		}
	}
	return NULL;
}

const struct plan *publish_plan_of(struct publisher *p, uint32_t version)
{
	const struct frontend *f =
		version < p->tables->size[TABLE_services] ? p->version[version] : NULL;
	struct plan *plan = NULL;

	if (f && f->owner && owner_frontend(f->owner, &f->service.key, &plan))
		return plan;
	return NULL;
}

const struct plan *publish_cluster_ip(struct publisher *p, uint8_t family,
				      const union np_addr *addr)
{
	size_t i, place = 0;
	struct owner *o;

	while ((o = set_next(&p->owners, &place))) {
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
			return p->tables->service_stats[f->service.id];
	}
	return (struct np_service_stats){};
}

static int by_name(const void *a, const void *b)
{
	const struct owner *const *first = a, *const *second = b;

	return strcmp((*first)->namespace, (*second)->namespace)
		       ?: strcmp((*first)->name, (*second)->name);
}

struct owner **owners_sorted(struct publisher *p, size_t *count)
{
	struct owner **sorted = calloc(p->owners.count + 1, sizeof(*sorted)), *o;
	size_t place = 0;

	*count = 0;
	while (sorted && (o = set_next(&p->owners, &place)))
		sorted[(*count)++] = o;
	if (sorted)
		qsort(sorted, *count, sizeof(*sorted), by_name);
	return sorted;
}

int publish_each(struct publisher *p, int (*visit)(const struct plan *plan, void *arg), void *arg)
{
	size_t count, i, j;
	_cleanup_free_ struct owner **owners = owners_sorted(p, &count);
	int rc = owners ? 0 : -ENOMEM;

	for (i = 0; i < count && !rc; i++)
		for (j = 0; j < owners[i]->count && !rc; j++)
			rc = visit(owners[i]->plans[j], arg);
	return rc;
}

static void conflicts_of(struct publisher *p, struct owner *o, json_t *list)
{
	char own[520], others[520];
	struct frontend_key key;
	struct frontend *f;
	size_t i, j;

	owner_text(o, own, sizeof(own));
	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			key = frontend_key(o->plans[i], &o->plans[i]->frontend[j]);
			f = frontend_get(p, &key);
			if (!f || !f->owner || f->owner == o)
				continue;
			owner_text(f->owner, others, sizeof(others));
			{
				json_array_append_new(
					list,
					json_sprintf("Service \"%s\": %s port %u belongs to "
						     "Service \"%s\" already",
						     own,
						     plan_kind_name(o->plans[i]->frontend[j].kind),
						     ntohs(key.port), others));
			}
		}
	}
}

void publish_begin_grace(struct publisher *p)
{
	space_begin_grace(p->space);
}

void publish_end_grace(struct publisher *p)
{
	space_end_grace(p->space);
}

bool publish_wants_grace(const struct publisher *p)
{
	return space_wants_grace(p->space);
}

uint64_t publish_generation(const struct publisher *p)
{
	return p->generation;
}

void publish_conflicts_since(struct publisher *p, uint64_t generation, json_t *list)
{
	struct owner *o;
	size_t place = 0;

	if (!p->waiting)
		return;
	while ((o = set_next(&p->owners, &place))) {
		if (o->waiting && o->generation > generation)
			conflicts_of(p, o, list);
	}
}

json_t *publish_conflicts(struct publisher *p)
{
	json_t *list = json_array();
	_cleanup_free_ struct owner **owners = NULL;
	size_t count = 0;

	if (!list || !p->waiting)
		return list;
	owners = owners_sorted(p, &count);
	for (size_t i = 0; i < count; i++)
		if (owners[i]->waiting)
			conflicts_of(p, owners[i], list);
	return list;
}

uint32_t publish_used(struct publisher *p, enum table table)
{
	struct space_sizes used = space_used(p->space);

	switch (table) {
	case TABLE_frontends:
		return (uint32_t)p->frontends.count;
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

size_t publish_range_count(const struct publisher *p)
{
	return ranges_count(p);
}

uint32_t publish_id_count(const struct publisher *p)
{
	uint32_t i, used = 0;

	for (i = 0; i < p->ids; i++)
		used += p->id_taken[i] != 0;
	return used;
}

struct publish_full publish_full(const struct publisher *p)
{
	struct publish_full full = {.option = "max-services"};

	if (p->full == TABLES)
		return (struct publish_full){
			"source_ranges", tables_map_entries(p->tables, TABLES_MAP_source_ranges),
			full.option};
	if (p->full == TABLE_slots || p->full == TABLE_backends)
		full.option = p->full == TABLE_slots ? "max-slots" : "max-backends";
	full.table = tables_name(p->full);
	full.size = tables_entries(p->tables, p->full);
	return full;
}
