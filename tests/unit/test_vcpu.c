/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU does when KVM does not run it: a host without threads or memory
 * to spare says EAGAIN or ENOMEM for as long as that lasts. KVM is ours here.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kvm.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"
#include "vcpu.h"

#define NR_REFUSED 60u
#define NR_FREE 16u		/* refusals that are taken for what KVM does at a start */

static struct {
	int run_fd;
	int result;			/* of KVM_RUN */
	unsigned int nr_refused;	/* so many times; then the guest crashes */
	atomic_uint nr_runs;
	struct kvm_run *run;
} host;

static struct kvm kvm;
static struct bus no_bus;
static struct vcpu_env env;
static struct vcpu *vcpu;
static atomic_int ended;
static struct log_capture cap;

static int answer(unsigned long request)
{
	switch (request) {
	case KVM_CREATE_VCPU:
		return dup(host.run_fd);
	case KVM_GET_REGS:
		return 0;
	case KVM_RUN:
		if (atomic_fetch_add(&host.nr_runs, 1) < host.nr_refused)
			return host.result;
		host.run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	return -ENOTTY;
}

int ioctl(int fd, unsigned long request, ...)
{
	int ret = answer(request);

	(void)fd;
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static void on_end(void *ctx, enum vcpu_end end)
{
	(void)ctx;
	atomic_store(&ended, (int)end);
}

static void setup(void)
{
	host.run_fd = memfd_create("kvm_run", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(host.run_fd, 8192), 0);
	host.run = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, host.run_fd, 0);
	kvm = (struct kvm){ .run_len = 8192 };
	env = (struct vcpu_env){
		.kvm = &kvm, .mmio = &no_bus, .pio = &no_bus, .ended = on_end,
		.gate = PTHREAD_RWLOCK_INITIALIZER,
	};
	atomic_store(&ended, -1);
	atomic_store(&host.nr_runs, 0);
	vcpu_signal_init();
	ck_assert_int_eq(vcpu_create(&vcpu, &env, 0), 0);
}

static void teardown(void)
{
	vcpu_free(vcpu);
	munmap(host.run, 8192);
	close(host.run_fd);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Runs to the end. Returns how long that took at least. */
static uint64_t run_to_the_end(int result, unsigned int nr_refused)
{
	uint64_t begin = now_ms();

	host.result = result;
	host.nr_refused = nr_refused;
	log_capture_begin(&cap);
	ck_assert_int_eq(vcpu_start(vcpu, -1), 0);
	vcpu_join(vcpu);
	log_capture_end(&cap);
	ck_assert_int_eq(atomic_load(&ended), VCPU_END_CRASH);
	return now_ms() - begin;
}

static const struct {
	int result;
	unsigned int nr_lines;		/* with that of the crash */
} refusal[] = { { -EAGAIN, 2 }, { -ENOMEM, 2 }, { -EINTR, 1 } };

/* Each pause is a millisecond longer than the last. */
START_TEST(a_vcpu_that_kvm_does_not_run_is_tried_again_later_and_later)
{
	uint64_t spent = run_to_the_end(refusal[_i].result, NR_REFUSED);
	unsigned int n = NR_REFUSED - NR_FREE;

	ck_assert_uint_eq(cap.nr_lines, refusal[_i].nr_lines);
	ck_assert_uint_ge(spent + 1, n * (n + 1) / 2);
}
END_TEST

START_TEST(a_few_refusals_are_nothing_to_speak_of)
{
	run_to_the_end(-EAGAIN, NR_FREE);
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

START_TEST(a_vcpu_that_is_never_run_can_be_stopped)
{
	host.result = -EAGAIN;
	host.nr_refused = UINT32_MAX;
	log_capture_begin(&cap);
	ck_assert_int_eq(vcpu_start(vcpu, -1), 0);
	while (atomic_load(&host.nr_runs) < 2 * NR_FREE)
		usleep(1000);
	vcpu_stop(vcpu);
	vcpu_join(vcpu);
	log_capture_end(&cap);
	ck_assert_int_eq(atomic_load(&ended), -1);
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vcpu");
	TCase *tc = tcase_create("refusals");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_vcpu_that_kvm_does_not_run_is_tried_again_later_and_later, 0,
			    ARRAY_SIZE(refusal));
	tcase_add_test(tc, a_few_refusals_are_nothing_to_speak_of);
	tcase_add_test(tc, a_vcpu_that_is_never_run_can_be_stopped);
	suite_add_tcase(s, tc);
	return s;
}
