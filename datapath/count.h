/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counting reasons, one entry a CPU. A counter that is missing never costs a packet. */
#ifndef NEARPATH_DATAPATH_COUNT_H
#define NEARPATH_DATAPATH_COUNT_H

#include "../maps/maps.bpf.h"

/* hook: enum np_hook; reason: enum np_reason. For what each connection counts. */
static __always_inline void count_inline(__u32 hook, __u32 reason)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct np_stats *s = bpf_map_lookup_elem(&stats, &cpu);

	if (s && hook < NP_HOOKS && reason < NP_REASONS)
		s->packets[hook][reason]++;
}

/* The same, not inlined: it is rare, and called from everywhere. */
__noinline int count(__u32 hook, __u32 reason)
{
	count_inline(hook, reason);
	return 0;
}

#endif
