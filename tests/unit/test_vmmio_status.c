/* SPDX-License-Identifier: Apache-2.0 */
/* Status, features, queue set-up and activation: rows T5 to T11 of docs/hostile-cases.md. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fake_dev.h"
#include "runner.h"
#include "util.h"
#include "vmmio_priv.h"

#define VECTORS (FAKE_DEV_QUEUES + 1)
#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED VIRTIO_CONFIG_S_FAILED

static struct vmmio_bench b;

static void setup(void)
{
	bench_init(&b, VECTORS, true);
}

static void teardown(void)
{
	bench_release(&b);
}

static void set_status(uint32_t val)
{
	reg_write(&b, VIRTIO_MMIO_STATUS, val);
}

START_TEST(a_driver_that_keeps_the_order_reaches_driver_ok)
{
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(b.dev.started);
	ck_assert_uint_eq(b.dev.nr_starts, 1);
	ck_assert_uint_eq(bench_guest_errors(&b), 0);
}
END_TEST

START_TEST(the_device_is_started_with_what_was_negotiated)
{
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(b.dev.start.features, FAKE_VERSION_1);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		const struct virtio_queue *vq = &b.dev.start.queue[q];

		ck_assert_uint_eq(virtq_size(vq->vq), FAKE_DEV_QUEUE_SIZE);
		ck_assert_uint_eq(vq->cfg.desc, b.driver[q].cfg.desc);
		ck_assert_int_eq(vq->kick_fd, b.t->kick_fd[q]);
		ck_assert_ptr_nonnull(vq->irq);
	}
}
END_TEST

/*
 * T9: every value in every state that can be reached. The rules in words: a 0
 * resets; nobody takes a bit back but by reset; NEEDS_RESET is the device's;
 * bits unknown, or without the one that goes before, make the write void;
 * FEATURES_OK sticks only if the features are right, DRIVER_OK only with it.
 */
static uint32_t expected_status(uint32_t old, uint32_t val, bool features_are_right)
{
	uint32_t want = val & ~(uint32_t)NEEDS_RESET;

	if (!val)
		return 0;
	if (want & ~(uint32_t)(ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED))
		return old;
	if ((want & old) != old)
		return old;
	if ((want & DRIVER && !(want & ACK)) || (want & FEATURES_OK && !(want & DRIVER)) ||
	    (want & DRIVER_OK && !(want & FEATURES_OK)))
		return old;
	if (want & FEATURES_OK && !(old & FEATURES_OK) && !features_are_right)
		want &= ~(uint32_t)(FEATURES_OK | DRIVER_OK);
	return want;
}

static const uint32_t state[] = {
	0, ACK, ACK | DRIVER, ACK | DRIVER | FEATURES_OK, ACK | DRIVER | FEATURES_OK | DRIVER_OK,
	FAILED, ACK | FAILED, ACK | DRIVER | FAILED, ACK | DRIVER | FEATURES_OK | FAILED,
	ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED,
};

/* _i: state, and whether acceptable features were written. */
/* row T9 */
START_TEST(every_status_value_in_every_state_does_what_the_rules_say)
{
	uint32_t from = state[_i / 2];
	bool right = _i % 2 || from & FEATURES_OK;

	for (uint32_t val = 0; val < 256; val++) {
		bench_reset(&b);
		bench_accept_features(&b, right ? FAKE_VERSION_1 : 0);
		if (from)
			set_status(from);
		ck_assert_uint_eq(bench_status(&b), from);
		set_status(val);
		if (bench_status(&b) != expected_status(from, val, right))
			ck_abort_msg("status %#x after %#x gives %#x", val, from,
				     bench_status(&b));
		ck_assert_int_eq(b.dev.started, !!(bench_status(&b) & DRIVER_OK));
	}
}
END_TEST

/* row T9 */
START_TEST(status_bits_beyond_the_byte_are_refused)
{
	set_status(ACK);
	for (uint32_t bit = 8; bit < 32; bit++) {
		set_status(ACK | DRIVER | 1u << bit);
		ck_assert_uint_eq(bench_status(&b), ACK);
	}
	ck_assert_uint_eq(bench_guest_errors(&b), 24);
}
END_TEST

START_TEST(driver_ok_twice_starts_once)
{
	bench_to_driver_ok(&b);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(b.dev.nr_starts, 1);
}
END_TEST

/* T10 */
static const struct {
	uint64_t features;
	bool kept;
} offer[] = {
	{ FAKE_VERSION_1, true },
	{ FAKE_VERSION_1 | FAKE_DEV_FEATURES, true },
	{ FAKE_VERSION_1 | 1ull << 5, true },
	{ 0, false },				/* VERSION_1 is a must */
	{ FAKE_DEV_FEATURES, false },
	{ FAKE_VERSION_1 | 1, false },		/* not offered */
	{ FAKE_VERSION_1 | 1ull << 34, false },	/* RING_PACKED, Q20 */
	{ FAKE_VERSION_1 | 1ull << 40, false },	/* RING_RESET, where the MSI block is */
	{ FAKE_VERSION_1 | 1ull << 63, false },
	{ ~0ull, false },
};

/* rows T10, Q20 */
START_TEST(features_ok_is_kept_only_for_features_that_were_offered)
{
	set_status(ACK | DRIVER);
	bench_accept_features(&b, offer[_i].features);
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | (offer[_i].kept ? FEATURES_OK : 0));
	ck_assert_uint_eq(bench_guest_errors(&b), !offer[_i].kept);
}
END_TEST

START_TEST(a_driver_refused_once_may_try_other_features)
{
	set_status(ACK | DRIVER);
	bench_accept_features(&b, ~0ull);
	set_status(ACK | DRIVER | FEATURES_OK);
	bench_accept_features(&b, FAKE_VERSION_1);
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK);
}
END_TEST

/* row T10 */
START_TEST(features_after_features_ok_change_nothing)
{
	bench_to_features_ok(&b);
	bench_accept_features(&b, FAKE_VERSION_1 | 1ull << 5);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(b.dev.start.features, FAKE_VERSION_1);
	ck_assert_uint_eq(bench_guest_errors(&b), 2);
}
END_TEST

/* row T10 */
START_TEST(features_in_a_third_word_are_ignored)
{
	set_status(ACK | DRIVER);
	bench_accept_features(&b, FAKE_VERSION_1);
	for (uint32_t word = 2; word; word <<= 1) {
		reg_write(&b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		reg_write(&b, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	}
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK);
}
END_TEST

/* Linux binds a driver again without a reset: what the last one set is still there. row T9 */
START_TEST(a_driver_that_comes_after_one_that_failed_has_a_device)
{
	bench_to_features_ok(&b);
	bench_set_up_queue(&b, 0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);
	set_status(bench_status(&b) | FAILED);
	set_status(bench_status(&b) | DRIVER);
	bench_accept_features(&b, FAKE_VERSION_1 | 1ull << 5);
	set_status(bench_status(&b) | FEATURES_OK);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		bench_set_up_queue(&b, q);
	set_status(bench_status(&b) | DRIVER_OK);
	ck_assert(b.dev.started);
	ck_assert_uint_eq(b.dev.start.features, FAKE_VERSION_1 | 1ull << 5);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
	ck_assert_uint_eq(bench_guest_errors(&b), 0);
}
END_TEST

/* rows T9, T10 */
START_TEST(features_spoilt_after_a_failure_make_the_device_need_a_reset)
{
	bench_to_features_ok(&b);
	set_status(bench_status(&b) | FAILED);
	bench_accept_features(&b, _i ? ~0ull : 0);
	set_status(bench_status(&b) | DRIVER_OK);
	ck_assert(!b.dev.started);
	ck_assert_uint_eq(b.dev.nr_starts, 0);
	ck_assert_uint_eq(bench_status(&b) & NEEDS_RESET, NEEDS_RESET);
}
END_TEST

/* row T10 */
START_TEST(features_stay_fixed_when_a_running_driver_fails)
{
	bench_to_driver_ok(&b);
	set_status(bench_status(&b) | FAILED);
	bench_accept_features(&b, 0);
	ck_assert_uint_eq(b.t->driver_features, FAKE_VERSION_1);
	ck_assert_uint_eq(bench_guest_errors(&b), 2);
}
END_TEST

static atomic_bool racing;

static void *write_features(void *arg)
{
	(void)arg;
	while (atomic_load(&racing)) {
		bench_write(&b, VIRTIO_MMIO_DRIVER_FEATURES, 4, 1u << 5);
		bench_write(&b, VIRTIO_MMIO_DRIVER_FEATURES, 4, 0);
	}
	return NULL;
}

/* T11: whatever the other vCPU writes, what was checked is what is used. */
/* row T11 */
START_TEST(features_raced_by_another_vcpu_stay_those_that_were_checked)
{
	pthread_t t;

	atomic_store(&racing, true);
	pthread_create(&t, NULL, write_features, NULL);
	for (int i = 0; i < 300; i++) {
		bench_reset(&b);
		set_status(ACK | DRIVER);
		reg_write(&b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		reg_write(&b, VIRTIO_MMIO_DRIVER_FEATURES, 1);
		reg_write(&b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
		set_status(ACK | DRIVER | FEATURES_OK);
		set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
		if (b.dev.started && b.dev.start.features & ~(FAKE_VERSION_1 | 1ull << 5))
			ck_abort_msg("features %#llx",
				     (unsigned long long)b.dev.start.features);
	}
	atomic_store(&racing, false);
	pthread_join(t, NULL);
	bench_reset(&b);
}
END_TEST

/* T6: before FEATURES_OK, and after DRIVER_OK */
static const uint32_t queue_register[] = {
	VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_DESC_LOW,
	VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
	VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH,
};

/* row T6 */
START_TEST(a_queue_set_up_before_features_ok_is_not_there)
{
	uint64_t errors;

	set_status(ACK | DRIVER);
	errors = bench_guest_errors(&b);
	bench_set_up_queue(&b, 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_uint_eq(bench_guest_errors(&b), errors + ARRAY_SIZE(queue_register));
}
END_TEST

/* row T6 */
START_TEST(queue_registers_are_deaf_after_driver_ok)
{
	bench_to_driver_ok(&b);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		struct virtq_cfg before = b.dev.start.queue[q].cfg;

		reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, q);
		reg_write(&b, queue_register[_i], queue_register[_i] == VIRTIO_MMIO_QUEUE_READY);
		reg_write(&b, queue_register[_i], 0x2001);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 1);
		ck_assert_mem_eq(&b.dev.start.queue[q].cfg, &before, sizeof(before));
		ck_assert_uint_eq(virtq_size(b.dev.start.queue[q].vq), FAKE_DEV_QUEUE_SIZE);
	}
	ck_assert_uint_eq(bench_guest_errors(&b), 2 * FAKE_DEV_QUEUES);
}
END_TEST

/* The driver may use the memory for something else from then on. row T7 */
START_TEST(a_queue_taken_back_from_a_running_device_stops_it)	/* queue _i */
{
	const uint32_t all = ACK | DRIVER | FEATURES_OK | DRIVER_OK;

	bench_to_driver_ok(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, (uint32_t)_i);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert(!b.dev.started);
	ck_assert_uint_eq(bench_status(&b), all | NEEDS_RESET);
	ck_assert_uint_eq(bench_guest_errors(&b), 1);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);	/* again, then something else */
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, (uint32_t)_i);
	ck_assert_uint_eq(b.dev.nr_starts, 1);
	ck_assert_uint_eq(b.dev.nr_stops, 1);
	bench_reset(&b);
	ck_assert_uint_eq(b.dev.nr_stops, 1);
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b), all);
	ck_assert(b.dev.started);
}
END_TEST

/* rows T6, T7 */
START_TEST(a_ready_queue_keeps_its_place)
{
	if (queue_register[_i] == VIRTIO_MMIO_QUEUE_READY)
		return;
	bench_to_features_ok(&b);
	bench_set_up_queue(&b, 0);
	reg_write(&b, queue_register[_i], 0x40000000);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(b.dev.started);
	ck_assert_uint_eq(b.dev.start.queue[0].cfg.desc, b.driver[0].cfg.desc);
	ck_assert_uint_eq(bench_guest_errors(&b), 1);
}
END_TEST

/* T7 */
/* row T7 */
START_TEST(queue_ready_has_one_bit)
{
	bench_to_features_ok(&b);
	for (uint32_t bit = 0; bit < 32; bit++) {
		reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 1u << bit);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), bit == 0);
		reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);
	}
}
END_TEST

/* row T7 */
START_TEST(a_queue_made_unready_again_can_be_moved)
{
	bench_to_features_ok(&b);
	bench_set_up_queue(&b, 0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NUM, 8);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 1);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(virtq_size(b.dev.start.queue[0].vq), 8);
}
END_TEST

/* T8. _i: a bit per queue that is ready */
/* row T8 */
START_TEST(queues_that_are_not_ready_are_left_out)
{
	bench_to_features_ok(&b);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		if (_i >> q & 1)
			bench_set_up_queue(&b, q);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(b.dev.started);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		ck_assert_int_eq(b.dev.start.queue[q].vq != NULL, _i >> q & 1);
}
END_TEST

/* T5, and rings that are no RAM */
static const struct {
	uint32_t reg, val;
} spoil[] = {
	{ VIRTIO_MMIO_QUEUE_NUM, 0 },
	{ VIRTIO_MMIO_QUEUE_NUM, 3 },
	{ VIRTIO_MMIO_QUEUE_NUM, FAKE_DEV_QUEUE_SIZE + 1 },
	{ VIRTIO_MMIO_QUEUE_NUM, 2 * FAKE_DEV_QUEUE_SIZE },
	{ VIRTIO_MMIO_QUEUE_NUM, 65535 },
	{ VIRTIO_MMIO_QUEUE_NUM, 0x10008 },		/* 8 if it were truncated */
	{ VIRTIO_MMIO_QUEUE_NUM, 0xffffffff },
	{ VIRTIO_MMIO_QUEUE_DESC_HIGH, 1 },
	{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0xffffffff },
	{ VIRTIO_MMIO_QUEUE_USED_LOW, 0xc0000000 },
	{ VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10008 },
};

static void drive_with_a_spoilt_queue(unsigned int q, uint32_t reg, uint32_t val)
{
	bench_to_features_ok(&b);
	for (unsigned int i = 0; i < FAKE_DEV_QUEUES; i++)
		bench_set_up_queue(&b, i);
	reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 0);
	reg_write(&b, reg, val);
	reg_write(&b, VIRTIO_MMIO_QUEUE_READY, 1);
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* _i: which queue, and how */
/* rows T5, T8 */
START_TEST(one_queue_that_cannot_be_makes_the_device_need_a_reset)
{
	unsigned int how = (unsigned int)_i % ARRAY_SIZE(spoil);

	drive_with_a_spoilt_queue((unsigned int)_i / ARRAY_SIZE(spoil), spoil[how].reg,
				  spoil[how].val);
	ck_assert_uint_eq(bench_status(&b),
			  ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	ck_assert_uint_eq(b.dev.nr_starts, 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
}
END_TEST

START_TEST(a_device_that_needed_a_reset_works_after_it)
{
	drive_with_a_spoilt_queue(1, VIRTIO_MMIO_QUEUE_NUM, 0);
	bench_reset(&b);
	ck_assert_uint_eq(bench_status(&b), 0);
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(b.dev.started);
}
END_TEST

START_TEST(a_device_that_cannot_start_needs_a_reset_and_is_not_stopped)
{
	b.dev.start_result = -ENOMEM;
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b) & NEEDS_RESET, NEEDS_RESET);
	bench_reset(&b);
	ck_assert_uint_eq(b.dev.nr_stops, 0);
	b.dev.start_result = 0;
	bench_to_driver_ok(&b);
	ck_assert(b.dev.started);
}
END_TEST

START_TEST(a_device_that_breaks_later_says_so_once)
{
	bench_to_driver_ok(&b);
	virtio_needs_reset(b.dev.start.transport);
	virtio_needs_reset(b.dev.start.transport);
	ck_assert_uint_eq(bench_status(&b) & NEEDS_RESET, NEEDS_RESET);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
	set_status(bench_status(&b));		/* as drivers that read and or do */
	ck_assert_uint_eq(bench_status(&b) & NEEDS_RESET, NEEDS_RESET);
}
END_TEST

static TCase *queues(void)
{
	TCase *tc = tcase_create("queues");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_queue_set_up_before_features_ok_is_not_there);
	tcase_add_loop_test(tc, queue_registers_are_deaf_after_driver_ok, 0,
			    ARRAY_SIZE(queue_register));
	tcase_add_loop_test(tc, a_ready_queue_keeps_its_place, 0, ARRAY_SIZE(queue_register));
	tcase_add_loop_test(tc, a_queue_taken_back_from_a_running_device_stops_it, 0,
			    FAKE_DEV_QUEUES);
	tcase_add_test(tc, queue_ready_has_one_bit);
	tcase_add_test(tc, a_queue_made_unready_again_can_be_moved);
	tcase_add_loop_test(tc, queues_that_are_not_ready_are_left_out, 0, 1 << FAKE_DEV_QUEUES);
	tcase_add_loop_test(tc, one_queue_that_cannot_be_makes_the_device_need_a_reset, 0,
			    FAKE_DEV_QUEUES * ARRAY_SIZE(spoil));
	tcase_add_test(tc, a_device_that_needed_a_reset_works_after_it);
	tcase_add_test(tc, a_device_that_cannot_start_needs_a_reset_and_is_not_stopped);
	tcase_add_test(tc, a_device_that_breaks_later_says_so_once);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio status");
	TCase *tc = tcase_create("status");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, a_driver_that_keeps_the_order_reaches_driver_ok);
	tcase_add_test(tc, the_device_is_started_with_what_was_negotiated);
	tcase_add_loop_test(tc, every_status_value_in_every_state_does_what_the_rules_say, 0,
			    2 * ARRAY_SIZE(state));
	tcase_add_test(tc, status_bits_beyond_the_byte_are_refused);
	tcase_add_test(tc, driver_ok_twice_starts_once);
	tcase_add_loop_test(tc, features_ok_is_kept_only_for_features_that_were_offered, 0,
			    ARRAY_SIZE(offer));
	tcase_add_test(tc, a_driver_refused_once_may_try_other_features);
	tcase_add_test(tc, features_after_features_ok_change_nothing);
	tcase_add_test(tc, features_in_a_third_word_are_ignored);
	tcase_add_test(tc, a_driver_that_comes_after_one_that_failed_has_a_device);
	tcase_add_loop_test(tc, features_spoilt_after_a_failure_make_the_device_need_a_reset, 0, 2);
	tcase_add_test(tc, features_stay_fixed_when_a_running_driver_fails);
	tcase_add_test(tc, features_raced_by_another_vcpu_stay_those_that_were_checked);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, queues());
	return s;
}
