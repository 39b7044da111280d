/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Times as text. A zero struct timespec is written as Go writes its zero time: year 1. */
#include "rfc3339.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *rfc3339_format(const struct timespec *time, char *text, size_t size)
{
	char decimals[16] = "";
	struct tm tm;
	int length;

	if (!time->tv_sec && !time->tv_nsec) {
		snprintf(text, size, "0001-01-01T00:00:00Z");
		return text;
	}
	gmtime_r(&time->tv_sec, &tm);
	if (time->tv_nsec) {
		length = snprintf(decimals, sizeof(decimals), ".%09ld", time->tv_nsec);
		while (decimals[length - 1] == '0')
			decimals[--length] = '\0';
	}
	snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, decimals);
	return text;
}

/* Two digits at text, 0 to max; -1: they are not. */
static int two(const char *text, int max)
{
	int value;

	if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
		return -1;
	value = (text[0] - '0') * 10 + text[1] - '0';
	return value <= max ? value : -1;
}

/* "Z" or "+hh:mm" to the end of the text, in seconds. */
static int read_offset(const char *text, long *seconds)
{
	int hours, minutes;

	*seconds = 0;
	if (!strcmp(text, "Z"))
		return 0;
	if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':')
		return -EINVAL;
	hours = two(text + 1, 23);
	minutes = two(text + 4, 59);
	if (hours < 0 || minutes < 0)
		return -EINVAL;
	*seconds = (*text == '-' ? -60L : 60L) * (hours * 60 + minutes);
	return 0;
}

static const char *read_decimals(const char *text, long *nanoseconds)
{
	long place = 100000000;

	*nanoseconds = 0;
	for (; isdigit((unsigned char)*text); text++) {
		*nanoseconds += (*text - '0') * place;
		place /= 10;
	}
	return text;
}

int rfc3339_parse(const char *text, struct timespec *time)
{
	struct timespec read = {};
	struct tm tm = {};
	long offset;
	int century;

	if (strlen(text) < strlen("2026-01-02T03:04:05Z") || text[4] != '-' || text[7] != '-' ||
	    text[10] != 'T' || text[13] != ':' || text[16] != ':')
		return -EINVAL;
	century = two(text, 99);
	tm.tm_year = two(text + 2, 99);
	tm.tm_mon = two(text + 5, 12) - 1;
	tm.tm_mday = two(text + 8, 31);
	tm.tm_hour = two(text + 11, 23);
	tm.tm_min = two(text + 14, 59);
	tm.tm_sec = two(text + 17, 59);
	if (century < 0 || tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_hour < 0 ||
	    tm.tm_min < 0 || tm.tm_sec < 0)
		return -EINVAL;
	tm.tm_year += century * 100 - 1900;
	text += 19;
	if (*text == '.') {
		if (!isdigit((unsigned char)text[1]))
			return -EINVAL;
		text = read_decimals(text + 1, &read.tv_nsec);
	}
	if (read_offset(text, &offset))
		return -EINVAL;
	read.tv_sec = timegm(&tm) - offset;
	*time = read;
	return 0;
}
