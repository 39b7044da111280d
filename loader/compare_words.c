/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See compare_words.h. What is found is to be mistrusted: numbers are checked before use. */
#include "compare_words.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"

#define BACKENDS_SHOWN 4

/* Addresses come from the tables: the family may be anything. */
static void place_words(uint8_t family, const union np_addr *addr, __be16 port, char *text,
			size_t size)
{
	endpoint_text(family == NP_IPV4 ? NP_IPV4 : NP_IPV6, addr, port, text, size);
}

void words_of_address(const struct frontend_key *key, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(key->family == NP_IPV4 ? AF_INET : AF_INET6, &key->addr, address,
		  sizeof(address));
	snprintf(text, size, "address %s", address);
}

static void key_words(const struct frontend_key *key, char *text, size_t size)
{
	const union np_addr any = {};
	char place[80];

	if (address_equal(&key->addr, &any))
		snprintf(place, sizeof(place), "%s", key->family == NP_IPV4 ? "IPv4" : "IPv6");
	else
		place_words(key->family, &key->addr, key->port, place, sizeof(place));
	if (address_equal(&key->addr, &any))
		snprintf(text, size, "%s port %u/%s", place, ntohs(key->port),
			 protocol_name(key->protocol));
	else
		snprintf(text, size, "%s/%s", place, protocol_name(key->protocol));
}

void words_of_plan(const struct plan *plan, const struct plan_frontend *pf, char *text, size_t size)
{
	const struct frontend_key key = frontend_key(plan, pf);
	char place[100];

	key_words(&key, place, sizeof(place));
	snprintf(text, size, "Service \"%s/%s\" port \"%s\" %s %s", plan->namespace, plan->name,
		 plan->port_name, plan_kind_name(pf->kind), place);
}

void words_of_frontend(const struct frontend *f, char *text, size_t size)
{
	const struct plan_frontend *pf;
	struct plan *plan;
	char place[100];

	if (f->address) {
		words_of_address(&f->service.key, text, size);
		return;
	}
	pf = f->owner ? owner_frontend(f->owner, &f->service.key, &plan) : NULL;
	if (pf) {
		words_of_plan(plan, pf, text, size);
		return;
	}
	key_words(&f->service.key, place, sizeof(place));
	snprintf(text, size, "frontend %s", place);
}

void words_of_backend(const struct np_backend *b, char *text, size_t size)
{
	char place[80], snat[80];

	place_words(b->family, &b->addr, b->port, place, sizeof(place));
	place_words(b->family, &b->snat, 0, snat, sizeof(snat));
	snprintf(text, size, "%s, %s, %s, zone \"%s\", source %.*s", place,
		 b->flags & NP_BACKEND_USED ? "in use" : "not in use",
		 b->flags & NP_BACKEND_LOCAL ? "local" : "remote",
		 b->zone < NP_ZONE_CLASSES ? zone_names[b->zone] : "?", (int)strlen(snat) - 2,
		 snat);
}

void words_of_stranger(const struct publisher *p, uint32_t version, char *text, size_t size)
{
	const struct np_service *s;
	struct frontend_key key;
	char place[100];

	if (version >= p->tables->size[TABLE_services]) {
		snprintf(text, size, "an entry of version %u, which is outside the table", version);
		return;
	}
	s = &p->tables->services[version];
	key = service_part(s).key;
	key_words(&key, place, sizeof(place));
	snprintf(text, size, "an entry of version %u, %s", version, place);
}

/* False: it is none. */
static bool backend_place(const struct publisher *p, uint32_t number, bool wanted, char *text,
			  size_t size)
{
	const struct backend *b = backend_at(p, number);
	const struct np_backend *entry;

	if (number >= p->tables->size[TABLE_backends] || (wanted && !b))
		return false;
	entry = &p->tables->backends[number];
	if (wanted)
		place_words(b->entry.family, &b->entry.addr, b->entry.port, text, size);
	else
		place_words(entry->family, &entry->addr, entry->port, text, size);
	return true;
}

/* The backends of a run: the wanted ones by the record, or those programs find. */
static void run_words(const struct publisher *p, const uint32_t *number, uint32_t count,
		      bool wanted, char *text, size_t size)
{
	size_t used = 0;
	char place[80];

	*text = '\0';
	for (uint32_t i = 0; i < count; i++) {
		if (i == BACKENDS_SHOWN) {
			snprintf(text + used, size - used, " and %u more", count - i);
			return;
		}
		if (!backend_place(p, number[i], wanted, place, sizeof(place)))
			snprintf(place, sizeof(place), "number %u", number[i]);
		used += snprintf(text + used, size - used, "%s%s", i ? ", " : "", place);
	}
}

static void policy_words(const struct publisher *p, const struct np_policy *policy,
			 const uint32_t *number, bool wanted, char *text, size_t size)
{
	const char *verdict =
		policy->verdict < NP_VERDICTS ? verdict_names[policy->verdict] : "unknown verdict";
	char run[240] = "";

	if (policy->count && number)
		run_words(p, number, policy->count, wanted, run, sizeof(run));
	snprintf(text, size, "%s%s%s%s", verdict, run[0] ? " to " : "", run,
		 policy->snat ? ", source translated" : "");
}

static void class_words(const struct publisher *p, const struct frontend *f, int class,
			struct difference *d)
{
	const struct np_policy *policy = &p->tables->services[f->version].policy[class];
	const uint32_t slots = tables_slots(p->tables);
	const uint32_t *number = NULL;
	char words[280];

	policy_words(p, &frontend_policy(f)[class], version_run(f, class), true, words,
		     sizeof(words));
	difference_set(d->wanted, "%s: %s", class_names[class], words);
	if (policy->slot < slots && policy->count <= slots - policy->slot)
		number = tables_slot(p->tables, policy->slot);
	policy_words(p, policy, number, false, words, sizeof(words));
	difference_set(d->found, "%s: %s%s", class_names[class], words,
		       number ? "" : ", slots outside the table");
}

void words_of_content(const struct publisher *p, const struct frontend *f, int class,
		      struct difference *d)
{
	const struct service_entry wanted = frontend_service(f);
	const struct service_entry found = service_part(&p->tables->services[f->version]);

	for (int i = 0; class == NP_CLASSES && i < NP_CLASSES; i++)
		if (memcmp(&wanted.policy[i], &found.policy[i], sizeof(found.policy[i])) != 0)
			class = i;
	if (!same_bytes(&wanted.key, &found.key, sizeof(found.key))) {
		difference_set(d->wanted, "a version %u of it", f->version);
		words_of_stranger(p, f->version, d->found, sizeof(d->found));
	} else if (wanted.flags != found.flags) {
		difference_set(d->wanted, "flags 0x%02x", wanted.flags);
		difference_set(d->found, "flags 0x%02x", found.flags);
	} else if (class < NP_CLASSES) {
		class_words(p, f, class, d);
	} else {
		difference_set(d->wanted, "counters %u, affinity %u ticks", wanted.id,
			       wanted.affinity);
		difference_set(d->found, "counters %u, affinity %u ticks", found.id,
			       found.affinity);
	}
}
