/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An object that was read, put into one piece of memory with its arrays: there are many, and each
 * is kept as long as it is in the cluster.
 */
#include "kube_parts.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define PARTS_MAX 5

struct part {
	void *place; /* of the pointer to it */
	size_t size;
};

#define PART(array, count)                                                                         \
	(struct part)                                                                              \
	{                                                                                          \
		&(array), (count) * sizeof(*(array))                                               \
	}

/* The size of each is a multiple of what the next is aligned to. Returns how many there are. */
static size_t list_parts(struct kube_object *o, struct part part[PARTS_MAX])
{
	size_t n = 0;

	switch (o->kind) {
	case KUBE_SERVICE:
		part[n++] = PART(o->service.port, o->service.ports);
		part[n++] = PART(o->service.source_range, o->service.source_ranges);
		part[n++] = PART(o->service.cluster_ip, o->service.cluster_ips);
		part[n++] = PART(o->service.external_ip, o->service.external_ips);
		part[n++] = PART(o->service.vip, o->service.vips);
		break;
	case KUBE_SLICE:
		part[n++] = PART(o->slice.endpoint, o->slice.endpoints);
		part[n++] = PART(o->slice.port, o->slice.ports);
		part[n++] = PART(o->slice.name, o->slice.name ? strlen(o->slice.name) + 1 : 0);
		break;
	case KUBE_NODE:
		part[n++] = PART(o->node.pod_cidr, o->node.pod_cidrs);
		part[n++] = PART(o->node.address, o->node.addresses);
		break;
	}
	return n;
}

void kube_free_parts(struct kube_object *draft)
{
	struct part part[PARTS_MAX];
	const size_t n = list_parts(draft, part);

	for (size_t i = 0; i < n; i++)
		util_free(part[i].place);
}

/* No more of the union than the kind needs. */
static size_t size_of(enum kube_kind kind)
{
	static const size_t sizes[KUBE_KINDS] = {
		[KUBE_SERVICE] = sizeof(struct kube_service),
		[KUBE_SLICE] = sizeof(struct kube_slice),
		[KUBE_NODE] = sizeof(struct kube_node),
		[KUBE_SERVICE_CIDR] = sizeof(struct kube_service_cidr),
	};

	return offsetof(struct kube_object, service) + sizes[kind];
}

int kube_pack(struct kube_object **draft, struct kube_object **packed)
{
	struct part from[PARTS_MAX], to[PARTS_MAX];
	const size_t n = list_parts(*draft, from);
	size_t size = size_of((*draft)->kind);
	struct kube_object *made;
	char *end;

	for (size_t i = 0; i < n; i++)
		size += from[i].size;
	made = malloc(size);
	if (!made)
		return -ENOMEM;
	end = mempcpy(made, *draft, size_of((*draft)->kind));
	list_parts(made, to);
	for (size_t i = 0; i < n; i++) {
		char *place = from[i].size ? end : NULL;

		if (place)
			end = mempcpy(place, *(void **)from[i].place, from[i].size);
		*(void **)to[i].place = place;
	}
	kube_free_parts(*draft);
	util_free(draft);
	*packed = made;
	return 0;
}
