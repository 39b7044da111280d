/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Interfaces and their switches: from patterns and `iface set` to table entries and programs. */
#include "conntrack.h"
#include "ifaces_private.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "node.h"
#include "util.h"

/* Copy the pattern of a list that matches the name; false if none does. */
static bool match(const char *patterns, const char *name, char *found, size_t size)
{
	_cleanup_free_ char *list = strdup(patterns ?: "");
	char *rest = list, *pattern;

	while (rest && (pattern = strsep(&rest, ","))) {
		if (*pattern && !fnmatch(pattern, name, 0)) {
			snprintf(found, size, "%s", pattern);
			return true;
		}
	}
	return false;
}

static bool is_default_device(struct ifaces *ifs, int ifindex)
{
	return netlink_default_iface(ifs->netlink, NP_IPV4) == ifindex ||
	       netlink_default_iface(ifs->netlink, NP_IPV6) == ifindex;
}

static struct iface *find_iface(struct ifaces *ifs, int ifindex)
{
	struct iface *i;

	HASH_FIND_INT(ifs->by_index, &ifindex, i);
	return i;
}

/*
 * A packet that crosses a bridge comes by a port and by the bridge, or by two ports. Were it seen
 * at both, what was translated at one could look like another flow at the other. So the programs
 * are on all ports of a bridge that is nearpath's, and then not on the bridge.
 */
static void match_bridge(struct ifaces *ifs, const struct iface *i, char *pattern, size_t size)
{
	const struct iface *bridge = find_iface(ifs, i->link.master);

	if (bridge && bridge->link.bridge && bridge->pattern[0])
		snprintf(pattern, size, "port of %s", bridge->link.name);
}

bool ifaces_has_ports(const struct ifaces *ifs, const struct iface *bridge)
{
	const struct iface *i;

	for (i = bridge->link.bridge ? ifs->by_index : NULL; i; i = i->hh.next)
		if (i->link.master == bridge->link.ifindex && i->entry)
			return true;
	return false;
}

static void classify(struct ifaces *ifs, struct iface *i)
{
	char pattern[sizeof(i->pattern)] = "";

	i->uplink = match(ifs->options.uplinks, i->link.name, pattern, sizeof(pattern));
	if (!i->uplink && strstr(ifs->options.uplinks ?: "", "auto") &&
	    is_default_device(ifs, i->link.ifindex)) {
		i->uplink = true;
		snprintf(pattern, sizeof(pattern), "default route");
	}
	if (!i->uplink)
		match(ifs->options.patterns, i->link.name, pattern, sizeof(pattern));
	if (!pattern[0])
		match_bridge(ifs, i, pattern, sizeof(pattern));
	if (i->link.loopback || !i->link.supported)
		pattern[0] = '\0';
	memcpy(i->pattern, pattern, sizeof(pattern));
}

static struct switches wanted(struct ifaces *ifs, const struct iface *i)
{
	struct switches w = {
		.lb = i->pattern[0] ? ifs->lb : NP_LB_OFF,
		.xdp = i->uplink ? ifs->options.xdp : ATTACH_XDP_OFF,
		.mss = ifs->options.mss,
	};
	char pattern[sizeof(i->pattern)];
	struct manual *m;

	/*
	 * What native XDP sends out of a veth is lost unless its other end, which may be in
	 * anyone's namespace, has an XDP program too (drivers/net/veth.c, veth_xdp_xmit). So it is
	 * not the default there, as in clusters whose nodes are containers.
	 */
	if (w.xdp == ATTACH_XDP_NATIVE && i->link.veth && !ifs->options.xdp_on_veth)
		w.xdp = ATTACH_XDP_GENERIC;
	w.redirect = match(ifs->options.redirect, i->link.name, pattern, sizeof(pattern));
	HASH_FIND_STR(ifs->manual, i->link.name, m);
	if (ifaces_has_ports(ifs, i))
		w.lb = NP_LB_OFF;
	if (!m)
		return w;
	w.lb = m->has_lb && !ifaces_has_ports(ifs, i) ? m->set.lb : w.lb;
	w.xdp = m->has_xdp && i->uplink ? m->set.xdp : w.xdp;
	w.mss = m->has_mss ? m->set.mss : w.mss;
	w.stats = m->has_stats ? m->set.stats : w.stats;
	w.redirect = m->has_redirect ? m->set.redirect : w.redirect;
	return w;
}

/* A place in the table where programs will look for this ifindex. */
static struct np_iface *find_entry(struct ifaces *ifs, uint32_t ifindex)
{
	uint32_t mask = ifs->tables->size[TABLE_ifaces] - 1, n;
	struct np_iface *free_entry = NULL, *entry;
	int i;

	for (i = 0; i < NP_IFACE_PROBES; i++) {
		n = (ifindex + i) & mask;
		entry = &ifs->tables->ifaces[n];
		if (entry->ifindex == ifindex)
			return entry;
		if (!entry->ifindex && !free_entry)
			free_entry = entry;
	}
	return free_entry;
}

static uint16_t mss_limit(const struct iface *i, uint32_t headers)
{
	uint32_t mtu = i->link.mtu < 65535 ? i->link.mtu : 65535;

	if (i->now.mss == MSS_OFF)
		return 0;
	if (i->now.mss != MSS_AUTO)
		return i->now.mss;
	return mtu > headers + MSS_MIN ? mtu - headers : MSS_MIN;
}

/* By its name, or that of the bridge it is a port of. */
static bool is_pod(struct ifaces *ifs, const struct iface *i)
{
	const struct iface *master = find_iface(ifs, i->link.master);

	return ifs->options.node && node_iface_is_pod(ifs->options.node, i->link.name,
						      master ? master->link.name : NULL);
}

struct np_iface ifaces_entry(struct ifaces *ifs, const struct iface *i)
{
	uint8_t flags = (is_pod(ifs, i) ? NP_IFACE_POD : 0) | (i->now.stats ? NP_IFACE_STATS : 0) |
			(i->attached.xdp == ATTACH_XDP_NATIVE ? NP_IFACE_XDP_NATIVE : 0) |
			(i->attached.xdp != ATTACH_XDP_OFF ? NP_IFACE_XDP : 0) |
			(i->now.mss == MSS_AUTO ? NP_IFACE_MSS_AUTO : 0) |
			(i->link.master ? NP_IFACE_PORT : 0) |
			(ifs->conntrack ? NP_IFACE_CONNTRACK : 0) |
			(i->now.redirect ? NP_IFACE_REDIRECT : 0);
	struct np_iface entry;

	memset(&entry, 0, sizeof(entry));
	entry.ifindex = i->link.ifindex;
	entry.flags = flags;
	entry.l2_len = i->link.l2_len;
	entry.mtu = i->link.mtu;
	memcpy(entry.mac, i->link.mac, sizeof(entry.mac));
	entry.netns = i->link.veth ? i->link.netns : 0;
	entry.mss4 = mss_limit(i, 40);
	entry.mss6 = mss_limit(i, 60);
	entry.lb = i->now.lb;
	return entry;
}

void ifaces_write(struct ifaces *ifs, struct iface *i)
{
	const struct np_iface entry = ifaces_entry(ifs, i);

	i->entry->flags = entry.flags;
	i->entry->l2_len = entry.l2_len;
	i->entry->pad = 0;
	i->entry->mtu = entry.mtu;
	memcpy(i->entry->mac, entry.mac, sizeof(i->entry->mac));
	i->entry->netns = entry.netns;
	i->entry->mss4 = entry.mss4;
	i->entry->mss6 = entry.mss6;
	i->entry->lb = entry.lb;
	__atomic_store_n(&i->entry->ifindex, entry.ifindex, __ATOMIC_RELEASE);
}

static void take_off(struct ifaces *ifs, struct iface *i)
{
	if (i->attached.xdp != ATTACH_XDP_OFF)
		attach_xdp(ifs->options.links, i->link.ifindex, -1, ATTACH_XDP_OFF, &i->attached);
	detach_tc(ifs->options.links, i->link.ifindex);
	i->attached.tc = ATTACH_TC_NONE;
	if (i->entry)
		__atomic_store_n(&i->entry->ifindex, 0, __ATOMIC_RELEASE);
	i->entry = NULL;
}

/* The entry is there before the programs, and they before XDP, which leaves things to them. */
static void put_on(struct ifaces *ifs, struct iface *i, bool xdp_changed)
{
	char note[sizeof(i->attached.note)] = "";

	i->entry = find_entry(ifs, i->link.ifindex);
	if (!i->entry) {
		snprintf(i->attached.note, sizeof(i->attached.note),
			 "the interface table is full around index %d", i->link.ifindex);
		return;
	}
	ifaces_write(ifs, i);
	if (i->attached.tc == ATTACH_TC_NONE) {
		attach_tc(ifs->options.links, i->link.ifindex, ifs->tables->ingress_fd,
			  ifs->tables->egress_fd, ifs->options.clsact, &i->attached);
		memcpy(note, i->attached.note, sizeof(note));
	}
	if (i->now.xdp != ATTACH_XDP_OFF || xdp_changed)
		conntrack_be_liberal(); /* where there is no conntrack, there is no need */
	if (xdp_changed || (i->now.xdp != ATTACH_XDP_OFF && i->attached.xdp == ATTACH_XDP_OFF))
		attach_xdp(ifs->options.links, i->link.ifindex, ifs->tables->xdp_fd, i->now.xdp,
			   &i->attached);
	if (note[0] && !i->attached.note[0])
		memcpy(i->attached.note, note, sizeof(note));
	ifaces_write(ifs, i);
}

void ifaces_apply(struct ifaces *ifs, struct iface *i, bool first)
{
	struct switches w = wanted(ifs, i);
	bool xdp_changed = first || w.xdp != i->now.xdp;

	i->now = w;
	if (ifs->hold)
		return;
	if (w.lb == NP_LB_OFF || !i->link.supported) {
		if (i->entry || (first && i->pattern[0]))
			take_off(ifs, i);
		if (ifaces_has_ports(ifs, i))
			snprintf(i->attached.note, sizeof(i->attached.note),
				 "a bridge: the programs are on its ports");
		return;
	}
	put_on(ifs, i, xdp_changed);
}

/* A bridge or a port of it came, changed or went: its ports first, so that there is no gap. */
static void settle_bridge(struct ifaces *ifs, int ifindex)
{
	struct iface *bridge = find_iface(ifs, ifindex), *i, *next;

	if (!bridge || !bridge->link.bridge)
		return;
	HASH_ITER (hh, ifs->by_index, i, next) {
		if (i->link.master != ifindex)
			continue;
		classify(ifs, i);
		ifaces_apply(ifs, i, false);
	}
	ifaces_apply(ifs, bridge, false);
}

static bool same_link(const struct netlink_link *a, const struct netlink_link *b)
{
	return !strcmp(a->name, b->name) && a->mtu == b->mtu && a->up == b->up &&
	       a->l2_len == b->l2_len && a->supported == b->supported && a->master == b->master &&
	       a->netns == b->netns && !memcmp(a->mac, b->mac, sizeof(a->mac));
}

void ifaces_link(struct ifaces *ifs, const struct netlink_link *link)
{
	struct iface *i = find_iface(ifs, link->ifindex);
	bool first = !i;
	int master;

	if (first) {
		i = calloc(1, sizeof(*i));
		if (!i)
			return;
		i->link = *link;
		HASH_ADD(hh, ifs->by_index, link.ifindex, sizeof(int), i);
	}
	i->seen = true;
	if (!first && same_link(&i->link, link))
		return;
	master = i->link.master;
	i->link = *link;
	classify(ifs, i);
	ifaces_apply(ifs, i, first);
	settle_bridge(ifs, link->ifindex);
	settle_bridge(ifs, link->master);
	if (master != link->master)
		settle_bridge(ifs, master);
}

void ifaces_link_gone(struct ifaces *ifs, int ifindex)
{
	struct iface *i = find_iface(ifs, ifindex);
	int master;

	if (!i)
		return;
	master = i->link.master;
	take_off(ifs, i); /* the programs went with the device, their pins did not */
	HASH_DEL(ifs->by_index, i);
	free(i);
	settle_bridge(ifs, master);
}

void ifaces_routes(struct ifaces *ifs)
{
	struct iface *i, *next;

	HASH_ITER (hh, ifs->by_index, i, next) {
		classify(ifs, i);
		ifaces_apply(ifs, i, false);
	}
}

void ifaces_resync_begin(struct ifaces *ifs)
{
	struct iface *i, *next;

	HASH_ITER (hh, ifs->by_index, i, next) {
		i->seen = false;
	}
}

/* Entries of devices that went while no daemon ran. */
static void sweep_table(struct ifaces *ifs)
{
	struct iface *i;
	uint32_t n;
	int ifindex;

	for (n = 0; n < ifs->tables->size[TABLE_ifaces]; n++) {
		ifindex = ifs->tables->ifaces[n].ifindex;
		HASH_FIND_INT(ifs->by_index, &ifindex, i);
		if (ifindex && (!i || !i->entry))
			__atomic_store_n(&ifs->tables->ifaces[n].ifindex, 0, __ATOMIC_RELEASE);
	}
}

void ifaces_resync_end(struct ifaces *ifs)
{
	struct iface *i, *next;

	HASH_ITER (hh, ifs->by_index, i, next) {
		if (!i->seen)
			ifaces_link_gone(ifs, i->link.ifindex);
	}
	if (!ifs->hold)
		sweep_table(ifs);
	attach_sweep(ifs->options.links);
}

size_t ifaces_known(const struct ifaces *ifs)
{
	return HASH_COUNT(ifs->by_index);
}

size_t ifaces_count(const struct ifaces *ifs)
{
	const struct iface *i;
	size_t count = 0;

	for (i = ifs->by_index; i; i = i->hh.next)
		count += i->entry != NULL;
	return count;
}

void ifaces_conntrack(struct ifaces *ifs, bool asks)
{
	struct iface *i;

	if (ifs->conntrack == asks)
		return;
	ifs->conntrack = asks;
	for (i = ifs->by_index; i; i = i->hh.next)
		if (i->entry)
			ifaces_write(ifs, i);
}

bool ifaces_state(struct ifaces *ifs, int ifindex, struct ifaces_state *state)
{
	struct iface *i = find_iface(ifs, ifindex), *port;

	for (port = ifs->by_index; i && !i->entry && port; port = port->hh.next)
		if (port->link.master == ifindex && port->entry)
			i = port;
	if (!i)
		return false;
	*state = (struct ifaces_state){
		.name = i->link.name,
		.lb = i->entry && i->attached.tc != ATTACH_TC_NONE ? i->now.lb : NP_LB_OFF,
		.flags = i->entry ? i->entry->flags : 0,
	};
	return true;
}

int ifaces_new(const struct ifaces_options *options, struct tables *tables, struct netlink *netlink,
	       struct ifaces **ifaces)
{
	struct ifaces *ifs = calloc(1, sizeof(*ifs));

	if (!ifs)
		return -ENOMEM;
	ifs->options = *options;
	ifs->tables = tables;
	ifs->netlink = netlink;
	ifs->lb = NP_LB_ON;
	ifaces_load(ifs);
	*ifaces = ifs;
	return 0;
}

void ifaces_free(struct ifaces **ifaces)
{
	struct manual *m, *next_manual;
	struct ifaces *ifs = *ifaces;
	struct iface *i, *next;

	*ifaces = NULL;
	if (!ifs)
		return;
	HASH_ITER (hh, ifs->by_index, i, next) {
		HASH_DEL(ifs->by_index, i);
		free(i);
	}
	HASH_ITER (hh, ifs->manual, m, next_manual) {
		HASH_DEL(ifs->manual, m);
		free(m);
	}
	free(ifs);
}
