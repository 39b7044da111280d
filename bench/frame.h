/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The packets that are measured: Ethernet, IPv4 or IPv6, TCP or UDP without options, but for the
 * MSS of a SYN; and ICMP errors about such. Their checksums are not computed: no program looks at
 * one, it only adds differences to it.
 */
#ifndef NEARPATH_BENCH_FRAME_H
#define NEARPATH_BENCH_FRAME_H

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdint.h>
#include <string.h>

#include "../maps/abi.h"

#define FRAME_PAYLOAD 64
#define FRAME_MSS     8960 /* more than any interface lets through */
#define FRAME_CHECK   htons(0x1234)
#define FRAME_OPTION  4 /* the length of TCP's MSS option */
#define FRAME_MAX                                                                                  \
	(ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct tcphdr) + FRAME_OPTION + FRAME_PAYLOAD)

#define FRAME_SYN 0x02
#define FRAME_ACK 0x10

/* One end of a conversation; port in host order. */
struct end {
	union np_addr addr;
	uint16_t port;
};

struct frame {
	uint8_t byte[FRAME_MAX];
	uint32_t length;
	int family;
};

static inline uint32_t frame_l3_length(int family)
{
	return family == NP_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

static inline uint32_t frame_l4(const struct frame *f)
{
	return ETH_HLEN + frame_l3_length(f->family);
}

/* length: of what is behind the header. */
static inline void frame_l3(void *l3, int family, int protocol, const struct end *src,
			    const struct end *dst, uint32_t length)
{
	struct ipv6hdr *six = l3;
	struct iphdr *four = l3;

	if (family == NP_IPV4) {
		four->version = 4;
		four->ihl = 5;
		four->ttl = 64;
		four->protocol = protocol;
		four->tot_len = htons(sizeof(*four) + length);
		four->saddr = src->addr.v4;
		four->daddr = dst->addr.v4;
		four->check = FRAME_CHECK;
		return;
	}
	six->version = 6;
	six->hop_limit = 64;
	six->nexthdr = protocol;
	six->payload_len = htons(length);
	memcpy(&six->saddr, &src->addr, sizeof(six->saddr));
	memcpy(&six->daddr, &dst->addr, sizeof(six->daddr));
}

/*
 * Every frame is for this address. It is the next hop's as well as the interface's own: BPF test
 * runs go on with the frame that the turn before left, and XDP takes only what is for its
 * interface.
 */
#define FRAME_MAC                                                                                  \
	{                                                                                          \
		2, 0, 0, 0, 0, 2                                                                   \
	} /* NETNS_MAC_GATEWAY */

static inline void frame_begin(struct frame *f, int family)
{
	struct ethhdr *eth = (void *)f->byte;
	uint8_t mac[] = FRAME_MAC;

	memset(f, 0, sizeof(*f));
	memcpy(eth->h_dest, mac, sizeof(mac));
	eth->h_proto = htons(family == NP_IPV4 ? ETH_P_IP : ETH_P_IPV6);
	f->family = family;
}

static inline void frame_tcp(struct tcphdr *tcp, uint8_t flags, const struct end *src,
			     const struct end *dst)
{
	uint8_t option[FRAME_OPTION] = {2, FRAME_OPTION, FRAME_MSS >> 8, FRAME_MSS & 0xFF};

	tcp->source = htons(src->port);
	tcp->dest = htons(dst->port);
	tcp->doff = sizeof(*tcp) / 4;
	((uint8_t *)tcp)[13] = flags;
	tcp->check = FRAME_CHECK;
	if (!(flags & FRAME_SYN))
		return;
	tcp->doff += sizeof(option) / 4;
	memcpy(tcp + 1, option, sizeof(option));
}

static inline void frame_udp(struct udphdr *udp, const struct end *src, const struct end *dst)
{
	udp->source = htons(src->port);
	udp->dest = htons(dst->port);
	udp->len = htons(sizeof(*udp) + FRAME_PAYLOAD);
	udp->check = FRAME_CHECK;
}

/* flags: byte 13 of the TCP header. */
static inline void frame_make(struct frame *f, int family, int protocol, uint8_t flags,
			      const struct end *src, const struct end *dst)
{
	uint32_t header = sizeof(struct udphdr);
	uint8_t *l4;

	frame_begin(f, family);
	l4 = f->byte + frame_l4(f);
	if (protocol == IPPROTO_TCP) {
		frame_tcp((void *)l4, flags, src, dst);
		header = ((struct tcphdr *)l4)->doff * 4;
	} else {
		frame_udp((void *)l4, src, dst);
	}
	frame_l3(f->byte + ETH_HLEN, family, protocol, src, dst, header + FRAME_PAYLOAD);
	f->length = frame_l4(f) + header + FRAME_PAYLOAD;
}

/*
 * What dst is told about a TCP packet of its to src: RFC 792, fragmentation needed; RFC 4443,
 * packet too big. Eight bytes of the packet's own are quoted.
 */
static inline void frame_make_error(struct frame *f, int family, const struct end *src,
				    const struct end *dst)
{
	uint32_t quoted = frame_l3_length(family) + 8;
	struct icmphdr *icmp;
	struct udphdr *ports;

	frame_begin(f, family);
	icmp = (void *)(f->byte + frame_l4(f));
	icmp->type = family == NP_IPV4 ? 3 : 2;
	icmp->code = family == NP_IPV4 ? 4 : 0;
	icmp->checksum = FRAME_CHECK;
	frame_l3(f->byte + ETH_HLEN, family, family == NP_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, src,
		 dst, sizeof(*icmp) + quoted);
	frame_l3(icmp + 1, family, IPPROTO_TCP, dst, src, sizeof(struct tcphdr) + 1400);
	ports = (void *)((uint8_t *)(icmp + 1) + frame_l3_length(family));
	ports->source = htons(dst->port);
	ports->dest = htons(src->port);
	f->length = frame_l4(f) + sizeof(*icmp) + quoted;
}

#endif
