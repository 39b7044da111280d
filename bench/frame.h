/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The packets that are measured: Ethernet, IPv4 or IPv6, TCP or UDP, without options. Their
 * checksums are not computed: no program looks at one, it only adds differences to it.
 */
#ifndef NEARPATH_BENCH_FRAME_H
#define NEARPATH_BENCH_FRAME_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdint.h>
#include <string.h>

#include "../maps/abi.h"

#define FRAME_PAYLOAD 64
#define FRAME_MAX     (ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct tcphdr) + FRAME_PAYLOAD)

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

static inline uint32_t frame_l4(const struct frame *f)
{
	return ETH_HLEN + (f->family == NP_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

static inline void frame_l3(struct frame *f, int protocol, const struct end *src,
			    const struct end *dst, uint32_t length)
{
	struct ipv6hdr *six = (void *)(f->byte + ETH_HLEN);
	struct iphdr *four = (void *)(f->byte + ETH_HLEN);

	if (f->family == NP_IPV4) {
		four->version = 4;
		four->ihl = 5;
		four->ttl = 64;
		four->protocol = protocol;
		four->tot_len = htons(sizeof(*four) + length);
		four->saddr = src->addr.v4;
		four->daddr = dst->addr.v4;
		four->check = htons(0x1234);
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

/* flags: byte 13 of the TCP header. */
static inline void frame_make(struct frame *f, int family, int protocol, uint8_t flags,
			      const struct end *src, const struct end *dst)
{
	uint32_t header = protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	struct ethhdr *eth = (void *)f->byte;
	uint8_t mac[] = FRAME_MAC, *l4;

	memset(f, 0, sizeof(*f));
	memcpy(eth->h_dest, mac, sizeof(mac));
	f->family = family;
	f->length = frame_l4(f) + header + FRAME_PAYLOAD;
	eth->h_proto = htons(family == NP_IPV4 ? ETH_P_IP : ETH_P_IPV6);
	frame_l3(f, protocol, src, dst, header + FRAME_PAYLOAD);
	l4 = f->byte + frame_l4(f);
	((struct udphdr *)l4)->source = htons(src->port);
	((struct udphdr *)l4)->dest = htons(dst->port);
	if (protocol == IPPROTO_TCP) {
		((struct tcphdr *)l4)->doff = sizeof(struct tcphdr) / 4;
		l4[13] = flags;
		((struct tcphdr *)l4)->check = htons(0x1234);
	} else {
		((struct udphdr *)l4)->len = htons(header + FRAME_PAYLOAD);
		((struct udphdr *)l4)->check = htons(0x1234);
	}
}

#endif
