/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Asking a program what it would do: nearpathd puts a question's random nonce here and runs the
 * ingress program on a packet whose skb->cb carries the same one. The program then decides as it
 * always does, writes the decision here, and makes no flow, no affinity record and no count.
 * Packets of the network never have the nonce.
 */
#ifndef NEARPATH_MAPS_EXPLAIN_H
#define NEARPATH_MAPS_EXPLAIN_H

#include "abi.h"

#define NP_NONCE_WORDS 5 /* as many as skb->cb has */

/* What happens to a new connection, and why. */
struct np_decision {
	__u32 version; /* number plus one of the struct np_service; 0: for no service */
	__u32 backend; /* if the verdict is FORWARD */
	__u32 service; /* np_service.id */
	__u8 verdict;  /* enum np_verdict */
	__u8 reason;   /* enum np_reason */
	__u8 class;    /* enum np_class */
	__u8 snat;     /* the source is translated */
};
NP_STATIC_ASSERT(sizeof(struct np_decision) == 16);

struct np_explain {
	__u32 nonce[NP_NONCE_WORDS]; /* all zero: nobody asks */
	__u32 answered;		     /* 1: decision is set */
	struct np_decision decision;
	__u8 pad[24];
};
NP_STATIC_ASSERT(sizeof(struct np_explain) == 64);

#endif
