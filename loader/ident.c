/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The numbers under which the programs count connections: one a service port, while it exists. And
 * what numbers there are, for those who know other tables.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "publish_private.h"

bool plan_same_port(const struct plan *a, const struct plan *b)
{
	return a->protocol == b->protocol && a->family == b->family &&
	       a->port_name == b->port_name; /* interned */
}

static int take_id(struct publisher *p, uint32_t wanted, uint32_t *id)
{
	uint32_t size = p->tables->size[TABLE_service_stats], i, n;

	/* Only once: a frontend may have moved to another service while no daemon ran. */
	if (wanted < size && p->id_taken[wanted] == ID_ADOPTED) {
		*id = wanted;
		id_take(p, wanted, ID_OWNED);
		return 0;
	}
	for (i = 0; i < size; i++) {
		n = (p->id_hint + i) % size;
		if (p->id_taken[n])
			continue;
		id_take(p, n, ID_OWNED);
		p->id_hint = n + 1;
		memset(&p->tables->service_stats[n], 0, sizeof(struct np_service_stats));
		*id = n;
		return 0;
	}
	p->full = TABLE_service_stats;
	return -ENOSPC;
}

int ident_get(struct publisher *p, struct plan *plan, uint32_t wanted)
{
	return plan->id == NO_ID ? take_id(p, wanted, &plan->id) : 0;
}

void ident_drop(struct publisher *p, struct plan *plan)
{
	if (plan->id != NO_ID)
		p->id_taken[plan->id] = 0;
	plan->id = NO_ID;
}

void ident_sweep(struct publisher *p)
{
	uint32_t i;

	for (i = 0; i < p->ids; i++)
		if (p->id_taken[i] == ID_ADOPTED)
			p->id_taken[i] = 0;
}

void publish_want(struct publisher *p, publish_wanted wanted, void *arg)
{
	p->wanted = wanted;
	p->wanted_arg = arg;
}

uint32_t publish_backend_number(struct publisher *p, uint8_t family, const union np_addr *addr,
				__be16 port)
{
	struct backend_key key = backend_key(family, addr, port);
	const struct backend *b = backend_find(p, &key);

	return b ? backend_number(p, b) : NO_NUMBER;
}

static struct frontend *find_frontend(struct publisher *p, uint8_t family,
				      const union np_addr *addr, __be16 port, uint8_t protocol)
{
	struct frontend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.port = port;
	key.protocol = protocol;
	key.family = family;
	return frontend_get(p, &key);
}

uint32_t publish_service_number(struct publisher *p, uint8_t family, const union np_addr *addr,
				__be16 port, uint8_t protocol)
{
	static const union np_addr any_node;
	struct frontend *f = find_frontend(p, family, addr, port, protocol)
				     ?: find_frontend(p, family, &any_node, port, protocol);

	return f ? p->tables->services[f->version].id : NO_NUMBER;
}
