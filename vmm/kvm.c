/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/*
 * What this monitor cannot do without: an interrupt controller in the kernel,
 * and KVM of Linux 4.11 or later. The latter also has all else that is needed
 * (memory slots, routing, irqfds, ioeventfds of any length): none of it is asked for.
 */
static const struct {
	int cap;
	const char *name;
} required[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static int kvm_number(int fd, unsigned long request, unsigned long arg)
{
	return kvm_ioctl(fd, request, (void *)arg);
}

int kvm_open_device(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return log_fail(-errno, "/dev/kvm is not there: load kvm_intel or kvm_amd, "
				"or switch virtualisation on in the firmware");
	case EACCES:
	case EPERM:
		return log_fail(-errno, "/dev/kvm: permission denied: join the group kvm, "
				"or run as root");
	}
	return log_errno("/dev/kvm");
}

static int kvm_check(struct kvm *kvm)
{
	int version = kvm_number(kvm->sys_fd, KVM_GET_API_VERSION, 0);
	int ret;

	if (version != KVM_API_VERSION)
		return log_fail(-ENOTSUP, "/dev/kvm has API version %d, not %d: it is no KVM "
				"that this monitor can use", version, KVM_API_VERSION);
	for (unsigned int i = 0; i < ARRAY_SIZE(required); i++)
		if (kvm_number(kvm->sys_fd, KVM_CHECK_EXTENSION, required[i].cap) <= 0)
			return log_fail(-ENOTSUP, "/dev/kvm lacks %s: use a newer host kernel",
					required[i].name);
	ret = kvm_number(kvm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < 0)
		return log_fail(ret, "KVM_GET_VCPU_MMAP_SIZE: %s", strerror(-ret));
	kvm->run_len = ret;
	kvm->tsc_deadline = kvm_number(kvm->sys_fd, KVM_CHECK_EXTENSION,
				       KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	return 0;
}

int kvm_open(struct kvm *kvm, int fd)
{
	int ret;

	*kvm = (struct kvm){ .sys_fd = fd, .vm_fd = -1 };
	guest_errors_init(&kvm->errors, "kvm");
	ret = kvm_check(kvm);
	if (ret)
		return ret;
	kvm->vm_fd = kvm_number(kvm->sys_fd, KVM_CREATE_VM, 0);
	if (kvm->vm_fd < 0)
		return log_fail(kvm->vm_fd, "KVM_CREATE_VM: %s", strerror(-kvm->vm_fd));
	return 0;
}

unsigned int kvm_max_vcpus(const struct kvm *kvm)
{
	int n = kvm_number(kvm->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	return n > 0 ? (unsigned int)n : 4;	/* api.rst: 4 if it does not say */
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->sys_fd >= 0)
		close(kvm->sys_fd);
	kvm->vm_fd = kvm->sys_fd = -1;
}

int kvm_map_memory(struct kvm *kvm, uint32_t slot, uint64_t gpa, uint64_t len, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};
	int ret = kvm_ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);

	return ret ? log_fail(ret, "KVM_SET_USER_MEMORY_REGION: %s", strerror(-ret)) : 0;
}

int kvm_create_vcpu(struct kvm *kvm, unsigned int id, int *fd)
{
	*fd = kvm_number(kvm->vm_fd, KVM_CREATE_VCPU, id);
	if (*fd < 0)
		return log_fail(*fd, "KVM_CREATE_VCPU %u: %s", id, strerror(-*fd));
	return 0;
}

static int kvm_irqfd(struct kvm *kvm, int fd, uint32_t gsi, uint32_t flags)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags };
	int ret = kvm_ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd);

	return ret ? guest_fail(&kvm->errors, ret, "KVM_IRQFD for GSI %u", gsi) : 0;
}

int kvm_irqfd_bind(struct kvm *kvm, int fd, uint32_t gsi)
{
	return kvm_irqfd(kvm, fd, gsi, 0);
}

int kvm_irqfd_unbind(struct kvm *kvm, int fd, uint32_t gsi)
{
	return kvm_irqfd(kvm, fd, gsi, KVM_IRQFD_FLAG_DEASSIGN);
}

static int kvm_ioeventfd(struct kvm *kvm, struct kvm_ioeventfd *e)
{
	int ret = kvm_ioctl(kvm->vm_fd, KVM_IOEVENTFD, e);

	return ret ? guest_fail(&kvm->errors, ret, "KVM_IOEVENTFD at %#llx",
				(unsigned long long)e->addr) : 0;
}

int kvm_doorbell_bind(struct kvm *kvm, uint64_t addr, int fd)
{
	struct kvm_ioeventfd e = { .addr = addr, .len = 0, .fd = fd };

	return kvm_ioeventfd(kvm, &e);
}

int kvm_notify_bind(struct kvm *kvm, uint64_t addr, uint32_t value, int fd)
{
	struct kvm_ioeventfd e = {
		.addr = addr,
		.len = 4,
		.fd = fd,
		.datamatch = value,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return kvm_ioeventfd(kvm, &e);
}

int kvm_set_routing(struct kvm *kvm, struct kvm_irq_routing *table)
{
	return kvm_ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, table);
}

int kvm_pulse(const struct kvm *kvm, uint32_t gsi)
{
	struct kvm_irq_level line = { .irq = gsi, .level = 1 };
	int ret = kvm_ioctl(kvm->vm_fd, KVM_IRQ_LINE, &line);

	line.level = 0;
	return ret ? ret : kvm_ioctl(kvm->vm_fd, KVM_IRQ_LINE, &line);
}
