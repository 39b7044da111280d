/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A list of the connected sockets that were given a backend, for nearpathd, which cannot look into
 * a socket-local storage map without having the sockets: sock_diag tells of such storage for TCP
 * only. The map's own iterator (Linux 5.9) sees those sockets and no other.
 */
#ifndef NEARPATH_SOCK_LIST_H
#define NEARPATH_SOCK_LIST_H

#include "peers.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

SEC("iter/bpf_sk_storage_map")
int np_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct np_sock *s = ctx->value;
	struct sock *sk = ctx->sk;
	struct np_sock_entry e = {};

	if (!s || !sk)
		return 0;
	e.peer = s->peer[NP_SOCK_CONNECTED];
	if (!e.peer.family)
		return 0;
	e.cookie = bpf_get_socket_cookie(sk);
	bpf_seq_write(ctx->meta->seq, &e, sizeof(e));
	return 0;
}

#endif
