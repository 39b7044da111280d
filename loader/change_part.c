/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A change whose line is still coming: its objects are read and staged meanwhile, as far as the
 * text is there, since both take longer than its way through the socket. It holds nobody up:
 * changes that are whole are carried out before it, and another long one ends it (of those, one at
 * a time is read), so that its line begins anew once it is complete. So does what is wrong with it:
 * that is found, and told, when it is a change as any other.
 */
#include <errno.h>

#include "change.h"
#include "util.h"

void change_drop_part(struct daemon *d)
{
	if (d->coming)
		d->coming->line = NULL; /* its peer's */
	change_free(&d->coming);
}

static int begin(struct daemon *d, const char *line, size_t length)
{
	struct items *items = NULL;
	const char *method;
	int rc;

	if (d->coming || (d->change && d->change->items))
		return -EBUSY;
	rc = change_open_items(line, length, &items, &method);
	rc = rc ?: items_open_part(items);
	rc = rc ?: change_new(d, method, &d->coming);
	if (rc) {
		items_free(&items);
		return rc;
	}
	d->coming->items = items;
	d->coming->line = (char *)line;
	return 0;
}

bool change_part(void *arg, const char *line, size_t length)
{
	struct daemon *d = arg;
	const bool mine = d->coming && d->coming->line == line;

	if (!length) {
		if (mine)
			change_drop_part(d);
		return false;
	}
	if (!mine)
		return !begin(d, line, length);
	items_more(d->coming->items, length, false);
	change_read_ready(d->coming);
	return true;
}

bool change_take_part(struct daemon *d, const char *line, size_t length)
{
	if (!d->coming || d->coming->line != line)
		return false;
	d->change = TAKE_PTR(d->coming);
	items_more(d->change->items, length, true);
	return true;
}
