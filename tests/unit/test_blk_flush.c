/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flushes of a disk over a backend that loses what it has to make stable,
 * and tells of it as Linux does: once. proof_blk_flush has all interleavings
 * of those that do not sleep.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_flush.h"
#include "runner.h"
#include "util.h"

#define NR_THREADS 4u

static struct blk_flush *flush;
static struct blk_backend be;
static struct blk_flush_waiter waiter[2];

static struct {
	pthread_mutex_t lock;		/* all below */
	pthread_cond_t changed;
	unsigned int nr_running, max_running, nr_begun;
	unsigned int nr_allowed;	/* flushes that may end */
	int error;			/* told to one */
} host = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int host_flush(struct blk_backend *b)
{
	int ret;

	(void)b;
	pthread_mutex_lock(&host.lock);
	host.nr_running++;
	host.nr_begun++;
	host.max_running = MAX(host.max_running, host.nr_running);
	pthread_cond_broadcast(&host.changed);
	while (!host.nr_allowed)
		pthread_cond_wait(&host.changed, &host.lock);
	host.nr_allowed--;
	host.nr_running--;
	ret = host.error;
	host.error = 0;
	pthread_mutex_unlock(&host.lock);
	return ret;
}

static const struct blk_backend_ops ops = { .flush = host_flush };

static void allow(unsigned int n)
{
	pthread_mutex_lock(&host.lock);
	host.nr_allowed += n;
	pthread_cond_broadcast(&host.changed);
	pthread_mutex_unlock(&host.lock);
}

static void wait_until_begun(unsigned int n)
{
	pthread_mutex_lock(&host.lock);
	while (host.nr_begun < n)
		pthread_cond_wait(&host.changed, &host.lock);
	pthread_mutex_unlock(&host.lock);
}

static void setup(void)
{
	host.nr_running = host.max_running = host.nr_begun = host.nr_allowed = 0;
	host.error = 0;
	be = (struct blk_backend){ .ops = &ops, .fd = -1 };
	ck_assert_int_eq(blk_flush_create(&flush, &be), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(waiter); i++)
		waiter[i] = (struct blk_flush_waiter){
			.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
}

static void teardown(void)
{
	blk_flush_free(flush);
	for (unsigned int i = 0; i < ARRAY_SIZE(waiter); i++)
		close(waiter[i].wake_fd);
}

static bool was_woken(struct blk_flush_waiter *w)
{
	uint64_t count;

	return read(w->wake_fd, &count, sizeof(count)) == sizeof(count);
}

static void *run(void *arg)
{
	*(int *)arg = blk_flush_run(flush);
	return NULL;
}

/* All but the first ask while its flush is in flight. */
static void run_together(int *result)
{
	pthread_t thread[NR_THREADS];

	for (unsigned int i = 0; i < NR_THREADS; i++) {
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run, &result[i]), 0);
		wait_until_begun(1);
	}
	usleep(20000);		/* they wait; if they do not yet, less is tried */
	allow(NR_THREADS);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* row D1 */
START_TEST(one_flush_of_a_disk_is_in_flight_at_any_time)
{
	int result[NR_THREADS];

	run_together(result);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(result[i], 0);
	ck_assert_uint_eq(host.max_running, 1);
	ck_assert_uint_ge(host.nr_begun, 2);
}
END_TEST

/* row D2 */
START_TEST(an_error_that_the_host_tells_once_is_told_to_all_that_wait)
{
	int result[NR_THREADS];

	host.error = -EIO;
	run_together(result);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(result[i], -EIO);
	ck_assert_uint_eq(host.nr_begun, 1);
}
END_TEST

/* row D2 */
START_TEST(a_failed_flush_is_never_forgotten)
{
	struct blk_flush_view view;

	host.error = -ENOSPC;
	allow(1);
	ck_assert_int_eq(blk_flush_run(flush), -ENOSPC);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(blk_flush_run(flush), -ENOSPC);
	view = blk_flush_look(flush, 9, &waiter[0]);
	ck_assert_int_eq(view.error, -ENOSPC);
	ck_assert(!view.begin);
	ck_assert_uint_eq(host.nr_begun, 1);
}
END_TEST

/* Of what it covers, the last may have been written after it began. row D1 */
START_TEST(a_flush_in_flight_does_not_cover_what_is_written_meanwhile)
{
	uint64_t first = blk_flush_ticket(flush), second;
	struct blk_flush_view view = blk_flush_look(flush, first, &waiter[0]);

	ck_assert(view.begin);
	second = blk_flush_ticket(flush);
	blk_flush_end(flush, 0);
	view = blk_flush_look(flush, second, &waiter[0]);
	ck_assert_uint_ge(view.done, first);
	ck_assert_uint_lt(view.done, second);
	ck_assert(view.begin);
	blk_flush_end(flush, 0);
	ck_assert_uint_ge(blk_flush_look(flush, second, &waiter[0]).done, second);
}
END_TEST

START_TEST(one_that_does_not_sleep_is_woken_once_when_the_flush_of_another_ends)
{
	uint64_t mine;

	ck_assert(blk_flush_look(flush, blk_flush_ticket(flush), &waiter[0]).begin);
	mine = blk_flush_ticket(flush);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert(!blk_flush_look(flush, mine, &waiter[1]).begin);
	ck_assert(!was_woken(&waiter[1]));
	blk_flush_end(flush, 0);
	ck_assert(was_woken(&waiter[1]));
	ck_assert(!was_woken(&waiter[0]));
	ck_assert(blk_flush_look(flush, mine, &waiter[1]).begin);
	blk_flush_end(flush, 0);
	ck_assert(!was_woken(&waiter[1]));
}
END_TEST

START_TEST(one_that_has_stopped_waiting_is_not_woken)
{
	uint64_t mine;

	ck_assert(blk_flush_look(flush, blk_flush_ticket(flush), &waiter[0]).begin);
	mine = blk_flush_ticket(flush);
	ck_assert(!blk_flush_look(flush, mine, &waiter[1]).begin);
	ck_assert(!blk_flush_look(flush, 0, &waiter[1]).begin);
	blk_flush_end(flush, 0);
	ck_assert(!was_woken(&waiter[1]));
}
END_TEST

/* row D1 */
START_TEST(all_that_wait_for_one_flush_share_it)
{
	uint64_t ticket[2];

	for (unsigned int i = 0; i < 2; i++)
		ticket[i] = blk_flush_ticket(flush);
	ck_assert(blk_flush_look(flush, ticket[0], &waiter[0]).begin);
	ck_assert(!blk_flush_look(flush, ticket[1], &waiter[1]).begin);
	blk_flush_end(flush, 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct blk_flush_view view = blk_flush_look(flush, ticket[i], &waiter[i]);

		ck_assert(!view.begin);
		ck_assert_uint_ge(view.done, ticket[i]);
	}
}
END_TEST

/* A thread that sleeps waits for the flush of a queue that does not. */
START_TEST(those_that_sleep_and_those_that_do_not_take_turns)
{
	pthread_t thread;
	int result = 1;

	ck_assert(blk_flush_look(flush, blk_flush_ticket(flush), &waiter[0]).begin);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, &result), 0);
	usleep(20000);
	ck_assert_uint_eq(host.nr_begun, 0);
	allow(1);
	blk_flush_end(flush, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(host.nr_begun, 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_flush");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_flush_of_a_disk_is_in_flight_at_any_time);
	tcase_add_test(tc, an_error_that_the_host_tells_once_is_told_to_all_that_wait);
	tcase_add_test(tc, a_failed_flush_is_never_forgotten);
	tcase_add_test(tc, a_flush_in_flight_does_not_cover_what_is_written_meanwhile);
	tcase_add_test(tc, one_that_does_not_sleep_is_woken_once_when_the_flush_of_another_ends);
	tcase_add_test(tc, one_that_has_stopped_waiting_is_not_woken);
	tcase_add_test(tc, all_that_wait_for_one_flush_share_it);
	tcase_add_test(tc, those_that_sleep_and_those_that_do_not_take_turns);
	suite_add_tcase(s, tc);
	return s;
}
