/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Loading the programs over tables that are there: settings go into the skeletons, kernel maps come
 * from their pins where there are any. Creating and adopting the tables is tables.c's.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../maps/settings.h"
#include "conntrack.h"
#include "sock.skel.h"
#include "tables_private.h"
#include "tc.skel.h"
#include "util.h"
#include "xdp.skel.h"

static const uint32_t flow_seconds[NP_FLOW_STATES] = {
#define X(e, name, seconds) [NP_FLOW_##e] = seconds,
	NP_FLOW_STATE_LIST(X)
#undef X
};

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
	s->hint_mask = NP_HINTS * t->size[TABLE_hints] - 1;
	s->filter_mask = t->size[TABLE_flow_filter] - 1;
	s->address_mask = t->size[TABLE_address_filter] - 1;
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

/* Beside flows that were there, an empty filter is one that lost its pin: all are to be looked for.
 */
static void check_filter(struct tables *t)
{
	const size_t words = t->size[TABLE_flow_filter];

	for (size_t i = 0; i < words; i++)
		if (t->flow_filter[i].half[t->config->filter & 1])
			return;
	memset(t->flow_filter, 0xFF, words * sizeof(*t->flow_filter));
}

static int reuse_tables(const struct tables *t, struct bpf_object *object)
{
	struct bpf_map *map;
	int i, rc;

	for (i = 0; i < TABLES; i++) {
		map = bpf_object__find_map_by_name(object, tables_name(i));
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

/*
 * What was promised to sockets goes with the sockets, whatever the version: its layout is not part
 * of it, and its pin is in the bpffs itself. Should its size change all the same, there are two.
 */
bool tables_is_shared(enum tables_map map)
{
	return map == TABLES_MAP_sock_peers || map == TABLES_MAP_sock_carried;
}

static bool is_like(const struct bpf_map_info *info, const struct bpf_map *map,
		    const struct map_info *m)
{
	return info->type == bpf_map__type(map) && info->key_size == m->key_size &&
	       info->value_size == m->value_size;
}

/* A pinned map is taken as it is, with its size; -ENOENT: there is none, -EPROTO: it is another. */
static int adopt_map(struct bpf_map *map, const struct map_info *m, const char *path)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	return is_like(&info, map, m) ? bpf_map__reuse_fd(map, fd) : -EPROTO;
}

static int adopt_pinned(const struct tables *t, const struct tables_options *o, enum tables_map i,
			struct bpf_map *map)
{
	char path[PATH_MAX];
	int rc = -ENOENT;

	if (tables_is_shared(i))
		rc = tables_pin_path(path, o->bpffs, maps[i].name)
			     ?: adopt_map(map, &maps[i], path);
	if (!tables_is_shared(i) || rc == -EPROTO)
		rc = tables_pin_path(path, t->dir, maps[i].name) ?: adopt_map(map, &maps[i], path);
	if (rc == -EPROTO)
		snprintf(tables_reason, TABLES_REASON,
			 "\"%s\" is not a map of this version; run nearpathd --cleanup first",
			 path);
	return rc == -ENOENT ? 0 : rc;
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
		if (!rc && t->map_fd[i] < 0 && t->dir)
			rc = adopt_pinned(t, o, i, map);
		if (rc)
			return rc;
	}
	return 0;
}

/* And once it is: those it brought are pinned. */
static int keep_maps(struct tables *t, const struct tables_options *o, struct bpf_object *object)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int i, rc;

	for (i = 0; i < TABLES_MAPS; i++) {
		map = bpf_object__find_map_by_name(object, maps[i].name);
		if (!map || t->map_fd[i] >= 0)
			continue;
		t->map_fd[i] = bpf_map__fd(map);
		if (!t->dir)
			continue;
		rc = tables_pin_path(path, tables_is_shared(i) ? o->bpffs : t->dir, maps[i].name);
		if (!rc && tables_is_shared(i) &&
		    !access(path, F_OK)) /* this one, or of another size */
			rc = tables_pin_path(path, t->dir, maps[i].name);
		if (!rc && access(path, F_OK) && bpf_obj_pin(t->map_fd[i], path))
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
	return rc ?: keep_maps(t, o, object);
}

/* What was promised to sockets ends with the programs. */
static int forget_sockets(const struct tables *t, const struct tables_options *o)
{
	const char *const dirs[] = {o->bpffs, t->dir};
	char path[PATH_MAX];
	int rc;

	for (size_t i = 0; t->dir && i < TABLES_MAPS * ARRAY_SIZE(dirs); i++) {
		if (!tables_is_shared(i / ARRAY_SIZE(dirs)))
			continue;
		rc = tables_pin_path(path, dirs[i % ARRAY_SIZE(dirs)],
				     maps[i / ARRAY_SIZE(dirs)].name);
		if (rc || (unlink(path) && errno != ENOENT))
			return rc ?: -errno;
	}
	return 0;
}

/* Packets do without these programs: a kernel that has no such hooks is no reason not to start. */
static int load_sock(struct tables *t, const struct tables_options *o)
{
	int rc;

	if (!o->sock)
		return forget_sockets(t, o);
	t->sock = sock_bpf__open();
	if (!t->sock)
		return -errno;
	t->sock->rodata->np = *t->settings;
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
	t->connected_fd = bpf_program__fd(t->sock->progs.np_connected);
	return 0;
}

/* The programs of a handover, or those without; and what only the former need. */
static void choose_programs(struct tc_bpf *tc, struct xdp_bpf *xdp, bool over)
{
	bpf_program__set_autoload(tc->progs.np_ingress, !over);
	bpf_program__set_autoload(tc->progs.np_egress, !over);
	bpf_program__set_autoload(tc->progs.np_ingress_over, over);
	bpf_program__set_autoload(tc->progs.np_egress_over, over);
	bpf_program__set_autoload(tc->progs.np_now, !over);
	bpf_program__set_autoload(xdp->progs.np_xdp, !over);
	bpf_program__set_autoload(xdp->progs.np_xdp_over, over);
	bpf_map__set_autocreate(tc->maps.before, over);
	bpf_map__set_autocreate(tc->maps.before4, over);
	bpf_map__set_autocreate(tc->maps.before6, over);
	bpf_map__set_autocreate(xdp->maps.before, over);
	bpf_map__set_autocreate(xdp->maps.before4, over);
	bpf_map__set_autocreate(xdp->maps.before6, over);
}

static int refused(int rc)
{
	if (rc && !tables_reason[0])
		snprintf(tables_reason, TABLES_REASON,
			 "the kernel refused a program: %s (nearpath needs Linux 6.1 or later)",
			 strerror(-rc));
	return rc;
}

int tables_load_begin(struct tables *t)
{
	t->tc = tc_bpf__open();
	t->xdp = xdp_bpf__open();
	if (!t->tc || !t->xdp)
		return -errno;
	choose_programs(t->tc, t->xdp, false);
	return 0;
}

/* The programs that know these tables, and none else; for those of another version to call. */
static int pin_programs(struct tables *t)
{
	int rc = 0;

	for (unsigned i = 0; i < TABLES_PROGRAMS && !rc; i++)
		rc = tables_pin(t->plain_fd[i], t->dir, tables_pin_name(TABLES + TABLES_MAPS + i));
	return rc;
}

static void use_plain(struct tables *t)
{
	t->ingress_fd = bpf_program__fd(t->tc->progs.np_ingress);
	t->egress_fd = bpf_program__fd(t->tc->progs.np_egress);
	t->xdp_fd = bpf_program__fd(t->xdp->progs.np_xdp);
	t->plain_fd[0] = t->xdp_fd;
	t->plain_fd[1] = t->egress_fd;
	t->plain_fd[2] = t->ingress_fd;
}

int tables_load(struct tables *t, const struct tables_options *o)
{
	struct np_settings settings;
	int rc;

	t->direct_checksum = kernel_has_function("bpf_cast_to_kern_ctx", NULL);
	fill_settings(t, o, &settings);
	t->config->conntrack = conntrack_is_used();
	if (t->adopted)
		check_filter(t);
	t->tc->rodata->np = settings;
	t->xdp->rodata->np = settings;
	rc = load_object(t, o, t->tc->skeleton);
	rc = refused(rc ?: load_object(t, o, t->xdp->skeleton));
	if (rc)
		return rc;
	t->settings = (const struct np_settings *)&t->tc->rodata->np;
	use_plain(t);
	t->now_fd = bpf_program__fd(t->tc->progs.np_now);
	tables_ask_jiffies(t);
	rc = load_sock(t, o);
	if (!rc && t->dir) {
		rc = pin_programs(t);
		if (rc)
			snprintf(tables_reason, TABLES_REASON, "cannot pin programs in \"%s\": %s",
				 t->dir, strerror(-rc));
	}
	return rc;
}

/*
 * The programs of before, in an array that is pinned: without a pin its entries would go with this
 * process. What is there already stays where nothing is known that is newer.
 */
static int before_programs(struct tables *t, const struct tables_before *before,
			   struct bpf_map *map, const char *name, uint32_t first, uint32_t last)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	int rc = t->dir ? tables_pin_path(path, t->dir, name) : 0;

	if (rc)
		return rc;
	fd = t->dir ? bpf_obj_get(path) : -ENOENT;
	if (fd < 0) {
		fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "before", sizeof(uint32_t),
				    sizeof(uint32_t), NP_HOOKS, NULL);
		if (fd < 0)
			return fd;
		if (t->dir && bpf_obj_pin(fd, path))
			return -errno;
	}
	for (uint32_t hook = first; hook <= last; hook++) {
		int program = before->program[hook];

		if (program >= 0 && bpf_map_update_elem(fd, &hook, &program, BPF_ANY))
			return -errno;
	}
	return bpf_map__reuse_fd(map, fd);
}

static int load_over(struct tables *t, const struct tables_before *b,
		     struct bpf_object_skeleton *skeleton)
{
	struct bpf_object *object = *skeleton->obj;
	int rc = reuse_tables(t, object);

	for (int i = 0; i < TABLES_MAPS && !rc; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);

		if (map)
			rc = bpf_map__reuse_fd(map, t->map_fd[i]);
	}
	rc = rc
		     ?: bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "before4"),
					  b->index_fd[0]);
	rc = rc
		     ?: bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "before6"),
					  b->index_fd[1]);
	return rc ?: bpf_object__load_skeleton(skeleton);
}

int tables_handover(struct tables *t, const struct tables_before *before, const char **why)
{
	struct np_settings settings = *t->settings;
	int rc;

	tables_reason[0] = '\0';
	*why = tables_reason;
	t->tc_over = tc_bpf__open();
	t->xdp_over = xdp_bpf__open();
	if (!t->tc_over || !t->xdp_over)
		return refused(-errno);
	choose_programs(t->tc_over, t->xdp_over, true);
	settings.handover = true;
	settings.before4_mask = before->size[0] - 1;
	settings.before6_mask = before->size[1] - 1;
	t->tc_over->rodata->np = settings;
	t->xdp_over->rodata->np = settings;
	rc = before_programs(t, before, t->tc_over->maps.before, "before_tc", NP_HOOK_INGRESS,
			     NP_HOOK_EGRESS);
	rc = rc
		     ?: before_programs(t, before, t->xdp_over->maps.before, "before_xdp",
					NP_HOOK_XDP, NP_HOOK_XDP);
	rc = rc ?: load_over(t, before, t->tc_over->skeleton);
	rc = refused(rc ?: load_over(t, before, t->xdp_over->skeleton));
	if (rc)
		return rc;
	t->ingress_fd = bpf_program__fd(t->tc_over->progs.np_ingress_over);
	t->egress_fd = bpf_program__fd(t->tc_over->progs.np_egress_over);
	t->xdp_fd = bpf_program__fd(t->xdp_over->progs.np_xdp_over);
	return 0;
}

void tables_handover_end(struct tables *t)
{
	use_plain(t);
}

void tables_handover_forget(struct tables *t)
{
	static const char *const names[] = {"before_tc", "before_xdp"};
	char path[PATH_MAX];

	tc_bpf__destroy(t->tc_over);
	xdp_bpf__destroy(t->xdp_over);
	t->tc_over = NULL;
	t->xdp_over = NULL;
	for (size_t i = 0; t->dir && i < ARRAY_SIZE(names); i++)
		if (!tables_pin_path(path, t->dir, names[i]))
			unlink(path); /* where it fails, it is in nobody's way */
}

void tables_unload(struct tables *t)
{
	tc_bpf__destroy(t->tc);
	xdp_bpf__destroy(t->xdp);
	sock_bpf__destroy(t->sock);
	tc_bpf__destroy(t->tc_over);
	xdp_bpf__destroy(t->xdp_over);
}
