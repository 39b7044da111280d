/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Source ranges of service versions, in the LPM trie. They are written before the version is
 * published, and stay when it is given back: a packet may have it in hand. They go when the number
 * is used again, which is after a grace period, or when room is needed.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

struct ranges {
	uint32_t version;
	bool given; /* no entry names the version any more */
	struct np_range_key *key;
	size_t count;
	UT_hash_handle hh;
};

static int range_fd(const struct publisher *p)
{
	return p->tables->map_fd[TABLES_MAP_source_ranges];
}

static struct ranges *ranges_get(struct publisher *p, uint32_t version)
{
	struct ranges *r;

	HASH_FIND(hh, p->ranges, &version, sizeof(version), r);
	return r;
}

static void ranges_free(struct publisher *p, struct ranges *r)
{
	HASH_DEL(p->ranges, r);
	free(r->key);
	free(r);
}

static void ranges_drop(struct publisher *p, struct ranges *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		bpf_map_delete_elem(range_fd(p), &r->key[i]);
	ranges_free(p, r);
}

/* Drop what no packet can need. */
static void ranges_purge(struct publisher *p)
{
	struct ranges *r, *next;

	tables_synchronize();
	HASH_ITER (hh, p->ranges, r, next) {
		if (r->given)
			ranges_drop(p, r);
	}
}

static struct ranges *ranges_add(struct publisher *p, uint32_t version, size_t count)
{
	struct ranges *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->version = version;
	r->key = calloc(count, sizeof(*r->key));
	if (!r->key) {
		free(r);
		return NULL;
	}
	HASH_ADD(hh, p->ranges, version, sizeof(r->version), r);
	return r;
}

static int range_store(struct publisher *p, const struct np_range_key *key)
{
	uint32_t yes = 1;

	if (!bpf_map_update_elem(range_fd(p), key, &yes, BPF_ANY))
		return 0;
	ranges_purge(p);
	return bpf_map_update_elem(range_fd(p), key, &yes, BPF_ANY) ? -errno : 0;
}

int ranges_set(struct publisher *p, uint32_t version, const struct cidr *range, size_t count)
{
	struct ranges *r = ranges_get(p, version);
	size_t i;
	int rc;

	if (r)
		ranges_drop(p, r);
	if (!count)
		return 0;
	r = ranges_add(p, version, count);
	if (!r)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		r->key[i] = (struct np_range_key){
			.prefixlen = NP_RANGE_BITS + range[i].bits,
			.version = version,
		};
		memcpy(&r->key[i].addr, range[i].prefix.value, sizeof(r->key[i].addr));
		rc = range_store(p, &r->key[i]);
		if (rc) {
			ranges_drop(p, r);
			return rc;
		}
		r->count++;
	}
	return 0;
}

void ranges_give(struct publisher *p, uint32_t version)
{
	struct ranges *r = ranges_get(p, version);

	if (r)
		r->given = true;
}

/* One key that the trie holds already. */
static int adopt_key(struct publisher *p, const struct np_range_key *key)
{
	struct ranges *r = ranges_get(p, key->version);
	struct np_range_key *more;

	r = r ?: ranges_add(p, key->version, 1);
	if (!r)
		return -ENOMEM;
	more = realloc(r->key, (r->count + 1) * sizeof(*r->key));
	if (!more)
		return -ENOMEM;
	r->key = more;
	r->key[r->count++] = *key;
	r->given = true;
	return 0;
}

/* Of versions that no adopted entry names the ranges are given back. */
static void keep_named(struct publisher *p)
{
	struct frontend *f, *next;
	struct ranges *r;

	HASH_ITER (hh, p->frontends, f, next) {
		r = ranges_get(p, f->version);
		if (r)
			r->given = false;
	}
}

int ranges_adopt(struct publisher *p)
{
	struct np_range_key key, *previous = NULL;
	int rc = 0;

	while (!rc && !bpf_map_get_next_key(range_fd(p), previous, &key)) {
		rc = adopt_key(p, &key);
		previous = &key;
	}
	keep_named(p);
	return rc;
}

void ranges_forget(struct publisher *p)
{
	struct ranges *r, *next;

	HASH_ITER (hh, p->ranges, r, next) {
		ranges_free(p, r);
	}
}
