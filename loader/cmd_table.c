/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The commands, and the options they take. */
#include <stdint.h>

#include "cmd.h"

#define FILES                                                                                      \
	"FILE holds Service, EndpointSlice, Node and ServiceCIDR objects as\n"                     \
	"\"kubectl get -o json\" prints them: one object, a List, an array, or several of\n"       \
	"these. - is standard input.\n"

const struct cmd cmd_table[] = {
	{
		.verb = "apply",
		.words = "-f FILE...",
		.summary = "Add or change objects",
		.details = FILES
		"All files are one change. If something is wrong with it, nothing is done;\n"
		"Services for which there is no room are refused by name, and all else is done.\n\n"
		"  kubectl get services,endpointslices,nodes -A -o json | nearpath apply -f -",
		.options = CMD_OPT_FILE,
		.run = cmd_apply,
	},
	{
		.verb = "replace",
		.words = "-f FILE...",
		.summary = "Make the files' objects the only ones",
		.details = FILES "Objects that are in none of the files are removed.",
		.options = CMD_OPT_FILE | CMD_OPT_EMPTY,
		.run = cmd_replace,
	},
	{
		.verb = "delete",
		.words = "-f FILE... | KIND [NAMESPACE/]NAME",
		.summary = "Remove objects",
		.details = FILES
		"KIND is service, endpointslice, node or servicecidr (the last two have no\n"
		"namespace). Without a\n"
		"namespace it is \"default\". An object that is not there is no failure.",
		.options = CMD_OPT_FILE | CMD_OPT_NAMESPACE,
		.max_words = 2,
		.run = cmd_delete,
	},
	{
		.verb = "sync",
		.summary = "End a delivery: what did not come in it is removed",
		.details =
			"The daemon's start begins a delivery, and so does \"sync --begin\". "
			"Until\n"
			"it ends nothing is removed for not having been sent. \"replace\" ends it "
			"too.\n\n"
			"  nearpath sync --begin\n"
			"  nearpath apply -f a.json\n"
			"  nearpath apply -f b.json\n"
			"  nearpath sync",
		.options = CMD_OPT_BEGIN,
		.run = cmd_sync,
	},
	{
		.object = "service",
		.verb = "list",
		.summary = "List service ports",
		.options = CMD_OPT_NAMESPACE,
		.run = cmd_service_list,
	},
	{
		.object = "service",
		.verb = "get",
		.words = "[NAMESPACE/]NAME",
		.summary = "Show a service: its addresses, the policy, who serves",
		.details = "Without a namespace it is \"default\".",
		.options = CMD_OPT_NAMESPACE,
		.min_words = 1,
		.max_words = 1,
		.run = cmd_service_get,
	},
	{
		.object = "backend",
		.verb = "list",
		.summary = "List the backends in the tables",
		.run = cmd_backend_list,
	},
	{
		.object = "flow",
		.verb = "list",
		.summary = "List connections as the kernel tracks them",
		.options = CMD_OPT_LIMIT,
		.run = cmd_flow_list,
	},
	{
		.object = "iface",
		.verb = "list",
		.summary = "List interfaces, what is wanted and what is attached",
		.run = cmd_iface_list,
	},
	{
		.object = "iface",
		.verb = "set",
		.words = "DEV SETTING=VALUE...",
		.summary = "Change the switches of an interface",
		.details =
			"  lb=on|drain|off         balance; drain keeps the connections there are\n"
			"  xdp=native|generic|off  XDP in the driver, in the stack, or not at all\n"
			"  mss=auto|off|N          clamp the TCP MSS; N is from 88 to 65495\n"
			"  stats=on|off            count packets\n"
			"  redirect=on|off         flows from here skip the stack and its rules",
		.min_words = 2,
		.max_words = SIZE_MAX,
		.run = cmd_iface_set,
	},
	{
		.verb = "takeover",
		.summary = "Take new connections over from kube-proxy, or give them back",
		.details =
			"All interfaces get lb=on, or with --undo lb=drain, and connections of "
			"the\nnode's own processes go with them. None that lives is broken: "
			"what\nkube-proxy began goes on through conntrack, what nearpath began "
			"with\nnearpath. Tells what is left of the other side: docs/takeover.md.",
		.options = CMD_OPT_UNDO,
		.run = cmd_takeover,
	},
	{
		.verb = "explain",
		.words = "FROM TO:PORT[/PROTOCOL]",
		.summary = "Say what would happen to a new connection, and why",
		.details =
			"FROM is an address; TO:PORT is like 10.96.0.10:80, 10.96.0.10:53/udp or\n"
			"[fd00::10]:80/sctp. The loaded program itself is asked; nothing comes of "
			"it.\n"
			"Without a daemon, on objects from a file and with nearpathd's own "
			"options:\n\n"
			"  nearpath explain --state FILE --node-name NAME [OPTION]... FROM TO:PORT",
		.options = CMD_OPT_STATE | CMD_OPT_DAEMON | CMD_OPT_HOST_ADDRESSES,
		.min_words = 2,
		.max_words = 2,
		.run = cmd_explain,
	},
	{
		.verb = "status",
		.summary = "Show how the daemon and its tables are",
		.details = "Exit code 1 says that tables or programs are not as wanted: see\n"
			   "\"nearpath diff\".",
		.run = cmd_status,
	},
	{
		.verb = "diff",
		.summary = "Show where the kernel's tables are not what is wanted",
		.details =
			"The tables and programs are read and compared as they are now. Exit code "
			"1\n"
			"says that something differs; the daemon's audit puts it right within its\n"
			"next round (--audit-interval of nearpathd).",
		.run = cmd_diff,
	},
	{
		.verb = "watch",
		.summary = "Print changes as they happen, one a line, until interrupted",
		.run = cmd_watch,
	},
	{
		.verb = "version",
		.summary = "Show the version of this command and of the daemon",
		.run = cmd_version,
	},
	{},
};

const struct cmd_option_info cmd_options[] = {
	{CMD_OPT_FILE, 'f', "file", "FILE", "read objects from FILE; may be repeated"},
	{CMD_OPT_NAMESPACE, 'n', "namespace", "NS", "only this namespace"},
	{CMD_OPT_LIMIT, 0, "limit", "N", "at most N"},
	{CMD_OPT_STATE, 0, "state", "FILE", "without a daemon: the objects are in FILE"},
	{CMD_OPT_HOST_ADDRESSES, 0, "host-addresses", "ADDRS",
	 "with --state: more addresses of the node"},
	{CMD_OPT_UNDO, 0, "undo", NULL, "go back to kube-proxy"},
	{CMD_OPT_BEGIN, 0, "begin", NULL, "begin a delivery instead of ending it"},
	{CMD_OPT_EMPTY, 0, "empty", NULL, "even if that leaves no object at all"},
	{CMD_OPT_OUTPUT, 'o', "output", "text|json", "how to print (text)"},
	{CMD_OPT_SOCKET, 0, "socket", "PATH", "the daemon's socket"},
	{CMD_OPT_HELP, 'h', "help", NULL, "help for the command"},
	{},
};
