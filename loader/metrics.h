/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What /metrics shows: kube-proxy's metrics under their own names, as dashboards know them, and
 * nearpath's. The daemon tells what happens; the rest is read from it when it is asked for.
 */
#ifndef NEARPATH_LOADER_METRICS_H
#define NEARPATH_LOADER_METRICS_H

#include <stdio.h>

#include "health.h"
#include "histogram.h"

struct daemon;

struct metrics {
	struct histogram sync[HEALTH_FAMILIES];	   /* putting changes into the tables */
	struct histogram network[HEALTH_FAMILIES]; /* from a pod's change to the tables */
	double queued[HEALTH_FAMILIES];		   /* times of day; 0: never */
	double updated[HEALTH_FAMILIES];
	uint64_t endpoint_changes;
	uint64_t service_changes;
	uint64_t healthz[2]; /* answers: 200, 503 */
	uint64_t livez[2];
	unsigned services_waiting; /* could not be published whole */
};

void metrics_init(struct metrics *m);

/* *text is to be freed by free(). 0 or -ENOMEM. */
int metrics_text(const struct metrics *m, struct daemon *d, char **text, size_t *length);

/* metrics_flows.c: families of the text, in the order of their names. */
void metrics_write_flows(FILE *out, struct daemon *d);
void metrics_write_ports(FILE *out, struct daemon *d);

/* The places of count names in the order of the names. */
void metrics_sort(const char *const *names, int count, int *order);

#endif
