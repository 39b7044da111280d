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

#ifndef NEARPATH_VERSION
#define NEARPATH_VERSION "0.1"
#endif

#define NAMES_MAX 256

static char host_name[HOST_NAME_MAX + 1];

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
	size_t used = strlen(o->notes);

	snprintf(o->notes + used, sizeof(o->notes) - used, "%s: %s\n", what, why);
}

static bool is_bool(const struct option_info *i)
{
	return i->argument && !strcmp(i->argument, OPTION_BOOL);
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
		printf("  %-36s %s\n", left, i->help);
	}
	printf("  %-36s %s\n  %-36s %s\n", "--help", "this text", "--version", "the version");
	printf("\nOther options of kube-proxy are accepted and do nothing; each is noted on "
	       "stderr.\n");
}

/* How many characters to insert, remove or change. */
static size_t distance(const char *from, const char *to)
{
	size_t row[NAMES_MAX], length = strlen(to), i, n, diagonal, change;

	if (length >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (n = 0; n <= length; n++)
		row[n] = n;
	for (i = 0; from[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (n = 1; n <= length; n++) {
			change = diagonal + (from[i] != to[n - 1]);
			diagonal = row[n];
			row[n] = row[n] < row[n - 1] ? row[n] + 1 : row[n - 1] + 1;
			row[n] = change < row[n] ? change : row[n];
		}
	}
	return row[length];
}

const char *option_nearest(const char *word, const char *const *names, size_t count)
{
	const char *nearest = "";

	for (size_t i = 0; i < count; i++)
		if (!*nearest || distance(word, names[i]) < distance(word, nearest))
			nearest = names[i];
	return nearest;
}

static int unknown(const char *name, char *error, size_t size)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	for (const struct option_info *i = options_table; i->name; i++)
		names[count++] = i->name;
	for (const struct option_ignored *i = options_ignored; i->name; i++)
		names[count++] = i->name;
	snprintf(error, size, "there is no option --%s; did you mean --%s? See nearpathd --help",
		 name, option_nearest(name, names, count));
	return -EINVAL;
}

static const struct option_info *find(const char *name, size_t length)
{
	const struct option_info *i = options_table;

	while (i->name && (strncmp(i->name, name, length) != 0 || i->name[length]))
		i++;
	return i->name ? i : NULL;
}

static const struct option_ignored *find_ignored(const char *name, size_t length)
{
	const struct option_ignored *i = options_ignored;

	while (i->name && (strncmp(i->name, name, length) != 0 || i->name[length]))
		i++;
	return i->name ? i : NULL;
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

/* One option at argv[*at]; *at moves to the next. set false: only past it. */
static int parse_one(char **argv, int *at, struct options *o, char *error, size_t size)
{
	const struct option_ignored *ignored;
	const struct option_info *i;
	char name[NAMES_MAX], why[256];
	bool wants_value;
	struct word word;
	int rc;

	if (!read_word(argv[*at], &word)) {
		snprintf(error, size, "\"%s\" is not an option; see nearpathd --help", argv[*at]);
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
		.healthz = {.family = NP_IPV4, .port = 10256},
		.metrics = {.family = NP_IPV4, .port = 10249, .addr.v4 = htonl(INADDR_LOOPBACK)},
		.sock = true,
		.max_affinity = 65536,
	};
}

/* The last --config of the command line; other words are looked at later. */
static const char *find_config(int argc, char **argv)
{
	const char *path = NULL;
	bool wants_value = false;

	for (int at = 1; at < argc; at++) {
		if (!strncmp(argv[at], "--config=", 9))
			path = argv[at] + 9;
		else if (!strcmp(argv[at], "--config") && at + 1 < argc)
			path = argv[at + 1];
		if (options_knows(argv[at], &wants_value) && wants_value)
			at++;
	}
	return path;
}

/* What is given must fit together. */
static int check(struct options *o, char *error, size_t size)
{
	if (o->detect_local == DETECT_BRIDGE && !o->pod_bridge) {
		snprintf(error, size,
			 "--detect-local-mode BridgeInterface wants --pod-bridge-interface too");
		return -EINVAL;
	}
	if (o->detect_local == DETECT_IFACE_PREFIX && !o->pod_iface_prefix) {
		snprintf(error, size,
			 "--detect-local-mode InterfaceNamePrefix wants "
			 "--pod-interface-name-prefix too");
		return -EINVAL;
	}
	return 0;
}

int options_parse(int argc, char **argv, struct options *options, char *error, size_t size)
{
	const char *config = find_config(argc, argv);
	struct options o;
	int at = 1, rc = 0;

	defaults(&o);
	if (config)
		rc = config_read(&o, config, error, size);
	if (rc)
		return rc;
	while (at < argc) {
		if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")) {
			print_help();
			return 1;
		}
		if (!strcmp(argv[at], "--version")) {
			printf("nearpathd %s\n", NEARPATH_VERSION);
			return 1;
		}
		rc = parse_one(argv, &at, &o, error, size);
		if (rc)
			return rc;
	}
	rc = check(&o, error, size);
	if (!rc)
		*options = o;
	return rc;
}
