/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Opening the tables and programs: sizes and settings go into the skeletons, maps come from their
 * pins where there are any, and all of them are mapped. Publishing into them is publish.c's.
 */
#include "tables.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cidr.h"
#include "sock.skel.h"
#include "tc.skel.h"
#include "util.h"
#include "xdp.skel.h"

#define IFACE_TABLE_SIZE 4096

static const char *const names[TABLES] = {
#define X(name, type) [TABLE_##name] = #name,
	TABLES_LIST(X)
#undef X
};

/* The kernel rounds entries up to 8 bytes; a type that is not would not lie as it does there. */
#define X(name, type) NP_STATIC_ASSERT(sizeof(type) % 8 == 0);
TABLES_LIST(X)
#undef X

static const size_t value_sizes[TABLES] = {
#define X(name, type) [TABLE_##name] = sizeof(type),
	TABLES_LIST(X)
#undef X
};

static const uint32_t flow_seconds[NP_FLOW_STATES] = {
#define X(e, name, seconds) [NP_FLOW_##e] = seconds,
	NP_FLOW_STATE_LIST(X)
#undef X
};

static __thread char reason[400];

const char *tables_name(enum table table)
{
	return names[table];
}

size_t tables_value_size(enum table table)
{
	return value_sizes[table];
}

int tables_synchronize(void)
{
	return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) ? -errno : 0;
}

static uint32_t power_of_two(uint64_t n)
{
	uint32_t p = 1;

	while (p < n && p < 1U << 30)
		p <<= 1;
	return p;
}

/* Where each table lives in struct tables. */
static void **table_pointer(struct tables *t, enum table table)
{
	switch (table) {
#define X(name, type)                                                                              \
	case TABLE_##name:                                                                         \
		return (void **)&t->name;
		TABLES_LIST(X)
#undef X
	default:
		return NULL;
	}
}

static void choose_sizes(struct tables *t, const struct tables_options *o)
{
	int cpus = libbpf_num_possible_cpus();
	uint32_t flows = power_of_two(o->max_flows);

	/* A quarter full at most, counting one frontend a service version: no bucket overflows. */
	t->size[TABLE_frontends] = power_of_two((uint64_t)o->max_services * 4 / NP_BUCKET);
	t->size[TABLE_services] = o->max_services;
	t->size[TABLE_slots] = power_of_two(o->max_slots) / 2;
	t->size[TABLE_backends] = o->max_backends;
	t->size[TABLE_snat_sources] = NP_SOURCES;
	t->size[TABLE_snat_ports] = o->max_backends;
	t->size[TABLE_flow_index4] = t->size[TABLE_flows4] = flows;
	t->size[TABLE_flow_index6] = t->size[TABLE_flows6] = flows;
	t->size[TABLE_ifaces] = IFACE_TABLE_SIZE;
	t->size[TABLE_config] = 1;
	t->size[TABLE_stats] = cpus > 0 ? cpus : 1;
	t->size[TABLE_routes] = t->size[TABLE_stats] * NP_ROUTES;
	t->size[TABLE_service_stats] = o->max_services;
	t->size[TABLE_limits] = t->size[TABLE_stats];
	t->size[TABLE_explain] = 1;
}

static int pin_path(char *path, size_t size, const char *bpffs, const char *name)
{
	return snprintf(path, size, "%s/%s", bpffs, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static int create_table(struct tables *t, enum table table)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, names[table], sizeof(uint32_t),
				value_sizes[table], t->size[table], &opts);

	if (fd < 0) {
		snprintf(reason, sizeof(reason), "cannot create table \"%s\" of %u entries: %s",
			 names[table], t->size[table], strerror(-fd));
		return fd;
	}
	t->fd[table] = fd;
	return 0;
}

/* A pinned table is taken as it is, if it is one that this program understands. */
static int adopt_table(struct tables *t, enum table table, const char *path)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	t->fd[table] = fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != value_sizes[table] ||
	    !(info.map_flags & BPF_F_MMAPABLE)) {
		snprintf(reason, sizeof(reason),
			 "\"%s\" is not a table of this version; run nearpathd --cleanup first",
			 path);
		return -EPROTO;
	}
	t->size[table] = info.max_entries;
	return 0;
}

static int open_table(struct tables *t, enum table table, const char *bpffs)
{
	char path[PATH_MAX];
	int rc;

	if (!bpffs)
		return create_table(t, table);
	rc = pin_path(path, sizeof(path), bpffs, names[table]);
	if (rc)
		return rc;
	rc = adopt_table(t, table, path);
	if (!rc)
		t->adopted = true;
	if (rc != -ENOENT)
		return rc;
	rc = create_table(t, table);
	if (rc)
		return rc;
	if (bpf_obj_pin(t->fd[table], path)) {
		snprintf(reason, sizeof(reason), "cannot pin \"%s\": %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static int map_table(struct tables *t, enum table table)
{
	size_t length = (size_t)t->size[table] * value_sizes[table];
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd[table], 0);

	if (memory == MAP_FAILED) {
		snprintf(reason, sizeof(reason), "cannot map table \"%s\": %s", names[table],
			 strerror(errno));
		return -errno;
	}
	*table_pointer(t, table) = memory;
	return 0;
}

/* Index and records share a mask; unequal ones are left by a start that was cut short. */
static int check_sizes(const struct tables *t, const char *bpffs)
{
	if (t->size[TABLE_flow_index4] == t->size[TABLE_flows4] &&
	    t->size[TABLE_flow_index6] == t->size[TABLE_flows6])
		return 0;
	snprintf(reason, sizeof(reason),
		 "the tables pinned in \"%s\" do not fit each other; run nearpathd --cleanup first",
		 bpffs);
	return -EPROTO;
}

static int open_tables(struct tables *t, const char *bpffs)
{
	int rc = bpffs ? tables_pins_sort_out(bpffs) : 0, i;

	for (i = 0; i < TABLES && !rc; i++)
		rc = open_table(t, i, bpffs) ?: map_table(t, i);
	return rc;
}

/* No range at all: what is all zero has every address. */
static void clear_ranges(struct np_config *c)
{
	int i;

	c->pod_prefix4 = c->pod_prefix6 = cidr_nobody();
	for (i = 0; i < NP_SERVICE_CIDRS; i++)
		c->service_cidr4[i] = c->service_cidr6[i] = cidr_nobody();
}

/* The secret is drawn once in the life of the tables; flows are found by it. */
static int open_config(struct tables *t)
{
	if (!t->config->abi_version) {
		if (getrandom(t->config->hash_key, sizeof(t->config->hash_key), 0) < 0)
			return -errno;
		clear_ranges(t->config);
		__atomic_store_n(&t->config->abi_version, NP_ABI_VERSION, __ATOMIC_RELEASE);
	}
	if (t->config->abi_version != NP_ABI_VERSION) {
		snprintf(reason, sizeof(reason),
			 "the pinned tables have ABI version %u, this nearpathd has %d; "
			 "run nearpathd --cleanup first",
			 t->config->abi_version, NP_ABI_VERSION);
		return -EPROTO;
	}
	memcpy(t->hash_key, t->config->hash_key, sizeof(t->hash_key));
	return 0;
}

/* Is there a function of this name in the kernel, or in that module of it (NULL: none)? */
static bool kernel_has_function(const char *name, const char *module)
{
	struct btf *kernel = btf__load_vmlinux_btf(), *btf = NULL;
	bool has = kernel && btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;

	if (kernel && !has && module) {
		btf = btf__load_module_btf(module, kernel);
		has = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
	}
	btf__free(btf);
	btf__free(kernel);
	return has;
}

/* What is below the range the kernel gives its own sockets, and never below 1024. */
static void choose_snat_ports(const struct tables_options *o, struct np_settings *s)
{
	unsigned low = 32768, high;
	FILE *f;

	s->snat_port_first = o->snat_port_first;
	s->snat_port_count = o->snat_port_count;
	if (!s->snat_port_first || !s->snat_port_count) {
		f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
		if (f) {
			if (fscanf(f, "%u %u", &low, &high) != 2)
				low = 32768;
			fclose(f);
		}
		s->snat_port_first = 1024;
		s->snat_port_count = low > 4096 ? low - 1024 : 65536 - 1024;
	}
	if (s->snat_port_count % NP_SNAT_STRIDE == 0)
		s->snat_port_count--;
}

uint32_t tables_hertz(void)
{
	struct timespec resolution;

	/* The coarse clock ticks with jiffies; USER_HZ, which sysconf() tells, is another rate. */
	if (clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) || !resolution.tv_nsec)
		return 250;
	return (1000000000L + resolution.tv_nsec / 2) / resolution.tv_nsec;
}

/* How far the kernel's tick is ahead of what the clock makes of it. */
static uint32_t jiffies_ahead;

static uint32_t clock_jiffies(void)
{
	uint32_t hertz = tables_hertz();
	struct timespec now;

	/* The kernel's count begins 300 seconds before it wraps: include/linux/jiffies.h. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * hertz + (uint64_t)now.tv_nsec * hertz / 1000000000 - 300 * hertz;
}

uint32_t tables_jiffies(void)
{
	return clock_jiffies() + jiffies_ahead;
}

void tables_ask_jiffies(const struct tables *t)
{
	uint8_t frame[ETH_HLEN] = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);

	if (!bpf_prog_test_run_opts(t->now_fd, &run))
		jiffies_ahead = run.retval - clock_jiffies();
}

static void fill_settings(const struct tables *t, const struct tables_options *o,
			  struct np_settings *s)
{
	uint32_t hertz = tables_hertz();
	int i;

	memset(s, 0, sizeof(*s));
	memcpy(s->hash_key, t->hash_key, sizeof(s->hash_key));
	s->frontend_mask = t->size[TABLE_frontends] - 1;
	s->iface_mask = t->size[TABLE_ifaces] - 1;
	s->flow4_mask = t->size[TABLE_flows4] - 1;
	s->flow6_mask = t->size[TABLE_flows6] - 1;
	for (i = 0; i < NP_FLOW_STATES; i++)
		s->flow_timeout[i] =
			hertz * (o->flow_seconds && o->flow_seconds[i] ? o->flow_seconds[i]
								       : flow_seconds[i]);
	s->hertz = hertz;
	s->route_lifetime = hertz / 10;
	s->direct_checksum = t->direct_checksum;
	s->conntrack = kernel_has_function("bpf_skb_ct_lookup", "nf_conntrack") &&
		       kernel_has_function("bpf_xdp_ct_lookup", "nf_conntrack");
	choose_snat_ports(o, s);
}

static int reuse_tables(const struct tables *t, struct bpf_object *object)
{
	struct bpf_map *map;
	int i, rc;

	for (i = 0; i < TABLES; i++) {
		map = bpf_object__find_map_by_name(object, names[i]);
		rc = map ? bpf_map__reuse_fd(map, t->fd[i]) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static const struct map_info {
	const char *name;
	uint32_t key_size;
	uint32_t value_size;
} maps[TABLES_MAPS] = {
#define X(name, key, value) [TABLES_MAP_##name] = {#name, sizeof(key), sizeof(value)},
	TABLES_MAP_LIST(X)
#undef X
};

/* A pinned map is taken as it is, with its size; -ENOENT: there is none. */
static int adopt_map(struct bpf_map *map, const struct map_info *m, const char *path)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	if (info.type != bpf_map__type(map) || info.key_size != m->key_size ||
	    info.value_size != m->value_size) {
		snprintf(reason, sizeof(reason),
			 "\"%s\" is not a map of this version; run nearpathd --cleanup first",
			 path);
		return -EPROTO;
	}
	return bpf_map__reuse_fd(map, fd);
}

static uint32_t map_entries(const struct tables_options *o, enum tables_map map)
{
	switch (map) {
	case TABLES_MAP_source_ranges:
		return o->max_services * 16;
	case TABLES_MAP_affinity:
		return o->max_affinity ?: 1;
	case TABLES_MAP_sock_carried:
		return NP_CARRIED_MAX;
	default:
		return 0; /* as many as there are sockets */
	}
}

/* Before an object is loaded: its kernel maps are sized, or taken from another or their pins. */
static int prepare_maps(struct tables *t, const struct tables_options *o, struct bpf_object *object)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int i, rc;

	for (i = 0; i < TABLES_MAPS; i++) {
		map = bpf_object__find_map_by_name(object, maps[i].name);
		if (!map)
			continue;
		if (t->map_fd[i] >= 0)
			rc = bpf_map__reuse_fd(map, t->map_fd[i]);
		else
			rc = bpf_map__set_max_entries(map, map_entries(o, i));
		if (!rc && t->map_fd[i] < 0 && o->bpffs)
			rc = pin_path(path, sizeof(path), o->bpffs, maps[i].name)
				     ?: adopt_map(map, &maps[i], path);
		if (rc && rc != -ENOENT)
			return rc;
	}
	return 0;
}

/* And once it is: those it brought are pinned. */
static int keep_maps(struct tables *t, const char *bpffs, struct bpf_object *object)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int i, rc;

	for (i = 0; i < TABLES_MAPS; i++) {
		map = bpf_object__find_map_by_name(object, maps[i].name);
		if (!map || t->map_fd[i] >= 0)
			continue;
		t->map_fd[i] = bpf_map__fd(map);
		rc = bpffs ? pin_path(path, sizeof(path), bpffs, maps[i].name) : 0;
		if (!rc && bpffs && access(path, F_OK) && bpf_obj_pin(t->map_fd[i], path))
			rc = -errno;
		if (rc)
			return rc;
	}
	return 0;
}

static int load_object(struct tables *t, const struct tables_options *o,
		       struct bpf_object_skeleton *skeleton)
{
	struct bpf_object *object = *skeleton->obj;
	int rc = reuse_tables(t, object);

	rc = rc ?: prepare_maps(t, o, object);
	rc = rc ?: bpf_object__load_skeleton(skeleton);
	return rc ?: keep_maps(t, o->bpffs, object);
}

static int unpin_map(const char *bpffs, enum tables_map map)
{
	char path[PATH_MAX];
	int rc = bpffs ? pin_path(path, sizeof(path), bpffs, maps[map].name) : 0;

	return rc ?: bpffs && unlink(path) && errno != ENOENT ? -errno : 0;
}

/* Packets do without these programs: a kernel that has no such hooks is no reason not to start. */
static int load_sock(struct tables *t, const struct tables_options *o,
		     const struct np_settings *settings)
{
	int rc;

	if (!o->sock) /* what was promised to sockets ends with the programs */
		return unpin_map(o->bpffs, TABLES_MAP_sock_peers)
			       ?: unpin_map(o->bpffs, TABLES_MAP_sock_carried);
	t->sock = sock_bpf__open();
	if (!t->sock)
		return -errno;
	t->sock->rodata->np = *settings;
	bpf_map__set_autocreate(t->sock->maps.fragments, false);
	rc = load_object(t, o, t->sock->skeleton);
	if (rc == -EPROTO)
		return rc;
	t->sock_error = rc;
	if (rc)
		return 0;
#define X(name, hook) t->sock_fd[TABLES_SOCK_##name] = bpf_program__fd(t->sock->progs.np_##name);
	TABLES_SOCK_LIST(X)
#undef X
	t->list_fd = bpf_program__fd(t->sock->progs.np_list);
	return 0;
}

static int load_programs(struct tables *t, const struct tables_options *o)
{
	struct np_settings settings;
	int rc;

	fill_settings(t, o, &settings);
	t->tc = tc_bpf__open();
	t->xdp = xdp_bpf__open();
	if (!t->tc || !t->xdp)
		return -errno;
	t->tc->rodata->np = settings;
	t->xdp->rodata->np = settings;
	rc = load_object(t, o, t->tc->skeleton);
	rc = rc ?: load_object(t, o, t->xdp->skeleton);
	if (rc && !reason[0]) {
		snprintf(reason, sizeof(reason),
			 "the kernel refused a program: %s (nearpath needs Linux 6.1 or later)",
			 strerror(-rc));
	}
	if (rc)
		return rc;
	t->settings = (const struct np_settings *)&t->tc->rodata->np;
	t->ingress_fd = bpf_program__fd(t->tc->progs.np_ingress);
	t->egress_fd = bpf_program__fd(t->tc->progs.np_egress);
	t->now_fd = bpf_program__fd(t->tc->progs.np_now);
	tables_ask_jiffies(t);
	t->xdp_fd = bpf_program__fd(t->xdp->progs.np_xdp);
	return load_sock(t, o, &settings);
}

int tables_open(const struct tables_options *options, struct tables **tables, const char **why)
{
	_cleanup_(tables_close) struct tables *t = calloc(1, sizeof(*t));
	int rc, i;

	reason[0] = '\0';
	*why = reason;
	if (!t)
		return -ENOMEM;
	for (i = 0; i < TABLES; i++)
		t->fd[i] = -1;
	memset(t->map_fd, -1, sizeof(t->map_fd));
	memset(t->sock_fd, -1, sizeof(t->sock_fd));
	t->list_fd = -1;
	t->direct_checksum = kernel_has_function("bpf_cast_to_kern_ctx", NULL);
	choose_sizes(t, options);
	rc = open_tables(t, options->bpffs);
	rc = rc ?: check_sizes(t, options->bpffs ?: "");
	rc = rc ?: open_config(t);
	rc = rc ?: load_programs(t, options);
	if (rc) {
		if (!reason[0])
			snprintf(reason, sizeof(reason), "%s", strerror(-rc));
		return rc;
	}
	*tables = TAKE_PTR(t);
	return 0;
}

void tables_close(struct tables **tables)
{
	struct tables *t = *tables;
	int i;

	*tables = NULL;
	if (!t)
		return;
	tc_bpf__destroy(t->tc);
	xdp_bpf__destroy(t->xdp);
	sock_bpf__destroy(t->sock);
	for (i = 0; i < TABLES; i++) {
		if (*table_pointer(t, i))
			munmap(*table_pointer(t, i), (size_t)t->size[i] * value_sizes[i]);
		util_close(&t->fd[i]);
	}
	free(t);
}

int tables_unpin(const char *bpffs)
{
	char path[PATH_MAX];
	int i, rc;

	for (i = 0; i < TABLES + TABLES_MAPS; i++) {
		rc = pin_path(path, sizeof(path), bpffs,
			      i < TABLES ? names[i] : maps[i - TABLES].name);
		if (rc)
			return rc;
		if (unlink(path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}
