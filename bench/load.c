/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The load of bench/connect.sh: a server that gives back what it gets, and a client in a closed
 * loop: one connection, or one message, at a time. The client waits for lines on stdin and answers
 * each with a line of JSON, so that clients in many namespaces can take turns of some milliseconds
 * without being started anew.
 *
 * A connection is: socket(), connect(), a byte to the server, the byte back, close() by RST (so
 * that no port stays in TIME_WAIT). Its latency ends with the byte; its rate and CPU have all of
 * it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC  1000000000ULL
#define NS_PER_MS   1000000ULL
#define WARM_NS	    (5 * NS_PER_MS) /* at the start of each turn: not counted */
#define SAMPLES_MAX (1 << 20)
#define TIMEOUT_SEC 3
#define CLOCKS_MAX  4
#define LINE_SIZE   64

struct options {
	struct sockaddr_in address;
	bool server;
	int cpu;		      /* -1: any */
	clockid_t clocks[CLOCKS_MAX]; /* CPU time of the other processes that have a part in it */
	int clock_count;
};

/* What one turn of a client found. */
struct turn {
	uint64_t wall_ns;
	uint64_t cpu_ns;
	size_t count;
	uint32_t ns[SAMPLES_MAX];
};

static struct turn turn;

static void usage(void)
{
	fputs("usage: load -s [-c CPU] ADDRESS:PORT\n"
	      "       load [-c CPU] [-p PID]... ADDRESS:PORT\n"
	      "With -s the server, which prints \"ready\" once it listens; else the client, which "
	      "reads\n"
	      "lines \"connections MS\" (one after the other for so long) and \"transactions MS\" "
	      "(a byte\n"
	      "there and back on one open connection) and answers each with an object of JSON.\n"
	      "  -c  run on this CPU\n"
	      "  -p  the CPU time of this process counts too (the server, ksoftirqd of the CPU)\n",
	      stderr);
	exit(2);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/*
 * Of this process and the others. Interrupts and softirqs count to the process that they interrupt
 * (but for kernels with IRQ_TIME_ACCOUNTING, where they are missing).
 */
static uint64_t cpu_ns(const struct options *o)
{
	uint64_t sum = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < o->clock_count; i++)
		sum += clock_ns(o->clocks[i]);
	return sum;
}

/* --- server ----------------------------------------------------------------------------------- */

static void serve_one(int fd)
{
	char buffer[256];
	int one = 1;
	ssize_t n;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
}

static int serve(const struct options *o)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&o->address, sizeof(o->address)) ||
	    listen(fd, 1024)) {
		fprintf(stderr, "load: cannot listen: %s\n", strerror(errno));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while ((peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
	       errno == ECONNABORTED)
		if (peer >= 0)
			serve_one(peer);
	fprintf(stderr, "load: cannot accept: %s\n", strerror(errno));
	return 1;
}

/* --- client ----------------------------------------------------------------------------------- */

/* A connected socket that close() will reset, or -errno. */
static int open_connection(const struct options *o)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct timeval timeout = {.tv_sec = TIMEOUT_SEC};
	int one = 1, err, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!connect(fd, (const struct sockaddr *)&o->address, sizeof(o->address)))
		return fd;
	err = errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(fd);
	return -err;
}

static int exchange(int fd)
{
	char byte = 'x';
	ssize_t n;

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return -errno;
	n = recv(fd, &byte, 1, 0);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return n ? 0 : -ECONNRESET;
}

/* One connection, its latency in *took. */
static int connection(const struct options *o, int unused, uint64_t *took)
{
	uint64_t begun = now_ns();
	int err, fd = open_connection(o);

	(void)unused;
	if (fd < 0)
		return fd;
	err = exchange(fd);
	*took = now_ns() - begun;
	close(fd);
	return err;
}

static int transaction(const struct options *o, int fd, uint64_t *took)
{
	uint64_t begun = now_ns();
	int err = exchange(fd);

	(void)o;
	*took = now_ns() - begun;
	return err;
}

typedef int step_fn(const struct options *o, int fd, uint64_t *took);

static int run_for(const struct options *o, step_fn *step, int fd, uint64_t ns, struct turn *t)
{
	uint64_t begun = now_ns(), cpu, took = 0, now;
	int err;

	do {
		err = step(o, fd, &took);
	} while (!err && now_ns() - begun < WARM_NS);
	t->count = 0;
	cpu = cpu_ns(o);
	begun = now = now_ns();
	while (!err && now - begun < ns && t->count < SAMPLES_MAX) {
		err = step(o, fd, &took);
		t->ns[t->count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
		now = now_ns();
	}
	t->wall_ns = now - begun;
	t->cpu_ns = cpu_ns(o) - cpu;
	return err;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The smallest that at least this share of all does not exceed. */
static double percentile_us(const struct turn *t, unsigned int per_mille)
{
	size_t rank = (t->count * per_mille + 999) / 1000;

	return t->ns[rank ? rank - 1 : 0] / 1e3;
}

static void print_turn(struct turn *t, const char *plural, const char *one, const char *latency)
{
	static const struct {
		const char *name;
		unsigned int per_mille;
	} percentiles[] = {{"p50", 500}, {"p90", 900}, {"p95", 950}, {"p99", 990}, {"p999", 999}};
	double count = (double)t->count, wall = (double)t->wall_ns, cpu = (double)t->cpu_ns;

	qsort(t->ns, t->count, sizeof(t->ns[0]), compare);
	printf("{\"%s\":%zu,\"%s_per_s\":%.1f", plural, t->count, plural, count * 1e9 / wall);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		printf(",\"%s_us_%s\":%.3f", latency, percentiles[i].name,
		       percentile_us(t, percentiles[i].per_mille));
	printf(",\"cpu_us_per_%s\":%.3f,\"%s_busy\":%.4f}\n", one, cpu / 1e3 / count, plural,
	       cpu / wall);
}

static int run_connections(const struct options *o, uint64_t ns)
{
	int err = run_for(o, connection, -1, ns, &turn);

	if (!err)
		print_turn(&turn, "connections", "connection", "connect");
	return err;
}

static int run_transactions(const struct options *o, uint64_t ns)
{
	int err, fd = open_connection(o);

	if (fd < 0)
		return fd;
	err = run_for(o, transaction, fd, ns, &turn);
	close(fd);
	if (!err)
		print_turn(&turn, "transactions", "transaction", "transaction");
	return err;
}

/* A line that it cannot carry out is answered by its error, and ends nothing. */
static int client(const struct options *o)
{
	char line[LINE_SIZE], word[LINE_SIZE];
	unsigned int ms;
	int err;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%63s %u", word, &ms) != 2 || !ms)
			err = -EINVAL;
		else if (!strcmp(word, "connections"))
			err = run_connections(o, ms * NS_PER_MS);
		else if (!strcmp(word, "transactions"))
			err = run_transactions(o, ms * NS_PER_MS);
		else
			err = -EINVAL;
		if (err)
			printf("{\"error\":\"%s\"}\n", strerror(-err));
		fflush(stdout);
	}
	return 0;
}

/* --- options ---------------------------------------------------------------------------------- */

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return;
	fprintf(stderr, "load: CPU %d: %s\n", cpu, strerror(errno));
	exit(1);
}

static int parse_address(const char *text, struct sockaddr_in *address)
{
	const char *colon = strrchr(text, ':');
	char ip[INET_ADDRSTRLEN];
	long port = colon ? strtol(colon + 1, NULL, 10) : 0;

	if (port < 1 || port > 65535 || colon - text >= (int)sizeof(ip))
		return -EINVAL;
	snprintf(ip, sizeof(ip), "%.*s", (int)(colon - text), text);
	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, ip, &address->sin_addr) == 1 ? 0 : -EINVAL;
}

static void add_process(struct options *o, pid_t pid)
{
	int err = o->clock_count < CLOCKS_MAX ? clock_getcpuclockid(pid, &o->clocks[o->clock_count])
					      : E2BIG;

	if (err) {
		fprintf(stderr, "load: process %d: %s\n", (int)pid, strerror(err));
		exit(1);
	}
	o->clock_count++;
}

static void parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "sc:p:h")) != -1) {
		if (c == 's')
			o->server = true;
		else if (c == 'c')
			o->cpu = atoi(optarg);
		else if (c == 'p')
			add_process(o, atoi(optarg));
		else
			usage();
	}
	if (argc - optind != 1 || parse_address(argv[optind], &o->address))
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {.cpu = -1};

	parse_options(argc, argv, &o);
	if (o.cpu >= 0)
		run_on(o.cpu);
	return o.server ? serve(&o) : client(&o);
}
