/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tables and JSON as they come out, byte for byte. */
#include "out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct capture {
	char *data;
	char *notes;
	size_t data_length;
	size_t notes_length;
	struct out out;
};

static void capture_begin(struct capture *capture, enum out_format format)
{
	*capture = (struct capture){};
	capture->out = out_new(open_memstream(&capture->data, &capture->data_length),
			       open_memstream(&capture->notes, &capture->notes_length));
	capture->out.format = format;
}

static void capture_expect(struct capture *capture, const char *data, const char *notes)
{
	fclose(capture->out.data);
	fclose(capture->out.notes);
	assert_string_equal(capture->data, data);
	assert_string_equal(capture->notes, notes);
	free(capture->data);
	free(capture->notes);
}

static const struct out_column columns[] = {
	{.title = "NAME", .key = "name"},
	{.title = "COUNT", .key = "count", .right = true},
	{.title = "NOTE", .key = "note", .optional = true},
	{.title = "LAST", .key = "last"},
	{},
};

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	return json;
}

static void a_table_is_aligned_sorted_and_without_spaces_at_the_end(void **state)
{
	json_auto_t *rows = parse("[{\"name\":\"eth10\",\"count\":5,\"last\":\"x\"},"
				  "{\"name\":\"eth9\",\"count\":12345678,\"last\":\"long one\"},"
				  "{\"name\":\"\xc3\xa9\",\"count\":1}]");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_TEXT);
	assert_int_equal(out_table(&capture.out, rows, columns, "  "), 0);
	capture_expect(&capture,
		       "  NAME      COUNT  LAST\n"
		       "  eth9   12345678  long one\n"
		       "  eth10         5  x\n"
		       "  \xc3\xa9             1  -\n",
		       "");
}

static void an_optional_column_is_shown_where_it_says_something(void **state)
{
	json_auto_t *rows = parse("[{\"name\":\"a\",\"count\":1,\"note\":\"why\",\"last\":true}]");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_TEXT);
	assert_int_equal(out_table(&capture.out, rows, columns, ""), 0);
	capture_expect(&capture, "NAME  COUNT  NOTE  LAST\na         1  why   yes\n", "");
}

static void values_have_one_text_each(void **state)
{
	static const struct {
		const char *json;
		const char *text;
	} cases[] = {
		{"true", "yes"}, {"false", "no"},
		{"null", NULL},	 {"\"\"", NULL},
		{"\"a\"", "a"},	 {"-5", "-5"},
		{"[]", NULL},	 {"[\"a\",1]", "a,1"},
		{"[null]", "-"}, {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
	};

	(void)state;
	assert_null(out_value(NULL));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_auto_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
		char *text = out_value(json);

		if (cases[i].text)
			assert_string_equal(text, cases[i].text);
		else
			assert_null(text);
		free(text);
	}
}

static void what_drives_a_terminal_is_not_printed(void **state)
{
	json_auto_t *json = json_string("a\033[2J\r\n\x7f\xc2\x9b"
					"1m\xc3\xa9");
	char *text = out_value(json);

	(void)state;
	assert_string_equal(text, "a?[2J?????1m\xc3\xa9");
	free(text);
}

static void json_has_a_schema_sorted_keys_and_sorted_rows(void **state)
{
	json_auto_t *result = parse("{\"rows\":[{\"name\":\"b10\"},{\"name\":\"b9\"}],\"a\":1}");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_JSON);
	assert_int_equal(out_list(&capture.out, result, "rows", columns), 0);
	capture_expect(&capture,
		       "{\n"
		       "  \"a\": 1,\n"
		       "  \"rows\": [\n"
		       "    {\n"
		       "      \"name\": \"b9\"\n"
		       "    },\n"
		       "    {\n"
		       "      \"name\": \"b10\"\n"
		       "    }\n"
		       "  ],\n"
		       "  \"schema\": 1\n"
		       "}\n",
		       "");
}

static void rows_that_look_alike_have_an_order_too(void **state)
{
	json_auto_t *one = parse("[{\"name\":\"a\",\"x\":1},{\"name\":\"a\",\"x\":2}]");
	json_auto_t *two = parse("[{\"name\":\"a\",\"x\":2},{\"name\":\"a\",\"x\":1}]");

	(void)state;
	assert_int_equal(out_sort(one, columns), 0);
	assert_int_equal(out_sort(two, columns), 0);
	assert_true(json_equal(one, two));
}

static void an_empty_list_is_a_note_in_text_and_a_list_in_json(void **state)
{
	json_auto_t *result = parse("{\"rows\":[]}");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_TEXT);
	assert_int_equal(out_list(&capture.out, result, "rows", columns), 0);
	capture_expect(&capture, "", "no rows\n");
	capture_begin(&capture, OUT_JSON);
	assert_int_equal(out_list(&capture.out, result, "rows", columns), 0);
	capture_expect(&capture, "{\n  \"rows\": [],\n  \"schema\": 1\n}\n", "");
}

static void an_event_is_one_line(void **state)
{
	json_auto_t *event = parse("{\"revision\":1}");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_JSON);
	assert_int_equal(out_json_line(&capture.out, event), 0);
	capture_expect(&capture, "{\"revision\":1,\"schema\":1}\n", "");
}

static void an_error_is_a_note_in_text_and_data_in_json(void **state)
{
	json_auto_t *more = parse("{\"code\":-32000,\"kind\":\"ignored\"}");
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_TEXT);
	out_error(&capture.out, "failed", "it \033 broke", more);
	capture_expect(&capture, "", "nearpath: it ? broke\n");
	capture_begin(&capture, OUT_JSON);
	out_error(&capture.out, "failed", "not \xff UTF-8", more);
	capture_expect(&capture,
		       "{\n"
		       "  \"error\": {\n"
		       "    \"code\": -32000,\n"
		       "    \"kind\": \"failed\",\n"
		       "    \"message\": \"not ? UTF-8\"\n"
		       "  },\n"
		       "  \"schema\": 1\n"
		       "}\n",
		       "");
}

static void a_stream_that_is_no_terminal_gets_no_colors(void **state)
{
	struct capture capture;

	(void)state;
	capture_begin(&capture, OUT_TEXT);
	assert_false(capture.out.bold);
	capture_expect(&capture, "", "");
}

static void a_terminal_gets_them_unless_no_color_is_set(void **state)
{
	int fd = posix_openpt(2 /* O_RDWR */);
	FILE *terminal = fd >= 0 ? fdopen(fd, "w") : NULL;

	(void)state;
	if (!terminal)
		skip();
	unsetenv("NO_COLOR");
	assert_true(out_new(terminal, stderr).bold);
	setenv("NO_COLOR", "1", 1);
	assert_false(out_new(terminal, stderr).bold);
	setenv("NO_COLOR", "", 1);
	assert_true(out_new(terminal, stderr).bold);
	fclose(terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_aligned_sorted_and_without_spaces_at_the_end),
		cmocka_unit_test(an_optional_column_is_shown_where_it_says_something),
		cmocka_unit_test(values_have_one_text_each),
		cmocka_unit_test(what_drives_a_terminal_is_not_printed),
		cmocka_unit_test(json_has_a_schema_sorted_keys_and_sorted_rows),
		cmocka_unit_test(rows_that_look_alike_have_an_order_too),
		cmocka_unit_test(an_empty_list_is_a_note_in_text_and_a_list_in_json),
		cmocka_unit_test(an_event_is_one_line),
		cmocka_unit_test(an_error_is_a_note_in_text_and_data_in_json),
		cmocka_unit_test(a_stream_that_is_no_terminal_gets_no_colors),
		cmocka_unit_test(a_terminal_gets_them_unless_no_color_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
