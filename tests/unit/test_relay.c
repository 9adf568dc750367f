/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_capture.h"
#include "relay.h"
#include "runner.h"
#include "util.h"

static struct relay *r;

static int make(int fd, enum relay_way way, const struct worker_entry *entry, uint64_t max)
{
	const struct relay_cfg cfg = {
		.fd = fd, .way = way, .max = max, .name = "relay", .entry = entry,
	};

	return relay_create(&r, &cfg);
}

/* row C2 */
START_TEST(what_is_written_is_in_the_file_once_the_relay_is_gone)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char text[32] = "";

	ck_assert_int_eq(make(fd, RELAY_TO_FILE, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(write(relay_fd(r), "abc\n", 4), 4);
	ck_assert_uint_eq(relay_free(r), 0);
	ck_assert_int_eq(pread(fd, text, sizeof(text) - 1, 0), 12);
	ck_assert_str_eq(text, "abc\nabc\nabc\n");
	close(fd);
}
END_TEST

static uint64_t fill(int fd)
{
	static const char line[512];
	uint64_t sum = 0;
	ssize_t n;

	while ((n = write(fd, line, sizeof(line))) > 0)
		sum += (uint64_t)n;
	ck_assert_int_eq(errno, EAGAIN);
	return sum;
}

static void *read_all(void *arg)
{
	const int *fd = arg;
	static uint64_t sum;
	char buf[4096];
	ssize_t n;

	sum = 0;
	while ((n = read(*fd, buf, sizeof(buf))) > 0)
		sum += (uint64_t)n;
	return &sum;
}

/* row C2 */
START_TEST(a_file_that_takes_nothing_holds_no_writer)
{
	pthread_t reader;
	uint64_t sum;
	void *got;
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);	/* nobody reads it */
	ck_assert_int_eq(make(fd[1], RELAY_TO_FILE, NULL, 0), 0);
	sum = fill(relay_fd(r));
	ck_assert_uint_gt(sum, 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &fd[0]), 0);
	ck_assert_uint_eq(relay_free(r), 0);
	close(fd[1]);
	pthread_join(reader, &got);
	ck_assert_uint_ge(*(uint64_t *)got, sum);
	close(fd[0]);
}
END_TEST

/* row C2 */
START_TEST(what_the_file_refuses_is_counted)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(make(fd, RELAY_TO_FILE, NULL, 0), 0);
	ck_assert_int_eq(write(relay_fd(r), "12345", 5), 5);
	ck_assert_uint_eq(relay_free(r), 5);
	close(fd);
}
END_TEST

static void say(const char *text)
{
	ck_assert_int_eq(write(relay_fd(r), text, strlen(text)), (ssize_t)strlen(text));
}

static void wait_for_length(int fd, off_t len)
{
	struct stat st = { .st_size = -1 };

	while (st.st_size != len) {
		ck_assert_int_eq(fstat(fd, &st), 0);
		usleep(1000);
	}
}

/* Written at its position, as by a shell's >, or at its end, as by >> and by us. */
static const int flags[] = { 0, O_APPEND };

/* row C2 */
START_TEST(a_file_gets_as_much_as_it_may_have)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct log_capture cap;
	char text[32] = "";
	uint64_t lost;

	ck_assert_int_eq(write(fd, "old:", 4), 4);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags[_i]), 0);
	log_capture_begin(&cap);
	ck_assert_int_eq(make(fd, RELAY_TO_FILE, NULL, 10), 0);
	for (int i = 0; i < 5; i++)
		say("abcd");
	lost = relay_free(r);
	log_capture_end(&cap);
	ck_assert_uint_eq(lost, 5 * 4 - 6);
	ck_assert_int_eq(pread(fd, text, sizeof(text) - 1, 0), 10);
	ck_assert_str_eq(text, "old:abcdab");
	ck_assert_uint_eq(cap.nr_lines, 1);
	close(fd);
}
END_TEST

/* row C2 */
START_TEST(a_full_file_that_is_emptied_takes_output_again)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	ck_assert_int_eq(make(fd, RELAY_TO_FILE, NULL, 6), 0);
	say("abcdefgh");
	wait_for_length(fd, 6);
	do {			/* the two bytes more may still be on their way */
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		say("again");
		usleep(1000);
	} while (!lseek(fd, 0, SEEK_END));
	relay_free(r);
	close(fd);
}
END_TEST

/* The length is asked for every 64 KiB: others may write to the same file. */
START_TEST(a_file_with_two_writers_is_not_much_longer)
{
	static const char half[KIB(4)];
	int fd = memfd_create("file", MFD_CLOEXEC);
	off_t len = 0;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	ck_assert_int_eq(make(fd, RELAY_TO_FILE, NULL, KIB(256)), 0);
	while (len < (off_t)KIB(256)) {
		ck_assert_int_eq(write(fd, half, sizeof(half)), sizeof(half));
		if (write(relay_fd(r), half, sizeof(half)) < 0)
			usleep(1000);
		len = lseek(fd, 0, SEEK_END);
	}
	relay_free(r);
	ck_assert_int_le(lseek(fd, 0, SEEK_END), len + (off_t)KIB(64));
	close(fd);
}
END_TEST

static const char in[100000];

/* row L7 */
START_TEST(a_file_is_read_as_far_as_somebody_takes_it)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct pollfd p = { .events = POLLIN };
	size_t sum = 0;
	char buf[512];

	ck_assert_int_eq(write(fd, in, sizeof(in)), sizeof(in));
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(make(fd, RELAY_FROM_FILE, NULL, 0), 0);
	p.fd = relay_fd(r);
	while (sum < sizeof(in) / 2) {
		ck_assert_int_eq(poll(&p, 1, 60000), 1);
		sum += (size_t)read(p.fd, buf, sizeof(buf));
	}
	relay_free(r);	/* the thread waits with the rest in its hands */
	ck_assert_int_lt(lseek(fd, 0, SEEK_CUR), sizeof(in) + 1);
	close(fd);
}
END_TEST

/* row L7 */
START_TEST(a_file_that_gives_nothing_does_not_hold_the_reader)
{
	char buf[16];
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);	/* nobody writes to it */
	ck_assert_int_eq(make(fd[0], RELAY_FROM_FILE, NULL, 0), 0);
	ck_assert_int_eq(read(relay_fd(r), buf, sizeof(buf)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(fd[1]);
	relay_free(r);
	close(fd[0]);
}
END_TEST

static int refuse(const struct worker_entry *e)
{
	(void)e;
	return -EPERM;
}

/* Why the thread may not start is perhaps what is in the pipe. */
START_TEST(what_a_refused_thread_left_is_written_at_the_end)
{
	static const struct worker_entry entry = { refuse };
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(make(fd, RELAY_TO_FILE, &entry, 0), 0);
	ck_assert_int_eq(write(relay_fd(r), "abc", 3), 3);
	relay_free(r);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 3);
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("relay");
	TCase *tc = tcase_create("relay");

	tcase_add_test(tc, what_is_written_is_in_the_file_once_the_relay_is_gone);
	tcase_add_test(tc, a_file_that_takes_nothing_holds_no_writer);
	tcase_add_test(tc, what_the_file_refuses_is_counted);
	tcase_add_loop_test(tc, a_file_gets_as_much_as_it_may_have, 0, 2);
	tcase_add_test(tc, a_full_file_that_is_emptied_takes_output_again);
	tcase_add_test(tc, a_file_with_two_writers_is_not_much_longer);
	tcase_add_test(tc, a_file_is_read_as_far_as_somebody_takes_it);
	tcase_add_test(tc, a_file_that_gives_nothing_does_not_hold_the_reader);
	tcase_add_test(tc, what_a_refused_thread_left_is_written_at_the_end);
	suite_add_tcase(s, tc);
	return s;
}
