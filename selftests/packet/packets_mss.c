/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Clamping the MSS of SYN and SYN-ACK: wherever the option stands, only lower, nothing else
 * touched, of services and of all other TCP.
 */
#include "harness.h"
#include "objects.h"

/* 1400 is 0x0578, 1460 is 0x05B4; IPv6 is clamped to the same here. */
static const struct np_iface iface_1400 = {
	.lb = NP_LB_ON, .l2_len = 14, .mtu = 1500, .mss4 = 1400, .mss6 = 1400};
static const struct np_iface iface_off = {.lb = NP_LB_ON, .l2_len = 14, .mtu = 1500};
static const struct np_iface iface_bare = {
	.lb = NP_LB_ON, .l2_len = 0, .mtu = 1500, .mss4 = 1400, .mss6 = 1400};
/* By the route, whose device has an MTU of 1500: 1460 and 1440. */
static const struct np_iface iface_auto = {.lb = NP_LB_ON,
					   .flags = NP_IFACE_MSS_AUTO,
					   .l2_len = 14,
					   .mtu = 9000,
					   .mss4 = 8960,
					   .mss6 = 8940};

#define CLAMPED		.moved = {{NP_REASON_MSS_CLAMPED, 1}}
#define NEW_CLAMPED	.moved = {{NP_REASON_NEW_FLOW, 1}, {NP_REASON_MSS_CLAMPED, 1}}
#define OPTIONS(before) .tcp_options = BYTES(before)
#define BECOME(after)	.out = {.tcp_options = BYTES(after)}

static const struct test tests[] = {
	{"alone", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"at egress", NULL, &iface_1400, ONLY_TCP,
	 .step = {{EGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"in a SYN-ACK", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS,
		   SENDS("client:80", "pod:40000", .flags = SYN | ACK, OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"first of many", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS,
		   OPENS("pod:40000", "client:80",
			 OPTIONS("\2\4\5\264\4\2\10\12\1\2\3\4\0\0\0\0\1\3\3\7")),
		   BECOME("\2\4\5\170\4\2\10\12\1\2\3\4\0\0\0\0\1\3\3\7"), CLAMPED}}},
	{"after two NOPs, at an even offset", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\1\2\4\5\264\1\1")),
		   BECOME("\1\1\2\4\5\170\1\1"), CLAMPED}}},
	{"at odd offsets", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\2\4\5\264\1\1\1")),
		   BECOME("\1\2\4\5\170\1\1\1"), CLAMPED},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\3\3\7\2\4\5\264\0")),
		   BECOME("\3\3\7\2\4\5\170\0"), CLAMPED},
		  {INGRESS,
		   OPENS("pod:40000", "client:80", .payload = 5, OPTIONS("\1\1\1\2\4\377\377\0")),
		   BECOME("\1\1\1\2\4\5\170\0"), CLAMPED}}},
	{"last, at the end of the packet", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\1\1\1\2\4\5\264")),
		   BECOME("\1\1\1\1\2\4\5\170"), CLAMPED},
		  {INGRESS,
		   OPENS("pod:40000", "client:80",
			 OPTIONS("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
				 "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\2\4\5\264")),
		   BECOME("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
			  "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\2\4\5\170"),
		   CLAMPED}}},
	{"data on the SYN", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", .payload = 101, OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"a checksum that becomes zero", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS,
		   OPENS("pod:40000", "client:80", .payload = 8, .zero_sum = true,
			 OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"IPv4 options and IPv6 extension headers before it", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS,
		   OPENS("pod:40000", "client:80", .ip_options = BYTES("\1\1\1\0"),
			 .extensions = "hd", OPTIONS("\1\2\4\5\264\1\1\1")),
		   BECOME("\1\2\4\5\170\1\1\1"), CLAMPED}}},
	{"no Ethernet header", NULL, &iface_bare, ONLY_TCP,
	 .step = {{INGRESS,
		   OPENS("tunnel:40000", "client:80", .bare = true, .payload = 40,
			 OPTIONS("\2\4\5\264")),
		   BECOME("\2\4\5\170"), CLAMPED}}},
	{"of a service's connection, both ways", state_local, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "cluster:80", OPTIONS("\2\4\5\264")),
		   .out = {.dst = "local:8080", OPTIONS("\2\4\5\170")}, NEW_CLAMPED},
		  {INGRESS,
		   SENDS("local:8080", "pod:40000", .flags = SYN | ACK,
			 OPTIONS("\1\2\4\5\264\1\1\1")),
		   BECOME("\1\2\4\5\170\1\1\1"), CLAMPED},
		  {EGRESS,
		   SENDS("local:8080", "pod:40000", .flags = SYN | ACK,
			 OPTIONS("\1\2\4\5\264\1\1\1")),
		   .out = {.src = "cluster:80", OPTIONS("\1\2\4\5\170\1\1\1")}, CLAMPED}}},
	{"auto: the MTU of the route to the peer", NULL, &iface_auto, ONLY_TCP | ONLY_IPV4,
	 .step = {{INGRESS, OPENS("client:40000", "pod:80", OPTIONS("\2\4\43\50")),
		   BECOME("\2\4\5\264"), CLAMPED},
		  {EGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\43\50")),
		   BECOME("\2\4\5\264"), CLAMPED}}},
	{"auto: the MTU of the route to the peer", NULL, &iface_auto, ONLY_TCP | ONLY_IPV6,
	 .step = {{INGRESS, OPENS("client:40000", "pod:80", OPTIONS("\2\4\43\50")),
		   BECOME("\2\4\5\240"), CLAMPED},
		  {EGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\43\50")),
		   BECOME("\2\4\5\240"), CLAMPED}}},

	{"never raised", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\5\170"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\2\30"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\0\0"))}}},
	{"not in packets that are no SYN", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, SENDS("pod:40000", "client:80", OPTIONS("\2\4\5\264"))},
		  {INGRESS, SENDS("pod:40000", "client:80", .flags = RST, OPTIONS("\2\4\5\264"))},
		  {INGRESS,
		   SENDS("pod:40000", "client:80", .flags = FIN | ACK, OPTIONS("\2\4\5\264"))}}},
	{"off", NULL, &iface_off, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\5\264"))},
		  {EGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\4\5\264"))}}},
	{"not in UDP", NULL, &iface_1400, ONLY_UDP,
	 .step = {{INGRESS, SENDS("pod:40000", "client:80", .payload = 60)},
		  {EGRESS, SENDS("pod:40000", "client:80", .payload = 60)}}},
	{"no MSS option", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80")},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\1\1\1"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\4\2\3\3\7\1\1\1"))}}},
	{"options that are none", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\0\0\2\4\5\264\0\0"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\2\3\5\264"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\1\2\4"), .payload = 9)},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\1\1\1\2"), .payload = 9)},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\10\0\2\4\5\264\0\0"))},
		  {INGRESS, OPENS("pod:40000", "client:80", OPTIONS("\10\377\2\4\5\264\0\0"))}}},
	{"a header length that is none", NULL, &iface_1400, ONLY_TCP,
	 .step = {{INGRESS, OPENS("pod:40000", "client:80", .doff = 4, OPTIONS("\2\4\5\264"))},
		  {INGRESS, OPENS("pod:40000", "client:80", .doff = 15, OPTIONS("\1\1\1\1"))}}},
};

const struct group packets_mss = GROUP("MSS", tests);
