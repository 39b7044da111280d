/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Histograms and what else the text of /metrics is made of. */
#include "histogram.h"

#include <stdlib.h>

void histogram_exponential(struct histogram *h, double first, double factor, unsigned count)
{
	for (; count && h->bounds < HISTOGRAM_BUCKETS; count--, first *= factor)
		h->bound[h->bounds++] = first;
}

void histogram_linear(struct histogram *h, double first, double step, unsigned count)
{
	for (; count && h->bounds < HISTOGRAM_BUCKETS; count--, first += step)
		h->bound[h->bounds++] = first;
}

void histogram_observe(struct histogram *h, double value)
{
	unsigned i = 0;

	if (!(value > 0))
		value = 0;
	while (i < h->bounds && value > h->bound[i])
		i++;
	h->count[i]++;
	h->sum += value;
}

const char *prometheus_number(double value, char *text, size_t size)
{
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, size, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	/* %g writes 2^20 as 1.048576e+06 as Go does, but 60 as 6e+01. */
	if (value > -1e6 && value < 1e6 && value == (double)(long)value)
		snprintf(text, size, "%.0f", value);
	return text;
}

void histogram_write(const struct histogram *h, const char *name, const char *labels, FILE *out)
{
	const char *comma = *labels ? "," : "";
	uint64_t sum = 0;
	char number[40];

	for (unsigned i = 0; i < h->bounds; i++) {
		sum += h->count[i];
		fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma,
			prometheus_number(h->bound[i], number, sizeof(number)),
			(unsigned long long)sum);
	}
	sum += h->count[h->bounds];
	fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
		(unsigned long long)sum);
	fprintf(out, "%s_sum%s%s%s %s\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
		prometheus_number(h->sum, number, sizeof(number)));
	fprintf(out, "%s_count%s%s%s %llu\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
		(unsigned long long)sum);
}

void prometheus_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void prometheus_escape(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}
