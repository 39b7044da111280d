/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Free entries as bitmaps and runs, and the limbo between being given back and being free. */
#include "space.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "slots.h"
#include "tables.h"
#include "util.h"

#define LIMBO_MAX 16384

/* A set of free numbers below size. */
struct numbers {
	uint64_t *free;
	uint32_t size;
	uint32_t count; /* free ones */
	uint32_t hint;
};

enum limbo_kind { LIMBO_SERVICE, LIMBO_BACKEND, LIMBO_SLOTS };

struct limbo {
	enum limbo_kind kind;
	uint32_t number;
	uint32_t count;
};

struct space {
	struct numbers services;
	struct numbers backends;
	struct slots *slots;
	struct limbo limbo[LIMBO_MAX];
	uint32_t limbos;
	uint32_t marked; /* of them, from the first: before the grace period that is under way */
	struct space_sizes waiting; /* in limbo */
};

static int numbers_init(struct numbers *n, uint32_t size)
{
	uint32_t i;

	n->free = calloc((size + 63) / 64, sizeof(uint64_t));
	if (!n->free)
		return -ENOMEM;
	n->size = n->count = size;
	for (i = 0; i < size; i++)
		n->free[i / 64] |= 1ULL << (i % 64);
	return 0;
}

static int numbers_take(struct numbers *n, uint32_t *number)
{
	uint32_t words = (n->size + 63) / 64, i, w;

	for (i = 0; n->count && i < words; i++) {
		w = (n->hint + i) % words;
		if (!n->free[w])
			continue;
		*number = w * 64 + __builtin_ctzll(n->free[w]);
		n->free[w] &= n->free[w] - 1;
		n->hint = w;
		n->count--;
		return 0;
	}
	return -ENOSPC;
}

static int numbers_adopt(struct numbers *n, uint32_t number)
{
	uint64_t bit = 1ULL << (number % 64);

	if (number >= n->size || !(n->free[number / 64] & bit))
		return -EBUSY;
	n->free[number / 64] &= ~bit;
	n->count--;
	return 0;
}

static void numbers_give(struct numbers *n, uint32_t number)
{
	n->free[number / 64] |= 1ULL << (number % 64);
	n->count++;
}

int space_new(const struct space_sizes *sizes, struct space **space)
{
	_cleanup_(space_free) struct space *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	rc = numbers_init(&s->services, sizes->services);
	rc = rc ?: numbers_init(&s->backends, sizes->backends);
	rc = rc ?: slots_new(sizes->slots, &s->slots);
	if (rc)
		return rc;
	*space = TAKE_PTR(s);
	return 0;
}

void space_free(struct space **space)
{
	struct space *s = *space;

	*space = NULL;
	if (!s)
		return;
	free(s->services.free);
	free(s->backends.free);
	slots_free(&s->slots);
	free(s);
}

/* What slots_used() counts of a run. */
static uint32_t run_size(uint32_t count)
{
	uint32_t run = 1;

	while (run < count)
		run <<= 1;
	return run;
}

static void limbo_leave(struct space *s, const struct limbo *l)
{
	switch (l->kind) {
	case LIMBO_SERVICE:
		numbers_give(&s->services, l->number);
		s->waiting.services--;
		break;
	case LIMBO_BACKEND:
		numbers_give(&s->backends, l->number);
		s->waiting.backends--;
		break;
	case LIMBO_SLOTS:
		slots_give(s->slots, l->number, l->count);
		s->waiting.slots -= run_size(l->count);
		break;
	}
}

static void limbo_free(struct space *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		limbo_leave(s, &s->limbo[i]);
	s->limbos -= count;
	memmove(s->limbo, s->limbo + count, s->limbos * sizeof(*s->limbo));
	s->marked = 0;
}

static void limbo_empty(struct space *s)
{
	tables_synchronize();
	limbo_free(s, s->limbos);
}

void space_begin_grace(struct space *s)
{
	s->marked = s->limbos;
}

void space_end_grace(struct space *s)
{
	limbo_free(s, s->marked);
}

bool space_wants_grace(const struct space *s)
{
	return s->limbos > LIMBO_MAX / 4;
}

static void limbo_add(struct space *s, enum limbo_kind kind, uint32_t number, uint32_t count)
{
	if (s->limbos == LIMBO_MAX)
		limbo_empty(s);
	s->limbo[s->limbos++] = (struct limbo){kind, number, count};
}

int space_take_service(struct space *s, uint32_t *number)
{
	int rc = numbers_take(&s->services, number);

	if (rc && s->limbos) {
		limbo_empty(s);
		rc = numbers_take(&s->services, number);
	}
	return rc;
}

int space_take_backend(struct space *s, uint32_t *number)
{
	int rc = numbers_take(&s->backends, number);

	if (rc && s->limbos) {
		limbo_empty(s);
		rc = numbers_take(&s->backends, number);
	}
	return rc;
}

int space_take_slots(struct space *s, uint32_t count, uint32_t *first)
{
	int rc = slots_take(s->slots, count, first);

	if (rc && s->limbos) {
		limbo_empty(s);
		rc = slots_take(s->slots, count, first);
	}
	return rc;
}

int space_adopt_service(struct space *s, uint32_t number)
{
	return numbers_adopt(&s->services, number);
}

int space_adopt_backend(struct space *s, uint32_t number)
{
	return numbers_adopt(&s->backends, number);
}

int space_adopt_slots(struct space *s, uint32_t first, uint32_t count)
{
	return slots_take_at(s->slots, first, count);
}

void space_give_service(struct space *s, uint32_t number)
{
	limbo_add(s, LIMBO_SERVICE, number, 0);
	s->waiting.services++;
}

void space_give_backend(struct space *s, uint32_t number)
{
	limbo_add(s, LIMBO_BACKEND, number, 0);
	s->waiting.backends++;
}

void space_give_slots(struct space *s, uint32_t first, uint32_t count)
{
	limbo_add(s, LIMBO_SLOTS, first, count);
	s->waiting.slots += run_size(count);
}

struct space_sizes space_used(const struct space *s)
{
	return (struct space_sizes){
		.services = s->services.size - s->services.count - s->waiting.services,
		.backends = s->backends.size - s->backends.count - s->waiting.backends,
		.slots = slots_used(s->slots) - s->waiting.slots,
	};
}

#define RESERVE 64 /* one of so many entries, and those of one frontend and its address */

static bool has_room(uint32_t used, uint32_t size)
{
	return used + size / RESERVE + 2 < size;
}

enum space_kind space_lacking(const struct space *s)
{
	const struct space_sizes used = space_used(s);

	if (!has_room(used.services, s->services.size))
		return SPACE_SERVICES;
	if (!has_room(used.backends, s->backends.size))
		return SPACE_BACKENDS;
	return has_room(used.slots, slots_size(s->slots)) ? SPACE_ENOUGH : SPACE_SLOTS;
}

bool space_has_room(const struct space *s)
{
	return space_lacking(s) == SPACE_ENOUGH;
}
