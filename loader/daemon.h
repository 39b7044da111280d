/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The daemon's parts and how they hang together: objects go into the store, touched services are
 * planned and published, the network's changes go to interfaces, addresses and backends.
 */
#ifndef NEARPATH_LOADER_DAEMON_H
#define NEARPATH_LOADER_DAEMON_H

#include <time.h>

#include "audit.h"
#include "ifaces.h"
#include "journal.h"
#include "migrate.h"
#include "monitor.h"
#include "netlink.h"
#include "node.h"
#include "options.h"
#include "publish.h"
#include "routes.h"
#include "rpc.h"
#include "server.h"
#include "sockets.h"
#include "sources.h"
#include "store.h"
#include "sweep.h"
#include "tables.h"

struct background;
struct change;
struct event;
struct event_base;
struct owed;
struct takeover;

/* What changes took away while packets may still be given it: departed.c. */
struct departing {
	struct publish_departed gone;
	bool wanted;	   /* there is something, and */
	bool running;	   /* a grace period has begun before it */
	bool all;	   /* flows of all service ports are to be looked at */
	struct owed *next; /* who waits for the next grace period, */
	struct owed *now;  /* and for this one */
};

struct daemon {
	struct options options;
	struct event_base *base;
	struct tables *tables;
	struct publisher *publisher;
	struct sources *sources;
	struct store *store;
	struct node node;
	struct node_mark planned; /* what the plans were made for */
	struct journal *journal;
	struct netlink *netlink;
	struct routes *source_routes;
	struct ifaces *ifaces;
	struct sockets *sockets;
	struct migrate *migrate; /* NULL: there are no tables of another version */
	struct sweep *sweep;
	struct audit *audit;
	struct np_config
		config; /* as the table should have it, but for version, key and namespace */
	struct server *server;
	struct monitor *monitor; /* what is asked of it by HTTP */
	struct takeover *takeover;
	/* netlink, SIGTERM, SIGINT, settling timer, grace period, routes_shared */
	struct event *events[6];
	char *links;	/* directory of pinned links */
	char *switches; /* file of switches set by hand */
	int lock_fd;	/* holds the state directory */
	int tables_fd;	/* holds the bpffs directory */
	int netns_fd;	/* holds the network namespace */
	uint64_t revision;
	time_t started;
	bool synced;	    /* objects have been delivered, now or before a restart */
	bool delivered;	    /* whole: none is under way, in which more may come (method_sync.c) */
	bool routes;	    /* the network changed and has not been looked at again */
	bool routes_shared; /* as far as routes.h knows, if nothing changed since */
	bool resync;	    /* links and addresses are to be asked for again */
	bool known;	    /* there are no flows of objects that are yet to be delivered */
	bool swept;	    /* flows were compared with the endpoints since the start */
	size_t marked;	    /* TCP flows to departed endpoints, when they were last looked at */
	bool damaged;	    /* part of the state could not be read: what was adopted stays */
	bool behind;	    /* the journal has not all that the store has: writing failed */
	bool replaying;	    /* start-up: collect, publish at the end */
	bool held; /* only tables of another version know the objects: nothing is attached */
	struct change *change; /* that is under way; others wait */
	struct change *coming; /* whose line is not complete yet: see change_part.c */
	struct departing departing;
	struct background *background;
	json_t *warnings; /* of the change under way */
	json_t *refusals; /* why services did not fit so far, by namespace/name */
	json_t *refused;  /* and those of them that are refused in the end */
};

/* Everything up to and including READY. A failure is told on stderr. 0 or -errno. */
int daemon_start(const struct options *options, struct daemon **daemon);

/* Until SIGTERM or SIGINT. The programs stay attached. */
int daemon_run(struct daemon *d);
void daemon_free(struct daemon **daemon);

/*
 * Only one daemon may use a directory; the lock goes with the process. flags: of open(2); option:
 * the one that names the directory. 0 and fd, or -errno, told on stderr.
 */
int daemon_lock(const char *path, int flags, const char *option, int *fd);

/* The same for --state-dir, with its journal opened. */
int daemon_lock_state(struct daemon *d);

/* --cleanup: what it removed or could not is told on stderr. */
int daemon_cleanup(const struct options *options);

/* Plan and publish one service, or all of them (the node changed). */
void daemon_publish(struct daemon *d, const char *namespace, const char *name);
void daemon_publish_all(struct daemon *d);

/*
 * The Node object, the ranges of services or the network changed: bring config, addresses and, if
 * it makes a difference to them, all plans in line.
 */
void daemon_node_changed(struct daemon *d);

/* Only config and addresses, while a change is under way. */
void daemon_node_config(struct daemon *d);

/*
 * After a change: end flows and sockets whose endpoint has departed, if it may have left any. That
 * is done when no packet or process can be given any more what the change took away; true: that is
 * yet to come, and an answer may be owed until then. whole: what was delivered is all there is.
 */
bool daemon_end_departed(struct daemon *d, bool whole);

/* An object as it was given, a new reference; NULL if it cannot be read. */
json_t *daemon_object_json(struct daemon *d, const struct kube_object *object);

/* The grace period, if one is wanted: once all changes of a turn of the loop are there. */
void daemon_begin_grace(struct daemon *d);
void daemon_forget_owed(struct daemon *d);

/* The call is answered then: server_answer(). *result and *error are taken over. */
void daemon_owe(struct daemon *d, struct server_call **call, int r, json_t *result,
		struct rpc_error *error);

/*
 * Flows have come from the tables of another version: those whose endpoint has departed meanwhile
 * end as well.
 */
void daemon_end_moved(struct daemon *d);

/*
 * Steps of a start; each tells on stderr what went wrong and what to do. The bpffs and the tables;
 * once they hold the state, programs that know those of another version too, should there be some;
 * once these are attached, the exchange of the versions; and the programs of sockets.
 */
int daemon_open_tables(struct daemon *d);
int daemon_load_handover(struct daemon *d);
int daemon_migrate(struct daemon *d);
int daemon_start_sockets(struct daemon *d);

/*
 * All objects have been delivered: should that have been waited for, the programs of this version
 * take over now.
 */
int daemon_release(struct daemon *d);

/* Are the programs for the node's own processes attached? */
bool daemon_has_sock(const struct daemon *d);

/* The methods of the config socket: methods.c, get.c, method_*.c. */
extern const struct rpc_method daemon_methods[];
int method_sync(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_get(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_explain(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_takeover(void *arg, json_t *params, json_t **result, struct rpc_error *error);
int method_status(void *arg, json_t *params, json_t **result, struct rpc_error *error);

/* How many differences a comparison finds now; and what the audit has done. */
size_t daemon_differences(struct daemon *d);
json_t *daemon_audit_json(struct daemon *d);
int method_diff(void *arg, json_t *params, json_t **result, struct rpc_error *error);

/* A line on stderr, for journald: "nearpathd: ...". */
__attribute__((format(printf, 1, 2))) void daemon_log(const char *format, ...);

#endif
