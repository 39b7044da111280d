/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tests of loader/health.c: what waits how long, and the bodies, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "health.h"
#include "util.h"

#define V4 HEALTH_BIT(HEALTH_IPV4)
#define V6 HEALTH_BIT(HEALTH_IPV6)

/* Seconds after 2026-01-02T03:04:05Z; a clock that nobody sets began at 1000. */
static struct health_time at(time_t seconds)
{
	return (struct health_time){
		.wall = {.tv_sec = 1767323045 + seconds, .tv_nsec = 500000000},
		.steady = {.tv_sec = 1000 + seconds},
	};
}

static void expect(const struct health *h, time_t seconds, const bool *eligible, unsigned status,
		   const char *body)
{
	struct health_time now = at(seconds);
	char text[512];

	assert_int_equal(health_body(h, &now, eligible, text, sizeof(text)), status);
	assert_string_equal(text, body);
}

static const bool yes = true, no = false;

static void before_the_first_sync_it_is_well_and_has_no_status(void **state)
{
	struct health h = {};

	(void)state;
	expect(&h, 0, &yes, 200,
	       "{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\","
	       "\"currentTime\":\"2026-01-02T03:04:05.5Z\","
	       "\"nodeEligible\":true,\"healthy\":true}");
	expect(&h, 0, NULL, 200,
	       "{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\","
	       "\"currentTime\":\"2026-01-02T03:04:05.5Z\",\"healthy\":true}");
	expect(&h, 0, &no, 503,
	       "{\"lastUpdated\":\"0001-01-01T00:00:00Z\","
	       "\"currentTime\":\"2026-01-02T03:04:05.5Z\","
	       "\"nodeEligible\":false,\"healthy\":true}");
}

static void a_change_before_the_first_sync_may_wait(void **state)
{
	struct health_time now = at(0);
	struct health h = {};

	(void)state;
	health_queued(&h, HEALTH_BOTH, &now);
	now = at(1000);
	assert_true(health_ok(&h, &now));
}

static void while_all_is_well_last_updated_is_now(void **state)
{
	struct health_time now = at(0);
	struct health h = {};

	(void)state;
	health_updated(&h, HEALTH_BOTH, &now);
	expect(&h, 100, &yes, 200,
	       "{\"lastUpdated\":\"2026-01-02T03:05:45.5Z\","
	       "\"currentTime\":\"2026-01-02T03:05:45.5Z\",\"nodeEligible\":true,\"healthy\":true,"
	       "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":true}}}");
}

static void a_node_on_its_way_out_is_503_but_alive(void **state)
{
	struct health_time now = at(0);
	struct health h = {};

	(void)state;
	health_updated(&h, V4, &now);
	expect(&h, 1, &no, 503,
	       "{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\","
	       "\"currentTime\":\"2026-01-02T03:04:06.5Z\",\"nodeEligible\":false,\"healthy\":true,"
	       "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\","
	       "\"healthy\":true}}}");
	expect(&h, 1, NULL, 200,
	       "{\"lastUpdated\":\"2026-01-02T03:04:06.5Z\","
	       "\"currentTime\":\"2026-01-02T03:04:06.5Z\",\"healthy\":true,"
	       "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\","
	       "\"healthy\":true}}}");
}

static void a_change_that_waits_60_seconds_is_503_in_its_family(void **state)
{
	struct health_time now = at(0);
	struct health h = {};

	(void)state;
	health_updated(&h, HEALTH_BOTH, &now);
	now = at(1);
	health_queued(&h, HEALTH_BOTH, &now);
	now = at(10);
	health_updated(&h, V4, &now);
	health_queued(&h, V6, &now); /* one more: the first counts */
	now = at(60);
	assert_true(health_ok(&h, &now));
	now = at(61);
	assert_false(health_ok(&h, &now));
	expect(&h, 61, &yes, 503,
	       "{\"lastUpdated\":\"2026-01-02T03:04:15.5Z\","
	       "\"currentTime\":\"2026-01-02T03:05:06.5Z\",\"nodeEligible\":true,\"healthy\":false,"
	       "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:15.5Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":false}}}");
	expect(&h, 61, NULL, 503,
	       "{\"lastUpdated\":\"2026-01-02T03:04:15.5Z\","
	       "\"currentTime\":\"2026-01-02T03:05:06.5Z\",\"healthy\":false,"
	       "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:15.5Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":false}}}");
	now = at(62);
	health_updated(&h, V6, &now);
	assert_true(health_ok(&h, &now));
}

static void setting_the_clock_makes_nobody_unhealthy(void **state)
{
	struct health_time now = at(0);
	struct health h = {};

	(void)state;
	health_updated(&h, HEALTH_BOTH, &now);
	health_queued(&h, HEALTH_BOTH, &now);
	now.wall.tv_sec += 86400;
	assert_true(health_ok(&h, &now));
}

static void check_bodies_are_kube_proxys(void **state)
{
	static const struct {
		unsigned endpoints;
		bool healthy;
		unsigned status;
		const char *end;
	} cases[] = {
		{2, true, 200, "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"},
		{0, true, 503, "\t\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true\n}"},
		{2, false, 503, "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": false\n}"},
		{0, false, 503, "\t\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": false\n}"},
	};
	char text[1024], wanted[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(wanted, sizeof(wanted),
			 "{\n\t\"service\": {\n\t\t\"namespace\": \"ns1\",\n"
			 "\t\t\"name\": \"svc1\"\n\t},\n%s",
			 cases[i].end);
		assert_int_equal(health_check_body("ns1", "svc1", cases[i].endpoints,
						   cases[i].healthy, text, sizeof(text)),
				 cases[i].status);
		assert_string_equal(text, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_sync_it_is_well_and_has_no_status),
		cmocka_unit_test(a_change_before_the_first_sync_may_wait),
		cmocka_unit_test(while_all_is_well_last_updated_is_now),
		cmocka_unit_test(a_node_on_its_way_out_is_503_but_alive),
		cmocka_unit_test(a_change_that_waits_60_seconds_is_503_in_its_family),
		cmocka_unit_test(setting_the_clock_makes_nobody_unhealthy),
		cmocka_unit_test(check_bodies_are_kube_proxys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
