/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is counted and remembered of a decision once it is carried out, by whichever hook. */
#ifndef NEARPATH_DATAPATH_NOTE_H
#define NEARPATH_DATAPATH_NOTE_H

#include "count.h"
#include "decide.h"

/* The connection t is given its backend. */
static __always_inline void note_connection(__u32 hook, const struct np_decision *d,
					    struct tuple *t, __u32 family)
{
	__u32 id = d->service, number = d->version - 1, at = d->backend;
	struct np_service_stats *s = bpf_map_lookup_elem(&service_stats, &id);
	struct np_service *service = bpf_map_lookup_elem(&services, &number);
	struct np_backend *backend = bpf_map_lookup_elem(&backends, &at);

	count_inline(hook, NP_REASON_NEW_FLOW);
	if (d->reason == NP_REASON_AFFINITY)
		count(hook, NP_REASON_AFFINITY);
	if (!backend)
		return;
	if (s && backend->zone < NP_ZONE_CLASSES)
		__sync_fetch_and_add(&s->connections[backend->zone], 1);
	if (service && service->affinity)
		affinity_note(service, t, backend, d->backend, family);
}

/* It is rejected or dropped. */
static __always_inline void note_refusal(__u32 hook, const struct np_decision *d)
{
	__u32 id = d->service;
	struct np_service_stats *s = bpf_map_lookup_elem(&service_stats, &id);

	if (s && d->version)
		__sync_fetch_and_add(&s->refused, 1);
	count(hook, d->reason);
}

#endif
