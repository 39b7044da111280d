/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * See fill.h. The records of session affinity are the kernel's, which drops the oldest where one
 * more is needed: they are not counted, as that is a system call for each.
 */
#include "fill.h"

#include "daemon.h"

static struct fill published(struct daemon *d, enum table table, const char *option)
{
	return (struct fill){
		.name = tables_name(table),
		.size = tables_entries(d->tables, table),
		.used = publish_used(d->publisher, table),
		.counted = true,
		.option = option,
	};
}

static struct fill flows(struct daemon *d, enum table table, enum sweep_family family)
{
	return (struct fill){
		.name = tables_name(table),
		.size = d->tables->size[table],
		.used = sweep_counts(d->sweep)->total[family],
		.counted = true,
		.option = "max-flows",
	};
}

void fill_of(struct daemon *d, struct fill fill[FILLS])
{
	const struct tables *t = d->tables;
	int n = 0;

	fill[n++] = (struct fill){
		.name = "affinity",
		.size = tables_map_entries(t, TABLES_MAP_affinity),
		.option = "max-affinity",
	};
	fill[n++] = published(d, TABLE_backends, "max-backends");
	fill[n++] = flows(d, TABLE_flows4, SWEEP_IPV4);
	fill[n++] = flows(d, TABLE_flows6, SWEEP_IPV6);
	fill[n++] = published(d, TABLE_frontends, "max-services");
	fill[n++] = (struct fill){
		.name = "ifaces",
		.size = t->size[TABLE_ifaces],
		.used = ifaces_count(d->ifaces),
		.counted = true,
	};
	fill[n++] = (struct fill){
		.name = "service_stats",
		.size = t->size[TABLE_service_stats],
		.used = publish_id_count(d->publisher),
		.counted = true,
		.option = "max-services",
	};
	fill[n++] = published(d, TABLE_services, "max-services");
	fill[n++] = published(d, TABLE_slots, "max-slots");
	fill[n++] = (struct fill){
		.name = "source_ranges",
		.size = tables_map_entries(t, TABLES_MAP_source_ranges),
		.used = publish_range_count(d->publisher),
		.counted = true,
		.option = "max-services",
	};
}

bool fill_is_high(const struct fill *fill)
{
	return fill->counted && fill->used * 10 >= fill->size * 9 && fill->size;
}
