/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the TSC and the local APIC's timer run, told by CPUID: for kernels
 * without KVM's own clock, which find nothing else here to measure them by.
 */
#ifndef MIMSY_X86_64_TSC_H
#define MIMSY_X86_64_TSC_H

#include <stdint.h>

struct kvm_cpuid2;

/* c has room for max entries. tsc_khz 0: unknown, or known already; nothing is changed. */
void cpuid_tell_tsc(struct kvm_cpuid2 *c, uint32_t max, uint32_t tsc_khz);

#endif
