/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See sources.h. A half of the table is for each family. */
#include "sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cidr.h"
#include "util.h"

#define HALF (NP_SOURCES / 2)

struct run {
	union np_addr addr[NP_SOURCES_EACH];
	uint8_t count;
	uint16_t first;
};

struct sources {
	struct tables *tables;
	struct netlink_addr *addr;
	size_t count;
	struct run run[2][HALF]; /* by family; each is at least one place */
	size_t runs[2];
	uint16_t used[2]; /* places */
};

int sources_new(struct tables *tables, struct sources **sources)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->tables = tables;
	*sources = s;
	return 0;
}

void sources_free(struct sources **sources)
{
	struct sources *s = TAKE_PTR(*sources);

	if (!s)
		return;
	free(s->addr);
	free(s);
}

void sources_clear(struct sources *s)
{
	s->count = 0;
}

int sources_add(struct sources *s, const struct netlink_addr *addr)
{
	struct netlink_addr *list;

	if (addr->loopback_scope || addr->link_local || addr->passing ||
	    addr->prefix == (addr->family == NP_IPV4 ? 32 : 128))
		return 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->addr[i].ifindex == addr->ifindex &&
		    address_equal(&s->addr[i].addr, &addr->addr))
			return 0;
	list = reallocarray(s->addr, s->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->addr = list;
	list[s->count++] = *addr;
	return 0;
}

static bool same_subnet(const struct netlink_addr *a, const struct netlink_addr *b)
{
	const uint8_t *x = (const uint8_t *)&a->addr, *y = (const uint8_t *)&b->addr;
	unsigned bytes = a->prefix / 8, bits = a->prefix % 8;

	return a->family == b->family && a->ifindex == b->ifindex && a->prefix == b->prefix &&
	       !memcmp(x, y, bytes) &&
	       (!bits || !((x[bytes] ^ y[bytes]) & (uint8_t)(0xFF << (8 - bits))));
}

static bool same_run(const struct run *a, const struct run *b)
{
	for (unsigned i = 0; i < a->count; i++)
		if (a->count != b->count || !address_equal(&a->addr[i], &b->addr[i]))
			return false;
	return a->count == b->count;
}

static void collect(const struct sources *s, const struct netlink_addr *one, struct run *run)
{
	for (size_t i = 0; i < s->count && run->count < NP_SOURCES_EACH; i++)
		if (!address_equal(&s->addr[i].addr, &one->addr) && same_subnet(&s->addr[i], one))
			run->addr[run->count++] = s->addr[i].addr;
}

/* Into the next free places; where there are none, the oldest are given again. */
static void store(struct sources *s, int half, struct run *run)
{
	if (s->used[half] + run->count > HALF)
		s->runs[half] = s->used[half] = 0;
	run->first = half * HALF + s->used[half];
	s->used[half] += run->count;
	for (unsigned i = 0; i < run->count; i++)
		for (unsigned word = 0; word < 4; word++)
			__atomic_store_n(&s->tables->snat_sources[run->first + i].addr.word[word],
					 run->addr[i].word[word], __ATOMIC_RELEASE);
	s->run[half][s->runs[half]++] = *run;
}

uint8_t sources_after(struct sources *s, uint8_t family, const union np_addr *addr, uint16_t *first)
{
	int half = family == NP_IPV4 ? 0 : 1;
	struct run run = {};
	size_t i;

	for (i = 0; i < s->count; i++)
		if (s->addr[i].family == family && address_equal(&s->addr[i].addr, addr))
			break;
	if (i == s->count)
		return 0;
	collect(s, &s->addr[i], &run);
	if (!run.count)
		return 0;
	for (i = 0; i < s->runs[half]; i++) {
		if (same_run(&s->run[half][i], &run)) {
			*first = s->run[half][i].first;
			return run.count;
		}
	}
	store(s, half, &run);
	*first = run.first;
	return run.count;
}
