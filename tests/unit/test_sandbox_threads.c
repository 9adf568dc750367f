/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which filter, and what happens if one cannot be had. The filters
 * themselves are faked, so that this runs with sanitizers too; tests/jail has
 * the real ones.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "sandbox_priv.h"
#include "util.h"
#include "worker.h"

#define NR_THREADS 4	/* and the main one */

/* A broken promise ends the child with its line. */
#define HOLDS(what)						\
	do {							\
		if (!(what))					\
			child_fails(__LINE__, #what);		\
	} while (0)

static atomic_int nr_loaded[NR_SANDBOX_ROLES], refuse_role;
static atomic_uint late_us;
static struct worker *worker[NR_THREADS];

/* Stand in for sandbox_seccomp.c. */
int sandbox_filter_check(void)
{
	return 0;
}

int sandbox_filter_load(enum sandbox_role role, enum sandbox_seccomp action, pid_t pid)
{
	(void)action;
	if (role != SANDBOX_MAIN)
		usleep(atomic_load(&late_us));
	if (pid != getpid() || atomic_load(&refuse_role) == (int)role)
		return -EACCES;
	atomic_fetch_add(&nr_loaded[role], 1);
	return 0;
}

static _Noreturn void child_fails(int line, const char *what)
{
	fprintf(stderr, "line %d: %s\n", line, what);
	_exit(1);
}

/* A jail changes the process for good. */
static int in_child(void (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static const enum sandbox_role roles[NR_THREADS] = {
	SANDBOX_BLK, SANDBOX_NET, SANDBOX_BLK_URING, SANDBOX_VCPU,
};

static struct sandbox *enter(void)
{
	static const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { MIB(64), MIB(3), NR_THREADS + 1, 0 };
	struct sandbox *s;

	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	s->filters = true;	/* with sanitizers, too: these are not real */
	return s;
}

static void create_threads(struct sandbox *s, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		HOLDS(!worker_create(&worker[i], "role", sandbox_entry(s, roles[i])));
}

static void free_threads(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		worker_free(worker[i]);
}

static void all_are_late(void)
{
	struct sandbox *s = enter();

	atomic_store(&refuse_role, -1);
	atomic_store(&late_us, 100000);
	create_threads(s, NR_THREADS);
	HOLDS(!sandbox_seal(s, 64));
	for (unsigned int i = 0; i < NR_THREADS; i++)
		HOLDS(atomic_load(&nr_loaded[roles[i]]) == 1);
	HOLDS(atomic_load(&nr_loaded[SANDBOX_MAIN]) == 1);
	free_threads(NR_THREADS);
}

START_TEST(the_seal_waits_until_each_thread_has_the_filter_of_its_role)
{
	ck_assert_int_eq(in_child(all_are_late), 0);
}
END_TEST

static bool has_run;

static void note_run(void *arg)
{
	(void)arg;
	has_run = true;
}

static void one_is_refused(void)
{
	struct sandbox *s = enter();
	int wake[2];

	HOLDS(!pipe(wake));
	atomic_store(&refuse_role, SANDBOX_NET);
	create_threads(s, NR_THREADS);
	worker_start(worker[1], note_run, NULL, wake[1]);
	HOLDS(sandbox_seal(s, 64) == -EACCES);
	free_threads(NR_THREADS);
	HOLDS(!has_run);
}

START_TEST(a_thread_that_gets_no_filter_does_nothing_and_breaks_the_seal)
{
	ck_assert_int_eq(in_child(one_is_refused), 0);
}
END_TEST

/* The seal must not wait for a thread that nobody will start now. */
static void refused_before_all_are_there(void)
{
	struct sandbox *s = enter();

	atomic_store(&refuse_role, SANDBOX_NET);
	create_threads(s, 2);
	alarm(5);
	HOLDS(sandbox_seal(s, 64) == -EACCES);
	free_threads(2);
}

START_TEST(a_refusal_is_told_at_once)
{
	ck_assert_int_eq(in_child(refused_before_all_are_there), 0);
}
END_TEST

static void main_is_refused(void)
{
	struct sandbox *s = enter();

	atomic_store(&refuse_role, SANDBOX_MAIN);
	create_threads(s, NR_THREADS);
	HOLDS(sandbox_seal(s, 64) == -EACCES);
	free_threads(NR_THREADS);
}

START_TEST(the_main_thread_without_its_filter_breaks_the_seal)
{
	ck_assert_int_eq(in_child(main_is_refused), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox_threads");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, the_seal_waits_until_each_thread_has_the_filter_of_its_role);
	tcase_add_test(tc, a_thread_that_gets_no_filter_does_nothing_and_breaks_the_seal);
	tcase_add_test(tc, a_refusal_is_told_at_once);
	tcase_add_test(tc, the_main_thread_without_its_filter_breaks_the_seal);
	suite_add_tcase(s, tc);
	return s;
}
