/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ICMP port unreachable a refused packet is answered by (RFC 792, RFC 4443, RFC 1812 4.3.2),
 * and the RST to a segment of no connection (RFC 9293, 3.10.7.1), made from the packet's bytes by
 * code that has nothing in common with the datapath's.
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

static uint32_t number32(const uint8_t *at)
{
	return (uint32_t)number(at) << 16 | number(at + 2);
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

/* The answer's Ethernet header, if the packet has one. */
static void turn_around(struct built *answer, const struct built *asked, size_t l3)
{
	if (!l3)
		return;
	memcpy(answer->byte, asked->byte + 6, 6);
	memcpy(answer->byte + 6, asked->byte, 6);
	memcpy(answer->byte + 12, asked->byte + 12, 2);
}

/* asked: the segment, length bytes from its TCP header on. */
static void put_reset(uint8_t *tcp, const uint8_t *asked, size_t length)
{
	uint32_t seq = 0, ack = 0;

	if (asked[13] & ACK)
		seq = number32(asked + 8);
	else
		ack = number32(asked + 4) + length - (asked[12] >> 4) * 4 + (asked[13] & FIN);
	memcpy(tcp, asked + 2, 2);
	memcpy(tcp + 2, asked, 2);
	put_number(tcp + 4, seq >> 16);
	put_number(tcp + 6, seq);
	put_number(tcp + 8, ack >> 16);
	put_number(tcp + 10, ack);
	tcp[12] = 5 << 4;
	tcp[13] = asked[13] & ACK ? RST : RST | ACK;
}

static void reset_ipv4(uint8_t *ip, const uint8_t *asked, const uint8_t *tcp, uint16_t id)
{
	ip[0] = 0x45;
	ip[1] = asked[1] & 0xFC;
	put_number(ip + 2, 40);
	put_number(ip + 4, id);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, asked + 16, 4);
	memcpy(ip + 16, asked + 12, 4);
	put_number(ip + 10, (uint16_t)~sum_words(0, ip, 20));
	put_reset(ip + 20, tcp, number(asked + 2) - (tcp - asked));
	put_number(ip + 36, (uint16_t)~sum_words(IPPROTO_TCP + 20, ip + 12, 28));
}

static void reset_ipv6(uint8_t *ip, const uint8_t *asked, const uint8_t *tcp)
{
	ip[0] = 0x60 | (asked[0] & 0x0F);
	ip[1] = asked[1] & 0xC0;
	put_number(ip + 4, 20);
	ip[6] = IPPROTO_TCP;
	ip[7] = 64;
	memcpy(ip + 8, asked + 24, 16);
	memcpy(ip + 24, asked + 8, 16);
	put_reset(ip + 40, tcp, 40 + number(asked + 4) - (tcp - asked));
	put_number(ip + 56, (uint16_t)~sum_words(IPPROTO_TCP + 20, ip + 8, 52));
}

void reset_build(struct built *answer, const struct built *asked, size_t l3, uint16_t id)
{
	const uint8_t *ip = asked->byte + l3, *tcp = asked->byte + asked->l4;
	bool four = ip[0] >> 4 == 4;

	memset(answer, 0, sizeof(*answer));
	turn_around(answer, asked, l3);
	if (four)
		reset_ipv4(answer->byte + l3, ip, tcp, id);
	else
		reset_ipv6(answer->byte + l3, ip, tcp);
	answer->length = l3 + (four ? 40 : 60);
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
	turn_around(answer, asked, l3);
	if (four)
		answer_ipv4(answer->byte + l3, ip, quote, id);
	else
		answer_ipv6(answer->byte + l3, ip, quote);
	answer->length = l3 + (four ? 20 : 40) + ICMP_LENGTH + quote;
}
