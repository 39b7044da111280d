/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads a ServiceCIDR: the ranges that clusterIPs are taken from, one or one of each family. */
#include "kube_parts.h"

#include <stdlib.h>

int kube_service_cidr_read(const struct field *root, struct kube_object *object)
{
	struct kube_service_cidr *ranges = &object->service_cidr;
	struct field spec, list;
	int err;

	err = field_member_object(root, "spec", &spec);
	if (!err)
		err = field_required(&spec);
	if (!err)
		err = field_member_array(&spec, "cidrs", 2, &list);
	for (size_t i = 0; !err && i < field_length(&list); i++) {
		struct field item = field_item(&list, i);

		err = kube_read_cidr(&item, &ranges->cidr[i]);
		ranges->cidrs += !err;
	}
	return err;
}

void kube_service_cidr_clear(struct kube_object *object)
{
	free(object->service_cidr.name);
}
