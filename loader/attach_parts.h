/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What attach.c, attach_tc.c and attach_xdp.c share and nobody else needs: how nearpath's own
 * programs are recognised, what the pins are called, and keeping libbpf and libxdp quiet.
 */
#ifndef NEARPATH_LOADER_ATTACH_PARTS_H
#define NEARPATH_LOADER_ATTACH_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "../maps/abi.h"
#include "attach.h"
#include "util.h"

/* Programs are told from other people's by these names. */
#define ATTACH_PROG_INGRESS "np_ingress"
#define ATTACH_PROG_EGRESS  "np_egress"
#define ATTACH_PROG_XDP	    "np_xdp"
#define ATTACH_PROG_OVER    "_over" /* behind each of them: while versions are exchanged */

#define ATTACH_PATH_SIZE 4096

/* While one of these lives, both libraries print nothing; what the kernel says is kept. */
struct attach_quiet {
	libbpf_print_fn_t libbpf;
	libxdp_print_fn_t libxdp;
};

void attach_quiet_begin(struct attach_quiet *quiet);
void attach_quiet_end(struct attach_quiet *quiet);
#define _cleanup_quiet_ _cleanup_(attach_quiet_end)

/* The kernel's own words about the last refusal since they were last read, else errno's text. */
const char *attach_reason(int err);

void attach_note(struct attachment *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What a program is called and of which type; -ENOENT if it is gone. */
int attach_prog_info(uint32_t id, char name[BPF_OBJ_NAME_LEN], uint32_t *type);
bool attach_prog_is(uint32_t id, const char *name);
/* The kernel's number of a program held open. */
int attach_prog_id(int fd, uint32_t *id);
bool attach_is_named(const char *found, const char *name);

/* The numbers of nearpath's programs on an interface, by enum np_hook; those that are none stay. */
void attach_tc_ids(const char *links, int ifindex, uint32_t *id);
void attach_xdp_id(int ifindex, uint32_t *id);

/* links/<ifindex>-<what>; -ENAMETOOLONG. */
int attach_path(char path[ATTACH_PATH_SIZE], const char *links, int ifindex, const char *what);
int attach_make_dir(const char *links);

/* Detach the link pinned there and remove the pin; 0 also if there is none. */
int attach_remove_link(const char *path);

/* Takes nearpath's own XDP program off one interface, alone or in a dispatcher. */
int attach_xdp_remove(const char *links, int ifindex);

#endif
