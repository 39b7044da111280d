/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Ending sockets, on real ones of a namespace of its own. What the programs would have noted of
 * them is written by the test.
 */
#include "netns.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "sockets.h"
#include "util.h"

#define FRONTEND htonl(0x0A600001) /* 10.96.0.1 */
#define PORT(n)	 htons(7000 + (n)) /* of backend n, at a loopback address */

static struct tables *tables;
static int peers;

/* Of sockets from now on. */
static int type = SOCK_DGRAM;
static uint8_t protocol = IPPROTO_UDP;
static const char *device; /* they are bound to it; NULL: to none */
static const char *backend4 = "127.0.0.1";

/* What judge() was asked, and what it keeps: backends by port. */
static struct {
	int asked;
	__be16 kept;
	uint8_t family;
	uint8_t protocol;
	uint32_t service;
	union np_addr frontend;
	__be16 frontend_port;
} saw;

static enum flow_fate judge(const struct flow_ends *e, void *arg)
{
	(void)arg;
	saw.asked++;
	saw.family = e->family;
	saw.protocol = e->protocol;
	saw.service = e->service;
	saw.frontend = *e->frontend;
	saw.frontend_port = e->frontend_port;
	return e->backend_port == saw.kept ? FLOW_STAYS : FLOW_DEPARTED;
}

/* A socket connected to backend n: of AF_INET6 with the address mapped if it is IPv4. */
static int connected(int domain, uint8_t family, int n)
{
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = PORT(n)};
	struct sockaddr_in four = {
		.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(backend4), .sin_port = PORT(n)};
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (device)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
					    (socklen_t)strlen(device)),
				 0);
	if (family == NP_IPV4)
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
	if (domain == AF_INET)
		assert_int_equal(connect(fd, (struct sockaddr *)&four, sizeof(four)), 0);
	else
		assert_int_equal(connect(fd, (struct sockaddr *)&six, sizeof(six)), 0);
	return fd;
}

/* As the programs note it when connect() was to a frontend. */
static void promise(int fd, uint8_t family, int n)
{
	struct np_sock value = {};
	struct np_peer *p = &value.peer[NP_SOCK_CONNECTED];

	p->frontend.v4 = FRONTEND;
	p->frontend_port = htons(53);
	p->family = family;
	p->protocol = protocol;
	p->backend_port = PORT(n);
	if (family == NP_IPV4)
		p->backend.v4 = inet_addr(backend4);
	else
		p->backend.word[3] = htonl(1);
	assert_int_equal(bpf_map_update_elem(peers, &fd, &value, BPF_ANY), 0);
}

static int error_of(int fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	return error;
}

static int end_sockets(void)
{
	int rc;

	saw.asked = 0;
	rc = sockets_end_of(tables, protocol, judge, NULL);
	if (rc == -EOPNOTSUPP)
		skip();
	return rc;
}

static void those_of_departed_backends_are_ended(void **state)
{
	int gone = connected(AF_INET, NP_IPV4, 1), stays = connected(AF_INET, NP_IPV4, 2);
	int direct = connected(AF_INET, NP_IPV4, 1);

	(void)state;
	promise(gone, NP_IPV4, 1);
	promise(stays, NP_IPV4, 2);
	saw.kept = PORT(2);
	assert_int_equal(end_sockets(), 1);
	assert_int_equal(saw.asked, 2);
	assert_int_equal(error_of(gone), ECONNABORTED);
	assert_int_equal(error_of(stays), 0);
	assert_int_equal(error_of(direct), 0);
	assert_int_equal(end_sockets(), 0);
	assert_int_equal(saw.asked, 1);
	close(gone);
	close(stays);
	close(direct);
}

static void both_families_and_the_mapped_one(void **state)
{
	static const struct {
		int domain;
		uint8_t family;
	} kinds[] = {{AF_INET, NP_IPV4}, {AF_INET6, NP_IPV6}, {AF_INET6, NP_IPV4}};

	(void)state;
	saw.kept = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int fd = connected(kinds[i].domain, kinds[i].family, 1);

		promise(fd, kinds[i].family, 1);
		assert_int_equal(end_sockets(), 1);
		assert_int_equal(saw.family, kinds[i].family);
		assert_int_equal(saw.frontend.v4, FRONTEND);
		assert_int_equal(saw.frontend_port, htons(53));
		assert_int_equal(saw.protocol, protocol);
		assert_int_equal(saw.service, FLOW_NO_SERVICE);
		assert_int_equal(error_of(fd), ECONNABORTED);
		close(fd);
	}
}

/* It may have been connected elsewhere, or not at all, since. */
static void what_is_no_longer_so_is_not_asked_for(void **state)
{
	int elsewhere = connected(AF_INET, NP_IPV4, 3);
	int never = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int direct = connected(AF_INET, NP_IPV4, 1);

	(void)state;
	promise(elsewhere, NP_IPV4, 1);
	promise(never, NP_IPV4, 1);
	promise(direct, 0, 1);
	saw.kept = 0;
	assert_int_equal(end_sockets(), 0);
	assert_int_equal(saw.asked, 0);
	close(elsewhere);
	close(never);
	close(direct);
}

static void those_bound_to_a_device(void **state)
{
	int gone, dead, other;

	(void)state;
	run("ip link add uplink type veth peer name far && ip link set uplink up &&"
	    " ip addr add 192.0.2.1/24 dev uplink");
	saw.kept = 0;
	device = "uplink";
	backend4 = "192.0.2.2";
	gone = connected(AF_INET, NP_IPV4, 1);
	dead = connected(AF_INET, NP_IPV4, 2);
	promise(gone, NP_IPV4, 1);
	assert_int_equal(end_sockets(), 1);
	assert_int_equal(error_of(gone), ECONNABORTED);
	promise(dead, NP_IPV4, 2);
	run("ip link del uplink");
	device = NULL;
	backend4 = "127.0.0.1";
	other = connected(AF_INET, NP_IPV4, 3);
	promise(other, NP_IPV4, 3);
	assert_int_equal(end_sockets(), 1);
	assert_int_equal(error_of(other), ECONNABORTED);
	close(gone);
	close(dead);
	close(other);
}

/* More than sock_diag tells of in one message; a third of them by no frontend. */
static void many_are_ended(void **state)
{
	int fd[300];

	(void)state;
	saw.kept = PORT(1);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = connected(i % 2 ? AF_INET : AF_INET6, i % 2 ? NP_IPV4 : NP_IPV6, i % 4);
		if (i % 3)
			promise(fd[i], i % 2 ? NP_IPV4 : NP_IPV6, i % 4);
	}
	assert_int_equal(end_sockets(), 150);
	assert_int_equal(saw.asked, 200);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		assert_int_equal(error_of(fd[i]), i % 4 == 1 || !(i % 3) ? 0 : ECONNABORTED);
		close(fd[i]);
	}
}

/* Who listens at backend n, on all addresses of both families. */
static int listening(int n)
{
	const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = PORT(n)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

/* The server at the other end is told as well. */
static void tcp_is_reset(void **state)
{
	int server = listening(1), gone = connected(AF_INET, NP_IPV4, 1), stays;
	int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), other = listening(2);
	char byte;

	(void)state;
	assert_true(peer >= 0);
	stays = connected(AF_INET, NP_IPV4, 2);
	promise(gone, NP_IPV4, 1);
	promise(stays, NP_IPV4, 2);
	saw.kept = PORT(2);
	assert_int_equal(end_sockets(), 1);
	assert_int_equal(saw.asked, 2);
	assert_int_equal(saw.protocol, IPPROTO_TCP);
	assert_int_equal(error_of(gone), ECONNABORTED);
	assert_int_equal(error_of(stays), 0);
	assert_int_equal(recv(peer, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(gone);
	close(stays);
	close(peer);
	close(server);
	close(other);
}

static void tcp_of_both_families(void **state)
{
	int server = listening(1);

	both_families_and_the_mapped_one(state);
	close(server);
}

static void many_of_tcp(void **state)
{
	int server[] = {listening(0), listening(1), listening(2), listening(3)};

	many_are_ended(state);
	for (size_t i = 0; i < ARRAY_SIZE(server); i++)
		close(server[i]);
}

static int of_tcp(void **state)
{
	(void)state;
	type = SOCK_STREAM;
	protocol = IPPROTO_TCP;
	return 0;
}

static int of_udp(void **state)
{
	(void)state;
	type = SOCK_DGRAM;
	protocol = IPPROTO_UDP;
	return 0;
}

static int start(void **state)
{
	const struct tables_options options = {.max_flows = 64,
					       .max_services = 64,
					       .max_slots = 64,
					       .max_backends = 64,
					       .sock = true};
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *why;

	(void)state;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		return -1;
	if (tables_open(&options, &tables, &why)) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	if (tables->sock_error)
		netns_skip("the kernel refuses the programs");
	peers = tables->map_fd[TABLES_MAP_sock_peers];
	return 0;
}

static int stop(void **state)
{
	(void)state;
	tables_close(&tables);
	netns_leave();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_of_departed_backends_are_ended),
		cmocka_unit_test(both_families_and_the_mapped_one),
		cmocka_unit_test(what_is_no_longer_so_is_not_asked_for),
		cmocka_unit_test(those_bound_to_a_device),
		cmocka_unit_test(many_are_ended),
		cmocka_unit_test_setup_teardown(tcp_is_reset, of_tcp, of_udp),
		cmocka_unit_test_setup_teardown(tcp_of_both_families, of_tcp, of_udp),
		cmocka_unit_test_setup_teardown(many_of_tcp, of_tcp, of_udp),
	};

	netns_enter();
	return cmocka_run_group_tests(tests, start, stop);
}
