/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Running one step of a case and comparing all it did; running a table of cases. */
#include "harness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1U << 2) /* Linux 6.12 */
#endif

#define ETH_LENGTH 14 /* what is refused here has an Ethernet header */

struct outcome {
	uint32_t verdict;
	uint8_t byte[PACKET_MAX];
	size_t length;
};

static size_t step_number; /* for messages; from 1 */

#define FAIL(format, ...) fail_msg("step %zu: " format, step_number, ##__VA_ARGS__)

struct counters {
	uint64_t moved[NP_HOOKS][NP_REASONS];
	uint64_t connections; /* of all services and zones */
	uint64_t refused;
};

static const char *reason_name(unsigned reason)
{
	static const char *const names[] = {
#define X(e, name, help) [NP_REASON_##e] = name,
		NP_REASON_LIST(X)
#undef X
	};

	return names[reason];
}

static uint32_t expected_verdict(const struct step *step)
{
	static const uint32_t tc[] = {[PASS] = (uint32_t)-1, [DROP] = 2, [REDIRECT] = 7};
	static const uint32_t xdp[] = {[PASS] = 2, [DROP] = 1, [TX] = 3, [REDIRECT] = 4};

	return step->hook == NP_HOOK_XDP ? xdp[step->verdict] : tc[step->verdict];
}

static int program_of(enum np_hook hook)
{
	if (hook == NP_HOOK_XDP)
		return world.tables->xdp_fd;
	return hook == NP_HOOK_INGRESS ? world.tables->ingress_fd : world.tables->egress_fd;
}

static void run(const struct step *step, const struct built *in, bool complete, struct outcome *out)
{
	struct xdp_md xdp = {.data_end = in->length, .ingress_ifindex = world.ns.uplink};
	struct __sk_buff skb = {.ifindex = world.ns.uplink};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in->byte, .data_size_in = in->length,
		    .data_out = out->byte, .data_size_out = sizeof(out->byte), .repeat = 1);
	bool is_xdp = step->hook == NP_HOOK_XDP;
	int rc;

	o.ctx_in = is_xdp ? (void *)&xdp : (void *)&skb;
	o.ctx_size_in = is_xdp ? sizeof(xdp) : sizeof(skb);
	/* The kernel sums from where an IP header is behind Ethernet. */
	o.flags = complete && !is_xdp && !step->in.bare ? BPF_F_TEST_SKB_CHECKSUM_COMPLETE : 0;
	rc = bpf_prog_test_run_opts(program_of(step->hook), &o);
	if (rc == -EBADMSG)
		FAIL("the sum of all bytes in the skb (CHECKSUM_COMPLETE) is wrong now");
	if (rc == -EINVAL && o.flags)
		skip(); /* before Linux 6.12 */
	if (rc)
		FAIL("test run of %zu bytes: %s", in->length, strerror(-rc));
	out->verdict = o.retval;
	out->length = o.data_size_out;
}

/* The packet that must come out, and what it quotes. */
static struct packet make_expected(const struct step *step, struct packet *quote)
{
	struct packet p = step->in;

	p.src = step->out.src ?: p.src;
	p.dst = step->out.dst ?: p.dst;
	p.src_mac = step->out.src_mac ?: p.src_mac;
	p.dst_mac = step->out.dst_mac ?: p.dst_mac;
	p.ttl = step->out.ttl ?: p.ttl;
	if (step->out.tcp_options.length)
		p.tcp_options = step->out.tcp_options;
	if (!p.quote)
		return p;
	/* Its own checksum is not translated: mostly it is cut off, and nobody looks at it. */
	*quote = *p.quote;
	quote->check_of = p.quote;
	quote->src = step->out.quote_src ?: quote->src;
	quote->dst = step->out.quote_dst ?: quote->dst;
	p.quote = quote;
	return p;
}

/* Payload that makes the checksum of the packet zero: its checksum without that payload. */
static uint16_t zero_sum_fill(const struct packet *p)
{
	struct variant v = world.variant;
	struct built b;
	uint16_t check;

	v.fill = 0;
	packet_build(&b, p, &v);
	memcpy(&check, b.byte + b.check, sizeof(check));
	return check;
}

/* A port the program was free to choose: within its range, and the same from now on. */
static void learn(const char *end, const uint8_t *at)
{
	int n = end_unknown(end);
	uint16_t port = at[0] << 8 | at[1];

	if (n < 0)
		return;
	if (port < 20000 || port >= 21000)
		FAIL("%s: port %u is not one for translation", end, port);
	end_learn(n, port);
}

static void compare(const struct built *expected, const struct outcome *out)
{
	if (expected->length == out->length && !memcmp(expected->byte, out->byte, out->length))
		return;
	packet_diff(expected, out->byte, out->length);
	FAIL("the packet that came out is not the one expected");
}

/* The answer a packet has become; the program draws its IPv4 identification. */
static void check_answer(const struct step *step, const struct built *in, const struct outcome *out)
{
	size_t id = ETH_LENGTH + 4;
	struct built b;

	if (step->by_rst)
		reset_build(&b, in, ETH_LENGTH, out->byte[id] << 8 | out->byte[id + 1]);
	else
		refusal_build(&b, in, ETH_LENGTH, out->byte[id] << 8 | out->byte[id + 1]);
	compare(&b, out);
}

static void check_packet(const struct step *step, const struct packet *expected,
			 const struct outcome *out)
{
	struct variant v = world.variant;
	struct built b;

	if (step->in.zero_sum)
		v.fill = zero_sum_fill(expected);
	packet_build(&b, expected, &v);
	if (out->length >= b.l4 + 4 && !step->in.ethertype) {
		learn(expected->src, out->byte + b.l4);
		learn(expected->dst, out->byte + b.l4 + 2);
		packet_build(&b, expected, &v);
	}
	compare(&b, out);
}

static uint32_t expected_move(const struct step *step, unsigned hook, unsigned reason)
{
	uint32_t sum = 0;

	if (hook != step->hook)
		return 0;
	if (world.quiet && (reason == NP_REASON_TRANSLATED || reason == NP_REASON_XDP_TX ||
			    reason == NP_REASON_XDP_REDIRECT))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(step->moved); i++)
		if (step->moved[i].packets && step->moved[i].reason == reason)
			sum += step->moved[i].packets;
	return sum;
}

static void read_counters(struct counters *c)
{
	const struct np_service_stats *s = world.tables->service_stats;

	memset(c, 0, sizeof(*c));
	for (unsigned hook = 0; hook < NP_HOOKS; hook++)
		for (unsigned reason = 0; reason < NP_REASONS; reason++)
			c->moved[hook][reason] = counter(hook, reason);
	for (uint32_t i = 0; i < world.tables->size[TABLE_service_stats]; i++) {
		for (unsigned zone = 0; zone < NP_ZONE_CLASSES; zone++)
			c->connections += s[i].connections[zone];
		c->refused += s[i].refused;
	}
}

/* Those by service follow from those by reason. */
static void check_service_counters(const struct step *step, const struct counters *before,
				   const struct counters *after)
{
	uint32_t opened = expected_move(step, step->hook, NP_REASON_NEW_FLOW);
	uint32_t refused = expected_move(step, step->hook, NP_REASON_NO_ENDPOINT) +
			   expected_move(step, step->hook, NP_REASON_SOURCE_RANGE) +
			   expected_move(step, step->hook, NP_REASON_POLICY_DROP);

	if (after->connections - before->connections != opened)
		FAIL("connections of services moved by %llu, expected %u",
		     (unsigned long long)(after->connections - before->connections), opened);
	if (after->refused - before->refused != refused)
		FAIL("refusals of services moved by %llu, expected %u",
		     (unsigned long long)(after->refused - before->refused), refused);
}

static void check_counters(const struct step *step, const struct counters *before)
{
	static const char *const hooks[] = {"ingress", "egress", "xdp"};
	struct counters after;

	read_counters(&after);
	for (unsigned hook = 0; hook < NP_HOOKS; hook++) {
		for (unsigned reason = 0; reason < NP_REASONS; reason++) {
			uint64_t moved = after.moved[hook][reason] - before->moved[hook][reason];
			uint32_t expected = expected_move(step, hook, reason);

			if (moved != expected)
				FAIL("counter %s/%s moved by %llu, expected %u", hooks[hook],
				     reason_name(reason), (unsigned long long)moved, expected);
		}
	}
	check_service_counters(step, before, &after);
}

static int by_ends(const void *a, const void *b)
{
	const struct np_flow *x = *(struct np_flow *const *)a, *y = *(struct np_flow *const *)b;

	if (x->port[NP_CLIENT] != y->port[NP_CLIENT])
		return ntohs(x->port[NP_CLIENT]) - ntohs(y->port[NP_CLIENT]);
	return x->protocol != y->protocol ? x->protocol - y->protocol : x->state - y->state;
}

/* The states of all records in use by client port, protocol, and state. */
static void check_flows(const char *expected)
{
	struct np_flow *flow[64];
	char got[1024] = "";
	size_t at = 0, count = 0;

	for (uint32_t i = 0; i < world.tables->size[TABLE_flows4]; i++) {
		struct np_flow *f = flow_at(i);

		if (f->state == NP_FLOW_FREE)
			continue;
		if (f->seq & 1)
			FAIL("record %u was left claimed", i);
		assert_true(count < ARRAY_SIZE(flow));
		flow[count++] = f;
	}
	qsort(flow, count, sizeof(*flow), by_ends);
	for (size_t i = 0; i < count; i++) {
		at += snprintf(got + at, sizeof(got) - at, "%s%s", at ? " " : "",
			       flow_state_name(flow[i]->state));
		assert_true(at < sizeof(got));
	}
	if (strcmp(got, expected))
		FAIL("flows \"%s\", expected \"%s\"", got, expected);
}

static bool is_answered(const struct step *step)
{
	return step->hook != NP_HOOK_XDP && step->verdict == REDIRECT && !step->out.src_mac;
}

static bool answer_is_whole(const struct step *step, const struct built *in)
{
	if (step->by_rst)
		return in->length == in->l4 + 20;
	return refusal_is_whole(in, ETH_LENGTH);
}

void step_run(const struct step *step, bool complete)
{
	struct packet quote, expected;
	struct counters before;
	struct variant v = world.variant;
	struct outcome out = {0};
	struct built in;

	if (step->action)
		step->action();
	if (step->in.src) {
		expected = make_expected(step, &quote);
		if (step->in.zero_sum)
			v.fill = zero_sum_fill(&expected);
		packet_build(&in, &step->in, &v);
		/* Where an skb is cut, the kernel forgets the sum; the test run does not know. */
		if (is_answered(step) && !answer_is_whole(step, &in))
			complete = false;
		read_counters(&before);
		run(step, &in, complete, &out);
		if (out.verdict != expected_verdict(step))
			FAIL("verdict %d, expected %d", (int)out.verdict,
			     (int)expected_verdict(step));
		if (is_answered(step))
			check_answer(step, &in, &out);
		else
			check_packet(step, &expected, &out);
		check_counters(step, &before);
	}
	if (step->flows)
		check_flows(step->flows);
}

void step_only(const struct step *step)
{
	struct outcome out = {0};
	struct built in;

	packet_build(&in, &step->in, &world.variant);
	run(step, &in, false, &out);
}

/* One case in one way. */
struct one {
	const struct test *test;
	struct variant variant;
	bool complete;
	char name[160];
};

/* What a datagram has to have that the fast paths take: see FAST_L4. */
#define FAST_DATAGRAM 12

static void run_one(void **state)
{
	const struct one *one = *state;

	world.variant = one->variant;
	world.variant.more = world.quiet ? FAST_DATAGRAM : 0;
	world_reset(one->test->state, one->test->iface);
	for (size_t i = 0; i < STEPS; i++) {
		const struct step *step = &one->test->step[i];

		if (!step->in.src && !step->action)
			break;
		step_number = i + 1;
		step_run(step, one->complete);
	}
}

/* The ways a case may be run in. */
static const struct way {
	struct variant variant;
	const char *name;
	unsigned only;
} ways[] = {
	{{.family = NP_IPV4, .protocol = IPPROTO_TCP}, "IPv4 TCP", ONLY_IPV4 | ONLY_TCP},
	{{.family = NP_IPV6, .protocol = IPPROTO_TCP}, "IPv6 TCP", ONLY_IPV6 | ONLY_TCP},
	{{.family = NP_IPV4, .protocol = IPPROTO_UDP}, "IPv4 UDP", ONLY_IPV4 | ONLY_UDP},
	{{.family = NP_IPV6, .protocol = IPPROTO_UDP}, "IPv6 UDP", ONLY_IPV6 | ONLY_UDP},
	{{.family = NP_IPV4, .protocol = IPPROTO_SCTP}, "IPv4 SCTP", ONLY_IPV4 | ONLY_SCTP},
	{{.family = NP_IPV6, .protocol = IPPROTO_SCTP}, "IPv6 SCTP", ONLY_IPV6 | ONLY_SCTP},
};

static bool wanted(unsigned only, const struct way *way)
{
	unsigned families = only & (ONLY_IPV4 | ONLY_IPV6);
	unsigned protocols = only & (ONLY_TCP | ONLY_UDP | ONLY_SCTP);

	return (!families || families & way->only) && (!protocols || protocols & way->only);
}

static void make_one(struct one *one, struct CMUnitTest *unit, const struct test *test,
		     const struct way *way, bool complete)
{
	one->test = test;
	one->complete = complete;
	one->variant = way->variant;
	snprintf(one->name, sizeof(one->name), "%s (%s)", test->name, way->name);
	*unit = (struct CMUnitTest){.name = one->name, .test_func = run_one, .initial_state = one};
}

int group_run(const struct group *group)
{
	size_t n = 0, most = ARRAY_SIZE(ways) * group->count;
	_cleanup_free_ struct CMUnitTest *unit = calloc(most, sizeof(*unit));
	_cleanup_free_ struct one *ones = calloc(most, sizeof(*ones));

	if (!unit || !ones)
		return 1;
	for (size_t i = 0; i < group->count; i++) {
		for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
			if (!wanted(group->test[i].only ?: group->only, &ways[way]))
				continue;
			make_one(&ones[n], &unit[n], &group->test[i], &ways[way], group->complete);
			n++;
		}
	}
	return _cmocka_run_group_tests(group->name, unit, n, NULL, NULL);
}
