/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every table shares: its version, the words for families, classes, verdicts, hooks and
 * reasons, and the address type. Included as it stands by the BPF programs and by C programs.
 * The tables themselves have a header each beside this one.
 *
 * Byte order: addresses and ports are in network order everywhere in shared memory.
 */
#ifndef NEARPATH_MAPS_ABI_H
#define NEARPATH_MAPS_ABI_H

#include <linux/types.h>

/*
 * Raised by every change of a struct in this folder (but for maps/sock.h, whose map all versions
 * share, and np_settings, which is a program's own; and not for a table that may come empty).
 * Tables of another version are not adopted but taken over, in either direction, by a nearpathd
 * that may never have seen their layout. For that, and at no time else, these hold in all versions
 * from 3 on:
 *
 * - The pins of version N are in the directory abi-N of the bpffs: its tables by their names, and
 *   its programs np_xdp (if it has one), np_egress and np_ingress, which know these tables alone.
 *   np_ingress is pinned last and removed first: while it is there, the tables are in use.
 * - Tables are arrays with BPF_F_MMAPABLE, described by BTF. Fields are found in it by their names,
 *   wherever they lie, also in structs inside; integers may change size where not said otherwise.
 * - flow_index4 and _6: struct np_bucket and the hash of maps/hash.h, keyed with config.hash_key,
 *   with the same numbers of buckets and records, a power of two; in the lower half of an entry
 *   the record's number and, in the upper 2 bits, its enum np_name.
 * - flows4 and _6: seq, seen (4 bytes each), port[], index[], protocol, state, flags, service,
 *   backend, born, addr[]; what they mean, the places of enum np_place, the names of enum np_name
 *   and the bits of flags below 0x100 (maps/flow.h). A record is claimed by making seq odd, then
 *   loses its names, is given state 0, and seq is made even. It may be given state 0 before it is
 *   claimed, and keep its names for its client's next flow: who claims it may look for them in the
 *   index, as who cleans that may have taken them away. States go by the names of enum
 *   np_flow_state; one that is not known here is taken for a flow in use.
 * - config.handover (4 bytes) is an enum np_handover.
 * - What is taken along if it is found, else not: frontends (buckets, whose lower halves are
 *   numbers of services) and services {addr, port, protocol, family, id}; backends {addr, port,
 *   family, flags}; snat_ports {next, refused}, by number of the backend; stats.packets[][] and
 *   service_stats {connections[], refused}, by the names of enum np_hook, np_reason and
 *   np_zone_class; affinity {client, service, family} -> {addr, port, backend, seen}.
 */
#define NP_ABI_VERSION 5

#define NP_STATIC_ASSERT(expr) _Static_assert(expr, #expr)

/* The address families, by the version number in the packet. */
#define NP_IPV4 4
#define NP_IPV6 6

/* An address of either family; IPv4 uses the first word and leaves the rest zero. */
union np_addr {
	__be32 v4;
	__be32 word[4];
};
NP_STATIC_ASSERT(sizeof(union np_addr) == 16);

/* Where a new connection comes from; every service has one policy for each. */
enum np_class {
	NP_CLASS_POD,	  /* a pod of the cluster, by the local detector */
	NP_CLASS_NODE,	  /* an address of this host */
	NP_CLASS_OUTSIDE, /* anything else */
	NP_CLASSES,
};

/* X(enumerator, name): what happens to a new connection. */
#define NP_VERDICT_LIST(X)                                                                         \
	X(PASS, "pass") /* no service: the kernel's business */                                    \
	X(FORWARD, "forward")                                                                      \
	X(REJECT, "reject") /* answered by ICMP port unreachable */                                \
	X(DROP, "drop")

enum np_verdict {
#define X(e, name) NP_VERDICT_##e,
	NP_VERDICT_LIST(X)
#undef X
		NP_VERDICTS,
};

/* X(enumerator, name): the places where a program sees packets. */
#define NP_HOOK_LIST(X)                                                                            \
	X(INGRESS, "ingress")                                                                      \
	X(EGRESS, "egress")                                                                        \
	X(XDP, "xdp")                                                                              \
	X(SOCK, "sock") /* the cgroup hooks: connect() and sendmsg() of the node's processes */

enum np_hook {
#define X(e, name) NP_HOOK_##e,
	NP_HOOK_LIST(X)
#undef X
		NP_HOOKS,
};

/*
 * X(enumerator, name, help): why a packet did not simply pass; counted by hook and reason.
 * The names are metric labels and may not change.
 */
#define NP_REASON_LIST(X)                                                                          \
	X(TRANSLATED, "translated", "packets of flows rewritten (interfaces with stats=on)")       \
	X(NO_SERVICE, "no_service", "passed: for no service (never counted)")                      \
	X(NEW_FLOW, "new_flow", "connections given a backend")                                     \
	X(AFFINITY, "affinity", "of those, given the backend of the client's last connection")     \
	X(NO_ENDPOINT, "no_endpoint", "refused: the service has no endpoint")                      \
	X(NO_SUCH_PORT, "no_such_port", "refused: the clusterIP has no such port")                 \
	X(NO_SUCH_SERVICE, "no_such_service",                                                      \
	  "dropped: an address of a ServiceCIDR, no service's")                                    \
	X(POLICY_DROP, "policy_drop", "dropped: traffic policy Local without a local endpoint")    \
	X(SOURCE_RANGE, "source_range", "dropped: source outside loadBalancerSourceRanges")        \
	X(REJECTED, "rejected", "refusals answered by ICMP port unreachable")                      \
	X(REJECT_LIMITED, "reject_limited", "refusals left unanswered by the rate limit")          \
	X(RESET, "reset", "packets of flows to removed endpoints answered by RST")                 \
	X(FLOWS_FULL, "flows_full", "dropped: no flow record could be freed")                      \
	X(NO_SNAT_PORT, "no_snat_port", "dropped: no free source port towards the backend")        \
	X(NO_SNAT_ADDRESS, "no_snat_address", "dropped: no source address towards the backend")    \
	X(EVICTED, "evicted", "records of closed or unanswered flows taken for new ones")          \
	X(RACE_LOST, "race_lost", "flows set up by another CPU at the same time")                  \
	X(PORT_MOVED, "port_moved", "flows given another source port because theirs was taken")    \
	X(SOURCE_MOVED, "source_moved",                                                            \
	  "flows given another of the node's addresses because the first had no port left")        \
	X(PORT_CLASH, "port_clash",                                                                \
	  "dropped: the kernel gave a connection the source port of a live flow; it asks again")   \
	X(TABLE_ERROR, "table_error", "passed: a table entry pointed outside its table")           \
	X(DRAIN, "drain", "new connections left to the kernel by lb=drain")                        \
	X(LEFT_TO_CONNTRACK, "left_to_conntrack",                                                  \
	  "packets that could open a connection, of one that conntrack carries for kube-proxy")    \
	X(MSS_CLAMPED, "mss_clamped", "SYN packets whose MSS was lowered")                         \
	X(ICMP_TRANSLATED, "icmp_translated", "ICMP errors whose inner packet was rewritten")      \
	X(FRAGMENT_LOST, "fragment_lost", "fragments that came before their first")                \
	X(XDP_TX, "xdp_tx", "packets sent back out of their device by XDP")                        \
	X(XDP_REDIRECT, "xdp_redirect", "packets sent out of another device by XDP")               \
	X(XDP_NO_ROUTE, "xdp_no_route", "packets XDP left to tc: no route, neighbour or room")

enum np_reason {
#define X(e, name, help) NP_REASON_##e,
	NP_REASON_LIST(X)
#undef X
		NP_REASONS,
};

/* Where a chosen backend is, seen from this node; the columns of the connection counters. */
#define NP_ZONE_CLASS_LIST(X)                                                                      \
	X(NODE, "node")                                                                            \
	X(ZONE, "zone")                                                                            \
	X(OTHER, "other_zone")                                                                     \
	X(UNKNOWN, "unknown")

enum np_zone_class {
#define X(e, name) NP_ZONE_##e,
	NP_ZONE_CLASS_LIST(X)
#undef X
		NP_ZONE_CLASSES,
};

#endif
