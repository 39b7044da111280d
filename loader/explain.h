/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What would happen to a new connection now, and why: the loaded ingress program is asked
 * (maps/explain.h), and what it decided is put into words.
 */
#ifndef NEARPATH_LOADER_EXPLAIN_H
#define NEARPATH_LOADER_EXPLAIN_H

#include <jansson.h>

#include "publish.h"
#include "tables.h"

struct question {
	uint8_t family;	  /* NP_IPV4 or NP_IPV6 */
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _SCTP */
	uint16_t port;	  /* host order */
	union np_addr from;
	union np_addr to;
};

/*
 * From words: "10.1.0.5" and "10.96.0.10:80", "[fd00::1]:80/udp". -EINVAL: error says which word is
 * wrong and what is wanted.
 */
int question_parse(const char *from, const char *to, struct question *q, char *error, size_t size);

/* An address of either family from text. -EINVAL: it is none. */
int address_parse(const char *text, uint8_t *family, union np_addr *addr);

/*
 * Run the program on a packet that opens this connection. iface_flags: of the interface it would
 * come in by (NP_IFACE_POD). No flow, affinity record or counter comes of it. -EAGAIN: the program
 * has a flow of the same tuple.
 */
int explain_ask(struct tables *tables, const struct question *q, uint8_t iface_flags,
		struct np_decision *decision);

/*
 * New object, docs/socket.md "explain": {"schema":1,"verdict":...}. NULL without memory. Decisions
 * name table entries: to be called before the next publish.
 */
json_t *explain_json(struct publisher *p, struct tables *tables, const struct question *q,
		     const struct np_decision *decision);

#endif
