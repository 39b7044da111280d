/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Sockets of the node's own that name their destination with every datagram: nothing is kept with
 * them that would tell by whom their conversations began. Conntrack knows of kube-proxy's.
 */
#include <bpf/bpf.h>
#include <netinet/in.h>

#include "conntrack.h"
#include "sockets.h"

struct carried {
	int fd;
	uint32_t round; /* value of what was told now */
	bool any;
	bool (*is_host)(void *arg, uint8_t family, const union np_addr *addr);
	void *arg;
};

static void add(const struct conntrack_entry *e, void *arg)
{
	struct carried *c = arg;
	const struct np_carried key = {
		.frontend = e->frontend,
		.frontend_port = e->frontend_port,
		.port = e->client_port,
		.family = e->family,
	};

	if (e->protocol == IPPROTO_UDP && c->is_host(c->arg, e->family, &e->client))
		c->any |= !bpf_map_update_elem(c->fd, &key, &c->round, BPF_ANY);
}

/* The next key is asked for before one is deleted: after that the walk would begin anew. */
static void sweep(const struct carried *c)
{
	struct np_carried key, next;
	uint32_t round;
	bool more = !bpf_map_get_next_key(c->fd, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(c->fd, &key, &next);
		if (!bpf_map_lookup_elem(c->fd, &key, &round) && round != c->round)
			bpf_map_delete_elem(c->fd, &key);
	}
}

bool sockets_carried(struct tables *t,
		     bool (*is_host)(void *arg, uint8_t family, const union np_addr *addr),
		     void *arg)
{
	struct carried c = {
		.fd = t->map_fd[TABLES_MAP_sock_carried],
		.round = tables_jiffies(),
		.is_host = is_host,
		.arg = arg,
	};

	if (c.fd < 0)
		return false;
	conntrack_each(add, &c);
	sweep(&c);
	if (c.any)
		__atomic_store_n(&t->config->sock_asks, 1, __ATOMIC_RELEASE);
	return c.any;
}
