/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Writing a new tuple into a packet by direct access, with its checksums (RFC 1624 arithmetic).
 * Sums are kept as 64-bit totals of 32-bit words and folded once: 2^16 = 1 modulo 2^16 - 1, so
 * neither the width of a word nor the byte order matters.
 */
#ifndef NEARPATH_DATAPATH_REWRITE_H
#define NEARPATH_DATAPATH_REWRITE_H

#include "crc32c.h"
#include "packet.h"

/* How the transport checksum in the packet is to be understood. */
enum checksum {
	CHECKSUM_WHOLE,	 /* it is complete */
	CHECKSUM_PSEUDO, /* CHECKSUM_PARTIAL: the pseudo header's sum, the device adds the rest */
};

/* Halves are added by adding the word to itself with its halves swapped: the carry comes around. */
static __always_inline __u16 sum_fold(__u64 sum)
{
	__u32 half;

	sum += sum >> 32 | sum << 32;
	half = sum >> 32;
	half += half >> 16 | half << 16;
	return half >> 16;
}

static __always_inline __u64 sum_diff(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

static __always_inline __u64 sum_diff_addr(const union np_addr *from, const union np_addr *to,
					   int family)
{
	__u64 sum = sum_diff(from->word[0], to->word[0]);

	if (family == NP_IPV6) {
		sum += sum_diff(from->word[1], to->word[1]);
		sum += sum_diff(from->word[2], to->word[2]);
		sum += sum_diff(from->word[3], to->word[3]);
	}
	return sum;
}

/* A checksum field after the data under it changed by diff. */
static __always_inline __sum16 sum_update(__sum16 check, __u64 diff)
{
	return ~sum_fold((__u16)~check + diff);
}

/* TCP's or UDP's checksum after addresses and ports have changed by so much. */
static __always_inline __sum16 sum_transport(__sum16 check, enum checksum checksum, __u32 protocol,
					     __u64 addr, __u64 ports)
{
	if (checksum == CHECKSUM_PSEUDO)
		return sum_fold(check + addr);
	if (protocol == IPPROTO_UDP) {
		if (!check) /* RFC 768: the sender made none */
			return 0;
		check = sum_update(check, addr + ports);
		return check ? check : 0xFFFF;
	}
	return sum_update(check, addr + ports);
}

/* By how much the addresses of a packet differ from those of the new tuple. */
static __always_inline __u64 tuple_diff_addr(const struct tuple *from, const struct tuple *to,
					     int family)
{
	return sum_diff_addr(&from->src, &to->src, family) +
	       sum_diff_addr(&from->dst, &to->dst, family);
}

/*
 * The addresses, with the checksum of the IPv4 header, and the TTL, which is lower by hops (0 or 1;
 * it is the upper byte of its word).
 */
static __always_inline void rewrite_l3(void *l3, const struct tuple *to, __u64 diff, __u32 hops,
				       int family)
{
	struct ipv6hdr *six = l3;
	struct iphdr *four = l3;

	if (family == NP_IPV4) {
		if (hops)
			diff += sum_diff(bpf_htons(0x0100), 0);
		four->ttl -= hops;
		four->check = sum_update(four->check, diff);
		four->saddr = to->src.v4;
		four->daddr = to->dst.v4;
		return;
	}
	six->hop_limit -= hops;
	addr_write(six->saddr.in6_u.u6_addr32, &to->src, family);
	addr_write(six->daddr.in6_u.u6_addr32, &to->dst, family);
}

/*
 * SCTP has no pseudo header; the CRC covers the ports. CHECKSUM_PARTIAL: the device, or whoever
 * takes the packet from it, computes it, over what is zero now. A fragment's CRC is over bytes that
 * are not there.
 */
static __always_inline void rewrite_sctp(struct packet *p, const struct tuple *to,
					 enum checksum checksum, void *end, int family)
{
	__u32 *crc = sctp_crc(p, end);

	if (!crc)
		return;
	if (checksum == CHECKSUM_WHOLE && *crc && p->tuple.ports != to->ports)
		*crc ^= crc32c_shift(p->tuple.ports ^ to->ports,
				     packet_length(p, family) - p->length);
	*(__u32 *)p->l4 = to->ports;
}

/*
 * The whole packet: p must be as packet_parse() left it with PARSE_PORTS; end: of its bytes; hops:
 * how much less it has to live, 0 or 1.
 */
static __always_inline void rewrite(struct packet *p, const struct tuple *to,
				    enum checksum checksum, void *end, __u32 hops, int family)
{
	__u64 addr = tuple_diff_addr(&p->tuple, to, family);
	__u64 ports = sum_diff(p->tuple.ports, to->ports);
	__sum16 check = *p->check;

	rewrite_l3(p->l3, to, addr, hops, family);
	if (p->tuple.protocol == IPPROTO_SCTP) {
		rewrite_sctp(p, to, checksum, end, family);
		return;
	}
	*(__u32 *)p->l4 = to->ports;
	*p->check = sum_transport(check, checksum, p->tuple.protocol, addr, ports);
}

/*
 * Does the checksum field hold the pseudo header's sum alone? So it does in frames that the stack
 * made or GRO merged (generic XDP, veth, virtio): the device that sends them has to complete it,
 * and only tc can tell it to. One whole packet in 65,536 looks the same; tc carries it as well.
 * SCTP has no pseudo header: its CRC is zero then.
 */
static __always_inline bool checksum_is_partial(const struct packet *p, void *end, int family)
{
	const struct tuple *t = &p->tuple;
	__u32 *crc = sctp_crc(p, end);
	__u64 sum = (__u64)t->src.word[0] + t->dst.word[0] + bpf_htons(t->protocol) +
		    bpf_htons(packet_length(p, family) - p->length);

	if (p->tuple.protocol == IPPROTO_SCTP)
		return !crc || !*crc;
	if (family == NP_IPV6)
		sum += (__u64)t->src.word[1] + t->src.word[2] + t->src.word[3] + t->dst.word[1] +
		       t->dst.word[2] + t->dst.word[3];
	return *p->check == sum_fold(sum);
}

#endif
