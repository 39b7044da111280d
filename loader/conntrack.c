/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netlink_once.h"

#define REQUEST_SIZE 256

struct walk {
	void (*visit)(const struct conntrack_entry *entry, void *arg);
	void *arg;
};

#define MOST_ATTRIBUTES 32 /* more than any nest here has */

struct attributes {
	const struct nlattr *of[MOST_ATTRIBUTES];
};

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

int conntrack_delete(const struct conntrack_entry *e)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE] = "";
	const bool four = e->family == NP_IPV4;
	const size_t size = four ? sizeof(e->client.v4) : sizeof(e->client);
	struct nlmsghdr *request =
		begin(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, four ? AF_INET : AF_INET6);
	struct nlattr *tuple = mnl_attr_nest_start(request, CTA_TUPLE_ORIG), *part;

	part = mnl_attr_nest_start(request, CTA_TUPLE_IP);
	mnl_attr_put(request, four ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, size, &e->client);
	mnl_attr_put(request, four ? CTA_IP_V4_DST : CTA_IP_V6_DST, size, &e->frontend);
	mnl_attr_nest_end(request, part);
	part = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(request, CTA_PROTO_NUM, e->protocol);
	mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, e->client_port);
	mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, e->frontend_port);
	mnl_attr_nest_end(request, part);
	mnl_attr_nest_end(request, tuple);
	return netlink_once(NETLINK_NETFILTER, request, ignore, NULL);
}
