/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* lb of all interfaces at once: taking over from kube-proxy, and going back. */
#include "ifaces_private.h"

#include <errno.h>
#include <string.h>

#include "util.h"

/* Does it carry services, or would it, were it not set otherwise by hand? */
static bool is_concerned(const struct ifaces *ifs, const struct iface *i)
{
	return i->link.supported && !i->link.loopback && (i->pattern[0] || i->entry) &&
	       !ifaces_has_ports(ifs, i);
}

static const struct iface *find_name(const struct ifaces *ifs, const char *name)
{
	const struct iface *i;

	for (i = ifs->by_index; i; i = i->hh.next)
		if (!strcmp(i->link.name, name))
			return i;
	return NULL;
}

static void take(struct manual *m)
{
	if (m->set.lb == NP_LB_ON)
		return;
	if (!m->has_before)
		m->before = m->set.lb;
	m->has_before = true;
	m->set.lb = NP_LB_ON;
}

/* What a takeover found off is drained until its flows have ended. */
static void give_back(struct manual *m, bool idle)
{
	const bool was_off = m->has_before && m->before == NP_LB_OFF;

	if (m->set.lb == NP_LB_OFF)
		return;
	m->set.lb = was_off && idle ? NP_LB_OFF : NP_LB_DRAIN;
	m->has_before = was_off && !idle;
}

/*
 * Those set by hand; the others follow ifs->lb. A device that is not there may come back: it goes
 * with the others, but what was off stays so, for it may not be nearpath's at all.
 */
static void turn_manual(struct ifaces *ifs, bool undo, bool idle)
{
	struct manual *m, *next;

	HASH_ITER (hh, ifs->manual, m, next) {
		const struct iface *i = find_name(ifs, m->name);

		if (!m->has_lb || (i ? !is_concerned(ifs, i) : m->set.lb == NP_LB_OFF))
			continue;
		if (undo)
			give_back(m, idle);
		else
			take(m);
	}
}

static json_t *change_json(const struct iface *i, enum np_lb was)
{
	return json_pack("{s:s,s:s,s:s}", "name", i->link.name, "was", ifaces_lb_name(was), "lb",
			 ifaces_lb_name(i->now.lb));
}

static int by_name(struct iface *a, struct iface *b)
{
	return strcmp(a->link.name, b->link.name);
}

int ifaces_takeover(struct ifaces *ifs, bool undo, bool idle, json_t **changes)
{
	json_t *list = json_array();
	struct iface *i, *next;
	enum np_lb was;

	if (!list)
		return -ENOMEM;
	ifs->lb = undo ? NP_LB_DRAIN : NP_LB_ON;
	turn_manual(ifs, undo, idle);
	HASH_SORT(ifs->by_index, by_name);
	HASH_ITER (hh, ifs->by_index, i, next) {
		if (!is_concerned(ifs, i))
			continue;
		was = i->now.lb;
		ifaces_apply(ifs, i, false);
		json_array_append_new(list, change_json(i, was));
	}
	*changes = list;
	return ifaces_save(ifs);
}

bool ifaces_drained(const struct ifaces *ifs)
{
	return ifs->lb == NP_LB_DRAIN;
}

bool ifaces_any_drained(const struct ifaces *ifs)
{
	const struct iface *i;

	for (i = ifs->by_index; i; i = i->hh.next)
		if (i->entry && i->now.lb == NP_LB_DRAIN)
			return true;
	return false;
}
