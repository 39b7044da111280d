/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a comparison of wanted state and kernel tables finds. The comparisons go over places of a
 * table, so that they can be done in slices: nothing is held between two of them. The memory that
 * is looked at is that of the tables, as programs see it.
 */
#ifndef NEARPATH_LOADER_COMPARE_H
#define NEARPATH_LOADER_COMPARE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct difference {
	char what[400]; /* the thing, by its name */
	char wanted[300];
	char found[300];
	bool waits;   /* for room: known, told, and tried again */
	int repaired; /* 0: not tried; 1: it is as wanted again; -errno: it could not be */
};

struct compare {
	bool repair;
	void (*found)(const struct difference *difference, void *arg);
	void *arg;
};

/* wanted and found as printf() has them; what was set before. */
#define difference_set(text, ...) snprintf(text, sizeof(text), __VA_ARGS__)

static inline void compare_tell(const struct compare *c, const struct difference *d)
{
	c->found(d, c->arg);
}

struct publisher;

/* Places: numbers of the tables services, frontends (buckets) and backends. */
void compare_version(struct publisher *p, uint32_t version, const struct compare *c);
void compare_bucket(struct publisher *p, uint32_t bucket, const struct compare *c);
void compare_backend(struct publisher *p, uint32_t number, const struct compare *c);

/* Source ranges that nobody asked for: all of the map at once. */
void compare_ranges(struct publisher *p, const struct compare *c);

/* What found no room: frontends of services, and addresses of this host, which are tried again. */
void compare_waiting(struct publisher *p, const struct compare *c);

struct ifaces;
struct sockets;

/* One place of the table ifaces: an entry of no interface of ours. */
void compare_iface_place(struct ifaces *ifs, uint32_t place, const struct compare *c);

/* The nth interface: its entry, and that the programs on it are these. False: there are fewer. */
bool compare_iface(struct ifaces *ifs, size_t n, const struct compare *c);

/* The programs for the node's own processes, if they could be attached when the daemon began. */
void compare_sockets(struct sockets *s, const struct compare *c);

#endif
