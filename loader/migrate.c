/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The order of events while one version's tables take over from another's. */
#include "migrate.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "layout.h"
#include "move.h"
#include "tables_private.h"
#include "util.h"

/* How long to wait for flows that could not be moved, and for interfaces that could not be had. */
static const struct timeval at_once = {.tv_usec = 200}, a_while = {.tv_usec = 100000};

/* A backend of theirs. */
struct known {
	struct {
		union np_addr addr;
		uint32_t port, family;
	} key;
	uint32_t number;
	UT_hash_handle hh;
};

struct migrate {
	struct layout *from;
	struct known *known;
	bool fresh; /* these have not yet taken over: whatever is in use is there */
	struct event *timer;
	struct tables *to;
	struct publisher *publisher;
	struct ifaces *ifaces;
	struct move move;
	bool was_empty; /* the index, at the end of the last pass */
	struct timespec begun;
	void (*done)(const struct migrate_end *end, void *arg);
	void *arg;
};

static uint32_t own_handover(const char *bpffs)
{
	uint32_t zero = 0;
	struct np_config config = {};
	char path[PATH_MAX];
	_cleanup_close_ int fd = snprintf(path, sizeof(path), "%s/" TABLES_DIR "%d/config", bpffs,
					  NP_ABI_VERSION) < (int)sizeof(path)
					 ? bpf_obj_get(path)
					 : -1;

	return fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &config) ? config.handover : 0;
}

/*
 * Which tables are the ones in use? Own ones that are not in the middle of taking over are so only
 * if the others are (they were taking over from these); version 2, which knows of no other, made
 * its own anew.
 */
static int choose_own(struct migrate *m, const char *bpffs)
{
	bool alive = tables_alive(bpffs);
	uint32_t phase = own_handover(bpffs);
	char path[PATH_MAX];

	m->fresh = !alive || phase == NP_HANDOVER_ALL;
	/* Tables that are yet to be made are none that theirs are being taken over by. */
	if (!alive)
		layout_set_handover(m->from, NP_HANDOVER_NONE);
	if (!alive || !m->from->in_root || phase != NP_HANDOVER_NONE)
		return 0;
	m->fresh = true;
	return snprintf(path, sizeof(path), "%s/" TABLES_DIR "%d", bpffs, NP_ABI_VERSION) <
			       (int)sizeof(path)
		       ? tables_remove_dir(path)
		       : -ENAMETOOLONG;
}

int migrate_find(const char *bpffs, const char *links, struct tables_options *o,
		 struct migrate **migrate, const char **why)
{
	_cleanup_(migrate_free) struct migrate *m = calloc(1, sizeof(*m));
	int rc = m ? layout_find(bpffs, links, &m->from, why) : -ENOMEM;

	*migrate = NULL;
	if (rc || !m->from)
		return rc;
	rc = choose_own(m, bpffs) ?: move_repair(m->from);
	if (rc)
		return rc;
	o->hash_key = m->from->hash_key;
	/* What they hold must find room, whatever is asked for now. */
	if (o->max_services < m->from->table[LAYOUT_services].size)
		o->max_services = m->from->table[LAYOUT_services].size;
	if (o->max_backends < m->from->table[LAYOUT_backends].size)
		o->max_backends = m->from->table[LAYOUT_backends].size;
	o->min_flows = layout_records(m->from, NP_IPV4) > layout_records(m->from, NP_IPV6)
			       ? layout_records(m->from, NP_IPV4)
			       : layout_records(m->from, NP_IPV6);
	*migrate = TAKE_PTR(m);
	return 0;
}

void migrate_free(struct migrate **migrate)
{
	struct known *k, *next;
	struct migrate *m = *migrate;

	*migrate = NULL;
	if (!m)
		return;
	HASH_ITER (hh, m->known, k, next) {
		HASH_DEL(m->known, k);
		free(k);
	}
	if (m->timer)
		event_free(m->timer);
	layout_free(&m->from);
	free(m);
}

unsigned migrate_from(const struct migrate *m)
{
	return m ? m->from->version : 0;
}

bool migrate_is_fresh(const struct migrate *m)
{
	return m && m->fresh;
}

static void fill_key(struct known *k, uint8_t family, const union np_addr *addr, __be16 port)
{
	memset(&k->key, 0, sizeof(k->key));
	k->key.addr = *addr;
	k->key.port = port;
	k->key.family = family;
}

static uint32_t known_number(void *arg, uint8_t family, const union np_addr *addr, __be16 port)
{
	struct migrate *m = arg;
	struct known key, *k;

	fill_key(&key, family, addr, port);
	HASH_FIND(hh, m->known, &key.key, sizeof(key.key), k);
	return k ? k->number : NO_NUMBER;
}

/* Sockets remember their backends by number (maps/sock.h), and whoever reads the tables may. */
void migrate_want(struct migrate *m, struct publisher *p)
{
	struct layout_field addr, port, family, flags;
	uint32_t n;

	if (!m || !m->fresh)
		return;
	addr = layout_field(m->from, LAYOUT_backends, "addr");
	port = layout_field(m->from, LAYOUT_backends, "port");
	family = layout_field(m->from, LAYOUT_backends, "family");
	flags = layout_field(m->from, LAYOUT_backends, "flags");
	for (n = 0; n < m->from->table[LAYOUT_backends].size; n++) {
		const void *entry = layout_entry(m->from, LAYOUT_backends, n);
		union np_addr a = layout_addr(entry, &addr, 0);
		struct known *k, *other;

		if (!(layout_number(entry, &flags, 0) & NP_BACKEND_USED))
			continue;
		k = calloc(1, sizeof(*k));
		if (!k)
			return;
		k->number = n;
		fill_key(k, layout_number(entry, &family, 0), &a, layout_number(entry, &port, 0));
		HASH_FIND(hh, m->known, &k->key, sizeof(k->key), other);
		if (other)
			free(k);
		else
			HASH_ADD(hh, m->known, key, sizeof(k->key), k);
	}
	publish_want(p, known_number, m);
}

int migrate_load(struct migrate *m, struct tables *t, const char **why)
{
	struct tables_before before;
	int rc;

	if (!m) {
		t->config->handover = NP_HANDOVER_NONE;
		return 0;
	}
	/* Theirs were taking over from these, and flows may lie in both. */
	if (t->config->handover == NP_HANDOVER_NONE)
		__atomic_store_n(&t->config->handover, NP_HANDOVER_KNOWN, __ATOMIC_SEQ_CST);
	rc = layout_before(m->from, &before);
	if (rc)
		*why = "the programs of the other ABI version are not to be had";
	rc = rc ?: tables_handover(t, &before, why);
	layout_before_close(&before);
	return rc;
}

static uint32_t milliseconds_since(const struct timespec *begun)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begun->tv_sec) * 1000 + (now.tv_nsec - begun->tv_nsec) / 1000000;
}

/*
 * Nothing is there any more. Their tables die first, by the removal of one pin, and only then do
 * these forget them: should another nearpathd of that version start in between, it begins anew.
 */
static void finish(struct migrate *m)
{
	struct migrate_end end = {.version = m->from->version, .flows = m->move.flows};
	int rc;

	move_service_stats(m->from, m->to, m->publisher);
	rc = layout_remove(m->from);
	if (rc) {
		evtimer_add(m->timer, &a_while);
		return;
	}
	__atomic_store_n(&m->to->config->handover, NP_HANDOVER_NONE, __ATOMIC_SEQ_CST);
	tables_handover_end(m->to);
	ifaces_attach_again(m->ifaces);
	tables_synchronize();
	move_stats(m->from, m->to); /* its memory lasts as long as it is mapped */
	tables_handover_forget(m->to);
	publish_want(m->publisher, NULL, NULL); /* the numbers go with m */
	end.milliseconds = milliseconds_since(&m->begun);
	m->done(&end, m->arg); /* frees m */
}

/*
 * All programs that run know both tables, or soon will: whatever began before that has ended. Then
 * flows may begin here.
 */
static int take_over(struct migrate *m)
{
	uint32_t *phase = &m->to->config->handover;
	bool first = *phase == NP_HANDOVER_ALL;
	int rc = tables_synchronize();

	if (rc)
		return rc;
	if (first) {
		move_turns(m->from, m->to, m->publisher);
		move_affinity(m->from, m->to, m->publisher, false);
		__atomic_store_n(phase, NP_HANDOVER_KNOWN, __ATOMIC_SEQ_CST);
		rc = tables_synchronize();
	}
	move_affinity(m->from, m->to, m->publisher, true);
	move_service_stats(m->from, m->to, m->publisher);
	m->move = (struct move){.from = m->from, .to = m->to, .publisher = m->publisher};
	return rc;
}

static void end_of_pass(struct migrate *m)
{
	bool empty = !m->move.left;

	/* Twice, with a grace period between: nobody is making a flow there. */
	if (empty && m->was_empty) {
		finish(m);
		return;
	}
	m->was_empty = empty && !tables_synchronize();
	evtimer_add(m->timer, m->move.stuck ? &a_while : &at_once);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct migrate *m = arg;
	int rc;

	(void)fd, (void)what;
	if (!m->move.from) {
		rc = ifaces_attach_rest(m->ifaces) ?: take_over(m);
		evtimer_add(m->timer, rc ? &a_while : &at_once);
		return;
	}
	rc = move_slice(&m->move);
	if (!rc)
		end_of_pass(m);
	else
		evtimer_add(m->timer, rc < 0 ? &a_while : &at_once);
}

int migrate_start(struct migrate *m, struct event_base *base, struct tables *t,
		  struct publisher *publisher, struct ifaces *ifaces,
		  void (*done)(const struct migrate_end *end, void *arg), void *arg)
{
	if (!m) {
		tables_handover_forget(t);
		return 0;
	}
	m->to = t;
	m->publisher = publisher;
	m->ifaces = ifaces;
	m->done = done;
	m->arg = arg;
	clock_gettime(CLOCK_MONOTONIC, &m->begun);
	m->timer = evtimer_new(base, on_timer, m);
	if (!m->timer)
		return -ENOMEM;
	/* The first steps at once: until then new interfaces are not served. */
	on_timer(-1, 0, m);
	return 0;
}

json_t *migrate_json(const struct migrate *m)
{
	if (!m)
		return json_null();
	return json_pack("{s:i,s:I,s:I,s:b}", "from", (int)m->from->version, "moved",
			 (json_int_t)m->move.flows, "stuck", (json_int_t)m->move.stuck, "moving",
			 m->move.from != NULL);
}
