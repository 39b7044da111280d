/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Address ranges as people write them: 10.1.0.0/16, fd00:1::/48. No I/O. */
#ifndef NEARPATH_LOADER_CIDR_H
#define NEARPATH_LOADER_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../maps/iface.h"

struct cidr {
	uint8_t family; /* NP_IPV4, NP_IPV6 */
	uint8_t bits;
	struct np_prefix prefix;
};

#define CIDR_LIST_MAX 64

struct cidr_list {
	struct cidr cidr[CIDR_LIST_MAX];
	size_t count;
};

/* Host bits may be set, and are dropped. -EINVAL: not a range. */
int cidr_parse(const char *text, struct cidr *cidr);

/*
 * Ranges between commas, blanks around each allowed; "" is an empty list. -EINVAL: one is not a
 * range; -E2BIG: more than CIDR_LIST_MAX.
 */
int cidr_list_parse(const char *text, struct cidr_list *list);

/* The range of the first bits of addr. */
struct cidr cidr_of(uint8_t family, const union np_addr *addr, unsigned bits);

bool cidr_has(const struct cidr *cidr, uint8_t family, const union np_addr *addr);
bool cidr_list_has(const struct cidr_list *list, uint8_t family, const union np_addr *addr);

/* The first range of the family, or NULL. */
const struct cidr *cidr_list_first(const struct cidr_list *list, uint8_t family);

/* A prefix that no address has. */
struct np_prefix cidr_nobody(void);

bool address_equal(const union np_addr *a, const union np_addr *b);

/* Is it 127.0.0.0/8 or ::1? */
bool address_is_loopback(uint8_t family, const union np_addr *addr);

#endif
