/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Command lines in, text and exit codes out, against a daemon that has its answers ready. */
#include "serve.h"

#include "cmd.h"

static const char *const services =
	"{\"revision\":9,\"services\":[{\"namespace\":\"default\",\"name\":\"web\",\"port\":80,"
	"\"protocol\":\"TCP\",\"family\":\"IPv4\",\"topology\":\"zone\",\"frontends\":[{\"kind\":"
	"\"ClusterIP\",\"address\":\"10.96.0.10\",\"port\":80,\"published\":true,\"policy\":{"
	"\"pod\":{\"verdict\":\"forward\",\"snat\":false,\"backends\":[\"10.1.0.4:8080\"]},"
	"\"node\":{\"verdict\":\"forward\",\"snat\":true,\"backends\":[\"10.1.0.4:8080\"]}}},"
	"{\"kind\":\"NodePort\",\"address\":\"10.0.0.1\",\"port\":30080}],"
	"\"backends\":[{\"address\":\"10.1.0.4:8080\",\"node\":\"a\",\"zone\":\"z\",\"local\":true,"
	"\"ready\":true,\"serving\":true,\"terminating\":false,\"used\":true},"
	"{\"address\":\"10.1.0.10:8080\",\"node\":\"b\",\"ready\":false,\"used\":false}],"
	"\"connections\":{\"node\":1,\"zone\":2,\"refused\":0}}]}";

static const char *const ifaces =
	"{\"ifaces\":[{\"name\":\"eth10\",\"ifindex\":3,\"role\":\"pod\",\"mtu\":1450,\"lb\":"
	"\"drain\",\"xdp\":\"off\",\"mss\":1400,\"stats\":\"on\",\"attached\":{\"tc\":\"tcx\","
	"\"xdp\":\"off\",\"dispatcher\":false}},{\"name\":\"eth2\",\"role\":\"uplink\",\"mtu\":"
	"1500,\"lb\":\"on\",\"xdp\":\"native\",\"mss\":\"auto\",\"stats\":\"off\",\"attached\":{"
	"\"tc\":"
	"\"tcx\",\"xdp\":\"generic\",\"dispatcher\":true},\"note\":\"native XDP refused\"}]}";

static const char *const flows =
	"{\"flows\":[{\"protocol\":\"TCP\",\"client\":\"10.1.0.9:41000\",\"frontend\":"
	"\"10.96.0.10:80\",\"backend\":\"10.1.0.4:8080\",\"state\":\"tcp_established\",\"idle\":3,"
	"\"age\":20}],\"count\":1,\"truncated\":true}";

static const char *const status =
	"{\"schema\":1,\"version\":\"0.7\",\"pid\":12,\"uptime\":3700,\"node\":\"a\",\"zone\":"
	"\"z\",\"revision\":9,\"synced\":true,\"objects\":{\"Service\":3,\"Node\":1},\"tables\":{"
	"\"services\":{\"used\":5,\"size\":65536}},\"kernel\":{\"tcx\":true},\"counters\":{"
	"\"ingress\":{\"new_flow\":1,\"none\":0}},\"conflicts\":[\"two services on 10.0.0.1:80\"],"
	"\"sock\":{\"cgroup\":\"/sys/fs/cgroup\",\"attached\":true,\"why\":\"\"},"
	"\"ifaces\":[]}";

/* ---- the daemon ---- */

static int do_objects(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	json_t *objects = json_object_get(params, "objects");

	(void)arg;
	if (json_object_get(json_array_get(objects, 0), "bad")) {
		rpc_error_set(error, RPC_BAD_PARAMS, "refused");
		error->data = json_pack("{s:s, s:s, s:s}", "object", "Service \"ns/x\"", "path",
					"spec.ports[0].port", "reason", "must be 1 to 65535");
		return -EINVAL;
	}
	*result = json_pack("{s:i, s:i, s:i, s:i, s:i, s:O}", "revision", 7, "applied",
			    (int)json_array_size(objects), "unchanged", 1, "deleted", 1, "missing",
			    2, "objects", objects);
	return 0;
}

static int do_replace(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	int r = do_objects(arg, params, result, error);

	return r ? r : json_object_set_new(*result, "removed", json_integer(4));
}

static int do_get(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	const char *what = json_string_value(json_object_get(params, "what"));
	const char *name = json_string_value(json_object_get(params, "name"));

	(void)arg;
	(void)error;
	if (name && strcmp(name, "web"))
		*result = json_pack("{s:i, s:[]}", "revision", 9, "services");
	else if (!strcmp(what, "services"))
		*result = json_loads(services, 0, NULL);
	else if (!strcmp(what, "flows"))
		*result = json_loads(flows, 0, NULL);
	else
		*result = json_pack("{s:[{s:s, s:b, s:i}]}", "backends", "address", "10.1.0.4:53",
				    "local", 1, "references", 2);
	return 0;
}

static int do_iface(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)error;
	*result = params ? json_incref(params) : json_loads(ifaces, 0, NULL);
	return 0;
}

static int do_status(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg;
	(void)params;
	(void)error;
	*result = json_loads(status, 0, NULL);
	return 0;
}

static int do_sync(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	(void)arg, (void)error;
	*result = json_is_true(json_object_get(params, "begin"))
			  ? json_pack("{s:i}", "revision", 9)
			  : json_pack("{s:i, s:i}", "revision", 10, "removed", 3);
	return 0;
}

/* As long as it is not undone the kernel carries 3; after that nobody knows. */
static int do_takeover(void *arg, json_t *params, json_t **result, struct rpc_error *error)
{
	const bool undo = json_is_true(json_object_get(params, "undo"));

	(void)arg, (void)error;
	*result = json_pack("{s:[{s:s,s:s,s:s}], s:{s:s,s:s}, s:i, s:{s:b, s:[{s:s,s:s,s:i,s:i}], "
			    "s:o, s:[{s:s,s:b}]}}",
			    "ifaces", "name", "eth0", "was", "drain", "lb", undo ? "drain" : "on",
			    "processes", "was", "drain", "lb", undo ? "drain" : "on", "flows",
			    undo ? 0 : 7, "kube_proxy", "known", true, "rules", "kind", "nftables",
			    "family", "IPv6", "chains", 4, "rules", 20, "connections",
			    undo ? json_null() : json_integer(3), "ports", "address", "[::]:10256",
			    "held", undo);
	return 0;
}

static const struct rpc_method methods[] = {
	{.name = "apply", .handler = do_objects},
	{.name = "replace", .handler = do_replace},
	{.name = "delete", .handler = do_objects},
	{.name = "get", .handler = do_get},
	{.name = "iface", .handler = do_iface},
	{.name = "status", .handler = do_status},
	{.name = "sync", .handler = do_sync},
	{.name = "takeover", .handler = do_takeover},
	{},
};

/* ---- running a command line ---- */

struct run {
	int code;
	char *data;
	char *notes;
};

static struct serve serve;

static struct run run_line(const char *line)
{
	char *copy = strdup(line);
	char *argv[16] = {(char *)"nearpath"};
	struct run run = {};
	size_t data_length, notes_length;
	FILE *data = open_memstream(&run.data, &data_length);
	FILE *notes = open_memstream(&run.notes, &notes_length);
	char *rest = copy;
	int argc = 1;

	for (char *word; (word = strsep(&rest, " "));)
		argv[argc++] = word;
	run.code = cmd_main(argc, argv, data, notes);
	fclose(data);
	fclose(notes);
	free(copy);
	return run;
}

static void run_free(struct run *run)
{
	free(run->data);
	free(run->notes);
}

static void expect(const char *line, int code, const char *data, const char *notes)
{
	struct run run = run_line(line);

	assert_string_equal(run.notes, notes);
	assert_string_equal(run.data, data);
	assert_int_equal(run.code, code);
	run_free(&run);
}

/* A usage error with this in its text. */
static void expect_usage(const char *line, const char *part)
{
	struct run run = run_line(line);

	if (!strstr(run.notes, part))
		fail_msg("\"%s\" says \"%s\" and not \"%s\"", line, run.notes, part);
	assert_string_equal(run.data, "");
	assert_int_equal(run.code, CMD_USAGE);
	run_free(&run);
}

static json_t *expect_json(const char *line, int code)
{
	struct run run = run_line(line);
	json_t *json = json_loads(run.data, 0, NULL);

	assert_int_equal(run.code, code);
	assert_string_equal(run.notes, "");
	assert_int_equal(json_integer_value(json_object_get(json, "schema")), 1);
	run_free(&run);
	return json;
}

#define FILE_NAME "/tmp/nearpath-test-objects"

static void file_put(const char *text)
{
	FILE *file = fopen(FILE_NAME, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* ---- the command line ---- */

static void assert_help(const char *line, const char *part)
{
	struct run run = run_line(line);
	char *end;

	assert_int_equal(run.code, CMD_DONE);
	assert_non_null(strstr(run.data, part));
	assert_string_equal(run.notes, "");
	for (char *text = run.data; *text; text = end + 1) {
		end = strchr(text, '\n');
		assert_in_range(end - text, 0, 80);
	}
	run_free(&run);
}

static void every_level_has_help_in_80_columns(void **state)
{
	(void)state;
	for (const struct cmd *cmd = cmd_table; cmd->verb; cmd++) {
		char name[64];
		char line[80];

		snprintf(name, sizeof(name), "%s%s%s", cmd->object ? cmd->object : "",
			 cmd->object ? " " : "", cmd->verb);
		snprintf(line, sizeof(line), "%s --help", name);
		assert_help(line, cmd->summary);
		snprintf(line, sizeof(line), "help %s", name);
		assert_help(line, cmd->summary);
	}
	assert_help("--help", "Exit codes");
	assert_help("help", "Exit codes");
	assert_help("service --help", "service get");
	assert_help("help service", "service get");
}

static void a_wrong_command_line_says_what_is_near(void **state)
{
	(void)state;
	expect_usage("servce list", "unknown command \"servce\" (did you mean \"service\"?)");
	expect_usage("service lst", "unknown command \"service lst\" (did you mean \"list\"?)");
	expect_usage("service apply", "unknown command \"service apply\"; see \"nearpath service");
	expect_usage("xyzzy", "unknown command \"xyzzy\"; see \"nearpath --help\"");
	expect_usage("help xyzzy", "unknown command \"xyzzy\"");
	expect_usage("status --sokcet x", "(did you mean \"--socket\"?)");
	expect_usage("status -x", "unknown option \"-x\"");
	expect_usage("status --limit 1", "\"status\" takes no option \"--limit\"");
	expect_usage("status more", "\"status\" does not take \"more\"");
	expect_usage("service get", "\"service get\" needs [NAMESPACE/]NAME");
	expect_usage("service get a b", "does not take \"b\"");
	expect_usage("status --socket", "\"--socket\" needs a value");
	expect_usage("status --help=x", "takes no value");
	expect_usage("status -o yaml", "unknown output \"yaml\"");
	expect_usage("flow list --limit 0", "not a number from 1");
	expect_usage("flow list --limit -1", "not a number from 1");
	expect_usage("flow list --limit 1x", "not a number from 1");
	expect_usage("flow list --limit 99999999999", "not a number from 1");
	expect_usage("service", "Usage: nearpath service");
	expect_usage("service get a/b/c", "is not [NAMESPACE/]NAME");
	expect_usage("service get -n x y/z", "two namespaces");
}

static void the_nearest_name_is_near(void **state)
{
	static const char *const names[] = {"lb", "xdp", "status", NULL};

	(void)state;
	assert_string_equal(cmd_nearest("lbx", names), "lb");
	assert_string_equal(cmd_nearest("stauts", names), "status");
	assert_null(cmd_nearest("q", names));
	assert_null(cmd_nearest("", names));
	assert_null(cmd_nearest("statement", names));
}

static void no_daemon_is_exit_code_3(void **state)
{
	struct run run = run_line("status --socket /nowhere/sock");
	json_auto_t *json = expect_json("status -o json --socket /nowhere/sock", CMD_NO_DAEMON);

	(void)state;
	assert_int_equal(run.code, CMD_NO_DAEMON);
	assert_non_null(strstr(run.notes, "no daemon answers at \"/nowhere/sock\""));
	assert_string_equal(run.data, "");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "error"), "kind")),
		"no_daemon");
	run_free(&run);
}

static void an_error_is_json_where_json_was_asked_for(void **state)
{
	json_auto_t *early = expect_json("status --bad -o json", CMD_USAGE);
	json_auto_t *missing = expect_json("-ojson", CMD_USAGE);

	(void)state;
	assert_non_null(json_object_get(early, "error"));
	assert_non_null(json_object_get(missing, "error"));
}

/* ---- objects ---- */

static void objects_are_read_in_every_form_kubectl_prints(void **state)
{
	(void)state;
	file_put("{\"kind\":\"A\"}\n {\"kind\":\"B\"}[{\"kind\":\"C\"},{\"kind\":\"D\"}]\n\n");
	expect("apply -f " FILE_NAME, CMD_DONE, "applied 4, unchanged 1 (revision 7)\n", "");
	expect("apply --file=" FILE_NAME " -f" FILE_NAME, CMD_DONE,
	       "applied 8, unchanged 1 (revision 7)\n", "");
	expect("replace -f " FILE_NAME, CMD_DONE,
	       "applied 4, unchanged 1, removed 4 (revision 7)\n", "");
}

static void what_is_no_file_of_objects_is_not_sent(void **state)
{
	(void)state;
	expect_usage("apply", "a file is missing");
	expect("apply -f /nowhere/x", CMD_FAILED, "",
	       "nearpath: cannot read \"/nowhere/x\": No such file or directory\n");
	file_put(" \n");
	expect("replace -f " FILE_NAME, CMD_FAILED, "",
	       "nearpath: \"" FILE_NAME "\" is empty: nothing was sent\n");
	file_put("kind: Service\n");
	expect("apply -f " FILE_NAME, CMD_FAILED, "",
	       "nearpath: \"" FILE_NAME "\" is not JSON; for YAML try \"kubectl create "
	       "--dry-run=client -o json -f FILE\"\n");
	file_put("{}\n{\"a\":1,\n\"b\" 2}\n");
	expect("apply -f " FILE_NAME, CMD_FAILED, "",
	       "nearpath: \"" FILE_NAME "\" line 3 is not JSON: ':' expected near '2'; "
	       "nothing was sent\n");
}

static void a_refusal_names_object_path_and_reason(void **state)
{
	json_auto_t *json = NULL;
	json_t *error;

	(void)state;
	file_put("{\"bad\":1}");
	expect("apply -f " FILE_NAME, CMD_FAILED, "",
	       "nearpath: apply failed: Service \"ns/x\": spec.ports[0].port: must be 1 to 65535; "
	       "nothing was changed\n");
	json = expect_json("-o json apply -f " FILE_NAME, CMD_FAILED);
	error = json_object_get(json, "error");
	assert_int_equal(json_integer_value(json_object_get(error, "code")), RPC_BAD_PARAMS);
	assert_int_equal(json_object_size(json_object_get(error, "data")), 3);
}

static void expect_deleted(const char *line, const char *objects)
{
	json_auto_t *json = expect_json(line, CMD_DONE);
	json_auto_t *expected = json_loads(objects, 0, NULL);

	assert_true(json_equal(json_object_get(json, "objects"), expected));
}

static void delete_sends_names_only(void **state)
{
	(void)state;
	expect("delete service ns/web", CMD_DONE, "deleted 1, missing 2 (revision 7)\n", "");
	expect_deleted("delete -o json service ns/web",
		       "[{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"ns\",\"name\":"
		       "\"web\"}}]");
	expect_deleted("delete -o json endpointslice web-1 -n other",
		       "[{\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"other\","
		       "\"name\":\"web-1\"}}]");
	expect_deleted("delete -o json node a",
		       "[{\"kind\":\"Node\",\"metadata\":{\"name\":\"a\"}}]");
	expect_deleted("delete -o json servicecidr kubernetes",
		       "[{\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":\"kubernetes\"}}]");
	file_put(
		"{\"kind\":\"ServiceList\",\"items\":[{\"metadata\":{\"name\":\"x\",\"labels\":{}},"
		"\"spec\":{}}]}{\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"}}");
	expect_deleted("delete -o json -f " FILE_NAME,
		       "[{\"kind\":\"Service\",\"metadata\":{\"name\":\"x\"}},"
		       "{\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"}}]");
	file_put("{\"kind\":\"List\",\"items\":[{\"metadata\":{\"name\":\"x\"}}]}");
	expect("delete -f " FILE_NAME, CMD_FAILED, "",
	       "nearpath: object 1 has no \"kind\" or no \"metadata.name\"; nothing was sent\n");
}

static void delete_of_nothing_in_particular_is_refused(void **state)
{
	(void)state;
	expect_usage("delete", "what to delete is missing");
	expect_usage("delete service", "what to delete is missing");
	expect_usage("delete servic x", "(did you mean \"service\"?)");
	expect_usage("delete pod x", "it is service, endpointslice, node or servicecidr");
	expect_usage("delete node a/b", "a node has no namespace");
	expect_usage("delete servicecidr a -n b", "a ServiceCIDR has no namespace");
	expect_usage("delete service /x", "is not [NAMESPACE/]NAME");
	expect_usage("delete service x/", "is not [NAMESPACE/]NAME");
	expect_usage("delete service x -f y", "not both");
}

/* ---- what is shown ---- */

static void lists_are_tables(void **state)
{
	(void)state;
	expect("service list", CMD_DONE,
	       "NAMESPACE  NAME  PORT    FAMILY  FRONTEND          USED  TOPOLOGY\n"
	       "default    web   80/TCP  IPv4    10.96.0.10:80 +1   1/2  zone\n",
	       "");
	expect("backend list", CMD_DONE,
	       "ADDRESS      LOCAL  ZONE  SNAT  REFERENCES\n"
	       "10.1.0.4:53  yes    -     -              2\n",
	       "");
	expect("flow list --limit 1", CMD_DONE,
	       "PROTO  CLIENT          FRONTEND       BACKEND        STATE            IDLE  "
	       "AGE\n"
	       "TCP    10.1.0.9:41000  10.96.0.10:80  10.1.0.4:8080  tcp_established     3   "
	       "20\n",
	       "there are more flows; see --limit\n");
	expect("iface list", CMD_DONE,
	       "NAME   ROLE     MTU  LB     XDP     MSS   STATS  ATTACHED"
	       "                 NOTE\n"
	       "eth2   uplink  1500  on     native  auto  off    tcx, xdp generic shared  "
	       "native XDP refused\n"
	       "eth10  pod     1450  drain  off     1400  on     tcx                      -\n",
	       "");
}

static void a_service_is_shown_with_policy_backends_and_connections(void **state)
{
	(void)state;
	expect("service get web", CMD_DONE,
	       "default/web 80/TCP IPv4, topology zone\n"
	       "  FRONTEND       KIND       FROM  VERDICT  SNAT  BACKENDS\n"
	       "  10.96.0.10:80  ClusterIP  node  forward  yes   10.1.0.4:8080\n"
	       "  10.96.0.10:80  ClusterIP  pod   forward  no    10.1.0.4:8080\n"
	       "  BACKEND         NODE  ZONE  LOCAL  READY  SERVING  TERMINATING  USED\n"
	       "  10.1.0.4:8080   a     z     yes    yes    yes      no           yes\n"
	       "  10.1.0.10:8080  b     -     -      no     -        -            no\n"
	       "  connections node 1, zone 2, refused 0\n",
	       "");
	expect("service get ns/other", CMD_FAILED, "",
	       "nearpath: there is no service \"ns/other\"; see \"nearpath service list\"\n");
}

static void status_shows_what_there_is(void **state)
{
	json_auto_t *json = expect_json("status -o json", CMD_DONE);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(json, "version")), "0.7");
	expect("status", CMD_DONE,
	       "nearpathd  0.7, pid 12, up 1h 1m\n"
	       "node       a, zone z\n"
	       "revision   9, the tables hold it\n"
	       "objects    Node 1, Service 3\n"
	       "kernel     tcx yes\n"
	       "processes  translated at /sys/fs/cgroup\n"
	       "\n"
	       "TABLE     USED   SIZE\n"
	       "services     5  65536\n"
	       "\n"
	       "HOOK     COUNTER   COUNT\n"
	       "ingress  new_flow      1\n"
	       "\n"
	       "CONFLICT\n"
	       "two services on 10.0.0.1:80\n",
	       "");
	expect("version", CMD_DONE, "nearpath   " NEARPATH_VERSION "\nnearpathd  0.7\n", "");
	expect("version --socket /nowhere/x", CMD_DONE,
	       "nearpath   " NEARPATH_VERSION "\nnearpathd  not reached\n", "");
}

static void a_takeover_tells_what_remains(void **state)
{
	(void)state;
	expect("takeover", CMD_DONE,
	       "INTERFACE  WAS    LB\n"
	       "eth0       drain  on\n"
	       "\n"
	       "processes  lb was drain, is on\n"
	       "flows      7 of nearpath live\n"
	       "carried    3 connections, by the kernel for kube-proxy\n"
	       "rules      nftables, IPv6: 4 chains, 20 rules\n"
	       "port       [::]:10256: another process holds it; taken over when it ends\n"
	       "\n"
	       "The rules are removed by \"kube-proxy --cleanup\". Not before 0 connections\n"
	       "are carried: without them the kernel may stop translating those that live.\n"
	       "\"nearpath takeover\" counts again.\n",
	       "");
	expect("takeover --undo", CMD_DONE,
	       "INTERFACE  WAS    LB\n"
	       "eth0       drain  drain\n"
	       "\n"
	       "processes  lb was drain, is drain\n"
	       "flows      0 of nearpath live\n"
	       "carried    not known\n"
	       "rules      nftables, IPv6: 4 chains, 20 rules\n"
	       "port       [::]:10256: nearpath's\n"
	       "\n"
	       "No connection of nearpath lives: \"nearpath iface set DEV lb=off\" is safe.\n",
	       "");
	expect_usage("takeover eth0", "does not take \"eth0\"");
	expect_usage("takeover --begin", "takes no option");
}

static void a_delivery_is_begun_and_ended(void **state)
{
	(void)state;
	expect("sync --begin", CMD_DONE, "delivery begun (revision 9)\n", "");
	expect("sync", CMD_DONE, "removed 3 (revision 10)\n", "");
}

static void a_watch_that_is_refused_fails(void **state)
{
	(void)state;
	expect("watch", CMD_FAILED, "",
	       "nearpath: watch failed: there is no method \"watch\"; is the daemon of another "
	       "version? See \"nearpath version\"\n");
}

static void iface_set_checks_what_it_sends(void **state)
{
	json_auto_t *json = expect_json("iface set eth0 lb=drain mss=1400 -o json", CMD_DONE);
	json_auto_t *set = json_pack("{s:s, s:i}", "lb", "drain", "mss", 1400);

	(void)state;
	assert_true(json_equal(json_object_get(json, "set"), set));
	assert_string_equal(json_string_value(json_object_get(json, "name")), "eth0");
	expect_usage("iface set eth0", "needs DEV SETTING=VALUE...");
	expect_usage("iface set eth0 lb", "\"lb\" is not SETTING=VALUE");
	expect_usage("iface set eth0 xdpp=off", "unknown setting \"xdpp\" (did you mean \"xdp\"?)");
	expect_usage("iface set eth0 xdp=nativ", "\"nativ\" is no value of xdp (did you mean "
						 "\"native\"?); it is native, generic, off");
	expect_usage("iface set eth0 mss=-1", "it is auto, off or a number");
	expect_usage("iface set eth0 mss=", "it is auto, off or a number");
	expect_usage("iface set eth0 lb=1", "\"1\" is no value of lb; it is on, drain, off");
	expect_usage("iface set eth0 lb=on lb=off", "lb is set twice");
	expect_usage("iface set sixteen-letters- lb=on", "cannot be the name of an interface");
}

static int group_setup(void **state)
{
	const struct server_options options = {};

	(void)state;
	serve_start(&serve, &options, methods);
	return setenv("NEARPATH_SOCKET", serve.path, 1);
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(FILE_NAME);
	serve_end(&serve);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_level_has_help_in_80_columns),
		cmocka_unit_test(a_wrong_command_line_says_what_is_near),
		cmocka_unit_test(the_nearest_name_is_near),
		cmocka_unit_test(no_daemon_is_exit_code_3),
		cmocka_unit_test(an_error_is_json_where_json_was_asked_for),
		cmocka_unit_test(objects_are_read_in_every_form_kubectl_prints),
		cmocka_unit_test(what_is_no_file_of_objects_is_not_sent),
		cmocka_unit_test(a_refusal_names_object_path_and_reason),
		cmocka_unit_test(delete_sends_names_only),
		cmocka_unit_test(delete_of_nothing_in_particular_is_refused),
		cmocka_unit_test(lists_are_tables),
		cmocka_unit_test(a_service_is_shown_with_policy_backends_and_connections),
		cmocka_unit_test(status_shows_what_there_is),
		cmocka_unit_test(a_takeover_tells_what_remains),
		cmocka_unit_test(a_delivery_is_begun_and_ended),
		cmocka_unit_test(a_watch_that_is_refused_fails),
		cmocka_unit_test(iface_set_checks_what_it_sends),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
