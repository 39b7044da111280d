/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packets a second that one core forwards between uplinks: NodePort traffic to backends on other
 * nodes, and their replies, as frames that come in at an uplink (bench/live.h) and are counted
 * where they arrive, at the far end of the link they left by. By nearpath's XDP program and its tc
 * programs, by iptables rules as kube-proxy's, and by an XDP program that does nothing but
 * redirect, which is as fast as the links go. Each has a network namespace of its own, all alike;
 * they take turns, in another order every round.
 */
#include <getopt.h>
#include <jansson.h>
#include <fcntl.h>
#include <sched.h>

#include "../selftests/packet/netns.h"
#include "machine.h"
#include "nodeport.h"
#include "number.h"
#include "util.h"

#define ROUNDS_MAX  101
#define ROUNDS	    11
#define WARM_FRAMES 100000 /* each of 4,096 flows is among them, but for one run in ten million */
#define TC_INGRESS  46	   /* not in the headers of Linux 6.1 */
#define TC_EGRESS   47

/* X(enumerator, name): who forwards. */
#define MODE_LIST(X)                                                                               \
	X(BARE, "bare-redirect")                                                                   \
	X(XDP, "nearpath-xdp")                                                                     \
	X(TC, "nearpath-tc")                                                                       \
	X(IPTABLES, "iptables")

enum mode {
#define X(e, name) MODE_##e,
	MODE_LIST(X)
#undef X
		MODES,
};

static const char *const mode_name[] = {
#define X(e, name) [MODE_##e] = name,
	MODE_LIST(X)
#undef X
};

enum direction { TO_BACKEND, TO_CLIENT, DIRECTIONS };

struct bench {
	int family;
	enum way way;
	enum direction direction;
	uint32_t flows; /* a power of two, to NODEPORT_FLOWS */
};

static const struct bench benches[] = {
	{NP_IPV4, WAY_SAME, TO_BACKEND, 1},   {NP_IPV4, WAY_SAME, TO_BACKEND, 4096},
	{NP_IPV4, WAY_SAME, TO_CLIENT, 1},    {NP_IPV4, WAY_SAME, TO_CLIENT, 4096},
	{NP_IPV4, WAY_SECOND, TO_BACKEND, 1}, {NP_IPV4, WAY_SECOND, TO_BACKEND, 4096},
	{NP_IPV4, WAY_SECOND, TO_CLIENT, 1},  {NP_IPV4, WAY_SECOND, TO_CLIENT, 4096},
	{NP_IPV6, WAY_SAME, TO_BACKEND, 1},   {NP_IPV6, WAY_SAME, TO_BACKEND, 4096},
	{NP_IPV6, WAY_SAME, TO_CLIENT, 1},    {NP_IPV6, WAY_SAME, TO_CLIENT, 4096},
};

#define CASES ARRAY_SIZE(benches)

struct sample {
	double ns; /* a packet */
	uint32_t sent, lost;
};

/* What a packet says of its way. */
struct leg {
	struct end src, dst;
};

struct result {
	struct bench bench;
	struct frame frame;
	struct leg before, after; /* of the first flow */
	enum way in, out;	  /* by the first uplink or the second */
	int source_fd;
	uint32_t frames[MODES]; /* a measurement */
	struct sample sample[MODES][ROUNDS_MAX];
};

struct world {
	struct tables *tables;
	struct netns ns; /* the same numbers in every namespace, as of: */
	uint32_t far[WAYS];
	int netns_fd[MODES];
	int arrived_fd;
	int turn_fd, bare_fd[WAYS]; /* back, or out of an uplink */
	struct result result[CASES];
};

struct options {
	uint32_t rounds;
	uint32_t ms; /* a measurement */
	const char *json;
};

static const uint8_t mac_of[WAYS][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 0x11}};

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench-forward: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

static int check(const char *what, int fd)
{
	if (fd < 0)
		die(what, fd);
	return fd;
}

/* By tcx where the kernel has it, else by clsact. It stays until the device goes. */
static void attach_tc_hook(int ifindex, bool egress, int fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd);
	int rc;

	if (bpf_link_create(fd, ifindex, egress ? TC_EGRESS : TC_INGRESS, NULL) >= 0)
		return;
	rc = bpf_tc_hook_create(&hook);
	if (rc && rc != -EEXIST)
		die("clsact", rc);
	rc = bpf_tc_attach(&hook, &opts);
	if (rc)
		die("tc program", rc);
}

static void load_rules(int family)
{
	FILE *to = popen(family == NP_IPV4 ? "iptables-restore" : "ip6tables-restore", "we");

	if (!to)
		die("iptables-restore", errno);
	nodeport_rules(to, family);
	if (pclose(to))
		die("iptables-restore", EINVAL);
	/* Frames that repeat are no conversation. */
	netns_write("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1");
}

/* Far ends count what arrives where it costs least: frames by XDP, packets of the stack by tc. */
static void attach_sinks(const struct world *w, bool xdp)
{
	struct frame shortest = {.length = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr) +
					   FRAME_PAYLOAD};
	int rc, fd = check("sink", live_sink(xdp, w->arrived_fd, &shortest));

	for (enum way way = 0; way < WAYS; way++) {
		if (!xdp) {
			attach_tc_hook(w->far[way], false, fd);
			continue;
		}
		rc = bpf_xdp_attach(w->far[way], fd, 0, NULL);
		if (rc)
			die("XDP on a veth", rc);
	}
}

/* Uplinks whose frames go up the stack: a veth without XDP takes frames if it has GRO, as NICs. */
static void open_stack(const struct world *w, enum mode mode)
{
	const int uplinks[] = {w->ns.uplink, w->ns.second};

	if (system("ethtool -K up0 gro on && ethtool -K up1 gro on"))
		die("ethtool", EINVAL);
	for (size_t i = 0; mode == MODE_TC && i < ARRAY_SIZE(uplinks); i++) {
		attach_tc_hook(uplinks[i], false, w->tables->ingress_fd);
		attach_tc_hook(uplinks[i], true, w->tables->egress_fd);
	}
	if (mode == MODE_IPTABLES) {
		load_rules(NP_IPV4);
		load_rules(NP_IPV6);
	}
}

static void open_mode(struct world *w, enum mode mode)
{
	bool xdp = mode == MODE_BARE || mode == MODE_XDP;
	struct netns ns;
	int rc;

	rc = netns_enter(&ns);
	if (rc)
		die("network namespace", rc);
	if (mode && (ns.uplink != w->ns.uplink || ns.second != w->ns.second))
		die("numbers of interfaces", EINVAL);
	w->ns = ns;
	w->far[WAY_SAME] = if_nametoindex("up0peer");
	w->far[WAY_SECOND] = if_nametoindex("up1peer");
	w->netns_fd[mode] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	/* Back by the device it came by: a real node would tell the sender, once a second. */
	netns_write("/proc/sys/net/ipv4/conf/all/send_redirects", "0");
	netns_write("/proc/sys/net/ipv4/conf/up0/send_redirects", "0");
	attach_sinks(w, xdp);
	if (!xdp)
		open_stack(w, mode);
	else if (netns_attach(&w->ns, w->tables->xdp_fd)) /* until aim() */
		die("XDP on a veth", EINVAL);
}

/* Go to the mode's namespace. The bare program knows no routes. */
static void aim(const struct world *w, const struct result *r, enum mode mode)
{
	struct netns ns = w->ns;

	if (setns(w->netns_fd[mode], CLONE_NEWNET))
		die("network namespace", errno);
	if (mode == MODE_BARE &&
	    netns_attach(&ns, r->in == r->out ? w->turn_fd : w->bare_fd[r->out]))
		die("XDP on a veth", EINVAL);
}

static struct arrived arrivals(const struct world *w)
{
	struct arrived a;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(w->arrived_fd, &zero, &a))
		die("arrivals", errno);
	return a;
}

static struct sample measure(const struct world *w, const struct result *r, enum mode mode,
			     uint32_t frames)
{
	uint64_t before, came;
	uint32_t ns;
	int rc;

	aim(w, r, mode);
	before = arrivals(w).packets;
	rc = live_run(r->source_fd, &r->frame, frames, &ns);
	if (rc)
		die("live frames", rc);
	came = arrivals(w).packets - before;
	if (!came || came > frames) {
		fprintf(stderr, "bench-forward: %s: %llu of %u frames arrived\n", mode_name[mode],
			(unsigned long long)came, frames);
		exit(1);
	}
	return (struct sample){
		.ns = (double)ns * frames / came, .sent = frames, .lost = frames - came};
}

/* The frame of a flow on this leg, as it comes to its first uplink or leaves by its last. */
static void make_frame(const struct result *r, const struct leg *leg, enum way at, uint16_t port,
		       struct frame *f)
{
	struct leg l = *leg;

	if (r->bench.direction == TO_BACKEND)
		l.src.port = port;
	else
		l.dst.port = port;
	live_frame(f, r->bench.family, &l.src, &l.dst, mac_of[at], port);
}

/* Of a packet that arrived: is it to whom it should be, and whole? */
static bool is_right(const struct result *r, const uint8_t *byte, enum mode mode)
{
	uint32_t addresses = r->bench.family == NP_IPV4 ? 8 : 32;
	uint32_t l4 = frame_l4(&r->frame), l3 = l4 - addresses;
	struct frame f;
	uint16_t port;

	memcpy(&port, byte + live_payload(&r->frame), sizeof(port));
	port = ntohs(~port);
	if (mode == MODE_BARE) {
		make_frame(r, &r->before, r->in, port, &f);
	} else {
		make_frame(r, &r->after, r->out, port, &f);
		f.byte[5]++; /* the neighbour's */
	}
	return !memcmp(f.byte, byte, 6) && !memcmp(f.byte + l3, byte + l3, addresses + 4) &&
	       live_l3_sum(byte, r->bench.family) == 0xFFFF &&
	       live_l4_sum(byte, r->bench.family, f.length) == 0xFFFF;
}

/* Every flow becomes known to all that remember flows; then how many frames fit in the time. */
static void warm(const struct world *w, struct result *r, enum mode mode, const struct options *o)
{
	struct arrived a = {.keep = r->frame.length};
	uint32_t zero = 0;

	if (bpf_map_update_elem(w->arrived_fd, &zero, &a, BPF_ANY))
		die("arrivals", errno);
	measure(w, r, mode, LIVE_BATCH);
	a = arrivals(w);
	if (!is_right(r, a.byte, mode)) {
		fprintf(stderr, "bench-forward: %s: a packet is not what it should be\n",
			mode_name[mode]);
		exit(1);
	}
	a.keep = 0;
	if (bpf_map_update_elem(w->arrived_fd, &zero, &a, BPF_ANY))
		die("arrivals", errno);
	r->frames[mode] = o->ms * 1e6 / measure(w, r, mode, WARM_FRAMES).ns;
}

static void make_result(const struct world *w, struct result *r, const struct bench *b)
{
	struct nodeport n = nodeport(b->family, b->way);

	r->bench = *b;
	if (b->direction == TO_BACKEND) {
		r->before = (struct leg){n.client, n.frontend};
		r->after = (struct leg){n.snat, n.backend};
		r->out = b->way;
	} else {
		r->before = (struct leg){n.backend, n.snat};
		r->after = (struct leg){n.frontend, n.client};
		r->in = b->way;
	}
	make_frame(r, &r->before, r->in, LIVE_PORT_FIRST, &r->frame);
	r->source_fd = check("source",
			     live_source(&r->frame, b->flows,
					 frame_l4(&r->frame) + (b->direction == TO_CLIENT ? 2 : 0),
					 w->far[r->in]));
}

static void state_uplink(struct tables *t, uint32_t ifindex, enum way way)
{
	struct np_iface *i = &t->ifaces[ifindex % t->size[TABLE_ifaces]];

	*i = (struct np_iface){.ifindex = ifindex,
			       .lb = NP_LB_ON,
			       .flags = NP_IFACE_XDP | NP_IFACE_XDP_NATIVE,
			       .l2_len = ETH_HLEN,
			       .mtu = 1500};
	memcpy(i->mac, mac_of[way], sizeof(i->mac));
}

static void open_world(struct world *w)
{
	struct tables_options o = {
		.max_flows = STATE_FLOWS, .max_services = 64, .max_slots = 64, .max_backends = 64};
	uint32_t now = tables_jiffies() - 5 * tables_hertz(); /* surely past */
	const char *why;
	int rc;

	rc = tables_open(&o, &w->tables, &why);
	if (rc)
		die(why, rc);
	rc = nodeport_fill(w->tables, NP_IPV4, now) ?: nodeport_fill(w->tables, NP_IPV6, now);
	if (rc)
		die("flow tables", rc);
	w->arrived_fd = check("arrivals", bpf_map_create(BPF_MAP_TYPE_ARRAY, "arrived", 4,
							 sizeof(struct arrived), 1, NULL));
	for (enum mode mode = 0; mode < MODES; mode++)
		open_mode(w, mode);
	w->turn_fd = check("turn", live_turn());
	w->bare_fd[WAY_SAME] = check("redirect", live_redirect(w->ns.uplink));
	w->bare_fd[WAY_SECOND] = check("redirect", live_redirect(w->ns.second));
	state_uplink(w->tables, w->ns.uplink, WAY_SAME);
	state_uplink(w->tables, w->ns.second, WAY_SECOND);
	for (size_t i = 0; i < CASES; i++)
		make_result(w, &w->result[i], &benches[i]);
}

static void run_round(struct world *w, uint32_t round)
{
	for (size_t i = 0; i < CASES; i++) {
		struct result *r = &w->result[i];

		for (int turn = 0; turn < MODES; turn++) {
			enum mode mode = (turn + round) % MODES;

			r->sample[mode][round] = measure(w, r, mode, r->frames[mode]);
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, in millions of packets a second. */
static void sorted(const struct result *r, enum mode mode, uint32_t rounds, double *mpps)
{
	for (uint32_t i = 0; i < rounds; i++)
		mpps[i] = 1000 / r->sample[mode][i].ns;
	qsort(mpps, rounds, sizeof(*mpps), compare);
}

/* Of the rounds' ratios, in which both were measured within milliseconds: the median. */
static double of_bare(const struct result *r, uint32_t rounds)
{
	double ratio[ROUNDS_MAX];

	for (uint32_t i = 0; i < rounds; i++)
		ratio[i] = r->sample[MODE_BARE][i].ns / r->sample[MODE_XDP][i].ns;
	qsort(ratio, rounds, sizeof(*ratio), compare);
	return 100 * ratio[rounds / 2];
}

static void print_case(const struct result *r, uint32_t rounds)
{
	double mpps[ROUNDS_MAX];

	printf("%s %-10s %-12s %9u", r->bench.family == NP_IPV4 ? "IPv4" : "IPv6",
	       r->bench.direction == TO_BACKEND ? "to backend" : "to client",
	       r->bench.way == WAY_SAME ? "same uplink" : "other uplink", r->bench.flows);
	for (enum mode mode = 0; mode < MODES; mode++) {
		sorted(r, mode, rounds, mpps);
		printf(" %6.2f ±%4.2f", mpps[rounds / 2],
		       (mpps[rounds - 1 - rounds / 4] - mpps[rounds / 4]) / 2);
	}
	printf(" %5.0f %%\n", of_bare(r, rounds));
}

static void print_lost(const struct world *w, enum mode mode, uint32_t rounds)
{
	uint64_t lost = 0, sent = 0;

	for (size_t i = 0; i < CASES; i++)
		for (uint32_t round = 0; round < rounds; round++) {
			lost += w->result[i].sample[mode][round].lost;
			sent += w->result[i].sample[mode][round].sent;
		}
	if (lost)
		printf("%s: %llu of %llu frames did not arrive, and are not counted\n",
		       mode_name[mode], (unsigned long long)lost, (unsigned long long)sent);
}

static void print_text(const struct world *w, const struct options *o, const struct machine *m)
{
	printf("%s, Linux %s\n%s; SRSO: %s; JIT %s, hardening %s\n%u rounds of %u ms\n\n", m->cpu,
	       m->kernel, m->spectre_v2, m->srso, m->jit, m->harden, o->rounds, o->ms);
	printf("million packets a second on one core\n%-31s flows",
	       "median, half of quartiles' range");
	for (enum mode mode = 0; mode < MODES; mode++)
		printf(" %12s", mode_name[mode]);
	printf("  xdp of bare\n");
	for (size_t i = 0; i < CASES; i++)
		print_case(&w->result[i], o->rounds);
	printf("xdp of bare: the median of the rounds, each compared within itself\n");
	for (enum mode mode = 0; mode < MODES; mode++)
		print_lost(w, mode, o->rounds);
}

static json_t *json_sample(const struct result *r, enum mode mode, uint32_t round)
{
	const struct sample *s = &r->sample[mode][round];

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:i, s:i}", "mode",
			 mode_name[mode], "family", r->bench.family == NP_IPV4 ? "ipv4" : "ipv6",
			 "direction", r->bench.direction == TO_BACKEND ? "to_backend" : "to_client",
			 "uplink", r->bench.way == WAY_SAME ? "same" : "other", "flows",
			 (int)r->bench.flows, "round", (int)round, "packets_per_s", 1e9 / s->ns,
			 "ns", s->ns, "sent", (int)s->sent, "lost", (int)s->lost);
}

static void write_json(const struct world *w, const struct options *o, const struct machine *m)
{
	json_t *samples = json_array(), *all;

	for (size_t i = 0; i < CASES; i++)
		for (enum mode mode = 0; mode < MODES; mode++)
			for (uint32_t round = 0; round < o->rounds; round++)
				json_array_append_new(samples,
						      json_sample(&w->result[i], mode, round));
	all = json_pack("{s:i, s:s, s:o, s:i, s:i, s:o}", "schema", 1, "part", "forward", "machine",
			machine_json(m), "rounds", (int)o->rounds, "ms", (int)o->ms, "samples",
			samples);
	if (!all || json_dump_file(all, o->json, JSON_INDENT(1)))
		die(o->json, EIO);
	json_decref(all);
}

static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"Usage: forward [OPTION]...\n"
		"Packets a second that one core forwards between uplinks: by nearpath's XDP and "
		"tc\n"
		"programs, by iptables rules and by a bare XDP redirect. Needs root.\n"
		"  -q, --quick        3 rounds: 20 seconds\n"
		"  -r, --rounds N     %d, to %d\n"
		"  --json FILE        every sample, as JSON\n"
		"Exit: 0 done, 1 failed, 2 usage.\n",
		ROUNDS, ROUNDS_MAX);
	exit(code);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},
		{"rounds", required_argument, NULL, 'r'},
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "qr:h", options, NULL)) != -1) {
		if (c == 'q')
			*o = (struct options){.rounds = 3, .ms = 40, .json = o->json};
		else if (c == 'r')
			o->rounds = number_option('r', optarg, ROUNDS_MAX);
		else if (c == 'j')
			o->json = optarg;
		else
			usage(c == 'h' ? 0 : 2);
	}
	if (optind != argc)
		usage(2);
}

int main(int argc, char **argv)
{
	struct options o = {.rounds = ROUNDS, .ms = 60};
	static struct world w;
	struct machine m;
	cpu_set_t one;

	parse_options(argc, argv, &o);
	machine_results("forward", o.json);
	machine_read(&m);
	CPU_ZERO(&one);
	CPU_SET(m.cores - 1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	open_world(&w);
	for (size_t i = 0; i < CASES; i++)
		for (enum mode mode = 0; mode < MODES; mode++)
			warm(&w, &w.result[i], mode, &o);
	for (uint32_t round = 0; round < o.rounds; round++) {
		state_share_routes(w.tables);
		fprintf(stderr, "\rforward: round %u of %u ", round + 1, o.rounds);
		run_round(&w, round);
	}
	fputc('\n', stderr);
	print_text(&w, &o, &m);
	if (o.json)
		write_json(&w, &o, &m);
	return 0;
}
