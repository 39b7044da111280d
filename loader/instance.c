/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A daemon's decisions without a daemon: store, plans and tables, but no network. */
#include "instance.h"

#include <arpa/inet.h>
#include <errno.h>

#include "util.h"

struct instance {
	struct tables *tables;
	struct store *store;
	struct publisher *publisher;
	struct node node;
	int rc; /* of publishing: the first failure */
};

/* Any: nothing is sent. */
static int source(void *arg, uint8_t family, const union np_addr *dst,
		  struct publish_addresses *src)
{
	struct instance *in = arg;
	const union np_addr *own = node_address(&in->node, family);

	(void)dst;
	src->addr = own ? *own : (union np_addr){.word = {htonl(0xC0000201)}}; /* RFC 5737 */
	return 0;
}

int instance_new(struct instance **instance, const char **why)
{
	_cleanup_(instance_free) struct instance *in = calloc(1, sizeof(*in));
	static const struct options nothing = {.node_name = ""};
	const struct tables_options options = {
		.max_flows = 64,
		.max_services = 65536,
		.max_slots = 1 << 20,
		.max_backends = 65536,
		.max_affinity = 64,
	};
	int rc;

	*why = "out of memory";
	if (!in)
		return -ENOMEM;
	rc = tables_open(&options, &in->tables, why);
	rc = rc ?: store_new(&in->store);
	if (rc)
		return rc;
	in->node = (struct node){.options = &nothing, .store = in->store};
	rc = publisher_new(in->tables, source, in, &in->publisher);
	if (rc)
		return rc;
	*instance = TAKE_PTR(in);
	return 0;
}

void instance_free(struct instance **instance)
{
	struct instance *in = *instance;

	*instance = NULL;
	if (!in)
		return;
	publisher_free(&in->publisher);
	store_free(&in->store);
	tables_close(&in->tables);
	free(in);
}

static int touched(const char *namespace, const char *name, void *arg)
{
	struct instance *in = arg;

	in->rc = in->rc ?: node_publish(&in->node, in->publisher, namespace, name);
	return 0;
}

static int publish_one(const struct kube_object *object, void *arg)
{
	touched(object->service.namespace, object->service.name, arg);
	return 0;
}

static int publish_list(struct instance *in, const struct kube_address *address, size_t addresses)
{
	int rc = 0;

	for (size_t i = 0; i < addresses && !rc; i++)
		rc = publish_address(
			in->publisher, address[i].family, &address[i].addr,
			node_address_flags(&in->node, address[i].family, &address[i].addr));
	return rc;
}

static int publish_host(struct instance *in, const struct kube_address *address, size_t addresses)
{
	const struct kube_node *own = store_node(in->store, in->node.options->node_name);
	int rc;

	publish_addresses_begin(in->publisher);
	rc = own ? publish_list(in, own->address, own->addresses) : 0;
	rc = rc ?: publish_list(in, address, addresses);
	publish_addresses_end(in->publisher);
	return rc;
}

/* Where there is no Node object, the first address of a family is the node's own. */
static void own_addresses(struct instance *in, const struct kube_address *address, size_t addresses)
{
	in->node.route4 = in->node.route6 = (union np_addr){};
	while (addresses--) {
		if (address[addresses].family == NP_IPV4)
			in->node.route4 = address[addresses].addr;
		else
			in->node.route6 = address[addresses].addr;
	}
}

struct reading {
	struct store_change *change;
	struct kube_error *error;
};

static int read_object(json_t *json, void *arg)
{
	struct reading *r = arg;
	struct kube_object *object = NULL;
	int rc = kube_parse(json, &object, r->error);

	rc = rc ?: store_change_put(r->change, &object);
	kube_free(&object);
	return rc;
}

int instance_set(struct instance *in, const struct options *options, json_t *objects,
		 const struct kube_address *address, size_t addresses, struct kube_error *error)
{
	const struct store_visitor visitor = {.service = touched, .arg = in};
	_cleanup_(store_change_free) struct store_change *change = NULL;
	struct store_result result;
	struct reading r = {.error = error};
	int rc = store_change_new(in->store, true, &change);

	if (rc)
		return rc;
	r.change = change;
	rc = kube_each(objects, read_object, &r, error);
	if (rc)
		return rc;
	in->node.options = options;
	own_addresses(in, address, addresses);
	in->rc = 0;
	rc = store_commit(in->store, &change, &visitor, &result);
	if (rc)
		return rc;
	node_config(&in->node, in->tables->config);
	store_each_of(in->store, KUBE_SERVICE, publish_one,
		      in); /* options may have changed for all */
	return in->rc ?: publish_host(in, address, addresses);
}

int instance_explain(struct instance *in, const struct question *q, json_t **answer)
{
	struct np_decision decision;
	int rc = explain_ask(in->tables, q, 0, &decision);

	if (rc)
		return rc;
	*answer = explain_json(in->publisher, in->tables, q, &decision);
	return *answer ? 0 : -ENOMEM;
}
