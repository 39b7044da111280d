/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the readers of the kinds share: names, addresses, ports, labels, choices, and their
 * limits. Private to kube*.c.
 */
#ifndef NEARPATH_LOADER_KUBE_PARTS_H
#define NEARPATH_LOADER_KUBE_PARTS_H

#include "json.h"
#include "kube.h"

/* More than Kubernetes itself allows, or than is of use; a guard against hostile input. */
#define KUBE_MAX_NAME	   253
#define KUBE_MAX_PORT_NAME 63
#define KUBE_MAX_PORTS	   100
#define KUBE_MAX_ENDPOINTS 1000
#define KUBE_MAX_ADDRESSES 100
#define KUBE_MAX_LISTED	   256 /* external IPs, VIPs, source ranges, hints, taints */

/*
 * Fill the part of *object that belongs to the kind from the object as a whole; name and namespace
 * are there already. On failure what was filled is freed: what is interned by the matching clear
 * function, arrays by kube_free_parts().
 */
int kube_service_read(const struct field *root, struct kube_object *object);
int kube_slice_read(const struct field *root, struct kube_object *object);
int kube_node_read(const struct field *root, struct kube_object *object);
int kube_service_cidr_read(const struct field *root, struct kube_object *object);
void kube_service_clear(struct kube_object *object);
void kube_slice_clear(struct kube_object *object);
void kube_node_clear(struct kube_object *object);
void kube_service_cidr_clear(struct kube_object *object);

/*
 * A name of DNS letters: lower case, digits, '-', '.'. Absent or "": *name is NULL. Borrowed.
 */
int kube_read_name(const struct field *field, size_t max, const char **name);

/* The same for a zone, which is a label value: '_' and upper case too. */
int kube_read_zone(const struct field *field, const char **zone);

/* Refused if absent, of no family, or the address that means "none". */
int kube_read_address(const struct field *field, struct kube_address *address);

/* A range like 10.1.0.0/16; refused if absent or none. */
int kube_read_cidr(const struct field *field, struct cidr *cidr);

/* min is 1, or 0 where 0 means none; left alone if absent. */
int kube_read_port(const struct field *field, uint16_t min, uint16_t *port);

/* IPPROTO_TCP if absent. */
int kube_read_protocol(const struct field *object, uint8_t *protocol);

/* One of the NULL-terminated choices; the first if absent or "". */
int kube_read_choice(const struct field *field, const char *const *choices, size_t *choice);

/* The labels of an object; a label is a member of it. */
int kube_read_labels(const struct field *root, struct field *metadata, struct field *labels);

/*
 * A text that many objects have: interned, not to be written to. *copy is NULL for a NULL text. 0
 * or -ENOMEM.
 */
int kube_copy(const char *text, char **copy);
void kube_drop(char *copy);

/*
 * The draft and all of its arrays as one piece; frees it, and nulls it. 0 or -ENOMEM. And the
 * arrays of one alone.
 */
int kube_pack(struct kube_object **draft, struct kube_object **packed);
void kube_free_parts(struct kube_object *draft);

/* Zeroed memory for count items, one of the parts of a draft; none for none. 0 or -ENOMEM. */
int kube_alloc(size_t count, size_t size, void *items);

#endif
