/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What publish.c, version.c and adopt.c share: the publisher's records. Private to them. */
#ifndef NEARPATH_LOADER_PUBLISH_PRIVATE_H
#define NEARPATH_LOADER_PUBLISH_PRIVATE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <uthash.h>

#include "publish.h"
#include "space.h"

/* Zeroed before it is filled: it is hashed as bytes. */
struct frontend_key {
	union np_addr addr;
	__be16 port;
	uint8_t protocol;
	uint8_t family;
};

struct owner {
	char *key; /* namespace/name */
	struct plan **plans;
	size_t count;
	bool waiting; /* some of its frontends belong to another, or found no room */
	UT_hash_handle hh;
};

struct frontend {
	struct frontend_key key;
	uint64_t *entry;     /* in the table */
	uint32_t version;    /* number of its struct np_service */
	struct owner *owner; /* NULL: adopted, or an address entry */
	bool stale;	     /* a table was full: is as it was before the last change */
	bool address;	     /* describes an address of this host */
	bool told;	     /* the kernel has named it since publish_addresses_begin() */
	uint64_t generation; /* of the change that last named it */
	UT_hash_handle hh;
};

struct backend_key {
	union np_addr addr;
	__be16 port;
	uint16_t family;
};

struct backend {
	struct backend_key key;
	uint32_t number;
	uint32_t references; /* slots that name it */
	UT_hash_handle hh;
};

/* A service port and the number of its counters. */
struct ident {
	char *key;
	uint32_t id;
	UT_hash_handle hh;
};

struct publisher {
	struct tables *tables;
	struct space *space;
	publish_source source;
	void *source_arg;
	struct frontend *frontends;
	struct backend *backends;
	struct backend **by_number; /* of the backend table */
	struct owner *owners;
	uint32_t waiting; /* owners that wait */
	uint64_t generation;
	struct ident *idents;
	uint8_t *id_taken; /* by number of the service_stats table: 0, ID_ADOPTED, ID_OWNED */
	uint32_t id_hint;
};

#define NO_ID UINT32_MAX

enum { ID_ADOPTED = 1, ID_OWNED };

struct frontend_key frontend_key(const struct plan *plan, const struct plan_frontend *f);
struct frontend *frontend_get(struct publisher *p, const struct frontend_key *key);
int frontend_publish(struct publisher *p, const struct frontend_key *key, uint32_t version,
		     struct frontend **frontend);
void frontend_remove(struct publisher *p, struct frontend *f);

/*
 * The number of a service port's counters, the same for all its frontends and versions; wanted: the
 * one an adopted version of it has, or NO_ID. New ones begin at zero. -ENOSPC.
 */
int ident_get(struct publisher *p, const struct plan *plan, uint32_t wanted, uint32_t *id);
void ident_drop(struct publisher *p, const struct plan *plan);
/* Numbers of adopted versions that no service port took over are free again. */
void ident_sweep(struct publisher *p);
void ident_free(struct publisher *p);
bool plan_same_port(const struct plan *a, const struct plan *b);

/* A new version with its slots and backends. */
int version_make(struct publisher *p, const struct plan *plan, const struct plan_frontend *f,
		 uint32_t id, uint32_t *version);
/* Give back a version that no entry names any more, and all it holds. */
void version_give(struct publisher *p, uint32_t version);

#endif
