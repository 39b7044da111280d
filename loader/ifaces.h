/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Interfaces: which of them nearpath is on, with which switches, and what of that the kernel has.
 * Writes the table ifaces. Switches that were set by hand are kept by name in a file, so that they
 * hold for a device that comes back and for a daemon that starts again.
 */
#ifndef NEARPATH_LOADER_IFACES_H
#define NEARPATH_LOADER_IFACES_H

#include <jansson.h>

#include "attach.h"
#include "netlink.h"
#include "tables.h"

struct ifaces;
struct options;

#define MSS_AUTO (-1)
#define MSS_OFF	 0

struct ifaces_options {
	const char *patterns; /* fnmatch(3) patterns with commas: tc programs go there */
	const char *redirect; /* the same: packets of flows skip the host; NULL: none */
	const char *uplinks;  /* the same: tc and XDP; "auto": the default routes' devices too */
	const char *links;    /* directory of pinned links */
	const char *file;     /* where switches set by hand are kept; NULL: nowhere */
	enum attach_xdp xdp;  /* for uplinks */
	bool xdp_on_veth;     /* as asked for; else generic: see ifaces.c */
	int mss;	      /* MSS_AUTO, MSS_OFF, or bytes */
	bool clsact;	      /* never tcx */
	const struct options *node; /* whether pods are told by their interface; NULL: no */
};

int ifaces_new(const struct ifaces_options *options, struct tables *tables, struct netlink *netlink,
	       struct ifaces **ifaces);
void ifaces_free(struct ifaces **ifaces); /* programs stay attached */

/* From netlink: a link that is new or changed, and one that is gone. */
void ifaces_link(struct ifaces *ifs, const struct netlink_link *link);
void ifaces_link_gone(struct ifaces *ifs, int ifindex);

/* The default routes may have moved: look again at which devices are uplinks. */
void ifaces_routes(struct ifaces *ifs);

/*
 * Attach the programs of the tables again, which are others now. While they are held, none are
 * attached and what is attached stays as it is.
 */
void ifaces_attach_again(struct ifaces *ifs);
void ifaces_hold(struct ifaces *ifs, bool hold);

/*
 * See to it that no other programs of nearpath are attached anywhere than those of the tables: they
 * are replaced where nearpath is to be, and taken off elsewhere. -EAGAIN: some are left.
 */
int ifaces_attach_rest(struct ifaces *ifs);

/* Between a netlink overrun and the end of the new dump: links not told again are gone. */
void ifaces_resync_begin(struct ifaces *ifs);
void ifaces_resync_end(struct ifaces *ifs);

/* docs/socket.md, "iface": a new JSON array. NULL without memory. */
json_t *ifaces_json(struct ifaces *ifs);

/* How many there are, whether or not they are ours. */
size_t ifaces_known(const struct ifaces *ifs);

/* How many have the programs. */
size_t ifaces_count(const struct ifaces *ifs);

/* Are the programs to ask conntrack whether it carries a conversation for kube-proxy? */
void ifaces_conntrack(struct ifaces *ifs, bool asks);

/*
 * Everything to lb=on, or (undo) to drain; kept in the file, what it was too. idle: no flow lives,
 * so that an undo may put those off that were off. *changes is a new array of {"name","was","lb"}
 * of all that carry services. 0, -ENOMEM, or -EIO: it is done, but could not be kept.
 */
int ifaces_takeover(struct ifaces *ifs, bool undo, bool idle, json_t **changes);

/* Is what is not set by hand drained, by an undo? Is any drained, by whatever? */
bool ifaces_drained(const struct ifaces *ifs);
bool ifaces_any_drained(const struct ifaces *ifs);

/*
 * What packets that come in by it meet: its switch, its name, NP_IFACE_POD. False: not known. Of a
 * bridge that has no programs, those of a port of it. */
struct ifaces_state {
	const char *name; /* borrowed until the next link event */
	enum np_lb lb;	  /* NP_LB_OFF too where nothing could be attached */
	uint8_t flags;
};
bool ifaces_state(struct ifaces *ifs, int ifindex, struct ifaces_state *state);

/*
 * Change switches; set as in docs/socket.md. *result is the interface's JSON. -EINVAL: bad switch;
 * -ENODEV: no such interface. why: what is wrong and the way out.
 */
int ifaces_set(struct ifaces *ifs, const char *name, json_t *set, json_t **result, char *why,
	       size_t size);

#endif
