/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * delayline: joins two interfaces into one link with a delay in each direction, for kernels
 * without netem, and can lose IP packets over a length without a word: a path MTU black hole.
 * Frames keep their offload state (PACKET_VNET_HDR), so veth's half checksums and GSO frames
 * pass as they are. Frames arrive in order; the delay is from receiving to sending.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC    1000000000ull
#define QUEUE_BYTES   (64u << 20)
#define SOCKET_BYTES  (16 << 20)
#define MAX_FRAME     (128 * 1024)
#define FRAMES_A_WAKE 256
#define ALIGN8(n)     (((n) + 7) & ~(size_t)7)

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

/* One frame in the queue; len 0 says that the queue goes on at its beginning. */
struct frame {
	uint64_t due;
	uint64_t len;
	struct virtio_net_hdr vnet;
	unsigned char data[];
};

#define FRAME_HEAD offsetof(struct frame, vnet)
#define FRAME_ROOM ALIGN8(sizeof(struct frame) + MAX_FRAME)

/* One direction. */
struct line {
	const char *from_name, *to_name;
	int from, to, timer;
	unsigned char *queue;
	size_t head, tail; /* written at head, read at tail, equal when empty */
	uint64_t frames, too_long, lost;
};

struct options {
	const char *a, *b;
	uint64_t delay_ns;
	uint32_t mtu;
};

enum event_kind { EVENT_FRAMES, EVENT_TIMER, EVENT_SIGNAL };

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Room for the longest frame, or NULL while the queue is full. */
static struct frame *queue_room(struct line *l)
{
	if (l->head == l->tail)
		l->head = l->tail = 0;
	if (l->head < l->tail)
		return l->tail - l->head > FRAME_ROOM ? (struct frame *)(l->queue + l->head) : NULL;
	if (QUEUE_BYTES - l->head >= FRAME_ROOM)
		return (struct frame *)(l->queue + l->head);
	if (l->tail <= FRAME_ROOM)
		return NULL;
	((struct frame *)(l->queue + l->head))->len = 0;
	l->head = 0;
	return (struct frame *)l->queue;
}

static void queue_push(struct line *l, const struct frame *f)
{
	l->head += ALIGN8(FRAME_HEAD + f->len);
}

static struct frame *queue_first(struct line *l)
{
	struct frame *f = (struct frame *)(l->queue + l->tail);

	if (l->head == l->tail)
		return NULL;
	if (f->len)
		return f;
	l->tail = 0;
	return l->head ? (struct frame *)l->queue : NULL;
}

static void queue_pop(struct line *l, const struct frame *f)
{
	l->tail += ALIGN8(FRAME_HEAD + f->len);
}

/* The length of the IP packet, of one segment when the frame is to be cut into many. */
static uint32_t packet_len(const struct frame *f)
{
	uint32_t len = f->len - sizeof(f->vnet), l4 = f->vnet.csum_start;
	uint16_t proto;

	if (len < ETH_HLEN)
		return 0;
	memcpy(&proto, f->data + 12, sizeof(proto));
	if (proto != htons(ETH_P_IP) && proto != htons(ETH_P_IPV6))
		return 0;
	if (f->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE || l4 + 13 > len)
		return len - ETH_HLEN;
	if ((f->vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4 ||
	    (f->vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV6)
		return l4 - ETH_HLEN + (f->data[l4 + 12] >> 4) * 4 + f->vnet.gso_size;
	return l4 - ETH_HLEN + 8 + f->vnet.gso_size;
}

static int arm(struct line *l)
{
	const struct frame *f = queue_first(l);
	struct itimerspec when = {};

	if (!f)
		return 0;
	when.it_value.tv_sec = f->due / NS_PER_SEC;
	when.it_value.tv_nsec = f->due % NS_PER_SEC;
	return timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

static void take_frames(struct line *l, const struct options *o)
{
	static unsigned char spill[sizeof(struct frame) + MAX_FRAME] __attribute__((aligned(8)));
	bool was_empty = !queue_first(l);
	uint64_t due = clock_ns() + o->delay_ns;
	int i;

	for (i = 0; i < FRAMES_A_WAKE; i++) {
		struct frame *room = queue_room(l);
		struct frame *f = room ? room : (struct frame *)spill;
		ssize_t n = recv(l->from, &f->vnet, sizeof(f->vnet) + MAX_FRAME, MSG_DONTWAIT);

		if (n <= (ssize_t)sizeof(f->vnet))
			break;
		f->len = n;
		f->due = due;
		if (o->mtu && packet_len(f) > o->mtu)
			l->too_long++;
		else if (!room)
			l->lost++;
		else
			queue_push(l, f);
	}
	if (was_empty)
		arm(l);
}

static void send_due(struct line *l)
{
	uint64_t now = clock_ns(), fired;
	struct frame *f;

	if (read(l->timer, &fired, sizeof(fired)) < 0 && errno != EAGAIN)
		return;
	while ((f = queue_first(l)) && f->due <= now) {
		if (send(l->to, &f->vnet, f->len, MSG_DONTWAIT) < 0)
			l->lost++;
		else
			l->frames++;
		queue_pop(l, f);
	}
	arm(l);
}

static int open_device(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq promisc = {.mr_type = PACKET_MR_PROMISC};
	int one = 1, bytes = SOCKET_BYTES, err;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	addr.sll_ifindex = promisc.mr_ifindex = if_nametoindex(name);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	if (addr.sll_ifindex && !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) &&
	    !bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = errno ? -errno : -ENODEV;
	close(fd);
	return err;
}

static int watch(int epoll, int fd, enum event_kind kind, int line)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | line};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_line(struct line *l, int epoll, int index)
{
	int err;

	l->queue = malloc(QUEUE_BYTES + sizeof(struct frame));
	if (!l->queue)
		return -ENOMEM;
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer < 0)
		return -errno;
	err = watch(epoll, l->timer, EVENT_TIMER, index);
	return err ? err : watch(epoll, l->from, EVENT_FRAMES, index);
}

static int open_signals(int epoll)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : watch(epoll, fd, EVENT_SIGNAL, 0);
}

static void forward(struct line lines[2], int epoll, const struct options *o)
{
	struct epoll_event events[8];
	int i, n;

	for (;;) {
		n = epoll_wait(epoll, events, 8, -1);
		for (i = 0; i < n; i++) {
			struct line *l = &lines[events[i].data.u64 & 1];

			switch ((enum event_kind)(events[i].data.u64 >> 32)) {
			case EVENT_FRAMES:
				take_frames(l, o);
				break;
			case EVENT_TIMER:
				send_due(l);
				break;
			case EVENT_SIGNAL:
				return;
			}
		}
	}
}

static int setup(struct line lines[2], const struct options *o)
{
	int a, b, err, epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -errno;
	a = open_device(o->a);
	if (a < 0)
		return a;
	b = open_device(o->b);
	if (b < 0)
		return b;
	lines[0] = (struct line){.from_name = o->a, .to_name = o->b, .from = a, .to = b};
	lines[1] = (struct line){.from_name = o->b, .to_name = o->a, .from = b, .to = a};
	err = open_signals(epoll);
	if (!err)
		err = open_line(&lines[0], epoll, 0);
	if (!err)
		err = open_line(&lines[1], epoll, 1);
	return err ? err : epoll;
}

static void usage(FILE *to)
{
	fputs("Usage: delayline --a DEV --b DEV [--delay-ms MS] [--mtu N]\n"
	      "  -a, --a DEV        one end\n"
	      "  -b, --b DEV        the other end\n"
	      "  -d, --delay-ms MS  delay of each direction (default 4: a round trip of 8 ms)\n"
	      "  -m, --mtu N        lose IP packets longer than N bytes, silently\n"
	      "  -h, --help         this text\n"
	      "Prints \"ready\" once it forwards, and its counters when SIGTERM ends it.\n",
	      to);
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"a", required_argument, NULL, 'a'},	    {"b", required_argument, NULL, 'b'},
		{"delay-ms", required_argument, NULL, 'd'}, {"mtu", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},	    {},
	};
	double ms = 4;
	int opt;

	while ((opt = getopt_long(argc, argv, "a:b:d:m:h", options, NULL)) != -1) {
		if (opt == 'a')
			o->a = optarg;
		else if (opt == 'b')
			o->b = optarg;
		else if (opt == 'd')
			ms = strtod(optarg, NULL);
		else if (opt == 'm')
			o->mtu = strtoul(optarg, NULL, 10);
		else if (opt == 'h') {
			usage(stdout);
			exit(0);
		} else {
			return -EINVAL;
		}
	}
	if (!o->a || !o->b || optind != argc || !(ms >= 0 && ms <= 10000))
		return -EINVAL;
	o->delay_ns = ms * 1e6;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {};
	struct line lines[2] = {};
	int epoll, i;

	if (parse_options(&o, argc, argv)) {
		usage(stderr);
		return 2;
	}
	epoll = setup(lines, &o);
	if (epoll < 0) {
		fprintf(stderr, "delayline: cannot join \"%s\" and \"%s\": %s\n", o.a, o.b,
			strerror(-epoll));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	forward(lines, epoll, &o);
	for (i = 0; i < 2; i++)
		printf("%s to %s: %llu frames, %llu too long, %llu lost\n", lines[i].from_name,
		       lines[i].to_name, (unsigned long long)lines[i].frames,
		       (unsigned long long)lines[i].too_long, (unsigned long long)lines[i].lost);
	return 0;
}
