/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's ioctls with types and -errno. No policy: what to call when is the
 * business of vm.c, msi.c and the arch file. Documentation/virt/kvm/api.rst.
 */
#ifndef MIMSY_KVM_H
#define MIMSY_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

struct kvm_irq_routing;
struct kvm_cpuid2;

struct kvm {
	int sys_fd;		/* /dev/kvm */
	int vm_fd;
	size_t run_len;		/* bytes of a vCPU's struct kvm_run mapping */
	bool tsc_deadline;	/* the LAPIC timer has the TSC deadline mode */
	struct guest_errors errors;	/* what KVM refuses while the guest runs */
};

/* Opens /dev/kvm. The descriptor or -errno; one log line names the remedy. */
int kvm_open_device(void);

/*
 * Takes fd, a descriptor of /dev/kvm, checks for what we need and creates a
 * VM. One log line names what is missing.
 */
int kvm_open(struct kvm *kvm, int fd);
void kvm_close(struct kvm *kvm);	/* a half-opened one too */

/* How many vCPUs a VM may have. */
unsigned int kvm_max_vcpus(const struct kvm *kvm);

/* ioctl with EINTR retried. -errno, nothing is logged. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

int kvm_map_memory(struct kvm *kvm, uint32_t slot, uint64_t gpa, uint64_t len, void *host);
int kvm_create_vcpu(struct kvm *kvm, unsigned int id, int *fd);

/* From now on a signal on fd injects gsi; the same (fd, gsi) pair takes it away again. */
int kvm_irqfd_bind(struct kvm *kvm, int fd, uint32_t gsi);
int kvm_irqfd_unbind(struct kvm *kvm, int fd, uint32_t gsi);

/* A guest write to addr signals fd. len 0: any width and value, and cheapest. */
int kvm_doorbell_bind(struct kvm *kvm, uint64_t addr, int fd);
/* The same for 32-bit writes of one value. */
int kvm_notify_bind(struct kvm *kvm, uint64_t addr, uint32_t value, int fd);

int kvm_set_routing(struct kvm *kvm, struct kvm_irq_routing *table);

/* An edge on an interrupt line. Perhaps in a signal handler. 0 or -errno. */
int kvm_pulse(const struct kvm *kvm, uint32_t gsi);

#endif
