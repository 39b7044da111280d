/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The buddy allocator: for each order a bitmap of its free runs. */
#include "slots.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "util.h"

#define ORDERS 31

struct slots {
	uint32_t size;
	uint32_t used;
	unsigned top;		/* order of the whole */
	uint64_t *free[ORDERS]; /* bit n of order k: the run of 2^k from n * 2^k is free */
	uint32_t count[ORDERS]; /* bits set */
	uint32_t hint[ORDERS];	/* word where the last one was found */
};

static unsigned order_of(uint32_t count)
{
	unsigned order = 0;

	while (order < ORDERS - 1 && 1U << order < count)
		order++;
	return order;
}

static uint32_t words(const struct slots *s, unsigned order)
{
	return ((s->size >> order) + 63) / 64;
}

static bool is_free(const struct slots *s, unsigned order, uint32_t n)
{
	return s->free[order][n / 64] >> (n % 64) & 1;
}

static void set_free(struct slots *s, unsigned order, uint32_t n, bool free)
{
	uint64_t bit = 1ULL << (n % 64);

	if (free)
		s->free[order][n / 64] |= bit;
	else
		s->free[order][n / 64] &= ~bit;
	s->count[order] += free ? 1 : -1;
}

int slots_new(uint32_t size, struct slots **slots)
{
	_cleanup_(slots_free) struct slots *s = calloc(1, sizeof(*s));
	unsigned i;

	if (!s)
		return -ENOMEM;
	if (size < 64 || size & (size - 1))
		return -EINVAL;
	s->size = size;
	s->top = order_of(size);
	for (i = 0; i <= s->top; i++) {
		s->free[i] = calloc(words(s, i), sizeof(uint64_t));
		if (!s->free[i])
			return -ENOMEM;
	}
	set_free(s, s->top, 0, true);
	*slots = TAKE_PTR(s);
	return 0;
}

void slots_free(struct slots **slots)
{
	struct slots *s = *slots;
	unsigned i;

	*slots = NULL;
	if (!s)
		return;
	for (i = 0; i < ORDERS; i++)
		free(s->free[i]);
	free(s);
}

static uint32_t find_free(struct slots *s, unsigned order)
{
	uint32_t n = words(s, order), i, w;

	for (i = 0; i < n; i++) {
		w = (s->hint[order] + i) % n;
		if (s->free[order][w]) {
			s->hint[order] = w;
			return w * 64 + __builtin_ctzll(s->free[order][w]);
		}
	}
	abort(); /* count[order] said there is one */
}

int slots_take(struct slots *s, uint32_t count, uint32_t *first)
{
	unsigned wanted = order_of(count), order = wanted;
	uint32_t n;

	while (order <= s->top && !s->count[order])
		order++;
	if (order > s->top)
		return -ENOSPC;
	n = find_free(s, order);
	set_free(s, order, n, false);
	for (; order > wanted; order--) {
		n *= 2;
		set_free(s, order - 1, n + 1, true);
	}
	s->used += 1U << wanted;
	*first = n << wanted;
	return 0;
}

int slots_take_at(struct slots *s, uint32_t first, uint32_t count)
{
	unsigned wanted = order_of(count), order = wanted;

	if (wanted > s->top || first >= s->size || first & ((1U << wanted) - 1))
		return -EBUSY;
	while (order <= s->top && !is_free(s, order, first >> order))
		order++;
	if (order > s->top)
		return -EBUSY;
	set_free(s, order, first >> order, false);
	for (; order > wanted; order--)
		set_free(s, order - 1, (first >> (order - 1)) ^ 1, true);
	s->used += 1U << wanted;
	return 0;
}

void slots_give(struct slots *s, uint32_t first, uint32_t count)
{
	unsigned order = order_of(count);
	uint32_t n = first >> order;

	s->used -= 1U << order;
	for (; order < s->top && is_free(s, order, n ^ 1); order++) {
		set_free(s, order, n ^ 1, false);
		n /= 2;
	}
	set_free(s, order, n, true);
}

uint32_t slots_used(const struct slots *s)
{
	return s->used;
}

uint32_t slots_size(const struct slots *s)
{
	return s->size;
}
