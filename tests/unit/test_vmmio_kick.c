/* SPDX-License-Identifier: Apache-2.0 */
/* Which kicks the VM is asked to take, and when. What a kick does is in test_vmmio.c. */
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <string.h>

#include "fake_dev.h"
#include "runner.h"
#include "vmmio_msi_abi.h"
#include "vmmio_priv.h"

static struct vmmio_bench b;
static struct {
	unsigned int nr, nr_of[FAKE_DEV_QUEUES][2];
} asked;

static void note_bind(void *ctx, unsigned int q, enum vmmio_place place, int fd)
{
	ck_assert_ptr_eq(ctx, &asked);
	ck_assert_uint_lt(q, FAKE_DEV_QUEUES);
	ck_assert_int_eq(fd, b.t->kick_fd[q]);
	asked.nr++;
	asked.nr_of[q][place]++;
}

static const struct vmmio_kicks kicks = { note_bind, &asked };

static void setup(void)
{
	memset(&asked, 0, sizeof(asked));
	bench_init(&b, FAKE_DEV_QUEUES + 1, true);
	vmmio_set_kicks(b.t, &kicks);
}

static void teardown(void)
{
	bench_release(&b);
}

static void ring(unsigned int q)
{
	bench_write(&b, VMMIO_DOORBELL + VMMIO_DOORBELL_STRIDE * q, 4, 0);
}

static void start_queue(unsigned int q)
{
	bench_to_features_ok(&b);
	bench_set_up_queue(&b, q);
	reg_write(&b, VIRTIO_MMIO_STATUS, 0xf);
	ck_assert(b.dev.started);
}

START_TEST(nothing_is_asked_before_the_device_starts)
{
	reg_read(&b, VIRTIO_MMIO_DOORBELL);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ring(0);
	bench_to_features_ok(&b);
	bench_set_up_queue(&b, 0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ring(0);
	ck_assert_uint_eq(asked.nr, 0);
}
END_TEST

START_TEST(a_driver_that_knows_no_doorbells_gets_the_classic_register)
{
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(asked.nr, FAKE_DEV_QUEUES);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		ck_assert_uint_eq(asked.nr_of[q][VMMIO_PLACE_NOTIFY], 1);
}
END_TEST

/* Linux reads the register first and resets the device afterwards. */
START_TEST(a_driver_that_has_asked_for_doorbells_gets_them)
{
	reg_read(&b, VIRTIO_MMIO_DOORBELL);
	bench_reset(&b);
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(asked.nr, FAKE_DEV_QUEUES);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		ck_assert_uint_eq(asked.nr_of[q][VMMIO_PLACE_DOORBELL], 1);
}
END_TEST

START_TEST(a_queue_that_is_not_ready_gets_nothing)
{
	start_queue(1);
	ring(0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	ck_assert_uint_eq(asked.nr, 1);
	ck_assert_uint_eq(asked.nr_of[1][VMMIO_PLACE_NOTIFY], 1);
}
END_TEST

START_TEST(a_kick_at_the_other_place_is_taken_from_then_on)
{
	start_queue(1);
	for (int i = 0; i < 3; i++)
		ring(1);
	ck_assert_uint_eq(asked.nr, 2);
	ck_assert_uint_eq(asked.nr_of[1][VMMIO_PLACE_DOORBELL], 1);
}
END_TEST

/* Each costs the host something, so a guest must not be able to repeat it. */
START_TEST(no_place_is_asked_for_twice)
{
	for (int i = 0; i < 50; i++) {
		bench_to_driver_ok(&b);
		for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
			ring(q);
			reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, q);
		}
		bench_reset(&b);
	}
	ck_assert_uint_eq(asked.nr, 2 * FAKE_DEV_QUEUES);
}
END_TEST

START_TEST(a_device_that_fails_to_start_gets_nothing)
{
	b.dev.start_result = -1;
	bench_to_driver_ok(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(asked.nr, 0);
}
END_TEST

/* Its device does the work on the vCPU, so the exit is wanted. */
START_TEST(a_queue_with_inline_kicks_goes_to_its_device)
{
	b.dev.inline_queues = 1u << 1;
	bench_to_driver_ok(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	ring(1);
	ring(0);
	ck_assert_uint_eq(b.dev.nr_inline[1], 2);
	ck_assert_uint_eq(asked.nr_of[1][VMMIO_PLACE_NOTIFY], 0);
	ck_assert_uint_eq(asked.nr_of[1][VMMIO_PLACE_DOORBELL], 0);
	ck_assert_uint_eq(asked.nr_of[0][VMMIO_PLACE_NOTIFY], 1);
	ck_assert_uint_eq(asked.nr_of[0][VMMIO_PLACE_DOORBELL], 1);
}
END_TEST

static bool is_kicked(unsigned int q)
{
	struct pollfd p = { .fd = b.t->kick_fd[q], .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

START_TEST(an_inline_kick_waits_for_the_start_like_any)
{
	b.dev.inline_queues = 1;
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(b.dev.nr_inline[0], 0);
	ck_assert(is_kicked(0));
	bench_to_driver_ok(&b);
	ck_assert(is_kicked(0));
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(b.dev.nr_inline[0], 1);
	bench_reset(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(b.dev.nr_inline[0], 1);
}
END_TEST

START_TEST(inline_kicks_last_until_the_reset)
{
	b.dev.inline_queues = 1;
	bench_to_driver_ok(&b);
	bench_reset(&b);
	b.dev.inline_queues = 0;
	bench_to_driver_ok(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(b.dev.nr_inline[0], 0);
	ck_assert(is_kicked(0));
	ck_assert_uint_eq(asked.nr_of[0][VMMIO_PLACE_NOTIFY], 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio_kick");
	TCase *tc = tcase_create("vmmio_kick");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_asked_before_the_device_starts);
	tcase_add_test(tc, a_driver_that_knows_no_doorbells_gets_the_classic_register);
	tcase_add_test(tc, a_driver_that_has_asked_for_doorbells_gets_them);
	tcase_add_test(tc, a_queue_that_is_not_ready_gets_nothing);
	tcase_add_test(tc, a_kick_at_the_other_place_is_taken_from_then_on);
	tcase_add_test(tc, no_place_is_asked_for_twice);
	tcase_add_test(tc, a_device_that_fails_to_start_gets_nothing);
	tcase_add_test(tc, a_queue_with_inline_kicks_goes_to_its_device);
	tcase_add_test(tc, an_inline_kick_waits_for_the_start_like_any);
	tcase_add_test(tc, inline_kicks_last_until_the_reset);
	suite_add_tcase(s, tc);
	return s;
}
