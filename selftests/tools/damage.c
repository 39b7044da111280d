/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Writes into the pinned tables of a nearpathd what it did not: by system calls, as anybody who is
 * root may. For tests of what the daemon makes of it. Tables are found as they lie in maps/, and
 * have to be small ones, since they are searched through.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../maps/hash.h"
#include "../../maps/iface.h"
#include "../../maps/service.h"

static const char *dir;

static void die(const char *what)
{
	fprintf(stderr, "damage: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_map(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die(path);
	return fd;
}

static uint32_t size_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		die("map info");
	return info.max_entries;
}

static void get(int fd, uint32_t n, void *value)
{
	if (bpf_map_lookup_elem(fd, &n, value))
		die("look-up");
}

static void put(int fd, uint32_t n, const void *value)
{
	if (bpf_map_update_elem(fd, &n, value, BPF_ANY))
		die("update");
}

/* IPv4 only. */
static union np_addr address(const char *text)
{
	union np_addr addr = {};

	if (inet_pton(AF_INET, text, &addr.v4) != 1)
		die(text);
	return addr;
}

/* The bucket and place of the entry for an address and port, and the version it names. */
struct place {
	int frontends, services;
	uint32_t bucket, version;
	int i;
	struct np_bucket entries;
	struct np_service service;
};

static struct place find(const char *addr_text, const char *port_text)
{
	struct place p = {.frontends = open_map("frontends"), .services = open_map("services")};
	const union np_addr addr = address(addr_text);
	const uint16_t port = htons(atoi(port_text));
	const uint32_t buckets = size_of(p.frontends), versions = size_of(p.services);

	for (p.bucket = 0; p.bucket < buckets; p.bucket++) {
		get(p.frontends, p.bucket, &p.entries);
		for (p.i = 0; p.i < NP_BUCKET; p.i++) {
			p.version = (uint32_t)p.entries.entry[p.i];
			if (!p.entries.entry[p.i] || p.version >= versions)
				continue;
			get(p.services, p.version, &p.service);
			if (!memcmp(&p.service.addr, &addr, sizeof(addr)) && p.service.port == port)
				return p;
		}
	}
	errno = ENOENT;
	die(addr_text);
	return p;
}

static void damage_entry(char **args)
{
	struct place p = find(args[0], args[1]);

	p.entries.entry[p.i] = 0;
	put(p.frontends, p.bucket, &p.entries);
}

/* A second entry for the same version, in a place that is free. */
static void damage_extra(char **args)
{
	struct place p = find(args[0], args[1]);
	const uint64_t entry = p.entries.entry[p.i];
	const uint32_t bucket = (p.bucket + 1) % size_of(p.frontends);
	int i;

	get(p.frontends, bucket, &p.entries);
	for (i = 0; i < NP_BUCKET - 1 && p.entries.entry[i]; i++)
		;
	p.entries.entry[i] = entry;
	put(p.frontends, bucket, &p.entries);
}

static void damage_policy(char **args)
{
	struct place p = find(args[0], args[1]);

	p.service.policy[NP_CLASS_POD].verdict = NP_VERDICT_REJECT;
	put(p.services, p.version, &p.service);
}

static void damage_flags(char **args)
{
	struct place p = find(args[0], args[1]);

	p.service.flags ^= NP_SERVICE_RANGES;
	put(p.services, p.version, &p.service);
}

/* All of its runs lie where nothing is. */
static void damage_run(char **args)
{
	struct place p = find(args[0], args[1]);

	for (int i = 0; i < NP_CLASSES; i++)
		p.service.policy[i].slot = 0xfffffff0;
	put(p.services, p.version, &p.service);
}

static void damage_version(char **args)
{
	struct place p = find(args[0], args[1]);

	memset(&p.service, 0, sizeof(p.service));
	put(p.services, p.version, &p.service);
}

/* The first slot of pods names a backend that is outside the table. */
static void damage_slot(char **args)
{
	struct place p = find(args[0], args[1]);
	const uint32_t slot = p.service.policy[NP_CLASS_POD].slot;
	struct np_slots slots;
	int fd = open_map("slots");

	get(fd, slot / 2, &slots);
	slots.backend[slot % 2] = 0x7fffffff;
	put(fd, slot / 2, &slots);
}

/* In use by address and port; its address is another from now on. */
static void damage_backend(char **args)
{
	const union np_addr addr = address(args[0]);
	const uint16_t port = htons(atoi(args[1]));
	int fd = open_map("backends");
	struct np_backend b;

	for (uint32_t n = 0; n < size_of(fd); n++) {
		get(fd, n, &b);
		if (!(b.flags & NP_BACKEND_USED) || b.port != port ||
		    memcmp(&b.addr, &addr, sizeof(addr)) != 0)
			continue;
		b.addr.v4 = htonl(0x0a0900ff);
		put(fd, n, &b);
		return;
	}
	errno = ENOENT;
	die(args[0]);
}

static void damage_stray(char **args)
{
	int fd = open_map("backends");
	struct np_backend b = {.family = NP_IPV4, .flags = NP_BACKEND_USED};

	(void)args;
	b.addr = address("10.9.9.9");
	put(fd, size_of(fd) - 1, &b);
}

static void damage_iface(char **args)
{
	const uint32_t ifindex = atoi(args[0]);
	int fd = open_map("ifaces");
	struct np_iface iface;

	for (uint32_t n = 0; n < size_of(fd); n++) {
		get(fd, n, &iface);
		if (iface.ifindex != ifindex)
			continue;
		iface.lb = NP_LB_OFF;
		iface.mtu = 9;
		put(fd, n, &iface);
		return;
	}
	errno = ENOENT;
	die(args[0]);
}

static void damage_iface_stray(char **args)
{
	const struct np_iface iface = {.ifindex = 4321, .lb = NP_LB_ON};
	int fd = open_map("ifaces");

	(void)args;
	put(fd, size_of(fd) - 3, &iface);
}

static void damage_config(char **args)
{
	struct np_config config;
	int fd = open_map("config");

	(void)args;
	get(fd, 0, &config);
	memset(&config.pod_prefix4, 0x5a, sizeof(config.pod_prefix4));
	config.netns_cookie++;
	put(fd, 0, &config);
}

/* Everybody, beside those that a version with source ranges admits. */
static void damage_admit(char **args)
{
	struct place p = find(args[0], args[1]);
	struct np_range_key key = {.prefixlen = NP_RANGE_BITS, .version = p.version};
	uint32_t value = 1;

	if (bpf_map_update_elem(open_map("source_ranges"), &key, &value, BPF_ANY))
		die("source_ranges");
}

/* None of those. */
static void damage_ranges(char **args)
{
	struct place p = find(args[0], args[1]);
	int fd = open_map("source_ranges");
	struct np_range_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		if (bpf_map_delete_elem(fd, &key))
			die("source_ranges");
	(void)p;
}

static const struct {
	const char *name;
	int args;
	void (*run)(char **args);
} kinds[] = {
	{"entry", 2, damage_entry},
	{"extra", 2, damage_extra},
	{"policy", 2, damage_policy},
	{"flags", 2, damage_flags},
	{"run", 2, damage_run},
	{"version", 2, damage_version},
	{"slot", 2, damage_slot},
	{"backend", 2, damage_backend},
	{"stray", 0, damage_stray},
	{"iface", 1, damage_iface},
	{"iface-stray", 0, damage_iface_stray},
	{"config", 0, damage_config},
	{"admit", 2, damage_admit},
	{"ranges", 2, damage_ranges},
};

int main(int argc, char **argv)
{
	dir = argc > 1 ? argv[1] : "";
	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, argv[2]) != 0 || argc != 3 + kinds[i].args)
			continue;
		kinds[i].run(argv + 3);
		return 0;
	}
	fprintf(stderr, "Usage: damage BPFFS KIND [ADDRESS PORT | IFINDEX]\nKinds:");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(stderr, " %s", kinds[i].name);
	fprintf(stderr, "\n");
	return 2;
}
