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
 * l4 is the TCP header, fixed part checked. limit in bytes, host order. Returns true if the packet
 * was changed. Options are walked a byte at a time within the 40 that can be there.
 */
static __always_inline bool mss_lower(void *l4, void *end, __u16 limit, enum checksum checksum)
{
	struct tcphdr *tcp = l4;
	__u32 length = tcp->doff * 4, at = sizeof(*tcp);
	__be16 was, now;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < TCP_OPTS_MAX; i++) {
		__u8 *option, step = 1;

		at &= TCP_HEADER_MAX -
		      1; /* one range for every turn: the verifier sees the loop once */
		option = l4 + at;
		if (at + 1 > length || option + 4 > (__u8 *)end || option[0] == TCP_OPT_END)
			return false;
		if (option[0] != TCP_OPT_NOP && option[0] != TCP_OPT_MSS)
			step = option[1];
		if (!step || at + step > length)
			return false;
		if (option[0] != TCP_OPT_MSS) {
			at += step;
			continue;
		}
		if (option[1] != 4 || at + 4 > length)
			return false;
		__builtin_memcpy(&was, option + 2, sizeof(was));
		if (bpf_ntohs(was) <= limit)
			return false;
		now = bpf_htons(limit);
		__builtin_memcpy(option + 2, &now, sizeof(now));
		if (checksum == CHECKSUM_WHOLE) {
			if (at & 1) {
				was = __builtin_bswap16(was);
				now = __builtin_bswap16(now);
			}
			tcp->check = sum_update(tcp->check, sum_diff(was, now));
		}
		return true;
	}
	return false;
}

#endif
