/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Interfaces and their switches: from patterns and `iface set` to table entries and programs. */
#include "ifaces.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "node.h"
#include "util.h"

#define MSS_MIN 88 /* RFC 791: 68 bytes cross every link; less than this helps nobody */
#define MSS_MAX 65495

static const char *const lb_names[] = {
	[NP_LB_OFF] = "off", [NP_LB_ON] = "on", [NP_LB_DRAIN] = "drain"};

/* The four switches of one interface, as they are wanted. */
struct switches {
	enum np_lb lb;
	enum attach_xdp xdp;
	int mss;
	bool stats;
};

/* Set by hand, by name; what was not set follows the defaults. */
struct manual {
	char name[IF_NAMESIZE];
	bool has_lb, has_xdp, has_mss, has_stats;
	struct switches set;
	UT_hash_handle hh;
};

struct iface {
	struct netlink_link link;
	char pattern[64]; /* by which it is nearpath's; "" if by none */
	bool uplink;
	bool seen; /* told again in a resync */
	struct switches now;
	struct attachment attached;
	struct np_iface *entry; /* in the table; NULL: not there */
	UT_hash_handle hh;
};

struct ifaces {
	struct ifaces_options options;
	struct tables *tables;
	struct netlink *netlink;
	struct iface *by_index;
	struct manual *manual;
};

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
	if (i->link.loopback || !i->link.supported)
		pattern[0] = '\0';
	memcpy(i->pattern, pattern, sizeof(pattern));
}

static struct switches wanted(struct ifaces *ifs, const struct iface *i)
{
	struct switches w = {
		.lb = i->pattern[0] ? NP_LB_ON : NP_LB_OFF,
		.xdp = i->uplink ? ifs->options.xdp : ATTACH_XDP_OFF,
		.mss = ifs->options.mss,
	};
	struct manual *m;

	/*
	 * What native XDP sends out of a veth is lost unless its other end, which may be in
	 * anyone's namespace, has an XDP program too (drivers/net/veth.c, veth_xdp_xmit). So it is
	 * not the default there, as in clusters whose nodes are containers.
	 */
	if (w.xdp == ATTACH_XDP_NATIVE && i->link.veth && !ifs->options.xdp_on_veth)
		w.xdp = ATTACH_XDP_GENERIC;
	HASH_FIND_STR(ifs->manual, i->link.name, m);
	if (!m)
		return w;
	w.lb = m->has_lb ? m->set.lb : w.lb;
	w.xdp = m->has_xdp && i->uplink ? m->set.xdp : w.xdp;
	w.mss = m->has_mss ? m->set.mss : w.mss;
	w.stats = m->has_stats ? m->set.stats : w.stats;
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
	struct iface *master;

	HASH_FIND_INT(ifs->by_index, &i->link.master, master);
	return ifs->options.node && node_iface_is_pod(ifs->options.node, i->link.name,
						      master ? master->link.name : NULL);
}

static void write_entry(struct ifaces *ifs, struct iface *i)
{
	uint8_t flags = (is_pod(ifs, i) ? NP_IFACE_POD : 0) | (i->now.stats ? NP_IFACE_STATS : 0) |
			(i->attached.xdp == ATTACH_XDP_NATIVE ? NP_IFACE_XDP_NATIVE : 0) |
			(i->now.mss == MSS_AUTO ? NP_IFACE_MSS_AUTO : 0) |
			(i->link.master ? NP_IFACE_PORT : 0);

	i->entry->flags = flags;
	i->entry->l2_len = i->link.l2_len;
	i->entry->mtu = i->link.mtu;
	memcpy(i->entry->mac, i->link.mac, sizeof(i->entry->mac));
	i->entry->mss4 = mss_limit(i, 40);
	i->entry->mss6 = mss_limit(i, 60);
	i->entry->lb = i->now.lb;
	__atomic_store_n(&i->entry->ifindex, i->link.ifindex, __ATOMIC_RELEASE);
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
	write_entry(ifs, i);
	if (i->attached.tc == ATTACH_TC_NONE) {
		attach_tc(ifs->options.links, i->link.ifindex, ifs->tables->ingress_fd,
			  ifs->tables->egress_fd, ifs->options.clsact, &i->attached);
		memcpy(note, i->attached.note, sizeof(note));
	}
	if (xdp_changed || (i->now.xdp != ATTACH_XDP_OFF && i->attached.xdp == ATTACH_XDP_OFF))
		attach_xdp(ifs->options.links, i->link.ifindex, ifs->tables->xdp_fd, i->now.xdp,
			   &i->attached);
	if (note[0] && !i->attached.note[0])
		memcpy(i->attached.note, note, sizeof(note));
	write_entry(ifs, i);
}

/* Bring the kernel to what is wanted. */
static void apply(struct ifaces *ifs, struct iface *i, bool first)
{
	struct switches w = wanted(ifs, i);
	bool xdp_changed = first || w.xdp != i->now.xdp;

	i->now = w;
	if (w.lb == NP_LB_OFF || !i->link.supported) {
		if (i->entry || (first && i->pattern[0]))
			take_off(ifs, i);
		return;
	}
	put_on(ifs, i, xdp_changed);
}

static bool same_link(const struct netlink_link *a, const struct netlink_link *b)
{
	return !strcmp(a->name, b->name) && a->mtu == b->mtu && a->up == b->up &&
	       a->l2_len == b->l2_len && a->supported == b->supported && a->master == b->master &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac));
}

void ifaces_link(struct ifaces *ifs, const struct netlink_link *link)
{
	struct iface *i;
	bool first;

	HASH_FIND_INT(ifs->by_index, &link->ifindex, i);
	first = !i;
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
	i->link = *link;
	classify(ifs, i);
	apply(ifs, i, first);
}

void ifaces_link_gone(struct ifaces *ifs, int ifindex)
{
	struct iface *i;

	HASH_FIND_INT(ifs->by_index, &ifindex, i);
	if (!i)
		return;
	take_off(ifs, i); /* the programs went with the device, their pins did not */
	HASH_DEL(ifs->by_index, i);
	free(i);
}

void ifaces_routes(struct ifaces *ifs)
{
	struct iface *i, *next;

	HASH_ITER (hh, ifs->by_index, i, next) {
		classify(ifs, i);
		apply(ifs, i, false);
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
	sweep_table(ifs);
	attach_sweep(ifs->options.links);
}

bool ifaces_state(struct ifaces *ifs, int ifindex, struct ifaces_state *state)
{
	struct iface *i;

	HASH_FIND_INT(ifs->by_index, &ifindex, i);
	if (!i)
		return false;
	*state = (struct ifaces_state){
		.name = i->link.name,
		.lb = i->entry && i->attached.tc != ATTACH_TC_NONE ? i->now.lb : NP_LB_OFF,
		.flags = i->entry ? i->entry->flags : 0,
	};
	return true;
}

static json_t *mss_json(int mss)
{
	if (mss == MSS_AUTO)
		return json_string("auto");
	return mss == MSS_OFF ? json_string("off") : json_integer(mss);
}

static json_t *iface_json(const struct iface *i)
{
	return json_pack("{s:s,s:i,s:s,s:i,s:s,s:s,s:s,s:o,s:s,s:{s:s,s:s,s:b},s:s}", "name",
			 i->link.name, "ifindex", i->link.ifindex, "role",
			 i->uplink ? "uplink" : "pod", "mtu", (int)i->link.mtu, "pattern",
			 i->pattern, "lb", lb_names[i->now.lb], "xdp", attach_xdp_name(i->now.xdp),
			 "mss", mss_json(i->now.mss), "stats", i->now.stats ? "on" : "off",
			 "attached", "tc", attach_tc_name(i->attached.tc), "xdp",
			 attach_xdp_name(i->attached.xdp), "dispatcher", i->attached.dispatcher,
			 "note", i->attached.note);
}

static int by_name(struct iface *a, struct iface *b)
{
	return strcmp(a->link.name, b->link.name);
}

json_t *ifaces_json(struct ifaces *ifs)
{
	json_t *list = json_array();
	struct iface *i, *next;

	HASH_SORT(ifs->by_index, by_name);
	HASH_ITER (hh, ifs->by_index, i, next) {
		struct manual *m;

		HASH_FIND_STR(ifs->manual, i->link.name, m);
		if (i->pattern[0] || i->entry || m)
			json_array_append_new(list, iface_json(i));
	}
	return list;
}

static bool parse_name(const char *text, const char *const *names, int n, int *value)
{
	int i;

	for (i = 0; text && i < n; i++) {
		if (names[i] && !strcmp(names[i], text)) {
			*value = i;
			return true;
		}
	}
	return false;
}

static bool parse_mss(json_t *value, int *mss)
{
	const char *text = json_string_value(value);
	json_int_t n = json_integer_value(value);

	if (text && !strcmp(text, "auto"))
		*mss = MSS_AUTO;
	else if (text && !strcmp(text, "off"))
		*mss = MSS_OFF;
	else if (json_is_integer(value) && n >= MSS_MIN && n <= MSS_MAX)
		*mss = n;
	else
		return false;
	return true;
}

/* One switch of a set into m; what is wrong goes into why. */
static int parse_switch(struct manual *m, const char *key, json_t *value, char *why, size_t size)
{
	static const char *const xdp_names[] = {"off", "generic", "native"};
	static const char *const on_off[] = {"off", "on"};
	const char *text = json_string_value(value);
	int n;

	if (!strcmp(key, "lb") && parse_name(text, lb_names, 3, &n)) {
		m->set.lb = n;
		m->has_lb = true;
	} else if (!strcmp(key, "xdp") && parse_name(text, xdp_names, 3, &n)) {
		m->set.xdp = n;
		m->has_xdp = true;
	} else if (!strcmp(key, "stats") && parse_name(text, on_off, 2, &n)) {
		m->set.stats = n;
		m->has_stats = true;
	} else if (!strcmp(key, "mss") && parse_mss(value, &n)) {
		m->set.mss = n;
		m->has_mss = true;
	} else {
		snprintf(why, size,
			 "\"%s\" takes no such value: lb is on, drain or off; xdp native, generic "
			 "or "
			 "off; mss auto, off or %d to %d; stats on or off",
			 key, MSS_MIN, MSS_MAX);
		return -EINVAL;
	}
	return 0;
}

static json_t *manual_json(const struct manual *m)
{
	json_t *set = json_object();

	if (m->has_lb)
		json_object_set_new(set, "lb", json_string(lb_names[m->set.lb]));
	if (m->has_xdp)
		json_object_set_new(set, "xdp", json_string(attach_xdp_name(m->set.xdp)));
	if (m->has_mss)
		json_object_set_new(set, "mss", mss_json(m->set.mss));
	if (m->has_stats)
		json_object_set_new(set, "stats", json_string(m->set.stats ? "on" : "off"));
	return set;
}

static int save(struct ifaces *ifs)
{
	_cleanup_free_ char *temporary = NULL;
	struct manual *m, *next;
	json_t *all = json_object();
	int rc = 0;

	if (!ifs->options.file)
		goto out;
	HASH_ITER (hh, ifs->manual, m, next) {
		json_object_set_new(all, m->name, manual_json(m));
	}
	if (asprintf(&temporary, "%s.new", ifs->options.file) < 0 ||
	    json_dump_file(all, temporary, JSON_SORT_KEYS | JSON_INDENT(1)) ||
	    rename(temporary, ifs->options.file))
		rc = -EIO;
out:
	json_decref(all);
	return rc;
}

static int remember(struct ifaces *ifs, const char *name, json_t *set, char *why, size_t size)
{
	struct manual *old, copy = {};
	const char *key;
	json_t *value;
	int rc;

	HASH_FIND_STR(ifs->manual, name, old);
	if (old)
		copy = *old;
	snprintf(copy.name, sizeof(copy.name), "%s", name);
	json_object_foreach (set, key, value) {
		rc = parse_switch(&copy, key, value, why, size);
		if (rc)
			return rc;
	}
	if (!old) {
		old = calloc(1, sizeof(*old));
		if (!old)
			return -ENOMEM;
		memcpy(old->name, copy.name, sizeof(old->name));
		HASH_ADD_STR(ifs->manual, name, old);
	}
	copy.hh = old->hh;
	*old = copy;
	return 0;
}

static bool xdp_wanted(json_t *set)
{
	const char *xdp = json_string_value(json_object_get(set, "xdp"));

	return xdp && strcmp(xdp, "off");
}

int ifaces_set(struct ifaces *ifs, const char *name, json_t *set, json_t **result, char *why,
	       size_t size)
{
	struct iface *i, *next, *found = NULL;
	int rc;

	HASH_ITER (hh, ifs->by_index, i, next) {
		if (!strcmp(i->link.name, name))
			found = i;
	}
	if (!found || !found->link.supported || found->link.loopback) {
		snprintf(why, size,
			 found ? "\"%s\" is not a device that carries services"
			       : "there is no interface \"%s\"; see ip link",
			 name);
		return -ENODEV;
	}
	if (!found->uplink && xdp_wanted(set)) {
		snprintf(why, size,
			 "\"%s\" is no uplink: what a pod sends has half a checksum, which XDP "
			 "cannot "
			 "complete; name it in --uplinks if it leads outside",
			 name);
		return -EINVAL;
	}
	rc = remember(ifs, name, set, why, size);
	if (rc)
		return rc;
	apply(ifs, found, false);
	if (save(ifs)) {
		snprintf(why, size,
			 "\"%s\" is switched, but the switches could not be kept in \"%s\"", name,
			 ifs->options.file);
		return -EIO;
	}
	*result = iface_json(found);
	return 0;
}

/* A file that cannot be read is no reason not to start: the defaults hold. */
static void load(struct ifaces *ifs)
{
	json_t *all = ifs->options.file ? json_load_file(ifs->options.file, 0, NULL) : NULL;
	const char *name;
	char why[200];
	json_t *set;

	json_object_foreach (all, name, set) {
		remember(ifs, name, set, why, sizeof(why));
	}
	json_decref(all);
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
	load(ifs);
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
