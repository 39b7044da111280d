/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Is the proxy healthy: does a change wait for the tables longer than it may, in either family. And
 * what kube-proxy's /healthz and /livez say of it, byte for byte. Pure data; the time is given.
 */
#ifndef NEARPATH_LOADER_HEALTH_H
#define NEARPATH_LOADER_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A change that has waited this long makes the proxy unhealthy. */
#define HEALTH_SECONDS 60

enum { HEALTH_IPV4, HEALTH_IPV6, HEALTH_FAMILIES };

/* Bits of a set of families. */
#define HEALTH_BIT(family) (1U << (family))
#define HEALTH_BOTH	   (HEALTH_BIT(HEALTH_IPV4) | HEALTH_BIT(HEALTH_IPV6))

/* Waiting is measured by a clock that nobody sets. */
struct health_time {
	struct timespec wall;
	struct timespec steady;
};

struct health {
	struct timespec updated[HEALTH_FAMILIES]; /* wall; zero: never */
	struct timespec waits[HEALTH_FAMILIES];	  /* steady: since when; zero: nothing waits */
};

struct health_time health_now(void);

/* A change came for these families. */
void health_queued(struct health *h, unsigned families, const struct health_time *now);

/* All changes of these families are in the tables. */
void health_updated(struct health *h, unsigned families, const struct health_time *now);

bool health_ok(const struct health *h, const struct health_time *now);

/*
 * The body of /healthz, or of /livez if eligible is NULL. *eligible: the node is to be sent
 * traffic. Returns the status, 200 or 503. 512 bytes are enough.
 */
unsigned health_body(const struct health *h, const struct health_time *now, const bool *eligible,
		     char *text, size_t size);

/* The body of a healthCheckNodePort. Returns the status, 200 or 503. 1024 bytes are enough. */
unsigned health_check_body(const char *namespace, const char *name, unsigned endpoints,
			   bool healthy, char *text, size_t size);

const char *health_family_name(unsigned family); /* "IPv4", "IPv6" */

#endif
