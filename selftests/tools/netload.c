/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * netload: the client of the network self-tests. It opens connections (or sends datagrams) to a
 * netserver, at a rate or with a number of them at a time, may move or hold data over each, and
 * counts what answered, what failed and how, and how long connecting took. Exit 1 if any failed.
 */
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "netload_options.h"
#include "netload_report.h"
#include "pattern.h"

#define LINE_LEN   256
#define MAX_EVENTS 256
#define NEVER	   UINT64_MAX

enum state {
	STATE_IDLE,
	STATE_CONNECT,
	STATE_HELLO,
	STATE_GET,
	STATE_PUT,
	STATE_OK,
	STATE_REST,
	STATE_PONG
};

struct slot {
	enum state state;
	int fd;
	uint64_t started, deadline, moved, pings;
	uint32_t server; /* hash of the name of the one that answered first */
	size_t line_len;
	char line[LINE_LEN];
};

struct load {
	struct options opt;
	int epoll;
	struct slot *slots;
	uint32_t busy;
	uint64_t now, begun, end, next_start, next_check;
	struct report report;
};

static volatile sig_atomic_t told_to_stop;

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static void slot_end(struct load *l, struct slot *s)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (l->opt.linger0 && !l->opt.udp)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(s->fd);
	s->fd = -1;
	s->state = STATE_IDLE;
	l->busy--;
}

static void slot_fail(struct load *l, struct slot *s, enum failure why)
{
	l->report.failures[why]++;
	slot_end(l, s);
}

static void slot_ok(struct load *l, struct slot *s)
{
	l->report.ok++;
	slot_end(l, s);
}

static void slot_enter(struct load *l, struct slot *s, enum state state)
{
	s->state = state;
	s->deadline = l->now + l->opt.timeout_ns;
	if (s->deadline < l->next_check)
		l->next_check = s->deadline;
}

static int slot_watch(struct load *l, struct slot *s, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(l->epoll, op, s->fd, &ev) ? -errno : 0;
}

static socklen_t address_len(const union address *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static int slot_connect(struct load *l, struct slot *s)
{
	const struct options *o = &l->opt;
	int type = o->udp ? SOCK_DGRAM : SOCK_STREAM, one = 1;

	s->fd = socket(o->to.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (!o->udp)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (o->have_from) {
		int opt = o->from.in.sin_port ? SO_REUSEADDR : IP_BIND_ADDRESS_NO_PORT;
		int level = o->from.in.sin_port ? SOL_SOCKET : IPPROTO_IP;

		setsockopt(s->fd, level, opt, &one, sizeof(one));
		if (bind(s->fd, &o->from.sa, address_len(&o->from)))
			return -errno;
	}
	if (connect(s->fd, &o->to.sa, address_len(&o->to)) && errno != EINPROGRESS)
		return -errno;
	return slot_watch(l, s, EPOLL_CTL_ADD, EPOLLOUT);
}

static void slot_start(struct load *l, struct slot *s)
{
	int err;

	l->report.attempted++;
	l->busy++;
	s->started = l->now = clock_ns();
	s->line_len = s->moved = s->pings = 0;
	err = slot_connect(l, s);
	if (err)
		slot_fail(l, s, failure_of(-err));
	else
		slot_enter(l, s, STATE_CONNECT);
}

static int slot_say(struct slot *s, const char *verb, uint64_t n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %llu\n", verb, (unsigned long long)n);

	return send(s->fd, line, len, MSG_NOSIGNAL) == len ? 0 : errno ? -errno : -EPIPE;
}

/* The next thing to do once the greeting, a transfer or a pong is complete. */
static void slot_next(struct load *l, struct slot *s)
{
	const struct options *o = &l->opt;
	int err = 0;

	if (s->state == STATE_HELLO && o->download) {
		slot_enter(l, s, STATE_GET);
		err = slot_say(s, "GET", o->download);
	} else if (s->state < STATE_PUT && o->upload) {
		s->moved = 0;
		slot_enter(l, s, STATE_PUT);
		err = slot_say(s, "PUT", o->upload);
		if (!err)
			err = slot_watch(l, s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	} else if (o->keep && l->now < l->end) {
		slot_enter(l, s, STATE_REST);
		s->deadline = l->now + o->interval_ns;
		if (s->deadline < l->next_check)
			l->next_check = s->deadline;
	} else {
		slot_ok(l, s);
		return;
	}
	if (err)
		slot_fail(l, s, failure_of(-err));
}

static void slot_ping(struct load *l, struct slot *s)
{
	int err;

	slot_enter(l, s, STATE_PONG);
	err = slot_say(s, "PING", ++s->pings);
	if (err)
		slot_fail(l, s, failure_of(-err));
}

static void slot_pong(struct load *l, struct slot *s)
{
	uint64_t took = l->now - (s->deadline - l->opt.timeout_ns);

	l->report.messages++;
	if (took > l->report.message_max_ns)
		l->report.message_max_ns = took;
	slot_next(l, s);
}

/* Tells names apart: FNV-1a of the first word. */
static uint32_t name_hash(const char *line)
{
	uint32_t hash = 2166136261;

	for (; *line && *line != ' '; line++)
		hash = (hash ^ (unsigned char)*line) * 16777619;
	return hash;
}

/* "NAME PEER" and for datagrams " PAYLOAD": who answered, and the source it saw. */
static void slot_hello(struct load *l, struct slot *s)
{
	char *peer = strchr(s->line, ' '), *end, *colon;

	if (!peer) {
		slot_fail(l, s, FAIL_BAD_DATA);
		return;
	}
	s->server = name_hash(s->line);
	*peer++ = '\0';
	end = strchr(peer, ' ');
	if (end)
		*end = '\0';
	colon = strrchr(peer, ':');
	if (colon)
		*colon = '\0';
	if (*peer == '[' && peer[strlen(peer) - 1] == ']') {
		peer[strlen(peer) - 1] = '\0';
		peer++;
	}
	if (l->opt.udp)
		sample_add(&l->report, l->now - s->started);
	tally_add(&l->report.servers, s->line);
	tally_add(&l->report.peers, peer);
	slot_next(l, s);
}

static void slot_line(struct load *l, struct slot *s)
{
	char want[64];

	switch (s->state) {
	case STATE_HELLO:
		slot_hello(l, s);
		return;
	case STATE_OK:
		if (strcmp(s->line, "OK"))
			break;
		l->report.bytes += l->opt.upload;
		slot_next(l, s);
		return;
	case STATE_PONG:
		snprintf(want, sizeof(want), "PONG %llu", (unsigned long long)s->pings);
		if (strcmp(s->line, want))
			break;
		slot_pong(l, s);
		return;
	default:
		break;
	}
	slot_fail(l, s, FAIL_BAD_DATA);
}

static void slot_datagram(struct load *l, struct slot *s)
{
	char want[64];
	char *payload;
	ssize_t n = recv(s->fd, s->line, sizeof(s->line) - 1, 0);

	if (n < 0) {
		if (errno != EAGAIN)
			slot_fail(l, s, failure_of(errno));
		return;
	}
	s->line[n] = '\0';
	if (s->state == STATE_HELLO) {
		slot_hello(l, s);
		return;
	}
	payload = strstr(s->line, " PING ");
	snprintf(want, sizeof(want), " PING %llu\n", (unsigned long long)s->pings);
	if (s->state == STATE_PONG && name_hash(s->line) != s->server)
		slot_fail(l, s, FAIL_MOVED);
	else if (s->state == STATE_PONG && payload && !strcmp(payload, want))
		slot_pong(l, s);
	else
		slot_fail(l, s, FAIL_BAD_DATA);
}

static void slot_download(struct load *l, struct slot *s)
{
	static unsigned char buffer[256 * 1024];
	ssize_t n = recv(s->fd, buffer, sizeof(buffer), 0);

	if (n <= 0) {
		if (!n)
			slot_fail(l, s, FAIL_CLOSED);
		else if (errno != EAGAIN)
			slot_fail(l, s, failure_of(errno));
		return;
	}
	slot_enter(l, s, STATE_GET);
	if (s->moved + n > l->opt.download || !pattern_matches(s->moved, buffer, n)) {
		slot_fail(l, s, FAIL_BAD_DATA);
		return;
	}
	s->moved += n;
	l->report.bytes += n;
	if (s->moved == l->opt.download)
		slot_next(l, s);
}

static void slot_upload(struct load *l, struct slot *s)
{
	size_t len;
	const unsigned char *data = pattern_at(s->moved, &len);
	ssize_t n;

	if (len > l->opt.upload - s->moved)
		len = l->opt.upload - s->moved;
	n = send(s->fd, data, len, MSG_NOSIGNAL);
	if (n < 0) {
		if (errno != EAGAIN)
			slot_fail(l, s, failure_of(errno));
		return;
	}
	s->moved += n;
	slot_enter(l, s, STATE_PUT);
	if (s->moved < l->opt.upload)
		return;
	slot_enter(l, s, STATE_OK);
	if (slot_watch(l, s, EPOLL_CTL_MOD, EPOLLIN))
		slot_fail(l, s, FAIL_OTHER);
}

/* Reads up to the end of one line and leaves what follows it in the socket. */
static void slot_read_line(struct load *l, struct slot *s)
{
	char *at = s->line + s->line_len, *newline;
	ssize_t n = recv(s->fd, at, LINE_LEN - 1 - s->line_len, MSG_PEEK);

	if (n <= 0) {
		if (!n)
			slot_fail(l, s, FAIL_CLOSED);
		else if (errno != EAGAIN)
			slot_fail(l, s, failure_of(errno));
		return;
	}
	newline = memchr(at, '\n', n);
	if (newline)
		n = newline - at + 1;
	if (recv(s->fd, at, n, 0) != n) {
		slot_fail(l, s, FAIL_OTHER);
		return;
	}
	s->line_len += n;
	if (!newline && s->line_len < LINE_LEN - 1)
		return;
	s->line[s->line_len - 1] = '\0';
	s->line_len = 0;
	slot_line(l, s);
}

static void slot_connected(struct load *l, struct slot *s)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!err && l->opt.udp && send(s->fd, "hello", 5, MSG_NOSIGNAL) < 0)
		err = errno;
	if (!err)
		err = -slot_watch(l, s, EPOLL_CTL_MOD, EPOLLIN);
	if (err) {
		slot_fail(l, s, failure_of(err));
		return;
	}
	if (!l->opt.udp)
		sample_add(&l->report, l->now - s->started);
	slot_enter(l, s, STATE_HELLO);
}

static void slot_event(struct load *l, struct slot *s, uint32_t events)
{
	switch (s->state) {
	case STATE_IDLE:
		return;
	case STATE_CONNECT:
		slot_connected(l, s);
		return;
	case STATE_GET:
		slot_download(l, s);
		return;
	case STATE_PUT:
		if (events & EPOLLOUT)
			slot_upload(l, s);
		else
			slot_read_line(l, s);
		return;
	default:
		if (l->opt.udp)
			slot_datagram(l, s);
		else
			slot_read_line(l, s);
	}
}

static void check_deadlines(struct load *l)
{
	uint32_t i;

	if (l->now < l->next_check)
		return;
	l->next_check = NEVER;
	for (i = 0; i < l->opt.concurrency; i++) {
		struct slot *s = &l->slots[i];

		if (s->state == STATE_IDLE)
			continue;
		if (l->now >= s->deadline) {
			if (s->state == STATE_REST)
				slot_ping(l, s);
			else
				slot_fail(l, s,
					  s->state == STATE_CONNECT || l->opt.udp ? FAIL_TIMEOUT
										  : FAIL_NO_ANSWER);
		}
		if (s->state != STATE_IDLE && s->deadline < l->next_check)
			l->next_check = s->deadline;
	}
}

static bool may_start(const struct load *l)
{
	if (told_to_stop)
		return false;
	if (l->opt.count)
		return l->report.attempted < l->opt.count && (!l->opt.run_ns || l->now < l->end);
	return l->now < l->end;
}

/* A client that fell behind its rate catches up with at most a tenth of a second's worth. */
static void start_due(struct load *l)
{
	uint32_t i = 0;

	if (l->next_start + NS_PER_SEC / 10 < l->now)
		l->next_start = l->now - NS_PER_SEC / 10;

	while (may_start(l) && l->busy < l->opt.concurrency && l->now >= l->next_start) {
		while (l->slots[i].state != STATE_IDLE)
			i = (i + 1) % l->opt.concurrency;
		if (!l->opt.keep)
			l->next_start += l->opt.interval_ns;
		slot_start(l, &l->slots[i]);
	}
}

static struct timespec wait_time(const struct load *l)
{
	uint64_t until = l->next_check, now = clock_ns(), ns;

	if (may_start(l) && l->busy < l->opt.concurrency && l->next_start < until)
		until = l->next_start;
	ns = until <= now ? 0 : until - now > NS_PER_SEC ? NS_PER_SEC : until - now;
	return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
}

/* Connections that are held say their last word now. */
static void stop(struct load *l)
{
	uint32_t i;

	l->end = l->next_check = 0;
	for (i = 0; i < l->opt.concurrency; i++)
		if (l->slots[i].state == STATE_REST)
			l->slots[i].deadline = l->now;
}

static void run(struct load *l)
{
	struct epoll_event events[MAX_EVENTS];
	int i, n;

	l->begun = l->now = l->next_start = clock_ns();
	l->end = l->begun + l->opt.run_ns;
	while (may_start(l) || l->busy) {
		struct timespec wait;

		start_due(l);
		wait = wait_time(l);
		n = epoll_pwait2(l->epoll, events, MAX_EVENTS, &wait, NULL);
		l->now = clock_ns();
		if (told_to_stop && l->end)
			stop(l);
		for (i = 0; i < n; i++)
			slot_event(l, events[i].data.ptr, events[i].events);
		check_deadlines(l);
	}
}

static void on_signal(int signal)
{
	(void)signal;
	told_to_stop = 1;
}

static int setup(struct load *l)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct rlimit limit;
	uint32_t i;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	l->next_check = NEVER;
	l->slots = calloc(l->opt.concurrency, sizeof(*l->slots));
	if (!l->slots)
		return -ENOMEM;
	for (i = 0; i < l->opt.concurrency; i++)
		l->slots[i].fd = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	static struct load l;
	double seconds;
	int err;

	if (options_parse(&l.opt, argc, argv)) {
		fputs(netload_help, stderr);
		return 2;
	}
	pattern_fill();
	err = setup(&l);
	if (err) {
		fprintf(stderr, "netload: cannot start: %s\n", strerror(-err));
		return 1;
	}
	run(&l);
	seconds = (double)(clock_ns() - l.begun) / NS_PER_SEC;
	report_print(&l.report, seconds, l.opt.json);
	return l.report.ok == l.report.attempted ? 0 : 1;
}
