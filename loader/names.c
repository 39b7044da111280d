/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

const char *const verdict_names[NP_VERDICTS] = {
#define X(e, name) [NP_VERDICT_##e] = name,
	NP_VERDICT_LIST(X)
#undef X
};

const char *const reason_names[NP_REASONS] = {
#define X(e, name, help) [NP_REASON_##e] = name,
	NP_REASON_LIST(X)
#undef X
};

const char *const hook_names[NP_HOOKS] = {
#define X(e, name) [NP_HOOK_##e] = name,
	NP_HOOK_LIST(X)
#undef X
};

const char *const class_names[NP_CLASSES] = {
	[NP_CLASS_POD] = "pod",
	[NP_CLASS_NODE] = "node",
	[NP_CLASS_OUTSIDE] = "outside",
};

const char *const zone_names[NP_ZONE_CLASSES] = {
#define X(e, name) [NP_ZONE_##e] = name,
	NP_ZONE_CLASS_LIST(X)
#undef X
};

const char *const state_names[NP_FLOW_STATES] = {
#define X(e, name, seconds) [NP_FLOW_##e] = name,
	NP_FLOW_STATE_LIST(X)
#undef X
};

const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	default:
		return "unknown";
	}
}

static const char *address_text(uint8_t family, const void *addr, char *text)
{
	return inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, addr, text, INET6_ADDRSTRLEN);
}

json_t *address_json(uint8_t family, const void *addr)
{
	char text[INET6_ADDRSTRLEN];

	return json_string(address_text(family, addr, text));
}

void endpoint_text(uint8_t family, const void *addr, __be16 port, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	snprintf(text, size, family == NP_IPV4 ? "%s:%u" : "[%s]:%u",
		 address_text(family, addr, address), ntohs(port));
}

json_t *endpoint_json(uint8_t family, const void *addr, __be16 port)
{
	char text[INET6_ADDRSTRLEN + 8];

	endpoint_text(family, addr, port, text, sizeof(text));
	return json_string(text);
}

json_t *cidr_json(const struct cidr *cidr)
{
	char text[INET6_ADDRSTRLEN];

	return json_sprintf("%s/%u", address_text(cidr->family, cidr->prefix.value, text),
			    cidr->bits);
}
