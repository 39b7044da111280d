/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packet tests as data. A case is a state (Kubernetes objects, an interface's switches) and a
 * conversation: packets, each with the hook it comes to, the verdict, the packet that must come
 * out, byte for byte, the counters that must have moved, all others not, and the flow records
 * there are then. Every case is run for IPv4 and IPv6, TCP, UDP and SCTP, unless it says otherwise.
 */
#ifndef NEARPATH_SELFTESTS_HARNESS_H
#define NEARPATH_SELFTESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <netinet/in.h>
#include <stdint.h>

#include <cmocka.h>

#include "netns.h"
#include "packet.h"
#include "tables.h"
#include "util.h"

/* Of both hooks; the numbers differ. */
enum verdict {
	PASS, /* tc: next program; XDP: on to the stack */
	DROP,
	TX,
	REDIRECT, /* tc: it has become its own answer, by ICMP or by RST; with out.src_mac:
		     redirected */
};

/* What differs in the packet that comes out; what is zero is as it came in. */
struct out {
	const char *src;
	const char *dst;
	const char *src_mac;
	const char *dst_mac;
	uint8_t ttl;
	struct bytes tcp_options;
	const char *quote_src;
	const char *quote_dst;
};

struct moved {
	enum np_reason reason;
	uint32_t packets;
};

#define STEPS 16

struct step {
	enum np_hook hook;
	struct packet in; /* src NULL: no packet, only the action */
	enum verdict verdict;
	bool by_rst; /* REDIRECT: the answer is a RST, not ICMP port unreachable */
	struct out out;
	struct moved moved[4]; /* of this hook; packets 0 ends the list */
	const char *flows;     /* states of all records, oldest port first: "tcp_established
				  tcp_syn_sent" */
	void (*action)(void);  /* before the packet */
};

/* Bits of struct test.only: how a case is run; 0: in all ways. */
#define ONLY_IPV4 0x1
#define ONLY_IPV6 0x2
#define ONLY_TCP  0x4
#define ONLY_UDP  0x8
#define ONLY_SCTP 0x10

struct test {
	const char *name;
	const char *const
		*state; /* JSON objects, NULL at the end; see objects.h. NULL: no service */
	const struct np_iface *iface; /* of the uplink; NULL: on and counting, no MSS clamping */
	unsigned only;
	struct step step[STEPS];
};

/* A file's cases, run as one group; complete: with skbs whose bytes the device summed. */
struct group {
	const char *name;
	const struct test *test;
	size_t count;
	bool complete;
	unsigned only; /* as of each case that does not say */
};

#define GROUP(n, tests)                                                                            \
	{                                                                                          \
		.name = (n), .test = (tests), .count = sizeof(tests) / sizeof((tests)[0])          \
	}

int group_run(const struct group *group);

/* Everything below is there once world_open() has returned 0. */
struct world {
	struct netns ns;
	struct tables *tables;
	struct variant variant;
	bool quiet; /* no interface counts every packet: the fast paths are for those */
};
extern struct world world;

int world_open(void);
void world_close(void);

/* As new: no flows, no fragments, these objects, this switch. */
void world_reset(const char *const *state, const struct np_iface *iface);
/* Other objects, the flows stay. */
void world_apply(const char *const *state);

/* The uplink's entry where a case says nothing: frames are for whatever address they have. */
struct np_iface world_iface(void);

/* Run one packet and check all there is to check. */
void step_run(const struct step *step, bool complete);

/* Run one packet, whatever comes of it. */
void step_only(const struct step *step);

/* Records by number; and the one in use of a client port (host order), or NULL. */
struct np_flow *flow_at(uint32_t number);
struct np_flow *flow_of(uint16_t client_port);
const char *flow_state_name(unsigned state);

/* Timeout of a state in jiffies, as the programs have it. */
uint32_t flow_timeout(unsigned state);

uint64_t counter(enum np_hook hook, enum np_reason reason);

/* Words for the cases. */
#define INGRESS		     .hook = NP_HOOK_INGRESS
#define EGRESS		     .hook = NP_HOOK_EGRESS
#define AT_XDP		     .hook = NP_HOOK_XDP
#define OPENS(from, to, ...) .in = {.src = from, .dst = to, .flags = SYN, ##__VA_ARGS__}
#define SENDS(from, to, ...) .in = {.src = from, .dst = to, ##__VA_ARGS__}
#define NEW		     .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_TRANSLATED, 1}}
#define HIT		     .moved = {{NP_REASON_TRANSLATED, 1}}
#define COUNTS(what)	     .moved = {{NP_REASON_##what, 1}}
#define RESET		     .verdict = REDIRECT, .by_rst = true, .moved = {{NP_REASON_RESET, 1}}
#define REFUSED(why)	     .verdict = REDIRECT, .moved = {{NP_REASON_##why, 1}, {NP_REASON_REJECTED, 1}}

/* The groups. */
extern const struct group packets_pass, packets_ingress, packets_egress, packets_summed;
extern const struct group packets_mss, packets_xdp, packets_redirect;
extern const struct group packets_icmp, packets_icmp_summed;
extern const struct group packets_refuse, packets_refuse_summed;
extern const struct group packets_reset, packets_reset_summed;
extern const struct group packets_sctp, packets_sctp_summed;
extern const struct group packets_ranges, packets_addresses;
extern const struct group packets_fragment, packets_fragment_summed;
extern const struct group flows_life, flows_home, flows_again, flows_ports, flows_full;
int full_run(void);
int refuse_run(void);
int sctp_run(void);
int affinity_run(void);
int truncated_run(void);

/*
 * From now on the packets meet the programs of tables that take over from the world's; what they
 * do not know is to be as it always was. Until handover_close().
 */
int handover_open(void);
void handover_close(void);
void handover_follow(void); /* the interfaces are the same to both */
int handover_run(void);

#endif
