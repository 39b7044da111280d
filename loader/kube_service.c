/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads a Service: what kube-proxy's newBaseServicePortInfo() (pkg/proxy/serviceport.go) takes
 * from it. Of one that is to be skipped only the reason for that is read. What its policies mean
 * is decided in plan.c.
 */
#include "kube_parts.h"
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define AFFINITY_SECONDS_DEFAULT 10800
#define AFFINITY_SECONDS_MAX	 86400

static int read_type(const struct field *spec, struct kube_service *service)
{
	static const char *const types[] = {[KUBE_CLUSTER_IP] = "ClusterIP",
					    [KUBE_NODE_PORT] = "NodePort",
					    [KUBE_LOAD_BALANCER] = "LoadBalancer",
					    [KUBE_EXTERNAL_NAME] = "ExternalName",
					    NULL};
	struct field type = field_member(spec, "type");
	size_t choice = 0;
	int err;

	err = kube_read_choice(&type, types, &choice);
	if (err)
		return err;
	service->skip = service->skip || choice == KUBE_EXTERNAL_NAME;
	service->type = (uint8_t)choice;
	return 0;
}

/* "None", "" and absence all mean a Service without a clusterIP. */
static int headless(const struct field *cluster_ip, bool *none)
{
	const char *text = NULL;
	int err;

	err = field_string(cluster_ip, &text);
	if (!err)
		*none = !text || !text[0] || !strcmp(text, "None");
	return err;
}

static int read_cluster_ips(const struct field *spec, struct kube_service *service)
{
	struct field single = field_member(spec, "clusterIP");
	struct field list, item;
	bool none = false;
	size_t count;
	int err;

	err = field_member_array(spec, "clusterIPs", 2, &list);
	if (err)
		return err;
	count = field_length(&list);
	item = count ? field_item(&list, 0) : single;
	err = headless(&item, &none);
	if (err)
		return err;
	if (none) {
		service->skip = true;
		return 0;
	}
	err = kube_alloc(count ? count : 1, sizeof(*service->cluster_ip), &service->cluster_ip);
	if (err)
		return err;
	if (!count) {
		service->cluster_ips = 1;
		return kube_read_address(&single, &service->cluster_ip[0]);
	}
	service->cluster_ips = count;
	for (size_t i = 0; i < count && !err; i++) {
		item = field_item(&list, i);
		err = kube_read_address(&item, &service->cluster_ip[i]);
	}
	return err;
}

static int read_external_ips(const struct field *spec, struct kube_service *service)
{
	struct field list;
	int err;

	err = field_member_array(spec, "externalIPs", KUBE_MAX_LISTED, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*service->external_ip), &service->external_ip);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		err = kube_read_address(&item, &service->external_ip[i]);
		service->external_ips += !err;
	}
	return err;
}

static int read_vip(const struct field *ingress, struct kube_service *service)
{
	static const char *const modes[] = {"VIP", "Proxy", NULL};
	struct kube_vip *vip = &service->vip[service->vips];
	struct field ip = field_member(ingress, "ip");
	struct field ip_mode = field_member(ingress, "ipMode");
	const char *text = NULL;
	size_t mode = 0;
	int err;

	err = field_object(ingress);
	if (!err)
		err = field_string(&ip, &text);
	if (err || !text || !text[0]) /* a hostname: nothing to answer for */
		return err;
	err = kube_read_address(&ip, &vip->ip);
	if (!err)
		err = kube_read_choice(&ip_mode, modes, &mode);
	if (err)
		return err;
	vip->proxy = mode == 1;
	service->vips++;
	return 0;
}

static int read_vips(const struct field *root, struct kube_service *service)
{
	struct field status, balancer, list;
	int err;

	err = field_member_object(root, "status", &status);
	if (!err)
		err = field_member_object(&status, "loadBalancer", &balancer);
	if (!err)
		err = field_member_array(&balancer, "ingress", KUBE_MAX_LISTED, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*service->vip), &service->vip);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_vip(&item, service);
	}
	return err;
}

static int read_source_range(const struct field *item, char **range)
{
	char trimmed[KUBE_MAX_NAME + 1];
	const char *text = NULL;
	size_t length;
	int err;

	err = field_required(item);
	if (!err)
		err = field_string(item, &text);
	if (err)
		return err;
	text += strspn(text, " \t\r\n");
	length = strlen(text);
	while (length && strchr(" \t\r\n", text[length - 1]))
		length--;
	if (length > KUBE_MAX_NAME)
		return field_refuse(item, "is %zu characters long; write a range like 10.0.0.0/8",
				    length);
	*(char *)mempcpy(trimmed, text, length) = '\0';
	return kube_copy(trimmed, range);
}

static int read_source_ranges(const struct field *spec, struct kube_service *service)
{
	struct field list;
	int err;

	err = field_member_array(spec, "loadBalancerSourceRanges", KUBE_MAX_LISTED, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*service->source_range),
			 &service->source_range);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_source_range(&item, &service->source_range[i]);
		service->source_ranges += !err;
	}
	return err;
}

static int read_port(const struct field *item, struct kube_port *port)
{
	struct field name_field = field_member(item, "name");
	struct field number = field_member(item, "port");
	struct field node_port = field_member(item, "nodePort");
	const char *name = NULL;
	int err;

	err = field_required(item);
	if (!err)
		err = field_object(item);
	if (!err)
		err = field_required(&number);
	if (!err)
		err = kube_read_port(&number, 1, &port->port);
	if (!err)
		err = kube_read_port(&node_port, 0, &port->node_port);
	if (!err)
		err = kube_read_protocol(item, &port->protocol);
	if (!err)
		err = kube_read_name(&name_field, KUBE_MAX_PORT_NAME, &name);
	return err ? err : kube_copy(name ? name : "", &port->name);
}

/* Two ports that cannot be told apart would take each other's place in the tables. */
static int refuse_twins(const struct field *item, const struct kube_service *service, size_t last)
{
	const struct kube_port *port = &service->port[last];

	for (size_t i = 0; i < last; i++) {
		const struct kube_port *other = &service->port[i];
		struct field member;

		if (other->protocol != port->protocol)
			continue;
		if (!strcmp(other->name, port->name)) {
			member = field_member(item, "name");
			return field_refuse(&member,
					    "\"%s\" is also the name of spec.ports[%zu]; give each "
					    "port its own",
					    port->name, i);
		}
		if (other->port == port->port) {
			member = field_member(item, "port");
			return field_refuse(&member,
					    "%u is also the port of spec.ports[%zu]; give each "
					    "port its own",
					    port->port, i);
		}
		if (port->node_port && other->node_port == port->node_port) {
			member = field_member(item, "nodePort");
			return field_refuse(&member,
					    "%u is also the nodePort of spec.ports[%zu]; give "
					    "each port its own",
					    port->node_port, i);
		}
	}
	return 0;
}

static int read_ports(const struct field *spec, struct kube_service *service)
{
	struct field list;
	int err;

	err = field_member_array(spec, "ports", KUBE_MAX_PORTS, &list);
	if (err)
		return err;
	err = kube_alloc(field_length(&list), sizeof(*service->port), &service->port);
	for (size_t i = 0; i < field_length(&list) && !err; i++) {
		struct field item = field_item(&list, i);

		err = read_port(&item, &service->port[i]);
		if (err)
			return err;
		service->ports++;
		err = refuse_twins(&item, service, i);
	}
	return err;
}

static int read_policies(const struct field *spec, struct kube_service *service)
{
	static const char *const policies[] = {"Cluster", "Local", NULL};
	struct field internal = field_member(spec, "internalTrafficPolicy");
	struct field external = field_member(spec, "externalTrafficPolicy");
	size_t choice = 0;
	int err;

	err = kube_read_choice(&internal, policies, &choice);
	if (err)
		return err;
	service->internal_local = choice == 1;
	err = kube_read_choice(&external, policies, &choice);
	if (err)
		return err;
	service->external_local = choice == 1;
	return 0;
}

static int read_affinity(const struct field *spec, struct kube_service *service)
{
	static const char *const affinities[] = {"None", "ClientIP", NULL};
	struct field affinity = field_member(spec, "sessionAffinity");
	struct field config, client, timeout;
	long long seconds = AFFINITY_SECONDS_DEFAULT;
	size_t choice = 0;
	int err;

	err = kube_read_choice(&affinity, affinities, &choice);
	if (err || choice == 0)
		return err;
	err = field_member_object(spec, "sessionAffinityConfig", &config);
	if (!err)
		err = field_member_object(&config, "clientIP", &client);
	if (err)
		return err;
	timeout = field_member(&client, "timeoutSeconds");
	err = field_integer(&timeout, &seconds);
	if (err)
		return err;
	if (seconds < 1 || seconds > AFFINITY_SECONDS_MAX)
		return field_refuse(&timeout, "%lld is out of range; write 1 to %d seconds",
				    seconds, AFFINITY_SECONDS_MAX);
	service->client_ip_affinity = true;
	service->affinity_seconds = (uint32_t)seconds;
	return 0;
}

static int read_health_check(const struct field *spec, struct kube_service *service)
{
	struct field port = field_member(spec, "healthCheckNodePort");

	if (service->type != KUBE_LOAD_BALANCER || !service->external_local)
		return 0;
	return kube_read_port(&port, 0, &service->health_check_node_port);
}

static int read_programmed(const struct field *root, const struct field *spec,
			   struct kube_service *service)
{
	int err;

	err = read_ports(spec, service);
	if (!err)
		err = read_external_ips(spec, service);
	if (!err)
		err = read_vips(root, service);
	if (!err)
		err = read_source_ranges(spec, service);
	if (!err)
		err = read_policies(spec, service);
	if (!err)
		err = read_affinity(spec, service);
	if (!err)
		err = read_health_check(spec, service);
	return err;
}

int kube_service_read(const struct field *root, struct kube_object *object)
{
	struct kube_service *service = &object->service;
	struct field metadata, labels, proxy, spec;
	int err;

	err = kube_read_labels(root, &metadata, &labels);
	if (!err)
		err = field_member_object(root, "spec", &spec);
	if (!err)
		err = field_required(&spec);
	if (err)
		return err;
	/* The label's being there is enough, whatever it says (KEP-2447). */
	proxy = field_member(&labels, "service.kubernetes.io/service-proxy-name");
	service->skip = proxy.value != NULL;
	err = read_type(&spec, service);
	if (!err && !service->skip)
		err = read_cluster_ips(&spec, service);
	if (!err && !service->skip)
		err = read_programmed(root, &spec, service);
	return err;
}

void kube_service_clear(struct kube_object *object)
{
	struct kube_service *service = &object->service;

	for (size_t i = 0; i < service->ports; i++)
		kube_drop(service->port[i].name);
	for (size_t i = 0; i < service->source_ranges; i++)
		kube_drop(service->source_range[i]);
	kube_drop(service->namespace);
	kube_drop(service->name);
}
