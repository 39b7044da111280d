/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which endpoints a service port may use: the rules of kube-proxy's CategorizeEndpoints()
 * (pkg/proxy/topology.go). KEP-2433: hints; KEP-1669: terminating endpoints when nothing else is
 * left; KEP-2086: internalTrafficPolicy. What a packet then meets is decided in plan.c.
 */
#include "endpoints.h"

#include <string.h>

static bool hinted(char *const *hints)
{
	return hints && hints[0];
}

static bool names(char *const *hints, const char *name)
{
	if (!hints || !name || !name[0])
		return false;
	for (; *hints; hints++)
		if (!strcmp(*hints, name))
			return true;
	return false;
}

/*
 * One unhinted endpoint turns a mode off, so that a half-updated set of slices does not starve
 * it. Endpoints that are not ready carry no hints and must not count.
 */
static enum plan_topology topology(const struct endpoint_rules *rules,
				   const struct endpoint *endpoint, size_t n)
{
	bool all_zone = true, all_node = true, our_zone = false, our_node = false;

	for (size_t i = 0; i < n; i++) {
		if (!endpoint[i].ready)
			continue;
		all_node = all_node && hinted(endpoint[i].node_hints);
		all_zone = all_zone && hinted(endpoint[i].zone_hints);
		our_node = our_node || names(endpoint[i].node_hints, rules->node);
		our_zone = our_zone || names(endpoint[i].zone_hints, rules->zone);
	}
	if (all_node && our_node)
		return PLAN_TOPOLOGY_NODE;
	if (all_zone && our_zone)
		return PLAN_TOPOLOGY_ZONE;
	return PLAN_TOPOLOGY_NONE;
}

static bool allows(enum plan_topology mode, const struct endpoint_rules *rules,
		   const struct endpoint *endpoint)
{
	switch (mode) {
	case PLAN_TOPOLOGY_NODE:
		return names(endpoint->node_hints, rules->node);
	case PLAN_TOPOLOGY_ZONE:
		return names(endpoint->zone_hints, rules->zone);
	default:
		return true;
	}
}

static bool last_resort(const struct endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

static size_t choose_cluster(enum plan_topology mode, const struct endpoint_rules *rules,
			     const struct endpoint *endpoint, size_t n, uint32_t *cluster)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (endpoint[i].ready && allows(mode, rules, &endpoint[i]))
			cluster[count++] = (uint32_t)i;
	if (count)
		return count;
	for (size_t i = 0; i < n; i++)
		if (last_resort(&endpoint[i]))
			cluster[count++] = (uint32_t)i;
	return count;
}

static size_t choose_local(const struct endpoint *endpoint, size_t n, uint32_t *local)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (endpoint[i].local && endpoint[i].ready)
			local[count++] = (uint32_t)i;
	if (count)
		return count;
	for (size_t i = 0; i < n; i++)
		if (endpoint[i].local && last_resort(&endpoint[i]))
			local[count++] = (uint32_t)i;
	return count;
}

struct endpoint_choice endpoints_choose(const struct endpoint_rules *rules,
					const struct endpoint *endpoint, size_t n,
					uint32_t *cluster, uint32_t *local)
{
	bool use_cluster = !rules->internal_local || rules->external;
	bool use_local = rules->internal_local || (rules->external_local && rules->external);
	struct endpoint_choice choice = {.topology = PLAN_TOPOLOGY_NONE};

	if (use_cluster) {
		choice.topology = topology(rules, endpoint, n);
		choice.clusters = choose_cluster(choice.topology, rules, endpoint, n, cluster);
		choice.has_any = choice.clusters > 0;
	}
	if (use_local) {
		choice.locals = choose_local(endpoint, n, local);
		/* An endpoint elsewhere is no use to L, but makes it a drop and not a refusal. */
		for (size_t i = 0; i < n && !choice.has_any; i++)
			choice.has_any = endpoint[i].ready || last_resort(&endpoint[i]);
	}
	return choice;
}
