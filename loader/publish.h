/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From plans to tables: which frontends are published, where their versions, slots and backends
 * lie, and how a change goes in without a packet ever seeing half of it. The only writer of the
 * tables frontends, services, slots and backends.
 */
#ifndef NEARPATH_LOADER_PUBLISH_H
#define NEARPATH_LOADER_PUBLISH_H

#include <jansson.h>

#include "flows.h"
#include "plan.h"
#include "tables.h"

struct publisher;

/* What stands for clients at a backend: an address, and others in the table snat_sources. */
struct publish_addresses {
	union np_addr addr;
	uint16_t more; /* the first of the others, */
	uint8_t count; /* and how many there are */
};

/* The source address the kernel takes towards dst; 0 or -errno. See netlink_source(). */
typedef int (*publish_source)(void *arg, uint8_t family, const union np_addr *dst,
			      struct publish_addresses *src);

/* What tables hold already (adopted) is kept, unowned, until a plan or publish_sweep() says else.
 */
int publisher_new(struct tables *tables, publish_source source, void *arg,
		  struct publisher **publisher);
void publisher_free(struct publisher **publisher); /* the tables stay as they are */

/*
 * From now on these are the plans of the Service; takes all of plans[] over, also on failure, but
 * not the array. count 0 removes it. A frontend that another service has already is left out and
 * told by publish_conflicts(). -ENOSPC: a table is full; the service's frontends keep what they
 * had, other services are not touched.
 */
int publish_service(struct publisher *p, const char *namespace, const char *name,
		    struct plan **plans, size_t count);

/*
 * The same, all or nothing: on failure the service has the plans and frontends it had before.
 * publish_full() tells which table it was.
 */
int publish_service_whole(struct publisher *p, const char *namespace, const char *name,
			  struct plan **plans, size_t count);

/* So many endpoints are about to be published: room for them at once, and not by and by. */
void publish_expect(struct publisher *p, size_t endpoints);

/* The table that had no room last: its name, how many entries it has, and the option for more. */
struct publish_full {
	const char *table;
	uint32_t size;
	const char *option;
};
struct publish_full publish_full(const struct publisher *p);

/*
 * The addresses of this host: NodePorts are served there, or not (flags: NP_SERVICE_..._ADDRESS).
 * Told one by one, as they come or all anew; those not told between begin and end are gone.
 */
void publish_addresses_begin(struct publisher *p);
int publish_address(struct publisher *p, uint8_t family, const union np_addr *addr, uint32_t flags);
void publish_addresses_end(struct publisher *p);

/* Is it an address of this host? */
bool publish_is_host(struct publisher *p, uint8_t family, const union np_addr *addr);

/* Routes or addresses changed: ask again for the source address of every backend. */
void publish_sources(struct publisher *p);

/* Remove what was adopted and is no service's. */
void publish_sweep(struct publisher *p);

/* Every plan in order of namespace, name, port name; visit as usual: non-zero stops. */
int publish_each(struct publisher *p, int (*visit)(const struct plan *plan, void *arg), void *arg);

/*
 * A number that a backend had in other tables: if it is free, it is its number here too. NO_NUMBER:
 * none is wanted.
 */
#define NO_NUMBER UINT32_MAX
typedef uint32_t (*publish_wanted)(void *arg, uint8_t family, const union np_addr *addr,
				   __be16 port);
void publish_want(struct publisher *p, publish_wanted wanted, void *arg);

/* The numbers of a backend, and of the service port of a frontend, or NO_NUMBER. */
uint32_t publish_backend_number(struct publisher *p, uint8_t family, const union np_addr *addr,
				__be16 port);
uint32_t publish_service_number(struct publisher *p, uint8_t family, const union np_addr *addr,
				__be16 port, uint8_t protocol);

/*
 * Of the room that changes gave up, what packets may still be reading is waited for in the end. A
 * grace period that the caller has begun, and that is over, does as well; wanted: it would save
 * that.
 */
void publish_begin_grace(struct publisher *p);
void publish_end_grace(struct publisher *p);
bool publish_wants_grace(const struct publisher *p);

/* Is this frontend of the plan in the tables? */
bool publish_has(struct publisher *p, const struct plan *plan, const struct plan_frontend *f);

/* Whose the version is that an entry names now; and who has this clusterIP. NULL: nobody. */
const struct plan *publish_plan_of(struct publisher *p, uint32_t version);
const struct plan *publish_cluster_ip(struct publisher *p, uint8_t family,
				      const union np_addr *addr);

/* Is it a published frontend, or a NodePort at this address? protocol: IPPROTO_TCP and so on. */
bool publish_has_frontend(struct publisher *p, uint8_t family, uint8_t protocol,
			  const union np_addr *addr, __be16 port);

/* What changes took from flows. */
struct publish_departed {
	bool chosen;	 /* an endpoint that new connections could be given: they no longer are */
	bool udp;	 /* endpoints of UDP are others, so that flows may have to move on */
	bool tcp_lost;	 /* a service port of TCP has lost an endpoint, or is gone */
	bool tcp_gained; /* one has an endpoint that it had not */
};

/*
 * Since this was last asked. known: all is delivered; what is of interest only then is told when
 * it is.
 */
struct publish_departed publish_departed(struct publisher *p, bool known);

/* All that went is dealt with, or is of no interest. */
void publish_departed_end(struct publisher *p);

/*
 * Who judges flows and sockets: publish_judge() with one of these. UDP departed if its frontend is
 * a published one whose endpoints that serve are others. TCP departed if its service port has the
 * endpoint no more, in whatever state, or is gone itself; of flows only those of service ports are
 * judged that changed since the last publish_departed_end().
 */
struct publish_judge {
	bool udp; /* which protocols are judged */
	bool tcp;
	bool keep_tcp; /* no TCP departs, whatever went: marks are withdrawn */
	bool all;      /* flows of all service ports */
	/* publish_judge_begin() sets: */
	struct publisher *publisher;
	const struct plan **plans; /* of TCP, by the number of their service port */
	uint32_t ids;		   /* so many numbers */
};
int publish_judge_begin(struct publisher *p, struct publish_judge *judge); /* 0 or -ENOMEM */
enum flow_fate publish_judge(const struct flow_ends *ends, void *judge);
void publish_judge_end(struct publish_judge *judge);

/* Counters of a plan's service port; zero if it has none yet. */
struct np_service_stats publish_stats(struct publisher *p, const struct plan *plan);

struct publish_backend {
	uint32_t number;
	uint32_t references;
	const struct np_backend *entry;
};
int publish_each_backend(struct publisher *p,
			 int (*visit)(const struct publish_backend *backend, void *arg), void *arg);

/* New JSON array of strings: frontends that two services claim. NULL without memory. */
json_t *publish_conflicts(struct publisher *p);

/* A number that grows with each change; and the same of services changed since, added to list. */
uint64_t publish_generation(const struct publisher *p);
void publish_conflicts_since(struct publisher *p, uint64_t generation, json_t *list);

/* Entries in use of the map source_ranges, and of service_stats: service ports that are counted. */
size_t publish_range_count(const struct publisher *p);
uint32_t publish_id_count(const struct publisher *p);

/* How many entries of the table are in use. */
uint32_t publish_used(struct publisher *p, enum table table);

#endif
