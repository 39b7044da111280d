/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Options and Node object put together: the local detector (kube-proxy's --detect-local-mode), the
 * addresses NodePorts are served at, the ranges of services.
 */
#include "node.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

static const struct kube_node *node_object(const struct node *node)
{
	return store_node(node->store, node->options->node_name);
}

static bool is_zero(const union np_addr *addr)
{
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

/* The range pods are told by; NULL: none of the family, or not told by ranges. */
static const struct cidr *pod_cidr(const struct node *node, uint8_t family)
{
	const struct kube_node *object = node_object(node);
	size_t i;

	if (node->options->detect_local == DETECT_CLUSTER_CIDR)
		return cidr_list_first(&node->options->cluster_cidr, family);
	if (node->options->detect_local != DETECT_NODE_CIDR || !object)
		return NULL;
	for (i = 0; i < object->pod_cidrs; i++)
		if (object->pod_cidr[i].family == family)
			return &object->pod_cidr[i];
	return NULL;
}

static bool detects_by_iface(const struct options *o)
{
	return (o->detect_local == DETECT_BRIDGE && o->pod_bridge) ||
	       (o->detect_local == DETECT_IFACE_PREFIX && o->pod_iface_prefix);
}

static bool has_detector(const struct node *node, uint8_t family)
{
	return detects_by_iface(node->options) || pod_cidr(node, family);
}

bool node_iface_is_pod(const struct options *o, const char *name, const char *master)
{
	if (o->detect_local == DETECT_BRIDGE && o->pod_bridge)
		return !strcmp(name, o->pod_bridge) || (master && !strcmp(master, o->pod_bridge));
	if (o->detect_local == DETECT_IFACE_PREFIX && o->pod_iface_prefix)
		return !strncmp(name, o->pod_iface_prefix, strlen(o->pod_iface_prefix));
	return false;
}

const union np_addr *node_address(const struct node *node, uint8_t family)
{
	const struct kube_node *object = node_object(node);
	const union np_addr *bound = &node->options->bind_addr;
	size_t i;

	if (node->options->bind_family == family && !is_zero(bound))
		return bound;
	for (i = 0; object && i < object->addresses; i++)
		if (object->address[i].family == family)
			return &object->address[i].addr;
	bound = family == NP_IPV4 ? &node->route4 : &node->route6;
	return is_zero(bound) ? NULL : bound;
}

struct plan_node node_plan(const struct node *node)
{
	const struct kube_node *object = node_object(node);

	return (struct plan_node){
		.name = node->options->node_name,
		.zone = node->options->zone
				?: object ? object->zone
					  : NULL,
		.detector4 = has_detector(node, NP_IPV4),
		.detector6 = has_detector(node, NP_IPV6),
		.masquerade_all = node->options->masquerade_all,
		.address4 = node_address(node, NP_IPV4),
		.address6 = node_address(node, NP_IPV6),
	};
}

struct node_mark node_mark(const struct node *node)
{
	const struct plan_node plan = node_plan(node);
	struct node_mark mark;

	memset(&mark, 0, sizeof(mark));
	snprintf(mark.zone, sizeof(mark.zone), "%s", plan.zone ?: "");
	if (plan.address4)
		mark.address4 = *plan.address4;
	if (plan.address6)
		mark.address6 = *plan.address6;
	mark.detector4 = plan.detector4;
	mark.detector6 = plan.detector6;
	return mark;
}

bool node_mark_equal(const struct node_mark *a, const struct node_mark *b)
{
	return !strcmp(a->zone, b->zone) && address_equal(&a->address4, &b->address4) &&
	       address_equal(&a->address6, &b->address6) && a->detector4 == b->detector4 &&
	       a->detector6 == b->detector6;
}

static int plan_and(int (*publish)(struct publisher *p, const char *namespace, const char *name,
				   struct plan **plans, size_t count),
		    const struct node *node, struct publisher *publisher, const char *namespace,
		    const char *name)
{
	const struct kube_service *service = store_service(node->store, namespace, name);
	const struct plan_node own = node_plan(node);
	_cleanup_free_ struct kube_slice **slices = NULL;
	_cleanup_free_ struct plan **plans = NULL;
	size_t nslices = 0, count = 0;
	int rc = 0;

	if (service)
		rc = store_slices(node->store, namespace, name, &slices, &nslices);
	if (service && !rc)
		rc = plan_make(&own, service, slices, nslices, &plans, &count);
	return rc ?: publish(publisher, namespace, name, plans, count);
}

int node_publish(const struct node *node, struct publisher *publisher, const char *namespace,
		 const char *name)
{
	return plan_and(publish_service, node, publisher, namespace, name);
}

int node_publish_whole(const struct node *node, struct publisher *publisher, const char *namespace,
		       const char *name)
{
	return plan_and(publish_service_whole, node, publisher, namespace, name);
}

static bool listed(const struct options *o, uint8_t family, const union np_addr *addr)
{
	return !cidr_list_first(&o->nodeport_addresses, family) ||
	       cidr_list_has(&o->nodeport_addresses, family, addr);
}

uint32_t node_address_flags(const struct node *node, uint8_t family, const union np_addr *addr)
{
	const union np_addr *own = node_address(node, family);
	bool serves;

	if (address_is_loopback(family, addr)) /* see np_config.localhost_nodeports4 */
		return NP_SERVICE_HOST_ADDRESS;
	serves = node->options->nodeport_primary ? own && address_equal(own, addr)
						 : listed(node->options, family, addr);
	return NP_SERVICE_HOST_ADDRESS | (serves ? NP_SERVICE_NODE_ADDRESS : 0);
}

/* Are the loopback addresses among those NodePorts are served at? */
static bool serves_localhost(const struct options *o, uint8_t family)
{
	union np_addr loopback = {};

	if (!o->localhost_nodeports || o->nodeport_primary)
		return false;
	if (family == NP_IPV4)
		loopback.v4 = htonl(INADDR_LOOPBACK);
	else
		loopback.word[3] = htonl(1);
	return listed(o, family, &loopback);
}

static void store_words(void *to, const void *from, size_t size)
{
	const uint32_t *source = from;
	uint32_t *target = to;
	size_t i;

	for (i = 0; i < size / sizeof(*target); i++)
		if (target[i] != source[i])
			__atomic_store_n(&target[i], source[i], __ATOMIC_RELAXED);
}

/*
 * A prefix that programs read meanwhile: closed by its mask while its value changes, so that no
 * address is ever in a range that nobody wrote.
 */
static void store_prefix(struct np_prefix *to, const struct np_prefix *wanted)
{
	static const uint32_t all[4] = {~0U, ~0U, ~0U, ~0U};

	if (!memcmp(to, wanted, sizeof(*wanted)))
		return;
	store_words(to->mask, all, sizeof(all));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	store_words(to->value, wanted->value, sizeof(wanted->value));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	store_words(to->mask, wanted->mask, sizeof(wanted->mask));
}

static struct np_prefix prefix_of(const struct cidr *cidr)
{
	return cidr ? cidr->prefix : cidr_nobody();
}

struct range_count {
	struct np_config *config;
	size_t four;
	size_t six;
	size_t left_out;
};

static void add_range(struct range_count *count, const struct cidr *cidr)
{
	if (cidr->family == NP_IPV4 && count->four < NP_SERVICE_CIDRS)
		count->config->service_cidr4[count->four++] = cidr->prefix;
	else if (cidr->family == NP_IPV6 && count->six < NP_SERVICE_CIDRS)
		count->config->service_cidr6[count->six++] = cidr->prefix;
	else
		count->left_out++;
}

static int add_object(const struct kube_object *object, void *arg)
{
	size_t i;

	for (i = 0; i < object->service_cidr.cidrs; i++)
		add_range(arg, &object->service_cidr.cidr[i]);
	return 0;
}

static size_t service_cidrs(const struct node *node, struct np_config *config)
{
	struct range_count count = {.config = config};
	size_t i;

	for (i = 0; i < node->options->service_cidr.count; i++)
		add_range(&count, &node->options->service_cidr.cidr[i]);
	store_each_of(node->store, KUBE_SERVICE_CIDR, add_object, &count);
	for (i = count.four; i < NP_SERVICE_CIDRS; i++)
		config->service_cidr4[i] = cidr_nobody();
	for (i = count.six; i < NP_SERVICE_CIDRS; i++)
		config->service_cidr6[i] = cidr_nobody();
	return count.left_out;
}

void node_config_write(struct np_config *to, const struct np_config *wanted)
{
	int i;

	store_prefix(&to->pod_prefix4, &wanted->pod_prefix4);
	store_prefix(&to->pod_prefix6, &wanted->pod_prefix6);
	__atomic_store_n(&to->detector, wanted->detector, __ATOMIC_RELEASE);
	for (i = 0; i < NP_SERVICE_CIDRS; i++) {
		store_prefix(&to->service_cidr4[i], &wanted->service_cidr4[i]);
		store_prefix(&to->service_cidr6[i], &wanted->service_cidr6[i]);
	}
	store_words(&to->node_addr4, &wanted->node_addr4, sizeof(to->node_addr4));
	store_words(&to->node_addr6, &wanted->node_addr6, sizeof(to->node_addr6));
	__atomic_store_n(&to->localhost_nodeports4, wanted->localhost_nodeports4, __ATOMIC_RELAXED);
	__atomic_store_n(&to->localhost_nodeports6, wanted->localhost_nodeports6, __ATOMIC_RELAXED);
}

static union np_addr own_address(const struct node *node, uint8_t family)
{
	const union np_addr *addr = node_address(node, family), unknown = {};

	return addr ? *addr : unknown;
}

size_t node_config(const struct node *node, struct np_config *config)
{
	const struct options *o = node->options;
	struct np_config wanted = *config;
	size_t left_out;

	wanted.pod_prefix4 = prefix_of(pod_cidr(node, NP_IPV4));
	wanted.pod_prefix6 = prefix_of(pod_cidr(node, NP_IPV6));
	wanted.detector = NP_DETECT_NONE;
	if (detects_by_iface(o))
		wanted.detector = NP_DETECT_BY_IFACE;
	else if (has_detector(node, NP_IPV4) || has_detector(node, NP_IPV6))
		wanted.detector = NP_DETECT_BY_PREFIX;
	left_out = service_cidrs(node, &wanted);
	wanted.node_addr4 = own_address(node, NP_IPV4);
	wanted.node_addr6 = own_address(node, NP_IPV6);
	wanted.localhost_nodeports4 = serves_localhost(o, NP_IPV4);
	wanted.localhost_nodeports6 = serves_localhost(o, NP_IPV6);
	node_config_write(config, &wanted);
	return left_out;
}
