/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Interfaces as they are wanted, against the table's entries and the programs on the devices. */
#include <errno.h>
#include <string.h>

#include "compare.h"
#include "ifaces_private.h"

void compare_iface_place(struct ifaces *ifs, uint32_t place, const struct compare *c)
{
	struct np_iface *entry = &ifs->tables->ifaces[place];
	int ifindex = (int)entry->ifindex;
	struct difference d = {};
	const struct iface *i;

	if (!ifindex)
		return;
	HASH_FIND_INT(ifs->by_index, &ifindex, i);
	if (i && i->entry == entry)
		return;
	/* One that belongs at this place and has another's number is that interface's to tell. */
	for (i = ifs->by_index; i; i = i->hh.next)
		if (i->entry == entry)
			return;
	difference_set(d.what, "ifaces: place %u", place);
	difference_set(d.wanted, "nothing");
	difference_set(d.found, "an entry of interface %d", ifindex);
	if (c->repair) {
		__atomic_store_n(&entry->ifindex, 0, __ATOMIC_RELEASE);
		d.repaired = 1;
	}
	compare_tell(c, &d);
}

static void entry_words(const struct np_iface *e, char *text, size_t size)
{
	snprintf(text, size,
		 "index %u, lb %u, flags 0x%02x, header %u, mss %u/%u, mtu %u, netns %u",
		 e->ifindex, e->lb, e->flags, e->l2_len, e->mss4, e->mss6, e->mtu, e->netns);
}

static void compare_entry(struct ifaces *ifs, struct iface *i, const struct compare *c)
{
	const struct np_iface wanted = ifaces_entry(ifs, i);
	struct difference d = {};

	if (!memcmp(i->entry, &wanted, sizeof(wanted)))
		return;
	difference_set(d.what, "interface \"%s\": its entry", i->link.name);
	entry_words(&wanted, d.wanted, sizeof(d.wanted));
	entry_words(i->entry, d.found, sizeof(d.found));
	if (c->repair) {
		ifaces_write(ifs, i);
		d.repaired = 1;
	}
	compare_tell(c, &d);
}

enum { INGRESS, EGRESS, XDP, HOOKS };

static const char *const hook_words[HOOKS] = {"tc ingress", "tc egress", "XDP"};

static bool hook_differs(const struct ifaces *ifs, const struct iface *i, int hook,
			 struct difference *d)
{
	const struct tables *t = ifs->tables;
	const struct attachment *a = &i->attached;
	const int ifindex = i->link.ifindex;
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name)) /* of one that is gone, netlink will tell */
		return false;
	if (hook == XDP)
		return a->xdp != ATTACH_XDP_OFF &&
		       attach_xdp_check(ifindex, t->xdp_fd, a->xdp, d->found, sizeof(d->found)) > 0;
	if (a->tc == ATTACH_TC_NONE) {
		difference_set(d->found, "nothing: %s", a->note);
		return true;
	}
	return attach_tc_check(ifindex, hook == EGRESS,
			       hook == EGRESS ? t->egress_fd : t->ingress_fd, a->tc, d->found,
			       sizeof(d->found)) > 0;
}

/* All are put on anew: what is there already is replaced in its place. */
static int repair_hook(struct ifaces *ifs, struct iface *i, int hook)
{
	struct difference still;

	i->attached.tc = ATTACH_TC_NONE;
	i->attached.xdp = ATTACH_XDP_OFF;
	ifaces_apply(ifs, i, false);
	return hook_differs(ifs, i, hook, &still) ? -EBUSY : 1;
}

static void compare_hook(struct ifaces *ifs, struct iface *i, int hook, const struct compare *c)
{
	const struct attachment *a = &i->attached;
	struct difference d = {};

	if (!hook_differs(ifs, i, hook, &d))
		return;
	difference_set(d.what, "interface \"%s\": %s", i->link.name, hook_words[hook]);
	difference_set(d.wanted, "nearpath's program by %s",
		       hook == XDP		 ? attach_xdp_name(a->xdp)
		       : a->tc == ATTACH_TC_NONE ? "tc"
						 : attach_tc_name(a->tc));
	if (c->repair)
		d.repaired = repair_hook(ifs, i, hook);
	compare_tell(c, &d);
}

bool compare_iface(struct ifaces *ifs, size_t n, const struct compare *c)
{
	struct iface *i = ifs->by_index;

	while (i && n--)
		i = i->hh.next;
	if (!i)
		return false;
	if (ifs->hold || i->now.lb == NP_LB_OFF || !i->link.supported)
		return true;
	if (i->entry)
		compare_entry(ifs, i, c);
	for (int hook = 0; hook < HOOKS; hook++)
		compare_hook(ifs, i, hook, c);
	return true;
}
