/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The command line of nearpathd, checked; one table says what each option is, takes and means. */
#ifndef NEARPATH_LOADER_OPTIONS_H
#define NEARPATH_LOADER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../maps/iface.h"
#include "attach.h"

struct options {
	const char *node_name; /* default: the host name */
	const char *zone;      /* NULL: from the Node object's label */
	const char *socket;
	const char *socket_group;
	const char *bpffs;
	const char *state_dir;
	uint32_t max_flows;
	uint32_t max_services;
	uint32_t max_backends;
	uint32_t max_slots;
	const char *ifaces;
	const char *uplinks;
	enum attach_xdp xdp;
	bool xdp_given; /* not the default: holds for veths too */
	int mss;	/* MSS_AUTO, MSS_OFF or bytes: ifaces.h */
	bool clsact;
	bool masquerade_all;
	uint16_t snat_port_first; /* 0: chosen */
	uint16_t snat_port_count;
	struct np_prefix pod_prefix4; /* of --cluster-cidr */
	struct np_prefix pod_prefix6;
	bool detector4;
	bool detector6;
	bool cleanup;
};

/*
 * 0: run. 1: --help or --version was printed, exit 0. -EINVAL: error says what is wrong and the
 * way out. Strings point into argv.
 */
int options_parse(int argc, char **argv, struct options *options, char *error, size_t size);

#endif
