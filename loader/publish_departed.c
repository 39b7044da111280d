/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What becomes of flows and sockets when endpoints go: of UDP by kube-proxy's rules, as a client
 * that goes on sending would hold on to a departed endpoint for ever (CleanStaleEntries() in
 * pkg/proxy/conntrack/cleanup.go); of TCP if it is asked for (--on-endpoint-removed). SCTP is left
 * alone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "publish_private.h"
#include "util.h"

/* As plan.c sorts them. */
static int by_address(const void *first, const void *second)
{
	const struct plan_backend *a = first, *b = second;
	int order = memcmp(a->addr.word, b->addr.word, sizeof(a->addr.word));

	return order ?: (int)ntohs(a->port) - (int)ntohs(b->port);
}

/* The plan's endpoint at that address and port, whatever its state; NULL: it has none. plan: may
 * be NULL. */
static const struct plan_backend *endpoint(const struct plan *plan, const union np_addr *addr,
					   __be16 port)
{
	const struct plan_backend key = {.addr = *addr, .port = port};

	if (!plan || !plan->backends)
		return NULL;
	return bsearch(&key, plan->backend, plan->backends, sizeof(key), by_address);
}

static bool serves(const struct plan *plan, const union np_addr *addr, __be16 port)
{
	const struct plan_backend *b = endpoint(plan, addr, port);

	return b && b->serving;
}

static bool anyone_serves(const struct plan *plan)
{
	for (size_t i = 0; i < plan->backends; i++)
		if (plan->backend[i].serving)
			return true;
	return false;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

static bool lists(const uint32_t *list, size_t count, uint32_t number)
{
	return count && bsearch(&number, list, count, sizeof(number), by_number);
}

/* May a new connection be given it? */
static bool is_chosen(const struct plan *plan, const struct plan_backend *b)
{
	uint32_t number;

	if (!b)
		return false;
	number = (uint32_t)(b - plan->backend);
	return lists(plan->cluster, plan->clusters, number) ||
	       lists(plan->local, plan->locals, number);
}

/* addr: of the frontend; zero: the NodePort. */
static struct frontend_key key_at(const struct flow_ends *e, const union np_addr *addr)
{
	struct frontend_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.port = e->frontend_port;
	key.protocol = e->protocol;
	key.family = e->family;
	return key;
}

static const struct plan *plan_at(struct publisher *p, const struct flow_ends *e,
				  const union np_addr *addr)
{
	const struct frontend_key key = key_at(e, addr);
	const struct frontend *f = frontend_get(p, &key);

	return f && f->owner ? publish_plan_of(p, f->version) : NULL;
}

/* Whose frontend the flow's is; NULL: nobody's. */
static const struct plan *plan_of(struct publisher *p, const struct flow_ends *e)
{
	const struct plan *plan = plan_at(p, e, e->frontend);
	const union np_addr any = {};

	if (!plan && address_has_node_ports(p, e->family, e->frontend))
		plan = plan_at(p, e, &any);
	return plan;
}

bool publish_has_frontend(struct publisher *p, uint8_t family, uint8_t protocol,
			  const union np_addr *addr, __be16 port)
{
	const struct flow_ends ends = {
		.family = family, .protocol = protocol, .frontend = addr, .frontend_port = port};

	return plan_of(p, &ends) != NULL;
}

static enum flow_fate udp_fate(struct publisher *p, const struct flow_ends *e)
{
	const struct plan *plan = plan_of(p, e);

	if (!plan || !anyone_serves(plan) || serves(plan, e->backend, e->backend_port))
		return FLOW_LEAVE;
	return FLOW_DEPARTED;
}

static const struct plan *same_port(const struct plan *plan, struct plan *const *plans,
				    size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (plan_same_port(plan, plans[i]))
			return plans[i];
	return NULL;
}

/* Has new (may be NULL) all endpoints of old (the same)? */
static bool has_all(const struct plan *new, const struct plan *old)
{
	for (size_t i = 0; old && i < old->backends; i++)
		if (!endpoint(new, &old->backend[i].addr, old->backend[i].port))
			return false;
	return true;
}

static bool still_serves_all(const struct plan *new, const struct plan *old)
{
	for (size_t i = 0; i < old->backends; i++)
		if (old->backend[i].serving &&
		    !serves(new, &old->backend[i].addr, old->backend[i].port))
			return false;
	return true;
}

static bool still_chooses_all(const struct plan *new, const struct plan *old)
{
	for (size_t i = 0; i < old->backends; i++)
		if (is_chosen(old, &old->backend[i]) &&
		    !is_chosen(new, endpoint(new, &old->backend[i].addr, old->backend[i].port)))
			return false;
	return true;
}

/* For the sockets that were connected to them; without memory, those stay. */
static void note_gone(struct publisher *p, const struct plan *plan)
{
	struct departed *d = &p->departed;
	struct frontend_key *gone =
		reallocarray(d->gone, d->gones + plan->frontends, sizeof(*gone));

	if (!gone)
		return;
	d->gone = gone;
	for (size_t i = 0; i < plan->frontends; i++)
		gone[d->gones++] = frontend_key(plan, &plan->frontend[i]);
}

static bool is_gone(const struct publisher *p, const struct frontend_key *key)
{
	for (size_t i = 0; i < p->departed.gones; i++) {
		const struct frontend_key *gone = &p->departed.gone[i];

		if (address_equal(&gone->addr, &key->addr) && gone->port == key->port &&
		    gone->protocol == key->protocol && gone->family == key->family)
			return true;
	}
	return false;
}

static void note_tcp(struct publisher *p, const struct plan *old, const struct plan *new)
{
	bool lost = !has_all(new, old), gained = !has_all(old, new);
	uint32_t id;

	id = (old ?: new)->id;
	if ((!lost && !gained) || id == NO_ID)
		return;
	if (!new)
		note_gone(p, old);
	p->departed.touched[id] = p->departed.noted = true;
	p->departed.tcp_lost |= lost;
	p->departed.tcp_gained |= gained;
}

/* old or new is NULL: the service port comes or goes. */
static void note(struct publisher *p, const struct plan *old, const struct plan *new)
{
	const struct plan *plan = old ?: new;

	p->departed.chosen |= old && !still_chooses_all(new, old);
	if (plan->protocol == IPPROTO_TCP)
		note_tcp(p, old, new);
	if (plan->protocol != IPPROTO_UDP)
		return;
	p->departed.udp_lost |= old && new && !still_serves_all(new, old);
	/* What nobody served was left alone. */
	p->departed.udp_gained |= new &&anyone_serves(new) && (!old || !anyone_serves(old));
}

void departed_note(struct publisher *p, const struct owner *o, struct plan *const *plans,
		   size_t count)
{
	for (size_t i = 0; i < o->count; i++)
		note(p, o->plans[i], same_port(o->plans[i], plans, count));
	for (size_t i = 0; i < count; i++)
		if (!same_port(plans[i], o->plans, o->count))
			note(p, NULL, plans[i]);
}

struct publish_departed publish_departed(struct publisher *p, bool known)
{
	struct departed *d = &p->departed;
	const struct publish_departed told = {
		.chosen = d->chosen,
		.udp = d->udp_lost || (known && d->udp_gained),
		.tcp_lost = known && d->tcp_lost,
		.tcp_gained = known && d->tcp_gained,
	};

	d->chosen = d->udp_lost = false;
	d->udp_gained &= !known;
	d->tcp_lost &= !known;
	d->tcp_gained &= !known;
	return told;
}

static const struct plan **index_plans(struct publisher *p)
{
	const struct plan **plans = calloc(p->ids + 1UL, sizeof(*plans));
	size_t place = 0;
	struct owner *o;

	while (plans && (o = set_next(&p->owners, &place)))
		for (size_t i = 0; i < o->count; i++)
			if (o->plans[i]->protocol == IPPROTO_TCP && o->plans[i]->id != NO_ID)
				plans[o->plans[i]->id] = o->plans[i];
	return plans;
}

int publish_judge_begin(struct publisher *p, struct publish_judge *judge)
{
	judge->plans = index_plans(p);
	judge->ids = p->ids;
	judge->publisher = p;
	return judge->plans ? 0 : -ENOMEM;
}

void publish_judge_end(struct publish_judge *judge)
{
	free(judge->plans);
	judge->plans = NULL;
}

void publish_departed_end(struct publisher *p)
{
	struct departed *d = &p->departed;

	if (!d->noted)
		return;
	d->noted = false;
	memset(d->touched, 0, p->ids * sizeof(*d->touched));
	free(d->gone);
	d->gone = NULL;
	d->gones = 0;
}

/*
 * A frontend may be taken from a service, as the address of a load balancer that is set anew: its
 * connections have their endpoint still. Of a flow it is known whose it was; of a socket only if
 * the service port went just now, else it is enough if the endpoint is anyone's.
 */
static bool socket_has_endpoint(const struct publish_judge *judge, const struct flow_ends *e)
{
	const union np_addr any = {};
	const struct frontend_key key = key_at(e, e->frontend), node_port = key_at(e, &any);

	if (is_gone(judge->publisher, &key) || is_gone(judge->publisher, &node_port))
		return false;
	for (uint32_t id = 0; id < judge->ids; id++)
		if (judge->plans[id] && judge->plans[id]->family == e->family &&
		    endpoint(judge->plans[id], e->backend, e->backend_port))
			return true;
	return false;
}

static bool has_endpoint(const struct publish_judge *judge, const struct flow_ends *e)
{
	const struct plan *plan = plan_of(judge->publisher, e);

	if (!plan && e->service == FLOW_NO_SERVICE)
		return socket_has_endpoint(judge, e);
	if (!plan && e->service < judge->ids)
		plan = judge->plans[e->service];
	return endpoint(plan, e->backend, e->backend_port);
}

static enum flow_fate tcp_fate(const struct publish_judge *judge, const struct flow_ends *e)
{
	struct publisher *p = judge->publisher;
	bool is_flow = e->service != FLOW_NO_SERVICE;

	if (judge->keep_tcp)
		return FLOW_STAYS;
	if (is_flow && (e->service >= p->tables->size[TABLE_service_stats] ||
			(!judge->all && !p->departed.touched[e->service])))
		return FLOW_LEAVE;
	/* A connection to the pod itself that got around a service's. */
	if (e->frontend_port == e->backend_port && address_equal(e->frontend, e->backend))
		return FLOW_LEAVE;
	return has_endpoint(judge, e) ? FLOW_STAYS : FLOW_DEPARTED;
}

enum flow_fate publish_judge(const struct flow_ends *e, void *arg)
{
	const struct publish_judge *judge = arg;

	if (e->protocol == IPPROTO_UDP && judge->udp)
		return udp_fate(judge->publisher, e);
	if (e->protocol == IPPROTO_TCP && judge->tcp)
		return tcp_fate(judge, e);
	return FLOW_LEAVE;
}
