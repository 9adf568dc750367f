/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows H6 and H7: every way in which KVM may be absent, forbidden, too old or
 * failing, each with one line that says so. open() and ioctl() of this
 * program are ours: the monitor's calls end in the state below.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define SYS_FD 900		/* no such descriptors; only our ioctl() sees them */
#define VM_FD 901
#define VCPU_FD 902

static struct {
	int open_errno;			/* 0: /dev/kvm opens */
	int open_flags;
	unsigned long fails;		/* this request fails */
	int fails_with;
	int eintr;			/* so many calls are interrupted first */
	int api_version;
	long missing_cap;		/* -1: none */
	int max_vcpus;
	unsigned int nr_calls;
	unsigned long last_request;
	union {
		struct kvm_userspace_memory_region region;
		struct kvm_irqfd irqfd;
		struct kvm_ioeventfd ioeventfd;
	} last;
	unsigned long last_number;
} host;

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (strcmp(path, "/dev/kvm"))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	host.open_flags = flags;
	if (!host.open_errno)
		return SYS_FD;
	errno = host.open_errno;
	return -1;
}

static int answer(unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return host.api_version;
	case KVM_CHECK_EXTENSION:
		if (arg == KVM_CAP_MAX_VCPUS)
			return host.max_vcpus;
		return (long)arg != host.missing_cap;
	case KVM_GET_VCPU_MMAP_SIZE:
		return 12288;
	case KVM_CREATE_VM:
		return VM_FD;
	case KVM_CREATE_VCPU:
		host.last_number = arg;
		return VCPU_FD;
	case KVM_SET_USER_MEMORY_REGION:
		memcpy(&host.last.region, (void *)arg, sizeof(host.last.region));
		return 0;
	case KVM_IRQFD:
		memcpy(&host.last.irqfd, (void *)arg, sizeof(host.last.irqfd));
		return 0;
	case KVM_IOEVENTFD:
		memcpy(&host.last.ioeventfd, (void *)arg, sizeof(host.last.ioeventfd));
		return 0;
	case KVM_SET_GSI_ROUTING:
		return 0;
	}
	errno = EINVAL;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (fd < SYS_FD)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	host.nr_calls++;
	host.last_request = request;
	if (host.eintr) {
		host.eintr--;
		errno = EINTR;
		return -1;
	}
	if (request == host.fails) {
		errno = host.fails_with;
		return -1;
	}
	return answer(request, arg);
}

static struct kvm kvm;
static struct log_capture cap;

static void setup(void)
{
	memset(&host, 0, sizeof(host));
	host.api_version = KVM_API_VERSION;
	host.missing_cap = -1;
	host.max_vcpus = 1024;
	kvm = (struct kvm){ .sys_fd = SYS_FD, .vm_fd = VM_FD };
}

static int open_kvm(void)
{
	int ret;

	log_capture_begin(&cap);
	ret = kvm_open_device();
	if (ret >= 0)
		ret = kvm_open(&kvm, ret);
	log_capture_end(&cap);
	return ret;
}

START_TEST(a_kvm_that_has_all_it_takes_is_opened)
{
	ck_assert_int_eq(open_kvm(), 0);
	ck_assert_int_eq(kvm.sys_fd, SYS_FD);
	ck_assert_int_eq(kvm.vm_fd, VM_FD);
	ck_assert_uint_eq(kvm.run_len, 12288);
	ck_assert_uint_eq(kvm_max_vcpus(&kvm), 1024);
	ck_assert(kvm.tsc_deadline);
	ck_assert_str_eq(cap.text, "");
}
END_TEST

START_TEST(children_do_not_inherit_it)
{
	open_kvm();
	ck_assert_int_eq(host.open_flags & O_CLOEXEC, O_CLOEXEC);
	ck_assert_int_eq(host.open_flags & O_ACCMODE, O_RDWR);
}
END_TEST

static const struct {
	int err;
	const char *says;
} absent[] = {
	{ ENOENT, "not there" },
	{ ENODEV, "not there" },
	{ ENXIO, "not there" },
	{ EACCES, "group kvm" },
	{ EPERM, "group kvm" },
	{ EBUSY, "busy" },
	{ EMFILE, "Too many open files" },
};

/* row H6 */
START_TEST(a_dev_kvm_that_does_not_open_is_explained_in_one_line)
{
	host.open_errno = absent[_i].err;
	ck_assert_int_eq(open_kvm(), -absent[_i].err);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "/dev/kvm"));
	ck_assert_ptr_nonnull(strstr(cap.text, absent[_i].says));
}
END_TEST

/* row H6 */
START_TEST(another_api_version_is_refused)
{
	host.api_version = 11;
	ck_assert_int_eq(open_kvm(), -ENOTSUP);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "version 11"));
}
END_TEST

/* row H6 */
START_TEST(a_file_that_is_no_kvm_is_refused)
{
	host.fails = KVM_GET_API_VERSION;
	host.fails_with = ENOTTY;
	ck_assert_int_eq(open_kvm(), -ENOTSUP);
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

static const struct {
	long cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

/* row H6 */
START_TEST(a_missing_capability_is_named_with_the_remedy)
{
	host.missing_cap = needed[_i].cap;
	ck_assert_int_eq(open_kvm(), -ENOTSUP);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, needed[_i].name));
	ck_assert_ptr_nonnull(strstr(cap.text, "newer host kernel"));
}
END_TEST

START_TEST(a_timer_with_deadlines_may_be_missing)
{
	host.missing_cap = KVM_CAP_TSC_DEADLINE_TIMER;
	ck_assert_int_eq(open_kvm(), 0);
	ck_assert(!kvm.tsc_deadline);
}
END_TEST

START_TEST(nothing_is_asked_that_another_answer_implies)
{
	ck_assert_int_eq(open_kvm(), 0);
	ck_assert_uint_le(host.nr_calls, 6);
}
END_TEST

START_TEST(a_kvm_that_does_not_tell_its_vcpus_has_four)
{
	host.max_vcpus = 0;
	ck_assert_int_eq(open_kvm(), 0);
	ck_assert_uint_eq(kvm_max_vcpus(&kvm), 4);
}
END_TEST

/* H7: each call that can fail, with each reason. */
static const unsigned long steps[] = { KVM_GET_VCPU_MMAP_SIZE, KVM_CREATE_VM };
static const int reasons[] = { ENOMEM, EEXIST, EBUSY, EPERM, EINVAL };

/* row H7 */
START_TEST(a_call_that_fails_at_the_start_is_named)
{
	host.fails = steps[_i / (int)ARRAY_SIZE(reasons)];
	host.fails_with = reasons[_i % (int)ARRAY_SIZE(reasons)];
	ck_assert_int_eq(open_kvm(), -host.fails_with);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "KVM_"));
	ck_assert_ptr_nonnull(strstr(cap.text, strerror(host.fails_with)));
}
END_TEST

/* row H7 */
START_TEST(interrupted_calls_are_made_again)
{
	host.eintr = 5;
	ck_assert_int_eq(kvm_ioctl(SYS_FD, KVM_GET_API_VERSION, NULL), KVM_API_VERSION);
	ck_assert_uint_eq(host.nr_calls, 6);
	ck_assert_int_eq(open_kvm(), 0);
}
END_TEST

START_TEST(memory_is_mapped_as_given)
{
	ck_assert_int_eq(kvm_map_memory(&kvm, 3, 0x1000, 0x2000, &host), 0);
	ck_assert_uint_eq(host.last.region.slot, 3);
	ck_assert_uint_eq(host.last.region.guest_phys_addr, 0x1000);
	ck_assert_uint_eq(host.last.region.memory_size, 0x2000);
	ck_assert_uint_eq(host.last.region.userspace_addr, (uintptr_t)&host);
	ck_assert_uint_eq(host.last.region.flags, 0);
}
END_TEST

START_TEST(an_irqfd_is_unbound_with_the_pair_it_was_bound_with)
{
	ck_assert_int_eq(kvm_irqfd_bind(&kvm, 7, 33), 0);
	ck_assert_uint_eq(host.last.irqfd.fd, 7);
	ck_assert_uint_eq(host.last.irqfd.gsi, 33);
	ck_assert_uint_eq(host.last.irqfd.flags, 0);
	ck_assert_int_eq(kvm_irqfd_unbind(&kvm, 7, 33), 0);
	ck_assert_uint_eq(host.last.irqfd.fd, 7);
	ck_assert_uint_eq(host.last.irqfd.gsi, 33);
	ck_assert_uint_eq(host.last.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
}
END_TEST

START_TEST(a_doorbell_takes_any_width_and_value)
{
	ck_assert_int_eq(kvm_doorbell_bind(&kvm, 0xc0001004, 9), 0);
	ck_assert_uint_eq(host.last.ioeventfd.addr, 0xc0001004);
	ck_assert_uint_eq(host.last.ioeventfd.len, 0);
	ck_assert_int_eq(host.last.ioeventfd.fd, 9);
	ck_assert_uint_eq(host.last.ioeventfd.flags, 0);
}
END_TEST

START_TEST(a_notification_takes_one_value_of_32_bits)
{
	ck_assert_int_eq(kvm_notify_bind(&kvm, 0xc0000050, 3, 9), 0);
	ck_assert_uint_eq(host.last.ioeventfd.len, 4);
	ck_assert_uint_eq(host.last.ioeventfd.datamatch, 3);
	ck_assert_uint_eq(host.last.ioeventfd.flags, KVM_IOEVENTFD_FLAG_DATAMATCH);
}
END_TEST

static int map_memory(void)
{
	return kvm_map_memory(&kvm, 0, 0, 4096, NULL);
}

static int create_vcpu(void)
{
	int fd;

	return kvm_create_vcpu(&kvm, 17, &fd);
}

static int bind_irqfd(void)
{
	return kvm_irqfd_bind(&kvm, 1, 24);
}

static int bind_doorbell(void)
{
	return kvm_doorbell_bind(&kvm, 0xc0001000, 1);
}

static int set_routing(void)
{
	return kvm_set_routing(&kvm, NULL);
}

static const struct {
	int (*call)(void);
	unsigned long request;
	unsigned int nr_lines;
} calls[] = {
	{ map_memory, KVM_SET_USER_MEMORY_REGION, 1 },
	{ create_vcpu, KVM_CREATE_VCPU, 1 },
	{ bind_irqfd, KVM_IRQFD, 1 },
	{ bind_doorbell, KVM_IOEVENTFD, 1 },
	{ set_routing, KVM_SET_GSI_ROUTING, 0 },	/* msi.c says what it was about */
};

/* row H7 */
START_TEST(a_call_that_fails_returns_the_reason_and_says_it_once)
{
	int ret;

	host.fails = calls[_i].request;
	host.fails_with = ENOSPC;
	log_capture_begin(&cap);
	ret = calls[_i].call();
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -ENOSPC);
	ck_assert_uint_eq(cap.nr_lines, calls[_i].nr_lines);
	ck_assert_uint_eq(host.last_request, calls[_i].request);
}
END_TEST

START_TEST(a_vcpu_has_its_number)
{
	int fd = -1;

	ck_assert_int_eq(kvm_create_vcpu(&kvm, 253, &fd), 0);
	ck_assert_int_eq(fd, VCPU_FD);
	ck_assert_uint_eq(host.last_number, 253);
}
END_TEST

START_TEST(closing_twice_is_closing_once)
{
	kvm_close(&kvm);
	ck_assert_int_eq(kvm.sys_fd, -1);
	ck_assert_int_eq(kvm.vm_fd, -1);
	kvm_close(&kvm);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("kvm");
	TCase *tc = tcase_create("kvm");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_kvm_that_has_all_it_takes_is_opened);
	tcase_add_test(tc, children_do_not_inherit_it);
	tcase_add_loop_test(tc, a_dev_kvm_that_does_not_open_is_explained_in_one_line, 0,
			    ARRAY_SIZE(absent));
	tcase_add_test(tc, another_api_version_is_refused);
	tcase_add_test(tc, a_file_that_is_no_kvm_is_refused);
	tcase_add_loop_test(tc, a_missing_capability_is_named_with_the_remedy, 0,
			    ARRAY_SIZE(needed));
	tcase_add_test(tc, a_timer_with_deadlines_may_be_missing);
	tcase_add_test(tc, nothing_is_asked_that_another_answer_implies);
	tcase_add_test(tc, a_kvm_that_does_not_tell_its_vcpus_has_four);
	tcase_add_loop_test(tc, a_call_that_fails_at_the_start_is_named, 0,
			    ARRAY_SIZE(steps) * ARRAY_SIZE(reasons));
	tcase_add_test(tc, interrupted_calls_are_made_again);
	tcase_add_test(tc, memory_is_mapped_as_given);
	tcase_add_test(tc, an_irqfd_is_unbound_with_the_pair_it_was_bound_with);
	tcase_add_test(tc, a_doorbell_takes_any_width_and_value);
	tcase_add_test(tc, a_notification_takes_one_value_of_32_bits);
	tcase_add_loop_test(tc, a_call_that_fails_returns_the_reason_and_says_it_once, 0,
			    ARRAY_SIZE(calls));
	tcase_add_test(tc, a_vcpu_has_its_number);
	tcase_add_test(tc, closing_twice_is_closing_once);
	suite_add_tcase(s, tc);
	return s;
}
