/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Three kinds of socket: one that only listens, one for the small requests, and a new one for
 * every dump. So an event, an answer and a dump cannot be taken for each other, and a callback
 * may ask for a source address in the middle of a dump.
 */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

#define RECEIVE_BUFFER	(8 << 20) /* bytes: some thousands of pods coming up at once */
#define MESSAGE_SIZE	65536
#define MESSAGES_A_CALL 256
#define DUMP_TRIES	10
#define REQUEST_SIZE	256
#define ETHERNET_HEADER 14
#define LEGACY_GROUPS                                                                              \
	(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |               \
	 RTMGRP_IPV6_ROUTE)

struct netlink {
	struct netlink_events events;
	void *arg;
	struct mnl_socket *listener;
	struct mnl_socket *requests;
	uint32_t sequence;
	bool routes_changed; /* in this call of netlink_receive() */
	_Alignas(struct nlmsghdr) char buffer[MESSAGE_SIZE];
};

/* The attributes of one message by type; those beyond the last one asked for are left out. */
struct attrs {
	size_t count;
	const struct nlattr **by_type;
};

static int keep_attr(const struct nlattr *attr, void *arg)
{
	const struct attrs *attrs = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type < attrs->count)
		attrs->by_type[type] = attr;
	return MNL_CB_OK;
}

static void parse_attrs(const struct nlmsghdr *message, unsigned int header,
			const struct nlattr **by_type, size_t count)
{
	struct attrs attrs = {.count = count, .by_type = by_type};

	mnl_attr_parse(message, header, keep_attr, &attrs);
}

/* 0 also for an attribute that is absent or of another size. */
static uint32_t attr_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) == sizeof(uint32_t) ? mnl_attr_get_u32(attr)
									  : 0;
}

static bool attr_addr(const struct nlattr *attr, uint8_t family, union np_addr *addr)
{
	size_t size = family == NP_IPV4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	union np_addr found = {};

	if (!attr || mnl_attr_get_payload_len(attr) != size)
		return false;
	memcpy(&found, mnl_attr_get_payload(attr), size);
	*addr = found;
	return true;
}

static uint8_t version_of(uint8_t family)
{
	if (family == AF_INET)
		return NP_IPV4;
	return family == AF_INET6 ? NP_IPV6 : 0;
}

static uint8_t family_of(uint8_t version)
{
	if (version == NP_IPV4)
		return AF_INET;
	return version == NP_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/*
 * What a tc program finds in front of the IP header. GRE is left out: depending on how the device
 * was made its packets have, or have not, an outer header at egress.
 */
static void set_l2(struct netlink_link *link, uint16_t type)
{
	switch (type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		link->l2_len = ETHERNET_HEADER;
		link->supported = true;
		break;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
		link->supported = true;
		break;
	default:
		break;
	}
}

/* Of what kind is it: "veth", "bridge"? */
static bool is_kind(const struct nlattr *link_info, const char *kind)
{
	const struct nlattr *attr;

	if (!link_info)
		return false;
	mnl_attr_for_each_nested(attr, link_info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			return !strcmp(mnl_attr_get_str(attr), kind);
	}
	return false;
}

static void on_link(struct netlink *self, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFLA_LINK_NETNSID + 1] = {};
	uint32_t netns;
	struct netlink_link link = {};

	/* A bridge tells of its ports by the same types: a port that leaves it is no lost link. */
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ifi_family != AF_UNSPEC)
		return;
	parse_attrs(message, sizeof(*info), attrs, ARRAY_SIZE(attrs));
	if (!attrs[IFLA_IFNAME] || mnl_attr_validate(attrs[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0)
		return;
	strncpy(link.name, mnl_attr_get_str(attrs[IFLA_IFNAME]), sizeof(link.name) - 1);
	link.ifindex = info->ifi_index;
	link.mtu = attr_u32(attrs[IFLA_MTU]);
	link.master = (int)attr_u32(attrs[IFLA_MASTER]);
	/* Numbers are given from 0 up; attr_u32() tells 0 of what is not there. */
	netns = attr_u32(attrs[IFLA_LINK_NETNSID]) + 1;
	link.netns = attrs[IFLA_LINK_NETNSID] && netns <= UINT16_MAX ? netns : 0;
	if (attrs[IFLA_ADDRESS] &&
	    mnl_attr_get_payload_len(attrs[IFLA_ADDRESS]) == sizeof(link.mac))
		memcpy(link.mac, mnl_attr_get_payload(attrs[IFLA_ADDRESS]), sizeof(link.mac));
	link.up = info->ifi_flags & IFF_UP;
	link.loopback = info->ifi_flags & IFF_LOOPBACK;
	link.veth = is_kind(attrs[IFLA_LINKINFO], "veth");
	link.bridge = is_kind(attrs[IFLA_LINKINFO], "bridge");
	set_l2(&link, info->ifi_type);
	/* IPv4 routes through a device that goes down leave without a message of their own. */
	if (message->nlmsg_type == RTM_DELLINK || (info->ifi_change & IFF_UP && !link.up))
		self->routes_changed = true;
	if (message->nlmsg_type == RTM_NEWLINK && self->events.link)
		self->events.link(&link, self->arg);
	if (message->nlmsg_type == RTM_DELLINK && self->events.link_gone)
		self->events.link_gone(link.ifindex, link.name, self->arg);
}

static void set_scope(struct netlink_addr *addr, uint8_t scope)
{
	const struct in6_addr *v6 = (const struct in6_addr *)&addr->addr;
	uint32_t v4 = ntohl(addr->addr.v4);

	if (addr->family == NP_IPV4) {
		addr->loopback_scope = v4 >> 24 == 127;
		addr->link_local = v4 >> 16 == 0xa9fe;
	} else {
		addr->loopback_scope = IN6_IS_ADDR_LOOPBACK(v6);
		addr->link_local = IN6_IS_ADDR_LINKLOCAL(v6);
	}
	if (scope == RT_SCOPE_HOST)
		addr->loopback_scope = true;
}

static void on_addr(struct netlink *self, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFA_LOCAL + 1] = {};
	struct netlink_addr addr = {};

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return;
	addr.family = version_of(info->ifa_family);
	parse_attrs(message, sizeof(*info), attrs, ARRAY_SIZE(attrs));
	/* With a peer, IFA_ADDRESS is the peer's. */
	if (!addr.family || (!attr_addr(attrs[IFA_LOCAL], addr.family, &addr.addr) &&
			     !attr_addr(attrs[IFA_ADDRESS], addr.family, &addr.addr)))
		return;
	addr.prefix = info->ifa_prefixlen;
	addr.ifindex = (int)info->ifa_index;
	set_scope(&addr, info->ifa_scope);
	addr.passing = info->ifa_flags & (IFA_F_DEPRECATED | IFA_F_TENTATIVE) ||
		       (addr.family == NP_IPV6 && info->ifa_flags & IFA_F_TEMPORARY);
	/* Routes with a preferred source go silently with it; pods come and go with fe80 only. */
	if (!addr.link_local)
		self->routes_changed = true;
	if (message->nlmsg_type == RTM_NEWADDR && self->events.addr)
		self->events.addr(&addr, self->arg);
	if (message->nlmsg_type == RTM_DELADDR && self->events.addr_gone)
		self->events.addr_gone(&addr, self->arg);
}

/* Not what the kernel keeps for itself: clones, its own addresses, a link's own fe80 prefix. */
static void on_route(struct netlink *self, const struct nlmsghdr *message)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_TABLE + 1] = {};
	union np_addr dst = {};
	uint32_t table;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->rtm_flags & RTM_F_CLONED ||
	    !version_of(info->rtm_family))
		return;
	parse_attrs(message, sizeof(*info), attrs, ARRAY_SIZE(attrs));
	table = attrs[RTA_TABLE] ? attr_u32(attrs[RTA_TABLE]) : info->rtm_table;
	if (table == RT_TABLE_LOCAL || info->rtm_type == RTN_LOCAL ||
	    info->rtm_type == RTN_BROADCAST || info->rtm_type == RTN_MULTICAST ||
	    info->rtm_type == RTN_ANYCAST)
		return;
	attr_addr(attrs[RTA_DST], version_of(info->rtm_family), &dst);
	if (info->rtm_family == AF_INET6 && info->rtm_dst_len >= 10 &&
	    IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&dst))
		return;
	self->routes_changed = true;
}

static int on_message(const struct nlmsghdr *message, void *arg)
{
	struct netlink *self = arg;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(self, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_addr(self, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route(self, message);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		self->routes_changed = true;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static void close_socket(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
	*nl = NULL;
}

/* SO_RCVBUFFORCE needs CAP_NET_ADMIN; without it there is what the system allows. */
static void enlarge(int fd)
{
	int size = RECEIVE_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static int open_listener(struct mnl_socket **listener)
{
	static const int more_groups[] = {RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP};
	_cleanup_(close_socket) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (!nl)
		return -errno;
	enlarge(mnl_socket_get_fd(nl));
	if (mnl_socket_bind(nl, LEGACY_GROUPS, MNL_SOCKET_AUTOPID))
		return -errno;
	/* What else decides about routes; a kernel may know less than these. */
	for (size_t i = 0; i < ARRAY_SIZE(more_groups); i++) {
		int group = more_groups[i];

		mnl_socket_setsockopt(nl, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	}
	*listener = TAKE_PTR(nl);
	return 0;
}

/* With a timeout: a kernel that does not answer must not stop the daemon. */
static int open_requests(struct mnl_socket **requests)
{
	const struct timeval timeout = {.tv_sec = 1};
	_cleanup_(close_socket) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int on = 1;

	if (!nl)
		return -errno;
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	/* Then a dump of one table sends just that (4.20). */
	mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*requests = TAKE_PTR(nl);
	return 0;
}

int netlink_open(const struct netlink_events *events, void *arg, struct netlink **netlink)
{
	_cleanup_(netlink_close) struct netlink *self = calloc(1, sizeof(*self));
	int err;

	if (!self)
		return -ENOMEM;
	self->events = *events;
	self->arg = arg;
	err = open_listener(&self->listener);
	if (!err)
		err = open_requests(&self->requests);
	if (err)
		return err;
	*netlink = TAKE_PTR(self);
	return 0;
}

void netlink_close(struct netlink **netlink)
{
	if (!*netlink)
		return;
	close_socket(&(*netlink)->listener);
	close_socket(&(*netlink)->requests);
	free(*netlink);
	*netlink = NULL;
}

int netlink_fd(const struct netlink *netlink)
{
	return mnl_socket_get_fd(netlink->listener);
}

/*
 * Bounded, so that a storm of changes does not keep the caller from its other work. Both of the
 * last callbacks come once and last: a dump is newer than anything received before it.
 */
int netlink_receive(struct netlink *netlink)
{
	bool lost = false;
	int err = 0;

	netlink->routes_changed = false;
	for (int i = 0; i < MESSAGES_A_CALL && !err; i++) {
		ssize_t size = mnl_socket_recvfrom(netlink->listener, netlink->buffer,
						   sizeof(netlink->buffer));

		if (size > 0)
			mnl_cb_run(netlink->buffer, (size_t)size, 0, 0, on_message, netlink);
		else if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) /* dropped, or cut */
			lost = true;
		else if (size < 0 && errno != EINTR)
			err = -errno;
	}
	if (lost && netlink->events.overrun)
		netlink->events.overrun(netlink->arg);
	if ((lost || netlink->routes_changed) && netlink->events.routes_changed)
		netlink->events.routes_changed(netlink->arg);
	return err == -EAGAIN || err == -EWOULDBLOCK ? 0 : err;
}

/* One request, all of its answer. -EINTR: a dump was not of one moment. */
/* Why a dump ended halfway, by its last message, which libmnl 1.0.4 does not read. */
static int dump_error(const void *buffer, int size)
{
	const struct nlmsghdr *message = buffer;

	while (mnl_nlmsg_ok(message, size) && message->nlmsg_type != NLMSG_DONE)
		message = mnl_nlmsg_next(message, &size);
	if (!mnl_nlmsg_ok(message, size) || mnl_nlmsg_get_payload_len(message) < sizeof(int))
		return 0;
	return *(const int *)mnl_nlmsg_get_payload(message);
}

static int talk(struct mnl_socket *nl, const struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	_Alignas(struct nlmsghdr) char buffer[MESSAGE_SIZE];
	ssize_t size = 0;
	int more = 1;

	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		size = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		/* The answer to a request that was given up on came after all. */
		if (((struct nlmsghdr *)buffer)->nlmsg_seq != request->nlmsg_seq)
			continue;
		more = mnl_cb_run(buffer, (size_t)size, request->nlmsg_seq,
				  mnl_socket_get_portid(nl), cb, arg);
	}
	return more < 0 ? -errno : dump_error(buffer, (int)size);
}

static struct nlmsghdr *put_request(struct netlink *self, char *buffer, uint16_t type,
				    uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = ++self->sequence;
	return request;
}

static int dump(struct netlink *self, uint16_t type, const void *header, size_t header_size,
		mnl_cb_t cb, void *arg)
{
	_cleanup_(close_socket) struct mnl_socket *nl = NULL;
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	struct nlmsghdr *request = put_request(self, buffer, type, NLM_F_DUMP);
	int err;

	memcpy(mnl_nlmsg_put_extra_header(request, header_size), header, header_size);
	err = open_requests(&nl);
	return err ? err : talk(nl, request, cb, arg);
}

/*
 * Told again what was told before if the tables changed meanwhile; what went in between comes
 * through the listener. The last try counts even so: what it missed will come that way too.
 */
static int dump_all(struct netlink *self, uint16_t type, const void *header, size_t size)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = dump(self, type, header, size, on_message, self);
	return err == -EINTR ? 0 : err;
}

int netlink_dump(struct netlink *netlink)
{
	const struct ifinfomsg links = {.ifi_family = AF_UNSPEC};
	const struct ifaddrmsg addrs = {.ifa_family = AF_UNSPEC};
	int err = dump_all(netlink, RTM_GETLINK, &links, sizeof(links));

	return err ? err : dump_all(netlink, RTM_GETADDR, &addrs, sizeof(addrs));
}

struct source {
	int ifindex;
	uint8_t family;
	int err;
	union np_addr addr;
};

static int on_source(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_PREFSRC + 1] = {};
	struct source *source = arg;

	source->err = -EPROTO;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_STOP;
	parse_attrs(message, sizeof(*info), attrs, ARRAY_SIZE(attrs));
	if (info->rtm_type != RTN_UNICAST && info->rtm_type != RTN_LOCAL)
		source->err = -ENETUNREACH;
	else if (version_of(info->rtm_family) != source->family ||
		 !attr_addr(attrs[RTA_PREFSRC], source->family, &source->addr))
		source->err = -EADDRNOTAVAIL;
	else
		source->err = 0;
	source->ifindex = attrs[RTA_OIF] ? (int)attr_u32(attrs[RTA_OIF]) : 0;
	return MNL_CB_STOP;
}

int netlink_source(struct netlink *netlink, uint8_t family, const union np_addr *dst,
		   union np_addr *src)
{
	int ifindex;

	return netlink_route(netlink, family, dst, src, &ifindex);
}

int netlink_route(struct netlink *netlink, uint8_t family, const union np_addr *dst,
		  union np_addr *src, int *ifindex)
{
	struct source source = {.family = family};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	struct nlmsghdr *request = put_request(netlink, buffer, RTM_GETROUTE, 0);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	size_t size = family == NP_IPV4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	int err;

	info->rtm_family = family_of(family);
	if (info->rtm_family == AF_UNSPEC)
		return -EAFNOSUPPORT;
	info->rtm_dst_len = (uint8_t)(size * 8);
	mnl_attr_put(request, RTA_DST, size, dst);
	err = talk(netlink->requests, request, on_source, &source);
	if (!err)
		err = source.err;
	if (!err) {
		*src = source.addr;
		*ifindex = source.ifindex;
	}
	return err;
}

struct default_route {
	int ifindex;
	uint32_t metric;
};

/* The device of the first hop; several hops are in one attribute. */
static int hop_device(const struct nlattr *const *attrs)
{
	const struct nlattr *multipath = attrs[RTA_MULTIPATH];
	struct rtnexthop hop;

	if (attrs[RTA_OIF])
		return (int)attr_u32(attrs[RTA_OIF]);
	if (!multipath || mnl_attr_get_payload_len(multipath) < sizeof(hop))
		return 0;
	memcpy(&hop, mnl_attr_get_payload(multipath), sizeof(hop));
	return hop.rtnh_ifindex;
}

static int on_default(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_TABLE + 1] = {};
	struct default_route *best = arg;
	uint32_t metric, table;
	int ifindex;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->rtm_dst_len ||
	    info->rtm_type != RTN_UNICAST || info->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD))
		return MNL_CB_OK;
	parse_attrs(message, sizeof(*info), attrs, ARRAY_SIZE(attrs));
	table = attrs[RTA_TABLE] ? attr_u32(attrs[RTA_TABLE]) : info->rtm_table;
	metric = attr_u32(attrs[RTA_PRIORITY]);
	ifindex = hop_device(attrs);
	if (table != RT_TABLE_MAIN || !ifindex || (best->ifindex && best->metric <= metric))
		return MNL_CB_OK;
	best->ifindex = ifindex;
	best->metric = metric;
	return MNL_CB_OK;
}

int netlink_default_iface(struct netlink *netlink, uint8_t family)
{
	const struct rtmsg main_table = {
		.rtm_family = family_of(family),
		.rtm_table = RT_TABLE_MAIN,
	};
	struct default_route best = {};
	int err = -EINTR;

	if (main_table.rtm_family == AF_UNSPEC)
		return 0;
	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		best = (struct default_route){};
		err = dump(netlink, RTM_GETROUTE, &main_table, sizeof(main_table), on_default,
			   &best);
	}
	return err && err != -EINTR ? 0 : best.ifindex;
}

int netlink_each(struct netlink *netlink, uint16_t type, const void *header, size_t size,
		 int (*each)(const struct nlmsghdr *message, void *arg), void *arg)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = dump(netlink, type, header, size, each, arg);
	return err;
}
