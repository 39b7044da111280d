/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads the objects, has their plans made, and puts them in the order of the input. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "kubeproxy_rules.h"
#include "store.h"
#include "util.h"

/* A Service where it was first seen. The store knows no order. */
struct seen {
	UT_hash_handle hh;
	char *namespace;
	char *name;
	char key[];
};

struct reading {
	struct store_change *change;
	struct seen *seen;
	struct rules_input *input;
	struct kube_error error;
};

static void seen_free(struct seen **seen)
{
	struct seen *s, *next;

	HASH_ITER (hh, *seen, s, next) {
		HASH_DEL(*seen, s);
		free(s->namespace);
		free(s->name);
		free(s);
	}
}

static int see(struct reading *r, const struct kube_object *object)
{
	char key[KUBE_KEY_MAX];
	const size_t length = strlen(kube_write_key(object, key));
	struct seen *s;

	HASH_FIND(hh, r->seen, key, length, s);
	if (s)
		return 0;
	s = calloc(1, sizeof(*s) + length + 1);
	if (!s)
		return -ENOMEM;
	memcpy(s->key, key, length + 1);
	s->namespace = strdup(object->service.namespace);
	s->name = strdup(object->service.name);
	HASH_ADD(hh, r->seen, key, length, s);
	return s->namespace && s->name ? 0 : -ENOMEM;
}

static void add_service_cidrs(struct rules_input *input, const struct kube_service_cidr *cidr)
{
	for (size_t i = 0; i < cidr->cidrs && input->service_cidr.count < CIDR_LIST_MAX; i++)
		input->service_cidr.cidr[input->service_cidr.count++] = cidr->cidr[i];
}

/* Other kinds are left out: a reader may pipe in all that kubectl prints. */
static int read_object(json_t *json, void *arg)
{
	struct reading *r = arg;
	struct kube_object *object = NULL;
	int rc = kube_parse(json, &object, &r->error);

	if (rc)
		return rc == -ENOTSUP ? 0 : rc;
	if (object->kind == KUBE_SERVICE)
		rc = see(r, object);
	else if (object->kind == KUBE_SERVICE_CIDR)
		add_service_cidrs(r->input, &object->service_cidr);
	rc = rc ?: store_change_put(r->change, &object);
	kube_free(&object);
	return rc;
}

/* One JSON text after the other, to the end. */
static int read_all(struct reading *r)
{
	json_error_t error;
	json_t *json;
	int c, rc = 0;

	while (!rc) {
		do
			c = getchar();
		while (isspace(c));
		if (c == EOF)
			return 0;
		ungetc(c, stdin);
		json = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error);
		if (!json) {
			fprintf(stderr, "kubeproxy: line %d: %s\n", error.line, error.text);
			return -EINVAL;
		}
		rc = kube_each(json, read_object, r, &r->error);
		json_decref(json);
	}
	if (rc == -EINVAL)
		fprintf(stderr, "kubeproxy: %s: %s: %s\n", r->error.object, r->error.path,
			r->error.reason);
	return rc;
}

static const union np_addr *node_address(const struct kube_node *node, uint8_t family)
{
	for (size_t i = 0; node && i < node->addresses; i++)
		if (node->address[i].family == family)
			return &node->address[i].addr;
	return NULL;
}

static struct plan_node plan_node(struct rules_options *options, const struct store *store)
{
	const struct kube_node *node = store_node(store, options->node_name);
	struct plan_node made = {
		.name = options->node_name,
		.zone = options->zone,
		.masquerade_all = options->masquerade_all,
		.detector4 = cidr_list_first(&options->cluster_cidr, NP_IPV4),
		.detector6 = cidr_list_first(&options->cluster_cidr, NP_IPV6),
		.address4 = node_address(node, NP_IPV4),
		.address6 = node_address(node, NP_IPV6),
	};
	const union np_addr *own = options->family == NP_IPV4 ? made.address4 : made.address6;

	if (!made.zone && node)
		made.zone = node->zone;
	if (!options->any_node_address && !options->node_address.count && own)
		options->node_address.cidr[options->node_address.count++] =
			cidr_of(options->family, own, options->family == NP_IPV4 ? 32 : 128);
	return made;
}

/* Keeps the plans of the family; they come port by port. */
static int keep_plans(struct rules_input *input, uint8_t family, const struct kube_service *service,
		      struct plan **plans, size_t count)
{
	struct rules_planned *grown;
	size_t port = 0;

	grown = realloc(input->planned, (input->count + count + 1) * sizeof(*grown));
	if (grown)
		input->planned = grown;
	for (size_t i = 0; i < count; i++) {
		if (!grown || plans[i]->family != family) {
			plan_free(&plans[i]);
			continue;
		}
		input->endpoints += plans[i]->backends;
		input->planned[input->count++] =
			(struct rules_planned){service, &service->port[port++], plans[i]};
	}
	return grown ? 0 : -ENOMEM;
}

static int plan_one(struct rules_input *input, const struct plan_node *node, uint8_t family,
		    const struct seen *seen)
{
	const struct kube_service *service =
		store_service(input->store, seen->namespace, seen->name);
	_cleanup_free_ struct kube_slice **slices = NULL;
	_cleanup_free_ struct plan **plans = NULL;
	size_t nslices, count;
	int rc;

	rc = store_slices(input->store, seen->namespace, seen->name, &slices, &nslices);
	rc = rc ?: plan_make(node, service, slices, nslices, &plans, &count);
	return rc ?: keep_plans(input, family, service, plans, count);
}

int rules_read(struct rules_options *options, struct rules_input *input)
{
	_cleanup_(store_change_free) struct store_change *change = NULL;
	struct reading r = {.input = input};
	struct store_result result;
	struct plan_node node;
	struct seen *s;
	int rc;

	rc = store_new(&input->store);
	rc = rc ?: store_change_new(input->store, true, &change);
	r.change = change;
	rc = rc ?: read_all(&r);
	rc = rc ?: store_commit(input->store, &change, NULL, &result);
	if (!rc)
		node = plan_node(options, input->store);
	for (s = r.seen; s && !rc; s = s->hh.next)
		rc = plan_one(input, &node, options->family, s);
	seen_free(&r.seen);
	return rc;
}

void rules_input_free(struct rules_input *input)
{
	for (size_t i = 0; i < input->count; i++)
		plan_free(&input->planned[i].plan);
	free(input->planned);
	store_free(&input->store);
}
