/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ending connected sockets: the program np_list tells which were given a backend, sock_diag of
 * this network namespace which of them still are connected, and destroys them by cookie
 * (CONFIG_INET_DIAG_DESTROY). bpf_sock_destroy() from an iterator would need Linux 6.5.
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

#include "netlink_once.h"
#include "util.h"

#define REQUEST_SIZE 256
#define READ_SIZE    (64 * sizeof(struct np_sock_entry))

/* Sockets as np_list told of them, in order of their cookies. */
struct list {
	struct np_sock_entry *entry;
	size_t count;
	size_t room;
};

/* Those of them that are to be ended, as sock_diag names them. */
struct doomed {
	const struct list *list;
	flow_judge judge;
	void *arg;
	uint8_t protocol; /* of the sockets that are told of */
	struct inet_diag_req_v2 *socket;
	size_t count;
};

static void free_list(struct list *list)
{
	free(list->entry);
}

static void free_doomed(struct doomed *doomed)
{
	free(doomed->socket);
}

static int by_cookie(const void *a, const void *b)
{
	const struct np_sock_entry *left = a, *right = b;

	return left->cookie < right->cookie ? -1 : left->cookie > right->cookie;
}

static int open_iterator(int list_fd, int peers_fd)
{
	union bpf_iter_link_info info = {.map.map_fd = (uint32_t)peers_fd};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	_cleanup_close_ int link = bpf_link_create(list_fd, 0, BPF_TRACE_ITER, &opts);

	return link < 0 ? link : bpf_iter_create(link);
}

static int read_list(int list_fd, int peers_fd, struct list *list)
{
	_cleanup_close_ int fd = open_iterator(list_fd, peers_fd);
	size_t used = 0;
	ssize_t got;
	void *larger;

	if (fd < 0)
		return fd;
	do {
		if (list->room - used < READ_SIZE) {
			list->room = 2 * list->room + READ_SIZE;
			larger = realloc(list->entry, list->room);
			if (!larger)
				return -ENOMEM;
			list->entry = larger;
		}
		got = read(fd, (char *)list->entry + used, list->room - used);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		used += got > 0 ? (size_t)got : 0;
	} while (got);
	list->count = used / sizeof(*list->entry);
	qsort(list->entry, list->count, sizeof(*list->entry), by_cookie);
	return 0;
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

/* Is the socket still connected to what the peer says? IPv4 may be ::ffff:a.b.c.d. */
static bool is_connected_to(const struct inet_diag_msg *m, const struct np_peer *peer)
{
	const __be32 *dst = m->id.idiag_dst;

	if (m->id.idiag_dport != peer->backend_port)
		return false;
	if (peer->family == NP_IPV6)
		return m->idiag_family == AF_INET6 &&
		       !memcmp(dst, peer->backend.word, sizeof(peer->backend));
	if (peer->family != NP_IPV4)
		return false;
	if (m->idiag_family == AF_INET)
		return dst[0] == peer->backend.v4;
	return !dst[0] && !dst[1] && dst[2] == htonl(0xFFFF) && dst[3] == peer->backend.v4;
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

static int look_at(const struct nlmsghdr *message, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(message);
	const struct np_sock_entry key = {
		.cookie = m->id.idiag_cookie[0] | (uint64_t)m->id.idiag_cookie[1] << 32,
	};
	struct doomed *d = arg;
	const struct np_sock_entry *e =
		bsearch(&key, d->list->entry, d->list->count, sizeof(key), by_cookie);

	/* A socket may be told of twice while it moves. */
	if (e && d->count < d->list->count && e->peer.protocol == d->protocol &&
	    is_connected_to(m, &e->peer) && departed(d, &e->peer))
		d->socket[d->count++] = (struct inet_diag_req_v2){
			.sdiag_family = m->idiag_family,
			.sdiag_protocol = d->protocol,
			.idiag_states = ~0U,
			.id = m->id,
		};
	return MNL_CB_OK;
}

/* TCP with a process that may still read or write; of UDP connected is "established". */
#define TCP_STATES                                                                                 \
	(1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |  \
	 1U << TCP_CLOSE_WAIT)

static int look_at_all(struct doomed *d, uint8_t family, uint8_t protocol)
{
	const struct inet_diag_req_v2 wanted = {
		.sdiag_family = family,
		.sdiag_protocol = protocol,
		.idiag_states = protocol == IPPROTO_TCP ? TCP_STATES : 1U << TCP_ESTABLISHED,
	};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];

	d->protocol = protocol;
	return netlink_once(NETLINK_SOCK_DIAG,
			    put_request(buffer, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &wanted), look_at,
			    d);
}

static int end_all(const struct doomed *d)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	int ended = 0, err;

	for (size_t i = 0; i < d->count; i++) {
		err = netlink_once(NETLINK_SOCK_DIAG,
				   put_request(buffer, SOCK_DESTROY, NLM_F_ACK, &d->socket[i]),
				   NULL, NULL);
		if (!err)
			ended++;
		else if (err != -ENOENT) /* it may have ended by itself */
			return err;
	}
	return ended;
}

int sockets_end_by(int list_fd, int peers_fd, flow_judge judge, void *arg)
{
	_cleanup_(free_list) struct list list = {};
	_cleanup_(free_doomed) struct doomed d = {.list = &list, .judge = judge, .arg = arg};
	int rc = read_list(list_fd, peers_fd, &list);

	if (rc || !list.count)
		return rc;
	d.socket = calloc(list.count, sizeof(*d.socket));
	if (!d.socket)
		return -ENOMEM;
	rc = look_at_all(&d, AF_INET, IPPROTO_UDP) ?: look_at_all(&d, AF_INET6, IPPROTO_UDP);
	rc = rc ?: look_at_all(&d, AF_INET, IPPROTO_TCP);
	rc = rc ?: look_at_all(&d, AF_INET6, IPPROTO_TCP);
	return rc ?: end_all(&d);
}
