/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Chains and rules of nf_tables, by netlink; iptables' own tables are kubeproxy_legacy.c's. */
#include "kubeproxy_private.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink_once.h"
#include "util.h"

#define NFTABLES_TABLE "kube-proxy"
#define TRIES	       4 /* the rules may change while they are told */

static const char *const kinds[KUBEPROXY_KINDS] = {
#define X(e, name) [KUBEPROXY_##e] = name,
	KUBEPROXY_KIND_LIST(X)
#undef X
};

/* Names; those that end in a dash go on. */
static const char *const chains[] = {
	"KUBE-SERVICES",       "KUBE-EXTERNAL-SERVICES",
	"KUBE-NODEPORTS",      "KUBE-POSTROUTING",
	"KUBE-MARK-MASQ",      "KUBE-FORWARD",
	"KUBE-PROXY-FIREWALL", "KUBE-PROXY-CANARY",
	"KUBE-LOAD-BALANCER",  "KUBE-SVC-",
	"KUBE-SVL-",	       "KUBE-EXT-",
	"KUBE-SEP-",	       "KUBE-FW-",
	"KUBE-XLB-",
};

bool kubeproxy_has_chain(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		const size_t length = strlen(chains[i]);

		if (!strncmp(name, chains[i], length) &&
		    (chains[i][length - 1] == '-' || !name[length]))
			return true;
	}
	return false;
}

bool kubeproxy_is_portal(const char *table, const char *chain)
{
	return !strcmp(table, "nat") && !strcmp(chain, "KUBE-SERVICES");
}

/* Where a chain or a rule in one is counted; NULL: it is not kube-proxy's. */
static struct kubeproxy_count *count_of(struct kubeproxy *found, uint8_t family, const char *table,
					const char *chain)
{
	const int f = family == NFPROTO_IPV6;

	if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
		return NULL;
	if (!strcmp(table, NFTABLES_TABLE))
		return &found->of[KUBEPROXY_NFTABLES][f];
	return kubeproxy_has_chain(chain) ? &found->of[KUBEPROXY_NFT][f] : NULL;
}

/* Attributes of a chain or a rule: both have strings at these two places. */
static int read_names(const struct nlattr *attr, void *arg)
{
	const char **names = arg;

	_Static_assert(NFTA_CHAIN_TABLE == 1 && NFTA_CHAIN_NAME == 3, "of chains");
	_Static_assert(NFTA_RULE_TABLE == 1 && NFTA_RULE_CHAIN == 2, "of rules");
	if (mnl_attr_get_type(attr) <= 3 && !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
		names[mnl_attr_get_type(attr)] = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *message, void *arg)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
	const char *names[4] = {};
	struct kubeproxy *found = arg;
	struct kubeproxy_count *count;

	mnl_attr_parse(message, sizeof(*head), read_names, names);
	if (!names[NFTA_CHAIN_TABLE] || !names[NFTA_CHAIN_NAME])
		return MNL_CB_OK;
	count = count_of(found, head->nfgen_family, names[NFTA_CHAIN_TABLE],
			 names[NFTA_CHAIN_NAME]);
	if (!count)
		return MNL_CB_OK;
	count->chains++;
	found->serves |= !strcmp(names[NFTA_CHAIN_TABLE], NFTABLES_TABLE) ||
			 kubeproxy_is_portal(names[NFTA_CHAIN_TABLE], names[NFTA_CHAIN_NAME]);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *message, void *arg)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
	const char *names[4] = {};
	struct kubeproxy_count *count;

	mnl_attr_parse(message, sizeof(*head), read_names, names);
	if (!names[NFTA_RULE_TABLE] || !names[NFTA_RULE_CHAIN])
		return MNL_CB_OK;
	count = count_of(arg, head->nfgen_family, names[NFTA_RULE_TABLE], names[NFTA_RULE_CHAIN]);
	if (count)
		count->rules++;
	return MNL_CB_OK;
}

static int dump(uint16_t type, mnl_cb_t cb, struct kubeproxy *found)
{
	char buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg))] = "";
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *head;

	request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	head = mnl_nlmsg_put_extra_header(request, sizeof(*head));
	head->nfgen_family = NFPROTO_UNSPEC;
	head->version = NFNETLINK_V0;
	return netlink_once(NETLINK_NETFILTER, request, cb, found);
}

static int look_once(bool rules, struct kubeproxy *found)
{
	int rc;

	*found = (struct kubeproxy){};
	rc = dump(NFT_MSG_GETCHAIN, on_chain, found);
	if (!rc && rules)
		rc = dump(NFT_MSG_GETRULE, on_rule, found);
	/* Of a kernel without nf_tables. */
	return rc == -EINVAL || rc == -EOPNOTSUPP || rc == -EPROTONOSUPPORT ? 0 : rc;
}

int kubeproxy_look(bool rules, struct kubeproxy *found)
{
	int rc = -EINTR, tries, legacy;

	for (tries = 0; tries < TRIES && rc == -EINTR; tries++)
		rc = look_once(rules, found);
	legacy = kubeproxy_legacy(found);
	return rc ?: legacy;
}

json_t *kubeproxy_json(const struct kubeproxy *found)
{
	json_t *list = json_array();
	int kind, family;

	for (kind = 0; kind < KUBEPROXY_KINDS; kind++) {
		for (family = 0; family < KUBEPROXY_FAMILIES; family++) {
			const struct kubeproxy_count *count = &found->of[kind][family];

			if (count->chains)
				json_array_append_new(
					list, json_pack("{s:s,s:s,s:I,s:I}", "kind", kinds[kind],
							"family", family ? "IPv6" : "IPv4",
							"chains", (json_int_t)count->chains,
							"rules", (json_int_t)count->rules));
		}
	}
	return list;
}
