/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The method diff, and how many differences there are for the method status. */
#include <errno.h>

#include "daemon.h"

#define LIMIT 1000 /* of differences in an answer */

struct list {
	json_t *array; /* NULL: they are only counted */
	size_t count;
};

static void add(const struct difference *d, void *arg)
{
	struct list *list = arg;

	if (list->count++ >= LIMIT || !list->array)
		return;
	json_array_append_new(list->array,
			      json_pack("{s:s,s:s,s:s,s:b}", "what", d->what, "wanted", d->wanted,
					"found", d->found, "waits", d->waits));
}

size_t daemon_differences(struct daemon *d)
{
	struct list list = {};

	audit_all(d, &(struct compare){.found = add, .arg = &list});
	return list.count;
}

json_t *daemon_audit_json(struct daemon *d)
{
	const struct audit_counts *c = audit_counts(d->audit);

	return json_pack("{s:i,s:I,s:I,s:I,s:f,s:f}", "interval", (int)d->options.audit_interval,
			 "rounds", (json_int_t)c->rounds, "differences", (json_int_t)c->differences,
			 "repairs", (json_int_t)c->repairs, "last", c->last, "work", c->work);
}

int method_diff(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	struct list list = {.array = json_array()};
	struct daemon *d = arg;

	(void)params, (void)error;
	if (!list.array)
		return -ENOMEM;
	audit_all(d, &(struct compare){.found = add, .arg = &list});
	*result = json_pack("{s:I,s:o,s:I,s:b}", "revision", (json_int_t)d->revision, "differences",
			    list.array, "count", (json_int_t)list.count, "truncated",
			    list.count > LIMIT);
	return *result ? 0 : -ENOMEM;
}
