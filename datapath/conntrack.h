/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Asking the kernel's conntrack whether a tuple is in use by a connection that nearpath knows
 * nothing of, or one that it carries for kube-proxy. For what opens a connection only, and only
 * where conntrack is loaded; of TCP and UDP, as it tells of no other (net/netfilter/
 * nf_conntrack_bpf.c). The includer defines np_ct_lookup as the function of its hook before.
 */
#ifndef NEARPATH_DATAPATH_CONNTRACK_H
#define NEARPATH_DATAPATH_CONNTRACK_H

#include "../maps/maps.bpf.h"
#include "packet.h"

/* include/net/netfilter/nf_conntrack_bpf.h: the first version, which later ones still take. */
struct bpf_ct_opts___np {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

/* What is read of an entry. */
struct ip_ct_tcp {
	__u8 state;
} __attribute__((preserve_access_index));

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} __attribute__((preserve_access_index));

struct nf_conn {
	unsigned long status;
	union nf_conntrack_proto proto;
} __attribute__((preserve_access_index));

/* include/uapi/linux/netfilter/nf_conntrack_tcp.h: later states are closing or closed. */
#define CT_TCP_CLOSE_WAIT 5

/* include/uapi/linux/netfilter/nf_conntrack_common.h, nf_conntrack_tuple_common.h. */
#define CT_IPS_SRC_NAT	0x10 /* IPS_SRC_NAT */
#define CT_IPS_DST_NAT	0x20 /* IPS_DST_NAT */
#define CT_DIR_ORIGINAL 0

extern struct nf_conn *np_ct_lookup(np_ctx *ctx, struct bpf_sock_tuple *t, __u32 t_size,
				    struct bpf_ct_opts___np *opts, __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;
extern int bpf_ct_change_timeout(struct nf_conn *ct, __u32 timeout) __ksym __weak;

/*
 * Does it see what the stack forwards? Told by packets (conntrack_note()), as its module may have
 * come after the programs; where they cannot tell, it may.
 */
static __always_inline bool conntrack_sees(void)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	return !np.direct_checksum || (c && *(volatile __u32 *)&c->conntrack);
}

/*
 * And can it be asked? That costs some 80 ns a tuple, for nothing on a node whose network namespace
 * has no rule that needs it.
 */
static __always_inline bool conntrack_is_used(void)
{
	return np.conntrack && conntrack_sees();
}

/* A packet that conntrack has seen: from now on it is to be asked. */
static __always_inline void conntrack_note(void)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (c && !c->conntrack)
		c->conntrack = 1;
}

/* What conntrack says of a tuple: bits. */
#define CT_LIVE 1 /* of a connection that is not closing */
#define CT_DNAT 2 /* that is how it began, and its destination is translated */
#define CT_NAT	4 /* its source or destination is translated */

/* size: of the family's part of t. */
static __always_inline int conntrack_ask(np_ctx *ctx, struct bpf_sock_tuple *t, __u32 size,
					 __u32 protocol)
{
	struct bpf_ct_opts___np opts = {.netns_id = BPF_F_CURRENT_NETNS, .l4proto = protocol};
	struct nf_conn *ct = np_ct_lookup(ctx, t, size, &opts, sizeof(opts));
	int said = 0;

	if (!ct)
		return 0;
	if (protocol != IPPROTO_TCP || ct->proto.tcp.state <= CT_TCP_CLOSE_WAIT)
		said = CT_LIVE;
	if (opts.dir == CT_DIR_ORIGINAL && ct->status & CT_IPS_DST_NAT)
		said |= CT_DNAT;
	if (ct->status & (CT_IPS_SRC_NAT | CT_IPS_DST_NAT))
		said |= CT_NAT;
	bpf_ct_release(ct);
	return said;
}

static __always_inline bool conntrack_has(np_ctx *ctx, struct bpf_sock_tuple *t, __u32 size,
					  __u32 protocol)
{
	return conntrack_ask(ctx, t, size, protocol) & CT_LIVE;
}

/* Have conntrack forget the connection: its next packet begins another, with another port. */
static __always_inline void conntrack_forget(np_ctx *ctx, struct bpf_sock_tuple *t, __u32 size,
					     __u32 protocol)
{
	struct bpf_ct_opts___np opts = {.netns_id = BPF_F_CURRENT_NETNS, .l4proto = protocol};
	struct nf_conn *ct = np_ct_lookup(ctx, t, size, &opts, sizeof(opts));

	if (!ct)
		return;
	bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
}

#endif
