/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log_capture.h"
#include "runner.h"
#include "util.h"
#include "worker.h"

/* A job that waits on its eventfd until it is asked to stop, as queue threads do. */
struct job {
	struct worker *worker;
	int fd;
	atomic_uint nr_wakes, nr_runs;
	atomic_bool running;
	char name[16];
	cpu_set_t cpus;
	sigset_t mask;
};

static struct job job;

static void job_run(void *arg)
{
	struct job *j = arg;
	uint64_t count;

	atomic_fetch_add(&j->nr_runs, 1);
	pthread_getname_np(pthread_self(), j->name, sizeof(j->name));
	sched_getaffinity(0, sizeof(j->cpus), &j->cpus);
	pthread_sigmask(SIG_BLOCK, NULL, &j->mask);
	atomic_store(&j->running, true);
	while (!worker_stopping(j->worker))
		if (read(j->fd, &count, sizeof(count)) == sizeof(count))
			atomic_fetch_add(&j->nr_wakes, 1);
	atomic_store(&j->running, false);
}

static void job_leave_at_once(void *arg)
{
	struct job *j = arg;

	atomic_fetch_add(&j->nr_runs, 1);
}

static void setup(void)
{
	memset(&job, 0, sizeof(job));
	job.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(worker_create(&job.worker, "test-worker", NULL), 0);
}

static void teardown(void)
{
	worker_free(job.worker);
	close(job.fd);
}

static void start(void)
{
	worker_start(job.worker, job_run, &job, job.fd);
}

static void wait_until_running(void)
{
	while (!atomic_load(&job.running))
		sched_yield();
}

START_TEST(a_job_runs_until_it_is_stopped)
{
	start();
	wait_until_running();
	worker_stop(job.worker);
	ck_assert(!atomic_load(&job.running));
	ck_assert_uint_eq(atomic_load(&job.nr_runs), 1);
}
END_TEST

START_TEST(stopping_wakes_a_job_that_waits)
{
	start();
	wait_until_running();
	ck_assert_uint_eq(atomic_load(&job.nr_wakes), 0);
	worker_stop(job.worker);
	ck_assert_uint_le(atomic_load(&job.nr_wakes), 1);
}
END_TEST

START_TEST(a_worker_can_be_started_and_stopped_1000_times)
{
	uint64_t count;

	for (unsigned int i = 1; i <= 1000; i++) {
		start();
		worker_stop(job.worker);
		ck_assert(!atomic_load(&job.running));
		/* A stop that met a job not yet begun leaves its wake-up behind. */
		count = 1;
		ck_assert_int_eq(write(job.fd, &count, 8), 8);
		ck_assert_int_eq(read(job.fd, &count, 8), 8);
	}
	ck_assert_uint_le(atomic_load(&job.nr_runs), 1000);
}
END_TEST

START_TEST(every_start_runs_the_job)
{
	for (unsigned int i = 1; i <= 200; i++) {
		start();
		wait_until_running();
		worker_stop(job.worker);
		ck_assert_uint_eq(atomic_load(&job.nr_runs), i);
	}
}
END_TEST

START_TEST(a_job_started_anew_is_not_told_to_stop)
{
	start();
	wait_until_running();
	worker_stop(job.worker);
	start();
	wait_until_running();
	ck_assert(!worker_stopping(job.worker));
}
END_TEST

START_TEST(stopping_a_parked_worker_does_nothing)
{
	worker_stop(job.worker);
	worker_stop(job.worker);
	ck_assert_uint_eq(atomic_load(&job.nr_runs), 0);
}
END_TEST

START_TEST(a_job_may_end_by_itself_and_then_be_stopped)
{
	worker_start(job.worker, job_leave_at_once, &job, job.fd);
	while (!atomic_load(&job.nr_runs))
		sched_yield();
	worker_stop(job.worker);
	ck_assert_uint_eq(atomic_load(&job.nr_runs), 1);
}
END_TEST

START_TEST(freeing_a_running_worker_stops_it)
{
	start();
	wait_until_running();
	worker_free(job.worker);
	ck_assert(!atomic_load(&job.running));
	job.worker = NULL;
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
	worker_free(NULL);
}
END_TEST

START_TEST(the_thread_bears_the_name_cut_to_15_characters)
{
	struct worker *parked = job.worker;

	ck_assert_int_eq(worker_create(&job.worker, "a-name-of-many-characters", NULL), 0);
	start();
	wait_until_running();
	worker_free(job.worker);
	job.worker = parked;
	ck_assert_str_eq(job.name, "a-name-of-many-");
}
END_TEST

START_TEST(a_worker_takes_no_signals)
{
	start();
	wait_until_running();
	ck_assert_int_eq(sigismember(&job.mask, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&job.mask, SIGINT), 1);
	ck_assert_int_eq(sigismember(&job.mask, SIGUSR1), 1);
}
END_TEST

START_TEST(creating_a_worker_leaves_the_callers_signals_alone)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	ck_assert_int_eq(sigismember(&mask, SIGTERM), 0);
}
END_TEST

START_TEST(a_pinned_worker_runs_on_that_cpu)
{
	cpu_set_t allowed;
	int cpu = 0;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	ck_assert_int_eq(worker_pin(job.worker, cpu), 0);
	start();
	wait_until_running();
	ck_assert_int_eq(CPU_COUNT(&job.cpus), 1);
	ck_assert(CPU_ISSET(cpu, &job.cpus));
}
END_TEST

static const int no_cpu[] = { -1, CPU_SETSIZE, CPU_SETSIZE - 1, INT32_MAX, INT32_MIN };

START_TEST(a_cpu_that_is_not_there_is_refused)
{
	struct log_capture c;
	int ret;

	log_capture_begin(&c);
	ret = worker_pin(job.worker, no_cpu[_i]);
	log_capture_end(&c);
	ck_assert_int_eq(ret, -EINVAL);
	ck_assert_uint_le(c.nr_lines, 1);
}
END_TEST

static unsigned int nr_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

START_TEST(workers_come_and_go_without_leaving_threads)
{
	unsigned int before = nr_threads();

	for (int i = 0; i < 100; i++) {
		struct worker *w;

		ck_assert_int_eq(worker_create(&w, "brief", NULL), 0);
		worker_free(w);
	}
	ck_assert_uint_eq(nr_threads(), before);
}
END_TEST

START_TEST(a_worker_let_go_ends_by_itself)
{
	unsigned int before = nr_threads();
	struct worker *w;

	ck_assert_int_eq(worker_create(&w, "leaves", NULL), 0);
	worker_leave(w);
	while (nr_threads() > before)
		usleep(1000);
	worker_free(w);
}
END_TEST

static pthread_t entered_by;

static int note_thread(const struct worker_entry *e)
{
	(void)e;
	entered_by = pthread_self();
	return 0;
}

static int refuse_entry(const struct worker_entry *e)
{
	(void)e;
	return -EPERM;
}

static pthread_t run_by;
static bool entered_first;

static void note_run(void *arg)
{
	(void)arg;
	run_by = pthread_self();
	entered_first = pthread_equal(entered_by, run_by);
}

START_TEST(an_entry_runs_on_the_new_thread_before_any_job)
{
	const struct worker_entry entry = { note_thread };
	struct worker *w;

	entered_by = run_by = pthread_self();
	ck_assert_int_eq(worker_create(&w, "enters", &entry), 0);
	worker_start(w, note_run, NULL, job.fd);
	worker_free(w);
	ck_assert(!pthread_equal(run_by, pthread_self()));
	ck_assert(entered_first);
}
END_TEST

/* Started before or after its end, stopped or not. */
START_TEST(a_worker_whose_entry_failed_runs_nothing)
{
	const struct worker_entry entry = { refuse_entry };
	unsigned int before = nr_threads();
	struct worker *w;

	run_by = pthread_self();
	ck_assert_int_eq(worker_create(&w, "refused", &entry), 0);
	while (_i && nr_threads() > before)
		usleep(1000);
	worker_start(w, note_run, NULL, job.fd);
	worker_stop(w);
	worker_free(w);
	ck_assert_uint_eq(nr_threads(), before);
	ck_assert(pthread_equal(run_by, pthread_self()));
}
END_TEST

/* A stop from one thread while others write to the eventfd, as doorbells do. */
static atomic_bool ringing;

static void *ring(void *arg)
{
	struct job *j = arg;
	uint64_t one = 1;

	while (atomic_load(&ringing))
		if (write(j->fd, &one, sizeof(one)) != sizeof(one))
			break;
	return NULL;
}

/* row T14 */
START_TEST(a_stop_comes_through_a_storm_of_doorbells)
{
	pthread_t t[2];

	atomic_store(&ringing, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_create(&t[i], NULL, ring, &job);
	for (int i = 0; i < 100; i++) {
		start();
		worker_stop(job.worker);
		ck_assert(!atomic_load(&job.running));
	}
	atomic_store(&ringing, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("worker");
	TCase *tc = tcase_create("worker");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, a_job_runs_until_it_is_stopped);
	tcase_add_test(tc, stopping_wakes_a_job_that_waits);
	tcase_add_test(tc, a_worker_can_be_started_and_stopped_1000_times);
	tcase_add_test(tc, every_start_runs_the_job);
	tcase_add_test(tc, a_job_started_anew_is_not_told_to_stop);
	tcase_add_test(tc, stopping_a_parked_worker_does_nothing);
	tcase_add_test(tc, a_job_may_end_by_itself_and_then_be_stopped);
	tcase_add_test(tc, freeing_a_running_worker_stops_it);
	tcase_add_test(tc, freeing_nothing_is_allowed);
	tcase_add_test(tc, the_thread_bears_the_name_cut_to_15_characters);
	tcase_add_test(tc, a_worker_takes_no_signals);
	tcase_add_test(tc, creating_a_worker_leaves_the_callers_signals_alone);
	tcase_add_test(tc, a_pinned_worker_runs_on_that_cpu);
	tcase_add_loop_test(tc, a_cpu_that_is_not_there_is_refused, 0, ARRAY_SIZE(no_cpu));
	tcase_add_test(tc, a_worker_let_go_ends_by_itself);
	tcase_add_test(tc, an_entry_runs_on_the_new_thread_before_any_job);
	tcase_add_loop_test(tc, a_worker_whose_entry_failed_runs_nothing, 0, 2);
	tcase_add_test(tc, workers_come_and_go_without_leaving_threads);
	tcase_add_test(tc, a_stop_comes_through_a_storm_of_doorbells);
	suite_add_tcase(s, tc);
	return s;
}
