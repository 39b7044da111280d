/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packets as data, and building them: Ethernet, IPv4 or IPv6 with options or extension headers,
 * TCP, UDP, SCTP, ICMP errors or anything. Every checksum is a sum over the whole packet, and every
 * CRC is made bit by bit, by code that has nothing in common with the datapath's, which only adds
 * differences.
 */
#ifndef NEARPATH_SELFTESTS_PACKET_H
#define NEARPATH_SELFTESTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../maps/abi.h"

#define PACKET_MAX 2048

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

struct bytes {
	const char *data;
	size_t length;
};

/* Of a string literal, which may hold zeroes. */
#define BYTES(literal)                                                                             \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

/*
 * One packet; what is zero is usual. The family is not part of it: all cases are run in both.
 * Ends are "name:port" by the names of names.c; the port may be "?0" to "?9": any port within the
 * range for source translation, the first time, and from then on the same.
 */
struct packet {
	const char *src;
	const char *dst;
	const char *src_mac; /* NULL: all zero */
	const char *dst_mac;
	uint8_t protocol;   /* 0: TCP, UDP or SCTP, whatever the case is run with */
	uint16_t ethertype; /* 0: of the family; others: nothing but payload follows */
	uint8_t flags;	    /* TCP; 0: ACK. SCTP: by what they are there (SYN: INIT) */
	uint32_t ack;	    /* TCP: acknowledgement number; 0: what was sent */
	uint8_t chunk;	    /* SCTP: type of the first chunk; 0: by the flags */
	uint8_t tos;	    /* IPv4; IPv6: the traffic class */
	uint8_t ttl;	    /* 0: 64 */
	uint8_t doff;	    /* 0: the true one, in words; likewise: */
	uint8_t ihl;
	struct bytes tcp_options; /* their lengths are multiples of 4 */
	struct bytes ip_options;  /* IPv4 only */
	const char *extensions;	  /* IPv6 only: h hop-by-hop, d destination options, r routing */
	struct bytes hop_by_hop;  /* IPv6 only: a hop-by-hop header as it stands, but for "next" */
	uint16_t payload;	  /* bytes after the transport header */
	bool no_checksum;	  /* UDP: the sender made none; SCTP: the device is to make it */
	const struct packet *check_of; /* the checksum is that of this other packet */
	bool zero_sum; /* payload such that the checksum of what comes out is zero */

	/* A fragment: this part, in bytes, of what follows the IP header; nothing if length is 0.
	 */
	struct {
		uint16_t first;
		uint16_t length;
		bool more;
	} fragment;
	uint16_t id;

	/* An ICMP error, by its type for each family, and what it quotes. */
	uint8_t icmp4_type;
	uint8_t icmp6_type;
	uint8_t icmp_code;
	uint32_t icmp_rest; /* the 32 bits after the checksum, host order */
	const struct packet *quote;
	uint16_t quote_length; /* from the quoted IP header; 0: all of it */

	bool bare;	   /* without an Ethernet header */
	uint16_t padding;  /* bytes after the IP packet, as short Ethernet frames have them */
	uint16_t truncate; /* only so many bytes are sent; 0: all */
};

struct built {
	uint8_t byte[PACKET_MAX];
	size_t length;
	size_t l4;    /* where the transport header is */
	size_t check; /* where its checksum is; 0: it has none */
};

/* How a packet is to be built beyond what it says itself. */
struct variant {
	int family;
	uint8_t protocol; /* of packets that do not say: TCP, UDP or SCTP */
	uint16_t fill;	  /* the first two bytes of payload, as they stand */
	uint16_t more;	  /* payload of a datagram beyond what the case says */
};

void packet_build(struct built *b, const struct packet *p, const struct variant *v);

/* RFC 1071, the long way: one's complement sum of 16-bit words in network order. */
uint16_t sum_words(uint32_t sum, const uint8_t *data, size_t length);

/* RFC 9260, appendix A, one bit after the other. */
uint32_t crc32c(const uint8_t *data, size_t length);

/*
 * What a packet is answered by that is refused, from its bytes alone (l3: where its IP header is).
 * id: the IPv4 identification, which the program was free to choose.
 */
void refusal_build(struct built *answer, const struct built *asked, size_t l3, uint16_t id);

/* The same: the RST that answers a segment. */
void reset_build(struct built *answer, const struct built *asked, size_t l3, uint16_t id);

/* Does it quote all of the packet? */
bool refusal_is_whole(const struct built *asked, size_t l3);

/* Resolving ends; see struct packet. */
struct end {
	union np_addr addr;
	uint16_t port; /* host order */
};

struct end end_parse(const char *text, int family);
void end_forget(void);
/* The number n of "?n" if the end has one that is not learned yet, else -1. */
int end_unknown(const char *text);
void end_learn(int n, uint16_t port);
uint16_t end_learned(int n);

/* An address by its name; text with $name4 and $name6 replaced, to be freed. */
union np_addr name_address(const char *name, int family);
char *names_expand(const char *text);

/* Both as hex, marked where they differ, on stderr. */
void packet_diff(const struct built *expected, const uint8_t *got, size_t length);

#endif
