/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Options of kube-proxy (cmd/kube-proxy/app/options.go and what its libraries add) that mean
 * nothing here: accepted, so that a kube-proxy's command line is one for nearpathd, and noted.
 */
#include <stddef.h>

#include "options_parts.h"

#define RULES	  "there are no rules to sync"
#define IPVS	  "there is no IPVS here"
#define WINDOWS	  "this is not Windows"
#define CONNTRACK "flows are kept in tables of their own; see --max-flows"
#define LOGGING	  "the log is stderr, one line an event"
#define API	  "nearpathd asks no API server; objects come by the config socket"
#define CLOUD	  "nearpathd knows no cloud providers"
#define CADVISOR  "nobody asks for the machine's id here"

const struct option_ignored options_ignored[] = {
	{"iptables-masquerade-bit", false, "packets are not marked"},
	{"iptables-min-sync-period", false, RULES},
	{"iptables-sync-period", false, RULES},
	{"cleanup-iptables", true, "to remove kube-proxy's rules, use kube-proxy --cleanup"},
	{"cleanup-ipvs", true, IPVS},
	{"ipvs-exclude-cidrs", false, IPVS},
	{"ipvs-min-sync-period", false, IPVS},
	{"ipvs-scheduler", false, IPVS},
	{"ipvs-strict-arp", true, IPVS},
	{"ipvs-sync-period", false, IPVS},
	{"ipvs-tcp-timeout", false, IPVS},
	{"ipvs-tcpfin-timeout", false, IPVS},
	{"ipvs-udp-timeout", false, IPVS},
	{"enable-dsr", true, WINDOWS},
	{"forward-healthcheck-vip", true, WINDOWS},
	{"network-name", false, WINDOWS},
	{"root-hnsendpoint-name", false, WINDOWS},
	{"source-vip", false, WINDOWS},
	{"windows-service", true, WINDOWS},
	{"conntrack-max", false, CONNTRACK},
	{"conntrack-max-per-core", false, CONNTRACK},
	{"conntrack-min", false, CONNTRACK},
	{"conntrack-tcp-be-liberal", true, CONNTRACK},
	{"udp-timeout", false, CONNTRACK},
	{"add-dir-header", true, LOGGING},
	{"alsologtostderr", true, LOGGING},
	{"log-backtrace-at", false, LOGGING},
	{"log-dir", false, LOGGING},
	{"log-file", false, LOGGING},
	{"log-file-max-size", false, LOGGING},
	{"log-flush-frequency", false, LOGGING},
	{"log-json-info-buffer-size", false, LOGGING},
	{"log-json-split-stream", true, LOGGING},
	{"log-text-info-buffer-size", false, LOGGING},
	{"log-text-split-stream", true, LOGGING},
	{"logging-format", false, LOGGING},
	{"logtostderr", true, LOGGING},
	{"one-output", true, LOGGING},
	{"skip-headers", true, LOGGING},
	{"skip-log-headers", true, LOGGING},
	{"stderrthreshold", false, LOGGING},
	{"v", false, LOGGING},
	{"vmodule", false, LOGGING},
	{"config-sync-period", false, API},
	{"kube-api-burst", false, API},
	{"kube-api-content-type", false, API},
	{"kube-api-qps", false, API},
	{"master", false, API},
	{"azure-container-registry-config", false, CLOUD},
	{"cloud-provider-gce-l7lb-src-cidrs", false, CLOUD},
	{"cloud-provider-gce-lb-src-cidrs", false, CLOUD},
	{"google-json-key", false, CLOUD},
	{"boot-id-file", false, CADVISOR},
	{"machine-id-file", false, CADVISOR},
	{"bind-address-hard-fail", true, "what a taken port does is not a matter of options"},
	{"default-not-ready-toleration-seconds", false, API},
	{"default-unreachable-toleration-seconds", false, API},
	{"feature-gates", false, "there are no feature gates"},
	{"init-only", true, "nothing is to be prepared; nearpathd goes on and runs"},
	{"oom-score-adj", false, "set OOMScoreAdjust= in nearpathd.service"},
	{"profiling", true, "there is no /debug/pprof"},
	{"proxy-mode", false,
	 "the only mode is nearpath's own; docs/options.md says how it differs"},
	{"proxy-port-range", false, "services take no ports of the host"},
	{"resource-container", false, "set Slice= in nearpathd.service"},
	{"show-hidden-metrics-for-version", false, "no metrics are hidden"},
	{"write-config-to", false, "nothing is written; nearpathd goes on and runs"},
	{NULL, false, NULL},
};
