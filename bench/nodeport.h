/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Two NodePort services of the node in selftests/packet/netns.h, each with one backend on another
 * node: behind the uplink that the client is behind, and behind the second. As flows in nearpath's
 * tables, and as rules that kube-proxy would have written.
 */
#ifndef NEARPATH_BENCH_NODEPORT_H
#define NEARPATH_BENCH_NODEPORT_H

#include "live.h"
#include "state.h"

enum way { WAY_SAME, WAY_SECOND, WAYS };

#define NODEPORT_FLOWS 4096 /* of each service, from as many ports of one client */

/* The four places of a flow. Ports are those of the first flow. */
struct nodeport {
	struct end client, frontend, backend, snat;
};

static inline struct end nodeport_end(int family, const char *four, const char *six, uint16_t port)
{
	struct end e = {.port = port};

	inet_pton(family == NP_IPV4 ? AF_INET : AF_INET6, family == NP_IPV4 ? four : six, &e.addr);
	return e;
}

static inline struct nodeport nodeport(int family, enum way way)
{
	struct nodeport n = {
		.client = nodeport_end(family, "192.0.2.10", "2001:db8::10", LIVE_PORT_FIRST),
		.frontend = nodeport_end(family, "172.16.0.1", "fd00:172:16::1", 30080 + way),
		.backend = nodeport_end(family, "10.244.1.10", "fd00:10:244:1::10", 8080),
		.snat = nodeport_end(family, "172.16.0.1", "fd00:172:16::1", LIVE_PORT_FIRST),
	};

	if (way == WAY_SECOND) {
		n.backend = nodeport_end(family, "10.244.3.10", "fd00:10:244:3::10", 8080);
		n.snat = nodeport_end(family, "172.17.0.1", "fd00:172:17::1", LIVE_PORT_FIRST);
	}
	return n;
}

static inline int nodeport_flow(struct tables *t, int family, uint32_t record,
				const struct nodeport *n, uint32_t now)
{
	const struct end *end[NP_PLACES] = {&n->client, &n->frontend, &n->backend, &n->snat};
	struct np_flow *flow = state_record(t, family, record);

	flow->protocol = IPPROTO_TCP;
	flow->state = NP_FLOW_TCP_ESTABLISHED;
	flow->flags = NP_FLOW_TRANSLATED | NP_FLOW_REMOTE;
	flow->seen = flow->born = now;
	for (int place = 0; place < NP_PLACES; place++) {
		flow->port[place] = htons(end[place]->port);
		state_set_addr(flow, family, place, &end[place]->addr);
	}
	return state_name(t, family, record, NP_NAME_FORWARD, &n->client, &n->frontend) ?:
	       state_name(t, family, record, NP_NAME_SNAT, &n->client, &n->backend) ?:
	       state_name(t, family, record, NP_NAME_UNSNAT, &n->backend, &n->snat) ?:
	       state_name(t, family, record, NP_NAME_REPLY, &n->backend, &n->client);
}

/* All flows of all services, where programs would put them. */
static inline int nodeport_fill(struct tables *t, int family, uint32_t now)
{
	int rc = 0;

	for (enum way way = 0; way < WAYS; way++) {
		struct nodeport n = nodeport(family, way);

		for (uint32_t i = 0; i < NODEPORT_FLOWS && !rc; i++) {
			n.client.port = n.snat.port = LIVE_PORT_FIRST + i;
			rc = nodeport_flow(t, family, state_free_record(t, family, &n.client), &n,
					   now);
		}
	}
	return rc;
}

static inline void nodeport_rules_filter(FILE *to)
{
	fputs("*filter\n"
	      ":KUBE-EXTERNAL-SERVICES - [0:0]\n"
	      ":KUBE-FIREWALL - [0:0]\n"
	      ":KUBE-FORWARD - [0:0]\n"
	      ":KUBE-NODEPORTS - [0:0]\n"
	      ":KUBE-PROXY-FIREWALL - [0:0]\n"
	      ":KUBE-SERVICES - [0:0]\n"
	      "-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL\n"
	      "-A INPUT -j KUBE-NODEPORTS\n"
	      "-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES\n"
	      "-A INPUT -j KUBE-FIREWALL\n"
	      "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL\n"
	      "-A FORWARD -j KUBE-FORWARD\n"
	      "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES\n"
	      "-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES\n"
	      "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
	      "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n"
	      "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	      "COMMIT\n",
	      to);
}

static inline void nodeport_rules_service(FILE *to, int family, enum way way)
{
	struct nodeport n = nodeport(family, way);
	char backend[INET6_ADDRSTRLEN];
	bool four = family == NP_IPV4;

	inet_ntop(four ? AF_INET : AF_INET6, &n.backend.addr, backend, sizeof(backend));
	fprintf(to, ":KUBE-EXT-BENCH%d - [0:0]\n:KUBE-SVC-BENCH%d - [0:0]\n", way, way);
	fprintf(to, ":KUBE-SEP-BENCH%d - [0:0]\n", way);
	fprintf(to, "-A KUBE-NODEPORTS -p tcp -m tcp --dport %d -j KUBE-EXT-BENCH%d\n",
		n.frontend.port, way);
	fprintf(to, "-A KUBE-EXT-BENCH%d -j KUBE-MARK-MASQ\n", way);
	fprintf(to, "-A KUBE-EXT-BENCH%d -j KUBE-SVC-BENCH%d\n", way, way);
	fprintf(to, "-A KUBE-SVC-BENCH%d -j KUBE-SEP-BENCH%d\n", way, way);
	fprintf(to, "-A KUBE-SEP-BENCH%d -s %s -j KUBE-MARK-MASQ\n", way, backend);
	fprintf(to, "-A KUBE-SEP-BENCH%d -p tcp -m tcp -j DNAT --to-destination %s%s%s:%d\n", way,
		four ? "" : "[", backend, four ? "" : "]", n.backend.port);
}

/*
 * kube-proxy's rules but for --random-fully, which is of no weight for connections that exist: the
 * ports of replies must be known here.
 */
static inline void nodeport_rules(FILE *to, int family)
{
	nodeport_rules_filter(to);
	fputs("*nat\n"
	      ":KUBE-MARK-MASQ - [0:0]\n"
	      ":KUBE-NODEPORTS - [0:0]\n"
	      ":KUBE-POSTROUTING - [0:0]\n"
	      ":KUBE-SERVICES - [0:0]\n"
	      "-A PREROUTING -j KUBE-SERVICES\n"
	      "-A OUTPUT -j KUBE-SERVICES\n"
	      "-A POSTROUTING -j KUBE-POSTROUTING\n"
	      "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
	      "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
	      "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
	      "-A KUBE-POSTROUTING -j MASQUERADE\n"
	      "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n",
	      to);
	for (enum way way = 0; way < WAYS; way++)
		nodeport_rules_service(to, family, way);
	fputs("COMMIT\n", to);
}

#endif
