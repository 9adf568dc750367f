/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the interface waits for a short time, which is to let an interrupt wait;
 * and a host that cannot (before Linux 5.11): no interrupt may get lost.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "runner.h"

#define FRAME 100u
#define CTRL 2u		/* queue */

static struct net_fixture *f;
static const struct virtio_net_hdr_v1 plain = { 0 };
static atomic_int wait_error;	/* what the host says, 0: it can */
static atomic_bool patient;	/* the time given does not pass */
static atomic_uint nr_waits;

/* Stands in front of the C library's. */
int epoll_pwait2(int epfd, struct epoll_event *e, int max, const struct timespec *limit,
		 const sigset_t *mask)
{
	static const struct timespec for_ever = { .tv_sec = 3600 };
	int error = atomic_load(&wait_error);

	atomic_fetch_add(&nr_waits, 1);
	if (!error)
		return (int)syscall(SYS_epoll_pwait2, epfd, e, max,
				    atomic_load(&patient) ? &for_ever : limit, mask,
				    sizeof(sigset_t));
	if (error == EINTR)		/* once */
		atomic_store(&wait_error, 0);
	errno = error;
	return -1;
}

static void start(uint64_t without)
{
	f = net_fixture_create(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~without), 0);
}

static void setup(void)
{
	start(0);
}

static void teardown(void)
{
	net_fixture_free(f);
}

START_TEST(the_interrupt_of_a_lone_frame_waits)
{
	net_send_one(f, FRAME, 1);
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
	ck_assert_uint_eq(atomic_load(&nr_waits), 1);
}
END_TEST

START_TEST(a_second_frame_brings_the_interrupt_of_the_first)
{
	atomic_store(&patient, true);
	for (uint8_t i = 0; i < 20; i++) {
		net_send_one(f, FRAME, i);
		net_send_one(f, FRAME, i);
		ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
		net_take_used(f, NET_TX);
		net_take_used(f, NET_TX);
	}
	ck_assert_uint_ge(atomic_load(&nr_waits), 1);
}
END_TEST

/* The driver cannot be asked again. */
START_TEST(without_event_idx_nothing_waits)
{
	teardown();
	start(1ull << VIRTIO_RING_F_EVENT_IDX);
	for (uint8_t i = 0; i < 20; i++) {
		net_send_one(f, FRAME, i);
		ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
	}
	ck_assert_uint_eq(atomic_load(&nr_waits), 0);
}
END_TEST

START_TEST(the_interrupt_of_several_frames_does_not_wait)
{
	for (uint8_t i = 0; i < 20; i++) {
		net_add_tx(f, NET_TX, &plain, FRAME, i);
		net_add_tx(f, NET_TX, &plain, FRAME, i);
		fake_kick(f->ft, NET_TX);
		ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
		net_take_used(f, NET_TX);
		net_take_used(f, NET_TX);
		net_expect_sent(f, 0, FRAME, i);
		net_expect_sent(f, 0, FRAME, i);
	}
	ck_assert_uint_eq(atomic_load(&nr_waits), 0);
}
END_TEST

START_TEST(a_lone_frame_has_its_interrupt_and_short_waits_are_tried_once)
{
	atomic_store(&wait_error, ENOSYS);
	for (uint8_t i = 0; i < 20; i++) {
		net_send_one(f, FRAME, i);
		ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
		net_take_used(f, NET_TX);
	}
	ck_assert_uint_eq(atomic_load(&nr_waits), 1);
}
END_TEST

START_TEST(an_interrupted_wait_is_no_reason_to_give_up)
{
	unsigned int before;

	atomic_store(&wait_error, EINTR);
	net_send_one(f, FRAME, 1);
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
	net_take_used(f, NET_TX);
	before = atomic_load(&nr_waits);
	ck_assert_uint_gt(before, 1);
	net_send_one(f, FRAME, 2);
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
	ck_assert_uint_gt(atomic_load(&nr_waits), before);
}
END_TEST

/* Lets interrupts of one direction wait: for 1000 packets, or a minute. */
static void coalesce(uint8_t direction)
{
	const uint32_t setting[] = { 1000, 60000000 };

	ck_assert_uint_eq(net_control(f, CTRL, VIRTIO_NET_CTRL_NOTF_COAL, direction, setting,
				      sizeof(setting)), VIRTIO_NET_OK);
}

START_TEST(an_interrupt_comes_early_if_it_cannot_come_in_time)
{
	gpa_t gpa = net_add_rx(f, NET_RX, 256);

	atomic_store(&wait_error, _i ? ENOSYS : EPERM);
	coalesce(VIRTIO_NET_CTRL_NOTF_COAL_RX_SET);
	coalesce(VIRTIO_NET_CTRL_NOTF_COAL_TX_SET);
	net_send_one(f, FRAME, 1);
	ck_assert(fake_wait_irq(f->ft, NET_TX, 5000));
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 2);
	net_expect_rx(f, NET_RX, gpa, FRAME, 2);
	ck_assert(fake_wait_irq(f->ft, NET_RX, 5000));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_wait");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_interrupt_of_a_lone_frame_waits);
	tcase_add_test(tc, a_second_frame_brings_the_interrupt_of_the_first);
	tcase_add_test(tc, without_event_idx_nothing_waits);
	tcase_add_test(tc, the_interrupt_of_several_frames_does_not_wait);
	tcase_add_test(tc, a_lone_frame_has_its_interrupt_and_short_waits_are_tried_once);
	tcase_add_test(tc, an_interrupted_wait_is_no_reason_to_give_up);
	tcase_add_loop_test(tc, an_interrupt_comes_early_if_it_cannot_come_in_time, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
