/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* See slow.h. */
#include "slow.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread const struct tables *table;
static __thread unsigned seed;

#define np     (*table->settings)
#define np_ctx struct __sk_buff

/* loader/flowtable.c has the same functions. */
#undef __noinline
#define __noinline   static __attribute__((noinline, unused))
#define np_flow_rank slow_flow_rank

/* Mostly nothing; else for as long as hundreds of packets take. */
static void pause_maybe(void)
{
	if (!(rand_r(&seed) % 128))
		usleep(rand_r(&seed) % 100);
}

static inline __u32 now32(void)
{
	return tables_jiffies();
}

static inline struct np_flow *flow_record(__u32 number, int family)
{
	pause_maybe();
	if (family == NP_IPV4)
		return number < table->size[TABLE_flows4] ? &table->flows4[number].flow : NULL;
	return number < table->size[TABLE_flows6] ? &table->flows6[number].flow : NULL;
}

static inline struct np_bucket *flow_bucket(__u32 number, int family)
{
	pause_maybe();
	if (family == NP_IPV4)
		return number < table->size[TABLE_flow_index4] ? &table->flow_index4[number] : NULL;
	return number < table->size[TABLE_flow_index6] ? &table->flow_index6[number] : NULL;
}

static inline struct np_filter *flow_filter_word(__u32 number)
{
	return number < table->size[TABLE_flow_filter] ? &table->flow_filter[number] : NULL;
}

static inline struct np_backend *flow_backend(const struct np_flow *flow)
{
	return flow->backend < table->size[TABLE_backends] ? &table->backends[flow->backend] : NULL;
}

static inline int count(__u32 hook, __u32 reason)
{
	(void)hook, (void)reason;
	return 0;
}

#pragma GCC diagnostic ignored "-Wunknown-pragmas"

#include "../../datapath/flow.h"
#include "../../datapath/flow_new.h"

static void begin(const struct tables *t)
{
	table = t;
	if (!seed)
		seed = (unsigned)(uintptr_t)&seed ^ tables_jiffies();
}

/* family: a constant. */
static __always_inline int packet(struct slow_packet *p, const struct tuple *t, int family)
{
	bool opens = t->protocol == IPPROTO_UDP || (p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	struct tuple scratch, to;
	struct flow_hit hit = flow_find(t, p->space, family, &scratch);

	if (!hit.flow)
		return -ENOENT;
	pause_maybe();
	if (opens && p->space == NP_HASH_INGRESS &&
	    flow_superseded(hit.flow, hit.name, t->protocol, now32(), family)) {
		flow_supersede(hit.flow, hit.seq);
		return -ENOENT;
	}
	to = flow_translate(hit.flow, hit.name, t, false, family);
	if (!flow_unchanged(&hit, &to, family))
		return -ENOENT;
	if (!(rand_r(&seed) % 16)) /* a connection's life may begin meanwhile */
		usleep(rand_r(&seed) % 5000);
	flow_change(hit.number, hit.seq,
		    p->flags | (hit.name == NP_NAME_FORWARD || hit.name == NP_NAME_SNAT
					? FLOW_FROM_CLIENT
					: 0),
		    p->number, family);
	p->tuple.src = to.src;
	p->tuple.dst = to.dst;
	p->tuple.src_port = SPORT(to.ports);
	p->tuple.dst_port = DPORT(to.ports);
	return 0;
}

int slow_packet(const struct tables *t, struct slow_packet *p)
{
	struct tuple key = {.src = p->tuple.src,
			    .dst = p->tuple.dst,
			    .ports = PORTS(p->tuple.src_port, p->tuple.dst_port),
			    .protocol = p->tuple.protocol};

	begin(t);
	return p->tuple.family == NP_IPV4 ? packet(p, &key, NP_IPV4) : packet(p, &key, NP_IPV6);
}

static int name_all(struct np_flow *record, uint32_t number, struct flow_request *r, __be16 port,
		    int family)
{
	int rc = flow_name_backend_side(record, number, r, port, 0, family), i;

	if (rc)
		return rc;
	rc = -EBUSY;
	for (i = 0; i < FLOW_NAME_TRIES && rc == -EBUSY; i++)
		rc = flow_name_insert(&r->tuple, NP_NAME_FORWARD, number, family);
	return rc;
}

int slow_open(const struct tables *t, const struct flowtable_flow *flow)
{
	struct flow_request r = {
		.tuple = {.src = flow->addr[NP_CLIENT],
			  .dst = flow->addr[NP_FRONTEND],
			  .ports = PORTS(flow->port[NP_CLIENT], flow->port[NP_FRONTEND]),
			  .protocol = flow->protocol},
		.backend = flow->addr[NP_BACKEND],
		.snat = flow->addr[NP_SNAT],
		.decision.backend = flow->backend,
		.backend_port = flow->port[NP_BACKEND],
		.flags = flow->flags,
		.move_port = flow->port[NP_SNAT] != flow->port[NP_CLIENT],
	};
	struct np_flow *record;
	uint32_t number;
	int rc;

	begin(t);
	number = flow_claim(&r, 0, flow->family);
	if (!number)
		return -ENOSPC;
	number--;
	record = flow_record(number, flow->family);
	flow_fill(record, &r, flow->family);
	rc = name_all(record, number, &r, flow->port[NP_SNAT], flow->family);
	if (rc) {
		flow_release(record, number, flow->family);
		return rc;
	}
	flow_publish(record);
	return 0;
}
