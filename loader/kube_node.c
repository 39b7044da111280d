/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads a Node: its zone, its pod ranges, whether it is on its way out, and its own addresses.
 * Which addresses the host has is taken from the kernel and not from here.
 */
#include "kube_parts.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static int read_pod_cidr(const struct field *field, struct kube_node *node)
{
	const char *text = NULL;
	int err;

	err = field_string(field, &text);
	if (!err && text && text[0]) {
		err = kube_read_cidr(field, &node->pod_cidr[node->pod_cidrs]);
		node->pod_cidrs += !err;
	}
	return err;
}

static int read_pod_cidrs(const struct field *spec, struct kube_node *node)
{
	struct field single = field_member(spec, "podCIDR");
	struct field list;
	size_t count;
	int err;

	err = field_member_array(spec, "podCIDRs", KUBE_MAX_LISTED, &list);
	if (err)
		return err;
	count = field_length(&list);
	err = kube_alloc(count + 1, sizeof(*node->pod_cidr), &node->pod_cidr);
	if (err)
		return err;
	if (!count)
		return read_pod_cidr(&single, node);
	for (size_t i = 0; i < count && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_pod_cidr(&item, node);
	}
	return err;
}

/* The addresses of one type, in the order they are listed. */
static int read_typed(const struct field *list, const char *type, struct kube_node *node)
{
	int err = 0;

	for (size_t i = 0; i < field_length(list) && !err; i++) {
		struct field item = field_item(list, i);
		struct field address = field_member(&item, "address");
		const char *is = NULL;

		err = field_object(&item);
		if (!err)
			err = field_member_string(&item, "type", &is);
		if (err || !is || strcmp(is, type) != 0)
			continue;
		err = kube_read_address(&address, &node->address[node->addresses]);
		node->addresses += !err;
	}
	return err;
}

/* In the order of kube-proxy's preference: GetNodeHostIPs() in pkg/util/node. */
static int read_addresses(const struct field *root, struct kube_node *node)
{
	struct field status, list;
	int err;

	err = field_member_object(root, "status", &status);
	if (!err)
		err = field_member_array(&status, "addresses", KUBE_MAX_LISTED, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*node->address), &node->address);
	if (!err)
		err = read_typed(&list, "InternalIP", node);
	return err ? err : read_typed(&list, "ExternalIP", node);
}

/* The taint of the cluster autoscaler is how KEP-3836 tells that a node is going away. */
static int read_taints(const struct field *spec, struct kube_node *node)
{
	struct field list;
	int err;

	err = field_member_array(spec, "taints", KUBE_MAX_LISTED, &list);
	for (size_t i = 0; !err && i < field_length(&list); i++) {
		struct field item = field_item(&list, i);
		const char *key = NULL;

		err = field_object(&item);
		if (!err)
			err = field_member_string(&item, "key", &key);
		if (!err && key && !strcmp(key, "ToBeDeletedByClusterAutoscaler"))
			node->deleting = true;
	}
	return err;
}

int kube_node_read(const struct field *root, struct kube_object *object)
{
	struct kube_node *node = &object->node;
	struct field metadata, labels, zone_field, spec;
	const char *zone = NULL, *deletion = NULL;
	int err;

	err = kube_read_labels(root, &metadata, &labels);
	if (!err)
		err = field_member_string(&metadata, "deletionTimestamp", &deletion);
	if (!err)
		err = field_member_object(root, "spec", &spec);
	if (err)
		return err;
	node->deleting = deletion != NULL;
	zone_field = field_member(&labels, "topology.kubernetes.io/zone");
	err = kube_read_zone(&zone_field, &zone);
	if (!err)
		err = kube_copy(zone, &node->zone);
	if (!err)
		err = read_pod_cidrs(&spec, node);
	if (!err)
		err = read_taints(&spec, node);
	if (!err)
		err = read_addresses(root, node);
	return err;
}

void kube_node_clear(struct kube_object *object)
{
	struct kube_node *node = &object->node;

	kube_drop(node->name);
	kube_drop(node->zone);
}
