/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Makes the plans of a Service: its endpoints put together from all slices, and for each frontend
 * and class of client what kube-proxy (pkg/proxy/iptables/proxier.go) would do with a new
 * connection. Which endpoints are eligible is decided in endpoints.c.
 */
#include "plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "endpoints.h"
#include "intern.h"
#include "kube.h"
#include "util.h"

/* An endpoint of the port, as one slice tells it. */
struct candidate {
	const struct kube_endpoint *endpoint;
	const struct kube_slice *slice;
	uint16_t port;
};

/* All that decides the policies of one plan. */
struct decision {
	const struct plan_node *node;
	const struct plan *plan;
	bool internal_local;
	bool external_local;
	bool has_any;
};

static bool known(const char *name)
{
	return name && name[0];
}

/* Number of candidates; they are written to out unless it is NULL. */
static size_t gather(const struct kube_port *port, uint8_t family, struct kube_slice *const *slices,
		     size_t nslices, struct candidate *out)
{
	size_t count = 0;

	for (size_t s = 0; s < nslices; s++) {
		const struct kube_slice *slice = slices[s];

		if (slice->skip || slice->family != family)
			continue;
		for (size_t p = 0; p < slice->ports; p++) {
			if (slice->port[p].protocol != port->protocol ||
			    strcmp(slice->port[p].name, port->name) != 0)
				continue;
			for (size_t e = 0; out && e < slice->endpoints; e++)
				out[count + e] = (struct candidate){
					.endpoint = &slice->endpoint[e],
					.slice = slice,
					.port = slice->port[p].port,
				};
			count += slice->endpoints;
		}
	}
	return count;
}

/* By address and port; of the same ones the one to be kept comes first. */
static int compare_candidates(const void *first, const void *second)
{
	const struct candidate *a = first, *b = second;
	int order;

	order = memcmp(a->endpoint->addr.word, b->endpoint->addr.word,
		       sizeof(a->endpoint->addr.word));
	if (order)
		return order;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	/* The address of a terminating pod may have been given to a new one already. */
	if (a->endpoint->terminating != b->endpoint->terminating)
		return a->endpoint->terminating ? 1 : -1;
	if (a->endpoint->ready != b->endpoint->ready)
		return a->endpoint->ready ? -1 : 1;
	order = strcmp(a->slice->name, b->slice->name);
	if (order)
		return order;
	return a->endpoint < b->endpoint ? -1 : a->endpoint > b->endpoint;
}

static size_t drop_twins(struct candidate *candidate, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept && candidate[kept - 1].port == candidate[i].port &&
		    address_equal(&candidate[kept - 1].endpoint->addr,
				  &candidate[i].endpoint->addr))
			continue;
		candidate[kept++] = candidate[i];
	}
	return kept;
}

static int find_candidates(const struct kube_port *port, uint8_t family,
			   struct kube_slice *const *slices, size_t nslices,
			   struct candidate **candidates, size_t *count)
{
	size_t all = gather(port, family, slices, nslices, NULL);
	struct candidate *found;

	found = calloc(all ? all : 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	gather(port, family, slices, nslices, found);
	qsort(found, all, sizeof(*found), compare_candidates);
	*count = drop_twins(found, all);
	*candidates = found;
	return 0;
}

static uint8_t zone_class(const struct plan_node *node, const char *zone, bool local)
{
	if (local)
		return NP_ZONE_NODE;
	if (!known(node->zone) || !known(zone))
		return NP_ZONE_UNKNOWN;
	return strcmp(node->zone, zone) ? NP_ZONE_OTHER : NP_ZONE_ZONE;
}

static void fill_backend(const struct plan_node *node, const struct candidate *candidate,
			 struct plan_backend *backend)
{
	const struct kube_endpoint *endpoint = candidate->endpoint;

	backend->addr = endpoint->addr;
	backend->port = htons(candidate->port);
	backend->local = known(node->name) && known(endpoint->node_name) &&
			 !strcmp(node->name, endpoint->node_name);
	backend->ready = endpoint->ready;
	backend->serving = endpoint->serving;
	backend->terminating = endpoint->terminating;
	backend->zone = zone_class(node, endpoint->zone, backend->local);
}

static int fill_backends(struct plan *plan, const struct plan_node *node,
			 const struct candidate *candidate, size_t count)
{
	plan->backend = calloc(count ? count : 1, sizeof(*plan->backend));
	plan->cluster = calloc(count ? count : 1, sizeof(*plan->cluster));
	plan->local = calloc(count ? count : 1, sizeof(*plan->local));
	if (!plan->backend || !plan->cluster || !plan->local)
		return -ENOMEM;
	plan->backends = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		fill_backend(node, &candidate[i], &plan->backend[i]);
	return 0;
}

/* externalTrafficPolicy means nothing where nobody outside could come in (ExternallyAccessible). */
bool plan_external_local(const struct kube_service *service)
{
	if (!service->external_local)
		return false;
	return service->type == KUBE_NODE_PORT || service->type == KUBE_LOAD_BALANCER ||
	       (service->type == KUBE_CLUSTER_IP && service->external_ips > 0);
}

bool plan_has_node_port(const struct kube_service *service, const struct kube_port *port)
{
	return port->node_port &&
	       (service->type == KUBE_NODE_PORT || service->type == KUBE_LOAD_BALANCER);
}

bool plan_is_external(const struct kube_service *service, const struct kube_port *port,
		      uint8_t family)
{
	if (plan_has_node_port(service, port))
		return true;
	for (size_t i = 0; i < service->external_ips; i++)
		if (service->external_ip[i].family == family)
			return true;
	for (size_t i = 0; i < service->vips; i++)
		if (service->vip[i].ip.family == family && !service->vip[i].proxy)
			return true;
	return false;
}

/* Fills the lists C and L of the plan and the rest of the decision. */
static int choose(struct plan *plan, struct decision *decision, const struct candidate *candidate,
		  bool external)
{
	const struct endpoint_rules rules = {
		.node = decision->node->name,
		.zone = decision->node->zone,
		.internal_local = decision->internal_local,
		.external_local = decision->external_local,
		.external = external,
	};
	_cleanup_free_ struct endpoint *endpoint = NULL;
	struct endpoint_choice choice;

	endpoint = calloc(plan->backends ? plan->backends : 1, sizeof(*endpoint));
	if (!endpoint)
		return -ENOMEM;
	for (size_t i = 0; i < plan->backends; i++) {
		const struct kube_hints *hints = candidate[i].endpoint->hints;

		endpoint[i] = (struct endpoint){
			.local = plan->backend[i].local,
			.ready = plan->backend[i].ready,
			.serving = plan->backend[i].serving,
			.terminating = plan->backend[i].terminating,
			.zone_hints = hints ? hints->zone : NULL,
			.node_hints = hints ? hints->node : NULL,
		};
	}
	choice = endpoints_choose(&rules, endpoint, plan->backends, plan->cluster, plan->local);
	plan->topology = (uint8_t)choice.topology;
	plan->clusters = (uint32_t)choice.clusters;
	plan->locals = (uint32_t)choice.locals;
	decision->has_any = choice.has_any;
	return 0;
}

static struct plan_policy refuse(enum np_verdict verdict)
{
	return (struct plan_policy){.verdict = (uint8_t)verdict};
}

/*
 * While has_any is true, C is empty only if it is not used at all: an endpoint that makes has_any
 * true for L (ready, or serving and terminating) would be in C too. So the drop is never met; it
 * is what kube-proxy's iptables mode does whenever there are endpoints, but none for this way in.
 */
static struct plan_policy use_cluster(const struct decision *decision, bool snat)
{
	const struct plan *plan = decision->plan;

	if (!plan->clusters)
		return refuse(NP_VERDICT_DROP);
	return (struct plan_policy){NP_VERDICT_FORWARD, PLAN_CLUSTER, snat};
}

static struct plan_policy use_local(const struct decision *decision, bool snat)
{
	const struct plan *plan = decision->plan;

	if (!plan->locals)
		return refuse(NP_VERDICT_DROP);
	return (struct plan_policy){NP_VERDICT_FORWARD, PLAN_LOCAL, snat};
}

static bool has_detector(const struct decision *decision)
{
	return decision->plan->family == NP_IPV4 ? decision->node->detector4
						 : decision->node->detector6;
}

/* To the clusterIP. Without a detector everyone may be a pod, and keeps its address. */
static struct plan_policy internal_policy(const struct decision *decision, enum np_class from)
{
	const struct plan_node *node = decision->node;
	bool snat = node->masquerade_all || (has_detector(decision) && from != NP_CLASS_POD);

	if (!decision->has_any)
		return refuse(NP_VERDICT_REJECT);
	if (decision->internal_local)
		return use_local(decision, snat);
	return use_cluster(decision, snat);
}

/*
 * To an external address or a NodePort. With Local, pods and the node itself take the short cut
 * to any endpoint, as if they had been sent by the clusterIP; only others must keep to L, which
 * is what lets them keep their address.
 */
static struct plan_policy external_policy(const struct decision *decision, enum np_class from)
{
	if (!decision->has_any)
		return refuse(NP_VERDICT_REJECT);
	if (!decision->external_local)
		return use_cluster(decision, true);
	if (from == NP_CLASS_NODE)
		return use_cluster(decision, true);
	if (from == NP_CLASS_POD && has_detector(decision))
		return use_cluster(decision, false);
	return use_local(decision, false);
}

/*
 * An address that is listed twice (often as externalIP and VIP) is one frontend, of the kind that
 * kube-proxy's rules would come to first.
 */
static void add_frontend(struct plan *plan, const struct decision *decision, enum plan_kind kind,
			 const union np_addr *addr, uint16_t port)
{
	struct plan_frontend *frontend = &plan->frontend[plan->frontends];

	for (size_t i = 0; i < plan->frontends; i++)
		if (address_equal(&plan->frontend[i].addr, addr))
			return;
	frontend->kind = (uint8_t)kind;
	frontend->addr = *addr;
	frontend->port = htons(port);
	frontend->ranged = kind == PLAN_LOAD_BALANCER && plan->ranges;
	for (enum np_class from = 0; from < NP_CLASSES; from++) {
		if (kind == PLAN_CLUSTER_IP)
			frontend->policy[from] = internal_policy(decision, from);
		else
			frontend->policy[from] = external_policy(decision, from);
	}
	plan->frontends++;
}

static int fill_frontends(struct plan *plan, const struct decision *decision,
			  const struct kube_service *service, const struct kube_port *port,
			  const struct kube_address *cluster_ip)
{
	const union np_addr any = {.word = {0}};

	plan->frontend = calloc(2 + service->external_ips + service->vips, sizeof(*plan->frontend));
	if (!plan->frontend)
		return -ENOMEM;
	add_frontend(plan, decision, PLAN_CLUSTER_IP, &cluster_ip->addr, port->port);
	for (size_t i = 0; i < service->external_ips; i++)
		if (service->external_ip[i].family == plan->family)
			add_frontend(plan, decision, PLAN_EXTERNAL_IP,
				     &service->external_ip[i].addr, port->port);
	for (size_t i = 0; i < service->vips; i++)
		if (service->vip[i].ip.family == plan->family && !service->vip[i].proxy)
			add_frontend(plan, decision, PLAN_LOAD_BALANCER, &service->vip[i].ip.addr,
				     port->port);
	if (plan_has_node_port(service, port))
		add_frontend(plan, decision, PLAN_NODE_PORT, &any, port->node_port);
	return 0;
}

static void add_vips(struct plan *plan, const struct kube_service *service)
{
	static const unsigned whole[] = {[NP_IPV4] = 32, [NP_IPV6] = 128};

	for (size_t i = 0; i < service->vips; i++)
		if (service->vip[i].ip.family == plan->family && !service->vip[i].proxy)
			plan->range[plan->ranges++] = cidr_of(
				plan->family, &service->vip[i].ip.addr, whole[plan->family]);
}

/*
 * The ranges of the family. What is none is left out, as kube-proxy does; one that has every
 * address means that there is no restriction. A node that is allowed may come with the VIP itself
 * as its source, where the load balancer has put the VIP on the node.
 */
static int fill_ranges(struct plan *plan, const struct plan_node *node,
		       const struct kube_service *service)
{
	const union np_addr *own = plan->family == NP_IPV4 ? node->address4 : node->address6;
	bool own_allowed = false;
	struct cidr cidr;

	plan->range = calloc(service->source_ranges + service->vips + 1, sizeof(*plan->range));
	if (!plan->range)
		return -ENOMEM;
	for (size_t i = 0; i < service->source_ranges; i++) {
		if (cidr_parse(service->source_range[i], &cidr) || cidr.family != plan->family)
			continue;
		if (!cidr.bits) {
			plan->ranges = 0;
			return 0;
		}
		own_allowed = own_allowed || (own && cidr_has(&cidr, plan->family, own));
		plan->range[plan->ranges++] = cidr;
	}
	if (own_allowed)
		add_vips(plan, service);
	return 0;
}

static int name_plan(struct plan *plan, const struct kube_service *service,
		     const struct kube_port *port)
{
	plan->namespace = intern(service->namespace);
	plan->name = intern(service->name);
	plan->port_name = intern(port->name);
	plan->protocol = port->protocol;
	return plan->namespace && plan->name && plan->port_name ? 0 : -ENOMEM;
}

/* While it is made its parts are pieces of their own. */
static void draft_free(struct plan **draft)
{
	struct plan *p = *draft;

	if (!p)
		return;
	free(p->backend);
	free(p->cluster);
	free(p->local);
	free(p->frontend);
	free(p->range);
	plan_free(draft);
}

static int make_one(const struct plan_node *node, const struct kube_service *service,
		    const struct kube_port *port, const struct kube_address *cluster_ip,
		    struct kube_slice *const *slices, size_t nslices, struct plan **made)
{
	uint8_t family = cluster_ip->family;
	_cleanup_free_ struct candidate *candidates = NULL;
	_cleanup_(draft_free) struct plan *plan = NULL;
	struct decision decision = {
		.node = node,
		.internal_local = service->internal_local,
		.external_local = plan_external_local(service),
	};
	size_t count;
	int err;

	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->family = family;
	plan->id = NO_ID;
	plan->affinity_seconds = service->client_ip_affinity ? service->affinity_seconds : 0;
	decision.plan = plan;
	err = name_plan(plan, service, port);
	if (!err)
		err = find_candidates(port, family, slices, nslices, &candidates, &count);
	if (!err)
		err = fill_backends(plan, node, candidates, count);
	if (!err)
		err = choose(plan, &decision, candidates, plan_is_external(service, port, family));
	if (!err)
		err = fill_ranges(plan, node, service);
	if (!err)
		err = fill_frontends(plan, &decision, service, port, cluster_ip);
	return err ? err : plan_pack(plan, made);
}

/* The first of the family; NULL if there is none, and then nothing of the family is programmed. */
static const struct kube_address *cluster_ip_of(const struct kube_service *service, uint8_t family)
{
	for (size_t i = 0; i < service->cluster_ips; i++)
		if (service->cluster_ip[i].family == family)
			return &service->cluster_ip[i];
	return NULL;
}

int plan_make(const struct plan_node *node, const struct kube_service *service,
	      struct kube_slice *const *slices, size_t nslices, struct plan ***plans, size_t *count)
{
	static const uint8_t families[] = {NP_IPV4, NP_IPV6};
	struct plan **made;
	size_t n = 0;
	int err = 0;

	if (service->skip) {
		*plans = NULL;
		*count = 0;
		return 0;
	}
	made = calloc(ARRAY_SIZE(families) * service->ports + 1, sizeof(struct plan *));
	if (!made)
		return -ENOMEM;
	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		const struct kube_address *cluster_ip = cluster_ip_of(service, families[f]);

		for (size_t p = 0; cluster_ip && p < service->ports && !err; p++) {
			err = make_one(node, service, &service->port[p], cluster_ip, slices,
				       nslices, &made[n]);
			n += !err;
		}
	}
	if (err) {
		while (n)
			plan_free(&made[--n]);
		free(made);
		return err;
	}
	*plans = made;
	*count = n;
	return 0;
}

const char *plan_kind_name(enum plan_kind kind)
{
	static const char *const names[] = {
		[PLAN_CLUSTER_IP] = "ClusterIP",
		[PLAN_EXTERNAL_IP] = "ExternalIP",
		[PLAN_LOAD_BALANCER] = "LoadBalancer",
		[PLAN_NODE_PORT] = "NodePort",
	};
	_Static_assert(ARRAY_SIZE(names) == PLAN_KINDS, "a name for each kind");

	return names[kind];
}

const char *plan_topology_name(enum plan_topology mode)
{
	static const char *const names[] = {
		[PLAN_TOPOLOGY_NONE] = "none",
		[PLAN_TOPOLOGY_ZONE] = "zone",
		[PLAN_TOPOLOGY_NODE] = "node",
	};
	_Static_assert(ARRAY_SIZE(names) == PLAN_TOPOLOGY_NODE + 1, "a name for each mode");

	return names[mode];
}
