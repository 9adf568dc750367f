/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts that a driver lets wait. The command's form is in test_net_ctrl.c. */
#include <linux/virtio_net.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_hdr.h"
#include "runner.h"
#include "util.h"

#define FRAME	100u
#define MINUTE	60000000u	/* in microseconds */
#define CTRL	4u		/* the control queue of two pairs */
#define RX_SET	VIRTIO_NET_CTRL_NOTF_COAL_RX_SET
#define TX_SET	VIRTIO_NET_CTRL_NOTF_COAL_TX_SET

static struct net_fixture *f;

static void setup(void)
{
	f = net_fixture_create(2);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void teardown(void)
{
	net_fixture_free(f);
}

static void coalesce(uint8_t direction, uint32_t packets, uint32_t usecs)
{
	const uint32_t setting[] = { packets, usecs };

	ck_assert_uint_eq(net_control(f, CTRL, VIRTIO_NET_CTRL_NOTF_COAL, direction, setting,
				      sizeof(setting)), VIRTIO_NET_OK);
}

START_TEST(each_interrupt_waits_for_as_many_packets)
{
	const unsigned int q = _i ? NET_TX : NET_RX;
	struct vdriver *d = fake_driver(f->ft, q);

	coalesce(_i ? TX_SET : RX_SET, 4, MINUTE);
	for (int round = 0; round < 3; round++) {
		vdriver_want_irq_at(d, d->used_seen);
		for (int i = 0; i < 3; i++)
			net_move_frame(f, FRAME, q);
		ck_assert(!fake_wait_irq(f->ft, q, 50));
		net_move_frame(f, FRAME, q);
		ck_assert(fake_wait_irq(f->ft, q, 5000));
	}
}
END_TEST

/*
 * Entries of a ring are numbered in 16 bits: a driver that is not told of the
 * first by the time 65,536 have been used would never be. What the host does not
 * take is used all the same. row Q16
 */
START_TEST(an_interrupt_waits_for_no_more_than_16384_entries)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	struct vbuf buf = { vdriver_alloc(d, NET_HDR_LEN + FRAME), NET_HDR_LEN + FRAME, false };
	uint16_t head;
	uint32_t len;

	coalesce(TX_SET, 0, UINT32_MAX);
	vdriver_want_irq_at(d, d->used_seen);
	for (int sent = 0; sent < 16384; sent += NET_RING) {
		ck_assert(!fake_wait_irq(f->ft, NET_TX, 0));
		for (unsigned int i = 0; i < NET_RING; i++)
			vdriver_add(d, &buf, 1);
		fake_kick(f->ft, NET_TX);
		for (unsigned int i = 0; i < NET_RING; i++)
			fake_wait_used(f->ft, NET_TX, &head, &len);
	}
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
}
END_TEST

/* The time counts from the first of them. */
START_TEST(packets_that_keep_coming_do_not_put_an_interrupt_off)
{
	const unsigned int q = _i ? NET_TX : NET_RX;
	unsigned int n = 0;

	coalesce(_i ? TX_SET : RX_SET, 0, 200000);
	do
		net_move_frame(f, FRAME, q);
	while (!fake_wait_irq(f->ft, q, 5) && n++ < 500);
	ck_assert_uint_lt(n, 500);
}
END_TEST

START_TEST(of_two_interrupts_that_wait_the_earlier_comes_first)
{
	coalesce(_i ? TX_SET : RX_SET, 0, MINUTE);
	coalesce(_i ? RX_SET : TX_SET, 0, 20000);
	net_move_frame(f, FRAME, _i ? NET_TX : NET_RX);
	net_move_frame(f, FRAME, _i ? NET_RX : NET_TX);
	ck_assert(fake_wait_irq(f->ft, _i ? NET_RX : NET_TX, 5000));
	ck_assert(!fake_wait_irq(f->ft, _i ? NET_TX : NET_RX, 50));
}
END_TEST

static void use_both_pairs(void)
{
	const uint16_t two = 2;

	ck_assert_uint_eq(net_control(f, CTRL, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				      &two, sizeof(two)), VIRTIO_NET_OK);
}

static const struct {
	uint32_t packets, usecs;
} less[] = { { 0, 0 }, { 3, MINUTE }, { 1000, 1000 } };

/* Of the second pair: commands come to the first one's thread. */
START_TEST(an_interrupt_that_waits_comes_when_the_driver_asks_for_less)
{
	const unsigned int i = (unsigned int)_i / 2, q = 2 + (_i % 2 ? NET_TX : NET_RX);

	use_both_pairs();
	coalesce(_i % 2 ? TX_SET : RX_SET, 1000, MINUTE);
	for (int n = 0; n < 3; n++)
		net_move_frame(f, FRAME, q);
	ck_assert(!fake_wait_irq(f->ft, q, 20));
	coalesce(_i % 2 ? TX_SET : RX_SET, less[i].packets, less[i].usecs);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

START_TEST(a_setting_of_more_lets_an_interrupt_wait_on)
{
	const unsigned int q = _i ? NET_TX : NET_RX;

	coalesce(_i ? TX_SET : RX_SET, 1000, MINUTE);
	for (int n = 0; n < 3; n++)
		net_move_frame(f, FRAME, q);
	coalesce(_i ? TX_SET : RX_SET, 4, 2 * MINUTE);
	ck_assert(!fake_wait_irq(f->ft, q, 50));
	net_move_frame(f, FRAME, q);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

START_TEST(a_setting_reaches_all_pairs)
{
	use_both_pairs();
	coalesce(_i ? TX_SET : RX_SET, 0, MINUTE);
	for (unsigned int pair = 0; pair < 2; pair++) {
		net_move_frame(f, FRAME, 2 * pair + (unsigned int)_i);
		ck_assert(!fake_wait_irq(f->ft, 2 * pair + (unsigned int)_i, 50));
	}
}
END_TEST

START_TEST(a_setting_of_one_direction_leaves_the_other_alone)
{
	const unsigned int q = _i ? NET_RX : NET_TX;

	coalesce(_i ? TX_SET : RX_SET, 0, MINUTE);
	net_move_frame(f, FRAME, q);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

START_TEST(a_reset_ends_it)
{
	const unsigned int q = _i ? NET_TX : NET_RX;

	coalesce(_i ? TX_SET : RX_SET, 0, MINUTE);
	net_move_frame(f, FRAME, q);
	fake_stop(f->ft);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	while (fake_wait_irq(f->ft, q, 0))
		;
	net_move_frame(f, FRAME, q);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_coalesce");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, each_interrupt_waits_for_as_many_packets, 0, 2);
	tcase_add_test(tc, an_interrupt_waits_for_no_more_than_16384_entries);
	tcase_add_loop_test(tc, packets_that_keep_coming_do_not_put_an_interrupt_off, 0, 2);
	tcase_add_loop_test(tc, of_two_interrupts_that_wait_the_earlier_comes_first, 0, 2);
	tcase_add_loop_test(tc, an_interrupt_that_waits_comes_when_the_driver_asks_for_less, 0,
			    2 * ARRAY_SIZE(less));
	tcase_add_loop_test(tc, a_setting_of_more_lets_an_interrupt_wait_on, 0, 2);
	tcase_add_loop_test(tc, a_setting_reaches_all_pairs, 0, 2);
	tcase_add_loop_test(tc, a_setting_of_one_direction_leaves_the_other_alone, 0, 2);
	tcase_add_loop_test(tc, a_reset_ends_it, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
