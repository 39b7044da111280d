/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * After a change: what becomes of the flows and sockets of endpoints that are gone, and when.
 */
#include <string.h>

#include "daemon.h"
#include "flows.h"
#include "takeover.h"

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
	size_t marked;

	if (!rc) {
		marked = flows_mark(d->tables, publish_judge, judge);
		d->marked = judge->tcp ? marked : d->marked;
		if (judge->udp)
			takeover_end_udp(d->takeover, publish_judge, judge);
		rc = daemon_has_sock(d) ? sockets_end(d->sockets, publish_judge, judge) : 0;
	}
	publish_judge_end(judge);
	if (rc < 0)
		daemon_log("cannot end sockets connected to endpoints that are gone: %s",
			   strerror(-rc));
}

/*
 * Against all flows also once after everything has been delivered whole, and not before that: what
 * is not known yet has not departed (calico #10721, cilium #29667).
 */
void daemon_end_departed(struct daemon *d, bool whole)
{
	bool all = whole && !d->swept;
	struct publish_departed gone = publish_departed(d->publisher, d->known || whole);
	struct publish_judge judge = judge_of(d, &gone, all);

	d->swept |= whole;
	d->known |= whole;
	/*
	 * A packet or process may be deciding by a version of before: a grace period, without which
	 * it could still be given an endpoint that is gone, and its flow not be seen here.
	 */
	if (gone.chosen || judge.udp || judge.tcp)
		tables_synchronize();
	if (judge.udp || judge.tcp)
		end(d, &judge);
	if (judge.tcp || judge.keep_tcp)
		publish_departed_end(d->publisher);
}

void daemon_end_moved(struct daemon *d)
{
	const struct publish_departed nothing = {};
	struct publish_judge judge = judge_of(d, &nothing, true);

	tables_synchronize();
	end(d, &judge);
}
