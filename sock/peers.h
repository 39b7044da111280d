/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The conversations of one socket: finding them by frontend or backend, beginning and ending them.
 * The kernel holds the socket's lock while a program runs, so that none sees half a peer. Functions
 * with loops are BPF global functions: verified once each.
 */
#ifndef NEARPATH_SOCK_PEERS_H
#define NEARPATH_SOCK_PEERS_H

#include "../datapath/decide.h"
#include "../maps/sock.h"

/* Promises to sockets: kept by the kernel with each socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct np_sock);
} sock_peers SEC(".maps");

/* What conntrack carries for kube-proxy: only while config.sock_asks is asked. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct np_carried);
	__type(value, __u32);
} sock_carried SEC(".maps");

#define PEER_NONE NP_SOCK_PEERS

static __always_inline __u32 jiffies32(void)
{
	return (__u32)bpf_jiffies64();
}

/* As conntrack has it: a conversation ends when nothing was said for long. */
static __always_inline bool peer_is_fresh(const struct np_peer *p)
{
	/* Signed: another CPU may have stored a tick that this one has not read yet. */
	return (__s32)(jiffies32() - p->seen) <= (__s32)np.flow_timeout[NP_FLOW_UDP_STREAM];
}

/* Bounded for the verifier; n is below NP_SOCK_PEERS. */
static __always_inline struct np_peer *peer_at(struct np_sock *s, __u32 n)
{
	return &s->peer[n & (NP_SOCK_PEERS - 1)];
}

/* The conversation with a frontend, from number first on; or PEER_NONE. */
__noinline __u32 peer_of_frontend(struct np_sock *s, const union np_addr *addr, __u32 port,
				  __u32 family, __u32 first)
{
	__u32 i;

	if (!s || !addr)
		return PEER_NONE;
#pragma clang loop unroll(disable)
	for (i = 0; i < NP_SOCK_PEERS; i++) {
		struct np_peer *p = &s->peer[i];

		if (i >= first && p->family == family && p->frontend_port == port &&
		    addr_equal(&p->frontend, addr, NP_IPV6))
			return i;
	}
	return PEER_NONE;
}

/* The conversation with a backend: of several the one that was sent to last; or PEER_NONE. */
__noinline __u32 peer_of_backend(struct np_sock *s, const union np_addr *addr, __u32 port,
				 __u32 family, __u32 first)
{
	__u32 i, found = PEER_NONE, age = ~0U;

	if (!s || !addr)
		return PEER_NONE;
#pragma clang loop unroll(disable)
	for (i = 0; i < NP_SOCK_PEERS; i++) {
		struct np_peer *p = &s->peer[i];

		if (i < first || p->family != family || p->backend_port != port ||
		    !addr_equal(&p->backend, addr, NP_IPV6) || s->turn - p->turn >= age ||
		    (i != NP_SOCK_CONNECTED && !peer_is_fresh(p)))
			continue;
		age = s->turn - p->turn;
		found = i;
	}
	return found;
}

/* Where a conversation by sendmsg() may be written: an empty place, or that of the oldest. */
__noinline __u32 peer_place(struct np_sock *s)
{
	__u32 i, found = NP_SOCK_CONNECTED + 1, oldest = 0;

	if (!s)
		return found;
#pragma clang loop unroll(disable)
	for (i = NP_SOCK_CONNECTED + 1; i < NP_SOCK_PEERS; i++) {
		struct np_peer *p = &s->peer[i];

		if (!p->family)
			return i;
		if (s->turn - p->turn >= oldest) {
			oldest = s->turn - p->turn;
			found = i;
		}
	}
	return found;
}

/* The process talks to this address itself: its answers are nobody else's. Always 0. */
__noinline int peers_forget(struct np_sock *s, const union np_addr *addr, __u32 port, __u32 family)
{
	__u32 i;

	if (!s || !addr)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < NP_SOCK_PEERS; i++) {
		struct np_peer *p = &s->peer[i];

		if (p->family == family && p->backend_port == port &&
		    addr_equal(&p->backend, addr, NP_IPV6))
			p->family = 0;
	}
	return 0;
}

/* Does its backend still serve, for this decision on its frontend? */
static __always_inline bool peer_serves(const struct np_peer *p, const struct np_decision *d)
{
	__u32 version = d->version - 1;
	struct np_service *service = bpf_map_lookup_elem(&services, &version);

	return service &&
	       policy_has(policy_of(service, d->class), p->number, &p->backend, p->backend_port);
}

static __always_inline void peer_touch(struct np_sock *s, struct np_peer *p)
{
	p->turn = ++s->turn;
	p->seen = jiffies32();
}

static __always_inline void peer_begin(struct np_sock *s, struct np_peer *p, const struct tuple *t,
				       __u32 family, const struct np_backend *backend, __u32 number)
{
	p->frontend = t->dst;
	p->backend = backend->addr;
	p->frontend_port = DPORT(t->ports);
	p->backend_port = backend->port;
	p->family = family;
	p->protocol = t->protocol;
	p->number = number;
	peer_touch(s, p);
}

#endif
