/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Address entries: what is known of an address whatever the port. An address may be this host's,
 * as the kernel tells, and a clusterIP, as services tell; its entry goes when it is neither.
 */
#include <errno.h>
#include <string.h>

#include "publish_private.h"

static struct frontend_key address_key(uint8_t family, const union np_addr *addr)
{
	struct frontend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.family = family;
	return key;
}

/* Make the entry say this; flags 0: no entry. *f is the entry, or NULL. */
static int address_store(struct publisher *p, const struct frontend_key *key, uint32_t flags,
			 struct frontend **f)
{
	struct frontend *version;
	int rc;

	*f = frontend_get(p, key);
	if (*f && (*f)->service.flags == flags)
		return 0;
	if (!flags) {
		if (*f)
			frontend_remove(p, *f);
		*f = NULL;
		return 0;
	}
	rc = version_take(p, true, 0, &version);
	if (rc)
		return rc;
	version->service.key = *key;
	version->service.flags = flags;
	version_write(p, version);
	rc = frontend_publish(p, version);
	if (rc) {
		version_give(p, version);
		return rc;
	}
	*f = version;
	return 0;
}

static uint32_t address_flags(const struct frontend *f)
{
	return f->host_flags | (f->cluster_ips ? NP_SERVICE_CLUSTER_IP : 0);
}

/* Kept to be tried again, or forgotten. */
static void note_lost(struct publisher *p, const struct frontend_key *key, uint32_t flags,
		      bool lost)
{
	struct lost_address *l;

	HASH_FIND(hh, p->lost, key, sizeof(*key), l);
	if (!lost && l) {
		HASH_DEL(p->lost, l);
		free(l);
	}
	if (!lost)
		return;
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return;
		l->key = *key;
		HASH_ADD(hh, p->lost, key, sizeof(l->key), l);
	}
	l->flags = flags;
	l->told = true;
}

int publish_address(struct publisher *p, uint8_t family, const union np_addr *addr, uint32_t flags)
{
	struct frontend_key key = address_key(family, addr);
	struct frontend *f = frontend_get(p, &key);
	int rc;

	if (f)
		f->told = true; /* whatever comes: it is there */
	flags &= NP_ADDRESS_HOST;
	rc = address_store(p, &key, flags | (f ? address_flags(f) & ~NP_ADDRESS_HOST : 0), &f);
	if (!rc && f) {
		f->told = true;
		f->host_flags = flags;
	}
	note_lost(p, &key, flags, rc);
	return rc;
}

static bool is_host(struct publisher *p, uint8_t family, const union np_addr *addr, uint32_t flag)
{
	struct frontend_key key = address_key(family, addr);
	const struct frontend *f = frontend_get(p, &key);

	return address_is_loopback(family, addr) || (f && f->host_flags & flag);
}

bool address_has_node_ports(struct publisher *p, uint8_t family, const union np_addr *addr)
{
	return is_host(p, family, addr, NP_SERVICE_NODE_ADDRESS);
}

bool publish_is_host(struct publisher *p, uint8_t family, const union np_addr *addr)
{
	return is_host(p, family, addr, NP_SERVICE_HOST_ADDRESS);
}

void publish_addresses_begin(struct publisher *p)
{
	struct lost_address *lost, *next_lost;
	struct frontend *f;
	size_t place = 0;

	HASH_ITER (hh, p->lost, lost, next_lost) {
		lost->told = false;
	}

	while ((f = set_next(&p->frontends, &place))) {
		f->told = false;
	}
}

void publish_addresses_end(struct publisher *p)
{
	struct lost_address *lost, *next_lost;
	struct frontend *f;
	size_t place = 0;

	HASH_ITER (hh, p->lost, lost, next_lost) {
		if (!lost->told)
			note_lost(p, &lost->key, 0, false);
	}

	while ((f = set_next(&p->frontends, &place))) {
		if (!f->address || f->told || !f->host_flags)
			continue;
		f->host_flags = 0;
		address_store(p, &f->service.key, address_flags(f), &f);
	}
	p->addressed = true;
	frontends_settled(p);
}

bool address_is_held(struct publisher *p, uint8_t family, const union np_addr *addr)
{
	struct frontend_key key = address_key(family, addr);
	struct frontend *f = frontend_get(p, &key);

	/* Of an adopted one the plans have not been counted yet. */
	return f && f->service.flags & NP_SERVICE_CLUSTER_IP;
}

int address_hold(struct publisher *p, uint8_t family, const union np_addr *addr)
{
	struct frontend_key key = address_key(family, addr);
	struct frontend *f = frontend_get(p, &key);
	int rc = address_store(p, &key, NP_SERVICE_CLUSTER_IP | (f ? f->host_flags : 0), &f);

	if (!rc)
		f->cluster_ips++;
	return rc;
}

void address_release(struct publisher *p, uint8_t family, const union np_addr *addr)
{
	struct frontend_key key = address_key(family, addr);
	struct frontend *f = frontend_get(p, &key);

	if (!f || !f->cluster_ips)
		return;
	f->cluster_ips--;
	address_store(p, &key, address_flags(f), &f);
}

void address_sweep(struct publisher *p)
{
	struct frontend *f;
	size_t place = 0;

	while ((f = set_next(&p->frontends, &place))) {
		if (f->address && !f->cluster_ips)
			address_store(p, &f->service.key, address_flags(f), &f);
	}
}
