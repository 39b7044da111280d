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
	/* What a look-up finds tells thereby which key it found: see ranges_check(). */
	uint32_t value = key->prefixlen;

	if (!bpf_map_update_elem(range_fd(p), key, &value, BPF_ANY))
		return 0;
	ranges_purge(p);
	if (!bpf_map_update_elem(range_fd(p), key, &value, BPF_ANY))
		return 0;
	p->full = TABLES;
	return -errno;
}

/* The version's number is another's that was before: what that one admitted goes. */
static struct ranges *ranges_begin(struct publisher *p, uint32_t version, size_t count)
{
	struct ranges *r = ranges_get(p, version);

	if (r)
		ranges_drop(p, r);
	return count ? ranges_add(p, version, count) : NULL;
}

static int ranges_store(struct publisher *p, struct ranges *r, const struct np_range_key *key)
{
	int rc;

	r->key[r->count] = *key;
	r->key[r->count].version = r->version;
	rc = range_store(p, &r->key[r->count]);
	if (rc)
		ranges_drop(p, r);
	else
		r->count++;
	return rc;
}

int ranges_set(struct publisher *p, uint32_t version, const struct cidr *range, size_t count)
{
	struct ranges *r = ranges_begin(p, version, count);
	struct np_range_key key;
	size_t i;
	int rc = count && !r ? -ENOMEM : 0;

	for (i = 0; i < count && !rc; i++) {
		key = (struct np_range_key){.prefixlen = NP_RANGE_BITS + range[i].bits};
		memcpy(&key.addr, range[i].prefix.value, sizeof(key.addr));
		rc = ranges_store(p, r, &key);
	}
	return rc;
}

int ranges_copy(struct publisher *p, uint32_t from, uint32_t to)
{
	const struct ranges *old = ranges_get(p, from);
	size_t i, count = old ? old->count : 0;
	struct ranges *r = ranges_begin(p, to, count);
	int rc = count && !r ? -ENOMEM : 0;

	for (i = 0; i < count && !rc; i++)
		rc = ranges_store(p, r, &old->key[i]);
	return rc;
}

/* The longest match of the key is the key itself only if it is there. */
static bool range_is_there(const struct publisher *p, const struct np_range_key *key)
{
	uint32_t value = 0;

	return !bpf_map_lookup_elem(range_fd(p), key, &value) && value == key->prefixlen;
}

size_t ranges_missing(struct publisher *p, uint32_t version, bool repair, int *repaired)
{
	const struct ranges *r = ranges_get(p, version);
	size_t i, missing = 0;
	int rc = 0;

	for (i = 0; r && i < r->count; i++) {
		if (range_is_there(p, &r->key[i]))
			continue;
		missing++;
		if (repair)
			rc = range_store(p, &r->key[i]) ?: rc;
	}
	if (repair && missing)
		*repaired = rc ?: 1;
	return missing;
}

static bool range_is_wanted(struct publisher *p, const struct np_range_key *key)
{
	const struct ranges *r = ranges_get(p, key->version);
	size_t i;

	for (i = 0; r && i < r->count; i++)
		if (same_bytes(&r->key[i], key, sizeof(*key)))
			return true;
	return false;
}

size_t ranges_extra(struct publisher *p, bool repair)
{
	const size_t most = 2 * ranges_count(p) + 64; /* a walk that is disturbed begins again */
	struct np_range_key key, *previous = NULL;
	size_t i, extra = 0;

	for (i = 0; i < most && !bpf_map_get_next_key(range_fd(p), previous, &key); i++) {
		previous = &key;
		if (range_is_wanted(p, &key))
			continue;
		extra++;
		if (!repair)
			continue;
		bpf_map_delete_elem(range_fd(p), &key);
		previous = NULL;
	}
	return extra;
}

size_t ranges_count(const struct publisher *p)
{
	const struct ranges *r;
	size_t count = 0;

	for (r = p->ranges; r; r = r->hh.next)
		count += r->count;
	return count;
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
	struct frontend *f;
	size_t place = 0;
	struct ranges *r;

	while ((f = set_next(&p->frontends, &place))) {
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
