/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new publisher: what the tables hold already, from an earlier daemon, is read back and kept. */
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

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
	f->address = !s->port && !s->protocol;
	f->host_flags = f->address ? s->flags & NP_ADDRESS_HOST : 0;
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
	p->departed.touched =
		calloc(tables->size[TABLE_service_stats], sizeof(*p->departed.touched));
	if (!p->by_number || !p->id_taken || !p->departed.touched)
		return -ENOMEM;
	rc = adopt(p) ?: ranges_adopt(p);
	if (rc)
		return rc;
	/* What an earlier daemon gave back just before it died may be in a packet's hands. */
	tables_synchronize();
	*publisher = TAKE_PTR(p);
	return 0;
}
