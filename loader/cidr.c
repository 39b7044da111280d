/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading and comparing address ranges. */
#include "cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct np_prefix prefix_make(const union np_addr *addr, unsigned bits)
{
	struct np_prefix prefix;
	unsigned i, n;

	for (i = 0; i < 4; i++) {
		n = bits > i * 32 ? bits - i * 32 : 0;
		prefix.mask[i] = n >= 32 ? 0xFFFFFFFF : htonl(n ? ~(0xFFFFFFFFU >> n) : 0);
		prefix.value[i] = addr->word[i] & prefix.mask[i];
	}
	return prefix;
}

struct cidr cidr_of(uint8_t family, const union np_addr *addr, unsigned bits)
{
	return (struct cidr){family, bits, prefix_make(addr, bits)};
}

int cidr_parse(const char *text, struct cidr *cidr)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	union np_addr addr = {};
	unsigned long bits;
	bool six;
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, slash - text);
	address[slash - text] = '\0';
	six = strchr(address, ':');
	if (slash[1] < '0' || slash[1] > '9') /* strtoul() would take a sign or blanks */
		return -EINVAL;
	bits = strtoul(slash + 1, &end, 10);
	if (*end || bits > (six ? 128 : 32) ||
	    inet_pton(six ? AF_INET6 : AF_INET, address, &addr) != 1)
		return -EINVAL;
	*cidr = cidr_of(six ? NP_IPV6 : NP_IPV4, &addr, bits);
	return 0;
}

int cidr_list_parse(const char *text, struct cidr_list *list)
{
	static const char blanks[] = " \t\r\n";
	struct cidr_list read = {};
	char item[64];
	size_t length;

	while (*text) {
		text += strspn(text, blanks);
		length = strcspn(text, ",");
		if (length >= sizeof(item))
			return -EINVAL;
		memcpy(item, text, length);
		text += length + (text[length] == ',');
		while (length && strchr(blanks, item[length - 1]))
			length--;
		item[length] = '\0';
		if (read.count == CIDR_LIST_MAX)
			return -E2BIG;
		if (cidr_parse(item, &read.cidr[read.count++]))
			return -EINVAL;
	}
	*list = read;
	return 0;
}

bool cidr_has(const struct cidr *cidr, uint8_t family, const union np_addr *addr)
{
	int i;

	if (cidr->family != family)
		return false;
	for (i = 0; i < 4; i++)
		if ((addr->word[i] & cidr->prefix.mask[i]) != cidr->prefix.value[i])
			return false;
	return true;
}

bool cidr_list_has(const struct cidr_list *list, uint8_t family, const union np_addr *addr)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (cidr_has(&list->cidr[i], family, addr))
			return true;
	return false;
}

const struct cidr *cidr_list_first(const struct cidr_list *list, uint8_t family)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->cidr[i].family == family)
			return &list->cidr[i];
	return NULL;
}

struct np_prefix cidr_nobody(void)
{
	struct np_prefix nobody = {};

	memset(nobody.value, 0xFF, sizeof(nobody.value)); /* bits that no mask lets through */
	return nobody;
}

bool address_equal(const union np_addr *a, const union np_addr *b)
{
	return !memcmp(a->word, b->word, sizeof(a->word));
}

bool address_is_loopback(uint8_t family, const union np_addr *addr)
{
	if (family == NP_IPV4)
		return (ntohl(addr->v4) >> 24) == 127;
	return !addr->word[0] && !addr->word[1] && !addr->word[2] && addr->word[3] == htonl(1);
}
