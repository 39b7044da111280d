#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Services by number, for tests that have many of them: 10.96.0.N and fd00:96::N for TCP, 10.96.1.N
# and fd00:96:1::N for UDP, and a NodePort 30000 + N. Source world.sh first, and set:
#   NAMESPACE    of the services
#   NUMBER       an associative array: the number of each name

# ips NAME PROTOCOL: its clusterIPs, as they are shown, so that answers can be compared.
ips() {
	local n=${NUMBER[$1]}
	if [[ $2 == TCP ]]; then
		echo "10.96.0.$n,fd00:96::$n"
	else
		echo "10.96.1.$n,fd00:96:1::$n"
	fi
}

node_port() {
	echo $((30000 + NUMBER[$1]))
}

# service NAME PROTOCOL SPEC POD...
service() {
	local name=$1 protocol=$2 spec=$3
	shift 3
	world_service "$name-${protocol,,}" "$NAMESPACE" "$(ips "$name" "$protocol")" 80 \
		"$(node_port "$name")" "$protocol" "$spec"
	WORLD_PROTOCOL=$protocol world_slice "$name-${protocol,,}" "$NAMESPACE" "$WORLD_PORT" "$@"
}

# balancer PROTOCOL: a Service with external IPs and VIPs, whose endpoint is server-b. The VIPs are
# in the status, which world_service does not write.
balancer() {
	local protocol=$1
	world_object "Service-$NAMESPACE-balancer-${protocol,,}" <<-END
		{"apiVersion":"v1","kind":"Service",
		"metadata":{"name":"balancer-${protocol,,}","namespace":"$NAMESPACE"},
		"spec":{"type":"LoadBalancer","clusterIP":"$(ips balancer "$protocol" | cut -d , -f 1)",
		"clusterIPs":["$(ips balancer "$protocol" | sed 's/,/","/')"],
		"ipFamilies":["IPv4","IPv6"],"externalIPs":["192.0.2.10","2001:db8::10"],
		"ports":[{"name":"main","protocol":"$protocol","port":80,
		"nodePort":$(node_port balancer)}]},
		"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.20"},{"ip":"2001:db8::20"}]}}}
	END
	WORLD_PROTOCOL=$protocol world_slice "balancer-${protocol,,}" "$NAMESPACE" "$WORLD_PORT" \
		server-b
}
