/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The BPF tables and programs of one nearpath instance: created or adopted from their pins, sized,
 * loaded, and mapped into this process. Knows their sizes, not what they mean.
 */
#ifndef NEARPATH_LOADER_TABLES_H
#define NEARPATH_LOADER_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <limits.h>
#include <stdint.h>

#include "../maps/explain.h"
#include "../maps/filter.h"
#include "../maps/flow.h"
#include "../maps/hash.h"
#include "../maps/iface.h"
#include "../maps/limit.h"
#include "../maps/route.h"
#include "../maps/service.h"
#include "../maps/settings.h"
#include "../maps/sock.h"
#include "../maps/stats.h"

/* X(map name as in maps.bpf.h, type of its values). */
#define TABLES_LIST(X)                                                                             \
	X(frontends, struct np_bucket)                                                             \
	X(services, struct np_service)                                                             \
	X(slots, struct np_slots)                                                                  \
	X(backends, struct np_backend)                                                             \
	X(snat_sources, struct np_source)                                                          \
	X(snat_ports, struct np_ports)                                                             \
	X(flow_index4, struct np_bucket)                                                           \
	X(flows4, struct np_flow4)                                                                 \
	X(hints, struct np_hints)                                                                  \
	X(flow_filter, struct np_filter)                                                           \
	X(address_filter, struct np_address_filter)                                                \
	X(flow_index6, struct np_bucket)                                                           \
	X(flows6, struct np_flow6)                                                                 \
	X(ifaces, struct np_iface)                                                                 \
	X(config, struct np_config)                                                                \
	X(routes, struct np_route)                                                                 \
	X(stats, struct np_stats)                                                                  \
	X(service_stats, struct np_service_stats)                                                  \
	X(limits, struct np_limit)                                                                 \
	X(explain, struct np_explain)

/* X(map name, type of its keys, type of its values): kernel maps, by system calls. */
#define TABLES_MAP_LIST(X)                                                                         \
	X(source_ranges, struct np_range_key, uint32_t)                                            \
	X(affinity, struct np_affinity_key, struct np_affinity)                                    \
	X(sock_peers, int, struct np_sock)                                                         \
	X(sock_carried, struct np_carried, uint32_t)

enum tables_map {
#define X(name, key, value) TABLES_MAP_##name,
	TABLES_MAP_LIST(X)
#undef X
		TABLES_MAPS,
};

enum table {
#define X(name, type) TABLE_##name,
	TABLES_LIST(X)
#undef X
		TABLES,
};

struct tables_options {
	const char *bpffs; /* directory of a bpffs; NULL: nothing is pinned */
	/* If there are tables of another version, and those of this one are new: */
	const __u64 *hash_key;	      /* theirs; flows are found by it. NULL: there are none */
	uint32_t min_flows;	      /* as many records as theirs have room for */
	uint32_t max_flows;	      /* records a family, rounded up to a power of two */
	const uint32_t *flow_seconds; /* timeouts by enum np_flow_state; NULL, or 0: the default */
	uint32_t max_services;	      /* service versions at a time */
	uint32_t max_slots;
	uint32_t max_backends;
	uint32_t max_affinity;
	uint16_t snat_port_first; /* host order; 0: choose below the local port range */
	uint16_t snat_port_count;
	bool sock; /* load the programs for the node's own processes */
};

struct tc_bpf;
struct xdp_bpf;
struct sock_bpf;

/* X(name: program np_<name>, attached as BPF_CGROUP_<hook>). */
#define TABLES_SOCK_LIST(X)                                                                        \
	X(recvmsg4, UDP4_RECVMSG)                                                                  \
	X(recvmsg6, UDP6_RECVMSG)                                                                  \
	X(getpeername4, INET4_GETPEERNAME)                                                         \
	X(getpeername6, INET6_GETPEERNAME)                                                         \
	X(sendmsg4, UDP4_SENDMSG)                                                                  \
	X(sendmsg6, UDP6_SENDMSG)                                                                  \
	X(connect4, INET4_CONNECT)                                                                 \
	X(connect6, INET6_CONNECT)

enum tables_sock {
#define X(name, hook) TABLES_SOCK_##name,
	TABLES_SOCK_LIST(X)
#undef X
		TABLES_SOCKS,
};

#define TABLES_PROGRAMS 3 /* pinned beside the tables: np_xdp, np_egress, np_ingress */

struct tables {
	/* One pointer and one length (in entries) for each table: t->flows4, t->size[TABLE_flows4].
	 */
#define X(name, type) type *name;
	TABLES_LIST(X)
#undef X
	uint32_t size[TABLES];
	int fd[TABLES];
	int map_fd[TABLES_MAPS]; /* of the kernel maps; the objects own them. -1: not there */
	char *bpffs;		 /* NULL: nothing is pinned */
	char *dir;		 /* of the pins: "abi-N" in the bpffs */
	bool adopted;		 /* the tables were there before this process */
	bool direct_checksum;
	__u64 hash_key[NP_HASH_KEYS];
	struct tc_bpf *tc;
	struct xdp_bpf *xdp;
	struct sock_bpf *sock;
	struct tc_bpf *tc_over; /* during a handover: see tables_handover() */
	struct xdp_bpf *xdp_over;
	const struct np_settings *settings; /* what the programs were loaded with */
	int ingress_fd, egress_fd, xdp_fd;  /* the programs to attach */
	int plain_fd[TABLES_PROGRAMS];	    /* those without a handover, in the order of pins */
	int now_fd;			    /* np_now */
	int sock_fd[TABLES_SOCKS];	    /* -1: not asked for, or refused by the kernel: */
	int connected_fd;		    /* of np_connected; the same */
	int sock_error;			    /* why, -errno */
};

/*
 * Create or adopt the tables, load the programs. On failure *why (static or in a thread-local
 * buffer) says what to do. Sizes of adopted tables win over options. -EPROTO: what is pinned cannot
 * be tables of this version. Others as libbpf returns them.
 *
 * Pins lie in a directory of the ABI version's own. Tables are alive, and adopted, once the
 * programs that use them are pinned beside them, the ingress program last: until then nothing was
 * attached, and what a start that was cut short left is made anew.
 */
int tables_open(const struct tables_options *options, struct tables **tables, const char **why);

/* Unmaps and closes; pins and attached programs stay. */
void tables_close(struct tables **tables);

/* Does the bpffs hold tables of this version that are alive? */
bool tables_alive(const char *bpffs);

/* Remove the pins of all tables below bpffs, of whatever version. */
int tables_unpin(const char *bpffs);

/* What is read of the tables of another version, and called, while it is replaced. */
struct tables_before {
	int index_fd[2];       /* of flow_index4 and flow_index6 */
	uint32_t size[2];      /* of them, in buckets */
	int program[NP_HOOKS]; /* by enum np_hook; -1: none */
};

/*
 * Load programs that leave to those of before what these tables do not know
 * (datapath/handover.h), as ingress_fd, egress_fd and xdp_fd.
 */
int tables_handover(struct tables *t, const struct tables_before *before, const char **why);

/* The handover is over: the programs to attach are those without again. */
void tables_handover_end(struct tables *t);

/* And those are attached: what was there for it goes. */
void tables_handover_forget(struct tables *t);

/* Slot n, and how many there are: an entry of the table holds two. */
static inline uint32_t *tables_slot(const struct tables *t, uint32_t n)
{
	return &t->slots[n / 2].backend[n % 2];
}

static inline uint32_t tables_slots(const struct tables *t)
{
	return 2 * t->size[TABLE_slots];
}

/* How many there are of what a table holds: of an index its places, of slots each one. */
static inline uint32_t tables_entries(const struct tables *t, enum table table)
{
	switch (table) {
	case TABLE_frontends:
		return t->size[table] * NP_BUCKET;
	case TABLE_slots:
		return tables_slots(t);
	default:
		return t->size[table];
	}
}

/* The size of a kernel map; 0: it is not there. */
uint32_t tables_map_entries(const struct tables *t, enum tables_map map);

const char *tables_name(enum table table);
size_t tables_value_size(enum table table);

/*
 * The pins by number, tables first, np_ingress last; their files. Is it there? 0: yes; 1: it was
 * not, and is pinned again if repair is set; -EEXIST: something else has its name; -errno.
 */
#define TABLES_PINS (TABLES + TABLES_MAPS + TABLES_PROGRAMS)
const char *tables_pin_name(unsigned pin);
int tables_pin_file(const struct tables *t, unsigned pin, char path[PATH_MAX]);
int tables_pin_check(const struct tables *t, unsigned pin, bool repair);

/*
 * Of the tables that are published into, one alone is of no use, and writing into those that are
 * left would disturb the programs that go by the one that has no pin: where not all are there, the
 * others' pins go too, and all are made anew.
 */
int tables_pins_sort_out(const char *dir);

/* The kernel's tick: rate, and time now as programs see it, since it was last asked for it. */
uint32_t tables_hertz(void);
uint32_t tables_jiffies(void);

/*
 * Ask the kernel for its tick. Ticks are counted as they come, and the clocks of user space are
 * slewed by NTP: over months they part by seconds. Two microseconds.
 */
void tables_ask_jiffies(const struct tables *t);

/* Returns after every program that was running when it was called has ended. 0 or -errno. */
int tables_synchronize(void);

#endif
