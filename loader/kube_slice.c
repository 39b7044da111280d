/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads an EndpointSlice: its service, ports and endpoints, each with state and hints. Which of
 * the endpoints are used is decided in endpoints.c.
 */
#include "kube_parts.h"
#include "rfc3339.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		kube_drop(names[i]);
	free(names);
}

static void free_hints(struct kube_hints *hints)
{
	if (!hints)
		return;
	free_names(hints->zone);
	free_names(hints->node);
	free(hints);
}

/* hints.forZones or forNodes: a NULL-terminated array of names, NULL if there is none. */
static int read_hints(const struct field *hints, const char *member, bool zones, char ***names)
{
	struct field list;
	int err;

	err = field_member_array(hints, member, KUBE_MAX_LISTED, &list);
	if (err || !field_length(&list))
		return err;
	err = kube_alloc(field_length(&list) + 1, sizeof(**names), names);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);
		struct field field = field_member(&item, "name");
		const char *name = NULL;

		err = field_object(&item);
		if (!err)
			err = field_required(&field);
		if (!err)
			err = zones ? kube_read_zone(&field, &name)
				    : kube_read_name(&field, KUBE_MAX_NAME, &name);
		if (!err && !name)
			err = field_refuse(&field, "is empty; name a %s or leave the hint out",
					   zones ? "zone" : "node");
		if (!err)
			err = kube_copy(name, &(*names)[i]);
	}
	return err;
}

/* kube-proxy uses the first address only (KEP-2578 deprecates the others). */
static int read_endpoint_address(const struct field *item, uint8_t family, union np_addr *addr)
{
	struct kube_address address = {.family = 0};
	struct field list, first;
	int err;

	err = field_member_array(item, "addresses", KUBE_MAX_ADDRESSES, &list);
	if (!err && !field_length(&list))
		err = field_refuse(&list, "has no address; give the endpoint one");
	if (err)
		return err;
	first = field_item(&list, 0);
	err = kube_read_address(&first, &address);
	if (err)
		return err;
	if (address.family != family)
		return field_refuse(&first, "\"%s\" is not an %s address, as addressType says",
				    json_string_value(first.value),
				    family == NP_IPV4 ? "IPv4" : "IPv6");
	*addr = address.addr;
	return 0;
}

static int read_conditions(const struct field *item, struct kube_endpoint *endpoint)
{
	struct field conditions;
	int err;

	endpoint->ready = true;
	endpoint->serving = true;
	err = field_member_object(item, "conditions", &conditions);
	if (!err)
		err = field_member_bool(&conditions, "ready", &endpoint->ready);
	if (!err)
		err = field_member_bool(&conditions, "serving", &endpoint->serving);
	if (!err)
		err = field_member_bool(&conditions, "terminating", &endpoint->terminating);
	return err;
}

static int read_place(const struct field *item, struct kube_endpoint *endpoint)
{
	struct field node_field = field_member(item, "nodeName");
	struct field zone_field = field_member(item, "zone");
	const char *node = NULL, *zone = NULL;
	int err;

	err = kube_read_name(&node_field, KUBE_MAX_NAME, &node);
	if (!err)
		err = kube_read_zone(&zone_field, &zone);
	if (!err)
		err = kube_copy(node, &endpoint->node_name);
	if (!err)
		err = kube_copy(zone, &endpoint->zone);
	return err;
}

static int read_all_hints(const struct field *item, struct kube_endpoint *endpoint)
{
	struct field hints;
	int err;

	err = field_member_object(item, "hints", &hints);
	if (err || !hints.value)
		return err;
	err = kube_alloc(1, sizeof(*endpoint->hints), &endpoint->hints);
	if (!err)
		err = read_hints(&hints, "forZones", true, &endpoint->hints->zone);
	if (!err)
		err = read_hints(&hints, "forNodes", false, &endpoint->hints->node);
	return err;
}

static int read_endpoint(const struct field *item, uint8_t family, struct kube_endpoint *endpoint)
{
	int err;

	err = field_required(item);
	if (!err)
		err = field_object(item);
	if (!err)
		err = read_endpoint_address(item, family, &endpoint->addr);
	if (!err)
		err = read_conditions(item, endpoint);
	if (!err)
		err = read_place(item, endpoint);
	if (!err)
		err = read_all_hints(item, endpoint);
	return err;
}

static int read_endpoints(const struct field *root, struct kube_slice *slice)
{
	struct field list;
	int err;

	err = field_member_array(root, "endpoints", KUBE_MAX_ENDPOINTS, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*slice->endpoint), &slice->endpoint);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		slice->endpoints++; /* first: a half-read one must be freed too */
		err = read_endpoint(&item, slice->family, &slice->endpoint[i]);
	}
	return err;
}

/*
 * kube-proxy ignores an entry without a number, which means "all ports", and one without a name:
 * the API server never gives one, its name for a port that has none is "".
 */
static int read_port(const struct field *item, struct kube_slice *slice)
{
	struct kube_port *port = &slice->port[slice->ports];
	struct field name_field = field_member(item, "name");
	struct field number = field_member(item, "port");
	const char *name = NULL;
	int err;

	*port = (struct kube_port){}; /* where an ignored one may have been read to */
	err = field_object(item);
	if (!err)
		err = kube_read_port(&number, 0, &port->port);
	if (!err)
		err = kube_read_protocol(item, &port->protocol);
	if (!err)
		err = kube_read_name(&name_field, KUBE_MAX_PORT_NAME, &name);
	if (err)
		return err;
	if (!port->port || !name_field.value) {
		slice->ports_ignored++;
		return 0;
	}
	err = kube_copy(name ? name : "", &port->name);
	slice->ports += !err;
	return err;
}

static int read_ports(const struct field *root, struct kube_slice *slice)
{
	struct field list;
	int err;

	err = field_member_array(root, "ports", KUBE_MAX_PORTS, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*slice->port), &slice->port);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_port(&item, slice);
	}
	return err;
}

static int read_address_type(const struct field *root, struct kube_slice *slice)
{
	static const char *const types[] = {"IPv4", "IPv6", "FQDN", NULL};
	struct field type = field_member(root, "addressType");
	size_t choice = 0;
	int err;

	err = field_required(&type);
	if (!err)
		err = kube_read_choice(&type, types, &choice);
	if (err)
		return err;
	slice->family = choice == 1 ? NP_IPV6 : NP_IPV4;
	slice->skip = slice->skip || choice == 2;
	return 0;
}

/* For a metric only: what is not a time is no reason to refuse the object. */
static void read_trigger(const struct field *metadata, struct kube_slice *slice)
{
	struct field annotations = field_member(metadata, "annotations");
	const char *text = json_string_value(json_object_get(
		annotations.value, "endpoints.kubernetes.io/last-change-trigger-time"));

	if (text && rfc3339_parse(text, &slice->triggered))
		slice->triggered = (struct timespec){};
}

int kube_slice_read(const struct field *root, struct kube_object *object)
{
	struct kube_slice *slice = &object->slice;
	struct field metadata, labels, service_field, headless;
	const char *service = NULL;
	int err;

	err = kube_read_labels(root, &metadata, &labels);
	if (err)
		return err;
	read_trigger(&metadata, slice);
	headless = field_member(&labels, "service.kubernetes.io/headless");
	slice->skip = headless.value != NULL;
	service_field = field_member(&labels, "kubernetes.io/service-name");
	err = kube_read_name(&service_field, KUBE_MAX_NAME, &service);
	if (!err)
		err = kube_copy(service, &slice->service);
	if (!err)
		err = read_address_type(root, slice);
	if (!err && !slice->skip)
		err = read_ports(root, slice);
	if (!err && !slice->skip)
		err = read_endpoints(root, slice);
	return err;
}

void kube_slice_clear(struct kube_object *object)
{
	struct kube_slice *slice = &object->slice;

	for (size_t i = 0; i < slice->endpoints; i++) {
		kube_drop(slice->endpoint[i].node_name);
		kube_drop(slice->endpoint[i].zone);
		free_hints(slice->endpoint[i].hints);
	}
	for (size_t i = 0; i < slice->ports; i++)
		kube_drop(slice->port[i].name);
	kube_drop(slice->namespace);
	kube_drop(slice->service);
}
