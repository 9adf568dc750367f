/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, irqfds and GSIs over a KVM that keeps the books. Rows M5, M11, M13 and M15. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fake_kvm.h"
#include "log_capture.h"
#include "msi.h"
#include "runner.h"
#include "util.h"

#define VECTORS 4u
#define ADDR 0xfee00000u
#define NR_GSIS (LAYOUT_GSI_MSI_LAST - LAYOUT_GSI_MSI_FIRST + 1)
#define BURST 64		/* of rounds; then 200 a second */
#define RATE 200

static struct fake_kvm fake;
static struct msi_router *router;
static struct log_capture cap;

/* A transport's side of a sink. */
struct device {
	struct irq_sink *sink;
	unsigned int nr_settled;
	int last_result;
};

static struct device dev[2];

static void on_settled(void *owner, int result)
{
	struct device *d = owner;

	d->nr_settled++;
	d->last_result = result;
}

static void device_init(struct device *d, unsigned int nr_vectors)
{
	*d = (struct device){ .last_result = 1 };
	ck_assert_int_eq(msi_sink_create(&d->sink, router, nr_vectors, 5), 0);
	d->sink->owner = d;
	d->sink->settled = on_settled;
}

static void setup(void)
{
	fake_kvm_init(&fake);
	ck_assert_int_eq(msi_router_create(&router, &fake.kvm), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(dev); i++)
		device_init(&dev[i], VECTORS);
}

static void teardown(void)
{
	ck_assert_uint_eq(fake.nr_violations, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(dev); i++)
		msi_sink_free(dev[i].sink);
	msi_router_free(router);
}

static struct msi_message message(uint32_t data)
{
	return (struct msi_message){ .address_lo = ADDR, .data = data };
}

static int set(struct device *d, unsigned int vector, uint32_t data)
{
	struct msi_message msg = message(data);

	return d->sink->ops->set_message(d->sink, vector, &msg);
}

static void set_all(struct device *d, uint32_t data)
{
	for (unsigned int i = 0; i < d->sink->nr_vectors; i++)
		ck_assert_int_eq(set(d, i, data + i), 0);
}

static int commit(struct device *d)
{
	return d->sink->ops->commit(d->sink);
}

static void release(struct device *d)
{
	d->sink->ops->release(d->sink);
}

/* The main loop, until there is nothing more to do at once. */
static void pump(void)
{
	struct pollfd p = { .fd = msi_fd(router), .events = POLLIN };

	while (poll(&p, 1, 20) == 1)
		msi_run(router);
}

static void enable(struct device *d, uint32_t data)
{
	set_all(d, data);
	ck_assert_int_eq(commit(d), -EINPROGRESS);
	pump();
	ck_assert_int_eq(commit(d), 0);
}

static unsigned int gsis_in_use(void)
{
	struct msi_stats s;

	msi_router_stats(router, &s);
	return s.gsis_in_use;
}

static void check_routes(const struct device *d, uint32_t data)
{
	for (unsigned int i = 0; i < d->sink->nr_vectors; i++) {
		const struct msi_message *msg = fake_kvm_route_of(&fake, d->sink->vector_fd[i]);

		ck_assert_ptr_nonnull(msg);
		ck_assert_uint_eq(msg->data, data + i);
		ck_assert_uint_eq(msg->address_lo, ADDR);
	}
}

START_TEST(all_messages_of_a_device_go_to_kvm_in_one_call)
{
	enable(&dev[0], 0x30);
	ck_assert_uint_eq(fake.nr_routings, 1);
	ck_assert_uint_eq(fake.nr_binds, VECTORS);
	ck_assert_uint_eq(dev[0].nr_settled, 1);
	ck_assert_int_eq(dev[0].last_result, 0);
	check_routes(&dev[0], 0x30);
}
END_TEST

START_TEST(routes_are_there_before_the_irqfds)
{
	enable(&dev[0], 0x30);
	ck_assert_str_eq(fake.trace, "RBBBB");
}
END_TEST

START_TEST(irqfds_go_before_their_routes)
{
	enable(&dev[0], 0x30);
	release(&dev[0]);
	pump();
	ck_assert_str_eq(fake.trace, "RBBBBUUUU");
	enable(&dev[1], 0x50);
	ck_assert_uint_eq(fake.nr_routed, VECTORS);	/* the old ones are gone */
	ck_assert_uint_eq(fake.nr_bound, VECTORS);
}
END_TEST

START_TEST(a_commit_without_a_change_costs_nothing)
{
	enable(&dev[0], 0x30);
	ck_assert_int_eq(commit(&dev[0]), 0);
	set_all(&dev[0], 0x30);
	ck_assert_int_eq(commit(&dev[0]), 0);
	pump();
	ck_assert_uint_eq(fake.nr_routings, 1);
	ck_assert_uint_eq(dev[0].nr_settled, 1);
}
END_TEST

START_TEST(a_commit_of_nothing_costs_nothing)
{
	ck_assert_int_eq(commit(&dev[0]), 0);
	release(&dev[0]);
	pump();
	ck_assert_str_eq(fake.trace, "");
}
END_TEST

START_TEST(a_new_message_changes_the_route_and_no_irqfd)
{
	enable(&dev[0], 0x30);
	set(&dev[0], 2, 0x99);
	ck_assert_int_eq(commit(&dev[0]), -EINPROGRESS);
	pump();
	ck_assert_str_eq(fake.trace, "RBBBBR");
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[0].sink->vector_fd[2])->data, 0x99);
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[0].sink->vector_fd[1])->data, 0x31);
}
END_TEST

START_TEST(many_messages_between_two_rounds_are_one_call)
{
	enable(&dev[0], 0x30);
	for (uint32_t i = 0; i < 1000; i++) {
		set(&dev[0], i % VECTORS, 0x1000 + i);
		commit(&dev[0]);
	}
	pump();
	ck_assert_uint_eq(fake.nr_routings, 2);
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[0].sink->vector_fd[3])->data,
			  0x1000 + 999);
}
END_TEST

START_TEST(two_devices_keep_each_others_routes)
{
	enable(&dev[0], 0x30);
	enable(&dev[1], 0x50);
	check_routes(&dev[0], 0x30);
	check_routes(&dev[1], 0x50);
	release(&dev[0]);
	pump();
	set(&dev[1], 0, 0x50 + 0x100);
	commit(&dev[1]);
	pump();
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[1].sink->vector_fd[0])->data, 0x150);
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[1].sink->vector_fd[3])->data, 0x53);
}
END_TEST

/* M11 */
START_TEST(two_devices_may_have_the_same_message)
{
	enable(&dev[0], 0x30);
	enable(&dev[1], 0x30);
	ck_assert_uint_eq(fake.nr_routed, 2 * VECTORS);
	check_routes(&dev[0], 0x30);
	check_routes(&dev[1], 0x30);
}
END_TEST

START_TEST(only_programmed_vectors_get_a_route)
{
	set(&dev[0], 1, 0x31);
	commit(&dev[0]);
	pump();
	ck_assert_uint_eq(fake.nr_routed, 1);
	ck_assert_uint_eq(fake.nr_bound, 1);
	ck_assert_uint_eq(gsis_in_use(), 1);
}
END_TEST

/* M15, rule 11 */
START_TEST(a_gsi_is_given_back_by_a_release)
{
	enable(&dev[0], 0x30);
	ck_assert_uint_eq(gsis_in_use(), VECTORS);
	release(&dev[0]);
	pump();
	ck_assert_uint_eq(gsis_in_use(), 0);
	ck_assert_uint_eq(fake.nr_bound, 0);
}
END_TEST

START_TEST(a_gsi_never_committed_is_given_back_too)
{
	set_all(&dev[0], 0x30);
	release(&dev[0]);
	pump();
	ck_assert_uint_eq(gsis_in_use(), 0);
	ck_assert_str_eq(fake.trace, "");
}
END_TEST

#define BIG 64u
#define NR_BIG (NR_GSIS / BIG + 1)

START_TEST(gsis_run_out_and_come_back)
{
	static struct device big[NR_BIG];
	unsigned int got = 0;

	for (unsigned int i = 0; i < NR_BIG; i++)
		device_init(&big[i], BIG);
	for (unsigned int i = 0; i < NR_BIG * BIG; i++)
		if (!set(&big[i / BIG], i % BIG, 0x30))
			got++;
	ck_assert_uint_eq(got, NR_GSIS);
	ck_assert_uint_eq(gsis_in_use(), NR_GSIS);
	ck_assert_int_eq(set(&dev[0], 0, 0x30), -ENOSPC);
	for (unsigned int i = 0; i < NR_BIG; i++)
		commit(&big[i]);
	do {
		pump();
	} while (commit(&big[0]));	/* the burst of rounds is smaller than all of these */
	ck_assert_uint_eq(fake.nr_routed, NR_GSIS);
	release(&big[7]);
	pump();
	ck_assert_int_eq(set(&dev[0], 0, 0x30), 0);
	commit(&dev[0]);
	pump();
	ck_assert_uint_eq(gsis_in_use(), NR_GSIS - BIG + 1);
	for (unsigned int i = 0; i < NR_BIG; i++)
		msi_sink_free(big[i].sink);
}
END_TEST

/* M13 and M2: a route that KVM refuses fails its own device only. */
static void refuse(struct device *d, unsigned int vector)
{
	set(d, vector, FAKE_KVM_POISON);
	commit(d);
	log_capture_begin(&cap);
	pump();
	log_capture_end(&cap);
}

START_TEST(a_refused_route_is_reported_to_its_device_with_one_line)
{
	set_all(&dev[0], 0x30);
	refuse(&dev[0], 1);
	ck_assert_int_eq(dev[0].last_result, -EINVAL);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_uint_eq(fake.nr_bound, 0);
	ck_assert_uint_eq(dev[1].nr_settled, 0);
}
END_TEST

START_TEST(a_refused_route_poisons_no_other_device)
{
	set_all(&dev[0], 0x30);
	refuse(&dev[0], 1);
	enable(&dev[1], 0x50);
	check_routes(&dev[1], 0x50);
	ck_assert_uint_eq(fake.nr_routed, VECTORS);
}
END_TEST

START_TEST(a_refused_change_leaves_the_old_routes_in_force)
{
	enable(&dev[0], 0x30);
	set(&dev[0], 0, 0x77);
	refuse(&dev[0], 2);
	ck_assert_int_eq(dev[0].last_result, -EINVAL);
	check_routes(&dev[0], 0x30);
	enable(&dev[1], 0x50);
	check_routes(&dev[0], 0x30);
}
END_TEST

START_TEST(a_device_that_was_refused_works_after_its_release)
{
	enable(&dev[0], 0x30);
	refuse(&dev[0], 3);
	release(&dev[0]);
	pump();
	ck_assert_uint_eq(gsis_in_use(), 0);
	ck_assert_uint_eq(fake.nr_bound, 0);
	enable(&dev[0], 0x40);
	check_routes(&dev[0], 0x40);
	ck_assert_int_eq(dev[0].last_result, 0);
}
END_TEST

START_TEST(a_host_short_of_memory_fails_the_device_not_the_monitor)
{
	fake.routing_result = -ENOMEM;
	set_all(&dev[0], 0x30);
	refuse(&dev[0], 0);
	ck_assert_int_eq(dev[0].last_result, -ENOMEM);
	ck_assert_uint_eq(gsis_in_use(), 0);
	fake.routing_result = 0;
	enable(&dev[0], 0x30);
	check_routes(&dev[0], 0x30);
}
END_TEST

/* _i: so many irqfds can be bound. */
START_TEST(an_irqfd_that_cannot_be_bound_fails_the_device)
{
	fake.bind_result = -ENOMEM;
	fake.bind_fails_after = (unsigned int)_i;
	set_all(&dev[0], 0x30);
	commit(&dev[0]);
	pump();
	ck_assert_int_eq(dev[0].last_result, -ENOMEM);
	release(&dev[0]);
	pump();
	ck_assert_uint_eq(gsis_in_use(), 0);
	ck_assert_uint_eq(fake.nr_bound, 0);
	fake.bind_result = 0;
	enable(&dev[0], 0x30);
	check_routes(&dev[0], 0x30);
}
END_TEST

/* A vCPU that resets its device while the main thread is in the routing call. */
static void release_now(void *arg)
{
	fake.on_routing = NULL;
	release(arg);
}

static void reprogram_now(void *arg)
{
	release_now(arg);
	set_all(arg, 0x30);
	commit(arg);
}

START_TEST(a_release_during_a_round_is_not_lost)
{
	fake.on_routing = release_now;
	fake.on_routing_arg = &dev[0];
	set_all(&dev[0], 0x30);
	commit(&dev[0]);
	pump();
	ck_assert_uint_eq(fake.nr_bound, 0);
	ck_assert_uint_eq(gsis_in_use(), 0);
}
END_TEST

START_TEST(a_release_during_a_round_that_fails_is_not_lost)
{
	enable(&dev[0], 0x30);
	fake.on_routing = release_now;
	fake.on_routing_arg = &dev[0];
	refuse(&dev[0], 1);
	ck_assert_uint_eq(fake.nr_bound, 0);
	ck_assert_uint_eq(gsis_in_use(), 0);
}
END_TEST

START_TEST(messages_after_a_release_during_a_round_come_into_force)
{
	if (_i)
		enable(&dev[0], 0x30);
	fake.on_routing = reprogram_now;
	fake.on_routing_arg = &dev[0];
	set_all(&dev[0], 0x70);
	commit(&dev[0]);
	pump();
	ck_assert_int_eq(commit(&dev[0]), 0);
	check_routes(&dev[0], 0x30);
}
END_TEST

START_TEST(messages_after_a_release_during_a_failing_round_come_into_force)
{
	if (_i)
		enable(&dev[0], 0x30);
	fake.on_routing = reprogram_now;
	fake.on_routing_arg = &dev[0];
	refuse(&dev[0], 1);
	pump();
	ck_assert_int_eq(commit(&dev[0]), 0);
	check_routes(&dev[0], 0x30);
}
END_TEST

/* Vectors gone and vectors refused in one round, then the gone ones again. */
START_TEST(a_vector_dropped_in_a_refused_round_gets_a_route_again)
{
	enable(&dev[0], 0x30);
	release(&dev[0]);
	set(&dev[0], 1, FAKE_KVM_POISON);
	commit(&dev[0]);
	log_capture_begin(&cap);
	pump();
	log_capture_end(&cap);
	set_all(&dev[0], 0x30);
	commit(&dev[0]);
	pump();
	enable(&dev[1], 0x50);		/* a table without them would show now */
	check_routes(&dev[0], 0x30);
}
END_TEST

/* M5 */
static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void run_once(int ms)
{
	struct pollfd p = { .fd = msi_fd(router), .events = POLLIN };

	if (poll(&p, 1, ms) == 1)
		msi_run(router);
}

START_TEST(a_guest_that_reprograms_in_a_loop_causes_a_bounded_number_of_calls)
{
	uint64_t begin = now_ms(), spent;
	struct msi_stats s;
	uint32_t i = 0;

	do {
		set(&dev[0], 0, 0x1000 + i++);
		commit(&dev[0]);
		run_once(0);
		spent = now_ms() - begin;
	} while (spent < 600);
	msi_router_stats(router, &s);
	ck_assert_uint_le(s.routing_calls, BURST + RATE * (spent + 10) / 1000);
	ck_assert_uint_ge(s.routing_calls, BURST);
	ck_assert_uint_gt(s.postponed, 0);
	ck_assert_uint_eq(s.routing_calls, fake.nr_routings);
}
END_TEST

START_TEST(a_postponed_round_comes_by_itself)
{
	for (uint32_t i = 0; i <= BURST + 4; i++) {
		set(&dev[0], 0, 0x1000 + i);
		commit(&dev[0]);
		run_once(0);
	}
	while (commit(&dev[0]))
		run_once(1000);
	ck_assert_uint_eq(fake_kvm_route_of(&fake, dev[0].sink->vector_fd[0])->data,
			  0x1000 + BURST + 4);
}
END_TEST

/* The queue is fair: nobody waits for a device that always wants more, not even who comes last. */
static void program_the_other(void *arg)
{
	fake.on_routing = NULL;
	set_all(arg, 0x50);
	commit(arg);
}

static void want_more(void *owner, int result)
{
	static uint32_t data;
	struct device *d = owner;

	on_settled(owner, result);
	set(d, 0, 0x1000 + data++);
	commit(d);
}

START_TEST(a_device_that_reprograms_in_a_loop_does_not_starve_another_one)
{
	dev[0].sink->settled = want_more;
	want_more(&dev[0], 0);
	for (int i = 0; i < 3 * BURST; i++)
		run_once(10);
	fake.on_routing = program_the_other;	/* in the middle of a round for dev[0] */
	fake.on_routing_arg = &dev[1];
	for (int i = 0; i < 20 && !dev[1].nr_settled; i++)
		run_once(100);
	ck_assert_uint_eq(dev[1].nr_settled, 1);
	check_routes(&dev[1], 0x50);
}
END_TEST

START_TEST(releasing_twice_is_releasing_once)
{
	enable(&dev[0], 0x30);
	release(&dev[0]);
	release(&dev[0]);
	pump();
	release(&dev[0]);
	pump();
	ck_assert_uint_eq(fake.nr_unbinds, VECTORS);
	ck_assert_uint_eq(gsis_in_use(), 0);
}
END_TEST

START_TEST(a_release_and_the_same_messages_again_settle)
{
	enable(&dev[0], 0x30);
	release(&dev[0]);
	set_all(&dev[0], 0x30);
	commit(&dev[0]);
	pump();
	ck_assert_int_eq(commit(&dev[0]), 0);
	check_routes(&dev[0], 0x30);
}
END_TEST

START_TEST(a_device_without_vectors_has_its_line)
{
	struct device line_only;

	device_init(&line_only, 0);
	ck_assert_int_ge(line_only.sink->line_fd, 0);
	ck_assert_int_eq(line_only.sink->line_fd, dev[0].sink->line_fd);
	ck_assert_int_eq(commit(&line_only), 0);
	release(&line_only);
	pump();
	ck_assert_str_eq(fake.trace, "");
	msi_sink_free(line_only.sink);
}
END_TEST

START_TEST(different_pins_have_different_lines)
{
	int a, b, again;

	ck_assert_int_eq(msi_router_line(router, 6, &a), 0);
	ck_assert_int_eq(msi_router_line(router, 23, &b), 0);
	ck_assert_int_eq(msi_router_line(router, 6, &again), 0);
	ck_assert_int_ne(a, b);
	ck_assert_int_eq(a, again);
}
END_TEST

/* H4 */
START_TEST(a_sink_that_runs_out_of_descriptors_leaves_none_behind)
{
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), next;
	struct irq_sink *sink = NULL;
	struct rlimit old, low;
	int ret;

	close(first);
	log_capture_begin(&cap);
	getrlimit(RLIMIT_NOFILE, &old);
	low = (struct rlimit){ (rlim_t)(first + 2 + _i), old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	ret = msi_sink_create(&sink, router, VECTORS, 7);
	setrlimit(RLIMIT_NOFILE, &old);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -EMFILE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(next, first);
	close(next);
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
	msi_sink_free(NULL);
	msi_router_free(NULL);
}
END_TEST

static TCase *failures(void)
{
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
	tcase_add_loop_test(tc, messages_after_a_release_during_a_round_come_into_force, 0, 2);
	tcase_add_loop_test(tc, messages_after_a_release_during_a_failing_round_come_into_force,
			    0, 2);
	tcase_add_test(tc, a_vector_dropped_in_a_refused_round_gets_a_route_again);
	tcase_add_loop_test(tc, a_sink_that_runs_out_of_descriptors_leaves_none_behind, 0, 4);
	return tc;
}

static TCase *rates(void)
{
	TCase *tc = tcase_create("rates");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_guest_that_reprograms_in_a_loop_causes_a_bounded_number_of_calls);
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
	tcase_add_test(tc, a_commit_without_a_change_costs_nothing);
	tcase_add_test(tc, a_commit_of_nothing_costs_nothing);
	tcase_add_test(tc, a_new_message_changes_the_route_and_no_irqfd);
	tcase_add_test(tc, many_messages_between_two_rounds_are_one_call);
	tcase_add_test(tc, two_devices_keep_each_others_routes);
	tcase_add_test(tc, two_devices_may_have_the_same_message);
	tcase_add_test(tc, only_programmed_vectors_get_a_route);
	tcase_add_test(tc, a_gsi_is_given_back_by_a_release);
	tcase_add_test(tc, a_gsi_never_committed_is_given_back_too);
	tcase_add_test(tc, gsis_run_out_and_come_back);
	tcase_add_test(tc, releasing_twice_is_releasing_once);
	tcase_add_test(tc, a_release_and_the_same_messages_again_settle);
	tcase_add_test(tc, a_device_without_vectors_has_its_line);
	tcase_add_test(tc, different_pins_have_different_lines);
	tcase_add_test(tc, freeing_nothing_is_allowed);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, failures());
	suite_add_tcase(s, rates());
	return s;
}
