/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One service port as the writers of rules want it, and the texts and hashes that rules are of. */
#include <errno.h>
#include <gcrypt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "kubeproxy_rules.h"
#include "names.h"
#include "util.h"

#define SHA256_BYTES 32

const char *rules_address(uint8_t family, const union np_addr *addr, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, addr, text, INET6_ADDRSTRLEN);
}

const char *rules_cidr(const struct cidr *cidr)
{
	static char text[INET6_ADDRSTRLEN + 4];
	char address[INET6_ADDRSTRLEN];
	union np_addr addr;

	memcpy(&addr, cidr->prefix.value, sizeof(addr));
	snprintf(text, sizeof(text), "%s/%u", rules_address(cidr->family, &addr, address),
		 cidr->bits);
	return text;
}

/* SHA-256 in base 32 (RFC 4648), cut. */
void rules_hash(const char *text, unsigned characters, char *hash)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned char sum[SHA256_BYTES];

	gcry_md_hash_buffer(GCRY_MD_SHA256, sum, text, strlen(text));
	for (unsigned i = 0; i < characters; i++) {
		unsigned bit = i * 5, byte = bit / 8;
		unsigned pair = (unsigned)sum[byte] << 8 | sum[byte + 1];

		hash[i] = digits[pair >> (11 - bit % 8) & 31];
	}
	hash[characters] = '\0';
}

static const char *protocol_text(uint8_t protocol)
{
	if (protocol == IPPROTO_TCP)
		return "tcp";
	return protocol == IPPROTO_UDP ? "udp" : "sctp";
}

static int compare_endpoints(const void *a, const void *b)
{
	return strcmp(((const struct rules_endpoint *)a)->text,
		      ((const struct rules_endpoint *)b)->text);
}

/* Those of either list, once each. */
static int fill_endpoints(struct rules_port *port)
{
	const struct plan *plan = port->plan;
	struct rules_endpoint *all;
	size_t kept = 0;

	all = calloc(plan->backends + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < plan->clusters; i++)
		all[plan->cluster[i]].in_cluster = true;
	for (size_t i = 0; i < plan->locals; i++)
		all[plan->local[i]].in_local = true;
	for (size_t i = 0; i < plan->backends; i++) {
		const struct plan_backend *backend = &plan->backend[i];
		struct rules_endpoint *e = &all[kept];

		if (!all[i].in_cluster && !all[i].in_local)
			continue;
		*e = all[i];
		e->local = backend->local;
		e->port = ntohs(backend->port);
		rules_address(plan->family, &backend->addr, e->ip);
		endpoint_text(plan->family, &backend->addr, backend->port, e->text,
			      sizeof(e->text));
		kept++;
	}
	qsort(all, kept, sizeof(*all), compare_endpoints);
	port->endpoint = all;
	port->endpoints = kept;
	port->clusters = plan->clusters;
	port->locals = plan->locals;
	return 0;
}

static size_t count_ranges(const struct kube_service *service, uint8_t family)
{
	struct cidr cidr;
	size_t count = 0;

	for (size_t i = 0; i < service->source_ranges; i++)
		count += !cidr_parse(service->source_range[i], &cidr) && cidr.family == family;
	return count;
}

static void fill_policies(struct rules_port *port)
{
	const struct plan *plan = port->plan;

	port->internal_local = port->service->internal_local;
	port->external_local = plan_external_local(port->service);
	port->has_any = plan->frontend[0].policy[0].verdict != NP_VERDICT_REJECT;
	port->has_internal = port->has_any && (!port->internal_local || port->locals);
	port->has_external = port->has_any && (!port->external_local || port->locals);
	port->uses_external =
		port->has_any && plan_is_external(port->service, port->port, plan->family);
	for (size_t i = 0; i < port->service->vips; i++)
		port->vips += RULES_VIP(port, i);
	port->own_ranges = plan->ranges ? count_ranges(port->service, plan->family) : 0;
}

int rules_port_make(const struct rules_planned *planned, struct rules_port *port)
{
	const struct plan *plan = planned->plan;

	*port = (struct rules_port){
		.service = planned->service,
		.port = planned->port,
		.plan = plan,
		.protocol = protocol_text(plan->protocol),
	};
	snprintf(port->name, sizeof(port->name), "%s/%s%s%s", plan->namespace, plan->name,
		 plan->port_name[0] ? ":" : "", plan->port_name);
	rules_address(plan->family, &plan->frontend[0].addr, port->cluster_ip);
	if (fill_endpoints(port))
		return -ENOMEM;
	fill_policies(port);
	return 0;
}

void rules_port_free(struct rules_port *port)
{
	free(port->endpoint);
	port->endpoint = NULL;
}
