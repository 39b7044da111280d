/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The sockets of the node's own processes: whose they are, that the programs in sock/ see them, and
 * ending those of UDP whose backend has gone.
 */
#ifndef NEARPATH_LOADER_SOCKETS_H
#define NEARPATH_LOADER_SOCKETS_H

#include <jansson.h>

#include "options.h"
#include "tables.h"

struct sockets;

/*
 * Attach the programs of t, or take them off (options->sock). Not being able to is no failure, as
 * packets do without: sockets_why() tells. links: as in attach.h. -ENOMEM.
 */
int sockets_new(const struct options *options, struct tables *t, const char *links,
		struct sockets **sockets);

/* The programs stay attached. */
void sockets_free(struct sockets **sockets);

/* Why the programs are not attached; "" if they are. */
const char *sockets_why(const struct sockets *s);

/* {"cgroup","attached","why"} of the method status. */
json_t *sockets_json(const struct sockets *s);

typedef bool (*sockets_keep)(void *arg, uint8_t family, const union np_addr *frontend,
			     __be16 frontend_port, const union np_addr *backend,
			     __be16 backend_port);

/*
 * Ends the connected UDP sockets of this network namespace that were given a backend and that
 * keep() does not want to be kept: the process reads ECONNABORTED and can connect again. How many
 * were ended, or -errno; -EOPNOTSUPP: the kernel has no CONFIG_INET_DIAG_DESTROY.
 */
int sockets_end_udp(const struct sockets *s, sockets_keep keep, void *arg);

/* The same by the program np_list and the map `sock_peers`. */
int sockets_end_udp_by(int list_fd, int peers_fd, sockets_keep keep, void *arg);

/*
 * UDP of this host's addresses that conntrack carries (is_host tells which those are) goes on so:
 * the map `sock_carried` is made to have that and nothing else. False: there is none.
 */
bool sockets_carried(struct tables *t,
		     bool (*is_host)(void *arg, uint8_t family, const union np_addr *addr),
		     void *arg);

#endif
