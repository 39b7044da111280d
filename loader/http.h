/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * HTTP/1.1 by GET and HEAD, one request a connection, for clients that are not trusted to behave:
 * bounds in number, size and time, whatever they do. Knows no path: handlers answer. Logs nothing.
 *
 * Not by evhttp: libevent 2.1 bounds neither the number of connections nor the time of one whose
 * client sends a byte now and then, and accepts as long as there is somebody to accept.
 */
#ifndef NEARPATH_LOADER_HTTP_H
#define NEARPATH_LOADER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../maps/abi.h"

struct event_base;
struct evbuffer;
struct http;
struct http_listener;

/* A 0 in the numbers takes the default. */
struct http_options {
	unsigned max_connections;  /* 128; beyond, the one that is worth least gives way */
	size_t max_head;	   /* 8 KiB: request line and headers */
	size_t max_output;	   /* 64 MiB: bodies that are not read yet, of all connections */
	unsigned request_seconds;  /* 10: until the request is there, however it trickles in */
	unsigned response_seconds; /* 30: until it is read */
};

/* What a handler fills: status, type, lines and body. */
struct http_answer {
	unsigned status; /* 200 unless the handler says else */
	const char *type;
	char lines[160]; /* more header lines, each with its "\r\n" */
	struct evbuffer *body;
	bool shared; /* the body is memory that others bound: it does not count as output */
};

/* path is without the query. Called in the loop; it must not block. */
typedef void (*http_handler)(const char *path, struct http_answer *answer, void *arg);

/* What kube-proxy's server says of a path that is not served. */
void http_not_found(struct http_answer *answer);

int http_new(struct event_base *base, const struct http_options *options, struct http **http);

/* Closes all listeners and connections. */
void http_free(struct http **http);

struct http_address {
	uint8_t family; /* NP_IPV4, NP_IPV6: then it is IPv6 alone */
	uint16_t port;	/* host order */
	union np_addr addr;
	bool early; /* the address may be one that the host does not quite have yet */
};

/*
 * Listen on one address. -EADDRINUSE, -EADDRNOTAVAIL and what else the kernel says; -EMFILE also
 * where so few descriptors are left that they are kept for connections.
 */
int http_listen(struct http *http, const struct http_address *address, http_handler handler,
		void *arg, struct http_listener **listener);

/* Closes its connections too. */
void http_listener_free(struct http_listener **listener);

/* "10.0.0.1:80", "[::]:80"; at least 56 bytes. */
const char *http_address_text(const struct http_address *address, char *text, size_t size);

/* How many connections there are. */
unsigned http_connections(const struct http *http);

#endif
