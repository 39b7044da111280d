/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The walk through the flow records: what it frees, what it leaves, what it counts, what it costs.
 */
#include "sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "flowtable.h"

#define RECORDS (1U << 20)

static struct tables *t;
static struct sweep *s;

static int setup(void **state)
{
	static const uint32_t seconds[NP_FLOW_STATES] = {[NP_FLOW_UDP] = 7};
	const struct tables_options o = {.max_flows = RECORDS,
					 .flow_seconds = seconds,
					 .max_services = 16,
					 .max_slots = 16,
					 .max_backends = 16,
					 .snat_port_first = 20000,
					 .snat_port_count = 1000};
	const char *why;

	(void)state;
	if (tables_open(&o, &t, &why))
		fail_msg("%s", why);
	return sweep_new(NULL, t, &s);
}

static int teardown(void **state)
{
	(void)state;
	sweep_free(&s);
	tables_close(&t);
	return 0;
}

static uint32_t insert(int family, uint8_t state, uint32_t n, uint32_t idle, uint16_t flags)
{
	bool udp = state >= NP_FLOW_UDP && state <= NP_FLOW_UDP_STREAM;
	struct flowtable_flow f = {.family = family,
				   .protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
				   .state = state,
				   .flags = flags,
				   .seen = tables_jiffies() - idle * tables_hertz(),
				   .backend = 3,
				   .port = {htons(n), htons(80), htons(8080), htons(n)}};
	uint32_t number;

	f.addr[NP_CLIENT].word[0] = f.addr[NP_SNAT].word[0] = htonl(0x0A000000 | n >> 16);
	f.addr[NP_FRONTEND].word[0] = htonl(0x0A600001);
	f.addr[NP_BACKEND].word[0] = htonl(0x0A010001);
	assert_int_equal(flowtable_insert(t, &f, &number), 0);
	return number;
}

static void frees_what_expired(void **state)
{
	const struct sweep_counts *counts = sweep_counts(s);
	struct flowtable_flow flow;
	uint32_t gone[2], kept[3];

	(void)state;
	gone[0] = insert(NP_IPV4, NP_FLOW_UDP, 1, 9, 0);
	kept[0] = insert(NP_IPV4, NP_FLOW_UDP, 2, 5, NP_FLOW_TRANSLATED);
	gone[1] = insert(NP_IPV6, NP_FLOW_TCP_CLOSE, 3, 12, NP_FLOW_TRANSLATED);
	kept[1] = insert(NP_IPV6, NP_FLOW_TCP_ESTABLISHED, 4, 86000, NP_FLOW_TRANSLATED);
	kept[2] = insert(NP_IPV6, NP_FLOW_TCP_ESTABLISHED, 5, 0, NP_FLOW_TRANSLATED);
	t->flows6[kept[2]].flow.seen += 3; /* another CPU is a little ahead */
	sweep_round(s);
	assert_int_equal(counts->rounds, 1);
	assert_int_equal(counts->expired, 2);
	assert_int_equal(counts->total[SWEEP_IPV4], 1);
	assert_int_equal(counts->total[SWEEP_IPV6], 2);
	assert_int_equal(counts->flows[SWEEP_IPV4][NP_FLOW_UDP], 1);
	assert_int_equal(counts->flows[SWEEP_IPV6][NP_FLOW_TCP_ESTABLISHED], 2);
	assert_int_equal(sweep_ports(s, SWEEP_UDP, 3), 1);
	assert_int_equal(sweep_ports(s, SWEEP_TCP, 3), 2);
	assert_int_equal(sweep_ports(s, SWEEP_TCP, 2), 0);
	assert_int_equal(flowtable_read(t, NP_IPV4, gone[0], &flow, NULL), -ENOENT);
	assert_int_equal(flowtable_read(t, NP_IPV6, gone[1], &flow, NULL), -ENOENT);
	assert_int_equal(flowtable_read(t, NP_IPV4, kept[0], &flow, NULL), 0);
	for (int i = 1; i < 3; i++)
		assert_int_equal(flowtable_read(t, NP_IPV6, kept[i], &flow, NULL), 0);
}

/* As packets look into it. */
static __u64 either(const struct np_filter *word)
{
	return word->half[0] | word->half[1];
}

static bool is_looked_for(int family, uint32_t number)
{
	struct np_flow *f = family == NP_IPV4 ? &t->flows4[number].flow : &t->flows6[number].flow;
	const __be32 *words = (const __be32 *)(f + 1);
	union np_addr client = {}, frontend = {};
	struct np_filter_place at;

	client.word[0] = words[0];
	frontend.word[0] = words[family == NP_IPV4 ? 1 : 4];
	at = np_filter_place(t->hash_key, family, &client, &frontend, NP_HASH_INGRESS);
	return either(&t->flow_filter[at.word & (t->size[TABLE_flow_filter] - 1)]) & at.bit;
}

static uint32_t bits_set(void)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < t->size[TABLE_flow_filter]; i++)
		bits += __builtin_popcountll(either(&t->flow_filter[i]));
	return bits;
}

static void the_filter_is_made_anew(void **state)
{
	uint32_t expires, stays, half = t->config->filter, before;

	(void)state;
	expires = insert(NP_IPV4, NP_FLOW_UDP, 7 << 16, 5, NP_FLOW_TRANSLATED);
	stays = insert(NP_IPV4, NP_FLOW_UDP, 8 << 16, 0, NP_FLOW_TRANSLATED);
	assert_true(is_looked_for(NP_IPV4, expires));
	assert_true(is_looked_for(NP_IPV4, stays));
	before = bits_set();
	sweep_round(s);
	assert_int_equal(t->config->filter, !half);
	assert_true(is_looked_for(NP_IPV4, expires));
	assert_true(is_looked_for(NP_IPV4, stays));
	assert_int_equal(bits_set(), before);
	t->flows4[expires].flow.seen -= 3 * tables_hertz();
	sweep_round(s); /* frees it */
	sweep_round(s);
	assert_true(is_looked_for(NP_IPV4, expires)); /* in the half that was whole till now */
	sweep_round(s);
	assert_false(is_looked_for(NP_IPV4, expires));
	assert_true(is_looked_for(NP_IPV4, stays));
	assert_int_equal(bits_set(), before - NP_NAMES);
	stays = insert(NP_IPV4, NP_FLOW_UDP, 9 << 16, 0, 0);
	assert_true(is_looked_for(NP_IPV4, stays));
}

static double processor_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void a_million(void **state)
{
	const struct sweep_counts *counts = sweep_counts(s);
	double begun;
	uint32_t n;

	(void)state;
	for (n = 0; n < 1000000; n++)
		insert(NP_IPV4, NP_FLOW_TCP_ESTABLISHED, 100 + n, 1, 0);
	begun = processor_ms();
	sweep_round(s);
	print_message("a round over 1,000,000 flows: %.1f ms of a core, %.2f %% of one in rounds "
		      "of %d s\n",
		      processor_ms() - begun, (processor_ms() - begun) / SWEEP_SECONDS / 10,
		      SWEEP_SECONDS);
	assert_int_equal(counts->flows[SWEEP_IPV4][NP_FLOW_TCP_ESTABLISHED], 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frees_what_expired),
		cmocka_unit_test(the_filter_is_made_anew),
		cmocka_unit_test(a_million),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
