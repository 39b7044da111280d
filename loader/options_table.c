/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What each option of nearpathd is, takes and means: the table, and a function for each. Those of
 * kube-proxy have its names and take what it takes.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "ifaces.h"
#include "options_flows.h"
#include "options_parts.h"
#include "rpc.h"
#include "util.h"

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

/* As kube-proxy reads it: without blanks around it, in lower case. */
static int set_node_name(struct options *o, const char *text, char *error, size_t size)
{
	size_t length;
	char name[254];

	text += strspn(text, " \t");
	length = strlen(text);
	while (length && strchr(" \t", text[length - 1]))
		length--;
	if (!length || length >= sizeof(name)) {
		snprintf(error, size, "a node name has 1 to 253 characters");
		return -EINVAL;
	}
	for (size_t i = 0; i < length; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	name[length] = '\0';
	o->node_name = option_keep(name) ?: o->node_name;
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

static int set_audit_interval(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 0, 3600, &o->audit_interval, error, size);
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

static int set_redirect(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	o->redirect = text;
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
	return option_bool(text, &o->clsact, error, size);
}

static int set_masquerade_all(struct options *o, const char *text, char *error, size_t size)
{
	return option_bool(text, &o->masquerade_all, error, size);
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

static int set_cleanup(struct options *o, const char *text, char *error, size_t size)
{
	return option_bool(text, &o->cleanup, error, size);
}

/* ---- kube-proxy's ---- */

static int set_ranges(struct cidr_list *list, const char *text, char *error, size_t size)
{
	int rc = cidr_list_parse(text, list);

	if (rc == -E2BIG)
		snprintf(error, size, "more than %d ranges", CIDR_LIST_MAX);
	else if (rc)
		snprintf(error, size,
			 "\"%s\" is not a list of CIDRs such as 10.1.0.0/16,fd00:1::/48", text);
	return rc;
}

static int set_cluster_cidr(struct options *o, const char *text, char *error, size_t size)
{
	return set_ranges(&o->cluster_cidr, text, error, size);
}

static int set_service_cidr(struct options *o, const char *text, char *error, size_t size)
{
	return set_ranges(&o->service_cidr, text, error, size);
}

/* Given several times, the lists are one. */
static int set_nodeport_addresses(struct options *o, const char *text, char *error, size_t size)
{
	struct cidr_list *all = &o->nodeport_addresses, more = {};
	bool primary = !strcmp(text, "primary");

	if (primary ? all->count > 0 : *text && o->nodeport_primary) {
		snprintf(error, size, "primary stands alone, without CIDRs");
		return -EINVAL;
	}
	o->nodeport_primary |= primary;
	if (primary)
		return 0;
	if (cidr_list_parse(text, &more) == -EINVAL) {
		snprintf(error, size,
			 "\"%s\" is not primary or a list of CIDRs such as 192.168.0.0/16", text);
		return -EINVAL;
	}
	if (all->count + more.count > CIDR_LIST_MAX || set_ranges(&more, text, error, size)) {
		snprintf(error, size, "more than %d ranges", CIDR_LIST_MAX);
		return -EINVAL;
	}
	memcpy(&all->cidr[all->count], more.cidr, more.count * sizeof(*more.cidr));
	all->count += more.count;
	return 0;
}

static int set_detect_local(struct options *o, const char *text, char *error, size_t size)
{
	static const char *const modes[] = {
		[DETECT_CLUSTER_CIDR] = "ClusterCIDR",
		[DETECT_NODE_CIDR] = "NodeCIDR",
		[DETECT_BRIDGE] = "BridgeInterface",
		[DETECT_IFACE_PREFIX] = "InterfaceNamePrefix",
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!strcmp(text, modes[i]) || (!*text && i == DETECT_CLUSTER_CIDR)) {
			o->detect_local = i;
			return 0;
		}
	}
	snprintf(error, size,
		 "\"%s\" is not ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
		 text);
	return -EINVAL;
}

static int set_iface_name(const char **name, const char *text, char *error, size_t size)
{
	if (strlen(text) >= IF_NAMESIZE || strchr(text, '/')) {
		snprintf(error, size, "\"%s\" is no name of an interface: at most %d characters",
			 text, IF_NAMESIZE - 1);
		return -EINVAL;
	}
	*name = *text ? text : NULL;
	return 0;
}

static int set_pod_bridge(struct options *o, const char *text, char *error, size_t size)
{
	return set_iface_name(&o->pod_bridge, text, error, size);
}

static int set_pod_prefix(struct options *o, const char *text, char *error, size_t size)
{
	return set_iface_name(&o->pod_iface_prefix, text, error, size);
}

static int set_localhost_nodeports(struct options *o, const char *text, char *error, size_t size)
{
	return option_bool(text, &o->localhost_nodeports, error, size);
}

static int read_ip(const char *text, uint8_t *family, union np_addr *addr)
{
	union np_addr read = {};

	*family = strchr(text, ':') ? NP_IPV6 : NP_IPV4;
	if (inet_pton(*family == NP_IPV6 ? AF_INET6 : AF_INET, text, &read) != 1)
		return -EINVAL;
	*addr = read;
	return 0;
}

static int set_bind_address(struct options *o, const char *text, char *error, size_t size)
{
	if (!*text) {
		o->bind_family = 0;
		return 0;
	}
	if (!read_ip(text, &o->bind_family, &o->bind_addr))
		return 0;
	snprintf(error, size, "\"%s\" is not an address", text);
	return -EINVAL;
}

/* ip:port or [ip]:port apart; port is NULL where there is an address alone. -EINVAL: neither. */
static int split_port(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	bool bracket = *text == '[';
	size_t length = strlen(text);

	*port = NULL;
	if (colon && (colon > text && colon[-1] == ']' ? bracket : strchr(text, ':') == colon)) {
		*port = colon + 1;
		length = colon - text;
	}
	if (bracket && (length < 2 || text[length - 1] != ']'))
		return -EINVAL;
	text += bracket;
	length -= 2 * bracket;
	if (length >= size)
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	return bracket && !strchr(host, ':') ? -EINVAL : 0;
}

/* "" is nowhere; without a port, the port stays as it was. */
static int set_bind_to(struct bind_to *to, const char *text, char *error, size_t size)
{
	struct bind_to read = *to;
	char host[INET6_ADDRSTRLEN];
	const char *port;
	uint32_t n;

	if (!*text) {
		to->family = 0;
		return 0;
	}
	if (split_port(text, host, sizeof(host), &port) ||
	    read_ip(host, &read.family, &read.addr)) {
		snprintf(error, size,
			 "\"%s\" is not like 0.0.0.0:10256, [::]:10256, or an address alone", text);
		return -EINVAL;
	}
	if (port) {
		if (number(port, 1, 65535, &n, error, size))
			return -EINVAL;
		read.port = n;
	}
	*to = read;
	return 0;
}

static int set_healthz(struct options *o, const char *text, char *error, size_t size)
{
	return set_bind_to(&o->healthz, text, error, size);
}

static int set_metrics(struct options *o, const char *text, char *error, size_t size)
{
	return set_bind_to(&o->metrics, text, error, size);
}

/* The old form: a port alone; 0 is off. Where it was off, it is at its default address again. */
static int set_port_alone(struct bind_to *to, uint32_t address, const char *text, char *error,
			  size_t size)
{
	uint32_t n;
	int rc = number(text, 0, 65535, &n, error, size);

	if (rc)
		return rc;
	if (!to->family)
		*to = (struct bind_to){.family = NP_IPV4, .addr.v4 = htonl(address)};
	to->port = n;
	if (!n)
		to->family = 0;
	return 0;
}

static int set_healthz_port(struct options *o, const char *text, char *error, size_t size)
{
	option_note(o, "--healthz-port", "it is deprecated; use --healthz-bind-address");
	return set_port_alone(&o->healthz, INADDR_ANY, text, error, size);
}

static int set_metrics_port(struct options *o, const char *text, char *error, size_t size)
{
	option_note(o, "--metrics-port", "it is deprecated; use --metrics-bind-address");
	return set_port_alone(&o->metrics, INADDR_LOOPBACK, text, error, size);
}

static int set_hostname_override(struct options *o, const char *text, char *error, size_t size)
{
	return *text ? set_node_name(o, text, error, size) : 0;
}

static int set_config(struct options *o, const char *text, char *error, size_t size)
{
	(void)o, (void)text, (void)error, (void)size; /* read before all others */
	return 0;
}

static int set_kubeconfig(struct options *o, const char *text, char *error, size_t size)
{
	(void)error, (void)size;
	if (*text)
		option_note(o, "--kubeconfig",
			    "nearpathd asks no API server; objects come by the config socket");
	return 0;
}

static int set_cgroup(struct options *o, const char *text, char *error, size_t size)
{
	return set_path(&o->cgroup, text, error, size);
}

static int set_sock(struct options *o, const char *text, char *error, size_t size)
{
	if (strcmp(text, "on") && strcmp(text, "off")) {
		snprintf(error, size, "\"%s\" is not on or off", text);
		return -EINVAL;
	}
	o->sock = !strcmp(text, "on");
	return 0;
}

static int set_endpoint_removed(struct options *o, const char *text, char *error, size_t size)
{
	if (strcmp(text, "keep") && strcmp(text, "reset")) {
		snprintf(error, size, "\"%s\" is not keep or reset", text);
		return -EINVAL;
	}
	o->on_endpoint_removed =
		strcmp(text, "keep") ? ENDPOINT_REMOVED_RESET : ENDPOINT_REMOVED_KEEP;
	return 0;
}

static int set_max_affinity(struct options *o, const char *text, char *error, size_t size)
{
	return number(text, 64, 1 << 24, &o->max_affinity, error, size);
}

const struct option_info options_table[] = {
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
	{"flow-timeouts", "STATE=TIME,...", option_flow_timeouts,
	 "how long silent flows are kept, by state (default: as conntrack; established 24h)"},
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
	{"redirect", "PATTERNS", set_redirect,
	 "what comes in by these interfaces and is a flow's skips the host's stack (default: "
	 "none)"},
	{"mss", "MSS", set_mss, "clamp the TCP MSS: auto, off or bytes (default: auto)"},
	{"clsact", OPTION_BOOL, set_clsact, "attach tc programs by clsact even where tcx exists"},
	{"masquerade-all", OPTION_BOOL, set_masquerade_all,
	 "translate the source of all traffic to clusterIPs"},
	{"snat-ports", "LOW-HIGH", set_snat_ports,
	 "source ports for translation (default: 1024 to below ip_local_port_range)"},
	{"max-affinity", "N", set_max_affinity, "session affinity records (default: 65536)"},
	{"on-endpoint-removed", "keep|reset", set_endpoint_removed,
	 "what TCP connections to an endpoint do that was removed: go on, or are reset "
	 "(default: keep)"},
	{"sock", "on|off", set_sock,
	 "translate for the node's own processes when they connect (default: on)"},
	{"cgroup", "DIR", set_cgroup, "cgroup v2 of those processes (default: the root one)"},
	{"service-cidr", "CIDRS", set_service_cidr,
	 "what is in them and no service's is dropped; beside ServiceCIDR objects"},
	{"localhost-nodeports", OPTION_BOOL, set_localhost_nodeports,
	 "NodePorts answer at 127.0.0.0/8 and ::1 too (default: true)"},
	{"config", "FILE", set_config,
	 "KubeProxyConfiguration (YAML), or kubeadm's ConfigMap of it; options here win"},
	{"cluster-cidr", "CIDRS", set_cluster_cidr,
	 "the pods' addresses, by which pods are told apart"},
	{"detect-local-mode", "MODE", set_detect_local,
	 "how pods are told apart: ClusterCIDR (default), NodeCIDR, BridgeInterface or "
	 "InterfaceNamePrefix"},
	{"pod-bridge-interface", "NAME", set_pod_bridge, "the bridge of BridgeInterface"},
	{"pod-interface-name-prefix", "PREFIX", set_pod_prefix, "of InterfaceNamePrefix"},
	{"nodeport-addresses", "CIDRS", set_nodeport_addresses,
	 "addresses of this node that serve NodePorts, or primary (default: all)"},
	{"bind-address", "ADDR", set_bind_address,
	 "this node's own address (default: of its Node object)"},
	{"healthz-bind-address", "ADDR:PORT", set_healthz,
	 "/healthz and /livez; \"\" is off (default: 0.0.0.0:10256)"},
	{"metrics-bind-address", "ADDR:PORT", set_metrics,
	 "/metrics, /healthz, /proxyMode; \"\" is off (default: 127.0.0.1:10249)"},
	{"hostname-override", "NAME", set_hostname_override, "kube-proxy's name for --node-name"},
	{"conntrack-tcp-timeout-established", "TIME", option_tcp_established, NULL},
	{"conntrack-tcp-timeout-close-wait", "TIME", option_tcp_close_wait, NULL},
	{"conntrack-udp-timeout", "TIME", option_udp, NULL},
	{"conntrack-udp-timeout-stream", "TIME", option_udp_stream, NULL},
	{"kubeconfig", "FILE", set_kubeconfig, NULL},
	{"iptables-localhost-nodeports", OPTION_BOOL, set_localhost_nodeports, NULL},
	{"healthz-port", "PORT", set_healthz_port, NULL},
	{"metrics-port", "PORT", set_metrics_port, NULL},
	{"audit-interval", "SECONDS", set_audit_interval,
	 "compare tables and programs with what is wanted, and repair; 0 is off (default: 10)"},
	{"cleanup", OPTION_BOOL, set_cleanup,
	 "remove all that nearpath made here, and only that; then exit"},
	{NULL, NULL, NULL, NULL},
};
