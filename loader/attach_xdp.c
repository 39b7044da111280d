/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The XDP program of an interface, in the best mode that the device takes. A program loaded as
 * BPF_PROG_TYPE_EXT goes into libxdp's dispatcher beside others; one loaded as BPF_PROG_TYPE_XDP
 * can only be alone on its device, because the kernel fixes this when it loads the program.
 * Attached by netlink, not by a bpf_link, so that it stays when the daemon dies.
 */
#include "attach_parts.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#define DISPATCHER_NAME "xdp_dispatcher"

/* What is on the device: nothing if id is 0. */
struct xdp_state {
	uint32_t id;
	enum attach_xdp mode; /* ATTACH_XDP_OFF: offloaded to the hardware */
	bool ours;	      /* the program itself, or one of the dispatcher's */
	bool dispatcher;
	int others; /* programs beside ours in the dispatcher */
};

static void close_multiprog(struct xdp_multiprog **programs)
{
	if (!libxdp_get_error(*programs))
		xdp_multiprog__close(*programs);
}

static void close_program(struct xdp_program **program)
{
	if (!libxdp_get_error(*program))
		xdp_program__close(*program);
}

/* libxdp keeps its pins beside ours: in a new mount namespace /sys/fs/bpf is no bpffs. */
static void use_bpffs_of(const char *links)
{
	_cleanup_free_ char *bpffs = strdup(links);
	char *end = bpffs ? bpffs + strlen(bpffs) : NULL;

	if (!bpffs)
		return;
	while (end > bpffs && end[-1] == '/')
		*--end = '\0';
	end = strrchr(bpffs, '/');
	if (!end || end == bpffs)
		return;
	*end = '\0';
	setenv(XDP_BPFFS_ENVVAR, bpffs, 0);
}

static void read_dispatcher(int ifindex, struct xdp_state *state)
{
	_cleanup_(close_multiprog) struct xdp_multiprog *programs =
		xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *program = NULL;

	/* Without its pins, as left behind in another mount namespace, it cannot be changed. */
	if (libxdp_get_error(programs) || xdp_multiprog__is_legacy(programs)) {
		state->others = 1;
		return;
	}
	state->dispatcher = true;
	while ((program = xdp_multiprog__next_prog(program, programs))) {
		if (attach_is_named(xdp_program__name(program), ATTACH_PROG_XDP))
			state->ours = true;
		else
			state->others++;
	}
}

static int read_state(int ifindex, struct xdp_state *state)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[BPF_OBJ_NAME_LEN];
	struct xdp_state found = {};
	uint32_t type;
	int err = bpf_xdp_query(ifindex, 0, &query);

	if (err)
		return err;
	if (query.hw_prog_id) {
		found.id = query.hw_prog_id;
	} else if (query.drv_prog_id) {
		found.id = query.drv_prog_id;
		found.mode = ATTACH_XDP_NATIVE;
	} else if (query.skb_prog_id) {
		found.id = query.skb_prog_id;
		found.mode = ATTACH_XDP_GENERIC;
	}
	if (found.id && !attach_prog_info(found.id, name, &type)) {
		found.ours = found.mode != ATTACH_XDP_OFF && attach_is_named(name, ATTACH_PROG_XDP);
		if (!strcmp(name, DISPATCHER_NAME))
			read_dispatcher(ifindex, &found);
	}
	*state = found;
	return 0;
}

void attach_xdp_id(int ifindex, uint32_t *id)
{
	struct xdp_state state = {};

	if (!read_state(ifindex, &state) && state.ours && !state.dispatcher)
		*id = state.id;
}

static uint32_t mode_flag(enum attach_xdp mode)
{
	return mode == ATTACH_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

/* program -1 takes off. The kernel compares with old, so that nobody else's is ever lost. */
static int replace_alone(int ifindex, const struct xdp_state *old, int program)
{
	_cleanup_close_ int old_fd = bpf_prog_get_fd_by_id(old->id);
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = old_fd);

	if (old_fd < 0)
		return old_fd;
	return bpf_xdp_attach(ifindex, program, mode_flag(old->mode), &opts);
}

/* Every program of ours in the dispatcher but the one with the id to keep. */
static int leave_dispatcher(int ifindex, uint32_t keep)
{
	_cleanup_(close_multiprog) struct xdp_multiprog *programs =
		xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *program = NULL;

	if (libxdp_get_error(programs))
		return (int)libxdp_get_error(programs);
	while ((program = xdp_multiprog__next_prog(program, programs))) {
		int err;

		if (!attach_is_named(xdp_program__name(program), ATTACH_PROG_XDP) ||
		    xdp_program__id(program) == keep)
			continue;
		err = xdp_program__detach(program, ifindex, XDP_MODE_UNSPEC, 0);
		if (err)
			return err;
	}
	return 0;
}

static int take_off(int ifindex, const struct xdp_state *state)
{
	if (!state->ours)
		return 0;
	return state->dispatcher ? leave_dispatcher(ifindex, 0) : replace_alone(ifindex, state, -1);
}

static int attach_alone(int ifindex, int program, enum attach_xdp mode,
			const struct xdp_state *state)
{
	if (state->id)
		return replace_alone(ifindex, state, program);
	return bpf_xdp_attach(ifindex, program, mode_flag(mode) | XDP_FLAGS_UPDATE_IF_NOEXIST,
			      NULL);
}

/* The new program runs behind the old one until that is gone: there is no packet without one. */
static int attach_dispatched(int ifindex, int fd, enum attach_xdp mode,
			     const struct xdp_state *state)
{
	_cleanup_(close_program) struct xdp_program *program = xdp_program__from_fd(fd);
	int err = (int)libxdp_get_error(program);

	if (err)
		return err;
	if (state->ours && xdp_program__is_attached(program, ifindex) != XDP_MODE_UNSPEC)
		return 0;
	err = xdp_program__attach(program, ifindex,
				  mode == ATTACH_XDP_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	if (err)
		return err;
	return state->ours ? leave_dispatcher(ifindex, xdp_program__id(program)) : 0;
}

static int is_extension(int fd, bool *extension)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	*extension = info.type == BPF_PROG_TYPE_EXT;
	return *extension || info.type == BPF_PROG_TYPE_XDP ? 0 : -EINVAL;
}

static int busy(const struct xdp_state *state, struct attachment *a)
{
	char name[BPF_OBJ_NAME_LEN] = "?";
	uint32_t type;

	attach_prog_info(state->id, name, &type);
	if (state->dispatcher)
		attach_note(a, "XDP programs of a dispatcher are there, and this one cannot join "
			       "them: unload them (xdp-loader unload) or use xdp=off");
	else
		attach_note(a,
			    "XDP program \"%s\" (id %u) is there and cannot be shared: take it off "
			    "(ip link set DEV xdp off) or use xdp=off",
			    name, state->id);
	return -EBUSY;
}

/*
 * Takes ours off where it cannot be replaced in its place: the kernel has no way from one mode to
 * another, nor from alone to dispatched. Meanwhile tc sees the packets, which is slower and right.
 */
static int make_room(int ifindex, bool extension, enum attach_xdp wanted, struct xdp_state *state)
{
	int err;

	if (!state->ours)
		return 0;
	if (state->dispatcher == extension && (state->mode == wanted || state->others))
		return 0;
	err = take_off(ifindex, state);
	return err ? err : read_state(ifindex, state);
}

/* Not for want of a mode: trying a lesser one would not help, or would hide a mistake. */
static bool is_final(int err)
{
	return err == -ENODEV || err == -EPERM || err == -EBADF || err == -EEXIST || err == -EBUSY;
}

static int attach_best(int ifindex, int fd, bool extension, enum attach_xdp wanted,
		       const struct xdp_state *state, struct attachment *a)
{
	/* A dispatcher with programs of others has a mode, which is theirs to choose. */
	if (state->dispatcher && state->mode != wanted) {
		attach_note(a, "the dispatcher that is there is %s", attach_xdp_name(state->mode));
		wanted = state->mode;
	}
	for (enum attach_xdp mode = wanted; mode > ATTACH_XDP_OFF; mode--) {
		size_t used = strlen(a->note);
		int err = extension ? attach_dispatched(ifindex, fd, mode, state)
				    : attach_alone(ifindex, fd, mode, state);

		if (!err || is_final(err))
			return err == -EEXIST ? -EBUSY : err;
		snprintf(a->note + used, sizeof(a->note) - used, "%s%s refused: %s",
			 used ? "; " : "", attach_xdp_name(mode), attach_reason(err));
		/* What is there stays: no other mode can be had beside it. */
		if (state->id)
			return err;
	}
	return 0;
}

static int attach_wanted(int ifindex, int fd, enum attach_xdp wanted, struct attachment *a)
{
	struct xdp_state state = {};
	bool extension = false;
	int err = is_extension(fd, &extension);

	if (!err)
		err = read_state(ifindex, &state);
	if (!err)
		err = make_room(ifindex, extension, wanted, &state);
	if (err)
		return err;
	if (state.id && !(extension ? state.dispatcher : state.ours && !state.dispatcher))
		return busy(&state, a);
	err = attach_best(ifindex, fd, extension, wanted, &state, a);
	if (err == -EBUSY && !read_state(ifindex, &state) && state.id && !state.ours)
		return busy(&state, a); /* somebody was quicker */
	return err;
}

int attach_xdp(const char *links, int ifindex, int xdp_fd, enum attach_xdp wanted,
	       struct attachment *a)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	struct xdp_state state = {};
	int err;

	attach_quiet_begin(&quiet);
	use_bpffs_of(links);
	a->note[0] = '\0';
	if (wanted == ATTACH_XDP_OFF)
		err = attach_xdp_remove(links, ifindex);
	else
		err = attach_wanted(ifindex, xdp_fd, wanted, a);
	if (!err)
		err = read_state(ifindex, &state);
	if (err && !a->note[0])
		attach_note(a, "XDP: %s", attach_reason(err));
	if (err)
		return err;
	a->xdp = state.ours ? state.mode : ATTACH_XDP_OFF;
	a->dispatcher = state.ours && state.dispatcher;
	return 0;
}

int attach_xdp_remove(const char *links, int ifindex)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	char path[ATTACH_PATH_SIZE];
	struct xdp_state state;
	int err = attach_path(path, links, ifindex, "xdp");

	attach_quiet_begin(&quiet);
	use_bpffs_of(links);
	if (err)
		return err;
	if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	err = read_state(ifindex, &state);
	return err ? err : take_off(ifindex, &state);
}

int attach_xdp_check(int ifindex, int xdp_fd, enum attach_xdp xdp, char *found, size_t size)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	struct xdp_state state = {};
	uint32_t id = 0;
	int err = attach_prog_id(xdp_fd, &id);

	attach_quiet_begin(&quiet);
	err = err ?: read_state(ifindex, &state);
	if (err)
		return err;
	if (state.ours && state.mode == xdp && (state.dispatcher || state.id == id))
		return 0;
	if (state.id)
		snprintf(found, size, "program %u, %s, is there", state.id,
			 attach_xdp_name(state.mode));
	else
		snprintf(found, size, "nothing is attached");
	return 1;
}
