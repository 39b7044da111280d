/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Options about flows: how long a silent one is kept, by protocol and TCP state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "options_flows.h"
#include "util.h"

/* Ticks are counted in 32 bits, and some kernels have a thousand of them a second. */
#define SECONDS_MAX (30 * 86400)

static const struct unit {
	const char *name;
	double seconds;
} units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"h", 3600}, {"m", 60}, {"s", 1}};

static double unit_seconds(const char **at)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t length = strlen(units[i].name);

		if (!strncmp(*at, units[i].name, length)) {
			*at += length;
			return units[i].seconds;
		}
	}
	return 0;
}

/* A duration as Go writes them ("24h0m0s", "1.5m"); a number alone is seconds. */
static int read_duration(const char *text, double *seconds)
{
	const char *at = text;
	double sum = 0;

	if (!*at)
		return -EINVAL;
	while (*at) {
		char *end;
		double n, unit;

		n = strtod(at, &end);
		if (end == at || end != at + strspn(at, "0123456789."))
			return -EINVAL;
		if (!*end && at == text) {
			*seconds = n;
			return 0;
		}
		at = end;
		unit = unit_seconds(&at);
		if (unit == 0)
			return -EINVAL;
		sum += n * unit;
	}
	*seconds = sum;
	return 0;
}

/* zero: 0 is a value, and means the default. */
static int set_timeout(struct options *o, enum np_flow_state state, const char *text, bool zero,
		       char *error, size_t size)
{
	double seconds;

	if (read_duration(text, &seconds) || seconds > SECONDS_MAX ||
	    (seconds < 1 && !(zero && seconds == 0))) {
		snprintf(error, size, "\"%s\" is not a duration from 1s to %dh, such as 90s or 24h",
			 text, SECONDS_MAX / 3600);
		return -EINVAL;
	}
	o->flow_seconds[state] = (uint32_t)seconds;
	return 0;
}

static void list_states(char *text, size_t size)
{
	size_t at = 0;

	for (int i = 1; i < NP_FLOW_STATES && at < size; i++)
		at += snprintf(text + at, size - at, "%s%s", i > 1 ? ", " : "", state_names[i]);
}

int option_flow_timeouts(struct options *o, const char *text, char *error, size_t size)
{
	_cleanup_free_ char *copy = strdup(text);
	char *save = NULL, *word, *value;
	struct options read = *o;
	char states[400];
	int state, rc;

	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		for (state = 1; state < NP_FLOW_STATES; state++)
			if (!strcmp(word, state_names[state]))
				break;
		if (!value || state == NP_FLOW_STATES) {
			list_states(states, sizeof(states));
			snprintf(error, size, "\"%s\" is not STATE=DURATION with a STATE of %s",
				 word, states);
			return -EINVAL;
		}
		rc = set_timeout(&read, state, value, false, error, size);
		if (rc)
			return rc;
	}
	*o = read;
	return 0;
}

int option_tcp_established(struct options *o, const char *text, char *error, size_t size)
{
	return set_timeout(o, NP_FLOW_TCP_ESTABLISHED, text, true, error, size);
}

int option_tcp_close_wait(struct options *o, const char *text, char *error, size_t size)
{
	return set_timeout(o, NP_FLOW_TCP_CLOSE_WAIT, text, true, error, size);
}

int option_udp(struct options *o, const char *text, char *error, size_t size)
{
	int rc = set_timeout(o, NP_FLOW_UDP, text, true, error, size);

	o->flow_seconds[NP_FLOW_UDP_REPLIED] = o->flow_seconds[NP_FLOW_UDP];
	return rc;
}

int option_udp_stream(struct options *o, const char *text, char *error, size_t size)
{
	return set_timeout(o, NP_FLOW_UDP_STREAM, text, true, error, size);
}
