/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Parsing nearpathd's options: a table of name, argument, help and a function for each. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "ifaces.h"
#include "rpc.h"
#include "util.h"

#ifndef NEARPATH_VERSION
#define NEARPATH_VERSION "0.1"
#endif

/* A setter gets the text and says in error what is wrong with it. */
typedef int (*setter)(struct options *o, const char *text, char *error, size_t size);

static char host_name[HOST_NAME_MAX + 1];

static int number(const char *text, uint32_t low, uint32_t high, uint32_t *value, char *error,
		  size_t size)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || !*text || *text == '-' || n < low || n > high) {
		snprintf(error, size, "\"%s\" is not a number from %u to %u", text, low, high);
		return -EINVAL;
	}
	*value = n;
	return 0;
}

static int set_node_name(struct options *o, const char *text, char *error, size_t size)
{
	if (!*text || strlen(text) > 253) {
		snprintf(error, size, "a node name has 1 to 253 characters");
		return -EINVAL;
	}
	o->node_name = text;
	return 0;
}

static int set_zone(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	o->zone = text;
	return 0;
}

static int set_path(const char **path, const char *text, char *error, size_t size)
{
	if (*text != '/') {
		snprintf(error, size, "\"%s\" is not an absolute path", text);
		return -EINVAL;
	}
	*path = text;
	return 0;
}

static int set_socket(struct options *o, const char *text, char *error, size_t size)
{
	if (strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(error, size, "a path longer than %zu characters is none for a socket",
			 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -EINVAL;
	}
	return set_path(&o->socket, text, error, size);
}

static int set_socket_group(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	o->socket_group = text;
	return 0;
}

static int set_bpffs(struct options *o, const char *text, char *error, size_t size)
{
	return set_path(&o->bpffs, text, error, size);
}

static int set_state_dir(struct options *o, const char *text, char *error, size_t size)
{
	return set_path(&o->state_dir, text, error, size);
}

static int set_max_flows(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 64, 1 << 24, &o->max_flows, error, size);
}

static int set_max_services(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 64, 1 << 20, &o->max_services, error, size);
}

static int set_max_backends(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 64, 1 << 20, &o->max_backends, error, size);
}

static int set_max_slots(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 64, 1 << 24, &o->max_slots, error, size);
}

static int set_ifaces(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	o->ifaces = text;
	return 0;
}

static int set_uplinks(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	o->uplinks = text;
	return 0;
}

static int set_xdp(struct options *o, const char *text, char *error, size_t size)
{
	int i;

	for (i = ATTACH_XDP_OFF; i <= ATTACH_XDP_NATIVE; i++) {
		if (!strcmp(text, attach_xdp_name(i))) {
			o->xdp = i;
			o->xdp_given = true;
			return 0;
		}
	}
	snprintf(error, size, "\"%s\" is not native, generic or off", text);
	return -EINVAL;
}

static int set_mss(struct options *o, const char *text, char *error, size_t size)
{
	uint32_t n;
	int rc;

	if (!strcmp(text, "auto")) {
		o->mss = MSS_AUTO;
		return 0;
	}
	if (!strcmp(text, "off")) {
		o->mss = MSS_OFF;
		return 0;
	}
	rc = number(text, 88, 65495, &n, error, size);
	if (rc)
		snprintf(error, size, "\"%s\" is not auto, off or a number from 88 to 65495", text);
	else
		o->mss = n;
	return rc;
}

static int set_clsact(struct options *o, const char *text, char *error, size_t size)
{
	(void)text, (void)error, (void)size;
	o->clsact = true;
	return 0;
}

static int set_masquerade_all(struct options *o, const char *text, char *error, size_t size)
{
	(void)text, (void)error, (void)size;
	o->masquerade_all = true;
	return 0;
}

static int set_snat_ports(struct options *o, const char *text, char *error, size_t size)
{
	unsigned low, high;
	char rest;

	if (sscanf(text, "%5u-%5u%c", &low, &high, &rest) != 2 || low < 1 || high > 65535 ||
	    low > high) {
		snprintf(error, size, "\"%s\" is not a range of ports such as 1024-32767", text);
		return -EINVAL;
	}
	o->snat_port_first = low;
	o->snat_port_count = high - low + 1;
	return 0;
}

static int set_cluster_cidr(struct options *o, const char *text, char *error, size_t size)
{
	int rc = cidr_list_parse(text, &o->cluster_cidr);

	if (rc)
		snprintf(error, size,
			 "\"%s\" is not a list of CIDRs such as 10.1.0.0/16,fd00:1::/48", text);
	return rc;
}

static int set_cleanup(struct options *o, const char *text, char *error, size_t size)
{
	(void)text, (void)error, (void)size;
	o->cleanup = true;
	return 0;
}

static const struct option_info {
	const char *name;
	const char *argument; /* NULL: a switch */
	setter set;
	const char *help;
} table[] = {
	{"node-name", "NAME", set_node_name,
	 "this node's name in Kubernetes (default: the host name)"},
	{"zone", "ZONE", set_zone,
	 "this node's zone (default: label topology.kubernetes.io/zone of its Node)"},
	{"socket", "PATH", set_socket, "config socket (default: " RPC_DEFAULT_PATH ")"},
	{"socket-group", "GROUP", set_socket_group, "group that may use the socket, beside root"},
	{"bpffs", "DIR", set_bpffs,
	 "bpffs directory for pins, mounted if it is none (default: /sys/fs/bpf/nearpath)"},
	{"state-dir", "DIR", set_state_dir, "last good state (default: /var/lib/nearpath)"},
	{"max-flows", "N", set_max_flows, "flow records a family (default: 262144)"},
	{"max-services", "N", set_max_services, "published frontends (default: 65536)"},
	{"max-backends", "N", set_max_backends, "backends (default: 65536)"},
	{"max-slots", "N", set_max_slots,
	 "backends, each counted in every frontend (default: 1048576)"},
	{"ifaces", "PATTERNS", set_ifaces,
	 "interfaces of pods and tunnels (default: "
	 "cali*,lxc*,veth*,cni*,flannel*,vxlan*,tunl*,wg*)"},
	{"uplinks", "PATTERNS", set_uplinks,
	 "interfaces to outside; auto: those of the default routes (default: auto)"},
	{"xdp", "MODE", set_xdp,
	 "on uplinks: native, generic or off (default: native; generic on veth)"},
	{"mss", "MSS", set_mss, "clamp the TCP MSS: auto, off or bytes (default: auto)"},
	{"clsact", NULL, set_clsact, "attach tc programs by clsact even where tcx exists"},
	{"masquerade-all", NULL, set_masquerade_all, "translate the source of all service traffic"},
	{"snat-ports", "LOW-HIGH", set_snat_ports,
	 "source ports for translation (default: 1024 to below ip_local_port_range)"},
	{"cluster-cidr", "CIDRS", set_cluster_cidr,
	 "the pods' addresses, by which pods are told apart"},
	{"cleanup", NULL, set_cleanup,
	 "remove all that nearpath made here, and only that; then exit"},
	{NULL, NULL, NULL, NULL},
};

static void print_help(void)
{
	const struct option_info *i;
	char left[64];

	printf("Usage: nearpathd [OPTION]...\n"
	       "Carry Kubernetes service traffic by tc and XDP programs. Objects arrive on the "
	       "config\n"
	       "socket; see nearpath --help.\n\n");
	for (i = table; i->name; i++) {
		snprintf(left, sizeof(left), "--%s %s", i->name, i->argument ?: "");
		printf("  %-24s %s\n", left, i->help);
	}
	printf("  %-24s %s\n  %-24s %s\n", "--help", "this text", "--version", "the version");
}

static unsigned distance(const char *a, const char *b)
{
	unsigned same = 0;

	while (a[same] && a[same] == b[same])
		same++;
	return strlen(a) + strlen(b) - 2 * same;
}

static int unknown(const char *name, char *error, size_t size)
{
	const struct option_info *i, *nearest = table;

	for (i = table; i->name; i++)
		if (distance(name, i->name) < distance(name, nearest->name))
			nearest = i;
	snprintf(error, size, "there is no option --%s; did you mean --%s? See nearpathd --help",
		 name, nearest->name);
	return -EINVAL;
}

/* One option at argv[*at]; *at moves to the next. */
static int parse_one(char **argv, int *at, struct options *o, char *error, size_t size)
{
	_cleanup_free_ char *name = strdup(argv[*at] + 2);
	const struct option_info *i = table;
	char *value = name ? strchr(name, '=') : NULL;
	char why[256];
	int rc;

	if (!name)
		return -ENOMEM;
	if (value)
		*value = '\0';
	while (i->name && strcmp(i->name, name))
		i++;
	if (!i->name)
		return unknown(name, error, size);
	if (value && !i->argument) {
		snprintf(error, size, "--%s takes no argument", name);
		return -EINVAL;
	}
	/* Setters keep what they are given: point into argv, not into the copy. */
	value = value ? strchr(argv[*at], '=') + 1 : i->argument ? argv[++*at] : NULL;
	if (i->argument && !value) {
		snprintf(error, size, "--%s wants %s", name, i->argument);
		return -EINVAL;
	}
	++*at;
	rc = i->set(o, value, why, sizeof(why));
	if (rc)
		snprintf(error, size, "--%s: %s", name, why);
	return rc;
}

static void defaults(struct options *o)
{
	gethostname(host_name, sizeof(host_name) - 1);
	*o = (struct options){
		.node_name = host_name,
		.socket = RPC_DEFAULT_PATH,
		.bpffs = "/sys/fs/bpf/nearpath",
		.state_dir = "/var/lib/nearpath",
		.max_flows = 262144,
		.max_services = 65536,
		.max_backends = 65536,
		.max_slots = 1 << 20,
		.ifaces = "cali*,lxc*,veth*,cni*,flannel*,vxlan*,tunl*,wg*",
		.uplinks = "auto",
		.xdp = ATTACH_XDP_NATIVE,
		.mss = MSS_AUTO,
		.localhost_nodeports = true,
		.healthz_bind_address = "0.0.0.0:10256",
		.metrics_bind_address = "127.0.0.1:10249",
		.sock = true,
		.max_affinity = 65536,
	};
}

int options_parse(int argc, char **argv, struct options *options, char *error, size_t size)
{
	struct options o;
	int at = 1, rc;

	defaults(&o);
	while (at < argc) {
		if (!strcmp(argv[at], "--help")) {
			print_help();
			return 1;
		}
		if (!strcmp(argv[at], "--version")) {
			printf("nearpathd %s\n", NEARPATH_VERSION);
			return 1;
		}
		if (strncmp(argv[at], "--", 2) || !argv[at][2]) {
			snprintf(error, size, "\"%s\" is not an option; see nearpathd --help",
				 argv[at]);
			return -EINVAL;
		}
		rc = parse_one(argv, &at, &o, error, size);
		if (rc)
			return rc;
	}
	*options = o;
	return 0;
}
