/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The values that more than one kind of object has, checked: names, zones, addresses, ports,
 * protocols, words from a list. Where they stand in an object is known by kube_*.c.
 */
#include "kube_parts.h"
#include "intern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ASCII only: <ctype.h> would follow the locale. */
static bool alphanumeric(char c, bool upper)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z');
}

static int read_word(const struct field *field, size_t max, bool label, const char **word)
{
	const char *text = NULL;
	size_t length;
	int err;

	err = field_string(field, &text);
	if (err)
		return err;
	if (!text || !text[0]) {
		*word = NULL;
		return 0;
	}
	length = strlen(text);
	if (length > max)
		return field_refuse(field, "is %zu characters long; at most %zu are allowed",
				    length, max);
	for (size_t i = 0; i < length; i++) {
		if (alphanumeric(text[i], label))
			continue;
		if (!strchr(label ? "-._" : "-.", text[i]))
			return field_refuse(field, "\"%.60s\" has a character that is not %s", text,
					    label ? "a letter, a digit, '-', '.' or '_'"
						  : "a lower-case letter, a digit, '-' or '.'");
		if (i == 0 || i == length - 1)
			return field_refuse(
				field, "\"%.60s\" must begin and end with a letter or digit", text);
	}
	*word = text;
	return 0;
}

int kube_read_name(const struct field *field, size_t max, const char **name)
{
	return read_word(field, max, false, name);
}

int kube_read_zone(const struct field *field, const char **zone)
{
	return read_word(field, KUBE_MAX_NAME, true, zone);
}

int kube_read_address(const struct field *field, struct kube_address *address)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct kube_address read = {.family = NP_IPV4, .addr.word = {0}};
	const union np_addr none = {.word = {0}};
	const char *text = NULL;
	int err;

	err = field_required(field);
	if (!err)
		err = field_string(field, &text);
	if (err)
		return err;
	if (inet_pton(AF_INET, text, &read.addr.v4) != 1) {
		if (inet_pton(AF_INET6, text, &read.addr) != 1)
			return field_refuse(field,
					    "\"%.60s\" is not an IP address; write one like "
					    "10.0.0.1 or fd00::1",
					    text);
		read.family = NP_IPV6;
	}
	/* Kubernetes (net.ParseIP) takes ::ffff:10.0.0.1 for the IPv4 address. */
	if (read.family == NP_IPV6 && !memcmp(read.addr.word, mapped, sizeof(mapped))) {
		read.family = NP_IPV4;
		read.addr = (union np_addr){.word = {read.addr.word[3]}};
	}
	/* All zeroes is how tables say "any node address": it must never come from an object. */
	if (!memcmp(read.addr.word, none.word, sizeof(none.word)))
		return field_refuse(field, "%.60s is the address that means none; write a real one",
				    text);
	*address = read;
	return 0;
}

int kube_read_port(const struct field *field, uint16_t min, uint16_t *port)
{
	long long number = min;
	int err;

	if (!field->value)
		return 0;
	err = field_integer(field, &number);
	if (err)
		return err;
	if (number < min || number > UINT16_MAX)
		return field_refuse(field, "%lld is not a port; write one from 1 to 65535%s",
				    number, min ? "" : ", or 0 for none");
	*port = (uint16_t)number;
	return 0;
}

int kube_read_choice(const struct field *field, const char *const *choices, size_t *choice)
{
	char list[160] = "";
	const char *text = NULL;
	size_t length = 0;
	int err;

	err = field_string(field, &text);
	if (err)
		return err;
	if (!text || !text[0]) {
		*choice = 0;
		return 0;
	}
	for (size_t i = 0; choices[i]; i++) {
		if (!strcmp(choices[i], text)) {
			*choice = i;
			return 0;
		}
		length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s",
					   i ? ", " : "", choices[i]);
	}
	return field_refuse(field, "\"%.60s\" is not known; write one of %s", text, list);
}

int kube_read_protocol(const struct field *object, uint8_t *protocol)
{
	static const char *const names[] = {"TCP", "UDP", "SCTP", NULL};
	static const uint8_t numbers[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
	struct field field = field_member(object, "protocol");
	size_t choice = 0;
	int err;

	err = kube_read_choice(&field, names, &choice);
	if (!err)
		*protocol = numbers[choice];
	return err;
}

int kube_read_labels(const struct field *root, struct field *metadata, struct field *labels)
{
	int err;

	err = field_member_object(root, "metadata", metadata);
	if (!err)
		err = field_member_object(metadata, "labels", labels);
	return err;
}

int kube_copy(const char *text, char **copy)
{
	const char *copied = text ? intern(text) : NULL;

	if (text && !copied)
		return -ENOMEM;
	*copy = (char *)copied;
	return 0;
}

void kube_drop(char *copy)
{
	intern_put(copy);
}

int kube_alloc(size_t count, size_t size, void *items)
{
	void *made = count ? calloc(count, size) : NULL;

	if (count && !made)
		return -ENOMEM;
	*(void **)items = made;
	return 0;
}

int kube_read_cidr(const struct field *field, struct cidr *cidr)
{
	const char *text = NULL;
	int err = field_required(field);

	if (!err)
		err = field_string(field, &text);
	if (!err && cidr_parse(text, cidr))
		err = field_refuse(field, "\"%.60s\" is not a range; write one like 10.1.2.0/24",
				   text);
	return err;
}
