/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Moving flows. One is inserted here whole, then a grace period passes, then it is ended there: a
 * program that did not find it here began before that, and finds it there. Whatever happened to it
 * there meanwhile is followed.
 */
#include "move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* A flow that lies in both tables. */
struct moved {
	struct flowtable_flow was;
	uint32_t number, seq; /* there */
	uint32_t here, life;
	bool copied; /* by this slice: not by one that was cut short */
};

static bool is_expired(const struct tables *t, const struct flowtable_flow *flow, uint32_t now)
{
	uint32_t age = now - flow->seen;

	/* What is ahead of this clock is new. */
	return age < UINT32_MAX - 0x10000 && age > t->settings->flow_timeout[flow->state];
}

static void number_here(const struct move *m, struct flowtable_flow *flow)
{
	flow->backend = publish_backend_number(m->publisher, flow->family, &flow->addr[NP_BACKEND],
					       flow->port[NP_BACKEND]);
	flow->service = publish_service_number(m->publisher, flow->family, &flow->addr[NP_FRONTEND],
					       flow->port[NP_FRONTEND], flow->protocol);
}

static bool is_same(const struct flowtable_flow *a, const struct flowtable_flow *b)
{
	for (int i = 0; i < NP_PLACES; i++)
		if (a->port[i] != b->port[i] || !address_equal(&a->addr[i], &b->addr[i]))
			return false;
	return a->protocol == b->protocol;
}

/* Did an earlier slice insert it, which was cut short before it ended it there? */
static bool find_copy(const struct move *m, struct moved *moved)
{
	const struct flowtable_flow *f = &moved->was;
	const struct flowtable_tuple tuple = {
		.family = f->family,
		.protocol = f->protocol,
		.src_port = f->port[NP_CLIENT],
		.dst_port = f->port[NP_FRONTEND],
		.src = f->addr[NP_CLIENT],
		.dst = f->addr[NP_FRONTEND],
	};
	struct flowtable_flow copy;
	struct flowtable_hit hit;

	if (flowtable_find(m->to, &tuple, NP_HASH_INGRESS, &hit) ||
	    flowtable_read(m->to, f->family, hit.number, &copy, NULL) || !is_same(f, &copy))
		return false;
	moved->here = hit.number;
	moved->life = hit.seq;
	return true;
}

/*
 * A client that is its own backend, known by the port it listens on, speaks to itself: versions up
 * to the first of ABI 5 made such flows, and these tables have none.
 */
static bool meets_itself(const struct flowtable_flow *f)
{
	return f->flags & NP_FLOW_TRANSLATED && f->port[NP_SNAT] == f->port[NP_BACKEND] &&
	       address_equal(&f->addr[NP_CLIENT], &f->addr[NP_BACKEND]);
}

/* Insert the flow of a record, if it has one. True: it lies in both tables then. */
static bool insert(struct move *m, uint32_t number, uint32_t now, struct moved *moved)
{
	struct flowtable_flow flow, copy;
	int rc;

	if (layout_read(m->from, m->family, number, &flow, &moved->seq))
		return false;
	moved->number = number;
	moved->was = flow;
	moved->copied = false;
	if (is_expired(m->to, &flow, now) || meets_itself(&flow)) {
		layout_end(m->from, m->family, number, moved->seq);
		return false;
	}
	number_here(m, &flow);
	rc = flowtable_insert(m->to, &flow, &moved->here);
	if (!rc && !flowtable_read(m->to, m->family, moved->here, &copy, &moved->life)) {
		moved->copied = true;
		return is_same(&flow, &copy);
	}
	if (rc == -EEXIST && find_copy(m, moved))
		return true;
	m->stuck += rc != 0;
	return false;
}

/* After a grace period no program uses the record there any more. */
static void end(struct move *m, const struct moved *moved)
{
	struct flowtable_flow now;
	uint32_t seq;
	bool over = layout_read(m->from, m->family, moved->number, &now, &seq);

	if (!over && seq == moved->seq &&
	    (now.state != moved->was.state || now.flags != moved->was.flags))
		flowtable_follow(m->to, m->family, moved->here, moved->life, moved->was.state,
				 &now);
	/* A program of before ended it, by its word or its seq, and perhaps began another there. */
	over |= layout_end(m->from, m->family, moved->number, moved->seq) != 0;
	if (over && moved->copied)
		flowtable_end(m->to, m->family, moved->here, moved->life);
	else
		m->flows++;
}

static int move_records(struct move *m)
{
	_cleanup_free_ struct moved *moved = calloc(MOVE_BATCH, sizeof(*moved));
	uint32_t records = layout_records(m->from, m->family), last = m->next + MOVE_RECORDS, i;
	uint32_t now = tables_jiffies(), count = 0;
	int rc;

	if (!moved)
		return -ENOMEM;
	for (; m->next < records && m->next < last && count < MOVE_BATCH; m->next++)
		count += insert(m, m->next, now, &moved[count]);
	rc = count ? tables_synchronize() : 0;
	for (i = 0; i < count && !rc; i++)
		end(m, &moved[i]);
	return rc;
}

static void clean(struct move *m)
{
	uint32_t records = layout_records(m->from, m->family), last = m->next + MOVE_RECORDS;

	for (; m->next < records && m->next < last; m->next++)
		m->left += layout_clean(m->from, m->family, m->next);
}

int move_slice(struct move *m)
{
	int rc;

	if (!m->family) {
		m->family = NP_IPV4;
		m->next = m->left = m->stuck = 0;
		m->cleaning = false;
	}
	if (m->cleaning) {
		clean(m);
	} else {
		rc = move_records(m);
		if (rc)
			return rc;
	}
	if (m->next < layout_records(m->from, m->family))
		return 1;
	m->next = 0;
	m->cleaning = !m->cleaning;
	if (m->cleaning)
		return 1;
	m->family = m->family == NP_IPV4 ? NP_IPV6 : 0;
	return m->family ? 1 : 0;
}

static int repair(struct layout *from, int family)
{
	struct {
		uint32_t number, seq;
	} claimed[128];
	uint32_t n, found = 0, i;
	int rc = 0;

	for (n = 0; n < layout_records(from, family) && found < ARRAY_SIZE(claimed); n++) {
		claimed[found].number = n;
		found += layout_is_claimed(from, family, n, &claimed[found].seq);
	}
	if (found)
		rc = tables_synchronize();
	for (i = 0; i < found && !rc; i++)
		layout_free_claimed(from, family, claimed[i].number, claimed[i].seq);
	return rc;
}

int move_repair(struct layout *from)
{
	return repair(from, NP_IPV4) ?: repair(from, NP_IPV6);
}
