/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Lowering the MSS option of a SYN or SYN-ACK (RFC 9293, 3.7.1), never raising it. The option may
 * stand at an odd offset, then its bytes count swapped in the checksum. The MSS is not part of
 * the pseudo header, so a CHECKSUM_PARTIAL packet needs no change of its checksum.
 */
#ifndef NEARPATH_DATAPATH_MSS_H
#define NEARPATH_DATAPATH_MSS_H

#include "packet.h"
#include "rewrite.h"

#define TCP_OPT_END    0
#define TCP_OPT_NOP    1
#define TCP_OPT_MSS    2
#define TCP_OPTS_MAX   40
#define TCP_HEADER_MAX 64 /* 60, to the next power of two */

/*
 * Find an MSS above limit (bytes, host order). l4 is the TCP header; its bounds are checked again,
 * since 6.1 forgets them where packets of TCP and UDP meet. Returns
 * the offset of its value from l4 and the value in *was (network order), or 0. Options are walked
 * one by one within the 40 bytes that can be there.
 */
static __always_inline __u32 mss_find(void *l4, void *end, __u16 limit, __be16 *was)
{
	struct tcphdr *tcp = l4;
	__u32 length, at = sizeof(*tcp);
	int i;

	if ((void *)(tcp + 1) > end)
		return 0;
	length = tcp->doff * 4;

#pragma clang loop unroll(disable)
	for (i = 0; i < TCP_OPTS_MAX; i++) {
		__u8 *option, step = 1;

		at &= TCP_HEADER_MAX -
		      1; /* one range for every turn: the verifier sees the loop once */
		option = l4 + at;
		if (at + 1 > length || option + 4 > (__u8 *)end || option[0] == TCP_OPT_END)
			return 0;
		if (option[0] != TCP_OPT_NOP && option[0] != TCP_OPT_MSS)
			step = option[1];
		if (!step || at + step > length)
			return 0;
		if (option[0] != TCP_OPT_MSS) {
			at += step;
			continue;
		}
		if (option[1] != 4 || at + 4 > length)
			return 0;
		__builtin_memcpy(was, option + 2, sizeof(*was));
		return bpf_ntohs(*was) > limit ? at + 2 : 0;
	}
	return 0;
}

/* How a value counts in the checksum at an odd or even offset. */
static __always_inline __be16 mss_sum(__be16 value, __u32 at)
{
	return at & 1 ? __builtin_bswap16(value) : value;
}

/* Write a lower MSS by direct access. True if the packet was changed. */
static __always_inline bool mss_lower(void *l4, void *end, __u16 limit, enum checksum checksum)
{
	__be16 was = 0, now = bpf_htons(limit);
	__u32 at = mss_find(l4, end, limit, &was);
	struct tcphdr *tcp = l4;
	__u8 *value = l4 + (at & (TCP_HEADER_MAX - 1));

	if (!at || (void *)(tcp + 1) > end || value + 2 > (__u8 *)end)
		return false;
	__builtin_memcpy(value, &now, sizeof(now));
	if (checksum == CHECKSUM_WHOLE)
		tcp->check = sum_update(tcp->check, sum_diff(mss_sum(was, at), mss_sum(now, at)));
	return true;
}

#endif
