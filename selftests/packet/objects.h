/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Kubernetes objects as text for the cases, written with ' for " and with the names of names.c:
 * $pod4 and $pod6. Every service has port 80 in TCP, UDP and SCTP, in both families; its
 * endpoints listen on port 8080.
 */
#ifndef NEARPATH_SELFTESTS_OBJECTS_H
#define NEARPATH_SELFTESTS_OBJECTS_H

#define BOTH(who) "['$" who "4','$" who "6']"

#define CLUSTER_IP(name, cluster, spec)                                                            \
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'test','name':'" name "'},"   \
	"'spec':{'clusterIPs':" BOTH(cluster) "," spec "'ports':["                                 \
					      "{'name':'t','protocol':'TCP','port':80},{'name':'"  \
					      "u','protocol':'UDP','port':80},{'name':'s',"        \
					      "'protocol':'SCTP','port':80}]}}"

/* Reached from everywhere: external address, VIP, NodePort 30080. */
#define LOAD_BALANCER(name, cluster, spec)                                                         \
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'test','name':'" name "'},"   \
	"'spec':{'type':'LoadBalancer','clusterIPs':" BOTH(cluster) ",'externalIPs':" BOTH(        \
		"external") "," spec "'ports':["                                                   \
			    "{'name':'t','protocol':'TCP','port':80,'nodePort':30080},"            \
			    "{'name':'u','protocol':'UDP','port':80,'nodePort':30080},"            \
			    "{'name':'s','protocol':'SCTP','port':80,'nodePort':30080}]},'status'" \
			    ":"                                                                    \
			    "{'loadBalancer':"                                                     \
			    "{'ingress':[{'ip':'$vip4'},{'ip':'$vip6'}]}}}"

/* who: a name; fields: more of each endpoint, after a comma. One object for each family. */
#define SLICE_AT(port, family, service, endpoints)                                                 \
	"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'namespace':"      \
	"'test','name':'" service "-" family "','labels':{'kubernetes.io/service-name':'" service  \
	"'}},'addressType':'IPv" family "','endpoints':[" endpoints "],'ports':["                  \
	"{'name':'t','protocol':'TCP','port':" port "},{'name':'u','protocol':'UDP','port':" port  \
	"},{'name':'s','protocol':'SCTP','port':" port "}]}"
#define SLICE_OF(family, service, endpoints) SLICE_AT("8080", family, service, endpoints)
#define ENDPOINT(family, who, node)	     "{'addresses':['$" who family "'],'nodeName':'" node "'}"

#define SLICES(service, who, node)                                                                 \
	SLICE_OF("4", service, ENDPOINT("4", who, node)),                                          \
		SLICE_OF("6", service, ENDPOINT("6", who, node))
#define SLICES_EMPTY(service) SLICE_OF("4", service, ""), SLICE_OF("6", service, "")

#define LOCAL(service, who)  SLICES(service, who, "node1")
#define REMOTE(service, who) SLICES(service, who, "node2")

/* States that many cases have. */
extern const char *const state_local[];	 /* "web" at cluster, external, vip, node: one local pod */
extern const char *const state_remote[]; /* the same with the pod on another node */

#endif
