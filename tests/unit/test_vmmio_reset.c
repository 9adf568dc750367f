/* SPDX-License-Identifier: Apache-2.0 */
/* Resets after any step and from another vCPU: rows T12 and T13 of docs/hostile-cases.md. */
#include <dirent.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fake_dev.h"
#include "runner.h"
#include "vmmio_msi_abi.h"
#include "vmmio_priv.h"

#define VECTORS (FAKE_DEV_QUEUES + 1)
#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define FAILED VIRTIO_CONFIG_S_FAILED

static struct vmmio_bench b;
static atomic_bool racing;

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

/* T12: the steps of a driver, to be cut off anywhere. */
static void drive_steps(int nr)
{
	int done = 0;

	if (done++ < nr)
		set_status(ACK);
	if (done++ < nr)
		set_status(ACK | DRIVER);
	if (done++ < nr)
		bench_to_features_ok(&b);
	if (done++ < nr)
		bench_msi_update(&b, 0, 0xfee00000, 0x31);
	if (done++ < nr)
		bench_msi_enable(&b, 0);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		if (done++ < nr)
			bench_set_up_queue(&b, q);
	if (done++ < nr)
		set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	if (done++ < nr)
		reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	if (done++ < nr)
		virtio_needs_reset(b.dev.start.transport);
	if (done++ < nr)
		set_status(bench_status(&b) | FAILED);
}

#define NR_STEPS 12

static bool is_kicked(unsigned int q)
{
	struct pollfd p = { .fd = b.t->kick_fd[q], .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* row T12 */
START_TEST(a_reset_after_any_step_gives_a_new_device)
{
	drive_steps(_i);
	bench_reset(&b);
	ck_assert_uint_eq(bench_status(&b), 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_uint_eq(bench_msi_result(&b), 0);
	ck_assert(!b.dev.started);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, q);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
		ck_assert(!is_kicked(q));
	}
	for (unsigned int v = 0; v < VECTORS; v++)
		ck_assert_uint_eq(fake_irq_signals(&b.irq, v), 0);
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert(b.dev.started);
}
END_TEST

START_TEST(a_reset_takes_the_interrupt_status_back)
{
	bench_to_driver_ok(&b);
	virtio_irq_raise(b.dev.start.queue[0].irq);
	virtio_config_changed(b.dev.start.transport);
	ck_assert_uint_ne(reg_read(&b, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	bench_reset(&b);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
END_TEST

/* row T12 */
START_TEST(resetting_twice_is_resetting_once)
{
	bench_to_driver_ok(&b);
	bench_reset(&b);
	bench_reset(&b);
	ck_assert_uint_eq(b.dev.nr_stops, 1);
	ck_assert_uint_eq(bench_status(&b), 0);
}
END_TEST

/* Dragonball loses its doorbells on a reset. */
START_TEST(doorbells_are_still_there_after_a_reset)
{
	bench_to_driver_ok(&b);
	bench_reset(&b);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_DOORBELL), 0x00041000);
	bench_write(&b, VMMIO_DOORBELL + VMMIO_DOORBELL_STRIDE, 4, 0);
	ck_assert(is_kicked(1));
}
END_TEST

static uint16_t size_while_stopping;

static void look_at_queue(void *arg)
{
	(void)arg;
	size_while_stopping = virtq_size(b.dev.start.queue[0].vq);
}

/* T13: the device is stopped before anything is taken away from it. */
/* rows T12, T13 */
START_TEST(a_reset_waits_for_the_device_before_the_queues_go)
{
	struct virtq *vq;

	bench_to_driver_ok(&b);
	vq = b.dev.start.queue[0].vq;
	b.dev.on_stop = look_at_queue;
	bench_reset(&b);
	ck_assert_uint_eq(size_while_stopping, FAKE_DEV_QUEUE_SIZE);
	ck_assert_uint_eq(virtq_size(vq), 0);
}
END_TEST

static void *notify(void *arg)
{
	(void)arg;
	while (atomic_load(&racing)) {
		bench_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1);
		bench_write(&b, VMMIO_DOORBELL, 2, 0);
		bench_read(&b, VIRTIO_MMIO_STATUS, 4);
	}
	return NULL;
}

/* T12 */
/* row T12 */
START_TEST(one_vcpu_may_reset_while_another_one_notifies)
{
	pthread_t t;

	atomic_store(&racing, true);
	pthread_create(&t, NULL, notify, NULL);
	for (int i = 0; i < 300; i++) {
		bench_to_driver_ok(&b);
		ck_assert(b.dev.started);
		bench_reset(&b);
		ck_assert(!b.dev.started);
	}
	atomic_store(&racing, false);
	pthread_join(t, NULL);
}
END_TEST

static unsigned int nr_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* row T12 */
START_TEST(a_thousand_resets_leave_no_descriptor_behind)
{
	struct vmmio_stats s;
	unsigned int before;

	bench_reset(&b);
	before = nr_fds();
	for (int i = 0; i < 1000; i++) {
		drive_steps(i % (NR_STEPS + 1));
		bench_reset(&b);
	}
	ck_assert_uint_eq(nr_fds(), before);
	vmmio_stats(b.t, &s);
	ck_assert_uint_eq(s.resets, 1001);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio reset");
	TCase *tc = tcase_create("reset");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, a_reset_after_any_step_gives_a_new_device, 0, NR_STEPS + 1);
	tcase_add_test(tc, a_reset_takes_the_interrupt_status_back);
	tcase_add_test(tc, resetting_twice_is_resetting_once);
	tcase_add_test(tc, doorbells_are_still_there_after_a_reset);
	tcase_add_test(tc, a_reset_waits_for_the_device_before_the_queues_go);
	tcase_add_test(tc, one_vcpu_may_reset_while_another_one_notifies);
	tcase_add_test(tc, a_thousand_resets_leave_no_descriptor_behind);
	suite_add_tcase(s, tc);
	return s;
}
