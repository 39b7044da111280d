/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the tables hold while packets are measured, written by hand into the mapped arrays.
 *
 * A test run hands the packet that came out in again. So the flows here are fixed points: client
 * equals snat and frontend equals backend, each rewrite writes the bytes that were there, every
 * turn is a hit, and the work is the same as if they differed. One flow has all four names.
 */
#ifndef NEARPATH_BENCH_STATE_H
#define NEARPATH_BENCH_STATE_H

#include <errno.h>
#include <string.h>

#include "frame.h"
#include "tables.h"

#define STATE_FLOWS   262144 /* records a family */
#define STATE_BUCKET  8	     /* entries of a bucket of any index */
#define STATE_CROWDED 5	     /* BUCKET_CROWDED of datapath/flow_new.h */

/* The ends of flows. */
#define STATE_REMOTE	   1 /* the hot flow */
#define STATE_LOCAL	   2 /* a flow whose backend is on this node */
#define STATE_CROWD	   3 /* many flows, 65,536 to a client: one from every port */
#define STATE_SERVICE	   4 /* no flow: a service whose backend is itself */
#define STATE_SERVICE_SNAT 5 /* the same, with its clients' source translated */
#define STATE_FAR	   6 /* a flow whose backend is behind the second uplink (netns.h) */
#define STATE_NOTHING	   9 /* no flow, no service */

/* Flows of the crowd, and where they fit: this many need tables of their own size. */
#define STATE_CROWD_FEW	 65536
#define STATE_CROWD_MANY 1048576
#define STATE_FLOWS_MANY (2 * STATE_CROWD_MANY)

/* The ends: both are routed back through the uplink (netns.h), but for STATE_FAR. */
static inline struct end state_client(int family)
{
	struct end e = {.port = 40000};

	inet_pton(family == NP_IPV4 ? AF_INET : AF_INET6,
		  family == NP_IPV4 ? "192.0.2.10" : "2001:db8::c:10", &e.addr);
	return e;
}

/* Client number n of the crowd. */
static inline struct end state_crowd_client(int family, uint8_t n)
{
	struct end e = state_client(family);

	((uint8_t *)&e.addr)[family == NP_IPV4 ? 3 : 15] = n;
	return e;
}

/* number tells frontends apart: the flow's, that of a flow to a local pod, and so on. */
static inline struct end state_frontend(int family, uint8_t number)
{
	const char *four = number == STATE_FAR ? "10.244.3.0" : "203.0.113.0";
	const char *six = number == STATE_FAR ? "fd00:10:244:3::" : "2001:db8::f:0";
	struct end e = {.port = 80};

	inet_pton(family == NP_IPV4 ? AF_INET : AF_INET6, family == NP_IPV4 ? four : six, &e.addr);
	((uint8_t *)&e.addr)[family == NP_IPV4 ? 3 : 15] = number;
	return e;
}

static inline struct np_flow *state_record(struct tables *t, int family, uint32_t number)
{
	return family == NP_IPV4 ? &t->flows4[number].flow : &t->flows6[number].flow;
}

static inline void state_set_addr(struct np_flow *flow, int family, int place,
				  const union np_addr *addr)
{
	size_t size = family == NP_IPV4 ? 4 : 16;

	memcpy((char *)(flow + 1) + place * size, addr, size);
}

/* How many entries of a bucket are in use. */
static inline int state_bucket_used(const __u64 *entry)
{
	int used = 0;

	for (int i = 0; i < STATE_BUCKET; i++)
		used += entry[i] != 0;
	return used;
}

/* A name for a record, in that of its two buckets that programs would choose. */
static inline int state_name(struct tables *t, int family, uint32_t number, uint32_t name,
			     const struct end *src, const struct end *dst)
{
	uint32_t space = name == NP_NAME_FORWARD || name == NP_NAME_UNSNAT ? NP_HASH_INGRESS
									   : NP_HASH_EGRESS;
	uint32_t mask = t->size[family == NP_IPV4 ? TABLE_flow_index4 : TABLE_flow_index6] - 1;
	uint32_t ports = htons(src->port) | (uint32_t)htons(dst->port) << 16;
	struct np_flow *flow = state_record(t, family, number);
	__u64 *entry = (__u64 *)(family == NP_IPV4 ? t->flow_index4 : t->flow_index6);
	struct np_hash h = np_hash_tuple(t->hash_key, family, &src->addr, &dst->addr, ports,
					 flow->protocol, space);
	uint32_t first = (h.bucket & mask) * STATE_BUCKET;
	uint32_t second = (np_hash_other_bucket(h.bucket, h.tag) & mask) * STATE_BUCKET;
	struct np_filter_place f =
		np_filter_place(t->hash_key, family, &src->addr, &dst->addr, space);
	int used = state_bucket_used(entry + first);
	uint32_t at = first;

	f.word &= t->size[TABLE_flow_filter] - 1;
	t->flow_filter[f.word].half[0] |= f.bit;
	t->flow_filter[f.word].half[1] |= f.bit;

	if (used >= STATE_CROWDED && state_bucket_used(entry + second) < used)
		at = second;
	for (uint32_t end = at + STATE_BUCKET; at < end; at++) {
		if (entry[at])
			continue;
		entry[at] = (uint64_t)h.tag << 32 | name << NP_FLOW_NAME_SHIFT | number;
		flow->index[name] = at + 1;
		return 0;
	}
	return -ENOSPC;
}

/* The first answer to a translated source has left a hint where the record is. */
static inline void state_hint(struct tables *t, int family, uint32_t number,
			      const struct end *backend, const struct end *snat)
{
	struct np_filter_place at =
		np_filter_place(t->hash_key, family, &backend->addr, &snat->addr, NP_HASH_INGRESS);
	uint32_t place = np_hint_place(at.word, htons(backend->port), snat->port) &
			 (NP_HINTS * t->size[TABLE_hints] - 1);

	t->hints[place / NP_HINTS].record[place % NP_HINTS] = number;
}

/* The record that programs would give a new flow: the first free one from its home on. */
static inline uint32_t state_free_record(struct tables *t, int family, const struct end *client)
{
	uint32_t mask = t->size[family == NP_IPV4 ? TABLE_flows4 : TABLE_flows6] - 1;
	uint32_t n = np_hash_home(t->hash_key, family, &client->addr, htons(client->port));

	while (state_record(t, family, n & mask)->state != NP_FLOW_FREE)
		n++;
	return n & mask;
}

/* The number of the hot flow's backend; services have others. */
static inline uint32_t state_backend(int family)
{
	return family == NP_IPV4 ? 8 : 9;
}

static inline int state_flow(struct tables *t, int family, int protocol, const struct end *client,
			     const struct end *frontend, uint16_t flags, uint32_t now)
{
	uint32_t number = state_free_record(t, family, client);
	struct np_flow *flow = state_record(t, family, number);

	memset(flow, 0, family == NP_IPV4 ? sizeof(struct np_flow4) : sizeof(struct np_flow6));
	flow->protocol = protocol;
	flow->state = protocol == IPPROTO_TCP ? NP_FLOW_TCP_ESTABLISHED : NP_FLOW_UDP_STREAM;
	flow->flags = flags;
	flow->seen = flow->born = now;
	flow->backend = state_backend(family);
	for (int place = 0; place < NP_PLACES; place++) {
		const struct end *e = place == NP_CLIENT || place == NP_SNAT ? client : frontend;

		flow->port[place] = htons(e->port);
		state_set_addr(flow, family, place, &e->addr);
	}
	if (flags & NP_FLOW_TRANSLATED)
		state_hint(t, family, number, frontend, client);
	return state_name(t, family, number, NP_NAME_FORWARD, client, frontend) ?:
	       state_name(t, family, number, NP_NAME_SNAT, client, frontend) ?:
	       state_name(t, family, number, NP_NAME_UNSNAT, frontend, client) ?:
	       state_name(t, family, number, NP_NAME_REPLY, frontend, client);
}

/* The hot flow in both protocols, those that go elsewhere, then the crowd. */
static inline int state_fill_flows(struct tables *t, int family, uint32_t crowd, uint32_t now)
{
	struct end client = state_client(family), remote = state_frontend(family, STATE_REMOTE);
	struct end local = state_frontend(family, STATE_LOCAL);
	struct end far = state_frontend(family, STATE_FAR);
	struct end many = state_frontend(family, STATE_CROWD);
	uint16_t flags = NP_FLOW_TRANSLATED | NP_FLOW_REMOTE;
	int rc;

	rc = state_flow(t, family, IPPROTO_TCP, &client, &remote, flags, now) ?:
	     state_flow(t, family, IPPROTO_UDP, &client, &remote, flags, now) ?:
	     state_flow(t, family, IPPROTO_TCP, &client, &far, flags, now) ?:
	     state_flow(t, family, IPPROTO_TCP, &client, &local, 0, now);
	for (uint32_t i = 0; i < crowd && !rc; i++) {
		client = state_crowd_client(family, i >> 16);
		client.port = i;
		rc = state_flow(t, family, IPPROTO_TCP, &client, &many, flags, now);
	}
	return rc;
}

/* All flows of a family gone but those. */
static inline int state_reset_flows(struct tables *t, int family, uint32_t crowd, uint32_t now)
{
	if (family == NP_IPV4) {
		memset(t->flows4, 0, t->size[TABLE_flows4] * sizeof(*t->flows4));
		memset(t->flow_index4, 0, t->size[TABLE_flow_index4] * sizeof(*t->flow_index4));
	} else {
		memset(t->flows6, 0, t->size[TABLE_flows6] * sizeof(*t->flows6));
		memset(t->flow_index6, 0, t->size[TABLE_flow_index6] * sizeof(*t->flow_index6));
	}
	return state_fill_flows(t, family, crowd, now);
}

/* TCP service number n, whose one backend is its own frontend. */
static inline void state_service(struct tables *t, int family, uint32_t n, bool snat)
{
	struct end end = state_frontend(family, snat ? STATE_SERVICE_SNAT : STATE_SERVICE);
	struct end client = state_client(family);
	struct np_service *s = &t->services[n];
	struct np_hash h =
		np_hash_frontend(t->hash_key, NP_IPV6, &end.addr, htons(end.port), IPPROTO_TCP);
	struct np_filter_place known = np_address_place(t->hash_key, NP_IPV6, &end.addr);

	*s = (struct np_service){.addr = end.addr,
				 .port = htons(end.port),
				 .protocol = IPPROTO_TCP,
				 .family = family,
				 .id = n};
	for (int class = 0; class < NP_CLASSES; class ++)
		s->policy[class] = (struct np_policy){
			.slot = n, .count = 1, .verdict = NP_VERDICT_FORWARD, .snat = snat};
	t->slots[n / 2].backend[n % 2] = n;
	t->backends[n] = (struct np_backend){.addr = end.addr,
					     .snat = client.addr,
					     .port = htons(end.port),
					     .family = family,
					     .flags = NP_BACKEND_USED,
					     .zone = NP_ZONE_OTHER};
	t->address_filter[known.word & (t->size[TABLE_address_filter] - 1)].bits |= known.bit;
	t->frontends[h.bucket & (t->size[TABLE_frontends] - 1)].entry[n] =
		(uint64_t)h.tag << 32 | n;
}

/* A SYN of the hot flow stays with it, as its backend serves someone. */
static inline void state_use_backend(struct tables *t, int family)
{
	struct end end = state_frontend(family, STATE_REMOTE);

	t->backends[state_backend(family)] = (struct np_backend){.addr = end.addr,
								 .port = htons(end.port),
								 .family = family,
								 .flags = NP_BACKEND_USED,
								 .zone = NP_ZONE_OTHER};
}

/* For a minute, as nearpathd does every moment with routes like these. */
static inline void state_share_routes(struct tables *t)
{
	t->config->routes_shared = (tables_jiffies() + 60 * tables_hertz()) | 1;
}

static inline void state_fill_services(struct tables *t)
{
	state_service(t, NP_IPV4, 0, false);
	state_service(t, NP_IPV4, 1, true);
	state_service(t, NP_IPV6, 2, false);
	state_service(t, NP_IPV6, 3, true);
	state_use_backend(t, NP_IPV4);
	state_use_backend(t, NP_IPV6);
}

/* What becomes of a SYN's MSS at an interface. */
enum state_mss {
	STATE_MSS_OFF,
	STATE_MSS_FIXED,
	STATE_MSS_ROUTE, /* mss=auto: the kernel is asked for the MTU of the route */
};

/* Counting is on only while it is checked that the cases do what they say. */
static inline void state_iface(struct tables *t, uint32_t ifindex, bool stats, enum state_mss mss)
{
	struct np_iface iface = {
		.ifindex = ifindex,
		.lb = NP_LB_ON,
		.flags = NP_IFACE_XDP | NP_IFACE_XDP_NATIVE,
		.l2_len = ETH_HLEN,
		.mtu = 1500,
		.mac = FRAME_MAC,
	};

	if (stats)
		iface.flags |= NP_IFACE_STATS;
	if (mss == STATE_MSS_ROUTE)
		iface.flags |= NP_IFACE_MSS_AUTO;
	if (mss != STATE_MSS_OFF) {
		iface.mss4 = 1460;
		iface.mss6 = 1440;
	}
	t->ifaces[ifindex % t->size[TABLE_ifaces]] = iface;
}

#endif
