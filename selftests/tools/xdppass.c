/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * xdppass: puts an XDP program that passes everything on a device. A veth takes frames that the
 * other end sends by XDP_TX or redirect only while it has a program of its own; the switch or NIC
 * that such a veth stands for has no such condition. The program stays until the device goes.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct nlattr xdp;
	struct nlattr fd_attr;
	int32_t fd;
	struct nlattr flags_attr;
	uint32_t flags;
};

struct reply {
	struct nlmsghdr head;
	struct nlmsgerr error;
	char rest[512];
};

static int load_program(void)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)insns,
		.insn_cnt = sizeof(insns) / sizeof(insns[0]),
		.license = (uintptr_t) "GPL",
		.prog_name = "pass",
	};
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static int ask(int sock, const struct request *request)
{
	struct reply reply = {};

	if (send(sock, request, sizeof(*request), 0) < 0 ||
	    recv(sock, &reply, sizeof(reply), 0) < 0)
		return -errno;
	return reply.head.nlmsg_type == NLMSG_ERROR ? reply.error.error : -EPROTO;
}

static int attach(int ifindex, int program, bool generic)
{
	struct request request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_SETLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex},
		.xdp = {.nla_len = sizeof(request) - offsetof(struct request, xdp),
			.nla_type = IFLA_XDP | NLA_F_NESTED},
		.fd_attr = {.nla_len = NLA_HDRLEN + sizeof(int32_t), .nla_type = IFLA_XDP_FD},
		.fd = program,
		.flags_attr = {.nla_len = NLA_HDRLEN + sizeof(uint32_t),
			       .nla_type = IFLA_XDP_FLAGS},
		.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
	};
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err;

	if (sock < 0)
		return -errno;
	err = ask(sock, &request);
	close(sock);
	return err;
}

static void usage(FILE *to)
{
	fputs("Usage: xdppass [--off] [--generic] DEV\n"
	      "  -o, --off      take the program away\n"
	      "  -g, --generic  generic mode instead of the driver's\n"
	      "  -h, --help     this text\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"off", no_argument, NULL, 'o'},
		{"generic", no_argument, NULL, 'g'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	bool off = false, generic = false;
	int opt, ifindex, err, program = -1;

	while ((opt = getopt_long(argc, argv, "ogh", options, NULL)) != -1) {
		if (opt == 'o')
			off = true;
		else if (opt == 'g')
			generic = true;
		else {
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return 2;
	}
	ifindex = if_nametoindex(argv[optind]);
	err = ifindex ? 0 : -ENODEV;
	if (!err && !off) {
		program = load_program();
		err = program < 0 ? program : 0;
	}
	if (!err)
		err = attach(ifindex, program, generic);
	if (err) {
		fprintf(stderr, "xdppass: \"%s\": %s\n", argv[optind], strerror(-err));
		return 1;
	}
	return 0;
}
