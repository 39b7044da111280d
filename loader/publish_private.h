/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What publish.c, version.c and adopt.c share: the publisher's records. Private to them. */
#ifndef NEARPATH_LOADER_PUBLISH_PRIVATE_H
#define NEARPATH_LOADER_PUBLISH_PRIVATE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "publish.h"
#include "set.h"
#include "space.h"

/* Zeroed before it is filled: it is hashed as bytes. */
struct frontend_key {
	union np_addr addr;
	__be16 port;
	uint8_t protocol;
	uint8_t family;
};

struct owner {
	const char *namespace; /* interned, as name */
	const char *name;
	struct plan **plans; /* in memory of its own, or the one */
	struct plan *one;
	uint32_t count;
	bool waiting;	     /* some of its frontends belong to another, or found no room */
	uint64_t generation; /* of its last change */
};

/* A struct np_service as the table should have it, without what is spare there. */
struct service_entry {
	struct frontend_key key;
	uint32_t flags;
	uint32_t id;
	uint32_t affinity;
	struct np_policy policy[NP_CLASSES];
};

/* Field by field: their order in the table may be another one. */
static inline struct np_service service_whole(struct service_entry e)
{
	struct np_service s = {
		.addr = e.key.addr,
		.port = e.key.port,
		.protocol = e.key.protocol,
		.family = e.key.family,
		.flags = e.flags,
		.id = e.id,
		.affinity = e.affinity,
	};

	memcpy(s.policy, e.policy, sizeof(s.policy));
	return s;
}

static inline struct service_entry service_part(const struct np_service *s)
{
	struct service_entry e = {
		.key = {s->addr, s->port, s->protocol, s->family},
		.flags = s->flags,
		.id = s->id,
		.affinity = s->affinity,
	};

	memcpy(e.policy, s->policy, sizeof(e.policy));
	return e;
}

/*
 * A frontend in the version that its entry names; or a version that is being made, and takes the
 * place of the one before when it is published. What was written of it is kept, to be given back
 * by and to be compared with: the tables may have been written by others. Of an address entry there
 * is no more than FRONTEND_ADDRESS_SIZE: see frontend_service() and frontend_policy().
 */
struct frontend {
	uint32_t version;    /* the number of its struct np_service, */
	uint32_t tag;	     /* what its entry has above that, */
	uint32_t entry;	     /* and which one of all in the index that is */
	uint8_t host_flags;  /* of an address entry: NP_ADDRESS_HOST, as the kernel told */
	bool stale : 1;	     /* a table was full: is as it was before the last change */
	bool address : 1;    /* an address entry */
	bool adopted : 1;    /* read from the table */
	bool taken_over : 1; /* adopted, and its owner's since the change of its generation */
	bool told : 1;	     /* the kernel has named it since publish_addresses_begin() */
	struct owner *owner; /* NULL: adopted, or an address entry */
	union {
		uint64_t generation;  /* of the change that last named it */
		uint32_t cluster_ips; /* of an address entry: plans with this clusterIP */
	};
	struct service_entry service;
	uint32_t number[]; /* of the backends of its runs, one run after the other */
};
#define FRONTEND_ADDRESS_SIZE offsetof(struct frontend, service.id)

/* What an address entry has not is zero. */
static inline struct service_entry frontend_service(const struct frontend *f)
{
	if (f->address)
		return (struct service_entry){.key = f->service.key, .flags = f->service.flags};
	return f->service;
}

static inline void frontend_set_service(struct frontend *f, struct service_entry service)
{
	memcpy(&f->service, &service,
	       f->address ? offsetof(struct service_entry, id) : sizeof(service));
}

static inline const struct np_policy *frontend_policy(const struct frontend *f)
{
	static const struct np_policy none[NP_CLASSES];

	return f->address ? none : f->service.policy;
}

struct backend_key {
	union np_addr addr;
	__be16 port;
	uint16_t family;
};

/* A struct np_backend as the table should have it, without what is spare there. */
struct backend_entry {
	union np_addr addr;
	union np_addr snat;
	__be16 port;
	uint8_t family;
	uint8_t flags;
	uint8_t zone;
	uint8_t sources;
	uint16_t source;
};

/* Field by field: their order in the table may be another one. */
static inline struct np_backend backend_whole(const struct backend_entry *e)
{
	return (struct np_backend){
		.addr = e->addr,
		.snat = e->snat,
		.port = e->port,
		.family = e->family,
		.flags = e->flags,
		.zone = e->zone,
		.sources = e->sources,
		.source = e->source,
	};
}

static inline struct backend_entry backend_part(const struct np_backend *b)
{
	return (struct backend_entry){
		.addr = b->addr,
		.snat = b->snat,
		.port = b->port,
		.family = b->family,
		.flags = b->flags,
		.zone = b->zone,
		.sources = b->sources,
		.source = b->source,
	};
}

struct backend {
	struct backend_entry entry;
	uint32_t references; /* slots that name it */
	bool there;
};

/* What changes took from flows since they were last looked at: publish_departed.c. */
struct departed {
	bool chosen; /* see struct publish_departed */
	bool udp_lost;
	bool udp_gained; /* an endpoint that serves, where nobody did */
	bool tcp_lost;
	bool tcp_gained;
	bool noted;		   /* any of these */
	bool *touched;		   /* by number of the service port: its TCP endpoints are others */
	struct frontend_key *gone; /* frontends of TCP service ports that are gone */
	size_t gones;
};

/* An address of this host for which there was no room. */
struct lost_address {
	struct frontend_key key;
	uint32_t flags;
	bool told; /* as in struct frontend */
	UT_hash_handle hh;
};

struct publisher {
	struct tables *tables;
	struct space *space;
	publish_source source;
	void *source_arg;
	publish_wanted wanted; /* NULL: nobody knows numbers */
	void *wanted_arg;
	struct set frontends;	   /* struct frontend: the published ones */
	struct set backends;	   /* struct backend, by address and port */
	struct backend *backend;   /* by number, as many as the table has */
	struct frontend **version; /* by number in the service table */
	uint64_t *entry_taken;	   /* a bit for each place of the index */
	size_t forgotten;	   /* frontends that have gone since the address filter was made */
	bool swept, addressed;	   /* see frontends_settled() */
	struct set owners;	   /* struct owner */
	struct lost_address *lost;
	uint32_t waiting; /* owners that wait */
	enum table full;  /* the table that had no room last; TABLES: the map source_ranges */
	uint64_t generation;
	struct departed departed;
	struct ranges *ranges; /* by version: ranges.c */
	uint8_t *id_taken;     /* by number of the service_stats table: 0, ID_ADOPTED, ID_OWNED */
	uint32_t id_hint;
	uint32_t ids; /* no number is taken from here on, nor was */
};

enum { ID_ADOPTED = 1, ID_OWNED };

static inline void id_take(struct publisher *p, uint32_t id, uint8_t taken)
{
	p->id_taken[id] = taken;
	if (p->ids <= id)
		p->ids = id + 1;
}

/* The entry, and what it is to hold. */
static inline uint64_t *frontend_entry(const struct publisher *p, const struct frontend *f)
{
	return (uint64_t *)p->tables->frontends + f->entry;
}

static inline uint64_t frontend_value(const struct frontend *f)
{
	return (uint64_t)f->tag << 32 | f->version;
}

/* The flags of an address entry that are the kernel's to tell. */
#define NP_ADDRESS_HOST (NP_SERVICE_NODE_ADDRESS | NP_SERVICE_HOST_ADDRESS)

/* Records without holes, as bytes. */
static inline bool same_bytes(const void *a, const void *b, size_t size)
{
	return !memcmp(a, b, size);
}

/* NULL: it has no plans. */
struct owner *owner_get(struct publisher *p, const char *namespace, const char *name);
struct owner **owners_sorted(struct publisher *p, size_t *count); /* by name; free() */
/* "namespace/name" */
void owner_text(const struct owner *o, char *text, size_t size);
/* The frontend of this key among the owner's plans, and its plan; NULL: there is none. */
const struct plan_frontend *owner_frontend(const struct owner *o, const struct frontend_key *key,
					   struct plan **plan);
struct frontend_key frontend_key(const struct plan *plan, const struct plan_frontend *f);
struct frontend *frontend_get(struct publisher *p, const struct frontend_key *key);
/* Its place in the index is this one, and programs look for its address. 0 or -ENOMEM. */
int frontend_add(struct publisher *p, struct frontend *f, const uint64_t *entry, uint32_t tag);
/* Make packets for its key see it. The version before, if any, is given back: no pointer to it may
 * be used any more. */
int frontend_publish(struct publisher *p, struct frontend *f);
void frontend_remove(struct publisher *p, struct frontend *f);

/*
 * The number of a service port's counters, the same for all its frontends and versions: plan->id.
 * wanted: the one an adopted version of it has, or NO_ID. New ones begin at zero. -ENOSPC.
 */
int ident_get(struct publisher *p, struct plan *plan, uint32_t wanted);
void ident_drop(struct publisher *p, struct plan *plan);
/* Numbers of adopted versions that no service port took over are free again. */
void ident_sweep(struct publisher *p);
/* Note what differs between the plans an owner has and those it is going to have. */
void departed_note(struct publisher *p, const struct owner *o, struct plan *const *plans,
		   size_t count);
/* Is it a NodePort's address, by its entry? */
bool address_has_node_ports(struct publisher *p, uint8_t family, const union np_addr *addr);
bool plan_same_port(const struct plan *a, const struct plan *b);

/* A place of the index is in use, or no longer. */
bool entry_is_taken(const struct publisher *p, const uint64_t *entry);
void entry_take(struct publisher *p, const uint64_t *entry, bool take);
/* Is its address in address_filter? Programs look for no other. */
bool frontend_is_known(const struct publisher *p, const struct frontend *f);
void frontend_know(struct publisher *p, const struct frontend *f);
/*
 * All services may be published and the node's addresses told: what the filter has of others goes.
 * Not before: of a table that lost its pin, programs of before have frontends that nobody adopted.
 */
void frontends_settled(struct publisher *p);
/* Is this where programs look for the key? *tag: what its entry has in the upper half. */
bool entry_in_place(struct publisher *p, const uint64_t *entry, const struct frontend_key *key,
		    uint32_t *tag);

/* A record with room for the numbers of count backends, or for an address; NULL: no memory. */
struct frontend *version_new(bool address, size_t count);
/* The same under a free number. */
int version_take(struct publisher *p, bool address, size_t count, struct frontend **version);
/* Into the table, as the record has it. */
void version_write(struct publisher *p, const struct frontend *f);
/* The backends of a class, in the record. */
const uint32_t *version_run(const struct frontend *f, int class);
/* The same content under another number and in other slots. */
int version_copy(struct publisher *p, const struct frontend *from, struct frontend **version);
void backend_write(struct publisher *p, const struct backend *b);
/* A record at a number that is taken already. */
int backend_add(struct publisher *p, const struct backend_key *key, uint32_t number);
/* The backend of a number, if it is one. */
struct backend *backend_at(const struct publisher *p, uint32_t number);
struct backend *backend_find(struct publisher *p, const struct backend_key *key);
uint32_t backend_number(const struct publisher *p, const struct backend *b);
/* A new version with its slots and backends. */
int version_make(struct publisher *p, const struct plan *plan, const struct plan_frontend *pf,
		 struct frontend **version);
/* Give back a version that no entry names any more, and all it holds; frees it. */
void version_give(struct publisher *p, struct frontend *f);
struct backend_key backend_key(uint8_t family, const union np_addr *addr, __be16 port);
void backend_drop(struct publisher *p, struct backend *b, uint32_t references);
/* How many backends the runs of these policies of all classes have. */
size_t version_count(const struct np_policy *policy);
/* Is the class the first of those that share its run of slots? */
bool run_is_first(const struct np_policy *policy, int class);

/*
 * The ranges a version admits; count 0: it has none. Written before the version is published.
 * -ENOSPC: the trie is full.
 */
int ranges_set(struct publisher *p, uint32_t version, const struct cidr *range, size_t count);
int ranges_copy(struct publisher *p, uint32_t from, uint32_t to);
size_t ranges_count(const struct publisher *p);
/* How many of them the map has not; *repaired: 1, or -errno. */
size_t ranges_missing(struct publisher *p, uint32_t version, bool repair, int *repaired);
/* How many the map has that no version has. */
size_t ranges_extra(struct publisher *p, bool repair);
void ranges_give(struct publisher *p, uint32_t version);
int ranges_adopt(struct publisher *p);	 /* after the frontends */
void ranges_forget(struct publisher *p); /* frees; the trie stays */

/* A plan has this clusterIP, or no longer; its other ports are refused meanwhile. */
bool address_is_held(struct publisher *p, uint8_t family, const union np_addr *addr);
int address_hold(struct publisher *p, uint8_t family, const union np_addr *addr);
void address_release(struct publisher *p, uint8_t family, const union np_addr *addr);
/* clusterIPs that were adopted and that no plan has are none. */
void address_sweep(struct publisher *p);

#endif
