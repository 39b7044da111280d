/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The switches as JSON: shown, set by hand, and kept in a file. */
#include "ifaces_private.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static const char *const lb_names[] = {
	[NP_LB_OFF] = "off", [NP_LB_ON] = "on", [NP_LB_DRAIN] = "drain"};

/* In the file, what holds for all that is not set by hand: no device can be called so. */
#define ALL "/all"

const char *ifaces_lb_name(enum np_lb lb)
{
	return lb_names[lb];
}

static json_t *mss_json(int mss)
{
	if (mss == MSS_AUTO)
		return json_string("auto");
	return mss == MSS_OFF ? json_string("off") : json_integer(mss);
}

static json_t *iface_json(const struct iface *i)
{
	return json_pack("{s:s,s:i,s:s,s:i,s:s,s:s,s:s,s:o,s:s,s:s,s:{s:s,s:s,s:b},s:s}", "name",
			 i->link.name, "ifindex", i->link.ifindex, "role",
			 i->uplink ? "uplink" : "pod", "mtu", (int)i->link.mtu, "pattern",
			 i->pattern, "lb", lb_names[i->now.lb], "xdp", attach_xdp_name(i->now.xdp),
			 "mss", mss_json(i->now.mss), "stats", i->now.stats ? "on" : "off",
			 "redirect", i->now.redirect ? "on" : "off", "attached", "tc",
			 attach_tc_name(i->attached.tc), "xdp", attach_xdp_name(i->attached.xdp),
			 "dispatcher", i->attached.dispatcher, "note", i->attached.note);
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
	} else if (!strcmp(key, "redirect") && parse_name(text, on_off, 2, &n)) {
		m->set.redirect = n;
		m->has_redirect = true;
	} else if (!strcmp(key, "mss") && parse_mss(value, &n)) {
		m->set.mss = n;
		m->has_mss = true;
	} else {
		snprintf(why, size,
			 "\"%s\" takes no such value: lb is on, drain or off; xdp native, generic "
			 "or "
			 "off; mss auto, off or %d to %d; stats and redirect on or off",
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
	if (m->has_redirect)
		json_object_set_new(set, "redirect", json_string(m->set.redirect ? "on" : "off"));
	if (m->has_before)
		json_object_set_new(set, "before", json_string(lb_names[m->before]));
	return set;
}

int ifaces_save(struct ifaces *ifs)
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
	if (ifs->lb == NP_LB_DRAIN)
		json_object_set_new(all, ALL, json_pack("{s:s}", "lb", lb_names[ifs->lb]));
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
	if (json_object_get(set, "lb")) /* by hand: no takeover's any more */
		copy.has_before = false;
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

static bool redirect_wanted(json_t *set)
{
	const char *redirect = json_string_value(json_object_get(set, "redirect"));

	return redirect && !strcmp(redirect, "on");
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
	if (redirect_wanted(set) && !ifs->tables->direct_checksum) {
		snprintf(
			why, size,
			"\"%s\" cannot redirect: programs of this kernel do not see how a packet's "
			"checksum is meant; it needs Linux 6.2",
			name);
		return -EINVAL;
	}
	rc = remember(ifs, name, set, why, size);
	if (rc)
		return rc;
	ifaces_apply(ifs, found, false);
	if (ifaces_save(ifs)) {
		snprintf(why, size,
			 "\"%s\" is switched, but the switches could not be kept in \"%s\"", name,
			 ifs->options.file);
		return -EIO;
	}
	*result = iface_json(found);
	return 0;
}

/* What an interface of the file was before a takeover. */
static void load_before(struct ifaces *ifs, const char *name, const char *before)
{
	struct manual *m;
	int lb;

	HASH_FIND_STR(ifs->manual, name, m);
	if (!m || !parse_name(before, lb_names, 3, &lb))
		return;
	m->has_before = true;
	m->before = lb;
}

/* A file that cannot be read is no reason not to start: the defaults hold. */
void ifaces_load(struct ifaces *ifs)
{
	json_t *all = ifs->options.file ? json_load_file(ifs->options.file, 0, NULL) : NULL;
	const char *name, *lb;
	json_t *set, *before;
	char why[200];

	json_object_foreach (all, name, set) {
		if (!strcmp(name, ALL)) {
			lb = json_string_value(json_object_get(set, "lb"));
			ifs->lb = lb && !strcmp(lb, "drain") ? NP_LB_DRAIN : NP_LB_ON;
			continue;
		}
		before = json_incref(json_object_get(set, "before"));
		json_object_del(set, "before"); /* no switch */
		remember(ifs, name, set, why, sizeof(why));
		load_before(ifs, name, json_string_value(before));
		json_decref(before);
	}
	json_decref(all);
}
