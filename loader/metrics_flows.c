/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The part of /metrics that the sweep of the flow records counts. */
#include <string.h>

#include "daemon.h"
#include "metrics.h"
#include "names.h"

static const char *const families[SWEEP_FAMILIES] = {"IPv4", "IPv6"};

void metrics_write_flows(FILE *out, struct daemon *d)
{
	const struct sweep_counts *counts = sweep_counts(d->sweep);
	int order[NP_FLOW_STATES];

	metrics_sort(state_names, NP_FLOW_STATES, order);
	prometheus_family(out, "nearpath_flows", "gauge",
			  "Flow records in use, by state; counted once in ten seconds.");
	for (int family = 0; family < SWEEP_FAMILIES; family++)
		for (int i = 0; i < NP_FLOW_STATES; i++)
			if (order[i] != NP_FLOW_FREE)
				fprintf(out, "nearpath_flows{ip_family=\"%s\",state=\"%s\"} %u\n",
					families[family], state_names[order[i]],
					counts->flows[family][order[i]]);
	prometheus_family(out, "nearpath_flows_expired_total", "counter",
			  "Flow records freed after their timeout.");
	fprintf(out, "nearpath_flows_expired_total %llu\n", (unsigned long long)counts->expired);
}

/* ---- source ports, of backends that have any in use or have refused ---- */

struct ports_writer {
	FILE *out;
	struct daemon *d;
	const char *name;
	void (*write)(const struct ports_writer *w, const struct publish_backend *b);
};

static void write_labels(const struct ports_writer *w, const struct publish_backend *b)
{
	char text[64];

	endpoint_text(b->entry->family, &b->entry->addr, b->entry->port, text, sizeof(text));
	fprintf(w->out, "%s{backend=\"%s\",ip_family=\"%s\"", w->name, text,
		families[b->entry->family == NP_IPV4 ? SWEEP_IPV4 : SWEEP_IPV6]);
}

static uint64_t refused(const struct ports_writer *w, const struct publish_backend *b)
{
	return __atomic_load_n(&w->d->tables->snat_ports[b->number].refused, __ATOMIC_RELAXED);
}

static bool has_ports(const struct ports_writer *w, const struct publish_backend *b)
{
	for (int i = 0; i < SWEEP_PROTOCOLS; i++)
		if (sweep_ports(w->d->sweep, i, b->number))
			return true;
	return refused(w, b);
}

static void write_used(const struct ports_writer *w, const struct publish_backend *b)
{
	static const enum sweep_protocol order[] = {SWEEP_SCTP, SWEEP_TCP, SWEEP_UDP};

	for (int i = 0; i < SWEEP_PROTOCOLS; i++) {
		write_labels(w, b);
		fprintf(w->out, ",protocol=\"%s\"} %u\n", sweep_protocol_name(order[i]),
			sweep_ports(w->d->sweep, order[i], b->number));
	}
}

static void write_max(const struct ports_writer *w, const struct publish_backend *b)
{
	write_labels(w, b);
	fprintf(w->out, "} %u\n",
		w->d->tables->settings->snat_port_count * (1U + b->entry->sources));
}

static void write_refused(const struct ports_writer *w, const struct publish_backend *b)
{
	write_labels(w, b);
	fprintf(w->out, "} %llu\n", (unsigned long long)refused(w, b));
}

static int write_backend(const struct publish_backend *b, void *arg)
{
	const struct ports_writer *w = arg;

	if (has_ports(w, b))
		w->write(w, b);
	return 0;
}

void metrics_write_ports(FILE *out, struct daemon *d)
{
	static const struct {
		const char *name, *type, *help;
		void (*write)(const struct ports_writer *w, const struct publish_backend *b);
	} metrics[] = {
		{"nearpath_snat_ports_max", "gauge",
		 "Source ports there are towards a backend, of each protocol.", write_max},
		{"nearpath_snat_ports_refused_total", "counter",
		 "Connections dropped because no source port towards the backend was free.",
		 write_refused},
		{"nearpath_snat_ports_used", "gauge",
		 "Source ports in use towards a backend; counted once in ten seconds.", write_used},
	};
	struct ports_writer w = {.out = out, .d = d};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++) {
		prometheus_family(out, metrics[i].name, metrics[i].type, metrics[i].help);
		w.name = metrics[i].name;
		w.write = metrics[i].write;
		publish_each_backend(d->publisher, write_backend, &w);
	}
}
