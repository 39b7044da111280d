/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The publisher's tables against what it wrote there. A repair goes by the rules of a change: the
 * content is written under another number, whole, before the one store that makes packets see it.
 */
#include "compare.h"

#include <errno.h>
#include <string.h>

#include "compare_words.h"
#include "publish_private.h"

static bool same_run(const struct publisher *p, const struct frontend *f, int class)
{
	const struct np_policy *policy = frontend_policy(f);

	/* An entry holds two slots: all of them lie one after the other. */
	return !run_is_first(policy, class) ||
	       !memcmp(tables_slot(p->tables, policy[class].slot), version_run(f, class),
		       policy[class].count * sizeof(uint32_t));
}

static bool same_version(const struct publisher *p, const struct frontend *f, int *class)
{
	const struct np_service wanted = service_whole(frontend_service(f));

	*class = NP_CLASSES;
	if (!same_bytes(&p->tables->services[f->version], &wanted, sizeof(wanted)))
		return false;
	for (*class = 0; *class < NP_CLASSES; ++*class)
		if (!same_run(p, f, *class))
			return false;
	return true;
}

/* Its new version; without room for one, it is written where it is. */
static struct frontend *repair_version(struct publisher *p, struct frontend *f)
{
	struct frontend *version;

	if (version_copy(p, f, &version)) {
		version_write(p, f);
		version = f;
	} else {
		frontend_publish(p, version);
	}
	__atomic_store_n(frontend_entry(p, version), frontend_value(version), __ATOMIC_RELEASE);
	return version;
}

/* Returns the frontend, whose record may be another now. */
static struct frontend *compare_content(struct publisher *p, struct frontend *f,
					const struct compare *c)
{
	struct difference d = {};
	int class;

	if (same_version(p, f, &class))
		return f;
	words_of_frontend(f, d.what, sizeof(d.what));
	words_of_content(p, f, class, &d);
	if (c->repair)
		f = repair_version(p, f);
	d.repaired = c->repair;
	compare_tell(c, &d);
	return f;
}

static void compare_entry(struct publisher *p, const struct frontend *f, const struct compare *c)
{
	uint64_t *entry = frontend_entry(p, f);
	const uint64_t found = __atomic_load_n(entry, __ATOMIC_RELAXED);
	struct difference d = {};

	if (found == frontend_value(f))
		return;
	words_of_frontend(f, d.what, sizeof(d.what));
	difference_set(d.wanted, "an entry of version %u", f->version);
	if (found)
		difference_set(d.found, "an entry of version %u with tag %08x", (uint32_t)found,
			       (uint32_t)(found >> 32));
	else
		difference_set(d.found, "no entry");
	if (c->repair) {
		__atomic_store_n(entry, frontend_value(f), __ATOMIC_RELEASE);
		d.repaired = 1;
	}
	compare_tell(c, &d);
}

static void compare_known(struct publisher *p, const struct frontend *f, const struct compare *c)
{
	struct difference d = {};

	if (frontend_is_known(p, f))
		return;
	words_of_frontend(f, d.what, sizeof(d.what));
	difference_set(d.wanted, "its address in address_filter");
	difference_set(d.found, "nothing");
	if (c->repair) {
		frontend_know(p, f);
		d.repaired = 1;
	}
	compare_tell(c, &d);
}

static void compare_admitted(struct publisher *p, struct frontend *f, const struct compare *c)
{
	struct difference d = {};
	size_t missing;

	if (!(f->service.flags & NP_SERVICE_RANGES))
		return;
	missing = ranges_missing(p, f->version, c->repair, &d.repaired);
	if (!missing)
		return;
	words_of_frontend(f, d.what, sizeof(d.what));
	difference_set(d.wanted, "its source ranges");
	difference_set(d.found, "%zu of them missing in source_ranges", missing);
	compare_tell(c, &d);
}

void compare_version(struct publisher *p, uint32_t version, const struct compare *c)
{
	struct frontend *f = p->version[version];

	if (!f)
		return;
	f = compare_content(p, f, c);
	compare_entry(p, f, c);
	compare_known(p, f, c);
	compare_admitted(p, f, c);
}

/* A value of a place that is taken is compare_version()'s to look at. */
void compare_bucket(struct publisher *p, uint32_t bucket, const struct compare *c)
{
	uint64_t *entry = (uint64_t *)p->tables->frontends[bucket].entry;
	struct difference d;

	for (int i = 0; i < NP_BUCKET; i++) {
		if (!entry[i] || entry_is_taken(p, &entry[i]))
			continue;
		d = (struct difference){};
		difference_set(d.what, "frontends: place %d of bucket %u", i, bucket);
		difference_set(d.wanted, "nothing");
		words_of_stranger(p, (uint32_t)entry[i], d.found, sizeof(d.found));
		if (c->repair) {
			__atomic_store_n(&entry[i], 0, __ATOMIC_RELEASE);
			d.repaired = 1;
		}
		compare_tell(c, &d);
	}
}

void compare_backend(struct publisher *p, uint32_t number, const struct compare *c)
{
	struct np_backend *entry = &p->tables->backends[number];
	const struct backend *b = backend_at(p, number);
	struct np_backend wanted = {};
	struct difference d = {};

	if (b)
		wanted = backend_whole(&b->entry);
	if (b ? same_bytes(entry, &wanted, sizeof(wanted)) : !(entry->flags & NP_BACKEND_USED))
		return;
	difference_set(d.what, "backend %u", number);
	if (b) {
		words_of_backend(&wanted, d.wanted, sizeof(d.wanted));
		words_of_backend(entry, d.found, sizeof(d.found));
	} else {
		difference_set(d.wanted, "not in use");
		words_of_backend(entry, d.found, sizeof(d.found));
	}
	if (c->repair) {
		memset(entry->spare, 0, sizeof(entry->spare));
		if (b)
			backend_write(p, b);
		else
			__atomic_store_n(&entry->flags, 0, __ATOMIC_RELEASE);
		d.repaired = 1;
	}
	compare_tell(c, &d);
}

void compare_ranges(struct publisher *p, const struct compare *c)
{
	struct difference d = {};
	size_t extra = ranges_extra(p, c->repair);

	if (!extra)
		return;
	difference_set(d.what, "source_ranges");
	difference_set(d.wanted, "what the versions admit");
	difference_set(d.found, "%zu ranges more", extra);
	d.repaired = c->repair;
	compare_tell(c, &d);
}

static void waiting_of(struct publisher *p, const struct owner *o, const struct compare *c)
{
	struct frontend_key key;
	struct difference d;
	size_t i, j;

	for (i = 0; i < o->count; i++) {
		for (j = 0; j < o->plans[i]->frontends; j++) {
			const struct plan_frontend *pf = &o->plans[i]->frontend[j];
			const struct frontend *f;

			key = frontend_key(o->plans[i], pf);
			f = frontend_get(p, &key);
			if (f && (f->owner != o || !f->stale))
				continue;
			d = (struct difference){.waits = true};
			words_of_plan(o->plans[i], pf, d.what, sizeof(d.what));
			difference_set(d.wanted, "%s", f ? "its last change" : "an entry");
			difference_set(d.found, "%s, as there is no room: it is tried again",
				       f ? "what was before" : "none");
			compare_tell(c, &d);
		}
	}
}

static void compare_addresses(struct publisher *p, const struct compare *c)
{
	struct lost_address *lost, *next;
	struct difference d;

	for (lost = p->lost; lost; lost = next) {
		next = lost->hh.next; /* one that finds room is freed */
		d = (struct difference){.waits = true};
		words_of_address(&lost->key, d.what, sizeof(d.what));
		difference_set(d.wanted, "an entry, as it is this host's");
		difference_set(d.found, "none, as there is no room: it is tried again");
		if (c->repair &&
		    !publish_address(p, lost->key.family, &lost->key.addr, lost->flags))
			d.repaired = 1;
		compare_tell(c, &d);
	}
}

void compare_waiting(struct publisher *p, const struct compare *c)
{
	const struct owner *o;
	size_t place = 0;

	while (p->waiting && (o = set_next(&p->owners, &place)))
		if (o->waiting)
			waiting_of(p, o, c);
	compare_addresses(p, c);
}
