/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * For the tests of publish.c: a publisher on real tables, services written as a few words, and
 * what programs would find. To be included after cmocka.h.
 */
#ifndef NEARPATH_SELFTESTS_UNIT_LOADER_PUBLISH_FIXTURE_H
#define NEARPATH_SELFTESTS_UNIT_LOADER_PUBLISH_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "kube_text.h"
#include "netns.h"
#include "publish.h"

#define V4(n)	 (htonl(0x0A600000 + (n))) /* 10.96.0.n */
#define WEB	 "'clusterIP':'10.96.0.1','ports':[{'name':'http','port':80}]"
#define IP(n)	 "'clusterIP':'10.96.0." n "','ports':[{'name':'http','port':80}]"
#define EXTERNAL ",'externalIPs':['192.0.2.1']"
#define NODE_PORT                                                                                  \
	"'clusterIP':'10.96.0.1','type':'NodePort','ports':[{'name':'http','port':80,"             \
	"'nodePort':30080}]"
#define SIX	   "'clusterIP':'fd00:9::1','ports':[{'name':'http','port':80}]"
#define DNS	   "'clusterIP':'10.96.0.1','ports':[{'name':'dns','port':53,'protocol':'UDP'}]"
#define LOCAL(way) ",'" way "TrafficPolicy':'Local'"

static const struct plan_node node = {
	.name = "n1", .zone = "a", .detector4 = true, .detector6 = true};
static const struct tables_options roomy = {
	.max_flows = 64, .max_services = 1024, .max_slots = 4096, .max_backends = 1024};
static const struct tables_options pinned = {.max_flows = 64,
					     .max_services = 64,
					     .max_slots = 256,
					     .max_backends = 64,
					     .bpffs = netns_bpffs};
struct fixture {
	const struct tables_options *options;
	struct tables *t;
	struct publisher *p;
	uint32_t source; /* what source() answers; 0: no route */
};

static inline int source(void *arg, uint8_t family, const union np_addr *dst,
			 struct publish_addresses *src)
{
	const struct fixture *f = arg;

	(void)family, (void)dst;
	src->addr.word[0] = f->source;
	return f->source ? 0 : -ENETUNREACH;
}

/* Loading the programs takes long: tables without pins are opened once for tests in a row. */
static struct tables *publish_tables;
static const struct tables_options *publish_tables_of;

static inline void open_tables(struct fixture *f)
{
	const char *why = "";

	if (f->options->bpffs || f->options != publish_tables_of) {
		tables_close(&publish_tables);
		if (tables_open(f->options, &publish_tables, &why))
			fail_msg("tables: %s", why);
	}
	publish_tables_of = f->options;
	f->t = publish_tables;
}

static inline void open_all(struct fixture *f)
{
	open_tables(f);
	assert_int_equal(publisher_new(f->t, source, f, &f->p), 0);
}

static inline void close_all(struct fixture *f)
{
	publisher_free(&f->p);
	assert_null(f->p);
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->options = *state;
	f->source = htonl(0xC0000207);
	*state = f;
	open_all(f);
	return 0;
}

/* As if nothing had ever been published. */
static inline void empty_tables(struct fixture *f)
{
#define X(name, type) memset(f->t->name, 0, f->t->size[TABLE_##name] * sizeof(type));
	X(frontends, struct np_bucket)
	X(services, struct np_service)
	X(slots, struct np_slots)
	X(backends, struct np_backend)
#undef X
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	if (f->options->bpffs)
		assert_int_equal(tables_unpin(f->options->bpffs), 0);
	empty_tables(f);
	free(f);
	return 0;
}

struct made {
	char namespace[64], name[64];
	struct plan **plans;
	size_t count;
};

static inline void free_made(struct made *made)
{
	for (size_t i = 0; i < made->count; i++)
		plan_free(&made->plans[i]);
	free(made->plans);
}
#define _cleanup_made_ _cleanup_(free_made)

/* "1L 2a 3b 4": last part of the address, then local, zone a (the node's), zone b, or neither. */
static inline void endpoints_text(const char *endpoints, bool six, char *text, size_t size)
{
	unsigned long last;
	char *next, where;
	size_t n = 0;

	for (text[0] = '\0'; *endpoints; endpoints = next + strspn(next, " LabT")) {
		last = strtoul(endpoints, &next, 10);
		where = *next;
		n += snprintf(text + n, size - n, "%s{'addresses':['%s%lu']%s%s}", n ? "," : "",
			      six ? "fd00:1::" : "10.1.0.", last,
			      where == 'L' ? ",'nodeName':'n1'" : "",
			      where == 'a'   ? ",'zone':'a'"
			      : where == 'b' ? ",'zone':'b'"
					     : "");
	}
}

/* key: namespace/name. */
static inline struct made make(const char *key, const char *spec, const char *endpoints)
{
	static const char service_text[] = "{'apiVersion':'v1','kind':'Service','metadata':"
					   "{'namespace':'%s','name':'%s'},'spec':{%s}}";
	static const char slice_text[] =
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"
		"{'namespace':'ns','name':'x'},'addressType':'%s','endpoints':[%s],'ports':["
		"{'name':'http','port':8080},{'name':'dns','port':1053,'protocol':'UDP'}]}";
	struct made made = {.count = 0};
	bool six = strstr(spec ?: "", "fd00");
	struct kube_object *service, *slice;
	struct kube_slice *slices[1];
	char list[2048], text[8192];

	assert_int_equal(sscanf(key, "%63[^/]/%63s", made.namespace, made.name), 2);
	if (!spec)
		return made;
	snprintf(text, sizeof(text), service_text, made.namespace, made.name, spec);
	service = parse(text);
	endpoints_text(endpoints, six, list, sizeof(list));
	snprintf(text, sizeof(text), slice_text, six ? "IPv6" : "IPv4", list);
	slice = parse(text);
	slices[0] = &slice->slice;
	assert_int_equal(plan_make(&node, &service->service, slices, 1, &made.plans, &made.count),
			 0);
	kube_free(&service);
	kube_free(&slice);
	return made;
}

/* spec NULL removes. */
static inline int publish(struct fixture *f, const char *key, const char *spec,
			  const char *endpoints)
{
	_cleanup_made_ struct made made = make(key, spec, endpoints);

	return publish_service(f->p, made.namespace, made.name, made.plans, made.count);
}
#define PUBLISH(...)   assert_int_equal(publish(__VA_ARGS__), 0)
#define REMOVE(f, key) assert_int_equal(publish(f, key, NULL, NULL), 0)

/* As a program looks: the filter of addresses, two buckets by the hash, the tag, then the key of
 * the version. */
static const struct np_service *find(const struct tables *t, int family, const union np_addr *addr,
				     __be16 port, uint8_t protocol, uint64_t **entry)
{
	struct np_hash h = np_hash_frontend(t->config->hash_key, family, addr, port, protocol);
	struct np_filter_place known = np_address_place(t->config->hash_key, family, addr);
	uint32_t at = h.bucket;

	known.word &= t->size[TABLE_address_filter] - 1;
	if (!(t->address_filter[known.word].bits & known.bit))
		return NULL;
	for (int side = 0; side < 2; side++, at = np_hash_other_bucket(h.bucket, h.tag)) {
		__u64 *bucket = t->frontends[at & (t->size[TABLE_frontends] - 1)].entry;

		for (int i = 0; i < NP_BUCKET; i++) {
			const struct np_service *s = &t->services[(uint32_t)bucket[i]];

			if (bucket[i] >> 32 == h.tag && !memcmp(&s->addr, addr, sizeof(*addr)) &&
			    s->port == port && s->protocol == protocol && s->family == family) {
				if (entry)
					*entry = (uint64_t *)&bucket[i];
				return s;
			}
		}
	}
	return NULL;
}

static inline const struct np_service *find4(struct fixture *f, __be32 ip, uint16_t port,
					     uint64_t **entry)
{
	union np_addr addr = {.word = {ip}};

	return find(f->t, NP_IPV4, &addr, htons(port), IPPROTO_TCP, entry);
}

static const struct np_backend *backend_of(struct fixture *f, const struct np_policy *p, uint32_t n)
{
	uint32_t number;

	assert_true(n < p->count && p->slot + p->count <= tables_slots(f->t));
	number = *tables_slot(f->t, p->slot + n);
	assert_true(number < f->t->size[TABLE_backends]);
	return &f->t->backends[number];
}

/* The entry of the run that is this endpoint; runs are ascending by number, whatever the plan's. */
static inline const struct np_backend *entry_of(struct fixture *f, const struct np_policy *p,
						const struct plan_backend *pb)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct np_backend *b = backend_of(f, p, i);

		if (i)
			assert_true(*tables_slot(f->t, p->slot + i - 1) <=
				    *tables_slot(f->t, p->slot + i));
		if (!memcmp(&b->addr, &pb->addr, sizeof(b->addr)) && b->port == pb->port)
			return b;
	}
	fail_msg("a backend is not in its run");
	return NULL;
}

static inline void assert_policy(struct fixture *f, const struct plan *plan,
				 const struct np_policy *has, const struct plan_policy *wanted)
{
	const struct plan_choice choice = plan_choice(plan, wanted);

	assert_int_equal(has->verdict, wanted->verdict);
	assert_int_equal(has->snat, wanted->snat);
	assert_int_equal(has->count, choice.count);
	for (uint32_t i = 0; i < has->count; i++) {
		const struct plan_backend *pb = &plan->backend[choice.backend[i]];
		const struct np_backend *b = entry_of(f, has, pb);

		assert_int_equal(b->family, plan->family);
		assert_int_equal(b->flags, NP_BACKEND_USED | (pb->local ? NP_BACKEND_LOCAL : 0));
		assert_int_equal(b->zone, pb->zone);
	}
}

/* Returns how many of its frontends are its own; all others must be another's, if shared is set. */
static inline uint32_t check(struct fixture *f, const char *key, const char *spec,
			     const char *endpoints, bool shared)
{
	_cleanup_made_ struct made made = make(key, spec, endpoints);
	uint32_t own = 0;

	for (size_t i = 0; i < made.count; i++) {
		for (size_t j = 0; j < made.plans[i]->frontends; j++) {
			const struct plan_frontend *pf = &made.plans[i]->frontend[j];
			const struct np_service *s = find(f->t, made.plans[i]->family, &pf->addr,
							  pf->port, made.plans[i]->protocol, NULL);

			assert_non_null(s);
			if (shared && !publish_has(f->p, made.plans[i], pf))
				continue;
			assert_true(publish_has(f->p, made.plans[i], pf));
			for (int class = 0; class < NP_CLASSES; class ++)
				assert_policy(f, made.plans[i], &s->policy[class],
					      &pf->policy[class]);
			own++;
		}
	}
	return own;
}
#define CHECK(f, ...) assert_true(check(f, __VA_ARGS__, false) > 0)

static inline void assert_empty(struct fixture *f)
{
	for (uint32_t i = 0; i < f->t->size[TABLE_frontends]; i++)
		for (int j = 0; j < NP_BUCKET; j++)
			assert_int_equal(f->t->frontends[i].entry[j], 0);
	for (uint32_t i = 0; i < f->t->size[TABLE_backends]; i++)
		assert_int_equal(f->t->backends[i].flags, 0);
	assert_int_equal(publish_used(f->p, TABLE_frontends), 0);
	assert_int_equal(publish_used(f->p, TABLE_services), 0);
	assert_int_equal(publish_used(f->p, TABLE_slots), 0);
	assert_int_equal(publish_used(f->p, TABLE_backends), 0);
}

static inline void *copy_of(const struct tables *t, enum table table, const void *memory)
{
	size_t size = t->size[table] * tables_value_size(table);
	void *copy = malloc(size);

	assert_non_null(copy);
	return memcpy(copy, memory, size);
}

#define TEST(name, options)                                                                        \
	cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, (void *)&(options))

#endif
