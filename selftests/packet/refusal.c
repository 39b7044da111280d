/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ICMP port unreachable a refused packet is answered by (RFC 792, RFC 4443, RFC 1812 4.3.2),
 * made from the packet's bytes by code that has nothing in common with the datapath's.
 */
#include <netinet/in.h>
#include <string.h>

#include "packet.h"

#define QUOTE_LIMIT 512
#define ICMP_LENGTH 8

static void put_number(uint8_t *at, unsigned value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static unsigned number(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

/* The packet without what a frame is padded with, whole words, within the limit. */
static size_t quote_length(const uint8_t *ip, size_t there)
{
	size_t length = ip[0] >> 4 == 4 ? number(ip + 2) : 40 + number(ip + 4);

	if (length > there)
		length = there;
	if (length > QUOTE_LIMIT)
		length = QUOTE_LIMIT;
	return length / 4 * 4;
}

static void answer_ipv4(uint8_t *ip, const uint8_t *asked, size_t quote, uint16_t id)
{
	uint8_t *icmp = ip + 20;

	ip[0] = 0x45;
	ip[1] = 6 << 5 | (asked[1] & 0x1E); /* precedence 6, the type of service of the packet */
	put_number(ip + 2, 20 + ICMP_LENGTH + quote);
	put_number(ip + 4, id);
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, asked + 16, 4);
	memcpy(ip + 16, asked + 12, 4);
	put_number(ip + 10, (uint16_t)~sum_words(0, ip, 20));
	icmp[0] = 3;
	icmp[1] = 3;
	memcpy(icmp + ICMP_LENGTH, asked, quote);
	put_number(icmp + 2, (uint16_t)~sum_words(0, icmp, ICMP_LENGTH + quote));
}

static void answer_ipv6(uint8_t *ip, const uint8_t *asked, size_t quote)
{
	uint8_t *icmp = ip + 40;
	uint16_t sum;

	ip[0] = 0x60;
	put_number(ip + 4, ICMP_LENGTH + quote);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(ip + 8, asked + 24, 16);
	memcpy(ip + 24, asked + 8, 16);
	icmp[0] = 1;
	icmp[1] = 4;
	memcpy(icmp + ICMP_LENGTH, asked, quote);
	/* The pseudo header: both addresses, the length, the protocol. */
	sum = sum_words(IPPROTO_ICMPV6 + ICMP_LENGTH + quote, ip + 8, 32);
	put_number(icmp + 2, (uint16_t)~sum_words(sum, icmp, ICMP_LENGTH + quote));
}

bool refusal_is_whole(const struct built *asked, size_t l3)
{
	return quote_length(asked->byte + l3, asked->length - l3) == asked->length - l3;
}

void refusal_build(struct built *answer, const struct built *asked, size_t l3, uint16_t id)
{
	const uint8_t *ip = asked->byte + l3;
	size_t quote = quote_length(ip, asked->length - l3);
	bool four = ip[0] >> 4 == 4;

	memset(answer, 0, sizeof(*answer));
	if (l3) {
		memcpy(answer->byte, asked->byte + 6, 6);
		memcpy(answer->byte + 6, asked->byte, 6);
		memcpy(answer->byte + 12, asked->byte + 12, 2);
	}
	if (four)
		answer_ipv4(answer->byte + l3, ip, quote, id);
	else
		answer_ipv6(answer->byte + l3, ip, quote);
	answer->length = l3 + (four ? 20 : 40) + ICMP_LENGTH + quote;
}
