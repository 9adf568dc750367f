/* SPDX-License-Identifier: Apache-2.0 */
#include "x86_64_tsc.h"

#include <linux/kvm.h>
#include <stddef.h>

#define LEAF_TSC	0x15u		/* Intel SDM volume 2, CPUID */
#define LEAF_HYPERVISOR	0x40000000u
#define LEAF_TIMING	0x40000010u	/* VMware's, which QEMU has too: kHz of TSC and APIC bus */

#define APIC_BUS_KHZ	1000000u	/* KVM's, unless told otherwise */

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t function)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function)
			return &c->entries[i];
	return NULL;
}

/*
 * TSC = crystal * EBX / EAX. Linux takes the crystal for what drives the APIC's
 * timer, and multiplies its kHz by EBX in 32 bits; so EBX is small, and the
 * fraction the nearest of those.
 */
static void tell_ratio(struct kvm_cpuid_entry2 *e, uint32_t khz)
{
	uint64_t best = UINT64_MAX;

	for (uint64_t den = 1;; den++) {
		uint64_t num = (khz * den + APIC_BUS_KHZ / 2) / APIC_BUS_KHZ;
		uint64_t exact = khz * den, told = num * APIC_BUS_KHZ, off;

		if (num > UINT32_MAX / APIC_BUS_KHZ)
			break;
		off = (exact > told ? exact - told : told - exact) * 1000000 / den;
		if (!num || off >= best)
			continue;
		best = off;
		e->eax = (uint32_t)den;
		e->ebx = (uint32_t)num;
		e->ecx = APIC_BUS_KHZ * 1000;
	}
}

void cpuid_tell_tsc(struct kvm_cpuid2 *c, uint32_t max, uint32_t tsc_khz)
{
	struct kvm_cpuid_entry2 *tsc = find(c, LEAF_TSC), *hv = find(c, LEAF_HYPERVISOR);

	if (!tsc_khz)
		return;
	if (tsc)
		tell_ratio(tsc, tsc_khz);
	if (!hv || find(c, LEAF_TIMING) || c->nent == max)
		return;
	if (hv->eax < LEAF_TIMING)
		hv->eax = LEAF_TIMING;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = LEAF_TIMING, .eax = tsc_khz, .ebx = APIC_BUS_KHZ,
	};
}
