/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread tells a transport that messages are in force. It must come
 * back whatever a vCPU does in there meanwhile: here the device hangs for as
 * long as the test likes, as one does whose disk does not answer.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <semaphore.h>

#include "fake_dev.h"
#include "runner.h"
#include "vmmio_msi_abi.h"
#include "vmmio_priv.h"

#define VECTORS (FAKE_DEV_QUEUES + 1)
#define ADDR 0xfee00000u

static struct vmmio_bench b;
static struct virtio_dev_ops ops;
static const struct virtio_dev_ops *fake_ops;
static sem_t hangs, go_on;
static pthread_t vcpu;
static unsigned int nr_irq_changes;

static void hang(void *arg)
{
	(void)arg;
	sem_post(&hangs);
	sem_wait(&go_on);
}

static void hanging_write_config(struct virtio_dev *dev, uint32_t off, const void *buf,
				 uint32_t len)
{
	(void)dev, (void)off, (void)buf, (void)len;
	hang(NULL);
}

static int hanging_start(struct virtio_dev *dev, const struct virtio_start *s)
{
	hang(NULL);
	return fake_ops->start(dev, s);
}

static void on_irq_changed(struct virtio_dev *dev)
{
	(void)dev;
	nr_irq_changes++;
}

static void setup(void)
{
	bench_init(&b, VECTORS, true);
	fake_ops = b.dev.dev.ops;
	ops = *fake_ops;
	ops.irq_changed = on_irq_changed;
	b.dev.dev.ops = &ops;
	nr_irq_changes = 0;
	sem_init(&hangs, 0, 0);
	sem_init(&go_on, 0, 0);
	b.irq.deferred = true;
	for (unsigned int v = 0; v < VECTORS; v++)
		bench_msi_update(&b, v, ADDR, 0x40 + v);
	bench_msi_enable(&b, 0);
}

static void teardown(void)
{
	bench_reset(&b);
	b.dev.dev.ops = fake_ops;
	bench_release(&b);
}

static void *reset(void *arg)
{
	(void)arg;
	bench_reset(&b);
	return NULL;
}

static void *write_config(void *arg)
{
	(void)arg;
	bench_write(&b, VIRTIO_MMIO_CONFIG, 1, 0);
	return NULL;
}

static void *drive(void *arg)
{
	(void)arg;
	bench_to_driver_ok(&b);
	return NULL;
}

static void run_until_it_hangs(void *(*fn)(void *arg))
{
	ck_assert_int_eq(pthread_create(&vcpu, NULL, fn, NULL), 0);
	sem_wait(&hangs);
}

static void let_go_on(void)
{
	sem_post(&go_on);
	pthread_join(vcpu, NULL);
}

static const int result[] = { 0, -EINVAL };

/* row V5 */
START_TEST(settling_does_not_wait_for_a_reset_that_waits_for_a_disk)
{
	bench_to_driver_ok(&b);
	b.dev.on_stop = hang;
	run_until_it_hangs(reset);
	fake_irq_settle(&b.irq, result[_i]);
	let_go_on();
	b.dev.on_stop = NULL;
	ck_assert_uint_eq(bench_status(&b), 0);
	ck_assert_uint_eq(bench_msi_result(&b), 0);
}
END_TEST

/* row V5 */
START_TEST(settling_does_not_wait_for_a_change_of_the_configuration)
{
	bench_to_driver_ok(&b);
	ops.write_config = hanging_write_config;
	run_until_it_hangs(write_config);
	fake_irq_settle(&b.irq, result[_i]);
	let_go_on();
	ck_assert_int_eq(!(bench_status(&b) & VIRTIO_CONFIG_S_NEEDS_RESET), !result[_i]);
}
END_TEST

/* row V5 */
START_TEST(settling_does_not_wait_for_a_device_that_starts)
{
	ops.start = hanging_start;
	run_until_it_hangs(drive);
	fake_irq_settle(&b.irq, result[_i]);
	let_go_on();
	ck_assert(b.dev.started);
	ck_assert_int_eq(!(bench_status(&b) & VIRTIO_CONFIG_S_NEEDS_RESET), !result[_i]);
}
END_TEST

/* A signal held back meanwhile reaches the guest all the same. row V5 */
START_TEST(what_is_pending_comes_at_once_while_a_vcpu_hangs)
{
	bench_to_driver_ok(&b);
	virtio_irq_raise(b.dev.start.queue[1].irq);
	ops.write_config = hanging_write_config;
	run_until_it_hangs(write_config);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 2), 0);
	fake_irq_settle(&b.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&b.irq, 2), 1);
	let_go_on();
}
END_TEST

/* The main thread calls no device: that may wait for the host's kernel. */
START_TEST(a_device_hears_of_open_vectors_from_the_thread_of_the_next_interrupt)
{
	bench_to_driver_ok(&b);
	nr_irq_changes = 0;
	fake_irq_settle(&b.irq, 0);
	ck_assert_uint_eq(nr_irq_changes, 0);
	virtio_irq_raise(b.dev.start.queue[0].irq);
	ck_assert_uint_eq(nr_irq_changes, 1);
	virtio_irq_raise(b.dev.start.queue[0].irq);
	ck_assert_uint_eq(nr_irq_changes, 1);
}
END_TEST

START_TEST(a_device_hears_of_open_vectors_later_while_a_vcpu_is_busy_there)
{
	bench_to_driver_ok(&b);
	ops.write_config = hanging_write_config;
	run_until_it_hangs(write_config);
	nr_irq_changes = 0;
	fake_irq_settle(&b.irq, 0);
	virtio_irq_raise(b.dev.start.queue[0].irq);
	ck_assert_uint_eq(nr_irq_changes, 0);
	let_go_on();
	virtio_irq_raise(b.dev.start.queue[0].irq);
	ck_assert_uint_eq(nr_irq_changes, 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio settle");
	TCase *tc = tcase_create("settle");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, settling_does_not_wait_for_a_reset_that_waits_for_a_disk, 0, 2);
	tcase_add_loop_test(tc, settling_does_not_wait_for_a_change_of_the_configuration, 0, 2);
	tcase_add_loop_test(tc, settling_does_not_wait_for_a_device_that_starts, 0, 2);
	tcase_add_test(tc, what_is_pending_comes_at_once_while_a_vcpu_hangs);
	tcase_add_test(tc, a_device_hears_of_open_vectors_from_the_thread_of_the_next_interrupt);
	tcase_add_test(tc, a_device_hears_of_open_vectors_later_while_a_vcpu_is_busy_there);
	suite_add_tcase(s, tc);
	return s;
}
