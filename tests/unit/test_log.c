/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

static struct log_capture cap;

static void log_one(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:	log_error("hello %d", 42);	break;
	case LOG_LEVEL_WARN:	log_warn("hello %d", 42);	break;
	case LOG_LEVEL_INFO:	log_info("hello %d", 42);	break;
	case LOG_LEVEL_DEBUG:	log_debug("hello %d", 42);	break;
	}
}

/* _i: threshold * 4 + level of the message */
START_TEST(a_message_shows_up_to_the_level_that_was_set)
{
	static const char *const line[] = {
		"mimsy: error: hello 42\n", "mimsy: warn: hello 42\n",
		"mimsy: info: hello 42\n", "mimsy: debug: hello 42\n",
	};
	int threshold = _i / 4, level = _i % 4;

	log_set_level((enum log_level)threshold);
	log_capture_begin(&cap);
	log_one((enum log_level)level);
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, level <= threshold ? line[level] : "");
}
END_TEST

START_TEST(info_is_the_level_at_the_start)
{
	log_capture_begin(&cap);
	log_info("seen");
	log_debug("unseen");
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, "mimsy: info: seen\n");
}
END_TEST

START_TEST(levels_have_four_names)
{
	static const char *const name[] = { "error", "warn", "info", "debug" };

	for (unsigned int i = 0; i < ARRAY_SIZE(name); i++) {
		enum log_level level;

		ck_assert_int_eq(log_level_parse(name[i], &level), 0);
		ck_assert_uint_eq(level, i);
	}
}
END_TEST

static const char *const no_level[] = { "", "Error", "INFO", "warning", "debug ", "1", "trace" };

START_TEST(any_other_name_is_no_level)
{
	enum log_level level = LOG_LEVEL_WARN;

	ck_assert_int_eq(log_level_parse(no_level[_i], &level), -EINVAL);
	ck_assert_int_eq(level, LOG_LEVEL_WARN);
}
END_TEST

/* C4: nothing that a guest or a file name says moves the cursor or forges a line. */
/* row C4 */
START_TEST(control_characters_become_question_marks)
{
	char text[32];

	for (int c = 1; c < 256; c++) {
		bool control = c < ' ' || c == 0x7f;

		snprintf(text, sizeof(text), "mimsy: error: <%c>\n", control ? '?' : c);
		log_capture_begin(&cap);
		log_error("<%c>", c);
		log_capture_end(&cap);
		ck_assert_str_eq(cap.text, text);
	}
}
END_TEST

/* row C4 */
START_TEST(an_escape_sequence_loses_its_escape)
{
	log_capture_begin(&cap);
	log_error("%s", "\033[2Jfake\nmimsy: error: forged\r");
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, "mimsy: error: ?[2Jfake?mimsy: error: forged?\n");
}
END_TEST

START_TEST(a_long_message_is_cut_and_still_ends_its_line)
{
	char text[3000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_capture_begin(&cap);
	log_error("%.*s", _i, text);
	log_capture_end(&cap);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_uint_le(strlen(cap.text), 512);
	ck_assert_int_eq(cap.text[strlen(cap.text) - 1], '\n');
}
END_TEST

START_TEST(log_errno_names_the_error_and_returns_it)
{
	int ret;

	log_capture_begin(&cap);
	errno = ENOENT;
	ret = log_errno("disk%d", 7);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -ENOENT);
	ck_assert_str_eq(cap.text, "mimsy: error: disk7: No such file or directory\n");
}
END_TEST

START_TEST(log_errno_never_returns_success)
{
	int ret;

	log_capture_begin(&cap);
	errno = 0;
	ret = log_errno("nothing wrong");
	log_capture_end(&cap);
	ck_assert_int_lt(ret, 0);
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

START_TEST(log_errno_with_a_message_of_any_length_stays_in_its_line)
{
	char text[600];

	memset(text, 'b', sizeof(text));
	log_capture_begin(&cap);
	errno = EIO;
	log_errno("%.*s", 440 + _i, text);
	log_capture_end(&cap);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_uint_le(strlen(cap.text), 512);
}
END_TEST

START_TEST(log_fail_returns_what_it_was_given)
{
	int ret;

	log_capture_begin(&cap);
	ret = log_fail(-ERANGE, "too %s", "far");
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -ERANGE);
	ck_assert_str_eq(cap.text, "mimsy: error: too far\n");
}
END_TEST

START_TEST(errors_are_logged_even_at_the_lowest_level)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_capture_begin(&cap);
	errno = EIO;
	log_errno("x");
	log_fail(-1, "y");
	log_capture_end(&cap);
	ck_assert_uint_eq(cap.nr_lines, 2);
}
END_TEST

START_TEST(a_guest_error_is_counted_and_named)
{
	struct guest_errors ge;

	guest_errors_init(&ge, "blk0");
	log_capture_begin(&cap);
	guest_error(&ge, "register %#x", 0x33);
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, "mimsy: warn: blk0: guest: register 0x33\n");
	ck_assert_uint_eq(atomic_load(&ge.count), 1);
}
END_TEST

/* The bound of the catalogue: 4 KiB of log per object in 10 s, whatever the guest does. */
/* rows T19, V3 */
START_TEST(a_storm_of_guest_errors_stays_under_4_kib_of_log)
{
	struct guest_errors ge;
	char text[400];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	guest_errors_init(&ge, "net1");
	log_capture_begin(&cap);
	for (int i = 0; i < 1000000; i++)
		guest_error(&ge, "%s", text);
	log_capture_end(&cap);
	/* The storm may fall on two periods. */
	ck_assert_uint_le(cap.nr_lines, 2 * GUEST_ERROR_BURST);
	ck_assert_uint_ge(cap.nr_lines, GUEST_ERROR_BURST);
	ck_assert_uint_le(GUEST_ERROR_BURST * 512, 4096);
	ck_assert_uint_eq(atomic_load(&ge.count), 1000000);
}
END_TEST

START_TEST(what_the_host_refuses_a_guest_stays_under_the_same_limit)
{
	struct guest_errors ge;

	guest_errors_init(&ge, "net1");
	log_capture_begin(&cap);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(guest_fail(&ge, -EINVAL, "set %s", "offloads"), -EINVAL);
	log_capture_end(&cap);
	ck_assert_uint_le(cap.nr_lines, 2 * GUEST_ERROR_BURST);
	ck_assert_ptr_nonnull(strstr(cap.text, "error: net1: set offloads: Invalid argument\n"));
	ck_assert_uint_eq(atomic_load(&ge.count), 0);
}
END_TEST

START_TEST(a_new_period_gets_its_own_lines)
{
	struct guest_errors ge;
	uint64_t window;

	guest_errors_init(&ge, "blk0");
	log_capture_begin(&cap);
	for (int i = 0; i < 100; i++)
		guest_error(&ge, "first");
	/* As if the period before had just ended. */
	window = atomic_load(&ge.window);
	atomic_store(&ge.window, window - 256);
	guest_error(&ge, "second");
	log_capture_end(&cap);
	ck_assert_ptr_nonnull(strstr(cap.text, "second"));
	ck_assert_uint_eq(atomic_load(&ge.window) & 0xff, 1);
}
END_TEST

START_TEST(two_objects_do_not_share_their_limit)
{
	struct guest_errors a, b;

	guest_errors_init(&a, "a");
	guest_errors_init(&b, "b");
	log_capture_begin(&cap);
	for (int i = 0; i < 100; i++)
		guest_error(&a, "noise");
	guest_error(&b, "heard");
	log_capture_end(&cap);
	ck_assert_ptr_nonnull(strstr(cap.text, "b: guest: heard"));
}
END_TEST

START_TEST(guest_errors_below_the_level_are_counted_all_the_same)
{
	struct guest_errors ge;

	guest_errors_init(&ge, "blk0");
	log_set_level(LOG_LEVEL_ERROR);
	log_capture_begin(&cap);
	guest_error(&ge, "quiet");
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, "");
	ck_assert_uint_eq(atomic_load(&ge.count), 1);
}
END_TEST

START_TEST(a_long_object_name_is_cut)
{
	struct guest_errors ge;

	guest_errors_init(&ge, "a-device-name-longer-than-its-field-is");
	ck_assert_uint_eq(strlen(ge.name), sizeof(ge.name) - 1);
}
END_TEST

static struct guest_errors shared;

static void *storm(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++)
		guest_error(&shared, "storm");
	return NULL;
}

START_TEST(threads_share_one_limit)
{
	pthread_t t[4];

	guest_errors_init(&shared, "smp");
	log_capture_begin(&cap);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_create(&t[i], NULL, storm, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	log_capture_end(&cap);
	ck_assert_uint_eq(atomic_load(&shared.count), 80000);
	ck_assert_uint_le(cap.nr_lines, 2 * GUEST_ERROR_BURST);
}
END_TEST

/* H11 */
/* row H11 */
START_TEST(a_full_or_closed_stderr_is_survived)
{
	int fd = _i ? open("/dev/full", O_WRONLY | O_CLOEXEC) : -1;

	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	else
		close(STDERR_FILENO);
	log_error("into the void");
	errno = EPERM;
	ck_assert_int_eq(log_errno("again"), -EPERM);
}
END_TEST

/* _i: 0 a pipe, 1 a socket. Whoever waited here would wait for ever. */
/* row H11 */
START_TEST(a_log_that_nobody_reads_loses_lines_and_says_so_later)
{
	char text[1 << 20];
	unsigned int lost = 0;
	int fd[2];
	ssize_t n;

	ck_assert_int_eq(_i ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe(fd), 0);
	if (!_i)
		ck_assert_int_eq(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	log_set_fd(fd[1], _i);
	for (int i = 0; i < 20000; i++)
		log_error("a line that is long enough for some thousands of them to fill it");
	n = read(fd[0], text, sizeof(text));
	ck_assert_int_gt(n, 0);
	log_error("the next");
	n = read(fd[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = 0;
	ck_assert_ptr_nonnull(strstr(text, "log were lost here\nmimsy: error: the next\n"));
	ck_assert_int_eq(sscanf(strstr(text, "warn: "), "warn: %u lines", &lost), 1);
	ck_assert_uint_gt(lost, 100);
	log_set_fd(STDERR_FILENO, false);
}
END_TEST

static void add_limits(TCase *tc)
{
	tcase_add_test(tc, a_guest_error_is_counted_and_named);
	tcase_add_test(tc, a_storm_of_guest_errors_stays_under_4_kib_of_log);
	tcase_add_test(tc, what_the_host_refuses_a_guest_stays_under_the_same_limit);
	tcase_add_test(tc, a_new_period_gets_its_own_lines);
	tcase_add_test(tc, two_objects_do_not_share_their_limit);
	tcase_add_test(tc, guest_errors_below_the_level_are_counted_all_the_same);
	tcase_add_test(tc, a_long_object_name_is_cut);
	tcase_add_test(tc, threads_share_one_limit);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_loop_test(tc, a_message_shows_up_to_the_level_that_was_set, 0, 16);
	tcase_add_test(tc, info_is_the_level_at_the_start);
	tcase_add_test(tc, levels_have_four_names);
	tcase_add_loop_test(tc, any_other_name_is_no_level, 0, ARRAY_SIZE(no_level));
	tcase_add_test(tc, control_characters_become_question_marks);
	tcase_add_test(tc, an_escape_sequence_loses_its_escape);
	tcase_add_loop_test(tc, a_long_message_is_cut_and_still_ends_its_line, 480, 520);
	tcase_add_loop_test(tc, log_errno_with_a_message_of_any_length_stays_in_its_line, 0, 80);
	tcase_add_test(tc, log_errno_names_the_error_and_returns_it);
	tcase_add_test(tc, log_errno_never_returns_success);
	tcase_add_test(tc, log_fail_returns_what_it_was_given);
	tcase_add_test(tc, errors_are_logged_even_at_the_lowest_level);
	tcase_add_loop_test(tc, a_full_or_closed_stderr_is_survived, 0, 2);
	tcase_add_loop_test(tc, a_log_that_nobody_reads_loses_lines_and_says_so_later, 0, 2);
	add_limits(tc);
	suite_add_tcase(s, tc);
	return s;
}
