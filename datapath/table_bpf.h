/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How programs reach the flow table: what flow.h and flow_new.h, which are the same for programs
 * and for user space (loader/flowtable.c), are given by their includer.
 */
#ifndef NEARPATH_DATAPATH_TABLE_BPF_H
#define NEARPATH_DATAPATH_TABLE_BPF_H

#include "../maps/maps.bpf.h"
#include "count.h"

/* The low 32 bits of the kernel's jiffies. */
static __always_inline __u32 now32(void)
{
	return (__u32)bpf_jiffies64();
}

/* Record and bucket of that number; NULL: there is none. family: a constant. */
static __always_inline struct np_flow *flow_record(__u32 number, int family)
{
	struct np_flow4 *four;
	struct np_flow6 *six;

	if (family == NP_IPV4) {
		four = bpf_map_lookup_elem(&flows4, &number);
		return four ? &four->flow : NULL;
	}
	six = bpf_map_lookup_elem(&flows6, &number);
	return six ? &six->flow : NULL;
}

static __always_inline struct np_bucket *flow_bucket(__u32 number, int family)
{
	if (family == NP_IPV4)
		return bpf_map_lookup_elem(&flow_index4, &number);
	return bpf_map_lookup_elem(&flow_index6, &number);
}

static __always_inline struct np_filter *flow_filter_word(__u32 number)
{
	return bpf_map_lookup_elem(&flow_filter, &number);
}

static __always_inline struct np_backend *flow_backend(const struct np_flow *flow)
{
	return bpf_map_lookup_elem(&backends, &flow->backend);
}

#endif
