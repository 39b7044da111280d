/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ending connected sockets: sock_diag of this network namespace tells of them and destroys them
 * (CONFIG_INET_DIAG_DESTROY). What the programs noted it tells too (INET_DIAG_REQ_SK_BPF_STORAGES,
 * Linux 5.8; without it none is found), but of TCP alone; of UDP the program np_connected does. An
 * iterator would do for both, but is a tracing program, and not every kernel lets us load those.
 */
#include "sockets.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "cidr.h"
#include "netlink_once.h"
#include "util.h"

#define REQUEST_SIZE 256

/* The sockets that are to be ended, as sock_diag names them. */
struct doomed {
	const struct tables *tables;
	flow_judge judge;
	void *arg;
	uint8_t protocol;
	struct inet_diag_req_v2 *socket;
	size_t count, room;
};

static void free_doomed(struct doomed *doomed)
{
	free(doomed->socket);
}

static struct nlmsghdr *put_request(char *buffer, uint16_t type, uint16_t flags,
				    const struct inet_diag_req_v2 *wanted)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = 1;
	memcpy(mnl_nlmsg_put_extra_header(request, sizeof(*wanted)), wanted, sizeof(*wanted));
	return request;
}

/* An address of sock_diag's, as the programs have it; its family. IPv4 may be ::ffff:a.b.c.d. */
static uint8_t addr_get(uint8_t family, const __be32 *word, union np_addr *addr)
{
	bool mapped = family == AF_INET6 && !word[0] && !word[1] && word[2] == htonl(0xFFFF);

	memset(addr, 0, sizeof(*addr));
	if (family == AF_INET6 && !mapped) {
		memcpy(addr, word, sizeof(*addr));
		return NP_IPV6;
	}
	addr->v4 = word[mapped ? 3 : 0];
	return NP_IPV4;
}

/* Attributes: those of a message, or those within another one. */
struct attrs {
	const void *first;
	size_t size;
};

static struct attrs attrs_in(struct attrs outer, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_payload(outer.first, outer.size)
	{
		if (mnl_attr_get_type(attr) == type)
			return (struct attrs){mnl_attr_get_payload(attr),
					      mnl_attr_get_payload_len(attr)};
	}
	return (struct attrs){};
}

/* What the socket was given, as the message has it; *peer stays as it is if that was nothing. */
static void read_peer(const struct nlmsghdr *message, struct np_peer *peer)
{
	const size_t header = sizeof(struct inet_diag_msg);
	struct attrs a = {mnl_nlmsg_get_payload_offset(message, header),
			  mnl_nlmsg_get_payload_len(message) - MNL_ALIGN(header)};

	a = attrs_in(a, INET_DIAG_SK_BPF_STORAGES);
	a = attrs_in(a, SK_DIAG_BPF_STORAGE);
	a = attrs_in(a, SK_DIAG_BPF_STORAGE_MAP_VALUE);
	if (a.size >= sizeof(struct np_sock))
		*peer = ((const struct np_sock *)a.first)->peer[NP_SOCK_CONNECTED];
}

/* The same of UDP, by the tuple that sock_diag will find the socket by when it destroys it. */
static int ask_peer(const struct tables *t, const struct inet_diag_msg *m, struct np_peer *peer)
{
	struct __sk_buff skb = {.ifindex = m->id.idiag_if};
	struct np_sock_question q = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &q, .data_size_in = sizeof(q),
		    .data_out = &q, .data_size_out = sizeof(q), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), .repeat = 1);
	union np_addr src, dst;
	int rc;

	addr_get(m->idiag_family, m->id.idiag_src, &src);
	q.family = addr_get(m->idiag_family, m->id.idiag_dst, &dst);
	if (q.family == NP_IPV4) {
		q.tuple.ipv4.saddr = dst.v4;
		q.tuple.ipv4.daddr = src.v4;
		q.tuple.ipv4.sport = m->id.idiag_dport;
		q.tuple.ipv4.dport = m->id.idiag_sport;
	} else {
		memcpy(q.tuple.ipv6.saddr, &dst, sizeof(dst));
		memcpy(q.tuple.ipv6.daddr, &src, sizeof(src));
		q.tuple.ipv6.sport = m->id.idiag_dport;
		q.tuple.ipv6.dport = m->id.idiag_sport;
	}
	rc = bpf_prog_test_run_opts(t->connected_fd, &run);
	if (!rc)
		*peer = q.peer;
	return rc && skb.ifindex ? 0 : rc; /* the device it is bound to may have gone */
}

/* Is the socket still connected to what the peer says? */
static bool is_connected_to(const struct inet_diag_msg *m, const struct np_peer *peer)
{
	union np_addr dst;

	return addr_get(m->idiag_family, m->id.idiag_dst, &dst) == peer->family &&
	       m->id.idiag_dport == peer->backend_port && address_equal(&dst, &peer->backend);
}

static bool departed(const struct doomed *d, const struct np_peer *peer)
{
	const struct flow_ends ends = {
		.family = peer->family,
		.protocol = peer->protocol,
		.service = FLOW_NO_SERVICE,
		.frontend = &peer->frontend,
		.backend = &peer->backend,
		.frontend_port = peer->frontend_port,
		.backend_port = peer->backend_port,
	};

	return d->judge(&ends, d->arg) == FLOW_DEPARTED;
}

static int doom(struct doomed *d, const struct inet_diag_msg *m)
{
	size_t room = d->count < d->room ? d->room : 2 * d->room + 64;
	struct inet_diag_req_v2 *socket = reallocarray(d->socket, room, sizeof(*socket));

	if (!socket)
		return -ENOMEM;
	d->socket = socket;
	d->room = room;
	d->socket[d->count++] = (struct inet_diag_req_v2){
		.sdiag_family = m->idiag_family,
		.sdiag_protocol = d->protocol,
		.idiag_states = ~0U,
		.id = m->id,
	};
	return 0;
}

static int look_at(const struct nlmsghdr *message, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(message);
	struct np_peer peer = {};
	struct doomed *d = arg;
	int rc = 0;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*m))
		return MNL_CB_OK;
	if (d->protocol == IPPROTO_UDP)
		rc = ask_peer(d->tables, m, &peer);
	else
		read_peer(message, &peer);
	if (!rc && is_connected_to(m, &peer) && departed(d, &peer))
		rc = doom(d, m);
	errno = -rc;
	return rc ? MNL_CB_ERROR : MNL_CB_OK;
}

/* TCP with a process that may still read or write; of UDP connected is "established". */
#define TCP_STATES                                                                                 \
	(1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |  \
	 1U << TCP_CLOSE_WAIT)

static int look_at_all(struct doomed *d, uint8_t family)
{
	const struct inet_diag_req_v2 wanted = {
		.sdiag_family = family,
		.sdiag_protocol = d->protocol,
		.idiag_states = d->protocol == IPPROTO_TCP ? TCP_STATES : 1U << TCP_ESTABLISHED,
	};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	struct nlmsghdr *request = put_request(buffer, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &wanted);
	struct nlattr *storages = mnl_attr_nest_start(request, INET_DIAG_REQ_SK_BPF_STORAGES);

	mnl_attr_put_u32(request, SK_DIAG_BPF_STORAGE_REQ_MAP_FD,
			 (uint32_t)d->tables->map_fd[TABLES_MAP_sock_peers]);
	mnl_attr_nest_end(request, storages);
	return netlink_once(NETLINK_SOCK_DIAG, request, look_at, d);
}

static int by_cookie(const void *a, const void *b)
{
	const struct inet_diag_req_v2 *left = a, *right = b;

	return memcmp(left->id.idiag_cookie, right->id.idiag_cookie, sizeof(left->id.idiag_cookie));
}

/* A socket that moved while the kernel told of them all was told of twice. */
static int end_all(const struct doomed *d)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	const struct inet_diag_req_v2 *socket = d->socket;
	int ended = 0, err;

	if (d->count)
		qsort(d->socket, d->count, sizeof(*socket), by_cookie);
	for (size_t i = 0; i < d->count; i++) {
		if (i && !by_cookie(&socket[i], &socket[i - 1]))
			continue;
		err = netlink_once(NETLINK_SOCK_DIAG,
				   put_request(buffer, SOCK_DESTROY, NLM_F_ACK, &socket[i]), NULL,
				   NULL);
		if (!err)
			ended++;
		else if (err != -ENOENT) /* it may have ended by itself */
			return err;
	}
	return ended;
}

int sockets_end_of(const struct tables *t, uint8_t protocol, flow_judge judge, void *arg)
{
	_cleanup_(free_doomed) struct doomed d = {
		.tables = t, .protocol = protocol, .judge = judge, .arg = arg};
	int rc = look_at_all(&d, AF_INET) ?: look_at_all(&d, AF_INET6);

	return rc ?: end_all(&d);
}
