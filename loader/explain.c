/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Asking the program, and putting its decision into JSON. */
#include "explain.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "names.h"
#include "util.h"

#define LOOPBACK_IFINDEX 1 /* nothing is attached there: its entry is free for questions */
#define TCP_SYN_FLAG	 2
#define SCTP_INIT	 1
#define SCTP_INIT_LENGTH 20

struct frame {
	uint8_t bytes[ETH_HLEN + sizeof(struct ipv6hdr) + 64];
	uint32_t length;
};

static const struct {
	const char *name;
	uint8_t number;
	uint32_t length; /* of the header that opens a connection */
} protocols[] = {
	{"tcp", IPPROTO_TCP, sizeof(struct tcphdr)},
	{"udp", IPPROTO_UDP, 8},
	{"sctp", IPPROTO_SCTP, 12 + SCTP_INIT_LENGTH},
};

static int wrong(char *error, size_t size, const char *what, const char *word, const char *wanted)
{
	snprintf(error, size, "%s \"%.100s\" is not %s", what, word, wanted);
	return -EINVAL;
}

int address_parse(const char *text, uint8_t *family, union np_addr *addr)
{
	union np_addr read = {};

	if (inet_pton(AF_INET, text, &read) == 1)
		*family = NP_IPV4;
	else if (inet_pton(AF_INET6, text, &read) == 1)
		*family = NP_IPV6;
	else
		return -EINVAL;
	*addr = read;
	return 0;
}

static int parse_protocol(const char *text, uint8_t *protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcasecmp(text, protocols[i].name)) {
			*protocol = protocols[i].number;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_port(const char *text, uint16_t *port)
{
	unsigned long n;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (*end || !n || n > 65535)
		return -EINVAL;
	*port = n;
	return 0;
}

/* Cuts text up: "[fd00::1]:80/udp" or "10.0.0.1:80". */
static int parse_destination(char *text, struct question *q)
{
	char *slash = strchr(text, '/'), *colon = strrchr(text, ':'), *address = text;

	q->protocol = IPPROTO_TCP;
	if (slash) {
		*slash = '\0';
		if (parse_protocol(slash + 1, &q->protocol))
			return -EINVAL;
		colon = strrchr(text, ':');
	}
	if (!colon || parse_port(colon + 1, &q->port))
		return -EINVAL;
	*colon = '\0';
	if (*address == '[') {
		if (colon[-1] != ']')
			return -EINVAL;
		colon[-1] = '\0';
		address++;
	} else if (strchr(address, ':')) {
		return -EINVAL;
	}
	return address_parse(address, &q->family, &q->to);
}

int question_parse(const char *from, const char *to, struct question *q, char *error, size_t size)
{
	_cleanup_free_ char *copy = strdup(to);
	struct question read = {};
	uint8_t family;

	if (!copy)
		return -ENOMEM;
	if (address_parse(from, &family, &read.from))
		return wrong(error, size, "FROM", from, "an address such as 10.1.0.5");
	if (parse_destination(copy, &read))
		return wrong(error, size, "TO", to,
			     "like 10.96.0.10:80, 10.96.0.10:53/udp or [fd00::10]:80");
	if (family != read.family) {
		snprintf(error, size, "FROM \"%s\" and TO \"%s\" are of different families", from,
			 to);
		return -EINVAL;
	}
	*q = read;
	return 0;
}

static uint32_t write_ip(const struct question *q, uint8_t *at, uint32_t payload)
{
	const struct iphdr four = {.version = 4,
				   .ihl = 5,
				   .tot_len = htons(sizeof(four) + payload),
				   .ttl = 64,
				   .protocol = q->protocol,
				   .saddr = q->from.v4,
				   .daddr = q->to.v4};
	struct ipv6hdr six = {.version = 6,
			      .payload_len = htons(payload),
			      .nexthdr = q->protocol,
			      .hop_limit = 64};

	if (q->family == NP_IPV4) {
		memcpy(at, &four, sizeof(four));
		return sizeof(four);
	}
	memcpy(&six.saddr, &q->from, sizeof(six.saddr));
	memcpy(&six.daddr, &q->to, sizeof(six.daddr));
	memcpy(at, &six, sizeof(six));
	return sizeof(six);
}

/* From port 0, which no connection has. */
static struct frame make_frame(const struct question *q)
{
	struct frame f = {.length = ETH_HLEN};
	uint32_t payload = 0;
	uint8_t *l4;
	uint16_t port = htons(q->port);
	uint16_t type = htons(q->family == NP_IPV4 ? ETH_P_IP : ETH_P_IPV6);

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == q->protocol)
			payload = protocols[i].length;
	memcpy(f.bytes + ETH_HLEN - sizeof(type), &type, sizeof(type));
	f.length += write_ip(q, f.bytes + f.length, payload);
	l4 = f.bytes + f.length;
	memcpy(l4 + 2, &port, sizeof(port));
	if (q->protocol == IPPROTO_TCP) {
		l4[12] = sizeof(struct tcphdr) / 4 << 4;
		l4[13] = TCP_SYN_FLAG;
	} else if (q->protocol == IPPROTO_SCTP) {
		l4[12] = SCTP_INIT;
		l4[15] = SCTP_INIT_LENGTH;
	} else {
		l4[5] = payload;
	}
	f.length += payload;
	return f;
}

static int run(struct tables *t, const struct frame *f, struct np_explain *e)
{
	struct __sk_buff skb = {.ifindex = LOOPBACK_IFINDEX};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = f->length,
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb), .repeat = 1);
	uint32_t nonce[NP_NONCE_WORDS];
	int rc;

	do {
		if (getrandom(nonce, sizeof(nonce), 0) < 0)
			return -errno;
	} while (!nonce[0]);
	memcpy(skb.cb, nonce, sizeof(skb.cb));
	memcpy(e->nonce, nonce, sizeof(e->nonce));
	__atomic_store_n(&e->answered, 0, __ATOMIC_SEQ_CST);
	rc = bpf_prog_test_run_opts(t->ingress_fd, &opts);
	memset(e->nonce, 0, sizeof(e->nonce));
	if (rc)
		return rc;
	return __atomic_load_n(&e->answered, __ATOMIC_ACQUIRE) ? 0 : -EAGAIN;
}

/* A place where the program looks for the loopback's index. */
static struct np_iface *free_entry(struct tables *t)
{
	struct np_iface *entry;
	uint32_t i;

	for (i = 0; i < NP_IFACE_PROBES; i++) {
		entry = &t->ifaces[(LOOPBACK_IFINDEX + i) & (t->size[TABLE_ifaces] - 1)];
		if (!entry->ifindex)
			return entry;
	}
	return NULL;
}

int explain_ask(struct tables *t, const struct question *q, uint8_t iface_flags,
		struct np_decision *decision)
{
	struct np_iface *entry = free_entry(t);
	struct frame f = make_frame(q);
	int rc;

	if (!entry)
		return -EBUSY;
	*entry = (struct np_iface){.ifindex = LOOPBACK_IFINDEX,
				   .lb = NP_LB_ON,
				   .flags = iface_flags & NP_IFACE_POD,
				   .l2_len = ETH_HLEN};
	rc = run(t, &f, &t->explain[0]);
	*entry = (struct np_iface){};
	if (!rc)
		*decision = t->explain[0].decision;
	return rc;
}

/* For those a decision may have. */
static const char *const explanations[NP_REASONS] = {
	[NP_REASON_NO_SERVICE] = "no service has this address, port and protocol",
	[NP_REASON_NEW_FLOW] = "one of the backends, at random",
	[NP_REASON_AFFINITY] = "the backend of the client's last connection: session affinity",
	[NP_REASON_NO_ENDPOINT] = "the service has no endpoint that can be used",
	[NP_REASON_NO_SUCH_PORT] = "the address is a service's clusterIP, which has no such port",
	[NP_REASON_NO_SUCH_SERVICE] = "the address is for services, and no service has it",
	[NP_REASON_POLICY_DROP] = "traffic policy Local, and no endpoint on this node",
	[NP_REASON_SOURCE_RANGE] = "the source is in none of loadBalancerSourceRanges",
	[NP_REASON_TABLE_ERROR] = "a table entry points outside its table",
};

static json_t *backend_json(const struct np_backend *b)
{
	return endpoint_json(b->family, &b->addr, b->port);
}

static int by_text(const void *a, const void *b)
{
	json_t *const *left = a, *const *right = b;

	return strcmp(json_string_value(*left), json_string_value(*right));
}

/* The whole run the program chose from, sorted as strings. */
static json_t *backends_json(const struct tables *t, const struct np_policy *policy)
{
	_cleanup_free_ json_t **item = calloc(policy->count ?: 1, sizeof(json_t *));
	json_t *list = json_array();
	uint32_t i;

	if (!item || !list)
		goto fail;
	for (i = 0; i < policy->count; i++)
		item[i] = backend_json(&t->backends[*tables_slot(t, policy->slot + i)]);
	qsort(item, policy->count, sizeof(json_t *), by_text);
	for (i = 0; i < policy->count; i++)
		json_array_append_new(list, item[i]);
	return list;
fail:
	json_decref(list);
	return NULL;
}

/* A clusterIP is the service's, not one port's. */
static json_t *service_json(const struct plan *plan, bool port)
{
	if (!plan)
		return json_null();
	if (!port)
		return json_sprintf("%s/%s", plan->namespace, plan->name);
	return json_sprintf("%s/%s%s%s", plan->namespace, plan->name, plan->port_name[0] ? ":" : "",
			    plan->port_name);
}

json_t *explain_json(struct publisher *p, struct tables *t, const struct question *q,
		     const struct np_decision *d)
{
	const struct np_service *s = d->version ? &t->services[d->version - 1] : NULL;
	bool forward = d->verdict == NP_VERDICT_FORWARD;
	const struct plan *plan = NULL;

	if (s)
		plan = publish_plan_of(p, d->version - 1);
	else if (d->reason == NP_REASON_NO_SUCH_PORT)
		plan = publish_cluster_ip(p, q->family, &q->to);

	return json_pack("{s:i,s:s,s:s,s:s,s:o,s:s,s:o,s:o,s:b}", "schema", 1, "verdict",
			 verdict_names[d->verdict], "reason", reason_names[d->reason],
			 "explanation", explanations[d->reason] ?: "", "service",
			 service_json(plan, s), "class", class_names[d->class], "backends",
			 forward ? backends_json(t, &s->policy[d->class]) : json_array(), "chosen",
			 forward ? backend_json(&t->backends[d->backend]) : json_null(), "snat",
			 forward && d->snat);
}
