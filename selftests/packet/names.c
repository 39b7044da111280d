/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who is who in the packet tests, in both families, so that a case is written once. Where each is
 * routed to is in netns.h.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packet.h"
#include "util.h"

static const struct name {
	const char *name;
	const char *address[2];
} names[] = {
	{"client", {"192.0.2.10", "2001:db8:c::10"}},
	{"client2", {"192.0.2.11", "2001:db8:c::11"}},
	{"router", {"192.0.2.1", "2001:db8:c::1"}},
	{"pod", {"10.244.1.5", "fd00:10:244:1::5"}},
	{"cluster", {"10.96.0.10", "fd00:10:96::10"}},
	{"cluster2", {"10.96.0.20", "fd00:10:96::20"}},
	{"external", {"198.51.100.7", "2001:db8:e::7"}},
	{"vip", {"203.0.113.9", "2001:db8:f::9"}},
	{"node", {"172.16.0.1", "fd00:172:16::1"}},
	{"snat", {"10.244.1.1", "fd00:10:244:1::1"}}, /* what publish_source tells */
	{"local", {"10.244.1.20", "fd00:10:244:1::20"}},
	{"remote", {"10.244.2.30", "fd00:10:244:2::30"}},
	{"remote2", {"10.244.2.31", "fd00:10:244:2::31"}},
	{"second", {"10.244.3.40", "fd00:10:244:3::40"}},  /* behind the second uplink */
	{"silent", {"10.244.4.50", "fd00:10:244:4::50"}},  /* its gateway has no neighbour entry */
	{"nowhere", {"10.244.5.60", "fd00:10:244:5::60"}}, /* unreachable, with no source address */
	{"unrouted", {"10.244.5.61", "fd00:10:244:5::61"}}, /* unreachable */
	/* Sources that are never answered. */
	{"zero", {"0.0.0.0", "::"}},
	{"thisnet", {"0.1.2.3", "::"}},
	{"loop", {"127.0.0.1", "::1"}},
	{"loop2", {"127.255.255.254", "::1"}},
	{"group", {"224.0.0.1", "ff02::1"}},
	{"reserved", {"240.0.0.1", "ff00::"}},
	{"everybody", {"255.255.255.255", "ffff::1"}},
	/* The kernel takes a packet without Ethernet header for IP by what is at bytes 12 and 13.
	 */
	{"tunnel", {"8.0.7.7", "2001:db8:86dd::7"}},
};

#define LEARNED 10
static uint16_t learned[LEARNED];

static const struct name *find(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == length && !strncmp(names[i].name, name, length))
			return &names[i];
	fail_msg("nobody is called \"%.*s\"", (int)length, name);
	return NULL;
}

static union np_addr address(const char *name, size_t length, int family)
{
	const struct name *n = find(name, length);
	union np_addr addr = {.word = {0}};

	if (family == NP_IPV4)
		assert_int_equal(inet_pton(AF_INET, n->address[0], &addr), 1);
	else
		assert_int_equal(inet_pton(AF_INET6, n->address[1], &addr), 1);
	return addr;
}

union np_addr name_address(const char *name, int family)
{
	return address(name, strlen(name), family);
}

struct end end_parse(const char *text, int family)
{
	const char *colon = strchr(text, ':');
	struct end end = {.addr = address(text, strcspn(text, ":"), family)};

	if (colon && colon[1] == '?')
		end.port = learned[colon[2] - '0'];
	else if (colon)
		end.port = strtoul(colon + 1, NULL, 10);
	return end;
}

void end_forget(void)
{
	memset(learned, 0, sizeof(learned));
}

int end_unknown(const char *text)
{
	const char *mark = strchr(text, '?');

	return mark && !learned[mark[1] - '0'] ? mark[1] - '0' : -1;
}

void end_learn(int n, uint16_t port)
{
	learned[n] = port;
}

uint16_t end_learned(int n)
{
	return learned[n];
}

/* $name4 or $name6 at text; returns what follows. */
static const char *expand_one(const char *text, char **out)
{
	size_t length = 1;
	const struct name *n;

	/* Names may end in a digit of their own: the family's is the last one. */
	while (isalnum((unsigned char)text[length]))
		length++;
	n = find(text + 1, length - 2);
	*out = stpcpy(*out, n->address[text[length - 1] == '4' ? 0 : 1]);
	return text + length;
}

char *names_expand(const char *text)
{
	char *expanded = calloc(1, strlen(text) * 4 + 1), *out = expanded;

	assert_non_null(expanded);
	while (*text) {
		if (*text == '$')
			text = expand_one(text, &out);
		else
			*out++ = *text == '\'' ? '"' : *text, text++;
	}
	return expanded;
}
