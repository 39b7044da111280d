/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Attaching to real devices of a namespace of its own, with programs that do nothing. */
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach.h"
#include "util.h"

#define TCX_INGRESS 46
#define TCX_EGRESS  47
#define SLOT	    .handle = 0x6e70, .priority = 49 /* where nearpath's filters are */

static char links[64];
static int np0; /* one end of a veth */
static struct attachment a;

static int load(enum bpf_prog_type type, const char *name, int verdict)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, name, "GPL", code, ARRAY_SIZE(code), NULL);

	assert_true(fd >= 0);
	return fd;
}

static int load_tc(const char *name)
{
	return load(BPF_PROG_TYPE_SCHED_CLS, name, -1);
}

static int load_xdp(const char *name)
{
	return load(BPF_PROG_TYPE_XDP, name, XDP_PASS);
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.id;
}

/* The id of the only tcx program, 0 if there is none; the test fails if there are more. */
static uint32_t tcx_program(int ifindex, int hook)
{
	uint32_t ids[8] = {}, count = ARRAY_SIZE(ids);

	assert_int_equal(bpf_prog_query(ifindex, (enum bpf_attach_type)hook, 0, NULL, ids, &count),
			 0);
	assert_true(count <= 1);
	return count ? ids[0] : 0;
}

static uint32_t filter_program(int ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, SLOT);

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

static uint32_t link_id(int ifindex, const char *hook)
{
	_cleanup_close_ int fd = -1;
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);
	char path[128];

	snprintf(path, sizeof(path), "%s/%d-%s", links, ifindex, hook);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.id;
}

static uint32_t xdp_program(int ifindex, uint32_t *generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	assert_int_equal(bpf_xdp_query(ifindex, 0, &opts), 0);
	*generic = opts.skb_prog_id;
	return opts.drv_prog_id;
}

static int has_clsact(const char *device)
{
	return !run_any("tc qdisc show dev %s | grep -q clsact", device);
}

static int count_pins(void)
{
	DIR *dir = opendir(links);
	int count = 0;

	if (!dir)
		return -1;
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* Runs in a process of its own that ends by SIGKILL when it has attached. */
static void attach_and_be_killed(int ingress, int egress, int xdp)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (attach_tc(links, np0, ingress, egress, false, &a) ||
		    (xdp >= 0 && attach_xdp(links, np0, xdp, ATTACH_XDP_NATIVE, &a)))
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void tcx_programs_are_replaced_in_their_links(void **state)
{
	_cleanup_close_ int in1 = load_tc("np_ingress"), out1 = load_tc("np_egress");
	_cleanup_close_ int in2 = load_tc("np_ingress"), out2 = load_tc("np_egress");
	uint32_t in_link, out_link;

	(void)state;
	assert_int_equal(attach_tc(links, np0, in1, out1, false, &a), 0);
	assert_int_equal(a.tc, ATTACH_TC_TCX);
	assert_string_equal(a.note, "");
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in1));
	assert_int_equal(tcx_program(np0, TCX_EGRESS), program_id(out1));
	in_link = link_id(np0, "ingress");
	out_link = link_id(np0, "egress");
	assert_true(in_link && out_link);

	assert_int_equal(attach_tc(links, np0, in2, out2, false, &a), 0);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in2));
	assert_int_equal(tcx_program(np0, TCX_EGRESS), program_id(out2));
	assert_int_equal(link_id(np0, "ingress"), in_link);
	assert_int_equal(link_id(np0, "egress"), out_link);
	assert_false(has_clsact("np0"));
}

static void detaching_twice_is_no_error(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	assert_int_equal(detach_tc(links, np0), 0);
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(detach_tc(links, np0), 0);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), 0);
	assert_int_equal(tcx_program(np0, TCX_EGRESS), 0);
	assert_int_equal(count_pins(), 0);
	assert_int_equal(detach_tc(links, np0), 0);
}

static void what_a_killed_daemon_attached_stays_and_is_taken_over(void **state)
{
	_cleanup_close_ int in1 = load_tc("np_ingress"), out1 = load_tc("np_egress");
	_cleanup_close_ int in2 = load_tc("np_ingress"), out2 = load_tc("np_egress");
	_cleanup_close_ int xdp1 = load_xdp("np_xdp"), xdp2 = load_xdp("np_xdp");
	uint32_t in_link, generic;

	(void)state;
	attach_and_be_killed(in1, out1, xdp1);
	in_link = link_id(np0, "ingress");
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in1));
	assert_int_equal(tcx_program(np0, TCX_EGRESS), program_id(out1));
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp1));

	assert_int_equal(attach_tc(links, np0, in2, out2, false, &a), 0);
	assert_int_equal(attach_xdp(links, np0, xdp2, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(link_id(np0, "ingress"), in_link);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in2));
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp2));
}

static void clsact_filters_are_replaced_in_their_place(void **state)
{
	_cleanup_close_ int in1 = load_tc("np_ingress"), out1 = load_tc("np_egress");
	_cleanup_close_ int in2 = load_tc("np_ingress"), out2 = load_tc("np_egress");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in1, out1, true, &a), 0);
	assert_int_equal(a.tc, ATTACH_TC_CLSACT);
	assert_string_equal(a.note, "");
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), program_id(in1));
	assert_int_equal(filter_program(np0, BPF_TC_EGRESS), program_id(out1));
	run("tc filter show dev np0 ingress | grep -q 'direct-action'");

	assert_int_equal(attach_tc(links, np0, in2, out2, true, &a), 0);
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), program_id(in2));
	assert_int_equal(filter_program(np0, BPF_TC_EGRESS), program_id(out2));
	run("test $(tc filter show dev np0 ingress | grep -c 'np_ingress') = 1");

	assert_int_equal(detach_tc(links, np0), 0);
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), 0);
	assert_false(has_clsact("np0"));
	assert_int_equal(count_pins(), 0);
}

static void a_clsact_qdisc_of_others_stays(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	run("tc qdisc add dev np0 clsact");
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), 0);
	assert_int_equal(detach_tc(links, np0), 0);
	assert_true(has_clsact("np0"));
}

static void a_clsact_qdisc_that_others_came_to_use_stays(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), 0);
	run("tc filter add dev np0 egress prio 5 protocol all u32 match u32 0 0");
	assert_int_equal(detach_all(links), 0);
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), 0);
	assert_int_equal(filter_program(np0, BPF_TC_EGRESS), 0);
	run("tc filter show dev np0 egress | grep -q u32");
}

static void a_filter_of_others_in_our_place_is_not_replaced(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");
	_cleanup_close_ int other = load_tc("other");
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = np0, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, SLOT, .prog_fd = other);

	(void)state;
	run("tc qdisc add dev np0 clsact");
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), -EBUSY);
	assert_non_null(strstr(a.note, "ingress"));
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), program_id(other));
	assert_int_equal(filter_program(np0, BPF_TC_EGRESS), 0);
	assert_int_equal(detach_all(links), 0);
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), program_id(other));
}

static void an_ingress_qdisc_is_refused_by_name_and_tcx_works_beside_it(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	run("tc qdisc add dev np0 ingress");
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), -EBUSY);
	assert_non_null(strstr(a.note, "ingress qdisc"));
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(a.tc, ATTACH_TC_TCX);
}

static void the_way_of_attaching_can_change_both_ways(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), 0);
	assert_int_equal(a.tc, ATTACH_TC_CLSACT);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), 0);
	assert_int_equal(tcx_program(np0, TCX_EGRESS), 0);
	assert_int_equal(link_id(np0, "ingress"), 0);
	assert_int_equal(filter_program(np0, BPF_TC_EGRESS), program_id(out));

	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(a.tc, ATTACH_TC_TCX);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in));
	assert_false(has_clsact("np0"));
}

static void tcx_programs_of_others_stay(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");
	_cleanup_close_ int other = load_tc("other");
	_cleanup_close_ int link =
		bpf_link_create(other, np0, (enum bpf_attach_type)TCX_INGRESS, NULL);

	(void)state;
	assert_true(link >= 0);
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(detach_all(links), 0);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(other));
}

static void a_failed_half_leaves_nothing(void **state)
{
	_cleanup_close_ int out = load_tc("np_egress"), xdp = load_xdp("np_xdp");

	(void)state;
	assert_true(attach_tc(links, np0, xdp, out, false, &a) < 0);
	assert_string_not_equal(a.note, "");
	assert_true(attach_tc(links, np0, xdp, out, true, &a) < 0);
	assert_int_equal(tcx_program(np0, TCX_EGRESS), 0);
	assert_false(has_clsact("np0"));
	assert_int_equal(count_pins(), 0);
	assert_int_equal(attach_tc(links, 4711, out, out, false, &a), -ENODEV);
}

static void a_device_that_is_gone_leaves_pins_that_can_be_removed(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	run("ip link del np0");
	assert_int_equal(count_pins(), 2);
	assert_int_equal(detach_tc(links, np0), 0);
	assert_int_equal(count_pins(), 0);
}

static void a_new_device_with_an_old_number_gets_its_own_link(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");
	uint32_t old;

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	old = link_id(np0, "ingress");
	run("ip link del np0");
	run("ip link add np2 index %d type bridge", np0);
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_not_equal(link_id(np0, "ingress"), old);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in));
	assert_int_equal(tcx_program(np0, TCX_EGRESS), program_id(out));
}

static void a_clsact_mark_of_a_device_that_is_gone_means_nothing(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), 0);
	run("ip link del np0");
	run("ip link add np2 index %d type bridge", np0);
	assert_int_equal(attach_tc(links, np0, in, out, true, &a), 0);
	assert_int_equal(filter_program(np0, BPF_TC_INGRESS), program_id(in));
	assert_int_equal(detach_all(links), 0);
	assert_false(has_clsact("np2"));
}

/* The other namespace lives as long as this process, which waits to be killed. */
static pid_t start_namespace(void)
{
	int ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && !unshare(CLONE_NEWNET) &&
		    write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void a_device_in_another_namespace_is_another_device(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");
	pid_t other = start_namespace();

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	run("ip link set np0 netns %d", (int)other);
	run("ip link add np2 index %d type bridge", np0);
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), program_id(in));
	assert_int_equal(tcx_program(np0, TCX_EGRESS), program_id(out));
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static void native_xdp_is_replaced_in_its_place(void **state)
{
	_cleanup_close_ int xdp1 = load_xdp("np_xdp"), xdp2 = load_xdp("np_xdp");
	uint32_t generic;

	(void)state;
	assert_int_equal(attach_xdp(links, np0, xdp1, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(a.xdp, ATTACH_XDP_NATIVE);
	assert_false(a.dispatcher);
	assert_string_equal(a.note, "");
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp1));
	assert_int_equal(attach_xdp(links, np0, xdp2, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp2));
	assert_int_equal(attach_xdp(links, np0, xdp2, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp2));
}

static void the_xdp_mode_can_change_to_and_fro(void **state)
{
	_cleanup_close_ int xdp = load_xdp("np_xdp");
	uint32_t generic;

	(void)state;
	assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_GENERIC, &a), 0);
	assert_int_equal(a.xdp, ATTACH_XDP_GENERIC);
	assert_int_equal(xdp_program(np0, &generic), 0);
	assert_int_equal(generic, program_id(xdp));
	assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(xdp_program(np0, &generic), program_id(xdp));
	assert_int_equal(attach_xdp(links, np0, -1, ATTACH_XDP_OFF, &a), 0);
	assert_int_equal(a.xdp, ATTACH_XDP_OFF);
	assert_string_equal(a.note, "");
	assert_int_equal(xdp_program(np0, &generic), 0);
	assert_int_equal(attach_xdp(links, np0, -1, ATTACH_XDP_OFF, &a), 0);
}

static void where_native_is_refused_generic_is_used_and_says_why(void **state)
{
	_cleanup_close_ int xdp1 = load_xdp("np_xdp"), xdp2 = load_xdp("np_xdp");
	uint32_t generic;
	int bridge;

	(void)state;
	run("ip link add np2 type bridge");
	bridge = ifindex_of("np2");
	for (int i = 0; i < 2; i++) {
		int fd = i ? xdp2 : xdp1;

		assert_int_equal(attach_xdp(links, bridge, fd, ATTACH_XDP_NATIVE, &a), 0);
		assert_int_equal(a.xdp, ATTACH_XDP_GENERIC);
		assert_non_null(strstr(a.note, "native refused: "));
		assert_int_equal(xdp_program(bridge, &generic), 0);
		assert_int_equal(generic, program_id(fd));
	}
	assert_int_equal(attach_xdp(links, bridge, xdp1, ATTACH_XDP_GENERIC, &a), 0);
	assert_string_equal(a.note, "");
}

static void an_xdp_program_of_others_is_never_replaced(void **state)
{
	_cleanup_close_ int xdp = load_xdp("np_xdp"), other = load_xdp("other");
	static const uint32_t flags[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	uint32_t generic;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(bpf_xdp_attach(np0, other, flags[i], NULL), 0);
		assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_NATIVE, &a), -EBUSY);
		assert_non_null(strstr(a.note, "\"other\""));
		assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_GENERIC, &a), -EBUSY);
		assert_int_equal(attach_xdp(links, np0, -1, ATTACH_XDP_OFF, &a), 0);
		assert_int_equal(a.xdp, ATTACH_XDP_OFF);
		assert_int_equal(detach_all(links), 0);
		assert_int_equal(xdp_program(np0, &generic) + generic, program_id(other));
		assert_int_equal(bpf_xdp_detach(np0, flags[i], NULL), 0);
	}
}

static void xdp_errors_are_errors(void **state)
{
	_cleanup_close_ int xdp = load_xdp("np_xdp"), tc = load_tc("np_ingress");

	(void)state;
	assert_int_equal(attach_xdp(links, 4711, xdp, ATTACH_XDP_NATIVE, &a), -ENODEV);
	assert_string_not_equal(a.note, "");
	assert_true(attach_xdp(links, np0, -1, ATTACH_XDP_NATIVE, &a) < 0);
	assert_int_equal(attach_xdp(links, np0, tc, ATTACH_XDP_NATIVE, &a), -EINVAL);
}

static void detach_all_takes_off_everything_and_the_directory(void **state)
{
	_cleanup_close_ int in = load_tc("np_ingress"), out = load_tc("np_egress");
	_cleanup_close_ int xdp = load_xdp("np_xdp");
	uint32_t generic;
	int np1 = ifindex_of("np1");

	(void)state;
	assert_int_equal(attach_tc(links, np0, in, out, false, &a), 0);
	assert_int_equal(attach_xdp(links, np0, xdp, ATTACH_XDP_NATIVE, &a), 0);
	assert_int_equal(attach_tc(links, np1, in, out, true, &a), 0);
	assert_int_equal(attach_xdp(links, np1, xdp, ATTACH_XDP_GENERIC, &a), 0);
	run("ip link add np2 type bridge");
	assert_int_equal(attach_tc(links, ifindex_of("np2"), in, out, false, &a), 0);
	run("ip link del np2");

	assert_int_equal(detach_all(links), 0);
	assert_int_equal(tcx_program(np0, TCX_INGRESS), 0);
	assert_int_equal(xdp_program(np0, &generic), 0);
	assert_int_equal(xdp_program(np1, &generic), 0);
	assert_int_equal(generic, 0);
	assert_false(has_clsact("np1"));
	assert_int_equal(count_pins(), -1);
	assert_int_equal(detach_all(links), 0);
}

static void names_are_those_of_the_command_line(void **state)
{
	(void)state;
	assert_string_equal(attach_tc_name(ATTACH_TC_TCX), "tcx");
	assert_string_equal(attach_tc_name(ATTACH_TC_NONE), "none");
	assert_string_equal(attach_xdp_name(ATTACH_XDP_GENERIC), "generic");
	assert_string_equal(attach_xdp_name((enum attach_xdp)9), "unknown");
}

static int setup(void **state)
{
	(void)state;
	if (run_any("ip link add np0 type veth peer name np1"))
		return -1;
	np0 = ifindex_of("np0");
	return mkdir(links, 0700);
}

static int teardown(void **state)
{
	(void)state;
	detach_all(links);
	run_any("ip link del np0 2>/dev/null");
	run_any("ip link del np1 2>/dev/null");
	run_any("ip link del np2 2>/dev/null");
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcx_programs_are_replaced_in_their_links),
		TEST(detaching_twice_is_no_error),
		TEST(what_a_killed_daemon_attached_stays_and_is_taken_over),
		TEST(clsact_filters_are_replaced_in_their_place),
		TEST(a_clsact_qdisc_of_others_stays),
		TEST(a_clsact_qdisc_that_others_came_to_use_stays),
		TEST(a_filter_of_others_in_our_place_is_not_replaced),
		TEST(an_ingress_qdisc_is_refused_by_name_and_tcx_works_beside_it),
		TEST(the_way_of_attaching_can_change_both_ways),
		TEST(tcx_programs_of_others_stay),
		TEST(a_failed_half_leaves_nothing),
		TEST(a_device_that_is_gone_leaves_pins_that_can_be_removed),
		TEST(a_new_device_with_an_old_number_gets_its_own_link),
		TEST(a_clsact_mark_of_a_device_that_is_gone_means_nothing),
		TEST(a_device_in_another_namespace_is_another_device),
		TEST(native_xdp_is_replaced_in_its_place),
		TEST(the_xdp_mode_can_change_to_and_fro),
		TEST(where_native_is_refused_generic_is_used_and_says_why),
		TEST(an_xdp_program_of_others_is_never_replaced),
		TEST(xdp_errors_are_errors),
		TEST(detach_all_takes_off_everything_and_the_directory),
		TEST(names_are_those_of_the_command_line),
	};
	int failed;

	netns_enter();
	libbpf_set_print(NULL);
	snprintf(links, sizeof(links), "%s/links", netns_bpffs);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	netns_leave();
	return failed ? 1 : 0;
}
