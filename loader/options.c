/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Parsing nearpathd's command line by the tables of options, as pflag does kube-proxy's. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ifaces.h"
#include "options_parts.h"
#include "rpc.h"
#include "util.h"
#include "words.h"

#ifndef NEARPATH_VERSION
#define NEARPATH_VERSION "0.1"
#endif

#define NAMES_MAX   256
#define HELP_COLUMN 39 /* where explanations begin, and the width they keep to */
#define HELP_WIDTH  100

char *option_keep(const char *text)
{
	static char **kept;
	static size_t count;
	char **more = realloc(kept, (count + 1) * sizeof(*kept));

	if (!more)
		return NULL;
	kept = more;
	kept[count] = strdup(text);
	return kept[count] ? kept[count++] : NULL;
}

int option_bool(const char *text, bool *value, char *error, size_t size)
{
	static const char *const yes[] = {"true", "t", "1"}, *const no[] = {"false", "f", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcasecmp(text, yes[i]) || !strcasecmp(text, no[i])) {
			*value = !strcasecmp(text, yes[i]);
			return 0;
		}
	}
	snprintf(error, size, "\"%s\" is not true or false", text);
	return -EINVAL;
}

void option_note(struct options *o, const char *what, const char *why)
{
	size_t used = strlen(o->notes), left = sizeof(o->notes) - used;
	int length = snprintf(o->notes + used, left, "%s: %s\n", what, why);

	if (length < 0 || (size_t)length >= left)
		o->notes[used] = '\0'; /* whole lines only */
}

static bool is_bool(const struct option_info *i)
{
	return i->argument && !strcmp(i->argument, OPTION_BOOL);
}

/* One option: its explanation in lines of whole words, each under the other. */
static void print_option(const char *left, const char *help)
{
	size_t length;

	printf("  %-*s", HELP_COLUMN - 3, left);
	while (*help) {
		length = strnlen(help, HELP_WIDTH - HELP_COLUMN);
		while (help[length] && length && help[length] != ' ')
			length--;
		length = length ?: strcspn(help, " ");
		printf(" %.*s\n", (int)length, help);
		help += length + strspn(help + length, " ");
		if (*help)
			printf("%*s", HELP_COLUMN - 1, "");
	}
}

static void print_help(void)
{
	const struct option_info *i;
	char left[64];

	printf("Usage: nearpathd [OPTION]...\n"
	       "Carry Kubernetes service traffic by tc and XDP programs. Objects arrive on the "
	       "config\n"
	       "socket; see nearpath --help.\n\n");
	for (i = options_table; i->name; i++) {
		if (!i->help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", i->name, is_bool(i) ? "" : " ",
			 i->argument);
		print_option(left, i->help);
	}
	print_option("--help", "this text");
	print_option("--version", "the version");
	printf("\nOther options of kube-proxy are accepted and do nothing; each is noted on "
	       "stderr.\n");
}

const char *option_nearest(const char *word, const char *const *names, size_t count)
{
	const char *nearest = "";

	for (size_t i = 0; i < count; i++)
		if (!*nearest || edit_distance(word, names[i]) < edit_distance(word, nearest))
			nearest = names[i];
	return nearest;
}

static int unknown(const char *name, char *error, size_t size)
{
	const char *names[NAMES_MAX] = {"help", "version"};
	size_t count = 2;

	for (const struct option_info *i = options_table; i->name; i++)
		names[count++] = i->name;
	for (const struct option_ignored *i = options_ignored; i->name; i++)
		names[count++] = i->name;
	snprintf(error, size, "there is no option --%s; did you mean --%s? See nearpathd --help",
		 name, option_nearest(name, names, count));
	return -EINVAL;
}

/* kube-proxy takes '_' in names for '-'. */
static bool is_name(const char *name, const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (name[i] != (word[i] == '_' ? '-' : word[i]))
			return false;
	return !name[length];
}

static const struct option_info *find(const char *name, size_t length)
{
	const struct option_info *i = options_table;

	while (i->name && !is_name(i->name, name, length))
		i++;
	return i->name ? i : NULL;
}

static const struct option_ignored *find_ignored(const char *name, size_t length)
{
	const struct option_ignored *i = options_ignored;

	while (i->name && !is_name(i->name, name, length))
		i++;
	return i->name ? i : NULL;
}

const char *option_ignored_why(const char *name)
{
	const struct option_ignored *i = find_ignored(name, strlen(name));

	return i ? i->why : NULL;
}

int option_set(struct options *o, const char *name, const char *text, char *error, size_t size)
{
	const struct option_info *i = find(name, strlen(name));

	return i ? i->set(o, text, error, size) : -ENOENT;
}

/* A word of the command line: "--name=value", "--name", and of kube-proxy's letters -v and -h. */
struct word {
	const char *name;
	size_t length;
	const char *value; /* behind "=", or NULL */
};

static bool read_word(const char *text, struct word *word)
{
	const char *equals;

	if (!strncmp(text, "-v", 2) && text[2] != '-') {
		*word = (struct word){"v", 1, text[2] ? text + 2 + (text[2] == '=') : NULL};
		return true;
	}
	if (strncmp(text, "--", 2) != 0 || !text[2])
		return false;
	equals = strchr(text, '=');
	*word = (struct word){text + 2, equals ? (size_t)(equals - text - 2) : strlen(text + 2),
			      equals ? equals + 1 : NULL};
	return true;
}

bool options_knows(const char *text, bool *wants_value)
{
	const struct option_ignored *ignored;
	const struct option_info *i;
	struct word word;

	if (!read_word(text, &word))
		return false;
	i = find(word.name, word.length);
	ignored = i ? NULL : find_ignored(word.name, word.length);
	if (!i && !ignored)
		return false;
	*wants_value = !word.value && (i ? !is_bool(i) : !ignored->is_bool);
	return true;
}

/* One option at argv[*at]; *at moves to the next. */
static int parse_one(char **argv, int *at, struct options *o, char *error, size_t size)
{
	const struct option_ignored *ignored;
	const struct option_info *i;
	char name[NAMES_MAX], why[256];
	bool wants_value;
	struct word word;
	int rc;

	if (!read_word(argv[*at], &word)) {
		snprintf(error, size, "\"%s\" is not an option%s; see nearpathd --help", argv[*at],
			 *at > 1 && !strncmp(argv[*at - 1], "--", 2)
				 ? ", and the one before it takes no next word: write =VALUE"
				 : "");
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)word.length, word.name);
	if (!options_knows(argv[*at], &wants_value))
		return unknown(name, error, size);
	i = find(word.name, word.length);
	ignored = find_ignored(word.name, word.length);
	if (wants_value)
		word.value = argv[++*at];
	if (wants_value && !word.value) {
		snprintf(error, size, "--%s wants %s", name, i ? i->argument : "a value");
		return -EINVAL;
	}
	++*at;
	if (!i) {
		snprintf(why, sizeof(why), "--%s", name);
		option_note(o, why, ignored->why);
		return 0;
	}
	rc = i->set(o, word.value ?: "true", why, sizeof(why));
	if (rc)
		snprintf(error, size, "--%s: %s", name, why);
	return rc;
}

static void defaults(struct options *o)
{
	char host[HOST_NAME_MAX + 1] = "", ignored[64];

	*o = (struct options){
		.node_name = "",
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
		.healthz = {.family = NP_IPV4, .port = 10256},
		.metrics = {.family = NP_IPV4, .port = 10249, .addr.v4 = htonl(INADDR_LOOPBACK)},
		.sock = true,
		.max_affinity = 65536,
		.audit_interval = 10,
	};
	gethostname(host, sizeof(host) - 1);
	option_set(o, "node-name", host, ignored, sizeof(ignored));
}

/* What the command line last gives to an option; NULL: it does not. */
static const char *last_value(int argc, char **argv, const char *name)
{
	const char *value = NULL;
	bool wants_value;
	struct word word;

	for (int at = 1; at < argc; at++) {
		if (!options_knows(argv[at], &wants_value) || !read_word(argv[at], &word))
			continue;
		at += wants_value;
		if (is_name(name, word.name, word.length) && at < argc)
			value = wants_value ? argv[at] : word.value;
	}
	return value;
}

/* What is given must fit together. */
static int check(struct options *o, char *error, size_t size)
{
	if (o->detect_local == DETECT_BRIDGE && !o->pod_bridge) {
		snprintf(error, size,
			 "--detect-local-mode BridgeInterface wants --pod-bridge-interface too "
			 "(detectLocal.bridgeInterface)");
		return -EINVAL;
	}
	if (o->detect_local == DETECT_IFACE_PREFIX && !o->pod_iface_prefix) {
		snprintf(error, size,
			 "--detect-local-mode InterfaceNamePrefix wants "
			 "--pod-interface-name-prefix too (detectLocal.interfaceNamePrefix)");
		return -EINVAL;
	}
	if (o->cleanup)
		return 0;
	if (o->detect_local == DETECT_CLUSTER_CIDR && !o->cluster_cidr.count)
		option_note(o, "--cluster-cidr", "not given, so that pods are not told apart");
	if (o->detect_local == DETECT_NODE_CIDR)
		option_note(o, "--detect-local-mode NodeCIDR",
			    "pods are told apart once this node's Node has come, with podCIDRs");
	return 0;
}

/* The file, over the defaults; then nothing of it where a list on the command line is collected. */
static int read_config(int argc, char **argv, struct options *o, char *error, size_t size)
{
	const char *path = last_value(argc, argv, "config");
	int rc = path && *path ? config_read(o, path, error, size) : 0;

	if (last_value(argc, argv, "nodeport-addresses")) {
		o->nodeport_addresses.count = 0;
		o->nodeport_primary = false;
	}
	return rc;
}

int options_parse(int argc, char **argv, struct options *options, char *error, size_t size)
{
	struct options o;
	int at = 1, rc;

	defaults(&o);
	rc = read_config(argc, argv, &o, error, size);
	while (!rc && at < argc) {
		if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")) {
			print_help();
			return 1;
		}
		if (!strcmp(argv[at], "--version")) {
			printf("nearpathd %s\n", NEARPATH_VERSION);
			return 1;
		}
		rc = parse_one(argv, &at, &o, error, size);
	}
	rc = rc ?: check(&o, error, size);
	if (!rc)
		*options = o;
	return rc;
}
