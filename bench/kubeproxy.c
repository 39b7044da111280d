/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Prints the rules that kube-proxy 1.36 would have on a node for Kubernetes objects: what nearpath
 * is measured against, and what a reader can lay beside a real node's.
 */
#include <errno.h>
#include <gcrypt.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubeproxy_rules.h"

enum {
	OPTION_IPV6 = 256,
	OPTION_CLUSTER_CIDR,
	OPTION_MASQUERADE_ALL,
	OPTION_NODE_NAME,
	OPTION_ZONE,
	OPTION_NODEPORT_ADDRESSES,
	OPTION_SERVICE_CIDR,
	OPTION_NO_LOCALHOST,
	OPTION_LIBERAL,
	OPTION_NFACCT,
	OPTION_NO_JUMPS,
};

static void usage(FILE *to)
{
	fputs("Usage: kubeproxy iptables|nftables [OPTION...] < OBJECTS\n"
	      "Prints what kube-proxy 1.36 makes of Services, EndpointSlices, Nodes and\n"
	      "ServiceCIDRs (JSON, one after the other or as Lists), in the Services' order:\n"
	      "  iptables   for iptables-restore or ip6tables-restore, plain or with --noflush\n"
	      "  nftables   for nft -f\n"
	      "  --ipv6                     the rules of IPv6, not those of IPv4\n"
	      "  --cluster-cidr CIDR,...    the pods' addresses, of a family the first; without\n"
	      "                             it pods are not told apart from others\n"
	      "  --masquerade-all           all that is sent to clusterIPs\n"
	      "  --node-name NAME           which node this is; its Node tells zone and address\n"
	      "  --zone NAME                the node's zone, whatever its Node says\n"
	      "  --nodeport-addresses LIST  addresses of the node that take NodePorts, or \"all\"\n"
	      "                             (the default of iptables) or \"primary\": the Node's\n"
	      "                             (the default of nftables)\n"
	      "  --service-cidr CIDR,...    nftables: drop what is sent to the rest of them\n"
	      "                             (otherwise the ranges of the ServiceCIDRs)\n"
	      "  --no-localhost-nodeports   iptables: as --iptables-localhost-nodeports=false\n"
	      "  --conntrack-tcp-be-liberal iptables: the node has this set, no INVALID drop\n"
	      "  --nfacct                   iptables: count as on kernels with xt_nfacct; the\n"
	      "                             counters have to be made first\n"
	      "  --no-jumps                 iptables: only what kube-proxy itself restores,\n"
	      "                             without the jumps from built-in chains: what is\n"
	      "                             restored once more, with --noflush\n",
	      to);
}

static void bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "kubeproxy: %s \"%s\"\n", what, value);
	usage(stderr);
	exit(2);
}

static void parse_list(const char *name, const char *text, struct cidr_list *list)
{
	if (cidr_list_parse(text, list))
		bad_usage(name, text);
}

static const char *whole_address(const char *word)
{
	if (strchr(word, '/'))
		return "";
	return strchr(word, ':') ? "/128" : "/32";
}

/* Addresses are read as ranges of one address, which a reader may write too. */
static void parse_node_addresses(char *text, struct rules_options *o)
{
	struct cidr cidr;
	char item[64];

	o->any_node_address = !strcmp(text, "all");
	if (o->any_node_address || !strcmp(text, "primary"))
		return;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		snprintf(item, sizeof(item), "%s%s", word, whole_address(word));
		if (cidr_parse(item, &cidr) || cidr.bits != (cidr.family == NP_IPV4 ? 32 : 128) ||
		    o->node_address.count == CIDR_LIST_MAX)
			bad_usage("--nodeport-addresses: no address of a node is", word);
		o->node_address.cidr[o->node_address.count++] = cidr;
	}
}

static void parse_option(int option, struct rules_options *o)
{
	switch (option) {
	case OPTION_IPV6:
		o->family = NP_IPV6;
		break;
	case OPTION_CLUSTER_CIDR:
		parse_list("--cluster-cidr", optarg, &o->cluster_cidr);
		break;
	case OPTION_MASQUERADE_ALL:
		o->masquerade_all = true;
		break;
	case OPTION_NODE_NAME:
		o->node_name = optarg;
		break;
	case OPTION_ZONE:
		o->zone = optarg;
		break;
	case OPTION_NODEPORT_ADDRESSES:
		parse_node_addresses(optarg, o);
		break;
	case OPTION_SERVICE_CIDR:
		parse_list("--service-cidr", optarg, &o->service_cidr);
		break;
	case OPTION_NO_LOCALHOST:
		o->localhost_node_ports = false;
		break;
	case OPTION_LIBERAL:
		o->tcp_be_liberal = true;
		break;
	case OPTION_NFACCT:
		o->nfacct = true;
		break;
	case OPTION_NO_JUMPS:
		o->jumps = false;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

static bool parse_options(int argc, char **argv, struct rules_options *o)
{
	static const struct option options[] = {
		{"ipv6", no_argument, NULL, OPTION_IPV6},
		{"cluster-cidr", required_argument, NULL, OPTION_CLUSTER_CIDR},
		{"masquerade-all", no_argument, NULL, OPTION_MASQUERADE_ALL},
		{"node-name", required_argument, NULL, OPTION_NODE_NAME},
		{"zone", required_argument, NULL, OPTION_ZONE},
		{"nodeport-addresses", required_argument, NULL, OPTION_NODEPORT_ADDRESSES},
		{"service-cidr", required_argument, NULL, OPTION_SERVICE_CIDR},
		{"no-localhost-nodeports", no_argument, NULL, OPTION_NO_LOCALHOST},
		{"conntrack-tcp-be-liberal", no_argument, NULL, OPTION_LIBERAL},
		{"nfacct", no_argument, NULL, OPTION_NFACCT},
		{"no-jumps", no_argument, NULL, OPTION_NO_JUMPS},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	bool nftables = argc > 1 && !strcmp(argv[1], "nftables");
	int option;

	*o = (struct rules_options){
		.family = NP_IPV4,
		.node_name = "",
		.localhost_node_ports = true,
		.jumps = true,
		.any_node_address = !nftables,
	};
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		parse_option(option, o);
	if (argc - optind != 1) {
		usage(stderr);
		exit(2);
	}
	if (strcmp(argv[optind], "iptables") != 0 && strcmp(argv[optind], "nftables") != 0)
		bad_usage("no such mode:", argv[optind]);
	return !strcmp(argv[optind], "nftables");
}

int main(int argc, char **argv)
{
	struct rules_options options;
	struct rules_input input = {};
	bool nftables;
	int rc;

	nftables = parse_options(argc, argv, &options);
	gcry_check_version(NULL);
	rc = rules_read(&options, &input);
	if (!rc)
		rc = (nftables ? rules_nftables : rules_iptables)(&options, &input);
	if (rc && rc != -EINVAL)
		fprintf(stderr, "kubeproxy: %s\n", strerror(-rc));
	rules_input_free(&input);
	if (fflush(stdout) || ferror(stdout)) {
		fputs("kubeproxy: cannot write\n", stderr);
		return 1;
	}
	return rc ? 1 : 0;
}
