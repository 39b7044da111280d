/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Chains and rules of iptables' own tables (iptables-legacy), by the socket option that iptables
 * reads them with: a table is one blob of entries, in which each chain but the built-in ones
 * begins with an ERROR target that has its name, and ends with a rule nobody wrote.
 */
#include "kubeproxy_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "util.h"

/* What differs between the families: of an entry, and of the request for all of them. */
struct layout {
	int af, level, get_info, get_entries;
	const char *names; /* the tables that this namespace has: asking for another makes it */
	size_t entry, target_offset, next_offset;
};

static const struct layout layouts[KUBEPROXY_FAMILIES] = {
	{AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, "/proc/net/ip_tables_names",
	 sizeof(struct ipt_entry), offsetof(struct ipt_entry, target_offset),
	 offsetof(struct ipt_entry, next_offset)},
	{AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
	 "/proc/net/ip6_tables_names", sizeof(struct ip6t_entry),
	 offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset)},
};

/* Both families have the same. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "ipt_getinfo");
_Static_assert(sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries), "entries");

static uint16_t number_at(const char *entry, size_t offset)
{
	uint16_t number;

	memcpy(&number, entry + offset, sizeof(number));
	return number;
}

/* The name of the chain that begins with this entry; NULL: it is a rule. */
static const char *chain_name(const char *entry, const struct layout *l, size_t length)
{
	const size_t target = number_at(entry, l->target_offset);
	const struct xt_error_target *error = (const void *)(entry + target);

	if (target + sizeof(*error) > length || strcmp(error->target.u.user.name, XT_ERROR_TARGET))
		return NULL;
	return error->errorname;
}

static void count_entries(const char *entries, size_t size, const struct layout *l,
			  const char *table, struct kubeproxy_count *count, bool *serves)
{
	bool ours = false;
	size_t at, length;

	for (at = 0; at + l->entry <= size; at += length) {
		const char *name;

		length = number_at(entries + at, l->next_offset);
		if (length < l->entry || at + length > size)
			return;
		name = chain_name(entries + at, l, length);
		if (!name) {
			count->rules += ours;
			continue;
		}
		count->rules -= ours; /* the last one of a chain, which is a return */
		ours = kubeproxy_has_chain(name);
		count->chains += ours;
		*serves |= kubeproxy_is_portal(table, name);
	}
}

static int read_table(int fd, const struct layout *l, const char *table,
		      struct kubeproxy_count *count, bool *serves)
{
	struct ipt_getinfo info = {};
	_cleanup_free_ struct ipt_get_entries *all = NULL;
	socklen_t size = sizeof(info);

	snprintf(info.name, sizeof(info.name), "%s", table);
	if (getsockopt(fd, l->level, l->get_info, &info, &size))
		return -errno;
	size = sizeof(*all) + info.size;
	all = calloc(1, size);
	if (!all)
		return -ENOMEM;
	snprintf(all->name, sizeof(all->name), "%s", table);
	all->size = info.size;
	if (getsockopt(fd, l->level, l->get_entries, all, &size))
		return -errno; /* -EAGAIN: it changed in between */
	count_entries((const char *)all->entrytable, info.size, l, table, count, serves);
	return 0;
}

static int read_family(const struct layout *l, struct kubeproxy_count *count, bool *serves)
{
	_cleanup_close_ int fd = -1;
	char table[XT_TABLE_MAXNAMELEN];
	FILE *names = fopen(l->names, "re");
	int rc = 0;

	if (!names)
		return errno == ENOENT ? 0 : -errno;
	while (!rc && fscanf(names, "%31s", table) == 1) {
		if (fd < 0)
			fd = socket(l->af, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		rc = fd < 0 ? -errno : read_table(fd, l, table, count, serves);
		if (rc == -EAGAIN)
			rc = read_table(fd, l, table, count, serves);
	}
	fclose(names);
	return rc;
}

int kubeproxy_legacy(struct kubeproxy *found)
{
	int rc = 0, family, failed;

	for (family = 0; family < KUBEPROXY_FAMILIES; family++) {
		failed = read_family(&layouts[family], &found->of[KUBEPROXY_LEGACY][family],
				     &found->serves);
		rc = rc ?: failed;
	}
	return rc;
}
