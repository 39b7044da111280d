/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The command line of netload: what it may be told, its defaults and its help. */
#ifndef NEARPATH_SELFTESTS_NETLOAD_OPTIONS_H
#define NEARPATH_SELFTESTS_NETLOAD_OPTIONS_H

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SEC	1000000000ull
#define NS_PER_MS	1000000ull
#define MAX_CONCURRENCY 100000

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct options {
	union address to, from;
	bool have_to, have_from, udp, linger0, keep, json;
	uint64_t count, run_ns, interval_ns, timeout_ns, download, upload;
	uint32_t concurrency;
};

static const char netload_help[] =
	"Usage: netload --connect ADDR:PORT [options]\n"
	"  -c, --connect ADDR:PORT  the server, [ADDR]:PORT for IPv6\n"
	"  -u, --udp                one datagram and its answer instead of a connection\n"
	"  -n, --count N            connections to make (default 1 without --seconds)\n"
	"  -s, --seconds S          start connections, or --keep them, for S seconds\n"
	"  -r, --rate N             connections started a second (default: as fast as it goes)\n"
	"  -i, --interval-us US     the same as the time between two, or between --keep messages\n"
	"  -C, --concurrency N      connections at a time (default 1)\n"
	"  -t, --timeout-ms MS      longest wait for any next byte (default 3000)\n"
	"  -S, --source ADDR        bind to ADDR, ADDR:PORT or [ADDR]:PORT\n"
	"  -b, --bytes N            download N bytes over each connection and check them\n"
	"  -p, --upload N           upload N bytes over each connection, checked by the server\n"
	"  -l, --linger0            close with RST, so that no port stays in TIME_WAIT\n"
	"  -k, --keep               hold each connection --seconds, a message every interval\n"
	"  -j, --json               print the result as one JSON object\n"
	"  -h, --help               this text\n"
	"Exit: 0 all succeeded, 1 some failed, 2 usage. SIGTERM and SIGINT end the run early:\n"
	"none is started any more, and those that are kept say their last word.\n";

/* "A.B.C.D", "A.B.C.D:PORT", "V6" or "[V6]:PORT". */
static int address_parse(const char *text, union address *out)
{
	char addr[INET6_ADDRSTRLEN + 2] = "";
	const char *first = strchr(text, ':'), *port = NULL;
	union address a = {};
	unsigned long number = 0;
	char *end;

	if (*text == '[') {
		if (sscanf(text, "[%47[^]]", addr) != 1)
			return -EINVAL;
		port = strstr(text, "]:");
		port = port ? port + 1 : NULL;
	} else {
		if (first && !strchr(first + 1, ':'))
			port = first;
		snprintf(addr, sizeof(addr), "%.*s", port ? (int)(port - text) : 47, text);
	}
	if (port) {
		number = strtoul(port + 1, &end, 10);
		if (*end || !number || number > 65535)
			return -EINVAL;
	}
	if (inet_pton(AF_INET, addr, &a.in.sin_addr) == 1)
		a.in.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, addr, &a.in6.sin6_addr) == 1)
		a.in6.sin6_family = AF_INET6;
	else
		return -EINVAL;
	a.in.sin_port = htons(number); /* the same place in both families */
	*out = a;
	return 0;
}

static int number_parse(const char *text, double scale, uint64_t *out)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || value < 0 || value * scale > 1e18)
		return -EINVAL;
	*out = value * scale;
	return 0;
}

static int option_take(struct options *o, int opt, const char *arg)
{
	uint64_t n = 0;
	int err;

	switch (opt) {
	case 'c':
		o->have_to = true;
		return address_parse(arg, &o->to);
	case 'S':
		o->have_from = true;
		return address_parse(arg, &o->from);
	case 'n':
		return number_parse(arg, 1, &o->count);
	case 's':
		return number_parse(arg, NS_PER_SEC, &o->run_ns);
	case 'r':
		err = number_parse(arg, 1, &n);
		o->interval_ns = n ? NS_PER_SEC / n : 0;
		return err;
	case 'i':
		return number_parse(arg, 1000, &o->interval_ns);
	case 'C':
		err = number_parse(arg, 1, &n);
		o->concurrency = n;
		return err ? err : n && n <= MAX_CONCURRENCY ? 0 : -EINVAL;
	case 't':
		return number_parse(arg, NS_PER_MS, &o->timeout_ns);
	case 'b':
		return number_parse(arg, 1, &o->download);
	case 'p':
		return number_parse(arg, 1, &o->upload);
	default:
		return -EINVAL;
	}
}

static int options_check(struct options *o)
{
	if (!o->have_to || !o->to.in.sin_port || (o->keep && !o->run_ns))
		return -EINVAL;
	if (o->have_from && o->from.sa.sa_family != o->to.sa.sa_family)
		return -EINVAL;
	if (o->udp && (o->download || o->upload))
		return -EINVAL;
	if (!o->concurrency)
		o->concurrency = 1;
	if (!o->count && o->keep)
		o->count = o->concurrency;
	if (!o->count && !o->run_ns)
		o->count = 1;
	if (!o->timeout_ns)
		o->timeout_ns = 3000 * NS_PER_MS;
	if (o->keep && !o->interval_ns)
		o->interval_ns = 100 * NS_PER_MS;
	return 0;
}

static int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"connect", required_argument, NULL, 'c'},
		{"udp", no_argument, NULL, 'u'},
		{"count", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 's'},
		{"rate", required_argument, NULL, 'r'},
		{"interval-us", required_argument, NULL, 'i'},
		{"concurrency", required_argument, NULL, 'C'},
		{"timeout-ms", required_argument, NULL, 't'},
		{"source", required_argument, NULL, 'S'},
		{"bytes", required_argument, NULL, 'b'},
		{"upload", required_argument, NULL, 'p'},
		{"linger0", no_argument, NULL, 'l'},
		{"keep", no_argument, NULL, 'k'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int opt, err = 0;

	while (!err &&
	       (opt = getopt_long(argc, argv, "c:un:s:r:i:C:t:S:b:p:lkjh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(netload_help, stdout);
			exit(0);
		}
		if (opt == 'u')
			o->udp = true;
		else if (opt == 'l')
			o->linger0 = true;
		else if (opt == 'k')
			o->keep = true;
		else if (opt == 'j')
			o->json = true;
		else
			err = option_take(o, opt, optarg);
	}
	if (err || optind != argc)
		return -EINVAL;
	return options_check(o);
}

#endif
