/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads a ServiceCIDR: the ranges that clusterIPs are taken from, one or one of each family. */
#include "kube_parts.h"
#include "util.h"

#include <stdlib.h>

static int read_range(const struct field *item, struct kube_service_cidr *ranges)
{
	struct cidr *cidr = &ranges->cidr[ranges->cidrs];
	int err = kube_read_cidr(item, cidr);

	if (!err && ranges->cidrs && cidr->family == ranges->cidr[0].family)
		err = field_refuse(item, "is of the same family as the first; write one of each");
	ranges->cidrs += !err;
	return err;
}

int kube_service_cidr_read(const struct field *root, struct kube_object *object)
{
	struct kube_service_cidr *ranges = &object->service_cidr;
	struct field spec, list;
	int err;

	err = field_member_object(root, "spec", &spec);
	if (!err)
		err = field_required(&spec);
	if (!err)
		err = field_member_array(&spec, "cidrs", ARRAY_SIZE(ranges->cidr), &list);
	if (!err && !field_length(&list))
		err = field_refuse(&list, "has no range; write one like 10.96.0.0/12");
	for (size_t i = 0; !err && i < field_length(&list); i++) {
		struct field item = field_item(&list, i);

		err = read_range(&item, ranges);
	}
	return err;
}

void kube_service_cidr_clear(struct kube_object *object)
{
	kube_drop(object->service_cidr.name);
}
