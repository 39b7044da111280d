/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Plans that are done: put into one piece of memory, compared and freed. How they are made is
 * plan.c's.
 */
#include <errno.h>
#include <string.h>

#include "intern.h"
#include "plan.h"
#include "util.h"

static void *put(char **end, const void *part, size_t size)
{
	char *place = *end;

	if (!size)
		return NULL;
	memcpy(place, part, size);
	*end += size;
	return place;
}

static uint32_t all_of_them[1024];

static uint32_t *all_numbers(void)
{
	for (uint32_t i = all_of_them[1] ? ARRAY_SIZE(all_of_them) : 0; i < ARRAY_SIZE(all_of_them);
	     i++)
		all_of_them[i] = i;
	return all_of_them;
}

/* All in one piece: there are many plans, and each is kept as long as its service. */
int plan_pack(const struct plan *draft, struct plan **made)
{
	/* Mostly all backends are chosen from: that list is always the same. */
	const bool all =
		draft->clusters == draft->backends && draft->backends <= ARRAY_SIZE(all_of_them);
	const size_t backends = draft->backends * sizeof(*draft->backend);
	const size_t clusters = all ? 0 : draft->clusters * sizeof(*draft->cluster);
	const size_t locals = draft->locals * sizeof(*draft->local);
	const size_t frontends = draft->frontends * sizeof(*draft->frontend);
	const size_t ranges = draft->ranges * sizeof(*draft->range);
	struct plan *plan =
		malloc(sizeof(*plan) + frontends + ranges + backends + clusters + locals);
	char *end;

	if (!plan)
		return -ENOMEM;
	end = (char *)(plan + 1);
	*plan = *draft;
	intern_again(plan->namespace);
	intern_again(plan->name);
	intern_again(plan->port_name);
	/* Each of these is a multiple of what the next one is aligned to. */
	plan->frontend = put(&end, draft->frontend, frontends);
	plan->range = put(&end, draft->range, ranges);
	plan->backend = put(&end, draft->backend, backends);
	plan->cluster = all ? all_numbers() : put(&end, draft->cluster, clusters);
	plan->local = put(&end, draft->local, locals);
	*made = plan;
	return 0;
}

void plan_free(struct plan **plan)
{
	struct plan *p = *plan;

	if (!p)
		return;
	intern_put(p->namespace);
	intern_put(p->name);
	intern_put(p->port_name);
	free(p);
	*plan = NULL;
}

struct plan_choice plan_choice(const struct plan *plan, const struct plan_policy *policy)
{
	if (policy->list == PLAN_CLUSTER)
		return (struct plan_choice){plan->cluster, plan->clusters};
	if (policy->list == PLAN_LOCAL)
		return (struct plan_choice){plan->local, plan->locals};
	return (struct plan_choice){};
}

static bool same_backend(const struct plan_backend *a, const struct plan_backend *b)
{
	return address_equal(&a->addr, &b->addr) && a->port == b->port && a->local == b->local &&
	       a->ready == b->ready && a->serving == b->serving &&
	       a->terminating == b->terminating && a->zone == b->zone;
}

static bool same_list(const uint32_t *a, size_t na, const uint32_t *b, size_t nb)
{
	return na == nb && (!na || !memcmp(a, b, na * sizeof(*a)));
}

static bool same_ranges(const struct plan *a, const struct plan *b)
{
	if (a->ranges != b->ranges)
		return false;
	for (size_t i = 0; i < a->ranges; i++)
		if (a->range[i].bits != b->range[i].bits ||
		    memcmp(&a->range[i].prefix, &b->range[i].prefix, sizeof(a->range[i].prefix)) !=
			    0)
			return false;
	return true;
}

static bool same_frontend(const struct plan_frontend *a, const struct plan_frontend *b)
{
	if (a->kind != b->kind || !address_equal(&a->addr, &b->addr) || a->port != b->port ||
	    a->ranged != b->ranged)
		return false;
	for (size_t i = 0; i < NP_CLASSES; i++) {
		const struct plan_policy *pa = &a->policy[i], *pb = &b->policy[i];

		if (pa->verdict != pb->verdict || pa->snat != pb->snat || pa->list != pb->list)
			return false;
	}
	return true;
}

bool plan_equal(const struct plan *a, const struct plan *b)
{
	if (a->protocol != b->protocol || a->family != b->family || a->topology != b->topology ||
	    a->backends != b->backends || a->frontends != b->frontends ||
	    a->affinity_seconds != b->affinity_seconds || !same_ranges(a, b))
		return false;
	if (strcmp(a->namespace, b->namespace) != 0 || strcmp(a->name, b->name) != 0 ||
	    strcmp(a->port_name, b->port_name) != 0)
		return false;
	if (!same_list(a->cluster, a->clusters, b->cluster, b->clusters) ||
	    !same_list(a->local, a->locals, b->local, b->locals))
		return false;
	for (size_t i = 0; i < a->backends; i++)
		if (!same_backend(&a->backend[i], &b->backend[i]))
			return false;
	for (size_t i = 0; i < a->frontends; i++)
		if (!same_frontend(&a->frontend[i], &b->frontend[i]))
			return false;
	return true;
}
