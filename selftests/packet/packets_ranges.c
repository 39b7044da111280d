/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * loadBalancerSourceRanges: who may come to a VIP, in all classes; that nothing else of the service
 * is restricted; and when a change of them is felt. The trie itself is unit/loader's.
 */
#include "harness.h"
#include "objects.h"

#define RANGES(list)	    "'loadBalancerSourceRanges':[" list "],"
#define LIMITED(list, spec) LOAD_BALANCER("web", "cluster", RANGES(list) spec)
#define CLIENT_ONLY	    "'$client4/32','$client6/128'"

static const char *const state_one[] = {
	LIMITED(CLIENT_ONLY, ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_other[] = {
	LIMITED("'$client24/32','$client26/128'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_net[] = {
	LIMITED("'192.0.2.0/31','192.0.2.10/31','2001:db8:c::/64'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_nested[] = {
	LIMITED("'192.0.0.0/8','192.0.2.0/24','192.0.2.11/32',"
		"'2001:db8::/32','2001:db8:c::/64','2001:db8:c::11/128'",
		""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_only4[] = {
	LIMITED("'$client4/32'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_only6[] = {
	LIMITED("'$client6/128'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_everybody[] = {
	LIMITED(CLIENT_ONLY ",'0.0.0.0/0','::/0'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_nonsense[] = {
	LIMITED("' $client4/32 ','nonsense','$client6/128'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_node[] = {
	LIMITED("'$node4/32','$node6/128'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_pods[] = {
	LIMITED("'10.244.0.0/16','fd00:10:244::/48'", ""),
	REMOTE("web", "remote"),
	NULL,
};
static const char *const state_none[] = {
	LIMITED(CLIENT_ONLY, ""),
	SLICES_EMPTY("web"),
	NULL,
};
static const char *const state_away[] = {
	LIMITED(CLIENT_ONLY, "'externalTrafficPolicy':'Local',"),
	REMOTE("web", "remote"),
	NULL,
};

static void change(void)
{
	world_apply(state_other);
}

static void lift(void)
{
	world_apply(state_remote);
}

#define LET_IN(from, learned, to)                                                                  \
	{                                                                                          \
		INGRESS, OPENS(from ":40000", to), .out.src = from ":" learned,                    \
						   .out.dst = "remote:8080", NEW                   \
	}
#define KEPT_OUT(from)                                                                             \
	{                                                                                          \
		INGRESS, OPENS(from ":40000", "vip:80"), .verdict = DROP, COUNTS(SOURCE_RANGE)     \
	}

static const struct test tests[] = {
	{"who is in it, who is not", state_one,
	 .step = {LET_IN("client", "?0", "vip:80"), KEPT_OUT("client2"), KEPT_OUT("router"),
		  KEPT_OUT("pod"), KEPT_OUT("node"), KEPT_OUT("vip")}},
	{"a network", state_net,
	 .step = {LET_IN("client", "?0", "vip:80"), LET_IN("client2", "?1", "vip:80"),
		  LET_IN("router", "?2", "vip:80"), KEPT_OUT("pod"), KEPT_OUT("unrouted")}},
	{"networks within each other", state_nested,
	 .step = {LET_IN("client", "?0", "vip:80"), LET_IN("client2", "?1", "vip:80"),
		  LET_IN("router", "?2", "vip:80"), KEPT_OUT("pod")}},
	{"ranges of IPv4 only: IPv4", state_only4, .only = ONLY_IPV4,
	 .step = {LET_IN("client", "?0", "vip:80"), KEPT_OUT("client2")}},
	{"ranges of IPv4 only: IPv6 is free", state_only4, .only = ONLY_IPV6,
	 .step = {LET_IN("client", "?0", "vip:80"), LET_IN("client2", "?1", "vip:80")}},
	{"ranges of IPv6 only: IPv6", state_only6, .only = ONLY_IPV6,
	 .step = {LET_IN("client", "?0", "vip:80"), KEPT_OUT("client2")}},
	{"ranges of IPv6 only: IPv4 is free", state_only6, .only = ONLY_IPV4,
	 .step = {LET_IN("client", "?0", "vip:80"), LET_IN("client2", "?1", "vip:80")}},
	{"everybody among others is no range", state_everybody,
	 .step = {LET_IN("client2", "?0", "vip:80"), LET_IN("pod", "?1", "vip:80")}},
	{"blanks, and what is no range", state_nonsense,
	 .step = {LET_IN("client", "?0", "vip:80"), KEPT_OUT("client2")}},
	{"the node is in it: so is the VIP", state_node,
	 .step = {LET_IN("node", "?0", "vip:80"), LET_IN("vip", "?1", "vip:80"), KEPT_OUT("client"),
		  KEPT_OUT("external")}},
	{"pods are in it", state_pods,
	 .step = {LET_IN("pod", "?0", "vip:80"), LET_IN("local", "?1", "vip:80"),
		  KEPT_OUT("client"), KEPT_OUT("node")}},
	{"the service's other addresses are open to all", state_one,
	 .step = {LET_IN("client2", "?0", "external:80"),
		  LET_IN("client2", "?1", "node:30080"),
		  LET_IN("client2", "?2", "cluster:80"),
		  LET_IN("router", "?3", "external:80"),
		  {INGRESS, OPENS("pod:40000", "cluster:80"), .out.dst = "remote:8080", NEW}}},
	{"no endpoint: who is in it is refused, others are dropped", state_none,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"), REFUSED(NO_ENDPOINT)},
		  KEPT_OUT("client2"),
		  {INGRESS, OPENS("client2:40000", "external:80"), REFUSED(NO_ENDPOINT)},
		  {INGRESS, OPENS("client2:40000", "node:30080"), REFUSED(NO_ENDPOINT)}}},
	{"no endpoint here: both are dropped, each for its reason", state_away,
	 .step = {{INGRESS, OPENS("client:40000", "vip:80"), .verdict = DROP, COUNTS(POLICY_DROP)},
		  KEPT_OUT("client2"),
		  KEPT_OUT("pod")}},
	{"a change concerns new connections", state_one,
	 .step = {LET_IN("client", "?0", "vip:80"),
		  KEPT_OUT("client2"),
		  {.action = change},
		  {INGRESS, SENDS("client:40000", "vip:80", .payload = 5),
		   .out = {.src = "client:?0", .dst = "remote:8080"}, HIT},
		  {INGRESS, OPENS("client:40001", "vip:80"), .verdict = DROP, COUNTS(SOURCE_RANGE)},
		  LET_IN("client2", "?1", "vip:80"),
		  {.action = lift},
		  LET_IN("router", "?2", "vip:80")}},
	{"XDP carries who is in it, and leaves the others to tc", state_one,
	 .step = {{AT_XDP, OPENS("client:40000", "vip:80"), .verdict = TX,
		   .out = {.src = "snat:?0",
			   .dst = "remote:8080",
			   .ttl = 63,
			   .src_mac = NETNS_MAC_UPLINK,
			   .dst_mac = NETNS_MAC_GATEWAY},
		   .moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_XDP_TX, 1}}},
		  {AT_XDP, OPENS("client2:40000", "vip:80")},
		  KEPT_OUT("client2")}},
};

const struct group packets_ranges = GROUP("source ranges", tests);
