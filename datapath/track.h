/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a packet of a flow tells, and the states that it leads through: the hot path, as flow.h. */
#ifndef NEARPATH_DATAPATH_TRACK_H
#define NEARPATH_DATAPATH_TRACK_H

#include "flow.h"

static __always_inline bool flow_has_all(const union np_flow_word *f, __u16 flags)
{
	return (f->flags & flags) == flags;
}

#define FLOW_FINS   (NP_FLOW_FIN_CLIENT | NP_FLOW_FIN_BACKEND)
#define FLOW_ALIVES (NP_FLOW_ALIVE_CLIENT | NP_FLOW_ALIVE_BACKEND)

/*
 * The handshake. It is over when the client acknowledges what only the backend's SYN-ACK told it:
 * whoever sends SYN and ACK from an address that is not his does not get as far. SYN-ACK with data
 * (RFC 7413) may be acknowledged as well, hence the window.
 */
#define HANDSHAKE_WINDOW 0x10000U

/* What a packet of a flow tells. */
struct flow_news {
	bool from_client;
	__u8 flags;   /* TCP's, or what means the same */
	__u32 number; /* TCP, host order: the backend's sequence number, or what the client acks */
	__u32 now;
};

static __always_inline void flow_track_handshake(union np_flow_word *f, const struct flow_news *n)
{
	__u8 syn_ack = n->flags & (TCP_SYN | TCP_ACK);

	if (!n->from_client && syn_ack == (TCP_SYN | TCP_ACK)) {
		f->born = n->number + 1;
		f->state = NP_FLOW_TCP_SYN_RECV;
	} else if (n->from_client && f->state == NP_FLOW_TCP_SYN_RECV && syn_ack == TCP_ACK &&
		   n->number - f->born < HANDSHAKE_WINDOW) {
		f->born = n->now;
		f->state = NP_FLOW_TCP_ESTABLISHED;
	}
}

static __always_inline void flow_track_fin(union np_flow_word *f, bool from_client)
{
	f->flags |= from_client ? NP_FLOW_FIN_CLIENT : NP_FLOW_FIN_BACKEND;
	if (f->state == NP_FLOW_TCP_CLOSE) /* a FIN that crossed a RST */
		return;
	if (!flow_has_all(f, FLOW_FINS)) {
		if (f->state != NP_FLOW_TCP_CLOSE_WAIT)
			f->state = NP_FLOW_TCP_FIN_WAIT;
	} else if (f->state != NP_FLOW_TCP_TIME_WAIT) {
		f->state = NP_FLOW_TCP_LAST_ACK;
	}
}

/* Neither RST nor FIN, when one of them was seen. */
static __always_inline void flow_track_closing(union np_flow_word *f, bool from_client, __u8 flags)
{
	if (f->state == NP_FLOW_TCP_FIN_WAIT) {
		/* Acknowledged, if it comes from the other side. */
		if (f->flags & (from_client ? NP_FLOW_FIN_BACKEND : NP_FLOW_FIN_CLIENT))
			f->state = NP_FLOW_TCP_CLOSE_WAIT;
	} else if (f->state == NP_FLOW_TCP_LAST_ACK) {
		f->state = NP_FLOW_TCP_TIME_WAIT;
	} else if (f->state == NP_FLOW_TCP_CLOSE && !(flags & TCP_SYN) &&
		   !flow_has_all(f, FLOW_FINS)) {
		/*
		 * A reset may be forged and refused by its receiver: if both sides go on talking,
		 * the flow is open again.
		 */
		f->flags |= from_client ? NP_FLOW_ALIVE_CLIENT : NP_FLOW_ALIVE_BACKEND;
		if (flow_has_all(f, FLOW_ALIVES))
			f->state = NP_FLOW_TCP_ESTABLISHED;
	}
}

/* TCP, of which RST and FIN are seen where the packet is; conntrack's tcp_conntracks[]. */
static __always_inline void flow_track_tcp(union np_flow_word *f, const struct flow_news *n)
{
	if (n->flags & TCP_RST) {
		f->flags &= ~FLOW_ALIVES;
		f->state = NP_FLOW_TCP_CLOSE;
		return;
	}
	/* The port of a connection that one side never closed is used again. */
	if (!n->from_client && (n->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
	    (f->state == NP_FLOW_TCP_FIN_WAIT || f->state == NP_FLOW_TCP_CLOSE_WAIT)) {
		f->flags &= ~FLOW_FINS;
		f->state = NP_FLOW_TCP_SYN_SENT;
	}
	if (f->state <= NP_FLOW_TCP_SYN_RECV)
		flow_track_handshake(f, n);
	if (f->state <= NP_FLOW_TCP_SYN_RECV) /* a FIN does not make it live */
		return;
	if (n->flags & TCP_FIN)
		flow_track_fin(f, n->from_client);
	else
		flow_track_closing(f, n->from_client, n->flags);
}

/* SCTP's COOKIE ACK follows a COOKIE ECHO that only a client can send that answers (RFC 9260, 5.1).
 */
static __always_inline void flow_track_sctp(union np_flow_word *f, const struct flow_news *n)
{
	if (n->flags & TCP_RST) /* ABORT or SHUTDOWN COMPLETE */
		f->state = NP_FLOW_SCTP_CLOSED;
	else if (f->state == NP_FLOW_SCTP_NEW && !n->from_client && !(n->flags & TCP_SYN))
		f->state = NP_FLOW_SCTP_ESTABLISHED;
}

static __always_inline void flow_track_udp(union np_flow_word *f, const struct flow_news *n)
{
	if (f->state == NP_FLOW_UDP && !n->from_client)
		f->state = NP_FLOW_UDP_REPLIED;
	else if (f->state == NP_FLOW_UDP_REPLIED &&
		 n->now - f->born >= NP_UDP_STREAM_SECONDS * np.hertz)
		f->state = NP_FLOW_UDP_STREAM;
}

/* Which way the handshake goes, see NP_FLOW_STACK; by_stack: this packet goes through it. */
static __always_inline void flow_track_way(union np_flow_word *f, bool by_stack)
{
	if (f->state > NP_FLOW_TCP_SYN_RECV && f->state != NP_FLOW_SCTP_NEW)
		f->flags &= ~NP_FLOW_STACK;
	else if (by_stack && f->flags & NP_FLOW_REMOTE)
		f->flags |= NP_FLOW_STACK;
}

/* How often a change is tried: another CPU may change the same flow at the same time. */
#define FLOW_CHANGE_TRIES 4

#define FLOW_FROM_CLIENT 0x100
#define FLOW_BY_STACK	 0x200

/*
 * A packet that may change the state of a flow; how: its flags, and the two above. The record may
 * have been ended since the packet found it, and have another life: a word that does not tell of
 * the life that seq stands for is left alone. A BPF global function: few packets of a connection
 * come here.
 */
__noinline int flow_change(__u32 number, __u32 seq, __u32 how, __u32 tcp_number, __u32 family)
{
	struct np_flow *f =
		family == NP_IPV4 ? flow_record(number, NP_IPV4) : flow_record(number, NP_IPV6);
	union np_flow_word was, next;
	struct flow_news news;
	int i;

	if (!f)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < FLOW_CHANGE_TRIES; i++) {
		/* Not to be prepared before the loop, which takes stack. */
		asm volatile("" : "+r"(how));
		news = (struct flow_news){.from_client = how & FLOW_FROM_CLIENT,
					  .flags = how,
					  .number = tcp_number,
					  .now = now32()};
		next.all = was.all = *(volatile __u64 *)&f->word.all;
		if (was.state == NP_FLOW_FREE || (was.flags & NP_FLOW_LIFE) != NP_FLOW_LIFE_OF(seq))
			return 0;
		if (was.protocol == IPPROTO_TCP)
			flow_track_tcp(&next, &news);
		else if (was.protocol == IPPROTO_SCTP)
			flow_track_sctp(&next, &news);
		else
			flow_track_udp(&next, &news);
		flow_track_way(&next, how & FLOW_BY_STACK);
		if (next.all == was.all ||
		    __sync_val_compare_and_swap(&f->word.all, was.all, next.all) == was.all)
			return 0;
	}
	return 0;
}

/* Before there was an answer: would flow_track_way() leave the flow as it is? */
static __always_inline bool flow_way_stays(const struct np_flow *f, __u32 way)
{
	return !way || (f->flags & (NP_FLOW_REMOTE | NP_FLOW_STACK)) != NP_FLOW_REMOTE;
}

/* May the packet change the state? way: as flow_track(). */
static __always_inline bool flow_is_news(const struct np_flow *f, bool from_client, __u32 protocol,
					 __u8 tcp_flags, __u32 way, __u32 now)
{
	if (protocol == IPPROTO_TCP) {
		if (tcp_flags & (TCP_FIN | TCP_RST))
			return true;
		if (from_client && f->state == NP_FLOW_TCP_SYN_SENT)
			return !flow_way_stays(f, way);
		return f->state != NP_FLOW_TCP_ESTABLISHED;
	}
	if (protocol == IPPROTO_SCTP)
		return tcp_flags & TCP_RST || f->state == NP_FLOW_SCTP_NEW;
	return f->state == NP_FLOW_UDP ? !from_client
				       : f->state == NP_FLOW_UDP_REPLIED &&
						 now - f->born >= NP_UDP_STREAM_SECONDS * np.hertz;
}

/*
 * Write into the record what a packet of it tells; end: of the packet; way: FLOW_BY_STACK or 0.
 * Stores only what changes. A late store of the time into another life makes that look idle until
 * its next packet, no more.
 */
static __always_inline void flow_track(const struct flow_hit *hit, const struct packet *p,
				       void *end, __u32 now, __u32 way, int family)
{
	bool from_client = hit->name == NP_NAME_FORWARD || hit->name == NP_NAME_SNAT;
	const struct tcphdr *tcp = p->l4;
	__u32 number = 0;

	if (hit->flow->seen != now)
		hit->flow->seen = now;
	if (!flow_is_news(hit->flow, from_client, p->tuple.protocol, p->tcp_flags, way, now))
		return;
	/* The parser has seen to the end, but the verifier forgets where protocols meet. */
	if (p->tuple.protocol == IPPROTO_TCP && (void *)(tcp + 1) <= end)
		number = bpf_ntohl(from_client ? tcp->ack_seq : tcp->seq);
	flow_change(hit->number, hit->seq,
		    p->tcp_flags | (from_client ? FLOW_FROM_CLIENT : 0) | way, number, family);
}

#endif
