/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads a Node: its zone, its pod ranges, and whether it is on its way out. Its addresses are
 * taken from the kernel and not from here.
 */
#include "kube_parts.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static bool is_cidr(const char *text)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	union np_addr addr;
	unsigned long bits;
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (slash[1] < '0' || slash[1] > '9') /* strtoul() would take a sign or blanks */
		return false;
	bits = strtoul(slash + 1, &end, 10);
	if (*end)
		return false;
	return (inet_pton(AF_INET, address, &addr) == 1 && bits <= 32) ||
	       (inet_pton(AF_INET6, address, &addr) == 1 && bits <= 128);
}

static int read_pod_cidr(const struct field *field, struct kube_node *node)
{
	const char *text = NULL;
	int err;

	err = field_string(field, &text);
	if (err || !text || !text[0])
		return err;
	if (!is_cidr(text))
		return field_refuse(field, "\"%.60s\" is not a range; write one like 10.1.2.0/24",
				    text);
	err = kube_copy(text, &node->pod_cidr[node->pod_cidrs]);
	node->pod_cidrs += !err;
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
	node->pod_cidr = kube_alloc(count + 1, sizeof(*node->pod_cidr));
	if (!node->pod_cidr)
		return -ENOMEM;
	if (!count)
		return read_pod_cidr(&single, node);
	for (size_t i = 0; i < count && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_pod_cidr(&item, node);
	}
	return err;
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
	return err;
}

void kube_node_clear(struct kube_object *object)
{
	struct kube_node *node = &object->node;

	for (size_t i = 0; i < node->pod_cidrs; i++)
		free(node->pod_cidr[i]);
	free(node->name);
	free(node->zone);
	free(node->pod_cidr);
}
