/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The sockets of the node's own processes: whose they are, that the programs in sock/ see them, and
 * ending those whose backend has gone.
 */
#ifndef NEARPATH_LOADER_SOCKETS_H
#define NEARPATH_LOADER_SOCKETS_H

#include <jansson.h>

#include "flows.h"
#include "options.h"
#include "tables.h"

struct sockets;

/*
 * Attach the programs of t, or take them off (options->sock). Not being able to is no failure, as
 * packets do without: sockets_why() tells. links: as in attach.h. hold: leave what is attached, as
 * the tables of t hold nothing yet. -ENOMEM.
 */
int sockets_new(const struct options *options, struct tables *t, const char *links, bool hold,
		struct sockets **sockets);

/* The programs stay attached. */
void sockets_free(struct sockets **sockets);

/* Why the programs are not attached; "" if they are. */
const char *sockets_why(const struct sockets *s);

/* The network namespace whose sockets are ours, as the config has it; 0: not known. */
uint64_t sockets_cookie(const struct sockets *s);

/* {"cgroup","attached","why"} of the method status. */
json_t *sockets_json(const struct sockets *s);

/*
 * Ends the connected sockets of this network namespace, of a protocol (TCP, UDP), that were given a
 * backend and that departed, as judge() says: the process reads ECONNABORTED and can connect again,
 * TCP's peer gets a RST. How many were ended, or -errno; -EOPNOTSUPP: the kernel has no
 * CONFIG_INET_DIAG_DESTROY.
 */
int sockets_end(const struct sockets *s, uint8_t protocol, flow_judge judge, void *arg);

/* The same for tables whose programs in sock/ the kernel took. */
int sockets_end_of(const struct tables *t, uint8_t protocol, flow_judge judge, void *arg);

/*
 * UDP of this host's addresses that conntrack carries (is_host tells which those are) goes on so:
 * the map `sock_carried` is made to have that and nothing else. False: there is none.
 */
bool sockets_carried(struct tables *t,
		     bool (*is_host)(void *arg, uint8_t family, const union np_addr *addr),
		     void *arg);

#endif
