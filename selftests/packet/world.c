/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The programs, loaded once, and the state they find: Kubernetes objects go the way they go in
 * the daemon (store, plan, publish); the interface entry, addresses and detector are written here.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../../maps/settings.h"
#include "cidr.h"
#include "harness.h"
#include "plan.h"
#include "publish.h"
#include "store.h"
#include "tc.skel.h"

#define FLOWS 64 /* few, so that a case can fill the table */

struct world world;

static struct store *store;
static struct publisher *publisher;
static const char *const nothing[] = {NULL};
static const char *const *current; /* the state in the tables */

/* As the kernel would say: no source to where no route leads, a host's own address to itself. */
static int source(void *arg, uint8_t family, const union np_addr *dst,
		  struct publish_addresses *src)
{
	union np_addr node = name_address("node", family);
	union np_addr cut_off = name_address("nowhere", family);

	(void)arg;
	if (!memcmp(dst, &cut_off, sizeof(cut_off)))
		return -ENETUNREACH;
	src->addr = memcmp(dst, &node, sizeof(node)) ? name_address("snat", family) : node;
	return 0;
}

static int publish_one(const char *namespace, const char *name, void *arg)
{
	const union np_addr address4 = name_address("node", NP_IPV4);
	const union np_addr address6 = name_address("node", NP_IPV6);
	const struct plan_node node = {.name = "node1",
				       .zone = "zone1",
				       .detector4 = true,
				       .detector6 = true,
				       .address4 = &address4,
				       .address6 = &address6};
	const struct kube_service *service = store_service(store, namespace, name);
	_cleanup_free_ struct kube_slice **slices = NULL;
	_cleanup_free_ struct plan **plans = NULL;
	size_t nslices, count = 0;

	(void)arg;
	assert_int_equal(store_slices(store, namespace, name, &slices, &nslices), 0);
	if (service)
		assert_int_equal(plan_make(&node, service, slices, nslices, &plans, &count), 0);
	assert_int_equal(publish_service(publisher, namespace, name, plans, count), 0);
	return 0;
}

static struct kube_object *parse(const char *text)
{
	_cleanup_free_ char *expanded = names_expand(text);
	struct kube_object *object = NULL;
	struct kube_error error;
	json_error_t where;
	json_t *json = json_loads(expanded, 0, &where);

	if (!json)
		fail_msg("%s: %s", expanded, where.text);
	if (kube_parse(json, &object, &error))
		fail_msg("%s: %s: %s", error.object, error.path, error.reason);
	json_decref(json);
	return object;
}

void world_apply(const char *const *state)
{
	const struct store_visitor visitor = {.service = publish_one};
	struct store_change *change = NULL;
	struct store_result result;

	state = state ?: nothing;
	if (state == current)
		return;
	assert_int_equal(store_change_new(store, true, &change), 0);
	for (size_t i = 0; state[i]; i++) {
		struct kube_object *object = parse(state[i]);

		assert_int_equal(store_change_put(change, &object), 0);
	}
	assert_int_equal(store_commit(store, &change, &visitor, &result), 0);
	current = state;
}

static void publish_node_addresses(void)
{
	static const int families[] = {NP_IPV4, NP_IPV6};

	publish_addresses_begin(publisher);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		union np_addr node = name_address("node", families[i]);
		union np_addr gateway = name_address("snat", families[i]);

		assert_int_equal(publish_address(publisher, families[i], &node,
						 NP_SERVICE_NODE_ADDRESS | NP_SERVICE_HOST_ADDRESS),
				 0);
		assert_int_equal(
			publish_address(publisher, families[i], &gateway, NP_SERVICE_HOST_ADDRESS),
			0);
	}
	publish_addresses_end(publisher);
}

/* Pods are 10.244.0.0/16 and fd00:10:244::/48; no service ranges. */
static void reset_config(void)
{
	struct np_config *c = world.tables->config;

	c->pod_prefix4 = (struct np_prefix){{htonl(0x0AF40000)}, {htonl(0xFFFF0000)}};
	c->pod_prefix6 = (struct np_prefix){{htonl(0xFD000010), htonl(0x02440000)},
					    {htonl(0xFFFFFFFF), htonl(0xFFFF0000)}};
	c->detector = NP_DETECT_BY_PREFIX;
	for (size_t i = 0; i < NP_SERVICE_CIDRS; i++)
		c->service_cidr4[i] = c->service_cidr6[i] = cidr_nobody();
	c->localhost_nodeports4 = c->localhost_nodeports6 = 0;
	c->routes_shared = (tables_jiffies() + 60 * tables_hertz()) | 1;
}

int world_open(void)
{
	const struct tables_options options = {.max_flows = FLOWS,
					       .max_services = 256,
					       .max_slots = 256,
					       .max_backends = 64,
					       .max_affinity = 1024,
					       .snat_port_first = 20000,
					       .snat_port_count = 1000};
	const char *why;
	int rc;

	rc = netns_enter(&world.ns);
	if (rc) {
		fprintf(stderr, "network namespace: %s\n", strerror(-rc));
		return rc;
	}
	rc = tables_open(&options, &world.tables, &why);
	if (rc) {
		fprintf(stderr, "%s\n", why);
		return rc;
	}
	rc = netns_attach(&world.ns, world.tables->xdp_fd) ?: store_new(&store);
	rc = rc ?: publisher_new(world.tables, source, NULL, &publisher);
	if (rc)
		return rc;
	publish_node_addresses();
	return 0;
}

void world_close(void)
{
	publisher_free(&publisher);
	store_free(&store);
	tables_close(&world.tables);
}

static void clear(void *table, enum table which)
{
	memset(table, 0, world.tables->size[which] * tables_value_size(which));
}

/* Of a hash; keys of the programs' maps are no longer than this. */
static void empty(const struct bpf_map *map)
{
	int fd = bpf_map__fd(map);
	uint8_t key[sizeof(union np_addr) * 2 + 8];

	while (!bpf_map_get_next_key(fd, NULL, key))
		bpf_map_delete_elem(fd, key);
}

struct np_iface world_iface(void)
{
	return (struct np_iface){.lb = NP_LB_ON,
				 .flags = NP_IFACE_STATS | NP_IFACE_XDP | NP_IFACE_XDP_NATIVE |
					  NP_IFACE_PORT,
				 .l2_len = 14,
				 .mtu = 1500};
}

void world_reset(const char *const *state, const struct np_iface *iface)
{
	struct tables *t = world.tables;
	struct np_iface usual = world_iface();

	world_apply(state);
	reset_config();
	clear(t->flows4, TABLE_flows4);
	clear(t->flows6, TABLE_flows6);
	clear(t->flow_index4, TABLE_flow_index4);
	clear(t->flow_index6, TABLE_flow_index6);
	clear(t->flow_filter, TABLE_flow_filter);
	clear(t->hints, TABLE_hints);
	clear(t->routes, TABLE_routes);
	clear(t->ifaces, TABLE_ifaces);
	clear(t->limits, TABLE_limits);
	empty(t->tc->maps.fragments);
	empty(t->tc->maps.affinity);
	end_forget();
	t->ifaces[world.ns.uplink] = iface ? *iface : usual;
	t->ifaces[world.ns.uplink].ifindex = world.ns.uplink;
	t->ifaces[world.ns.second] = usual;
	t->ifaces[world.ns.second].ifindex = world.ns.second;
	if (world.quiet) {
		t->ifaces[world.ns.uplink].flags &= ~NP_IFACE_STATS;
		t->ifaces[world.ns.second].flags &= ~NP_IFACE_STATS;
	}
	handover_follow();
}

struct np_flow *flow_at(uint32_t number)
{
	return world.variant.family == NP_IPV4 ? &world.tables->flows4[number].flow
					       : &world.tables->flows6[number].flow;
}

struct np_flow *flow_of(uint16_t client_port)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct np_flow *flow = flow_at(i);

		if (flow->state != NP_FLOW_FREE && flow->port[NP_CLIENT] == htons(client_port))
			return flow;
	}
	return NULL;
}

const char *flow_state_name(unsigned state)
{
	static const char *const names[] = {
#define X(e, name, seconds) [NP_FLOW_##e] = name,
		NP_FLOW_STATE_LIST(X)
#undef X
	};

	return state < NP_FLOW_STATES ? names[state] : "?";
}

uint32_t flow_timeout(unsigned state)
{
	return world.tables->tc->rodata->np.flow_timeout[state];
}

uint64_t counter(enum np_hook hook, enum np_reason reason)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < world.tables->size[TABLE_stats]; cpu++)
		sum += world.tables->stats[cpu].packets[hook][reason];
	return sum;
}
