/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ending connected UDP sockets by sock_diag: the kernel tells what the programs keep with each
 * socket (Linux 5.7), and destroys by its number (CONFIG_INET_DIAG_DESTROY). Preferred to a BPF
 * iterator with bpf_sock_destroy(), which needs 6.5 and a program more.
 */
#include "sockets.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "util.h"

#define REQUEST_SIZE 256
#define ANSWER_SIZE  32768 /* no netlink dump comes in larger parts */
#define PEER_SIZE    sizeof(((struct np_sock *)NULL)->peer[0])

/* The sockets that a dump found to be ended. */
struct doomed {
	sockets_keep keep;
	void *arg;
	struct inet_diag_req_v2 *socket;
	size_t count;
	size_t room;
	int error;
};

static void close_socket(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

static int talk(struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	_cleanup_(close_socket) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	_Alignas(struct nlmsghdr) char buffer[ANSWER_SIZE];
	const struct timeval timeout = {.tv_sec = 1};
	int more = 1;

	if (!nl)
		return -errno;
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ||
	    mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		ssize_t size = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		more = mnl_cb_run(buffer, (size_t)size, request->nlmsg_seq,
				  mnl_socket_get_portid(nl), cb, arg);
	}
	return more < 0 ? -errno : 0;
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
		       !memcmp(dst, &peer->backend, sizeof(peer->backend));
	if (peer->family != NP_IPV4)
		return false;
	if (m->idiag_family == AF_INET)
		return dst[0] == peer->backend.v4;
	return !dst[0] && !dst[1] && dst[2] == htonl(0xFFFF) && dst[3] == peer->backend.v4;
}

static int doom(struct doomed *d, const struct inet_diag_msg *m)
{
	struct inet_diag_req_v2 *larger;

	if (d->count == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		larger = reallocarray(d->socket, d->room, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		d->socket = larger;
	}
	d->socket[d->count++] = (struct inet_diag_req_v2){
		.sdiag_family = m->idiag_family,
		.sdiag_protocol = IPPROTO_UDP,
		.idiag_states = ~0U,
		.id = m->id,
	};
	return 0;
}

/* What the programs keep with the socket; NULL: nothing. */
static const void *stored(const struct nlmsghdr *message)
{
	const struct nlattr *all, *storage, *part;

	mnl_attr_for_each(all, message, sizeof(struct inet_diag_msg))
	{
		if (mnl_attr_get_type(all) != INET_DIAG_SK_BPF_STORAGES)
			continue;
		mnl_attr_for_each_nested(storage, all)
		{
			mnl_attr_for_each_nested(part, storage)
			{
				if (mnl_attr_get_type(part) == SK_DIAG_BPF_STORAGE_MAP_VALUE &&
				    mnl_attr_get_payload_len(part) >= sizeof(struct np_sock))
					return mnl_attr_get_payload(part);
			}
		}
	}
	return NULL;
}

static int look_at(const struct nlmsghdr *message, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(message);
	const void *value = stored(message);
	struct np_peer peer;
	struct doomed *d = arg;

	if (!value || d->error)
		return MNL_CB_OK;
	/* Attributes are aligned to 4 bytes only. */
	memcpy(&peer, (const char *)value + NP_SOCK_CONNECTED * PEER_SIZE, sizeof(peer));
	if (is_connected_to(m, &peer) &&
	    !d->keep(d->arg, peer.family, &peer.frontend, peer.frontend_port, &peer.backend,
		     peer.backend_port))
		d->error = doom(d, m);
	return MNL_CB_OK;
}

static int look_at_all(struct doomed *d, uint8_t family, int peers_fd)
{
	const struct inet_diag_req_v2 wanted = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_UDP,
		.idiag_states = 1U << TCP_ESTABLISHED,
	};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	struct nlmsghdr *request = put_request(buffer, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &wanted);
	struct nlattr *maps = mnl_attr_nest_start(request, INET_DIAG_REQ_SK_BPF_STORAGES);

	mnl_attr_put_u32(request, SK_DIAG_BPF_STORAGE_REQ_MAP_FD, (uint32_t)peers_fd);
	mnl_attr_nest_end(request, maps);
	return talk(request, look_at, d) ?: d->error;
}

static int end_all(const struct doomed *d)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	int ended = 0, err;

	for (size_t i = 0; i < d->count; i++) {
		err = talk(put_request(buffer, SOCK_DESTROY, NLM_F_ACK, &d->socket[i]), NULL, NULL);
		if (!err)
			ended++;
		else if (err != -ENOENT) /* it may have ended by itself */
			return err;
	}
	return ended;
}

int sockets_end_udp_by(int peers_fd, sockets_keep keep, void *arg)
{
	struct doomed d = {.keep = keep, .arg = arg};
	int rc = look_at_all(&d, AF_INET, peers_fd) ?: look_at_all(&d, AF_INET6, peers_fd);

	rc = rc ?: end_all(&d);
	free(d.socket);
	return rc;
}
