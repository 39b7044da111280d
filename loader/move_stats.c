/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counters, session affinity and turns of ports of another version's tables. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "move.h"
#include "util.h"

/* Their numbers of hooks or reasons, by ours; UINT32_MAX: they have none such. */
struct numbers {
	const char *const *names;
	uint32_t count;
	uint32_t theirs[64];
};

static const char *const hooks[NP_HOOKS] = {
#define X(e, name) [NP_HOOK_##e] = "NP_HOOK_" #e,
	NP_HOOK_LIST(X)
#undef X
};

static const char *const reasons[NP_REASONS] = {
#define X(e, name, help) [NP_REASON_##e] = "NP_REASON_" #e,
	NP_REASON_LIST(X)
#undef X
};
NP_STATIC_ASSERT(NP_REASONS <= 64);

static const char *const zones[NP_ZONE_CLASSES] = {
#define X(e, name) [NP_ZONE_##e] = "NP_ZONE_" #e,
	NP_ZONE_CLASS_LIST(X)
#undef X
};

static void learn(const char *enumerator, uint32_t value, void *arg)
{
	struct numbers *n = arg;

	for (uint32_t i = 0; i < n->count; i++)
		if (!strcmp(n->names[i], enumerator))
			n->theirs[i] = value;
}

static struct numbers numbers_of(const struct layout *from, const char *name,
				 const char *const *names, uint32_t count)
{
	struct numbers n = {.names = names, .count = count};

	memset(n.theirs, 0xff, sizeof(n.theirs));
	layout_enum(from, name, learn, &n);
	return n;
}

/* What is taken is gone there: a nearpathd that is killed here does not count it twice. */
static uint64_t take(void *entry, uint32_t at)
{
	return __atomic_exchange_n((uint64_t *)((char *)entry + at), 0, __ATOMIC_RELAXED);
}

void move_stats(struct layout *from, struct tables *to)
{
	struct layout_field f = layout_field(from, LAYOUT_stats, "packets"); /* [hook][reason] */
	struct numbers hook = numbers_of(from, "np_hook", hooks, NP_HOOKS);
	struct numbers reason = numbers_of(from, "np_reason", reasons, NP_REASONS);
	struct np_stats *sum = &to->stats[to->size[TABLE_stats] - 1];
	uint32_t n, h, r, row = f.size / sizeof(uint64_t);
	void *entry;

	for (n = 0; f.size && (entry = layout_entry(from, LAYOUT_stats, n)); n++) {
		for (h = 0; h < NP_HOOKS; h++) {
			for (r = 0; r < NP_REASONS && hook.theirs[h] < f.count; r++)
				if (reason.theirs[r] < row)
					sum->packets[h][r] += take(
						entry, f.at + hook.theirs[h] * f.size +
							       reason.theirs[r] * sizeof(uint64_t));
		}
	}
}

/* The counters of one of their service ports. */
static void take_service(const struct layout *from, uint32_t id, struct np_service_stats *to)
{
	struct layout_field connections = layout_field(from, LAYOUT_service_stats, "connections");
	struct layout_field refused = layout_field(from, LAYOUT_service_stats, "refused");
	struct numbers zone = numbers_of(from, "np_zone_class", zones, NP_ZONE_CLASSES);
	void *entry = layout_entry(from, LAYOUT_service_stats, id);
	uint32_t i;

	if (!entry)
		return;
	for (i = 0; i < NP_ZONE_CLASSES && connections.size == sizeof(uint64_t); i++) {
		if (zone.theirs[i] == UINT32_MAX && from->in_root)
			zone.theirs[i] = i;
		if (zone.theirs[i] < connections.count)
			__atomic_fetch_add(
				&to->connections[i],
				take(entry, connections.at + zone.theirs[i] * connections.size),
				__ATOMIC_RELAXED);
	}
	if (refused.size == sizeof(uint64_t))
		__atomic_fetch_add(&to->refused, take(entry, refused.at), __ATOMIC_RELAXED);
}

/* One of their frontends: its service port there, and here. */
struct pair {
	uint32_t theirs, ours;
};

static bool service_pair(const struct layout *from, struct publisher *p, uint32_t version,
			 struct pair *pair)
{
	struct layout_field addr = layout_field(from, LAYOUT_services, "addr");
	struct layout_field port = layout_field(from, LAYOUT_services, "port");
	struct layout_field protocol = layout_field(from, LAYOUT_services, "protocol");
	struct layout_field family = layout_field(from, LAYOUT_services, "family");
	struct layout_field id = layout_field(from, LAYOUT_services, "id");
	void *service = layout_entry(from, LAYOUT_services, version);
	union np_addr frontend = layout_addr(service, &addr, 0);

	if (!service || !layout_number(service, &port, 0) || !id.size)
		return false;
	pair->theirs = layout_number(service, &id, 0);
	pair->ours = publish_service_number(p, layout_number(service, &family, 0), &frontend,
					    layout_number(service, &port, 0),
					    layout_number(service, &protocol, 0));
	return pair->ours != NO_NUMBER;
}

static int by_theirs(const void *a, const void *b)
{
	const struct pair *left = a, *right = b;

	return left->theirs < right->theirs ? -1 : left->theirs > right->theirs;
}

/* All of them, sorted; several may be of one service port. For the caller to free. */
static struct pair *service_pairs(const struct layout *from, struct publisher *p, size_t *count)
{
	uint32_t buckets = from->table[LAYOUT_frontends].size, n;
	struct pair *pairs = calloc((size_t)buckets * NP_BUCKET + 1, sizeof(*pairs));

	*count = 0;
	for (n = 0; pairs && n < buckets; n++) {
		struct np_bucket *bucket = layout_entry(from, LAYOUT_frontends, n);

		for (int i = 0; bucket && i < NP_BUCKET; i++)
			if (bucket->entry[i] &&
			    service_pair(from, p, (uint32_t)bucket->entry[i], &pairs[*count]))
				++*count;
	}
	if (pairs)
		qsort(pairs, *count, sizeof(*pairs), by_theirs);
	return pairs;
}

void move_service_stats(struct layout *from, struct tables *to, struct publisher *p)
{
	size_t count, i;
	_cleanup_free_ struct pair *pairs = service_pairs(from, p, &count);

	for (i = 0; pairs && i < count; i++)
		if (pairs[i].ours < to->size[TABLE_service_stats])
			take_service(from, pairs[i].theirs, &to->service_stats[pairs[i].ours]);
}

/* How their affinity map lies; sizes are checked by reading. */
struct affinity {
	struct layout_field client, service, family, addr, port, backend, seen;
};

static void copy_affinity(const struct affinity *a, const void *key, const void *value,
			  const struct pair *pair, struct tables *to, struct publisher *p,
			  uint64_t flags)
{
	struct np_affinity_key k = {
		.client = layout_addr(key, &a->client, 0),
		.service = pair->ours,
		.family = layout_number(key, &a->family, 0),
	};
	struct np_affinity v = {
		.addr = layout_addr(value, &a->addr, 0),
		.port = layout_number(value, &a->port, 0),
		.seen = layout_number(value, &a->seen, 0),
	};

	v.backend = publish_backend_number(p, k.family, &v.addr, v.port);
	if (v.backend != NO_NUMBER)
		bpf_map_update_elem(to->map_fd[TABLES_MAP_affinity], &k, &v, flags);
}

void move_affinity(struct layout *from, struct tables *to, struct publisher *p, bool only_new)
{
	const struct layout_table *t = &from->table[LAYOUT_affinity];
	const struct affinity a = {
		.client = layout_key_field(from, LAYOUT_affinity, "client"),
		.service = layout_key_field(from, LAYOUT_affinity, "service"),
		.family = layout_key_field(from, LAYOUT_affinity, "family"),
		.addr = layout_field(from, LAYOUT_affinity, "addr"),
		.port = layout_field(from, LAYOUT_affinity, "port"),
		.backend = layout_field(from, LAYOUT_affinity, "backend"),
		.seen = layout_field(from, LAYOUT_affinity, "seen"),
	};
	size_t count;
	_cleanup_free_ struct pair *pairs = service_pairs(from, p, &count);
	_cleanup_free_ char *key = calloc(1, t->key_size + 1);
	_cleanup_free_ char *next = calloc(1, t->key_size + 1);
	_cleanup_free_ char *value = calloc(1, t->value_size + 1);
	const void *last = NULL;

	if (!t->size || !pairs || !key || !next || !value || !a.client.size || !a.service.size ||
	    !a.family.size || !a.addr.size || !a.port.size || !a.seen.size)
		return;
	/* An LRU map may lose the key one stands at, and begins anew then: no more than it has. */
	for (uint32_t n = 0; n < t->size && !bpf_map_get_next_key(t->fd, last, next); n++) {
		const struct pair wanted = {.theirs = layout_number(next, &a.service, 0)};
		const struct pair *pair = bsearch(&wanted, pairs, count, sizeof(*pairs), by_theirs);

		memcpy(key, next, t->key_size);
		last = key;
		if (pair && !bpf_map_lookup_elem(t->fd, key, value))
			copy_affinity(&a, key, value, pair, to, p,
				      only_new ? BPF_NOEXIST : BPF_ANY);
	}
}

#define TURNS_APART 4096

void move_turns(struct layout *from, struct tables *to, struct publisher *p)
{
	struct layout_field addr = layout_field(from, LAYOUT_backends, "addr");
	struct layout_field port = layout_field(from, LAYOUT_backends, "port");
	struct layout_field family = layout_field(from, LAYOUT_backends, "family");
	struct layout_field next = layout_field(from, LAYOUT_snat_ports, "next");
	struct layout_field refused = layout_field(from, LAYOUT_snat_ports, "refused");
	uint32_t n, number;

	for (n = 0; n < from->table[LAYOUT_snat_ports].size; n++) {
		void *backend = layout_entry(from, LAYOUT_backends, n);
		void *turn = layout_entry(from, LAYOUT_snat_ports, n);
		union np_addr a = layout_addr(backend, &addr, 0);

		number = backend ? publish_backend_number(p, layout_number(backend, &family, 0), &a,
							  layout_number(backend, &port, 0))
				 : NO_NUMBER;
		if (number >= to->size[TABLE_snat_ports])
			continue;
		to->snat_ports[number].next = layout_number(turn, &next, 0) + TURNS_APART;
		if (refused.size == sizeof(uint64_t))
			__atomic_fetch_add(&to->snat_ports[number].refused, take(turn, refused.at),
					   __ATOMIC_RELAXED);
	}
}
