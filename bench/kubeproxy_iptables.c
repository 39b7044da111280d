/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * kube-proxy's iptables mode: input for iptables-restore. The words of a rule are in kube-proxy's
 * order, which is not the one iptables-save shows them in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubeproxy_rules.h"
#include "util.h"

/* Beyond so many endpoints kube-proxy leaves out the comments of the rules that endpoints have. */
#define LARGE_CLUSTER 1000

#define HASH	   16
#define CHAIN_SIZE 32

/* The parts of the input are written at once; chains come before rules. */
struct writer {
	const struct rules_options *options;
	const struct rules_port *port;
	FILE *filter_rules;
	FILE *nat_chains;
	FILE *nat_rules;
	bool large;
	char svc[CHAIN_SIZE]; /* the port's chains */
	char svl[CHAIN_SIZE];
	char ext[CHAIN_SIZE];
	char fw[CHAIN_SIZE];
	char (*sep)[CHAIN_SIZE]; /* by endpoint */
};

static void name_chains(struct writer *w)
{
	char text[1024], hash[HASH + 1];

	snprintf(text, sizeof(text), "%s%s", w->port->name, w->port->protocol);
	rules_hash(text, HASH, hash);
	snprintf(w->svc, sizeof(w->svc), "KUBE-SVC-%s", hash);
	snprintf(w->svl, sizeof(w->svl), "KUBE-SVL-%s", hash);
	snprintf(w->ext, sizeof(w->ext), "KUBE-EXT-%s", hash);
	snprintf(w->fw, sizeof(w->fw), "KUBE-FW-%s", hash);
	for (size_t i = 0; i < w->port->endpoints; i++) {
		snprintf(text, sizeof(text), "%s%s%s", w->port->name, w->port->protocol,
			 w->port->endpoint[i].text);
		rules_hash(text, HASH, hash);
		snprintf(w->sep[i], CHAIN_SIZE, "KUBE-SEP-%s", hash);
	}
}

static void add_chain(FILE *chains, const char *name)
{
	fprintf(chains, ":%s - [0:0]\n", name);
}

/* -A chain, and the match of the port's protocol at an address; the caller ends the line. */
static void match_address(const struct writer *w, FILE *rules, const char *chain,
			  const char *comment, const char *address)
{
	fprintf(rules, "-A %s -m comment --comment \"%s %s\" -m %s -p %s -d %s --dport %u", chain,
		w->port->name, comment, w->port->protocol, w->port->protocol, address,
		w->port->port->port);
}

static const char *refusal(const struct rules_port *port)
{
	return port->has_any ? "has no local endpoints" : "has no endpoints";
}

static const char *refusal_target(const struct rules_port *port)
{
	return port->has_any ? "DROP" : "REJECT";
}

static void capture_cluster_ip(const struct writer *w)
{
	const struct rules_port *port = w->port;

	if (port->has_internal) {
		match_address(w, w->nat_rules, "KUBE-SERVICES", "cluster IP", port->cluster_ip);
		fprintf(w->nat_rules, " -j %s\n", port->internal_local ? w->svl : w->svc);
		return;
	}
	match_address(w, w->filter_rules, "KUBE-SERVICES", refusal(port), port->cluster_ip);
	fprintf(w->filter_rules, " -j %s\n", refusal_target(port));
}

/* Where there is no endpoint for those outside, but some for pods and the node, both are written.
 */
static void refuse_external(const struct writer *w, const char *address)
{
	if (w->port->has_external)
		return;
	match_address(w, w->filter_rules, "KUBE-EXTERNAL-SERVICES", refusal(w->port), address);
	fprintf(w->filter_rules, " -j %s\n", refusal_target(w->port));
}

static void capture_external_ips(const struct writer *w)
{
	const struct kube_service *service = w->port->service;
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < service->external_ips; i++) {
		if (service->external_ip[i].family != w->port->plan->family)
			continue;
		rules_address(service->external_ip[i].family, &service->external_ip[i].addr, text);
		if (w->port->has_any) {
			match_address(w, w->nat_rules, "KUBE-SERVICES", "external IP", text);
			fprintf(w->nat_rules, " -j %s\n", w->ext);
		}
		refuse_external(w, text);
	}
}

static bool has_firewall(const struct rules_port *port)
{
	return port->has_any && port->vips && port->plan->ranges;
}

static void capture_vips(const struct writer *w)
{
	const struct kube_service *service = w->port->service;
	bool firewall = has_firewall(w->port);
	char text[INET6_ADDRSTRLEN], comment[64];

	snprintf(comment, sizeof(comment), "traffic not accepted by %s", w->fw);
	for (size_t i = 0; i < service->vips; i++) {
		if (!RULES_VIP(w->port, i))
			continue;
		rules_address(service->vip[i].ip.family, &service->vip[i].ip.addr, text);
		if (w->port->has_any) {
			match_address(w, w->nat_rules, "KUBE-SERVICES", "loadbalancer IP", text);
			fprintf(w->nat_rules, " -j %s\n", firewall ? w->fw : w->ext);
		}
		if (firewall) {
			match_address(w, w->filter_rules, "KUBE-PROXY-FIREWALL", comment, text);
			fputs(" -j DROP\n", w->filter_rules);
		}
		refuse_external(w, text);
	}
}

static void match_node_port(const struct writer *w, const char *match)
{
	fprintf(w->nat_rules, "-A KUBE-NODEPORTS -m comment --comment %s -m %s -p %s%s --dport %u",
		w->port->name, w->port->protocol, w->port->protocol, match,
		w->port->port->node_port);
}

static void capture_node_port(const struct writer *w)
{
	const struct rules_port *port = w->port;

	if (!plan_has_node_port(port->service, port->port))
		return;
	if (port->has_any && w->options->nfacct && w->options->localhost_node_ports &&
	    w->options->family == NP_IPV4) {
		match_node_port(w, " -d 127.0.0.0/8");
		fprintf(w->nat_rules,
			" -m nfacct --nfacct-name localhost_nps_accepted_pkts -j %s\n", w->ext);
	}
	if (port->has_any) {
		match_node_port(w, "");
		fprintf(w->nat_rules, " -j %s\n", w->ext);
	}
	if (!port->has_external)
		fprintf(w->filter_rules,
			"-A KUBE-EXTERNAL-SERVICES -m comment --comment \"%s %s\" -m addrtype "
			"--dst-type LOCAL -m %s -p %s --dport %u -j %s\n",
			port->name, refusal(port), port->protocol, port->protocol,
			port->port->node_port, refusal_target(port));
}

static void accept_health_checks(const struct writer *w)
{
	const struct kube_service *service = w->port->service;

	if (service->health_check_node_port && w->port->external_local &&
	    service->type == KUBE_LOAD_BALANCER)
		fprintf(w->filter_rules,
			"-A KUBE-NODEPORTS -m comment --comment \"%s health check node port\" "
			"-m tcp -p tcp --dport %u -j ACCEPT\n",
			w->port->name, service->health_check_node_port);
}

static void masquerade_internal(const struct writer *w)
{
	const struct cidr *pods = cidr_list_first(&w->options->cluster_cidr, w->port->plan->family);

	if (!w->port->has_internal || (!w->options->masquerade_all && !pods))
		return;
	match_address(w, w->nat_rules, w->port->internal_local ? w->svl : w->svc, "cluster IP",
		      w->port->cluster_ip);
	if (!w->options->masquerade_all)
		fprintf(w->nat_rules, " ! -s %s", rules_cidr(pods));
	fputs(" -j KUBE-MARK-MASQ\n", w->nat_rules);
}

/* Pods and the node take the short cut past the policy. */
static void short_cuts(const struct writer *w)
{
	const struct cidr *pods = cidr_list_first(&w->options->cluster_cidr, w->port->plan->family);
	const char *name = w->port->name;

	if (pods)
		fprintf(w->nat_rules,
			"-A %s -m comment --comment \"pod traffic for %s external destinations\" "
			"-s %s -j %s\n",
			w->ext, name, rules_cidr(pods), w->svc);
	fprintf(w->nat_rules,
		"-A %s -m comment --comment \"masquerade LOCAL traffic for %s external "
		"destinations\" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n",
		w->ext, name);
	fprintf(w->nat_rules,
		"-A %s -m comment --comment \"route LOCAL traffic for %s external destinations\" "
		"-m addrtype --src-type LOCAL -j %s\n",
		w->ext, name, w->svc);
}

static void write_external(const struct writer *w)
{
	if (!w->port->uses_external)
		return;
	add_chain(w->nat_chains, w->ext);
	if (w->port->external_local)
		short_cuts(w);
	else
		fprintf(w->nat_rules,
			"-A %s -m comment --comment \"masquerade traffic for %s external "
			"destinations\" -j KUBE-MARK-MASQ\n",
			w->ext, w->port->name);
	if (w->port->has_external)
		fprintf(w->nat_rules, "-A %s -j %s\n", w->ext,
			w->port->external_local ? w->svl : w->svc);
}

static void write_firewall(const struct writer *w)
{
	const struct plan *plan = w->port->plan;
	char *slash;

	if (!has_firewall(w->port))
		return;
	add_chain(w->nat_chains, w->fw);
	for (size_t i = 0; i < plan->ranges; i++) {
		char text[INET6_ADDRSTRLEN + 4];

		snprintf(text, sizeof(text), "%s", rules_cidr(&plan->range[i]));
		slash = strchr(text, '/');
		if (i >= w->port->own_ranges)
			*slash = '\0';
		fprintf(w->nat_rules,
			"-A %s -m comment --comment \"%s loadbalancer IP\" -s %s -j %s\n", w->fw,
			w->port->name, text, w->ext);
	}
	fprintf(w->nat_rules,
		"-A %s -m comment --comment \"other traffic to %s will be dropped by "
		"KUBE-PROXY-FIREWALL\"\n",
		w->fw, w->port->name);
}

static void begin_choice(const struct writer *w, const char *chain, size_t endpoint)
{
	fprintf(w->nat_rules, "-A %s", chain);
	if (!w->large)
		fprintf(w->nat_rules, " -m comment --comment \"%s -> %s\"", w->port->name,
			w->port->endpoint[endpoint].text);
}

static bool is_listed(const struct rules_endpoint *endpoint, bool local)
{
	return local ? endpoint->in_local : endpoint->in_cluster;
}

static void write_affinity(const struct writer *w, const char *chain, bool local)
{
	for (size_t i = 0; i < w->port->endpoints; i++) {
		if (!is_listed(&w->port->endpoint[i], local))
			continue;
		begin_choice(w, chain, i);
		fprintf(w->nat_rules, " -m recent --name %s --rcheck --seconds %u --reap -j %s\n",
			w->sep[i], w->port->plan->affinity_seconds, w->sep[i]);
	}
}

/* The one list or the other: each with the odds 1/n, 1/(n-1), ... 1. */
static void write_choices(const struct writer *w, const char *chain, bool local)
{
	size_t left = local ? w->port->locals : w->port->clusters;

	if (!left)
		return;
	add_chain(w->nat_chains, chain);
	if (w->port->plan->affinity_seconds)
		write_affinity(w, chain, local);
	for (size_t i = 0; i < w->port->endpoints; i++) {
		if (!is_listed(&w->port->endpoint[i], local))
			continue;
		begin_choice(w, chain, i);
		if (left > 1)
			fprintf(w->nat_rules, " -m statistic --mode random --probability %.10f",
				1.0 / (double)left);
		fprintf(w->nat_rules, " -j %s\n", w->sep[i]);
		left--;
	}
}

static void begin_endpoint(const struct writer *w, size_t endpoint)
{
	fprintf(w->nat_rules, "-A %s", w->sep[endpoint]);
	if (!w->large)
		fprintf(w->nat_rules, " -m comment --comment %s", w->port->name);
}

static void write_endpoints(const struct writer *w)
{
	const struct rules_port *port = w->port;

	for (size_t i = 0; i < port->endpoints; i++) {
		add_chain(w->nat_chains, w->sep[i]);
		begin_endpoint(w, i);
		fprintf(w->nat_rules, " -s %s -j KUBE-MARK-MASQ\n", port->endpoint[i].ip);
		begin_endpoint(w, i);
		if (port->plan->affinity_seconds)
			fprintf(w->nat_rules, " -m recent --name %s --set", w->sep[i]);
		fprintf(w->nat_rules, " -m %s -p %s -j DNAT --to-destination %s\n", port->protocol,
			port->protocol, port->endpoint[i].text);
	}
}

static void write_port(const struct writer *w)
{
	capture_cluster_ip(w);
	capture_external_ips(w);
	capture_vips(w);
	capture_node_port(w);
	accept_health_checks(w);
	masquerade_internal(w);
	write_external(w);
	write_firewall(w);
	write_choices(w, w->svc, false);
	write_choices(w, w->svl, true);
	write_endpoints(w);
}

static int write_ports(struct writer *w, const struct rules_input *input)
{
	struct rules_port port;

	for (size_t i = 0; i < input->count; i++) {
		if (rules_port_make(&input->planned[i], &port))
			return -ENOMEM;
		w->port = &port;
		w->sep = calloc(port.endpoints + 1, CHAIN_SIZE);
		if (w->sep) {
			name_chains(w);
			write_port(w);
		}
		rules_port_free(&port);
		w->port = NULL;
		if (!w->sep)
			return -ENOMEM;
		free(w->sep);
	}
	return 0;
}

static const char node_ports_comment[] =
	"-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in "
	"this chain\"";

static void jump_to_node_ports(const struct writer *w)
{
	const struct rules_options *o = w->options;
	const char *not_there = "";

	if (o->family == NP_IPV6)
		not_there = " ! -d ::1/128";
	else if (!o->localhost_node_ports)
		not_there = " ! -d 127.0.0.0/8";
	if (o->any_node_address)
		fprintf(w->nat_rules,
			"-A KUBE-SERVICES %s -m addrtype --dst-type LOCAL%s -j KUBE-NODEPORTS\n",
			node_ports_comment, not_there);
	for (size_t i = 0; i < o->node_address.count; i++) {
		char text[INET6_ADDRSTRLEN];
		union np_addr addr;

		memcpy(&addr, o->node_address.cidr[i].prefix.value, sizeof(addr));
		if (o->node_address.cidr[i].family != o->family ||
		    (address_is_loopback(o->family, &addr) &&
		     (o->family == NP_IPV6 || !o->localhost_node_ports)))
			continue;
		fprintf(w->nat_rules, "-A KUBE-SERVICES %s -d %s -j KUBE-NODEPORTS\n",
			node_ports_comment, rules_address(o->family, &addr, text));
	}
}

static void write_filter_ends(const struct writer *w)
{
	if (!w->options->tcp_be_liberal)
		fprintf(w->filter_rules,
			"-A KUBE-FORWARD -m conntrack --ctstate INVALID%s -j DROP\n",
			w->options->nfacct
				? " -m nfacct --nfacct-name ct_state_invalid_dropped_pkts"
				: "");
	fputs("-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark "
	      "--mark " MASQUERADE_MARK "/" MASQUERADE_MARK " -j ACCEPT\n"
	      "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" "
	      "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
	      w->filter_rules);
}

static void write_nat_beginning(const struct writer *w)
{
	fputs("-A KUBE-POSTROUTING -m mark ! --mark " MASQUERADE_MARK "/" MASQUERADE_MARK
	      " -j RETURN\n"
	      "-A KUBE-POSTROUTING -j MARK --xor-mark " MASQUERADE_MARK "\n"
	      "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring "
	      "SNAT\" -j MASQUERADE --random-fully\n"
	      "-A KUBE-MARK-MASQ -j MARK --or-mark " MASQUERADE_MARK "\n",
	      w->nat_rules);
}

/*
 * kube-proxy inserts these by single commands, each at the head of its chain, before it restores
 * the rest; it looks each of them up first, which a restore cannot.
 */
static void print_jumps_filter(void)
{
	fputs(":KUBE-FIREWALL - [0:0]\n"
	      ":KUBE-PROXY-CANARY - [0:0]\n"
	      "-I INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes "
	      "externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
	      "-I FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes "
	      "externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
	      "-I INPUT -m comment --comment \"kubernetes health check service ports\" "
	      "-j KUBE-NODEPORTS\n"
	      "-I FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service "
	      "portals\" -j KUBE-SERVICES\n"
	      "-I OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service "
	      "portals\" -j KUBE-SERVICES\n"
	      "-I FORWARD -m comment --comment \"kubernetes forwarding rules\" "
	      "-j KUBE-FORWARD\n"
	      "-I INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load "
	      "balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	      "-I OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load "
	      "balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	      "-I FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes load "
	      "balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	      "-I INPUT -j KUBE-FIREWALL\n"
	      "-I OUTPUT -j KUBE-FIREWALL\n",
	      stdout);
}

static void print_jumps_nat(void)
{
	fputs(":KUBE-PROXY-CANARY - [0:0]\n"
	      "-I OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	      "-I PREROUTING -m comment --comment \"kubernetes service portals\" "
	      "-j KUBE-SERVICES\n"
	      "-I POSTROUTING -m comment --comment \"kubernetes postrouting rules\" "
	      "-j KUBE-POSTROUTING\n",
	      stdout);
}

static void print_filter(const struct rules_options *o, const char *rules)
{
	bool localnet = o->family == NP_IPV4 && o->localhost_node_ports;

	fputs("*filter\n"
	      ":KUBE-SERVICES - [0:0]\n"
	      ":KUBE-EXTERNAL-SERVICES - [0:0]\n"
	      ":KUBE-FORWARD - [0:0]\n"
	      ":KUBE-NODEPORTS - [0:0]\n"
	      ":KUBE-PROXY-FIREWALL - [0:0]\n",
	      stdout);
	if (o->jumps)
		print_jumps_filter();
	else if (localnet)
		fputs(":KUBE-FIREWALL - [0:0]\n", stdout);
	if (localnet)
		fputs("-A KUBE-FIREWALL -m comment --comment \"block incoming localnet "
		      "connections\" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate "
		      "RELATED,ESTABLISHED,DNAT -j DROP\n",
		      stdout);
	fputs(rules, stdout);
	fputs("COMMIT\n", stdout);
}

static void print_nat(const struct rules_options *o, const char *chains, const char *rules)
{
	fputs("*nat\n"
	      ":KUBE-SERVICES - [0:0]\n"
	      ":KUBE-NODEPORTS - [0:0]\n"
	      ":KUBE-POSTROUTING - [0:0]\n"
	      ":KUBE-MARK-MASQ - [0:0]\n",
	      stdout);
	fputs(chains, stdout);
	if (o->jumps)
		print_jumps_nat();
	fputs(rules, stdout);
	fputs("COMMIT\n", stdout);
}

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
	*stream = NULL;
}

int rules_iptables(const struct rules_options *options, const struct rules_input *input)
{
	_cleanup_free_ char *filter_rules = NULL, *nat_chains = NULL, *nat_rules = NULL;
	size_t size[3];
	struct writer w = {
		.options = options,
		.large = input->endpoints > LARGE_CLUSTER,
		.filter_rules = open_memstream(&filter_rules, &size[0]),
		.nat_chains = open_memstream(&nat_chains, &size[1]),
		.nat_rules = open_memstream(&nat_rules, &size[2]),
	};
	int rc = -ENOMEM;

	if (w.filter_rules && w.nat_chains && w.nat_rules) {
		write_nat_beginning(&w);
		rc = write_ports(&w, input);
		jump_to_node_ports(&w);
		write_filter_ends(&w);
		if (ferror(w.filter_rules) || ferror(w.nat_chains) || ferror(w.nat_rules))
			rc = -ENOMEM;
	}
	close_stream(&w.filter_rules);
	close_stream(&w.nat_chains);
	close_stream(&w.nat_rules);
	if (rc)
		return rc;
	if (options->jumps)
		fputs("*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n", stdout);
	print_filter(options, filter_rules);
	print_nat(options, nat_chains, nat_rules);
	return 0;
}
