/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Opening the tables: created, or adopted from their pins, and mapped. The programs over them are
 * tables_load.c's, publishing into them is publish.c's.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cidr.h"
#include "tables_private.h"
#include "tc.skel.h"
#include "util.h"

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

__thread char tables_reason[TABLES_REASON];

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
	uint32_t flows = power_of_two(o->max_flows > o->min_flows ? o->max_flows : o->min_flows);

	/* A quarter full at most, counting one frontend a service version: no bucket overflows. */
	t->size[TABLE_frontends] = power_of_two((uint64_t)o->max_services * 4 / NP_BUCKET);
	t->size[TABLE_services] = o->max_services;
	t->size[TABLE_slots] = power_of_two(o->max_slots) / 2;
	t->size[TABLE_backends] = o->max_backends;
	t->size[TABLE_snat_sources] = NP_SOURCES;
	t->size[TABLE_snat_ports] = o->max_backends;
	t->size[TABLE_flow_index4] = t->size[TABLE_flows4] = flows;
	t->size[TABLE_flow_index6] = t->size[TABLE_flows6] = flows;
	t->size[TABLE_hints] = flows / NP_HINTS;
	t->size[TABLE_flow_filter] = flows / NP_FILTER_RECORDS > NP_FILTER_MIN
					     ? flows / NP_FILTER_RECORDS
					     : NP_FILTER_MIN;
	t->size[TABLE_address_filter] = power_of_two(o->max_services / NP_ADDRESS_FILTER_VERSIONS);
	t->size[TABLE_ifaces] = NP_IFACES;
	t->size[TABLE_config] = 1;
	cpus = cpus > 0 ? cpus : 1;
	t->size[TABLE_stats] = cpus + 1; /* the last is no CPU's: what other tables had counted */
	t->size[TABLE_routes] = cpus * NP_ROUTES;
	t->size[TABLE_service_stats] = o->max_services;
	t->size[TABLE_limits] = cpus;
	t->size[TABLE_explain] = 1;
}

int tables_pin_path(char path[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/*
 * Tables are described by the BTF of the programs (all types of maps/ are in it), so that a
 * nearpathd of another version can read them by the names of fields.
 */
static int create_table(struct tables *t, enum table table, const struct bpf_object *object,
			int btf)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, names[table]);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE, .btf_fd = btf,
		    .btf_key_type_id = bpf_map__btf_key_type_id(map),
		    .btf_value_type_id = bpf_map__btf_value_type_id(map));
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, names[table], sizeof(uint32_t),
				value_sizes[table], t->size[table], &opts);

	if (fd < 0) {
		snprintf(tables_reason, TABLES_REASON,
			 "cannot create table \"%s\" of %u entries: %s", names[table],
			 t->size[table], strerror(-fd));
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
		return fd;
	t->fd[table] = fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != value_sizes[table] ||
	    !(info.map_flags & BPF_F_MMAPABLE)) {
		snprintf(tables_reason, TABLES_REASON,
			 "\"%s\" is not a table of this version; run nearpathd --cleanup first",
			 path);
		return -EPROTO;
	}
	t->size[table] = info.max_entries;
	return 0;
}

static int open_table(struct tables *t, enum table table, const struct bpf_object *object, int btf)
{
	char path[PATH_MAX];
	int rc;

	if (!t->dir)
		return create_table(t, table, object, btf);
	rc = tables_pin_path(path, t->dir, names[table]) ?: adopt_table(t, table, path);
	if (rc != -ENOENT)
		return rc;
	rc = create_table(t, table, object, btf);
	if (rc)
		return rc;
	if (bpf_obj_pin(t->fd[table], path)) {
		snprintf(tables_reason, TABLES_REASON, "cannot pin \"%s\": %s", path,
			 strerror(errno));
		return -errno;
	}
	return 0;
}

static int map_table(struct tables *t, enum table table)
{
	size_t length = (size_t)t->size[table] * value_sizes[table];
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd[table], 0);

	if (memory == MAP_FAILED) {
		snprintf(tables_reason, TABLES_REASON, "cannot map table \"%s\": %s", names[table],
			 strerror(errno));
		return -errno;
	}
	*table_pointer(t, table) = memory;
	return 0;
}

static int load_btf(const struct bpf_object *object)
{
	const struct btf *all = bpf_object__btf(object);
	uint32_t size = 0;
	const void *data = btf__raw_data(all, &size);
	LIBBPF_OPTS(bpf_btf_load_opts, opts);
	int fd = data ? bpf_btf_load(data, size, &opts) : -ENOMEM;

	if (fd < 0)
		snprintf(tables_reason, TABLES_REASON,
			 "the kernel refused the BTF of the tables: %s", strerror(-fd));
	return fd;
}

/*
 * Index and records share a mask; unequal ones are left where one of them had lost its pin. That of
 * interfaces is a constant of the programs.
 */
static int check_sizes(const struct tables *t)
{
	if (t->size[TABLE_flow_index4] == t->size[TABLE_flows4] &&
	    t->size[TABLE_flow_index6] == t->size[TABLE_flows6] &&
	    t->size[TABLE_ifaces] == NP_IFACES)
		return 0;
	snprintf(tables_reason, TABLES_REASON,
		 "the tables pinned in \"%s\" do not fit each other; run nearpathd --cleanup first",
		 t->dir);
	return -EPROTO;
}

static int open_tables(struct tables *t, const struct bpf_object *object)
{
	_cleanup_close_ int btf = load_btf(object);
	int rc, i;

	if (btf < 0)
		return btf;
	rc = t->dir ? tables_pins_sort_out(t->dir) : 0;
	for (i = 0; i < TABLES && !rc; i++)
		rc = open_table(t, i, object, btf) ?: map_table(t, i);
	return rc ?: check_sizes(t);
}

/* No range at all: what is all zero has every address. */
static void clear_ranges(struct np_config *c)
{
	int i;

	c->pod_prefix4 = c->pod_prefix6 = cidr_nobody();
	for (i = 0; i < NP_SERVICE_CIDRS; i++)
		c->service_cidr4[i] = c->service_cidr6[i] = cidr_nobody();
}

/* The secret is drawn once in the life of the tables and of those after them. */
static int init_config(struct tables *t, const struct tables_options *o)
{
	struct np_config *c = t->config;

	if (o->hash_key)
		memcpy(c->hash_key, o->hash_key, sizeof(c->hash_key));
	else if (getrandom(c->hash_key, sizeof(c->hash_key), 0) < 0)
		return -errno;
	clear_ranges(c);
	c->handover = o->hash_key ? NP_HANDOVER_ALL : NP_HANDOVER_NONE;
	c->abi_version = NP_ABI_VERSION;
	return 0;
}

static int open_config(struct tables *t, const struct tables_options *o)
{
	int rc = t->config->abi_version ? 0 : init_config(t, o);

	if (rc)
		return rc;
	if (t->config->abi_version != NP_ABI_VERSION) {
		snprintf(tables_reason, TABLES_REASON,
			 "the tables in \"%s\" have ABI version %u, this nearpathd has %d; "
			 "run nearpathd --cleanup first",
			 t->dir, t->config->abi_version, NP_ABI_VERSION);
		return -EPROTO;
	}
	if (o->hash_key && memcmp(t->config->hash_key, o->hash_key, sizeof(t->hash_key))) {
		snprintf(tables_reason, TABLES_REASON,
			 "the tables in \"%s\" and those of another version beside them are not of "
			 "one origin; run nearpathd --cleanup first",
			 t->dir);
		return -EPROTO;
	}
	memcpy(t->hash_key, t->config->hash_key, sizeof(t->hash_key));
	return 0;
}

static int dir_path(char path[PATH_MAX], const char *bpffs)
{
	return snprintf(path, PATH_MAX, "%s/" TABLES_DIR "%d", bpffs, NP_ABI_VERSION) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

bool tables_alive(const char *bpffs)
{
	char dir[PATH_MAX], path[PATH_MAX];

	return !dir_path(dir, bpffs) && !tables_pin_path(path, dir, TABLES_ALIVE) &&
	       !access(path, F_OK);
}

static int open_dir(struct tables *t, const char *bpffs)
{
	char path[PATH_MAX];
	int rc = dir_path(path, bpffs);

	if (rc)
		return rc;
	t->adopted = tables_alive(bpffs);
	if (!t->adopted)
		rc = tables_remove_dir(path);
	if (!rc && mkdir(path, 0700) && errno != EEXIST)
		rc = -errno;
	if (rc) {
		snprintf(tables_reason, TABLES_REASON, "cannot make \"%s\": %s", path,
			 strerror(-rc));
		return rc;
	}
	t->bpffs = strdup(bpffs);
	t->dir = strdup(path);
	return t->bpffs && t->dir ? 0 : -ENOMEM;
}

static int open_all(struct tables *t, const struct tables_options *o)
{
	int rc = o->bpffs ? open_dir(t, o->bpffs) : 0;

	rc = rc ?: tables_load_begin(t);
	rc = rc ?: open_tables(t, *t->tc->skeleton->obj);
	rc = rc ?: open_config(t, o);
	return rc ?: tables_load(t, o);
}

int tables_open(const struct tables_options *options, struct tables **tables, const char **why)
{
	_cleanup_(tables_close) struct tables *t = calloc(1, sizeof(*t));
	int rc, i;

	tables_reason[0] = '\0';
	*why = tables_reason;
	if (!t)
		return -ENOMEM;
	for (i = 0; i < TABLES; i++)
		t->fd[i] = -1;
	memset(t->map_fd, -1, sizeof(t->map_fd));
	memset(t->sock_fd, -1, sizeof(t->sock_fd));
	t->connected_fd = -1;
	choose_sizes(t, options);
	rc = open_all(t, options);
	if (rc) {
		if (!tables_reason[0])
			snprintf(tables_reason, TABLES_REASON, "%s", strerror(-rc));
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
	tables_unload(t);
	for (i = 0; i < TABLES; i++) {
		if (*table_pointer(t, i))
			munmap(*table_pointer(t, i), (size_t)t->size[i] * value_sizes[i]);
		util_close(&t->fd[i]);
	}
	free(t->bpffs);
	free(t->dir);
	free(t);
}
