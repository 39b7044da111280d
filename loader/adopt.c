/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new publisher: what the tables hold already, from an earlier daemon, is read back and kept. */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

/* The backends of the runs; what names none is left to name nothing. */
static void adopt_numbers(struct publisher *p, struct version *v)
{
	const struct np_service *s = &v->service;
	uint32_t n, number;
	size_t filled = 0;
	int i;

	for (i = 0; i < NP_CLASSES; i++) {
		for (n = 0; run_is_first(s, i) && n < s->policy[i].count; n++) {
			number = *tables_slot(p->tables, s->policy[i].slot + n);
			if (backend_at(p, number))
				backend_at(p, number)->references++;
			else
				number = UINT32_MAX;
			v->number[filled++] = number;
		}
	}
}

/* The runs of an adopted version, and the references to its backends. False: not to be believed. */
static bool adopt_runs(struct publisher *p, struct version *v)
{
	const struct np_service *s = &v->service;
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
	adopt_numbers(p, v);
	return true;
}

/* Its record, as the table has it. NULL: not to be believed, or there is no memory. */
static struct version *adopt_version(struct publisher *p, const struct np_service *s)
{
	struct version *v = NULL;
	uint64_t count = 0;
	int i;

	for (i = 0; i < NP_CLASSES; i++)
		count += run_is_first(s, i) ? s->policy[i].count : 0;
	if (count <= NP_CLASSES * (uint64_t)tables_slots(p->tables))
		v = calloc(1, sizeof(*v) + count * sizeof(v->number[0]));
	if (!v)
		return NULL;
	v->service = *s;
	if (adopt_runs(p, v))
		return v;
	free(v);
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
	struct version *v;
	uint32_t tag;

	if (version >= p->tables->size[TABLE_services]) {
		*entry = 0;
		return 0;
	}
	memset(&key, 0, sizeof(key));
	key.addr = s->addr;
	key.port = s->port;
	key.protocol = s->protocol;
	key.family = s->family;
	if (!entry_in_place(p, entry, &key, &tag) || *entry >> 32 != tag || frontend_get(p, &key) ||
	    space_adopt_service(p->space, version)) {
		*entry = 0;
		return 0;
	}
	v = adopt_version(p, s);
	if (!v) {
		*entry = 0;
		space_give_service(p->space, version);
		return 0;
	}
	f = frontend_add(p, &key);
	if (!f) {
		free(v);
		return -ENOMEM;
	}
	p->version[version] = v;
	v->frontend = f;
	entry_take(p, entry, true);
	f->entry = entry;
	frontend_know(p, f); /* the filter may be one that lost its pin */
	f->tag = tag;
	f->adopted = true;
	f->version = version;
	f->address = !s->port && !s->protocol;
	f->host_flags = f->address ? s->flags & NP_ADDRESS_HOST : 0;
	if (s->port && s->id < p->tables->size[TABLE_service_stats])
		p->id_taken[s->id] = ID_ADOPTED;
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
	p->version = calloc(sizes.services, sizeof(struct version *));
	p->entry_taken = calloc(1, tables->size[TABLE_frontends]); /* NP_BUCKET bits each */
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
