/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tables of another version, read by names: this version's own under another number, so that what
 * is read can be compared with what was written. Moving flows out of them, and what killed daemons
 * leave. Layouts that differ are the upgrade test's.
 */
#include "layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "move.h"
#include "netns.h"

static struct tables *t; /* as the other version has them mapped */
static struct layout *l;
static const char *why;

static const struct tables_options sizes = {.max_flows = 64,
					    .max_services = 64,
					    .max_slots = 64,
					    .max_backends = 64,
					    .max_affinity = 16,
					    .snat_port_first = 20000,
					    .snat_port_count = 1000};

static const char *path(const char *name)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s/%s", netns_bpffs, name);
	return text;
}

static void open_other(void)
{
	struct tables_options o = sizes;
	char own[200];

	o.bpffs = netns_bpffs;
	assert_int_equal(tables_open(&o, &t, &why), 0);
	assert_true(tables_alive(netns_bpffs));
	snprintf(own, sizeof(own), "%s", t->dir);
	assert_int_equal(rename(own, path("abi-99")), 0);
	assert_false(tables_alive(netns_bpffs));
}

static int set_up(void **state)
{
	(void)state;
	open_other();
	assert_int_equal(layout_find(netns_bpffs, path("links"), &l, &why), 0);
	assert_non_null(l);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	layout_free(&l);
	tables_close(&t);
	return tables_unpin(netns_bpffs);
}

/* Flow n of a family, each different in every field. */
static struct flowtable_flow make(int family, uint32_t n)
{
	struct flowtable_flow f = {
		.family = family,
		.protocol = n % 2 ? IPPROTO_TCP : IPPROTO_UDP,
		.state = n % 2 ? NP_FLOW_TCP_CLOSE_WAIT : NP_FLOW_UDP_STREAM,
		.flags = NP_FLOW_REMOTE | (n % 3 ? NP_FLOW_TRANSLATED : 0),
		.seen = tables_jiffies() - n,
		.born = 1000 + n,
		.service = 7 + n,
		.backend = 3 + n,
		.port = {htons(1000 + n), htons(80), htons(8080), htons(20000 + n)},
	};

	for (int i = 0; i < NP_PLACES; i++) {
		f.addr[i].word[0] = htonl(0x0A000000 | i << 8 | n);
		f.addr[i].word[3] = family == NP_IPV6 ? htonl(i + 1) : 0;
	}
	return f;
}

static uint32_t insert(struct tables *to, int family, uint32_t n)
{
	struct flowtable_flow f = make(family, n);
	uint32_t number;

	assert_int_equal(flowtable_insert(to, &f, &number), 0);
	return number;
}

static uint32_t names_left(int family)
{
	uint32_t left = 0;

	for (uint32_t n = 0; n < layout_records(l, family); n++)
		left += layout_clean(l, family, n);
	return left;
}

static void it_is_found_with_its_key_and_phase(void **state)
{
	(void)state;
	assert_int_equal(l->version, 99);
	assert_memory_equal(l->hash_key, t->hash_key, sizeof(t->hash_key));
	assert_int_equal(layout_handover(l), NP_HANDOVER_NONE);
	layout_set_handover(l, NP_HANDOVER_KNOWN);
	assert_int_equal(t->config->handover, NP_HANDOVER_KNOWN);
}

static void flows_are_read_and_ended(void **state)
{
	(void)state;
	for (int family = NP_IPV4; family <= NP_IPV6; family += NP_IPV6 - NP_IPV4) {
		for (uint32_t n = 1; n < 5; n++) {
			uint32_t number = insert(t, family, n), seq;
			struct flowtable_flow was = make(family, n), is;

			memset(&is, 0, sizeof(is));
			assert_int_equal(layout_read(l, family, number, &is, &seq), 0);
			was.seen = is.seen; /* the tick may have come */
			assert_int_equal(was.state, is.state);
			assert_int_equal(was.flags, is.flags);
			assert_int_equal(was.born, is.born);
			assert_int_equal(was.service, is.service);
			assert_int_equal(was.backend, is.backend);
			assert_memory_equal(was.port, is.port, sizeof(is.port));
			assert_memory_equal(was.addr, is.addr, sizeof(is.addr));
			assert_int_equal(names_left(family), n % 3 ? 4 : 2);
			assert_int_equal(layout_end(l, family, number, seq), 0);
			assert_int_equal(layout_end(l, family, number, seq), -ESTALE);
			assert_int_equal(layout_read(l, family, number, &is, &seq), -ENOENT);
			assert_int_equal(names_left(family), 0);
		}
	}
}

/* A name whose record does not know of it would keep the other version for ever. */
static void names_of_no_flow_are_removed(void **state)
{
	uint32_t number = insert(t, NP_IPV4, 1);

	(void)state;
	t->flows4[number].flow.index[NP_NAME_FORWARD] = 0;
	assert_int_equal(names_left(NP_IPV4), 3);
	t->flows4[number].flow.state = NP_FLOW_FREE;
	assert_int_equal(names_left(NP_IPV4), 0);
}

/* A flow that a SYN superseded: the programs of these tables may be about to take the record over.
 */
static void names_of_a_free_record_go_with_its_seq(void **state)
{
	uint32_t number = insert(t, NP_IPV4, 1);
	struct np_flow *flow = &t->flows4[number].flow;
	uint32_t seq = flow->seq;

	(void)state;
	flow->state = NP_FLOW_FREE;
	assert_int_equal(names_left(NP_IPV4), 0);
	assert_int_equal(flow->seq, seq + 2);
	for (int name = 0; name < NP_NAMES; name++)
		assert_int_equal(flow->index[name], 0);
}

/* Claimed by one that was killed, with names: nobody could have these again. */
static void what_the_killed_had_claimed_is_freed(void **state)
{
	uint32_t here = insert(t, NP_IPV6, 1);

	(void)state;
	insert(t, NP_IPV6, 2);
	t->flows6[here].flow.seq++;
	assert_int_equal(move_repair(l), 0);
	assert_int_equal(t->flows6[here].flow.seq % 2, 0);
	assert_int_equal(names_left(NP_IPV6), 4);
	here = insert(t, NP_IPV6, 1);
	t->flows6[here].flow.seq++;
	assert_int_equal(flowtable_recover(t), 1);
	assert_int_equal(flowtable_recover(t), 0);
	insert(t, NP_IPV6, 1);
}

static int no_source(void *arg, uint8_t family, const union np_addr *dst,
		     struct publish_addresses *src)
{
	(void)arg, (void)family, (void)dst, (void)src;
	return -ENETUNREACH;
}

static uint32_t count(struct tables *tables, int family)
{
	struct flowtable_flow flow;
	uint32_t n, found = 0;

	for (n = 0; n < tables->size[TABLE_flows4]; n++)
		found += !flowtable_read(tables, family, n, &flow, NULL);
	return found;
}

static void pass(struct move *m)
{
	int rc;

	do
		rc = move_slice(m);
	while (rc > 0);
	assert_int_equal(rc, 0);
}

static void flows_are_moved_once_and_whole(void **state)
{
	struct publisher *p = NULL;
	struct tables *to = NULL;
	struct move m = {.from = l};
	struct flowtable_flow expired = make(NP_IPV4, 30), other = make(NP_IPV4, 2);

	(void)state;
	assert_int_equal(tables_open(&sizes, &to, &why), 0);
	assert_int_equal(publisher_new(to, no_source, NULL, &p), 0);
	m.to = to;
	m.publisher = p;
	for (uint32_t n = 1; n < 5; n++) {
		insert(t, NP_IPV4, n);
		insert(t, NP_IPV6, n);
	}
	expired.seen -= to->settings->flow_timeout[expired.state] + 100;
	assert_int_equal(flowtable_insert(t, &expired, NULL), 0);
	insert(to, NP_IPV4, 1); /* by a daemon that was killed before it ended it there */
	other.port[NP_SNAT]++;	/* one that has a name of another: it has to wait */
	assert_int_equal(flowtable_insert(to, &other, NULL), 0);
	pass(&m);
	assert_int_equal(count(to, NP_IPV4), 4);
	assert_int_equal(count(to, NP_IPV6), 4);
	assert_int_equal(count(t, NP_IPV4), 1);
	assert_int_equal(count(t, NP_IPV6), 0);
	assert_int_equal(m.stuck, 1);
	assert_int_equal(m.left, 4);
	memset(to->flows4, 0, 64 * sizeof(*to->flows4)); /* it is over */
	memset(to->flow_index4, 0, 64 * sizeof(*to->flow_index4));
	pass(&m);
	assert_int_equal(m.stuck, 0);
	assert_int_equal(m.left, 0);
	assert_int_equal(count(t, NP_IPV4), 0);
	publisher_free(&p);
	tables_close(&to);
}

int __real_tables_synchronize(void);
int __wrap_tables_synchronize(void);
static struct tables *superseded_for; /* NULL: nothing happens in a grace period */

/* Of every test: what a program of before does in the grace period, a client's next flow begun. */
int __wrap_tables_synchronize(void)
{
	if (superseded_for) {
		assert_int_equal(count(superseded_for, NP_IPV4), 1);
		for (uint32_t n = 0; n < sizes.max_flows; n++)
			t->flows4[n].flow.state = NP_FLOW_FREE;
	}
	return __real_tables_synchronize();
}

/* Between the copy and the end of the original. */
static void what_is_superseded_meanwhile_is_not_moved(void **state)
{
	struct publisher *p = NULL;
	struct tables *to = NULL;
	struct move m = {.from = l};

	(void)state;
	assert_int_equal(tables_open(&sizes, &to, &why), 0);
	assert_int_equal(publisher_new(to, no_source, NULL, &p), 0);
	m.to = to;
	m.publisher = p;
	insert(t, NP_IPV4, 1);
	superseded_for = to;
	pass(&m);
	superseded_for = NULL;
	assert_int_equal(count(to, NP_IPV4), 0);
	assert_int_equal(names_left(NP_IPV4), 0);
	publisher_free(&p);
	tables_close(&to);
}

static void what_is_not_alive_is_removed(void **state)
{
	struct layout *found = NULL;

	(void)state;
	assert_int_equal(mkdir(path("abi-98"), 0700), 0);
	assert_int_equal(bpf_obj_pin(t->fd[TABLE_flows4], path("abi-98/flows4")), 0);
	assert_int_equal(layout_find(netns_bpffs, path("links"), &found, &why), 0);
	assert_int_equal(access(path("abi-98"), F_OK), -1);
	assert_int_equal(layout_remove(found), 0);
	layout_free(&found);
	assert_int_equal(layout_find(netns_bpffs, path("links"), &found, &why), 0);
	assert_null(found);
}

static void what_cannot_be_read_is_refused(void **state)
{
	struct layout *found = NULL;

	(void)state;
	assert_int_equal(mkdir(path("abi-98"), 0700), 0);
	assert_int_equal(bpf_obj_pin(t->ingress_fd, path("abi-98/np_ingress")), 0);
	assert_int_equal(layout_find(netns_bpffs, path("links"), &found, &why), -EPROTO);
	assert_non_null(strstr(why, "versions"));
	assert_int_equal(layout_remove(l), 0);
	assert_int_equal(layout_find(netns_bpffs, path("links"), &found, &why), -EPROTO);
	assert_non_null(strstr(why, "(config)"));
	assert_null(found);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_found_with_its_key_and_phase),
		TEST(flows_are_read_and_ended),
		TEST(names_of_no_flow_are_removed),
		TEST(names_of_a_free_record_go_with_its_seq),
		TEST(what_the_killed_had_claimed_is_freed),
		TEST(flows_are_moved_once_and_whole),
		TEST(what_is_superseded_meanwhile_is_not_moved),
		TEST(what_is_not_alive_is_removed),
		TEST(what_cannot_be_read_is_refused),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("tables of another version", tests, NULL, NULL);
	netns_leave();
	return failed;
}
