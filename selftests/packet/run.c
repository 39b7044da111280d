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
	&packets_pass,		&packets_ingress,  &packets_summed,
	&packets_egress,	&packets_mss,	   &packets_icmp,
	&packets_icmp_summed,	&packets_fragment, &packets_fragment_summed,
	&packets_xdp,		&packets_redirect, &flows_life,
	&flows_ports,		&packets_refuse,   &packets_sctp,
	&packets_sctp_summed,	&packets_reset,	   &packets_reset_summed,
	&packets_refuse_summed, &packets_ranges,   &packets_addresses,
};

/* On one CPU: each has a place of its own where it looks for free records. */
static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int main(int argc, char **argv)
{
	int failed = 0;

	stay_on_one_cpu();
	if (world_open())
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (argc < 2 || strstr(groups[i]->name, argv[1]))
			failed += group_run(groups[i]);
	if (argc < 2)
		failed += truncated_run() + refuse_run() + sctp_run() + affinity_run() + full_run();
	/* All of it again, while another version's tables take over from these. */
	if (handover_open())
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (argc < 2 || strstr(groups[i]->name, argv[1]))
			failed += group_run(groups[i]);
	if (argc < 2)
		failed += truncated_run() + refuse_run() + sctp_run() + affinity_run() +
			  handover_run();
	handover_close();
	world_close();
	return failed ? 1 : 0;
}
