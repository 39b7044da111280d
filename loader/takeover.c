/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Looking for kube-proxy, and the method "takeover" (docs/takeover.md). */
#include "takeover.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>

#include "conntrack.h"
#include "daemon.h"
#include "kubeproxy.h"
#include "util.h"

#define LOOK_SECONDS	60
#define RESERVE_SECONDS (3 * LOOK_SECONDS)
#define MEMORY_SECONDS                                                                             \
	600 /* where conntrack cannot be asked: longer than UDP is remembered there */

struct takeover {
	struct daemon *d;
	struct event *timer;
	bool asks;    /* the programs ask conntrack */
	bool looked;  /* it was looked once */
	bool carries; /* UDP of this host, too */
	time_t seen;  /* when there last was a reason to, by CLOCK_MONOTONIC */
};

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void note_opening(const struct conntrack_entry *entry, void *arg)
{
	*(bool *)arg |= conntrack_may_open(entry);
}

/*
 * Rules make conversations that a packet in the middle could open again; these outlive the rules.
 * Conntrack is asked only in the time after them, as its table may be large.
 */
void takeover_look(struct takeover *t)
{
	struct kubeproxy found;
	bool asks = kubeproxy_look(false, &found) != 0 || found.serves;

	if (asks) /* its rules drop what is INVALID, and conntrack may have come with them */
		conntrack_be_liberal();

	if (!asks && (t->asks || !t->looked) && conntrack_each(note_opening, &asks))
		asks = t->asks && now() - t->seen < MEMORY_SECONDS;
	else if (asks)
		t->seen = now();
	if (asks != t->asks)
		daemon_log(asks ? "kube-proxy's rules or connections are here: what conntrack "
				  "carries for it is left to it"
				: "kube-proxy's rules and what began by them are gone");
	t->asks = asks;
	t->looked = true;
	ifaces_conntrack(t->d->ifaces, asks);
}

bool takeover_asks(const struct takeover *t)
{
	return t->asks;
}

static void reserve_one(const struct flow_source *s, void *arg)
{
	conntrack_reserve_one(arg, s->family, s->protocol, &s->snat, s->snat_port, &s->backend,
			      s->backend_port);
}

void takeover_reserve(struct takeover *t)
{
	struct conntrack_reserve reserve;

	if (!t->asks || conntrack_reserve_begin(&reserve, RESERVE_SECONDS))
		return;
	flows_each_source(t->d->tables, reserve_one, &reserve);
	conntrack_reserve_end(&reserve);
}

static bool is_host(void *arg, uint8_t family, const union np_addr *addr)
{
	return publish_is_host(arg, family, addr);
}

void takeover_sockets(struct takeover *t)
{
	t->carries = t->asks && sockets_carried(t->d->tables, is_host, t->d->publisher);
	t->d->config.sock_asks = t->carries;
	if (!t->carries) /* an earlier life may have left it set */
		__atomic_store_n(&t->d->tables->config->sock_asks, 0, __ATOMIC_RELEASE);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct takeover *t = arg;

	(void)fd, (void)what;
	takeover_look(t);
	if (t->carries)
		takeover_sockets(t);
	if (ifaces_any_drained(t->d->ifaces))
		takeover_reserve(t);
}

struct ending {
	flow_judge judge;
	void *arg;
};

static void end_one(const struct conntrack_entry *e, void *arg)
{
	const struct flow_ends ends = {
		.family = e->family,
		.protocol = e->protocol,
		.service = FLOW_NO_SERVICE,
		.frontend = &e->frontend,
		.backend = &e->backend,
		.frontend_port = e->frontend_port,
		.backend_port = e->backend_port,
	};
	const struct ending *ending = arg;

	if (e->protocol == IPPROTO_UDP && ending->judge(&ends, ending->arg) == FLOW_DEPARTED)
		conntrack_delete(e);
}

void takeover_end_udp(struct takeover *t, flow_judge judge, void *arg)
{
	struct ending ending = {judge, arg};

	if (t && t->asks)
		conntrack_each(end_one, &ending);
}

struct carried {
	struct publisher *publisher;
	size_t count;
};

static void count_one(const struct conntrack_entry *e, void *arg)
{
	struct carried *c = arg;

	c->count +=
		conntrack_is_live(e) && publish_has_frontend(c->publisher, e->family, e->protocol,
							     &e->frontend, e->frontend_port);
}

/* What remains of kube-proxy. */
static json_t *remains_json(struct daemon *d, const struct kubeproxy *found, bool known)
{
	struct carried carried = {.publisher = d->publisher};
	bool counted = !conntrack_each(count_one, &carried);

	return json_pack("{s:b,s:o,s:o,s:o}", "known", known, "rules", kubeproxy_json(found),
			 "connections",
			 counted ? json_integer((json_int_t)carried.count) : json_null(), "ports",
			 monitor_ports_json(d->monitor));
}

static void notify(struct daemon *d, json_t *changes)
{
	const char *name, *was, *lb;
	json_t *change;
	size_t i;

	json_array_foreach (changes, i, change) {
		if (json_unpack(change, "{s:s,s:s,s:s}", "name", &name, "was", &was, "lb", &lb) ||
		    !strcmp(was, lb))
			continue;
		server_notify(d->server, "event",
			      json_pack("{s:I,s:s,s:s}", "revision", (json_int_t)d->revision,
					"event", "iface", "object", name));
	}
}

static int check(json_t *params, bool *undo, struct rpc_error *error)
{
	json_t *value = json_object_get(params, "undo");

	*undo = json_is_true(value);
	if (json_object_size(params) == (value != NULL) && (!value || json_is_boolean(value)))
		return 0;
	rpc_error_set(error, RPC_BAD_PARAMS, "takeover takes params.undo, true or false, or none");
	return -EINVAL;
}

static void turn_sock(struct daemon *d, bool drain)
{
	d->config.sock_drain = drain;
	__atomic_store_n(&d->tables->config->sock_drain, drain, __ATOMIC_RELEASE);
}

int method_takeover(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct daemon *d = arg;
	struct kubeproxy found;
	json_t *changes = NULL, *processes;
	bool undo, known, was = ifaces_drained(d->ifaces);
	size_t flows;
	int rc = check(params, &undo, error);

	if (rc)
		return rc;
	takeover_look(d->takeover); /* before, so that no conversation is torn */
	known = !kubeproxy_look(true, &found);
	if (undo && known && !found.serves) {
		rpc_error_set(error, RPC_FAILED,
			      "there are no rules of kube-proxy that new connections could be left "
			      "to; start kube-proxy, wait for its rules, and try again (\"nearpath "
			      "iface set DEV lb=drain\" does not ask)");
		return -ENOENT;
	}
	flows = flows_live(d->tables);
	if (undo)
		takeover_reserve(d->takeover);
	else
		takeover_sockets(d->takeover);
	rc = ifaces_takeover(d->ifaces, undo, !flows, &changes);
	if (changes) {
		turn_sock(d, undo);
		if (undo) /* and those that began while it was done */
			takeover_reserve(d->takeover);
		notify(d, changes);
	}
	if (rc) {
		rpc_error_set(error, RPC_FAILED,
			      "all is switched, but could not be kept in \"%s\": see that there "
			      "is room, and try again",
			      d->switches);
		json_decref(changes);
		return rc;
	}
	processes = daemon_has_sock(d) ? json_pack("{s:s,s:s}", "was", was ? "drain" : "on", "lb",
						   undo ? "drain" : "on")
				       : json_null();
	*result = json_pack("{s:i,s:b,s:o,s:o,s:I,s:o}", "schema", 1, "undo", undo, "ifaces",
			    changes, "processes", processes, "flows", (json_int_t)flows,
			    "kube_proxy", remains_json(d, &found, known));
	return *result ? 0 : -ENOMEM;
}

int takeover_new(struct daemon *d, struct takeover **takeover)
{
	const struct timeval each = {.tv_sec = LOOK_SECONDS};
	struct takeover *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->d = d;
	t->timer = event_new(d->base, -1, EV_PERSIST, on_timer, t);
	if (!t->timer || event_add(t->timer, &each)) {
		takeover_free(&t);
		return -ENOMEM;
	}
	turn_sock(d, ifaces_drained(d->ifaces));
	takeover_look(t);
	*takeover = t;
	return 0;
}

void takeover_free(struct takeover **takeover)
{
	struct takeover *t = *takeover;

	*takeover = NULL;
	if (!t)
		return;
	if (t->timer)
		event_free(t->timer);
	free(t);
}
