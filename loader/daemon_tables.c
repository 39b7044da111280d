/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The daemon's directories and tables: locked, opened, and taken over from another ABI version.
 * Also the programs for the node's own processes, which come when the tables hold the state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "bpffs.h"
#include "daemon.h"
#include "flowtable.h"
#include "takeover.h"
#include "util.h"

int daemon_lock(const char *path, int flags, const char *option, int *fd)
{
	int rc;

	*fd = open(path, flags | O_CLOEXEC, 0600);
	if (*fd >= 0 && !flock(*fd, LOCK_EX | LOCK_NB))
		return 0;
	rc = -errno;
	daemon_log("cannot lock \"%s\": %s%s", path,
		   rc == -EWOULDBLOCK ? "another nearpathd runs with this " : strerror(-rc),
		   rc == -EWOULDBLOCK ? option : "");
	return rc;
}

int daemon_lock_state(struct daemon *d)
{
	_cleanup_free_ char *path = NULL;
	int rc = journal_open(d->options.state_dir, &d->journal);

	if (rc) {
		daemon_log("cannot open state in \"%s\": %s", d->options.state_dir, strerror(-rc));
		return rc;
	}
	if (asprintf(&path, "%s/lock", d->options.state_dir) < 0)
		return -ENOMEM;
	return daemon_lock(path, O_RDWR | O_CREAT, "--state-dir", &d->lock_fd);
}

static int open_bpffs(struct daemon *d)
{
	const struct options *o = &d->options;
	int rc = bpffs_make(o->bpffs);

	if (rc == BPFFS_OWN)
		daemon_log("warning: the bpffs at \"%s\" is in a mount namespace that ends with "
			   "nearpathd, and with it the programs and their tables: start it by "
			   "nsenter --net=/run/netns/NAME instead of ip netns exec, or mount a "
			   "bpffs there before",
			   o->bpffs);
	if (rc < 0) {
		daemon_log("cannot make a bpffs at \"%s\": %s; run mount -t bpf bpf /sys/fs/bpf "
			   "before, or choose another --bpffs",
			   o->bpffs, strerror(-rc));
		return rc;
	}
	/* Two would take each other's programs off their interfaces, again and again. */
	return daemon_lock(o->bpffs, O_RDONLY | O_DIRECTORY, "--bpffs", &d->tables_fd)
		       ?: daemon_lock("/proc/self/ns/net", O_RDONLY, "network namespace",
				      &d->netns_fd);
}

/* What is claimed in them is a killed daemon's, as this one has only begun. */
static int recover(struct daemon *d)
{
	int freed = d->tables->adopted ? flowtable_recover(d->tables) : 0;

	if (freed > 0)
		daemon_log("%d flow records are free again that were being written when the "
			   "nearpathd before was killed",
			   freed);
	return freed < 0 ? freed : 0;
}

/* Tables that are in use stay as large as they are. */
static void tell_sizes(const struct daemon *d)
{
	const struct options *o = &d->options;
	const struct {
		const char *option;
		uint64_t wanted, has; /* up to twice as much is by rounding */
	} sizes[] = {
		{"max-flows", o->max_flows, d->tables->size[TABLE_flows4]},
		{"max-services", o->max_services, d->tables->size[TABLE_services]},
		{"max-backends", o->max_backends, d->tables->size[TABLE_backends]},
		{"max-slots", o->max_slots, tables_slots(d->tables)},
	};

	for (size_t i = 0; d->tables->adopted && i < ARRAY_SIZE(sizes); i++)
		if (sizes[i].has < sizes[i].wanted || sizes[i].has / 2 >= sizes[i].wanted)
			daemon_log("--%s %llu has no effect: the tables are in use and stay as "
				   "they are, %llu; --cleanup makes them anew, and ends "
				   "connections",
				   sizes[i].option, (unsigned long long)sizes[i].wanted,
				   (unsigned long long)sizes[i].has);
}

int daemon_open_tables(struct daemon *d)
{
	const struct options *o = &d->options;
	struct tables_options options = {
		.bpffs = o->bpffs,
		.max_flows = o->max_flows,
		.flow_seconds = o->flow_seconds,
		.max_services = o->max_services,
		.max_slots = o->max_slots,
		.max_backends = o->max_backends,
		.max_affinity = o->max_affinity,
		.snat_port_first = o->snat_port_first,
		.snat_port_count = o->snat_port_count,
		.sock = o->sock,
	};
	const char *why = "out of memory";
	int rc = open_bpffs(d);

	if (rc)
		return rc;
	rc = migrate_find(o->bpffs, d->links, &options, &d->migrate, &why);
	rc = rc ?: tables_open(&options, &d->tables, &why);
	if (rc) {
		daemon_log("%s", why);
		return rc;
	}
	tell_sizes(d);
	return recover(d);
}

static void migrated(const struct migrate_end *end, void *arg)
{
	struct daemon *d = arg;

	daemon_log("the tables of ABI version %u are replaced by those of version %d: %llu flows "
		   "moved in %u ms",
		   end->version, NP_ABI_VERSION, (unsigned long long)end->flows, end->milliseconds);
	migrate_free(&d->migrate);
	sweep_round(d->sweep);
	/* What changed meanwhile did not reach flows that were yet to be moved. */
	if (d->known)
		daemon_end_moved(d);
}

/* Processes of the node: after the tables hold the state, or they would find nothing. */
int daemon_start_sockets(struct daemon *d)
{
	int rc;

	takeover_sockets(d->takeover);
	rc = sockets_new(&d->options, d->tables, d->links, d->held, &d->sockets);

	if (!rc && !d->held && d->options.sock && sockets_why(d->sockets)[0])
		daemon_log("connections of the node's own processes are not translated: %s",
			   sockets_why(d->sockets));
	return rc;
}

int daemon_load_handover(struct daemon *d)
{
	const char *why = "";
	int rc = migrate_load(d->migrate, d->tables, &why);

	if (rc)
		daemon_log("cannot take over from another ABI version: %s", why);
	if (!rc && d->held)
		daemon_log("the objects are not known; until all are delivered (nearpath replace "
			   "or sync), "
			   "the programs and tables of ABI version %u go on",
			   migrate_from(d->migrate));
	else if (!rc && d->migrate)
		daemon_log("taking over from the tables of ABI version %u",
			   migrate_from(d->migrate));
	return rc;
}

/* Flows are moved once every interface has programs that know where they may be. */
int daemon_migrate(struct daemon *d)
{
	return d->held ? 0
		       : migrate_start(d->migrate, d->base, d->tables, d->publisher, d->ifaces,
				       migrated, d);
}

int daemon_release(struct daemon *d)
{
	int rc;

	if (!d->held)
		return 0;
	d->held = false;
	ifaces_hold(d->ifaces, false);
	rc = daemon_migrate(d);
	sockets_free(&d->sockets);
	return rc ?: daemon_start_sockets(d);
}
