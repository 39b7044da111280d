/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Entries of the publisher's tables in words, for those who read of a difference. */
#ifndef NEARPATH_LOADER_COMPARE_WORDS_H
#define NEARPATH_LOADER_COMPARE_WORDS_H

#include "compare.h"
#include "publish_private.h"

/* 'Service "ns/name" port "http" ClusterIP 10.96.0.1:80/TCP'. */
void words_of_plan(const struct plan *plan, const struct plan_frontend *pf, char *text,
		   size_t size);
void words_of_frontend(const struct frontend *f, char *text, size_t size);
void words_of_address(const struct frontend_key *key, char *text, size_t size);
void words_of_backend(const struct np_backend *b, char *text, size_t size);

/* An index entry nobody made, by the version it names. */
void words_of_stranger(const struct publisher *p, uint32_t version, char *text, size_t size);

/* The first thing in which a version differs; class: its run, or NP_CLASSES: something else. */
void words_of_content(const struct publisher *p, const struct frontend *f, int class,
		      struct difference *d);

#endif
