/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes, irqfds and GSIs over a KVM that keeps the books: rows M5, M11 and
 * M15 of docs/hostile-cases.md. What KVM refuses is in test_msi_failures.c.
 */
#include <errno.h>
#include <time.h>

#include "fake_kvm.h"
#include "msi_bench.h"
#include "runner.h"
#include "util.h"

#define VECTORS MSI_BENCH_VECTORS
#define NR_GSIS (LAYOUT_GSI_MSI_LAST - LAYOUT_GSI_MSI_FIRST + 1)
#define BURST 64		/* of rounds; then 200 a second */
#define RATE 200

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

START_TEST(all_messages_of_a_device_go_to_kvm_in_one_call)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	ck_assert_uint_eq(b.fake.nr_routings, 1);
	ck_assert_uint_eq(b.fake.nr_binds, VECTORS);
	ck_assert_uint_eq(b.dev[0].nr_settled, 1);
	ck_assert_int_eq(b.dev[0].last_result, 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

START_TEST(routes_are_there_before_the_irqfds)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	ck_assert_str_eq(b.fake.trace, "RBBBB");
}
END_TEST

START_TEST(irqfds_go_before_their_routes)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "RBBBBUUUU");
	msi_bench_enable(&b, &b.dev[1], 0x50);
	ck_assert_uint_eq(b.fake.nr_routed, VECTORS);	/* the old ones are gone */
	ck_assert_uint_eq(b.fake.nr_bound, VECTORS);
}
END_TEST

START_TEST(irqfds_go_first_also_when_other_routes_change_in_the_same_round)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_set(&b.dev[0], 0, 0x99);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "RBBBBUUUR");
	ck_assert_uint_eq(b.fake.nr_routed, 1);
}
END_TEST

START_TEST(a_commit_without_a_change_costs_nothing)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_set_all(&b.dev[0], 0x30);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_bench_pump(&b);
	ck_assert_uint_eq(b.fake.nr_routings, 1);
	ck_assert_uint_eq(b.dev[0].nr_settled, 1);
}
END_TEST

START_TEST(a_commit_of_nothing_costs_nothing)
{
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "");
}
END_TEST

START_TEST(a_new_message_changes_the_route_and_no_irqfd)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_set(&b.dev[0], 2, 0x99);
	ck_assert_int_eq(msi_commit(&b.dev[0]), -EINPROGRESS);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "RBBBBR");
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[2])->data, 0x99);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[1])->data, 0x31);
}
END_TEST

START_TEST(many_messages_between_two_rounds_are_one_call)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	for (uint32_t i = 0; i < 1000; i++) {
		msi_set(&b.dev[0], i % VECTORS, 0x1000 + i);
		msi_commit(&b.dev[0]);
	}
	msi_bench_pump(&b);
	ck_assert_uint_eq(b.fake.nr_routings, 2);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[3])->data,
			  0x1000 + 999);
}
END_TEST

START_TEST(two_devices_keep_each_others_routes)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_enable(&b, &b.dev[1], 0x50);
	msi_bench_check(&b, &b.dev[0], 0x30);
	msi_bench_check(&b, &b.dev[1], 0x50);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	msi_set(&b.dev[1], 0, 0x50 + 0x100);
	msi_commit(&b.dev[1]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[1].sink->vector_fd[0])->data, 0x150);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[1].sink->vector_fd[3])->data, 0x53);
}
END_TEST

/* M11 */
/* row M11 */
START_TEST(two_devices_may_have_the_same_message)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_enable(&b, &b.dev[1], 0x30);
	ck_assert_uint_eq(b.fake.nr_routed, 2 * VECTORS);
	msi_bench_check(&b, &b.dev[0], 0x30);
	msi_bench_check(&b, &b.dev[1], 0x30);
}
END_TEST

START_TEST(only_programmed_vectors_get_a_route)
{
	msi_set(&b.dev[0], 1, 0x31);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(b.fake.nr_routed, 1);
	ck_assert_uint_eq(b.fake.nr_bound, 1);
	ck_assert_uint_eq(msi_bench_gsis(&b), 1);
}
END_TEST

/* M15, rule 11 */
START_TEST(a_gsi_is_given_back_by_a_release)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	ck_assert_uint_eq(msi_bench_gsis(&b), VECTORS);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
	ck_assert_uint_eq(b.fake.nr_bound, 0);
}
END_TEST

START_TEST(a_vector_without_a_message_gives_its_gsi_back)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_clear(&b.dev[0], 2);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "RBBBBU");
	ck_assert_uint_eq(msi_bench_gsis(&b), VECTORS - 1);
	ck_assert_ptr_null(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[2]));
	msi_clear(&b.dev[0], 2);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "RBBBBU");
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

/* _i: the same message again, or another one. */
START_TEST(a_vector_cleared_and_programmed_before_the_round_has_its_message)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_clear(&b.dev[0], 1);
	ck_assert_int_eq(msi_set(&b.dev[0], 1, 0x31 + 0x10 * (uint32_t)_i), 0);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[1])->data,
			  0x31 + 0x10 * _i);
	ck_assert_uint_eq(b.fake.nr_unbinds, 0);
}
END_TEST

START_TEST(a_gsi_never_committed_is_given_back_too)
{
	msi_set_all(&b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
	ck_assert_str_eq(b.fake.trace, "");
}
END_TEST

#define BIG 64u
#define NR_BIG (NR_GSIS / BIG + 1)

/* row M15 */
START_TEST(gsis_run_out_and_come_back)
{
	static struct msi_device big[NR_BIG];
	unsigned int got = 0;

	for (unsigned int i = 0; i < NR_BIG; i++)
		msi_device_init(&b, &big[i], BIG);
	for (unsigned int i = 0; i < NR_BIG * BIG; i++)
		if (!msi_set(&big[i / BIG], i % BIG, 0x30))
			got++;
	ck_assert_uint_eq(got, NR_GSIS);
	ck_assert_uint_eq(msi_bench_gsis(&b), NR_GSIS);
	ck_assert_int_eq(msi_set(&b.dev[0], 0, 0x30), -ENOSPC);
	ck_assert_int_eq(msi_set(&big[0], 0, 0x31), 0);		/* it has one */
	for (unsigned int i = 0; i < NR_BIG; i++)
		msi_commit(&big[i]);
	do {
		msi_bench_pump(&b);
	} while (msi_commit(&big[0]));	/* the burst of rounds is smaller than all of these */
	ck_assert_uint_eq(b.fake.nr_routed, NR_GSIS);
	msi_release(&big[7]);
	msi_bench_pump(&b);
	ck_assert_int_eq(msi_set(&b.dev[0], 0, 0x30), 0);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(msi_bench_gsis(&b), NR_GSIS - BIG + 1);
	for (unsigned int i = 0; i < NR_BIG; i++)
		msi_sink_free(big[i].sink);
}
END_TEST

/* M5 */
static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* row M5 */
START_TEST(a_guest_that_reprograms_in_a_loop_causes_a_bounded_number_of_calls)
{
	uint64_t begin = now_ms(), spent;
	struct msi_stats s;
	uint32_t i = 0;

	do {
		msi_set(&b.dev[0], 0, 0x1000 + i++);
		msi_commit(&b.dev[0]);
		msi_bench_run(&b, 0);
		spent = now_ms() - begin;
	} while (spent < 600);
	msi_router_stats(b.router, &s);
	ck_assert_uint_le(s.routing_calls, BURST + RATE * (spent + 10) / 1000);
	ck_assert_uint_gt(s.routing_calls, 1);
	ck_assert_uint_gt(s.postponed, 0);
	ck_assert_uint_eq(s.routing_calls, b.fake.nr_routings);
}
END_TEST

static void want_more(void *owner, int result)
{
	static uint32_t data;
	struct msi_device *d = owner;

	msi_device_settled(owner, result);
	msi_set(d, 0, 0x1000 + data++);
	msi_commit(d);
}

/*
 * KVM takes as long as the steady rate gives a round, or longer, so the next
 * one is always due: whoever works until nothing is due never comes back.
 */
static void be_slow(void *arg)
{
	const struct timespec more_than_the_period = { 0, 6000000 };

	(void)arg;
	nanosleep(&more_than_the_period, NULL);
}

/* row M5 */
START_TEST(the_main_thread_comes_back_although_rounds_are_slow_and_without_end)
{
	b.fake.on_routing = be_slow;
	b.dev[0].sink->settled = want_more;
	want_more(&b.dev[0], 0);
	msi_bench_run(&b, -1);
	ck_assert_uint_le(b.fake.nr_routings, 16);
	msi_bench_run(&b, -1);		/* the rest is not forgotten */
	ck_assert_uint_gt(b.fake.nr_routings, 1);
}
END_TEST

/* row M5 */
START_TEST(rounds_that_take_long_are_put_off_sooner)
{
	struct msi_stats s;

	b.fake.on_routing = be_slow;
	b.dev[0].sink->settled = want_more;
	want_more(&b.dev[0], 0);
	do {
		msi_bench_run(&b, -1);
		msi_router_stats(b.router, &s);
	} while (!s.postponed);
}
END_TEST

/* row M5 */
START_TEST(a_postponed_round_comes_by_itself)
{
	for (uint32_t i = 0; i <= BURST + 4; i++) {
		msi_set(&b.dev[0], 0, 0x1000 + i);
		msi_commit(&b.dev[0]);
		msi_bench_run(&b, 0);
	}
	while (msi_commit(&b.dev[0]))
		msi_bench_run(&b, 1000);
	ck_assert_uint_eq(fake_kvm_route_of(&b.fake, b.dev[0].sink->vector_fd[0])->data,
			  0x1000 + BURST + 4);
}
END_TEST

/* The queue is fair: nobody waits for a device that always wants more, not even who comes last. */
static void program_the_other(void *arg)
{
	b.fake.on_routing = NULL;
	msi_set_all(arg, 0x50);
	msi_commit(arg);
}

/* row M5 */
START_TEST(a_device_that_reprograms_in_a_loop_does_not_starve_another_one)
{
	b.dev[0].sink->settled = want_more;
	want_more(&b.dev[0], 0);
	for (int i = 0; i < 3 * BURST; i++)
		msi_bench_run(&b, 10);
	b.fake.on_routing = program_the_other;	/* in the middle of a round for b.dev[0] */
	b.fake.on_routing_arg = &b.dev[1];
	for (int i = 0; i < 20 && !b.dev[1].nr_settled; i++)
		msi_bench_run(&b, 100);
	ck_assert_uint_eq(b.dev[1].nr_settled, 1);
	msi_bench_check(&b, &b.dev[1], 0x50);
}
END_TEST

START_TEST(releasing_twice_is_releasing_once)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	msi_release(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_uint_eq(b.fake.nr_unbinds, VECTORS);
	ck_assert_uint_eq(msi_bench_gsis(&b), 0);
}
END_TEST

/* row M10 */
START_TEST(a_release_and_the_same_messages_again_settle)
{
	msi_bench_enable(&b, &b.dev[0], 0x30);
	msi_release(&b.dev[0]);
	msi_set_all(&b.dev[0], 0x30);
	msi_commit(&b.dev[0]);
	msi_bench_pump(&b);
	ck_assert_int_eq(msi_commit(&b.dev[0]), 0);
	msi_bench_check(&b, &b.dev[0], 0x30);
}
END_TEST

START_TEST(a_device_without_vectors_has_its_line)
{
	struct msi_device line_only;

	msi_device_init(&b, &line_only, 0);
	ck_assert_int_ge(line_only.sink->line_fd, 0);
	ck_assert_int_eq(line_only.sink->line_fd, b.dev[0].sink->line_fd);
	ck_assert_int_eq(msi_commit(&line_only), 0);
	msi_release(&line_only);
	msi_bench_pump(&b);
	ck_assert_str_eq(b.fake.trace, "");
	msi_sink_free(line_only.sink);
}
END_TEST

START_TEST(different_pins_have_different_lines)
{
	int six, last, again;

	ck_assert_int_eq(msi_router_line(b.router, 6, &six), 0);
	ck_assert_int_eq(msi_router_line(b.router, 23, &last), 0);
	ck_assert_int_eq(msi_router_line(b.router, 6, &again), 0);
	ck_assert_int_ne(six, last);
	ck_assert_int_eq(six, again);
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
	msi_sink_free(NULL);
	msi_router_free(NULL);
}
END_TEST

static TCase *rates(void)
{
	TCase *tc = tcase_create("rates");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_guest_that_reprograms_in_a_loop_causes_a_bounded_number_of_calls);
	tcase_add_test(tc, the_main_thread_comes_back_although_rounds_are_slow_and_without_end);
	tcase_add_test(tc, rounds_that_take_long_are_put_off_sooner);
	tcase_add_test(tc, a_postponed_round_comes_by_itself);
	tcase_add_test(tc, a_device_that_reprograms_in_a_loop_does_not_starve_another_one);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("msi");
	TCase *tc = tcase_create("routes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, all_messages_of_a_device_go_to_kvm_in_one_call);
	tcase_add_test(tc, routes_are_there_before_the_irqfds);
	tcase_add_test(tc, irqfds_go_before_their_routes);
	tcase_add_test(tc, irqfds_go_first_also_when_other_routes_change_in_the_same_round);
	tcase_add_test(tc, a_commit_without_a_change_costs_nothing);
	tcase_add_test(tc, a_commit_of_nothing_costs_nothing);
	tcase_add_test(tc, a_new_message_changes_the_route_and_no_irqfd);
	tcase_add_test(tc, many_messages_between_two_rounds_are_one_call);
	tcase_add_test(tc, two_devices_keep_each_others_routes);
	tcase_add_test(tc, two_devices_may_have_the_same_message);
	tcase_add_test(tc, only_programmed_vectors_get_a_route);
	tcase_add_test(tc, a_gsi_is_given_back_by_a_release);
	tcase_add_test(tc, a_vector_without_a_message_gives_its_gsi_back);
	tcase_add_loop_test(tc, a_vector_cleared_and_programmed_before_the_round_has_its_message,
			    0, 2);
	tcase_add_test(tc, a_gsi_never_committed_is_given_back_too);
	tcase_add_test(tc, gsis_run_out_and_come_back);
	tcase_add_test(tc, releasing_twice_is_releasing_once);
	tcase_add_test(tc, a_release_and_the_same_messages_again_settle);
	tcase_add_test(tc, a_device_without_vectors_has_its_line);
	tcase_add_test(tc, different_pins_have_different_lines);
	tcase_add_test(tc, freeing_nothing_is_allowed);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, rates());
	return s;
}
