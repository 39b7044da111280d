/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Cells of the address space: of the prefixes that the kernel goes by, the longest that has the
 * destination names its cell, since all prefixes that have it are then known. What is not decided
 * by prefixes (several hops for a route: a hash of both addresses) is asked each time.
 */
#include "routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addrlabel.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define CELLS_MAX 65536 /* with more, a dump costs more than asking */
#define NO_PARENT UINT32_MAX

struct cell {
	uint8_t addr[16];
	uint8_t bits;
	bool each; /* more than prefixes decides here */
	bool known;
	uint32_t parent;
	int err;
	union np_addr src;
};

struct cells {
	struct cell *cell; /* by addr, shorter ones first */
	size_t count;
	size_t room;
	uint8_t family;
	bool made;   /* of what the kernel has now */
	bool failed; /* no memory, too many: all are asked for */
	bool flows; /* more than addresses decides: several hops, rules for ports or TOS; or unknown
		     */
};

struct routes {
	struct netlink *netlink;
	struct cells cells[2];
	uint64_t asked;
};

static unsigned width(uint8_t family)
{
	return family == NP_IPV4 ? 32 : 128;
}

static void mask(uint8_t addr[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

		if (keep < 8)
			addr[i] &= (uint8_t)(0xff00 >> keep);
	}
}

static bool has(const struct cell *cell, const uint8_t addr[16])
{
	uint8_t masked[16];

	memcpy(masked, addr, sizeof(masked));
	mask(masked, cell->bits);
	return !memcmp(masked, cell->addr, sizeof(masked));
}

static void add(struct cells *c, const void *addr, unsigned bits, bool each)
{
	struct cell cell = {.bits = (uint8_t)bits, .each = each};
	struct cell *more;

	if (c->count == c->room) {
		more = c->count < CELLS_MAX ? reallocarray(c->cell, 2 * c->room + 64, sizeof(*more))
					    : NULL;
		c->failed |= !more;
		if (!more)
			return;
		c->cell = more;
		c->room = 2 * c->room + 64;
	}
	if (addr)
		memcpy(cell.addr, addr, width(c->family) / 8);
	mask(cell.addr, bits);
	c->cell[c->count++] = cell;
}

static int keep(const struct nlattr *attr, void *arg)
{
	const struct nlattr **by_type = arg;

	if (mnl_attr_get_type(attr) <= RTA_MAX)
		by_type[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

/* Of an address of the family; NULL if there is none. */
static const void *address(const struct cells *c, const struct nlattr *attr)
{
	if (!attr || mnl_attr_get_payload_len(attr) != width(c->family) / 8)
		return NULL;
	return mnl_attr_get_payload(attr);
}

static int on_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[RTA_MAX + 1] = {};
	struct cells *c = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->rtm_flags & RTM_F_CLONED ||
	    info->rtm_dst_len > width(c->family))
		return MNL_CB_OK;
	mnl_attr_parse(message, sizeof(*info), keep, attr);
	add(c, address(c, attr[RTA_DST]), info->rtm_dst_len,
	    attr[RTA_MULTIPATH] || attr[RTA_NH_ID]);
	c->flows |= attr[RTA_MULTIPATH] || attr[RTA_NH_ID] || info->rtm_tos;
	return MNL_CB_OK;
}

/* What the headers have no name for yet may be anything: FRA_DSCP (6.13), FRA_FLOWLABEL (6.14). */
static bool has_newer(const struct nlattr *const *attr)
{
	for (int i = FRA_DPORT_RANGE + 1; i <= RTA_MAX; i++)
		if (attr[i])
			return true;
	return false;
}

static int on_rule(const struct nlmsghdr *message, void *arg)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[RTA_MAX + 1] = {};
	struct cells *c = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->dst_len > width(c->family))
		return MNL_CB_OK;
	mnl_attr_parse(message, sizeof(*info), keep, attr);
	add(c, address(c, attr[FRA_DST]), info->dst_len, false);
	c->flows |= info->tos || attr[FRA_IP_PROTO] || attr[FRA_SPORT_RANGE] ||
		    attr[FRA_DPORT_RANGE] || has_newer(attr);
	return MNL_CB_OK;
}

/* RFC 6724, 5, rule 8: how many bits the source and the destination have in common. */
static int on_addr(const struct nlmsghdr *message, void *arg)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[RTA_MAX + 1] = {};
	struct cells *c = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) ||
	    info->ifa_prefixlen > width(c->family))
		return MNL_CB_OK;
	mnl_attr_parse(message, sizeof(*info), keep, attr);
	for (unsigned bits = 1; bits <= info->ifa_prefixlen; bits++)
		add(c, address(c, attr[IFA_LOCAL] ?: attr[IFA_ADDRESS]), bits, false);
	return MNL_CB_OK;
}

/* The same, rule 6. */
static int on_label(const struct nlmsghdr *message, void *arg)
{
	const struct ifaddrlblmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[RTA_MAX + 1] = {};
	struct cells *c = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) ||
	    info->ifal_prefixlen > width(c->family))
		return MNL_CB_OK;
	mnl_attr_parse(message, sizeof(*info), keep, attr);
	add(c, address(c, attr[IFAL_ADDRESS]), info->ifal_prefixlen, false);
	return MNL_CB_OK;
}

/* The same, rule 2: scopes. */
static void add_scopes(struct cells *c)
{
	static const struct {
		uint8_t addr[16];
		uint8_t bits;
	} scopes[] = {{{[15] = 1}, 128}, {{0xfe, 0x80}, 10}, {{0xfe, 0xc0}, 10}, {{0xff}, 8}};

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++)
		add(c, scopes[i].addr, scopes[i].bits, false);
}

/* What the kernel knows without a route. */
static void add_special(struct cells *c)
{
	static const uint8_t multicast[16] = {0xe0}, broadcast[16] = {0xff, 0xff, 0xff, 0xff};

	add(c, NULL, width(c->family), false);
	if (c->family != NP_IPV4)
		return;
	add(c, multicast, 4, false);
	add(c, broadcast, 32, false);
}

/* More cells than needed, from a dump that was begun anew, do no harm. */
static int dump_all(struct routes *r, struct cells *c)
{
	const uint8_t family = c->family == NP_IPV4 ? AF_INET : AF_INET6;
	const struct rtmsg route = {.rtm_family = family};
	const struct fib_rule_hdr rule = {.family = family};
	const struct ifaddrmsg addr = {.ifa_family = family};
	const struct ifaddrlblmsg label = {.ifal_family = family};
	int rc = netlink_each(r->netlink, RTM_GETROUTE, &route, sizeof(route), on_route, c);

	rc = rc ?: netlink_each(r->netlink, RTM_GETRULE, &rule, sizeof(rule), on_rule, c);
	if (family == AF_INET)
		return rc;
	add_scopes(c);
	rc = rc ?: netlink_each(r->netlink, RTM_GETADDR, &addr, sizeof(addr), on_addr, c);
	if (!rc)
		rc = netlink_each(r->netlink, RTM_GETADDRLABEL, &label, sizeof(label), on_label, c);
	return rc == -EOPNOTSUPP ? 0 : rc; /* a kernel without IPv6 has no labels */
}

static int by_place(const void *first, const void *second)
{
	const struct cell *a = first, *b = second;
	int order = memcmp(a->addr, b->addr, sizeof(a->addr));

	return order ?: (int)a->bits - (int)b->bits;
}

static void drop_twins(struct cells *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++) {
		if (kept && !by_place(&c->cell[kept - 1], &c->cell[i]))
			c->cell[kept - 1].each |= c->cell[i].each;
		else
			c->cell[kept++] = c->cell[i];
	}
	c->count = kept;
}

static void set_parents(struct cells *c)
{
	uint32_t parent = NO_PARENT;

	for (uint32_t i = 0; i < c->count; i++) {
		while (parent != NO_PARENT && !has(&c->cell[parent], c->cell[i].addr))
			parent = c->cell[parent].parent;
		c->cell[i].parent = parent;
		c->cell[i].each |= parent != NO_PARENT && c->cell[parent].each;
		parent = i;
	}
}

/* Before the dump, so that a change during it is not missed: it is told after, and then forgotten.
 */
static void make(struct routes *r, struct cells *c)
{
	c->made = true;
	c->failed = false;
	c->flows = false;
	c->count = 0;
	add(c, NULL, 0, false);
	add_special(c);
	if (dump_all(r, c))
		c->failed = c->flows = true;
	if (c->failed)
		return;
	qsort(c->cell, c->count, sizeof(*c->cell), by_place);
	drop_twins(c);
	set_parents(c);
}

/* The longest prefix that has the address is the last before it, or contains that one. */
static struct cell *find(struct cells *c, const uint8_t addr[16])
{
	size_t low = 0, high = c->count; /* the first is the whole, and before all */
	uint32_t i;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(c->cell[middle].addr, addr, 16) <= 0)
			low = middle;
		else
			high = middle;
	}
	for (i = (uint32_t)low; !has(&c->cell[i], addr); i = c->cell[i].parent)
		;
	return &c->cell[i];
}

int routes_source(struct routes *r, uint8_t family, const union np_addr *dst, union np_addr *src)
{
	struct cells *c = &r->cells[family != NP_IPV4];
	uint8_t addr[16] = {};
	struct cell *cell;

	if (family != NP_IPV4 && family != NP_IPV6)
		return -EAFNOSUPPORT;
	if (!c->made)
		make(r, c);
	memcpy(addr, dst, width(family) / 8);
	cell = c->failed ? NULL : find(c, addr);
	if (!cell || cell->each) {
		r->asked++;
		return netlink_source(r->netlink, family, dst, src);
	}
	if (!cell->known) {
		r->asked++;
		cell->err = netlink_source(r->netlink, family, dst, &cell->src);
		cell->known = cell->err != -ETIMEDOUT;
	}
	if (!cell->err)
		*src = cell->src;
	return cell->err;
}

bool routes_shared(struct routes *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->cells); i++) {
		if (!r->cells[i].made)
			make(r, &r->cells[i]);
		if (r->cells[i].flows)
			return false;
	}
	return true;
}

void routes_forget(struct routes *r)
{
	r->cells[0].made = r->cells[1].made = false;
}

uint64_t routes_asked(const struct routes *r)
{
	return r->asked;
}

int routes_new(struct netlink *netlink, struct routes **routes)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->netlink = netlink;
	r->cells[0].family = NP_IPV4;
	r->cells[1].family = NP_IPV6;
	*routes = r;
	return 0;
}

void routes_free(struct routes **routes)
{
	struct routes *r = TAKE_PTR(*routes);

	if (!r)
		return;
	free(r->cells[0].cell);
	free(r->cells[1].cell);
	free(r);
}
