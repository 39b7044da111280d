/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Kubernetes objects as text for tests, written with ' for ", for the sake of those who read them.
 * To be included after cmocka.h.
 */
#ifndef NEARPATH_SELFTESTS_KUBE_TEXT_H
#define NEARPATH_SELFTESTS_KUBE_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "kube.h"
#include "util.h"

#define SERVICE(spec)                                                                              \
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web'},"          \
	"'spec':{" spec "}}"
#define PROGRAMMED(spec) SERVICE("'clusterIP':'10.96.0.1'," spec)
#define STATUS(status)                                                                             \
	"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'ns','name':'web'},"          \
	"'spec':{'clusterIP':'10.96.0.1'},'status':{" status "}}"
#define SLICE(fields)                                                                              \
	"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':"                   \
	"{'namespace':'ns','name':'web-x1','labels':{'kubernetes.io/service-name':'web'}}"         \
	"," fields "}"
#define ENDPOINT(fields)                                                                           \
	SLICE("'addressType':'IPv4','endpoints':[{'addresses':['10.1.0.1']}," fields "]")
#define NODE(fields) "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'}," fields "}"

#define RANGES(fields)                                                                             \
	"{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR','metadata':{'name':'r'},"       \
	"'spec':{" fields "}}"

static inline json_t *load(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	json_error_t error;
	json_t *json;

	assert_non_null(copy);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	json = json_loads(copy, JSON_DECODE_ANY, &error);
	if (!json)
		fail_msg("%s: %s", text, error.text);
	return json;
}

static inline struct kube_object *parse(const char *text)
{
	struct kube_object *object = NULL;
	struct kube_error error;
	json_t *json = load(text);
	int err = kube_parse(json, &object, &error);

	json_decref(json);
	if (err)
		fail_msg("refused: %s: %s: %s", error.object, error.path, error.reason);
	return object;
}

#endif
