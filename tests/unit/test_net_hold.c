/* SPDX-License-Identifier: Apache-2.0 */
/* The rule of net_hold.h, and a device that keeps it. */
#include <linux/virtio_net.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_hold.h"
#include "runner.h"

#define FRAME 100u

static struct net_hold h;

static void setup(void)
{
	net_hold_init(&h);
}

/* A round in which the answer comes in time, or the guest was waiting for the interrupt. */
static void win(void)
{
	ck_assert(net_hold_begin(&h));
	net_hold_answered(&h);
	net_hold_end(&h, false, false);
}

static void lose(void)
{
	ck_assert(net_hold_begin(&h));
	net_hold_end(&h, true, true);
	net_hold_sent(&h);
}

/* How many frames pass until one is held; at most max. */
static unsigned int frames_until_hold(unsigned int max)
{
	unsigned int n = 1;

	while (n < max && !net_hold_begin(&h))
		n++;
	return n;
}

START_TEST(at_first_every_lone_frame_is_held)
{
	for (int i = 0; i < 1000; i++)
		win();
	ck_assert(!net_hold_is_on(&h));
}
END_TEST

START_TEST(an_interrupt_waits_longer_once_the_answer_is_there)
{
	unsigned int before;

	net_hold_begin(&h);
	before = net_hold_wait_us(&h);
	ck_assert_uint_le(before, 100);
	net_hold_answered(&h);
	ck_assert(net_hold_is_on(&h));
	ck_assert_uint_gt(net_hold_wait_us(&h), before);
}
END_TEST

START_TEST(an_interrupt_is_not_put_off_by_more_than_a_few_wakes)
{
	unsigned int n = 0;

	ck_assert(net_hold_goes_on(&h));
	ck_assert(net_hold_begin(&h));
	net_hold_answered(&h);
	while (net_hold_goes_on(&h))
		ck_assert_uint_lt(++n, 50);
	net_hold_end(&h, false, false);
	ck_assert(net_hold_begin(&h));
	ck_assert(net_hold_goes_on(&h));
}
END_TEST

START_TEST(holding_is_given_up_soon_where_the_guest_waits)
{
	lose();
	lose();
	ck_assert_uint_eq(frames_until_hold(1000), 16);
}
END_TEST

START_TEST(what_was_given_up_is_tried_more_and_more_seldom)
{
	unsigned int gap = 16;

	lose();
	lose();
	for (int i = 0; i < 12; i++) {
		ck_assert_uint_eq(frames_until_hold(10000), gap);
		net_hold_end(&h, true, true);
		net_hold_sent(&h);
		gap = gap < 4096 ? 2 * gap : 4096;
	}
}
END_TEST

START_TEST(one_success_is_enough_to_go_on_trying)
{
	lose();
	lose();
	frames_until_hold(1000);
	net_hold_end(&h, false, false);
	win();
	lose();
	ck_assert_uint_eq(frames_until_hold(1000), 16);
}
END_TEST

/* One such frame in three is too many: each delays the guest. */
START_TEST(a_guest_that_waits_now_and_then_is_not_delayed_for_long)
{
	int rounds = 0;

	while (h.credit && rounds++ < 100) {
		win();
		if (h.credit)
			win();
		if (h.credit)
			lose();
	}
	ck_assert_int_lt(rounds, 10);
}
END_TEST

START_TEST(the_limit_grows_to_what_answers_take)
{
	for (int i = 0; i < 5; i++) {
		unsigned int before;

		ck_assert(net_hold_begin(&h));
		before = net_hold_wait_us(&h);
		net_hold_end(&h, true, true);
		net_hold_answered(&h);
		net_hold_begin(&h);
		ck_assert_uint_eq(net_hold_wait_us(&h), 2 * before);
		net_hold_end(&h, false, false);
	}
}
END_TEST

START_TEST(the_limit_has_bounds)
{
	for (int i = 0; i < 100; i++) {
		h.credit = 8;
		lose();
	}
	ck_assert_uint_eq(h.limit_us, 50);
	for (int i = 0; i < 100; i++) {
		frames_until_hold(10000);
		net_hold_end(&h, true, true);
		net_hold_answered(&h);
	}
	ck_assert_uint_eq(h.limit_us, 5000);
}
END_TEST

/* It does not look at what was sent when it takes in frames. */
START_TEST(a_driver_that_needs_its_interrupt_anyway_gets_it)
{
	for (int i = 0; i < 2; i++) {
		ck_assert(net_hold_begin(&h));
		net_hold_answered(&h);
		net_hold_end(&h, true, i);
	}
	ck_assert(!net_hold_begin(&h));
}
END_TEST

START_TEST(two_frames_that_share_an_interrupt_change_nothing)
{
	struct net_hold before = h;

	ck_assert(net_hold_begin(&h));
	net_hold_end(&h, true, false);
	net_hold_sent(&h);
	ck_assert_uint_eq(h.credit, before.credit);
	ck_assert_uint_eq(h.limit_us, before.limit_us);
}
END_TEST

START_TEST(a_host_that_cannot_wait_so_briefly_holds_nothing)
{
	net_hold_forbid(&h);
	ck_assert_uint_eq(frames_until_hold(10000), 10000);
}
END_TEST

/* The device. */

static struct net_fixture *f;

static void start_device(void)
{
	f = net_fixture_create(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void stop_device(void)
{
	net_fixture_free(f);
}

/* Interrupts of the transmit queue in 50 rounds. */
static unsigned int converse(void)
{
	unsigned int before = fake_nr_irqs(f->ft, NET_TX);

	for (uint8_t i = 0; i < 50; i++) {
		gpa_t gpa = net_add_rx(f, NET_RX, 256);

		fake_kick(f->ft, NET_RX);
		net_send_one(f, FRAME, i);
		net_host_sends(f, 0, FRAME, i);
		net_expect_rx(f, NET_RX, gpa, FRAME, i);
		net_take_used(f, NET_TX);
	}
	return fake_nr_irqs(f->ft, NET_TX) - before;
}

/* On a busy machine answers come late: one good conversation will do. */
START_TEST(a_conversation_has_hardly_more_than_one_interrupt_a_round)
{
	unsigned int least = 50;

	for (int i = 0; i < 20 && least > 25; i++) {
		unsigned int n = converse();

		least = n < least ? n : least;
	}
	ck_assert_uint_le(least, 25);
}
END_TEST

START_TEST(a_frame_without_an_answer_is_reported_all_the_same)
{
	net_send_one(f, FRAME, 1);
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
}
END_TEST

static void receive_one(uint8_t fill)
{
	gpa_t gpa = net_add_rx(f, NET_RX, 256);

	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, fill);
	net_expect_rx(f, NET_RX, gpa, FRAME, fill);
}

/* Until the interrupt of a frame waits, and its answer is there. */
static void send_and_hold(void)
{
	unsigned int before;

	do {
		before = fake_nr_irqs(f->ft, NET_TX);
		net_send_one(f, FRAME, 1);
		receive_one(1);
		if (fake_nr_irqs(f->ft, NET_TX) == before)
			return;
		net_take_used(f, NET_TX);
	} while (true);
}

/* Of a driver that does not look: what comes in must not keep its interrupt back. */
START_TEST(frames_that_keep_coming_do_not_hold_it_for_ever)
{
	unsigned int before, n = 0;

	send_and_hold();
	before = fake_nr_irqs(f->ft, NET_TX);
	while (fake_nr_irqs(f->ft, NET_TX) == before && n++ < 100)
		receive_one(2);
	ck_assert_uint_lt(n, 50);
}
END_TEST

START_TEST(a_stop_loses_no_completion)
{
	net_send_one(f, FRAME, 1);
	fake_stop(f->ft);
	ck_assert_uint_eq(fake_nr_resets(f->ft), 0);
	net_take_used(f, NET_TX);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_hold");
	TCase *tc = tcase_create("rule"), *dev = tcase_create("device");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, at_first_every_lone_frame_is_held);
	tcase_add_test(tc, an_interrupt_waits_longer_once_the_answer_is_there);
	tcase_add_test(tc, holding_is_given_up_soon_where_the_guest_waits);
	tcase_add_test(tc, an_interrupt_is_not_put_off_by_more_than_a_few_wakes);
	tcase_add_test(tc, what_was_given_up_is_tried_more_and_more_seldom);
	tcase_add_test(tc, one_success_is_enough_to_go_on_trying);
	tcase_add_test(tc, a_guest_that_waits_now_and_then_is_not_delayed_for_long);
	tcase_add_test(tc, the_limit_grows_to_what_answers_take);
	tcase_add_test(tc, the_limit_has_bounds);
	tcase_add_test(tc, a_driver_that_needs_its_interrupt_anyway_gets_it);
	tcase_add_test(tc, two_frames_that_share_an_interrupt_change_nothing);
	tcase_add_test(tc, a_host_that_cannot_wait_so_briefly_holds_nothing);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(dev, start_device, stop_device);
	tcase_add_test(dev, a_conversation_has_hardly_more_than_one_interrupt_a_round);
	tcase_add_test(dev, a_frame_without_an_answer_is_reported_all_the_same);
	tcase_add_test(dev, frames_that_keep_coming_do_not_hold_it_for_ever);
	tcase_add_test(dev, a_stop_loses_no_completion);
	suite_add_tcase(s, dev);
	return s;
}
