/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Setters of the options in options_flows.c, for the table; see option_setter. */
#ifndef NEARPATH_LOADER_OPTIONS_FLOWS_H
#define NEARPATH_LOADER_OPTIONS_FLOWS_H

#include "options.h"

/* STATE=DURATION,... */
int option_flow_timeouts(struct options *o, const char *text, char *error, size_t size);

/* kube-proxy's, a duration each; 0 is the default. */
int option_tcp_established(struct options *o, const char *text, char *error, size_t size);
int option_tcp_close_wait(struct options *o, const char *text, char *error, size_t size);
int option_udp(struct options *o, const char *text, char *error, size_t size);
int option_udp_stream(struct options *o, const char *text, char *error, size_t size);

#endif
