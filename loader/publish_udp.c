/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What becomes of UDP when endpoints go. Unlike TCP, which ends by itself, a client that goes on
 * sending would hold on to a departed endpoint for ever. kube-proxy's rules: CleanStaleEntries() in
 * pkg/proxy/conntrack/cleanup.go.
 */
#include <netinet/in.h>
#include <string.h>

#include "publish_private.h"

static bool serves(const struct plan *plan, const union np_addr *addr, __be16 port)
{
	for (size_t i = 0; i < plan->backends; i++)
		if (plan->backend[i].serving && plan->backend[i].port == port &&
		    address_equal(&plan->backend[i].addr, addr))
			return true;
	return false;
}

static bool anyone_serves(const struct plan *plan)
{
	for (size_t i = 0; i < plan->backends; i++)
		if (plan->backend[i].serving)
			return true;
	return false;
}

static const struct plan *plan_at(struct publisher *p, uint8_t family, uint8_t protocol,
				  const union np_addr *addr, __be16 port)
{
	struct frontend_key key;
	const struct frontend *f;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.port = port;
	key.protocol = protocol;
	key.family = family;
	f = frontend_get(p, &key);
	return f && f->owner ? publish_plan_of(p, f->version) : NULL;
}

/* The plan of a frontend, or of a NodePort at the address; NULL: there is none. */
static const struct plan *plan_of(struct publisher *p, uint8_t family, uint8_t protocol,
				  const union np_addr *addr, __be16 port)
{
	const struct plan *plan = plan_at(p, family, protocol, addr, port);
	const union np_addr any = {};

	if (!plan && address_has_node_ports(p, family, addr))
		plan = plan_at(p, family, protocol, &any, port);
	return plan;
}

bool publish_has_frontend(struct publisher *p, uint8_t family, uint8_t protocol,
			  const union np_addr *addr, __be16 port)
{
	return plan_of(p, family, protocol, addr, port) != NULL;
}

bool publish_udp_serves(struct publisher *p, uint8_t family, const union np_addr *frontend,
			__be16 frontend_port, const union np_addr *backend, __be16 backend_port)
{
	const struct plan *plan = plan_of(p, family, IPPROTO_UDP, frontend, frontend_port);

	return !plan || serves(plan, backend, backend_port) || !anyone_serves(plan);
}

static const struct plan *same_port(const struct plan *plan, struct plan *const *plans,
				    size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (plan_same_port(plan, plans[i]))
			return plans[i];
	return NULL;
}

bool udp_loses(const struct owner *o, struct plan *const *plans, size_t count)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct plan *old = o->plans[i], *new = same_port(old, plans, count);

		for (size_t j = 0; new && old->protocol == IPPROTO_UDP &&j < old->backends; j++)
			if (old->backend[j].serving &&
			    !serves(new, &old->backend[j].addr, old->backend[j].port))
				return true;
	}
	return false;
}

bool udp_gains(const struct owner *o, struct plan *const *plans, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct plan *new = plans[i], *old = same_port(new, o->plans, o->count);

		if (new->protocol == IPPROTO_UDP && anyone_serves(new) &&
		    (!old || !anyone_serves(old)))
			return true;
	}
	return false;
}

bool publish_udp_lost(struct publisher *p, bool known)
{
	bool lost = p->udp_lost || (known && p->udp_gained);

	p->udp_lost = false;
	p->udp_gained &= !known;
	return lost;
}
