/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Prints the Kubernetes objects that the benchmarks share, as one List of a line: so many ClusterIP
 * Services, each with an EndpointSlice. One of them may be the tested one, whose endpoint is real;
 * its place among the others is chosen, since kube-proxy's rules are in the order of the objects.
 * Or there is one at each of the places, so that one set of rules serves to measure them all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER_IPS   0x0A600000U /* 10.96.0.0/12; the first sixteen are left for the tested one */
#define CLUSTER_FIRST 16
#define CLUSTER_MAX   1000000
#define PODS	      0x0A800000U /* 10.128.0.0/9 */
#define PODS_MAX      8388608
#define SLICE_MAX     100 /* endpoints of one slice, as Kubernetes' controller makes them */
#define NAMESPACE_OF  100 /* services of one namespace */
#define TESTED_IP     (CLUSTER_IPS + 1) /* and the next two */
#define PLACES	      3

struct options {
	long services;
	long endpoints;
	long place[PLACES]; /* of the tested services, from 0; -1: there is none */
	const char *tested; /* their endpoint, ADDRESS:PORT */
};

static void usage(void)
{
	fputs("usage: objects [-t ADDRESS:PORT [-p first|middle|last|each]] SERVICES ENDPOINTS\n"
	      "Prints SERVICES (to 1000000) Services with ENDPOINTS endpoints each (to 8388608 in\n"
	      "all) as a List. With -t one of them is bench/tested at 10.96.0.1:80, with this one\n"
	      "endpoint; -p: its place in the list (first). With \"each\" there is one at each "
	      "place,\n"
	      "as far as there are as many: bench/tested at 10.96.0.1, bench/tested-middle at\n"
	      "10.96.0.2, bench/tested-last at 10.96.0.3.\n",
	      stderr);
	exit(2);
}

static const char *address(uint32_t ip)
{
	static char text[INET_ADDRSTRLEN];
	struct in_addr a = {.s_addr = htonl(ip)};

	inet_ntop(AF_INET, &a, text, sizeof(text));
	return text;
}

static void print_service(const char *namespace, const char *name, uint32_t ip)
{
	printf("{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
	       "\"namespace\":\"%s\"},\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\","
	       "\"port\":80,\"targetPort\":8080}],\"selector\":{\"app\":\"%s\"},\"clusterIP\":\"%s"
	       "\",",
	       name, namespace, name, address(ip));
	printf("\"clusterIPs\":[\"%s\"],\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\","
	       "\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\","
	       "\"internalTrafficPolicy\":\"Cluster\"},\"status\":{\"loadBalancer\":{}}}",
	       address(ip));
}

static void begin_slice(const char *namespace, const char *name, long number, const char *port)
{
	printf(",\n{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":"
	       "{\"name\":\"%s-%ld\",\"namespace\":\"%s\",\"labels\":{"
	       "\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":["
	       "{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":%s}],\"endpoints\":[",
	       name, number, namespace, name, port);
}

static void print_endpoint(const char *ip, long number)
{
	printf("{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true,\"serving\":true,"
	       "\"terminating\":false},\"nodeName\":\"node-%ld\",\"zone\":\"zone-%c\"}",
	       ip, number % 100, (int)('a' + number % 3));
}

static void print_other(const struct options *o, long number)
{
	char namespace[32], name[32];

	snprintf(namespace, sizeof(namespace), "bench-%ld", number / NAMESPACE_OF);
	snprintf(name, sizeof(name), "service-%ld", number);
	print_service(namespace, name, CLUSTER_IPS + CLUSTER_FIRST + (uint32_t)number);
	for (long i = 0; i < o->endpoints; i++) {
		long pod = number * o->endpoints + i;

		if (i % SLICE_MAX == 0)
			begin_slice(namespace, name, i / SLICE_MAX, "8080");
		print_endpoint(address(PODS + (uint32_t)pod), pod);
		fputs(i + 1 == o->endpoints || i % SLICE_MAX == SLICE_MAX - 1 ? "]}" : ",", stdout);
	}
}

static void print_tested(const char *endpoint, int place)
{
	static const char *const names[PLACES] = {"tested", "tested-middle", "tested-last"};
	char ip[INET_ADDRSTRLEN];
	const char *colon = strchr(endpoint, ':');

	if (!colon || colon - endpoint >= (int)sizeof(ip))
		usage();
	snprintf(ip, sizeof(ip), "%.*s", (int)(colon - endpoint), endpoint);
	print_service("bench", names[place], TESTED_IP + (uint32_t)place);
	begin_slice("bench", names[place], 0, colon + 1);
	print_endpoint(ip, 0);
	fputs("]}", stdout);
}

static long number(const char *text, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || end == text || n < min || n > max)
		usage();
	return n;
}

static void parse_place(struct options *o, const char *place)
{
	if (!strcmp(place, "middle"))
		o->place[0] = o->services / 2;
	else if (!strcmp(place, "last"))
		o->place[0] = o->services - 1;
	else if (strcmp(place, "first") && strcmp(place, "each"))
		usage();
	for (int i = 1; i < PLACES; i++)
		o->place[i] = -1;
	if (strcmp(place, "each"))
		return;
	if (o->services > 2)
		o->place[1] = o->services / 2;
	if (o->services > 1)
		o->place[2] = o->services - 1;
}

/* Which of the tested services stands there; -1: none. */
static int tested_at(const struct options *o, long number)
{
	for (int i = 0; o->tested && i < PLACES; i++)
		if (o->place[i] == number)
			return i;
	return -1;
}

static void parse_options(int argc, char **argv, struct options *o)
{
	const char *place = "first";
	int c;

	while ((c = getopt(argc, argv, "t:p:h")) != -1) {
		if (c == 't')
			o->tested = optarg;
		else if (c == 'p')
			place = optarg;
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	o->services = number(argv[optind], 1, CLUSTER_MAX);
	o->endpoints = number(argv[optind + 1], 1, PODS_MAX / o->services);
	parse_place(o, place);
}

int main(int argc, char **argv)
{
	struct options o = {0};

	parse_options(argc, argv, &o);
	fputs("{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[", stdout);
	for (long i = 0; i < o.services; i++) {
		int place = tested_at(&o, i);

		fputs(i ? ",\n" : "\n", stdout);
		if (place >= 0)
			print_tested(o.tested, place);
		else
			print_other(&o, i);
	}
	fputs("\n]}\n", stdout);
	return ferror(stdout) || fclose(stdout) ? 1 : 0;
}
