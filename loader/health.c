/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Waiting changes, and the bodies of kube-proxy's health ports. No I/O. */
#include "health.h"

#include <stdio.h>

#include "rfc3339.h"

#define TIME_TEXT 40

struct health_time health_now(void)
{
	struct health_time now;

	clock_gettime(CLOCK_REALTIME, &now.wall);
	clock_gettime(CLOCK_MONOTONIC, &now.steady);
	return now;
}

static bool is_zero(const struct timespec *time)
{
	return !time->tv_sec && !time->tv_nsec;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

void health_queued(struct health *h, unsigned families, const struct health_time *now)
{
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		if (families & HEALTH_BIT(i) && is_zero(&h->waits[i]))
			h->waits[i] = now->steady;
}

void health_updated(struct health *h, unsigned families, const struct health_time *now)
{
	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		if (!(families & HEALTH_BIT(i)))
			continue;
		h->waits[i] = (struct timespec){};
		h->updated[i] = now->wall;
	}
}

/* As in kube-proxy, a family that has never been in the tables is starting, and well. */
static bool family_ok(const struct health *h, int family, const struct health_time *now)
{
	struct timespec late = h->waits[family];

	if (is_zero(&late) || is_zero(&h->updated[family]))
		return true;
	late.tv_sec += HEALTH_SECONDS;
	return is_before(&now->steady, &late);
}

bool health_ok(const struct health *h, const struct health_time *now)
{
	return family_ok(h, HEALTH_IPV4, now) && family_ok(h, HEALTH_IPV6, now);
}

const char *health_family_name(unsigned family)
{
	return family == HEALTH_IPV4 ? "IPv4" : "IPv6";
}

static const char *bool_name(bool value)
{
	return value ? "true" : "false";
}

/* ,"status":{...} of the families that have been in the tables; nothing without one. */
static void write_status(const struct health *h, const struct health_time *now, FILE *out)
{
	char text[TIME_TEXT];
	bool any = false;

	for (int i = 0; i < HEALTH_FAMILIES; i++) {
		if (is_zero(&h->updated[i]))
			continue;
		fprintf(out, "%s\"%s\":{\"lastUpdated\":\"%s\",\"healthy\":%s}",
			any ? "," : ",\"status\":{", health_family_name(i),
			rfc3339_format(&h->updated[i], text, sizeof(text)),
			bool_name(family_ok(h, i, now)));
		any = true;
	}
	if (any)
		fputc('}', out);
}

unsigned health_body(const struct health *h, const struct health_time *now, const bool *eligible,
		     char *text, size_t size)
{
	const bool ok = health_ok(h, now), well = ok && (!eligible || *eligible);
	const struct timespec *last = &h->updated[HEALTH_IPV4];
	char updated[TIME_TEXT], current[TIME_TEXT];
	FILE *out = fmemopen(text, size, "w");

	text[0] = '\0';
	if (!out)
		return 503;
	/* kube-proxy: while all is well, "the last time it was looked at". */
	if (is_before(last, &h->updated[HEALTH_IPV6]))
		last = &h->updated[HEALTH_IPV6];
	if (well)
		last = &now->wall;
	fprintf(out, "{\"lastUpdated\":\"%s\",\"currentTime\":\"%s\"",
		rfc3339_format(last, updated, sizeof(updated)),
		rfc3339_format(&now->wall, current, sizeof(current)));
	if (eligible)
		fprintf(out, ",\"nodeEligible\":%s", bool_name(*eligible));
	fprintf(out, ",\"healthy\":%s", bool_name(ok));
	write_status(h, now, out);
	fputc('}', out);
	fclose(out);
	return well ? 200 : 503;
}

/* Names were checked when they were read (kube_read_name): there is nothing to escape in them. */
unsigned health_check_body(const char *namespace, const char *name, unsigned endpoints,
			   bool healthy, char *text, size_t size)
{
	snprintf(text, size,
		 "{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n"
		 "\t\"localEndpoints\": %u,\n\t\"serviceProxyHealthy\": %s\n}",
		 namespace, name, endpoints, bool_name(healthy));
	return endpoints && healthy ? 200 : 503;
}
