/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Building packets byte by byte, with their checksums; see packet.h. */
#include "packet.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ETH_LENGTH  14
#define IPV4_LENGTH 20
#define IPV6_LENGTH 40
#define ICMPV6_NEXT 58

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

uint16_t sum_words(uint32_t sum, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? data[i] : data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

uint32_t crc32c(const uint8_t *data, size_t length)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
	}
	return ~crc;
}

static uint16_t sum_pseudo(const struct packet *p, int family, uint8_t protocol, size_t length)
{
	struct end src = end_parse(p->src, family), dst = end_parse(p->dst, family);
	size_t size = family == NP_IPV4 ? 4 : 16;
	uint32_t sum = protocol + length;

	sum = sum_words(sum, (uint8_t *)&src.addr, size);
	return sum_words(sum, (uint8_t *)&dst.addr, size);
}

static void put_mac(uint8_t *at, const char *text)
{
	if (text)
		sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &at[0], &at[1], &at[2], &at[3],
		       &at[4], &at[5]);
}

static void put_ethernet(struct built *b, const struct packet *p, int family)
{
	put_mac(b->byte, p->dst_mac);
	put_mac(b->byte + 6, p->src_mac);
	put16(b->byte + 12, p->ethertype ?: family == NP_IPV4 ? 0x0800 : 0x86DD);
	b->length = ETH_LENGTH;
}

static void put_payload(uint8_t *at, size_t length, uint16_t fill)
{
	for (size_t i = 0; i < length; i++)
		at[i] = i * 7 + 3;
	if (length >= 2)
		memcpy(at, &fill, sizeof(fill));
}

/* The transport header and payload at l4; returns the length. */
static size_t put_tcp(uint8_t *l4, const struct packet *p, const struct variant *v)
{
	size_t header = 20 + p->tcp_options.length;

	put16(l4, end_parse(p->src, v->family).port);
	put16(l4 + 2, end_parse(p->dst, v->family).port);
	/* As if all that is acknowledged had been sent, from the SYN-ACK on. */
	put32(l4 + 4, (p->flags & (SYN | ACK)) == (SYN | ACK) ? 0x5060707F : 0x10203040);
	put32(l4 + 8, p->flags == SYN ? 0 : p->ack ?: 0x50607080);
	l4[12] = (p->doff ?: header / 4) << 4;
	l4[13] = p->flags ?: ACK;
	put16(l4 + 14, 64240);
	if (p->tcp_options.length)
		memcpy(l4 + 20, p->tcp_options.data, p->tcp_options.length);
	put_payload(l4 + header, p->payload, v->fill);
	return header + p->payload;
}

static size_t put_udp(uint8_t *l4, const struct packet *p, const struct variant *v)
{
	put16(l4, end_parse(p->src, v->family).port);
	put16(l4 + 2, end_parse(p->dst, v->family).port);
	put16(l4 + 4, 8 + p->payload + v->more);
	put_payload(l4 + 8, p->payload + v->more, v->fill);
	return 8 + p->payload + v->more;
}

/* The chunk whose meaning is that of the TCP flags; any other one is data. */
static uint8_t sctp_chunk(const struct packet *p)
{
	if (p->chunk)
		return p->chunk;
	if (p->flags & RST)
		return 6; /* ABORT */
	if (!(p->flags & SYN))
		return 0; /* DATA */
	return p->flags & ACK ? 2 : 1;
}

/* One chunk, with its payload. */
static size_t put_sctp(uint8_t *l4, const struct packet *p, const struct variant *v)
{
	put16(l4, end_parse(p->src, v->family).port);
	put16(l4 + 2, end_parse(p->dst, v->family).port);
	put32(l4 + 4, p->flags == SYN ? 0 : 0x90A0B0C0);
	l4[12] = sctp_chunk(p);
	put16(l4 + 14, 4 + p->payload);
	put_payload(l4 + 16, p->payload, v->fill);
	return 16 + p->payload;
}

/* The CRC, in the byte order it has; it covers itself as zero. */
static void put_crc(uint8_t *l4, size_t length, const struct packet *p, const struct variant *v)
{
	struct built other;
	uint32_t crc = crc32c(l4, length);

	if (p->no_checksum)
		return;
	if (p->check_of) {
		packet_build(&other, p->check_of, v);
		memcpy(l4 + 8, other.byte + other.check, sizeof(crc));
		return;
	}
	for (int i = 0; i < 4; i++)
		l4[8 + i] = crc >> 8 * i;
}

static size_t put_icmp(uint8_t *l4, const struct packet *p, const struct variant *v)
{
	size_t length = p->payload;
	struct built quoted;

	l4[0] = v->family == NP_IPV4 ? p->icmp4_type : p->icmp6_type;
	l4[1] = p->icmp_code;
	put32(l4 + 4, p->icmp_rest);
	if (!p->quote) {
		put_payload(l4 + 8, length, v->fill);
		return 8 + length;
	}
	packet_build(&quoted, p->quote, v);
	length = quoted.length - ETH_LENGTH;
	if (p->quote_length && p->quote_length < length)
		length = p->quote_length;
	memcpy(l4 + 8, quoted.byte + ETH_LENGTH, length);
	return 8 + length;
}

static uint16_t check_of(const struct packet *p, const struct variant *v)
{
	struct built b;

	packet_build(&b, p, v);
	return b.byte[b.check] << 8 | b.byte[b.check + 1];
}

/* What follows the IP header, with its checksum; sets b->l4 and b->check. */
static size_t put_transport(struct built *b, const struct packet *p, const struct variant *v,
			    uint8_t protocol)
{
	uint8_t *l4 = b->byte + b->length;
	size_t length, check;
	uint16_t sum;

	b->l4 = b->length;
	if (protocol == IPPROTO_TCP) {
		length = put_tcp(l4, p, v);
		check = 16;
	} else if (protocol == IPPROTO_UDP) {
		length = put_udp(l4, p, v);
		check = 6;
	} else if (protocol == IPPROTO_SCTP) {
		length = put_sctp(l4, p, v);
		put_crc(l4, length, p, v);
		b->check = b->l4 + 8;
		return length;
	} else if (protocol == IPPROTO_ICMP || protocol == ICMPV6_NEXT) {
		length = put_icmp(l4, p, v);
		check = 2;
	} else {
		put_payload(l4, p->payload, v->fill);
		return p->payload;
	}
	b->check = b->l4 + check;
	if (protocol == IPPROTO_UDP && p->no_checksum)
		return length;
	sum = protocol == IPPROTO_ICMP ? 0 : sum_pseudo(p, v->family, protocol, length);
	sum = ~sum_words(sum, l4, length);
	if (protocol == IPPROTO_UDP && !sum)
		sum = 0xFFFF;
	put16(l4 + check, p->check_of ? check_of(p->check_of, v) : sum);
	return length;
}

static uint8_t protocol_of(const struct packet *p, const struct variant *v)
{
	if (p->icmp4_type || p->icmp6_type)
		return v->family == NP_IPV4 ? IPPROTO_ICMP : ICMPV6_NEXT;
	return p->protocol ?: v->protocol;
}

/* Keep only the fragment of what follows the IP header; returns its length. */
static size_t cut_fragment(struct built *b, const struct packet *p, size_t length)
{
	if (!p->fragment.length)
		return length;
	memmove(b->byte + b->l4, b->byte + b->l4 + p->fragment.first, p->fragment.length);
	memset(b->byte + b->l4 + p->fragment.length, 0, p->fragment.first);
	return p->fragment.length;
}

static void build_ipv4(struct built *b, const struct packet *p, const struct variant *v)
{
	struct end src = end_parse(p->src, v->family), dst = end_parse(p->dst, v->family);
	size_t header = IPV4_LENGTH + p->ip_options.length, length;
	uint8_t *ip = b->byte + b->length;

	b->length += header;
	length = cut_fragment(b, p, put_transport(b, p, v, protocol_of(p, v)));
	ip[0] = 0x40 | (p->ihl ?: header / 4);
	ip[1] = p->tos;
	put16(ip + 2, header + length);
	put16(ip + 4, p->id);
	put16(ip + 6, p->fragment.first / 8 | (p->fragment.more ? 0x2000 : 0));
	ip[8] = p->ttl ?: 64;
	ip[9] = protocol_of(p, v);
	memcpy(ip + 12, &src.addr, 4);
	memcpy(ip + 16, &dst.addr, 4);
	if (p->ip_options.length)
		memcpy(ip + IPV4_LENGTH, p->ip_options.data, p->ip_options.length);
	put16(ip + 10, ~sum_words(0, ip, header));
	b->length += length;
}

/* Put a header of an IPv6 chain down; *next is where its predecessor names what follows. */
static uint8_t *chain(struct built *b, uint8_t **next, uint8_t type, const void *data,
		      size_t length)
{
	uint8_t *at = b->byte + b->length;

	**next = type;
	*next = at;
	memcpy(at, data, length);
	b->length += length;
	return at;
}

static void put_extensions(struct built *b, const struct packet *p, uint8_t **next)
{
	/* Eight bytes each: PadN of four; type 2 routing with no segments left. */
	static const uint8_t options[8] = {0, 0, 1, 4}, routing[8] = {0, 0, 2, 0};
	uint8_t fragment[8] = {0};

	if (p->hop_by_hop.length)
		chain(b, next, IPPROTO_HOPOPTS, p->hop_by_hop.data, p->hop_by_hop.length);
	for (const char *e = p->extensions; e && *e; e++) {
		if (*e == 'h')
			chain(b, next, IPPROTO_HOPOPTS, options, sizeof(options));
		else if (*e == 'd')
			chain(b, next, IPPROTO_DSTOPTS, options, sizeof(options));
		else
			chain(b, next, IPPROTO_ROUTING, routing, sizeof(routing));
	}
	if (!p->fragment.length)
		return;
	put16(fragment + 2, p->fragment.first | p->fragment.more);
	put32(fragment + 4, p->id);
	chain(b, next, IPPROTO_FRAGMENT, fragment, sizeof(fragment));
}

static void build_ipv6(struct built *b, const struct packet *p, const struct variant *v)
{
	struct end src = end_parse(p->src, v->family), dst = end_parse(p->dst, v->family);
	uint8_t *ip = b->byte + b->length, *next = ip + 6;

	b->length += IPV6_LENGTH;
	ip[0] = 0x60 | p->tos >> 4;
	ip[1] = p->tos << 4;
	ip[7] = p->ttl ?: 64;
	memcpy(ip + 8, &src.addr, 16);
	memcpy(ip + 24, &dst.addr, 16);
	put_extensions(b, p, &next);
	*next = protocol_of(p, v);
	b->length += cut_fragment(b, p, put_transport(b, p, v, protocol_of(p, v)));
	put16(ip + 4, b->byte + b->length - ip - IPV6_LENGTH);
}

void packet_build(struct built *b, const struct packet *p, const struct variant *v)
{
	memset(b, 0, sizeof(*b));
	if (!p->bare)
		put_ethernet(b, p, v->family);
	if (p->ethertype) {
		put_payload(b->byte + b->length, p->payload, v->fill);
		b->length += p->payload;
	} else if (v->family == NP_IPV4) {
		build_ipv4(b, p, v);
	} else {
		build_ipv6(b, p, v);
	}
	for (uint16_t i = 0; i < p->padding; i++)
		b->byte[b->length++] = 0xA5;
	if (p->truncate && p->truncate < b->length)
		b->length = p->truncate;
}

static void print_bytes(const char *title, const uint8_t *data, size_t length, size_t from)
{
	fprintf(stderr, "  %-8s %04zx ", title, from);
	for (size_t i = from; i < from + 16; i++)
		if (i < length)
			fprintf(stderr, " %02x", data[i]);
	fputc('\n', stderr);
}

static void print_marks(const struct built *e, const uint8_t *got, size_t length, size_t from)
{
	fprintf(stderr, "  %-8s      ", "");
	for (size_t i = from; i < from + 16; i++) {
		bool both = i < e->length && i < length;

		if (i < e->length || i < length)
			fputs(both && e->byte[i] == got[i] ? "   " : " ^^", stderr);
	}
	fputc('\n', stderr);
}

void packet_diff(const struct built *expected, const uint8_t *got, size_t length)
{
	size_t end = expected->length > length ? expected->length : length;

	fprintf(stderr, "  expected %zu bytes, got %zu\n", expected->length, length);
	for (size_t from = 0; from < end; from += 16) {
		size_t have = from < length ? length - from : 0;
		size_t want = from < expected->length ? expected->length - from : 0;

		if (have > 16)
			have = 16;
		if (want > 16)
			want = 16;
		print_bytes("expected", expected->byte, expected->length, from);
		if (have == want && !memcmp(expected->byte + from, got + from, have))
			continue;
		print_bytes("got", got, length, from);
		print_marks(expected, got, length, from);
	}
}
