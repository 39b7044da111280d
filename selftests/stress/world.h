/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who talks to whom in the stress test. Everybody is told by a small number, and from every address
 * and port that number can be read again, so that what is put together of two flows shows.
 */
#ifndef NEARPATH_SELFTESTS_STRESS_WORLD_H
#define NEARPATH_SELFTESTS_STRESS_WORLD_H

#include "../../bench/frame.h"
#include "tables.h"

#define SERVICES  4
#define FRONTENDS (2 * SERVICES) /* of each the clusterIP, then its external address */
#define BACKENDS  6
#define SERVES	  3 /* backends of a service: its own number and the next two */

/* Half of the clients are pods, half come from outside. */
#define CLIENTS	     16
#define SHARED	     8 /* clients below have flows that every thread uses; others are a thread's */
#define CLIENT_PORTS 16

#define SNAT_FIRST 20000
#define SNAT_COUNT 4000

/* Ports tell who it is too: client c has 40000 + 16 c and on, frontends 80 + s, backends 8080 + b.
 */
struct end client_end(int family, unsigned client, unsigned port);
struct end frontend_end(int family, unsigned frontend);
struct end backend_end(int family, unsigned backend);
union np_addr snat_addr(int family);
union np_addr frontend_addr(int family, unsigned frontend);

/* The other way round; -1: nobody, or an address and a port that are not the same one's. */
int client_of(int family, const struct end *end);
int frontend_of(int family, const struct end *end);
int backend_of(int family, const struct end *end);

/* Does the client's connection through this frontend get another source? All but pod to clusterIP.
 */
bool is_translated(unsigned client, unsigned frontend);

/* May a connection through the frontend be at the backend, ever? */
bool may_serve(unsigned frontend, unsigned backend);

/* Publish all services anew; version: which two of the three backends of each. 0 or -errno. */
int world_publish(struct tables *t, unsigned version);

#endif
