/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The text of /metrics. Families in order of their names, samples in order of their labels.
 */
#include "metrics.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "fill.h"
#include "names.h"
#include "util.h"

#ifndef NEARPATH_VERSION
#define NEARPATH_VERSION "0.1"
#endif

static const char *const family_labels[HEALTH_FAMILIES] = {"ip_family=\"IPv4\"",
							   "ip_family=\"IPv6\""};

void metrics_init(struct metrics *m)
{
	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		histogram_exponential(&m->sync[i], 0.001, 2, 15);
		/* kube-proxy's buckets, the first of which is for zero. */
		histogram_linear(&m->network[i], 0, 1, 1);
		histogram_linear(&m->network[i], 0.25, 0.25, 2);
		histogram_linear(&m->network[i], 1, 1, 59);
		histogram_linear(&m->network[i], 60, 5, 12);
		histogram_linear(&m->network[i], 120, 30, 7);
	}
}

void metrics_sort(const char *const *names, int count, int *order)
{
	int j;

	for (int i = 0; i < count; i++) {
		for (j = i; j > 0 && strcmp(names[order[j - 1]], names[i]) > 0; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
}

static void write_histograms(FILE *out, const char *name, const char *help,
			     const struct histogram *h)
{
	prometheus_family(out, name, "histogram", help);
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		histogram_write(&h[i], name, family_labels[i], out);
}

static void write_times(FILE *out, const char *name, const char *help, const double *times)
{
	char number[40];

	prometheus_family(out, name, "gauge", help);
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		fprintf(out, "%s{%s} %s\n", name, family_labels[i],
			prometheus_number(times[i], number, sizeof(number)));
}

static void write_one(FILE *out, const char *name, const char *type, const char *help,
		      uint64_t value)
{
	prometheus_family(out, name, type, help);
	fprintf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_answers(FILE *out, const char *name, const char *help, const uint64_t *count)
{
	prometheus_family(out, name, "counter", help);
	fprintf(out, "%s{code=\"200\"} %llu\n", name, (unsigned long long)count[0]);
	fprintf(out, "%s{code=\"503\"} %llu\n", name, (unsigned long long)count[1]);
}

/* ---- kube-proxy's ---- */

struct no_local {
	uint64_t external[HEALTH_FAMILIES];
	uint64_t internal[HEALTH_FAMILIES];
};

/* A service port with policy Local drops what comes where it has no local endpoint. */
static int count_no_local(const struct plan *plan, void *arg)
{
	const int family = plan->family == NP_IPV4 ? HEALTH_IPV4 : HEALTH_IPV6;
	struct no_local *count = arg;
	bool external = false, internal = false;

	for (size_t i = 0; i < plan->frontends; i++) {
		const struct plan_frontend *f = &plan->frontend[i];

		if (f->policy[NP_CLASS_OUTSIDE].verdict != NP_VERDICT_DROP)
			continue;
		internal |= f->kind == PLAN_CLUSTER_IP;
		external |= f->kind != PLAN_CLUSTER_IP;
	}
	count->external[family] += external;
	count->internal[family] += internal;
	return 0;
}

static void write_no_local(FILE *out, struct daemon *d)
{
	static const char name[] = "kubeproxy_sync_proxy_rules_no_local_endpoints_total";
	struct no_local count = {};

	publish_each(d->publisher, count_no_local, &count);
	prometheus_family(out, name, "gauge",
			  "Service ports with a traffic policy Local and no local endpoint.");
	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		fprintf(out, "%s{%s,traffic_policy=\"external\"} %llu\n", name, family_labels[i],
			(unsigned long long)count.external[i]);
		fprintf(out, "%s{%s,traffic_policy=\"internal\"} %llu\n", name, family_labels[i],
			(unsigned long long)count.internal[i]);
	}
}

static void write_kubeproxy(FILE *out, const struct metrics *m, struct daemon *d)
{
	write_histograms(
		out, "kubeproxy_network_programming_duration_seconds",
		"From the change of a Service or pod, as its EndpointSlice tells it, until "
		"it is in the tables.",
		m->network);
	write_answers(out, "kubeproxy_proxy_healthz_total", "Answers of /healthz by status.",
		      m->healthz);
	write_answers(out, "kubeproxy_proxy_livez_total", "Answers of /livez by status.", m->livez);
	write_histograms(out, "kubeproxy_sync_proxy_rules_duration_seconds",
			 "How long it took to put a change into the tables.", m->sync);
	write_one(out, "kubeproxy_sync_proxy_rules_endpoint_changes_pending", "gauge",
		  "Changes of EndpointSlices that are not in the tables.", 0);
	write_one(out, "kubeproxy_sync_proxy_rules_endpoint_changes_total", "counter",
		  "Changes of EndpointSlices.", m->endpoint_changes);
	write_times(out, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
		    "When a change was last received.", m->queued);
	write_times(out, "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
		    "When the tables last had all changes.", m->updated);
	write_no_local(out, d);
	write_one(out, "kubeproxy_sync_proxy_rules_service_changes_pending", "gauge",
		  "Services that could not be put into the tables whole.", m->services_waiting);
	write_one(out, "kubeproxy_sync_proxy_rules_service_changes_total", "counter",
		  "Changes of Services.", m->service_changes);
}

/* ---- nearpath's ---- */

static void write_objects(FILE *out, struct daemon *d)
{
	static const enum kube_kind kinds[] = {KUBE_SLICE, KUBE_NODE, KUBE_SERVICE,
					       KUBE_SERVICE_CIDR};

	prometheus_family(out, "nearpath_objects", "gauge", "Kubernetes objects known, by kind.");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		fprintf(out, "nearpath_objects{kind=\"%s\"} %zu\n", kube_kind_name(kinds[i]),
			store_count(d->store, kinds[i]));
}

static void write_packets(FILE *out, const struct tables *t)
{
	int hooks[NP_HOOKS], reasons[NP_REASONS];
	uint64_t sum;

	metrics_sort(hook_names, NP_HOOKS, hooks);
	metrics_sort(reason_names, NP_REASONS, reasons);
	prometheus_family(out, "nearpath_packets_total", "counter",
			  "Packets that did not simply pass, by hook and reason.");
	for (int h = 0; h < NP_HOOKS; h++) {
		for (int r = 0; r < NP_REASONS; r++) {
			sum = 0;
			for (uint32_t cpu = 0; cpu < t->size[TABLE_stats]; cpu++)
				sum += t->stats[cpu].packets[hooks[h]][reasons[r]];
			fprintf(out, "nearpath_packets_total{hook=\"%s\",reason=\"%s\"} %llu\n",
				hook_names[hooks[h]], reason_names[reasons[r]],
				(unsigned long long)sum);
		}
	}
}

struct service_writer {
	FILE *out;
	struct daemon *d;
	int zones[NP_ZONE_CLASSES];
};

static void write_port_labels(FILE *out, const struct plan *plan)
{
	fprintf(out, "ip_family=\"%s\",name=\"", plan->family == NP_IPV4 ? "IPv4" : "IPv6");
	prometheus_escape(out, plan->name);
	fputs("\",namespace=\"", out);
	prometheus_escape(out, plan->namespace);
	fputs("\",port=\"", out);
	prometheus_escape(out, plan->port_name);
	fprintf(out, "\",protocol=\"%s\"", protocol_name(plan->protocol));
}

static int write_connections(const struct plan *plan, void *arg)
{
	const struct service_writer *w = arg;
	const struct np_service_stats stats = publish_stats(w->d->publisher, plan);

	for (int i = 0; i < NP_ZONE_CLASSES; i++) {
		fputs("nearpath_service_connections_total{", w->out);
		write_port_labels(w->out, plan);
		fprintf(w->out, ",zone_class=\"%s\"} %llu\n", zone_names[w->zones[i]],
			(unsigned long long)stats.connections[w->zones[i]]);
	}
	return 0;
}

static int write_refused(const struct plan *plan, void *arg)
{
	const struct service_writer *w = arg;
	const struct np_service_stats stats = publish_stats(w->d->publisher, plan);

	fputs("nearpath_service_refused_total{", w->out);
	write_port_labels(w->out, plan);
	fprintf(w->out, "} %llu\n", (unsigned long long)stats.refused);
	return 0;
}

static void write_services(FILE *out, struct daemon *d)
{
	struct service_writer w = {.out = out, .d = d};

	metrics_sort(zone_names, NP_ZONE_CLASSES, w.zones);
	prometheus_family(out, "nearpath_service_connections_total", "counter",
			  "New connections of a service port by where their endpoint is.");
	publish_each(d->publisher, write_connections, &w);
	prometheus_family(out, "nearpath_service_refused_total", "counter",
			  "New connections of a service port that were refused or dropped.");
	publish_each(d->publisher, write_refused, &w);
}

static void write_tables(FILE *out, const struct fill *fill)
{
	int i;

	prometheus_family(out, "nearpath_table_entries", "gauge", "Entries of a table in use.");
	for (i = 0; i < FILLS; i++)
		if (fill[i].counted)
			fprintf(out, "nearpath_table_entries{table=\"%s\"} %llu\n", fill[i].name,
				(unsigned long long)fill[i].used);
	prometheus_family(out, "nearpath_table_entries_max", "gauge", "Entries a table has.");
	for (i = 0; i < FILLS; i++)
		fprintf(out, "nearpath_table_entries_max{table=\"%s\"} %llu\n", fill[i].name,
			(unsigned long long)fill[i].size);
	prometheus_family(out, "nearpath_table_nearly_full", "gauge",
			  "1: nine parts in ten of the table are in use.");
	for (i = 0; i < FILLS; i++)
		if (fill[i].counted)
			fprintf(out, "nearpath_table_nearly_full{table=\"%s\"} %d\n", fill[i].name,
				fill_is_high(&fill[i]));
}

static void write_audit(FILE *out, const struct audit_counts *c)
{
	char number[40];

	write_one(out, "nearpath_audit_differences", "gauge",
		  "Left between what is wanted and what the kernel has by the last round.",
		  c->standing);
	write_one(out, "nearpath_audit_differences_total", "counter",
		  "Differences found between what is wanted and what the kernel has.",
		  c->differences);
	prometheus_family(out, "nearpath_audit_last_round_timestamp_seconds", "gauge",
			  "When the last round of comparing ended.");
	fprintf(out, "nearpath_audit_last_round_timestamp_seconds %s\n",
		prometheus_number(c->last, number, sizeof(number)));
	prometheus_family(out, "nearpath_audit_last_round_work_seconds", "gauge",
			  "Processor time it took.");
	fprintf(out, "nearpath_audit_last_round_work_seconds %s\n",
		prometheus_number(c->work, number, sizeof(number)));
	write_one(out, "nearpath_audit_repairs_total", "counter", "Differences put right.",
		  c->repairs);
	write_one(out, "nearpath_audit_rounds_total", "counter", "Rounds of comparing.", c->rounds);
}

static void write_nearpath(FILE *out, struct daemon *d)
{
	struct fill fill[FILLS];

	fill_of(d, fill);
	write_audit(out, audit_counts(d->audit));
	prometheus_family(out, "nearpath_build_info", "gauge", "1, with the version.");
	fprintf(out, "nearpath_build_info{version=\"%s\"} 1\n", NEARPATH_VERSION);
	metrics_write_flows(out, d);
	write_objects(out, d);
	write_packets(out, d->tables);
	write_services(out, d);
	metrics_write_ports(out, d);
	write_tables(out, fill);
	write_one(out, "process_start_time_seconds", "gauge",
		  "When the process began, in seconds since 1970.", (uint64_t)d->started);
}

int metrics_text(const struct metrics *m, struct daemon *d, char **text, size_t *length)
{
	char *written = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&written, &size);
	bool failed;

	if (!out)
		return -ENOMEM;
	write_kubeproxy(out, m, d);
	write_nearpath(out, d);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(written);
		return -ENOMEM;
	}
	*text = written;
	*length = size;
	return 0;
}
