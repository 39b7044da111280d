/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tests of loader/journal.c: what was appended comes back, in order, whatever happened to the end
 * of the file; writing that fails leaves the file as it was. In a directory of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "journal.h"
#include "util.h"

#define MIB  (1 << 20)
#define LONG (10 * MIB)

#define LINE(n) "{\"method\":\"apply\",\"params\":{\"objects\":[{\"n\":" #n "}]}}\n"

struct fixture {
	char base[64]; /* the temporary directory */
	char dir[96];  /* the state directory, two levels below */
	char path[128];
	struct journal *journal;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*state = f;
	strcpy(f->base, "/tmp/nearpath-journal-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->dir, sizeof(f->dir), "%s/lib/nearpath", f->base);
	snprintf(f->path, sizeof(f->path), "%s/objects.journal", f->dir);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	journal_close(&f->journal);
	assert_null(f->journal);
	assert_int_equal(nftw(f->base, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

/* The numbers of the lines, "1 2 3 ", and how many to read before it stops. */
struct seen {
	char text[256];
	size_t longest;
	int stop_at;
};

/* line NULL: damage. */
static int see(const char *line, size_t size, int64_t at, void *arg)
{
	json_t *json = line ? json_loadb(line, size, 0, NULL) : NULL;
	json_t *object =
		json_array_get(json_object_get(json_object_get(json, "params"), "objects"), 0);
	int number = json_integer_value(json_object_get(object, "n"));
	size_t length = json_string_length(json_object_get(object, "text"));
	struct seen *seen = arg;
	size_t end = strlen(seen->text);
	bool is_line = !line || json;

	(void)at;
	json_decref(json);
	if (!is_line)
		return -EBADMSG;
	snprintf(seen->text + end, sizeof(seen->text) - end, "%d ", number);
	if (length > seen->longest)
		seen->longest = length;
	return number == seen->stop_at ? -ECANCELED : 0;
}

/* Opens the journal as a daemon does that starts; its lines have these numbers. */
static void reopen(struct fixture *f, const char *wanted)
{
	struct seen seen = {.stop_at = -1};
	size_t lines = 77, spaces = 0;

	journal_close(&f->journal);
	assert_int_equal(journal_open(f->dir, &f->journal), 0);
	assert_int_equal(journal_replay(f->journal, see, &seen, &lines), 0);
	assert_string_equal(seen.text, wanted);
	for (const char *c = wanted; *c; c++)
		spaces += *c == ' ';
	assert_int_equal(lines, spaces);
}

/* The same, where damage is told as number 0 and is no line. */
static void reopen_damaged(struct fixture *f, const char *wanted)
{
	struct seen seen = {.stop_at = -1};
	size_t lines;

	assert_int_equal(journal_replay(f->journal, see, &seen, &lines), 0);
	assert_string_equal(seen.text, wanted);
}

static char *object_of(int number, size_t length)
{
	char *text = malloc(length + 64);
	int n;

	assert_non_null(text);
	n = sprintf(text, "{\"n\":%d,\"text\":\"", number);
	memset(text + n, 'x', length);
	strcpy(text + n + length, "\"}");
	return text;
}

static int write_line(struct fixture *f, bool anew, int number, size_t length, int64_t *at)
{
	_cleanup_free_ char *object = object_of(number, length);
	int rc = journal_begin(f->journal, anew ? "replace" : "apply", anew);

	rc = rc ?: journal_add(f->journal, object, strlen(object), at);
	return rc ?: journal_end(f->journal);
}

static int append(struct fixture *f, int number, size_t length)
{
	int64_t at;

	return write_line(f, false, number, length, &at);
}

static int rewrite(struct fixture *f, int number, size_t length)
{
	int64_t at;
	int rc = write_line(f, true, number, length, &at);

	rc = rc ?: journal_sync(f->journal);
	return rc ?: journal_replace(f->journal);
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -errno : st.st_size;
}

/* What a daemon leaves that was killed in the middle of a line, or a disk that lost its end. */
static void add_bytes(struct fixture *f, const char *bytes)
{
	FILE *file = fopen(f->path, "ae");

	assert_non_null(file);
	assert_true(fputs(bytes, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void lines_come_back_in_order(void **state)
{
	struct fixture *f = *state;

	reopen(f, "");
	for (int i = 1; i <= 3; i++)
		assert_int_equal(append(f, i, 10), 0);
	reopen(f, "1 2 3 ");
	assert_int_equal(append(f, 4, 10), 0);
	reopen(f, "1 2 3 4 ");
	reopen(f, "1 2 3 4 ");
}

static void a_missing_directory_is_made(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	reopen(f, "");
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	strcat(f->dir, "/deeper/");
	reopen(f, "");
}

static void a_torn_last_line_is_cut_off(void **state)
{
	static const char *const ends[] = {"{\"n\":3", "{\"n\":3}", "x"};
	struct fixture *f = *state;
	off_t whole;

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	assert_int_equal(append(f, 2, 10), 0);
	whole = size_of(f->path);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		add_bytes(f, ends[i]);
		reopen(f, "1 2 ");
		assert_int_equal(size_of(f->path), whole);
	}
	assert_int_equal(append(f, 3, 10), 0);
	reopen(f, "1 2 3 ");
}

static void a_damaged_line_costs_no_other(void **state)
{
	static const char *const ends[] = {"X\"n\":2}\n", "{\"n\":3,\n", "\n", "null\n"};
	struct fixture *f = *state;

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	/* Whole lines that are no JSON are told, the last ones too. */
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		add_bytes(f, ends[i]);
		journal_close(&f->journal);
		assert_int_equal(journal_open(f->dir, &f->journal), 0);
		reopen_damaged(f, "1 0 ");
	}
	add_bytes(f, "X\"n\":2}\n" LINE(3));
	journal_close(&f->journal);
	assert_int_equal(journal_open(f->dir, &f->journal), 0);
	reopen_damaged(f, "1 0 3 ");
}

static void reading_stops_when_it_is_told_to(void **state)
{
	struct seen seen = {.stop_at = 2};
	struct fixture *f = *state;
	size_t lines;
	off_t whole;

	reopen(f, "");
	for (int i = 1; i <= 3; i++)
		assert_int_equal(append(f, i, 10), 0);
	whole = size_of(f->path);
	assert_int_equal(journal_replay(f->journal, see, &seen, &lines), -ECANCELED);
	assert_string_equal(seen.text, "1 2 ");
	assert_int_equal(size_of(f->path), whole);
}

static void a_long_line_comes_back_whole(void **state)
{
	struct seen seen = {.stop_at = -1};
	struct fixture *f = *state;
	size_t lines;

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	assert_int_equal(append(f, 2, LONG), 0);
	assert_int_equal(append(f, 3, 10), 0);
	reopen(f, "1 2 3 ");
	assert_int_equal(journal_replay(f->journal, see, &seen, &lines), 0);
	assert_int_equal(seen.longest, LONG);
}

static void a_rewrite_leaves_its_line_alone(void **state)
{
	struct fixture *f = *state;
	char temporary[160];

	reopen(f, "");
	for (int i = 1; i <= 3; i++)
		assert_int_equal(append(f, i, 1000), 0);
	assert_int_equal(rewrite(f, 9, 10), 0);
	assert_true(size_of(f->path) < 100);
	snprintf(temporary, sizeof(temporary), "%s.new", f->path);
	assert_int_equal(size_of(temporary), -ENOENT);
	assert_int_equal(append(f, 10, 10), 0);
	reopen(f, "9 10 ");
}

/* Who has the old file open still reads it: nothing is ever written over. */
static void a_rewrite_is_another_file(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int old = -1;
	struct stat before, after;
	char text[64] = "";

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	old = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(old, &before), 0);
	assert_int_equal(rewrite(f, 2, 10), 0);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(read(old, text, 43), 43);
	assert_string_equal(text, "{\"method\":\"apply\",\"params\":{\"objects\":[{\"n\"");
	assert_int_equal(fstat(old, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void a_rewrite_left_half_done_is_no_harm(void **state)
{
	struct fixture *f = *state;
	char temporary[160];
	FILE *file;

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	snprintf(temporary, sizeof(temporary), "%s.new", f->path);
	file = fopen(temporary, "we");
	assert_non_null(file);
	fputs("{\"n\":7,\"text\":\"much longer than what will be written\"}\n{\"n\":", file);
	fclose(file);
	reopen(f, "1 ");
	assert_int_equal(rewrite(f, 2, 1), 0);
	reopen(f, "2 ");
}

/* What was added can be read where it is said to be; of a new file, once it is in place. */
static void texts_are_where_they_are_said_to_be(void **state)
{
	struct fixture *f = *state;
	int64_t at[3];
	char text[64];

	reopen(f, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(write_line(f, false, i, 5, &at[i]), 0);
	for (int i = 0; i < 3; i++) {
		_cleanup_free_ char *wanted = object_of(i, 5);

		assert_int_equal(journal_read(f->journal, at[i], strlen(wanted), text), 0);
		assert_string_equal(text, wanted);
	}
	assert_int_equal(journal_begin(f->journal, "replace", true), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(journal_add(f->journal, "[12345]", 7, &at[i]), 0);
	assert_int_equal(journal_end(f->journal), 0);
	assert_int_equal(journal_sync(f->journal), 0);
	assert_int_equal(journal_replace(f->journal), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(journal_read(f->journal, at[i], 7, text), 0);
		assert_string_equal(text, "[12345]");
	}
	assert_int_equal(journal_read(f->journal, at[2] + 100, 7, text), -EIO);
}

static void a_line_that_is_given_up_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	off_t whole;
	int64_t at;

	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	whole = size_of(f->path);
	for (int anew = 0; anew < 2; anew++) {
		_cleanup_free_ char *object = object_of(2, MIB);

		assert_int_equal(journal_begin(f->journal, "replace", anew), 0);
		assert_int_equal(journal_add(f->journal, object, strlen(object), &at), 0);
		journal_abandon(f->journal);
		assert_int_equal(size_of(f->path), whole);
		reopen(f, "1 ");
	}
}

static void it_is_long_at_twice_what_was_rewritten(void **state)
{
	struct fixture *f = *state;

	reopen(f, "");
	assert_int_equal(append(f, 1, MIB / 2), 0);
	assert_false(journal_is_long(f->journal)); /* twice nothing, but small */
	assert_int_equal(append(f, 2, MIB), 0);
	assert_true(journal_is_long(f->journal));
	assert_int_equal(rewrite(f, 3, 2 * MIB), 0);
	assert_false(journal_is_long(f->journal));
	assert_int_equal(append(f, 4, MIB), 0);
	assert_false(journal_is_long(f->journal));
	assert_int_equal(append(f, 5, MIB + 1000), 0);
	assert_true(journal_is_long(f->journal));
}

/* The disk is full: what there was stays, and later changes follow it. */
static void writing_that_fails_leaves_the_file_as_it_was(void **state)
{
	struct rlimit limit, small;
	struct fixture *f = *state;
	char temporary[160];
	off_t whole;

	reopen(f, "");
	assert_int_equal(append(f, 1, 1000), 0);
	whole = size_of(f->path);
	snprintf(temporary, sizeof(temporary), "%s.new", f->path);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = (struct rlimit){whole + 500, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(append(f, 2, 1000), -EFBIG);
	assert_int_equal(size_of(f->path), whole);
	assert_int_equal(rewrite(f, 3, 10000), -EFBIG);
	assert_int_equal(size_of(f->path), whole);
	assert_int_equal(size_of(temporary), -ENOENT);
	assert_int_equal(append(f, 4, 10), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(append(f, 5, 1000), 0);
	reopen(f, "1 4 5 ");
}

static int replay_with_little_memory(struct fixture *f)
{
	struct seen seen = {.stop_at = -1};
	unsigned long pages = 0;
	struct rlimit limit;
	size_t lines;
	FILE *file;

	malloc_trim(0);
	file = fopen("/proc/self/statm", "re");
	if (!file || fscanf(file, "%lu", &pages) != 1)
		return 2;
	fclose(file);
	limit.rlim_cur = limit.rlim_max = pages * sysconf(_SC_PAGESIZE) + MIB / 4;
	if (setrlimit(RLIMIT_AS, &limit))
		return 2;
	return journal_replay(f->journal, see, &seen, &lines) == -ENOMEM ? 0 : 1;
}

/* Not to be able to read a line is not the same as that it is torn. */
static void a_line_that_cannot_be_read_is_not_cut_off(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	off_t whole;
	pid_t child;

#ifdef __SANITIZE_ADDRESS__
	skip(); /* takes more addresses than any limit */
#endif
	reopen(f, "");
	assert_int_equal(append(f, 1, 10), 0);
	assert_int_equal(append(f, 2, LONG), 0);
	whole = size_of(f->path);
	child = fork();
	if (!child)
		_exit(replay_with_little_memory(f));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(size_of(f->path), whole);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_cannot_be_opened_is_an_error(void **state)
{
	struct fixture *f = *state;
	char below[192];

	reopen(f, "");
	journal_close(&f->journal);
	snprintf(below, sizeof(below), "%s/state", f->path);
	assert_int_equal(journal_open(below, &f->journal), -ENOTDIR);
	assert_int_equal(journal_open(f->path, &f->journal), -ENOTDIR);
	assert_int_equal(remove(f->path), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(journal_open(f->dir, &f->journal), -EISDIR);
	assert_null(f->journal);
}

static void a_directory_without_permission_is_an_error(void **state)
{
	struct fixture *f = *state;
	int rc;

	reopen(f, "");
	journal_close(&f->journal);
	assert_int_equal(chmod(f->dir, 0), 0);
	if (!getuid())
		assert_int_equal(seteuid(65534), 0);
	rc = journal_open(f->dir, &f->journal);
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(f->dir, 0700), 0);
	assert_int_equal(rc, -EACCES);
	assert_null(f->journal);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(lines_come_back_in_order),
		TEST(a_missing_directory_is_made),
		TEST(a_torn_last_line_is_cut_off),
		TEST(a_damaged_line_costs_no_other),
		TEST(reading_stops_when_it_is_told_to),
		TEST(a_long_line_comes_back_whole),
		TEST(a_rewrite_leaves_its_line_alone),
		TEST(a_rewrite_is_another_file),
		TEST(a_rewrite_left_half_done_is_no_harm),
		TEST(texts_are_where_they_are_said_to_be),
		TEST(a_line_that_is_given_up_leaves_nothing),
		TEST(it_is_long_at_twice_what_was_rewritten),
		TEST(writing_that_fails_leaves_the_file_as_it_was),
		TEST(a_line_that_cannot_be_read_is_not_cut_off),
		TEST(what_cannot_be_opened_is_an_error),
		TEST(a_directory_without_permission_is_an_error),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
