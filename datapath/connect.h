/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A new connection: find the service, decide, choose a backend, make the flow. Cold path, run
 * once a connection by the hook that sees its first packet. The includer defines np_ctx (struct
 * __sk_buff or struct xdp_md) and np_ct_lookup before.
 */
#ifndef NEARPATH_DATAPATH_CONNECT_H
#define NEARPATH_DATAPATH_CONNECT_H

#include "conntrack.h"
#include "flow_new.h"
#include "handover.h"
#include "known.h"
#include "note.h"

/* What came of it. */
enum connect {
	CONNECT_PASS,	/* no service, or left to the kernel */
	CONNECT_CREATE, /* flow_create() is to make what the request has become */
	CONNECT_FLOW,	/* there is a flow now: look again */
	CONNECT_AGAIN,	/* another CPU is at it: the same, and drop if there is none yet */
	CONNECT_REJECT, /* refused, to be answered */
	CONNECT_DROP,
};

static __always_inline enum connect connect_drop(__u32 hook, enum np_reason reason)
{
	if (hook != NP_HOOK_XDP) /* there it passes, and tc will do and count it */
		count(hook, reason);
	return CONNECT_DROP;
}

/* A tuple as the kernel's look-ups take it; returns the size of the family's part. */
static __always_inline __u32 sock_tuple(struct bpf_sock_tuple *t, const union np_addr *src,
					const union np_addr *dst, __be16 sport, __be16 dport,
					int family)
{
	if (family == NP_IPV4) {
		t->ipv4.saddr = src->v4;
		t->ipv4.daddr = dst->v4;
		t->ipv4.sport = sport;
		t->ipv4.dport = dport;
		return sizeof(t->ipv4);
	}
	addr_write(t->ipv6.saddr, src, NP_IPV6);
	addr_write(t->ipv6.daddr, dst, NP_IPV6);
	t->ipv6.sport = sport;
	t->ipv6.dport = dport;
	return sizeof(t->ipv6);
}

static __always_inline bool port_has_socket(np_ctx *ctx, const struct flow_request *r, __be16 port,
					    int family)
{
	struct bpf_sock_tuple t = {};
	__u32 size = sock_tuple(&t, &r->backend, &r->snat, r->backend_port, port, family);
	struct bpf_sock *sk;

	if (r->tuple.protocol == IPPROTO_SCTP) /* those sockets cannot be looked up */
		return false;
	if (r->tuple.protocol == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

static __always_inline bool port_has_connection(np_ctx *ctx, const struct flow_request *r,
						__be16 port, int family)
{
	struct bpf_sock_tuple t = {};
	__u32 size = sock_tuple(&t, &r->tuple.src, &r->backend, port, r->backend_port, family);

	if (conntrack_has(ctx, &t, size, r->tuple.protocol))
		return true;
	/* What the kernel translates itself is known there by what its answers look like. */
	size = sock_tuple(&t, &r->backend, &r->tuple.src, r->backend_port, port, family);
	if (conntrack_has(ctx, &t, size, r->tuple.protocol))
		return true;
	if (!(r->flags & NP_FLOW_TRANSLATED))
		return false;
	size = sock_tuple(&t, &r->backend, &r->snat, r->backend_port, port, family);
	return conntrack_has(ctx, &t, size, r->tuple.protocol);
}

/*
 * Does a socket of the client itself talk to the backend from this port? The only way to tell where
 * conntrack does not run, for clients whose network namespace is known: pods of this node.
 */
static __always_inline bool port_has_client_socket(np_ctx *ctx, const struct flow_request *r,
						   __be16 port, int family)
{
	struct bpf_sock_tuple t = {};
	__u32 size;
	struct bpf_sock *sk;
	bool talks;

	if (!r->netns || r->tuple.protocol != IPPROTO_TCP)
		return false;
	size = sock_tuple(&t, &r->backend, &r->tuple.src, r->backend_port, port, family);
	sk = bpf_skc_lookup_tcp(ctx, &t, size, r->netns - 1, 0);
	if (!sk)
		return false;
	talks = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return talks;
}

static __always_inline bool is_foreign(np_ctx *ctx, const struct flow_request *r, __be16 port,
				       int family)
{
	return (r->flags & NP_FLOW_TRANSLATED ? port_has_socket(ctx, r, port, family)
					      : port_has_client_socket(ctx, r, port, family)) ||
	       (conntrack_is_used() && port_has_connection(ctx, r, port, family));
}

/*
 * Is the source port taken by someone who has no flow here? Translated: by a socket of this host
 * that talks to the backend from the same address. Else: by one of the client. Any: by a connection
 * of the client to the backend itself that the kernel carries, or a flow of the tables of before. A
 * BPF global function: it is called in a loop.
 */
__noinline int port_is_foreign(np_ctx *ctx, struct flow_request *r, __u32 port, __u32 family)
{
	if (!r)
		return false;
	if (np.handover && before_has_port(r, port, family))
		return true;
	return family == NP_IPV4 ? is_foreign(ctx, r, port, NP_IPV4)
				 : is_foreign(ctx, r, port, NP_IPV6);
}

static __always_inline bool meets_answers(const struct flow_request *r, __u32 port, int family)
{
	struct tuple t = {.src = r->tuple.src,
			  .dst = r->backend,
			  .ports = PORTS(port, r->backend_port),
			  .protocol = r->tuple.protocol};

	return !flow_is_filtered(&t.src, &t.dst, NP_HASH_EGRESS, family) &&
	       flow_name_rivals(&t, 0, NP_NAME_REPLY, family);
}

/*
 * Would a packet of the flow, on its way between the hooks, be like an answer of another one? So it
 * is where two pods speak to each other through services, each from the port it listens on. Where
 * the source is translated, the name SNAT is in the index and tells. After REPLY was given: of two
 * CPUs that make both flows at once, one sees the other's.
 */
__noinline int port_meets_answers(struct flow_request *r, __u32 port, __u32 family)
{
	if (!r)
		return false;
	return family == NP_IPV4 ? meets_answers(r, port, NP_IPV4)
				 : meets_answers(r, port, NP_IPV6);
}

/*
 * A port for try number i. The client's own first, where it may stay. For translation all ports
 * take turns at each backend, beginning with the one that was not used for longest; neighbours in
 * turn are not neighbours in number, so that they are no more guessable than need be. Where many in
 * a row are in use, one at random may not be.
 */
static __always_inline __be16 port_candidate(const struct flow_request *r, __u32 turn, __u32 i)
{
	if (!i && !r->move_port && !(r->flags & NP_FLOW_TRANSLATED))
		return SPORT(r->tuple.ports);
	if (i < FLOW_PORT_TRIES ? i < FLOW_PORT_TURNS : i % FLOW_PORT_MORE < FLOW_PORT_MORE / 2)
		turn += i % FLOW_PORT_TRIES;
	else
		turn += bpf_get_prandom_u32() >> 8;
	return port_in_turn(turn);
}

/* The client is to be known by the n-th of the other addresses; false: there is none. */
static __always_inline bool next_source(struct flow_request *r, struct np_flow *flow, __u32 n,
					int family)
{
	__u32 number = r->decision.backend;
	struct np_backend *backend = bpf_map_lookup_elem(&backends, &number);
	struct np_source *source;

	if (!backend || n >= backend->sources)
		return false;
	number = backend->source + n;
	source = bpf_map_lookup_elem(&snat_sources, &number);
	if (!source)
		return false;
	r->snat = source->addr;
	addr_write(flow_addr(flow, NP_SNAT, family), &r->snat, family);
	return true;
}

/* How hard try i presses those that nobody has answered; see flow_gives_way(). */
static __always_inline __u32 port_urgency(const struct np_ports *ports, __u32 i)
{
	__u32 urgency = ports->urgency + i * (NAME_URGENCY_MASK + 1) / FLOW_PORT_TRIES;

	return urgency > NAME_URGENCY_MASK ? NAME_URGENCY_MASK : urgency;
}

/* A port was found: the next connection looks where this one ended, and presses a little less. */
static __always_inline void port_found(const struct flow_request *r, __be16 port,
				       struct np_ports *ports, __u32 turn, __u32 i, __u32 urgency)
{
	if (!(r->flags & NP_FLOW_TRANSLATED)) {
		if (port != SPORT(r->tuple.ports))
			count(r->hook, NP_REASON_PORT_MOVED);
		return;
	}
	if (i >= FLOW_PORT_TRIES)
		count(r->hook, NP_REASON_SOURCE_MOVED);
	ports->next = turn + (i < FLOW_PORT_TURNS ? i + 1 : FLOW_PORT_TURNS);
	ports->urgency = urgency ? urgency - 1 : 0;
}

static __always_inline int find_port(np_ctx *ctx, __u32 number, struct flow_request *r, int family)
{
	__u32 key = r->decision.backend, turn;
	struct np_ports *ports = bpf_map_lookup_elem(&snat_ports, &key);
	struct np_flow *flow = flow_record(number, family);
	int i;

	if (!flow || !ports)
		return -EINVAL;
	turn = ports->next;
#pragma clang loop unroll(disable)
	for (i = 0; i < FLOW_PORT_TRIES + FLOW_PORT_MORE * NP_SOURCES_EACH; i++) {
		__u32 urgency = port_urgency(ports, i);
		__be16 port;

		if (i >= FLOW_PORT_TRIES && !(i % FLOW_PORT_MORE) &&
		    (!(r->flags & NP_FLOW_TRANSLATED) ||
		     !next_source(r, flow, (i - FLOW_PORT_TRIES) / FLOW_PORT_MORE, family)))
			break;
		port = port_candidate(r, turn, i);
		if (!flow_name_backend_side(flow, number, r, port, urgency, family) &&
		    (r->flags & NP_FLOW_TRANSLATED || !port_meets_answers(r, port, family)) &&
		    !port_is_foreign(ctx, r, port, family)) {
			port_found(r, port, ports, turn, i, urgency);
			return 0;
		}
		flow_unname(number, family);
	}
	ports->next = turn + FLOW_PORT_TURNS;
	__sync_fetch_and_add(&ports->refused, 1);
	return -EADDRINUSE;
}

/*
 * Find a source port under which the backend's side can name the flow. A BPF global function for
 * its loop.
 */
__noinline int flow_port(np_ctx *ctx, __u32 number, struct flow_request *r, __u32 family)
{
	if (!r)
		return -EINVAL;
	return family == NP_IPV4 ? find_port(ctx, number, r, NP_IPV4)
				 : find_port(ctx, number, r, NP_IPV6);
}

/* Make the flow: record, names, and at last publication, from which on packets find it. */
static __always_inline int create(np_ctx *ctx, struct flow_request *r, int family)
{
	struct np_flow *flow;
	__u32 number = 0;
	int i, rc;

	for (i = 0; i < FLOW_CLAIM_TRIES && !number; i++)
		number = flow_claim(r, i, family);
	if (!number)
		return connect_drop(r->hook, NP_REASON_FLOWS_FULL);
	number--;
	flow = flow_record(number, family);
	if (!flow)
		return CONNECT_DROP;
	flow_fill(flow, r, family);
	rc = flow_port(ctx, number, r, family);
	if (rc) {
		flow_release(flow, number, family);
		return connect_drop(r->hook, NP_REASON_NO_SNAT_PORT);
	}
	/* -EBUSY may be a lost place, not a lost race: look again. */
	rc = -EBUSY;
	for (i = 0; i < FLOW_NAME_TRIES && rc == -EBUSY; i++)
		rc = flow_name_insert(&r->tuple, NP_NAME_FORWARD, number, family);
	if (rc) {
		flow_release(flow, number, family);
		if (rc == -ENOSPC)
			return connect_drop(r->hook, NP_REASON_FLOWS_FULL);
		count(r->hook, NP_REASON_RACE_LOST);
		return CONNECT_AGAIN;
	}
	flow_publish(flow);
	return CONNECT_FLOW;
}

/*
 * Make the flow that connect() has decided on: CONNECT_FLOW, or why there is none. A BPF global
 * function, called after connect() and not by it: of all chains of calls the longest begins here.
 */
__noinline int flow_create(np_ctx *ctx, struct flow_request *r, __u32 family)
{
	if (!r)
		return CONNECT_DROP;
	return family == NP_IPV4 ? create(ctx, r, NP_IPV4) : create(ctx, r, NP_IPV6);
}

/* Not forwarded: counted here, unless XDP leaves it to tc. */
static __always_inline enum connect connect_refuse(const struct np_decision *d, __u32 hook)
{
	if (hook == NP_HOOK_XDP)
		return CONNECT_DROP;
	note_refusal(hook, d);
	return d->verdict == NP_VERDICT_REJECT ? CONNECT_REJECT : CONNECT_DROP;
}

/*
 * The source as the backend will see it. Nothing to translate where the backend is an address of
 * this host (its source towards itself): such packets never come to an egress hook.
 */
static __always_inline int connect_source(struct flow_request *r, const struct np_backend *backend,
					  bool snat)
{
	r->snat = r->tuple.src;
	if (!snat || addr_equal(&backend->snat, &backend->addr, NP_IPV6))
		return 0;
	if (addr_is_zero(&backend->snat))
		return -EADDRNOTAVAIL;
	r->snat = backend->snat;
	r->flags |= NP_FLOW_TRANSLATED;
	return 0;
}

/*
 * Does the kernel carry the conversation already, for kube-proxy? Every datagram of a client looks
 * like the first, and a SYN may have been sent before. A BPF global function for its stack.
 */
__noinline int connect_is_carried(np_ctx *ctx, struct flow_request *r, __u32 family)
{
	struct bpf_sock_tuple t = {};
	__be16 sport, dport;
	__u32 size;

	if (!r || !np.conntrack)
		return false;
	sport = SPORT(r->tuple.ports);
	dport = DPORT(r->tuple.ports);
	size = family == NP_IPV4
		       ? sock_tuple(&t, &r->tuple.src, &r->tuple.dst, sport, dport, NP_IPV4)
		       : sock_tuple(&t, &r->tuple.src, &r->tuple.dst, sport, dport, NP_IPV6);
	return (conntrack_ask(ctx, &t, size, r->tuple.protocol) & (CT_LIVE | CT_DNAT)) ==
	       (CT_LIVE | CT_DNAT);
}

/* The first packet of a connection that may be a service's. */
static __always_inline int connect_service(np_ctx *ctx, struct flow_request *r,
					   struct np_iface *iface, __u32 family)
{
	const struct np_decision *d = &r->decision;
	struct np_backend *backend;
	__u32 number;

	if (!r->decided)
		decide(&r->tuple, iface->flags, 0, family, &r->decision);
	if (d->reason == NP_REASON_TABLE_ERROR)
		count(r->hook, NP_REASON_TABLE_ERROR);
	if (d->verdict == NP_VERDICT_PASS)
		return CONNECT_PASS;
	if (iface->lb != NP_LB_ON) {
		if (r->hook != NP_HOOK_XDP)
			count(r->hook, NP_REASON_DRAIN);
		return CONNECT_PASS;
	}
	if (iface->flags & NP_IFACE_CONNTRACK && connect_is_carried(ctx, r, family)) {
		if (r->hook != NP_HOOK_XDP)
			count(r->hook, NP_REASON_LEFT_TO_CONNTRACK);
		return CONNECT_PASS;
	}
	if (d->verdict != NP_VERDICT_FORWARD)
		return connect_refuse(d, r->hook);
	/* Keys lie on the own stack: Linux 6.1 takes none from the memory of a caller. */
	number = d->backend;
	backend = bpf_map_lookup_elem(&backends, &number);
	if (!backend)
		return CONNECT_PASS;
	r->backend = backend->addr;
	r->backend_port = backend->port;
	r->netns = iface->netns;
	if (!(backend->flags & NP_BACKEND_LOCAL))
		r->flags |= NP_FLOW_REMOTE;
	if (r->flags & NP_FLOW_REMOTE && r->hook != NP_HOOK_XDP && r->tuple.protocol != IPPROTO_UDP)
		r->flags |= NP_FLOW_STACK; /* as flow_track_way() would */
	if (connect_source(r, backend, d->snat))
		return connect_drop(r->hook, NP_REASON_NO_SNAT_ADDRESS);
	return CONNECT_CREATE;
}

static __always_inline int shadowed(struct flow_request *r, struct tuple *reply, int family)
{
	struct flow_hit hit;

	if (!flow_may_be(reply, NP_HASH_EGRESS, family))
		return CONNECT_PASS;
	hit = flow_find_rare(reply, NP_HASH_EGRESS, family);
	if (!hit.flow || hit.name != NP_NAME_REPLY)
		return CONNECT_PASS;
	if (flow_is_spent(hit.flow, now32()))
		return flow_end(hit.number, hit.seq, family) ? CONNECT_AGAIN : CONNECT_PASS;
	r->backend = r->tuple.dst;
	r->backend_port = DPORT(r->tuple.ports);
	r->decision =
		(struct np_decision){.backend = hit.flow->backend, .service = hit.flow->service};
	r->flags = hit.flow->flags & NP_FLOW_REMOTE;
	r->snat = r->tuple.src;
	r->move_port = true;
	return flow_seq_after(hit.flow, r->decision.backend + r->decision.service + r->flags) ==
			       hit.seq
		       ? CONNECT_CREATE
		       : CONNECT_AGAIN;
}

/*
 * A SYN or datagram to a pod itself, from a client port that also has a flow through a service to
 * that pod: the answers of both would look the same. A flow that is over is ended; beside a live
 * one the direct connection becomes a flow of its own, with another source port (CONNECT_CREATE,
 * and the rest of r is set). Whoever ends it meanwhile may give it its next life (reclaim()), which
 * has to be seen: CONNECT_AGAIN. A flow that is being made sees the client's socket instead.
 */
static __noinline int connect_shadowed(struct flow_request *r, __u32 family)
{
	struct tuple reply = tuple_reverse(&r->tuple);
	int rc = family == NP_IPV4 ? shadowed(r, &reply, NP_IPV4) : shadowed(r, &reply, NP_IPV6);

	if (rc == CONNECT_AGAIN)
		count(r->hook, NP_REASON_RACE_LOST);
	return rc;
}

/*
 * Would connect() pass it, by all that filters tell: it goes to no service, and is not shadowed?
 * The tuple need not be whole.
 */
static __always_inline bool connect_is_needless(const union np_addr *src, const union np_addr *dst,
						int family)
{
	return address_is_strange(dst, family) &&
	       flow_is_filtered(dst, src, NP_HASH_EGRESS, family) &&
	       !in_service_cidr(dst, family, family);
}

/*
 * May something become of a packet that opens a conversation and has no flow? From port 0 a
 * question comes (nearpath explain).
 */
static __always_inline bool connect_is_asked(const union np_addr *src, const union np_addr *dst,
					     __u32 ports, int family)
{
	return !SPORT(ports) || !connect_is_needless(src, dst, family);
}

/*
 * Is a packet that opens a connection to have a flow? Returns an enum connect; CONNECT_CREATE: r
 * says which. Of r, tuple (whole) and hook are set, maybe the decision; the rest is zero. One code
 * for both families, as addresses are whole here.
 */
__noinline int connect(np_ctx *ctx, struct flow_request *r, struct np_iface *iface, __u32 family)
{
	int rc;

	if (!r || !iface)
		return CONNECT_PASS;
	rc = connect_service(ctx, r, iface, family);
	return rc == CONNECT_PASS ? connect_shadowed(r, family) : rc;
}

static __always_inline bool request(np_ctx *ctx, __u32 l2_len, struct flow_request *r, int family)
{
	struct packet p = {};
	int parsed;

	if (!r || l2_len > ETH_HLEN)
		return false;
	*r = (struct flow_request){};
	parsed = packet_parse(&p, ctx, l2_len, family);
	if (parsed != PARSE_PORTS && parsed != PARSE_ICMP)
		return false;
	r->tuple = tuple_whole(&p.tuple, family);
	return true;
}

/* A BPF global function for its caller's stack. */
__noinline int connect_request6(np_ctx *ctx, __u32 l2_len, struct flow_request *r)
{
	return request(ctx, l2_len, r, NP_IPV6);
}

/*
 * What a packet asks for that has no flow: all of r but its hook. ICMP has no ports. false: it is a
 * packet that can have none.
 */
static __always_inline bool connect_request(np_ctx *ctx, __u32 l2_len, struct flow_request *r,
					    int family)
{
	return family == NP_IPV4 ? request(ctx, l2_len, r, family)
				 : connect_request6(ctx, l2_len, r);
}

/* A BPF global function for its caller's stack. */
__noinline int connect_note(struct flow_request *r, __u32 family)
{
	if (r)
		note_connection(r->hook, &r->decision, &r->tuple, family);
	return 0;
}

/*
 * All of it: returns an enum connect, but never CONNECT_CREATE. r as connect_request() left it, and
 * its hook.
 */
static __always_inline int connect_packet(np_ctx *ctx, struct flow_request *r,
					  struct np_iface *iface, __u32 family)
{
	int rc;

	if (r->tuple.protocol == IPPROTO_TCP && !np.handover) {
		decide(&r->tuple, iface->flags, 0, family, &r->decision);
		r->decided = true;
		if (connect_known(r, family))
			return CONNECT_FLOW;
	}
	rc = connect(ctx, r, iface, family);
	if (rc != CONNECT_CREATE)
		return rc;
	rc = flow_create(ctx, r, family);
	if (!r->decision.version) /* the pod can be reached without us */
		return rc == CONNECT_DROP ? CONNECT_PASS : rc;
	if (rc == CONNECT_FLOW)
		connect_note(r, family);
	return rc;
}

#endif
