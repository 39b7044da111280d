/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * netserver: the TCP and UDP server of the network self-tests. It tells each client who answered
 * and which source address arrived, then serves one command a line: "GET n" streams n bytes of
 * the pattern, "PUT n" takes n bytes of it and answers OK or BAD, "PING x" answers "PONG x". A
 * datagram is answered with "NAME PEER payload". The pattern is the one netload.c checks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

#define LINE_LEN     1024
#define MAX_PORTS    16
#define MAX_EVENTS   256
#define MAX_DATAGRAM 65536
#define TURNS_A_WAKE 16 /* blocks moved for one connection before the others get their turn */
#define PEER_LEN     (INET6_ADDRSTRLEN + 10)

enum kind { KIND_LISTENER, KIND_UDP, KIND_SIGNAL, KIND_CONN };

struct source {
	enum kind kind;
	int fd;
};

struct conn {
	struct source source; /* first: epoll hands out struct source pointers */
	uint64_t get_left;
	uint64_t get_at;
	uint64_t put_left;
	uint64_t put_at;
	bool put_bad;
	bool wants_write;
	size_t line_len;
	char line[LINE_LEN];
};

struct server {
	int epoll;
	const char *name;
	uint16_t ports[MAX_PORTS];
	int port_count;
	bool stop;
	struct source sources[2 * MAX_PORTS + 1];
	int source_count;
};

/* "ADDR:PORT" or "[ADDR]:PORT"; an IPv4 peer of the dual-stack socket is shown as IPv4. */
static void peer_text(const struct sockaddr_in6 *peer, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(&peer->sin6_addr)) {
		inet_ntop(AF_INET, &peer->sin6_addr.s6_addr[12], addr, sizeof(addr));
		snprintf(text, size, "%s:%u", addr, ntohs(peer->sin6_port));
		return;
	}
	inet_ntop(AF_INET6, &peer->sin6_addr, addr, sizeof(addr));
	snprintf(text, size, "[%s]:%u", addr, ntohs(peer->sin6_port));
}

static int watch(struct server *s, struct source *source, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = source};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, source->fd, &ev) ? -errno : 0;
}

static int add_source(struct server *s, enum kind kind, int fd)
{
	struct source *source = &s->sources[s->source_count++];

	source->kind = kind;
	source->fd = fd;
	return watch(s, source, EPOLLIN);
}

static int listen_port(struct server *s, int type, uint16_t port)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int one = 1, zero = 0, err;
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type ==
	    SOCK_STREAM) /* several may serve a port, for more connections than descriptors */
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
	    (type == SOCK_DGRAM &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one))) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    (type == SOCK_STREAM && listen(fd, 4096))) {
		err = -errno;
		close(fd);
		return err;
	}
	return add_source(s, type == SOCK_STREAM ? KIND_LISTENER : KIND_UDP, fd);
}

static void conn_free(struct conn *c)
{
	close(c->source.fd);
	free(c);
}

static void accept_all(struct server *s, int listener)
{
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t len = sizeof(peer);
		char text[PEER_LEN], hello[PEER_LEN + 128];
		int one = 1, n, fd;
		struct conn *c;

		fd = accept4(listener, (struct sockaddr *)&peer, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			return;
		}
		c->source.kind = KIND_CONN;
		c->source.fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		peer_text(&peer, text, sizeof(text));
		n = snprintf(hello, sizeof(hello), "%.100s %s\n", s->name, text);
		if (send(fd, hello, n, MSG_NOSIGNAL) != n || watch(s, &c->source, EPOLLIN))
			conn_free(c);
	}
}

/* Answers are short and the peer reads them before it asks again: a full buffer is an error. */
static int answer(struct conn *c, const char *text, size_t len)
{
	return send(c->source.fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EPIPE;
}

static int run_line(struct conn *c, char *line)
{
	char text[LINE_LEN + 8];
	int n;

	if (!strncmp(line, "GET ", 4)) {
		c->get_left = strtoull(line + 4, NULL, 10);
		c->get_at = 0;
		return 0;
	}
	if (!strncmp(line, "PUT ", 4)) {
		c->put_left = strtoull(line + 4, NULL, 10);
		c->put_at = 0;
		c->put_bad = false;
		return c->put_left ? 0 : answer(c, "OK\n", 3);
	}
	if (!strncmp(line, "PING ", 5)) {
		n = snprintf(text, sizeof(text), "PONG %s\n", line + 5);
		return answer(c, text, n);
	}
	return answer(c, "ERR\n", 4);
}

static int take_put(struct conn *c, const unsigned char *data, size_t len)
{
	if (!pattern_matches(c->put_at, data, len))
		c->put_bad = true;
	c->put_at += len;
	c->put_left -= len;
	if (c->put_left)
		return 0;
	return c->put_bad ? answer(c, "BAD\n", 4) : answer(c, "OK\n", 3);
}

static int take_lines(struct conn *c, const char *data, size_t len)
{
	int err;

	while (len) {
		size_t part;

		if (c->put_left) {
			part = len < c->put_left ? len : c->put_left;
			err = take_put(c, (const unsigned char *)data, part);
			if (err)
				return err;
			data += part;
			len -= part;
			continue;
		}
		if (*data != '\n') {
			if (c->line_len == LINE_LEN - 1)
				return -EMSGSIZE;
			c->line[c->line_len++] = *data;
		} else {
			c->line[c->line_len] = '\0';
			c->line_len = 0;
			err = run_line(c, c->line);
			if (err)
				return err;
		}
		data++;
		len--;
	}
	return 0;
}

static int conn_read(struct conn *c)
{
	static char buffer[256 * 1024];
	int turn;

	for (turn = 0; turn < TURNS_A_WAKE && !c->get_left; turn++) {
		ssize_t n = recv(c->source.fd, buffer, sizeof(buffer), 0);
		int err;

		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		err = take_lines(c, buffer, n);
		if (err)
			return err;
	}
	return 0;
}

static int conn_write(struct conn *c)
{
	int turn;

	for (turn = 0; turn < TURNS_A_WAKE && c->get_left; turn++) {
		size_t len;
		const unsigned char *data = pattern_at(c->get_at, &len);
		ssize_t n;

		if (len > c->get_left)
			len = c->get_left;
		n = send(c->source.fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		c->get_at += n;
		c->get_left -= n;
	}
	return 0;
}

/* While bytes are owed the connection is watched for room only: commands wait in the socket. */
static void conn_event(struct server *s, struct conn *c)
{
	struct epoll_event ev = {.data.ptr = c};
	int err = c->get_left ? conn_write(c) : conn_read(c);

	if (!err && c->get_left && !c->wants_write)
		err = conn_write(c);
	if (err) {
		conn_free(c);
		return;
	}
	if (c->wants_write == (c->get_left > 0))
		return;
	c->wants_write = c->get_left > 0;
	ev.events = c->wants_write ? EPOLLOUT : EPOLLIN;
	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->source.fd, &ev))
		conn_free(c);
}

/* The answer leaves from the address that was asked, by handing the packet info back. */
static void udp_event(struct server *s, int fd)
{
	static char in[MAX_DATAGRAM], out[MAX_DATAGRAM];
	int turn;

	for (turn = 0; turn < TURNS_A_WAKE; turn++) {
		union {
			char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
			struct cmsghdr align;
		} control;
		struct sockaddr_in6 peer;
		struct iovec iov = {.iov_base = in, .iov_len = sizeof(in)};
		struct msghdr msg = {
			.msg_name = &peer,
			.msg_namelen = sizeof(peer),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};
		struct in6_pktinfo *info;
		struct cmsghdr *cmsg;
		char text[PEER_LEN];
		ssize_t n = recvmsg(fd, &msg, 0);
		int len;

		if (n < 0)
			return;
		peer_text(&peer, text, sizeof(text));
		len = snprintf(out, sizeof(out), "%.100s %s %.*s", s->name, text,
			       (int)(n > 60000 ? 60000 : n), in);
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && cmsg->cmsg_type == IPV6_PKTINFO) {
			info = (struct in6_pktinfo *)CMSG_DATA(cmsg);
			info->ipi6_ifindex = 0;
		}
		iov.iov_base = out;
		iov.iov_len = len;
		if (sendmsg(fd, &msg, 0) < 0 && errno != EAGAIN)
			fprintf(stderr, "netserver: answer to %s: %s\n", text, strerror(errno));
	}
}

static void dispatch(struct server *s, struct source *source)
{
	switch (source->kind) {
	case KIND_LISTENER:
		accept_all(s, source->fd);
		break;
	case KIND_UDP:
		udp_event(s, source->fd);
		break;
	case KIND_CONN:
		conn_event(s, (struct conn *)source);
		break;
	case KIND_SIGNAL:
		s->stop = true;
		break;
	}
}

static int setup(struct server *s)
{
	struct rlimit limit;
	sigset_t set;
	int i, fd, err;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = add_source(s, KIND_SIGNAL, fd);
	for (i = 0; i < s->port_count && !err; i++) {
		err = listen_port(s, SOCK_STREAM, s->ports[i]);
		if (!err)
			err = listen_port(s, SOCK_DGRAM, s->ports[i]);
	}
	return err;
}

static void serve(struct server *s)
{
	struct epoll_event events[MAX_EVENTS];
	int i, n;

	while (!s->stop) {
		n = epoll_wait(s->epoll, events, MAX_EVENTS, -1);
		for (i = 0; i < n; i++)
			dispatch(s, events[i].data.ptr);
	}
}

static void usage(FILE *to)
{
	fputs("Usage: netserver --listen PORT [--listen PORT ...] [--name NAME]\n"
	      "  -l, --listen PORT  serve this TCP and UDP port, IPv4 and IPv6 (up to 16 times)\n"
	      "  -n, --name NAME    name to greet with (default: netserver)\n"
	      "  -h, --help         this text\n"
	      "Prints \"ready\" once it listens. SIGTERM ends it.\n",
	      to);
}

static int parse_options(struct server *s, int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"name", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "l:n:h", options, NULL)) != -1) {
		long port;

		switch (opt) {
		case 'l':
			port = strtol(optarg, NULL, 10);
			if (port < 1 || port > 65535 || s->port_count == MAX_PORTS)
				return -EINVAL;
			s->ports[s->port_count++] = port;
			break;
		case 'n':
			s->name = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	return s->port_count && optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct server s = {.name = "netserver", .epoll = -1};
	int err = parse_options(&s, argc, argv);

	if (err) {
		usage(stderr);
		return 2;
	}
	pattern_fill();
	err = setup(&s);
	if (err) {
		fprintf(stderr, "netserver: cannot listen: %s\n", strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	serve(&s);
	return 0;
}
