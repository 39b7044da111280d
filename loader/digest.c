/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Two lanes of 64 bits, mixed by the multiplication of 64 by 64 bits. Members of an object are
 * summed up, since their order says nothing.
 */
#include "digest.h"

#include <stdlib.h>
#include <sys/random.h>

#define LANES 2

static uint64_t secret[LANES][4];

static void make_secret(void)
{
	static bool made;

	if (made)
		return;
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		abort(); /* cannot be: it is short and waits for the kernel's pool */
	made = true;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Both lanes at a time, or the first alone: the words are loaded once. */
static inline struct digest mix_bytes(const char *bytes, size_t length, int lanes)
{
	struct digest hash;
	uint64_t word[2];
	size_t at;
	int i;

	for (i = 0; i < lanes; i++)
		hash.word[i] = secret[i][0] ^ length;
	for (at = 0; at + sizeof(word) <= length; at += sizeof(word)) {
		memcpy(word, bytes + at, sizeof(word));
		for (i = 0; i < lanes; i++)
			hash.word[i] = mix(word[0] ^ secret[i][1], word[1] ^ hash.word[i]);
	}
	word[0] = word[1] = 0;
	memcpy(word, bytes + at, length - at);
	for (i = 0; i < lanes; i++)
		hash.word[i] =
			mix(mix(word[0] ^ secret[i][1], word[1] ^ hash.word[i]) ^ secret[i][2],
			    secret[i][3]);
	return hash;
}

uint64_t digest_bytes(const void *at, size_t length)
{
	make_secret();
	return mix_bytes(at, length, 1).word[0];
}

static struct digest bytes(const char *text, size_t length)
{
	return mix_bytes(text, length, LANES);
}

struct digest digest_pair(struct digest a, struct digest b)
{
	struct digest pair;

	for (int i = 0; i < LANES; i++)
		pair.word[i] = mix(a.word[i] ^ secret[i][2], b.word[i] ^ secret[i][3]) +
			       mix(b.word[i] ^ secret[i][0], secret[i][1]);
	return pair;
}

static struct digest number(json_type type, uint64_t bits)
{
	return digest_pair((struct digest){{type, type}}, (struct digest){{bits, bits}});
}

static void add(struct digest *sum, struct digest part)
{
	for (int i = 0; i < LANES; i++)
		sum->word[i] += part.word[i];
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (names && *names && strcmp(*names, name) != 0)
		names++;
	return names && *names;
}

struct digest digest_members(const json_t *object, const char *const *except,
			     struct digest *without)
{
	struct digest sum = {}, rest = {}, member;
	const char *name;
	json_t *value;

	make_secret();
	json_object_foreach ((json_t *)object, name, value) {
		member = digest_pair(bytes(name, strlen(name)), digest_json(value));
		add(is_one_of(name, except) ? &rest : &sum, member);
	}
	if (without)
		*without = rest;
	return digest_pair(number(JSON_OBJECT, 0), sum);
}

static struct digest items(const json_t *array)
{
	struct digest all = number(JSON_ARRAY, json_array_size(array));
	json_t *item;
	size_t i;

	json_array_foreach (array, i, item)
		all = digest_pair(all, digest_json(item));
	return all;
}

struct digest digest_json(const json_t *value)
{
	uint64_t bits = 0;
	double real;

	make_secret();
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return digest_members(value, NULL, NULL);
	case JSON_ARRAY:
		return items(value);
	case JSON_STRING:
		return bytes(json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return number(JSON_INTEGER, (uint64_t)json_integer_value(value));
	case JSON_REAL:
		real = json_real_value(value) + 0.0; /* -0.0 is equal to 0.0 */
		memcpy(&bits, &real, sizeof(bits));
		return number(JSON_REAL, bits);
	default:
		return number(json_typeof(value), 0);
	}
}
