/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ICMP errors about packets of a flow: the packet quoted inside (RFC 792, RFC 4443 2.4c) has the
 * tuple that left the rewrite, its sender knows the one before it. Rewritten as an answer to the
 * quoted packet would be, inside and out; otherwise path MTU discovery ends at the translation.
 */
#ifndef NEARPATH_DATAPATH_ICMP_H
#define NEARPATH_DATAPATH_ICMP_H

#include "flow.h"
#include "rewrite.h"

/* RFC 792 and RFC 4443: the error types, and the header both families begin with. */
#define ICMP4_UNREACHABLE   3
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAMETER	    12
#define ICMP6_UNREACHABLE   1
#define ICMP6_PARAMETER	    4
#define ICMP4_ECHO	    8
#define ICMP6_ECHO	    128

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest;
};

/* An error message and the packet it quotes, as far as it must be there: 8 bytes of transport. */
struct icmp_error {
	__sum16 *check;
	void *l3;     /* the quoted packet */
	__u32 *ports; /* its ports */
	struct tuple quoted;
};

static __always_inline bool icmp_is_error(__u8 type, int family)
{
	if (family == NP_IPV4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED ||
		       type == ICMP4_PARAMETER;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER;
}

static __always_inline bool icmp_is_request(void *l4, void *end, int family)
{
	struct icmp_header *icmp = l4;

	return (void *)(icmp + 1) <= end &&
	       icmp->type == (family == NP_IPV4 ? ICMP4_ECHO : ICMP6_ECHO);
}

/* The quoted packet is an IPv6 fragment: go on behind that header if it is the first. */
static __always_inline bool icmp_step_over(struct icmp_error *e, void *end)
{
	struct ipv6_ext *ext = (void *)e->ports;

	if ((void *)(ext + 1) > end || ext->offset & bpf_htons(0xFFF8))
		return false;
	e->quoted.protocol = ext->next;
	e->ports = (void *)(ext + 1);
	return true;
}

static __always_inline bool icmp_parse(struct icmp_error *e, void *l4, void *end, int family)
{
	struct icmp_header *icmp = l4;
	struct ipv6hdr *six;
	struct iphdr *four;

	if ((void *)(icmp + 1) > end || !icmp_is_error(icmp->type, family))
		return false;
	e->check = &icmp->check;
	e->l3 = icmp + 1;
	if (family == NP_IPV4) {
		four = e->l3;
		if ((void *)(four + 1) > end || four->frag_off & bpf_htons(IP_OFFSET_MASK))
			return false;
		e->quoted.src.v4 = four->saddr;
		e->quoted.dst.v4 = four->daddr;
		e->quoted.protocol = four->protocol;
		e->ports = e->l3 + four->ihl * 4;
	} else {
		six = e->l3;
		if ((void *)(six + 1) > end)
			return false;
		addr_read(&e->quoted.src, six->saddr.in6_u.u6_addr32, family);
		addr_read(&e->quoted.dst, six->daddr.in6_u.u6_addr32, family);
		e->quoted.protocol = six->nexthdr;
		e->ports = (void *)(six + 1);
		if (six->nexthdr == IPPROTO_FRAGMENT && !icmp_step_over(e, end))
			return false;
	}
	if ((void *)(e->ports + 1) > end)
		return false;
	e->quoted.ports = *e->ports;
	return e->quoted.protocol == IPPROTO_TCP || e->quoted.protocol == IPPROTO_UDP ||
	       e->quoted.protocol == IPPROTO_SCTP;
}

/*
 * Rewrite the error if it is about a flow of this hook; p as left by packet_parse() with
 * PARSE_ICMP. Checksums: the quoted IPv4 header keeps its own sum at zero by its checksum, so only
 * its ports count in the ICMP checksum; in IPv6 all addresses do, inside and (by the pseudo
 * header) out. The quoted transport checksum is left alone: it is mostly cut off, never checked.
 */
static __always_inline bool icmp_translate(struct packet *p, void *end, __u32 space, int family)
{
	struct tuple answer, inner, outer = p->tuple;
	struct icmp_error e = {};
	struct flow_hit hit;
	__u64 diff;

	if (!icmp_parse(&e, p->l4, end, family))
		return false;
	answer = tuple_reverse(&e.quoted);
	hit = flow_find_rare(&answer, space, family);
	if (!hit.flow)
		return false;
	answer = flow_translate(hit.flow, hit.name, &answer, false, family);
	if (!flow_unchanged(&hit, &answer, family))
		return false;
	inner = tuple_reverse(&answer);
	if (addr_equal(&outer.dst, &e.quoted.src, family))
		outer.dst = inner.src;
	if (addr_equal(&outer.src, &e.quoted.dst, family))
		outer.src = inner.dst;
	diff = sum_diff(e.quoted.ports, inner.ports);
	if (family == NP_IPV6)
		diff += tuple_diff_addr(&e.quoted, &inner, family) +
			tuple_diff_addr(&p->tuple, &outer, family);
	*e.check = sum_update(*e.check, diff);
	rewrite_l3(e.l3, &inner, tuple_diff_addr(&e.quoted, &inner, family), 0, family);
	*e.ports = inner.ports;
	rewrite_l3(p->l3, &outer, tuple_diff_addr(&p->tuple, &outer, family), 0, family);
	return true;
}

#endif
