/* SPDX-License-Identifier: Apache-2.0 */
/* How a device reaches its driver: over the line, over MSI vectors, shared or not. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "fake_dev.h"
#include "race.h"
#include "runner.h"
#include "util.h"
#include "vmmio_msi_abi.h"

#define VECTORS (FAKE_DEV_QUEUES + 1)
#define ADDR 0xfee00000u
#define VRING VIRTIO_MMIO_INT_VRING
#define CONFIG VIRTIO_MMIO_INT_CONFIG

static struct vmmio_bench b;

static void setup(void)
{
	bench_init(&b, VECTORS, true);
}

static void teardown(void)
{
	bench_release(&b);
}

static void raise_queue(unsigned int q)
{
	virtio_irq_raise(b.dev.start.queue[q].irq);
}

static uint32_t isr(void)
{
	return reg_read(&b, VIRTIO_MMIO_INTERRUPT_STATUS);
}

static void ack(uint32_t bits)
{
	reg_write(&b, VIRTIO_MMIO_INTERRUPT_ACK, bits);
}

/* All vectors programmed, nr_used of them in use, DRIVER_OK. */
static void start_msi(unsigned int nr_used)
{
	for (unsigned int v = 0; v < VECTORS; v++)
		bench_msi_update(&b, v, ADDR, 0x40 + v);
	bench_msi_enable(&b, nr_used);
	bench_to_driver_ok(&b);
}

START_TEST(without_msi_a_queue_uses_the_line)
{
	bench_to_driver_ok(&b);
	raise_queue((unsigned int)_i);
	ck_assert_uint_eq(isr(), VRING);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
}
END_TEST

/* row T15 */
START_TEST(the_line_is_signalled_once_until_it_is_acknowledged)
{
	bench_to_driver_ok(&b);
	for (unsigned int i = 0; i < 100; i++)
		raise_queue(i % FAKE_DEV_QUEUES);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
	ack(VRING);
	ck_assert_uint_eq(isr(), 0);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
}
END_TEST

START_TEST(a_configuration_change_has_its_own_bit_and_signal)
{
	bench_to_driver_ok(&b);
	raise_queue(0);
	virtio_config_changed(b.dev.start.transport);
	ck_assert_uint_eq(isr(), VRING | CONFIG);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 2);
	ack(CONFIG);
	ck_assert_uint_eq(isr(), VRING);
}
END_TEST

/* T15 */
/* row T15 */
START_TEST(acknowledging_bits_that_are_not_set_does_nothing)
{
	bench_to_driver_ok(&b);
	raise_queue(0);
	ack(~(uint32_t)VRING);
	ck_assert_uint_eq(isr(), VRING);
	ack(0);
	ck_assert_uint_eq(isr(), VRING);
	ack(0xffffffff);
	ck_assert_uint_eq(isr(), 0);
}
END_TEST

START_TEST(a_device_may_signal_by_itself)
{
	bench_to_driver_ok(&b);
	ck_assert_int_eq(virtio_irq_begin(b.dev.start.queue[0].irq), b.irq.sink.line_fd);
	ck_assert_int_eq(virtio_irq_begin(b.dev.start.queue[0].irq), -1);
	ack(VRING);
	ck_assert_int_eq(virtio_irq_begin(b.dev.start.queue[1].irq), b.irq.sink.line_fd);
}
END_TEST

START_TEST(with_msi_each_queue_has_its_own_vector)
{
	start_msi(0);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		raise_queue(q);
		for (unsigned int v = 0; v < VECTORS; v++)
			ck_assert_uint_eq(fake_irq_signals(&b.irq, v),
					  v == VIRTIO_MMIO_MSI_VECTOR_QUEUE(q));
	}
}
END_TEST

START_TEST(with_msi_the_configuration_has_vector_0)
{
	start_msi(0);
	virtio_config_changed(b.dev.start.transport);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 0), 1);
	virtio_needs_reset(b.dev.start.transport);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 0), 1);
}
END_TEST

START_TEST(with_msi_the_line_stays_silent)
{
	start_msi(0);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		raise_queue(q);
	virtio_config_changed(b.dev.start.transport);
	ck_assert_uint_eq(isr(), 0);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 0);
}
END_TEST

START_TEST(with_msi_no_signal_is_coalesced_by_us)
{
	start_msi(0);
	for (int i = 0; i < 10; i++)
		raise_queue(1);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 2), 10);
}
END_TEST

/* With fewer vectors in use the last one serves all further queues. */
/* row M11 */
START_TEST(queues_beyond_the_vectors_in_use_share_the_last_one)
{
	unsigned int nr_used = (unsigned int)_i;

	start_msi(nr_used);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		unsigned int expected = MIN(q + 1, nr_used - 1);

		raise_queue(q);
		for (unsigned int v = 0; v < VECTORS; v++)
			ck_assert_uint_eq(fake_irq_signals(&b.irq, v), v == expected);
	}
}
END_TEST

START_TEST(a_driver_may_enable_before_it_programs_through_the_registers)
{
	bench_msi_enable(&b, 0);
	for (unsigned int v = 0; v < VECTORS; v++)
		bench_msi_update(&b, v, ADDR, 0x40 + v);
	bench_to_driver_ok(&b);
	raise_queue(2);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 3), 1);
	ck_assert_uint_eq(bench_guest_errors(&b), 0);
}
END_TEST

/* M9 */
/* row M9 */
START_TEST(enabling_msi_after_driver_ok_leaves_the_line_in_use)
{
	for (unsigned int v = 0; v < VECTORS; v++)
		bench_msi_update(&b, v, ADDR, 0x40 + v);
	bench_to_driver_ok(&b);
	bench_msi_enable(&b, 0);
	ck_assert_uint_eq(bench_msi_result(&b), VIRTIO_MMIO_MSI_E_STATE);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 0);
}
END_TEST

/* row M9 */
START_TEST(disabling_msi_after_driver_ok_leaves_msi_in_use)
{
	start_msi(0);
	bench_write(&b, VIRTIO_MMIO_MSI_CSR, 2, 0);
	ck_assert_uint_eq(bench_msi_result(&b), VIRTIO_MMIO_MSI_E_STATE);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 0);
}
END_TEST

START_TEST(the_mode_can_change_with_a_reset_between)
{
	start_msi(0);
	bench_reset(&b);
	bench_to_driver_ok(&b);
	raise_queue(0);
	ck_assert_uint_eq(isr(), VRING);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 1);
	bench_reset(&b);
	start_msi(0);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
	ck_assert_uint_eq(fake_irq_line_signals(&b.irq), 0);
}
END_TEST

/* M10 */
/* row M10 */
START_TEST(a_signal_held_back_before_a_reset_never_comes)
{
	start_msi(0);
	bench_msi_command(&b, VIRTIO_MMIO_MSI_CMD_MASK, 1);
	raise_queue(0);
	bench_reset(&b);
	start_msi(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 0);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
}
END_TEST

/* M13: KVM refuses. Only this device needs a reset, and after it all is well. */
/* row M13 */
START_TEST(a_message_that_kvm_refuses_makes_the_device_need_a_reset)
{
	b.irq.deferred = true;
	start_msi(0);
	fake_irq_settle(&b.irq, -EINVAL);
	ck_assert_uint_eq(bench_status(&b) & VIRTIO_CONFIG_S_NEEDS_RESET,
			  VIRTIO_CONFIG_S_NEEDS_RESET);
	ck_assert_uint_eq(bench_msi_result(&b), VIRTIO_MMIO_MSI_E_HOST);
	bench_reset(&b);
	b.irq.deferred = false;
	start_msi(0);
	ck_assert_uint_eq(bench_status(&b), 0xf);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
}
END_TEST

/* row M13 */
START_TEST(a_refusal_that_comes_after_the_reset_is_not_the_new_drivers)
{
	b.irq.deferred = true;
	start_msi(0);
	bench_reset(&b);
	fake_irq_settle(&b.irq, -EINVAL);
	ck_assert_uint_eq(bench_status(&b), 0);
	ck_assert_uint_eq(bench_msi_result(&b), 0);
}
END_TEST

START_TEST(signals_held_back_by_a_commit_come_when_it_is_done)
{
	b.irq.deferred = true;
	start_msi(0);
	raise_queue(0);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 0);
	fake_irq_settle(&b.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
}
END_TEST

/* What the kernel may signal by itself, and when it has to ask us again. */
static unsigned int nr_irq_changes;

static void on_irq_changed(struct virtio_dev *dev)
{
	(void)dev;
	nr_irq_changes++;
}

static int direct_fd(unsigned int q)
{
	return virtio_irq_direct_fd(b.dev.start.queue[q].irq);
}

/* Nobody takes them: the eventfd is as full as can be. row M14 */
START_TEST(interrupts_that_nobody_takes_block_nobody)
{
	const uint64_t almost = UINT64_MAX - 1;

	start_msi(VECTORS);
	ck_assert_int_eq(write(b.irq.fd[1], &almost, sizeof(almost)), sizeof(almost));
	for (unsigned int i = 0; i < 100000; i++)
		raise_queue(0);
	raise_queue(1);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 2), 1);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), almost);
	raise_queue(0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 1), 1);
}
END_TEST

START_TEST(a_vector_can_be_signalled_directly_while_nothing_holds_it)
{
	struct virtio_dev_ops ops = *b.dev.dev.ops;
	const struct virtio_dev_ops *saved = b.dev.dev.ops;

	ops.irq_changed = on_irq_changed;
	b.dev.dev.ops = &ops;
	start_msi(0);
	ck_assert_int_eq(direct_fd(0), b.irq.sink.vector_fd[1]);
	ck_assert_uint_eq(nr_irq_changes, 0);
	bench_msi_command(&b, VIRTIO_MMIO_MSI_CMD_MASK, 1);
	ck_assert_uint_ge(nr_irq_changes, 1);
	ck_assert_int_eq(direct_fd(0), -1);
	ck_assert_int_eq(direct_fd(1), b.irq.sink.vector_fd[2]);
	bench_msi_command(&b, VIRTIO_MMIO_MSI_CMD_UNMASK, 1);
	ck_assert_uint_ge(nr_irq_changes, 2);
	ck_assert_int_eq(direct_fd(0), b.irq.sink.vector_fd[1]);
	bench_reset(&b);
	b.dev.dev.ops = saved;
}
END_TEST

START_TEST(the_line_can_never_be_signalled_directly)
{
	bench_to_driver_ok(&b);
	ck_assert_int_eq(direct_fd(0), -1);
}
END_TEST

START_TEST(signals_are_counted_by_queue)
{
	struct vmmio_irq_stats s;

	start_msi(0);
	raise_queue(1);
	raise_queue(1);
	bench_msi_command(&b, VIRTIO_MMIO_MSI_CMD_MASK, 2);
	raise_queue(1);
	vmmio_irq_stats(b.t, 1, &s);
	ck_assert_uint_eq(s.signals, 2);
	ck_assert_uint_eq(s.suppressed, 1);
	ck_assert_uint_eq(s.vector, 2);
	ck_assert_uint_eq(s.message_data, 0x42);
}
END_TEST

START_TEST(configuration_signals_are_counted_behind_the_queues)
{
	struct vmmio_irq_stats s;

	bench_to_driver_ok(&b);
	virtio_config_changed(b.dev.start.transport);
	vmmio_irq_stats(b.t, FAKE_DEV_QUEUES, &s);
	ck_assert_uint_eq(s.signals, 1);
	ck_assert_uint_eq(s.vector, 0);
}
END_TEST

START_TEST(the_statistics_name_the_mode)
{
	struct vmmio_stats s;

	vmmio_stats(b.t, &s);
	ck_assert_str_eq(s.irq_mode, "none");
	ck_assert_uint_eq(s.nr_vectors, 0);
	bench_to_driver_ok(&b);
	vmmio_stats(b.t, &s);
	ck_assert_str_eq(s.irq_mode, "line");
	bench_reset(&b);
	start_msi(2);
	vmmio_stats(b.t, &s);
	ck_assert_str_eq(s.irq_mode, "msi");
	ck_assert_uint_eq(s.nr_vectors, 2);
	ck_assert_ptr_eq(vmmio_dev(b.t), &b.dev.dev);
}
END_TEST

/* The line between two threads: after every raise the driver sees the bit and a signal. */
#define NR_ROUNDS 100000u

static atomic_uint sent, seen;
static atomic_bool done;

static void *raiser(void *arg)
{
	struct race race = race_begin(3000);

	(void)arg;
	for (unsigned int i = 1; i <= NR_ROUNDS && race_goes_on(&race); i++) {
		atomic_store(&sent, i);
		raise_queue(i % FAKE_DEV_QUEUES);
		if (i % 4 == 0)
			while (atomic_load(&seen) < i)
				sched_yield();
	}
	atomic_store(&done, true);
	return NULL;
}

START_TEST(no_interrupt_is_lost_on_the_line)
{
	unsigned int last = 0;
	pthread_t t;

	bench_to_driver_ok(&b);
	pthread_create(&t, NULL, raiser, NULL);
	while (!atomic_load(&done) || last < atomic_load(&sent)) {
		if (!fake_irq_line_signals(&b.irq)) {
			sched_yield();
			continue;
		}
		ack(isr());		/* as Linux does: first the status, then the queues */
		last = atomic_load(&sent);
		atomic_store(&seen, last);
	}
	pthread_join(t, NULL);
	ck_assert_uint_gt(last, 0);
}
END_TEST

static TCase *msi(void)
{
	TCase *tc = tcase_create("msi");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, with_msi_each_queue_has_its_own_vector);
	tcase_add_test(tc, with_msi_the_configuration_has_vector_0);
	tcase_add_test(tc, with_msi_the_line_stays_silent);
	tcase_add_test(tc, with_msi_no_signal_is_coalesced_by_us);
	tcase_add_loop_test(tc, queues_beyond_the_vectors_in_use_share_the_last_one, 1,
			    VECTORS + 1);
	tcase_add_test(tc, a_driver_may_enable_before_it_programs_through_the_registers);
	tcase_add_test(tc, enabling_msi_after_driver_ok_leaves_the_line_in_use);
	tcase_add_test(tc, disabling_msi_after_driver_ok_leaves_msi_in_use);
	tcase_add_test(tc, the_mode_can_change_with_a_reset_between);
	tcase_add_test(tc, a_signal_held_back_before_a_reset_never_comes);
	tcase_add_test(tc, a_message_that_kvm_refuses_makes_the_device_need_a_reset);
	tcase_add_test(tc, a_refusal_that_comes_after_the_reset_is_not_the_new_drivers);
	tcase_add_test(tc, signals_held_back_by_a_commit_come_when_it_is_done);
	tcase_add_test(tc, interrupts_that_nobody_takes_block_nobody);
	tcase_add_test(tc, a_vector_can_be_signalled_directly_while_nothing_holds_it);
	tcase_add_test(tc, the_line_can_never_be_signalled_directly);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio irq");
	TCase *tc = tcase_create("line");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, without_msi_a_queue_uses_the_line, 0, FAKE_DEV_QUEUES);
	tcase_add_test(tc, the_line_is_signalled_once_until_it_is_acknowledged);
	tcase_add_test(tc, a_configuration_change_has_its_own_bit_and_signal);
	tcase_add_test(tc, acknowledging_bits_that_are_not_set_does_nothing);
	tcase_add_test(tc, a_device_may_signal_by_itself);
	tcase_add_test(tc, signals_are_counted_by_queue);
	tcase_add_test(tc, configuration_signals_are_counted_behind_the_queues);
	tcase_add_test(tc, the_statistics_name_the_mode);
	tcase_add_test(tc, no_interrupt_is_lost_on_the_line);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, msi());
	return s;
}
