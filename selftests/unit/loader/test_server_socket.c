/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The config socket as a file, and who may connect. Run as root; who is not root skips. */
#include "serve.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>

#include "server_socket.h"

#define NOBODY 65534
#define GROUP  "daemon"

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

/* Opens, expects this result, and leaves the socket open where it is 0. */
static int open_expect(struct server_socket *socket, const struct serve *at, const char *group,
		       int expected)
{
	int fd = -1;

	*socket = (struct server_socket){};
	assert_int_equal(server_socket_open(socket, at->path, group, &fd), expected);
	return fd;
}

static void the_file_is_roots_or_the_groups(void **state)
{
	struct server_socket socket;
	struct serve at;
	struct stat st;
	int fd;

	(void)state;
	serve_dir(&at);
	fd = open_expect(&socket, &at, NULL, 0);
	assert_int_equal(mode_of(at.path), 0600);
	server_socket_close(&socket);
	close(fd);
	assert_int_equal(access(at.path, F_OK), -1);

	fd = open_expect(&socket, &at, GROUP, 0);
	assert_int_equal(mode_of(at.path), 0660);
	assert_int_equal(stat(at.path, &st), 0);
	assert_int_equal(st.st_gid, getgrnam(GROUP)->gr_gid);
	server_socket_close(&socket);
	close(fd);
	serve_remove_dir(&at);
}

static void an_unknown_group_is_refused(void **state)
{
	struct server_socket socket;
	struct serve at;

	(void)state;
	serve_dir(&at);
	open_expect(&socket, &at, "no-such-group", -ESRCH);
	serve_remove_dir(&at);
}

static void a_missing_directory_is_made_whatever_the_umask(void **state)
{
	struct server_socket socket;
	mode_t before = umask(077);
	struct serve at;
	int fd;

	(void)state;
	serve_dir(&at);
	assert_int_equal(rmdir(at.dir), 0);
	fd = open_expect(&socket, &at, NULL, 0);
	assert_int_equal(mode_of(at.dir), 0755);
	assert_int_equal(mode_of(at.path), 0600);
	umask(before);
	server_socket_close(&socket);
	close(fd);
	serve_remove_dir(&at);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct server_socket first, second;
	struct serve at;
	int fd, again;

	(void)state;
	serve_dir(&at);
	fd = open_expect(&first, &at, NULL, 0);
	open_expect(&second, &at, NULL, -EADDRINUSE);
	assert_int_equal(access(at.path, F_OK), 0);
	close(fd); /* it dies, and its file stays */
	again = open_expect(&second, &at, NULL, 0);
	first.bound = false;
	server_socket_close(&first);
	server_socket_close(&second);
	assert_int_equal(access(at.path, F_OK), -1);
	close(again);
	serve_remove_dir(&at);
}

static void a_file_of_another_daemon_is_not_removed(void **state)
{
	struct server_socket first, second;
	struct serve at;
	int fd, again;

	(void)state;
	serve_dir(&at);
	fd = open_expect(&first, &at, NULL, 0);
	assert_int_equal(unlink(at.path), 0);
	again = open_expect(&second, &at, NULL, 0);
	server_socket_close(&first);
	close(fd);
	assert_int_equal(access(at.path, F_OK), 0);
	server_socket_close(&second);
	close(again);
	assert_int_equal(access(at.path, F_OK), -1);
	serve_remove_dir(&at);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct server_socket socket;
	struct serve at;

	(void)state;
	serve_dir(&at);
	close(open(at.path, O_CREAT | O_WRONLY, 0644));
	open_expect(&socket, &at, NULL, -ENOTSOCK);
	assert_int_equal(access(at.path, F_OK), 0);
	unlink(at.path);
	assert_int_equal(symlink("/nowhere", at.path), 0);
	open_expect(&socket, &at, NULL, -ENOTSOCK);
	serve_remove_dir(&at);
}

static void another_start_at_the_same_time_is_kept_out(void **state)
{
	struct server_socket socket;
	struct serve at;
	int dir;

	(void)state;
	serve_dir(&at);
	dir = open(at.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(dir, LOCK_EX), 0);
	open_expect(&socket, &at, NULL, -EADDRINUSE);
	close(dir);
	serve_remove_dir(&at);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	struct server_socket socket = {};
	char path[200];
	int fd = -1;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(server_socket_open(&socket, path, NULL, &fd), -ENAMETOOLONG);
}

/* ---- who may connect ---- */

static int do_hello(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)params;
	(void)error;
	*result = json_integer(1);
	return 0;
}

static const struct rpc_method methods[] = {{.name = "hello", .handler = do_hello}, {}};

/* As somebody else, in a child: exits 0 when served, 1 when refused with the right error. */
static int knock_as(const struct serve *serve, gid_t gid, const gid_t *groups, size_t n_groups)
{
	pid_t pid = fork();
	int status;
	int fd;

	if (!pid) {
		if (setgroups(n_groups, groups) || setgid(gid) || setuid(NOBODY))
			_exit(9);
		fd = dial(serve);
		/* Who is refused may be cut off before a word is said. */
		push(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n", 43, 1000);
		json_t *answer = hear(fd);
		json_t *error = json_object_get(answer, "error");

		if (json_object_get(answer, "result"))
			_exit(0);
		_exit(json_integer_value(json_object_get(error, "code")) == RPC_FORBIDDEN ? 1 : 7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The mode of the file is the first door; here it stands open to get to the second. */
static void only_root_and_the_group_are_served(void **state)
{
	struct server_options options = {.group = GROUP};
	gid_t groups[32];
	struct serve serve;
	int fd;

	(void)state;
	if (geteuid())
		skip();
	serve_start(&serve, &options, methods);
	assert_int_equal(chmod(serve.path, 0666), 0);
	for (gid_t i = 0; i < 32; i++)
		groups[i] = 1000 + i;
	assert_int_equal(knock_as(&serve, NOBODY, NULL, 0), 1);
	assert_int_equal(knock_as(&serve, NOBODY, groups, 32), 1);
	assert_int_equal(knock_as(&serve, getgrnam(GROUP)->gr_gid, NULL, 0), 0);
	groups[31] = getgrnam(GROUP)->gr_gid;
	assert_int_equal(knock_as(&serve, NOBODY, groups, 32), 0);
	fd = dial(&serve);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
	assert_int_equal(hear_number(fd), 1);
	close(fd);
	serve_end(&serve);
}

static void without_a_group_only_root_is_served(void **state)
{
	struct server_options options = {};
	struct serve serve;

	(void)state;
	if (geteuid())
		skip();
	serve_start(&serve, &options, methods);
	assert_int_equal(chmod(serve.path, 0666), 0);
	assert_int_equal(knock_as(&serve, 0, NULL, 0), 1);
	serve_end(&serve);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_roots_or_the_groups),
		cmocka_unit_test(an_unknown_group_is_refused),
		cmocka_unit_test(a_missing_directory_is_made_whatever_the_umask),
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(a_file_of_another_daemon_is_not_removed),
		cmocka_unit_test(what_is_no_socket_is_left_alone),
		cmocka_unit_test(another_start_at_the_same_time_is_kept_out),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(only_root_and_the_group_are_served),
		cmocka_unit_test(without_a_group_only_root_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
