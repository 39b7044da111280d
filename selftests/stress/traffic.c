/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * See traffic.h. Two kinds of traffic meet in one table. Shared flows are opened, answered, closed
 * and reset by every thread at once, so that what becomes of a packet is not known; but it comes
 * out as it was, or in the names of one flow that there can be. Kept connections are one thread's;
 * once established, every packet of theirs is translated, always the same.
 */
#include "traffic.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "slow.h"
#include "util.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define BACKEND_SEQ                                                                                \
	5000 /* of every packet of a backend; its SYN-ACK is acknowledged by one more              \
	      */

#define KEPT	   24 /* connections a thread keeps */
#define KEPT_TURNS 60 /* packets in each direction, then it is closed */
#define HOT	   6  /* shared flows that half of the packets belong to */

#define TUPLES (2 * 4 * SHARED * CLIENT_PORTS * FRONTENDS)

/* A flow as its client knows it. */
struct tuple {
	int family;
	int protocol;
	unsigned client, port, frontend;
};

/* And as the backend does; port in host order. */
struct side {
	unsigned backend;
	uint16_t port;
};

struct kept {
	struct tuple tuple;
	struct side side;
	enum { IDLE, OPENED, ANSWERED, ACKED, ESTABLISHED } state;
	unsigned turns;
};

/* Where each shared flow last went, as backend + 1 << 16 | port; 0: nowhere. */
static uint32_t last_side[TUPLES];

/* xorshift64. */
static uint32_t draw(struct traffic *t, uint32_t count)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (uint32_t)(t->random >> 32) % count;
}

static void __attribute__((format(printf, 2, 3)))
violation(struct traffic_counts *counts, const char *format, ...)
{
	va_list args;

	if (counts->violations++ >= 20)
		return;
	va_start(args, format);
	printf("violation: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static const char *end_text(int family, const struct end *end)
{
	static __thread char text[4][INET6_ADDRSTRLEN + 10];
	static __thread unsigned next;
	char *out = text[next++ % 4];

	inet_ntop(family == NP_IPV4 ? AF_INET : AF_INET6, &end->addr, out, INET6_ADDRSTRLEN);
	sprintf(out + strlen(out), ":%u", end->port);
	return out;
}

/* What came out of a program. */
struct outcome {
	enum np_hook hook;
	enum { PASSED, DROPPED, SENT } verdict; /* SENT: out of a device, by XDP */
	struct end src, dst;
	bool changed;
};

static bool same_end(const struct end *a, const struct end *b)
{
	return a->port == b->port && !memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

static void read_ends(const struct frame *f, struct end *src, struct end *dst)
{
	const uint8_t *l3 = f->byte + ETH_HLEN;
	const struct udphdr *l4 = (const void *)(f->byte + frame_l4(f));
	size_t size = f->family == NP_IPV4 ? 4 : 16;

	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	memcpy(&src->addr, l3 + (f->family == NP_IPV4 ? 12 : 8), size);
	memcpy(&dst->addr, l3 + (f->family == NP_IPV4 ? 16 : 24), size);
	src->port = ntohs(l4->source);
	dst->port = ntohs(l4->dest);
}

static int program_of(const struct tables *t, enum np_hook hook)
{
	if (hook == NP_HOOK_XDP)
		return t->xdp_fd;
	return hook == NP_HOOK_INGRESS ? t->ingress_fd : t->egress_fd;
}

static struct outcome run(struct traffic *t, enum np_hook hook, const struct tuple *u,
			  uint8_t flags, const struct end *src, const struct end *dst)
{
	struct frame in, out;
	struct xdp_md xdp = {.ingress_ifindex = t->ifindex};
	struct __sk_buff skb = {.ifindex = t->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.byte, .data_out = out.byte,
		    .data_size_out = sizeof(out.byte), .repeat = 1);
	struct outcome result = {.hook = hook, .verdict = PASSED};
	struct end was_src, was_dst;

	frame_make(&in, u->family, u->protocol, flags, src, dst);
	if (u->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)(in.byte + frame_l4(&in));

		tcp->seq = htonl(BACKEND_SEQ);
		tcp->ack_seq = htonl(BACKEND_SEQ + 1);
	}
	out = in;
	o.data_size_in = xdp.data_end = in.length;
	o.ctx_in = hook == NP_HOOK_XDP ? (void *)&xdp : (void *)&skb;
	o.ctx_size_in = hook == NP_HOOK_XDP ? sizeof(xdp) : sizeof(skb);
	if (bpf_prog_test_run_opts(program_of(t->tables, hook), &o)) {
		violation(&t->counts, "test run: %s", strerror(errno));
		return result;
	}
	t->counts.packets[hook]++;
	if (hook == NP_HOOK_XDP)
		result.verdict = o.retval == XDP_PASS	? PASSED
				 : o.retval == XDP_DROP ? DROPPED
							: SENT;
	else
		result.verdict = o.retval == (uint32_t)-1 ? PASSED : DROPPED;
	read_ends(&in, &was_src, &was_dst);
	read_ends(&out, &result.src, &result.dst);
	result.changed = !same_end(&was_src, &result.src) || !same_end(&was_dst, &result.dst);
	*t->last = result;
	t->counts.dropped += result.verdict == DROPPED;
	t->counts.translated += result.verdict != DROPPED && result.changed;
	t->counts.passed += result.verdict != DROPPED && !result.changed;
	return result;
}

static bool is_snat_port(uint16_t port)
{
	return port >= SNAT_FIRST && port < SNAT_FIRST + SNAT_COUNT;
}

/* The client's packet, translated at ingress or by XDP: is it a flow of this tuple's? */
static bool check_forward(struct traffic *t, enum np_hook hook, const struct tuple *u,
			  const struct outcome *o, struct side *side)
{
	struct end client = client_end(u->family, u->client, u->port);
	struct end from = o->src;
	int backend = backend_of(u->family, &o->dst);
	bool translated = is_translated(u->client, u->frontend);

	if (hook == NP_HOOK_XDP && translated)
		client.addr = snat_addr(u->family);
	from.port = client.port;
	if (backend < 0 || !may_serve(u->frontend, backend) || !same_end(&from, &client) ||
	    (o->src.port != client.port && !is_snat_port(o->src.port)) ||
	    (translated && !is_snat_port(o->src.port))) {
		violation(&t->counts, "hook %d: client %u to frontend %u became %s -> %s", hook,
			  u->client, u->frontend, end_text(u->family, &o->src),
			  end_text(u->family, &o->dst));
		return false;
	}
	*side = (struct side){backend, o->src.port};
	return true;
}

/* The backend's packet: in the name of a frontend that leads there, to a port of the client's? */
static void check_reply(struct traffic *t, const struct tuple *u, const struct side *side,
			const struct outcome *o)
{
	int frontend = frontend_of(u->family, &o->src), client = client_of(u->family, &o->dst);

	if (frontend < 0 || client != (int)u->client || !may_serve(frontend, side->backend) ||
	    (!is_snat_port(side->port) && side->port != o->dst.port))
		violation(&t->counts, "backend %u to client %u, port %u became %s -> %s",
			  side->backend, u->client, side->port, end_text(u->family, &o->src),
			  end_text(u->family, &o->dst));
}

/* By what a flow looks like before and behind the kernel. */
static struct outcome send_forward(struct traffic *t, enum np_hook hook, const struct tuple *u,
				   uint8_t flags)
{
	struct end src = client_end(u->family, u->client, u->port);
	struct end dst = frontend_end(u->family, u->frontend);

	return run(t, hook, u, flags, &src, &dst);
}

/* tc's second half: to the backend in the name of snat. */
static bool send_snat(struct traffic *t, const struct tuple *u, const struct side *side,
		      uint8_t flags, bool *changed)
{
	struct end client = {client_end(u->family, u->client, 0).addr, side->port};
	struct end dst = backend_end(u->family, side->backend);
	struct end snat = {snat_addr(u->family), side->port};
	struct outcome o = run(t, NP_HOOK_EGRESS, u, flags, &client, &dst);

	*changed = o.verdict == PASSED && o.changed;
	if (o.verdict == DROPPED || !o.changed)
		return true;
	if (same_end(&o.src, &snat) && same_end(&o.dst, &dst))
		return true;
	violation(&t->counts, "client %u to backend %u became %s -> %s", u->client, side->backend,
		  end_text(u->family, &o.src), end_text(u->family, &o.dst));
	return false;
}

/* The answer to translated flows, at ingress: back to the client that has the port. */
static struct outcome send_unsnat(struct traffic *t, enum np_hook hook, const struct tuple *u,
				  const struct side *side, uint8_t flags)
{
	struct end src = backend_end(u->family, side->backend);
	struct end dst = {snat_addr(u->family), side->port};

	return run(t, hook, u, flags, &src, &dst);
}

static struct outcome send_reply(struct traffic *t, const struct tuple *u, const struct side *side,
				 uint8_t flags)
{
	struct end src = backend_end(u->family, side->backend);
	struct end dst = {client_end(u->family, u->client, 0).addr, side->port};

	return run(t, NP_HOOK_EGRESS, u, flags, &src, &dst);
}

static void shared_forward(struct traffic *t, const struct tuple *u, uint32_t *last, uint8_t flags)
{
	enum np_hook hook = draw(t, 3) ? NP_HOOK_INGRESS : NP_HOOK_XDP;
	struct outcome o = send_forward(t, hook, u, flags);
	struct side side;
	bool changed;

	if (o.verdict == DROPPED)
		return;
	if (!o.changed) {
		if (hook == NP_HOOK_INGRESS && (flags == SYN || u->protocol == IPPROTO_UDP))
			violation(&t->counts, "client %u to frontend %u: passed untranslated",
				  u->client, u->frontend);
		return;
	}
	if (!check_forward(t, hook, u, &o, &side))
		return;
	__atomic_store_n(last, (side.backend + 1) << 16 | side.port, __ATOMIC_RELEASE);
	if (hook == NP_HOOK_INGRESS && draw(t, 2))
		send_snat(t, u, &side, flags, &changed);
}

static void shared_answer(struct traffic *t, const struct tuple *u, uint32_t last, uint8_t flags)
{
	struct side side = {(last >> 16) - 1, (uint16_t)last};
	struct outcome o;

	if (is_translated(u->client, u->frontend) && draw(t, 2)) {
		enum np_hook hook = draw(t, 2) ? NP_HOOK_INGRESS : NP_HOOK_XDP;

		/* By now the port may be a kept connection's: nothing that closes it. */
		o = send_unsnat(t, hook, u, &side, ACK);
		/* A client's address and a port of its own; from XDP in the frontend's name. */
		if (o.verdict == SENT &&
		    (client_of(u->family, &o.dst) < 0 || frontend_of(u->family, &o.src) < 0))
			violation(&t->counts, "XDP: backend %u, port %u became %s -> %s",
				  side.backend, side.port, end_text(u->family, &o.src),
				  end_text(u->family, &o.dst));
		if (o.verdict == PASSED && o.changed && o.dst.port != side.port)
			violation(&t->counts, "backend %u, port %u became %s -> %s", side.backend,
				  side.port, end_text(u->family, &o.src),
				  end_text(u->family, &o.dst));
		return;
	}
	o = send_reply(t, u, &side, flags);
	if (o.verdict != DROPPED && o.changed)
		check_reply(t, u, &side, &o);
}

/* Shared flow number n. */
static struct tuple shared_tuple(uint32_t n)
{
	return (struct tuple){.family = n % 2 ? NP_IPV6 : NP_IPV4,
			      .protocol = n / 2 % 4 ? IPPROTO_TCP : IPPROTO_UDP,
			      .client = n / 8 % SHARED,
			      .port = n / 8 / SHARED % CLIENT_PORTS,
			      .frontend = n / 8 / SHARED / CLIENT_PORTS % FRONTENDS};
}

static uint32_t draw_shared(struct traffic *t)
{
	return draw(t, 2) ? draw(t, HOT) * (TUPLES / HOT) : draw(t, TUPLES);
}

static const uint8_t opens[] = {SYN, SYN, SYN, SYN, ACK, ACK, ACK, FIN | ACK, RST};
static const uint8_t answers[] = {SYN | ACK, SYN | ACK, ACK, ACK, FIN | ACK, RST};

static void shared_step(struct traffic *t)
{
	uint32_t n = draw_shared(t), last = __atomic_load_n(&last_side[n], __ATOMIC_ACQUIRE);
	struct tuple u = shared_tuple(n);

	if (!last || draw(t, 2))
		shared_forward(t, &u, &last_side[n], opens[draw(t, sizeof(opens))]);
	else
		shared_answer(t, &u, last, answers[draw(t, sizeof(answers))]);
}

static uint32_t backend_number(const struct traffic *t, int family, const struct end *end)
{
	const struct np_backend *b = t->tables->backends;
	uint32_t i;

	for (i = 0; i < t->tables->size[TABLE_backends] - 1; i++)
		if (b[i].family == family && b[i].port == htons(end->port) &&
		    !memcmp(&b[i].addr, &end->addr, sizeof(end->addr)))
			break;
	return i;
}

static void slow_create(struct traffic *t, const struct tuple *u, uint32_t *last)
{
	bool translated = is_translated(u->client, u->frontend);
	struct end client = client_end(u->family, u->client, u->port);
	struct end frontend = frontend_end(u->family, u->frontend);
	unsigned number = (u->frontend / 2 + draw(t, SERVES)) % BACKENDS;
	struct end backend = backend_end(u->family, number);
	uint16_t port = translated ? SNAT_FIRST + draw(t, SNAT_COUNT) : client.port;
	struct flowtable_flow f = {.family = u->family,
				   .protocol = u->protocol,
				   .flags = NP_FLOW_REMOTE | (translated ? NP_FLOW_TRANSLATED : 0),
				   .backend = backend_number(t, u->family, &backend),
				   .port = {htons(client.port), htons(frontend.port),
					    htons(backend.port), htons(port)},
				   .addr = {client.addr, frontend.addr, backend.addr,
					    translated ? snat_addr(u->family) : client.addr}};

	if (slow_open(t->tables, &f))
		return;
	t->counts.slow_opened++;
	__atomic_store_n(last, (number + 1) << 16 | port, __ATOMIC_RELEASE);
}

static struct slow_packet slow_make(const struct tuple *u, uint32_t space, uint8_t flags,
				    const struct end *src, const struct end *dst)
{
	return (struct slow_packet){.space = space,
				    .flags = u->protocol == IPPROTO_TCP ? flags : 0,
				    .number = BACKEND_SEQ + (space == NP_HASH_INGRESS),
				    .tuple = {.family = u->family,
					      .protocol = u->protocol,
					      .src = src->addr,
					      .dst = dst->addr,
					      .src_port = htons(src->port),
					      .dst_port = htons(dst->port)}};
}

static struct outcome slow_outcome(const struct slow_packet *p)
{
	return (struct outcome){.verdict = PASSED,
				.changed = true,
				.src = {p->tuple.src, ntohs(p->tuple.src_port)},
				.dst = {p->tuple.dst, ntohs(p->tuple.dst_port)}};
}

void traffic_slow_step(struct traffic *t)
{
	uint32_t n = draw_shared(t), last = __atomic_load_n(&last_side[n], __ATOMIC_ACQUIRE);
	struct tuple u = shared_tuple(n);
	struct end client = client_end(u.family, u.client, u.port);
	struct end frontend = frontend_end(u.family, u.frontend), backend;
	struct side side = {(last >> 16) - 1, (uint16_t)last};
	struct slow_packet p;
	struct outcome o;
	uint8_t flags;

	t->counts.slow++;
	if (!last || draw(t, 2)) {
		flags = opens[draw(t, sizeof(opens))];
		p = slow_make(&u, NP_HASH_INGRESS, flags, &client, &frontend);
		if (!slow_packet(t->tables, &p)) {
			o = slow_outcome(&p);
			check_forward(t, NP_HOOK_INGRESS, &u, &o, &side);
		} else if (flags == SYN || u.protocol == IPPROTO_UDP) {
			slow_create(t, &u, &last_side[n]);
		}
		return;
	}
	client.port = side.port;
	backend = backend_end(u.family, side.backend);
	p = slow_make(&u, NP_HASH_EGRESS, answers[draw(t, sizeof(answers))], &backend, &client);
	if (!slow_packet(t->tables, &p)) {
		o = slow_outcome(&p);
		check_reply(t, &u, &side, &o);
	}
}

static void kept_broken(struct traffic *t, struct kept *k, const char *what)
{
	const struct outcome *o = t->last;

	violation(
		&t->counts,
		"kept connection, client %u port %u to frontend %u, backend %u, port %u, turn %u: "
		"%s: hook %d, %s -> %s",
		k->tuple.client, k->tuple.port, k->tuple.frontend, k->side.backend, k->side.port,
		k->turns, what, o->hook, end_text(k->tuple.family, &o->src),
		end_text(k->tuple.family, &o->dst));
	k->state = IDLE;
}

/* Client to backend, all the way; true: as it has always been. */
static bool kept_forward(struct traffic *t, struct kept *k, uint8_t flags)
{
	enum np_hook hook = draw(t, 3) ? NP_HOOK_INGRESS : NP_HOOK_XDP;
	struct outcome o = send_forward(t, hook, &k->tuple, flags);
	struct side side;
	bool changed = false;

	if (hook == NP_HOOK_XDP && o.verdict == PASSED && !o.changed) {
		hook = NP_HOOK_INGRESS; /* to tc, untouched */
		o = send_forward(t, hook, &k->tuple, flags);
	}
	if (o.verdict == DROPPED || !o.changed || !check_forward(t, hook, &k->tuple, &o, &side))
		return false;
	if (k->state == IDLE)
		k->side = side;
	if (side.backend != k->side.backend || side.port != k->side.port)
		return false;
	if (hook == NP_HOOK_INGRESS && is_translated(k->tuple.client, k->tuple.frontend))
		return send_snat(t, &k->tuple, &side, flags, &changed) && changed;
	return true;
}

/* And back. */
static bool kept_answer(struct traffic *t, struct kept *k, uint8_t flags)
{
	struct end client = client_end(k->tuple.family, k->tuple.client, k->tuple.port);
	struct end frontend = frontend_end(k->tuple.family, k->tuple.frontend);
	struct outcome o;

	if (is_translated(k->tuple.client, k->tuple.frontend)) {
		o = send_unsnat(t, NP_HOOK_INGRESS, &k->tuple, &k->side, flags);
		client.port = k->side.port;
		if (o.verdict != PASSED || !o.changed || !same_end(&o.dst, &client))
			return false;
		client.port = client_end(k->tuple.family, k->tuple.client, k->tuple.port).port;
	}
	o = send_reply(t, &k->tuple, &k->side, flags);
	return o.verdict == PASSED && same_end(&o.src, &frontend) && same_end(&o.dst, &client);
}

/* Until it is established it may be evicted; from then on nothing may happen to it. */
static void kept_step(struct traffic *t, struct kept *k)
{
	switch (k->state) {
	case IDLE:
		k->tuple.frontend = draw(t, FRONTENDS);
		k->turns = 0;
		if (kept_forward(t, k, SYN))
			k->state = OPENED;
		break;
	case OPENED:
		k->state = kept_answer(t, k, SYN | ACK) ? ANSWERED : IDLE;
		break;
	case ANSWERED:
		k->state = kept_forward(t, k, ACK) ? ACKED : IDLE;
		break;
	case ACKED: /* it may have been evicted under the very ACK */
		k->state = kept_forward(t, k, ACK) && kept_answer(t, k, ACK) ? ESTABLISHED : IDLE;
		t->counts.conversations += k->state == ESTABLISHED;
		break;
	case ESTABLISHED:
		t->counts.kept += 2;
		if (!kept_forward(t, k, ACK))
			return kept_broken(t, k, "client to backend");
		if (!kept_answer(t, k, ACK))
			return kept_broken(t, k, "backend to client");
		if (++k->turns < KEPT_TURNS)
			break;
		if (draw(t, 2)) {
			kept_forward(t, k, RST);
		} else {
			kept_forward(t, k, FIN | ACK);
			kept_answer(t, k, FIN | ACK);
			kept_forward(t, k, ACK);
		}
		k->state = IDLE;
		break;
	}
}

void traffic_step(struct traffic *t)
{
	if (draw(t, 4))
		shared_step(t);
	else
		kept_step(t, &t->kept[draw(t, KEPT)]);
}

int traffic_init(struct traffic *t, const struct tables *tables, uint32_t ifindex, unsigned number)
{
	*t = (struct traffic){.tables = tables,
			      .ifindex = ifindex,
			      .number = number,
			      .random = 0x9E3779B97F4A7C15ULL * (number + 1)};
	t->kept = calloc(KEPT, sizeof(*t->kept));
	t->last = calloc(1, sizeof(*t->last));
	if (!t->kept || !t->last)
		return -ENOMEM;
	for (unsigned i = 0; i < KEPT; i++)
		t->kept[i].tuple = (struct tuple){.family = i % 2 ? NP_IPV6 : NP_IPV4,
						  .protocol = IPPROTO_TCP,
						  .client = SHARED + 2 * number + i / 2 % 2,
						  .port = i / 4};
	return 0;
}

void traffic_free(struct traffic *t)
{
	free(t->kept);
	free(t->last);
	t->kept = NULL;
	t->last = NULL;
}
