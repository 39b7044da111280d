/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Methods of the config socket that read: get and status. Their shapes are in docs/socket.md. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "daemon.h"
#include "fill.h"
#include "names.h"
#include "takeover.h"
#include "util.h"

#define FLOWS_DEFAULT_LIMIT 1000

struct query {
	struct daemon *d;
	const char *namespace;
	const char *name;
	json_t *list;
	size_t limit;
	size_t count;
	json_int_t states[NP_FLOW_STATES]; /* flows in each */
};

static json_t *policy_json(const struct plan *plan, const struct plan_policy *policy)
{
	const struct plan_choice choice = plan_choice(plan, policy);
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < choice.count; i++) {
		const struct plan_backend *b = &plan->backend[choice.backend[i]];

		json_array_append_new(list, endpoint_json(plan->family, &b->addr, b->port));
	}
	return json_pack("{s:s,s:b,s:o}", "verdict", verdict_names[policy->verdict], "snat",
			 policy->snat, "backends", list);
}

static json_t *frontend_json(struct daemon *d, const struct plan *plan,
			     const struct plan_frontend *f)
{
	json_t *address =
		f->kind == PLAN_NODE_PORT ? json_string("*") : address_json(plan->family, &f->addr);

	return json_pack("{s:s,s:o,s:i,s:b,s:{s:o,s:o,s:o}}", "kind", plan_kind_name(f->kind),
			 "address", address, "port", ntohs(f->port), "published",
			 publish_has(d->publisher, plan, f), "policy", "pod",
			 policy_json(plan, &f->policy[NP_CLASS_POD]), "node",
			 policy_json(plan, &f->policy[NP_CLASS_NODE]), "outside",
			 policy_json(plan, &f->policy[NP_CLASS_OUTSIDE]));
}

static bool is_used(const struct plan *plan, uint32_t backend)
{
	size_t i;

	for (i = 0; i < plan->clusters; i++)
		if (plan->cluster[i] == backend)
			return true;
	for (i = 0; i < plan->locals; i++)
		if (plan->local[i] == backend)
			return true;
	return false;
}

/* Where it is, as one of its slices says; NULL: none does. */
static const struct kube_endpoint *endpoint_of(struct kube_slice *const *slices, size_t count,
					       const struct plan *plan,
					       const struct plan_backend *b)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; slices[i]->family == plan->family && j < slices[i]->endpoints;
		     j++)
			if (address_equal(&slices[i]->endpoint[j].addr, &b->addr))
				return &slices[i]->endpoint[j];
	return NULL;
}

static json_t *backend_json(const struct plan *plan, uint32_t number,
			    struct kube_slice *const *slices, size_t count)
{
	const struct plan_backend *b = &plan->backend[number];
	const struct kube_endpoint *endpoint = endpoint_of(slices, count, plan, b);

	return json_pack("{s:o,s:s*,s:s*,s:b,s:b,s:b,s:b,s:b}", "address",
			 endpoint_json(plan->family, &b->addr, b->port), "node",
			 endpoint ? endpoint->node_name : NULL, "zone",
			 endpoint ? endpoint->zone : NULL, "local", b->local, "ready", b->ready,
			 "serving", b->serving, "terminating", b->terminating, "used",
			 is_used(plan, number));
}

static json_t *stats_json(const struct np_service_stats *s)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < NP_ZONE_CLASSES; i++)
		json_object_set_new(o, zone_names[i], json_integer(s->connections[i]));
	json_object_set_new(o, "refused", json_integer(s->refused));
	return o;
}

static int visit_plan(const struct plan *plan, void *arg)
{
	_cleanup_free_ struct kube_slice **slices = NULL;
	json_t *frontends, *backends, *ranges;
	size_t count = 0;
	struct np_service_stats stats;
	struct query *q = arg;
	size_t i;

	if ((q->namespace && strcmp(q->namespace, plan->namespace)) ||
	    (q->name && strcmp(q->name, plan->name)))
		return 0;
	frontends = json_array();
	backends = json_array();
	ranges = json_array();
	for (i = 0; i < plan->frontends; i++)
		json_array_append_new(frontends, frontend_json(q->d, plan, &plan->frontend[i]));
	store_slices(q->d->store, plan->namespace, plan->name, &slices, &count);
	for (i = 0; i < plan->backends; i++)
		json_array_append_new(backends, backend_json(plan, i, slices, count));
	for (i = 0; i < plan->ranges; i++)
		json_array_append_new(ranges, cidr_json(&plan->range[i]));
	stats = publish_stats(q->d->publisher, plan);
	return json_array_append_new(
		q->list,
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:o,s:o,s:o,s:o}", "namespace",
			  plan->namespace, "name", plan->name, "port", plan->port_name, "protocol",
			  protocol_name(plan->protocol), "family",
			  plan->family == NP_IPV4 ? "IPv4" : "IPv6", "topology",
			  plan_topology_name(plan->topology), "affinity_seconds",
			  (int)plan->affinity_seconds, "source_ranges", ranges, "frontends",
			  frontends, "backends", backends, "connections", stats_json(&stats)));
}

static int visit_backend(const struct publish_backend *b, void *arg)
{
	const struct np_backend *e = b->entry;
	struct query *q = arg;
	const struct tables *t = q->d->tables;
	json_int_t used = 0;
	int i;

	for (i = 0; i < SWEEP_PROTOCOLS; i++)
		used += sweep_ports(q->d->sweep, i, b->number);
	return json_array_append_new(
		q->list, json_pack("{s:o,s:b,s:s,s:o,s:i,s:{s:I,s:I,s:I}}", "address",
				   endpoint_json(e->family, &e->addr, e->port), "local",
				   !!(e->flags & NP_BACKEND_LOCAL), "zone_class",
				   zone_names[e->zone % NP_ZONE_CLASSES], "snat",
				   address_json(e->family, &e->snat), "references",
				   (int)b->references, "snat_ports", "used", used, "max",
				   (json_int_t)t->settings->snat_port_count * (1 + e->sources),
				   "refused", (json_int_t)t->snat_ports[b->number].refused));
}

static int visit_object(const struct kube_object *object, void *arg)
{
	struct query *q = arg;

	return json_array_append_new(q->list, daemon_object_json(q->d, object)) ? -ENOMEM : 0;
}

/* The clock that tells now is not quite the kernel's tick: what is ahead of it is new. */
static uint32_t age_of(uint32_t now, uint32_t then)
{
	uint32_t age = now - then;

	return age < UINT32_MAX - 0x100000 ? age : 0;
}

static json_t *flow_json(const struct np_flow *f, const __be32 *addr, int words, uint32_t now,
			 uint32_t hertz)
{
	uint8_t family = words == 1 ? NP_IPV4 : NP_IPV6;

	return json_pack(
		"{s:s,s:o,s:o,s:o,s:o,s:s,s:I,s:I}", "protocol", protocol_name(f->protocol),
		"client", endpoint_json(family, addr + NP_CLIENT * words, f->port[NP_CLIENT]),
		"frontend", endpoint_json(family, addr + NP_FRONTEND * words, f->port[NP_FRONTEND]),
		"backend", endpoint_json(family, addr + NP_BACKEND * words, f->port[NP_BACKEND]),
		"snat", endpoint_json(family, addr + NP_SNAT * words, f->port[NP_SNAT]), "state",
		state_names[f->state % NP_FLOW_STATES], "idle",
		(json_int_t)(age_of(now, f->seen) / hertz), "age",
		(json_int_t)(age_of(now, f->born) / hertz));
}

/* A record may change while it is read: it is copied, and counts if seq stayed what it was. */
static void get_flows(struct query *q, const void *table, uint32_t size, size_t stride, int words)
{
	const uint32_t *timeout = q->d->tables->settings->flow_timeout;
	uint32_t hertz = tables_hertz(), now = tables_jiffies(), seq, i;
	union {
		struct np_flow flow;
		struct np_flow4 four;
		struct np_flow6 six;
	} copy;

	for (i = 0; i < size; i++) {
		const struct np_flow *f = (const void *)((const char *)table + i * stride);

		seq = __atomic_load_n(&f->seq, __ATOMIC_ACQUIRE);
		if (seq & 1 || f->state == NP_FLOW_FREE)
			continue;
		memcpy(&copy, f, stride);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&f->seq, __ATOMIC_RELAXED) != seq ||
		    age_of(now, copy.flow.seen) > timeout[copy.flow.state % NP_FLOW_STATES_ROOM])
			continue;
		q->states[copy.flow.state % NP_FLOW_STATES]++;
		if (++q->count <= q->limit)
			json_array_append_new(
				q->list, flow_json(&copy.flow,
						   words == 1 ? copy.four.addr : copy.six.addr[0],
						   words, now, hertz));
	}
}

static json_t *all_flows(struct query *q)
{
	const struct tables *t = q->d->tables;
	json_t *states = json_object();
	int i;

	get_flows(q, t->flows4, t->size[TABLE_flows4], sizeof(struct np_flow4), 1);
	get_flows(q, t->flows6, t->size[TABLE_flows6], sizeof(struct np_flow6), 4);
	for (i = 0; i < NP_FLOW_STATES; i++)
		if (q->states[i])
			json_object_set_new(states, state_names[i], json_integer(q->states[i]));
	return json_pack("{s:O,s:I,s:o,s:b}", "flows", q->list, "count", (json_int_t)q->count,
			 "states", states, "truncated", q->count > q->limit);
}

/* Optional params of the right type; what is wrong goes into error. */
static int read_query(struct query *q, json_t *params, struct rpc_error *error)
{
	json_t *limit = json_object_get(params, "limit");
	json_t *namespace = json_object_get(params, "namespace");
	json_t *name = json_object_get(params, "name");

	if (limit && (!json_is_integer(limit) || json_integer_value(limit) < 1)) {
		rpc_error_set(error, RPC_BAD_PARAMS, "params.limit is not a number from 1");
		return -EINVAL;
	}
	if ((namespace && !json_is_string(namespace)) || (name && !json_is_string(name))) {
		rpc_error_set(error, RPC_BAD_PARAMS, "params.%s is not a string",
			      json_is_string(namespace) || !namespace ? "name" : "namespace");
		return -EINVAL;
	}
	q->limit = limit ? (size_t)json_integer_value(limit) : FLOWS_DEFAULT_LIMIT;
	q->namespace = json_string_value(namespace);
	q->name = json_string_value(name);
	return 0;
}

int method_get(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	const char *what = json_string_value(json_object_get(params, "what"));
	struct daemon *d = arg;
	struct query q = {.d = d};
	int rc = read_query(&q, params, error);

	if (rc)
		return rc;
	q.list = json_array();
	if (what && !strcmp(what, "flows")) {
		*result = all_flows(&q);
		json_decref(q.list);
		return *result ? 0 : -ENOMEM;
	}
	if (what && !strcmp(what, "services"))
		publish_each(d->publisher, visit_plan, &q);
	else if (what && !strcmp(what, "backends"))
		publish_each_backend(d->publisher, visit_backend, &q);
	else if (what && !strcmp(what, "objects"))
		store_each(d->store, visit_object, &q);
	else {
		json_decref(q.list);
		rpc_error_set(error, RPC_BAD_PARAMS,
			      "get wants params.what: services, backends, flows or objects");
		return -EINVAL;
	}
	*result = json_pack("{s:I,s:o}", "revision", (json_int_t)d->revision, what, q.list);
	return *result ? 0 : -ENOMEM;
}

static json_t *counters_json(const struct tables *t)
{
	json_t *hooks = json_object(), *reasons;
	uint32_t cpu;
	uint64_t sum;
	int h, r;

	for (h = 0; h < NP_HOOKS; h++) {
		reasons = json_object();
		for (r = 0; r < NP_REASONS; r++) {
			for (sum = 0, cpu = 0; cpu < t->size[TABLE_stats]; cpu++)
				sum += t->stats[cpu].packets[h][r];
			if (sum)
				json_object_set_new(reasons, reason_names[r], json_integer(sum));
		}
		json_object_set_new(hooks, hook_names[h], reasons);
	}
	return hooks;
}

static json_t *tables_json(const struct fill *fill)
{
	json_t *tables = json_object();

	for (int i = 0; i < FILLS; i++) {
		json_t *table = json_object();

		if (fill[i].counted)
			json_object_set_new(table, "used", json_integer((json_int_t)fill[i].used));
		json_object_set_new(table, "size", json_integer((json_int_t)fill[i].size));
		json_object_set_new(tables, fill[i].name, table);
	}
	return tables;
}

static json_t *nearly_full(const struct fill *fill)
{
	json_t *list = json_array();

	for (int i = 0; i < FILLS; i++)
		if (fill_is_high(&fill[i]))
			json_array_append_new(
				list, json_sprintf("table \"%s\" is nearly full: %llu of %llu%s%s",
						   fill[i].name, (unsigned long long)fill[i].used,
						   (unsigned long long)fill[i].size,
						   fill[i].option ? "; raise --" : "",
						   fill[i].option ?: ""));
	return list;
}

/* What the kernel turned out to have, as far as it shows on the interfaces. */
static json_t *kernel_json(struct daemon *d, json_t *ifaces)
{
	bool tcx = false, dispatcher = false;
	struct utsname name;
	json_t *i, *attached;
	size_t n;

	json_array_foreach (ifaces, n, i) {
		const char *tc;

		attached = json_object_get(i, "attached");
		tc = json_string_value(json_object_get(attached, "tc"));
		tcx |= tc && !strcmp(tc, "tcx");
		dispatcher |= json_is_true(json_object_get(attached, "dispatcher"));
	}
	uname(&name);
	return json_pack("{s:s,s:b,s:b,s:s}", "release", name.release, "tcx", tcx, "dispatcher",
			 dispatcher, "checksum", d->tables->direct_checksum ? "direct" : "helpers");
}

int method_status(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct daemon *d = arg;
	const struct kube_node *node = store_node(d->store, d->options.node_name);
	const char *zone = d->options.zone ?: node && node->zone ? node->zone : "";
	json_t *ifaces = ifaces_json(d->ifaces);
	json_t *kernel = kernel_json(d, ifaces);
	struct fill fill[FILLS];

	(void)params, (void)error;
	fill_of(d, fill);
	*result = json_pack(
		"{s:i,s:s,s:i,s:I,s:s,s:s,s:I,s:b,s:b,s:b,s:{s:i,s:i,s:i,s:i},s:{s:i,s:o},s:o,s:o,"
		"s:o,s:o,s:o,s:o,s:I,s:o,s:o}",
		"schema", 1, "version", NEARPATH_VERSION, "pid", (int)getpid(), "uptime",
		(json_int_t)(time(NULL) - d->started), "node", d->options.node_name, "zone", zone,
		"revision", (json_int_t)d->revision, "synced", d->synced, "delivered", d->delivered,
		"asks_conntrack", takeover_asks(d->takeover), "objects", "Service",
		(int)store_count(d->store, KUBE_SERVICE), "EndpointSlice",
		(int)store_count(d->store, KUBE_SLICE), "Node",
		(int)store_count(d->store, KUBE_NODE), "ServiceCIDR",
		(int)store_count(d->store, KUBE_SERVICE_CIDR), "abi", "version", NP_ABI_VERSION,
		"replacing", migrate_json(d->migrate), "tables", tables_json(fill), "kernel",
		kernel, "counters", counters_json(d->tables), "conflicts",
		publish_conflicts(d->publisher), "sock", sockets_json(d->sockets), "ifaces", ifaces,
		"differences", (json_int_t)daemon_differences(d), "audit", daemon_audit_json(d),
		"warnings", nearly_full(fill));
	return *result ? 0 : -ENOMEM;
}
