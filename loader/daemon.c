/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Starting, running and ending nearpathd. The order of a start is the safety of it: tables, then
 * the state they should hold, then the network, then the socket, then READY. Nothing on the packet
 * path waits for any of it.
 */
#include "daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "background.h"
#include "change.h"
#include "takeover.h"
#include "util.h"

/* The network is looked at again this long after it last changed. */
static const struct timeval settle = {.tv_usec = 50000}, watch = {.tv_usec = 250000};

void daemon_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("nearpathd: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* Told again and again: programs go on when nobody is here any more to see a change. */
static void share_routes(struct daemon *d)
{
	const uint32_t until = d->routes_shared ? (tables_jiffies() + tables_hertz()) | 1 : 0;

	__atomic_store_n(&d->tables->config->routes_shared, until, __ATOMIC_RELEASE);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	share_routes(arg);
}

static void later(struct daemon *d)
{
	d->routes = true;
	routes_forget(d->source_routes);
	d->routes_shared = false; /* until it is known again */
	share_routes(d);
	if (d->events[3] && !evtimer_pending(d->events[3], NULL))
		evtimer_add(d->events[3], &settle);
}

void daemon_publish(struct daemon *d, const char *namespace, const char *name)
{
	int rc = node_publish(&d->node, d->publisher, namespace, name);

	monitor_published(d->monitor, namespace, name, rc);
	if (!rc)
		return;
	daemon_log("Service \"%s/%s\" could not be published whole: %s%s", namespace, name,
		   strerror(-rc),
		   rc == -ENOSPC ? "; a table is full, see nearpath status and the --max options"
				 : "");
	json_array_append_new(d->warnings,
			      json_sprintf("Service \"%s/%s\" could not be published whole: %s",
					   namespace, name,
					   rc == -ENOSPC ? "a table is full" : strerror(-rc)));
}

static int publish_one(const struct kube_object *object, void *arg)
{
	daemon_publish(arg, object->service.namespace, object->service.name);
	return 0;
}

void daemon_publish_all(struct daemon *d)
{
	monitor_begin(d->monitor);
	d->planned = node_mark(&d->node);
	store_each_of(d->store, KUBE_SERVICE, publish_one, d);
	monitor_end(d->monitor);
}

/* Where the node says nothing of itself, the kernel's choice of source towards far away does. */
static void ask_own_addresses(struct daemon *d)
{
	union np_addr four = {.word = {htonl(0xC0000201)}}; /* RFC 5737: 192.0.2.1 */
	union np_addr six = {.word = {htonl(0x20010DB8)}};  /* RFC 3849: 2001:db8:: */

	d->node.route4 = d->node.route6 = (union np_addr){};
	netlink_source(d->netlink, NP_IPV4, &four, &d->node.route4);
	netlink_source(d->netlink, NP_IPV6, &six, &d->node.route6);
}

static void write_config(struct daemon *d)
{
	size_t left_out = node_config(&d->node, &d->config);

	d->routes_shared = routes_shared(d->source_routes);
	share_routes(d);
	node_config_write(d->tables->config, &d->config);
	if (left_out)
		daemon_log(
			"%zu service ranges are left out, as %d of a family are kept; addresses of "
			"theirs that no service has go to routing",
			left_out, NP_SERVICE_CIDRS);
}

void daemon_node_config(struct daemon *d)
{
	ask_own_addresses(d);
	write_config(d);
}

void daemon_node_changed(struct daemon *d)
{
	const struct node_mark mark = node_mark(&d->node);

	if (node_mark_equal(&mark, &d->planned))
		return;
	if (d->options.nodeport_primary) {
		d->resync = true; /* other addresses may be the primary ones */
		later(d);
	}
	daemon_publish_all(d);
}

static int source_of(void *arg, uint8_t family, const union np_addr *dst,
		     struct publish_addresses *src)
{
	struct daemon *d = arg;
	int rc = routes_source(d->source_routes, family, dst, &src->addr);

	if (!rc)
		src->count = sources_after(d->sources, family, &src->addr, &src->more);
	return rc;
}

/* The network, as it is told. */

static void on_link(const struct netlink_link *link, void *arg)
{
	ifaces_link(((struct daemon *)arg)->ifaces, link);
}

static void on_link_gone(int ifindex, const char *name, void *arg)
{
	(void)name;
	ifaces_link_gone(((struct daemon *)arg)->ifaces, ifindex);
}

static void on_addr(const struct netlink_addr *addr, void *arg)
{
	struct daemon *d = arg;
	uint32_t flags = node_address_flags(&d->node, addr->family, &addr->addr);

	if (publish_address(d->publisher, addr->family, &addr->addr, flags))
		daemon_log("no room for an address of this host; see --max-services");
	monitor_address(d->monitor, addr->family, &addr->addr);
	sources_add(d->sources, addr);
	later(d);
}

static void on_addr_gone(const struct netlink_addr *addr, void *arg)
{
	struct daemon *d = arg;

	(void)addr; /* another device may have it too: all are asked for again */
	d->resync = true;
	later(d);
}

static void on_routes(void *arg)
{
	later(arg);
}

/* Messages were lost: addresses are told again, links that are not told again are gone. */
static void look_again(struct daemon *d)
{
	int rc;

	d->resync = false;
	ifaces_resync_begin(d->ifaces);
	publish_addresses_begin(d->publisher);
	sources_clear(d->sources);
	monitor_addresses_begin(d->monitor);
	rc = netlink_dump(d->netlink);
	if (rc) {
		daemon_log("cannot read the kernel's links and addresses: %s", strerror(-rc));
		d->resync = true;
	} else {
		ifaces_resync_end(d->ifaces);
		publish_addresses_end(d->publisher);
	}
	monitor_addresses_end(d->monitor, rc);
	later(d);
}

static void on_overrun(void *arg)
{
	look_again(arg);
}

static const struct netlink_events network = {
	.link = on_link,
	.link_gone = on_link_gone,
	.addr = on_addr,
	.addr_gone = on_addr_gone,
	.routes_changed = on_routes,
	.overrun = on_overrun,
};

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd, (void)what;
	if (d->resync)
		look_again(d);
	if (!d->routes)
		return;
	d->routes = false;
	daemon_node_config(d);
	daemon_node_changed(d);
	ifaces_routes(d->ifaces);
	publish_sources(d->publisher);
	monitor_settle(d->monitor);
}

static void on_netlink(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	netlink_receive(((struct daemon *)arg)->netlink);
}

static void on_departed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	daemon_begin_grace(arg);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	event_base_loopbreak(((struct daemon *)arg)->base);
}

bool daemon_has_sock(const struct daemon *d)
{
	return d->options.sock && !sockets_why(d->sockets)[0];
}

/* Starting. Each step says on stderr what went wrong and what to do. */

/* The state of before, planned and published as one; tables hold it already after a restart. */
static int load_state(struct daemon *d)
{
	size_t lines;
	int rc;

	d->replaying = true;
	rc = journal_replay(d->journal, change_replay, d, &lines);
	d->replaying = false;
	store_deliver(d->store); /* all of this is yet to be delivered by whoever feeds now */
	if (rc) {
		daemon_log("cannot read the state in \"%s\": %s", d->options.state_dir,
			   strerror(-rc));
		return rc;
	}
	ask_own_addresses(d);
	write_config(d);
	daemon_publish_all(d);
	d->known = (lines && !d->damaged) || (!d->tables->adopted && !d->migrate);
	d->held = !d->known && migrate_is_fresh(d->migrate);
	if (d->damaged)
		daemon_log(
			"\"%s/objects.journal\" is damaged; what the tables hold stays until all "
			"objects are sent again by nearpath replace",
			d->options.state_dir);
	else if (lines)
		publish_sweep(d->publisher);
	return 0;
}

static int start_network(struct daemon *d)
{
	const struct options *o = &d->options;
	const struct ifaces_options options = {
		.patterns = o->ifaces,
		.redirect = o->redirect,
		.uplinks = o->uplinks,
		.links = d->links,
		.file = d->switches,
		.xdp = o->xdp,
		.xdp_on_veth = o->xdp_given,
		.mss = o->mss,
		.clsact = o->clsact,
		.node = o,
	};
	int rc = ifaces_new(&options, d->tables, d->netlink, &d->ifaces);

	rc = rc ?: takeover_new(d, &d->takeover);
	if (rc)
		return rc;
	ifaces_hold(d->ifaces, d->held);
	look_again(d);
	return 0;
}

static int start_server(struct daemon *d)
{
	const struct server_options options = {
		.path = d->options.socket,
		.group = d->options.socket_group,
		.long_line = change_long,
		.part = change_part,
		.work = change_work,
	};
	int rc = server_new(d->base, &options, daemon_methods, d, &d->server);

	if (rc)
		daemon_log("cannot listen on \"%s\": %s", options.path,
			   rc == -EADDRINUSE
				   ? "another nearpathd listens there; choose another --socket"
			   : rc == -ESRCH ? "there is no such --socket-group"
					  : strerror(-rc));
	return rc;
}

static int start_events(struct daemon *d)
{
	int i;

	d->events[0] =
		event_new(d->base, netlink_fd(d->netlink), EV_READ | EV_PERSIST, on_netlink, d);
	d->events[1] = evsignal_new(d->base, SIGTERM, on_signal, d);
	d->events[2] = evsignal_new(d->base, SIGINT, on_signal, d);
	d->events[3] = evtimer_new(d->base, on_settled, d);
	d->events[4] = event_new(d->base, -1, 0, on_departed, d);
	d->events[5] = event_new(d->base, -1, EV_PERSIST, on_watch, d);
	for (i = 0; i < 6; i++)
		if (!d->events[i] || (i < 3 && event_add(d->events[i], NULL)))
			return -ENOMEM;
	return event_add(d->events[5], &watch) ? -ENOMEM : 0;
}

static int start_parts(struct daemon *d)
{
	int rc;

	signal(SIGPIPE, SIG_IGN);
	d->base = event_base_new();
	d->warnings = json_array();
	d->refusals = json_object();
	d->refused = json_array();
	if (!d->base || !d->warnings || !d->refusals || !d->refused ||
	    asprintf(&d->links, "%s/links", d->options.bpffs) < 0 ||
	    asprintf(&d->switches, "%s/ifaces.json", d->options.state_dir) < 0)
		return -ENOMEM;
	rc = background_new(d->base, &d->background);
	rc = rc ?: daemon_lock_state(d);
	rc = rc ?: daemon_open_tables(d);
	if (rc)
		return rc;
	rc = netlink_open(&network, d, &d->netlink);
	if (rc) {
		daemon_log("cannot talk to the kernel by netlink: %s", strerror(-rc));
		return rc;
	}
	rc = routes_new(d->netlink, &d->source_routes);
	rc = rc ?: sources_new(d->tables, &d->sources);
	rc = rc ?: publisher_new(d->tables, source_of, d, &d->publisher);
	rc = rc ?: sweep_new(d->base, d->tables, &d->sweep);
	rc = rc ?: store_new(&d->store);
	if (!rc)
		migrate_want(d->migrate, d->publisher);
	d->node = (struct node){.options = &d->options, .store = d->store};
	rc = rc ?: monitor_new(d, &d->monitor);
	rc = rc ?: load_state(d);
	rc = rc ?: start_events(d);
	rc = rc ?: daemon_load_handover(d);
	rc = rc ?: start_network(d);
	rc = rc ?: daemon_migrate(d);
	rc = rc ?: daemon_start_sockets(d);
	rc = rc ?: audit_new(d, &d->audit);
	return rc ?: start_server(d);
}

int daemon_start(const struct options *options, struct daemon **daemon)
{
	_cleanup_(daemon_free) struct daemon *d = calloc(1, sizeof(*d));
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int rc;

	if (!d)
		return -ENOMEM;
	d->options = *options;
	d->lock_fd = d->tables_fd = d->netns_fd = -1;
	d->started = time(NULL);
	/* Kernels before 5.11 count maps against it; where it may not be raised, it is not needed.
	 */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	rc = start_parts(d);
	if (rc)
		return rc;
	monitor_start(d->monitor);
	sweep_round(d->sweep);
	daemon_log("ready: node \"%s\", %zu services, %zu interfaces, tables %s, socket \"%s\"",
		   d->options.node_name, store_count(d->store, KUBE_SERVICE),
		   ifaces_count(d->ifaces), d->tables->adopted ? "adopted" : "new",
		   d->options.socket);
	if (!ifaces_count(d->ifaces))
		daemon_log("there is no interface of --ifaces \"%s\" or --uplinks \"%s\" yet",
			   d->options.ifaces, d->options.uplinks);
	sd_notify(0, "READY=1");
	*daemon = TAKE_PTR(d);
	return 0;
}

int daemon_run(struct daemon *d)
{
	int rc = event_base_dispatch(d->base);

	daemon_log("stopping; the programs stay attached and go on forwarding");
	sd_notify(0, "STOPPING=1");
	return rc < 0 ? -EIO : 0;
}

void daemon_free(struct daemon **daemon)
{
	struct daemon *d = *daemon;
	int i;

	*daemon = NULL;
	if (!d)
		return;
	background_free(&d->background);
	daemon_forget_owed(d);
	change_drop_part(d);
	change_free(&d->change);
	server_free(&d->server);
	monitor_free(&d->monitor);
	for (i = 0; i < 5; i++)
		if (d->events[i])
			event_free(d->events[i]);
	audit_free(&d->audit);
	sockets_free(&d->sockets);
	takeover_free(&d->takeover);
	migrate_free(&d->migrate);
	ifaces_free(&d->ifaces);
	publisher_free(&d->publisher);
	sweep_free(&d->sweep);
	sources_free(&d->sources);
	store_free(&d->store);
	routes_free(&d->source_routes);
	netlink_close(&d->netlink);
	tables_close(&d->tables);
	journal_close(&d->journal);
	util_close(&d->lock_fd);
	util_close(&d->tables_fd);
	util_close(&d->netns_fd);
	if (d->base)
		event_base_free(d->base);
	json_decref(d->warnings);
	json_decref(d->refusals);
	json_decref(d->refused);
	free(d->links);
	free(d->switches);
	free(d);
}
