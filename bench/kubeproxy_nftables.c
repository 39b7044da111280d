/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * kube-proxy's nftables mode: input for nft -f, the commands of its first sync in their order. From
 * version 1.36 on endpoints have chains of their own only where there is session affinity, and what
 * is to be masqueraded for going back to where it came from is found by one set.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubeproxy_rules.h"
#include "util.h"

#define HASH	   8
#define NAME_MAX_  240 /* of HASH-NAMESPACE/NAME/PROTOCOL/PORT */
#define CHAIN_SIZE (NAME_MAX_ + 16)

struct writer {
	const struct rules_options *options;
	const struct rules_port *port;
	const char *ip;	  /* "ip", "ip6": the table's family and the protocol's name */
	const char *type; /* "ipv4_addr" */
	char base[NAME_MAX_ + 1];
	char (*endpoint)[NAME_MAX_ + 1]; /* base names, by endpoint */
};

static void hash_name(const char *name, char base[NAME_MAX_ + 1])
{
	char hash[HASH + 1], whole[1200];

	rules_hash(name, HASH, hash);
	snprintf(whole, sizeof(whole), "%s-%s", hash, name);
	if (strlen(whole) > NAME_MAX_)
		snprintf(base, NAME_MAX_ + 1, "%.*s...", NAME_MAX_ - 3, whole);
	else
		memcpy(base, whole, strlen(whole) + 1);
}

static void name_chains(struct writer *w)
{
	const struct rules_port *port = w->port;
	char name[1024], ip[INET6_ADDRSTRLEN];

	snprintf(name, sizeof(name), "%s/%s/%s/%s", port->plan->namespace, port->plan->name,
		 port->protocol, port->plan->port_name);
	hash_name(name, w->base);
	for (size_t i = 0; i < port->endpoints; i++) {
		memcpy(ip, port->endpoint[i].ip, sizeof(ip));
		for (char *colon = ip; (colon = strchr(colon, ':'));)
			*colon = '.';
		snprintf(name, sizeof(name), "%s/%s/%s/%s__%s/%u", port->plan->namespace,
			 port->plan->name, port->protocol, port->plan->port_name, ip,
			 port->endpoint[i].port);
		hash_name(name, w->endpoint[i]);
	}
}

__attribute__((format(printf, 3, 4))) static void put(const struct writer *w, const char *command,
						      const char *format, ...)
{
	va_list args;

	printf("%s %s kube-proxy ", command, w->ip);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void add_chain(const struct writer *w, const char *name)
{
	put(w, "add chain", "%s", name);
	put(w, "flush chain", "%s", name);
}

/* A chain of the port: KIND-BASE. */
static void add_port_chain(const struct writer *w, const char *kind, const char *base)
{
	put(w, "add chain", "%s-%s", kind, base);
	put(w, "flush chain", "%s-%s", kind, base);
}

static const struct base_chain {
	const char *name;
	const char *type;
	const char *hook;
	int priority;
} base_chains[] = {
	{"filter-prerouting-pre-dnat", "filter", "prerouting", -110},
	{"filter-output-pre-dnat", "filter", "output", -110},
	{"filter-input", "filter", "input", 0},
	{"filter-forward", "filter", "forward", 0},
	{"filter-output", "filter", "output", 0},
	{"nat-prerouting", "nat", "prerouting", -100},
	{"nat-output", "nat", "output", -100},
	{"nat-postrouting", "nat", "postrouting", 100},
};

static const struct jump {
	const char *to;
	const char *from;
	const char *match;
} jumps[] = {
	{"nodeport-endpoints-check", "filter-input", "ct state new "},
	{"service-endpoints-check", "filter-input", "ct state new "},
	{"service-endpoints-check", "filter-forward", "ct state new "},
	{"service-endpoints-check", "filter-output", "ct state new "},
	{"firewall-check", "filter-prerouting-pre-dnat", "ct state new "},
	{"firewall-check", "filter-output-pre-dnat", "ct state new "},
	{"services", "nat-output", ""},
	{"services", "nat-prerouting", ""},
	{"masquerading", "nat-postrouting", ""},
	{"cluster-ips-check", "filter-forward", "ct state new "},
	{"cluster-ips-check", "filter-output", "ct state new "},
};

static void print_chains(const struct writer *w)
{
	put(w, "add table", "{ comment \"rules for kube-proxy\" ; }");
	for (size_t i = 0; i < ARRAY_SIZE(base_chains); i++) {
		put(w, "add chain", "%s", base_chains[i].name);
		put(w, "delete chain", "%s", base_chains[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(base_chains); i++) {
		const struct base_chain *b = &base_chains[i];

		put(w, "add chain", "%s { type %s hook %s priority %d ; }", b->name, b->type,
		    b->hook, b->priority);
		put(w, "flush chain", "%s", b->name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		const struct jump *j = &jumps[i];
		bool made = false;

		for (size_t k = 0; k < i; k++)
			made = made || !strcmp(jumps[k].to, j->to);
		if (!made)
			add_chain(w, j->to);
		put(w, "add rule", "%s %sjump %s", j->from, j->match, j->to);
	}
}

static void print_masquerading(const struct writer *w)
{
	put(w, "add set",
	    "hairpin-connections { type %s . %s . inet_proto . inet_service ; comment \"service "
	    "hairpin connections\" ; }",
	    w->type, w->type);
	put(w, "add rule",
	    "masquerading mark and " MASQUERADE_MARK " != 0 mark set mark xor " MASQUERADE_MARK
	    " masquerade fully-random");
	put(w, "add rule",
	    "masquerading ct status dnat %s saddr . %s daddr . meta l4proto . th dport "
	    "@hairpin-connections masquerade fully-random",
	    w->ip, w->ip);
}

static void print_cluster_ips_check(const struct writer *w, const struct cidr_list *ranges)
{
	const char *comma = "";

	put(w, "add set", "cluster-ips { type %s ; comment \"Active ClusterIPs\" ; }", w->type);
	put(w, "add rule",
	    "cluster-ips-check %s daddr @cluster-ips reject comment \"Reject traffic to invalid "
	    "ports of ClusterIPs\"",
	    w->ip);
	if (!cidr_list_first(ranges, w->options->family))
		return;
	printf("add rule %s kube-proxy cluster-ips-check %s daddr { ", w->ip, w->ip);
	for (size_t i = 0; i < ranges->count; i++) {
		if (ranges->cidr[i].family != w->options->family)
			continue;
		printf("%s%s", comma, rules_cidr(&ranges->cidr[i]));
		comma = ",";
	}
	puts(" } drop comment \"Drop traffic to unallocated ClusterIPs\"");
}

static void print_node_addresses(const struct writer *w)
{
	const struct cidr_list *list = &w->options->node_address;
	char text[INET6_ADDRSTRLEN];
	union np_addr addr;

	put(w, "add set",
	    "nodeport-ips { type %s ; comment \"IPs that accept NodePort traffic\" ; }", w->type);
	put(w, w->options->any_node_address ? "delete set" : "flush set", "nodeport-ips");
	for (size_t i = 0; i < list->count; i++) {
		memcpy(&addr, list->cidr[i].prefix.value, sizeof(addr));
		if (list->cidr[i].family == w->options->family &&
		    !address_is_loopback(w->options->family, &addr))
			put(w, "add element", "nodeport-ips { %s }",
			    rules_address(w->options->family, &addr, text));
	}
}

/* What comes before a match of a NodePort. */
static const char *node_address_match(const struct writer *w)
{
	bool six = w->options->family == NP_IPV6;

	if (!w->options->any_node_address)
		return six ? "ip6 daddr @nodeport-ips" : "ip daddr @nodeport-ips";
	return six ? "ip6 daddr != ::1" : "ip daddr != 127.0.0.0/8";
}

static void print_checks(const struct writer *w)
{
	put(w, "add map",
	    "no-endpoint-services { type %s . inet_proto . inet_service : verdict ; comment \"vmap "
	    "to drop or reject packets to services with no endpoints\" ; }",
	    w->type);
	put(w, "add map",
	    "no-endpoint-nodeports { type inet_proto . inet_service : verdict ; comment \"vmap to "
	    "drop or reject packets to service nodeports with no endpoints\" ; }");
	put(w, "add chain",
	    "reject-chain { comment \"helper for @no-endpoint-services / "
	    "@no-endpoint-nodeports\" ; }");
	put(w, "flush chain", "reject-chain");
	put(w, "add rule", "reject-chain reject");
	put(w, "add rule",
	    "service-endpoints-check %s daddr . meta l4proto . th dport vmap "
	    "@no-endpoint-services",
	    w->ip);
	put(w, "add rule",
	    "nodeport-endpoints-check %s meta l4proto . th dport vmap @no-endpoint-nodeports",
	    node_address_match(w));
	put(w, "add map",
	    "firewall-ips { type %s . inet_proto . inet_service : verdict ; comment "
	    "\"destinations that are subject to LoadBalancerSourceRanges\" ; }",
	    w->type);
	put(w, "add rule", "firewall-check %s daddr . meta l4proto . th dport vmap @firewall-ips",
	    w->ip);
}

static void print_dispatch(const struct writer *w)
{
	const struct cidr *pods = cidr_list_first(&w->options->cluster_cidr, w->options->family);

	put(w, "add map",
	    "service-ips { type %s . inet_proto . inet_service : verdict ; comment \"ClusterIP, "
	    "ExternalIP and LoadBalancer IP traffic\" ; }",
	    w->type);
	put(w, "add map",
	    "service-nodeports { type inet_proto . inet_service : verdict ; comment \"NodePort "
	    "traffic\" ; }");
	if (w->options->masquerade_all)
		put(w, "add rule",
		    "services %s daddr @cluster-ips mark set mark or " MASQUERADE_MARK
		    " comment \"masquerade all clusterIP traffic\"",
		    w->ip);
	else if (pods)
		put(w, "add rule",
		    "services %s daddr @cluster-ips %s saddr != %s mark set mark "
		    "or " MASQUERADE_MARK
		    " comment \"masquerade clusterIP traffic from outside cluster\"",
		    w->ip, w->ip, rules_cidr(pods));
	put(w, "add rule", "services %s daddr . meta l4proto . th dport vmap @service-ips", w->ip);
	put(w, "add rule", "services %s%s meta l4proto . th dport vmap @service-nodeports",
	    w->options->any_node_address ? "fib daddr type local " : "", node_address_match(w));
}

static void print_setup(const struct writer *w, const struct cidr_list *service_cidr)
{
	static const char *const sets[] = {"hairpin-connections", "cluster-ips"};
	static const char *const maps[] = {"service-ips", "firewall-ips", "no-endpoint-services",
					   "no-endpoint-nodeports", "service-nodeports"};

	print_chains(w);
	print_masquerading(w);
	print_cluster_ips_check(w, service_cidr);
	print_node_addresses(w);
	print_checks(w);
	print_dispatch(w);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		put(w, "flush set", "%s", sets[i]);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		put(w, "flush map", "%s", maps[i]);
}

/* An address goes to a chain of the port. */
static void add_address(const struct writer *w, const char *map, const char *address,
			const char *kind)
{
	put(w, "add element", "%s { %s . %s . %u : goto %s-%s }", map, address, w->port->protocol,
	    w->port->port->port, kind, w->base);
}

static const char *refusal(const struct rules_port *port)
{
	return port->has_any ? "drop" : "goto reject-chain";
}

static void refuse_address(const struct writer *w, const char *address)
{
	put(w, "add element", "no-endpoint-services { %s . %s . %u comment \"%s\" : %s }", address,
	    w->port->protocol, w->port->port->port, w->port->name, refusal(w->port));
}

static const char *internal_kind(const struct rules_port *port)
{
	return port->internal_local ? "local" : "service";
}

static void capture_cluster_ip(const struct writer *w)
{
	put(w, "add element", "cluster-ips { %s }", w->port->cluster_ip);
	if (w->port->has_internal)
		add_address(w, "service-ips", w->port->cluster_ip, internal_kind(w->port));
	else
		refuse_address(w, w->port->cluster_ip);
}

static void capture_external(const struct writer *w, const char *address)
{
	if (w->port->has_any)
		add_address(w, "service-ips", address, "external");
	if (!w->port->has_external)
		refuse_address(w, address);
}

static void capture_external_ips(const struct writer *w)
{
	const struct kube_service *service = w->port->service;
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < service->external_ips; i++)
		if (service->external_ip[i].family == w->port->plan->family)
			capture_external(w, rules_address(service->external_ip[i].family,
							  &service->external_ip[i].addr, text));
}

/* Unlike in iptables mode, the ranges hold without endpoints too. */
static bool has_firewall(const struct rules_port *port)
{
	return port->vips && port->plan->ranges;
}

static void capture_vips(const struct writer *w)
{
	const struct kube_service *service = w->port->service;
	char text[INET6_ADDRSTRLEN];

	if (has_firewall(w->port))
		add_port_chain(w, "firewall", w->base);
	for (size_t i = 0; i < service->vips; i++) {
		if (!RULES_VIP(w->port, i))
			continue;
		rules_address(service->vip[i].ip.family, &service->vip[i].ip.addr, text);
		capture_external(w, text);
		if (has_firewall(w->port))
			add_address(w, "firewall-ips", text, "firewall");
	}
}

static void capture_node_port(const struct writer *w)
{
	const struct rules_port *port = w->port;

	if (!plan_has_node_port(port->service, port->port))
		return;
	if (port->has_any)
		put(w, "add element", "service-nodeports { %s . %u : goto external-%s }",
		    port->protocol, port->port->node_port, w->base);
	if (!port->has_external)
		put(w, "add element", "no-endpoint-nodeports { %s . %u comment \"%s\" : %s }",
		    port->protocol, port->port->node_port, port->name, refusal(port));
}

static void write_external(const struct writer *w)
{
	const struct cidr *pods = cidr_list_first(&w->options->cluster_cidr, w->options->family);
	const char *base = w->base;

	if (!w->port->uses_external)
		return;
	if (!w->port->external_local) {
		put(w, "add rule", "external-%s mark set mark or " MASQUERADE_MARK, base);
		put(w, "add rule", "external-%s goto service-%s", base, base);
		return;
	}
	if (pods)
		put(w, "add rule",
		    "external-%s %s saddr %s goto service-%s comment \"short-circuit pod traffic\"",
		    base, w->ip, rules_cidr(pods), base);
	put(w, "add rule",
	    "external-%s fib saddr type local mark set mark or " MASQUERADE_MARK
	    " comment \"masquerade local traffic\"",
	    base);
	put(w, "add rule",
	    "external-%s fib saddr type local goto service-%s comment \"short-circuit local "
	    "traffic\"",
	    base, base);
	if (w->port->has_external)
		put(w, "add rule", "external-%s goto local-%s", base, base);
}

static void write_firewall(const struct writer *w)
{
	const struct plan *plan = w->port->plan;
	const char *text;

	if (!has_firewall(w->port))
		return;
	printf("add rule %s kube-proxy firewall-%s %s saddr != { ", w->ip, w->base, w->ip);
	for (size_t i = 0; i < plan->ranges; i++) {
		text = rules_cidr(&plan->range[i]);
		printf("%s%.*s", i ? " , " : "",
		       (int)(i < w->port->own_ranges ? strlen(text) : strcspn(text, "/")), text);
	}
	puts(" } drop");
}

static bool is_listed(const struct rules_endpoint *endpoint, bool local)
{
	return local ? endpoint->in_local : endpoint->in_cluster;
}

/* Through the endpoints' chains, which remember who came. */
static void write_sticky_choice(const struct writer *w, const char *kind, bool local)
{
	const struct rules_port *port = w->port;
	size_t number = 0;

	for (size_t i = 0; i < port->endpoints; i++)
		if (is_listed(&port->endpoint[i], local))
			put(w, "add rule", "%s-%s %s saddr @affinity-%s goto endpoint-%s", kind,
			    w->base, w->ip, w->endpoint[i], w->endpoint[i]);
	printf("add rule %s kube-proxy %s-%s numgen random mod %zu vmap { ", w->ip, kind, w->base,
	       local ? port->locals : port->clusters);
	for (size_t i = 0; i < port->endpoints; i++) {
		if (!is_listed(&port->endpoint[i], local))
			continue;
		printf("%s%zu : goto endpoint-%s", number ? " , " : "", number, w->endpoint[i]);
		number++;
	}
	puts(" }");
}

static void write_choice(const struct writer *w, const char *kind, bool local)
{
	const struct rules_port *port = w->port;
	size_t number = 0, count = local ? port->locals : port->clusters;

	if (!count)
		return;
	if (port->plan->affinity_seconds) {
		write_sticky_choice(w, kind, local);
		return;
	}
	printf("add rule %s kube-proxy %s-%s meta l4proto %s dnat %s addr . port to numgen random "
	       "mod %zu map { ",
	       w->ip, kind, w->base, port->protocol, w->ip, count);
	for (size_t i = 0; i < port->endpoints; i++) {
		if (!is_listed(&port->endpoint[i], local))
			continue;
		printf("%s%zu : %s . %u", number ? " , " : "", number, port->endpoint[i].ip,
		       port->endpoint[i].port);
		number++;
	}
	puts(" }");
}

static void write_endpoint_chains(const struct writer *w)
{
	const struct rules_port *port = w->port;

	for (size_t i = 0; i < port->endpoints && port->plan->affinity_seconds; i++) {
		put(w, "add rule", "endpoint-%s update @affinity-%s { %s saddr }", w->endpoint[i],
		    w->endpoint[i], w->ip);
		put(w, "add rule", "endpoint-%s meta l4proto %s dnat to %s", w->endpoint[i],
		    port->protocol, port->endpoint[i].text);
	}
}

static void add_chains(const struct writer *w)
{
	const struct rules_port *port = w->port;

	for (size_t i = 0; i < port->endpoints; i++) {
		if (port->plan->affinity_seconds)
			add_port_chain(w, "endpoint", w->endpoint[i]);
		/* Nobody elsewhere would be sent back to himself by this node. */
		if (port->endpoint[i].local)
			put(w, "add element", "hairpin-connections { %s . %s . %s . %u }",
			    port->endpoint[i].ip, port->endpoint[i].ip, port->protocol,
			    port->endpoint[i].port);
	}
	if (port->clusters)
		add_port_chain(w, "service", w->base);
	if (port->locals)
		add_port_chain(w, "local", w->base);
	if (port->uses_external)
		add_port_chain(w, "external", w->base);
}

static void write_port(const struct writer *w)
{
	const struct rules_port *port = w->port;

	add_chains(w);
	capture_cluster_ip(w);
	capture_external_ips(w);
	capture_vips(w);
	capture_node_port(w);
	write_external(w);
	write_firewall(w);
	for (size_t i = 0; i < port->endpoints && port->plan->affinity_seconds; i++)
		put(w, "add set", "affinity-%s { type %s ; flags dynamic,timeout ; timeout %us ; }",
		    w->endpoint[i], w->type, port->plan->affinity_seconds);
	write_choice(w, "service", false);
	write_choice(w, "local", true);
	write_endpoint_chains(w);
}

int rules_nftables(const struct rules_options *options, const struct rules_input *input)
{
	struct writer w = {
		.options = options,
		.ip = options->family == NP_IPV4 ? "ip" : "ip6",
		.type = options->family == NP_IPV4 ? "ipv4_addr" : "ipv6_addr",
	};
	struct rules_port port;
	int rc = 0;

	print_setup(&w,
		    options->service_cidr.count ? &options->service_cidr : &input->service_cidr);
	for (size_t i = 0; i < input->count && !rc; i++) {
		if (rules_port_make(&input->planned[i], &port))
			return -ENOMEM;
		w.port = &port;
		w.endpoint = calloc(port.endpoints + 1, sizeof(*w.endpoint));
		rc = w.endpoint ? 0 : -ENOMEM;
		if (!rc) {
			name_chains(&w);
			write_port(&w);
		}
		free(w.endpoint);
		rules_port_free(&port);
	}
	return rc;
}
