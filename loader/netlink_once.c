/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "netlink_once.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "util.h"

#define ANSWER_SIZE 32768 /* no netlink dump comes in larger parts */

static void close_socket(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

int netlink_once(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	_cleanup_(close_socket) struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
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
