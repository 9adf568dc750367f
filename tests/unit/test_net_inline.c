/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inline kicks: what is not the same as without them. That frames are the same
 * is shown by test_virtio_net_tx, coalescing by test_virtio_net.
 */
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_hdr.h"
#include "runner.h"

#define FRAME 100u
#define BUDGET 64u		/* frames that a kick sends itself */
#define NR_SHARED 3000u

static struct net_fixture *f;
static const struct virtio_net_hdr_v1 plain = { 0 };

static void setup(void)
{
	f = net_fixture_create_inline(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void teardown(void)
{
	net_fixture_free(f);
}

static bool arrived(uint8_t fill)
{
	uint8_t frame[NET_HDR_LEN + FRAME + 1];
	ssize_t n = recv(f->peer[0], frame, sizeof(frame), MSG_DONTWAIT);

	return n == (ssize_t)(NET_HDR_LEN + FRAME) && frame[NET_HDR_LEN] == fill;
}

static uint64_t wakes(void)
{
	return fake_queue_stat(f->ft, NET_TX, "kicks");
}

/* The worker's first look at the queue is over: it answers to a frame. */
static void let_the_worker_settle(void)
{
	gpa_t gpa = net_add_rx(f, NET_RX, 256);

	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 1);
	net_expect_rx(f, NET_RX, gpa, FRAME, 1);
}

START_TEST(a_frame_is_gone_when_the_kick_returns)
{
	let_the_worker_settle();
	for (int i = 0; i < 200; i++) {
		uint16_t head = net_add_tx(f, NET_TX, &plain, FRAME, (uint8_t)i);

		fake_kick(f->ft, NET_TX);
		ck_assert(arrived((uint8_t)i));
		net_expect_completed(f, NET_TX, head);
	}
	ck_assert_uint_eq(wakes(), 0);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_TX, "frames"), 200);
}
END_TEST

START_TEST(a_lone_frame_has_its_interrupt_at_once)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);

	let_the_worker_settle();
	for (unsigned int i = 0; i < 50; i++) {
		uint16_t head;
		uint32_t len;

		net_add_tx(f, NET_TX, &plain, FRAME, 5);
		fake_kick(f->ft, NET_TX);
		ck_assert_uint_eq(fake_nr_irqs(f->ft, NET_TX), i + 1);
		fake_wait_used(f->ft, NET_TX, &head, &len);
		vdriver_want_irq_at(d, d->used_seen);
		ck_assert(arrived(5));
	}
}
END_TEST

/* One that takes one entry of the ring and begins with nr. */
static void add_short_frame(uint32_t nr)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	struct vbuf buf = { vdriver_alloc(d, NET_HDR_LEN + FRAME), NET_HDR_LEN + FRAME, false };
	uint8_t *p = vdriver_ptr(d, buf.gpa);

	memset(p, 0, NET_HDR_LEN + FRAME);
	memcpy(p + NET_HDR_LEN, &nr, sizeof(nr));
	vdriver_add(d, &buf, 1);
}

/* A guest's processor is not kept longer than that. */
START_TEST(what_is_more_than_a_budget_is_left_to_the_thread)
{
	let_the_worker_settle();
	for (unsigned int i = 0; i < BUDGET; i++)
		add_short_frame(0);
	fake_kick(f->ft, NET_TX);
	for (unsigned int i = 0; i < BUDGET; i++) {
		uint16_t head;
		uint32_t len;

		ck_assert(arrived(0));
		fake_wait_used(f->ft, NET_TX, &head, &len);
	}
	for (int i = 0; i < 5000 && !wakes(); i++)
		usleep(1000);
	ck_assert_uint_eq(wakes(), 1);
}
END_TEST

/* Takes what has arrived; each frame's number is above the one before. */
static void take_arrived(uint32_t *next, unsigned int *count)
{
	uint8_t frame[NET_HDR_LEN + FRAME];
	uint32_t nr;

	while (recv(f->peer[0], frame, sizeof(frame), MSG_DONTWAIT) > 0) {
		memcpy(&nr, frame + NET_HDR_LEN, sizeof(nr));
		ck_assert_uint_ge(nr, *next);
		*next = nr + 1;
		++*count;
	}
}

/* Bursts that reach the budget make both send from one ring. */
START_TEST(vcpu_and_thread_share_the_ring)
{
	uint32_t sent = 0, taken = 0, next = 0, len;
	unsigned int count = 0;
	uint16_t head;

	while (taken < NR_SHARED) {
		for (; sent < NR_SHARED && sent - taken < BUDGET; sent++)
			add_short_frame(sent);
		vdriver_show(fake_driver(f->ft, NET_TX));
		fake_force_kick(f->ft, NET_TX);
		for (unsigned int n = 1 + sent % 7; n-- && taken < sent; taken++)
			fake_wait_used(f->ft, NET_TX, &head, &len);
		take_arrived(&next, &count);
	}
	take_arrived(&next, &count);
	ck_assert_uint_eq(count + fake_queue_stat(f->ft, NET_TX, "dropped"), NR_SHARED);
	ck_assert_uint_gt(wakes(), 0);
}
END_TEST

START_TEST(a_kick_of_a_broken_ring_does_nothing)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);

	d->avail[2] = NET_RING;
	d->avail_idx = 1;
	fake_kick(f->ft, NET_TX);
	ck_assert_uint_eq(fake_nr_resets(f->ft), 1);
	for (int i = 0; i < 100; i++)
		fake_force_kick(f->ft, NET_TX);
	ck_assert_uint_eq(fake_nr_resets(f->ft), 1);
	ck_assert_uint_eq(wakes(), 0);
}
END_TEST

START_TEST(a_queue_left_out_has_no_inline_kicks)
{
	fake_stop(f->ft);
	fake_leave_out(f->ft, NET_TX);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	fake_force_kick(f->ft, NET_TX);
	let_the_worker_settle();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_inline");
	TCase *tc = tcase_create("net_inline");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_frame_is_gone_when_the_kick_returns);
	tcase_add_test(tc, a_lone_frame_has_its_interrupt_at_once);
	tcase_add_test(tc, what_is_more_than_a_budget_is_left_to_the_thread);
	tcase_add_test(tc, vcpu_and_thread_share_the_ring);
	tcase_add_test(tc, a_kick_of_a_broken_ring_does_nothing);
	tcase_add_test(tc, a_queue_left_out_has_no_inline_kicks);
	suite_add_tcase(s, tc);
	return s;
}
