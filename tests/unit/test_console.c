/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define A "\001"

static const struct {
	const char *in, *out;
	bool quit;
} keys[] = {
	{ "", "", false },
	{ "ls -l\r", "ls -l\r", false },
	{ "\003\004\032\033[A", "\003\004\032\033[A", false },	/* raw: all of it is the guest's */
	{ A "x", "", true },
	{ A "X", "", true },
	{ "abc" A "x" "def", "abc", true },
	{ A A, A, false },
	{ "a" A A "b", "a" A "b", false },
	{ A A A "x", A, true },
	{ A A "x", A "x", false },
	{ A A A A, A A, false },
	{ A "c", "c", false },
	{ A "\r", "\r", false },
	{ A, "", false },
	{ "x", "x", false },
	{ "xX" A "y" "x", "xXyx", false },
};

START_TEST(escapes_are_taken_out_and_all_else_stays)
{
	struct console_keys k = { false };
	char buf[64];
	size_t len = strlen(keys[_i].in);

	memcpy(buf, keys[_i].in, len);
	ck_assert_int_eq(console_filter(&k, buf, &len), keys[_i].quit);
	ck_assert_uint_eq(len, strlen(keys[_i].out));
	ck_assert_mem_eq(buf, keys[_i].out, len);
}
END_TEST

/* Keys come one by one when a person types. */
START_TEST(an_escape_may_be_split_between_two_reads)
{
	struct console_keys k = { false };
	char all[64];
	size_t kept = 0;
	bool quit = false;

	for (size_t i = 0; i < strlen(keys[_i].in) && !quit; i++) {
		char one = keys[_i].in[i];
		size_t len = 1;

		quit = console_filter(&k, &one, &len);
		if (len)
			all[kept++] = one;
	}
	ck_assert_int_eq(quit, keys[_i].quit);
	ck_assert_uint_eq(kept, strlen(keys[_i].out));
	ck_assert_mem_eq(all, keys[_i].out, kept);
}
END_TEST

START_TEST(every_byte_but_the_escape_passes)
{
	struct console_keys k = { false };

	for (int byte = 0; byte < 256; byte++) {
		char c = (char)byte;
		size_t len = 1;

		if (byte == 1)
			continue;
		ck_assert(!console_filter(&k, &c, &len));
		ck_assert_uint_eq(len, 1);
		ck_assert_int_eq(c, (char)byte);
	}
}
END_TEST

START_TEST(help_goes_to_the_person_and_not_to_the_guest)
{
	struct console_keys k = { false };
	static const char in[] = { 'a', 1, 'h', 1, '?', 'b' };
	struct log_capture cap;
	size_t len = sizeof(in);
	char buf[sizeof(in)];
	bool quit;

	memcpy(buf, in, len);
	log_capture_begin(&cap);
	quit = console_filter(&k, buf, &len);
	log_capture_end(&cap);
	ck_assert(!quit);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(buf, "ab", 2);
	ck_assert_ptr_nonnull(strstr(cap.text, "Ctrl-A x"));
}
END_TEST

/* A terminal of our own. */
static int terminal_open(int *master)
{
	char name[64];
	int fd;

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*master, 0);
	ck_assert_int_eq(grantpt(*master) | unlockpt(*master), 0);
	ck_assert_int_eq(ptsname_r(*master, name, sizeof(name)), 0);
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_raw(int fd)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(fd, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static void start(int fd)
{
	ck_assert_int_ge(console_open(fd), 0);
	ck_assert(console_is_terminal());
	console_start();
}

START_TEST(a_terminal_becomes_raw_and_is_given_back)
{
	struct termios before, after;
	int master, fd = terminal_open(&master);

	tcgetattr(fd, &before);
	ck_assert(!is_raw(fd));
	start(fd);
	ck_assert(is_raw(fd));
	ck_assert(console_take());
	console_close();
	tcgetattr(fd, &after);
	ck_assert_uint_eq(after.c_iflag, before.c_iflag);
	ck_assert_uint_eq(after.c_oflag, before.c_oflag);
	ck_assert_uint_eq(after.c_cflag, before.c_cflag);
	ck_assert_uint_eq(after.c_lflag, before.c_lflag);
}
END_TEST

START_TEST(our_own_lines_still_begin_at_the_left)
{
	struct termios t;
	int master, fd = terminal_open(&master);

	start(fd);
	tcgetattr(fd, &t);
	ck_assert_uint_eq(t.c_oflag & OPOST, OPOST);
	console_close();
}
END_TEST

static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS };

START_TEST(a_fatal_signal_gives_the_terminal_back_and_still_kills)
{
	int master, fd = terminal_open(&master), status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		start(fd);
		raise(fatal[_i]);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), fatal[_i]);
	ck_assert(!is_raw(fd));
}
END_TEST

START_TEST(what_is_no_terminal_is_left_alone)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(console_open(fds[0]), fds[0]);
	ck_assert(!console_is_terminal());
	console_start();
	ck_assert(!console_take());
	console_close();
	ck_assert_int_eq(console_open(-1), -1);
}
END_TEST

/* Another monitor, until something is written to the pipe. */
static pid_t start_another(int fd, int go[2])
{
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(go), 0);
	pid = fork();
	if (!pid) {
		start(fd);
		ck_assert_int_eq(read(go[0], &c, 1), 1);
		console_close();
		_exit(0);
	}
	while (!is_raw(fd))
		usleep(1000);
	return pid;
}

/* Else each takes the other's raw mode for what it has to give back. */
START_TEST(a_terminal_that_one_monitor_has_is_not_taken_by_another)
{
	int master, fd = terminal_open(&master), go[2], status;
	pid_t pid = start_another(fd, go);

	start(fd);
	ck_assert(!console_take());
	ck_assert_int_eq(write(go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!is_raw(fd));
	ck_assert(console_take());
	ck_assert(is_raw(fd));
	console_close();
	ck_assert(!is_raw(fd));
}
END_TEST

/* As when it goes on after SIGSTOP, which nobody can catch. */
START_TEST(a_terminal_that_somebody_reset_is_raw_again_after_sigcont)
{
	struct termios before;
	int master, fd = terminal_open(&master);

	tcgetattr(fd, &before);
	start(fd);
	tcsetattr(fd, TCSANOW, &before);
	raise(SIGCONT);
	ck_assert(is_raw(fd));
	console_close();
	ck_assert(!is_raw(fd));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("console");
	TCase *tc = tcase_create("console");

	tcase_add_loop_test(tc, escapes_are_taken_out_and_all_else_stays, 0, ARRAY_SIZE(keys));
	tcase_add_loop_test(tc, an_escape_may_be_split_between_two_reads, 0, ARRAY_SIZE(keys));
	tcase_add_test(tc, every_byte_but_the_escape_passes);
	tcase_add_test(tc, help_goes_to_the_person_and_not_to_the_guest);
	tcase_add_test(tc, a_terminal_becomes_raw_and_is_given_back);
	tcase_add_test(tc, our_own_lines_still_begin_at_the_left);
	tcase_add_loop_test(tc, a_fatal_signal_gives_the_terminal_back_and_still_kills, 0,
			    ARRAY_SIZE(fatal));
	tcase_add_test(tc, what_is_no_terminal_is_left_alone);
	tcase_add_test(tc, a_terminal_that_one_monitor_has_is_not_taken_by_another);
	tcase_add_test(tc, a_terminal_that_somebody_reset_is_raw_again_after_sigcont);
	suite_add_tcase(s, tc);
	return s;
}
