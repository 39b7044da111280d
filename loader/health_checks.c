/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which Services have a healthCheckNodePort, how many local endpoints each has ready, and on which
 * addresses it is listened for them. Which those are follows --nodeport-addresses, as in
 * kube-proxy.
 */
#include "health_checks.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "health.h"
#include "util.h"

/* One address a Service is listened for at. */
struct ear {
	struct ear *next;
	struct check *check;
	struct http_address address;
	struct http_listener *listener; /* NULL: could not be opened yet */
	bool wanted;
	bool said; /* that it could not */
};

struct check {
	char *key; /* namespace/name */
	char *namespace;
	char *name;
	struct health_checks *checks;
	uint16_t port;
	bool touched;
	bool has[HEALTH_FAMILIES]; /* a clusterIP of the family */
	unsigned ready[HEALTH_FAMILIES];
	struct ear *ears;
	UT_hash_handle hh;
};

struct host_address {
	struct host_address *next;
	uint8_t family;
	union np_addr addr;
	bool told;
};

struct health_checks {
	struct health_checks_options options;
	struct check *all;
	struct host_address *addresses; /* of this host, those that are listened on */
	bool dirty;
};

static bool same(const union np_addr *a, const union np_addr *b)
{
	return !memcmp(a->word, b->word, sizeof(a->word));
}

static int family_of(uint8_t family)
{
	return family == NP_IPV4 ? HEALTH_IPV4 : HEALTH_IPV6;
}

/* ---- counting ---- */

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(union np_addr));
}

static unsigned count_distinct(union np_addr *list, size_t count)
{
	unsigned distinct = count > 0;

	qsort(list, count, sizeof(*list), compare_addresses);
	for (size_t i = 1; i < count; i++)
		distinct += compare_addresses(&list[i - 1], &list[i]) != 0;
	return distinct;
}

static bool is_local(const struct health_checks *c, const struct kube_endpoint *e)
{
	return e->node_name && !strcmp(e->node_name, c->options.node->options->node_name);
}

/* Of one address in several slices, an entry that is not terminating wins. */
static bool is_outranked(const struct kube_endpoint *e, uint8_t family,
			 struct kube_slice *const *slices, size_t nslices)
{
	for (size_t i = 0; e->terminating && i < nslices; i++) {
		const struct kube_slice *s = slices[i];

		for (size_t j = 0; s->family == family && j < s->endpoints; j++)
			if (!s->endpoint[j].terminating && same(&s->endpoint[j].addr, &e->addr))
				return true;
	}
	return false;
}

/* How many addresses the family's slices have ready here. Ports do not matter: it is a Service's.
 */
static int count_ready(const struct health_checks *c, uint8_t family,
		       struct kube_slice *const *slices, size_t nslices, unsigned *ready)
{
	_cleanup_free_ union np_addr *list = NULL;
	size_t most = 0, count = 0;

	for (size_t i = 0; i < nslices; i++)
		most += slices[i]->endpoints;
	list = calloc(most ?: 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < nslices; i++) {
		const struct kube_slice *s = slices[i];

		if (s->skip || s->family != family || !s->ports)
			continue;
		for (size_t j = 0; j < s->endpoints; j++) {
			const struct kube_endpoint *e = &s->endpoint[j];

			if (e->ready && is_local(c, e) && !is_outranked(e, family, slices, nslices))
				list[count++] = e->addr;
		}
	}
	*ready = count_distinct(list, count);
	return 0;
}

/* ---- answering ---- */

static void answer(const char *path, struct http_answer *answer, void *arg)
{
	const struct ear *ear = arg;
	const struct check *check = ear->check;
	const struct health_checks_options *o = &check->checks->options;
	unsigned ready = check->ready[family_of(ear->address.family)];
	char body[1024];

	(void)path; /* any will do */
	answer->status = health_check_body(check->namespace, check->name, ready, o->healthy(o->arg),
					   body, sizeof(body));
	answer->type = "application/json";
	snprintf(answer->lines, sizeof(answer->lines),
		 "X-Content-Type-Options: nosniff\r\n"
		 "X-Load-Balancing-Endpoint-Weight: %u\r\n",
		 ready);
	evbuffer_add(answer->body, body, strlen(body));
}

/* ---- listeners ---- */

static void ear_free(struct ear **owner)
{
	struct ear *ear = TAKE_PTR(*owner);

	if (!ear)
		return;
	http_listener_free(&ear->listener);
	free(ear);
}

static void close_ears(struct check *check, bool unwanted_only)
{
	struct ear **at = &check->ears, *ear;

	while ((ear = *at)) {
		if (unwanted_only && ear->wanted) {
			at = &ear->next;
			continue;
		}
		*at = ear->next;
		ear_free(&ear);
	}
}

static void want(struct check *check, const struct http_address *address)
{
	struct ear *ear = check->ears;

	while (ear && (ear->address.family != address->family ||
		       !same(&ear->address.addr, &address->addr)))
		ear = ear->next;
	if (!ear) {
		ear = calloc(1, sizeof(*ear));
		if (!ear) /* the next change or look at the network tries again */
			return;
		ear->check = check;
		ear->address = *address;
		ear->next = check->ears;
		check->ears = ear;
	}
	ear->wanted = true;
}

/* Is every address of the family listened on, by one socket? */
static bool any_address(const struct options *o, uint8_t family)
{
	const struct cidr_list *list = &o->nodeport_addresses;

	if (o->nodeport_primary)
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (list->cidr[i].family == family && !list->cidr[i].bits)
			return true;
	return !cidr_list_first(list, family);
}

/* Which addresses are wanted now; those that are not any more are closed. */
static void aim(struct check *check)
{
	static const uint8_t families[HEALTH_FAMILIES] = {NP_IPV4, NP_IPV6};
	const struct health_checks *c = check->checks;
	struct http_address address = {.port = check->port};

	for (struct ear *ear = check->ears; ear; ear = ear->next)
		ear->wanted = false;
	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		address.family = families[i];
		address.addr = (union np_addr){};
		address.early = false;
		if (!check->has[i])
			continue;
		if (any_address(c->options.node->options, families[i])) {
			want(check, &address);
			continue;
		}
		address.early = true; /* of IPv6, while it is still tentative */
		for (struct host_address *h = c->addresses; h; h = h->next) {
			address.addr = h->addr;
			if (h->family == families[i])
				want(check, &address);
		}
	}
	close_ears(check, true);
}

/* ---- Services ---- */

static void check_free(struct check **owner)
{
	struct check *check = TAKE_PTR(*owner);

	if (!check)
		return;
	close_ears(check, false);
	free(check->key);
	free(check->namespace);
	free(check->name);
	free(check);
}

static struct check *check_new(struct health_checks *c, const char *key, const char *namespace,
			       const char *name)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->checks = c;
	check->key = strdup(key);
	check->namespace = strdup(namespace);
	check->name = strdup(name);
	if (!check->key || !check->namespace || !check->name) {
		check_free(&check);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, c->all, check->key, strlen(check->key), check);
	return check;
}

static void check_remove(struct health_checks *c, struct check *check)
{
	HASH_DEL(c->all, check);
	check_free(&check);
}

static void check_update(struct check *check, const struct kube_service *service)
{
	const struct store *store = check->checks->options.node->store;
	_cleanup_free_ struct kube_slice **slices = NULL;
	size_t count = 0;

	if (check->port != service->health_check_node_port)
		close_ears(check, false);
	check->port = service->health_check_node_port;
	check->touched = true;
	memset(check->has, 0, sizeof(check->has));
	for (size_t i = 0; i < service->cluster_ips; i++)
		check->has[family_of(service->cluster_ip[i].family)] = true;
	if (store_slices(store, check->namespace, check->name, &slices, &count) ||
	    count_ready(check->checks, NP_IPV4, slices, count, &check->ready[HEALTH_IPV4]) ||
	    count_ready(check->checks, NP_IPV6, slices, count, &check->ready[HEALTH_IPV6]))
		check->checks->options.say("no memory to count the endpoints of Service \"%s\"",
					   check->key);
	aim(check);
}

void health_checks_touch(struct health_checks *c, const char *namespace, const char *name)
{
	const struct kube_service *service = store_service(c->options.node->store, namespace, name);
	struct check *check;
	char key[520];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(c->all, key, check);
	if (!service || service->skip || !service->health_check_node_port) {
		if (check)
			check_remove(c, check);
		return;
	}
	c->dirty = true;
	check = check ?: check_new(c, key, namespace, name);
	if (check)
		check_update(check, service);
}

static void ear_open(struct ear *ear, json_t *warnings)
{
	const struct check *check = ear->check;
	const struct health_checks *c = check->checks;
	char text[64], message[900];
	int rc = http_listen(c->options.http, &ear->address, answer, ear, &ear->listener);

	if (!rc)
		return;
	snprintf(message, sizeof(message),
		 "Service \"%s\": healthCheckNodePort %u: cannot listen on %s: %s", check->key,
		 check->port, http_address_text(&ear->address, text, sizeof(text)), strerror(-rc));
	if (!ear->said)
		c->options.say("%s; it is tried again every few seconds", message);
	if (warnings && check->touched)
		json_array_append_new(warnings, json_string(message));
	ear->said = true;
}

bool health_checks_settle(struct health_checks *c, bool again, json_t *warnings)
{
	struct check *check, *next;
	bool left = false;

	if (!c->dirty && !again)
		return false;
	c->dirty = false;
	HASH_ITER (hh, c->all, check, next) {
		for (struct ear *ear = check->ears; ear; ear = ear->next) {
			if (!ear->listener)
				ear_open(ear, warnings);
			left |= !ear->listener;
		}
		check->touched = false;
	}
	return left;
}

/* ---- the host's addresses ---- */

static bool is_listed(const struct node *node, uint8_t family, const union np_addr *addr)
{
	const union np_addr *own = node_address(node, family);

	if (node->options->nodeport_primary)
		return own && same(own, addr);
	return cidr_list_has(&node->options->nodeport_addresses, family, addr);
}

void health_checks_addresses_begin(struct health_checks *c)
{
	for (struct host_address *h = c->addresses; h; h = h->next)
		h->told = false;
}

static void aim_all(struct health_checks *c)
{
	struct check *check, *next;

	HASH_ITER (hh, c->all, check, next) {
		aim(check);
	}
	c->dirty = true;
}

void health_checks_address(struct health_checks *c, uint8_t family, const union np_addr *addr)
{
	struct host_address *h = c->addresses;

	if (any_address(c->options.node->options, family) ||
	    !is_listed(c->options.node, family, addr))
		return;
	while (h && (h->family != family || !same(&h->addr, addr)))
		h = h->next;
	if (h) {
		h->told = true;
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return;
	*h = (struct host_address){.family = family, .addr = *addr, .told = true};
	h->next = c->addresses;
	c->addresses = h;
	aim_all(c);
}

void health_checks_addresses_end(struct health_checks *c)
{
	struct host_address **at = &c->addresses, *h;
	bool gone = false;

	while ((h = *at)) {
		if (h->told) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		free(h);
		gone = true;
	}
	if (gone)
		aim_all(c);
}

int health_checks_new(const struct health_checks_options *options, struct health_checks **checks)
{
	struct health_checks *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->options = *options;
	*checks = c;
	return 0;
}

void health_checks_free(struct health_checks **checks)
{
	struct health_checks *c = TAKE_PTR(*checks);
	struct check *check, *next;
	struct host_address *h;

	if (!c)
		return;
	HASH_ITER (hh, c->all, check, next) {
		check_remove(c, check);
	}
	while ((h = c->addresses)) {
		c->addresses = h->next;
		free(h);
	}
	free(c);
}
