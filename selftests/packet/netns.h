/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A network namespace of this process's own, in which XDP's FIB lookups succeed: a veth "uplink"
 * with addresses, routes, static neighbours and a native XDP program (without one it has no
 * receive queue that a test run may name). Gone when the process ends. Tests and benchmarks share
 * it, so it is all in this header.
 */
#ifndef NEARPATH_SELFTESTS_NETNS_H
#define NEARPATH_SELFTESTS_NETNS_H

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The neighbours' link addresses, as `ip` takes them; the last byte tells which. */
#define NETNS_MAC_UPLINK  "02:00:00:00:00:01"
#define NETNS_MAC_GATEWAY "02:00:00:00:00:02" /* everything that is not named below */
#define NETNS_MAC_SECOND  "02:00:00:00:00:11" /* the second uplink */
#define NETNS_MAC_FAR	  "02:00:00:00:00:12" /* what is behind it */

/*
 * Routes: 10.244.3.0/24 and fd00:10:244:3::/64 leave through the second uplink; 10.244.4.0/24 and
 * fd00:10:244:4::/64 have a route whose gateway has no neighbour entry; the rest goes back through
 * the first. Nothing is routed by 10.244.5.0/24 and fd00:10:244:5::/64.
 */
static const char netns_commands[] =
	"link set lo up\n"
	"link add up0 address " NETNS_MAC_UPLINK " type veth peer name up0peer\n"
	"link add up1 address " NETNS_MAC_SECOND " type veth peer name up1peer\n"
	"link set up0 up\n"
	"link set up0peer up\n"
	"link set up1 up\n"
	"link set up1peer up\n"
	"addr add 172.16.0.1/24 dev up0\n"
	"addr add 172.17.0.1/24 dev up1\n"
	"addr add fd00:172:16::1/64 dev up0 nodad\n"
	"addr add fd00:172:17::1/64 dev up1 nodad\n"
	"neigh add 172.16.0.254 lladdr " NETNS_MAC_GATEWAY " dev up0 nud permanent\n"
	"neigh add fd00:172:16::fe lladdr " NETNS_MAC_GATEWAY " dev up0 nud permanent\n"
	"neigh add 172.17.0.254 lladdr " NETNS_MAC_FAR " dev up1 nud permanent\n"
	"neigh add fd00:172:17::fe lladdr " NETNS_MAC_FAR " dev up1 nud permanent\n"
	"route add default via 172.16.0.254\n"
	"route add 10.244.3.0/24 via 172.17.0.254\n"
	"route add 10.244.4.0/24 via 172.17.0.77\n"
	"route add unreachable 10.244.5.0/24\n"
	"route add default via fd00:172:16::fe\n"
	"route add fd00:10:244:3::/64 via fd00:172:17::fe\n"
	"route add fd00:10:244:4::/64 via fd00:172:17::77\n"
	"route add unreachable fd00:10:244:5::/64\n";

struct netns {
	uint32_t uplink; /* ifindex of up0 */
	uint32_t second; /* of up1 */
};

static inline int netns_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	int rc;

	if (!f)
		return -errno;
	rc = fputs(text, f) < 0 ? -EIO : 0;
	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}

static inline int netns_configure(void)
{
	FILE *ip = popen("ip -batch -", "we");

	if (!ip)
		return -errno;
	fputs(netns_commands, ip);
	return pclose(ip) ? -EINVAL : 0;
}

/* Enter a new namespace for good and fill it. 0 or -errno. */
static inline int netns_enter(struct netns *ns)
{
	int rc;

	if (unshare(CLONE_NEWNET))
		return -errno;
	rc = netns_write("/proc/sys/net/ipv4/ip_forward", "1");
	rc = rc ?: netns_write("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	rc = rc ?: netns_configure();
	if (rc)
		return rc;
	ns->uplink = if_nametoindex("up0");
	ns->second = if_nametoindex("up1");
	return ns->uplink && ns->second ? 0 : -ENODEV;
}

/* Attach the XDP program to both uplinks. */
static inline int netns_attach(const struct netns *ns, int xdp_fd)
{
	return bpf_xdp_attach(ns->uplink, xdp_fd, 0, NULL)
		       ?: bpf_xdp_attach(ns->second, xdp_fd, 0, NULL);
}

#endif
