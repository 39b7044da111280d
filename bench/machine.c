/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Prints the member "machine" of results, for parts of the benchmark that are scripts. */
#include "machine.h"

int main(void)
{
	struct machine m;
	json_t *json;

	machine_read(&m);
	json = machine_json(&m);
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2)))
		return 1;
	putchar('\n');
	json_decref(json);
	return 0;
}
