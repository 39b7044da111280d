/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The method explain: the question, by which way the packet would come in, and the answer. Whether
 * anything of nearpath's is on that way, the programs cannot know; it is added here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "daemon.h"
#include "explain.h"
#include "util.h"

/* Nothing of ours is in the way of such a connection now. */
static void pass(json_t *answer, const char *reason, const char *explanation)
{
	json_object_set_new(answer, "verdict", json_string("pass"));
	json_object_set_new(answer, "reason", json_string(reason));
	json_object_set_new(answer, "explanation", json_string(explanation));
	json_object_set_new(answer, "backends", json_array());
	json_object_set_new(answer, "chosen", json_null());
	json_object_set_new(answer, "snat", json_false());
}

/* From outside and from pods: by the interface that leads to them. */
static void add_iface(json_t *answer, const struct ifaces_state *state)
{
	json_object_set_new(answer, "interface", json_string(state->name));
	if (state->lb == NP_LB_DRAIN)
		pass(answer, "drain", "lb=drain there: new connections are left to the kernel");
	else if (state->lb == NP_LB_OFF)
		pass(answer, "not_attached",
		     "nearpath is not on that interface: see --ifaces, nearpath iface list");
}

/*
 * Of what the node itself sends: sockets are translated or refused by their hooks, which SCTP has
 * not; silence awaits TCP and SCTP at egress, whether or not there are hooks (tc_silence()).
 */
static bool is_carried(const struct daemon *d, const struct question *q,
		       const struct np_decision *decision)
{
	if (decision->verdict == NP_VERDICT_DROP && q->protocol != IPPROTO_UDP)
		return true;
	return daemon_has_sock(d) && q->protocol != IPPROTO_SCTP;
}

static int answer_question(struct daemon *d, const struct question *q, json_t **result)
{
	struct ifaces_state state = {};
	struct np_decision decision;
	bool known = false, local;
	union np_addr src;
	int ifindex, rc;

	if (!netlink_route(d->netlink, q->family, &q->from, &src, &ifindex))
		known = ifaces_state(d->ifaces, ifindex, &state);
	rc = explain_ask(d->tables, q, state.flags, &decision);
	if (rc)
		return rc;
	/* The node's own, though its address may be of the pods' range too (cni0, tunl0). */
	local = decision.class == NP_CLASS_NODE ||
		publish_is_host(d->publisher, q->family, &q->from);
	*result = explain_json(d->publisher, d->tables, q, &decision);
	if (!*result)
		return -ENOMEM;
	if (!local && known)
		add_iface(*result, &state);
	else if (local && !is_carried(d, q, &decision))
		pass(*result, "not_attached",
		     "the node's own processes are left to the kernel; see nearpath status");
	return 0;
}

int method_explain(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	const char *from = json_string_value(json_object_get(params, "from"));
	const char *to = json_string_value(json_object_get(params, "to"));
	struct question q;
	char why[300];
	int rc;

	if (!from || !to) {
		rpc_error_set(error, RPC_BAD_PARAMS,
			      "explain wants params.from, an address, and params.to, "
			      "ADDRESS:PORT or ADDRESS:PORT/PROTOCOL");
		return -EINVAL;
	}
	rc = question_parse(from, to, &q, why, sizeof(why));
	if (rc == -EINVAL) {
		rpc_error_set(error, RPC_BAD_PARAMS, "%s", why);
		return rc;
	}
	rc = rc ?: answer_question(arg, &q, result);
	if (rc)
		rpc_error_set(error, RPC_FAILED, "the program could not be asked: %s",
			      strerror(-rc));
	return rc;
}
