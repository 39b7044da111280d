/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The node's own processes: connect() and sendmsg() to a frontend go to a backend, chosen once and
 * as packets have it (datapath/decide.h), and getpeername() and recvmsg() name the frontend again.
 * Attached to the root cgroup, hence called for every process; sockets of other network namespaces
 * are left alone: a container's packets pass tc, and another nearpathd may have its own programs
 * here. Costs nothing per packet of TCP and of connected UDP.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_helpers.h>

#include "../datapath/decide.h"
#include "../datapath/note.h"
#include "peers.h"

#define SOCK_STOP 0 /* -EPERM, or what bpf_set_retval() said */
#define SOCK_GO	  1

#define MAPPED bpf_htonl(0xFFFF) /* third word of ::ffff:a.b.c.d */

/* Decisions asked for until one is told apart from the socket's other conversations. */
#define APART_TRIES 4
#define PORT_TRIES  16 /* the same, for a bound port: with two backends one in 65,536 finds none */

/* Is it a socket of the network namespace this nearpath serves, and one that is translated? */
static __always_inline bool is_ours(struct bpf_sock_addr *ctx)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	return c && c->netns_cookie && bpf_get_netns_cookie(ctx) == c->netns_cookie &&
	       (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP);
}

/* ctx->sk; clang would keep its place within the context, which the verifier does not follow. */
static __always_inline struct bpf_sock *socket_of(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk;

	asm volatile("%0 = *(u64 *)(%1 + %2)"
		     : "=r"(sk)
		     : "r"(ctx), "i"(offsetof(struct bpf_sock_addr, sk)));
	return sk;
}

/* All four words: what a union is initialised by sets one. */
static __always_inline void addr_set4(union np_addr *addr, __be32 v4)
{
	addr->word[0] = v4;
	addr->word[1] = addr->word[2] = addr->word[3] = 0;
}

/*
 * The address in the context, whole. six: of a program for AF_INET6, which sees IPv4 as
 * ::ffff:a.b.c.d; returns the family it is. Volatile, as only single words may be read.
 */
static __always_inline __u32 addr_get(struct bpf_sock_addr *ctx, union np_addr *addr, bool six)
{
	volatile __u32 *word = ctx->user_ip6;

	if (!six) {
		addr_set4(addr, ctx->user_ip4);
		return NP_IPV4;
	}
	addr->word[0] = word[0];
	addr->word[1] = word[1];
	addr->word[2] = word[2];
	addr->word[3] = word[3];
	if (addr->word[0] | addr->word[1] | (addr->word[2] ^ MAPPED))
		return NP_IPV6;
	addr_set4(addr, addr->word[3]);
	return NP_IPV4;
}

/* Another address of the same family and its port. */
static __always_inline void addr_set(struct bpf_sock_addr *ctx, const union np_addr *addr,
				     __be16 port, __u32 family, bool six)
{
	volatile __u32 *word = ctx->user_ip6;

	ctx->user_port = port;
	if (!six) {
		ctx->user_ip4 = addr->v4;
	} else if (family == NP_IPV4) {
		word[3] = addr->v4;
	} else {
		word[0] = addr->word[0];
		word[1] = addr->word[1];
		word[2] = addr->word[2];
		word[3] = addr->word[3];
	}
}

/* The address the socket is bound to, zero if to none. */
static __always_inline void bound_get(struct bpf_sock_addr *ctx, union np_addr *addr, __u32 family)
{
	struct bpf_sock *sk = socket_of(ctx);
	volatile __u32 *word = sk->src_ip6;

	if (family == NP_IPV4) {
		addr->v4 = sk->src_ip4;
		return;
	}
	addr->word[0] = word[0];
	addr->word[1] = word[1];
	addr->word[2] = word[2];
	addr->word[3] = word[3];
}

/* The first peer that counts: that of connect() only while the socket is connected. */
static __always_inline __u32 first_peer(struct bpf_sock_addr *ctx)
{
	return NP_SOCK_CONNECTED + (socket_of(ctx)->state != BPF_TCP_ESTABLISHED);
}

/* What the kernel makes of 0.0.0.0 and ::, and the source it will take, as far as that matters. */
static __always_inline void fill_tuple(struct tuple *t, __u32 family)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (addr_is_zero(&t->dst)) {
		if (family == NP_IPV6)
			t->dst.word[3] = bpf_htonl(1);
		else
			t->dst.v4 = t->src.v4 ?: bpf_htonl(0x7F000001);
	}
	if (!addr_is_zero(&t->src) || !c)
		return;
	if (addr_is_loopback(&t->dst, family))
		t->src = t->dst;
	else
		t->src = family == NP_IPV4 ? c->node_addr4 : c->node_addr6;
}

/* Would answers of the chosen backend be taken for those of another conversation? */
static __always_inline bool is_taken(struct np_sock *s, const struct np_decision *d, __u32 family,
				     __u32 first)
{
	__u32 number = d->backend;
	struct np_backend *b = bpf_map_lookup_elem(&backends, &number);

	return b && peer_of_backend(s, &b->addr, b->port, family, first) != PEER_NONE;
}

#define PEER_TAKEN (PEER_NONE + 1)

/*
 * Of a datagram t and the decision on it: the number of the conversation that goes on, PEER_NONE
 * if one is to begin, PEER_TAKEN if one should begin with another backend. first: see
 * peer_of_frontend(). A global function, as are those below, for the stack: see tc.bpf.c.
 */
__noinline __u32 sock_conversation(struct np_sock *s, struct tuple *t, struct np_decision *d,
				   __u32 family, __u32 first)
{
	__u32 n;

	if (!s || !t || !d)
		return PEER_NONE;
	n = peer_of_frontend(s, &t->dst, DPORT(t->ports), family, first);
	if (n == NP_SOCK_CONNECTED ||
	    (n != PEER_NONE && peer_is_fresh(peer_at(s, n)) && peer_serves(peer_at(s, n), d)))
		return n;
	return is_taken(s, d, family, first) ? PEER_TAKEN : PEER_NONE;
}

/*
 * Decide on t, which is whole: the number of the conversation that goes on, or PEER_NONE. s: NULL
 * where there is none to go on.
 */
__noinline __u32 sock_decide(struct tuple *t, __u32 family, struct np_decision *d,
			     struct np_sock *s, __u32 first)
{
	__u32 n = PEER_NONE;
	int i;

	if (!t || !d)
		return PEER_NONE;
#pragma clang loop unroll(disable)
	for (i = 0; i < APART_TRIES; i++) {
		decide(t, 0, DECIDE_LOCAL, family, d);
		if (!s || d->verdict != NP_VERDICT_FORWARD)
			return PEER_NONE;
		n = sock_conversation(s, t, d, family, first);
		if (n != PEER_TAKEN)
			return n;
	}
	return PEER_NONE;
}

/* A new conversation with the backend of d. 0 or -ENOMEM. */
__noinline int sock_begin(struct bpf_sock_addr *ctx, struct tuple *t, struct np_decision *d,
			  __u32 family, __u32 connects)
{
	struct np_backend *backend;
	struct np_sock *s;
	__u32 number, n;

	if (!t || !d)
		return 0;
	number = d->backend;
	backend = bpf_map_lookup_elem(&backends, &number);
	if (!backend)
		return 0;
	s = bpf_sk_storage_get(&sock_peers, socket_of(ctx), NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (s) {
		n = peer_of_frontend(s, &t->dst, DPORT(t->ports), family, NP_SOCK_CONNECTED + 1);
		if (connects)
			n = NP_SOCK_CONNECTED;
		else if (n == PEER_NONE)
			n = peer_place(s);
		peer_begin(s, peer_at(s, n), t, family, backend, number);
	} else if (t->protocol == IPPROTO_UDP) { /* nobody could tell whose the answers are */
		return -ENOMEM;
	}
	note_connection(NP_HOOK_SOCK, d, t, family);
	return 0;
}

/*
 * Silence is for a TCP client to wait for: its SYN is dropped on its way out (tc.bpf.c), as
 * kube-proxy's rules do. What does not leave the host cannot be met there, and a datagram that is
 * dropped is -EPERM to its sender with kube-proxy too.
 */
static __always_inline bool is_silence(struct bpf_sock_addr *ctx, const struct np_decision *d,
				       struct tuple *t, __u32 family)
{
	return d->verdict == NP_VERDICT_DROP && ctx->protocol == IPPROTO_TCP &&
	       !addr_is_loopback(&t->dst, family) &&
	       !(address_flags(&t->dst, family) & NP_SERVICE_HOST_ADDRESS);
}

static __always_inline int refuse(struct bpf_sock_addr *ctx, const struct np_decision *d,
				  struct tuple *t, __u32 family)
{
	if (is_silence(ctx, d, t, family))
		return SOCK_GO;
	note_refusal(NP_HOOK_SOCK, d);
	bpf_set_retval(d->verdict == NP_VERDICT_REJECT ? -ECONNREFUSED : -EPERM);
	return SOCK_STOP;
}

/* To the backend of d, by a conversation that begins. */
static __always_inline int begin(struct bpf_sock_addr *ctx, struct tuple *t, struct np_decision *d,
				 __u32 family, bool connects, bool six)
{
	__u32 number = d->backend;
	struct np_backend *backend = bpf_map_lookup_elem(&backends, &number);

	if (!backend)
		return SOCK_GO;
	if (sock_begin(ctx, t, d, family, connects)) {
		bpf_set_retval(-ENOMEM);
		return SOCK_STOP;
	}
	addr_set(ctx, &backend->addr, backend->port, family, six);
	return SOCK_GO;
}

/* No service's: what the socket was told before about this address is over. */
static __always_inline int pass(struct np_sock *s, const struct tuple *t,
				const struct np_decision *d, __u32 family, bool connects)
{
	if (d->reason == NP_REASON_TABLE_ERROR)
		count(NP_HOOK_SOCK, NP_REASON_TABLE_ERROR);
	if (!s)
		return SOCK_GO;
	if (connects)
		s->peer[NP_SOCK_CONNECTED].family = 0;
	peers_forget(s, &t->dst, DPORT(t->ports), family);
	return SOCK_GO;
}

/*
 * connect() of a UDP socket sends nothing. Resolvers connect one to any address, with the port of
 * whatever protocol, to learn their own (RFC 6724, 10.1; glibc, Go): not to be refused.
 */
static __always_inline bool is_probe(struct bpf_sock_addr *ctx, const struct np_decision *d,
				     bool connects)
{
	return connects && ctx->protocol == IPPROTO_UDP && d->reason == NP_REASON_NO_SUCH_PORT;
}

/* Is the address the backend that connect() was given? */
static __always_inline bool is_connected_to(struct np_sock *s, const union np_addr *addr,
					    __be16 port, __u32 family)
{
	struct np_peer *p = &s->peer[NP_SOCK_CONNECTED];

	return p->family == family && p->backend_port == port &&
	       addr_equal(&p->backend, addr, NP_IPV6);
}

/*
 * send() on an AF_INET6 socket connected to ::ffff:a.b.c.d: the kernel calls us as if the process
 * had named its peer, the backend, by sendto() (net/ipv6/udp.c, udpv6_sendmsg()).
 */
static __always_inline bool is_plain_send(struct bpf_sock_addr *ctx, struct np_sock *s,
					  const struct tuple *t, __u32 family)
{
	return s && first_peer(ctx) == NP_SOCK_CONNECTED &&
	       is_connected_to(s, &t->dst, DPORT(t->ports), family);
}

/* Does conntrack carry what the socket sends there? */
static __always_inline bool is_carried(struct bpf_sock_addr *ctx, const struct tuple *t,
				       __u32 family)
{
	struct np_carried key = {
		.frontend = t->dst,
		.frontend_port = DPORT(t->ports),
		.port = bpf_htons(socket_of(ctx)->src_port),
		.family = family,
	};

	return bpf_map_lookup_elem(&sock_carried, &key);
}

/* Is what begins now left to the kernel? */
static __always_inline bool is_left(struct bpf_sock_addr *ctx, const struct tuple *t, __u32 family,
				    bool connects)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c)
		return false;
	if (c->sock_drain) {
		count(NP_HOOK_SOCK, NP_REASON_DRAIN);
		return true;
	}
	if (connects || !c->sock_asks || !is_carried(ctx, t, family))
		return false;
	count(NP_HOOK_SOCK, NP_REASON_LEFT_TO_CONNTRACK);
	return true;
}

/*
 * The same of a socket that was connected while new connections were the kernel's: what it sends to
 * its peer goes the way it went.
 */
static __always_inline bool is_kernels_send(struct bpf_sock_addr *ctx, struct np_sock *s,
					    const struct tuple *t, __u32 family)
{
	struct bpf_sock *sk = socket_of(ctx);
	volatile __u32 *word = sk->dst_ip6;
	union np_addr peer;

	if (first_peer(ctx) != NP_SOCK_CONNECTED || (s && s->peer[NP_SOCK_CONNECTED].family))
		return false;
	if (family == NP_IPV4) {
		addr_set4(&peer, sk->dst_ip4);
	} else {
		peer.word[0] = word[0];
		peer.word[1] = word[1];
		peer.word[2] = word[2];
		peer.word[3] = word[3];
	}
	return sk->dst_port == DPORT(t->ports) && addr_equal(&peer, &t->dst, NP_IPV6);
}

/* Does another socket of the host talk to the backend of d from this port, and so has the tuple? */
static __always_inline bool has_tuple(struct bpf_sock_addr *ctx, const struct np_decision *d,
				      __u32 port, __u32 family)
{
	__u32 number = d->backend, size = sizeof(((struct bpf_sock_tuple *)0)->ipv4);
	struct np_backend *b = bpf_map_lookup_elem(&backends, &number);
	struct bpf_sock_tuple u = {};
	union np_addr src;
	struct bpf_sock *sk;

	if (!b)
		return false;
	addr_set4(&src, 0);
	bound_get(ctx, &src, family);
	if (addr_is_zero(&src))
		src = b->snat;
	if (family == NP_IPV4) {
		u.ipv4.saddr = b->addr.v4;
		u.ipv4.daddr = src.v4;
		u.ipv4.sport = b->port;
		u.ipv4.dport = bpf_htons(port);
	} else {
		size = sizeof(u.ipv6);
		addr_write(u.ipv6.saddr, &b->addr, NP_IPV6);
		addr_write(u.ipv6.daddr, &src, NP_IPV6);
		u.ipv6.sport = b->port;
		u.ipv6.dport = bpf_htons(port);
	}
	sk = bpf_skc_lookup_tcp(ctx, &u, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	size = sk->state;
	bpf_sk_release(sk);
	return size != BPF_TCP_LISTEN;
}

/*
 * A TCP socket that is bound to a port is given a backend that this port does not talk to yet, by
 * another frontend or directly, if there is one: else its connect() is -EADDRNOTAVAIL.
 */
__noinline int sock_apart(struct bpf_sock_addr *ctx, struct tuple *t, struct np_decision *d,
			  __u32 family)
{
	__u32 port = socket_of(ctx)->src_port;
	int i;

	if (!t || !d || !port || ctx->protocol != IPPROTO_TCP)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < PORT_TRIES; i++) {
		if (d->verdict != NP_VERDICT_FORWARD || !has_tuple(ctx, d, port, family))
			return 0;
		decide(t, 0, DECIDE_LOCAL, family, d);
	}
	return 0;
}

/* connect() or sendmsg(). */
static __always_inline int start(struct bpf_sock_addr *ctx, bool connects, bool six)
{
	struct tuple t = {};
	struct np_decision d;
	struct np_sock *s;
	__u32 family, n;

	if (!is_ours(ctx))
		return SOCK_GO;
	t.protocol = ctx->protocol;
	t.ports = PORTS(0, ctx->user_port);
	family = addr_get(ctx, &t.dst, six);
	s = bpf_sk_storage_get(&sock_peers, socket_of(ctx), NULL, 0);
	if (!connects && (is_plain_send(ctx, s, &t, family) || is_kernels_send(ctx, s, &t, family)))
		return SOCK_GO;
	bound_get(ctx, &t.src, family);
	fill_tuple(&t, family);
	n = sock_decide(&t, family, &d, connects ? NULL : s, first_peer(ctx));
	if (connects)
		sock_apart(ctx, &t, &d, family);
	if (d.verdict == NP_VERDICT_PASS || is_probe(ctx, &d, connects))
		return pass(s, &t, &d, family, connects);
	if ((n == PEER_NONE || !s) && is_left(ctx, &t, family, connects))
		return pass(s, &t, &d, family, connects);
	if (d.verdict != NP_VERDICT_FORWARD)
		return refuse(ctx, &d, &t, family);
	if (n == PEER_NONE || !s)
		return begin(ctx, &t, &d, family, connects, six);
	peer_touch(s, peer_at(s, n));
	addr_set(ctx, &peer_at(s, n)->backend, peer_at(s, n)->backend_port, family, six);
	return SOCK_GO;
}

/* getpeername(): the address of the backend becomes the frontend's that the process named. */
static __always_inline int name_peer(struct bpf_sock_addr *ctx, bool six)
{
	struct np_sock *s;
	union np_addr addr;
	__u32 family;

	if (!is_ours(ctx))
		return SOCK_GO;
	s = bpf_sk_storage_get(&sock_peers, socket_of(ctx), NULL, 0);
	if (!s)
		return SOCK_GO;
	family = addr_get(ctx, &addr, six);
	if (is_connected_to(s, &addr, ctx->user_port, family))
		addr_set(ctx, &s->peer[NP_SOCK_CONNECTED].frontend,
			 s->peer[NP_SOCK_CONNECTED].frontend_port, family, six);
	return SOCK_GO;
}

/* recvmsg(): so does the address a datagram came from. */
static __always_inline int name_source(struct bpf_sock_addr *ctx, bool six)
{
	struct np_sock *s;
	struct np_peer *p;
	union np_addr addr;
	__u32 family, n;

	if (!is_ours(ctx))
		return SOCK_GO;
	s = bpf_sk_storage_get(&sock_peers, socket_of(ctx), NULL, 0);
	if (!s)
		return SOCK_GO;
	family = addr_get(ctx, &addr, six);
	n = peer_of_backend(s, &addr, ctx->user_port, family, first_peer(ctx));
	if (n == PEER_NONE)
		return SOCK_GO;
	p = peer_at(s, n);
	p->seen = jiffies32();
	addr_set(ctx, &p->frontend, p->frontend_port, family, six);
	return SOCK_GO;
}

SEC("cgroup/connect4")
int np_connect4(struct bpf_sock_addr *ctx)
{
	return start(ctx, true, false);
}

SEC("cgroup/connect6")
int np_connect6(struct bpf_sock_addr *ctx)
{
	return start(ctx, true, true);
}

SEC("cgroup/sendmsg4")
int np_sendmsg4(struct bpf_sock_addr *ctx)
{
	return start(ctx, false, false);
}

SEC("cgroup/sendmsg6")
int np_sendmsg6(struct bpf_sock_addr *ctx)
{
	return start(ctx, false, true);
}

SEC("cgroup/recvmsg4")
int np_recvmsg4(struct bpf_sock_addr *ctx)
{
	return name_source(ctx, false);
}

SEC("cgroup/recvmsg6")
int np_recvmsg6(struct bpf_sock_addr *ctx)
{
	return name_source(ctx, true);
}

SEC("cgroup/getpeername4")
int np_getpeername4(struct bpf_sock_addr *ctx)
{
	return name_peer(ctx, false);
}

SEC("cgroup/getpeername6")
int np_getpeername6(struct bpf_sock_addr *ctx)
{
	return name_peer(ctx, true);
}

/*
 * For nearpathd: answers the struct np_sock_question that the packet is. Run by BPF_PROG_TEST_RUN
 * and never attached.
 */
SEC("tc")
int np_connected(struct __sk_buff *skb)
{
	struct np_sock_question *q = (void *)(long)skb->data;
	struct bpf_sock *sk;
	struct np_sock *s;
	__u32 size;

	if ((void *)(q + 1) > (void *)(long)skb->data_end)
		return 0;
	size = q->family == NP_IPV4 ? sizeof(q->tuple.ipv4) : sizeof(q->tuple.ipv6);
	sk = bpf_sk_lookup_udp(skb, &q->tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	s = bpf_sk_storage_get(&sock_peers, sk, NULL, 0);
	if (s)
		q->peer = s->peer[NP_SOCK_CONNECTED];
	bpf_sk_release(sk);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
