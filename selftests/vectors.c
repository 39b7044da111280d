/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Runs decision cases through the real programs: vectors FILE.jsonl... Each line is a case: a node,
 * options, objects, and packets with what is expected of them; or endpoints with the lists that
 * kube-proxy would make of them (docs/vectors.md). Prints each difference, then the sum.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoints.h"
#include "instance.h"
#include "util.h"

#define ADDRESSES_MAX 64

static struct {
	const char *file;
	size_t line;
	const char *name; /* of the case */
	unsigned passed;
	unsigned failed;
} at;

/* Says where, and counts a failure. */
__attribute__((format(printf, 2, 3))) static void differs(const char *what, const char *format, ...)
{
	va_list args;

	printf("%s:%zu: %s%s%s: ", at.file, at.line, at.name ?: "", what ? ": " : "", what ?: "");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	at.failed++;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static bool flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static char *dump(const json_t *json)
{
	return json ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("nothing");
}

/* ---- cases with packets ---- */

static bool same(const json_t *expect, const json_t *answer, const char *key)
{
	const json_t *wanted = json_object_get(expect, key);

	return !wanted || json_equal(wanted, json_object_get(answer, key));
}

static void check_answer(const json_t *packet, const json_t *answer)
{
	const json_t *expect = json_object_get(packet, "expect");
	_cleanup_free_ char *wanted = NULL, *got = NULL;

	if (!same(expect, answer, "verdict") || !same(expect, answer, "backends") ||
	    !same(expect, answer, "snat")) {
		wanted = dump(expect);
		got = dump(answer);
		differs(text(packet, "name"), "expected %s, got %s", wanted, got);
		return;
	}
	at.passed++;
}

static void run_packet(struct instance *in, const json_t *packet)
{
	const char *to = text(packet, "to"), *what = text(packet, "name");
	_cleanup_free_ char *destination = NULL;
	struct question q;
	json_t *answer;
	char why[300];
	int rc;

	if (asprintf(&destination, strchr(to, ':') ? "[%s]:%d/%s" : "%s:%d/%s", to,
		     (int)json_integer_value(json_object_get(packet, "port")),
		     text(packet, "protocol")) < 0)
		abort();
	if (question_parse(text(packet, "from"), destination, &q, why, sizeof(why))) {
		differs(what, "%s", why);
		return;
	}
	rc = instance_explain(in, &q, &answer);
	if (rc) {
		differs(what, "the program did not answer: %s", strerror(-rc));
		return;
	}
	check_answer(packet, answer);
	json_decref(answer);
}

static int read_address(const char *from, struct kube_address *address)
{
	union np_addr addr = {};

	address->family = strchr(from, ':') ? NP_IPV6 : NP_IPV4;
	if (inet_pton(address->family == NP_IPV6 ? AF_INET6 : AF_INET, from, &addr) != 1)
		return -EINVAL;
	address->addr = addr;
	return 0;
}

static size_t read_addresses(const json_t *node, struct kube_address *address)
{
	const json_t *list = json_object_get(node, "addresses"), *item;
	size_t count = 0, i;

	json_array_foreach (list, i, item) {
		if (count < ADDRESSES_MAX &&
		    !read_address(json_string_value(item) ?: "", &address[count]))
			count++;
		else
			differs(NULL, "node.addresses[%zu] is no address", i);
	}
	return count;
}

#define OPTIONS_MAX 32

/* A list becomes "a,b", true and false their words. NULL: none of these. To free(). */
static char *option_text(const json_t *value)
{
	_cleanup_free_ char *joined = strdup("");
	const json_t *item;
	char *more;
	size_t i;

	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "true" : "false");
	if (!json_is_array(value))
		return NULL;
	json_array_foreach (value, i, item) {
		if (asprintf(&more, "%s%s%s", joined, i ? "," : "",
			     json_string_value(item) ?: "?") < 0)
			abort();
		free(joined);
		joined = more;
	}
	return TAKE_PTR(joined);
}

/* The options are nearpathd's, by name: as its command line would give them. */
static int read_options(json_t *json, const char *node, struct options *o)
{
	char error[300] = "", *argv[OPTIONS_MAX + 2] = {(char *)"vectors"};
	const char *key;
	int argc = 1, rc;
	json_t *value;

	json_object_foreach (json, key, value) {
		_cleanup_free_ char *text = option_text(value);

		if (!text || argc == OPTIONS_MAX ||
		    asprintf(&argv[argc++], "--%s=%s", key, text) < 0) {
			differs(NULL, "options: \"%s\" is no text, list of texts, true or false",
				key);
			return -EINVAL;
		}
	}
	rc = options_parse(argc, argv, o, error, sizeof(error));
	if (rc)
		differs(NULL, "options: %s", error);
	/* What options point to in the words stays for the next case: one is small. */
	o->node_name = node;
	return rc;
}

static void run_packets(struct instance *in, json_t *json)
{
	const json_t *packets = json_object_get(json, "packets"), *packet;
	const json_t *node = json_object_get(json, "node");
	struct kube_address address[ADDRESSES_MAX];
	static struct options options; /* the instance keeps it */
	struct kube_error error;
	size_t i, addresses = read_addresses(node, address);
	int rc;

	if (read_options(json_object_get(json, "options"), text(node, "name"), &options))
		return;
	rc = instance_set(in, &options, json_object_get(json, "objects"), address, addresses,
			  &error);
	if (rc == -EINVAL || rc == -ENOTSUP) {
		differs(NULL, "%s: %s: %s", error.object, error.path, error.reason);
		return;
	}
	if (rc) {
		differs(NULL, "the objects could not be published: %s", strerror(-rc));
		return;
	}
	json_array_foreach (packets, i, packet)
		run_packet(in, packet);
}

/* ---- cases of endpoint lists ---- */

#define ENDPOINTS_MAX 256
#define HINTS_MAX     16

struct hints {
	char *name[HINTS_MAX + 1];
};

static char *const *read_hints(const json_t *list, struct hints *hints)
{
	const json_t *item;
	size_t i;

	memset(hints, 0, sizeof(*hints));
	json_array_foreach (list, i, item)
		if (i < HINTS_MAX)
			hints->name[i] = (char *)json_string_value(item);
	return hints->name;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The addresses of a chosen list, sorted as strings, against the expected one. */
static void check_list(const char *which, const json_t *expect, const json_t *endpoints,
		       const uint32_t *chosen, size_t count)
{
	const json_t *wanted = json_object_get(expect, which);
	const char *name[ENDPOINTS_MAX];
	json_t *got = json_array();
	_cleanup_free_ char *left = NULL, *right = NULL;

	for (size_t i = 0; i < count; i++)
		name[i] = text(json_array_get(endpoints, chosen[i]), "address");
	qsort(name, count, sizeof(*name), by_text);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(got, json_string(name[i]));
	if (wanted && !json_equal(wanted, got)) {
		left = dump(wanted);
		right = dump(got);
		differs(which, "expected %s, got %s", left, right);
	}
	json_decref(got);
}

static void run_endpoints(const json_t *json)
{
	const json_t *list = json_object_get(json, "endpoints"), *item;
	const json_t *node = json_object_get(json, "node");
	const json_t *service = json_object_get(json, "service");
	const json_t *expect = json_object_get(json, "expect");
	const struct endpoint_rules rules = {
		.node = text(node, "name"),
		.zone = text(node, "zone"),
		.internal_local = flag(service, "internalTrafficPolicyLocal"),
		.external_local = flag(service, "externalTrafficPolicyLocal"),
		.external = json_integer_value(json_object_get(service, "nodePort")),
	};
	static struct hints zones[ENDPOINTS_MAX], nodes[ENDPOINTS_MAX];
	uint32_t cluster[ENDPOINTS_MAX], local[ENDPOINTS_MAX];
	struct endpoint endpoint[ENDPOINTS_MAX];
	struct endpoint_choice choice;
	unsigned before = at.failed;
	size_t i, count = 0;

	json_array_foreach (list, i, item) {
		if (count == ENDPOINTS_MAX)
			break;
		endpoint[count] = (struct endpoint){
			.local = flag(item, "local"),
			.ready = flag(item, "ready"),
			.serving = flag(item, "serving"),
			.terminating = flag(item, "terminating"),
			.zone_hints = read_hints(json_object_get(item, "forZones"), &zones[count]),
			.node_hints = read_hints(json_object_get(item, "forNodes"), &nodes[count]),
		};
		count++;
	}
	choice = endpoints_choose(&rules, endpoint, count, cluster, local);
	check_list("cluster", expect, list, cluster, choice.clusters);
	check_list("local", expect, list, local, choice.locals);
	if (flag(expect, "hasAny") != choice.has_any)
		differs("hasAny", "expected %d, got %d", flag(expect, "hasAny"), choice.has_any);
	at.passed += at.failed == before;
}

/* ---- files ---- */

/* Loaded for the first case that needs it, and used for all. */
static struct instance *instance(void)
{
	static struct instance *in;
	const char *why;

	if (!in && instance_new(&in, &why)) {
		fprintf(stderr, "vectors: %s\n", why);
		exit(1);
	}
	return in;
}

static void run_line(const char *line)
{
	json_error_t error;
	json_t *json = json_loads(line, 0, &error);

	at.name = text(json, "name");
	if (!json)
		differs(NULL, "not JSON: %s", error.text);
	else if (json_object_get(json, "packets"))
		run_packets(instance(), json);
	else if (json_object_get(json, "endpoints"))
		run_endpoints(json);
	else
		differs(NULL, "neither packets nor endpoints");
	json_decref(json);
}

static int run_file(const char *name)
{
	_cleanup_free_ char *line = NULL;
	FILE *f = fopen(name, "re");
	size_t size = 0;

	if (!f) {
		fprintf(stderr, "vectors: cannot read \"%s\": %s\n", name, strerror(errno));
		return -errno;
	}
	at.file = name;
	at.line = 0;
	while (getline(&line, &size, f) > 0) {
		at.line++;
		if (line[strspn(line, " \t\r\n")])
			run_line(line);
	}
	fclose(f);
	return 0;
}

int main(int argc, char **argv)
{
	int i, unread = 0;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		fputs("Usage: vectors FILE.jsonl...\n", argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	for (i = 1; i < argc; i++)
		unread += run_file(argv[i]) != 0;
	printf("%u passed, %u failed\n", at.passed, at.failed);
	return at.failed || unread ? 1 : 0;
}
