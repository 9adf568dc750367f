/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register block, router and KVM together: vCPU threads program, enable,
 * mask and reset as they like, queue threads signal, the main thread brings
 * KVM into line. Meant for a thread sanitizer; the books of the fake KVM have
 * to be right in any case.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fake_kvm.h"
#include "log_capture.h"
#include "msi.h"
#include "runner.h"
#include "util.h"
#include "vmmio_msi.h"
#include "vmmio_msi_abi.h"

#define NR_DEVICES 4u
#define VECTORS 5u
#define ADDR 0xfee00000u
#define UPDATE_CODE (VIRTIO_MMIO_MSI_CMD_UPDATE << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT)

struct device {
	pthread_mutex_t lock;		/* as the transport's */
	struct vmmio_msi m;
	struct irq_sink *sink;
	struct guest_errors errors;
	unsigned int nr_refused;	/* main thread */
	unsigned int nr_steps;
	uint32_t random;
};

static struct fake_kvm fake;
static struct msi_router *router;
static struct device dev[NR_DEVICES];
static atomic_uint nr_running;
static atomic_bool raising;

static void on_settled(void *owner, int result)
{
	struct device *d = owner;

	pthread_mutex_lock(&d->m.lock);
	if (!result)
		vmmio_msi_settled(&d->m);
	else if (vmmio_msi_refused(&d->m))
		d->nr_refused++;
	pthread_mutex_unlock(&d->m.lock);
}

static void setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	fake_kvm_init(&fake);
	ck_assert_int_eq(msi_router_create(&router, &fake.kvm), 0);
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		struct device *d = &dev[i];

		pthread_mutex_init(&d->lock, NULL);
		guest_errors_init(&d->errors, "stress");
		ck_assert_int_eq(msi_sink_create(&d->sink, router, VECTORS, 5 + i % 2), 0);
		d->sink->owner = d;
		d->sink->settled = on_settled;
		d->random = 77 * i + 1;
		vmmio_msi_init(&d->m, d->sink, &d->errors);
	}
}

static void teardown(void)
{
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		msi_sink_free(dev[i].sink);
	msi_router_free(router);
}

static uint32_t next_random(struct device *d)
{
	d->random = d->random * 1664525 + 1013904223;
	return d->random >> 8;
}

static void put(struct device *d, uint32_t reg, uint32_t len, uint32_t val)
{
	pthread_mutex_lock(&d->lock);
	vmmio_msi_write(&d->m, reg - VIRTIO_MMIO_MSI_CSR, len, val, false);
	pthread_mutex_unlock(&d->lock);
}

static void program(struct device *d, unsigned int vector, uint32_t data)
{
	put(d, VIRTIO_MMIO_MSI_ADDR_LOW, 4, ADDR);
	put(d, VIRTIO_MMIO_MSI_DATA, 4, data);
	put(d, VIRTIO_MMIO_MSI_CMD, 2, UPDATE_CODE | vector);
}

static void reset(struct device *d)
{
	pthread_mutex_lock(&d->lock);
	vmmio_msi_reset(&d->m);
	pthread_mutex_unlock(&d->lock);
}

static void random_step(struct device *d)
{
	uint32_t r = next_random(d), vector = r % VECTORS;

	switch (r >> 4 & 15) {
	case 0:
		reset(d);
		break;
	case 1:
		put(d, VIRTIO_MMIO_MSI_CSR, 2, 0);
		break;
	case 2:
		program(d, vector, FAKE_KVM_POISON);
		break;
	case 3:
		program(d, vector, 0x430);	/* never gets that far */
		break;
	case 4: case 5: case 6:
		put(d, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
		break;
	case 7: case 8:
		put(d, VIRTIO_MMIO_MSI_CMD, 2, (2 + (r >> 12 & 1)) << 12 | vector);
		break;
	default:
		program(d, vector, 0x30 + (r >> 12 & 7));
	}
}

static void *vcpu(void *arg)
{
	struct device *d = arg;

	for (unsigned int i = 0; i < d->nr_steps; i++)
		random_step(d);
	atomic_fetch_sub(&nr_running, 1);
	return NULL;
}

/* A queue thread of a device, until it is told to leave. */
static void *queue(void *arg)
{
	struct device *d = arg;

	while (atomic_load(&raising)) {
		uint64_t one = 1;
		int fd = vmmio_msi_begin(&d->m, 1);

		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			ck_abort_msg("eventfd");
	}
	return NULL;
}

/* A round is due later: on a slow machine it may be postponed. */
static bool is_armed(int timer_fd)
{
	struct itimerspec when;

	ck_assert_int_eq(timerfd_gettime(timer_fd, &when), 0);
	return when.it_value.tv_sec || when.it_value.tv_nsec;
}

static void run_main_loop(void)
{
	struct pollfd p = { .fd = msi_fd(router), .events = POLLIN };

	while (atomic_load(&nr_running))
		if (poll(&p, 1, 1) == 1)
			msi_run(router);
	while (is_armed(p.fd) || poll(&p, 1, 0) == 1) {
		poll(&p, 1, -1);
		msi_run(router);
	}
}

static void check_all_gone(void)
{
	struct msi_stats s;

	for (unsigned int i = 0; i < NR_DEVICES; i++)
		reset(&dev[i]);
	run_main_loop();
	msi_router_stats(router, &s);
	ck_assert_uint_eq(s.gsis_in_use, 0);
	ck_assert_uint_eq(fake.nr_bound, 0);
	ck_assert_uint_eq(s.irqfd_binds, s.irqfd_unbinds);
	ck_assert_uint_eq(fake.nr_violations, 0);
}

static void check_all_work(void)
{
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		for (unsigned int v = 0; v < VECTORS; v++)
			program(&dev[i], v, 0x40 + v);
		put(&dev[i], VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
	}
	run_main_loop();
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		for (unsigned int v = 0; v < VECTORS; v++) {
			int fd = vmmio_msi_begin(&dev[i].m, v);

			ck_assert_int_eq(fd, dev[i].sink->vector_fd[v]);
			ck_assert_uint_eq(fake_kvm_route_of(&fake, fd)->data, 0x40 + v);
		}
	}
	ck_assert_uint_eq(fake.nr_violations, 0);
}

/* row M5 */
START_TEST(devices_programmed_at_random_by_many_threads_leave_the_books_right)
{
	pthread_t t[NR_DEVICES];
	struct log_capture c;

	log_capture_begin(&c);		/* of refused routes there are many */
	atomic_store(&nr_running, NR_DEVICES);
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		dev[i].nr_steps = 20000;
		pthread_create(&t[i], NULL, vcpu, &dev[i]);
	}
	run_main_loop();
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		pthread_join(t[i], NULL);
	log_capture_end(&c);
	check_all_gone();
	check_all_work();
}
END_TEST

/* A state machine is not reset under a running queue thread, so no resets and no disables here. */
/* rows M7, M8 */
START_TEST(a_queue_signals_while_its_vector_is_reprogrammed_and_masked)
{
	pthread_t t;

	for (unsigned int v = 0; v < VECTORS; v++)
		program(&dev[0], v, 0x30);
	put(&dev[0], VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
	run_main_loop();
	atomic_store(&raising, true);
	pthread_create(&t, NULL, queue, &dev[0]);
	for (unsigned int i = 0; i < 2000; i++) {
		program(&dev[0], 1, 0x30 + i % 8);
		put(&dev[0], VIRTIO_MMIO_MSI_CMD, 2, (2 + (i & 1)) << 12 | 1u);
		msi_run(router);
	}
	atomic_store(&raising, false);
	pthread_join(t, NULL);
	run_main_loop();
	check_all_gone();
	check_all_work();
}
END_TEST

/*
 * Messages are numbers that rise. A signal that begins once the command with
 * one is complete goes by that or a later one, however long it takes from
 * there to the eventfd; and no thread sees them fall again.
 */
static atomic_uint complete;
static atomic_bool late;

static void *slow_queue(void *arg)
{
	struct device *d = arg;
	uint32_t last = 0;

	while (atomic_load(&raising)) {
		uint32_t least = atomic_load(&complete), data;
		int fd = vmmio_msi_begin(&d->m, 1);

		if (fd < 0)
			continue;
		sched_yield();		/* between the check and the write */
		pthread_mutex_lock(&fake.lock);
		data = fake_kvm_route_of(&fake, fd)->data;
		pthread_mutex_unlock(&fake.lock);
		if (data < least || data < last)
			atomic_store(&late, true);
		last = data;
	}
	return NULL;
}

/* row M8 */
START_TEST(a_signal_that_begins_after_an_update_never_goes_by_an_older_message)
{
	struct device *d = &dev[0];
	pthread_t t[2];

	program(d, 1, 0x30);
	put(d, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
	run_main_loop();
	atomic_store(&raising, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_create(&t[i], NULL, slow_queue, d);
	for (uint32_t data = 0x31; data < 0xf0; data++) {
		program(d, 1, data);
		atomic_store(&complete, data);
		if (data % 2)
			run_main_loop();
	}
	atomic_store(&raising, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	run_main_loop();
	ck_assert(!atomic_load(&late));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("msi stress");
	TCase *tc = tcase_create("stress");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, devices_programmed_at_random_by_many_threads_leave_the_books_right);
	tcase_add_test(tc, a_queue_signals_while_its_vector_is_reprogrammed_and_masked);
	tcase_add_test(tc, a_signal_that_begins_after_an_update_never_goes_by_an_older_message);
	suite_add_tcase(s, tc);
	return s;
}
