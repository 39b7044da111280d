/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Kubernetes objects as nearpath reads them: Service, EndpointSlice, Node and ServiceCIDR, checked
 * in every field that is used. What is not used is not looked at. No I/O.
 */
#ifndef NEARPATH_LOADER_KUBE_H
#define NEARPATH_LOADER_KUBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "cidr.h"
#include "digest.h"

enum kube_kind { KUBE_SERVICE, KUBE_SLICE, KUBE_NODE, KUBE_SERVICE_CIDR, KUBE_KINDS };

/* Why an object was refused, for the person who wrote it. */
struct kube_error {
	char object[600]; /* `Service "ns/name"`; "" if it has no name, `object 3` by kube_each() */
	char path[256];	  /* `spec.ports[0].nodePort` */
	char reason[256]; /* `70000 is not a port (1-65535)` */
};

struct kube_port {
	char *name;	    /* "" if absent */
	uint8_t protocol;   /* IPPROTO_TCP, _UDP, _SCTP */
	uint16_t port;	    /* host order; in a slice the target port, 0 if null */
	uint16_t node_port; /* services only; host order; 0: none */
};

/* An address of known family. */
struct kube_address {
	uint8_t family; /* NP_IPV4, NP_IPV6 */
	union np_addr addr;
};

struct kube_vip {
	struct kube_address ip;
	bool proxy; /* ipMode Proxy: not ours to answer */
};

enum kube_type { KUBE_CLUSTER_IP, KUBE_NODE_PORT, KUBE_LOAD_BALANCER, KUBE_EXTERNAL_NAME };

/*
 * Counts of what an object has are of 16 bits: more than any limit of kube_parts.h. Texts are
 * interned, but for the name of a slice, which nobody else has.
 */
struct kube_service {
	char *namespace;
	char *name;
	struct kube_address *cluster_ip; /* at most one for each family is used: the first */
	struct kube_address *external_ip;
	struct kube_vip *vip;
	char **source_range; /* as written, trimmed; checked by who uses them */
	struct kube_port *port;
	uint16_t cluster_ips;
	uint16_t external_ips;
	uint16_t vips;
	uint16_t source_ranges;
	uint16_t ports;
	bool skip; /* headless, ExternalName, or another proxy's (service-proxy-name) */
	bool internal_local;
	bool external_local;
	bool client_ip_affinity;
	uint8_t type; /* enum kube_type */
	uint16_t health_check_node_port;
	uint32_t affinity_seconds;
};

/* For whom an endpoint is: each NULL-terminated, or NULL. */
struct kube_hints {
	char **zone;
	char **node;
};

struct kube_endpoint {
	union np_addr addr;	  /* addresses[0] */
	char *node_name;	  /* NULL if absent */
	char *zone;		  /* NULL if absent */
	struct kube_hints *hints; /* NULL: none */
	bool ready;
	bool serving;
	bool terminating;
};

struct kube_slice {
	char *namespace;
	char *name;
	char *service; /* label kubernetes.io/service-name; NULL: tied to none */
	struct kube_endpoint *endpoint;
	struct kube_port *port; /* entries without a name or a number are left out, and counted */
	uint16_t endpoints;
	uint16_t ports;
	uint16_t ports_ignored;
	uint8_t family;
	bool skip; /* labelled headless, or addressType FQDN */
	/* Annotation endpoints.kubernetes.io/last-change-trigger-time; zero: none that is a time */
	struct timespec triggered;
};

struct kube_node {
	char *name;
	char *zone; /* label topology.kubernetes.io/zone; NULL if absent */
	struct cidr *pod_cidr;
	size_t pod_cidrs;
	struct kube_address
		*address; /* status.addresses: every InternalIP, then every ExternalIP */
	size_t addresses;
	bool deleting; /* deletionTimestamp, or tainted ToBeDeletedByClusterAutoscaler */
};

/* A range that clusterIPs are taken from (KEP-1880). */
struct kube_service_cidr {
	char *name;
	struct cidr cidr[2];
	size_t cidrs;
};

/* Where the object is as it came. */
enum kube_where {
	KUBE_AS_JSON,	 /* in memory: so it is after kube_parse() */
	KUBE_IN_LINE,	 /* as text in a line that is being carried out */
	KUBE_IN_JOURNAL, /* as text there */
};

/* One piece of memory, but for what is interned, the JSON and hints. */
struct kube_object {
	union {
		json_t *json; /* owned (one reference) */
		const char *line;
		int64_t at;
	};
	uint32_t length;	  /* of the text */
	uint8_t kind;		  /* enum kube_kind */
	uint8_t where;		  /* enum kube_where */
	bool gone;		  /* the store's: see store_private.h */
	struct digest content;	  /* of the JSON, but for its version in metadata */
	uint64_t versions;	  /* the same of that */
	struct group *group;	  /* the store's, */
	struct kube_object *next; /* too, */
	uint32_t delivery;	  /* as is this */
	union {
		struct kube_service service;
		struct kube_slice slice;
		struct kube_node node;
		struct kube_service_cidr service_cidr;
	};
};

/*
 * Check and read one object. On success *object owns everything. -EINVAL: refused, *error filled.
 * -ENOTSUP: a kind or apiVersion that is not ours, *error filled. -ENOMEM.
 */
int kube_parse(json_t *json, struct kube_object **object, struct kube_error *error);

void kube_free(struct kube_object **object);

/* Its text of object->length is there, so that the JSON is not kept. */
void kube_in_line(struct kube_object *object, const char *line);
void kube_in_journal(struct kube_object *object, int64_t at);

/* "Service ns/name": unique among all objects. Returns key. */
#define KUBE_KEY_MAX 540
const char *kube_write_key(const struct kube_object *object, char key[KUBE_KEY_MAX]);

/* Who it is; borrowed. *namespace is NULL if its kind has none. */
const char *kube_name(const struct kube_object *object, const char **namespace);

/*
 * The key of an object that is only named ({kind, metadata:{namespace, name}}), as delete takes
 * it; to be freed by free(). Same errors as kube_parse().
 */
int kube_key(json_t *json, char **key, struct kube_error *error);

/*
 * Call visit(json, arg) for each object in json: the object itself, or the items of a List
 * (any kind ending in "List", nested at most 4 deep), or of an array. Stops at, and returns, the
 * first non-zero value; if error->object is empty then (visit filled the same *error for an object
 * without a name), it becomes `object 3`. -EINVAL with *error filled if it is none of these.
 */
int kube_each(json_t *json, int (*visit)(json_t *json, void *arg), void *arg,
	      struct kube_error *error);

const char *kube_kind_name(enum kube_kind kind); /* "Service", "EndpointSlice", ... */

#endif
