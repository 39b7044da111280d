/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The token bucket for refusals that are answered: see maps/limit.h. */
#ifndef NEARPATH_DATAPATH_LIMIT_H
#define NEARPATH_DATAPATH_LIMIT_H

#include "../maps/maps.bpf.h"
#include "flow.h"

/* Take a token of this CPU, if there is one. */
static __always_inline bool reject_allowed(void)
{
	__u32 cpu = bpf_get_smp_processor_id(), now = now32();
	struct np_limit *l = bpf_map_lookup_elem(&limits, &cpu);
	__u64 tokens;

	if (!l)
		return false;
	/* Whole tokens only; time that makes none yet stays on the account. */
	tokens = (__u64)(now - l->filled) * NP_REJECTS_PER_SECOND / np.hertz;
	if (tokens) {
		l->filled = now;
		tokens += l->tokens;
		l->tokens = tokens < NP_REJECTS_BURST ? tokens : NP_REJECTS_BURST;
	}
	if (!l->tokens)
		return false;
	l->tokens--;
	return true;
}

#endif
