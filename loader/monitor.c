/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The three HTTP servers, each with bounds of its own so that one cannot be starved by way of
 * another, and the record of what waits. See monitor.h.
 */
#include "monitor.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uthash.h>

#include "daemon.h"
#include "health.h"
#include "health_checks.h"
#include "http.h"
#include "metrics.h"
#include "page.h"
#include "util.h"

/* What failed is tried again this much later, and no more of it at a time than this. */
#define RETRY_SECONDS  5
#define RETRIES_A_TURN 256

/* A Service that could not be published whole. */
struct failed {
	char *key;
	char *namespace;
	char *name;
	unsigned families;
	UT_hash_handle hh;
};

/* A slice that changed: when that began, as its annotation tells. */
struct trigger {
	int family;
	struct timespec time;
	char service[520]; /* namespace/name */
};

/* An address of --healthz-bind-address or --metrics-bind-address. */
struct site {
	const char *option;
	struct http *http;
	http_handler handler;
	struct http_address address;
	struct http_listener *listener;
	bool extra; /* the other family of an address that means any: left out where it cannot be */
	bool said;
};

struct monitor {
	struct daemon *d;
	struct http *healthz, *metrics_http, *checks_http;
	struct site site[4];
	size_t sites;
	struct health_checks *checks;
	struct health health;
	struct metrics metrics;
	struct failed *failed;
	bool blind; /* links and addresses could not be read */
	bool node_seen;
	unsigned depth;
	struct health_time began;
	struct trigger *trigger;
	size_t triggers;
	struct event *retry;
	struct page *page; /* /metrics */
	struct timespec
		since; /* of the day: what happened before is not this daemon's to measure */
};

static double seconds_of(const struct timespec *t)
{
	return (double)t->tv_sec + (double)t->tv_nsec / 1e9;
}

/* ---- what waits ---- */

static void later(struct monitor *m)
{
	const struct timeval after = {.tv_sec = RETRY_SECONDS};

	if (!evtimer_pending(m->retry, NULL))
		evtimer_add(m->retry, &after);
}

static struct failed *find_failed(struct monitor *m, const char *namespace, const char *name)
{
	struct failed *f;
	char key[520];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(m->failed, key, f);
	return f;
}

static void forget_failed(struct monitor *m, struct failed *f)
{
	HASH_DEL(m->failed, f);
	free(f->key);
	free(f->namespace);
	free(f->name);
	free(f);
}

static struct failed *note_failed(struct monitor *m, const char *namespace, const char *name)
{
	struct failed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->namespace = strdup(namespace);
	f->name = strdup(name);
	if (!f->namespace || !f->name || asprintf(&f->key, "%s/%s", namespace, name) < 0) {
		free(f->namespace);
		free(f->name);
		free(f);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, m->failed, f->key, strlen(f->key), f);
	return f;
}

/* The families a Service is in; of one that is gone, both. */
static unsigned families_of(struct monitor *m, const char *namespace, const char *name)
{
	const struct kube_service *s = store_service(m->d->store, namespace, name);
	unsigned families = 0;

	for (size_t i = 0; s && i < s->cluster_ips; i++)
		families |=
			HEALTH_BIT(s->cluster_ip[i].family == NP_IPV4 ? HEALTH_IPV4 : HEALTH_IPV6);
	return families ?: HEALTH_BOTH;
}

static void record(struct monitor *m, const char *namespace, const char *name, int rc)
{
	struct failed *f = find_failed(m, namespace, name);

	if (!rc) {
		if (f)
			forget_failed(m, f);
		return;
	}
	f = f ?: note_failed(m, namespace, name);
	if (f)
		f->families = families_of(m, namespace, name);
}

/* All that can be is in the tables: who still waits, and who does not any more? */
static unsigned take_stock(struct monitor *m, const struct health_time *now)
{
	unsigned waiting = m->blind ? HEALTH_BOTH : 0, done;
	struct failed *f, *next;

	HASH_ITER (hh, m->failed, f, next) {
		waiting |= f->families;
	}
	m->metrics.services_waiting = HASH_COUNT(m->failed);
	done = m->d->synced ? HEALTH_BOTH & ~waiting : 0;
	health_updated(&m->health, done, now);
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		if (done & HEALTH_BIT(i))
			m->metrics.updated[i] = seconds_of(&now->wall);
	if (waiting)
		later(m);
	return done;
}

void monitor_published(struct monitor *m, const char *namespace, const char *name, int rc)
{
	record(m, namespace, name, rc);
	health_checks_touch(m->checks, namespace, name);
}

/* ---- changes ---- */

void monitor_begin(struct monitor *m)
{
	if (m->d->replaying || m->depth++)
		return;
	m->began = health_now();
	m->triggers = 0;
	if (m->d->synced)
		health_queued(&m->health, HEALTH_BOTH, &m->began);
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		m->metrics.queued[i] = seconds_of(&m->began.wall);
}

/* When a slice's change began is of interest if that was in this daemon's time, as in kube-proxy.
 */
static void note_trigger(struct monitor *m, const struct kube_slice *slice)
{
	struct trigger *list;

	if (!slice || !slice->service || seconds_of(&slice->triggered) < seconds_of(&m->since))
		return;
	list = reallocarray(m->trigger, m->triggers + 1, sizeof(*list));
	if (!list)
		return;
	m->trigger = list;
	list[m->triggers].family = slice->family == NP_IPV4 ? HEALTH_IPV4 : HEALTH_IPV6;
	list[m->triggers].time = slice->triggered;
	snprintf(list[m->triggers].service, sizeof(list->service), "%s/%s", slice->namespace,
		 slice->service);
	m->triggers++;
}

void monitor_object(struct monitor *m, const char *key, const char *event)
{
	const char *kind = kube_kind_name(KUBE_SLICE);

	if (m->d->replaying)
		return;
	if (!strncmp(key, "Service ", 8))
		m->metrics.service_changes++;
	if (strncmp(key, kind, strlen(kind)) != 0)
		return;
	m->metrics.endpoint_changes++;
	if (!strcmp(event, "applied"))
		note_trigger(m, store_slice(m->d->store, key));
}

static void observe_triggers(struct monitor *m, const struct health_time *now)
{
	struct failed *f;

	for (size_t i = 0; i < m->triggers; i++) {
		const struct trigger *t = &m->trigger[i];

		HASH_FIND_STR(m->failed, t->service, f);
		if (!f)
			histogram_observe(&m->metrics.network[t->family],
					  seconds_of(&now->wall) - seconds_of(&t->time));
	}
	util_free(&m->trigger);
	m->triggers = 0;
}

void monitor_end(struct monitor *m)
{
	struct health_time now;

	if (m->d->replaying || --m->depth)
		return;
	now = health_now();
	m->node_seen |= store_node(m->d->store, m->d->options.node_name) != NULL;
	take_stock(m, &now);
	for (int i = 0; i < HEALTH_FAMILIES; i++)
		histogram_observe(&m->metrics.sync[i],
				  seconds_of(&now.steady) - seconds_of(&m->began.steady));
	observe_triggers(m, &now);
	if (health_checks_settle(m->checks, false, m->d->warnings))
		later(m);
}

/* ---- the network ---- */

void monitor_addresses_begin(struct monitor *m)
{
	health_checks_addresses_begin(m->checks);
}

void monitor_address(struct monitor *m, uint8_t family, const union np_addr *addr)
{
	health_checks_address(m->checks, family, addr);
}

void monitor_addresses_end(struct monitor *m, int rc)
{
	struct health_time now = health_now();
	const bool was_blind = m->blind;

	m->blind = rc != 0;
	if (!rc)
		health_checks_addresses_end(m->checks);
	else if (m->d->synced)
		health_queued(&m->health, HEALTH_BOTH, &now);
	if (was_blind && !m->blind)
		take_stock(m, &now);
}

void monitor_settle(struct monitor *m)
{
	if (health_checks_settle(m->checks, false, NULL))
		later(m);
}

/* ---- answers ---- */

static bool is_healthy(void *arg)
{
	const struct monitor *m = arg;
	const struct health_time now = health_now();

	return health_ok(&m->health, &now);
}

/* A Node that was there and is not any more has been deleted; one that never was is not known. */
static bool is_eligible(const struct monitor *m)
{
	const struct kube_node *node = store_node(m->d->store, m->d->options.node_name);

	return node ? !node->deleting : !m->node_seen;
}

static void on_healthz(const char *path, struct http_answer *answer, void *arg)
{
	const bool livez = !strcmp(path, "/livez");
	const struct health_time now = health_now();
	struct monitor *m = arg;
	bool eligible = is_eligible(m);
	char body[512];

	if (!livez && strcmp(path, "/healthz") != 0) {
		http_not_found(answer);
		return;
	}
	answer->status =
		health_body(&m->health, &now, livez ? NULL : &eligible, body, sizeof(body));
	answer->type = "application/json";
	snprintf(answer->lines, sizeof(answer->lines), "X-Content-Type-Options: nosniff\r\n");
	evbuffer_add(answer->body, body, strlen(body));
	(livez ? m->metrics.livez : m->metrics.healthz)[answer->status != 200]++;
}

static int write_metrics(void *arg, char **text, size_t *length)
{
	struct monitor *m = arg;

	return metrics_text(&m->metrics, m->d, text, length);
}

static void on_metrics(const char *path, struct http_answer *answer, void *arg)
{
	static const char nosniff[] = "X-Content-Type-Options: nosniff\r\n";
	struct monitor *m = arg;

	if (!strcmp(path, "/metrics")) {
		answer->type = "text/plain; version=0.0.4; charset=utf-8";
		page_answer(m->page, answer);
		return;
	}
	answer->type = "text/plain; charset=utf-8";
	snprintf(answer->lines, sizeof(answer->lines), "%s", nosniff);
	if (!strcmp(path, "/healthz"))
		evbuffer_add_printf(answer->body, "ok");
	else if (!strcmp(path, "/proxyMode"))
		evbuffer_add_printf(answer->body, "nearpath");
	else
		http_not_found(answer);
}

/* ---- listening ---- */

static bool is_any(const union np_addr *addr)
{
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

/* As for kube-proxy, the address that means any means any of both families. */
static void add_site(struct monitor *m, const struct bind_to *to, const char *option,
		     struct http *http, http_handler handler)
{
	struct site *site = &m->site[m->sites];

	if (!to->family)
		return;
	*site = (struct site){
		.option = option,
		.http = http,
		.handler = handler,
		.address = {.family = to->family, .port = to->port, .addr = to->addr},
	};
	m->sites++;
	if (!is_any(&to->addr))
		return;
	site[1] = site[0];
	site[1].address.family = to->family == NP_IPV4 ? NP_IPV6 : NP_IPV4;
	site[1].extra = true;
	m->sites++;
}

/* Returns false if it is to be tried again. */
static bool site_open(struct monitor *m, struct site *site)
{
	char text[64];
	int rc;

	if (site->listener)
		return true;
	rc = http_listen(site->http, &site->address, site->handler, m, &site->listener);
	if (!rc)
		return true;
	if (site->extra && rc != -EADDRINUSE && rc != -EMFILE)
		return true;
	if (!site->said)
		daemon_log("--%s: cannot listen on %s: %s; it is tried again every %d seconds",
			   site->option, http_address_text(&site->address, text, sizeof(text)),
			   strerror(-rc), RETRY_SECONDS);
	site->said = true;
	return false;
}

static void open_sites(struct monitor *m)
{
	for (size_t i = 0; i < m->sites; i++)
		if (!site_open(m, &m->site[i]))
			later(m);
}

void monitor_start(struct monitor *m)
{
	const struct options *o = &m->d->options;

	add_site(m, &o->healthz, "healthz-bind-address", m->healthz, on_healthz);
	add_site(m, &o->metrics, "metrics-bind-address", m->metrics_http, on_metrics);
	open_sites(m);
	monitor_settle(m);
}

json_t *monitor_ports_json(struct monitor *m)
{
	json_t *list = json_array();
	char text[64];

	open_sites(m);
	for (size_t i = 0; i < m->sites; i++) {
		const struct site *site = &m->site[i];

		if (!site->extra || site->listener)
			json_array_append_new(
				list,
				json_pack("{s:s,s:s,s:b}", "option", site->option, "address",
					  http_address_text(&site->address, text, sizeof(text)),
					  "held", site->listener != NULL));
	}
	return list;
}

/* A part at a time; what fails again goes to the end. */
static void publish_failed(struct monitor *m)
{
	struct health_time now;
	unsigned turns = HASH_COUNT(m->failed);
	struct failed *f;

	turns = turns < RETRIES_A_TURN ? turns : RETRIES_A_TURN;
	for (; turns; turns--) {
		f = m->failed; /* the first */
		HASH_DEL(m->failed, f);
		HASH_ADD_KEYPTR(hh, m->failed, f->key, strlen(f->key), f);
		if (node_publish(&m->d->node, m->d->publisher, f->namespace, f->name))
			continue;
		daemon_log("Service \"%s\" is published whole now", f->key);
		forget_failed(m, f);
	}
	daemon_end_departed(m->d, false);
	now = health_now();
	take_stock(m, &now);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;

	(void)fd, (void)what;
	if (m->failed)
		publish_failed(m);
	open_sites(m);
	if (health_checks_settle(m->checks, true, NULL))
		later(m);
}

/* A listener is a descriptor, and Services may be many. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int monitor_new(struct daemon *d, struct monitor **monitor)
{
	_cleanup_(monitor_free) struct monitor *m = calloc(1, sizeof(*m));
	struct health_checks_options options;
	int rc;

	if (!m)
		return -ENOMEM;
	m->d = d;
	m->since = health_now().wall;
	metrics_init(&m->metrics);
	raise_limit();
	m->retry = evtimer_new(d->base, on_retry, m);
	rc = m->retry ? 0 : -ENOMEM;
	rc = rc ?: page_new(write_metrics, m, &m->page);
	rc = rc ?: http_new(d->base, NULL, &m->healthz);
	rc = rc ?: http_new(d->base, NULL, &m->metrics_http);
	rc = rc ?: http_new(d->base, NULL, &m->checks_http);
	options = (struct health_checks_options){
		.http = m->checks_http,
		.node = &d->node,
		.healthy = is_healthy,
		.say = daemon_log,
		.arg = m,
	};
	rc = rc ?: health_checks_new(&options, &m->checks);
	if (rc)
		return rc;
	*monitor = TAKE_PTR(m);
	return 0;
}

void monitor_free(struct monitor **monitor)
{
	struct monitor *m = TAKE_PTR(*monitor);
	struct failed *f, *next;

	if (!m)
		return;
	health_checks_free(&m->checks);
	for (size_t i = 0; i < m->sites; i++)
		http_listener_free(&m->site[i].listener);
	http_free(&m->healthz);
	http_free(&m->metrics_http);
	http_free(&m->checks_http);
	if (m->retry)
		event_free(m->retry);
	HASH_ITER (hh, m->failed, f, next) {
		forget_failed(m, f);
	}
	free(m->trigger);
	page_free(&m->page);
	free(m);
}
