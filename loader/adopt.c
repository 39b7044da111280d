/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new publisher: what the tables hold already, from an earlier daemon, is read back and kept. */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

/* The backends of the runs; what names none is left to name nothing. */
static void adopt_numbers(struct publisher *p, struct frontend *f)
{
	const struct np_policy *policy = frontend_policy(f);
	uint32_t n, number;
	size_t filled = 0;
	int i;

	for (i = 0; i < NP_CLASSES; i++) {
		for (n = 0; run_is_first(policy, i) && n < policy[i].count; n++) {
			number = *tables_slot(p->tables, policy[i].slot + n);
			if (backend_at(p, number))
				backend_at(p, number)->references++;
			else
				number = UINT32_MAX;
			f->number[filled++] = number;
		}
	}
}

/* The runs of an adopted version, and the references to its backends. False: not to be believed. */
static bool adopt_runs(struct publisher *p, struct frontend *f)
{
	const struct np_policy *policy = frontend_policy(f);
	int i;

	for (i = 0; i < NP_CLASSES; i++)
		if (run_is_first(policy, i) &&
		    (policy[i].slot + (uint64_t)policy[i].count > tables_slots(p->tables) ||
		     space_adopt_slots(p->space, policy[i].slot, policy[i].count)))
			break;
	if (i < NP_CLASSES) {
		while (i--)
			if (run_is_first(policy, i))
				space_give_slots(p->space, policy[i].slot, policy[i].count);
		return false;
	}
	adopt_numbers(p, f);
	return true;
}

/* Its record, as the table has it. NULL: not to be believed, or there is no memory. */
static struct frontend *adopt_version(struct publisher *p, const struct np_service *s)
{
	const struct service_entry service = service_part(s);
	const size_t count = version_count(service.policy);
	const bool address = !s->port && !s->protocol;
	struct frontend *f = NULL;

	if (count <= NP_CLASSES * (uint64_t)tables_slots(p->tables))
		f = version_new(address, count);
	if (!f)
		return NULL;
	frontend_set_service(f, service);
	if (adopt_runs(p, f))
		return f;
	free(f);
	return NULL;
}

static int adopt_backend(struct publisher *p, uint32_t number)
{
	const struct np_backend *entry = &p->tables->backends[number];
	const struct backend_key key = backend_key(entry->family, &entry->addr, entry->port);
	int rc;

	if (!(entry->flags & NP_BACKEND_USED))
		return 0;
	rc = backend_add(p, &key, number);
	if (rc)
		return rc;
	p->backend[number].entry = backend_part(entry);
	return space_adopt_backend(p->space, number);
}

/* What cannot have come from this program is dropped. */
static int adopt_entry(struct publisher *p, uint64_t *entry)
{
	uint32_t version = (uint32_t)*entry;
	const struct np_service *s = &p->tables->services[version];
	struct frontend_key key;
	struct frontend *f;
	uint32_t tag;

	if (version >= p->tables->size[TABLE_services]) {
		*entry = 0;
		return 0;
	}
	key = service_part(s).key;
	if (!entry_in_place(p, entry, &key, &tag) || *entry >> 32 != tag || frontend_get(p, &key) ||
	    space_adopt_service(p->space, version)) {
		*entry = 0;
		return 0;
	}
	f = adopt_version(p, s);
	if (!f) {
		*entry = 0;
		space_give_service(p->space, version);
		return 0;
	}
	if (frontend_add(p, f, entry, tag)) {
		free(f);
		return -ENOMEM;
	}
	p->version[version] = f;
	f->version = version;
	f->adopted = true;
	f->host_flags = f->address ? s->flags & NP_ADDRESS_HOST : 0;
	if (s->port && s->id < p->tables->size[TABLE_service_stats])
		id_take(p, s->id, ID_ADOPTED);
	return 0;
}

static int adopt(struct publisher *p)
{
	uint32_t i;
	int j, rc = 0;

	for (i = 0; i < p->tables->size[TABLE_backends] && !rc; i++)
		rc = adopt_backend(p, i);
	for (i = 0; i < p->tables->size[TABLE_frontends] && !rc; i++)
		for (j = 0; j < NP_BUCKET && !rc; j++)
			if (p->tables->frontends[i].entry[j])
				rc = adopt_entry(p, (uint64_t *)&p->tables->frontends[i].entry[j]);
	/* Left by a daemon that died between taking a backend and publishing it. */
	for (i = 0; i < p->tables->size[TABLE_backends]; i++)
		if (p->backend[i].there && !p->backend[i].references)
			backend_drop(p, &p->backend[i], 0);
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
	p->backend = calloc(sizes.backends, sizeof(*p->backend));
	p->version = calloc(sizes.services, sizeof(*p->version));
	/* NP_BUCKET (8) bits each, in whole words. */
	p->entry_taken = calloc((tables->size[TABLE_frontends] + 7) / 8, sizeof(*p->entry_taken));
	p->id_taken = calloc(tables->size[TABLE_service_stats], 1);
	p->departed.touched =
		calloc(tables->size[TABLE_service_stats], sizeof(*p->departed.touched));
	if (!p->backend || !p->version || !p->entry_taken || !p->id_taken || !p->departed.touched)
		return -ENOMEM;
	rc = adopt(p) ?: ranges_adopt(p);
	if (rc)
		return rc;
	/* What an earlier daemon gave back just before it died may be in a packet's hands. */
	tables_synchronize();
	*publisher = TAKE_PTR(p);
	return 0;
}
