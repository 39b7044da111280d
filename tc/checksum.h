/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What tc must know of an skb's checksum before it writes to the packet directly, and the same
 * rewrite by helpers for kernels where that cannot be known (before 6.2).
 */
#ifndef NEARPATH_TC_CHECKSUM_H
#define NEARPATH_TC_CHECKSUM_H

#include <stddef.h>

#include <bpf/bpf_core_read.h>

#include "../datapath/rewrite.h"
#include "../maps/maps.bpf.h"

/* include/linux/skbuff.h */
#define SKB_CHECKSUM_COMPLETE 2
#define SKB_CHECKSUM_PARTIAL  3

struct sk_buff {
	unsigned long _nfct;
	__u8 ip_summed : 2;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

static __always_inline __u32 skb_ip_summed(struct __sk_buff *skb)
{
	struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);

	return BPF_CORE_READ_BITFIELD(kernel, ip_summed);
}

/* Has conntrack seen the packet? The lowest bits of _nfct are not the connection's address. */
static __always_inline bool skb_is_tracked(struct __sk_buff *skb)
{
	struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);

	return kernel->_nfct > 7;
}

static __always_inline enum checksum skb_checksum(struct __sk_buff *skb)
{
	return skb_ip_summed(skb) == SKB_CHECKSUM_PARTIAL ? CHECKSUM_PSEUDO : CHECKSUM_WHOLE;
}

/*
 * By how much the sum of all bytes from the IP header on changes with the rewrite, for
 * CHECKSUM_COMPLETE, where addresses and ports change by so much. The IPv4 header makes up for its
 * own change by its checksum. Ports and transport checksum change by minus what the addresses do,
 * if there is a transport checksum (checked).
 */
static __always_inline __u64 sum_bytes(bool checked, __u64 addr, __u64 ports, int family)
{
	if (!checked)
		return ports + (family == NP_IPV6 ? addr : 0);
	return family == NP_IPV6 ? 0 : (__u16)~sum_fold(addr);
}

/* The same of a whole rewrite; hops: how much less the packet has to live. */
static __always_inline __u64 bytes_diff(const struct packet *p, const struct tuple *to, __u64 addr,
					__u32 hops, int family)
{
	bool checked = p->tuple.protocol != IPPROTO_UDP || *p->check;

	return sum_bytes(checked, addr, sum_diff(p->tuple.ports, to->ports), family) +
	       (hops && family == NP_IPV6 ? sum_diff(bpf_htons(0x0001), 0) : 0);
}

/* The same for SCTP, whose CRC makes up for nothing; before: what it was. */
static __always_inline __u64 sctp_bytes_diff(const struct packet *p, const struct tuple *to,
					     __u32 before, __u32 crc, __u32 hops, int family)
{
	return sum_diff(p->tuple.ports, to->ports) + sum_diff(before, crc) +
	       (hops && family == NP_IPV6 ? sum_diff(bpf_htons(0x0001), 0) : 0) +
	       (family == NP_IPV6 ? tuple_diff_addr(&p->tuple, to, family) : 0);
}

static __always_inline void rewrite_direct(struct __sk_buff *skb, struct packet *p,
					   const struct tuple *to, __u32 hops, int family)
{
	__u32 summed = skb_ip_summed(skb), before, *crc;
	void *end = (void *)(long)skb->data_end;
	enum checksum checksum = summed == SKB_CHECKSUM_PARTIAL ? CHECKSUM_PSEUDO : CHECKSUM_WHOLE;

	if (p->tuple.protocol == IPPROTO_SCTP) {
		crc = sctp_crc(p, end);
		before = crc ? *crc : 0;
		rewrite(p, to, checksum, end, hops, family);
		if (crc && summed == SKB_CHECKSUM_COMPLETE)
			bpf_csum_update(
				skb, sum_fold(sctp_bytes_diff(p, to, before, *crc, hops, family)));
		return;
	}
	if (summed == SKB_CHECKSUM_COMPLETE)
		bpf_csum_update(skb,
				sum_fold(bytes_diff(p, to, tuple_diff_addr(&p->tuple, to, family),
						    hops, family)));
	rewrite(p, to, checksum, end, hops, family);
}

/*
 * SCTP's ports and CRC, where ip_summed cannot be read: a CRC that is zero is one the device is to
 * make. BPF_F_RECOMPUTE_CSUM is for CHECKSUM_COMPLETE.
 */
static __always_inline int sctp_by_helpers(struct __sk_buff *skb, struct packet *p, __u32 l4,
					   const struct tuple *to, int family)
{
	__u32 *there = sctp_crc(p, (void *)(long)skb->data_end), crc = there ? *there : 0;

	if (crc && p->tuple.ports != to->ports)
		crc ^= crc32c_shift(p->tuple.ports ^ to->ports,
				    packet_length(p, family) - p->length);
	return bpf_skb_store_bytes(skb, l4, &to->ports, 4, BPF_F_RECOMPUTE_CSUM)
		       ?: bpf_skb_store_bytes(skb, l4 + SCTP_CRC, &crc, 4, BPF_F_RECOMPUTE_CSUM);
}

/* The addresses; diff: how they change the sum. l3: offset of the IP header. */
static __always_inline int addresses_by_helpers(struct __sk_buff *skb, __u32 l3, __u32 diff,
						const struct tuple *to, int family)
{
	if (family == NP_IPV6)
		return bpf_skb_store_bytes(skb, l3 + 8, &to->src, 16, BPF_F_RECOMPUTE_CSUM)
			       ?: bpf_skb_store_bytes(skb, l3 + 24, &to->dst, 16,
						      BPF_F_RECOMPUTE_CSUM);
	return bpf_l3_csum_replace(skb, l3 + offsetof(struct iphdr, check), 0, diff, 0) ?:
	       bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, saddr), &to->src, 4, 0) ?:
	       bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, daddr), &to->dst, 4, 0);
}

static __always_inline int rewrite_by_helpers(struct __sk_buff *skb, struct packet *p, __u32 l3,
					      const struct tuple *to, int family)
{
	bool udp = p->tuple.protocol == IPPROTO_UDP;
	__u32 l4 = l3 + p->length;
	__u32 check = l4 + (udp ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check));
	__u32 addr = (__u16)sum_fold(tuple_diff_addr(&p->tuple, to, family));
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	/* Without a checksum nothing makes up for the change of the ports in skb->csum. */
	__u64 store = udp && !*p->check ? BPF_F_RECOMPUTE_CSUM : 0;

	if (p->tuple.protocol == IPPROTO_SCTP)
		return sctp_by_helpers(skb, p, l4, to, family)
			       ?: addresses_by_helpers(skb, l3, addr, to, family);
	if (bpf_l4_csum_replace(skb, check, 0, addr, flags | BPF_F_PSEUDO_HDR) ||
	    bpf_l4_csum_replace(skb, check, p->tuple.ports, to->ports, flags | 4) ||
	    bpf_skb_store_bytes(skb, l4, &to->ports, 4, store))
		return -1;
	return addresses_by_helpers(skb, l3, addr, to, family);
}

#endif
