/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What happens to a new connection: a verdict, a reason and a backend. Reads the tables nearpathd
 * wrote, changes nothing, and knows no hook, so that packets, sockets and questions (nearpath
 * explain) get the same answer. All policy was compiled into the slots: choosing is one random
 * number. The rules are kube-proxy's (pkg/proxy/iptables/proxier.go, pkg/proxy/nftables).
 */
#ifndef NEARPATH_DATAPATH_DECIDE_H
#define NEARPATH_DATAPATH_DECIDE_H

#include "../maps/maps.bpf.h"
#include "frontend.h"

/* How the question is put, in the argument "how". */
#define DECIDE_LOCAL 0x1 /* by the node itself: the source is its own */
#define DECIDE_CLASS 0x2 /* tell the class even where it makes no difference */

/* words: a constant; NP_IPV4: of the address only the first word is set. */
static __always_inline bool prefix_has(const struct np_prefix *prefix, const union np_addr *addr,
				       int words)
{
	if (words == NP_IPV4)
		return !((addr->v4 & prefix->mask[0]) ^ prefix->value[0]);
	return !(((addr->word[0] & prefix->mask[0]) ^ prefix->value[0]) |
		 ((addr->word[1] & prefix->mask[1]) ^ prefix->value[1]) |
		 ((addr->word[2] & prefix->mask[2]) ^ prefix->value[2]) |
		 ((addr->word[3] & prefix->mask[3]) ^ prefix->value[3]));
}

/* Which class of client a new connection comes from (kube-proxy: the local detector, srcLocal). */
static __always_inline enum np_class client_class(struct tuple *t, __u32 service_flags,
						  __u32 iface_flags, __u32 how, __u32 family)
{
	__u32 zero = 0;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c)
		return NP_CLASS_OUTSIDE;
	if (c->detector == NP_DETECT_BY_PREFIX &&
	    prefix_has(family == NP_IPV4 ? &c->pod_prefix4 : &c->pod_prefix6, &t->src, NP_IPV6))
		return NP_CLASS_POD;
	if (how & DECIDE_LOCAL)
		return NP_CLASS_NODE;
	if (c->detector == NP_DETECT_BY_IFACE && iface_flags & NP_IFACE_POD)
		return NP_CLASS_POD;
	if ((service_flags & NP_SERVICE_NODE_CLASS || how & DECIDE_CLASS) &&
	    address_flags(&t->src, family) & NP_SERVICE_HOST_ADDRESS)
		return NP_CLASS_NODE;
	return NP_CLASS_OUTSIDE;
}

/*
 * Is it an address of a service range, whether or not there is a service at it? The ranges there
 * are come first; behind them are prefixes that match nothing (loader/cidr.h, cidr_nobody()).
 */
static __always_inline bool in_service_cidr(const union np_addr *addr, __u32 family, int words)
{
	__u32 zero = 0, i;
	struct np_config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c)
		return false;
#pragma clang loop unroll(disable)
	for (i = 0; i < NP_SERVICE_CIDRS; i++) {
		struct np_prefix *prefix =
			family == NP_IPV4 ? &c->service_cidr4[i] : &c->service_cidr6[i];

		if (prefix->value[0] & ~prefix->mask[0])
			return false;
		if (prefix_has(prefix, addr, words))
			return true;
	}
	return false;
}

/*
 * Can an address be no service's and none of the node's, by what is told without looking for it in
 * the index? Most that answer that are.
 */
static __always_inline bool address_is_strange(const union np_addr *addr, int family)
{
	struct np_filter_place at = np_address_place(np.hash_key, family, addr);
	struct np_address_filter *word;
	__u32 n = at.word & np.address_mask;

	word = bpf_map_lookup_elem(&address_filter, &n);
	return word && !(*(volatile __u64 *)&word->bits & at.bit);
}

/* loadBalancerSourceRanges: does the version admit the source? */
static __always_inline bool range_has(__u32 version, const union np_addr *src, __u32 family)
{
	struct np_range_key key = {
		.prefixlen = NP_RANGE_BITS + (family == NP_IPV4 ? 32 : 128),
		.version = version,
		.addr = *src,
	};

	return bpf_map_lookup_elem(&source_ranges, &key);
}

/* Slot n of all. False: there is no such slot. */
static __always_inline bool slot_read(__u32 n, __u32 *backend)
{
	__u32 pair = n / 2;
	struct np_slots *found = bpf_map_lookup_elem(&slots, &pair);

	if (!found)
		return false;
	*backend = found->backend[n % 2];
	return true;
}

#define RUN_STEPS 25 /* halvings of the longest run */

/* Is the backend in this run? Runs are ascending. A global function for its loop. */
__noinline int run_has(__u32 slot, __u32 count, __u32 backend)
{
	__u32 low = 0, high = count, at = 0;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < RUN_STEPS && low < high; i++) {
		__u32 middle = low + (high - low) / 2;

		if (!slot_read(slot + middle, &at))
			return false;
		if (at == backend)
			return true;
		if (at < backend)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* May a connection go to this backend still: is it in the run, and the one it was? */
static __always_inline bool policy_has(const struct np_policy *policy, __u32 number,
				       const union np_addr *addr, __be16 port)
{
	struct np_backend *b = bpf_map_lookup_elem(&backends, &number);

	return b && b->port == port && addr_equal(&b->addr, addr, NP_IPV6) &&
	       run_has(policy->slot, policy->count, number);
}

/* Session affinity: where the client's last connection went, if it may go there again. */
static __always_inline bool affinity_find(const struct np_service *service,
					  const struct np_policy *policy, const struct tuple *t,
					  __u32 family, __u32 *number)
{
	struct np_affinity_key key = {.client = t->src, .service = service->id, .family = family};
	struct np_affinity *last = bpf_map_lookup_elem(&affinity, &key);

	/* Signed: another CPU may have stored a tick that this one has not read yet. */
	if (!last || (__s64)(bpf_jiffies64() - last->seen) > service->affinity ||
	    !policy_has(policy, last->backend, &last->addr, last->port))
		return false;
	*number = last->backend;
	return true;
}

/*
 * A connection was given this backend: so will the client's next ones. A BPF global function for
 * its caller's stack: Linux 6.1 counts frames in steps of 32 bytes.
 */
__noinline int affinity_note(struct np_service *service, struct tuple *t,
			     struct np_backend *backend, __u32 number, __u32 family)
{
	struct np_affinity_key key = {.family = family};
	struct np_affinity last = {.backend = number, .seen = bpf_jiffies64()};

	if (!service || !t || !backend)
		return 0;
	key.client = t->src;
	key.service = service->id;
	last.addr = backend->addr;
	last.port = backend->port;
	bpf_map_update_elem(&affinity, &key, &last, BPF_ANY);
	return 0;
}

/* One backend of the run, each with the same probability. */
static __always_inline bool backend_draw(const struct np_policy *policy, __u32 *number)
{
	__u32 random = bpf_get_prandom_u32();

	return slot_read(policy->slot + (__u32)((__u64)random * policy->count >> 32), number);
}

/* The destination is no service's: what kind of address is it? */
static __always_inline void decide_address(const struct tuple *t, __u32 flags, __u32 family,
					   struct np_decision *d)
{
	if (flags & NP_SERVICE_HOST_ADDRESS) /* it answers itself, as a node-local DNS cache does */
		return;
	if (flags & NP_SERVICE_CLUSTER_IP) {
		d->verdict = NP_VERDICT_REJECT;
		d->reason = NP_REASON_NO_SUCH_PORT;
	} else if (in_service_cidr(&t->dst, family, NP_IPV6)) {
		d->verdict = NP_VERDICT_DROP;
		d->reason = NP_REASON_NO_SUCH_SERVICE;
	}
}

/* Not by a variable index: it would cost the verifier more than three constants. */
static __always_inline struct np_policy *policy_of(struct np_service *service, __u32 class)
{
	return class == NP_CLASS_POD	? &service->policy[NP_CLASS_POD]
	       : class == NP_CLASS_NODE ? &service->policy[NP_CLASS_NODE]
					: &service->policy[NP_CLASS_OUTSIDE];
}

static __always_inline void decide_backend(const struct np_service *service,
					   const struct np_policy *policy, struct tuple *t,
					   __u32 family, struct np_decision *d)
{
	struct np_backend *backend;
	__u32 number = 0;

	d->reason = NP_REASON_NEW_FLOW;
	if (service->affinity && affinity_find(service, policy, t, family, &number))
		d->reason = NP_REASON_AFFINITY;
	else if (!backend_draw(policy, &number))
		number = ~0U;
	backend = bpf_map_lookup_elem(&backends, &number);
	if (!backend) {
		d->reason = NP_REASON_TABLE_ERROR;
		return;
	}
	d->verdict = NP_VERDICT_FORWARD;
	d->backend = number;
	d->snat = policy->snat || addr_equal(&backend->addr, &t->src, NP_IPV6); /* hairpin */
}

/*
 * Decide on a new connection t, client -> frontend, whole. iface_flags: of the interface it came in
 * by (NP_IFACE_POD); how: DECIDE_...; *d is all set. Always 0. A BPF global function: verified
 * once, and its stack is free again when the flow is made.
 */
__noinline int decide(struct tuple *t, __u32 iface_flags, __u32 how, __u32 family,
		      struct np_decision *d)
{
	struct np_service *service;
	struct np_policy *policy;
	struct found found = {};
	__u32 number;

	if (!t || !d)
		return 0;
	*d = (struct np_decision){.verdict = NP_VERDICT_PASS, .reason = NP_REASON_NO_SERVICE};
	service_lookup(t, how & DECIDE_LOCAL, family, &found);
	number = found.number - 1; /* 0 - 1 is a number no table has */
	service = bpf_map_lookup_elem(&services, &number);
	d->class = client_class(t, service ? service->flags : 0, iface_flags, how, family);
	if (!service) {
		decide_address(t, found.address, family, d);
		return 0;
	}
	d->version = found.number;
	d->service = service->id;
	if (service->flags & NP_SERVICE_RANGES && !range_has(number, &t->src, family)) {
		d->verdict = NP_VERDICT_DROP;
		d->reason = NP_REASON_SOURCE_RANGE;
		return 0;
	}
	policy = policy_of(service, d->class);
	if (policy->verdict == NP_VERDICT_FORWARD) {
		decide_backend(service, policy, t, family, d);
		return 0;
	}
	d->verdict = policy->verdict;
	d->reason = policy->verdict == NP_VERDICT_REJECT ? NP_REASON_NO_ENDPOINT
							 : NP_REASON_POLICY_DROP;
	return 0;
}

#endif
