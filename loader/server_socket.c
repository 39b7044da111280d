/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Makes the socket file so that two daemons starting at once do not take it from each other and
 * nobody else gets in before its mode is right; checks who connects.
 */
#include "server_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util.h"

#define BACKLOG 64

/* Opens the directory of path, made if missing, and locks it against another daemon's start. */
static int directory_lock(const char *path, int *fd)
{
	_cleanup_close_ int dir = -1;
	_cleanup_free_ char *name = strdup(path);
	char *slash = name ? strrchr(name, '/') : NULL;

	if (!name)
		return -ENOMEM;
	if (slash == name)
		slash++;
	if (slash)
		*slash = '\0';
	/* The chmod undoes the umask, on a directory that is new and thus ours. */
	if (slash && !mkdir(name, 0755) && chmod(name, 0755))
		return -errno;
	dir = open(slash ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (flock(dir, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	*fd = TAKE_FD(dir);
	return 0;
}

/* Removes a socket nobody listens on. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -EADDRINUSE;
	if (errno == EAGAIN || errno == EPROTOTYPE) /* its backlog is full, or not a stream */
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) ? -errno : 0;
}

/* The file is root's alone until its group is set. */
static int open_to_group(const struct server_socket *self)
{
	if (!self->group)
		return 0;
	if (lchown(self->path, (uid_t)-1, self->gid) || chmod(self->path, 0660))
		return -errno;
	return 0;
}

static int bind_and_listen(struct server_socket *self, const struct sockaddr_un *address, int *fd)
{
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (sock < 0)
		return -errno;
	/* Linux gives the file the mode of the socket: no umask, which is the whole process's. */
	if (fchmod(sock, 0600) || bind(sock, (const struct sockaddr *)address, sizeof(*address)))
		return -errno;
	if (lstat(self->path, &st))
		return -errno;
	self->device = st.st_dev;
	self->inode = st.st_ino;
	self->bound = true;
	if (listen(sock, BACKLOG))
		return -errno;
	*fd = TAKE_FD(sock);
	return 0;
}

static int socket_init(struct server_socket *self, const char *path, const char *group)
{
	const struct group *entry = group ? getgrnam(group) : NULL;

	if (group && !entry)
		return -ESRCH;
	self->gid = entry ? entry->gr_gid : 0;
	self->path = strdup(path);
	self->group = group ? strdup(group) : NULL;
	return self->path && (!group || self->group) ? 0 : -ENOMEM;
}

int server_socket_open(struct server_socket *self, const char *path, const char *group, int *fd)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int sock = -1;
	_cleanup_(server_socket_close) struct server_socket new = {}; /* goes first, see there */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = socket_init(&new, path, group);
	if (r < 0)
		return r;
	r = directory_lock(path, &lock);
	if (r < 0)
		return r;
	r = remove_stale(&address);
	if (r < 0)
		return r;
	r = bind_and_listen(&new, &address, &sock);
	if (r < 0)
		return r;
	r = open_to_group(&new);
	if (r < 0)
		return r;
	*self = new;
	new = (struct server_socket){};
	*fd = TAKE_FD(sock);
	return 0;
}

void server_socket_close(struct server_socket *self)
{
	struct stat st;

	if (self->bound && !lstat(self->path, &st) && st.st_dev == self->device &&
	    st.st_ino == self->inode)
		unlink(self->path);
	util_free(&self->path);
	util_free(&self->group);
	*self = (struct server_socket){};
}

/* The groups the peer had when it connected, from the kernel: asking NSS could block the loop. */
static bool peer_in_group(int fd, const struct ucred *peer, gid_t gid)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t length = 0;

	if (peer->gid == gid)
		return true;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) || errno != ERANGE)
		return false;
	groups = malloc(length);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length))
		return false;
	for (size_t i = 0; i < length / sizeof(*groups); i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}

int server_socket_check_peer(const struct server_socket *self, int fd, struct rpc_error *error)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length)) {
		rpc_error_set(error, RPC_FORBIDDEN, "cannot see who connects: %s", strerror(errno));
		return -EACCES;
	}
	if (peer.uid == 0 || peer.uid == geteuid())
		return 0;
	if (self->group && peer_in_group(fd, &peer, self->gid))
		return 0;
	if (self->group)
		rpc_error_set(error, RPC_FORBIDDEN,
			      "only root and the group \"%s\" may connect, not user id %u",
			      self->group, peer.uid);
	else
		rpc_error_set(error, RPC_FORBIDDEN, "only root may connect, not user id %u",
			      peer.uid);
	return -EACCES;
}
