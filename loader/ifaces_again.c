/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Exchanging the programs of all interfaces, when there are others. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "ifaces_private.h"

static void attach_again(struct ifaces *ifs, struct iface *i)
{
	const struct tables *t = ifs->tables;
	char note[sizeof(i->attached.note)];

	attach_tc(ifs->options.links, i->link.ifindex, t->ingress_fd, t->egress_fd,
		  ifs->options.clsact, &i->attached);
	memcpy(note, i->attached.note, sizeof(note));
	if (i->now.xdp != ATTACH_XDP_OFF)
		attach_xdp(ifs->options.links, i->link.ifindex, t->xdp_fd, i->now.xdp,
			   &i->attached);
	if (note[0] && !i->attached.note[0])
		memcpy(i->attached.note, note, sizeof(note));
}

void ifaces_attach_again(struct ifaces *ifs)
{
	struct iface *i, *next;

	HASH_ITER (hh, ifs->by_index, i, next) {
		if (i->entry)
			attach_again(ifs, i);
	}
}

void ifaces_hold(struct ifaces *ifs, bool hold)
{
	struct iface *i, *next;

	ifs->hold = hold;
	HASH_ITER (hh, ifs->by_index, i, next) {
		if (!hold)
			ifaces_apply(ifs, i, true);
	}
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

/* Is any program of nearpath on the interface that is none of these? */
static bool has_other(struct ifaces *ifs, const struct iface *i, const uint32_t *ours)
{
	uint32_t id[NP_HOOKS] = {};

	attach_ids(ifs->options.links, i->link.ifindex, id);
	for (int hook = 0; hook < NP_HOOKS; hook++)
		if (id[hook] && id[hook] != ours[hook])
			return true;
	return false;
}

int ifaces_attach_rest(struct ifaces *ifs)
{
	const uint32_t ours[NP_HOOKS] = {
		[NP_HOOK_INGRESS] = program_id(ifs->tables->ingress_fd),
		[NP_HOOK_EGRESS] = program_id(ifs->tables->egress_fd),
		[NP_HOOK_XDP] = program_id(ifs->tables->xdp_fd),
	};
	struct iface *i, *next;
	int rc = 0;

	HASH_ITER (hh, ifs->by_index, i, next) {
		if (!has_other(ifs, i, ours))
			continue;
		if (i->entry) {
			attach_again(ifs, i);
		} else {
			detach_tc(ifs->options.links, i->link.ifindex);
			attach_xdp(ifs->options.links, i->link.ifindex, -1, ATTACH_XDP_OFF,
				   &i->attached);
		}
		if (has_other(ifs, i, ours))
			rc = -EAGAIN;
	}
	return rc;
}
