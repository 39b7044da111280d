/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The two tc programs of an interface: by pinned tcx links where the kernel has them (6.6), by
 * filters on the clsact qdisc otherwise. A program is replaced in its place; when the way of
 * attaching changes, the new way works before the old one is given up.
 */
#include "attach_parts.h"
#include "netlink_once.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <libmnl/libmnl.h>

/* Not in the headers of libbpf 1.1 and Linux 6.1. */
#define TCX_INGRESS    46
#define TCX_EGRESS     47
#define LINK_TYPE_TCX  11
#define TCX_PROGS_MAX  64
#define TCX_NO_SUCH_OP 524 /* ENOTSUPP, which has no name outside the kernel */

/*
 * One place on every device. The priority is ahead of those the kernel gives out itself (49152
 * and down) and leaves room before it; the handle is "np".
 */
#define FILTER_PRIORITY 49
#define FILTER_HANDLE	0x6e70

#define REQUEST_SIZE 256

#define CLSACT_OURS "clsact" /* a directory among the pins: the qdisc was made by nearpath */

struct hook {
	const char *name;
	const char *program;
	enum bpf_attach_type tcx;
	enum bpf_tc_attach_point point;
};

/* In order of detaching: with only egress left, what exists is still answered rightly. */
static const struct hook hooks[] = {
	{"ingress", ATTACH_PROG_INGRESS, (enum bpf_attach_type)TCX_INGRESS, BPF_TC_INGRESS},
	{"egress", ATTACH_PROG_EGRESS, (enum bpf_attach_type)TCX_EGRESS, BPF_TC_EGRESS},
};

/*
 * Whether the link sits on this very device: its number may have been given out again, and a
 * device takes its links along into another namespace, where it can have the same number.
 */
static bool tcx_is_on(int link, int ifindex, const struct hook *hook)
{
	uint32_t ids[TCX_PROGS_MAX], count = ARRAY_SIZE(ids);
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(link, &info, &size) || info.type != LINK_TYPE_TCX)
		return false;
	/* tcx's part is {ifindex, attach_type}, as netns's is {inode, attach_type}. */
	if (info.netns.netns_ino != (uint32_t)ifindex || info.netns.attach_type != hook->tcx)
		return false;
	if (bpf_prog_query(ifindex, hook->tcx, 0, NULL, ids, &count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == info.prog_id)
			return true;
	return false;
}

/* -ENOENT if there is none, or if it was one of another device, whose pin is then gone. */
static int tcx_open(const char *path, int ifindex, const struct hook *hook, int *link)
{
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	if (!tcx_is_on(fd, ifindex, hook)) {
		if (unlink(path))
			return -errno;
		return -ENOENT;
	}
	*link = TAKE_FD(fd);
	return 0;
}

static int tcx_create(const char *path, int ifindex, const struct hook *hook, int program)
{
	_cleanup_close_ int link = bpf_link_create(program, ifindex, hook->tcx, NULL);

	if (link < 0)
		return link;
	return bpf_obj_pin(link, path);
}

static int tcx_attach(const char *links, int ifindex, const struct hook *hook, int program,
		      bool *created)
{
	_cleanup_close_ int link = -1;
	char path[ATTACH_PATH_SIZE];
	int err = attach_path(path, links, ifindex, hook->name);

	if (err)
		return err;
	err = tcx_open(path, ifindex, hook, &link);
	if (!err)
		err = bpf_link_update(link, program, NULL);
	else if (err != -ENOENT)
		return err;
	if (err == -ENOLINK && unlink(path)) /* the device went just now */
		return -errno;
	if (err != -ENOENT && err != -ENOLINK)
		return err;
	err = tcx_create(path, ifindex, hook, program);
	if (!err)
		*created = true;
	return err;
}

static int tcx_remove_hook(const char *links, int ifindex, const struct hook *hook)
{
	char path[ATTACH_PATH_SIZE];

	return attach_path(path, links, ifindex, hook->name) ?: attach_remove_link(path);
}

static int tcx_remove(const char *links, int ifindex)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		int err = tcx_remove_hook(links, ifindex, &hooks[i]);

		if (err && !first)
			first = err;
	}
	return first;
}

/* Egress first: a connection that ingress translates needs it for the answer. */
static int tcx_attach_both(const char *links, int ifindex, int ingress_fd, int egress_fd)
{
	bool created = false;
	int err = tcx_attach(links, ifindex, &hooks[1], egress_fd, &created);

	if (err)
		return err;
	err = tcx_attach(links, ifindex, &hooks[0], ingress_fd, &(bool){false});
	if (err && created)
		tcx_remove_hook(links, ifindex, &hooks[1]);
	return err;
}

static struct nlmsghdr *put_request(char *buffer, uint16_t type, uint16_t flags, int ifindex,
				    uint32_t parent)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = 1;
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	return request;
}

static int see_kind(const struct nlattr *attr, void *arg)
{
	bool *clsact = arg;

	if (mnl_attr_get_type(attr) == TCA_KIND)
		*clsact = !strcmp(mnl_attr_get_str(attr), "clsact");
	return MNL_CB_OK;
}

struct kind {
	bool found;
	bool clsact;
};

static int read_kind(const struct nlmsghdr *message, void *arg)
{
	struct kind *kind = arg;

	kind->found = true;
	mnl_attr_parse(message, sizeof(struct tcmsg), see_kind, &kind->clsact);
	return MNL_CB_STOP;
}

/*
 * Whether the qdisc of the ingress side is clsact, or "ingress"; -ENOENT if there is none. Where
 * one was removed, the kernel finds a built-in one that it does not tell of: an acknowledgement
 * alone is the answer then.
 */
static int qdisc_is_clsact(int ifindex, bool *clsact)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	/* Without NLM_F_ECHO the kernel tells the listeners and not the one who asked. */
	struct nlmsghdr *request =
		put_request(buffer, RTM_GETQDISC, NLM_F_ECHO | NLM_F_ACK, ifindex, TC_H_CLSACT);
	struct kind kind = {};
	int err = netlink_once(NETLINK_ROUTE, request, read_kind, &kind);

	if (!err && !kind.found)
		return -ENOENT;
	*clsact = kind.clsact;
	return err;
}

static int count_filter(const struct nlmsghdr *message, void *arg)
{
	(void)message;
	++*(int *)arg;
	return MNL_CB_OK;
}

static bool qdisc_is_empty(int ifindex)
{
	static const uint32_t sides[] = {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS};
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE];
	int filters = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct nlmsghdr *request = put_request(buffer, RTM_GETTFILTER, NLM_F_DUMP, ifindex,
						       TC_H_MAKE(TC_H_CLSACT, sides[i]));

		if (netlink_once(NETLINK_ROUTE, request, count_filter, &filters) || filters)
			return false;
	}
	return true;
}

static int clsact_make(const char *links, int ifindex, struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char path[ATTACH_PATH_SIZE];
	bool clsact = false;
	int err = attach_path(path, links, ifindex, CLSACT_OURS);

	if (err)
		return err;
	err = qdisc_is_clsact(ifindex, &clsact);
	if (!err && !clsact) {
		/* It takes filters for the egress side too, and runs them at ingress. */
		attach_note(a, "an ingress qdisc is there: replace it by clsact (tc qdisc)");
		return -EBUSY;
	}
	if (!err)
		return 0;
	if (err != -ENOENT)
		return err;
	err = bpf_tc_hook_create(&hook);
	if (err == -EEXIST)
		return 0;
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	return err;
}

/* The program of the filter in nearpath's place. Errors: there is no filter, or no qdisc. */
static int filter_query(int ifindex, const struct hook *hook, uint32_t *program)
{
	LIBBPF_OPTS(bpf_tc_hook, where, .ifindex = ifindex, .attach_point = hook->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	int err = bpf_tc_query(&where, &opts);

	if (!err)
		*program = opts.prog_id;
	else
		attach_reason(err); /* that there is none must not explain a later error */
	return err;
}

void attach_tc_ids(const char *links, int ifindex, uint32_t *id)
{
	static const int hook_of[] = {NP_HOOK_INGRESS, NP_HOOK_EGRESS};
	struct bpf_link_info info;
	char path[ATTACH_PATH_SIZE];
	uint32_t size, found;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		_cleanup_close_ int link = -1;

		found = 0;
		size = sizeof(info);
		memset(&info, 0, size);
		if (!attach_path(path, links, ifindex, hooks[i].name))
			link = bpf_obj_get(path);
		if (link >= 0 && tcx_is_on(link, ifindex, &hooks[i]) &&
		    !bpf_obj_get_info_by_fd(link, &info, &size))
			found = info.prog_id;
		else
			filter_query(ifindex, &hooks[i], &found);
		if (attach_prog_is(found, hooks[i].program))
			id[hook_of[i]] = found;
	}
}

static int filter_attach(int ifindex, const struct hook *hook, int program, bool *created,
			 struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, where, .ifindex = ifindex, .attach_point = hook->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = program);
	uint32_t id = 0;
	int err;

	if (!filter_query(ifindex, hook, &id)) {
		if (!attach_prog_is(id, hook->program)) {
			attach_note(a, "another %s filter has priority %d, handle 0x%x: move it",
				    hook->name, FILTER_PRIORITY, FILTER_HANDLE);
			return -EBUSY;
		}
		opts.flags = BPF_TC_F_REPLACE;
	}
	err = bpf_tc_attach(&where, &opts);
	if (!err)
		*created = !opts.flags;
	return err;
}

static int filter_remove(int ifindex, const struct hook *hook)
{
	LIBBPF_OPTS(bpf_tc_hook, where, .ifindex = ifindex, .attach_point = hook->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	uint32_t id = 0;

	if (filter_query(ifindex, hook, &id) || !attach_prog_is(id, hook->program))
		return 0;
	return bpf_tc_detach(&where, &opts);
}

/* The qdisc goes if nearpath brought it and nobody else has come to use it. */
static int qdisc_release(const char *links, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char path[ATTACH_PATH_SIZE];
	int err = attach_path(path, links, ifindex, CLSACT_OURS);

	if (err)
		return err;
	if (rmdir(path))
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (qdisc_is_empty(ifindex))
		bpf_tc_hook_destroy(&hook);
	return 0;
}

static int clsact_remove(const char *links, int ifindex)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		int err = filter_remove(ifindex, &hooks[i]);

		if (err && !first)
			first = err;
	}
	return first ? first : qdisc_release(links, ifindex);
}

static int clsact_attach_both(const char *links, int ifindex, int ingress_fd, int egress_fd,
			      struct attachment *a)
{
	bool created = false;
	int err = clsact_make(links, ifindex, a);

	if (err)
		return err;
	err = filter_attach(ifindex, &hooks[1], egress_fd, &created, a);
	if (!err) {
		err = filter_attach(ifindex, &hooks[0], ingress_fd, &(bool){false}, a);
		if (err && created)
			filter_remove(ifindex, &hooks[1]);
	}
	if (err && qdisc_is_empty(ifindex))
		qdisc_release(links, ifindex);
	return err;
}

/* A kernel before 6.6 knows no such attach type. */
static bool without_tcx(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -TCX_NO_SUCH_OP;
}

int attach_tc(const char *links, int ifindex, int ingress_fd, int egress_fd, bool prefer_clsact,
	      struct attachment *a)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	enum attach_tc tc = ATTACH_TC_TCX;
	int err = attach_make_dir(links), left;

	attach_quiet_begin(&quiet);
	a->note[0] = '\0';
	if (!err && !prefer_clsact)
		err = tcx_attach_both(links, ifindex, ingress_fd, egress_fd);
	if (prefer_clsact ? !err : without_tcx(err)) {
		tc = ATTACH_TC_CLSACT;
		err = clsact_attach_both(links, ifindex, ingress_fd, egress_fd, a);
	}
	if (err && !a->note[0])
		attach_note(a, "tc: %s", attach_reason(err));
	if (err)
		return err;
	a->tc = tc;
	/* For a moment both run; a packet that is translated already is none that they change. */
	left = tc == ATTACH_TC_TCX ? clsact_remove(links, ifindex) : tcx_remove(links, ifindex);
	if (left)
		attach_note(a, "tc: the earlier attachment stays: %s", attach_reason(left));
	return 0;
}

int detach_tc(const char *links, int ifindex)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	int tcx, clsact;

	attach_quiet_begin(&quiet);
	tcx = tcx_remove(links, ifindex);
	clsact = clsact_remove(links, ifindex);
	return tcx ? tcx : clsact;
}

/* In place, or what is there instead. */
static bool is_there(int ifindex, const struct hook *hook, enum attach_tc tc, uint32_t id)
{
	uint32_t ids[TCX_PROGS_MAX], count = ARRAY_SIZE(ids), found = 0;

	if (tc == ATTACH_TC_CLSACT)
		return !filter_query(ifindex, hook, &found) && found == id;
	if (bpf_prog_query(ifindex, hook->tcx, 0, NULL, ids, &count))
		return false;
	while (count--)
		if (ids[count] == id)
			return true;
	return false;
}

int attach_tc_check(int ifindex, bool egress, int fd, enum attach_tc tc, char *found, size_t size)
{
	_cleanup_quiet_ struct attach_quiet quiet;
	const struct hook *hook = &hooks[egress];
	uint32_t id = 0;
	int rc = attach_prog_id(fd, &id);

	attach_quiet_begin(&quiet);
	if (rc || is_there(ifindex, hook, tc, id))
		return rc;
	snprintf(found, size, "program \"%s\" (id %u) is not attached", hook->program, id);
	return 1;
}
