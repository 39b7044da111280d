/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Rounds of the audit in slices, its counts, and its log. What is compared, and how it is repaired,
 * is compare.c's, ifaces_compare.c's and sockets.c's; pins and the config are looked at here.
 */
#include "audit.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "util.h"

#define TICK_MS	   100
#define SLICE_NS   1000000ULL /* of work a tick, at most */
#define CLOCK_EACH 64	      /* so much work before the clock is looked at */
#define LINES	   20	      /* of log, in a round */

struct audit {
	struct daemon *d;
	struct event *timer;
	struct audit_counts counts;
	size_t phase;
	uint32_t place;
	unsigned quota;	   /* of work a tick */
	unsigned standing; /* so far in this round */
	unsigned lines;
	uint64_t work; /* nanoseconds of it */
	json_t *told;  /* what could not be repaired: by its name, the round it was last seen in */
};

/* ---- what there is to compare ---- */

static uint32_t versions(const struct daemon *d)
{
	return d->tables->size[TABLE_services];
}

static void version(struct daemon *d, uint32_t place, const struct compare *c)
{
	compare_version(d->publisher, place, c);
}

static uint32_t buckets(const struct daemon *d)
{
	return d->tables->size[TABLE_frontends];
}

static void bucket(struct daemon *d, uint32_t place, const struct compare *c)
{
	compare_bucket(d->publisher, place, c);
}

static uint32_t backends(const struct daemon *d)
{
	return d->tables->size[TABLE_backends];
}

static void backend(struct daemon *d, uint32_t place, const struct compare *c)
{
	compare_backend(d->publisher, place, c);
}

static uint32_t one(const struct daemon *d)
{
	(void)d;
	return 1;
}

static void ranges(struct daemon *d, uint32_t place, const struct compare *c)
{
	(void)place;
	compare_ranges(d->publisher, c);
}

static void waiting(struct daemon *d, uint32_t place, const struct compare *c)
{
	(void)place;
	compare_waiting(d->publisher, c);
}

static uint32_t iface_places(const struct daemon *d)
{
	return d->tables->size[TABLE_ifaces];
}

static void iface_place(struct daemon *d, uint32_t place, const struct compare *c)
{
	compare_iface_place(d->ifaces, place, c);
}

static uint32_t interfaces(const struct daemon *d)
{
	return ifaces_known(d->ifaces);
}

static void interface(struct daemon *d, uint32_t place, const struct compare *c)
{
	compare_iface(d->ifaces, place, c);
}

static void sock(struct daemon *d, uint32_t place, const struct compare *c)
{
	(void)place;
	compare_sockets(d->sockets, c);
}

static uint32_t pins(const struct daemon *d)
{
	(void)d;
	return TABLES_PINS;
}

static void pin(struct daemon *d, uint32_t place, const struct compare *c)
{
	struct difference diff = {};
	char path[PATH_MAX];
	int rc = tables_pin_check(d->tables, place, c->repair);

	if (!rc || tables_pin_file(d->tables, place, path))
		return;
	difference_set(diff.what, "pin \"%s\"", path);
	difference_set(diff.wanted, "the %s in use",
		       place < TABLES + TABLES_MAPS ? "table" : "program");
	difference_set(diff.found, "%s",
		       rc == -EEXIST ? "another; remove it, and this one is pinned again"
		       : rc > 0	     ? "nothing"
				     : strerror(-rc));
	diff.repaired = c->repair ? rc : 0;
	compare_tell(c, &diff);
}

/* The members of the config, by name: all of them. */
#define CONFIG_LIST(X)                                                                             \
	X(abi_version)                                                                             \
	X(detector)                                                                                \
	X(hash_key)                                                                                \
	X(pod_prefix4)                                                                             \
	X(pod_prefix6)                                                                             \
	X(service_cidr4)                                                                           \
	X(service_cidr6)                                                                           \
	X(node_addr4)                                                                              \
	X(node_addr6)                                                                              \
	X(netns_cookie)                                                                            \
	X(localhost_nodeports4)                                                                    \
	X(localhost_nodeports6)                                                                    \
	X(sock_drain)                                                                              \
	X(sock_asks)                                                                               \
	X(handover)                                                                                \
	X(conntrack)                                                                               \
	X(filter)                                                                                  \
	X(routes_shared)

static const struct config_member {
	const char *name;
	size_t offset, size;
} config_members[] = {
#define X(name) {#name, offsetof(struct np_config, name), sizeof(((struct np_config *)0)->name)},
	CONFIG_LIST(X)
#undef X
};

#define X(name) +sizeof(((struct np_config *)0)->name)
NP_STATIC_ASSERT(0 CONFIG_LIST(X) == sizeof(struct np_config));
#undef X

/* The first words of a member, as they lie in memory; of the secret nothing. */
static void member_words(const struct config_member *m, const struct np_config *config, char *text,
			 size_t size)
{
	const uint8_t *bytes = (const uint8_t *)config + m->offset;
	size_t i, used = 0;

	if (!strcmp(m->name, "hash_key")) {
		snprintf(text, size, "(secret)");
		return;
	}
	for (i = 0; i < m->size && i < 32; i++)
		used += snprintf(text + used, size - used, "%s%02x", i && i % 4 == 0 ? " " : "",
				 bytes[i]);
	if (i < m->size)
		snprintf(text + used, size - used, "...");
}

static void repair_config(struct daemon *d, const struct np_config *wanted)
{
	struct np_config *config = d->tables->config;

	node_config_write(config, wanted);
	memcpy(config->hash_key, wanted->hash_key, sizeof(config->hash_key));
	__atomic_store_n(&config->sock_asks, wanted->sock_asks, __ATOMIC_RELEASE);
	__atomic_store_n(&config->sock_drain, wanted->sock_drain, __ATOMIC_RELEASE);
	__atomic_store_n(&config->netns_cookie, wanted->netns_cookie, __ATOMIC_RELEASE);
	__atomic_store_n(&config->abi_version, wanted->abi_version, __ATOMIC_RELEASE);
}

static void config(struct daemon *d, uint32_t place, const struct compare *c)
{
	struct np_config wanted = d->config;
	struct difference diff;

	(void)place;
	wanted.abi_version = NP_ABI_VERSION;
	memcpy(wanted.hash_key, d->tables->hash_key, sizeof(wanted.hash_key));
	wanted.handover = d->tables->config->handover;	 /* migrate.c's */
	wanted.conntrack = d->tables->config->conntrack; /* the programs' */
	wanted.filter = d->tables->config->filter & 1;	 /* sweep.c's */
	wanted.routes_shared = d->tables->config->routes_shared;
	wanted.netns_cookie = sockets_cookie(d->sockets) ?: d->tables->config->netns_cookie;
	for (size_t i = 0; i < ARRAY_SIZE(config_members); i++) {
		const struct config_member *m = &config_members[i];

		if (!memcmp((const char *)&wanted + m->offset,
			    (const char *)d->tables->config + m->offset, m->size))
			continue;
		diff = (struct difference){};
		difference_set(diff.what, "config: %s", m->name);
		member_words(m, &wanted, diff.wanted, sizeof(diff.wanted));
		member_words(m, d->tables->config, diff.found, sizeof(diff.found));
		diff.repaired = c->repair;
		compare_tell(c, &diff);
	}
	if (c->repair)
		repair_config(d, &wanted);
}

/* Places of a table are cheap to look at; a device or a pin takes system calls. */
static const struct phase {
	uint32_t (*size)(const struct daemon *d);
	void (*step)(struct daemon *d, uint32_t place, const struct compare *c);
	unsigned work;
} phases[] = {
	{versions, version, 1},	     {buckets, bucket, 1}, {backends, backend, 1},
	{one, ranges, 64},	     {one, waiting, 64},   {iface_places, iface_place, 1},
	{interfaces, interface, 64}, {one, sock, 64},	   {pins, pin, 64},
	{one, config, 64},
};

void audit_all(struct daemon *d, const struct compare *compare)
{
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		for (uint32_t place = 0; place < phases[i].size(d); place++)
			phases[i].step(d, place, compare);
}

/* ---- rounds ---- */

/* What stays broken is told once, until it has been well for a round. */
static bool is_news(struct audit *a, const struct difference *d)
{
	const bool known = json_object_get(a->told, d->what);

	json_object_set_new(a->told, d->what, json_integer((json_int_t)a->counts.rounds));
	return !known;
}

static void found(const struct difference *d, void *arg)
{
	struct audit *a = arg;
	const char *outcome = "repaired";

	a->standing += d->repaired != 1;
	if (d->waits)
		return;
	a->counts.repairs += d->repaired == 1;
	if (d->repaired != 1) {
		outcome = d->repaired ? strerror(-d->repaired) : "not repaired";
		if (!is_news(a, d))
			return;
	}
	a->counts.differences++;
	if (a->lines++ < LINES)
		daemon_log("audit: %s: wanted %s, found %s: %s", d->what, d->wanted, d->found,
			   outcome);
}

static void forget_told(struct audit *a)
{
	const char *what;
	json_t *round;
	void *next;

	json_object_foreach_safe(a->told, next, what, round) if (json_integer_value(round) <
								 (json_int_t)a->counts.rounds)
		json_object_del(a->told, what);
}

static void begin_round(struct audit *a)
{
	const unsigned ticks = a->d->options.audit_interval * 1000 / TICK_MS;
	uint64_t total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		total += (uint64_t)phases[i].size(a->d) * phases[i].work;
	a->quota = total / ticks + 1;
	a->phase = a->place = 0;
	a->standing = a->lines = 0;
	a->work = 0;
}

static void end_round(struct audit *a)
{
	struct timespec now;

	if (a->lines > LINES)
		daemon_log("audit: and %u differences more", a->lines - LINES);
	forget_told(a);
	clock_gettime(CLOCK_REALTIME, &now);
	a->counts.last = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	a->counts.work = (double)a->work / 1e9;
	a->counts.standing = a->standing;
	a->counts.rounds++;
	begin_round(a);
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* One place. True: it was the last of the round. */
static bool step(struct audit *a, const struct compare *c)
{
	const struct phase *phase = &phases[a->phase];

	if (a->place < phase->size(a->d))
		phase->step(a->d, a->place++, c);
	if (a->place >= phase->size(a->d)) {
		a->place = 0;
		a->phase++;
	}
	return a->phase == ARRAY_SIZE(phases);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct audit *a = arg;
	const struct compare c = {.repair = true, .found = found, .arg = a};
	const uint64_t began = clock_ns();
	unsigned work = 0, looked = 0;
	bool last = false;

	(void)fd, (void)what;
	while (!last && work < a->quota) {
		work += phases[a->phase].work;
		last = step(a, &c);
		if (work - looked < CLOCK_EACH)
			continue;
		looked = work;
		if (clock_ns() - began > SLICE_NS)
			break;
	}
	a->work += clock_ns() - began;
	if (last)
		end_round(a);
}

const struct audit_counts *audit_counts(const struct audit *audit)
{
	return &audit->counts;
}

int audit_new(struct daemon *d, struct audit **audit)
{
	_cleanup_(audit_free) struct audit *a = calloc(1, sizeof(*a));
	const struct timeval tick = {.tv_usec = TICK_MS * 1000};

	if (!a)
		return -ENOMEM;
	a->d = d;
	a->told = json_object();
	a->timer = event_new(d->base, -1, EV_PERSIST, on_tick, a);
	if (!a->told || !a->timer)
		return -ENOMEM;
	if (d->options.audit_interval) {
		begin_round(a);
		if (event_add(a->timer, &tick))
			return -ENOMEM;
	}
	*audit = TAKE_PTR(a);
	return 0;
}

void audit_free(struct audit **audit)
{
	struct audit *a = TAKE_PTR(*audit);

	if (!a)
		return;
	if (a->timer)
		event_free(a->timer);
	json_decref(a->told);
	free(a);
}
