/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Prometheus' text format 0.0.4, as far as it is needed: families with HELP and TYPE, samples with
 * escaped label values, histograms with kube-proxy's buckets. Pure, but for writing to a FILE.
 */
#ifndef NEARPATH_LOADER_HISTOGRAM_H
#define NEARPATH_LOADER_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BUCKETS 96

struct histogram {
	unsigned bounds; /* how many; beyond them is +Inf */
	double bound[HISTOGRAM_BUCKETS];
	uint64_t count[HISTOGRAM_BUCKETS + 1]; /* each bucket's own, not the sum */
	double sum;
};

/* count bounds: first, first * factor, ...; or first, first + step, ... after those there are. */
void histogram_exponential(struct histogram *h, double first, double factor, unsigned count);
void histogram_linear(struct histogram *h, double first, double step, unsigned count);

/* A negative value, of clocks that differ, counts as 0. */
void histogram_observe(struct histogram *h, double value);

/* labels is `name="value",...` already escaped, or "". */
void histogram_write(const struct histogram *h, const char *name, const char *labels, FILE *out);

void prometheus_family(FILE *out, const char *name, const char *type, const char *help);

/* The value of a label with \, " and newline escaped. */
void prometheus_escape(FILE *out, const char *value);

/* As Go writes a number: the shortest that is read as the same. */
const char *prometheus_number(double value, char *text, size_t size);

#endif
