/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Races in the flow table: threads run the loaded tc and XDP programs on the same few flows in a
 * small table, while user space ends, expires and moves flows and publishes services anew. The
 * invariants (check.h) are looked at all the time, and every other second with all writers stopped;
 * every packet that comes out is checked (traffic.h). Prints counts; exit status 1 if anything was
 * violated.
 *
 * With --watch DIR it only looks, at tables that a running nearpathd has pinned there.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../packet/netns.h"
#include "check.h"
#include "flowtable.h"
#include "flows.h"
#include "traffic.h"
#include "util.h"

#define THREADS_MAX	    4
#define SLOW		    4 /* threads more, that are slow CPUs */
#define SECONDS_OF(what, s) [NP_FLOW_##what] = (s)

/* Short, so that flows expire all the time, but longer than a thread may be kept waiting. */
static const uint32_t flow_seconds[NP_FLOW_STATES_ROOM] = {
	SECONDS_OF(TCP_SYN_SENT, 1),  SECONDS_OF(TCP_SYN_RECV, 1),   SECONDS_OF(TCP_ESTABLISHED, 8),
	SECONDS_OF(TCP_FIN_WAIT, 1),  SECONDS_OF(TCP_CLOSE_WAIT, 1), SECONDS_OF(TCP_LAST_ACK, 1),
	SECONDS_OF(TCP_TIME_WAIT, 1), SECONDS_OF(TCP_CLOSE, 1),	     SECONDS_OF(UDP, 1),
	SECONDS_OF(UDP_REPLIED, 1),   SECONDS_OF(UDP_STREAM, 1),
};

struct options {
	unsigned seconds;
	unsigned threads;
	uint32_t records;
	const char *watch;
};

struct writer_counts {
	uint64_t expired, ended, moved, not_moved, marked, published;
};

static struct stress {
	struct options options;
	struct tables *tables;
	struct netns ns;
	struct traffic traffic[THREADS_MAX + SLOW];
	pthread_barrier_t stop, go;
	struct writer_counts writer;
	struct check_counts running, stopped;
	uint32_t live[2];
	bool pause, end; /* atomic; what the threads look at between two steps */
} stress;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static bool flag(const bool *b)
{
	return __atomic_load_n(b, __ATOMIC_ACQUIRE);
}

/* Between two steps: wait while everybody is looked at. False: the end. */
static bool go_on(void)
{
	if (!flag(&stress.pause))
		return true;
	pthread_barrier_wait(&stress.stop);
	pthread_barrier_wait(&stress.go);
	return !flag(&stress.end);
}

static void *run_traffic(void *arg)
{
	struct traffic *t = arg;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(t->number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &cpu);
	pthread_setaffinity_np(pthread_self(), sizeof(cpu), &cpu);
	while (go_on())
		traffic_step(t);
	return NULL;
}

/* Is it a flow that all threads use? Kept connections are not to be touched. */
static bool is_shared(const struct flowtable_flow *f)
{
	struct end client = {f->addr[NP_CLIENT], ntohs(f->port[NP_CLIENT])};
	int n = client_of(f->family, &client);

	return n >= 0 && n < SHARED;
}

/* A flow ends here and is inserted as it was: what a migration does, in one table. */
static void end_or_move(int family, uint32_t number, bool move)
{
	struct flowtable_flow f;
	uint32_t seq;

	if (flowtable_read(stress.tables, family, number, &f, &seq) || !is_shared(&f) ||
	    flowtable_end(stress.tables, family, number, seq))
		return;
	if (!move)
		stress.writer.ended++;
	else if (flowtable_insert(stress.tables, &f, NULL))
		stress.writer.not_moved++; /* its tuple or its place was taken at once */
	else
		stress.writer.moved++;
}

/* Half of the clients of UDP begin anew; TCP is left as it is. */
static enum flow_fate judge(const struct flow_ends *ends, void *arg)
{
	(void)arg;
	if (ends->protocol != IPPROTO_UDP)
		return FLOW_LEAVE;
	return ntohs(ends->backend_port) % 2 ? FLOW_STAYS : FLOW_DEPARTED;
}

static void write_some(unsigned round)
{
	int family = round % 2 ? NP_IPV6 : NP_IPV4;

	for (uint32_t n = 0; n < stress.options.records; n++)
		stress.writer.expired += !flowtable_expire(stress.tables, family, n);
	for (unsigned i = 0; i < 64; i++)
		end_or_move(family, (uint32_t)random() & (stress.options.records - 1), i % 2);
	if (round % 8 == 0) {
		flows_mark(stress.tables, judge, NULL);
		stress.writer.marked++;
	}
	if (round % 16 == 0 && !world_publish(stress.tables, round / 16))
		stress.writer.published++;
}

static void *run_writer(void *arg)
{
	unsigned round = 0;

	(void)arg;
	while (go_on())
		write_some(round++);
	return NULL;
}

static void *run_checker(void *arg)
{
	(void)arg;
	while (go_on()) {
		check_running(stress.tables, NP_IPV4, &stress.running);
		check_running(stress.tables, NP_IPV6, &stress.running);
	}
	return NULL;
}

/* Not pinned: they are to be interrupted, and to run where the others do not. */
static void *run_slow(void *arg)
{
	while (go_on())
		traffic_slow_step(arg);
	return NULL;
}

static void *(*const others[])(void *) = {run_writer, run_checker};

/* Stop everybody, look, and go on or end. */
static void look_stopped(bool end)
{
	__atomic_store_n(&stress.pause, true, __ATOMIC_RELEASE);
	pthread_barrier_wait(&stress.stop);
	check_stopped(stress.tables, NP_IPV4, &stress.stopped, &stress.live[0]);
	check_stopped(stress.tables, NP_IPV6, &stress.stopped, &stress.live[1]);
	__atomic_store_n(&stress.end, end, __ATOMIC_RELEASE);
	__atomic_store_n(&stress.pause, false, __ATOMIC_RELEASE);
	pthread_barrier_wait(&stress.go);
}

static struct np_iface iface_entry(uint32_t ifindex)
{
	return (struct np_iface){.ifindex = ifindex,
				 .lb = NP_LB_ON,
				 .flags = NP_IFACE_XDP | NP_IFACE_XDP_NATIVE,
				 .l2_len = ETH_HLEN,
				 .mtu = 1500,
				 .mac = FRAME_MAC};
}

static int open_world(void)
{
	const struct tables_options o = {.max_flows = stress.options.records,
					 .max_services = 256,
					 .max_slots = 1024,
					 .max_backends = 64,
					 .max_affinity = 64,
					 .flow_seconds = flow_seconds,
					 .snat_port_first = SNAT_FIRST,
					 .snat_port_count = SNAT_COUNT};
	const char *why = "";
	int rc = netns_enter(&stress.ns);

	rc = rc ?: tables_open(&o, &stress.tables, &why);
	rc = rc ?: netns_attach(&stress.ns, stress.tables->xdp_fd);
	if (rc) {
		fprintf(stderr, "stress: %s\n", *why ? why : strerror(-rc));
		return rc;
	}
	stress.tables->config->pod_prefix4 =
		(struct np_prefix){{htonl(0x0AF40000)}, {htonl(0xFFFF0000)}};
	stress.tables->config->pod_prefix6 = (struct np_prefix){
		{htonl(0xFD000010), htonl(0x02440000)}, {htonl(0xFFFFFFFF), htonl(0xFFFF0000)}};
	stress.tables->config->detector = NP_DETECT_BY_PREFIX;
	stress.tables->ifaces[stress.ns.uplink] = iface_entry(stress.ns.uplink);
	stress.tables->ifaces[stress.ns.second] = iface_entry(stress.ns.second);
	return world_publish(stress.tables, 0);
}

static uint64_t counter(enum np_reason reason)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < stress.tables->size[TABLE_stats]; cpu++)
		for (unsigned hook = 0; hook < NP_HOOKS; hook++)
			sum += stress.tables->stats[cpu].packets[hook][reason];
	return sum;
}

#define PRINT(name, value) printf("%-34s %12llu\n", name, (unsigned long long)(value))

/* Sums of all threads; returns the violations. */
static uint64_t print_traffic(void)
{
	struct traffic_counts sum = {0};

	for (unsigned i = 0; i < stress.options.threads + SLOW; i++) {
		const struct traffic_counts *c = &stress.traffic[i].counts;

		for (unsigned hook = 0; hook < NP_HOOKS; hook++)
			sum.packets[hook] += c->packets[hook];
		sum.translated += c->translated;
		sum.passed += c->passed;
		sum.dropped += c->dropped;
		sum.kept += c->kept;
		sum.conversations += c->conversations;
		sum.slow += c->slow;
		sum.slow_opened += c->slow_opened;
		sum.violations += c->violations;
	}
	PRINT("packets, tc ingress", sum.packets[NP_HOOK_INGRESS]);
	PRINT("packets, tc egress", sum.packets[NP_HOOK_EGRESS]);
	PRINT("packets, XDP", sum.packets[NP_HOOK_XDP]);
	PRINT("translated", sum.translated);
	PRINT("passed, of no flow", sum.passed);
	PRINT("dropped", sum.dropped);
	PRINT("connections kept to their end", sum.conversations);
	PRINT("packets of theirs", sum.kept);
	PRINT("packets of slow CPUs", sum.slow);
	PRINT("flows created by them", sum.slow_opened);
	return sum.violations;
}

static int report(void)
{
	uint64_t violations = print_traffic();
	const struct writer_counts *w = &stress.writer;

	PRINT("flows created", counter(NP_REASON_NEW_FLOW));
	PRINT("evicted", counter(NP_REASON_EVICTED));
	PRINT("races lost", counter(NP_REASON_RACE_LOST));
	PRINT("table full", counter(NP_REASON_FLOWS_FULL));
	PRINT("no source port", counter(NP_REASON_NO_SNAT_PORT));
	PRINT("source port moved", counter(NP_REASON_PORT_MOVED));
	PRINT("expired by user space", w->expired);
	PRINT("ended by user space", w->ended);
	PRINT("migrated by user space", w->moved);
	PRINT("not migrated, taken meanwhile", w->not_moved);
	PRINT("times that UDP flows were marked", w->marked);
	PRINT("services published anew", w->published * SERVICES);
	PRINT("records looked at, running", stress.running.records);
	PRINT("index entries looked at, running", stress.running.entries);
	PRINT("records looked at, stopped", stress.stopped.records);
	PRINT("flows at the end", stress.live[0] + stress.live[1]);
	violations += stress.running.violations + stress.stopped.violations;
	PRINT("violations", violations);
	return violations ? 1 : 0;
}

/* Thread number i of all. */
static int start(pthread_t *thread, unsigned i)
{
	unsigned traffic = stress.options.threads + SLOW;
	void *arg = i < traffic ? &stress.traffic[i] : NULL;

	if (i < traffic && traffic_init(arg, stress.tables, stress.ns.uplink, i))
		return -ENOMEM;
	return -pthread_create(thread, NULL,
			       i < stress.options.threads ? run_traffic
			       : i < traffic		  ? run_slow
							  : others[i - traffic],
			       arg);
}

static int run(void)
{
	pthread_t thread[THREADS_MAX + SLOW + ARRAY_SIZE(others)];
	unsigned count = stress.options.threads + SLOW + ARRAY_SIZE(others), i;
	double end;

	if (open_world())
		return 1;
	pthread_barrier_init(&stress.stop, NULL, count + 1);
	pthread_barrier_init(&stress.go, NULL, count + 1);
	end = now() + stress.options.seconds;
	for (i = 0; i < count; i++)
		if (start(&thread[i], i))
			return 1;
	while (now() < end) {
		sleep(1);
		look_stopped(now() >= end);
	}
	for (i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < stress.options.threads + SLOW; i++)
		traffic_free(&stress.traffic[i]);
	return report();
}

static void on_signal(int number)
{
	(void)number;
	__atomic_store_n(&stress.end, true, __ATOMIC_RELEASE);
}

/* Other processes write: look until the time is over, or a signal, and then once more. */
static int watch(void)
{
	const struct tables_options o = {.bpffs = stress.options.watch,
					 .max_flows = stress.options.records,
					 .max_services = 256,
					 .max_slots = 1024,
					 .max_backends = 64,
					 .sock = true};
	double end = now() + stress.options.seconds;
	const char *why;

	if (tables_open(&o, &stress.tables, &why)) {
		fprintf(stderr, "stress: %s\n", why);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	printf("ready\n");
	fflush(stdout);
	while (now() < end && !flag(&stress.end)) {
		check_running(stress.tables, NP_IPV4, &stress.running);
		check_running(stress.tables, NP_IPV6, &stress.running);
	}
	PRINT("records looked at, running", stress.running.records);
	PRINT("index entries looked at, running", stress.running.entries);
	PRINT("violations", stress.running.violations);
	return stress.running.violations ? 1 : 0;
}

static void usage(FILE *f)
{
	fputs("Usage: stress [--seconds N] [--threads N] [--records N] [--watch DIR]\n"
	      "  --seconds N   how long; default 20\n"
	      "  --threads N   that run the programs, 1 to 4, over all CPUs; default 4\n"
	      "  --records N   of each family, a power of two; default 1024\n"
	      "  --watch DIR   only look at the tables of a nearpathd with --bpffs DIR\n",
	      f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
						{"threads", required_argument, NULL, 't'},
						{"records", required_argument, NULL, 'r'},
						{"watch", required_argument, NULL, 'w'},
						{"help", no_argument, NULL, 'h'},
						{}};
	struct options *o = &stress.options;
	int c;

	*o = (struct options){.seconds = 20, .threads = THREADS_MAX, .records = 1024};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's') {
			o->seconds = strtoul(optarg, NULL, 10);
		} else if (c == 't') {
			o->threads = strtoul(optarg, NULL, 10);
		} else if (c == 'r') {
			o->records = strtoul(optarg, NULL, 10);
		} else if (c == 'w') {
			o->watch = optarg;
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind < argc || !o->threads || o->threads > THREADS_MAX || !o->records ||
	    o->records & (o->records - 1)) {
		usage(stderr);
		return 2;
	}
	return o->watch ? watch() : run();
}
