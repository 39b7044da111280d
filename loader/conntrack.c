/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netlink_once.h"
#include "util.h"

#define REQUEST_SIZE 256

struct walk {
	void (*visit)(const struct conntrack_entry *entry, void *arg);
	void *arg;
};

#define MOST_ATTRIBUTES 32 /* more than any nest here has */

struct attributes {
	const struct nlattr *of[MOST_ATTRIBUTES];
};

int conntrack_be_liberal(void)
{
	_cleanup_close_ int fd =
		open("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, "1", 1) == 1 ? 0 : -errno;
}

bool conntrack_is_used(void)
{
	_cleanup_close_ int fd =
		open("/proc/sys/net/netfilter/nf_conntrack_count", O_RDONLY | O_CLOEXEC);
	char count[16];

	if (fd < 0)
		return errno != ENOENT;
	return read(fd, count, sizeof(count)) <= 0 || count[0] != '0';
}

static int take(const struct nlattr *attr, void *arg)
{
	struct attributes *a = arg;
	const uint16_t type = mnl_attr_get_type(attr);

	if (type < MOST_ATTRIBUTES)
		a->of[type] = attr;
	return MNL_CB_OK;
}

static struct attributes nested(const struct nlattr *nest)
{
	struct attributes a = {};

	if (nest)
		mnl_attr_parse_nested(nest, take, &a);
	return a;
}

static bool read_address(const struct nlattr *four, const struct nlattr *six, union np_addr *addr)
{
	const struct nlattr *attr = four ? four : six;
	const size_t size = four ? sizeof(addr->v4) : sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	if (!attr || mnl_attr_get_payload_len(attr) < size)
		return false;
	memcpy(addr, mnl_attr_get_payload(attr), size);
	return true;
}

static __be16 read_port(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) >= 2 ? mnl_attr_get_u16(attr) : 0;
}

/* The client's side of an entry, then the backend's out of what its answers look like. */
static bool read_entry(const struct attributes *a, struct conntrack_entry *e)
{
	struct attributes tuple = nested(a->of[CTA_TUPLE_ORIG]);
	struct attributes ip = nested(tuple.of[CTA_TUPLE_IP]);
	struct attributes proto = nested(tuple.of[CTA_TUPLE_PROTO]);
	struct attributes info = nested(a->of[CTA_PROTOINFO]);

	if (!proto.of[CTA_PROTO_NUM] ||
	    !read_address(ip.of[CTA_IP_V4_SRC], ip.of[CTA_IP_V6_SRC], &e->client) ||
	    !read_address(ip.of[CTA_IP_V4_DST], ip.of[CTA_IP_V6_DST], &e->frontend))
		return false;
	e->protocol = mnl_attr_get_u8(proto.of[CTA_PROTO_NUM]);
	e->client_port = read_port(proto.of[CTA_PROTO_SRC_PORT]);
	e->frontend_port = read_port(proto.of[CTA_PROTO_DST_PORT]);
	tuple = nested(a->of[CTA_TUPLE_REPLY]);
	ip = nested(tuple.of[CTA_TUPLE_IP]);
	proto = nested(tuple.of[CTA_TUPLE_PROTO]);
	if (!read_address(ip.of[CTA_IP_V4_SRC], ip.of[CTA_IP_V6_SRC], &e->backend))
		return false;
	e->backend_port = read_port(proto.of[CTA_PROTO_SRC_PORT]);
	info = nested(info.of[CTA_PROTOINFO_TCP]);
	if (info.of[CTA_PROTOINFO_TCP_STATE])
		e->tcp_state = mnl_attr_get_u8(info.of[CTA_PROTOINFO_TCP_STATE]);
	return true;
}

static int on_entry(const struct nlmsghdr *message, void *arg)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
	struct conntrack_entry e = {
		.family = head->nfgen_family == AF_INET ? NP_IPV4 : NP_IPV6,
	};
	struct attributes a = {};
	const struct walk *w = arg;

	mnl_attr_parse(message, sizeof(*head), take, &a);
	if (!a.of[CTA_STATUS] || mnl_attr_get_payload_len(a.of[CTA_STATUS]) < 4 ||
	    !(ntohl(mnl_attr_get_u32(a.of[CTA_STATUS])) & IPS_DST_NAT))
		return MNL_CB_OK;
	if (read_entry(&a, &e))
		w->visit(&e, w->arg);
	return MNL_CB_OK;
}

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *head;

	request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = 1;
	head = mnl_nlmsg_put_extra_header(request, sizeof(*head));
	head->nfgen_family = family;
	head->version = NFNETLINK_V0;
	return request;
}

/* Since Linux 5.14 the kernel leaves out the others by itself. */
int conntrack_each(void (*visit)(const struct conntrack_entry *entry, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE] = "";
	struct nlmsghdr *request = begin(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
	struct walk walk = {visit, arg};

	mnl_attr_put_u32(request, CTA_STATUS, htonl(IPS_DST_NAT));
	mnl_attr_put_u32(request, CTA_STATUS_MASK, htonl(IPS_DST_NAT));
	return netlink_once(NETLINK_NETFILTER, request, on_entry, &walk);
}

bool conntrack_is_live(const struct conntrack_entry *e)
{
	return e->protocol != IPPROTO_TCP || e->tcp_state <= TCP_CONNTRACK_CLOSE_WAIT;
}

bool conntrack_may_open(const struct conntrack_entry *e)
{
	return e->protocol == IPPROTO_UDP ||
	       (e->protocol == IPPROTO_TCP && e->tcp_state <= TCP_CONNTRACK_SYN_RECV);
}

static int ignore(const struct nlmsghdr *message, void *arg)
{
	(void)message, (void)arg;
	return MNL_CB_OK;
}

struct end {
	const union np_addr *addr;
	__be16 port;
};

/* type: CTA_TUPLE_ORIG or CTA_TUPLE_REPLY. */
static void put_tuple(struct nlmsghdr *request, uint16_t type, uint8_t family, uint8_t protocol,
		      struct end from, struct end to)
{
	const bool four = family == NP_IPV4;
	const size_t size = four ? sizeof(from.addr->v4) : sizeof(*from.addr);
	struct nlattr *tuple = mnl_attr_nest_start(request, type), *part;

	part = mnl_attr_nest_start(request, CTA_TUPLE_IP);
	mnl_attr_put(request, four ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, size, from.addr);
	mnl_attr_put(request, four ? CTA_IP_V4_DST : CTA_IP_V6_DST, size, to.addr);
	mnl_attr_nest_end(request, part);
	part = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(request, CTA_PROTO_NUM, protocol);
	mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, from.port);
	mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, to.port);
	mnl_attr_nest_end(request, part);
	mnl_attr_nest_end(request, tuple);
}

int conntrack_delete(const struct conntrack_entry *e)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE] = "";
	struct nlmsghdr *request = begin(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK,
					 e->family == NP_IPV4 ? AF_INET : AF_INET6);

	put_tuple(request, CTA_TUPLE_ORIG, e->family, e->protocol,
		  (struct end){&e->client, e->client_port},
		  (struct end){&e->frontend, e->frontend_port});
	return netlink_once(NETLINK_NETFILTER, request, ignore, NULL);
}

int conntrack_reserve_begin(struct conntrack_reserve *r, uint32_t seconds)
{
	r->seconds = seconds;
	r->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	return r->nl ? 0 : -errno;
}

/* The kernel has done it when it was sent; what it says of errors is of no interest. */
void conntrack_reserve_one(struct conntrack_reserve *r, uint8_t family, uint8_t protocol,
			   const union np_addr *source, __be16 source_port,
			   const union np_addr *backend, __be16 backend_port)
{
	_Alignas(struct nlmsghdr) char buffer[2 * REQUEST_SIZE] = "";
	struct nlmsghdr *request = begin(buffer, IPCTNL_MSG_CT_NEW, NLM_F_CREATE,
					 family == NP_IPV4 ? AF_INET : AF_INET6);
	struct end from = {source, source_port}, to = {backend, backend_port};
	struct nlattr *info, *tcp;

	put_tuple(request, CTA_TUPLE_ORIG, family, protocol, from, to);
	put_tuple(request, CTA_TUPLE_REPLY, family, protocol, to, from);
	mnl_attr_put_u32(request, CTA_TIMEOUT, htonl(r->seconds));
	mnl_attr_put_u32(request, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED));
	if (protocol == IPPROTO_TCP) {
		info = mnl_attr_nest_start(request, CTA_PROTOINFO);
		tcp = mnl_attr_nest_start(request, CTA_PROTOINFO_TCP);
		mnl_attr_put_u8(request, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
		mnl_attr_nest_end(request, tcp);
		mnl_attr_nest_end(request, info);
	}
	mnl_socket_sendto(r->nl, request, request->nlmsg_len);
}

void conntrack_reserve_end(struct conntrack_reserve *r)
{
	mnl_socket_close(r->nl);
	r->nl = NULL;
}
