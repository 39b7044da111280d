/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * All packet tests: groups of cases one after the other over programs loaded once, each with
 * cmocka's summary. Exit status 1 if any case failed. An argument: only groups with that in their
 * name.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

static const struct group *const groups[] = {
	&packets_pass,	      &packets_ingress,	     &packets_summed,
	&packets_egress,      &packets_mss,	     &packets_icmp,
	&packets_icmp_summed, &packets_fragment,     &packets_fragment_summed,
	&packets_xdp,	      &packets_redirect,     &flows_life,
	&flows_home,	      &flows_again,	     &flows_ports,
	&packets_refuse,      &packets_sctp,	     &packets_sctp_summed,
	&packets_reset,	      &packets_reset_summed, &packets_refuse_summed,
	&packets_ranges,      &packets_addresses,
};

/* On one CPU: each has a place of its own where it looks for free records. */
static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int groups_run(const char *only)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (!only || strstr(groups[i]->name, only))
			failed += group_run(groups[i]);
	if (!only)
		failed += truncated_run() + refuse_run() + sctp_run() + affinity_run();
	return failed;
}

int main(int argc, char **argv)
{
	const char *only = argc < 2 ? NULL : argv[1];
	int failed;

	stay_on_one_cpu();
	if (world_open())
		return 1;
	/* Once by handle() alone, once as the fast paths have it (datapath/fast.h). */
	failed = groups_run(only);
	world.quiet = true;
	failed += groups_run(only);
	failed += only ? 0 : full_run();
	world.quiet = false;
	/* And while another version's tables take over from these. */
	if (handover_open())
		return 1;
	failed += groups_run(only);
	failed += only ? 0 : handover_run();
	handover_close();
	world_close();
	return failed ? 1 : 0;
}
