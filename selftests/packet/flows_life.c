/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The life of a flow as its record tells it: states by the packets seen, what ends it, what a SYN
 * or a datagram on an old tuple does, and whose backend it keeps.
 */
#include <arpa/inet.h>
#include <string.h>

#include "harness.h"
#include "objects.h"

static const char *const state_two[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICE_OF("4", "web", ENDPOINT("4", "remote", "n") "," ENDPOINT("4", "remote2", "n")),
	SLICE_OF("6", "web", ENDPOINT("6", "remote", "n") "," ENDPOINT("6", "remote2", "n")),
	NULL,
};
static const char *const state_other[] = {
	LOAD_BALANCER("web", "cluster", ""),
	REMOTE("web", "remote2"),
	NULL,
};
static const char *const state_gone[] = {
	LOAD_BALANCER("web", "cluster", ""),
	SLICES_EMPTY("web"),
	NULL,
};

static void move_to_other(void)
{
	world_apply(state_other);
}

static void add_other(void)
{
	world_apply(state_two);
}

static void remove_all(void)
{
	world_apply(state_gone);
}

/* The flow of port 40000 was last seen so long ago, in ticks beyond its timeout. */
static void age(uint32_t beyond)
{
	struct np_flow *flow = flow_of(40000);

	assert_non_null(flow);
	flow->seen -= flow_timeout(flow->state) + beyond;
}

static void just_expire(void)
{
	age(1 + tables_hertz());
}

static void almost_expire(void)
{
	age(-tables_hertz());
}

/* It is not a matter of a question and an answer any more. */
static void grow_old(void)
{
	flow_of(40000)->born -= NP_UDP_STREAM_SECONDS * tables_hertz();
}

/* Another CPU has handled a packet of the flow after the tick that this one still waits for. */
static void seen_ahead(void)
{
	struct np_flow *flow = flow_of(40000);

	assert_non_null(flow);
	flow->seen += 2;
}

/* All bits are in the half that was whole, and then in the other one alone. */
static void filter_turn(void)
{
	struct tables *t = world.tables;

	for (uint32_t i = 0; i < t->size[TABLE_flow_filter]; i++) {
		__u64 *half = t->flow_filter[i].half;

		half[t->config->filter] |= half[!t->config->filter];
		half[!t->config->filter] = 0;
	}
	t->config->filter ^= 1;
}

/* Nothing is between any addresses, as far as either half tells. */
static void filter_all(void)
{
	struct tables *t = world.tables;

	memset(t->flow_filter, 0, t->size[TABLE_flow_filter] * sizeof(*t->flow_filter));
}

#define CONNECT                                                                                    \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW,     \
							   .flows = "tcp_syn_sent"                 \
	}
#define CLIENT(f, after)                                                                           \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80", .flags = f), .out.dst = "remote:8080",   \
								       HIT, .flows = after         \
	}
#define BACKEND(f, after)                                                                          \
	{                                                                                          \
		EGRESS, SENDS("remote:8080", "pod:40000", .flags = f), .out.src = "cluster:80",    \
								       HIT, .flows = after         \
	}
/* An acknowledgement by someone who did not see what is to be acknowledged. */
#define GUESS(f, number)                                                                           \
	{                                                                                          \
		INGRESS, SENDS("pod:40000", "cluster:80", .flags = f, .ack = number),              \
			.out.dst = "remote:8080", HIT, .flows = "tcp_syn_recv"                     \
	}
/* A new connection on the tuple of an old one, to a backend that is the only one now. */
#define AGAIN(to)                                                                                  \
	{                                                                                          \
		INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = to, NEW,                     \
							   .flows = "tcp_syn_sent"                 \
	}

#define ESTABLISH BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(ACK, "tcp_established")

static const struct test tests[] = {
	{"opened by the answer", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, CLIENT(SYN, "tcp_syn_sent"), CLIENT(ACK, "tcp_syn_sent"),
		  BACKEND(ACK, "tcp_syn_sent"), BACKEND(SYN | ACK, "tcp_syn_recv"),
		  BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(ACK, "tcp_established"),
		  BACKEND(ACK, "tcp_established")}},
	{"an ACK of what the backend never sent establishes nothing", state_remote,
	 .only = ONLY_TCP,
	 .step = {CONNECT, BACKEND(SYN | ACK, "tcp_syn_recv"), GUESS(ACK, 0x5060707F),
		  GUESS(ACK, 0x50617080), GUESS(ACK, 1), GUESS(FIN | ACK, 1),
		  CLIENT(SYN, "tcp_syn_recv"), CLIENT(FIN, "tcp_syn_recv"),
		  BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(ACK, "tcp_established")}},
	{"a SYN-ACK with data (TFO), acknowledged with it", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT,
		  BACKEND(SYN | ACK, "tcp_syn_recv"),
		  BACKEND(ACK | PSH, "tcp_syn_recv"),
		  {INGRESS,
		   SENDS("pod:40000", "cluster:80", .flags = ACK, .ack = 0x50607080 + 14600),
		   .out.dst = "remote:8080", HIT, .flows = "tcp_established"}}},
	{"the last of the handshake is the first with a FIN", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(FIN | ACK, "tcp_fin_wait")}},
	{"FIN from the client, then from the backend", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(FIN | ACK, "tcp_fin_wait"),
		  CLIENT(FIN | ACK, "tcp_fin_wait"), CLIENT(ACK, "tcp_fin_wait"),
		  BACKEND(ACK, "tcp_close_wait"), CLIENT(FIN | ACK, "tcp_close_wait"),
		  BACKEND(ACK | PSH, "tcp_close_wait"), CLIENT(ACK, "tcp_close_wait"),
		  BACKEND(FIN | ACK, "tcp_last_ack"), BACKEND(FIN | ACK, "tcp_last_ack"),
		  CLIENT(ACK, "tcp_time_wait"), BACKEND(FIN | ACK, "tcp_time_wait")}},
	{"FIN from the backend, then from the client", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, BACKEND(FIN | ACK, "tcp_fin_wait"),
		  CLIENT(ACK, "tcp_close_wait"), CLIENT(ACK | PSH, "tcp_close_wait"),
		  CLIENT(FIN | ACK, "tcp_last_ack"), BACKEND(ACK, "tcp_time_wait"),
		  CLIENT(ACK, "tcp_time_wait")}},
	{"half-closed by the backend, the port used again: a handshake anew", state_remote,
	 .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, BACKEND(FIN | ACK, "tcp_fin_wait"),
		  CLIENT(ACK, "tcp_close_wait"), CLIENT(SYN, "tcp_close_wait"),
		  BACKEND(SYN | ACK, "tcp_syn_recv"), CLIENT(ACK, "tcp_established")}},
	{"RST from the client", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(RST | ACK, "tcp_close"), BACKEND(ACK, "tcp_close"),
		  BACKEND(ACK | PSH, "tcp_close")}},
	{"RST from the backend instead of an answer", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, BACKEND(RST | ACK, "tcp_close"), AGAIN("remote:8080")}},
	{"a forged RST: both sides talk on", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(RST, "tcp_close"), CLIENT(ACK, "tcp_close"),
		  BACKEND(ACK, "tcp_established"), CLIENT(RST, "tcp_close"),
		  CLIENT(ACK, "tcp_close"), BACKEND(ACK, "tcp_established")}},
	{"a FIN that crosses a RST does not make it live", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(RST | ACK, "tcp_close"),
		  BACKEND(FIN | ACK, "tcp_close"), BACKEND(FIN | ACK, "tcp_close")}},
	{"RST, then a SYN from the same port: a flow of its own", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(RST, "tcp_close"), AGAIN("remote:8080"), ESTABLISH}},
	{"closed, then a SYN from the same port: a flow of its own", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, CLIENT(FIN | ACK, "tcp_fin_wait"),
		  BACKEND(FIN | ACK, "tcp_last_ack"), AGAIN("remote:8080")}},
	{"closed, then a SYN: another backend may be chosen", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  BACKEND(RST, "tcp_close"),
		  {.action = move_to_other},
		  AGAIN("remote2:8080"),
		  {EGRESS, SENDS("remote2:8080", "pod:40000", .flags = SYN | ACK),
		   .out = {.src = "cluster:80"}, HIT},
		  {EGRESS, SENDS("remote:8080", "pod:40000")}}},
	{"another backend is added: flows stay where they are", state_remote,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = add_other},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT}}},
	{"the backend goes: what is open lives on", state_remote,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = move_to_other},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT}}},
	{"the backend goes before it answers: the next SYN gets another", state_remote,
	 .only = ONLY_TCP,
	 .step = {CONNECT,
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote2:8080"}, NEW,
		   .action = move_to_other, .flows = "tcp_syn_sent"}}},
	{"the last backend goes before it answers", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT,
		  {INGRESS, OPENS("pod:40000", "cluster:80"), REFUSED(NO_ENDPOINT),
		   .action = remove_all, .flows = ""}}},
	{"packets of an expired TCP flow are still of it", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  {.action = just_expire},
		  CLIENT(ACK, "tcp_established"),
		  BACKEND(ACK, "tcp_established")}},
	{"a SYN on an expired flow: a flow of its own", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, {.action = just_expire}, AGAIN("remote:8080")}},
	{"a SYN on a flow that is about to expire stays", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT, ESTABLISH, {.action = almost_expire}, CLIENT(SYN, "tcp_established")}},
	{"a flow seen a tick ahead by another CPU has not expired", state_remote,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = seen_ahead}}},
	{"a flow's packets look for it, between others none does", state_remote, .only = ONLY_TCP,
	 .step = {CONNECT,
		  ESTABLISH,
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = filter_turn},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = filter_turn},
		  {EGRESS, SENDS("remote:8080", "pod:40000"), .out = {.src = "cluster:80"}, HIT},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .action = filter_all},
		  {EGRESS, SENDS("remote:8080", "pod:40000")}}},
	{"UDP: opened by the answer", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW,
		   .flows = "udp"},
		  CLIENT(0, "udp"),
		  BACKEND(0, "udp_replied"),
		  CLIENT(0, "udp_replied"),
		  BACKEND(0, "udp_replied"),
		  {.action = grow_old},
		  CLIENT(0, "udp_stream"),
		  BACKEND(0, "udp_stream")}},
	{"UDP: a datagram after the timeout begins anew", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  BACKEND(0, "udp_replied"),
		  {.action = just_expire},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote2:8080"}, NEW,
		   .action = move_to_other, .flows = "udp"}}},
	{"UDP: a datagram before the timeout does not", state_remote, .only = ONLY_UDP,
	 .step = {{INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, NEW},
		  BACKEND(0, "udp_replied"),
		  {.action = almost_expire},
		  {INGRESS, SENDS("pod:40000", "cluster:80"), .out = {.dst = "remote:8080"}, HIT,
		   .action = move_to_other, .flows = "udp_replied"}}},
};

const struct group flows_life = GROUP("the life of a flow", tests);
