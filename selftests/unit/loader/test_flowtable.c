/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Flows inserted, found and ended from user space, in tables of the kernel's. */
#include "flowtable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#define RECORDS 64

static struct tables *t;

static union np_addr address(int family, unsigned last)
{
	union np_addr addr = {};

	addr.word[family == NP_IPV4 ? 0 : 3] = htonl(0x0A000000 | last);
	return addr;
}

/* Flow n: client 10.0.0.n, port 1000 + n, by 10.0.0.200:80 to 10.0.0.100:8080. */
static struct flowtable_flow make(int family, unsigned n, uint16_t flags)
{
	struct flowtable_flow f = {
		.family = family,
		.protocol = IPPROTO_TCP,
		.state = NP_FLOW_TCP_ESTABLISHED,
		.flags = flags,
		.seen = tables_jiffies(),
		.born = tables_jiffies() - 5,
		.service = 7,
		.backend = 3,
		.port = {htons(1000 + n), htons(80), htons(8080), htons(1000 + n)},
		.addr = {address(family, n), address(family, 200), address(family, 100),
			 address(family, n)}};

	if (flags & NP_FLOW_TRANSLATED)
		f.addr[NP_SNAT] = address(family, 150);
	return f;
}

/* Its tuple by a name: see the table in maps/flow.h. */
static struct flowtable_tuple tuple(const struct flowtable_flow *f, enum np_name name)
{
	static const enum np_place ends[NP_NAMES][2] = {
		[NP_NAME_FORWARD] = {NP_CLIENT, NP_FRONTEND},
		[NP_NAME_SNAT] = {NP_CLIENT, NP_BACKEND},
		[NP_NAME_UNSNAT] = {NP_BACKEND, NP_SNAT},
		[NP_NAME_REPLY] = {NP_BACKEND, NP_CLIENT},
	};
	enum np_place src = ends[name][0], dst = ends[name][1];
	struct flowtable_tuple u = {.family = f->family,
				    .protocol = f->protocol,
				    .src = f->addr[src],
				    .dst = f->addr[dst],
				    .src_port = f->port[src],
				    .dst_port = f->port[dst]};

	if (name == NP_NAME_SNAT)
		u.src_port = f->port[NP_SNAT];
	if (name == NP_NAME_REPLY)
		u.dst_port = f->port[NP_SNAT];
	return u;
}

static int find(const struct flowtable_flow *f, enum np_name name, struct flowtable_hit *hit)
{
	struct flowtable_tuple u = tuple(f, name);
	bool ingress = name == NP_NAME_FORWARD || name == NP_NAME_UNSNAT;

	return flowtable_find(t, &u, ingress ? NP_HASH_INGRESS : NP_HASH_EGRESS, hit);
}

static int setup(void **state)
{
	const struct tables_options o = {.max_flows = RECORDS,
					 .max_services = 16,
					 .max_slots = 16,
					 .max_backends = 16,
					 .snat_port_first = 20000,
					 .snat_port_count = 1000};
	const char *why;

	(void)state;
	if (tables_open(&o, &t, &why))
		fail_msg("%s", why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tables_close(&t);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	memset(t->flows4, 0, RECORDS * sizeof(*t->flows4));
	memset(t->flows6, 0, RECORDS * sizeof(*t->flows6));
	memset(t->flow_index4, 0, RECORDS * sizeof(*t->flow_index4));
	memset(t->flow_index6, 0, RECORDS * sizeof(*t->flow_index6));
	return 0;
}

static void found_by_its_names(int family, uint16_t flags, unsigned names)
{
	struct flowtable_flow f = make(family, 1, flags), got;
	struct flowtable_hit hit;
	uint32_t number, seq;

	assert_int_equal(flowtable_insert(t, &f, &number), 0);
	for (unsigned name = 0; name < NP_NAMES; name++) {
		if (!(names & 1U << name)) {
			assert_int_equal(find(&f, name, &hit), -ENOENT);
			continue;
		}
		assert_int_equal(find(&f, name, &hit), 0);
		assert_int_equal(hit.name, name);
		assert_int_equal(hit.number, number);
	}
	assert_int_equal(flowtable_read(t, family, number, &got, &seq), 0);
	assert_memory_equal(got.addr, f.addr, sizeof(f.addr));
	assert_memory_equal(got.port, f.port, sizeof(f.port));
	assert_int_equal(got.state, f.state);
	assert_int_equal(got.flags, f.flags);
	assert_int_equal(got.seen, f.seen);
	assert_int_equal(got.born, f.born);
	assert_int_equal(flowtable_insert(t, &f, NULL), -EEXIST);
	assert_int_equal(flowtable_end(t, family, number, seq + 2), -ESTALE);
	assert_int_equal(flowtable_end(t, family, number, seq), 0);
	assert_int_equal(flowtable_end(t, family, number, seq), -ESTALE);
	assert_int_equal(flowtable_read(t, family, number, &got, NULL), -ENOENT);
	for (unsigned name = 0; name < NP_NAMES; name++)
		assert_int_equal(find(&f, name, &hit), -ENOENT);
	for (size_t i = 0; i < RECORDS; i++)
		for (size_t k = 0; k < NP_BUCKET; k++)
			assert_int_equal(
				(family == NP_IPV4 ? t->flow_index4 : t->flow_index6)[i].entry[k],
				0);
	assert_int_equal(flowtable_insert(t, &f, NULL), 0);
}

static void inserted_found_ended(void **state)
{
	const unsigned two = 1U << NP_NAME_FORWARD | 1U << NP_NAME_REPLY, four = 0xF;

	for (int family = NP_IPV4; family <= NP_IPV6; family += 2) {
		found_by_its_names(family, NP_FLOW_REMOTE, two);
		empty(state);
		found_by_its_names(family, NP_FLOW_TRANSLATED, four);
	}
}

/* A second frontend of the same client port to the same backend: the reply's name is taken. */
static void refused_whole(void **state)
{
	struct flowtable_flow f = make(NP_IPV4, 1, 0), g = f;
	struct flowtable_hit hit;

	(void)state;
	g.addr[NP_FRONTEND] = address(NP_IPV4, 201);
	assert_int_equal(flowtable_insert(t, &f, NULL), 0);
	assert_int_equal(flowtable_insert(t, &g, NULL), -EEXIST);
	assert_int_equal(find(&g, NP_NAME_FORWARD, &hit), -ENOENT);
	assert_int_equal(find(&f, NP_NAME_REPLY, &hit), 0);
	for (uint32_t i = 0; i < RECORDS; i++)
		assert_int_equal(t->flows4[i].flow.seq & 1, 0);
	g.port[NP_SNAT] = htons(20001);
	assert_int_equal(flowtable_insert(t, &g, NULL), 0);
	g.state = NP_FLOW_FREE;
	assert_int_equal(flowtable_insert(t, &g, NULL), -EINVAL);
}

/* One that was superseded has its names until they are wanted, whatever the time since its last
 * packet. */
static void free_gives_its_names(void **state)
{
	struct flowtable_flow f = make(NP_IPV4, 1, 0), g = f;
	struct flowtable_hit hit;
	uint32_t number;

	(void)state;
	assert_int_equal(flowtable_insert(t, &f, &number), 0);
	t->flows4[number].flow.state = NP_FLOW_FREE;
	t->flows4[number].flow.seen += tables_hertz();
	/* From another port, so that it does not look for its record there. */
	g.port[NP_CLIENT] = htons(ntohs(g.port[NP_CLIENT]) + 7);
	g.addr[NP_FRONTEND] = address(NP_IPV4, 201);
	assert_int_equal(flowtable_insert(t, &g, NULL), 0);
	assert_int_equal(find(&g, NP_NAME_REPLY, &hit), 0);
	assert_int_equal(find(&f, NP_NAME_FORWARD, &hit), -ENOENT);
}

/* Every record is used, wherever the hands stand, and no live one is taken for another. */
static void full(void **state)
{
	struct flowtable_flow f;
	unsigned n;

	(void)state;
	for (n = 0; n < RECORDS; n++) {
		f = make(NP_IPV6, n, 0);
		assert_int_equal(flowtable_insert(t, &f, NULL), 0);
	}
	f = make(NP_IPV6, RECORDS, 0);
	assert_int_equal(flowtable_insert(t, &f, NULL), -ENOSPC);
	t->flows6[17].flow.state = NP_FLOW_TCP_CLOSE;
	assert_int_equal(flowtable_insert(t, &f, &n), 0);
	assert_int_equal(n, 17);
}

static void expires_by_its_state(void **state)
{
	struct flowtable_flow f = make(NP_IPV4, 1, 0);
	uint32_t timeout = t->settings->flow_timeout[f.state], n;

	(void)state;
	assert_int_equal(flowtable_insert(t, &f, &n), 0);
	assert_int_equal(flowtable_expire(t, NP_IPV4, n), -EAGAIN);
	t->flows4[n].flow.seen -= timeout + 2 * tables_hertz();
	assert_int_equal(flowtable_expire(t, NP_IPV4, n), 0);
	assert_int_equal(flowtable_expire(t, NP_IPV4, n), -ENOENT);
	assert_int_equal(flowtable_expire(t, NP_IPV4, RECORDS), -ENOENT);
}

/* What packets made of it elsewhere is so here, unless packets have come here as well. */
static void follows_what_goes_on_elsewhere(void **state)
{
	struct flowtable_flow f = make(NP_IPV4, 1, NP_FLOW_REMOTE | NP_FLOW_STACK), now = f;
	struct flowtable_hit hit;
	uint32_t n;

	(void)state;
	f.state = NP_FLOW_TCP_SYN_RECV;
	now.state = NP_FLOW_TCP_ESTABLISHED;
	now.flags = NP_FLOW_REMOTE;
	assert_int_equal(flowtable_insert(t, &f, &n), 0);
	assert_int_equal(find(&f, NP_NAME_FORWARD, &hit), 0);
	flowtable_follow(t, NP_IPV4, n, t->flows4[n].flow.seq, f.state, &now);
	assert_int_equal(t->flows4[n].flow.state, NP_FLOW_TCP_ESTABLISHED);
	assert_int_equal(t->flows4[n].flow.flags & ~NP_FLOW_LIFE, NP_FLOW_REMOTE);
	now.state = NP_FLOW_TCP_CLOSE;
	flowtable_follow(t, NP_IPV4, n, t->flows4[n].flow.seq, f.state, &now);
	assert_int_equal(t->flows4[n].flow.state, NP_FLOW_TCP_ESTABLISHED);
}

/* A writer died: in the middle of ending one flow, and before another was published. */
static void dead_writers_leave_nothing(void **state)
{
	struct flowtable_flow f = make(NP_IPV6, 1, NP_FLOW_TRANSLATED), g = make(NP_IPV6, 2, 0);
	struct flowtable_hit hit;
	uint32_t n, live;

	(void)state;
	assert_int_equal(flowtable_recover(t), 0);
	assert_int_equal(flowtable_insert(t, &f, &n), 0);
	assert_int_equal(flowtable_insert(t, &g, &live), 0);
	t->flows6[n].flow.seq++;
	assert_int_equal(find(&f, NP_NAME_FORWARD, &hit), -ENOENT);
	assert_int_equal(flowtable_insert(t, &f, NULL), -EBUSY);
	assert_int_equal(flowtable_recover(t), 1);
	assert_int_equal(flowtable_recover(t), 0);
	assert_int_equal(t->flows6[n].flow.seq & 1, 0);
	assert_int_equal(find(&g, NP_NAME_REPLY, &hit), 0);
	assert_int_equal(hit.number, live);
	assert_int_equal(flowtable_insert(t, &f, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(inserted_found_ended, empty),
		cmocka_unit_test_setup(refused_whole, empty),
		cmocka_unit_test_setup(free_gives_its_names, empty),
		cmocka_unit_test_setup(full, empty),
		cmocka_unit_test_setup(expires_by_its_state, empty),
		cmocka_unit_test_setup(follows_what_goes_on_elsewhere, empty),
		cmocka_unit_test_setup(dead_writers_leave_nothing, empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
