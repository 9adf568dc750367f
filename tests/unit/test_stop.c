/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "runner.h"
#include "stop.h"
#include "util.h"

static int nr_calls;

static bool count(void *ctx, int who)
{
	(void)who;
	++*(int *)ctx;
	return false;
}

/* The first wish is passed on to the guest. */
static bool pass_on(void *ctx, int who)
{
	(void)who;
	return ++*(int *)ctx == 1;
}

static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Each in a process of its own. Returns its exit status, or minus the signal that killed it. */
static int run(void (*fn)(int sig), int sig)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* nohup(1) or a shell's "&" may be behind the test */
		for (unsigned int i = 0; i < ARRAY_SIZE(heard); i++)
			signal(heard[i], SIG_DFL);
		fn(sig);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const int stops[] = { SIGINT, SIGTERM, SIGHUP };

static void before_the_guest(int sig)
{
	stop_listen();
	raise(sig);
}

/* row H8 */
START_TEST(before_the_guest_runs_a_signal_ends_the_process)
{
	ck_assert_int_eq(run(before_the_guest, stops[_i]), 128 + stops[_i]);
}
END_TEST

static void quit(int sig)
{
	stop_listen();
	stop_call(count, &nr_calls);
	raise(sig);
}

/* row H8 */
START_TEST(sigquit_ends_the_process_at_any_time)
{
	ck_assert_int_eq(run(quit, SIGQUIT), 128 + SIGQUIT);
}
END_TEST

static void first(int sig)
{
	stop_listen();
	stop_call(count, &nr_calls);
	raise(sig);
	_exit(nr_calls == 1 && stop_wished() == sig ? 42 : 43);
}

/* row H8 */
START_TEST(the_first_signal_calls_and_ends_nothing)
{
	ck_assert_int_eq(run(first, stops[_i]), 42);
}
END_TEST

/* A process that was held up between the two proves nothing. */
static void twice(int sig)
{
	uint64_t begin = clock_now_ns();

	stop_listen();
	stop_call(count, &nr_calls);
	raise(SIGTERM);
	raise(sig);
	_exit(nr_calls == 1 || clock_now_ns() - begin > 900000000 ? 42 : 43);
}

/* row H8 */
START_TEST(signals_within_a_second_are_one_wish)
{
	ck_assert_int_eq(run(twice, stops[_i]), 42);
}
END_TEST

static void later(int sig)
{
	stop_listen();
	stop_call(count, &nr_calls);
	if (sig == SIGTERM)
		stop_wish();
	else
		raise(SIGTERM);
	stop_forget();
	sleep(1);
	usleep(1000);
	raise(sig);
}

/* row H8 */
START_TEST(a_signal_a_second_later_ends_the_process)
{
	ck_assert_int_eq(run(later, stops[_i]), 128 + stops[_i]);
}
END_TEST

static void passed_on(int sig)
{
	stop_listen();
	stop_call(pass_on, &nr_calls);
	raise(SIGTERM);
	raise(SIGTERM);			/* the same wish */
	raise(SIGHUP);
	if (nr_calls != 1)
		_exit(43);
	if (sig != SIGINT) {
		sleep(1);
		usleep(1000);
	}
	raise(sig);
	_exit(nr_calls == 2 ? 42 : 44);
}

START_TEST(a_wish_that_was_passed_on_can_be_said_with_more_weight)
{
	ck_assert_int_eq(run(passed_on, stops[_i]), 42);
}
END_TEST

static void third(int sig)
{
	stop_listen();
	stop_call(pass_on, &nr_calls);
	raise(SIGTERM);
	stop_wish();
	sleep(1);
	usleep(1000);
	raise(sig);
}

START_TEST(the_wish_after_that_ends_the_process)
{
	ck_assert_int_eq(run(third, stops[_i]), 128 + stops[_i]);
}
END_TEST

static void keys(int sig)
{
	(void)sig;
	stop_listen();
	stop_call(count, &nr_calls);
	stop_wish();
	stop_wish();
	_exit(nr_calls == 1 && stop_wished() == -1 ? 42 : 43);
}

START_TEST(keys_are_a_wish_too)
{
	ck_assert_int_eq(run(keys, 0), 42);
}
END_TEST

static void forgotten(int sig)
{
	stop_listen();
	stop_call(count, &nr_calls);
	stop_forget();
	raise(sig);
	_exit(nr_calls == 0 ? 42 : 43);
}

/* row H8 */
START_TEST(a_first_signal_while_all_is_freed_already_ends_nothing)
{
	ck_assert_int_eq(run(forgotten, stops[_i]), 42);
}
END_TEST

static void ignored(int sig)
{
	signal(sig, SIG_IGN);
	stop_listen();
	stop_call(count, &nr_calls);
	raise(sig);
	_exit(nr_calls == 0 ? 42 : 43);
}

/* row H8 */
START_TEST(what_was_ignored_stays_ignored)
{
	ck_assert_int_eq(run(ignored, stops[_i]), 42);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("stop");
	TCase *tc = tcase_create("stop");
	int n = (int)ARRAY_SIZE(stops);

	tcase_add_loop_test(tc, before_the_guest_runs_a_signal_ends_the_process, 0, n);
	tcase_add_test(tc, sigquit_ends_the_process_at_any_time);
	tcase_add_loop_test(tc, the_first_signal_calls_and_ends_nothing, 0, n);
	tcase_add_loop_test(tc, signals_within_a_second_are_one_wish, 0, n);
	tcase_add_loop_test(tc, a_signal_a_second_later_ends_the_process, 0, n);
	tcase_add_loop_test(tc, a_wish_that_was_passed_on_can_be_said_with_more_weight, 0, n);
	tcase_add_loop_test(tc, the_wish_after_that_ends_the_process, 0, n);
	tcase_add_test(tc, keys_are_a_wish_too);
	tcase_add_loop_test(tc, a_first_signal_while_all_is_freed_already_ends_nothing, 0, n);
	tcase_add_loop_test(tc, what_was_ignored_stays_ignored, 0, n);
	suite_add_tcase(s, tc);
	return s;
}
