/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Starting and showing the programs for the node's own processes. Ending sockets: sockets_end.c. */
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "attach_sock.h"
#include "compare.h"
#include "util.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

struct sockets {
	const struct tables *tables;
	char *links;
	uint64_t cookie; /* 0: not known */
	char *cgroup;	 /* NULL: none was found */
	bool searched;	 /* it is where the root is mounted, and not an option's */
	char why[200];
};

/* The number of this process's network namespace, as programs see it. */
static int netns_cookie(uint64_t *cookie)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size))
		return -errno;
	return 0;
}

static void choose_cgroup(struct sockets *s, const struct options *o)
{
	int err;

	if (o->cgroup) {
		s->cgroup = strdup(o->cgroup);
		return;
	}
	s->searched = true;
	err = attach_sock_root(&s->cgroup);
	if (err)
		snprintf(s->why, sizeof(s->why), "%s",
			 err == -ENOENT ? "no cgroup v2 root is mounted (--cgroup DIR)"
					: strerror(-err));
}

static void start(struct sockets *s, const struct options *o, struct tables *t, const char *links)
{
	uint64_t cookie = 0;
	int err;

	if (!o->sock) {
		err = detach_sock(links);
		if (err)
			snprintf(s->why, sizeof(s->why), "--sock off, but not removed: %s",
				 strerror(-err));
		else
			snprintf(s->why, sizeof(s->why), "--sock off");
		return;
	}
	err = netns_cookie(&cookie);
	if (err || t->sock_error) {
		snprintf(s->why, sizeof(s->why), "%s: %s",
			 err ? "the kernel does not tell its network namespace"
			     : "the kernel refused the programs",
			 strerror(err ? -err : -t->sock_error));
		return;
	}
	s->cookie = cookie;
	__atomic_store_n(&t->config->netns_cookie, cookie, __ATOMIC_RELEASE);
	choose_cgroup(s, o);
	if (s->cgroup)
		attach_sock(links, s->cgroup, t->sock_fd, s->why, sizeof(s->why));
}

int sockets_new(const struct options *options, struct tables *t, const char *links, bool hold,
		struct sockets **sockets)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (s)
		s->links = strdup(links);
	if (!s || !s->links) {
		free(s);
		return -ENOMEM;
	}
	s->tables = t;
	if (hold)
		snprintf(s->why, sizeof(s->why), "all objects are yet to be delivered");
	else
		start(s, options, t, links);
	*sockets = s;
	return 0;
}

void sockets_free(struct sockets **sockets)
{
	struct sockets *s = *sockets;

	*sockets = NULL;
	if (!s)
		return;
	free(s->cgroup);
	free(s->links);
	free(s);
}

const char *sockets_why(const struct sockets *s)
{
	return s->why;
}

uint64_t sockets_cookie(const struct sockets *s)
{
	return s->cookie;
}

/*
 * Where it was found the hierarchy may be mounted no more; it is the same one elsewhere. If it is
 * nowhere, the links are on it all the same, and cannot be looked at.
 */
static int check(struct sockets *s, char *found, size_t size)
{
	const int *programs = s->tables->sock_fd;
	char *cgroup;
	int rc = attach_sock_check(s->cgroup, programs, found, size);

	if (rc < 0 && s->searched && !attach_sock_root(&cgroup)) {
		free(s->cgroup);
		s->cgroup = cgroup;
		rc = attach_sock_check(s->cgroup, programs, found, size);
	}
	if ((rc == -ENOENT || rc == -EMEDIUMTYPE) && s->searched)
		return 0;
	if (rc < 0)
		snprintf(found, size, "%s", strerror(-rc));
	return rc;
}

void compare_sockets(struct sockets *s, const struct compare *c)
{
	struct difference d = {};

	if (s->why[0] || !s->cgroup || !check(s, d.found, sizeof(d.found)))
		return;
	difference_set(d.what, "programs for the node's own processes");
	difference_set(d.wanted, "attached at \"%s\"", s->cgroup);
	if (c->repair) {
		d.repaired =
			attach_sock(s->links, s->cgroup, s->tables->sock_fd, s->why, sizeof(s->why))
				?: 1;
		s->why[0] = '\0'; /* to be tried again */
	}
	compare_tell(c, &d);
}

json_t *sockets_json(const struct sockets *s)
{
	return json_pack("{s:s?,s:b,s:s}", "cgroup", s->cgroup, "attached", !s->why[0], "why",
			 s->why);
}

int sockets_end(const struct sockets *s, uint8_t protocol, flow_judge judge, void *arg)
{
	if (s->tables->connected_fd < 0)
		return 0;
	return sockets_end_of(s->tables, protocol, judge, arg);
}
