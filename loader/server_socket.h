/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The config socket as a file with an owner, and who may connect to it. Used by server.c alone,
 * which owns the connections.
 */
#ifndef NEARPATH_LOADER_SERVER_SOCKET_H
#define NEARPATH_LOADER_SERVER_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "rpc.h"

struct server_socket {
	char *path;
	char *group; /* NULL: root only */
	gid_t gid;
	bool bound;
	dev_t device; /* of the file we made, to know it again */
	ino_t inode;
};

/* Makes the directory, the file and a listening descriptor. The errors are those of server_new().
 */
int server_socket_open(struct server_socket *self, const char *path, const char *group, int *fd);

/*
 * Removes the file if it is still ours. Call it while the descriptor is open: until then nobody
 * else listens there, and the number of our inode is not given to another file.
 */
void server_socket_close(struct server_socket *self);

/* 0 if the peer is root, our own user or in the group; -EACCES with error filled otherwise. */
int server_socket_check_peer(const struct server_socket *self, int fd, struct rpc_error *error);

#endif
