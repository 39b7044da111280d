/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Attaching the programs to an interface, replacing what an earlier nearpathd attached there
 * without a moment's gap, and taking off what nearpath attached and nothing else. Links are pinned
 * below the bpffs directory, so that they outlive the daemon.
 */
#ifndef NEARPATH_LOADER_ATTACH_H
#define NEARPATH_LOADER_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum attach_tc { ATTACH_TC_NONE, ATTACH_TC_TCX, ATTACH_TC_CLSACT };
enum attach_xdp { ATTACH_XDP_OFF, ATTACH_XDP_GENERIC, ATTACH_XDP_NATIVE };

/* What the kernel has on one interface, and why it is less than was asked for. */
struct attachment {
	enum attach_tc tc;
	enum attach_xdp xdp;
	bool dispatcher; /* libxdp's, so that other XDP programs can stay */
	char note[200];	 /* "" if all is as wanted */
};

/*
 * tc: ingress and egress; tcx where the kernel has it, clsact otherwise (prefer_clsact: always).
 * Calling it again with other programs replaces them atomically. links: directory for pins of
 * links, made if missing; link pins are named <ifindex>-ingress, <ifindex>-egress (and
 * <ifindex>-xdp where XDP uses a bpf_link). 0 or -errno; a->tc and a->note are set.
 */
int attach_tc(const char *links, int ifindex, int ingress_fd, int egress_fd, bool prefer_clsact,
	      struct attachment *a);

/*
 * XDP in the mode wanted, or the next lesser one with a note that says why: native, generic, none.
 * Through libxdp's dispatcher where the kernel can load it, else alone. A program of someone else
 * that is there is never replaced (-EBUSY, with a note that names the way out).
 * ATTACH_XDP_OFF takes nearpath's own program off.
 */
int attach_xdp(const char *links, int ifindex, int xdp_fd, enum attach_xdp wanted,
	       struct attachment *a);

/*
 * Is this program where attach_tc() or attach_xdp() has put it? 0: yes; 1: no, and found says what
 * is there; -errno: the kernel does not tell.
 */
int attach_tc_check(int ifindex, bool egress, int fd, enum attach_tc tc, char *found, size_t size);
int attach_xdp_check(int ifindex, int xdp_fd, enum attach_xdp xdp, char *found, size_t size);

/* Take both tc programs off, if they are nearpath's. 0 also if there were none. */
int detach_tc(const char *links, int ifindex);

/*
 * Everything nearpath attached in this network namespace according to the pins in links and the
 * names of programs on clsact and XDP hooks, on every interface. Removes the pins and links dir.
 */
int detach_all(const char *links);

/*
 * Nearpath's programs that are attached to any interface, by enum np_hook: descriptors for the
 * caller to close; those of which there are none stay as they are.
 */
int attach_programs(const char *links, int *program);

/* The numbers of those on one interface; those of which there are none stay as they are. */
void attach_ids(const char *links, int ifindex, uint32_t *id);

/* Remove the pins of interfaces that are gone, as after a time when no daemon ran. */
int attach_sweep(const char *links);

const char *attach_tc_name(enum attach_tc tc);	  /* "none", "tcx", "clsact" */
const char *attach_xdp_name(enum attach_xdp xdp); /* "off", "generic", "native" */

#endif
