/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See world.h. Services go the way they go in the daemon: objects, plans, publish. */
#include "world.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "kube.h"
#include "plan.h"
#include "publish.h"
#include "util.h"

/* Number n of a row of addresses of either family. */
static union np_addr address(int family, uint32_t four, uint32_t six, uint32_t number)
{
	union np_addr addr = {};

	if (family == NP_IPV4) {
		addr.v4 = htonl(four + number);
	} else {
		addr.word[0] = htonl(0xFD000010);
		addr.word[1] = htonl(six << 16);
		addr.word[3] = htonl(number);
	}
	return addr;
}

static bool is_pod(unsigned client)
{
	return client % 2 == 0;
}

/* Pods are 10.244.0.0/16 and fd00:10:244::/48. */
static union np_addr client_addr(int family, unsigned client)
{
	return is_pod(client) ? address(family, 0x0AF40105, 0x244, client)
			      : address(family, 0xC000020A, 0xC, client + 1);
}

union np_addr frontend_addr(int family, unsigned frontend)
{
	return frontend % 2 ? address(family, 0xC6336407, 0xE, frontend + 1)
			    : address(family, 0x0A60000A, 0x96, frontend + 1);
}

/* The last one is on this node. */
static union np_addr backend_addr(int family, unsigned backend)
{
	return address(family, 0x0AF4021E, 0x244, 0x200 + backend);
}

union np_addr snat_addr(int family)
{
	return address(family, 0x0AF40101, 0x244, 0x101);
}

struct end client_end(int family, unsigned client, unsigned port)
{
	return (struct end){client_addr(family, client), 40000 + client * CLIENT_PORTS + port};
}

struct end frontend_end(int family, unsigned frontend)
{
	return (struct end){frontend_addr(family, frontend), 80 + frontend / 2};
}

struct end backend_end(int family, unsigned backend)
{
	return (struct end){backend_addr(family, backend), 8080 + backend};
}

static bool is_at(const struct end *end, union np_addr addr)
{
	return !memcmp(&end->addr, &addr, sizeof(addr));
}

int client_of(int family, const struct end *end)
{
	unsigned client = (end->port - 40000U) / CLIENT_PORTS;

	return client < CLIENTS && is_at(end, client_addr(family, client)) ? (int)client : -1;
}

int frontend_of(int family, const struct end *end)
{
	unsigned frontend = (end->port - 80U) * 2;

	if (frontend >= FRONTENDS)
		return -1;
	if (is_at(end, frontend_addr(family, frontend)))
		return frontend;
	return is_at(end, frontend_addr(family, frontend + 1)) ? (int)frontend + 1 : -1;
}

int backend_of(int family, const struct end *end)
{
	unsigned backend = end->port - 8080U;

	return backend < BACKENDS && is_at(end, backend_addr(family, backend)) ? (int)backend : -1;
}

bool is_translated(unsigned client, unsigned frontend)
{
	return !is_pod(client) || frontend % 2;
}

bool may_serve(unsigned frontend, unsigned backend)
{
	return (backend + BACKENDS - frontend / 2) % BACKENDS < SERVES;
}

static struct publisher *publisher;

static int source(void *arg, uint8_t family, const union np_addr *dst,
		  struct publish_addresses *src)
{
	(void)arg, (void)dst;
	src->addr = snat_addr(family);
	return 0;
}

static json_t *address_text(union np_addr addr, int family)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, &addr, text, sizeof(text));
	return json_string(text);
}

static json_t *both(unsigned frontend)
{
	return json_pack("[o, o]", address_text(frontend_addr(NP_IPV4, frontend), NP_IPV4),
			 address_text(frontend_addr(NP_IPV6, frontend), NP_IPV6));
}

static json_t *service_object(unsigned s, const char *name)
{
	return json_pack(
		"{s:s, s:s, s:{s:s, s:s}, s:{s:o, s:o, s:[{s:s, s:s, s:i}, {s:s, s:s, s:i}]}}",
		"apiVersion", "v1", "kind", "Service", "metadata", "namespace", "test", "name",
		name, "spec", "clusterIPs", both(2 * s), "externalIPs", both(2 * s + 1), "ports",
		"name", "t", "protocol", "TCP", "port", (int)(80 + s), "name", "u", "protocol",
		"UDP", "port", (int)(80 + s));
}

/* One slice a backend, since each listens on a port of its own. */
static json_t *slice_object(unsigned backend, int family, const char *service)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%u-%d", service, backend, family);
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:s, s:[{s:[o], s:s}],"
			 " s:[{s:s, s:s, s:i}, {s:s, s:s, s:i}]}",
			 "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata",
			 "namespace", "test", "name", name, "labels", "kubernetes.io/service-name",
			 service, "addressType", family == NP_IPV4 ? "IPv4" : "IPv6", "endpoints",
			 "addresses", address_text(backend_addr(family, backend), family),
			 "nodeName", backend == BACKENDS - 1 ? "node1" : "node2", "ports", "name",
			 "t", "protocol", "TCP", "port", (int)(8080 + backend), "name", "u",
			 "protocol", "UDP", "port", (int)(8080 + backend));
}

static struct kube_object *parse(json_t *json)
{
	struct kube_object *object = NULL;
	struct kube_error error = {};

	if (!json || kube_parse(json, &object, &error))
		fprintf(stderr, "%s: %s: %s\n", error.object, error.path, error.reason);
	json_decref(json);
	return object;
}

static int publish_one(unsigned s, unsigned version)
{
	const struct plan_node node = {
		.name = "node1", .zone = "zone1", .detector4 = true, .detector6 = true};
	struct kube_object *objects[2 * SERVES] = {}, *service;
	struct kube_slice *slices[2 * SERVES];
	_cleanup_free_ struct plan **plans = NULL;
	size_t nslices = 0, count = 0;
	char name[16];
	int rc = -EINVAL;

	snprintf(name, sizeof(name), "s%u", s);
	service = parse(service_object(s, name));
	for (unsigned i = 0; i < SERVES; i++) {
		for (int family = NP_IPV4; family <= NP_IPV6; family += 2) {
			if (i == (version + s) % SERVES)
				continue;
			objects[nslices] = parse(slice_object((s + i) % BACKENDS, family, name));
			if (!objects[nslices])
				return -EINVAL;
			slices[nslices] = &objects[nslices]->slice;
			nslices++;
		}
	}
	if (service)
		rc = plan_make(&node, &service->service, slices, nslices, &plans, &count);
	if (!rc)
		rc = publish_service(publisher, "test", name, plans, count);
	kube_free(&service);
	for (size_t i = 0; i < nslices; i++)
		kube_free(&objects[i]);
	return rc;
}

int world_publish(struct tables *t, unsigned version)
{
	int rc = publisher ? 0 : publisher_new(t, source, NULL, &publisher);

	for (unsigned s = 0; s < SERVICES && !rc; s++)
		rc = publish_one(s, version);
	return rc;
}
