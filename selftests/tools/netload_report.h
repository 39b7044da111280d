/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What netload counts, and how it prints it: failures by kind, answers by name, connect times. */
#ifndef NEARPATH_SELFTESTS_NETLOAD_REPORT_H
#define NEARPATH_SELFTESTS_NETLOAD_REPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES   256
#define MAX_SAMPLES (4u << 20)

/* Ways to fail, and their names in the output. */
#define FAILURES(X)                                                                                \
	X(REFUSED, "connect refused")                                                              \
	X(RESET, "reset")                                                                          \
	X(TIMEOUT, "timeout")                                                                      \
	X(NO_ANSWER, "answer timeout") /* of a connection */                                       \
	X(UNREACHABLE, "unreachable")                                                              \
	X(CLOSED, "closed early")                                                                  \
	X(MOVED, "another server")                                                                 \
	X(BAD_DATA, "bad data")                                                                    \
	X(NO_PORT, "no local port")                                                                \
	X(OTHER, "other")
#define FAILURE_ENUM(id, name) FAIL_##id,
#define FAILURE_NAME(id, name) [FAIL_##id] = name,
enum failure { FAILURES(FAILURE_ENUM) FAIL_COUNT };
static const char *const failure_names[] = {FAILURES(FAILURE_NAME)};

struct name_count {
	char name[104];
	uint64_t count;
};

struct tally {
	struct name_count of[MAX_NAMES];
	int used;
};

struct report {
	uint64_t attempted, ok, bytes, messages, message_max_ns, failures[FAIL_COUNT];
	struct tally servers, peers;
	uint32_t *samples; /* connect times in microseconds */
	size_t sample_count, sample_room;
};

static void tally_add(struct tally *t, const char *name)
{
	int i;

	for (i = 0; i < t->used && strcmp(t->of[i].name, name); i++)
		;
	if (i == MAX_NAMES) /* the last entry takes the rest */
		i--;
	if (i == t->used) {
		snprintf(t->of[i].name, sizeof(t->of[i].name), "%s",
			 i == MAX_NAMES - 1 ? "(others)" : name);
		t->used++;
	}
	t->of[i].count++;
}

static void sample_add(struct report *r, uint64_t ns)
{
	if (r->sample_count == r->sample_room) {
		size_t room = r->sample_room ? r->sample_room * 2 : 4096;
		uint32_t *grown;

		if (room > MAX_SAMPLES)
			return;
		grown = realloc(r->samples, room * sizeof(*grown));
		if (!grown)
			return;
		r->samples = grown;
		r->sample_room = room;
	}
	r->samples[r->sample_count++] = ns / 1000 > UINT32_MAX ? UINT32_MAX : ns / 1000;
}

static enum failure failure_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return FAIL_REFUSED;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return FAIL_RESET;
	case ETIMEDOUT:
		return FAIL_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return FAIL_UNREACHABLE;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return FAIL_NO_PORT;
	default:
		return FAIL_OTHER;
	}
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct report *r, double p)
{
	return r->sample_count ? r->samples[(size_t)(p * (r->sample_count - 1))] : 0;
}

static void print_names(const char *key, const struct tally *t)
{
	int i;

	printf("\"%s\":{", key);
	for (i = 0; i < t->used; i++)
		printf("%s\"%s\":%llu", i ? "," : "", t->of[i].name,
		       (unsigned long long)t->of[i].count);
	printf("},");
}

static void print_json(const struct report *r, double seconds)
{
	uint64_t failed = r->attempted - r->ok;
	const char *comma = "";
	int i;

	printf("{\"attempted\":%llu,\"ok\":%llu,\"failed\":%llu,\"errors\":{",
	       (unsigned long long)r->attempted, (unsigned long long)r->ok,
	       (unsigned long long)failed);
	for (i = 0; i < FAIL_COUNT; i++) {
		if (!r->failures[i])
			continue;
		printf("%s\"%s\":%llu", comma, failure_names[i],
		       (unsigned long long)r->failures[i]);
		comma = ",";
	}
	printf("},");
	print_names("servers", &r->servers);
	print_names("peer_seen", &r->peers);
	printf("\"connect_us\":{\"p50\":%u,\"p99\":%u,\"max\":%u},", percentile(r, 0.5),
	       percentile(r, 0.99), percentile(r, 1));
	printf("\"messages\":%llu,\"message_max_us\":%llu,", (unsigned long long)r->messages,
	       (unsigned long long)r->message_max_ns / 1000);
	printf("\"bytes\":%llu,\"seconds\":%.3f,\"mbit_per_s\":%.1f}\n",
	       (unsigned long long)r->bytes, seconds, r->bytes * 8 / seconds / 1e6);
}

static void print_text(const struct report *r, double seconds)
{
	int i;

	printf("%llu attempted, %llu ok, %llu failed in %.3f s\n", (unsigned long long)r->attempted,
	       (unsigned long long)r->ok, (unsigned long long)(r->attempted - r->ok), seconds);
	for (i = 0; i < FAIL_COUNT; i++)
		if (r->failures[i])
			printf("failed: %s %llu\n", failure_names[i],
			       (unsigned long long)r->failures[i]);
	for (i = 0; i < r->servers.used; i++)
		printf("server %s: %llu\n", r->servers.of[i].name,
		       (unsigned long long)r->servers.of[i].count);
	printf("connect: p50 %u us, p99 %u us, max %u us\n", percentile(r, 0.5),
	       percentile(r, 0.99), percentile(r, 1));
	if (r->bytes)
		printf("%llu bytes, %.1f Mbit/s\n", (unsigned long long)r->bytes,
		       r->bytes * 8 / seconds / 1e6);
}

static void report_print(struct report *r, double seconds, bool json)
{
	qsort(r->samples, r->sample_count, sizeof(*r->samples), compare_samples);
	if (json)
		print_json(r, seconds);
	else
		print_text(r, seconds);
}

#endif
