/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * By how much SCTP's CRC32c (RFC 9260, appendix A; reflected polynomial 0x82F63B78) changes with
 * the ports. The CRC is linear: of two packets that differ in their first word only, the CRCs
 * differ by that difference times x^(8 * length) in GF(2)[x], whatever the rest of the packet is.
 */
#ifndef NEARPATH_DATAPATH_CRC32C_H
#define NEARPATH_DATAPATH_CRC32C_H

#include <bpf/bpf_helpers.h>
#include <linux/types.h>

#define CRC32C_POLYNOMIAL 0x82F63B78U

/* x^(8 * 2^n) modulo the polynomial, the coefficient of x^0 in the highest bit. */
static const __u32 crc32c_power[16] = {
	0x00800000, 0x00008000, 0x82F63B78, 0x6EA2D55C, 0x18B8EA18, 0x510AC59A,
	0xB82BE955, 0xB8FDB1E7, 0x88E56F72, 0x74C360A4, 0xE4172B16, 0x0D65762A,
	0x35D73A62, 0x28461564, 0xBF455269, 0xE2EA32DC,
};

/* The product of two polynomials. A BPF global function for its loop. */
__noinline __u32 crc32c_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = b >> 1 ^ (CRC32C_POLYNOMIAL & -(b & 1));
	}
	return product;
}

/*
 * The difference of the CRCs of two packets of length bytes (at most 65535) whose first words
 * differ by differ; words and CRCs as a little-endian machine reads them from the packet.
 */
__noinline __u32 crc32c_shift(__u32 differ, __u32 length)
{
	__u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 16; i++)
		if (length >> i & 1)
			differ = crc32c_multiply(differ, crc32c_power[i & 15]);
	return differ;
}

#endif
