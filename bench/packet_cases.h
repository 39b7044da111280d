/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What packets are measured, and what must become of them. The programs for the node's own
 * processes (sock/) are not among them: BPF_PROG_TEST_RUN runs none of their type. They are called
 * once a connection, and measured so by bench-connect.
 */
#ifndef NEARPATH_BENCH_PACKET_CASES_H
#define NEARPATH_BENCH_PACKET_CASES_H

#include "programs.h"
#include "state.h"
#include "util.h"

enum direction { TO_FRONTEND, TO_CLIENT };

/* What is to be in the flow tables before a case. */
enum fill {
	FILL_KEEP,
	FILL_RESET,	 /* only the flows of state.h: every new one finds a free record */
	FILL_UNANSWERED, /* all other records hold connections that were never answered */
};

struct bench {
	const char *name;
	enum np_hook hook;
	int protocol;
	uint8_t flags;
	uint8_t end; /* STATE_REMOTE and so on */
	enum direction direction;
	unsigned prelude;
	enum fill fill;
	enum state_mss mss;
	bool crowd; /* measured with flows at random, too, by crowd_sizes[] */
	uint32_t verdict;
	uint32_t repeat; /* at most; 0: as the user wants */
	uint64_t proof;	 /* the counters that move with every packet; none: nothing is counted */
};

/* 4,096 and 65,536 of the flows that fit into tables of the default size; and more. */
static const uint32_t crowd_sizes[] = {4096, STATE_CROWD_FEW, STATE_CROWD_MANY};

#define COUNTS(reason) (1ULL << NP_REASON_##reason)
#define NEXT	       ((uint32_t)-1)

#define INGRESS .hook = NP_HOOK_INGRESS, .verdict = NEXT
#define EGRESS	.hook = NP_HOOK_EGRESS, .verdict = NEXT
#define XDP	.hook = NP_HOOK_XDP, .prelude = PRELUDE_LINK

#define TCP	.protocol = IPPROTO_TCP, .flags = FRAME_ACK
#define UDP	.protocol = IPPROTO_UDP
#define SYN	.protocol = IPPROTO_TCP, .flags = FRAME_SYN
#define SYN_ACK .protocol = IPPROTO_TCP, .flags = FRAME_SYN | FRAME_ACK
#define ERROR	.protocol = IPPROTO_ICMP

#define FLOW	   .end = STATE_REMOTE, .proof = COUNTS(TRANSLATED)
#define SENT	   .end = STATE_REMOTE, .verdict = XDP_TX, .proof = COUNTS(XDP_TX)
#define NO_SERVICE .end = STATE_NOTHING
#define NEW	   .fill = FILL_RESET, .repeat = 50000, .prelude = PRELUDE_COUNTER
#define CLAMPED                                                                                    \
	.end = STATE_REMOTE, .prelude = PRELUDE_MSS,                                               \
	.proof = COUNTS(TRANSLATED) | COUNTS(MSS_CLAMPED)

/* To one backend there are some 28,000 source ports, of which the last are hard to find. */
#define NEW_SNAT .fill = FILL_RESET, .repeat = 8000, .end = STATE_SERVICE_SNAT

static const struct bench benches[] = {
	{"tc ingress, client to frontend", INGRESS, TCP, FLOW, .crowd = true},
	{"tc ingress, client to frontend", INGRESS, UDP, FLOW},
	{"tc egress, backend to client", EGRESS, TCP, FLOW, .direction = TO_CLIENT, .crowd = true},
	{"tc egress, backend to client", EGRESS, UDP, FLOW, .direction = TO_CLIENT},
	{"tc egress, source translated", EGRESS, TCP, FLOW},
	{"tc egress, source translated", EGRESS, UDP, FLOW},
	{"tc ingress, backend to translated", INGRESS, TCP, FLOW, .direction = TO_CLIENT},
	{"tc ingress, backend to translated", INGRESS, UDP, FLOW, .direction = TO_CLIENT},
	{"tc ingress, no service's", INGRESS, TCP, NO_SERVICE},
	{"tc ingress, no service's", INGRESS, UDP, NO_SERVICE},
	{"tc ingress, no service's, SYN", INGRESS, SYN, NO_SERVICE},
	{"tc ingress, no service's, new SYNs", INGRESS, SYN, NO_SERVICE,
	 .prelude = PRELUDE_COUNTER},
	{"tc egress, no service's", EGRESS, TCP, NO_SERVICE},
	{"tc egress, no service's", EGRESS, UDP, NO_SERVICE},
	{"tc egress, no service's, SYN", EGRESS, SYN, NO_SERVICE},
	{"xdp, client to remote backend", XDP, TCP, SENT, .crowd = true},
	{"xdp, client to remote backend", XDP, UDP, SENT},
	{"xdp, remote backend to client", XDP, TCP, SENT, .direction = TO_CLIENT, .crowd = true},
	{"xdp, remote backend to client", XDP, UDP, SENT, .direction = TO_CLIENT},
	{"xdp, client to backend, second uplink", XDP, TCP, .end = STATE_FAR,
	 .verdict = XDP_REDIRECT, .proof = COUNTS(XDP_REDIRECT)},
	{"xdp, client to local backend, passed", XDP, TCP, .end = STATE_LOCAL, .verdict = XDP_PASS},
	{"xdp, no service's", XDP, TCP, NO_SERVICE, .verdict = XDP_PASS},
	{"xdp, no service's", XDP, UDP, NO_SERVICE, .verdict = XDP_PASS},
	{"xdp, no service's, SYN", XDP, SYN, NO_SERVICE, .verdict = XDP_PASS},
	{"tc ingress, SYN again, MSS clamped", INGRESS, SYN, CLAMPED, .mss = STATE_MSS_FIXED},
	{"tc egress, SYN-ACK, MSS clamped", EGRESS, SYN_ACK, CLAMPED, .mss = STATE_MSS_FIXED,
	 .direction = TO_CLIENT},
	{"tc egress, SYN-ACK, MSS by route", EGRESS, SYN_ACK, CLAMPED, .mss = STATE_MSS_ROUTE,
	 .direction = TO_CLIENT},
	{"xdp, SYN-ACK to client, MSS clamped", .hook = NP_HOOK_XDP, SYN_ACK, .end = STATE_REMOTE,
	 .direction = TO_CLIENT, .mss = STATE_MSS_FIXED, .prelude = PRELUDE_LINK | PRELUDE_MSS,
	 .verdict = XDP_TX, .proof = COUNTS(XDP_TX) | COUNTS(MSS_CLAMPED)},
	{"tc ingress, ICMP error about a flow", INGRESS, ERROR, .end = STATE_REMOTE,
	 .direction = TO_CLIENT, .proof = COUNTS(ICMP_TRANSLATED)},
	{"tc egress, ICMP error about a flow", EGRESS, ERROR, .end = STATE_REMOTE,
	 .direction = TO_CLIENT, .proof = COUNTS(ICMP_TRANSLATED)},
	{"tc ingress, new flow", INGRESS, SYN, NEW, .end = STATE_SERVICE,
	 .proof = COUNTS(NEW_FLOW)},
	{"tc ingress, new flow, MSS by route", INGRESS, SYN, .fill = FILL_RESET, .repeat = 50000,
	 .prelude = PRELUDE_COUNTER | PRELUDE_MSS, .end = STATE_SERVICE, .mss = STATE_MSS_ROUTE,
	 .proof = COUNTS(NEW_FLOW) | COUNTS(MSS_CLAMPED)},
	{"tc ingress, new flow, translated", INGRESS, SYN, NEW_SNAT, .prelude = PRELUDE_COUNTER,
	 .proof = COUNTS(NEW_FLOW)},
	{"tc ingress, new flow, SYN flood", INGRESS, SYN, .fill = FILL_UNANSWERED, .repeat = 50000,
	 .prelude = PRELUDE_COUNTER, .end = STATE_SERVICE, .proof = COUNTS(NEW_FLOW)},
	{"xdp, new flow to remote backend", .hook = NP_HOOK_XDP, SYN, NEW_SNAT,
	 .prelude = PRELUDE_COUNTER | PRELUDE_LINK | PRELUDE_MSS, .verdict = XDP_TX,
	 .proof = COUNTS(NEW_FLOW) | COUNTS(XDP_TX)},
};

static inline bool is_xdp(const struct bench *b)
{
	return b->hook == NP_HOOK_XDP;
}

static inline const char *protocol_name(int protocol)
{
	if (protocol == IPPROTO_ICMP)
		return "icmp";
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

#endif
