/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading a packet's headers: from raw bytes to a tuple and the places to rewrite. Knows no hook
 * and no table. The family is a compile-time constant in every caller, so that IPv4 code has no
 * trace of IPv6. The includer defines np_ctx (struct __sk_buff or struct xdp_md) before.
 */
#ifndef NEARPATH_DATAPATH_PACKET_H
#define NEARPATH_DATAPATH_PACKET_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tuple.h"

#define ETH_HLEN   14
#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86DD

/* As bpf_fib_lookup() wants the family. */
#define FIB_AF_INET  2
#define FIB_AF_INET6 10

#define IP_OFFSET_MASK 0x1FFF
#define IP_MF	       0x2000

/* The TCP flags, byte 13 of the header. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* RFC 9260, 3.1 and 3.3: common header, and the type of the first chunk behind it. */
#define SCTP_CRC	       8
#define SCTP_HEADER	       12
#define SCTP_INIT	       1
#define SCTP_INIT_ACK	       2
#define SCTP_ABORT	       6
#define SCTP_SHUTDOWN_COMPLETE 14

/* IPv6 extension headers that are stepped over before giving up (RFC 8200, 4.1: at most 7). */
#define IPV6_MAX_EXT  8
#define IPV6_EXT_MASK 511 /* headers are followed this far into the packet */

enum parse {
	PARSE_PORTS,	/* TCP, UDP, SCTP, whole or the first fragment: everything is set */
	PARSE_ICMP,	/* ICMP of the family: all but ports, check and tcp_flags are set */
	PARSE_FRAGMENT, /* another fragment of TCP, UDP or SCTP: the same */
	PARSE_OTHER,	/* nothing that is translated */
	PARSE_SHORT,	/* the headers are not all in the linear part */
};

struct packet {
	void *l3;
	void *l4;
	__sum16 *check; /* of the transport header; SCTP: the first half of its CRC32c */
	struct tuple tuple;
	__u32 length;	/* of the IP header with its options and extensions: l4 - l3 */
	__u8 tcp_flags; /* of TCP; of SCTP those that mean the same; of UDP 0 */
	bool fragment;	/* a fragment, the first or another; its identification: */
	bool plain;	/* no IP options, no extension headers */
	__be32 id;
};

/* Does the packet begin a conversation, as far as it alone tells? */
static __always_inline bool packet_opens(const struct packet *p)
{
	return p->tuple.protocol == IPPROTO_UDP || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * Where SCTP's CRC is; NULL if it is not there, which the parser has seen to, but the verifier
 * forgets where packets of several protocols meet.
 */
static __always_inline __u32 *sctp_crc(const struct packet *p, void *end)
{
	__u32 *crc = p->l4 + SCTP_CRC;

	return (void *)(crc + 1) > end ? NULL : crc;
}

/* What the first chunk tells; the others that matter here stand alone (RFC 9260, 6.10). */
static __always_inline __u8 sctp_flags(__u8 chunk)
{
	if (chunk == SCTP_INIT)
		return TCP_SYN;
	if (chunk == SCTP_INIT_ACK)
		return TCP_SYN | TCP_ACK;
	return chunk == SCTP_ABORT || chunk == SCTP_SHUTDOWN_COMPLETE ? TCP_RST : TCP_ACK;
}

/* The ports, and for TCP and SCTP the flags; the whole fixed header must be there, checksum
 * included. */
static __always_inline enum parse parse_l4(struct packet *p, void *l4, void *end)
{
	p->l4 = l4;
	p->tcp_flags = 0;
	if (p->tuple.protocol == IPPROTO_TCP) {
		if (l4 + sizeof(struct tcphdr) > end)
			return PARSE_SHORT;
		p->tcp_flags = ((__u8 *)l4)[13];
		p->check = &((struct tcphdr *)l4)->check;
	} else if (p->tuple.protocol == IPPROTO_SCTP) {
		if (l4 + SCTP_HEADER + 4 > end)
			return PARSE_SHORT;
		p->tcp_flags = sctp_flags(((__u8 *)l4)[SCTP_HEADER]);
		p->check = l4 + SCTP_CRC;
	} else {
		if (l4 + sizeof(struct udphdr) > end)
			return PARSE_SHORT;
		p->check = &((struct udphdr *)l4)->check;
	}
	p->tuple.ports = *(__u32 *)l4;
	return PARSE_PORTS;
}

/* What is left once the addresses are read and l4 and the protocol are known. */
static __always_inline enum parse parse_transport(struct packet *p, bool first, void *end,
						  int family)
{
	if (p->tuple.protocol == (family == NP_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return first ? PARSE_ICMP : PARSE_OTHER;
	if (p->tuple.protocol != IPPROTO_TCP && p->tuple.protocol != IPPROTO_UDP &&
	    p->tuple.protocol != IPPROTO_SCTP)
		return PARSE_OTHER;
	return first ? parse_l4(p, p->l4, end) : PARSE_FRAGMENT;
}

static __always_inline enum parse parse_ipv4(struct packet *p, void *l3, void *end)
{
	struct iphdr *ip = l3;
	__u32 length;

	if (l3 + sizeof(*ip) > end)
		return PARSE_SHORT;
	length = ip->ihl * 4;
	if (ip->version != 4 || length < sizeof(*ip))
		return PARSE_OTHER;
	p->l3 = l3;
	p->l4 = l3 + length;
	p->length = length;
	p->plain = length == sizeof(*ip);
	p->tuple.src.v4 = ip->saddr;
	p->tuple.dst.v4 = ip->daddr;
	p->tuple.protocol = ip->protocol;
	p->fragment = ip->frag_off & bpf_htons(IP_MF | IP_OFFSET_MASK);
	p->id = ip->id;
	return parse_transport(p, !(ip->frag_off & bpf_htons(IP_OFFSET_MASK)), end, NP_IPV4);
}

struct ipv6_ext {
	__u8 next;
	__u8 length;   /* in units of 8 bytes, the first not counted */
	__be16 offset; /* of a fragment header: offset and M bit */
	__be32 id;
};

static __always_inline bool ipv6_is_ext(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

/* Where the extension headers of a packet lead; offset 0: too many, or not all there. */
struct ipv6_walk {
	__u32 offset; /* from the IPv6 header to the transport header */
	__u32 protocol;
	bool fragment;
	bool first;
	__be32 id;
};

/*
 * A BPF global function that reads the packet anew, so that the verifier follows the loop once
 * and not for each packet state of its callers.
 */
__noinline int ipv6_walk(np_ctx *ctx, __u32 l2_len, struct ipv6_walk *walk)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at = sizeof(struct ipv6hdr);
	struct ipv6hdr *ip;
	__u8 next;
	int i;

	if (!walk || l2_len > ETH_HLEN)
		return PARSE_OTHER;
	ip = data + l2_len;
	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	next = ip->nexthdr;
	walk->fragment = false;
	walk->first = true;
	walk->id = 0;
	for (i = 0; i < IPV6_MAX_EXT && ipv6_is_ext(next); i++) {
		struct ipv6_ext *ext = data + l2_len + (at & IPV6_EXT_MASK);

		if (at > IPV6_EXT_MASK)
			return PARSE_OTHER;
		if ((void *)(ext + 1) > end)
			return PARSE_SHORT;
		if (next == IPPROTO_FRAGMENT) {
			walk->fragment = true;
			walk->first = !(ext->offset & bpf_htons(0xFFF8));
			walk->id = ext->id;
			at += sizeof(*ext);
		} else {
			at += (ext->length + 1) * 8;
		}
		next = ext->next;
		if (!walk->first)
			break;
	}
	if (at > IPV6_EXT_MASK)
		return PARSE_OTHER;
	walk->offset = at;
	walk->protocol = next;
	return PARSE_PORTS;
}

static __always_inline enum parse parse_ipv6(struct packet *p, np_ctx *ctx, __u32 l2_len, void *l3,
					     void *end)
{
	struct ipv6_walk walk = {.offset = sizeof(struct ipv6hdr), .first = true};
	struct ipv6hdr *ip = l3;
	int rc;

	if (l3 + sizeof(*ip) > end)
		return PARSE_SHORT;
	if (ip->version != 6)
		return PARSE_OTHER;
	p->l3 = l3;
	p->plain = !ipv6_is_ext(ip->nexthdr);
	addr_read(&p->tuple.src, ip->saddr.in6_u.u6_addr32, NP_IPV6);
	addr_read(&p->tuple.dst, ip->daddr.in6_u.u6_addr32, NP_IPV6);
	walk.protocol = ip->nexthdr;
	if (!p->plain) {
		rc = ipv6_walk(ctx, l2_len, &walk);
		if (rc != PARSE_PORTS)
			return rc == PARSE_SHORT ? PARSE_SHORT : PARSE_OTHER;
	}
	p->length = walk.offset & IPV6_EXT_MASK;
	p->l4 = l3 + p->length;
	p->tuple.protocol = walk.protocol;
	p->fragment = walk.fragment;
	p->id = walk.id;
	return parse_transport(p, walk.first, end, NP_IPV6);
}

/* l2_len: bytes before the IP header, at most ETH_HLEN. */
static __always_inline enum parse packet_parse(struct packet *p, np_ctx *ctx, __u32 l2_len,
					       int family)
{
	void *end = (void *)(long)ctx->data_end, *l3 = (void *)(long)ctx->data + l2_len;

	return family == NP_IPV4 ? parse_ipv4(p, l3, end) : parse_ipv6(p, ctx, l2_len, l3, end);
}

/* The whole packet from the IP header on, as that says; frames may be padded. */
static __always_inline __u32 l3_length(const void *l3, int family)
{
	if (family == NP_IPV4)
		return bpf_ntohs(((const struct iphdr *)l3)->tot_len);
	return bpf_ntohs(((const struct ipv6hdr *)l3)->payload_len) + sizeof(struct ipv6hdr);
}

static __always_inline __u32 packet_length(const struct packet *p, int family)
{
	return l3_length(p->l3, family);
}

#endif
