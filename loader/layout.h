/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tables of another ABI version, read without its headers: fields are found by name, in the BTF
 * that goes with the maps (maps/abi.h has the contract). Version 2 had no BTF; its layout is known
 * here. What is done with them is migrate.c's.
 */
#ifndef NEARPATH_LOADER_LAYOUT_H
#define NEARPATH_LOADER_LAYOUT_H

#include "flowtable.h"

struct btf;

/* A table of theirs; memory is NULL for a kernel map, size 0: there is no such table. */
struct layout_table {
	const char *name;
	int fd;
	uint32_t size; /* entries */
	uint32_t key_size;
	uint32_t value_size;
	uint32_t key_type;
	uint32_t value_type; /* in btf */
	struct btf *btf;
	void *memory;
};

/* A field, or an array of count fields, of an entry. size 0: there is none. In bytes. */
struct layout_field {
	uint32_t at;
	uint32_t size; /* of one */
	uint32_t count;
};

/* X(table, is it mapped?): what is read. Only the first five must be there. */
#define LAYOUT_LIST(X)                                                                             \
	X(config, true)                                                                            \
	X(flow_index4, true)                                                                       \
	X(flows4, true)                                                                            \
	X(flow_index6, true)                                                                       \
	X(flows6, true)                                                                            \
	X(frontends, true)                                                                         \
	X(services, true)                                                                          \
	X(backends, true)                                                                          \
	X(snat_ports, true)                                                                        \
	X(stats, true)                                                                             \
	X(service_stats, true)                                                                     \
	X(affinity, false)

enum layout_map {
#define X(name, mapped) LAYOUT_##name,
	LAYOUT_LIST(X)
#undef X
		LAYOUT_TABLES,
};

#define LAYOUT_NEEDED 5

/* The fields of a record that are read, of one family. */
struct layout_record {
	struct layout_field seq, seen, port, index, protocol, state, flags, service, backend, born,
		addr;
};

struct layout {
	unsigned version;
	char *dir;    /* of its pins */
	bool in_root; /* version 2: beside pins of others */
	struct layout_table table[LAYOUT_TABLES];
	struct layout_record record[2]; /* IPv4, IPv6 */
	uint8_t state[256][3];		/* enum np_flow_state by theirs, for TCP, UDP, SCTP */
	struct layout_field handover;	/* of config */
	__u64 hash_key[NP_HASH_KEYS];
};

/*
 * The tables in bpffs of a version other than this program's, if there are any: else *layout is
 * NULL. links: where programs of version 2 are to be found, which pinned none. What a start that
 * was cut short, or a migration that came to its end, left is removed. -EPROTO: they cannot be
 * read, or there are those of several versions; *why says what to do.
 */
int layout_find(const char *bpffs, const char *links, struct layout **layout, const char **why);
void layout_free(struct layout **layout);

/* Their programs go first: from then on they are not alive. */
int layout_remove(struct layout *l);

/* enum np_handover of their config; NONE where it has none. */
uint32_t layout_handover(const struct layout *l);
void layout_set_handover(struct layout *l, uint32_t handover);

/* Open what their programs are and what tables_handover() needs; for the caller to close. */
int layout_before(const struct layout *l, struct tables_before *before);
void layout_before_close(struct tables_before *before);

/* A field of a table's entries, or of a kernel map's keys; nested structs are searched too. */
struct layout_field layout_field(const struct layout *l, enum layout_map map, const char *name);
struct layout_field layout_key_field(const struct layout *l, enum layout_map map, const char *name);

/* Entry n of a mapped table; NULL: there is none. */
void *layout_entry(const struct layout *l, enum layout_map map, uint32_t n);

/* The i-th element, as a number (sizes 1, 2, 4, 8; as it lies in memory); 0 if there is none. */
uint64_t layout_number(const void *entry, const struct layout_field *f, uint32_t i);

/* An address of 4 or 16 bytes; all zero if there is none. */
union np_addr layout_addr(const void *entry, const struct layout_field *f, uint32_t i);

/*
 * Call visit for each enumerator of an enum that is in their BTF. Returns how many there were.
 */
int layout_enum(const struct layout *l, const char *name,
		void (*visit)(const char *enumerator, uint32_t value, void *arg), void *arg);

/* The flows: family NP_IPV4 or NP_IPV6. As flowtable_read() and flowtable_end(). */
uint32_t layout_records(const struct layout *l, int family);
int layout_read(const struct layout *l, int family, uint32_t number, struct flowtable_flow *flow,
		uint32_t *seq);
int layout_end(struct layout *l, int family, uint32_t number, uint32_t seq);

/* Is the record claimed? By a program for a moment; for ever by a nearpathd that was killed. */
bool layout_is_claimed(const struct layout *l, int family, uint32_t number, uint32_t *seq);

/* Free a record that has been claimed by seq since all programs that may have done it ended. */
void layout_free_claimed(struct layout *l, int family, uint32_t number, uint32_t seq);

/* Remove names of no flow from a bucket of the index. Returns how many names are left in it. */
uint32_t layout_clean(struct layout *l, int family, uint32_t bucket);

/* Where version 2 has its fields: layout_v2.c. */
struct layout_field layout_v2_field(const char *table, const char *name);

/* The fields of the records are found. -EPROTO: one is missing; *missing is its name. */
int layout_flow_fields(struct layout *l, const char **missing);

#endif
