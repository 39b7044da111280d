/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * nearpathd: from a line on its socket to a packet that sees it. The packet is a SYN to the tested
 * service that the pinned ingress program is run on (BPF_PROG_TEST_RUN), again and again, until it
 * comes out with the new endpoint as its destination. The time is from before the line is written
 * until that run has returned.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "change.h"
#include "frame.h"
#include "items.h"
#include "util.h"

#define TCP_SYN	     0x02
#define TICK	     0.001 /* between changes of 1,000 a second */
#define TESTED_EVERY 10	   /* of them is of the tested service */
#define PATIENCE     60	   /* seconds */
#define SLICE	     "{\"kind\":\"EndpointSlice\""
#define APPLY_BEGIN  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"apply\",\"params\":{\"objects\":["
#define REPLACE_BEGIN                                                                              \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"replace\",\"params\":{\"objects\":["
#define CALL_END "]}}\n"
#define ASK	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"iface\"}\n"

struct nearpathd {
	const struct change_config *c;
	long services;
	int round;
	pid_t pid;
	int program; /* np_ingress */
	int fd;	     /* a connection */
	char socket[CHANGE_PATH];
	char status[64];
	char *text; /* the objects */
	size_t size;
	char **slice; /* of the services but the tested one, in text */
	size_t slices;
	uint32_t client; /* of the last packet */
};

static void keep(const struct nearpathd *d, const char *name, const char *unit, double value)
{
	sample(NEARPATH, d->services, d->round, name, unit, value);
}

/* ---- the socket ---- */

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && !connect(fd, (void *)&address, sizeof(address)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void say(int fd, const char *text, size_t length)
{
	ssize_t n;

	for (; length; text += n, length -= (size_t)n) {
		n = send(fd, text, length, MSG_NOSIGNAL);
		if (n <= 0)
			die("nearpathd is gone: %s", strerror(errno));
	}
}

/* Reads a whole answer, which must not be an error. */
static void hear(int fd)
{
	char line[4096];
	size_t used = 0;
	ssize_t n;

	while (!used || line[used - 1] != '\n') {
		if (used == sizeof(line) - 1)
			used = 1024; /* of what is long only the beginning and the end matter */
		n = recv(fd, line + used, sizeof(line) - 1 - used, 0);
		if (n <= 0)
			die("nearpathd does not answer");
		used += (size_t)n;
	}
	line[used] = '\0';
	if (strstr(line, "\"error\""))
		die("nearpathd refused: %.300s", line);
}

/* Another client, which asks for little all the time: how long is it kept waiting? */
struct other {
	pthread_t thread;
	const char *socket;
	double *took;
	size_t count;
	bool stop;
};

#define OTHER_MAX 100000

static void *ask(void *arg)
{
	struct other *o = arg;
	int fd = dial(o->socket);

	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED) && o->count < OTHER_MAX) {
		double began = now();

		say(fd, ASK, strlen(ASK));
		hear(fd);
		o->took[o->count++] = (now() - began) * 1e3;
		usleep(1000);
	}
	close(fd);
	return NULL;
}

/* ---- the daemon ---- */

static uint64_t power_of_two(uint64_t n)
{
	uint64_t p = 65536;

	while (p < n)
		p *= 2;
	return p;
}

/* Until it answers: before, its memory is not yet what it has without services. */
static void wait_for_answer(struct nearpathd *d)
{
	const double end = now() + PATIENCE;

	while ((d->fd = dial(d->socket)) < 0) {
		if (now() > end || kill(d->pid, 0))
			die("nearpathd does not start; see %s/nearpathd.log", d->c->dir);
		usleep(20000);
	}
	say(d->fd, ASK, strlen(ASK));
	hear(d->fd);
}

static void find_program(struct nearpathd *d)
{
	char pattern[CHANGE_PATH];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%.200s/bpf/*/np_ingress", d->c->dir);
	if (glob(pattern, 0, NULL, &found))
		die("no program is pinned as %s", pattern);
	d->program = bpf_obj_get(found.gl_pathv[0]);
	globfree(&found);
	if (d->program < 0)
		die("cannot open the ingress program: %s", strerror(errno));
}

/* On these CPUs, and no others. */
static void place(pid_t pid, size_t first, size_t last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (size_t i = first; i <= last; i++)
		CPU_SET(i, &set);
	sched_setaffinity(pid, sizeof(set), &set);
}

/* Not --sock: its programs would be every process's of the machine. */
static void start(struct nearpathd *d, long endpoints)
{
	char program[CHANGE_PATH], bpffs[CHANGE_PATH], state[CHANGE_PATH], log[CHANGE_PATH];
	char services[32], backends[32], slots[32];
	const uint64_t ends = (uint64_t)(d->services * endpoints);
	const char *argv[] = {program,	 "--node-name",
			      "bench",	 "--bpffs",
			      bpffs,	 "--state-dir",
			      state,	 "--socket",
			      d->socket, "--sock",
			      "off",	 "--ifaces",
			      "veth0",	 "--uplinks",
			      "none",	 "--max-services",
			      services,	 "--max-backends",
			      backends,	 "--max-slots",
			      slots,	 "--healthz-bind-address",
			      "",	 "--metrics-bind-address",
			      "",	 NULL};

	snprintf(program, sizeof(program), "%.200s/nearpathd", d->c->build);
	snprintf(bpffs, sizeof(bpffs), "%.200s/bpf", d->c->dir);
	snprintf(state, sizeof(state), "%.200s/state", d->c->dir);
	snprintf(log, sizeof(log), "%.200s/nearpathd.log", d->c->dir);
	snprintf(d->socket, sizeof(d->socket), "%.80s/socket", d->c->dir);
	snprintf(services, sizeof(services), "%lu", power_of_two((uint64_t)d->services * 5 / 2));
	snprintf(backends, sizeof(backends), "%lu", power_of_two(ends + ends / 50));
	snprintf(slots, sizeof(slots), "%lu", power_of_two((uint64_t)d->services * 40));
	d->pid = spawn(argv, NULL, log);
	snprintf(d->status, sizeof(d->status), "/proc/%d/status", d->pid);
	wait_for_answer(d);
	find_program(d);
}

static void stop(struct nearpathd *d)
{
	close(d->fd);
	close(d->program);
	kill(d->pid, SIGTERM);
	reap(d->pid, PATIENCE, NULL);
	shell("umount %s/bpf; rm -rf %s/bpf %s/state", d->c->dir, d->c->dir, d->c->dir);
	free(d->slice);
	free(d->text);
}

#define MAPS_MOST 256

/* Bytes of the BPF maps that the daemon has open, each perhaps several times, as the kernel counts.
 */
static double map_bytes(pid_t pid)
{
	char dir[64], path[400];
	long seen[MAPS_MOST], id;
	struct dirent *entry;
	size_t n = 0, i;
	double sum = 0;
	DIR *list;

	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", pid);
	list = opendir(dir);
	while (list && (entry = readdir(list))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		id = proc_number(path, "map_id");
		for (i = 0; i < n && seen[i] != id; i++)
			;
		if (!id || i < n || n == MAPS_MOST)
			continue;
		seen[n++] = id;
		sum += (double)proc_number(path, "memlock");
	}
	if (list)
		closedir(list);
	return sum;
}

static double cpu_seconds(pid_t pid)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;
	const char *rest;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		die("nearpathd is gone");
	fclose(file);
	rest = strrchr(line, ')');
	sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- packets ---- */

/* A SYN from a client that was not there before; returns whom it goes to. */
static uint32_t destination(struct nearpathd *d)
{
	struct __sk_buff context = {.ifindex = if_nametoindex("veth0")};
	struct end client = {.port = (uint16_t)(1024 + d->client % 60000)};
	struct end service = {.port = 80};
	struct frame frame;
	uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .data_in = frame.byte, .data_out = out, .data_size_out = sizeof(out),
		    .repeat = 1);
	int rc;

	client.addr.v4 = htonl(0xC0000202U + d->client++ / 60000); /* 192.0.2.2 and so on */
	service.addr.v4 = htonl(TESTED_IP);
	frame_make(&frame, NP_IPV4, IPPROTO_TCP, TCP_SYN, &client, &service);
	o.data_size_in = frame.length;
	rc = bpf_prog_test_run_opts(d->program, &o);
	if (rc)
		die("cannot run the program: %s", strerror(-rc));
	return ntohl(((const struct iphdr *)(out + ETH_HLEN))->daddr);
}

/* When a packet came out with this destination, or (0) with the service's own. */
static double seen(struct nearpathd *d, uint32_t wanted)
{
	const double end = now() + PATIENCE;

	while (destination(d) != (wanted ?: TESTED_IP))
		if (now() > end)
			die("no packet sees the change");
	return now();
}

/* ---- what is measured ---- */

static void read_objects(struct nearpathd *d, const char *path)
{
	char *line;

	d->text = slurp(path, &d->size);
	d->slice = calloc((size_t)d->services * 2 + 1, sizeof(*d->slice));
	for (line = d->text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, SLICE, strlen(SLICE)))
			d->slice[d->slices++] = line;
		else if (!*line)
			break;
	}
	d->slices--; /* the tested service's is the last */
}

/* The line that has it all; the text's own line ends are as good as spaces. */
static char *replace_line(const struct nearpathd *d, size_t *length)
{
	char *line = malloc(d->size + 256), *end;
	size_t n = strlen(REPLACE_BEGIN);

	memcpy(line, REPLACE_BEGIN, n);
	memcpy(line + n, d->text, d->size);
	for (char *c = line; c < line + n + d->size; c++)
		*c = *c == '\n' ? ' ' : *c;
	end = line + n + d->size;
	memcpy(end, CALL_END, strlen(CALL_END));
	*length = (size_t)(end - line) + strlen(CALL_END);
	return line;
}

/* What parsing costs by itself, in this process: the objects one by one, as the daemon does it. */
static double parse_seconds(const char *line, size_t length)
{
	struct items *items = NULL;
	struct item item;
	json_error_t why;
	double began = now();
	int rc = items_open(line, length - 1, &items, &why);

	while (!rc && (rc = items_next(items, &item, &why)) > 0) {
		json_decref(item.json);
		rc = 0;
	}
	items_free(&items);
	if (rc)
		die("the objects are no JSON: %s", why.text);
	return now() - began;
}

static void full_load(struct nearpathd *d)
{
	struct other other = {.socket = d->socket, .took = calloc(OTHER_MAX, sizeof(double))};
	const double base = (double)proc_number(d->status, "RssAnon");
	double began, written, answered, parse, cpu = cpu_seconds(d->pid);
	size_t length;
	char *line = replace_line(d, &length);

	parse = parse_seconds(line, length);
	pthread_create(&other.thread, NULL, ask, &other);
	began = now();
	say(d->fd, line, length);
	written = now();
	hear(d->fd);
	answered = now();
	__atomic_store_n(&other.stop, true, __ATOMIC_RELAXED);
	pthread_join(other.thread, NULL);
	cpu = cpu_seconds(d->pid) - cpu;
	keep(d, "full load", "s", answered - began);
	keep(d, "of that, until written", "s", written - began);
	keep(d, "parsing the JSON alone", "s", parse);
	keep(d, "full load beyond that", "s", answered - began - parse);
	keep(d, "full load, CPU", "s", cpu);
	keep(d, "others wait then, p99", "ms", percentile(other.took, other.count, 0.99));
	keep(d, "others wait then, max", "ms", percentile(other.took, other.count, 1));
	keep(d, "memory above the base", "MiB",
	     ((double)proc_number(d->status, "RssAnon") - base) / 1024);
	keep(d, "peak memory", "MiB", (double)proc_number(d->status, "VmHWM") / 1024);
	keep(d, "kernel memory", "MiB", map_bytes(d->pid) / 1048576);
	free(other.took);
	free(line);
}

static size_t tested_line(char *line, size_t size, uint32_t backend)
{
	return (size_t)snprintf(
		line, size,
		APPLY_BEGIN
		"{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{"
		"\"name\":\"tested-0\",\"namespace\":\"bench\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"tested\"}},\"addressType\":\"IPv4\",\"ports\":[{"
		"\"name\":\"http\",\"protocol\":\"TCP\",\"port\":8080}],\"endpoints\":[{"
		"\"addresses\":[\"%u.%u.%u.%u\"],\"conditions\":{\"ready\":true},\"nodeName\":"
		"\"node-0\",\"zone\":\"zone-a\"}]}" CALL_END,
		backend >> 24, backend >> 16 & 255, backend >> 8 & 255, backend & 255);
}

static uint32_t backend_of(long turn)
{
	return TESTED_BACKENDS + 1 + (uint32_t)turn % 2;
}

static void one_endpoint(struct nearpathd *d)
{
	double *visible = calloc((size_t)d->c->changes, sizeof(double));
	double *answered = calloc((size_t)d->c->changes, sizeof(double));
	size_t n = (size_t)d->c->changes;
	char line[2048];
	double began;

	for (int i = 0; i < d->c->changes; i++) {
		const size_t length = tested_line(line, sizeof(line), backend_of(i));

		began = now();
		say(d->fd, line, length);
		visible[i] = (seen(d, backend_of(i)) - began) * 1e3;
		hear(d->fd);
		answered[i] = (now() - began) * 1e3;
	}
	keep(d, "one endpoint, p50", "ms", percentile(visible, n, 0.5));
	keep(d, "one endpoint, p99", "ms", percentile(visible, n, 0.99));
	keep(d, "one endpoint, max", "ms", percentile(visible, n, 1));
	keep(d, "one endpoint, answered, p50", "ms", percentile(answered, n, 0.5));
	free(visible);
	free(answered);
}

static void one_service(struct nearpathd *d)
{
	static const char gone[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"delete\",\"params\":{\"objects\":[{"
		"\"kind\":\"Service\",\"metadata\":{\"namespace\":\"bench\",\"name\":\"tested\"}}"
		"]}}\n";
	static const char there[] = APPLY_BEGIN
		"{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"tested\","
		"\"namespace\":\"bench\"},\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":"
		"\"TCP\",\"port\":80,\"targetPort\":8080}],\"clusterIP\":\"10.96.0.1\","
		"\"clusterIPs\":[\"10.96.0.1\"],\"type\":\"ClusterIP\"}}" CALL_END;
	const int n = d->c->changes / 4;
	const uint32_t backend = backend_of(d->c->changes - 1);
	double *visible = calloc((size_t)n, sizeof(double)), began;

	for (int i = 0; i < n; i++) {
		say(d->fd, gone, strlen(gone));
		seen(d, 0);
		hear(d->fd);
		began = now();
		say(d->fd, there, strlen(there));
		visible[i] = (seen(d, backend) - began) * 1e3;
		hear(d->fd);
	}
	keep(d, "one service, p50", "ms", percentile(visible, (size_t)n, 0.5));
	keep(d, "one service, max", "ms", percentile(visible, (size_t)n, 1));
	free(visible);
}

/* One endpoint of a service at random is ready no more, or again. */
static size_t other_line(const struct nearpathd *d, char *line, size_t size, bool ready)
{
	const char *slice = d->slice[(size_t)random() % d->slices];
	const char *end = strchr(slice, '\n');
	const char *word = strstr(slice, "\"ready\":true");

	end -= end[-1] == ',';
	return (size_t)snprintf(line, size, "%s%.*s\"ready\":%s%.*s%s", APPLY_BEGIN,
				(int)(word - slice), slice, ready ? "true" : "false",
				(int)(end - word) - 12, word + 12, CALL_END);
}

static size_t count_answers(int fd, int flags)
{
	char answers[65536];
	ssize_t n = recv(fd, answers, sizeof(answers), flags);
	size_t count = 0;

	if (n > 0 && memmem(answers, (size_t)n, "\"error\"", 7))
		die("nearpathd refused a change");
	if (!n)
		die("nearpathd is gone");
	for (ssize_t i = 0; i < n; i++)
		count += answers[i] == '\n';
	return count;
}

/* The lines are written when their time has come, whether or not others are answered by then. */
static void many_changes(struct nearpathd *d)
{
	const long changes = d->c->seconds * 1000L;
	double *visible = calloc((size_t)changes, sizeof(double));
	double cpu = cpu_seconds(d->pid), began = now(), written, late = 0;
	size_t n = 0, answers = 0;
	char line[1 << 16];

	for (long i = 0; i < changes; i++) {
		const bool tested = i % TESTED_EVERY == 0;
		const uint32_t backend = backend_of(i / TESTED_EVERY);
		const size_t length = tested ? tested_line(line, sizeof(line), backend)
					     : other_line(d, line, sizeof(line), i / 1000 % 2);

		while (now() < began + (double)i * TICK)
			;
		written = now();
		late = written - began - (double)i * TICK;
		say(d->fd, line, length);
		if (tested)
			visible[n++] = (seen(d, backend) - written) * 1e3;
		answers += count_answers(d->fd, MSG_DONTWAIT);
	}
	while (answers < (size_t)changes)
		answers += count_answers(d->fd, 0);
	written = now() - began;
	keep(d, "at 1,000 changes a second, p50", "ms", percentile(visible, n, 0.5));
	keep(d, "at 1,000 changes a second, p99", "ms", percentile(visible, n, 0.99));
	keep(d, "at 1,000 changes a second, max", "ms", percentile(visible, n, 1));
	keep(d, "changes a second, answered", "per_s", (double)changes / written);
	keep(d, "the last one was written late by", "ms", late * 1e3);
	keep(d, "CPU of the daemon then", "percent", (cpu_seconds(d->pid) - cpu) / written * 100);
	free(visible);
}

void nearpath_measure(const struct change_config *c, long services, int round)
{
	struct nearpathd d = {.c = c, .services = services, .round = round};
	const size_t last = (size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	char path[CHANGE_PATH];

	progress("  nearpath, %ld services, round %d", services, round + 1);
	objects_make(c, services, c->endpoints, path);
	start(&d, c->endpoints);
	read_objects(&d, path);
	full_load(&d);
	/* The daemon on the last CPU, what measures on the first: neither waits for the other's. */
	place(d.pid, last, last);
	place(0, 0, 0);
	seen(&d, TESTED_BACKENDS);
	one_endpoint(&d);
	one_service(&d);
	many_changes(&d);
	place(0, 0, last);
	stop(&d);
}

/* Memory after a load, above what the daemon has before. */
static double loaded_bytes(const struct change_config *c, long services, long endpoints)
{
	struct nearpathd d = {.c = c, .services = services};
	char path[CHANGE_PATH], *line;
	double base, loaded;
	size_t length;

	objects_make(c, services, endpoints, path);
	start(&d, endpoints);
	read_objects(&d, path);
	base = (double)proc_number(d.status, "RssAnon");
	line = replace_line(&d, &length);
	say(d.fd, line, length);
	hear(d.fd);
	loaded = (double)proc_number(d.status, "RssAnon");
	free(line);
	stop(&d);
	return (loaded - base) * 1024;
}

#define SLOPE_SERVICES 5000

void nearpath_slopes(const struct change_config *c)
{
	const double few = loaded_bytes(c, SLOPE_SERVICES, 1);
	const double many = loaded_bytes(c, SLOPE_SERVICES, 21);
	const double endpoint = (many - few) / (SLOPE_SERVICES * 20.0);

	progress("  memory by numbers of endpoints");
	sample(NEARPATH, SLOPE_SERVICES, 0, "memory of an endpoint", "bytes", endpoint);
	sample(NEARPATH, SLOPE_SERVICES, 0, "memory of a service", "bytes",
	       few / SLOPE_SERVICES - endpoint);
}
