/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Flows: one record a connection, and an index of the names under which packets find it. The
 * programs write both, lock-free; nearpathd ends expired ones and marks those to departed
 * endpoints.
 *
 * A record holds four places {client, frontend, backend, snat}. "snat" is the client as the
 * backend sees it: its address is the client's own unless the source is translated, its port is
 * the client's own unless that was taken or the source is translated. Between the ingress and the
 * egress hook the kernel sees client address + snat port <-> backend, so that no two flows share a
 * tuple anywhere, even where one client port reaches one backend through two frontends.
 *
 *   name      hook     packet                            is rewritten to
 *   FORWARD   ingress  client -> frontend                client:snat port -> backend
 *   SNAT      egress   client:snat port -> backend       snat -> backend
 *   UNSNAT    ingress  backend -> snat                   backend -> client:snat port
 *   REPLY     egress   backend -> client:snat port       frontend -> client
 *
 * SNAT and UNSNAT exist only where the source address is translated. XDP applies FORWARD and SNAT,
 * or UNSNAT and REPLY, in one step.
 */
#ifndef NEARPATH_MAPS_FLOW_H
#define NEARPATH_MAPS_FLOW_H

#include "abi.h"

enum np_place {
	NP_CLIENT,
	NP_FRONTEND,
	NP_BACKEND,
	NP_SNAT,
	NP_PLACES,
};

enum np_name {
	NP_NAME_FORWARD,
	NP_NAME_SNAT,
	NP_NAME_UNSNAT,
	NP_NAME_REPLY,
	NP_NAMES,
};

/*
 * X(enumerator, name, default timeout in seconds). FREE must be 0, what a new table holds. States
 * and timeouts are conntrack's (net/netfilter/nf_conntrack_proto_tcp.c, _udp.c, _sctp.c), with
 * kube-proxy's for established (24 h) and close_wait (1 h), and 24 h for SCTP as for TCP.
 */
#define NP_FLOW_STATE_LIST(X)                                                                      \
	X(FREE, "free", 0)                                                                         \
	X(TCP_SYN_SENT, "tcp_syn_sent", 120) /* no answer yet */                                   \
	X(TCP_SYN_RECV, "tcp_syn_recv", 60)  /* a SYN-ACK that the client has yet to ack */        \
	X(TCP_ESTABLISHED, "tcp_established", 86400)                                               \
	X(TCP_FIN_WAIT, "tcp_fin_wait", 120)	  /* FIN from one side */                          \
	X(TCP_CLOSE_WAIT, "tcp_close_wait", 3600) /* and acknowledged: half-closed */              \
	X(TCP_LAST_ACK, "tcp_last_ack", 30)	  /* FIN from both sides */                        \
	X(TCP_TIME_WAIT, "tcp_time_wait", 120)	  /* and acknowledged */                           \
	X(TCP_CLOSE, "tcp_close", 10)		  /* RST */                                        \
	X(UDP, "udp", 30)			  /* no answer yet */                              \
	X(UDP_REPLIED, "udp_replied", 30)	  /* answered, not for long */                     \
	X(UDP_STREAM, "udp_stream", 120)	  /* still so NP_UDP_STREAM_SECONDS later */       \
	X(SCTP_NEW, "sctp_new", 30)		  /* INIT, no association yet */                   \
	X(SCTP_ESTABLISHED, "sctp_established", 86400)                                             \
	X(SCTP_CLOSED, "sctp_closed", 10) /* ABORT or SHUTDOWN COMPLETE */

enum np_flow_state {
#define X(e, name, seconds) NP_FLOW_##e,
	NP_FLOW_STATE_LIST(X)
#undef X
		NP_FLOW_STATES,
};
#define NP_FLOW_STATES_ROOM 16 /* of arrays by state: a power of two, for a mask */
NP_STATIC_ASSERT(NP_FLOW_STATES <= NP_FLOW_STATES_ROOM);

#define NP_UDP_STREAM_SECONDS 2 /* nf_conntrack_udp_packet(): stream_ts */

/* Bits of np_flow.flags. */
#define NP_FLOW_FIN_CLIENT    0x01
#define NP_FLOW_FIN_BACKEND   0x02
#define NP_FLOW_TRANSLATED    0x04 /* the source address is translated: four names, not two */
#define NP_FLOW_REMOTE	      0x08 /* the backend is on another node: XDP may carry it */
#define NP_FLOW_ALIVE_CLIENT  0x10 /* sent something other than RST after one was seen */
#define NP_FLOW_ALIVE_BACKEND 0x20
#define NP_FLOW_DEPARTED      0x40 /* the endpoint is gone; nearpathd's. See loader/flows.h */
/*
 * Its handshake goes by tc and the host's stack, or some of it did. All of it is to, whatever XDP
 * could carry: conntrack takes what follows half a handshake for INVALID, and kube-proxy's rules
 * drop that.
 */
#define NP_FLOW_STACK	     0x80
#define NP_FLOW_LIFE	     0xFF00 /* the low bits of seq / 2: whose life the word tells of */
#define NP_FLOW_LIFE_OF(seq) ((__u16)((seq) >> 1 << 8))

/*
 * What packets, and nearpathd, change of a flow that others may end at the same time: one word, and
 * only ever by compare-and-swap, so that what is meant for one life of a record never gets into the
 * next.
 */
union np_flow_word {
	struct {
		__u8 protocol;
		__u8 state; /* enum np_flow_state */
		__u16 flags;
		/*
		 * Jiffies, low 32 bits, since when it is in use; in TCP_SYN_RECV the sequence
		 * number that the client must acknowledge (host order): who cannot, spoofs its
		 * address.
		 */
		__u32 born;
	};
	__u64 all;
};
NP_STATIC_ASSERT(sizeof(union np_flow_word) == 8);

/*
 * The part of a record that both families share. seq is even while the record may be read and
 * odd while it is claimed; it grows with every life. A reader takes what it needs and looks at
 * seq again: changed means there is no such flow.
 */
struct np_flow {
	__u32 seq;
	__u32 seen; /* jiffies, low 32 bits, of the last packet */
	__be16 port[NP_PLACES];
	__u32 index[NP_NAMES]; /* position of each name in the index, plus one; 0: no such name */
	union {
		union np_flow_word word;
		struct {
			__u8 protocol;
			__u8 state; /* enum np_flow_state */
			__u16 flags;
			__u32 born; /* see np_flow_word */
		};
	};
	__u32 service; /* np_service.id */
	__u32 backend; /* number in the backend table when the flow began */
};
NP_STATIC_ASSERT(sizeof(struct np_flow) == 48);

struct np_flow4 {
	struct np_flow flow;
	__be32 addr[NP_PLACES];
};
NP_STATIC_ASSERT(sizeof(struct np_flow4) == 64);

struct np_flow6 {
	struct np_flow flow;
	__be32 addr[NP_PLACES][4];
	__u8 pad[16];
};
NP_STATIC_ASSERT(sizeof(struct np_flow6) == 128);

/*
 * Which record the last answer found that came from one place to a translated source, of either
 * family: such answers do not tell the client, at whose home the record is. A hint, which the
 * record confirms or not; fast paths alone read and write it. Ports in a row, of answers of one
 * backend, have sixteen in a line of memory, where the index has a bucket for each.
 */
#define NP_HINTS 2 /* an entry: the kernel rounds entries up to 8 bytes */

struct np_hints {
	__u32 record[NP_HINTS];
};
NP_STATIC_ASSERT(sizeof(struct np_hints) == 8);

/*
 * To be masked. word: np_filter_place() of the answer, at ingress; backend: its source port,
 * network order; port: its destination port, host order. All backends give out ports in the same
 * order: those of one address are not to share places.
 */
static inline __attribute__((always_inline)) __u32 np_hint_place(__u32 word, __be16 backend,
								 __u16 port)
{
	return word + backend * 0x9E3779B1U + port;
}

/*
 * An entry of the indexes `flow_index4` and `flow_index6` (maps/hash.h) has 2 bits of enum np_name
 * and 30 bits of record number in its lower half. There is one bucket for each record.
 */
#define NP_FLOW_NAME_SHIFT  30
#define NP_FLOW_RECORD_MASK ((1U << NP_FLOW_NAME_SHIFT) - 1)

#endif
