/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which flows have lost their endpoint by a change, and which records are marked for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flows.h"
#include "flowtable.h"
#include "publish_fixture.h"

#define POD(n) htonl(0x0A010000 + (n)) /* 10.1.0.n, where the endpoints are */
#define TWO                                                                                        \
	"'clusterIP':'10.96.0.1','ports':[{'name':'http','port':80},"                              \
	"{'name':'dns','port':53,'protocol':'UDP'}]"

/* The number of the service port behind a frontend. */
static uint32_t id_of(struct fixture *f, uint32_t last)
{
	const struct np_service *s = find4(f, V4(last), 80, NULL);

	assert_non_null(s);
	return s->id;
}

static uint32_t flow(struct fixture *f, uint16_t client_port, uint32_t id, __be32 frontend,
		     uint16_t port, __be32 backend, uint16_t backend_port, uint8_t protocol)
{
	struct flowtable_flow flow = {
		.family = NP_IPV4,
		.protocol = protocol,
		.state = protocol == IPPROTO_TCP   ? NP_FLOW_TCP_ESTABLISHED
			 : protocol == IPPROTO_UDP ? NP_FLOW_UDP_STREAM
						   : NP_FLOW_SCTP_ESTABLISHED,
		.seen = tables_jiffies(),
		.born = tables_jiffies(),
		.service = id,
		.port = {htons(client_port), htons(port), htons(backend_port), htons(client_port)},
		.addr = {{.v4 = htonl(0xC0000201)},
			 {.v4 = frontend},
			 {.v4 = backend},
			 {.v4 = htonl(0xC0000201)}},
	};
	uint32_t number;

	assert_int_equal(flowtable_insert(f->t, &flow, &number), 0);
	return number;
}

/* Of TCP, through a frontend 10.96.0.last:80, to the endpoint 10.1.0.n:8080. */
static uint32_t tcp(struct fixture *f, uint16_t client_port, uint32_t id, uint32_t last, uint32_t n)
{
	return flow(f, client_port, id, V4(last), 80, POD(n), 8080, IPPROTO_TCP);
}

static bool marked(struct fixture *f, uint32_t number)
{
	return f->t->flows4[number].flow.flags & NP_FLOW_DEPARTED;
}

/* As the daemon does after a change; how many are marked then. */
static size_t judge(struct fixture *f, bool keep, bool all)
{
	struct publish_departed gone = publish_departed(f->p, true);
	struct publish_judge j = {
		.udp = gone.udp || all, .tcp = true, .keep_tcp = keep, .all = all};
	size_t count;

	assert_int_equal(publish_judge_begin(f->p, &j), 0);
	count = flows_mark(f->t, publish_judge, &j);
	publish_judge_end(&j);
	publish_departed_end(f->p);
	return count;
}

static void no_flows(struct fixture *f)
{
	memset(f->t->flows4, 0, f->t->size[TABLE_flows4] * sizeof(*f->t->flows4));
	memset(f->t->flow_index4, 0, f->t->size[TABLE_flow_index4] * sizeof(*f->t->flow_index4));
}

static void those_to_a_removed_endpoint_are_marked(void **state)
{
	struct fixture *f = *state;
	uint32_t gone, stays, other;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	PUBLISH(f, "ns/other", IP("2"), "1 2");
	gone = tcp(f, 1000, id_of(f, 1), 1, 1);
	stays = tcp(f, 1001, id_of(f, 1), 1, 2);
	other = tcp(f, 1002, id_of(f, 2), 2, 1);
	assert_int_equal(judge(f, false, true), 0);
	PUBLISH(f, "ns/web", IP("1"), "2");
	assert_int_equal(judge(f, false, false), 1);
	assert_true(marked(f, gone));
	assert_false(marked(f, stays));
	assert_false(marked(f, other));
	assert_int_equal(f->t->flows4[gone].flow.seq & 1, 0);
}

static void one_that_comes_back_has_its_flows_again(void **state)
{
	struct fixture *f = *state;
	uint32_t gone;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	gone = tcp(f, 1000, id_of(f, 1), 1, 1);
	PUBLISH(f, "ns/web", IP("1"), "2");
	assert_int_equal(judge(f, false, false), 1);
	PUBLISH(f, "ns/web", IP("1"), "2 3");
	assert_int_equal(judge(f, false, false), 1);
	PUBLISH(f, "ns/web", IP("1"), "1 2 3");
	assert_int_equal(judge(f, false, false), 0);
	assert_false(marked(f, gone));
}

static void keep_marks_none_and_withdraws(void **state)
{
	struct fixture *f = *state;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	tcp(f, 1000, id_of(f, 1), 1, 1);
	PUBLISH(f, "ns/web", IP("1"), "2");
	assert_int_equal(judge(f, true, false), 0);
	assert_int_equal(judge(f, false, true), 1);
	assert_int_equal(judge(f, true, true), 0);
}

static void those_of_a_service_that_is_gone_are_marked(void **state)
{
	struct fixture *f = *state;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1");
	PUBLISH(f, "ns/other", IP("2"), "1");
	tcp(f, 1000, id_of(f, 1), 1, 1);
	tcp(f, 1001, id_of(f, 2), 2, 1);
	REMOVE(f, "ns/web");
	assert_int_equal(judge(f, false, false), 1);
	REMOVE(f, "ns/other");
	assert_int_equal(judge(f, false, false), 2);
}

static void a_frontend_that_is_taken_away_takes_none_with_it(void **state)
{
	struct fixture *f = *state;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1") EXTERNAL, "1 2");
	flow(f, 1000, id_of(f, 1), htonl(0xC0000201), 80, POD(1), 8080, IPPROTO_TCP);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	assert_int_equal(judge(f, false, true), 0);
	PUBLISH(f, "ns/web", IP("1"), "2");
	assert_int_equal(judge(f, false, false), 1);
}

/* To the pod itself, around a flow of a service to it: it has the number of that one's service. */
static void direct_connections_are_left_alone(void **state)
{
	struct fixture *f = *state;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	flow(f, 1000, id_of(f, 1), POD(1), 8080, POD(1), 8080, IPPROTO_TCP);
	PUBLISH(f, "ns/web", IP("1"), "2");
	assert_int_equal(judge(f, false, true), 0);
}

static void sctp_is_left_alone_and_udp_goes_by_who_serves(void **state)
{
	struct fixture *f = *state;
	uint32_t udp, sctp;

	no_flows(f);
	PUBLISH(f, "ns/web", TWO, "1 2");
	udp = flow(f, 1000, 0, V4(1), 53, POD(1), 1053, IPPROTO_UDP);
	sctp = flow(f, 1001, id_of(f, 1), V4(1), 80, POD(1), 8080, IPPROTO_SCTP);
	PUBLISH(f, "ns/web", TWO, "2");
	assert_int_equal(judge(f, false, false), 0);
	assert_true(marked(f, udp));
	assert_false(marked(f, sctp));
}

static void those_that_are_closing_are_left_alone(void **state)
{
	struct fixture *f = *state;
	uint32_t number;

	no_flows(f);
	PUBLISH(f, "ns/web", IP("1"), "1 2");
	number = tcp(f, 1000, id_of(f, 1), 1, 1);
	PUBLISH(f, "ns/web", IP("1"), "2");
	f->t->flows4[number].flow.state = NP_FLOW_TCP_TIME_WAIT;
	assert_int_equal(judge(f, false, true), 0);
	f->t->flows4[number].flow.state = NP_FLOW_TCP_CLOSE_WAIT;
	assert_int_equal(judge(f, false, true), 1);
}

static struct publish_departed after(struct fixture *f, const char *spec, const char *endpoints,
				     bool known)
{
	PUBLISH(f, "ns/web", spec, endpoints);
	return publish_departed(f->p, known);
}

static void what_a_change_took_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct publish_departed told = after(f, IP("1"), "1 2", true);

	assert_true(!told.chosen && !told.tcp_lost && told.tcp_gained);
	told = after(f, IP("1"), "1 2 3", true);
	assert_true(!told.chosen && !told.tcp_lost && told.tcp_gained);
	told = after(f, IP("1"), "2 3", true);
	assert_true(told.chosen && told.tcp_lost && !told.tcp_gained);
	told = after(f, IP("1"), "2 3", true);
	assert_true(!told.chosen && !told.tcp_lost && !told.tcp_gained);
	/* Nobody new is given it, and it is there still. */
	told = after(f, IP("1") LOCAL("internal"), "2 3L", true);
	assert_true(told.chosen && !told.tcp_lost && !told.udp);
	told = after(f, IP("1") LOCAL("internal"), "3L", false);
	assert_true(!told.chosen && !told.tcp_lost);
	told = publish_departed(f->p, true);
	assert_true(told.tcp_lost);
	REMOVE(f, "ns/web");
	told = publish_departed(f->p, true);
	assert_true(told.chosen && told.tcp_lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(those_to_a_removed_endpoint_are_marked, roomy),
		TEST(one_that_comes_back_has_its_flows_again, roomy),
		TEST(keep_marks_none_and_withdraws, roomy),
		TEST(those_of_a_service_that_is_gone_are_marked, roomy),
		TEST(a_frontend_that_is_taken_away_takes_none_with_it, roomy),
		TEST(direct_connections_are_left_alone, roomy),
		TEST(sctp_is_left_alone_and_udp_goes_by_who_serves, roomy),
		TEST(those_that_are_closing_are_left_alone, roomy),
		TEST(what_a_change_took_is_told_once, roomy),
	};
	int failed;

	netns_enter();
	failed = cmocka_run_group_tests_name("departed", tests, NULL, NULL);
	tables_close(&publish_tables);
	netns_leave();
	return failed;
}
