/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Finding the tables of another version, and the fields of their entries. Flows: layout_flow.c. */
#include "layout.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach.h"
#include "tables_private.h"
#include "util.h"

/* The version whose pins are in the bffs itself, and which has no BTF. */
#define VERSION_IN_ROOT 2

static const struct {
	const char *name;
	bool mapped;
} tables[LAYOUT_TABLES] = {
#define X(name, mapped) [LAYOUT_##name] = {#name, mapped},
	LAYOUT_LIST(X)
#undef X
};

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* A member of that name, or one of a struct inside. */
static bool find_member(const struct btf *btf, uint32_t type, const char *name, uint32_t at,
			struct layout_field *field)
{
	const struct btf_type *t = btf__type_by_id(btf, btf__resolve_type(btf, type));
	const struct btf_member *m;
	uint32_t i, offset;

	if (!t || !btf_is_composite(t))
		return false;
	m = btf_members(t);
	for (i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *inner;
		int id = btf__resolve_type(btf, m[i].type);

		offset = at + btf_member_bit_offset(t, i) / 8;
		inner = id < 0 ? NULL : btf__type_by_id(btf, id);
		if (!inner || btf_member_bitfield_size(t, i))
			continue;
		if (strcmp(btf__name_by_offset(btf, m[i].name_off), name) != 0) {
			if (find_member(btf, id, name, offset, field))
				return true;
			continue;
		}
		*field = (struct layout_field){.at = offset, .count = 1};
		if (btf_is_array(inner)) {
			field->count = btf_array(inner)->nelems;
			id = btf_array(inner)->type;
		}
		field->size = btf__resolve_size(btf, id);
		return true;
	}
	return false;
}

static struct layout_field find(const struct layout_table *t, uint32_t type, const char *table,
				const char *name)
{
	struct layout_field field = {};

	if (!t->size)
		return field;
	if (!t->btf)
		return layout_v2_field(table, name);
	return find_member(t->btf, type, name, 0, &field) ? field : (struct layout_field){};
}

struct layout_field layout_field(const struct layout *l, enum layout_map map, const char *name)
{
	const struct layout_table *t = &l->table[map];

	return find(t, t->value_type, t->name, name);
}

struct layout_field layout_key_field(const struct layout *l, enum layout_map map, const char *name)
{
	const struct layout_table *t = &l->table[map];
	char table[64];

	snprintf(table, sizeof(table), "%s key", t->name);
	return find(t, t->key_type, table, name);
}

void *layout_entry(const struct layout *l, enum layout_map map, uint32_t n)
{
	const struct layout_table *t = &l->table[map];

	/* The kernel rounds entries up to 8 bytes (kernel/bpf/arraymap.c). */
	return t->memory && n < t->size
		       ? (char *)t->memory + (size_t)n * ((t->value_size + 7) & ~7U)
		       : NULL;
}

uint64_t layout_number(const void *entry, const struct layout_field *f, uint32_t i)
{
	uint64_t number = 0;

	if (entry && i < f->count && f->size <= sizeof(number))
		memcpy(&number, (const char *)entry + f->at + (size_t)i * f->size, f->size);
	return number;
}

union np_addr layout_addr(const void *entry, const struct layout_field *f, uint32_t i)
{
	union np_addr addr = {};

	if (entry && i < f->count && f->size <= sizeof(addr))
		memcpy(&addr, (const char *)entry + f->at + (size_t)i * f->size, f->size);
	return addr;
}

int layout_enum(const struct layout *l, const char *name,
		void (*visit)(const char *enumerator, uint32_t value, void *arg), void *arg)
{
	const struct btf *btf = l->table[LAYOUT_flows4].btf;
	int id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_ENUM) : 0;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;
	int i;

	for (i = 0; t && i < btf_vlen(t); i++)
		visit(btf__name_by_offset(btf, btf_enum(t)[i].name_off), btf_enum(t)[i].val, arg);
	return i;
}

uint32_t layout_handover(const struct layout *l)
{
	return layout_number(layout_entry(l, LAYOUT_config, 0), &l->handover, 0);
}

void layout_set_handover(struct layout *l, uint32_t handover)
{
	char *config = layout_entry(l, LAYOUT_config, 0);

	if (l->handover.size == sizeof(handover))
		__atomic_store_n((uint32_t *)(config + l->handover.at), handover, __ATOMIC_SEQ_CST);
}

static int open_table(struct layout *l, enum layout_map map)
{
	struct layout_table *t = &l->table[map];
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	char path[PATH_MAX];
	int rc = tables_pin_path(path, l->dir, tables[map].name);

	t->name = tables[map].name;
	t->fd = rc ? rc : bpf_obj_get(path);
	if (t->fd < 0)
		return map < LAYOUT_NEEDED ? t->fd : 0;
	if (bpf_obj_get_info_by_fd(t->fd, &info, &length))
		return -errno;
	if (tables[map].mapped && !(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	t->key_size = info.key_size;
	t->value_size = info.value_size;
	t->key_type = info.btf_key_type_id;
	t->value_type = info.btf_value_type_id;
	if (info.btf_id)
		t->btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!t->btf && !l->in_root)
		return -EPROTO;
	if (tables[map].mapped) {
		length = info.max_entries * ((info.value_size + 7) & ~7U);
		t->memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
		if (t->memory == MAP_FAILED) {
			t->memory = NULL;
			return -errno;
		}
	}
	t->size = info.max_entries;
	return 0;
}

/* What the programs of both versions share: one bucket for each record, a power of two. */
static bool fits(const struct layout *l)
{
	const struct layout_table *t = l->table;

	return t[LAYOUT_flows4].size == t[LAYOUT_flow_index4].size &&
	       t[LAYOUT_flows6].size == t[LAYOUT_flow_index6].size &&
	       !(t[LAYOUT_flows4].size & (t[LAYOUT_flows4].size - 1)) &&
	       !(t[LAYOUT_flows6].size & (t[LAYOUT_flows6].size - 1)) &&
	       t[LAYOUT_flow_index4].value_size == sizeof(struct np_bucket) &&
	       t[LAYOUT_flow_index6].value_size == sizeof(struct np_bucket);
}

static int open_tables(struct layout *l)
{
	const char *missing = NULL;
	struct layout_field key;
	int rc = 0, i;

	for (i = 0; i < LAYOUT_TABLES && !rc; i++)
		rc = open_table(l, i);
	if (rc || !fits(l)) {
		snprintf(tables_reason, TABLES_REASON,
			 "the tables of ABI version %u in \"%s\" cannot be read (%s); start that "
			 "nearpathd again, or run nearpathd --cleanup first",
			 l->version, l->dir, rc ? tables[i - 1].name : "sizes");
		return -EPROTO;
	}
	key = layout_field(l, LAYOUT_config, "hash_key");
	l->handover = layout_field(l, LAYOUT_config, "handover");
	if (key.size != sizeof(__u64) || key.count != NP_HASH_KEYS)
		missing = "hash_key";
	if (missing || layout_flow_fields(l, &missing)) {
		snprintf(
			tables_reason, TABLES_REASON,
			"the flows of ABI version %u in \"%s\" cannot be read: \"%s\" is not as it "
			"is here; start that nearpathd again, or run nearpathd --cleanup first",
			l->version, l->dir, missing);
		return -EPROTO;
	}
	for (i = 0; i < NP_HASH_KEYS; i++)
		l->hash_key[i] = layout_number(layout_entry(l, LAYOUT_config, 0), &key, i);
	return 0;
}

static bool is_pinned(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return !tables_pin_path(path, dir, name) && !access(path, F_OK);
}

static uint32_t map_id(const char *dir, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (!tables_pin_path(path, dir, name))
		fd = bpf_obj_get(path);
	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

static bool uses_map(int program, uint32_t map)
{
	uint32_t ids[64];
	struct bpf_prog_info info = {.nr_map_ids = ARRAY_SIZE(ids), .map_ids = (uintptr_t)ids};
	uint32_t length = sizeof(info);

	if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &length))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < ARRAY_SIZE(ids); i++)
		if (ids[i] == map)
			return true;
	return false;
}

/*
 * Tables whose programs have no pin, which are attached all the same: version 2 pinned none, and
 * somebody may have removed it. Of two versions only the one whose flows they write is meant.
 */
static int revive(const char *dir, const char *links)
{
	static const char *const names[] = {
		[NP_HOOK_XDP] = "np_xdp",
		[NP_HOOK_EGRESS] = "np_egress",
		[NP_HOOK_INGRESS] = TABLES_ALIVE,
	};
	int program[NP_HOOKS] = {-1, -1, -1, -1}, rc = 0, hook;
	uint32_t flows = map_id(dir, "flows4");

	if (!flows || is_pinned(dir, TABLES_ALIVE))
		return 0;
	rc = attach_programs(links, program);
	for (hook = NP_HOOK_XDP; hook >= NP_HOOK_INGRESS; hook--) {
		if (!rc && uses_map(program[hook], flows))
			rc = tables_pin(program[hook], dir, names[hook]);
		util_close(&program[hook]);
	}
	return rc;
}

static int new_layout(unsigned version, const char *dir, bool in_root, struct layout **layout)
{
	struct layout *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	for (int i = 0; i < LAYOUT_TABLES; i++)
		l->table[i].fd = -1;
	l->version = version;
	l->in_root = in_root;
	l->dir = strdup(dir);
	*layout = l;
	return l->dir ? 0 : -ENOMEM;
}

static int several(const struct layout *l, unsigned version)
{
	snprintf(tables_reason, TABLES_REASON,
		 "tables of the ABI versions %u and %u are there: let nearpathd of one of these "
		 "versions finish what it began before this one is started, or run nearpathd "
		 "--cleanup",
		 l->version, version);
	return -EPROTO;
}

static int find_in_root(const char *bpffs, const char *links, struct layout **layout)
{
	int rc;

	if (!is_pinned(bpffs, "config")) /* if the other is: a removal that was cut short */
		return is_pinned(bpffs, TABLES_ALIVE) ? tables_remove_files(bpffs) : 0;
	rc = revive(bpffs, links) ?: new_layout(VERSION_IN_ROOT, bpffs, true, layout);
	if (rc || is_pinned(bpffs, TABLES_ALIVE))
		return rc;
	rc = layout_remove(*layout); /* attached nowhere: it holds nothing that is in use */
	layout_free(layout);
	return rc;
}

static int find_in_dir(const char *bpffs, const char *links, const char *name,
		       struct layout **layout)
{
	char path[PATH_MAX];
	unsigned version;
	int rc = tables_pin_path(path, bpffs, name), used = 0;

	if (rc || sscanf(name, TABLES_DIR "%u%n", &version, &used) != 1 || name[used])
		return rc;
	rc = revive(path, links);
	if (rc || version == NP_ABI_VERSION) /* whatever else is to be done with these: tables.c */
		return rc;
	if (!is_pinned(path, TABLES_ALIVE))
		return tables_remove_dir(path);
	return *layout ? several(*layout, version) : new_layout(version, path, false, layout);
}

static int find_dirs(const char *bpffs, const char *links, struct layout **layout)
{
	_cleanup_(close_dir) DIR *open = opendir(bpffs);
	char names[16][32];
	const struct dirent *entry;
	size_t count = 0, i;
	int rc;

	if (!open)
		return -errno;
	rc = find_in_root(bpffs, links, layout);
	while (!rc && (entry = readdir(open)) && count < ARRAY_SIZE(names))
		if (!strncmp(entry->d_name, TABLES_DIR, strlen(TABLES_DIR)))
			snprintf(names[count++], sizeof(names[0]), "%.31s", entry->d_name);
	for (i = 0; i < count && !rc; i++)
		rc = find_in_dir(bpffs, links, names[i], layout);
	return rc;
}

int layout_find(const char *bpffs, const char *links, struct layout **layout, const char **why)
{
	_cleanup_(layout_free) struct layout *l = NULL;
	int rc;

	tables_reason[0] = '\0';
	*why = tables_reason;
	*layout = NULL;
	rc = find_dirs(bpffs, links, &l);
	if (!rc && l)
		rc = open_tables(l);
	if (rc && !tables_reason[0])
		snprintf(tables_reason, TABLES_REASON, "cannot read the pins in \"%s\": %s", bpffs,
			 strerror(-rc));
	if (rc)
		return rc;
	*layout = TAKE_PTR(l);
	return 0;
}

void layout_free(struct layout **layout)
{
	struct layout *l = *layout;

	*layout = NULL;
	if (!l)
		return;
	for (int i = 0; i < LAYOUT_TABLES; i++) {
		struct layout_table *t = &l->table[i];

		if (t->memory)
			munmap(t->memory, (size_t)t->size * ((t->value_size + 7) & ~7U));
		btf__free(t->btf);
		util_close(&t->fd);
	}
	free(l->dir);
	free(l);
}

int layout_remove(struct layout *l)
{
	return l->in_root ? tables_remove_files(l->dir) : tables_remove_dir(l->dir);
}

static int open_program(const struct layout *l, const char *name)
{
	char path[PATH_MAX];

	return tables_pin_path(path, l->dir, name) ? -1 : bpf_obj_get(path);
}

int layout_before(const struct layout *l, struct tables_before *before)
{
	*before = (struct tables_before){
		.index_fd = {l->table[LAYOUT_flow_index4].fd, l->table[LAYOUT_flow_index6].fd},
		.size = {l->table[LAYOUT_flow_index4].size, l->table[LAYOUT_flow_index6].size},
	};
	memset(before->program, -1, sizeof(before->program));
	before->program[NP_HOOK_INGRESS] = open_program(l, TABLES_ALIVE);
	before->program[NP_HOOK_EGRESS] = open_program(l, "np_egress");
	before->program[NP_HOOK_XDP] = open_program(l, "np_xdp");
	return before->program[NP_HOOK_INGRESS] < 0 ? before->program[NP_HOOK_INGRESS] : 0;
}

void layout_before_close(struct tables_before *before)
{
	for (int i = 0; i < NP_HOOKS; i++)
		util_close(&before->program[i]);
}
