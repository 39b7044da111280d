/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * After a change: what becomes of the flows and sockets of endpoints that are gone, and when.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "background.h"
#include "daemon.h"
#include "flows.h"
#include "takeover.h"
#include "util.h"

/* What a change makes necessary. all: against all flows, once the whole is known. */
static struct publish_judge judge_of(const struct daemon *d, const struct publish_departed *gone,
				     bool all)
{
	bool keep = d->options.on_endpoint_removed == ENDPOINT_REMOVED_KEEP;

	return (struct publish_judge){
		.udp = gone->udp || all,
		.tcp = all || (!keep && (gone->tcp_lost || (gone->tcp_gained && d->marked))),
		.keep_tcp = keep,
		.all = all,
	};
}

static void end(struct daemon *d, struct publish_judge *judge)
{
	int rc = publish_judge_begin(d->publisher, judge);
	bool sock = daemon_has_sock(d);
	size_t marked;

	if (!rc) {
		marked = flows_mark(d->tables, publish_judge, judge);
		d->marked = judge->tcp ? marked : d->marked;
		if (judge->udp)
			takeover_end_udp(d->takeover, publish_judge, judge);
		if (sock && judge->udp)
			rc = sockets_end(d->sockets, IPPROTO_UDP, publish_judge, judge);
		if (sock && judge->tcp && rc >= 0)
			rc = sockets_end(d->sockets, IPPROTO_TCP, publish_judge, judge);
	}
	publish_judge_end(judge);
	if (rc < 0)
		daemon_log("cannot end sockets connected to endpoints that are gone: %s",
			   strerror(-rc));
}

/* An answer that is given after a grace period. */
struct owed {
	struct owed *next;
	struct server_call *call;
	int r;
	json_t *result;
	struct rpc_error error;
};

static void settle(struct owed **list, bool give)
{
	struct owed *first;

	while ((first = *list)) {
		*list = first->next;
		if (give)
			server_answer(&first->call, first->r, first->result, &first->error);
		json_decref(first->result);
		rpc_error_clear(&first->error);
		free(first);
	}
}

void daemon_owe(struct daemon *d, struct server_call **call, int r, json_t *result,
		struct rpc_error *error)
{
	struct owed *owed = calloc(1, sizeof(*owed)), **last = &d->departing.next;

	if (!owed) {
		server_answer(call, r, result, error);
		return;
	}
	while (*last)
		last = &(*last)->next;
	owed->call = TAKE_PTR(*call);
	owed->r = r;
	owed->result = json_incref(result);
	owed->error = *error;
	json_incref(owed->error.data);
	*last = owed;
}

void daemon_forget_owed(struct daemon *d)
{
	settle(&d->departing.now, false);
	settle(&d->departing.next, false);
}

/* What was taken away before the grace period began is given to nobody any more. */
static void end_grace(struct daemon *d)
{
	struct departing *away = &d->departing;
	struct publish_judge judge = judge_of(d, &away->gone, away->all);

	/* If more went meanwhile, its flows are yet to come: they are looked at once more. */
	if (judge.udp || judge.tcp)
		end(d, &judge);
	if (!away->wanted) {
		if (judge.tcp || judge.keep_tcp)
			publish_departed_end(d->publisher);
		away->gone = (struct publish_departed){};
		away->all = false;
	}
	settle(&away->now, true);
}

static int wait(void *arg)
{
	(void)arg;
	return tables_synchronize();
}

static void waited(int rc, void *arg)
{
	struct daemon *d = arg;

	(void)rc;
	d->departing.running = false;
	publish_end_grace(d->publisher);
	end_grace(d);
	daemon_begin_grace(d);
}

void daemon_begin_grace(struct daemon *d)
{
	struct departing *away = &d->departing;

	if (!away->wanted || away->running)
		return;
	away->wanted = false;
	away->running = true;
	publish_begin_grace(d->publisher);
	away->now = TAKE_PTR(away->next);
	if (!background_do(d->background, wait, waited, d))
		return;
	tables_synchronize();
	waited(0, d);
}

static void add(struct publish_departed *sum, const struct publish_departed *more)
{
	sum->chosen |= more->chosen;
	sum->udp |= more->udp;
	sum->tcp_lost |= more->tcp_lost;
	sum->tcp_gained |= more->tcp_gained;
}

/*
 * Against all flows also once after everything has been delivered whole, and not before that: what
 * is not known yet has not departed (calico #10721, cilium #29667).
 *
 * A packet or process may be deciding by a version of before: a grace period, without which it
 * could still be given an endpoint that is gone, and its flow not be seen here. Nobody else waits
 * for it: changes that come meanwhile share the next one.
 */
bool daemon_end_departed(struct daemon *d, bool whole)
{
	struct departing *away = &d->departing;
	bool all = whole && !d->swept;
	struct publish_departed gone = publish_departed(d->publisher, d->known || whole);
	struct publish_judge judge = judge_of(d, &gone, all);

	d->swept |= whole;
	d->known |= whole;
	if (gone.chosen || judge.udp || judge.tcp) {
		add(&away->gone, &gone);
		away->all |= all;
		away->wanted = true;
		event_active(d->events[4], 0, 0);
		return true;
	}
	if (judge.keep_tcp && !away->wanted && !away->running)
		publish_departed_end(d->publisher);
	if (publish_wants_grace(d->publisher)) {
		away->wanted = true;
		event_active(d->events[4], 0, 0);
	}
	return false;
}

void daemon_end_moved(struct daemon *d)
{
	const struct publish_departed nothing = {};
	struct publish_judge judge = judge_of(d, &nothing, true);

	tables_synchronize();
	end(d, &judge);
}
