/* SPDX-License-Identifier: Apache-2.0 */
/* What KVM refuses, and resets in the middle of it: rows M2 and M13 of docs/hostile-cases.md. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fake_kvm.h"
#include "msi_bench.h"
#include "runner.h"

#define VECTORS MSI_BENCH_VECTORS
#define NR_GSIS (LAYOUT_GSI_MSI_LAST - LAYOUT_GSI_MSI_FIRST + 1)

static struct msi_bench b;

static void setup(void)
{
	msi_bench_init(&b);
}

static void teardown(void)
{
	ck_assert_uint_eq(b.fake.nr_violations, 0);
	msi_bench_release(&b);
}

/* M13 and M2: a route that KVM refuses fails its own device only. */
/* row M13 */
START_TEST(a_refused_route_is_reported_to_its_device_with_one_line)
{
	msi_set_all(&b.dev[0], 0x30);
	msi_bench_refuse(&b, &b.dev[0], 1);
	ck_assert_int_eq(b.dev[0].last_result, -EINVAL);
	ck_assert_uint_eq(b.cap.nr_lines, 1);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
	ck_assert_uint_eq(b.dev[1].nr_settled, 0);
}
END_TEST

/* row M13 */
START_TEST(a_refused_route_poisons_no_other_device)
{
	msi_set_all(&b.dev[0], 0x30);
	msi_bench_refuse(&b, &b.dev[0], 1);
	msi_bench_enable(&b, &b.dev[1], 0x50);
	msi_bench_check(&b, &b.dev[1], 0x50);
	ck_assert_uint_eq(b.fake.nr_routed, VECTORS);
}
END_TEST

/* row M13 */
START_TEST(a_refused_change_leaves_the_old_routes_in_force)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_set(&b.dev[0], 0, 0x77);
	msi_bench_refuse(&b, &b.dev[0], 2);
	ck_assert_int_eq(b.dev[0].last_result, -EINVAL);
	msi_bench_check(&b, &b.dev[0], 0x30);
	msi_bench_enable(&b, &b.dev[1], 0x50);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* row M13 */
START_TEST(a_device_that_was_refused_works_after_its_release)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_refuse(&b, &b.dev[0], 3);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
	msi_bench_enable(&b, &b.dev[0], 0x40);
	msi_bench_check(&b, &b.dev[0], 0x40);
	ck_assert_int_eq(b.dev[0].last_result, 0);
}
END_TEST

/* row M13 */
START_TEST(a_host_short_of_memory_fails_the_device_not_the_monitor)
{
	b.fake.routing_result = -ENOMEM;
	msi_set_all(&b.dev[0], 0x30);
	msi_bench_refuse(&b, &b.dev[0], 0);
	ck_assert_int_eq(b.dev[0].last_result, -ENOMEM);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
	b.fake.routing_result = 0;
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* _i: so many irqfds can be bound. */
/* row M13 */
START_TEST(an_irqfd_that_cannot_be_bound_fails_the_device)
{
	b.fake.bind_result = -ENOMEM;
	b.fake.bind_fails_after = (unsigned int)_i;
	msi_set_all(&b.dev[0], 0x30);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_int_eq(b.dev[0].last_result, -ENOMEM);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
	b.fake.bind_result = 0;
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* A vCPU that resets its device while the main thread is in the routing call. */
static void release_now(void *arg)
{
	b.fake.on_routing = NULL;
	msi_release(arg);
}

static void reprogram_now(void *arg)
{
	release_now(arg);
	msi_set_all(arg, 0x30);
	msi_commit(arg);
}

/* row M10 */
START_TEST(a_release_during_a_round_is_not_lost)
{
	b.fake.on_routing = release_now;
	b.fake.on_routing_arg = &b.dev[0];
	msi_set_all(&b.dev[0], 0x30);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
}
END_TEST

START_TEST(a_release_during_a_round_that_fails_is_not_lost)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	b.fake.on_routing = release_now;
	b.fake.on_routing_arg = &b.dev[0];
	msi_bench_refuse(&b, &b.dev[0], 1);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
}
END_TEST

/* The other device is in the queue before this one, with a message for its first vector. */
static void release_behind_the_other(void *arg)
{
	b.fake.on_routing = NULL;
	msi_set(&b.dev[1], 0, 0x51);
	msi_commit(&b.dev[1]);
	msi_release(arg);
}

static void others_take_the_gsis(void *owner, int result)
{
	msi_device_settled(owner, result);
	b.fake.bind_result = 0;
	for (unsigned int v = 1; v < VECTORS; v++)
		ck_assert_int_eq(msi_set(&b.dev[1], v, 0x50 + v), 0);
}

/* No GSI is left but those that such a device gives back. rows M10, M15 */
START_TEST(a_device_that_cannot_be_bound_and_is_gone_leaves_no_route_behind)
{
	struct msi_device rest;

	msi_device_init(&b, &rest, NR_GSIS - VECTORS - 1);
	msi_set_all(&rest, 0x100);
	ck_assert_int_eq(msi_set(&b.dev[1], 0, 0x50), 0);
	msi_commit(&b.dev[1]);
	msi_bench_pump(&b);
	msi_set_all(&b.dev[0], 0x30);
	msi_commit(&b.dev[0]);
	b.fake.bind_result = -ENOSPC;
	b.fake.on_routing = release_behind_the_other;
	b.fake.on_routing_arg = &b.dev[0];
	b.dev[0].sink->settled = others_take_the_gsis;
	log_capture_begin(&b.cap);
	msi_bench_pump(&b);
	log_capture_end(&b.cap);
	msi_commit(&b.dev[1]);
	msi_bench_pump(&b);
	ck_assert_int_eq(b.dev[1].last_result, 0);
	ck_assert_uint_eq(b.fake.nr_routed, VECTORS);
	msi_sink_free(rest.sink);
}
END_TEST

START_TEST(messages_after_a_release_during_a_round_come_into_force)
{
	if (_i)
		msi_bench_enable(&b, &b.dev[0], 0x30);
	b.fake.on_routing = reprogram_now;
	b.fake.on_routing_arg = &b.dev[0];
	msi_set_all(&b.dev[0], 0x70);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

START_TEST(messages_after_a_release_during_a_failing_round_come_into_force)
{
	if (_i)
		msi_bench_enable(&b, &b.dev[0], 0x30);
	b.fake.on_routing = reprogram_now;
	b.fake.on_routing_arg = &b.dev[0];
	msi_bench_refuse(&b, &b.dev[0], 1);
	msi_bench_pump(&b);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* A vCPU that takes its new message back while the main thread is in the routing call. */
static int commit_result;

static void set_back(void *arg)
{
	b.fake.on_routing = NULL;
	msi_set(arg, 0, 0x30);
	commit_result = msi_commit(arg);
}

/* row M10 */
START_TEST(a_message_set_back_during_a_round_comes_into_force)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	b.fake.on_routing = set_back;
	b.fake.on_routing_arg = &b.dev[0];
	msi_set(&b.dev[0], 0, 0x77);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_int_eq(commit_result, -EINPROGRESS);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

static void fine_so_far(void *owner, int result)
{
	ck_assert_int_eq(result, 0);
	msi_device_settled(owner, result);
}

/* Its transport would tell the driver that a message failed which it no longer wants. */
START_TEST(a_device_does_not_hear_of_the_failure_of_what_it_replaced)
{
	b.dev[0].sink->settled = fine_so_far;
	b.fake.on_routing = reprogram_now;
	b.fake.on_routing_arg = &b.dev[0];
	msi_bench_refuse(&b, &b.dev[0], 1);
	msi_bench_pump(&b);
	ck_assert_uint_gt(b.dev[0].nr_settled, 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* Vectors gone and vectors refused in one round, then the gone ones again. */
START_TEST(a_vector_dropped_in_a_refused_round_gets_a_route_again)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_set(&b.dev[0], 1, FAKE_KVM_POISON);
	msi_commit(&b.dev[0]);
	log_capture_begin(&b.cap);
	msi_bench_pump(&b);
	log_capture_end(&b.cap);
	msi_set_all(&b.dev[0], 0x30);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	msi_bench_enable(&b, &b.dev[1], 0x50);		/* a table without them would show now */
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* H4 */
/* row H4 */
START_TEST(a_sink_that_runs_out_of_descriptors_leaves_none_behind)
{
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), next;
	struct irq_sink *sink = NULL;
	struct rlimit old, low;
	int ret;

	close(first);
	log_capture_begin(&b.cap);
	getrlimit(RLIMIT_NOFILE, &old);
	low = (struct rlimit){ (rlim_t)(first + 2 + _i), old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	ret = msi_sink_create(&sink, b.router, VECTORS, 7);
	setrlimit(RLIMIT_NOFILE, &old);
	log_capture_end(&b.cap);
	ck_assert_int_eq(ret, -EMFILE);
	ck_assert_uint_eq(b.cap.nr_lines, 1);
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(next, first);
	close(next);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("msi failures");
	TCase *tc = tcase_create("failures");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_refused_route_is_reported_to_its_device_with_one_line);
	tcase_add_test(tc, a_refused_route_poisons_no_other_device);
	tcase_add_test(tc, a_refused_change_leaves_the_old_routes_in_force);
	tcase_add_test(tc, a_device_that_was_refused_works_after_its_release);
	tcase_add_test(tc, a_host_short_of_memory_fails_the_device_not_the_monitor);
	tcase_add_loop_test(tc, an_irqfd_that_cannot_be_bound_fails_the_device, 0, VECTORS);
	tcase_add_test(tc, a_release_during_a_round_is_not_lost);
	tcase_add_test(tc, a_release_during_a_round_that_fails_is_not_lost);
	tcase_add_test(tc, a_device_that_cannot_be_bound_and_is_gone_leaves_no_route_behind);
	tcase_add_loop_test(tc, messages_after_a_release_during_a_round_come_into_force, 0, 2);
	tcase_add_loop_test(tc, messages_after_a_release_during_a_failing_round_come_into_force,
			    0, 2);
	tcase_add_test(tc, a_message_set_back_during_a_round_comes_into_force);
	tcase_add_test(tc, a_device_does_not_hear_of_the_failure_of_what_it_replaced);
	tcase_add_test(tc, a_vector_dropped_in_a_refused_round_gets_a_route_again);
	tcase_add_loop_test(tc, a_sink_that_runs_out_of_descriptors_leaves_none_behind, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
