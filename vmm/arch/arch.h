/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between processor architectures: interrupt controller, the
 * CPU's features and its registers at the kernel's entry. CMake picks the
 * file; there is no #ifdef elsewhere.
 */
#ifndef MIMSY_ARCH_H
#define MIMSY_ARCH_H

#include <stdbool.h>

#include "boot.h"
#include "guest_mem.h"
#include "kvm.h"

/* The CPU features that every vCPU gets, fetched from KVM once. */
struct arch_cpu;

/*
 * Interrupt controllers, before the first vCPU. pit: also make a timer chip
 * (kernels without a TSC deadline timer need one). 0 or -errno, logged.
 */
int arch_vm_init(struct kvm *kvm, bool pit);

/* The guest takes interrupts of this pin. Perhaps in a signal handler. */
bool arch_pin_is_heard(const struct kvm *kvm, unsigned int pin);

int arch_cpu_create(struct arch_cpu **out, const struct kvm *kvm, unsigned int nr_cpus);
void arch_cpu_free(struct arch_cpu *cpu);	/* NULL is allowed */

/* false: the guest will look for a timer chip. */
bool arch_cpu_has_timer(const struct arch_cpu *cpu);

/* Features of vCPU id; not its registers. */
int arch_vcpu_init(const struct arch_cpu *cpu, int vcpu_fd, unsigned int id);

/* The boot vCPU's registers, and what they point to in guest memory. */
int arch_vcpu_boot(int vcpu_fd, const struct guest_mem *mem, const struct boot_entry *entry);

#endif
