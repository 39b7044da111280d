/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One netlink request on a socket of its own, for what is asked rarely. By libmnl. */
#ifndef NEARPATH_LOADER_NETLINK_ONCE_H
#define NEARPATH_LOADER_NETLINK_ONCE_H

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

/*
 * Send the request (bus: NETLINK_ROUTE, NETLINK_SOCK_DIAG) and run cb over the answer, which ends a
 * single one by MNL_CB_STOP. Waits for a second at most. 0 or -errno, the kernel's included.
 */
int netlink_once(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg);

#endif
